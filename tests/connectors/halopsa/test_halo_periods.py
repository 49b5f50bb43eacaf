"""Periods of recurring invoices that are made at the end of months: they follow each other, without gap or overlap."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.halopsa.agreements import Terms
from connectors.halopsa.payloads import Recurring
from syncd.periods import DAY, Period, add_months

START = date(2025, 3, 31)


def terms(next_invoice: date, last: date | None, *, months: int = 1, starts: date | None = START) -> Terms:
    return Terms(Recurring(id=-5, client_id=101, lines=[]), months, starts, None, next_invoice, last)


@pytest.mark.parametrize("months", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("anchor", [1, 15, 28, 29, 30, 31])
def test_periods_tile_the_years_from_invoice_to_invoice(anchor: int, months: int) -> None:
    """One lost day is a day that nobody bills, one that stands in two periods is billed twice. The 29th of February is
    among them."""
    starts = add_months(date(2025, 3, 1), 0, anchor)
    before: Period | None = None
    for number in range(1, 48 // months):
        last, following = (add_months(starts, months * step, anchor) for step in (number - 1, number))
        one = terms(following, last, months=months, starts=starts)
        period = one.period(following - DAY)
        assert period == Period(last, following - DAY)
        assert before is None or period.first == before.last + DAY
        assert one.invoiced_through("advance") == following - DAY
        assert one.invoiced_through("arrears") == (last - DAY if last > starts else None)
        before = period


@pytest.mark.parametrize(
    ("last", "following", "starts", "today", "period"),
    [
        # of the 31st, whichever date still says so
        (date(2026, 1, 31), date(2026, 2, 28), None, date(2026, 2, 5), "2026-01-31/2026-02-27"),
        (date(2026, 2, 28), date(2026, 4, 30), START, date(2026, 4, 5), "2026-03-31/2026-04-29"),
        (None, date(2026, 4, 30), START, date(2026, 4, 5), "2026-03-31/2026-04-29"),
        # nothing names a later day
        (None, date(2026, 2, 28), None, date(2026, 2, 5), "2026-01-28/2026-02-27"),
        (date(2026, 1, 28), date(2026, 2, 28), date(2025, 3, 28), date(2026, 2, 5), "2026-01-28/2026-02-27"),
        # a vendor that stays on the 28th, after a start on the 31st
        (date(2026, 2, 28), date(2026, 3, 28), START, date(2026, 3, 5), "2026-02-28/2026-03-27"),
        (date(2027, 1, 28), date(2027, 2, 28), START, date(2027, 2, 5), "2027-01-28/2027-02-27"),
        # a start in the midst of a month says nothing of later days
        (date(2026, 3, 30), date(2026, 4, 30), date(2025, 3, 12), date(2026, 4, 5), "2026-03-30/2026-04-29"),
    ],
)
def test_the_day_on_which_periods_begin(
    last: date | None, following: date, starts: date | None, today: date, period: str
) -> None:
    assert str(terms(following, last, starts=starts).period(today)) == period


def test_the_leap_day_keeps_the_31st() -> None:
    one = terms(date(2028, 2, 29), date(2028, 1, 31), starts=date(2026, 1, 31))

    assert str(one.period(date(2028, 2, 10))) == "2028-01-31/2028-02-28"
    assert str(one.period(date(2028, 3, 10))) == "2028-02-29/2028-03-30"
