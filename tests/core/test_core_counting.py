"""From counts to the target: factor, sum, less included, round, minimum, maximum, in this order (INTERFACE 3.2)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from core_kit import count, reading, reads, ref, rule, told, units, world
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.counting import matching, names, target, total
from syncd.core.rules import Rounding

UP, DOWN, NEAREST = Rounding.UP, Rounding.DOWN, Rounding.NEAREST


@pytest.mark.parametrize(
    ("used", "fields", "expected"),
    [
        ("27", {}, "27"),
        ("27", {"included": 10}, "17"),  # the example of INTERFACE 3.2
        ("10", {"included": 10}, "0"),
        ("7", {"included": 10}, "0"),  # never below zero
        ("0", {}, "0"),
        ("12.3", {"rounding": UP}, "13"),
        ("12.3", {"rounding": DOWN}, "12"),
        ("12.5", {"rounding": NEAREST}, "13"),
        ("12.4", {"rounding": NEAREST}, "12"),
        ("12", {"rounding": UP}, "12"),
        ("12.3", {}, "12.3"),
        ("11", {"rounding": UP, "to": 5}, "15"),
        ("11", {"rounding": DOWN, "to": 5}, "10"),
        ("12.5", {"rounding": NEAREST, "to": 5}, "15"),
        ("10", {"rounding": UP, "to": 5}, "10"),
        ("0.3", {"rounding": UP, "to": "0.25"}, "0.5"),
        ("3", {"minimum": 5}, "5"),
        ("5", {"minimum": 5}, "5"),
        ("0", {"minimum": 5}, "5"),
        ("501", {"maximum": 500}, "500"),
        ("500", {"maximum": 500}, "500"),
        ("21", {"included": 10, "rounding": UP, "to": 5}, "15"),  # less included before rounding: 21 up to 25 less 10
        ("12", {"included": 10, "minimum": 5}, "5"),  # the minimum after included
        ("11", {"rounding": UP, "to": 10, "maximum": 15}, "15"),  # the maximum after rounding
        ("1", {"rounding": UP, "to": 4, "minimum": 6}, "6"),  # the minimum is not rounded
        ("9", {"included": 1, "rounding": UP, "to": 5, "minimum": 2, "maximum": 9}, "9"),
    ],
)
def test_the_target(used: str, fields: dict[str, Any], expected: str) -> None:
    assert target(rule(**fields), units(used)).target == units(expected)


def test_every_step_is_told_in_order() -> None:
    made = target(rule(included=10, rounding=UP, to=5, minimum=20, maximum=18), units(21))

    assert [step.result for step in made.steps] == [units(one) for one in (21, 11, 15, 20, 18)]
    assert [step.text.split()[0] for step in made.steps] == ["used", "less", "rounded", "minimum", "maximum"]
    assert made.steps[-1].result == made.target


@pytest.mark.parametrize(("used", "over"), [("500", False), ("500.1", True), ("501", True)])
def test_only_more_than_the_maximum_is_over_it(used: str, over: bool) -> None:
    assert target(rule(maximum=500), units(used)).over_maximum is over


@given(
    used=st.decimals(0, 10_000, places=2),
    included=st.integers(0, 50),
    to=st.sampled_from(["1", "5", "0.25"]),
    rounding=st.sampled_from(list(Rounding)),
    minimum=st.integers(0, 20),
    more=st.integers(0, 500),
)
@settings(max_examples=100)
def test_the_target_keeps_its_bounds(
    used: Decimal, included: int, to: str, rounding: Rounding, minimum: int, more: int
) -> None:
    maximum = minimum + more
    free = target(rule(included=included, to=to, rounding=rounding), used).target
    made = target(rule(included=included, to=to, rounding=rounding, minimum=minimum, maximum=maximum), used).target

    assert minimum <= made <= maximum
    assert made == min(max(free, units(minimum)), units(maximum))
    assert free >= 0
    if rounding is not Rounding.NONE:
        assert free % units(to) == 0


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("SPB", True), ("spb", True), ("SP", False), ("SP*", True), ("*", True), ("?PB", True), ("cbdc14ab", True),
        ("CBDC*", True), ("Business Premium", False), ("XSPB", False), ("", False),
    ],
)  # fmt: skip
def test_a_sku_is_named_exactly_or_by_a_glob_over_its_keys(pattern: str, hit: bool) -> None:
    assert names(pattern, count("SPB", 3, name="Business Premium", aliases=("cbdc14ab",))) is hit


def test_a_count_is_taken_once_however_many_patterns_name_it() -> None:
    counts = [count("E5", 2), count("SPB", 3, aliases=("guid",)), count("E3", 1), count("F1", 9)]

    found = matching(ref(("E*", "E5", "SPB", "guid")), counts)

    assert [one.sku for one in found] == ["E3", "E5", "SPB"]
    assert total(found) == 6


def test_a_list_of_counts_is_added_each_with_its_factor() -> None:
    found = world(count=(ref("SPB"), ref("F1", factor=units("0.5")), ref("E5", factor=units(2))), included=1)
    found = found.but(readings=reads(reading("t1", count("SPB", 10), count("F1", 5), count("E5", 3), count("X", 99))))

    line = found.one_line()

    assert line.used == units("18.5")
    assert line.target == units("17.5")
    assert [(part["sku"], part["factor"]) for part in line.derivation["counts"]] == [
        ("SPB", "1"),
        ("F1", "0.5"),
        ("E5", "2"),
    ]


def test_no_seat_of_a_sku_is_a_known_zero() -> None:
    line = world(0, 0).but(readings=reads(reading("t1", count("OTHER", 4)))).one_line()

    assert told(line.used, line.target, line.action) == (0, 0, "none")


def test_a_count_below_zero_is_never_billed() -> None:
    line = world(-3, 2, decrease="now").safer(to_zero="settle").one_line()

    assert line.action == "blocked"
    assert not line.effects


def test_over_the_maximum_the_count_is_cut_and_told() -> None:
    assert world(501, 500, maximum=500).one_line().findings == ("over maximum",)
    assert world(501, 500, maximum=500).one_line().action == "alert"

    rising = world(501, 499, maximum=500).one_line()

    assert told(rising.target, rising.difference, rising.action) == (500, 1, "post")
    assert set(rising.findings) == {"leakage", "over maximum"}
