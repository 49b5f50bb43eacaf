"""Prices of the rule's own on lines of their own, the vendor's cost behind a markup, and how near a bound is."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import NOW, QUANTITY, World, billing, count, free, line, reading, reads, told, world
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.charge import Cost, charge, least
from syncd.core.episodes_found import conditions
from syncd.core.pricing import Commit, Graduated, Package, Price, Tier, Unit, Unpriced, Volume, amount_of
from syncd.core.quote import quote, quote_json
from syncd.core.thresholds import threshold
from syncd.model import Operation

D = Decimal
TIERS = (Tier(D(10), D(12), D(20)), Tier(D(50), D("10.5")), Tier(None, D(9)))
HOUSE = Price(Graduated(TIERS))


def line_world(used: Any, price: Price, billed: Any = None, **fields: Any) -> World:
    """Contoso with a true-up line of the rule's own price, and no recurring line unless `billed` says so."""
    base = free(used, true_up="line", price=price, **fields)
    return base.but(billings=(billing(*([] if billed is None else [line(billed)])),))


# docs.stripe.com/subscriptions/pricing-models/tiered-pricing: 5 and 6 fonts, graduated and by volume
FONTS = (Tier(D(5), D(7)), Tier(D(10), D("6.5")), Tier(None, D(6)))


@pytest.mark.parametrize(
    ("price", "used", "quantity", "amount", "unit"),
    [
        (Price(Graduated(FONTS)), 6, 6, "41.50", None),
        (Price(Volume(FONTS)), 6, 6, "39.00", "6.50"),
        (Price(Volume(FONTS)), 20, 20, "120.00", "6.00"),
        (HOUSE, 27, 27, "318.50", None),
        (Price(Package(D(10), D(99))), 11, 11, "198.00", "18.00"),
        (Price(Commit(D(50), D(10), D(14))), 53, 53, "542.00", None),
        (Price(Commit(D(50), D(10), D(14))), 12, 50, "500.00", "10.00"),
        (Price(Unit(D("10.005"))), 1, 1, "10.00", "10.00"),
        (Price(Unit(D(3)), minimum=D(50)), 7, 7, "50.00", None),
    ],
)
def test_the_line_carries_the_rules_amount_and_its_steps(
    price: Price, used: int, quantity: int, amount: str, unit: str | None
) -> None:
    found = line_world(used, price).one_line()
    (effect,) = found.effects
    posting = effect.posting
    assert told(posting.quantity, posting.amount, posting.unit_price) == (
        quantity,
        D(amount),
        D(unit) if unit else None,
    )
    assert told(found.amount, found.currency) == (D(amount), "USD")
    assert posting.description.endswith(f": {amount}")
    assert f"{quantity} units; " in posting.description


def test_increments_are_differences_of_whole_prices() -> None:
    book, there = Book(), Psa()
    for used in (9, 11, 51, 60):
        step(line_world(used, HOUSE), book, there)
    assert [one.amount for one in there.done] == [D("128.00"), D("22.50"), D("418.50"), D("81.00")]
    assert sum(one.amount for one in there.done if one.amount) == amount_of(HOUSE, D(60), "USD").amount
    assert "569.00; 150.50 of it charged before" in there.done[2].description


@settings(deadline=None, max_examples=60)  # each example is several cycles
@given(st.lists(st.integers(1, 80), min_size=1, max_size=6))
def test_whatever_comes_the_lines_sum_to_the_price_of_what_was_used(counts: list[int]) -> None:
    book, there = Book(), Psa()
    for used in counts:
        step(line_world(used, HOUSE), book, there)
    signs = {Operation.POST_LINE: 1, Operation.POST_CREDIT: -1}
    assert sum(one.amount * signs[one.operation] for one in there.done if one.amount is not None) == (
        amount_of(HOUSE, D(counts[-1]), "USD").amount
    )


