"""Billing in arrears, end to end: days are kept, the period closes, its grace passes, one line is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, PREMIUM, ZONE, Stage, rule

GRADUATED = {
    "model": "graduated",
    "tiers": [
        {"up_to": 10, "unit": 12, "flat": 20},
        {"up_to": 50, "unit": 10},
        {"unit": 9},
    ],
}


def usage_rule(**keys: Any) -> str:
    return rule("Seats in arrears", PREMIUM, true_up="usage", **{"aggregate": "peak", **keys})


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone, 27 seats used, billed when the month is over at a price of the rule's own."""
    stage = raise_stage(1)
    stage.configure(safety={"max_amount": 100_000})
    stage.map(usage_rule(price=GRADUATED))
    return stage


def day(stage: Stage, month: int, number: int, hour: int = 10) -> None:
    """Moves the clock."""
    stage.pass_time(seconds=(datetime(2026, month, number, hour, tzinfo=ZONE) - stage.now).total_seconds())


def made(stage: Stage) -> list[dict[str, Any]]:
    """The PSA's additions that syncd made."""
    return [stage.psa.tables["additions"][int(one.record)] for one in stage.effects if one.what == "create_addition"]


def test_days_that_nobody_read_make_a_person_look_and_nothing_is_billed_twice(alder: Stage) -> None:
    first = alder.cycle()
    assert first.status == 0, first.err
    assert (first.line(ALDER)["action"], first.line(ALDER)["target"]) == ("none", None)
    day(alder, 11, 25)
    alder.hire(ALDER, 3)
    alder.cycle()
    alder.dismiss(ALDER, 5)
    day(alder, 11, 30, 23)
    alder.cycle()
    day(alder, 12, 1)
    assert alder.cycle().line(ALDER)["action"] == "none"  # in its grace
    assert alder.writes() == []

    day(alder, 12, 3, 0)
    done = alder.cycle()
    line = done.line(ALDER)
    assert done.status == 3
    assert (line["action"], line["target"], line["billed"], line["guards"]) == ("hold", "30", "0", ["unread_days"])
    assert "27 of 30 days unread: 1, 2, 3, 4, 5, 6 Nov and 21 more" in line["reason"]
    [held] = alder.entries("--state", "held")
    assert (held["operation"], held["period"], held["from"], held["to"], held["amount"]) == (
        "post_line", "2026-11", "0", "30", "340.00",
    )  # fmt: skip

    told = alder.run("explain", held["id"]).out
    assert "Read in 2026-11, by day, highest→closing: 20: 27, 25: 30, 30: 25" in told
    assert "  20 × 10.00: 200.00\n  in all: 340.00 USD" in told

    assert alder.run("approve", held["id"], "--by", "Ada").status == 0
    posted = alder.cycle()
    assert posted.status == 0, posted.err
    [row] = made(alder)
    assert row["quantity"] * row["unitPrice"] == Decimal("340.00")
    assert (
        "30 used (peak of 3 days); 30 units; 10 × 12.00, flat fee of tier 1 20.00, 20 × 10.00: 340.00"
        in (row["invoiceDescription"])
    )
    for hour in range(1, 4):
        day(alder, 12, 3, 10 + hour)
        idle = alder.cycle()
        assert (idle.status, idle.json["entries"]) == (0, [])
    assert (idle.line(ALDER)["billed"], idle.line(ALDER)["target"]) == ("30", "30")
    assert len(made(alder)) == 1
    assert alder.verified()


def test_a_tenant_that_could_not_be_read_leaves_gaps_and_no_zero(alder: Stage) -> None:
    alder.cycle()
    alder.break_tenant(ALDER, "consent")
    day(alder, 11, 21)
    alder.cycle()
    alder.mend()
    day(alder, 11, 22)
    alder.cycle()
    day(alder, 12, 3)
    explained = alder.run("plan", "--json").line(ALDER)
    assert "28 of 30 days unread" in explained["reason"]
    assert explained["target"] == "27"


@pytest.mark.slow
def test_a_month_that_was_read_day_by_day_is_billed_by_itself(alder: Stage) -> None:
    alder.map(usage_rule(price=GRADUATED, aggregate="average"))
    for number in range(1, 32):
        day(alder, 12, number)
        if number == 17:
            alder.hire(ALDER, 31)
        done = alder.cycle()
        assert done.status in (0, 3), done.err
    alder.pass_time(days=3)  # the third of January
    held = alder.entries("--state", "held")
    for entry in held:  # November, of which little was read
        assert entry["period"] == "2026-11"
        alder.run("reject", entry["id"], "--why", "billed by hand", "--by", "Ada")
    done = alder.cycle()
    assert done.status == 0, done.err
    [row] = made(alder)
    # 16 days of 27 and 15 of 58 are 42 on average: 120 + 20 + 32 × 10
    assert row["quantity"] * row["unitPrice"] == Decimal("460.00")
    assert alder.cycle().json["entries"] == []
    assert len(made(alder)) == 1


def test_a_threshold_is_told_before_the_bill_is(alder: Stage) -> None:
    alder.map(usage_rule(price=GRADUATED, notify=["50%", "80%", "100%"]))
    assert "threshold 50% of 50" in alder.cycle().line(ALDER)["findings"]
    alder.hire(ALDER, 14)
    assert "threshold 80% of 50" in alder.cycle().line(ALDER)["findings"]


