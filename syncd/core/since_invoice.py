"""What a recurring line showed on the day of an invoice, by what syncd wrote onto it since. Pure.

A line that syncd raised after the period's invoice was made is billed with the next one; until then the books show what
stood there before, and that is no fault. The ledger says it: each change with what was there before it. Where its
changes do not lead to what the line shows today (somebody else wrote, or more was written than is remembered), nothing
is said, and the difference stays one. A change on the day of the invoice itself explains nothing either: which of the
two was first is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from syncd.core import keys
from syncd.core.entries import LineHistory, Past, Settled
from syncd.model import Agreement, BilledLine
from syncd.money import ZERO, plain
from syncd.periods import preceding

_NOTHING = LineHistory()


@dataclass(frozen=True, slots=True)
class Late:
    """Parts of the period before that were posted when it was invoiced already: they stand on this period's invoice."""

    period: str
    units: Decimal
    amount: Decimal
    entries: tuple[str, ...]

    def __str__(self) -> str:
        return f"{plain(self.units)} more on the invoice for the rest of {self.period} ({_entries(self.entries)})"


@dataclass(frozen=True, slots=True)
class Since:
    """What was written onto the lines of one product after its invoice: `units` more or fewer, by these entries; and
    what stands on that invoice for the period before."""

    invoiced_on: date
    units: Decimal
    entries: tuple[str, ...]
    late: tuple[Late, ...] = ()

    def __str__(self) -> str:
        word = "raised" if self.units > 0 else "lowered"
        told = f"{word} by {plain(abs(self.units))} since the invoice of {self.invoiced_on} ({_entries(self.entries)})"
        return "; ".join(([told] if self.entries else []) + [str(one) for one in self.late])


def _entries(ids: tuple[str, ...]) -> str:
    return f"{'entry' if len(ids) == 1 else 'entries'} {', '.join(ids)}"


def late_parts(line: BilledLine, agreement: Agreement, families: Iterable[str], past: Past) -> list[Late] | None:
    """What `prorate = "daily"` posted for the period before, where a recurring line was raised in it; None where it is
    not known to the cent. `families`: the rules' identities of dated lines without the period."""
    if line.once or agreement.period is None or agreement.in_advance is False:
        return []
    found = []
    period = str(preceding(agreement.period))
    for family in families:
        history = past.lines.get(f"{family}{period}", _NOTHING)
        if not history.own_quantity:
            continue
        sent = [one for one in past.sent.values() if one.identity == f"{family}{period}"]
        if sum((one.units for one in sent), ZERO) != history.own_quantity:
            return None
        ids = tuple(sorted(one.entry_id for one in sent))
        found.append(Late(period, history.own_quantity, sum((one.amount for one in sent), ZERO), ids))
    return found


def stood(
    line: BilledLine, connection: str, adding: Iterable[str], past: Past, day: date, zone: ZoneInfo
) -> tuple[Decimal, tuple[str, ...]] | None:
    """(what the line showed when the day was over, the entries that changed it later); None where that is not known.

    `adding`: the identities under which a rule may have added the line.
    """
    quantity, by = line.quantity, list[str]()
    recent = past.lines.get(keys.recurring(connection, line.agreement_id, line.id), _NOTHING).recent
    for settled in _after(reversed(recent), day, zone):
        if settled.to != quantity:
            return None
        quantity, by = settled.before, [*by, settled.id]
    for identity in adding:
        history = past.lines.get(identity, _NOTHING)
        made = history.posted if history.posted is not None and history.posted.remote_id == line.id else None
        for settled in _after((made,) if made else (), day, zone):
            if settled.to != quantity:
                return None
            quantity, by = ZERO, [*by, settled.id]
    return quantity, tuple(by)


def _after(newest_first: Iterable[Settled], day: date, zone: ZoneInfo) -> Iterator[Settled]:
    """Those that were posted after the day."""
    for settled in newest_first:
        if settled.settled_at.astimezone(zone).date() <= day:
            return
        yield settled
