"""From what the ledger saw of a period, day by day, to the one number that is billed in arrears. Pure.

The unit is the MSP's local day. Each day has its highest and its closing whole reading:

| aggregate | is |
| --- | --- |
| peak | the highest of all days |
| last | the closing reading of the last day read |
| average | the sum of the closing readings over the number of days read, to six decimals, half-even |
| sum | the sum of the closing readings (unit-days) |
| p95 | the 95th percentile of the daily highs by nearest rank: the smallest that at least 95% do not exceed |

A day without a whole reading is a gap: it enters no aggregate, is named, and too many of them hold the line. A reading
is whole when every part of it (each count, each tenant) had been read on that day by then. The ledger keeps a reading
when it changes and one mark for each source and day; what was read unchanged stands again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from syncd.core.counting import matching, total
from syncd.core.rules import Aggregate, CountRef
from syncd.model import Count
from syncd.money import ZERO, plain
from syncd.periods import DAY, Period

# An average has no end of digits; vendors keep seven at most.
_FINEST = Decimal("0.000001")
# More than this part of a period unread: a person looks.
TOLERABLE = 10
_NAMED = 6


@dataclass(frozen=True, slots=True)
class Seen:
    """A reading as the ledger kept it when it changed: in which cycle, on which of the MSP's days. `counts` is None
    where it was not whole."""

    cycle: int
    day: date
    counts: tuple[Count, ...] | None


@dataclass(frozen=True, slots=True)
class Track:
    """One query of one customer over a time: what changed, oldest first, with the last reading before that time; and
    for each day the first cycle that read the source well."""

    seen: tuple[Seen, ...] = ()
    fresh: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Day:
    """The highest and the closing whole reading of one day."""

    day: date
    high: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """A period's aggregate, the days it rests on, and those that nobody read."""

    period: Period
    how: Aggregate
    quantity: Decimal
    days: tuple[Day, ...]
    gaps: tuple[date, ...] = ()

    @property
    def thin(self) -> bool:
        """Whether more of the period is unread than may go by itself."""
        return len(self.gaps) * TOLERABLE > self.period.days

    @property
    def unread(self) -> str:
        """`3 of 30 days unread: 4, 5, 9 Nov`; "" where all were read."""
        if not self.gaps:
            return ""
        return f"{len(self.gaps)} of {self.period.days} days unread: {_days_text(self.gaps)}"

    def __str__(self) -> str:
        days = f"{len(self.days)} day{'' if len(self.days) == 1 else 's'}"
        return {
            Aggregate.PEAK: f"peak of {days}",
            Aggregate.AVERAGE: f"average of {days}",
            Aggregate.LAST: f"as of {self.days[-1].day}" if self.days else "last",
            Aggregate.SUM: f"sum of {days}",
            Aggregate.P95: f"95th percentile of {days}",
        }[self.how]


def aggregate(how: Aggregate, days: Sequence[Day]) -> Decimal:
    """The number of at least one day; their order makes no difference. Raises ValueError where there is none."""
    if not days:
        raise ValueError("nothing was read, so there is no aggregate")
    closes = [day.close for day in days]
    highs = sorted(day.high for day in days)
    with localcontext(prec=60):
        match how:
            case Aggregate.PEAK:
                return highs[-1]
            case Aggregate.LAST:
                return max(days, key=lambda one: one.day).close
            case Aggregate.SUM:
                return sum(closes, ZERO)
            case Aggregate.AVERAGE:
                return (sum(closes, ZERO) / len(closes)).quantize(_FINEST, rounding=ROUND_HALF_EVEN).normalize()
            case Aggregate.P95:
                rank = -(-95 * len(highs) // 100)  # rounded up, counted from 1
                return highs[rank - 1]


def usage(how: Aggregate, days: Sequence[Day], period: Period, through: date | None = None) -> Usage | None:
    """The aggregate of a period, or of its part up to and including `through`; None where no day of it was read."""
    inside = tuple(sorted((day for day in days if day.day in period), key=lambda one: one.day))
    if not inside:
        return None
    last = min(period.last, through) if through else period.last
    read = {day.day for day in inside}
    wanted = (period.first + DAY * number for number in range((last - period.first).days + 1))
    return Usage(period, how, aggregate(how, inside), inside, tuple(day for day in wanted if day not in read))


def days_of(parts: Sequence[tuple[CountRef, Track]], first: date, last: date) -> tuple[Day, ...]:
    """Each day from `first` to `last` on which every part was read whole at least once, at the same time.

    `parts`: what is counted, with the track of its customer there; their sum is the reading. No part is no reading.
    """
    if not parts:
        return ()
    values = [_Values(ref, track) for ref, track in parts]
    days = []
    day = first
    while day <= last:
        changed = {at for one in values for at in one.changed.get(day, ())}
        marks = [one.fresh[day] for one in values if day in one.fresh]
        # Where nothing changed, every part stands as it was once the last of them was read.
        moments = sorted(changed.union(marks)) if changed else [max(marks)] if marks else []
        sums = [_sum(values, day, at) for at in moments]
        whole = [one for one in sums if one is not None]
        if whole:
            days.append(Day(day, max(whole), whole[-1]))
        day += DAY
    return tuple(days)


class _Values:
    """What one part came to, cycle by cycle. `changed`: the cycles of each day in which it was written down anew."""

    def __init__(self, ref: CountRef, track: Track) -> None:
        self.fresh = track.fresh
        self._cycles = [one.cycle for one in track.seen]
        self._days = [one.day for one in track.seen]
        self._totals = [
            None if one.counts is None else total(matching(ref, one.counts)) * ref.factor for one in track.seen
        ]
        self.changed: dict[date, list[int]] = {}
        for one in track.seen:
            self.changed.setdefault(one.day, []).append(one.cycle)

    def at(self, day: date, cycle: int) -> Decimal | None:
        """The value as it was read on that day up to a cycle; None where it was not, or not whole."""
        newest = bisect_right(self._cycles, cycle) - 1
        if newest < 0:
            return None
        # Read well on that day and nothing was written down: it was as before.
        read = self._days[newest] == day or (day in self.fresh and self.fresh[day] <= cycle)
        return self._totals[newest] if read else None


def _sum(values: Sequence[_Values], day: date, cycle: int) -> Decimal | None:
    parts = [one.at(day, cycle) for one in values]
    return None if any(part is None for part in parts) else sum((part for part in parts if part is not None), ZERO)


def _days_text(days: Sequence[date]) -> str:
    """`4, 5, 9 Nov`; months are named where they change; more than a few end in `and 12 more`."""
    named, rest = days[:_NAMED], len(days) - _NAMED
    texts = []
    for number, day in enumerate(named):
        closes = number == len(named) - 1 or named[number + 1].month != day.month
        texts.append(f"{day.day} {day:%b}" if closes else str(day.day))
    return ", ".join(texts) + (f" and {rest} more" if rest > 0 else "")


def days_json(found: Usage) -> dict[str, object]:
    """For a derivation: what was aggregated, without any time of day."""
    return {
        "period": str(found.period),
        "aggregate": str(found.how),
        "quantity": plain(found.quantity),
        "days": [[day.day.isoformat(), plain(day.high), plain(day.close)] for day in found.days],
        "gaps": [day.isoformat() for day in found.gaps],
    }
