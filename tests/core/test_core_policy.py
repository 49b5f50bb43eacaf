"""What may be posted without a person: every guard at its edge (INTERFACE 2, `[safety]`; 3.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from core_kit import (
    DECEMBER,
    NOW,
    TODAY,
    World,
    agreement,
    billing,
    count,
    known,
    line,
    product,
    reading,
    reads,
    told,
    units,
    world,
)

from syncd.core.entries import Sighting
from syncd.core.policy import held_back, sight
from syncd.model import RemoteCustomer, State, Term

Limits = dict[str, Any]
LAST_MONTH = date(2026, 10, 31)


def action(used: Any, billed: Any, limits: Limits | None = None, **rule_fields: Any) -> str:
    """What would be done, under a rule that lets both directions through."""
    rule_fields = {"increase": "now", "decrease": "now", **rule_fields}
    return str(world(used, billed, safety=limits, **rule_fields).one_line().action)


@pytest.mark.parametrize(
    ("used", "billed", "limits", "expected"),
    [
        # max_decrease 20% of a line that is not small
        (20, 25, {}, "post"),
        (19, 25, {}, "hold"),
        (4, 5, {}, "post"),
        (3, 5, {}, "hold"),
        (25, 50, {"max_decrease": 50}, "post"),
        (24, 50, {"max_decrease": 50}, "hold"),
        # max_increase 100%
        (10, 5, {}, "post"),
        (11, 5, {}, "hold"),
        (50, 25, {}, "post"),
        (51, 25, {}, "hold"),
        # a line of 4 is small: it is judged by max_step and not by percentages
        (7, 4, {}, "post"),
        (8, 4, {}, "hold"),
        (1, 4, {}, "post"),
        (3, 1, {}, "post"),
        (4, 1, {}, "post"),
        (5, 1, {}, "hold"),
        # a line of 5 is not: percentages again
        (9, 5, {}, "post"),
        (2, 5, {}, "hold"),
        # small_line moves that edge
        (9, 5, {"small_line": 6}, "hold"),
        (2, 5, {"small_line": 6}, "post"),
        ("4.5", "4.9", {}, "post"),
        # exactly at the edge is inside, a hair more is not
        ("20.01", "25", {}, "post"),
        ("19.99", "25", {}, "hold"),
    ],
)
def test_steps(used: Any, billed: Any, limits: Limits, expected: str) -> None:
    assert action(used, billed, {name: units(value) for name, value in limits.items()}) == expected


@pytest.mark.parametrize(
    ("used", "billed", "to_zero", "expected"),
    [
        (0, 1, "hold", "hold"),
        (0, 4, "hold", "hold"),
        (0, 25, "hold", "hold"),
        (0, 4, "settle", "post"),
        (0, 25, "settle", "post"),  # said in so many words, so it is no decrease of 100%
        (1, 25, "settle", "hold"),  # not zero: the percentages hold
        (1, 4, "hold", "post"),
    ],
)
def test_to_zero(used: int, billed: int, to_zero: str, expected: str) -> None:
    assert action(used, billed, {"to_zero": to_zero}) == expected


def test_to_zero_settle_still_settles() -> None:
    assert action(0, 4, {"to_zero": "settle", "settle": 2}) == "settle"


@pytest.mark.parametrize("billed", [4, 25])
@pytest.mark.parametrize(("to_zero", "expected"), [("hold", "hold"), ("settle", "post")])
def test_a_customer_gone(billed: int, to_zero: str, expected: str) -> None:
    found = world(0, billed, decrease="now", safety={"to_zero": to_zero})
    other = RemoteCustomer("t2", "Somebody")  # still there, so that the source itself is believed
    found = found.but(listed={**found.listed, "m365": (other,)}, readings={})
    found = found.remembering(customers=known(t1={}))

    made = found.one_line()

    assert (made.states["used"], made.action) == (State.GONE, expected)


def test_gone_follows_the_rules_own_word_on_decreases() -> None:
    found = world(0, 4, decrease="ignore", safety={"to_zero": "settle"})
    found = found.but(listed={**found.listed, "m365": ()}, readings={}).remembering(customers=known(t1={}))

    assert found.one_line().action == "ignore"


@pytest.mark.parametrize(
    ("before", "now", "limit", "held"),
    [
        (100, 75, 25, False),  # exactly 25% is not further
        (100, "74.99", 25, True),
        (100, 74, 25, True),
        (100, 76, 25, False),
        (100, 100, 25, False),
        (100, 500, 25, False),
        (100, 0, 25, True),
        (100, 50, 50, False),
        (100, 49, 50, True),
        (3, 2, 25, True),
        (0, 0, 25, False),
    ],
)
@pytest.mark.parametrize("rises", [True, False])
def test_a_source_that_fell_too_far_posts_nothing(before: Any, now: Any, limit: int, held: bool, rises: bool) -> None:
    billed = units(now) - 1 if rises and units(now) >= 1 else units(now) + 1
    found = world(now, billed, decrease="now", safety={"source_drop": units(limit)})
    found = found.safer(max_decrease=units(1000), max_increase=units(1000), max_step=units(1000), to_zero="settle")
    found = found.remembering(customers=known(t1={"assigned": before}))
    made = found.one_line()

    assert ("source_drop" in made.reason) is held
    assert made.action == ("hold" if held else "post")


def test_a_source_falls_by_its_mapped_customers_together() -> None:
    found = world(27, 25)
    shown = (*(found.listed["m365"] or ()), RemoteCustomer("t2", "Unmapped"))
    found = found.but(listed={**found.listed, "m365": shown})

    assert found.remembering(customers=known(t1={"assigned": 27}, t2={"assigned": 900})).one_line().action == "post"
    assert found.remembering(customers=known(t1={"assigned": 900}, t2={"assigned": 1})).one_line().action == "hold"


def test_a_tenant_that_could_not_be_read_is_no_fall() -> None:
    found = world(State.UNKNOWN, 25).remembering(customers=known(t1={"assigned": 900}))

    assert found.plan().suspects == {}
    assert found.one_line().action == "blocked"


def test_free_products_are_no_part_of_a_sources_total() -> None:
    found = world().but(readings=reads(reading("t1", count("SPB", 27), count("FLOW_FREE", 9000, free=True))))

    assert found.remembering(customers=known(t1={"assigned": 27})).plan().suspects == {}
    assert found.remembering(customers=known(t1={"assigned": 9000})).plan().suspects != {}


@pytest.mark.parametrize(("word", "expected"), [("now", "post"), ("hold", "hold"), ("ignore", "ignore")])
def test_increase_and_decrease(word: str, expected: str) -> None:
    assert action(26, 25, increase=word) == expected
    assert action(24, 25, decrease=word) == expected


def test_the_defaults_post_increases_and_hold_decreases() -> None:
    assert world(26, 25).one_line().action == "post"
    assert world(24, 25).one_line().action == "hold"


@pytest.mark.parametrize(("used", "word"), [(26, "increase"), (24, "decrease")])
def test_next_period_waits_for_the_first_day_of_the_next_one(used: int, word: str) -> None:
    words: dict[str, Any] = {word: "next-period"}
    found = world(used, 25, **words)
    seen = found.one_line()

    assert (seen.action, "2026-12-01" in seen.reason) == ("defer", True)
    assert seen.sighting is not None
    november, december = (
        NOW + timedelta(days=10, hours=13),
        NOW + timedelta(days=10, hours=14),
    )  # either side of midnight
    remembered = found.remembering(sightings={seen.id: seen.sighting})
    assert remembered.one_line(november).action == "defer"
    remembered = remembered.but(billings=(billing(line(25), agreements=None),))
    assert _in_december(remembered, december) == "post"


def _in_december(found: World, now: Any) -> str:
    return str(found.but(billings=(billing(line(25), agreements=(agreement(period=DECEMBER),)),)).one_line(now).action)


def test_next_period_is_held_where_a_guard_says_so() -> None:
    assert action(5, 25, decrease="next-period") == "hold"


@pytest.mark.parametrize(
    ("tolerance", "used", "expected"),
    [
        (2, 27, "none"), (2, 28, "post"), (2, 23, "none"), (2, 22, "post"), ("0.5", "25.5", "none"),
        ("0.5", "25.6", "post"),
        ("8%", 27, "none"), ("8%", "27.01", "post"), ("8%", 23, "none"), (0, 25, "none"), (0, "25.01", "post"),
    ],
)  # fmt: skip
def test_tolerance(tolerance: Any, used: Any, expected: str) -> None:
    assert action(used, 25, tolerance=tolerance) == expected


def test_a_percentage_of_nothing_tolerates_nothing() -> None:
    assert action(1, 0, tolerance="50%") == "post"


@pytest.mark.parametrize(
    ("settle", "looks", "counting", "expected"),
    [
        (1, 0, True, "post"), (1, 0, False, "post"),
        (2, 0, True, "settle"), (2, 1, True, "post"), (2, 0, False, "settle"), (2, 1, False, "settle"),
        (2, 2, False, "post"), (3, 1, True, "settle"), (3, 2, True, "post"), (3, 2, False, "settle"),
        (3, 3, False, "post"),
    ],
)  # fmt: skip
def test_a_difference_settles_in_cycles_and_a_plan_is_none(
    settle: int, looks: int, counting: bool, expected: str
) -> None:
    found = world(safety={"settle": settle})
    for _ in range(looks):
        seen = found.one_line()
        assert seen.sighting is not None
        found = found.remembering(sightings={seen.id: seen.sighting})

    made = found.one_line(counting=counting)

    assert made.action == expected
    assert (made.sighting is not None) is counting


def test_a_moved_difference_settles_anew() -> None:
    found = world(27, 25, safety={"settle": 2})
    seen = found.one_line()
    assert seen.sighting is not None
    found = world(28, 25, safety={"settle": 2}).remembering(sightings={seen.id: seen.sighting})

    assert found.one_line().action == "settle"


def test_sightings_stop_counting_when_settled() -> None:
    first = sight(None, "f", TODAY, 2)
    second = sight(first, "f", TODAY + timedelta(days=1), 2)

    assert (first.times, second.times) == (1, 2)
    assert sight(second, "f", TODAY + timedelta(days=9), 2) == second
    assert second.since == TODAY
    assert sight(second, "other", TODAY + timedelta(days=9), 2) == Sighting("other", 1, TODAY + timedelta(days=9))


# decrease = "term"


@pytest.mark.parametrize(
    ("target", "billed", "terms", "wanted", "until"),
    [
        (20, 25, [(25, 30)], 25, 31),  # all committed
        (20, 25, [(22, 30)], 22, 31),  # some of it
        (20, 25, [(20, 30)], 20, None),
        (20, 25, [(40, 30)], 25, 31),  # never more than is billed
        (20, 25, [], 20, None),
        (20, 25, [(25, 20)], 25, 21),  # today is its last day: it counts
        (20, 25, [(25, 19)], 20, None),  # it ended yesterday
        (20, 25, [(10, 25), (15, 30)], 25, 26),  # the first that ends
        (20, 25, [(5, 19), (22, 30)], 22, 31),
    ],
)
def test_what_a_commitment_holds_back(
    target: int, billed: int, terms: list[tuple[int, int]], wanted: int, until: int | None
) -> None:
    running = [Term(units(quantity), date(2026, 11, day)) for quantity, day in terms]
    expected = None if until is None else date(2026, 11, 1) + timedelta(days=until - 1)

    assert held_back(units(target), units(billed), running, TODAY) == (units(wanted), expected)


def term_world(used: int, committed: int, last: date, **safety: Any) -> World:
    return world(
        used, 25, bought=25, bought_terms=(Term(units(committed), last),), decrease="term", safety=safety
    )  # fmt: skip


def test_term_defers_and_names_the_day() -> None:
    made = term_world(22, 25, date(2026, 12, 31)).one_line()

    assert told(made.action, made.difference) == ("defer", -3)
    assert "2026-12-31" in made.reason
    assert "overbilling" in made.findings
    assert not made.effects


def test_term_lets_through_what_is_not_committed() -> None:
    made = term_world(22, 24, date(2026, 12, 31)).one_line()

    assert made.action == "post"
    assert [effect.to for effect in made.effects] == [24]
    assert told(made.target, made.difference) == (22, -3)  # what differs is not what may be done about it
    assert "2026-12-31" in made.reason


def test_term_over_is_a_decrease_like_any() -> None:
    assert term_world(22, 25, date(2026, 11, 19)).one_line().action == "post"
    assert term_world(10, 25, date(2026, 11, 19)).one_line().action == "hold"


@pytest.mark.parametrize(
    ("bought", "expected"),
    [(State.UNKNOWN, "blocked"), (State.PARTIAL, "blocked"), (State.GONE, "hold"), (None, "hold")],
)
def test_term_without_a_known_commitment(bought: State | None, expected: str) -> None:
    """INTERFACE 1: only known numbers move money, the others block their lines; what a fall rests on is such one."""
    assert world(22, 25, bought=bought, decrease="term").one_line().action == expected
    assert world(26, 25, bought=bought, decrease="term").one_line().action == "post"  # a rise does not rest on it


def test_term_from_a_source_that_fell_too_far_is_held() -> None:
    """Half of the commitments are missing: nothing that they held back may fall."""
    found = world(22, 25, bought=5, decrease="term").remembering(customers=known("pax8", x1={"quantity": 25}))

    assert found.one_line().action == "hold"
    assert world(26, 25, bought=5, decrease="term").but(past=found.past).one_line().action == "post"


def test_the_reason_names_the_rules_word_or_the_limit() -> None:
    assert world(26, 25).one_line().reason == "increase is now"
    assert "max_decrease" in world(10, 25, decrease="now").one_line().reason
    assert "max_step" in world(9, 4).one_line().reason
    assert "zero" in world(0, 4, decrease="now").one_line().reason
    assert "settle" in str(world(26, 25, safety={"settle": 3}).one_line().action)
    assert "1 of 3" in world(26, 25, safety={"settle": 3}).one_line().reason


def test_an_alert_rule_never_posts() -> None:
    made = world(27, 25, true_up="alert").one_line()

    assert told(made.action, made.effects, made.difference) == ("alert", (), 2)
    assert "leakage" in made.findings


@pytest.mark.parametrize("used", [26, 24])
def test_what_the_connection_cannot_post_is_blocked(used: int) -> None:
    made = world(used, 25, decrease="now").but(operations=frozenset()).one_line()

    assert made.action == "blocked"
    assert "set quantity" in made.reason


def test_what_the_vendor_would_refuse_is_blocked_with_its_words() -> None:
    found = world(26, 25).but(
        refusal=lambda posting, seen, products, when: f"agreement {posting.agreement_id} is closed"
    )

    assert (found.one_line().action, found.one_line().reason) == ("blocked", "agreement a1 is closed")
    assert replace(found).but(rules=world(increase="ignore").rules).one_line().action == "ignore"


def test_a_rival_writer_is_named() -> None:
    made = world(26, 25).but(products=(product(rival="Pax8 sync"),)).one_line()

    assert "rival writer: Pax8 sync" in made.findings
