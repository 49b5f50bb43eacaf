"""What meters counted, as it is read: periods, their seconds, and what is asked of whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import TODAY, ZONE
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe_kit import ENDS, STARTS, Bench

from connectors.stripe import times
from connectors.stripe.usage import minute as usage_minute
from syncd.errors import VendorError
from syncd.model import BilledLine, Found, Receipt
from syncd.sandbox.fill import fill

HOURS = "price_1SyncdHours"
METER = "mtr_test_61Syncd"


def metered(bench: Bench, number: int = 1) -> dict[str, Any]:
    """A metered item beside the others."""
    return bench.double.add_item(bench.subscription(number)["id"], HOURS, None, (STARTS, ENDS))


def event(bench: Bench, at: int, value: str, number: int = 1) -> None:
    payload = {"stripe_customer_id": bench.double.customer(number), "value": value}
    bench.double.events.append(
        {
            "object": "billing.meter_event", "created": at, "event_name": "support_hours", "timestamp": at,
            "identifier": f"{at}", "livemode": False, "payload": payload,
        }
    )  # fmt: skip


def usage(bench: Bench, number: int = 1) -> list[BilledLine]:
    return [one for one in bench.billing(number).lines if one.meter]


def test_usage_of_the_running_period_and_of_the_one_before(bench: Bench) -> None:
    item = metered(bench)
    for at, value in ((STARTS - 1, "3"), (STARTS - 86_400, "4"), (STARTS, "10"), (STARTS + 86_400, "0.1")):
        event(bench, at, value)
    event(bench, STARTS + 100, "0.2")
    event(bench, STARTS + 100, "99", number=2)
    running, before = usage(bench)
    assert running.id == f"{item['id']}/{METER}/2026-11-01"
    assert (running.quantity, running.starts, running.ends) == (Decimal("10.3"), date(2026, 11, 1), date(2026, 11, 30))
    assert (before.quantity, before.starts, before.ends) == (Decimal(7), date(2026, 10, 1), date(2026, 10, 31))
    assert {(one.meter, one.once, one.marker, one.unit_price) for one in (running, before)} == {
        ("support_hours", True, "", Decimal(95))
    }
    [plain] = [one for one in bench.billing().lines if one.id == item["id"]]
    assert (plain.quantity, plain.once, plain.meter) == (0, False, "")


def test_nobody_is_asked_for_usage_who_has_no_metered_item(bench: Bench) -> None:
    assert usage(bench) == []
    assert not any("billing/meters" in one.path for one in bench.double.requests)


def test_the_future_is_not_asked_for(bench: Bench) -> None:
    metered(bench)
    usage(bench)
    ends = [int(one.query["end_time"]) for one in bench.double.requests if "event_summaries" in one.path]
    now = int(bench.moment.now.timestamp())
    assert ends == [now // 60 * 60, STARTS]


def test_on_the_day_on_which_a_period_begins_it_begins_at_nothing(bench: Bench) -> None:
    metered(bench)
    event(bench, ENDS - 60, "5")
    bench.moment = replace(bench.moment, now=datetime(2026, 12, 1, 8, tzinfo=UTC), today=date(2026, 12, 1))
    running, before = usage(bench)
    assert (running.quantity, running.starts) == (0, date(2026, 12, 1))
    assert (before.quantity, before.starts) == (0, date(2026, 11, 1))  # not counted yet
    bench.double.advance(15 * 86_400)
    bench.moment = replace(bench.moment, now=datetime(2026, 12, 1, 13, tzinfo=UTC))
    assert [one.quantity for one in usage(bench)] == [0, 5]


@pytest.mark.parametrize(
    ("interval", "count", "start", "before"),
    [
        ("month", 1, "2026-11-01T12:00", "2026-10-01T12:00"),
        ("month", 3, "2026-11-15T00:30", "2026-08-15T00:30"),
        ("year", 1, "2026-02-20T12:00", "2025-02-20T12:00"),
        ("week", 2, "2026-11-15T00:30", "2026-11-01T00:30"),
        ("month", 1, "2027-02-28T12:00", None),  # of the 28th, or of the 31st cut short
        ("month", 1, "2027-03-31T12:00", None),
    ],
)
def test_the_period_before(interval: str, count: int, start: str, before: str | None) -> None:
    def seconds(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    wanted = (seconds(before), seconds(start)) if before else None
    assert times.preceding(seconds(start), interval, count) == wanted


@settings(max_examples=30, deadline=None)
@given(st.integers(1_600_000_000, 1_900_000_000), st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 4))
def test_a_period_follows_the_one_before_it(start: int, interval: str, count: int) -> None:
    before = times.preceding(start, interval, count)
    if before is not None:
        assert times.following(before[0], interval, count) == before


def test_a_stand_in_reads_back_as_it_was_given(make_bench: Callable[..., Bench]) -> None:
    real, stand_in = make_bench(), make_bench()
    metered(real)
    for at, value in ((STARTS - 86_400, "4"), (STARTS + 86_400, "-2"), (STARTS + 90_000, "12.5")):
        event(real, at, value)
    connection = real.connect()
    billings = list(connection.lines(connection.customers(), real.moment))
    fill(stand_in.double, connection.customers(), connection.products(), billings)
    rehearsed = stand_in.connect(**stand_in.double.settings)
    again = list(rehearsed.lines(rehearsed.customers(), stand_in.moment))
    for before, after in zip(billings, again, strict=True):
        assert sorted(after.lines, key=lambda one: one.id) == sorted(before.lines, key=lambda one: one.id)
    assert sum(len([line for line in one.lines if line.meter]) for one in again) == 2


# --- events that take something off, and days that are not over -------------------------------------------------------


def test_an_event_of_less_than_nothing_is_sent_and_found(bench: Bench) -> None:
    connection = bench.connect()
    more, less = bench.usage(), bench.usage(key="k5", marker="sd-t1-less", quantity=Decimal("-2.5"))
    for posting in (more, less):
        assert bench.refusal(posting) == ""
        assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
        assert connection.find(posting) == Found(posting.marker, posting.quantity)
    assert [one["payload"]["value"] for one in bench.double.events] == ["12.5", "-2.5"]


def test_no_two_parts_of_a_period_share_a_minute(bench: Bench) -> None:
    posting = bench.usage()
    minutes = {
        usage_minute(replace(posting, options={**posting.options, "part": f"k3f9a7/{number}"}), ZONE)
        for number in range(1440)
    }
    assert len(minutes) == 1440
    days = {datetime.fromtimestamp(one, ZONE).date() for one in minutes}
    assert days == {date(2026, 11, 2)}
    other = replace(posting, options={**posting.options, "part": "another/0"})
    assert usage_minute(other, ZONE) != usage_minute(
        replace(other, options={**posting.options, "part": "k3f9a7/0"}), ZONE
    )


def test_more_decimals_than_a_float_can_be_trusted_with_are_refused(bench: Bench) -> None:
    assert bench.refusal(bench.usage(quantity=Decimal("0.123456"))) == ""
    assert "more than 6 decimals; set round" in bench.refusal(bench.usage(quantity=Decimal("0.1234567")))


def test_a_day_that_is_not_over_is_seen_before_anything_leaves(bench: Bench) -> None:
    posting = bench.usage(starts=TODAY, ends=TODAY)
    with pytest.raises(VendorError, match="2026-11-20 is not over yet"):
        bench.connect().find(posting)
    bench.moment = replace(bench.moment, now=bench.moment.now + timedelta(days=1))
    bench.connect().find(posting)
