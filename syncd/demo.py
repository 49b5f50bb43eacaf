"""What the demo plays: the doubles of a small MSP, the hands that move them, the story, the files it needs."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncd.clock import make_clock
from syncd.sandbox.kit import Chaos, Double, Running, serve
from syncd.sandbox.world import World, small_msp


def start_doubles(
    kinds: Iterable[str],
    *,
    port: int = 0,
    seed: int = 7,
    customers: int = 12,
    latency: float = 0.0,
    faults: bool = False,
    world: World | None = None,
) -> dict[str, Running]:
    """Builds and serves each kind's double from one world. Raises OSError where a port is taken."""
    from syncd.connect.registry import Kinds

    registry = Kinds()
    world = world or small_msp(seed, customers, make_clock()().date())
    running: dict[str, Running] = {}
    for number, kind in enumerate(kinds):
        module, _, function = registry[kind].sandbox.partition(":")
        build: Callable[[World], Double] = getattr(importlib.import_module(module), function)
        double = build(world)
        double.latency = latency
        if faults:
            double.chaos = Chaos(random.Random(seed + number))  # noqa: S311 - repeatable faults, no secret
        running[kind] = serve(double, port + number if port else 0)
    return running


def connection_toml(kind: str, url: str, settings: Mapping[str, str], name: str = "") -> str:
    """The `[connections.…]` table that points at a double."""
    keys = {"kind": kind, **settings, "base_url": url, "token_url": url}
    width = max(map(len, keys))
    lines = [f'{key:<{width}} = "{value}"' for key, value in keys.items()]
    return "\n".join([f"[connections.{name or kind}]", *lines])


@dataclass(frozen=True)
class Scene:
    """What is told before a cycle, and what happens in the world just before it."""

    told: str
    happens: tuple[Callable[[Stage], None], ...] = ()


class Stage:
    """The doubles, and the hands that move them."""

    def __init__(self, world: World, running: Mapping[str, Running]) -> None:
        self.world = world
        self.running = running

    def turn(self, kind: str, control: str, **asked: Any) -> None:
        """Uses a control of a double, as `POST /_sandbox/…` would."""
        from werkzeug.test import Client

        answer = Client(self.running[kind].double).post(f"/_sandbox/{control}", json=asked)
        if answer.status_code != 200:
            raise RuntimeError(f"the sandbox of {kind} refused {control}: {answer.text}")

    def tenant(self, name: str) -> str:
        """The tenant id of a company."""
        return next(company.tenant_id for company in self.world.companies if company.name == name)

    def breaks(self, name: str, fault: str) -> None:
        """Something is wrong with a tenant; an empty fault mends it."""
        self.turn("microsoft365", "tenant", tenant=self.tenant(name), fault=fault)

    def seats(self, name: str, part: str, change: int) -> None:
        """A customer gives seats to more people, or takes them away."""
        asked = {"add": max(change, 0), "remove": max(-change, 0)}
        self.turn("microsoft365", "people", tenant=self.tenant(name), sku=part, **asked)

    def edits(self, name: str, quantity: int, by: str) -> None:
        """Somebody changes the first addition of a customer in the PSA."""
        number = next(company.number for company in self.world.companies if company.name == name)
        self.turn(
            "connectwise", "rival", agreement=1000 + number, addition=30000 + number * 100, quantity=quantity, by=by
        )


KOA = "Koa Property Management"
STORY = (
    Scene(
        "Acme MSP has 12 customers. syncd reads their seats in Microsoft 365 and their additions in ConnectWise PSA, "
        "customer by customer, and compares. Nothing is posted at first sight: a difference must be seen twice."
    ),
    Scene(
        "The same differences again: now they count. What the rules allow is written down, posted and read back. "
        "Dogwood's fall waits for a person, and Elm Street's Visio seats are billed by no rule."
    ),
    Scene("All else is billed as it is used; this cycle writes nothing."),
    Scene("Hazel Home Care hires four people. Seen once…", (lambda stage: stage.seats("Hazel Home Care", "SPB", 4),)),
    Scene("… seen twice, and posted."),
    Scene(
        "Koa Property Management withdraws its consent. Its lines are blocked and told; they are not zero seats, and "
        "the others go on.",
        (lambda stage: stage.breaks(KOA, "consent"),),
    ),
    Scene(
        "Koa consents again. Meanwhile an RMM integration writes 24 over the 27 that syncd had posted for Alder "
        "Dental: a foreign edit is held, never overwritten.",
        (lambda stage: stage.breaks(KOA, ""), lambda stage: stage.edits("Alder Dental Group", 24, "RMM sync")),
    ),
    Scene(
        "A bad day at the source: Microsoft answers, politely, that two large customers hold nothing at all. The "
        "source fell too far, so nothing from it is posted.",
        (
            lambda stage: stage.seats("Ironwood Manufacturing", "ENTERPRISEPACK", -64),
            lambda stage: stage.seats("Fir Logistics", "O365_BUSINESS_PREMIUM", -31),
        ),
    ),
    Scene(
        "The source is well again. Nobody was credited, nobody was billed twice.",
        (
            lambda stage: stage.seats("Ironwood Manufacturing", "ENTERPRISEPACK", 64),
            lambda stage: stage.seats("Fir Logistics", "O365_BUSINESS_PREMIUM", 31),
        ),
    ),
)


def write_files(folder: Path, stage: Stage, *, every: int, port: int) -> Path:
    """config.toml and mappings of the demo's MSP; returns the config's path."""
    names = {"connectwise": "cw", "microsoft365": "m365"}
    tables = [
        connection_toml(kind, one.url, one.double.settings, names.get(kind, kind))
        for kind, one in stage.running.items()
    ]
    head = (
        f'[syncd]\nevery = "{every}s"\ntimezone = "America/Chicago"\nmode = "post"\n\n'
        f'[web]\nlisten = "127.0.0.1:{port}"\n'
    )
    config = folder / "config.toml"
    config.write_text("\n\n".join([head, *tables]) + "\n", encoding="utf-8")
    (folder / "mappings").mkdir()
    customers = "\n".join(
        f'[[customer]]\nname = "{company.name}"\nm365 = "{company.domain}"\ncw = "{company.identifier}"\n'
        for company in stage.world.companies
    )
    rules = "\n".join(
        f'[[rule]]\nname = "{sku.name}"\ncount = {{ from = "m365", sku = "{sku.part}", measure = "assigned" }}\n'
        f'bill = {{ to = "cw", agreement = "Managed Services*", product = "{sku.product}" }}\ntrue_up = "quantity"\n'
        for sku in stage.world.skus
        if sku.product and sku.part != "VISIOCLIENT"
    )
    (folder / "mappings" / "msp.toml").write_text(f"{customers}\n{rules}", encoding="utf-8")
    return config
