"""Looks at the world for `syncd suggest`: who and what every system shows that nobody mapped. Posts and writes nothing.

Two looks: the lists of customers first, then what the customers that could be mapped have and how they are billed, as
if the proposals were accepted. Reading goes the way of a cycle (`reading`), so that a failure spoils what it must and
nothing else.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from syncd.clock import Clock
from syncd.config import Config
from syncd.connect.contract import Connector
from syncd.core.resolve import ReadError, resolve
from syncd.core.rules import BillRef, Mappings, Rule
from syncd.core.suggest import Open, Suggestion, ranked
from syncd.core.suggest_customers import provisional, suggest_customers
from syncd.core.suggest_rules import Biller, Catalogue, suggest_rules
from syncd.core.unmapped import find_unmapped
from syncd.cycle import moment_of
from syncd.cycle.connections import open_connections
from syncd.cycle.reading import Progress, read_world
from syncd.ledger import Ledger
from syncd.model import Moment


@dataclass(frozen=True, slots=True)
class Proposals:
    """What could be mapped, what stays open, and what could not be read: that is not covered."""

    moment: Moment
    suggestions: tuple[Suggestion, ...]
    open: tuple[Open, ...]
    errors: tuple[ReadError, ...]


def propose(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    ledger: Ledger,
    clock: Clock,
    *,
    progress: Progress | None = None,
) -> Proposals:
    """Reads everything that nobody mapped and proposes where it could belong."""
    past = ledger.past()
    moment = moment_of(config, clock())
    abilities = {name: kinds[one.kind].abilities for name, one in config.connections.items()}
    billing = sorted(name for name, one in abilities.items() if "billed" in one.reads)
    with open_connections(config, kinds, clock, ledger) as opened:
        lists = read_world(opened, Mappings(), past, moment, progress=progress)
        listed = {name: view.customers for name, view in lists.views.items()}
        failed = {name: view.error for name, view in lists.views.items() if view.error is not None}
        resolution = resolve(mappings.customers, listed, past.customers, failed)
        customers, strangers = suggest_customers(mappings, listed, resolution, billing, moment)
        # Lines are read where a rule bills: they say in which agreements a product stands.
        asking = tuple(Rule(f"lines of {name}", ("*",), (), BillRef(name, {})) for name in billing)
        wider = provisional(mappings, customers)
        rules = (*(replace(one, invoiced=None) for one in mappings.rules), *asking)
        seen = read_world(opened, replace(wider, rules=rules), past, moment, progress=progress)
    products, _ = find_unmapped(wider, seen.views, seen.resolution, moment)
    numbers = {
        name: one.measures[view.default_query.measure].number
        for name, one in abilities.items()
        if (view := seen.views[name]).default_query is not None and view.default_query.measure in one.measures
    }
    billers = [Biller(name, abilities[name].bill_keys) for name in billing if abilities[name].keeps_quantity]
    found, unbilled = suggest_rules(wider, seen.views, products, billers, numbers, microsoft_names())
    errors = tuple(dict.fromkeys((*lists.errors, *seen.errors)))
    return Proposals(moment, ranked((*customers, *found)), (*strangers, *unbilled), errors)


@cache
def microsoft_names() -> Catalogue:
    """Microsoft's published product names. A part number that several products share names none of them."""
    lines = files("syncd.core").joinpath("suggest_products.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    by_part: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_part[row["SkuPartNumber"].casefold()].add(row["ProductName"])
    return Catalogue(
        {row["SkuId"]: row["ProductName"] for row in rows},
        {part: next(iter(names)) for part, names in by_part.items() if len(names) == 1},
    )
