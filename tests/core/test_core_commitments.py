"""`decrease = "term"`: which seats wait until when and at what cost, what may be given back, and the paid grace."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from core_kit import QUANTITY, TODAY, World, count, reading, reads, told, units, world

from syncd.core import commitments
from syncd.core.episodes import Condition
from syncd.core.episodes_found import conditions
from syncd.core.evidence import keep_reading
from syncd.core.resolve import ReadError
from syncd.model import State, Term

YEAR_END = date(2026, 12, 31)
WINDOW = datetime(2026, 11, 24, 20, 39, 17, tzinfo=UTC)


def term(quantity: int, last: date = YEAR_END, cost: str | None = None, **fields: Any) -> Term:
    known = {"unit_cost": Decimal(cost), "currency": "USD"} if cost else {}
    return Term(units(quantity), last, **{**known, **fields})


def bound(used: int, *terms: Term, bought: int = 25, **fields: Any) -> World:
    """25 billed under `decrease = "term"`, so many bought under these commitments."""
    return world(used, 25, bought=bought, bought_terms=terms, decrease="term", **fields)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({}, "3 wait until 2026-12-31, cost unknown"),
        ({"cost": "22.00"}, "3 wait until 2026-12-31, 22.00 USD each a month, 132.00 USD for 2 periods"),
        ({"cost": "0.0385"}, "3 wait until 2026-12-31, 0.0385 USD each a month, 0.23 USD for 2 periods"),
        ({"cost": "264", "months": 12}, "264.00 USD each a year, 792.00 USD for 1 period"),
        ({"cost": "66", "months": 3}, "66.00 USD each every 3 months, 198.00 USD for 1 period"),
        ({"cost": "22.00", "months": 0}, "3 wait until 2026-12-31, 22.00 USD each a billing period"),
        ({"cost": "22.00", "currency": ""}, "cost unknown"),
        ({"renews": False}, "cost unknown, and do not renew by themselves"),
        ({"renews": True}, "cost unknown, and renew by themselves on 2027-01-01"),
        (
            {"renews": True, "lower_until": date(2027, 1, 7)},
            "and renew by themselves on 2027-01-01, free to be lowered until 2027-01-07",
        ),
    ],
)
def test_the_reason_tells_what_waits_until_when_and_at_what_cost(known: dict[str, Any], sentence: str) -> None:
    made = bound(22, term(25, **known)).one_line()

    assert (made.action, made.effects) == ("defer", ())
    assert made.reason.startswith("decrease is term: committed until 2026-12-31; 3 wait until 2026-12-31, ")
    assert sentence in made.reason
    assert "None" not in made.reason


def test_each_commitment_is_told_for_itself_and_currencies_are_never_added() -> None:
    soon = term(5, date(2026, 12, 10), "26.40")
    later = term(20, YEAR_END, "18.00", currency="EUR")
    made = bound(17, soon, later).one_line()

    assert "5 wait until 2026-12-10, 26.40 USD each a month, 132.00 USD for 1 period" in made.reason
    assert "3 wait until 2026-12-31, 18.00 EUR each a month, 108.00 EUR for 2 periods" in made.reason
    assert "240" not in made.reason


def test_what_is_not_committed_falls_and_the_rest_is_told() -> None:
    made = bound(20, term(22, cost="10.00"), safety={"max_decrease": 50}).one_line()

    assert (made.action, [effect.to for effect in made.effects]) == ("post", [22])
    assert made.reason.endswith(
        "22 are committed until 2026-12-31; 2 wait until 2026-12-31, 10.00 USD each a month, 40.00 USD for 2 periods"
    )


def test_seats_inside_an_open_window_are_not_committed_and_that_is_told() -> None:
    terms = (term(3, free_until=WINDOW), term(22))
    made = bound(22, *terms).one_line()

    assert made.action == "post"
    assert [effect.to for effect in made.effects] == [22]
    assert "3 of the bought may be given back free until 2026-11-24 20:39 UTC" in made.reason
    assert "then they are committed until 2026-12-31" in made.reason
    assert "wait" not in made.reason
    assert "given back" not in bound(26, *terms).one_line().reason  # nothing falls: nothing to give back


@pytest.mark.parametrize(
    ("target", "billed", "terms", "expected"),
    [
        (20, 25, [(25, 30)], [(5, 30)]),
        (20, 25, [(10, 25), (15, 30)], [(5, 25)]),
        (20, 25, [(10, 25), (30, 30)], [(5, 30)]),  # the first end frees nothing: more is bought than billed
        (20, 25, [(30, 30), (10, 25)], [(5, 30)]),
        (0, 25, [(5, 25), (12, 28), (8, 30)], [(5, 25), (12, 28), (8, 30)]),
        (24, 25, [(5, 25), (12, 28), (8, 30)], [(1, 25)]),
        (20, 25, [(25, 19)], []),  # it ended yesterday
        (20, 25, [(25, 20)], [(5, 20)]),  # its last day
        (20, 25, [(18, 30)], []),
    ],
)
def test_which_seats_wait_for_which_commitment(
    target: int, billed: int, terms: Sequence[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    given = [Term(units(quantity), date(2026, 11, day)) for quantity, day in terms]
    found = commitments.waits(units(target), units(billed), given, TODAY)

    assert [(one.seats, one.term.last.day) for one in found] == expected


@pytest.mark.parametrize(
    ("last", "months", "left"),
    [
        (date(2026, 11, 20), 1, 1),  # it ends today: the period that runs
        (date(2026, 12, 19), 1, 1),
        (date(2026, 12, 20), 1, 2),
        (date(2027, 1, 30), 1, 3),  # periods of a 31st: 30 January, 30 December, 30 November
        (date(2027, 11, 20), 12, 2),
        (date(2029, 11, 19), 36, 1),
        (date(2027, 2, 27), 1, 4),
    ],
)
def test_periods_are_counted_back_from_the_end(last: date, months: int, left: int) -> None:
    assert commitments.periods_left(term(1, last, months=months), TODAY) == left


GRACE = {"last": date(2026, 11, 10), "renews": False}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (GRACE, True),
        ({**GRACE, "last": TODAY}, False),  # its last day counts
        ({**GRACE, "renews": True}, False),  # its renewal is not shown yet
        ({**GRACE, "renews": None}, False),
    ],
)
def test_a_commitment_that_is_over_and_billed_on_is_a_finding(fields: dict[str, Any], found: bool) -> None:
    made = world(25, 25, bought=25, bought_terms=(term(4, cost="22.00", **fields),)).one_line()

    assert ("paid grace" in made.findings) is found
    assert made.action == "none"


def test_paid_grace_holds_nothing_back() -> None:
    assert bound(22, term(25, **GRACE)).one_line().action == "post"


def test_paid_grace_of_what_could_not_be_read_is_not_told() -> None:
    made = world(25, 25, bought=State.PARTIAL, bought_terms=(term(4, **GRACE),)).one_line()
    assert "paid grace" not in made.findings


def _told(found: World) -> dict[str, Condition]:
    return {one.key.partition(":")[0]: one for one in conditions(found.plan(), (), (), {}).found}


def test_paid_grace_is_told_as_a_renewal_with_its_money() -> None:
    found = world(25, 25, bought=25, bought_terms=(term(4, cost="22.00", **GRACE),))
    one = _told(found)["grace"]

    assert one.kinds == ("renewal",)
    assert one.what == (
        "Contoso / Premium: 4 in paid grace at pax8, their commitment ended on 2026-11-10, 88.00 USD a period"
    )
    assert told(one.size, one.money, one.currency, one.connections) == (4, 88, "USD", ("pax8",))
    assert "grace" not in _told(world(25, 25, bought=25, bought_terms=(term(25),)))


def test_paid_grace_is_not_over_while_its_source_fails() -> None:
    standing = world(25, 25, bought=25, bought_terms=(term(4, **GRACE),))
    said = _told(standing)["grace"]
    failing = standing.but(
        readings={**standing.readings, "pax8": (reading("x1", query=QUANTITY, state=State.UNKNOWN),)}
    )
    lost = failing.but(errors=(ReadError("pax8", "Contoso", "unavailable", "no answer"),))

    assert conditions(lost.plan(), (), (), {}).blind(said)
    assert not conditions(world(25, 25, bought=25).plan(), (), (), {}).blind(said)


def test_terms_are_kept_as_ever_and_what_else_is_known_follows() -> None:
    known = term(5, cost="22.00", renews=True, free_until=WINDOW, lower_until=date(2027, 1, 7))
    given = reading("x1", count("SPB", 25, terms=(term(20), known)), query=QUANTITY)
    _, kept = keep_reading("pax8", given, subjects="names", salt="", names=False)

    assert json.loads(kept.body)["counts"][0]["terms"] == [
        ["20", "2026-12-31"],
        [
            "5",
            "2026-12-31",
            {
                "unit_cost": "22", "currency": "USD", "months": 1, "renews": True,
                "free_until": "2026-11-24T20:39:17+00:00", "lower_until": "2027-01-07",
            },
        ],
    ]  # fmt: skip


def test_several_bought_parts_bring_all_their_terms() -> None:
    found = bound(22, term(10))
    more = reading("x1", count("SPB", 10, terms=(term(10),)), count("SPB-X", 15, aliases=("SPB",)), query=QUANTITY)
    found = found.but(readings={**found.readings, **reads(more, source="pax8")})
    assert found.one_line().action == "post"
