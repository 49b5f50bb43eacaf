"""Stripe's instants and syncd's days. Pure.

Stripe counts in seconds and its periods end where the next one begins; syncd counts whole days of the MSP's zone, both
ends inclusive. A period's first day is the one on which it begins, so that periods follow each other without a gap and
without a day in two of them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from syncd.periods import DAY, Period, add_months, local_date

_MONTHS = {"month": 1, "year": 12}
_DAYS = {"day": 1, "week": 7}
# A period that begins on a later day of the month may be one of the last day, which February cuts short.
_SHORTEST_MONTH = 27


def instant(day: date, zone: ZoneInfo) -> int:
    """The first second of a day."""
    return int(datetime.combine(day, time(0), tzinfo=zone).timestamp())


def day_of(seconds: int, zone: ZoneInfo) -> date:
    """The day that holds a second."""
    return local_date(datetime.fromtimestamp(seconds, UTC), zone)


def days(start: int, end: int, zone: ZoneInfo) -> Period:
    """The days of a period that ends before the second `end`."""
    first = day_of(start, zone)
    return Period(first, max(day_of(end, zone) - DAY, first))


def preceding(start: int, interval: str, count: int) -> tuple[int, int] | None:
    """The period before the one that begins at `start`; None where the months' unequal lengths leave it open."""
    ends = datetime.fromtimestamp(start, UTC)
    if interval in _DAYS:
        return int((ends - DAY * _DAYS[interval] * count).timestamp()), start
    if ends.day > _SHORTEST_MONTH:
        return None
    first = add_months(ends.date(), -_MONTHS[interval] * count)
    return int(datetime.combine(first, ends.timetz()).timestamp()), start


def following(end: int, interval: str, count: int, anchor: int | None = None) -> tuple[int, int]:
    """The period after the one that ends at `end`, by the calendar that Stripe counts in (UTC). `anchor`: the
    subscription's own, on whose day of the month it bills wherever the month has that day."""
    begins = datetime.fromtimestamp(end, UTC)
    if interval in _MONTHS:
        later = add_months(begins.date(), _MONTHS[interval] * count, _cut_short(begins.date(), anchor))
        return end, int(datetime.combine(later, begins.timetz()).timestamp())
    return end, int((begins + DAY * _DAYS[interval] * count).timestamp())


def _cut_short(day: date, anchor: int | None) -> int | None:
    """The day of the month that a period's end stands for, where a short month moved it forward; None where it stands
    for itself, also where the anchor is another than the periods show."""
    if anchor is None:
        return None
    meant = datetime.fromtimestamp(anchor, UTC).day
    return meant if meant > day.day and (day + DAY).day == 1 else None