# Hours: what happened in a period, asked for again when it is over


def worked(stage: Stage, hours: str, on: str) -> None:
    """Somebody enters hours for Alder."""
    table = stage.psa.tables["time/entries"]
    sample = next(row for row in table.values() if row["company"] == stage.agreement(ALDER)["company"])
    number = max(table) + 1
    table[number] = {
        **sample, "id": number, "actualHours": Decimal(hours), "timeStart": f"{on}T15:00:00Z",
        "status": "ReadyToBill",
    }  # fmt: skip


@pytest.fixture
def hourly(alder: Stage) -> Stage:
    """Alder alone, its November hours billed afterwards at 150.00."""
    alder.psa.tables["time/entries"] = {
        number: row
        for number, row in alder.psa.tables["time/entries"].items()
        if row["company"] == alder.agreement(ALDER)["company"]
    }
    for row in alder.psa.tables["time/entries"].values():
        row["timeStart"] = "2026-10-05T15:00:00Z"
    alder.map(
        rule(
            "Hours",
            PREMIUM,
            count={"from": "cw", "measure": "hours"},
            true_up="usage",
            aggregate="last",
            decrease="now",
            price={"model": "unit", "unit": 150},
        )
    )
    worked(alder, "2.5", "2026-11-10")
    return alder


def test_hours_that_were_entered_late_are_billed_with_their_month_and_corrected_after(hourly: Stage) -> None:
    assert hourly.cycle().line(ALDER)["used"] == "2.5"
    day(hourly, 12, 1)
    worked(hourly, "1.5", "2026-11-30")  # entered on the first of December
    worked(hourly, "7", "2026-12-01")
    assert hourly.cycle().line(ALDER)["action"] == "none"
    day(hourly, 12, 3)
    done = hourly.cycle()
    assert done.status == 0, done.line(ALDER)["reason"]
    line = done.line(ALDER)
    assert (line["used"], line["target"]) == ("7", "4")
    [entry] = done.json["entries"]
    assert (entry["period"], entry["from"], entry["to"], entry["amount"]) == ("2026-11", "0", "4", "600.00")

    day(hourly, 12, 9)
    worked(hourly, "0.5", "2026-11-17")
    [entry] = hourly.cycle().json["entries"]
    assert (entry["period"], entry["from"], entry["to"], entry["amount"]) == ("2026-11", "4", "4.5", "75.00")
    first, second = made(hourly)
    assert "2026-11: 4.5 used (as of 2026-11-30), 4 billed before" in second["invoiceDescription"]
    assert hourly.cycle().json["entries"] == []
    assert first["quantity"] * first["unitPrice"] == Decimal("600.00")


def test_a_closed_month_that_cannot_be_read_again_is_not_what_was_read_before(hourly: Stage) -> None:
    hourly.cycle()
    day(hourly, 12, 3)
    hourly.psa.fail("html", path="time/entries", times=50)
    done = hourly.cycle()
    line = done.line(ALDER)
    assert (done.status, line["action"], line["target"]) == (1, "blocked", None)
    assert "2026-11 could not be read again" in line["reason"]
    assert any(error["message"].startswith("2026-11: ") for error in done.json["errors"])
    hourly.mend()
    hourly.cycle()
    day(hourly, 12, 4)
    hourly.psa.fail("html", path="time/entries", times=50)
    again = hourly.cycle()  # billed already: what cannot be read takes nothing back
    assert again.json["entries"] == []
    assert len(made(hourly)) == 1


def test_a_day_on_which_the_count_was_not_asked_for_is_not_the_day_before(alder: Stage) -> None:
    """The rule was taken out for a day; the source was read well all the same."""
    followed = usage_rule()
    another = rule("Consumed", PREMIUM, count={"from": "m365", "sku": PREMIUM, "measure": "consumed"})
    for number, mapped in ((1, followed), (2, another), (3, followed)):
        day(alder, 12, number)
        alder.map(mapped)
        done = alder.cycle(SYNCD_MODE="observe")
        assert done.status == 0, done.json
    alder.pass_time(days=31)
    assert "29 of 31 days unread: 2, 4, 5, 6, 7, 8 Dec" in alder.plan().line(ALDER)["reason"]


def test_what_was_undone_is_not_billed_again(alder: Stage) -> None:
    alder.cycle()
    day(alder, 12, 3)
    alder.cycle()
    for _ in range(2):
        [held] = alder.entries("--state", "held")
        assert alder.run("approve", held["id"], "--by", "Ada").status == 0
        alder.cycle()
        if held["operation"] == "post_line":
            assert alder.run("undo", held["id"], "--why", "a gift", "--by", "Ada").status == 0
    line, credit = made(alder)
    assert line["quantity"] * line["unitPrice"] == -credit["quantity"] * credit["unitPrice"] == Decimal("310.00")
    for hour in (12, 13):
        day(alder, 12, 4, hour)
        idle = alder.cycle()
        assert idle.line(ALDER)["action"] == "ignore"
        assert "undone by Ada" in idle.line(ALDER)["reason"]
    assert len(made(alder)) == 2
