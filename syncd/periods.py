"""Billing periods: spans of whole days in the MSP's zone, both ends inclusive."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """First and last day, both inclusive, local to the MSP."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a period cannot end ({self.last}) before it begins ({self.first})")

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    @property
    def days(self) -> int:
        """Number of days, at least 1."""
        return (self.last - self.first).days + 1

    def __str__(self) -> str:
        """`2026-11` for a calendar month, else `2026-11-15/2026-12-14`."""
        whole_month = self.first.day == 1 and self.last == add_months(self.first, 1) - DAY
        return f"{self.first:%Y-%m}" if whole_month else f"{self.first}/{self.last}"


def parse_period(text: str) -> Period:
    """The inverse of `str(period)`. Raises ValueError."""
    first, _, last = text.partition("/")
    if last:
        return Period(date.fromisoformat(first), date.fromisoformat(last))
    start = date.fromisoformat(f"{first}-01")
    return Period(start, add_months(start, 1) - DAY)


def add_months(day: date, months: int, anchor: int | None = None) -> date:
    """The same day of the month, `months` later; clamped to the month's length.

    `anchor` is the day wanted where `day` itself was clamped before: an agreement of the 31st that passed through
    February comes back to the 31st.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(anchor or day.day, calendar.monthrange(year, month + 1)[1]))


def period_on(day: date, anchor: date, months: int = 1, anchor_day: int | None = None) -> Period:
    """The period of `months` months that holds `day`, counted from `anchor`, a first day of any period. `anchor_day`:
    the day on which its kind begins, where `anchor` may be clamped."""
    steps = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    while (first := add_months(anchor, steps * months, anchor_day)) > day:
        steps -= 1
    while (following := add_months(anchor, (steps + 1) * months, anchor_day)) <= day:
        first, steps = following, steps + 1
    return Period(first, following - DAY)


def month_of(day: date, anchor_day: int = 1) -> Period:
    """The monthly period that holds `day` and begins on `anchor_day` (1-31, clamped to short months)."""
    first = add_months(day.replace(day=1), 0, anchor_day)
    if first > day:
        first = add_months(day.replace(day=1), -1, anchor_day)
    return Period(first, add_months(first.replace(day=1), 1, anchor_day) - DAY)


def following(period: Period) -> Period:
    """The period of the same length just after, in months. One that began or ends clamped keeps its day (Jan 31 -
    Feb 27 is followed by Feb 28 - Mar 30); a first one of odd length is followed by those that begin as the next day
    does (Nov 20 - Nov 30 by Dec 1 - Dec 31)."""
    first = period.last + DAY
    months, anchor = _shape(period, first)
    return Period(first, add_months(first, months, anchor) - DAY)


def preceding(period: Period) -> Period:
    """The period of the same length just before, in months; the inverse of `following`, except for odd lengths."""
    months, anchor = _shape(period, period.first)
    return Period(add_months(period.first, -months, anchor), period.first - DAY)


def _shape(period: Period, edge: date) -> tuple[int, int]:
    """(months, the day on which its kind begins). Days that make up no number of months tell no such day: their
    neighbour at `edge` begins, or ended, there."""
    after = period.last + DAY
    months, anchor = max(round(Fraction(period.days * 12 * 4, 1461)), 1), max(period.first.day, after.day)
    whole = add_months(period.first, 0, anchor) == period.first and add_months(period.first, months, anchor) == after
    return months, anchor if whole else edge.day


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """The calendar day of an aware instant in the MSP's zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant.astimezone(zone).date()
