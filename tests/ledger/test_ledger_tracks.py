"""What the ledger tells of a reading over time: changes, what stood before, the days on which it was read unchanged."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from ledger_kit import Watch

from syncd.core.aggregate import Track, days_of
from syncd.core.entries import Observation
from syncd.core.evidence import keep_reading, keep_silence
from syncd.core.rules import CountRef
from syncd.errors import LedgerBroken
from syncd.ledger import Ledger
from syncd.model import Count, Query, Reading, State, Subject

LOCAL = timezone(timedelta(hours=-6))
ASSIGNED = Query("assigned")
KEY = ("m365", "t1", "assigned")
SEATS = CountRef("m365", ("SPB",), "assigned")
NOVEMBER = date(2026, 11, 1)


def reading(quantity: str | None, customer: str = "t1", sku: str = "SPB") -> Observation:
    counts = () if quantity is None else (Count(sku, "Premium", Decimal(quantity), ("guid",), (Subject("1", "Ada"),)),)
    state = State.KNOWN if quantity is not None else State.UNKNOWN
    read = Reading(customer, ASSIGNED, state, counts, proof="1 of 1", code="" if counts else "unavailable")
    return keep_reading("m365", read, subjects="names", salt="", names=False)[1]


def cycle(ledger: Ledger, watch: Watch, at: datetime, *seen: Observation, fresh: bool = True) -> None:
    watch.now = at.astimezone(UTC)
    begun = ledger.begin_cycle("post", at.astimezone(LOCAL))
    ledger.end_cycle(
        begun, {}, observations=seen, sightings={}, customers={}, lines={}, fresh=["m365"] if fresh else []
    )


def noon(day: int, month: int = 11, hour: int = 12) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=LOCAL)


def shown(track: Track, first: int = 1, last: int = 30) -> list[tuple[int, str, str]]:
    days = days_of(((SEATS, track),), date(2026, 11, first), date(2026, 11, last))
    return [(one.day.day, str(one.high), str(one.close)) for one in days]


def test_each_day_has_its_highest_and_its_closing_reading(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(30, 10), reading("20"))
    cycle(ledger, watch, noon(1), reading("20"))  # unchanged: only the day's mark
    cycle(ledger, watch, noon(2, hour=8), reading("27"))
    cycle(ledger, watch, noon(2, hour=20), reading("22"))
    cycle(ledger, watch, noon(3), reading("22"))
    cycle(ledger, watch, noon(5), reading("22"))  # nobody ran on the fourth
    track = ledger.tracks({KEY: NOVEMBER})[KEY]
    assert shown(track) == [(1, "20", "20"), (2, "27", "22"), (3, "22", "22"), (5, "22", "22")]
    assert track.seen[0].day == date(2026, 10, 30)  # what stood before
    assert len(track.seen) == 3


def test_a_day_begins_and_ends_where_the_msp_is(ledger: Ledger, watch: Watch) -> None:
    """23:30 in Chicago is the next day in UTC; and the cycle that began before midnight belongs to its own day."""
    cycle(ledger, watch, noon(2, hour=23) + timedelta(minutes=30), reading("27"))
    track = ledger.tracks({KEY: NOVEMBER})[KEY]
    assert shown(track) == [(2, "27", "27")]


def test_a_reading_that_failed_is_no_reading_and_one_that_came_back_is(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(1), reading("20"))
    cycle(ledger, watch, noon(2), reading(None))
    cycle(ledger, watch, noon(3), reading(None))
    cycle(ledger, watch, noon(4, hour=8), reading(None))
    cycle(ledger, watch, noon(4, hour=9), reading("20"))
    cycle(ledger, watch, noon(5, hour=8), reading("25"))
    cycle(ledger, watch, noon(5, hour=9), reading(None))  # the last whole one of the day counts
    track = ledger.tracks({KEY: NOVEMBER})[KEY]
    assert shown(track) == [(1, "20", "20"), (4, "20", "20"), (5, "25", "25")]


def test_a_source_that_was_not_read_leaves_no_day(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(1), reading("20"))
    cycle(ledger, watch, noon(2), fresh=False)
    assert shown(ledger.tracks({KEY: NOVEMBER})[KEY]) == [(1, "20", "20")]


def test_what_is_not_asked_for_any_more_is_not_carried_on(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(1), reading("20"))
    cycle(ledger, watch, noon(2), keep_silence("m365", "t1", "assigned"))
    cycle(ledger, watch, noon(3), keep_silence("m365", "t1", "assigned"))
    cycle(ledger, watch, noon(4), reading("20"))
    assert shown(ledger.tracks({KEY: NOVEMBER})[KEY]) == [(1, "20", "20"), (4, "20", "20")]


def test_customers_queries_and_time_are_kept_apart(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(1, 9), reading("1"), reading("2", "t2"))
    cycle(ledger, watch, noon(1), reading("20"), reading("3", "t2"))
    found = ledger.tracks({KEY: NOVEMBER, ("m365", "t3", "assigned"): NOVEMBER, ("cw", "t1", "assigned"): NOVEMBER})
    assert list(found) == [KEY]
    assert [one.day.month for one in found[KEY].seen] == [9, 11]
    assert [count.quantity for one in found[KEY].seen for count in one.counts or ()] == [Decimal(1), Decimal(20)]


def test_aliases_still_name_what_was_counted(ledger: Ledger, watch: Watch) -> None:
    cycle(ledger, watch, noon(1), reading("20"))
    track = ledger.tracks({KEY: NOVEMBER})[KEY]
    (day,) = days_of(((CountRef("m365", ("guid",), "assigned", factor=Decimal(2)), track),), NOVEMBER, NOVEMBER)
    assert day.close == 40


def test_many_customers_are_asked_for_at_once(ledger: Ledger, watch: Watch) -> None:
    many = [f"t{number}" for number in range(300)]
    for day in (1, 2):
        cycle(ledger, watch, noon(day), *(reading(str(day), one) for one in many))
    found = ledger.tracks({("m365", one, "assigned"): NOVEMBER for one in many})
    assert len(found) == 300
    assert {tuple(shown(track)) for track in found.values()} == {((1, "1", "1"), (2, "2", "2"))}


def test_a_damaged_reading_is_told(ledger: Ledger, watch: Watch) -> None:
    body = b'{"counts":"none"}'
    cycle(ledger, watch, noon(1), Observation("m365", "t1", "assigned", State.KNOWN, "digest", body))
    with pytest.raises(LedgerBroken, match="is not as it was written"):
        ledger.tracks({KEY: NOVEMBER})
