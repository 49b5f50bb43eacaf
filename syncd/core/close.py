"""The month-end checklist: what must be so before the books of a period may be closed. Pure.

Four questions to one look at the world: was every source read, is every line settled, is nothing of weight unmapped, do
the billing system and the books agree. What could not be read is never a yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncd.core.changed_amounts import FINDING as CHANGED
from syncd.core.entries import OPEN, Entry, EntryState, LineHistory
from syncd.core.plan import Plan
from syncd.core.policy import Action
from syncd.core.tie_out import TieOut
from syncd.core.tie_out_shown import tie_out_json
from syncd.money import plain
from syncd.periods import Period, parse_period

# So many sentences stand under one question.
SHOWN = 20
_IS_SETTLED = "every line is settled"
# What a rule itself lets be: nothing is left to be done about it.
_SETTLED = frozenset({Action.NONE, Action.IGNORE})


@dataclass(frozen=True, slots=True)
class Check:
    """One question. `open`: a sentence for each thing that stands against a yes. `unread`: some of them only because
    something could not be read."""

    name: str
    open: tuple[str, ...]
    unread: bool = False

    @property
    def green(self) -> bool:
        """Whether the answer is yes."""
        return not self.open


def checklist(plan: Plan, waiting: Iterable[Entry]) -> tuple[Check, ...]:
    """All four questions. `waiting`: the ledger's open entries."""
    return (sources(plan), settled(plan, waiting), mapped(plan), agreed(plan.tie_outs))


def sources(plan: Plan) -> Check:
    """Every source was read whole and is believed."""
    told = [f"{_whom(error.connection, error.customer)}: {error.message}" for error in plan.errors]
    told += [f"{name}: {sentence}" for name, sentence in sorted(plan.suspects.items())]
    return Check("every source is fresh", tuple(told), unread=bool(plan.errors))


def settled(plan: Plan, waiting: Iterable[Entry]) -> Check:
    """No line differs, nobody changed the money of what syncd posted, and no change waits or hangs."""
    told = [
        f"{line.customer} / {line.rule}: {line.action if line.action not in _SETTLED else CHANGED}: {line.reason}"
        for line in plan.lines
        if line.action not in _SETTLED or CHANGED in line.findings
    ]
    seen = {line.id for line in plan.lines if line.action not in _SETTLED}
    told += _open(entry for entry in waiting if entry.intent.line not in seen or entry.state is EntryState.UNKNOWN)
    return Check(_IS_SETTLED, tuple(told))


def over(plan: Plan, standing: Iterable[Entry]) -> tuple[Check, ...]:
    """What can still be asked of a period that is over: lines and mappings say how it is today, so that of that period
    there are its entries in the ledger (`standing`: those that wait, hang or failed) and its invoices."""
    return (sources(plan), Check(_IS_SETTLED, _open(standing)), agreed(plan.tie_outs))


def of_period(entries: Iterable[Entry], histories: Mapping[str, LineHistory], period: Period) -> list[Entry]:
    """Those of a period that wait, hang, or failed and were not made good since. `histories`: those of their lines."""

    def stands(one: Entry) -> bool:
        history = histories[one.intent.identity]
        newest = history.open is None and history.closed is not None and history.closed.id == one.id
        return one.state in OPEN or (one.state is EntryState.FAILED and newest)

    spans = ((one, parse_period(one.intent.period)) for one in entries)
    return [one for one, of in spans if of.first <= period.last and period.first <= of.last and stands(one)]


def _open(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(
        f"{entry.intent.customer} / {entry.intent.rule}: entry {entry.id} is {entry.state}" for entry in entries
    )


def mapped(plan: Plan) -> Check:
    """Nothing with a quantity is without a rule or customer, and not ignored either."""
    told = [f"{one.connection}: customer {one.name!r} is not mapped" for one in plan.unmapped_customers]
    for one in plan.unmapped_products:
        units = f" ({plain(one.quantity)})" if one.quantity is not None else ""
        told.append(f"{one.connection}: {one.name or one.id}{units} is billed by no rule")
    return Check("nothing of weight is unmapped", tuple(told))


def agreed(found: Sequence[TieOut]) -> Check:
    """The billing system and the books agree for every customer."""
    told = [f"{one.customer} in {one.connection}: {one.reason}" for one in found if not one.agrees]
    return Check("PSA and books agree", tuple(told), unread=any(one.agrees is None for one in found))


def close_json(checks: Sequence[Check], found: Sequence[TieOut]) -> dict[str, Any]:
    """The checklist, and every customer's tie-out."""
    return {
        "green": all(one.green for one in checks),
        "checks": [{"name": one.name, "green": one.green, "open": list(one.open)} for one in checks],
        "tie_out": [tie_out_json(one) for one in found],
    }


def _whom(connection: str, customer: str) -> str:
    return f"{connection} / {customer}" if customer else connection