def test_beside_a_recurring_line_only_what_goes_beyond_it_is_charged() -> None:
    found = line_world(27, HOUSE, billed=25).one_line()
    assert told(found.effects[0].posting.quantity, found.effects[0].amount) == (2, D("21.00"))


def test_a_package_that_was_begun_makes_a_line_of_nothing() -> None:
    book, there = Book(), Psa()
    for used in (11, 12):
        step(line_world(used, Price(Package(D(10), D(99)))), book, there)
    assert told(there.done[1].quantity, there.done[1].amount, there.done[1].unit_price) == (1, D("0.00"), D("0.00"))


def test_more_units_for_less_money_is_told_and_not_written() -> None:
    book, there = Book(), Psa()
    step(line_world(10, Price(Volume(TIERS))), book, there)
    found = step(line_world(11, Price(Volume(TIERS))), book, there).lines[0]
    assert told(found.action, found.effects) == ("blocked", ())
    assert "11 units cost 115.50 and 10 cost 140.00" in found.reason
    assert len(there.done) == 1


def test_beyond_the_last_tier_nothing_is_sent() -> None:
    found = line_world(60, Price(Graduated(TIERS[:2]))).one_line()
    assert told(found.action) == ("blocked",)
    assert "beyond the last tier (up_to 50): add a tier" in found.reason


def markup(cost: str | None, **fields: Any) -> World:
    base = world(27, None, bought=30, true_up="line", price=Price(Unit(None), markup=D(15)), **fields)
    if cost is None:
        return base
    unit, _, currency = cost.partition(" ")
    bought = reading("x1", count("SPB", 30, unit_cost=D(unit), currency=currency), query=QUANTITY)
    return base.but(readings={**base.readings, **reads(bought, source="pax8")}, products=base.products)


def test_a_markup_rests_on_what_the_vendor_takes() -> None:
    safety = {"max_increase": D(10**6), "max_amount": D(10**6), "max_step": D(10**6)}
    (effect,) = markup("18.70 USD", safety=safety).one_line().effects
    assert effect.amount == D("580.64")
    unknown = markup(None).one_line()
    assert told(unknown.action) == ("blocked",)
    assert "the cost is not known" in unknown.reason
    euro = markup("18.70 EUR").one_line()
    assert "the vendor's cost is in EUR and the price in USD" in euro.reason


def test_several_costs_are_none() -> None:
    with pytest.raises(Unpriced, match="several"):
        charge(
            Price(Unit(None), markup=D(15)), D(0), D(1), currency="USD", house="USD",
            cost=Cost(problem="the vendor tells several for it: 1 USD and 2 USD"), started=False, used=D(1),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("uses", "amounts", "due", "action"),
    [
        ((0, 3), ["20.00", "36.00"], "56.00", "none"),
        ((0, 1, 2, 5), ["20.00", "24.00", "36.00"], "80.00", "none"),
        ((0, 0, 2), ["20.00", "24.00"], "44.00", "none"),
        ((0, 1), ["20.00"], "32.00", "blocked"),
        ((1, 1), ["32.00"], "32.00", "none"),
        ((1, 5), ["32.00", "48.00"], "80.00", "none"),
    ],
)
def test_a_fee_that_was_due_before_anything_was_used_is_not_the_price_of_a_unit(
    uses: tuple[int, ...], amounts: list[str], due: str, action: str
) -> None:
    book, psa = Book(), Psa()
    for number, used in enumerate(uses):
        base = line_world(used, HOUSE)
        for again in range(2):
            plan = step(base, book, psa, NOW + timedelta(hours=2 * number + again))

    assert [one.amount for one in psa.done] == [D(one) for one in amounts]
    assert plan.lines[0].action == action
    if action == "blocked":
        assert f"20.00 was charged before anything was used, and 1 cost {due}" in plan.lines[0].reason
    else:
        assert sum(D(one) for one in amounts) == amount_of(HOUSE, D(uses[-1]), "USD").amount == D(due)


