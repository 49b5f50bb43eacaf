"""The checksum of a plan: it moves with lines, mappings, config and ledger, and does not know the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from core_kit import (
    NOW,
    World,
    billing,
    ignore,
    line,
    units,
    world,
)

from syncd.core.entries import LineHistory
from syncd.core.rules import Mode
from syncd.model import State


def test_the_checksum_does_not_know_the_time() -> None:
    found = world(safety={"settle": 2})

    assert found.plan(NOW).checksum == found.plan(NOW + timedelta(hours=2)).checksum
    drifting = world(28, 25, bought=30, invoiced=30)
    assert drifting.plan(NOW).checksum == drifting.plan(NOW + timedelta(minutes=9)).checksum


@pytest.mark.parametrize(
    "other",
    [
        world(28, 25),
        world(27, 24),
        world(27, 25, bought=30),
        world(27, 25, invoiced=30),
        world(27, 25, included=1),
        world(27, 25, increase="hold"),
        world(27, 25, description="{product}"),
        world(State.UNKNOWN, 25),
        world(27, 25).but(billings=(billing(line(25, version="2")),)),
        world(27, 25).but(billings=(billing(line(25, unit_price=units(21))),)),
        world(27, 25).but(billings=(billing(line(25, "l9")),)),
        world(27, 25).but(ignores=(ignore(skus=("X",)),)),
        world(27, 25, mode=Mode.PROPOSE),
    ],
)
def test_the_checksum_moves_with_lines_mappings_and_config(other: World) -> None:
    assert other.plan().checksum != world(27, 25).plan().checksum


def test_the_checksum_moves_with_the_config() -> None:
    found = world()

    assert found.but(house=replace(found.house, content="other")).plan().checksum != found.plan().checksum


def test_the_checksum_moves_with_the_ledger() -> None:
    found = world()
    seen = found.one_line()
    once = found.remembering(lines={seen.effects[0].identity: LineHistory(generation=1)})

    assert once.plan().checksum != found.plan().checksum
    assert once.one_line().id == seen.id
