"""Which sources are not believed in this cycle: one whose total fell too far, one that no longer shows what a rule
counts, one that never showed it. Pure; what was believed before is in the ledger's customers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

from syncd.core.counting import named_by
from syncd.core.entries import KnownCustomer, Past
from syncd.core.resolve import Resolution, View
from syncd.core.rules import CountRef, Direction, Rule
from syncd.model import Count, State
from syncd.money import ZERO, plain

# Totals of a customer whose name begins so say that it had what a rule counts (1), or had it once (0).
TRACE = "sku:"
# From so many customers on, what all of them lose at once is not believed.
SEVERAL = 2
_SHOWN = 5


def suspect_sources(
    views: Mapping[str, View], resolution: Resolution, past: Past, source_drop: Decimal
) -> dict[str, str]:
    """connection -> sentence, for sources whose total fell further than `source_drop` percent since it was believed.

    Only customers that are mapped count, and of them only those read whole now and then: a tenant that could not be
    read is told elsewhere, one that is gone counts as zero for as long as it is mapped. What counts a period begins
    each one at nothing (hours, tickets, metered usage): its fall says nothing of the source.
    """
    result = {}
    mapped: dict[str, set[str]] = defaultdict(set)
    gone: dict[str, dict[str, str]] = defaultdict(dict)
    for (customer, connection), found in resolution.items():
        for resolved in found:
            if resolved.state is State.GONE:
                gone[connection][resolved.id] = customer
            else:
                mapped[connection].add(resolved.id)
    for connection, view in views.items():
        believed = past.customers.get(connection, {})
        before, now = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
        for (customer_id, query), reading in view.readings.items():
            if query.measure in view.of_period:
                continue
            was = believed[customer_id].totals.get(str(query)) if customer_id in believed else None
            if was is not None and reading.state is State.KNOWN and customer_id in mapped[connection]:
                before[str(query)] += was
                now[str(query)] += paid_total(reading.counts)
        lost: dict[str, dict[str, None]] = defaultdict(dict)
        for customer_id, customer in gone[connection].items():
            for text, was in believed[customer_id].totals.items() if customer_id in believed else ():
                if not text.startswith(TRACE) and was > 0 and measure_of(text) not in view.of_period:
                    before[text] += was
                    lost[text][customer] = None
        for text, was in sorted(before.items()):
            fall = was - now[text]
            if fall > 0 and fall * 100 > source_drop * was:
                share = plain((fall * 100 / was).quantize(Decimal("0.1")))
                result[connection] = (
                    f"{connection} fell by {share}% ({text}: {plain(was)} to {plain(now[text])}), "
                    f"more than source_drop {plain(source_drop)}%{_until_mended(connection, sorted(lost[text]))}"
                )
    return result


def measure_of(text: str) -> str:
    """The measure of a query's text."""
    return text.partition(" where ")[0]


def _until_mended(connection: str, customers: Sequence[str]) -> str:
    """What to do where mapped customers are gone: their part of the fall does not pass by itself."""
    if not customers:
        return ""
    names = ", ".join(repr(one) for one in customers[:_SHOWN]) + (" and others" if len(customers) > _SHOWN else "")
    verb = "is" if len(customers) == 1 else "are"
    return (
        f"; {names} {verb} gone from {connection} and counted as zero for as long as the mapping stands: "
        f"correct `{connection}` there, or take the customer out of the mappings"
    )


def paid_total(counts: Iterable[Count]) -> Decimal:
    """The sum of all counts but free and trial products."""
    return sum((count.quantity for count in counts if not count.free), ZERO)


@dataclass(frozen=True, slots=True)
class Blind:
    """A rule that counts what no customer of a source shows. `never`: it never did, as far as syncd remembers; else
    several customers had it. `falls`: a fall of the rule's lines would rest on it."""

    connection: str
    sentence: str
    never: bool
    falls: bool


