"""Metered usage: the newest total of the month, and what settles late."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from connector_kit import TODAY
from pax8_kit import Bench, moment

from connectors.pax8.sandbox_state import METERED
from syncd.model import Moment
from syncd.periods import Period, month_of

NOVEMBER = date(2026, 11, 30)


def test_the_newest_days_total_is_taken_and_days_are_not_added(bench: Bench) -> None:
    count = bench.count(METERED, "usage")
    assert (count.quantity, count.unit_cost, count.currency) == (Decimal(309), Decimal("0.05"), "USD")
    assert (count.name, count.note) == (f"{METERED} (GB)", "as of 2026-11-19; so far in 2026-11")


def test_a_later_posting_replaces_the_total_even_downwards(bench: Bench) -> None:
    for quantity in (400, 120):
        bench.control("usage", company=bench.customer().id, date="2026-11-20", quantity=quantity)
    assert bench.count(METERED, "usage").quantity == 120


def test_a_new_month_begins_at_nothing(bench: Bench) -> None:
    at = moment(date(2026, 12, 2))
    reading = bench.read("usage", at=at)
    assert (reading.state, reading.counts) == ("known", ())
    bench.control("usage", company=bench.customer().id, date="2026-12-01", quantity=5)
    count = bench.count(METERED, "usage", at=at)
    assert (count.quantity, count.note) == (Decimal(5), "as of 2026-12-01; so far in 2026-12")


def test_the_last_evening_of_a_month_is_not_read_as_the_next_one(bench: Bench) -> None:
    bench.control("usage", company=bench.customer().id, date="2026-11-30", quantity=777)
    evening = Moment(datetime(2026, 12, 1, 2, tzinfo=UTC), NOVEMBER, month_of(NOVEMBER))  # 20:00 in Chicago
    assert bench.count(METERED, "usage", at=evening).quantity == 777


def again(day: date, hour: int = 12, period: Period | None = None) -> Moment:
    """November, asked for again on a later day (UTC)."""
    closed = period or month_of(NOVEMBER)
    return Moment(datetime(day.year, day.month, day.day, hour, tzinfo=UTC), closed.last, closed)


@pytest.mark.parametrize(
    ("day", "hour", "state"),
    [
        (date(2026, 12, 1), 12, "partial"),
        (date(2026, 12, 2), 23, "partial"),  # vendors may post until midnight UTC
        (date(2026, 12, 3), 23, "partial"),
        (date(2026, 12, 4), 0, "known"),
        (date(2027, 2, 1), 0, "known"),
    ],
)
def test_a_month_that_is_over_is_whole_only_when_it_has_settled(bench: Bench, day: date, hour: int, state: str) -> None:
    reading = bench.read("usage", at=again(day, hour))
    assert reading.state == state
    if state == "partial":
        assert (reading.code, reading.counts) == ("incomplete", ())
        assert reading.reason == (
            "usage of 2026-11 may still change until 2026-12-02 (UTC) and is settled on 2026-12-04"
        )
        assert "usage-" not in str([one.path for one in bench.double.requests])  # nothing was asked for nothing
    else:
        assert reading.proof.endswith("; settled on 2026-12-04")


def test_the_proof_of_a_running_month_says_when_it_settles(bench: Bench) -> None:
    assert bench.read("usage").proof.endswith("; 2026-11 settles on 2026-12-04")


def test_what_is_posted_late_is_in_the_settled_month_and_in_no_other(bench: Bench) -> None:
    bench.control("usage", company=bench.customer().id, date="2026-11-30", quantity=500)
    assert bench.count(METERED, "usage", at=moment(NOVEMBER, 23)).quantity == 500
    bench.control("usage", company=bench.customer().id, date="2026-11-30", quantity=777)  # posted on 2 December
    bench.control("usage", company=bench.customer().id, date="2026-12-01", quantity=5)
    settled = bench.count(METERED, "usage", at=again(date(2026, 12, 4)))
    assert (settled.quantity, settled.note) == (Decimal(777), "as of 2026-11-30; all of 2026-11")
    assert (settled.unit_cost, settled.currency) == (Decimal("0.05"), "USD")
    assert bench.count(METERED, "usage", at=moment(date(2026, 12, 4))).quantity == 5


def test_a_period_that_is_over_and_no_month_cannot_be_told(bench: Bench) -> None:
    period = Period(date(2026, 10, 15), date(2026, 11, 14))
    reading = bench.read("usage", at=again(date(2026, 11, 20), period=period))
    assert (reading.state, reading.code) == ("unknown", "unsupported")
    assert "by calendar months, and 2026-10-15/2026-11-14 is none" in reading.reason


def test_a_subscription_that_ended_last_month_is_in_that_month(bench: Bench) -> None:
    metered = next(row for row in bench.double.stock.subscriptions if row["productName"] == METERED)
    bench.control("change", id=metered["id"], endDate="2026-10-02")
    assert bench.read("usage").counts == ()
    october = month_of(date(2026, 10, 1))
    assert bench.count(METERED, "usage", at=again(TODAY, period=october)).quantity == 297


def test_a_subscription_that_ended_this_month_still_has_its_usage(bench: Bench) -> None:
    metered = next(row for row in bench.double.stock.subscriptions if row["productName"] == METERED)
    bench.control("change", id=metered["id"], endDate="2026-11-02")
    assert bench.count(METERED, "usage").quantity == 309
    bench.control("change", id=metered["id"], endDate="2026-10-31")
    assert bench.read("usage").counts == ()


def test_charges_without_lines_are_incomplete_and_no_zero(bench: Bench) -> None:
    for lines in bench.double.stock.posts.values():
        lines.clear()
    reading = bench.read("usage")
    assert (reading.state, reading.code) == ("unknown", "incomplete")
    assert "tells charges" in reading.reason


def test_trial_usage_is_left_out(bench: Bench) -> None:
    for summary in bench.double.stock.summaries.values():
        summary["isTrial"] = True
    reading = bench.read("usage")
    assert (reading.state, reading.counts) == ("known", ())


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("usageSummaryId", "another", "wrong_tenant"),
        ("usageDate", "2026-11-18", "malformed"),
        ("quantity", 1e300, "malformed"),
    ],
)
def test_lines_of_something_else_are_not_taken(bench: Bench, field: str, value: object, code: str) -> None:
    for lines in bench.double.stock.posts.values():
        lines[date(2026, 11, 19)][0][field] = value
    reading = bench.read("usage")
    assert (reading.state, reading.code) == ("unknown", code)


def test_a_summary_of_another_company_is_not_taken(bench: Bench) -> None:
    summary = next(iter(bench.double.stock.summaries.values()))
    other = bench.customer(1).id
    path = f"/v1/subscriptions/{summary['subscriptionId']}/usage-summaries"
    bench.lie(path, lambda body: body["content"][0].update(companyId=other))
    reading = bench.read("usage")
    assert (reading.state, reading.code) == ("unknown", "wrong_tenant")


def test_two_units_of_one_product_are_not_added(bench: Bench) -> None:
    for lines in bench.double.stock.posts.values():
        newest = lines[date(2026, 11, 19)]
        newest.append({**newest[0], "unitOfMeasure": "Hour"})
    reading = bench.read("usage")
    assert (reading.state, reading.code) == ("unknown", "malformed")
    assert "not to be added" in reading.reason


def test_usage_asks_nothing_of_companies_that_were_not_asked_for(bench: Bench) -> None:
    bench.read("usage")
    asked = {
        one.query["companyId"]
        for one in bench.double.requests
        if "usage-summaries" in one.path and one.query.get("companyId")
    }
    assert asked == {bench.customer().id}
    dates = [one.query["usageDate"] for one in bench.double.requests if one.path.endswith("usage-lines")]
    assert dates == [str(TODAY), "2026-11-19"]
