"""Reads the billing systems alone: every open line of every mapped customer, and no count. Posts nothing.

For reports that compare lines with each other. Reading goes the way of a cycle (`reading`), so that a failure spoils
what it must and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from syncd.clock import Clock
from syncd.config import Config
from syncd.connect.contract import Connector
from syncd.core.rules import BillRef, Mappings, Rule
from syncd.cycle import moment_of
from syncd.cycle.connections import open_connections
from syncd.cycle.reading import Progress, Readings, read_world
from syncd.ledger import Ledger


def read_billed(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    *,
    progress: Progress | None = None,
) -> Readings:
    """Customers, products and lines of every connection that bills recurring lines, whatever the rules say of it."""
    past = ledger.past()
    billing = {
        name: one
        for name, one in config.connections.items()
        if "billed" in kinds[one.kind].abilities.reads and any(name in each.keys for each in mappings.customers)
    }
    # Lines are read where a rule bills; here all of them are wanted, and no count.
    asking = tuple(Rule(f"lines of {name}", ("*",), (), BillRef(name, {})) for name in billing)
    with open_connections(replace(config, connections=billing), kinds, clock, ledger) as opened:
        return read_world(opened, replace(mappings, rules=asking), past, moment_of(config, clock()), progress=progress)
