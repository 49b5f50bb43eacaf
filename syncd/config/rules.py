"""`[[rule]]`: from its table to the core's `Rule`, held against connections, populations, customers, its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from syncd.config.billing import bill_ref
from syncd.config.digest import canonical, digest
from syncd.config.faults import did_you_mean, nearest, salvage, shape
from syncd.config.mapping_schema import RuleTable
from syncd.config.price_schema import LATER_MODELS, PRICE_MODELS
from syncd.config.references import Layer, count_ref, find_link, invoiced_ref, population_layer
from syncd.config.types import Links
from syncd.config.values import NOT_AVAILABLE, quoted
from syncd.core.counting import target
from syncd.core.pricing import Price
from syncd.core.resolve import concerns
from syncd.core.rules import Aggregate, CountRef, Customer, Direction, Example, Rounding, Rule, TrueUp
from syncd.errors import Fault
from syncd.money import plain

# What a rule says beside its numbers: changing it leaves earlier decisions in force.
_NOT_CONTENT = frozenset({"description", "examples", "place", "content", "notify", "grace"})
_ARITHMETIC = frozenset({"included", "round", "to", "minimum", "maximum", "example"})
_ARREARS = frozenset({"true_up", "aggregate", "grace", "prorate", "price", "notify"})
_AGGREGATES = f"One of: {', '.join(Aggregate)}."
_GRACE = timedelta(days=2)
_UNKNOWN = "?"
_STAND_IN: Mapping[str, Any] = {"name": _UNKNOWN, "count": {"from": _UNKNOWN}}


def rule_of(raw: Any, place: str, links: Links, populations: Mapping[str, Layer], faults: list[Fault]) -> Rule | None:
    """The rule, with whatever is wrong with it added to the faults.

    A rule whose shape is at fault is given as far as it can be understood, so that the rest of it is judged in the
    same go; it never leaves this package. None where nothing can be understood.
    """
    table, found = shape(RuleTable, raw, place)
    faults += found
    if not isinstance(raw, dict):
        return None
    price = _price(raw, place, faults)
    lost: frozenset[str] = frozenset()
    if table is None:
        table, lost = salvage(RuleTable, raw, _STAND_IN)
        lost |= _STAND_IN.keys() - raw.keys()
    if table is None:
        return None
    layers = [Layer(f"{place} › where", table.where)]
    layers += population_layer(table.population, f"{place} › population", populations, faults)
    several = isinstance(raw.get("count"), list) and len(table.count) > 1
    count: list[CountRef] = []
    for position, one in enumerate(table.count, 1):
        key = f"count[{position}]" if several else "count"
        if "count" not in lost:
            count.append(count_ref(one, key, place, links, layers, populations, faults))
        elif one.connection != _UNKNOWN:
            find_link(one.connection, f"{place} › {key}.from", links, faults)
    bought = None
    if table.bought and "bought" not in lost:
        bought = count_ref(table.bought, "bought", place, links, (), populations, faults)
    bill = None
    if not lost & {"bill", "true_up", "create"}:
        bill = bill_ref(table, place, links, faults)
    if not lost & _ARITHMETIC:
        faults += _contradictions(table, place)
    if not lost & _ARREARS:
        faults += _idle(table, place)
        faults += _piled_up(table, count, place, links)
    rule = Rule(
        name=table.name,
        customers=table.customers,
        count=tuple(count),
        bill=bill,
        bought=bought,
        invoiced=invoiced_ref(table.invoiced, place, links, faults) if table.invoiced else None,
        true_up=TrueUp(table.true_up),
        increase=Direction(table.increase),
        decrease=Direction(table.decrease),
        tolerance=table.tolerance,
        included=table.included,
        minimum=table.minimum,
        maximum=table.maximum,
        rounding=Rounding(table.round),
        to=table.to,
        prorate=table.prorate == "daily",
        create=table.create,
        price=price,
        notify=table.notify or (),
        aggregate=Aggregate(table.aggregate or "peak"),
        grace=_GRACE if table.grace is None else table.grace,
        description=table.description,
        examples=tuple(Example(one.count, one.target) for one in table.example),
        place=place,
    )
    if not lost & _ARITHMETIC:
        faults += _examples(rule)
    return replace(rule, content=digest(canonical(rule, _NOT_CONTENT)))


def _price(raw: Mapping[str, Any], place: str, faults: list[Fault]) -> Price | None:
    """`price`, judged by its own model's keys; None where there is none, or it is at fault."""
    price = raw.get("price")
    if not isinstance(price, dict):
        return None
    model = price.get("model")
    if isinstance(model, str) and model in PRICE_MODELS:
        table, found = shape(PRICE_MODELS[model], price, f"{place} › price", ".")
        faults += found
        if model in LATER_MODELS:
            faults.append(Fault(f"{place} › price.model", f"{quoted(model)} {NOT_AVAILABLE}"))
        return table.price() if table is not None else None
    if isinstance(model, str):
        what = f"there is no price model {quoted(model)}."
        faults.append(Fault(f"{place} › price.model", what, did_you_mean(model, PRICE_MODELS)))
    else:
        faults.append(Fault(f"{place} › price.model", "is missing.", f"One of: {', '.join(PRICE_MODELS)}."))
    return None


