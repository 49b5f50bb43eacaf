"""The price models against published definitions, and what must hold for every price and quantity."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.pricing import (
    Commit,
    Graduated,
    Model,
    Package,
    Price,
    Priced,
    Tier,
    Unit,
    Unpriced,
    Volume,
    amount_of,
    bounds,
    shown,
)
from syncd.money import minor_digits

D = Decimal


def tiers(*rows: tuple[str | None, str] | tuple[str | None, str, str]) -> tuple[Tier, ...]:
    return tuple(
        Tier(D(up_to) if up_to else None, D(unit), D(flat[0]) if flat else D(0)) for up_to, unit, *flat in rows
    )


# docs.stripe.com/subscriptions/pricing-models/tiered-pricing
FONTS = tiers(("5", "7"), ("10", "6.5"), (None, "6"))
# stripe.com/docs/billing/subscriptions/tiers (an older page of the same vendor)
FIVES = tiers(("5", "5"), ("10", "4"), ("15", "3"), ("20", "2"), (None, "1"))
# getlago.com/docs/guide/plans/charges/charge-models/volume
LAGO = tiers(
    ("10000", "0.0010", "10"), ("50000", "0.0008", "10"), ("100000", "0.0006", "10"), (None, "0.0004", "10")
)  # fmt: skip
# zuplo.com/docs/articles/monetization/pricing-models
ZUPLO = tiers(("1000", "0.10"), ("10000", "0.05"), (None, "0.01"))
# docs.useautumn.com/documentation/modelling-pricing/graduated-pricing
AUTUMN = tiers(("1000", "0.01"), ("10000", "0.008"), (None, "0.005"))
# INTERFACE 3.3
HOUSE = tiers(("10", "12.00", "20.00"), ("50", "10.50"), (None, "9.00"))

PUBLISHED = [
    (Volume(FONTS), "1", "7.00"),
    (Volume(FONTS), "5", "35.00"),
    (Volume(FONTS), "6", "39.00"),
    (Volume(FONTS), "20", "120.00"),
    (Volume(FONTS), "25", "150.00"),
    (Volume(FIVES), "5", "25.00"),
    (Volume(FIVES), "6", "24.00"),
    (Volume(FIVES), "20", "40.00"),
    (Volume(FIVES), "25", "25.00"),
    (Graduated(FIVES), "6", "29.00"),
    (Graduated(FONTS), "5", "35.00"),
    (Volume(LAGO), "65000", "49.00"),
    (Graduated(ZUPLO), "15000", "600.00"),
    (Volume(ZUPLO), "15000", "150.00"),
    (Graduated(AUTUMN), "15000", "107.00"),
    (Unit(D("0.001")), "100000", "100.00"),
]
OURS = [
    (Graduated(HOUSE), "0", "20.00"),  # the first tier's flat fee is charged always
    (Graduated(HOUSE), "10", "140.00"),  # up_to is inclusive
    (Graduated(HOUSE), "11", "150.50"),
    (Graduated(HOUSE), "27", "318.50"),
    (Graduated(HOUSE), "51", "569.00"),
    (Graduated(tiers(("10", "1"), (None, "1", "5"))), "10", "10.00"),  # a later flat fee: once the tier is entered
    (Graduated(tiers(("10", "1"), (None, "1", "5"))), "10.01", "15.01"),
    (Volume(HOUSE), "0", "20.00"),
    (Volume(HOUSE), "10", "140.00"),
    (Volume(HOUSE), "11", "115.50"),
    (Package(D(10), D(99)), "0", "0.00"),
    (Package(D(10), D(99)), "1", "99.00"),
    (Package(D(10), D(99)), "10", "99.00"),
    (Package(D(10), D(99)), "10.0001", "198.00"),
    (Commit(D(50), D(10), D(14)), "0", "500.00"),
    (Commit(D(50), D(10), D(14)), "50", "500.00"),
    (Commit(D(50), D(10), D(14)), "53", "542.00"),
    (Unit(D("12")), "2.5", "30.00"),
    (Unit(D("0.005")), "1", "0.00"),  # half-even: to the even cent
    (Unit(D("0.015")), "1", "0.02"),
    (Unit(D("10.005")), "1", "10.00"),
]


def cost_of(model: Model, quantity: str, currency: str = "USD") -> Priced:
    return amount_of(Price(model), D(quantity), currency)


@pytest.mark.parametrize(("model", "quantity", "amount"), PUBLISHED + OURS)
def test_a_quantity_costs_what_the_definition_says(model: Model, quantity: str, amount: str) -> None:
    assert cost_of(model, quantity).amount == D(amount)


def test_every_step_is_told_and_they_sum_to_the_amount() -> None:
    priced = cost_of(Graduated(HOUSE), "27")
    assert [(step.text, shown(step.amount, "USD")) for step in priced.steps] == [
        ("10 × 12.00", "120.00"),
        ("flat fee of tier 1", "20.00"),
        ("17 × 10.50", "178.50"),
    ]


@pytest.mark.parametrize(
    ("price", "amount", "last"),
    [
        (Price(Unit(D(3)), minimum=D(50)), "50.00", "at least 50.00"),
        (Price(Unit(D(300)), maximum=D(50)), "50.00", "at most 50.00"),
        (Price(Unit(D("0.333")), minimum=D("1")), "3.33", "10 × 0.333"),
        (Price(Unit(D("0.3333"))), "3.33", "rounded half-even"),
    ],
)
def test_floors_caps_and_the_rounding_are_steps_too(price: Price, amount: str, last: str) -> None:
    priced = amount_of(price, D(10), "USD")
    assert (priced.amount, priced.steps[-1].text) == (D(amount), last)


def test_a_markup_prices_by_the_vendors_cost() -> None:
    price = Price(Unit(None), markup=D(15))
    assert amount_of(price, D(27), "USD", cost=D("18.70")).amount == D("580.64")  # 27 × 21.505 = 580.635, to even
    with pytest.raises(Unpriced, match="cost is not known"):
        amount_of(price, D(27), "USD")


def test_a_quantity_without_a_price_is_told_not_guessed() -> None:
    with pytest.raises(Unpriced, match=r"beyond the last tier \(up_to 10\): add a tier"):
        cost_of(Graduated(tiers(("5", "2"), ("10", "1"))), "11")
    with pytest.raises(Unpriced, match="credit"):
        cost_of(Unit(D(1)), "-1")


@pytest.mark.parametrize(("currency", "text"), [("USD", "12.00"), ("JPY", "12"), ("KWD", "12.000")])
def test_money_shows_its_minor_units(currency: str, text: str) -> None:
    assert shown(D(12), currency) == text
    assert shown(D("0.0008"), "USD") == "0.0008"


def test_bounds_are_where_the_next_unit_costs_something_else() -> None:
    assert bounds(Graduated(HOUSE)) == (D(10), D(50))
    assert bounds(Commit(D(50), D(1), D(2))) == (D(50),)
    assert bounds(Unit(D(1))) == ()


# Properties

RATES = st.decimals(min_value=0, max_value=1000, places=4)
QUANTITIES = st.decimals(min_value=0, max_value=10_000, places=3)


@st.composite
def tierings(draw: st.DrawFn) -> tuple[Tier, ...]:
    ends = sorted(draw(st.sets(st.decimals(min_value=1, max_value=9_000, places=2), max_size=5)))
    return tuple(Tier(end, draw(RATES), draw(RATES)) for end in [*ends, None])


MODELS = st.one_of(
    st.builds(Unit, RATES),
    st.builds(Graduated, tierings()),
    st.builds(Volume, tierings()),
    st.builds(Package, st.decimals(min_value=D("0.5"), max_value=500, places=2), RATES),
    st.builds(Commit, QUANTITIES, RATES, RATES),
)
PRICES = st.builds(Price, MODELS, st.none() | RATES, st.none() | st.decimals(min_value=1000, max_value=9000, places=2))


@given(PRICES, QUANTITIES, st.sampled_from(["USD", "JPY", "KWD"]))
def test_steps_always_sum_to_the_amount_in_whole_minor_units(price: Price, quantity: D, currency: str) -> None:
    priced = amount_of(price, quantity, currency)
    assert sum((step.amount for step in priced.steps), D(0)) == priced.amount
    assert priced.amount.as_tuple().exponent == -minor_digits(currency)
    assert all(type(step.amount) is D for step in priced.steps)


@given(st.one_of(st.builds(Unit, RATES), st.builds(Graduated, tierings())), QUANTITIES, QUANTITIES)
def test_more_never_costs_less_where_each_unit_has_its_own_price(model: Model, one: D, other: D) -> None:
    low, high = sorted((one, other))
    assert amount_of(Price(model), low, "USD").amount <= amount_of(Price(model), high, "USD").amount


@given(st.builds(Package, st.integers(1, 50).map(D), RATES), QUANTITIES, QUANTITIES)
def test_packages_never_fall_and_cover_the_quantity(model: Package, one: D, other: D) -> None:
    low, high = sorted((one, other))
    assert amount_of(Price(model), low, "USD").amount <= amount_of(Price(model), high, "USD").amount
    packages = (high / model.size).to_integral_value(rounding=ROUND_CEILING)
    assert packages * model.size >= high


@given(tierings(), st.data())
def test_a_graduated_price_jumps_at_a_bound_by_the_next_flat_fee_alone(
    rows: tuple[Tier, ...], data: st.DataObject
) -> None:
    if len(rows) < 2:
        return
    at = data.draw(st.integers(0, len(rows) - 2))
    bound, after = rows[at].up_to, rows[at + 1]
    assert bound is not None
    assert after.unit is not None
    tiny = D("0.000001")

    def exact(quantity: D) -> D:
        steps = amount_of(Price(Graduated(rows)), quantity, "USD").steps
        return sum((step.amount for step in steps if step.text != "rounded half-even"), D(0))

    assert exact(bound + tiny) - exact(bound) == tiny * after.unit + after.flat


@given(tierings(), st.integers(0, 200))
def test_a_graduated_price_is_the_sum_over_single_units(rows: tuple[Tier, ...], count: int) -> None:
    """The definition itself, unit by unit, with whole bounds."""
    whole: list[Tier] = []
    for number, tier in enumerate(rows[:-1], 1):
        whole.append(Tier(D(number * 7), tier.unit, tier.flat))
    whole.append(rows[-1])
    total, entered = whole[0].flat, 0
    for unit in range(1, count + 1):
        place = next(i for i, tier in enumerate(whole) if tier.up_to is None or unit <= tier.up_to)
        if place > entered:
            total += whole[place].flat
            entered = place
        total += whole[place].unit or D(0)
    priced = amount_of(Price(Graduated(tuple(whole))), D(count), "USD")
    assert sum((s.amount for s in priced.steps if s.text != "rounded half-even"), D(0)) == total


@given(PRICES, QUANTITIES)
def test_the_callers_decimal_context_changes_nothing(price: Price, quantity: D) -> None:
    expected = amount_of(price, quantity, "USD")
    context = getcontext().copy()
    try:
        getcontext().prec = 6
        assert amount_of(price, quantity, "USD") == expected
    finally:
        getcontext().prec = context.prec
