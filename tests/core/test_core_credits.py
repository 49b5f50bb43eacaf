"""A fall takes back what was charged, not what it would cost today: no money is left at no units, and none is owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from core_book import Book, Psa, step
from core_kit import NOW, World, agreement, count, free, line, product, reading, reads, units, using
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.pricing import Graduated, Price, Tier, Unit

D = Decimal
OWN_PRICE = Price(Unit(D(10)))


def after(psa: Psa, *worlds: World) -> tuple[Decimal, Decimal | None, list[Decimal | None]]:
    """What stands once each of these was seen: units, money, and the amounts of the postings."""
    book = Book()
    for number, world in enumerate(worlds):
        step(world, book, psa, NOW + timedelta(hours=number))
    [history] = book.past().lines.values()
    return history.own_quantity, history.own_amount, [one.amount for one in psa.done]


def company() -> Psa:
    return Psa(agreements=(agreement(),))


def at(price: str, used: int) -> World:
    """At a price of the billing system's own catalogue."""
    return using(free(1, true_up="line"), used).but(products=(product(unit_price=units(price)),))


def ruled(price: str, used: int) -> World:
    """At a price of the rule's own."""
    return free(used, true_up="line", price=Price(Unit(D(price))))


def marked_up(cost: str, used: int) -> World:
    """At the vendor's cost and 20 percent."""
    base = free(used, true_up="line", price=Price(Unit(None), markup=D(20)))
    return base.but(readings=reads(reading("t1", count("SPB", used, unit_cost=D(cost), currency="USD"))))


@pytest.mark.parametrize(
    ("worlds", "amounts", "left"),
    [
        ([at("20", 10), at("50", 0)], ["200.00", "200.00"], ("0", "0")),
        ([at("20", 10), at("50", 4)], ["200.00", "120.00"], ("4", "80.00")),
        ([at("50", 10), at("20", 4)], ["500.00", "300.00"], ("4", "200.00")),
        ([ruled("10", 10), ruled("20", 2)], ["100.00", "80.00"], ("2", "20.00")),
        ([ruled("10", 10), ruled("20", 12), ruled("20", 0)], ["100.00", "40.00", "140.00"], ("0", "0")),
        ([marked_up("10", 10), marked_up("20", 5), marked_up("20", 1)], ["120.00", "60.00", "48.00"], ("1", "12.00")),
    ],
    ids=["catalogue, to none", "catalogue up", "catalogue down", "rule", "rule, to none", "the vendor's cost"],
)
def test_a_fall_after_the_price_moved_takes_back_its_share(
    worlds: Sequence[World], amounts: list[str], left: tuple[str, str]
) -> None:
    quantity, money, posted = after(company(), *worlds)
    assert posted == [D(one) for one in amounts]
    assert (quantity, money) == (D(left[0]), D(left[1]))


def test_what_was_charged_for_a_part_of_the_period_is_what_is_taken_back() -> None:
    base = free(27, true_up="line", prorate=True)
    psa = Psa({"l1": line(25)}, (agreement(prorates=True),))
    assert after(psa, base, using(base, 25)) == (0, 0, [D("14.67"), D("14.67")])


def test_the_customer_reads_how_the_credit_came_about() -> None:
    psa = company()
    after(psa, ruled("10", 10), ruled("20", 2))
    assert "2 of the 10 units that were charged 20.00: 20.00; 100.00 of it charged before" in psa.done[-1].description


def test_where_the_price_stands_a_fall_follows_its_tiers() -> None:
    tiers = Price(Graduated((Tier(D(10), D(12)), Tier(None, D(9)))))
    worlds = [free(used, true_up="line", price=tiers) for used in (15, 8)]
    assert after(company(), *worlds) == (8, D("96.00"), [D("165.00"), D("69.00")])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["7", "10", "0.33", "24.99"])), min_size=2, max_size=6))
def test_no_money_is_left_at_no_units_and_none_is_ever_owed(moves: list[tuple[int, str]]) -> None:
    """Whatever the counts and prices do within one period."""
    psa, book = company(), Book()
    moves = [*moves, (0, moves[-1][1])]
    for number, (used, price) in enumerate(moves):
        seen = at(price, used).safer(max_increase=units(10_000))
        step(seen, book, psa, NOW + timedelta(hours=number))
        for history in book.past().lines.values():
            assert history.own_amount is not None
            assert history.own_amount >= 0
            assert history.own_quantity or not history.own_amount
