"""Whatever the zone's rules do, a day is a day and a month closes once (RELIABILITY, T10).

Six zones with all that zones do: an hour, half an hour, two changes a year around a fasting month, changes at midnight
so that a day begins at one o'clock, south of the equator. Every change of their clocks from 2021 on, and every month's
end, the leap day among them. What a clock that jumps does to a cycle is `test_daemon_clock` and `tests/simulation`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
from core_kit import rule

from syncd.core.rules import House, Mode
from syncd.core.trails import due, ends
from syncd.model import Moment
from syncd.periods import DAY, Period, following, local_date, month_of, preceding

ZONES = (
    *("America/Chicago", "Europe/London", "Australia/Lord_Howe", "Africa/Casablanca"),
    *("Asia/Beirut", "America/Santiago"),
)
FIRST, LAST = datetime(2021, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
HOUR, STEP = timedelta(hours=1), timedelta(minutes=15)


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """Every instant at which the zone's clocks change."""
    at = FIRST
    while at < LAST:
        before, after = at, at + DAY
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            while after - before > timedelta(minutes=1):
                middle = before + (after - before) / 2
                same = middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset()
                before, after = (middle, after) if same else (before, middle)
            yield after.replace(second=0, microsecond=0)
        at += DAY


def around(instant: datetime, span: timedelta) -> Iterator[datetime]:
    at = instant - span
    while at <= instant + span:
        yield at
        at += STEP


@pytest.mark.parametrize("name", ZONES)
def test_each_day_is_one_stretch_that_ends_where_the_next_begins(name: str) -> None:
    zone = ZoneInfo(name)
    house = House(Mode.POST, zone)
    found = list(changes(zone))
    assert len(found) >= 4  # Beirut and Santiago have two a year, too
    for change in found:
        before = None
        for at in around(change, timedelta(hours=26)):
            today = local_date(at, zone)
            begins, over = (ends(house, Period(day, day)) for day in (today - DAY, today))
            assert begins <= at < over, f"{at} is {today} in {name}"
            assert before in (None, today, today - DAY), f"{at}: {before}, then {today}"
            before = today


@pytest.mark.parametrize("name", ZONES)
def test_each_month_closes_once_and_none_is_left_out(name: str) -> None:
    zone = ZoneInfo(name)
    house, billed = House(Mode.POST, zone), rule(grace=timedelta(days=2))
    now = partial(_newest, house, billed)
    month = month_of(FIRST.date())
    while month.first < LAST.date():
        closes = ends(house, month).astimezone(UTC) + billed.grace
        for at in around(closes, 3 * HOUR):
            # Two days by the clock on the wall: an hour more or less where it changes meanwhile.
            if abs(at - closes) > HOUR:
                assert now(at) == (month if at > closes else preceding(month)), f"{at} in {name}"
        assert now(closes - DAY) == preceding(month)
        assert now(closes + 20 * DAY) == month
        month = following(month)


def _newest(house: House, billed: object, at: datetime) -> Period:
    today = local_date(at, house.zone)
    current = month_of(today)
    return due(house, Moment(at, today, current), billed, current)  # type: ignore[arg-type]


def test_the_leap_day_belongs_to_its_month() -> None:
    zone = ZoneInfo("America/Chicago")
    noon = datetime(2024, 2, 29, 18, tzinfo=UTC)
    assert str(month_of(local_date(noon, zone))) == "2024-02"
    assert month_of(local_date(noon, zone)).days == 29
    assert ends(House(Mode.POST, zone), month_of(noon.date())) == datetime(2024, 3, 1, 6, tzinfo=UTC)
