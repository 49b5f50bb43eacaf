"""The demo and the sandboxes: a small MSP on loopback, its doubles, a scratch folder with config and mappings."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from syncd.sandbox.kit import Chaos, Double, Running, serve
from syncd.sandbox.world import World, small_msp

if TYPE_CHECKING:
    from collections.abc import Callable


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
    world = world or small_msp(seed, customers)
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


def connection_toml(kind: str, url: str, settings: dict[str, str], name: str = "") -> str:
    """The `[connections.…]` table that points at a double."""
    keys = {"kind": kind, **settings, "base_url": url, "token_url": url}
    width = max(map(len, keys))
    lines = [f'{key:<{width}} = "{value}"' for key, value in keys.items()]
    return "\n".join([f"[connections.{name or kind}]", *lines])