def blind_rules(rules: Iterable[Rule], views: Mapping[str, View], past: Past) -> dict[str, tuple[Blind, ...]]:
    """Rule name -> what it counts in vain. A SKU that a customer simply no longer has is none of these: it was seen, or
    other customers have it."""
    result: dict[str, tuple[Blind, ...]] = {}
    shown: dict[tuple[str, str], list[Count] | None] = {}
    for rule in rules:
        found = []
        for ref in (*rule.count, *((rule.bought,) if rule.bought else ())):
            of = ref.connection, ref.measure
            if of not in shown:
                shown[of] = _shown(views[ref.connection], ref.measure)
            counts = shown[of]
            if counts is None or any(map(named_by(ref.skus), counts)):
                continue
            traces = [
                trace
                for known in past.customers.get(ref.connection, {}).values()
                if (trace := known.totals.get(trace_of(ref))) is not None
            ]
            if traces and sum(trace > 0 for trace in traces) < SEVERAL:
                continue
            falls = ref is not rule.bought or rule.decrease is Direction.TERM
            had = sum(trace > 0 for trace in traces)
            found.append(Blind(ref.connection, _sentence(ref, counts, had), not traces, falls))
        if found:
            result[rule.name] = tuple(found)
    return result


def unseen(rules: Iterable[Rule], views: Mapping[str, View]) -> tuple[tuple[str, str], ...]:
    """(place of the rule, sentence) for every SKU that no customer of its source shows today, with the nearest that
    one does: for `check`, where somebody has just written it."""
    shown: dict[tuple[str, str], list[Count] | None] = {}
    found = []
    for rule in rules:
        for ref in (*rule.count, *((rule.bought,) if rule.bought else ())):
            of = ref.connection, ref.measure
            if of not in shown:
                shown[of] = _shown(views[ref.connection], ref.measure)
            if (counts := shown[of]) is None:
                continue
            for sku in ref.skus:
                if not any(map(named_by((sku,)), counts)):
                    alone = CountRef(ref.connection, (sku,), ref.measure)
                    found.append((rule.place or f"rule {rule.name!r}", _sentence(alone, counts, 0)))
    return tuple(found)


def _shown(view: View, measure: str) -> list[Count] | None:
    """Everything that a source shows of any customer under a measure, each SKU once; None where nothing was read. What
    another measure shows says nothing: `users` has one SKU of its own."""
    readings = [
        reading
        for (_, query), reading in view.readings.items()
        if query.measure == measure and reading.state is State.KNOWN
    ]
    found: dict[tuple[str, tuple[str, ...]], Count] = {}
    for reading in readings:
        for count in reading.counts:
            found.setdefault((count.sku, count.aliases), count)
    return [found[key] for key in sorted(found)] if readings else None


def _sentence(ref: CountRef, shown: Sequence[Count], had: int) -> str:
    skus = " or ".join(repr(sku) for sku in ref.skus)
    what = f"no customer of {ref.connection} has {skus}"
    if had:
        return f"{what} any more, and {had} had it"
    names = list(dict.fromkeys(count.sku for count in shown))
    near = get_close_matches(ref.skus[0], names, 1, 0.5)
    if near:
        return f"{what}; the nearest that one has is {near[0]!r}"
    some = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{what}; it shows {some or 'nothing at all'}"


def trace_of(ref: CountRef) -> str:
    """Under which name a customer's totals remember that it had what a rule counts."""
    return f"{TRACE}{ref.measure}:{'/'.join(ref.skus)}"


def tracer(rules: Iterable[Rule], connection: str) -> Callable[[str, Count], tuple[str, ...]]:
    """(measure, count) -> the traces that a count leaves in a connection. Remembers its answers: customers have the
    same few SKUs."""
    refs = {
        trace_of(ref): ref
        for rule in rules
        for ref in (*rule.count, *((rule.bought,) if rule.bought else ()))
        if ref.connection == connection
    }
    known: dict[tuple[str, str, tuple[str, ...]], tuple[str, ...]] = {}

    def traces(measure: str, count: Count) -> tuple[str, ...]:
        key = (measure, count.sku, count.aliases)
        if key not in known:
            known[key] = tuple(
                name for name, ref in refs.items() if ref.measure == measure and named_by(ref.skus)(count)
            )
        return known[key]

    return traces


def renewed_traces(
    before: KnownCustomer | None, now: Iterable[str], measures: Collection[str], *, open_question: bool
) -> dict[str, Decimal]:
    """What a customer's totals remember after these measures were read whole: what it has now, what it had once; what
    it lost, too, for as long as a question about that is open."""
    kept = {name: was for name, was in before.totals.items() if name.startswith(TRACE)} if before else {}
    if not open_question:
        read = tuple(f"{TRACE}{measure}:" for measure in measures)
        kept = {name: ZERO if name.startswith(read) else was for name, was in kept.items()}
    return {**kept, **dict.fromkeys(now, Decimal(1))}
