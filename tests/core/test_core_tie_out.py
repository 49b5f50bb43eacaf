"""The tie-out: bills against invoices, product by product, in units and money; and the month-end checklist over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_kit import (
    INVOICED,
    NOVEMBER,
    World,
    agreement,
    bill,
    billing,
    count,
    customer,
    in_books,
    line,
    own_line,
    product,
    reading,
    ref,
    rule,
    units,
    world,
)
from hypothesis import given
from hypothesis import strategies as st

from syncd.core.close import checklist, close_json
from syncd.core.episodes_found import conditions
from syncd.core.tie_out import Row, TieOut
from syncd.core.tie_out_shown import COLUMNS, tie_out_json, tie_out_rows
from syncd.model import Count, State
from syncd.periods import Period


def books(*counts: Count, **fields: Any) -> World:
    """Contoso: 25 at 20.00 billed, and the books with these counts."""
    one = world(used=25, billed=25, invoiced=25, **fields)
    return one.but(booked={"qbo": (reading("q1", *counts, query=INVOICED),)})


def seats(quantity: Any, amount: Any, sku: str = "M365-BP", **fields: Any) -> Count:
    money = None if amount is None else Decimal(amount)
    return count(sku, quantity, amount=money, currency="USD", **fields)


def tied(one: World) -> TieOut:
    (only,) = one.plan().tie_outs
    return only


def test_units_and_money_that_are_the_same_on_both_sides_agree() -> None:
    found = tied(books(seats(25, "500.00")))

    assert (found.agrees, found.rows, found.difference) == (True, (), 0)
    assert (found.billed, found.invoiced, found.currency) == (Decimal("500.00"), Decimal("500.00"), "USD")
    assert (found.customer, found.period, found.connection, found.against) == ("Contoso", "2026-11", "qbo", ("cw",))


def test_fewer_units_are_listed_with_their_lines() -> None:
    found = tied(books(seats(23, "460.00", note="INV-1 open")))
    (row,) = found.rows

    assert found.agrees is False
    assert (row.product, row.difference, found.difference) == ("M365-BP", Decimal("-40.00"), Decimal("-40.00"))
    assert row.billed is not None
    assert "line l1 of Managed Services" in row.billed.notes
    assert row.invoiced is not None
    assert row.invoiced.notes == ("INV-1 open",)
    assert found.reason == "M365-BP: 25 billed, 23 invoiced (500.00 against 460.00 USD)"


def test_another_price_at_the_same_units_is_a_difference_of_money() -> None:
    one = books(seats(25, "475.00"))

    assert [row.difference for row in tied(one).rows] == [Decimal("-25.00")]
    assert "books gap" in one.one_line().findings


def test_another_price_on_both_sides_is_no_gap_of_the_line() -> None:
    assert "books gap" not in books(seats(25, "500.00")).one_line().findings
    assert "books gap" not in books(seats(25, None)).one_line().findings


def test_an_item_of_the_books_that_nobody_bills_is_listed_alone() -> None:
    (row,) = tied(books(seats(25, "500.00"), seats(1, "90.00", sku="Setup fee"))).rows

    assert row == Row("Setup fee", None, row.invoiced)
    assert row.difference == Decimal("90.00")


def test_a_line_that_the_books_do_not_have_at_all_is_listed_alone() -> None:
    one = books(seats(25, "500.00"))
    more = line(3, "l2", product_id="p2", unit_price=units(10))
    one = one.but(billings=(billing(line(25), replace(more, product="VISIO")),))
    (row,) = tied(one).rows

    assert (row.product, row.invoiced, row.difference) == ("VISIO", None, Decimal(-30))


@pytest.mark.parametrize("sku", ["business premium", "M365-bp", "p1"])
def test_without_a_rule_that_says_so_equal_names_are_the_same_product(sku: str) -> None:
    one = world(used=25, billed=25, invoiced=25)
    one = one.but(
        rules=(replace(one.rules[0], invoiced=in_books("Nothing of this name")),),
        booked={"qbo": (reading("q1", seats(25, "500.00", sku=sku), query=INVOICED),)},
    )
    assert tied(one).agrees is True


def test_where_a_price_is_not_known_units_alone_are_compared() -> None:
    one = books(seats(25, None))
    found = tied(one)

    assert (found.agrees, found.invoiced, found.difference) == (True, None, None)
    assert tied(books(seats(24, None))).agrees is False


def test_what_could_not_be_read_is_not_taken_for_agreement() -> None:
    found = tied(world(used=25, billed=25, invoiced=State.UNKNOWN))
    assert (found.agrees, found.reason) == (None, "the tenant answered unknown")
    found = tied(world(used=25, billed=State.PARTIAL, invoiced=25))
    assert (found.agrees, found.reason) == (None, "the company answered partial")


def test_two_currencies_are_not_added() -> None:
    one = books(count("M365-BP", 25, amount=Decimal(500), currency="EUR"))
    one = one.but(billings=(billing(line(25), agreements=(agreement(currency="USD"),)),))
    found = tied(one)

    assert found.agrees is None
    assert "EUR and USD" in found.reason


def test_a_customer_who_is_not_in_the_books_has_nothing_to_tie() -> None:
    one = books(seats(25, "500.00"))
    assert one.but(customers=(customer(m365="t1", cw="c1"),)).plan().tie_outs == ()
    assert world(used=25, billed=25).plan().tie_outs == ()


OCTOBER = Period(NOVEMBER.first.replace(month=10), NOVEMBER.first.replace(month=10, day=31))


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, True),
        ({"in_advance": True}, True),
        ({"in_advance": False}, True),  # it ends in November, too
        ({"period": Period(OCTOBER.first, NOVEMBER.last), "in_advance": True}, False),  # invoiced in October
        ({"period": Period(OCTOBER.first, NOVEMBER.last), "in_advance": False}, True),
        ({"period": Period(NOVEMBER.first, NOVEMBER.last.replace(month=12)), "in_advance": False}, False),
        ({"period": None}, True),
    ],
)
def test_a_recurring_line_is_due_where_its_agreements_invoice_falls(fields: Mapping[str, Any], due: bool) -> None:
    one = books(seats(25, "500.00")).but(billings=(billing(line(25), agreements=(agreement(**fields),)),))
    assert tied(one).agrees is due


def test_a_dated_line_comes_with_the_next_invoice_where_the_period_is_invoiced_already() -> None:
    lines = (line(25), own_line(2))
    ahead = agreement(invoiced_through=NOVEMBER.last)

    assert tied(books(seats(25, "500.00")).but(billings=(billing(*lines, agreements=(ahead,)),))).agrees is True
    assert tied(books(seats(27, "540.00")).but(billings=(billing(*lines),))).agrees is True


def test_what_syncd_put_into_the_books_itself_is_a_difference_until_it_is_invoiced() -> None:
    """A draft that nobody released is billed and not invoiced."""
    one = World(
        house=world(1, 1).house,
        customers=(customer(m365="t1", cw="c1"),),
        rules=(rule(bill=bill(), true_up="line", invoiced=replace(in_books(), connection="cw")),),
        listed=world(1, 1).listed,
        readings={"m365": (reading("t1", count("SPB", 3)),)},
        billings=(billing(own_line(3), agreements=(agreement(invoiced_through=NOVEMBER.last),)),),
        products=(product(unit_price=units(20)),),
    )
    drafts = one.but(booked={"cw": (reading("c1", query=INVOICED),)})
    released = one.but(booked={"cw": (reading("c1", seats(3, "60.00"), query=INVOICED),)})

    def books_of(this: World) -> TieOut:
        from syncd.core.tie_out import tie_out

        views = {name: replace(view, keeps_quantity=name != "cw") for name, view in this.views.items()}
        (only,) = tie_out(this.mappings, views, this.resolution, this.plan().moment, this.past, this.house)
        return only

    (row,) = books_of(drafts).rows
    assert (row.product, row.billed and row.billed.quantity, row.invoiced) == ("M365-BP", 3, None)
    assert row.difference is None  # several units may stand in the books as one, at one price
    assert books_of(released).agrees is True


def test_two_rules_that_name_one_item_are_one_row() -> None:
    one = books(seats(28, "560.00"))
    second = rule("Other", count=(ref("EXO"),), bill=bill("VISIO"), invoiced=in_books())
    one = one.but(
        rules=(*one.rules, second),
        products=(product(unit_price=units(20)), product("p2", "VISIO", "Visio", unit_price=units(20))),
        billings=(billing(line(25), replace(line(3, "l2", product_id="p2"), product="VISIO")),),
    )
    assert tied(one).agrees is True


@given(
    billed=st.lists(st.integers(0, 50), min_size=1, max_size=5),
    invoiced=st.lists(st.integers(0, 50), min_size=1, max_size=5),
)
def test_the_rows_explain_the_whole_difference_whatever_the_order(billed: list[int], invoiced: list[int]) -> None:
    lines = [replace(line(n, f"l{n}-{i}", product_id=f"p{i}"), product=f"P{i}") for i, n in enumerate(billed)]
    counts = [seats(n, Decimal(n * 20), sku=f"P{i}") for i, n in enumerate(invoiced)]
    one = books(*counts).but(billings=(billing(*lines),), products=(), rules=(rule(invoiced=in_books("none")),))
    other = books(*reversed(counts)).but(billings=(billing(*reversed(lines)),), products=(), rules=one.rules)
    found = tied(one)

    assert found.difference == sum((row.difference or 0 for row in found.rows), Decimal(0))
    assert found.agrees is (not found.rows)
    assert {row.product for row in found.rows} == {row.product for row in tied(other).rows}


def test_its_json_and_its_rows_say_the_same() -> None:
    found = tied(books(seats(23, "460.00", note="INV-1 open")))
    told = tie_out_json(found)
    (cells,) = tie_out_rows([found])

    assert told["lines"] == [
        {
            "product": "M365-BP",
            "billed": {"quantity": "25", "amount": "500.00", "notes": ["line l1 of Managed Services"]},
            "invoiced": {"quantity": "23", "amount": "460.00", "notes": ["INV-1 open"]},
            "difference": "-40.00",
            "since_invoice": None,
        }
    ]
    assert dict(zip(COLUMNS, cells, strict=True)) == {
        "customer": "Contoso", "period": "2026-11", "connection": "qbo", "against": "cw", "state": "differs",
        "product": "M365-BP", "billed quantity": "25", "billed amount": "500.00", "invoiced quantity": "23",
        "invoiced amount": "460.00", "difference": "-40.00", "currency": "USD",
        "note": "line l1 of Managed Services; INV-1 open",
    }  # fmt: skip


# The checklist, and the day's alert


def test_the_checklist_is_green_where_everything_is_settled() -> None:
    told = close_json(checklist(books(seats(25, "500.00")).plan(), ()), ())

    assert told["green"] is True
    assert [one["name"] for one in told["checks"]] == [
        "every source is fresh", "every line is settled", "nothing of weight is unmapped", "PSA and books agree",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "open_", "unread"),
    [
        (books(seats(23, "460.00")), {"PSA and books agree"}, False),
        (world(used=27, billed=25, invoiced=25), {"every line is settled"}, False),
        (world(used=25, billed=25, invoiced=State.UNKNOWN), {"PSA and books agree"}, True),
    ],
)
def test_the_checklist_names_what_stands_open(one: World, open_: set[str], unread: bool) -> None:
    checks = checklist(one.plan(), ())

    assert {each.name for each in checks if not each.green} == open_
    assert any(each.unread for each in checks) is unread


def test_books_that_differ_are_told_once_for_all_customers() -> None:
    found = conditions(books(seats(23, "460.00")).plan(), (), (), {}).found
    (told,) = [one for one in found if one.key == "books:qbo"]

    assert told.kinds == ("drift",)
    assert told.what == "billed and invoiced in qbo differ for 1 customer (Contoso)"
    assert [one.key for one in conditions(books(seats(25, "500.00")).plan(), (), (), {}).found] == []