@pytest.mark.parametrize(
    ("price", "used", "units"),
    [
        (Price(Commit(D(50), D(10), D(14))), 0, 50),
        (Price(Commit(D(50), D(10), D(14))), 51, 51),
        (HOUSE, 0, 1),
        (HOUSE, 3, 3),
        (Price(Unit(D(3)), minimum=D(50)), 0, 1),
        (Price(Unit(D(3))), 0, 0),
        (Price(Package(D(10), D(99))), 0, 0),
    ],
)
def test_what_is_charged_without_any_use(price: Price, used: int, units: int) -> None:
    assert least(price, D(used), "USD", None) == units


# How near


@pytest.mark.parametrize(
    ("quantity", "before", "percent", "bound"),
    [
        ("7", None, None, None),
        ("8", None, "80", "10"),  # exactly 80%
        ("10", None, "100", "10"),  # reached, and still inside: up_to is inclusive
        ("11", "8", "100", "10"),  # passed since it was billed last
        ("11", "10", "100", "10"),
        ("11", "11", None, None),  # billed already: no news
        ("11", None, None, None),
        ("40", "11", "80", "50"),
        ("60", "40", "100", "50"),
        ("60", "9", "100", "50"),  # past two: the higher one is told
        ("60", "60", None, None),
    ],
)
def test_the_next_bound_is_told_when_enough_of_it_is_reached(
    quantity: str, before: str | None, percent: str | None, bound: str | None
) -> None:
    found = threshold(HOUSE, (D(80), D(100)), D(quantity), D(before) if before else None)
    assert (found and (found.percent, found.bound)) == ((D(percent), D(bound)) if percent and bound else None)


def test_a_threshold_is_a_finding_and_a_condition_of_its_own() -> None:
    near = line_world(42, HOUSE, notify=(D(80), D(100)))
    plan = near.plan()
    (line,) = plan.lines
    assert "threshold 80% of 50" in line.findings
    found = [one for one in conditions(plan, (), (), {"Contoso": ("pilot",)}).found if one.kind == "threshold"]
    (one,) = found
    assert one.what == "Contoso / Premium: 42, 84% of the 50 after which the price changes"
    assert told(one.size, one.customers, one.tags) == (80, ("Contoso",), ("pilot",))
    assert not [one for one in conditions(line_world(30, HOUSE, notify=(D(80),)).plan(), (), (), {}).found
                if one.kind == "threshold"]  # fmt: skip


def test_a_rule_that_keeps_a_recurring_quantity_tells_its_difference_at_its_own_price() -> None:
    found = free(27, price=HOUSE).one_line(NOW)
    assert told(found.effects[0].posting.operation, found.amount) == ("set_quantity", D("21.00"))


# What a count would cost


def test_a_quote_says_every_step_from_the_count_to_the_last_cent() -> None:
    ruled = free(27, included=10, rounding="up", to=5, price=Price(Unit(D("1.001")))).rules[0]
    made = quote_json(quote(ruled, D(27), "USD"))
    assert made["steps"] == [
        {"text": "less 10 included: 17", "amount": "0.00"},
        {"text": "rounded up to a multiple of 5: 20", "amount": "0.00"},
        {"text": "20 × 1.001", "amount": "20.02"},
    ]
    assert (made["quantity"], made["amount"], made["currency"]) == ("27", "20.02", "USD")
    with pytest.raises(Unpriced, match="no price: the billing system owns it"):
        quote(free(27).rules[0], D(27), "USD")


@given(st.decimals(min_value=0, max_value=10**6, places=4), st.sampled_from(["USD", "JPY", "KWD"]))
def test_the_steps_of_a_quote_sum_to_its_amount(quantity: Decimal, currency: str) -> None:
    ruled = free(27, included=3, price=HOUSE).rules[0]
    made = quote_json(quote(ruled, quantity, currency))
    assert sum(D(one["amount"]) for one in made["steps"]) == D(made["amount"])
