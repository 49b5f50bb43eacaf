"""Findings in money: at which price or cost, and when they stay without any."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_kit import QUANTITY, World, agreement, billing, count, line, product, reading, units, world

from syncd.cli.tables import closing_line
from syncd.core.shown import line_json
from syncd.web import show


def with_costs(used: int, bought: int, *costs: tuple[int, str | None, str], **fields: Any) -> World:
    """So much used and bought, in parts with these unit costs: (quantity, cost, currency)."""
    found = world(used, fields.pop("billed", used), bought=bought, **fields)
    parts = [
        count(f"SPB{number}", quantity, aliases=("SPB",), unit_cost=Decimal(cost) if cost else None, currency=currency)
        for number, (quantity, cost, currency) in enumerate(costs)
    ]
    return found.but(readings={**found.readings, "pax8": (reading("x1", *parts, query=QUANTITY),)})


def worth(found: World) -> dict[str, Any]:
    shown: dict[str, Any] = line_json(found.one_line())["worth"]
    return shown


UNKNOWN = {"amount": None, "currency": None, "from": None}


@pytest.mark.parametrize(
    ("used", "name", "amount"), [(27, "shelfware", "66.00"), (33, "unlicensed", "66.00"), (29, "shelfware", "22.00")]
)
def test_bought_and_used_differ_at_the_cost_where_it_is_bought(used: int, name: str, amount: str) -> None:
    assert worth(with_costs(used, 30, (30, "22.00", "USD"))) == {
        name: {"amount": amount, "currency": "USD", "from": "pax8"}
    }


@pytest.mark.parametrize(
    "costs",
    [
        [(30, None, "")],
        [(20, "22.00", "USD"), (10, "26.40", "USD")],  # which of them are not used, nobody knows
        [(20, "22.00", "USD"), (10, "22.00", "CAD")],
        [(20, "22.00", "USD"), (10, None, "")],
        [(30, "22.00", "")],
    ],
)
def test_a_cost_that_is_not_one_known_number_stays_unknown_and_is_never_zero(costs: list[tuple[int, str, str]]) -> None:
    found = with_costs(27, 30, *costs)
    assert "shelfware" in found.one_line().findings
    assert worth(found) == {"shelfware": UNKNOWN}


def test_equal_costs_of_several_parts_are_one_and_empty_parts_say_nothing() -> None:
    found = with_costs(27, 30, (20, "22.00", "USD"), (10, "22.0", "USD"), (0, "99.00", "CAD"))
    assert worth(found)["shelfware"]["amount"] == "66.00"


@pytest.mark.parametrize(("kept", "amount"), [("16.50", "49.50"), ("0", None), (None, None)])
def test_the_billing_systems_own_cost_stands_in_and_its_zero_does_not(kept: str | None, amount: str | None) -> None:
    cost = units(kept) if kept is not None else None
    found = with_costs(27, 30, (30, None, "")).but(billings=(billing(line(27, unit_cost=cost)),))
    assert worth(found)["shelfware"]["amount"] == amount
    assert worth(found)["shelfware"]["from"] == ("cw" if amount else None)


def test_a_cost_is_in_the_currency_of_the_agreement() -> None:
    agreements = (agreement(currency="EUR"),)
    found = with_costs(27, 30, (30, None, "")).but(
        billings=(billing(line(27, unit_cost=units("16.50")), agreements=agreements),)
    )
    assert worth(found)["shelfware"] == {"amount": "49.50", "currency": "EUR", "from": "cw"}


def test_the_catalogue_tells_the_cost_where_there_is_no_line() -> None:
    found = with_costs(27, 30, (30, None, ""), create=True).but(
        billings=(billing(),), products=(product(unit_price=units(20), unit_cost=units(15)),)
    )
    assert worth(found)["shelfware"] == {"amount": "45.00", "currency": "USD", "from": "cw"}


def test_a_factor_makes_the_vendors_cost_one_of_another_unit() -> None:
    found = with_costs(27, 30, (30, "22.00", "USD"))
    rule = found.rules[0]
    assert rule.bought is not None
    half = replace(rule, bought=replace(rule.bought, factor=Decimal(2)))
    assert worth(found.but(rules=(half,)))["shelfware"] == UNKNOWN


@pytest.mark.parametrize(
    ("billed", "fields", "name", "action"),
    [
        (25, {}, "leakage", "post"),
        (29, {"decrease": "now"}, "overbilling", "post"),
        (29, {"decrease": "hold"}, "overbilling", "hold"),
        (25, {"true_up": "alert"}, "leakage", "alert"),  # no posting would be made, the line's price is known
    ],
)
def test_leakage_and_overbilling_are_worth_the_difference(
    billed: int, fields: dict[str, Any], name: str, action: str
) -> None:
    made = world(27, billed, **fields).one_line()
    assert made.action == action
    assert line_json(made)["worth"] == {name: {"amount": "40.00", "currency": "USD", "from": "cw"}}


def test_a_difference_without_a_price_has_no_money() -> None:
    found = world(27, 25).but(billings=(billing(line(25, unit_price=None)),))
    assert worth(found) == {"leakage": UNKNOWN}
    assert "period)" not in closing_line(found.plan())


def _two_currencies() -> Any:
    made = with_costs(27, 30, (30, "22.00", "USD")).plan()
    euros = with_costs(27, 30, (30, "18.00", "EUR")).plan()
    untold = with_costs(27, 30, (30, None, "")).plan()
    return replace(made, lines=(*made.lines, *euros.lines, *untold.lines))


def test_sums_keep_currencies_apart_and_say_what_has_no_price() -> None:
    plan = _two_currencies()
    assert "3 with shelfware (54.00 EUR + 66.00 USD a period)" in closing_line(plan)

    (found,) = show.findings_of(plan.lines)
    assert (found.name, found.count, found.money) == ("shelfware", 3, ("54.00 EUR", "66.00 USD"))
    assert show.sum_of(plan.lines, "shelfware").unpriced == 1


def test_the_table_and_the_page_tell_the_money_beside_the_finding() -> None:
    priced, _, untold = _two_currencies().lines
    assert show.row(priced).findings == (("shelfware", "shelfware 66.00 USD"),)
    assert show.row(untold).findings == (("shelfware", "shelfware"),)


def test_the_closing_line_tells_what_can_be_approved_from_what_a_person_must_mend() -> None:
    plan = world(29, 25, increase="hold").plan()
    assert "; 1 held for a person. " in closing_line(plan)

    (line,) = plan.lines
    assert "; 1 to mend by hand. " in closing_line(replace(plan, lines=(replace(line, effects=()),)))
