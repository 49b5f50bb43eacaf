"""Usage events: a minute of their own by which they are found, and the meters that can take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe_kit import Bench

from connectors.stripe import usage
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Posting, Receipt, Refused, Unknown

ZONE = ZoneInfo("America/Chicago")


def test_an_event_says_whose_how_much_and_under_which_day(bench: Bench) -> None:
    posting, connection = bench.usage(), bench.connect()
    assert connection.find(posting) == Absent()
    outcome = connection.send(posting, connection.wire(posting))
    assert isinstance(outcome, Receipt)
    [event] = bench.double.events
    assert event["identifier"] == posting.marker
    assert event["payload"] == {"stripe_customer_id": posting.customer_id, "value": "12.5"}
    assert datetime.fromtimestamp(event["timestamp"], ZONE).date() == date(2026, 11, 2)
    assert connection.find(posting) == Found(posting.marker, Decimal("12.5"))


def test_an_event_that_was_taken_and_is_not_counted_yet_is_not_there_yet(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(summary_delay=600)
    posting, connection = bench.usage(), bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    assert connection.find(posting) == Absent()
    bench.double.advance(601)
    assert isinstance(connection.find(posting), Found)


def test_a_second_sending_within_a_day_adds_nothing(bench: Bench) -> None:
    posting, connection = bench.usage(), bench.connect()
    wire = connection.wire(posting)
    connection.send(posting, wire)
    bench.double.kept.clear()  # as if the header's key were forgotten before the identifier
    assert isinstance(connection.send(posting, wire), Unknown)
    assert len(bench.double.events) == 1
    assert isinstance(connection.find(posting), Found)


def test_somebody_elses_events_in_the_same_minute_are_told(bench: Bench) -> None:
    posting, connection = bench.usage(), bench.connect()
    connection.send(posting, connection.wire(posting))
    bench.double.events.append({**bench.double.events[0], "identifier": "by hand"})
    sight = connection.find(posting)
    assert isinstance(sight, Moved)
    assert "25 units instead of 12.5" in sight.what


def test_other_customers_and_other_minutes_do_not_count(bench: Bench) -> None:
    posting, connection = bench.usage(), bench.connect()
    connection.send(posting, connection.wire(posting))
    assert connection.find(replace(posting, customer_id=bench.double.customer(2))) == Absent()
    assert connection.find(replace(posting, marker="sd-t1-other")) == Absent()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"default_aggregation": {"formula": "last"}}, "the last of its events"),
        ({"event_time_window": "day"}, "one event for each day"),
        ({"value_settings": {"event_payload_key": "seats"}}, "does not read"),
        ({"status": "inactive"}, "0 active meters"),
        ({"event_name": "other"}, "0 active meters"),
    ],
)
def test_meters_that_cannot_take_it_are_named_before_anything_leaves(
    bench: Bench, change: dict[str, Any], words: str
) -> None:
    bench.double.tables["meter"]["mtr_test_61Syncd"].update(change)
    with pytest.raises(VendorError, match=words):
        bench.connect().find(bench.usage())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": {}}, "the name of its meter"),
        ({"starts": date(2026, 11, 19)}, "from 2026-11-21 on"),
        ({"starts": date(2026, 10, 1)}, "older than 35 days"),
        ({"starts": date(2026, 10, 25)}, "outside the running period"),
        ({"quantity": Decimal(0)}, "more than none"),
        ({}, ""),
    ],
)
def test_days_that_stripe_would_refuse_or_forget(bench: Bench, change: dict[str, Any], words: str) -> None:
    told = bench.refusal(bench.usage(**change))
    assert words in told
    assert bool(told) == bool(words)


def test_stripe_itself_refuses_what_is_too_old(bench: Bench) -> None:
    posting, connection = bench.usage(starts=date(2026, 9, 1)), bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Refused)
    assert bench.double.events == []


@given(
    marker=st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=16, max_size=16),
    starts=st.dates(date(2024, 1, 1), date(2030, 1, 1)),
)
def test_every_posting_has_a_whole_minute_of_the_second_day(marker: str, starts: date) -> None:
    posting = Posting(
        Operation.REPORT_USAGE,
        "k",
        f"sd-t1-{marker}",
        "cus_1",
        Decimal(1),
        starts=starts,
        ends=date(2031, 12, 31),
    )
    found = usage.minute(posting, ZONE)
    assert found % 60 == 0
    assert (datetime.fromtimestamp(found, ZONE).date() - starts).days == 1
