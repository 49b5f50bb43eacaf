"""Whole cycles of rules that report to a meter: its sum is brought to what is due, once, whatever is lost meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from connector_kit import ZONE
from stripe_kit import Bench
from stripe_meter_kit import HOURS, Metering

from syncd.core.entries import EntryState
from syncd.errors import UserFault
from syncd.ledger import backup, restore
from syncd.model import Operation


@pytest.fixture
def house(bench: Bench, tmp_path: Path) -> Metering:
    return Metering(tmp_path, bench)


@pytest.mark.slow
def test_the_sum_follows_what_is_due_up_and_down_and_rests(house: Metering) -> None:
    assert house.use("12.5")[0] == "post"
    assert house.again()[0] == "none"
    house.now += timedelta(minutes=20)
    assert house.use(20)[0] == "post"
    house.now += timedelta(minutes=20)
    assert house.use(15)[0] == "post"
    assert house.reported == [Decimal("12.5"), Decimal("7.5"), Decimal(-5)]
    for _ in range(2):
        assert house.again() == ("none", "as it should be")
    assert len(house.reported) == 3
    done = house.cycle()
    [line] = done.plan.lines
    assert (line.billed, line.target, line.states["billed"]) == (15, 15, "known")
    entries = house.entries()
    assert [(one.intent.operation, one.intent.before, one.intent.to) for one in entries] == [
        (Operation.REPORT_USAGE, 0, Decimal("12.5")),
        (Operation.REPORT_USAGE, Decimal("12.5"), 20),
        (Operation.REPORT_USAGE, 20, 15),
    ]
    assert [one.intent.signed_amount for one in entries] == [Decimal("1187.50"), Decimal("712.50"), Decimal("-475.00")]


@pytest.mark.slow
def test_many_equal_parts_are_told_apart(house: Metering) -> None:
    for hours in range(1, 31):
        house.now += timedelta(minutes=5)
        assert house.use(hours)[0] == "post"
    assert house.reported == [1] * 30
    assert house.again()[0] == "none"
    assert len({one["timestamp"] for one in house.double.events}) == 30


# --- exactly once -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    ["drop_after", *(pytest.param(one, marks=pytest.mark.slow) for one in ("500_after", "truncate"))],
)
def test_an_answer_that_was_lost_after_the_event_was_taken(house: Metering, fault: str) -> None:
    house.double.fail(fault, path="meter_events")
    house.use(10)
    assert house.states() == ["posted"]
    assert house.again()[0] == "none"
    assert house.reported == [10]


@pytest.mark.slow
def test_a_lost_answer_of_an_event_that_is_counted_late_is_looked_for_and_not_sent_again(
    make_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    house = Metering(tmp_path, make_bench(summary_delay=3600))
    house.double.fail("drop_after", path="meter_events")
    action, reason = house.use(10)
    assert house.states() == ["unknown"]
    for minutes in (10, 40):
        house.now += timedelta(minutes=minutes)
        house.double.advance(60 * minutes)
        action, reason = house.use(14)
        assert (action, house.states()) == ("blocked", ["unknown"])
        assert "outcome" in reason
    house.now += timedelta(minutes=20)
    house.double.advance(1200)
    assert house.again()[0] == "post"  # the first is found, and the rise follows
    assert house.states()[0] == "posted"
    assert house.reported == [10, 4]


@pytest.mark.parametrize("hours", [3, 30])
@pytest.mark.slow
def test_what_never_arrived_is_sent_again_also_where_its_key_is_forgotten(house: Metering, hours: int) -> None:
    house.double.fail("drop_before", path="meter_events")
    house.use(10)
    assert (house.states(), house.reported) == (["unknown"], [])
    house.now += timedelta(hours=hours)
    house.double.advance(3600 * hours)
    house.again()
    assert (house.states(), house.reported) == (["posted"], [10])
    assert house.again()[0] == "none"


@pytest.mark.slow
def test_what_arrived_is_not_sent_again_where_its_key_is_forgotten(house: Metering) -> None:
    house.double.fail("drop_after", path="meter_events")
    house.double.fail("unavailable", path="event_summaries", after=3, times=9)  # the look after it fails as well
    house.use(10)
    assert (house.states(), house.reported) == (["unknown"], [10])
    house.double.faults.clear()
    house.now += timedelta(hours=30)
    house.double.advance(3600 * 30)
    house.double.kept.clear()
    assert house.again()[0] == "none"
    assert (house.states(), house.reported) == (["posted"], [10])


@pytest.mark.parametrize("at", ["before", "after"])
@pytest.mark.slow
def test_a_process_that_died_while_it_sent(house: Metering, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from connectors.stripe.connection import Stripe

    real = Stripe.send

    def dies(self: Stripe, *given: Any) -> Any:
        if at == "after":
            real(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stripe, "send", dies)
        with pytest.raises(KeyboardInterrupt):
            house.use(10)
    for _ in range(2):  # the second look is two hours after the first, as long as an event may not be counted
        house.again()
        house.now += timedelta(hours=3)
        house.double.advance(3600 * 3)
    house.again()
    assert house.again()[0] == "none"
    assert (house.states(), house.reported) == (["posted"], [10])


@pytest.mark.slow
def test_a_ledger_that_forgot_an_event_adds_nothing_to_it(house: Metering) -> None:
    house.use(10)
    url, copy = "sqlite:///state/syncd.db", house.folder / "copy.db"
    backup(url, copy, folder=house.folder)
    house.now += timedelta(hours=1)
    house.use(15)
    for one in (house.folder / "state").iterdir():
        one.unlink()
    restore(copy, url, folder=house.folder, clock=house.clock)
    for hours in (15, 18, 18):
        action, reason = house.use(hours)
    assert (action, house.reported) == ("hold", [10, 5])
    assert "counts 15 units of 2026-11, of which syncd reported 10" in reason
    assert house.entries(EntryState.HELD) == []  # there is nothing to approve: nobody knows what is missing
    assert house.use(15)[0] == "none"


# --- others, and what cannot be done ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_rivals_events_stop_the_rule_and_are_named(house: Metering) -> None:
    house.use(10)
    house.now += timedelta(minutes=20)
    house.event("3")
    action, reason = house.use(14)
    assert (action, house.reported) == ("hold", [10, 3])
    assert "the meter 'support_hours' counts 13 units of 2026-11, of which syncd reported 10; somebody else" in reason
    house.event("-3")
    assert house.again()[0] == "post"
    assert house.reported[-1] == 4


@pytest.mark.slow
def test_an_event_that_somebody_cancelled_is_not_written_anew(house: Metering) -> None:
    house.use(10)
    house.now += timedelta(minutes=20)
    house.double.events.clear()
    action, reason = house.again()
    assert (action, house.reported) == ("hold", [])
    assert "counts 0 units of 2026-11, of which syncd reported 10" in reason


@pytest.mark.slow
def test_a_meter_that_somebody_used_before_is_left_alone(house: Metering) -> None:
    house.event("40")
    assert house.use(50)[0] == "hold"
    assert house.use(40)[0] == "none"
    assert house.reported == [40]


@pytest.mark.parametrize("decrease", ["hold", "ignore"])
@pytest.mark.slow
def test_a_fall_waits_for_a_person(bench: Bench, tmp_path: Path, decrease: str) -> None:
    house = Metering(tmp_path, bench, decrease)
    house.use(10)
    house.now += timedelta(minutes=20)
    assert house.use(4)[0] == decrease
    assert house.reported == [10]
    if decrease == "hold":
        house.approve()
        house.again()
        assert house.reported == [10, -6]


@pytest.mark.slow
def test_an_undo_reports_as_much_the_other_way_and_stays_away(house: Metering) -> None:
    house.use(10)
    house.now += timedelta(minutes=20)
    house.undo(*house.entries(EntryState.POSTED))
    house.again()
    assert house.reported == [10, -10]
    house.now += timedelta(minutes=20)
    assert house.again()[0] != "post"
    assert house.reported == [10, -10]
    assert house.use(12)[0] == "post"
    assert house.reported == [10, -10, 12]


@pytest.mark.slow
def test_what_is_invoiced_is_not_taken_back(house: Metering) -> None:
    house.use(10)
    house.double.roll(house.bench.subscription()["id"])
    house.at("2026-12-05")
    with pytest.raises(UserFault, match="reported for 2026-11, which is invoiced: usage cannot be taken off"):
        house.undo(*house.entries(EntryState.POSTED))


# --- periods ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_period_is_brought_to_what_is_due_and_invoiced_once(house: Metering) -> None:
    house.use(10)
    house.at("2026-12-01", 8)
    invoice = house.double.roll(house.bench.subscription()["id"])
    [line] = [one for one in house.double.lines_of(invoice["id"]) if one["pricing"]["price_details"]["price"] == HOURS]
    assert (line["quantity_decimal"], line["amount"]) == ("10", 95_000)
    for day, decided in (("2026-12-01", "defer"), ("2026-12-02", "defer"), ("2026-12-03", "post")):
        house.at(day)
        action, reason = house.use(8)
        assert action == decided, (day, reason)
        if action == "defer":
            assert reason == "usage of 2026-12 can be reported from 2026-12-03 on"
    assert house.reported == [10, 8]
    done = house.cycle()
    [tie] = done.plan.tie_outs
    assert tie.agrees, tie.reason  # November's usage is on December's invoice
    assert [one.period for one in (entry.intent for entry in house.entries())] == ["2026-11", "2026-12"]


@pytest.mark.slow
def test_what_waited_for_a_person_until_its_invoice_was_made_is_not_reported(bench: Bench, tmp_path: Path) -> None:
    house = Metering(tmp_path, bench, safety='max_increase = "10%"\nmax_amount = 10\n')
    assert house.use(10)[0] == "hold"
    house.double.roll(bench.subscription()["id"])
    house.at("2026-12-05")
    house.approve()
    house.use(0)
    assert house.reported == []
    [entry] = house.entries()
    assert entry.state is EntryState.HELD
    assert "2026-11 is over and its usage is invoiced: nothing can be reported into it any more" in entry.note


@pytest.mark.slow
def test_a_period_of_many_months_is_reported_under_a_day_that_stripe_still_takes(house: Metering) -> None:
    house.item["current_period_end"] += 10 * 30 * 86_400
    house.item["price"]["recurring"] |= {"interval": "month", "interval_count": 11}
    house.use(10)
    house.at("2027-02-20")
    assert house.use(16)[0] == "post"
    house.at("2027-02-21")
    assert house.use(19)[0] == "post"
    assert house.reported == [10, 6, 3]
    assert house.again()[0] == "none"


@pytest.mark.slow
def test_an_item_that_was_added_in_the_period_is_reported_under_a_later_day(house: Metering) -> None:
    house.item["created"] = int(house.now.timestamp())
    assert house.use(10) == ("defer", "usage of 2026-11 can be reported from 2026-11-22 on")
    house.at("2026-11-22")
    assert house.use(10)[0] == "post"
    [event] = house.double.events
    assert datetime.fromtimestamp(event["timestamp"], ZONE).date().isoformat() == "2026-11-21"
    house.item["created"] = int(datetime(2026, 11, 29, 12, tzinfo=ZONE).timestamp())
    house.at("2026-11-29")
    action, reason = house.use(15)
    assert action == "blocked"
    assert "2026-11 has no day left under which usage could be reported while it runs; charge it by hand" in reason
