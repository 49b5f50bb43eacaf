"""What the demo plays: the doubles of a small MSP, the hands that move them, the story, the files it needs."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from syncd.clock import make_clock
from syncd.config.values import toml_text
from syncd.sandbox.kit import Chaos, Double, Running, serve
from syncd.sandbox.world import Company, Sku, World, small_msp


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


def connection_toml(kind: str, url: str, settings: Mapping[str, Any], name: str = "") -> str:
    """The `[connections.…]` table that points at a double."""
    keys = {"kind": kind, **settings, "base_url": url, "token_url": url}
    width = max(map(len, keys))
    lines = [f"{key:<{width}} = {toml_text(value)}" for key, value in keys.items()]
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

    def discounts(self, name: str, off: str) -> None:
        """The bookkeeper takes something off the estimates of a customer in QuickBooks."""
        books: Any = self.running["quickbooks"].double
        number = next(row["Id"] for row in books.tables["Customer"].values() if row["DisplayName"] == name)
        with books.lock:
            for row in [one for one in books.tables["Estimate"].values() if one["CustomerRef"]["value"] == number]:
                [line] = [one for one in row["Line"] if "SalesItemLineDetail" in one]
                detail = line["SalesItemLineDetail"]
                amount = line["Amount"] - Decimal(off)
                changed = {
                    **line,
                    "Amount": amount,
                    "SalesItemLineDetail": {**detail, "UnitPrice": amount / detail["Qty"]},
                }
                kept = {"Id": row["Id"], "SyncToken": row["SyncToken"], "sparse": True}
                books.update("Estimate", {**kept, "Line": [changed]})


KOA = "Koa Property Management"
STORY = (
    Scene(
        "Acme MSP has 12 customers. syncd reads their seats in Microsoft 365 and what bills them in ConnectWise PSA, "
        "HaloPSA and Stripe, customer by customer, and compares, also with what Pax8 sold and what QuickBooks, Xero, "
        "NetSuite and Alternative Payments invoiced. Nothing is posted at first sight: a difference must be seen twice."
    ),
    Scene(
        "The same differences again: now they count. What the rules allow is written down, posted and read back; "
        "backups go to QuickBooks as estimates, or to NetSuite as a charge on hold, at the rule's own tiers. Dogwood's "
        "fall waits for a person, and Elm Street's Visio seats are billed by no rule."
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
        "The bookkeeper takes 9.50 off Elm Street's estimate in QuickBooks: a changed amount, told with both numbers. "
        "syncd neither puts it back nor posts anything for it.",
        (lambda stage: stage.discounts("Elm Street Accounting", "9.50"),),
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


# Names of the demo's connections, as an admin would give them.
NAMES = {
    "connectwise": "cw", "halopsa": "halo", "microsoft365": "m365", "partnercenter": "pc", "pax8": "pax8",
    "http_json": "backup", "quickbooks": "qbo", "xero": "xero", "stripe": "stripe", "netsuite": "netsuite",
    "alternative_payments": "altpay",
}  # fmt: skip
# Two customers came with an MSP that was bought, and are still billed in its PSA and recorded in its books; one pays by
# card. All others are billed by the PSA; one of them stands in a partner's books in NetSuite, another is invoiced and
# pays through Alternative Payments. One product is bought from Microsoft directly.
ELSEWHERE = {
    "halopsa": ("Juniper Hospitality", "L\u00e4rche Optik"),
    "stripe": ("Cedar & Sons Joinery",),
    "netsuite": ("Gingko Architects",),
    "alternative_payments": ("Koa Property Management",),
}
BILLS = {"halopsa": "halopsa", "stripe": "stripe"}
BOOKS = {
    "connectwise": "quickbooks", "halopsa": "xero", "stripe": "stripe", "netsuite": "netsuite",
    "alternative_payments": "alternative_payments",
}  # fmt: skip
TITLES = {"halopsa": "Halo", "stripe": "Stripe", "netsuite": "NetSuite", "alternative_payments": "Alternative"}
DIRECT, DIRECT_SKU = "Ironwood Manufacturing", "ENTERPRISEPACK"
UNSOLD = "VISIOCLIENT"
TIERS = 'price = { model = "graduated", tiers = [ { up_to = 10, unit = 6.00 }, { unit = 4.50 } ] }\n'
EXPORTS = """[connections.exports]
kind     = "csv"
path     = "exports/*.csv"
customer = "Account"
sku      = "Plan"
quantity = "Seats"
"""


def write_files(folder: Path, stage: Stage, *, every: int, port: int) -> Path:
    """config.toml and mappings of the demo's MSP; returns the config's path."""
    tables = [
        connection_toml(kind, one.url, _settings(kind, one.double.settings), NAMES.get(kind, kind))
        for kind, one in stage.running.items()
    ]
    head = (
        f'[syncd]\nevery = "{every}s"\ntimezone = "America/Chicago"\nmode = "post"\n\n'
        f'[web]\nlisten = "127.0.0.1:{port}"\n'
    )
    config = folder / "config.toml"
    if "http_json" in stage.running:
        tables.append(EXPORTS)
        (folder / "exports").mkdir()
        (folder / "exports" / "antivirus.csv").write_text("\n".join(_antivirus(stage)) + "\n", encoding="utf-8")
    config.write_text("\n\n".join([head, *tables]) + "\n", encoding="utf-8")
    (folder / "mappings").mkdir()
    (folder / "mappings" / "customers.toml").write_text("\n".join(_customers(stage)), encoding="utf-8")
    (folder / "mappings" / "rules.toml").write_text("\n".join(_rules(stage)), encoding="utf-8")
    return config


def _antivirus(stage: Stage) -> Iterator[str]:
    """What a portal without an API exports: a row for each customer."""
    yield "Account;Plan;Seats"
    for company in stage.world.companies:
        yield f"{company.name};AV;{company.devices}"


def _settings(kind: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """How the demo uses a double: Alternative Payments is only read, as it comes."""
    return {**settings, "posting": False} if kind == "alternative_payments" else settings


def _group(stage: Stage, company: Company) -> str:
    """What sets a customer apart: the kind of system that bills it or keeps its books; else the PSA."""
    for kind, names in ELSEWHERE.items():
        if company.name in names and kind in stage.running:
            return kind
    return "connectwise"


def _customers(stage: Stage) -> Iterator[str]:
    """Each company under the key by which each system knows it."""
    for company in stage.world.companies:
        group = _group(stage, company)
        home, books = BILLS.get(group, "connectwise"), BOOKS[group]
        keys = {
            "microsoft365": company.domain,
            home: company.identifier if home == "connectwise" else company.name,
            books: company.identifier if books in ("netsuite", "alternative_payments") else company.name,
            "pax8": company.name,
            "partnercenter": company.domain if company.name == DIRECT else "",
            "http_json": company.identifier,
        }
        lines = [f'{NAMES[kind]} = "{key}"' for kind, key in keys.items() if key and kind in stage.running]
        lines += [f'exports = "{company.name}"'] if "http_json" in stage.running else []
        tags = [f'tags = ["{NAMES[group]}"]'] if group != "connectwise" else []
        yield "\n".join(["[[customer]]", f'name = "{company.name}"', *lines, *tags, ""])


def _rules(stage: Stage) -> Iterator[str]:
    """A rule for each product and the system that bills it, with what was bought and what the books say beside it; what
    the demo leaves unsold is billed by none."""
    running = stage.running
    for sku in stage.world.skus:
        if not sku.product or sku.part == UNSOLD:
            continue
        yield _rule(stage, sku, "connectwise", ["*", *(f"!tag:{NAMES[kind]}" for kind in ELSEWHERE if kind in running)])
        for kind in ELSEWHERE:
            customers = [one for one in stage.world.companies if _group(stage, one) == kind]
            if any(sku in [licence.sku for licence in one.licences] for one in customers):
                yield _rule(stage, sku, kind, [f"tag:{NAMES[kind]}"])
    if "http_json" in running:
        yield from _devices(running)
    if "partnercenter" in running:
        yield '[[ignore]]\nfrom = "pc"\ncustomer = ["*"]\nwhy = "bought through Pax8"\n'
    if "pax8" in running:
        direct = next(sku.name for sku in stage.world.skus if sku.part == DIRECT_SKU)
        yield f'[[ignore]]\nfrom = "pax8"\nsku = ["{direct}"]\nwhy = "bought from Microsoft directly"\n'


def _rule(stage: Stage, sku: Sku, group: str, customers: Iterable[str]) -> str:
    home, books = BILLS.get(group, "connectwise"), BOOKS[group]
    source = "partnercenter" if sku.part == DIRECT_SKU else "pax8"
    # The double's prices are named after its products, as an admin would see them in Stripe.
    price = f"price_1Syncd{sku.product.replace('-', '')}"
    line = f'price = "{price}"' if home == "stripe" else f'agreement = "Managed Services*", product = "{sku.product}"'
    # Alternative Payments has no catalogue: what stands on the line is all that names it.
    item = price if home == "stripe" else sku.name if books == "alternative_payments" else sku.product
    name = sku.name if group == "connectwise" else f"{sku.name} ({TITLES[group]})"
    words = [
        "[[rule]]",
        f'name = "{name}"',
        f"customers = {json.dumps(list(customers))}",
        f'count = {{ from = "m365", sku = "{sku.part}", measure = "assigned" }}',
        f'bill = {{ to = "{NAMES[home]}", {line} }}',
        'true_up = "quantity"',
    ]
    if source in stage.running:
        words.append(f'bought = {{ from = "{NAMES[source]}", sku = "{sku.name}" }}')
    if books in stage.running:
        words.append(f'invoiced = {{ from = "{NAMES[books]}", item = "{item}" }}')
    return "\n".join(words) + "\n"


def _devices(running: Collection[str]) -> Iterator[str]:
    """What is counted by device: backups are charged in the books, by the month, the antivirus is in the flat fee."""
    backups = '[[rule]]\nname = "Backed-up devices"\ncount = { from = "backup", sku = "*" }\n'
    if "quickbooks" not in running:
        yield f'{backups}true_up = "alert"\n'
    else:
        others = "".join(f', "!tag:{NAMES[kind]}"' for kind in ELSEWHERE if kind in running)
        yield (
            f'{backups}customers = ["*"{others}]\n'
            'bill = { to = "qbo", item = "BACKUP", not_invoiced_by = "cw" }\ntrue_up = "line"\n'
            f"{TIERS}"
        )
        if "netsuite" in running:
            charged = backups.replace("Backed-up devices", "Backed-up devices (NetSuite)")
            yield (
                f'{charged}customers = ["tag:netsuite"]\n'
                'bill = { to = "netsuite", item = "BACKUP", not_invoiced_by = "cw" }\ntrue_up = "line"\n'
                f"{TIERS}"
            )
        flat_rate = [kind for kind in ELSEWHERE if kind in running and kind != "netsuite"]
        elsewhere = ", ".join(f'"tag:{NAMES[kind]}"' for kind in flat_rate)
        if elsewhere:
            flat = backups.replace("Backed-up devices", "Backed-up devices (flat)")
            yield f'{flat}customers = [{elsewhere}]\ntrue_up = "alert"\n'
    yield '[[rule]]\nname = "Antivirus seats"\ncount = { from = "exports", sku = "AV" }\ntrue_up = "alert"\n'
