"""Rules that report to a meter which cannot take it, or cannot be read; and the same rules rehearsed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from connector_kit import customers
from stripe_kit import Bench
from stripe_meter_kit import HOURS, NAME, RULE, Metering

from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.rehearse import rehearse


@pytest.fixture
def house(bench: Bench, tmp_path: Path) -> Metering:
    return Metering(tmp_path, bench)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"default_aggregation": {"formula": "last"}}, "takes the last of its events"),
        ({"default_aggregation": {"formula": "count"}}, "takes the count of its events"),
        ({"event_time_window": "day"}, "keeps one event for each day"),
        ({"status": "inactive"}, "is not active"),
        ({"event_name": "tickets"}, "bills the meter 'support_hours' (it bills 'tickets')"),
    ],
)
@pytest.mark.slow
def test_a_meter_that_does_not_fit_blocks_its_rule(house: Metering, change: dict[str, Any], words: str) -> None:
    house.double.tables["meter"]["mtr_test_61Syncd"].update(change)
    action, reason = house.use(10)
    assert (action, house.reported) == ("blocked", [])
    assert words in reason
    done = house.cycle()
    [line] = done.plan.lines
    assert (line.billed, line.states["billed"], line.findings) == (None, "unknown", ("unknown meter",))
    assert done.exit_status == 1


@pytest.mark.slow
def test_two_items_on_one_meter_would_charge_each_event_twice(house: Metering) -> None:
    other = house.double.tables["price"][HOURS] | {"id": "price_1Other"}
    house.double.tables["price"]["price_1Other"] = other
    subscription = house.bench.subscription()["id"]
    period = (house.item["current_period_start"], house.item["current_period_end"])
    house.double.add_item(subscription, "price_1Other", None, period)
    action, reason = house.use(10)
    assert (action, house.reported) == ("blocked", [])
    assert "2 Stripe items of the customer" in reason
    assert "each would charge every event" in reason


@pytest.mark.slow
def test_a_price_that_is_not_metered_has_no_meter(house: Metering) -> None:
    house.map(customers("stripe", NAME) + RULE.format(decrease="now").replace(HOURS, "price_1SyncdM365BP"))
    action, reason = house.use(10)
    assert (action, house.reported) == ("blocked", [])
    assert "no open line of 'price_1SyncdM365BP' bills the meter 'support_hours'" in reason


@pytest.mark.slow
def test_a_key_without_the_right_to_meters_says_so_and_reads_the_rest(
    make_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    house = Metering(tmp_path, make_bench(forbidden={"billing"}))
    action, reason = house.use(10)
    assert (action, house.reported) == ("blocked", [])
    assert "what the meter counted could not be read" in reason
    assert sum("event_summaries" in one.path for one in house.double.requests) == 0
    assert house.bench.billing().state == "known"


@pytest.mark.slow
def test_a_sum_that_could_not_be_read_is_no_zero(house: Metering) -> None:
    house.use(10)
    house.double.fail("unavailable", path="event_summaries", times=20)
    action, reason = house.use(25)
    assert (action, house.reported) == ("blocked", [10])
    assert "what the meter counted could not be read" in reason


@pytest.mark.slow
@pytest.mark.parametrize("faults", [False, True])
def test_it_can_be_rehearsed(house: Metering, faults: bool) -> None:
    house.use("12.5")
    house.now += timedelta(minutes=20)
    house.count((NAME, "HOURS", 20))
    config, mappings = load(house.folder / "config.toml", Kinds())
    done = rehearse(config, mappings, Kinds(), house.clock, faults=faults, seed=11)
    assert done.once, done.sentence()
    assert [one.entry.intent.posting.quantity for one in done.changes] == [Decimal("7.5")]
    assert house.reported == [Decimal("12.5")]  # nothing left for the real one