def _idle(table: RuleTable, place: str) -> Iterator[Fault]:
    """Keys that say something of what the rule does not do; each would be believed to work."""
    if table.true_up == "usage":
        if table.aggregate is None:
            what = 'is missing: true_up = "usage" bills one number of a period.'
            yield Fault(f"{place} › aggregate", what, _AGGREGATES)
        if table.prorate != "none":
            yield Fault(f"{place} › prorate", 'does nothing with true_up = "usage", which bills whole periods.')
    else:
        for key in ("aggregate", "grace"):
            if getattr(table, key) is not None:
                yield Fault(f"{place} › {key}", 'does nothing without true_up = "usage".')
        if table.price is not None and table.prorate != "none":
            what = "does not go with a price of the rule's own: a part of a period has no tiers."
            yield Fault(f"{place} › prorate", what)
    if table.notify is not None and table.price is None:
        yield Fault(f"{place} › notify", "does nothing without a price, whose bounds it is about.")


def _piled_up(table: RuleTable, count: Sequence[CountRef], place: str, links: Links) -> Iterator[Fault]:
    """In arrears, a count of what happened in a period grows through it: adding up its days would charge it again and
    again, and it cannot be added to a count of what is there."""
    if table.true_up != "usage":
        return
    kinds = {}
    for ref in count:
        link = links.get(ref.connection)
        measure = link.abilities.measures.get(ref.measure) if link and link.abilities else None
        if measure is None:
            return
        kinds[ref.measure] = measure.of_period
    grows = sorted(name for name, of_period in kinds.items() if of_period)
    if not grows:
        return
    if len(grows) < len(kinds):
        stands = min(name for name, of_period in kinds.items() if not of_period)
        what = f"{quoted(grows[0])} counts what happened in a period, and {quoted(stands)} what is there."
        yield Fault(f"{place} › count", what, 'With true_up = "usage", make two rules of them.')
    elif table.aggregate not in (None, "last", "peak"):
        what = f"{quoted(table.aggregate)} would charge {quoted(grows[0])} many times: it grows through its period."
        yield Fault(f"{place} › aggregate", what, 'Use "last".')


def _contradictions(table: RuleTable, place: str) -> Iterator[Fault]:
    """Keys that are each right and wrong together."""
    if table.minimum is not None and table.maximum is not None and table.minimum > table.maximum:
        what = f"is {plain(table.minimum)}, above the maximum of {plain(table.maximum)}."
        yield Fault(f"{place} › minimum", what)
    if table.to != 1 and table.round == "none":
        yield Fault(f"{place} › to", "does nothing without round.", 'Add round = "up".')


def _examples(rule: Rule) -> Iterator[Fault]:
    for example in rule.examples:
        made = target(rule, example.count).target
        if made != example.target:
            what = f"count {plain(example.count)} gives target {plain(made)}, not {plain(example.target)}."
            yield Fault(f"{rule.place} › example", what)


def judge_customers(rules: Sequence[Rule], customers: Sequence[Customer], links: Links) -> Iterator[Fault]:
    """Patterns that name nobody, and customers who are only a part of what a measure can tell."""
    names = {customer.name.casefold(): customer.name for customer in customers}
    tags = sorted({tag for customer in customers for tag in customer.tags})
    parts = [customer for customer in customers if any(key.where for keys in customer.keys.values() for key in keys)]
    for rule in rules:
        for pattern in rule.customers:
            yield from _names_nobody(pattern, f"{rule.place} › customers", names, tags)
        for customer in parts:
            if concerns(rule, customer):
                for key, ref in _counted(rule):
                    yield from _not_divisible(rule, key, ref, customer, links)


def _names_nobody(pattern: str, at: str, names: Mapping[str, str], tags: Sequence[str]) -> Iterator[Fault]:
    """A glob may match nobody yet; a plain name or tag that does is misspelt."""
    wanted = pattern.removeprefix("!")
    if wanted.casefold() in names or any(sign in wanted for sign in "*?["):
        return
    if wanted.startswith("tag:"):
        tag = wanted.removeprefix("tag:")
        if tag not in tags:
            yield Fault(at, f"no customer has the tag {quoted(tag)}.", did_you_mean(tag, tags))
        return
    near = nearest(wanted, names.values())
    if pattern.startswith("!") and not near:
        return  # nobody is taken away: an exception may outlive its customer, a misspelt one has a neighbour
    yield Fault(at, f"no customer is called {quoted(wanted)}.", f"Did you mean {quoted(near)}?" if near else "")


def _counted(rule: Rule) -> Iterator[tuple[str, CountRef]]:
    for position, ref in enumerate(rule.count, 1):
        yield (f"count[{position}]" if len(rule.count) > 1 else "count"), ref
    if rule.bought is not None:
        yield "bought", rule.bought


def _not_divisible(rule: Rule, key: str, ref: CountRef, customer: Customer, links: Links) -> Iterator[Fault]:
    """A measure that cannot be split would count the whole tenant for each of its parts."""
    link = links.get(ref.connection)
    measure = link.abilities.measures.get(ref.measure) if link and link.abilities else None
    if link is None or measure is None:
        return
    for name in sorted({name for one in customer.keys.get(ref.connection, ()) for name, _ in one.where}):
        if name not in measure.filters:
            what = (
                f"measure {quoted(ref.measure)} of {link.kind} cannot tell the part of customer "
                f"{quoted(customer.name)}, which is its filter {quoted(name)}."
            )
            yield Fault(f"{rule.place} › {key}", what, "Take this customer out of the rule, or use another measure.")
