"""Billing periods: whole days, both ends inclusive, without gap or overlap."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.periods import (
    DAY,
    Period,
    add_months,
    following,
    local_date,
    month_of,
    parse_period,
    period_on,
    preceding,
)

DAYS = st.dates(date(2019, 1, 1), date(2033, 12, 31))


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        (date(2026, 11, 1), date(2026, 11, 30), "2026-11"),
        (date(2028, 2, 1), date(2028, 2, 29), "2028-02"),
        (date(2026, 12, 1), date(2026, 12, 31), "2026-12"),
        (date(2026, 11, 15), date(2026, 12, 14), "2026-11-15/2026-12-14"),
        (date(2026, 11, 1), date(2026, 11, 29), "2026-11-01/2026-11-29"),
        (date(2026, 11, 1), date(2026, 12, 31), "2026-11-01/2026-12-31"),
        (date(2026, 11, 2), date(2026, 11, 2), "2026-11-02/2026-11-02"),
    ],
)
def test_a_label_says_the_period_and_is_read_again(first: date, last: date, text: str) -> None:
    assert str(Period(first, last)) == text
    assert parse_period(text) == Period(first, last)


@given(DAYS, st.integers(0, 400))
@settings(max_examples=80)
def test_every_label_is_read_again(first: date, length: int) -> None:
    period = Period(first, first + timedelta(days=length))

    assert parse_period(str(period)) == period
    assert period.days == length + 1


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-1", "2026-11-01", "2026-11-15/", "/2026-12-14", "x/y"])
def test_anything_else_is_no_period(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_period(text)


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="cannot end"):
        Period(date(2026, 11, 2), date(2026, 11, 1))


def test_both_ends_are_inside() -> None:
    period = Period(date(2026, 11, 15), date(2026, 12, 14))

    assert date(2026, 11, 15) in period
    assert date(2026, 12, 14) in period
    assert date(2026, 11, 14) not in period
    assert date(2026, 12, 15) not in period


@pytest.mark.parametrize(
    ("day", "anchor", "text"),
    [
        (date(2026, 11, 20), 1, "2026-11"),
        (date(2026, 11, 20), 15, "2026-11-15/2026-12-14"),
        (date(2026, 11, 14), 15, "2026-10-15/2026-11-14"),
        (date(2026, 2, 27), 31, "2026-01-31/2026-02-27"),
        (date(2026, 2, 28), 31, "2026-02-28/2026-03-30"),
        (date(2026, 3, 30), 31, "2026-02-28/2026-03-30"),
        (date(2026, 3, 31), 31, "2026-03-31/2026-04-29"),
        (date(2026, 4, 30), 31, "2026-04-30/2026-05-30"),
        (date(2028, 2, 28), 30, "2028-01-30/2028-02-28"),
        (date(2028, 2, 29), 30, "2028-02-29/2028-03-29"),
        (date(2028, 2, 29), 29, "2028-02-29/2028-03-28"),
        (date(2026, 2, 28), 29, "2026-02-28/2026-03-28"),
        (date(2026, 12, 31), 31, "2026-12-31/2027-01-30"),
        (date(2027, 1, 1), 31, "2026-12-31/2027-01-30"),
    ],
)
def test_monthly_periods_at_the_ends_of_months(day: date, anchor: int, text: str) -> None:
    assert str(month_of(day, anchor)) == text


@given(DAYS, st.integers(1, 31))
@settings(max_examples=100)
def test_monthly_periods_tile_the_calendar(day: date, anchor: int) -> None:
    period = month_of(day, anchor)

    assert day in period
    assert month_of(period.first, anchor) == month_of(period.last, anchor) == period
    assert month_of(period.last + DAY, anchor).first == period.last + DAY
    assert month_of(period.first - DAY, anchor).last == period.first - DAY
    assert period.first.day == min(anchor, calendar.monthrange(period.first.year, period.first.month)[1])


@given(DAYS, DAYS, st.sampled_from([1, 2, 3, 6, 12]))
@settings(max_examples=100)
def test_periods_from_an_anchor_tile_the_calendar(day: date, anchor: date, months: int) -> None:
    period = period_on(day, anchor, months)

    assert day in period
    assert period_on(period.first, anchor, months) == period_on(period.last, anchor, months) == period
    assert period_on(period.last + DAY, anchor, months).first == period.last + DAY
    assert period_on(anchor, anchor, months).first == anchor


@pytest.mark.parametrize(
    ("day", "anchor", "months", "text"),
    [
        (date(2026, 11, 20), date(2026, 1, 15), 1, "2026-11-15/2026-12-14"),
        (date(2026, 11, 20), date(2026, 1, 1), 3, "2026-10-01/2026-12-31"),
        (date(2026, 1, 14), date(2026, 1, 15), 12, "2025-01-15/2026-01-14"),
        (date(2027, 3, 1), date(2024, 2, 29), 12, "2027-02-28/2028-02-28"),
        (date(2028, 2, 29), date(2024, 2, 29), 12, "2028-02-29/2029-02-27"),
        (date(2020, 5, 5), date(2026, 1, 31), 1, "2020-04-30/2020-05-30"),
    ],
)
def test_periods_of_agreements(day: date, anchor: date, months: int, text: str) -> None:
    assert str(period_on(day, anchor, months)) == text


@given(DAYS, st.integers(29, 31), st.sampled_from([1, 2, 3, 6, 12]))
@settings(max_examples=100)
def test_an_anchor_that_was_clamped_tiles_as_the_day_that_is_wanted(day: date, anchor_day: int, months: int) -> None:
    """Whichever of its first days is known, also one in February."""
    anchors = [add_months(date(2026, 1, 1), months * step, anchor_day) for step in (0, 1, 13)]
    periods = {period_on(day, anchor, months, anchor_day) for anchor in anchors}

    assert len(periods) == 1
    (period,) = periods
    assert period_on(period.last + DAY, anchors[0], months, anchor_day).first == period.last + DAY


@pytest.mark.parametrize(
    ("odd", "after", "before"),
    [
        ("2026-11-20/2026-11-30", "2026-12", "2026-10-20/2026-11-19"),  # a first one, until the month ends
        ("2026-11-30/2026-11-30", "2026-12", "2026-10-30/2026-11-29"),
        ("2026-11-20/2026-12-14", "2026-12-15/2027-01-14", "2026-10-20/2026-11-19"),
        ("2026-11-20/2026-12-31", "2027-01", "2026-10-20/2026-11-19"),  # longer than a month
        ("2026-12-01/2026-12-14", "2026-12-15/2027-01-14", "2026-11"),  # the last one before the day was moved
        ("2026-02-10/2026-02-27", "2026-02-28/2026-03-27", "2026-01-10/2026-02-09"),
        ("2028-02-20/2028-02-28", "2028-02-29/2028-03-28", "2028-01-20/2028-02-19"),
        ("2026-12-01/2026-12-30", "2026-12-31/2027-01-30", "2026-11"),  # of 30 days
    ],
)
def test_a_period_of_odd_length_is_met_by_whole_months(odd: str, after: str, before: str) -> None:
    period = parse_period(odd)

    assert str(following(period)) == after
    assert str(preceding(period)) == before


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("2026-01-31/2026-02-27", "2026-02-28/2026-03-30"),
        ("2026-02-28/2026-03-30", "2026-03-31/2026-04-29"),
        ("2026-02-28/2026-03-27", "2026-03-28/2026-04-27"),
        ("2026-10-01/2026-12-31", "2027-01-01/2027-03-31"),
    ],
)
def test_whole_months_keep_their_day(text: str, after: str) -> None:
    period = parse_period(text)

    assert str(following(period)) == after
    assert preceding(following(period)) == period


def test_months_are_added_with_the_wanted_day_kept() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert add_months(date(2026, 2, 28), 1, anchor=31) == date(2026, 3, 31)
    assert add_months(date(2026, 3, 15), -4) == date(2025, 11, 15)


def test_days_are_the_msps_own() -> None:
    chicago = ZoneInfo("America/Chicago")

    assert local_date(datetime(2026, 12, 1, 5, 59, tzinfo=UTC), chicago) == date(2026, 11, 30)
    assert local_date(datetime(2026, 12, 1, 6, 0, tzinfo=UTC), chicago) == date(2026, 12, 1)
    with pytest.raises(ValueError, match="zone"):
        local_date(datetime(2026, 12, 1), chicago)  # noqa: DTZ001 - a naive instant is the point
