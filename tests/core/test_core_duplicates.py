"""What bills one product twice, and what may stand side by side."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from core_kit import (
    DECEMBER,
    NOVEMBER,
    PREFIX,
    World,
    agreement,
    billing,
    line,
    moment,
    own_line,
    product,
    reads,
    rule,
    told,
    units,
    world,
)

from syncd.core.duplicates import COLUMNS, Suspect, find_duplicates, safe_cell, suspect_json, suspect_rows
from syncd.model import State


def found(base: World, *lines: Any, agreements: Any = None, currency: str = "USD") -> tuple[Suspect, ...]:
    """What is suspect when the company bills exactly these lines."""
    there = base.but(billings=(billing(*lines, agreements=agreements),))
    return find_duplicates(there.mappings, there.views, there.resolution, moment(), prefix=PREFIX, currency=currency)


def kinds(*lines: Any, **options: Any) -> list[tuple[str, ...]]:
    return [one.kinds for one in found(world(), *lines, **options)]


def by_hand(quantity: Any, id_: str, first: str = "2026-11-05", last: str = "2026-11-30", **fields: Any) -> Any:
    """A dated line that a person made."""
    fields = {"starts": date.fromisoformat(first), "ends": date.fromisoformat(last), "once": True, **fields}
    return line(quantity, id_, **fields)


def test_one_line_is_no_suspect() -> None:
    assert kinds(line(25)) == []


def test_two_open_recurring_lines_of_one_product_are_told_with_what_they_cost() -> None:
    (one,) = found(world(), line(25, "l1", changed_by="RMM sync"), line(20, "l2", changed_by="Jo"))

    assert told(one.customer, one.product, one.kinds, one.amount, one.currency) == (
        "Contoso", "M365-BP", ("two recurring lines",), 400, "USD",
    )  # fmt: skip
    assert [(each.line.id, each.made_by, each.line.changed_by) for each in one.lines] == [
        ("l1", "hand", "RMM sync"), ("l2", "hand", "Jo"),
    ]  # fmt: skip
    assert one.reason == "2 recurring lines bill it at the same time in one agreement"


def test_parent_and_child_agreement_that_bill_one_product_are_told() -> None:
    places = (agreement("a1"), agreement("a2", "Co-managed"))

    (one,) = found(world(), line(25, "l1"), line(25, "l2", agreement_id="a2"), agreements=places)

    assert "in 2 agreements of the customer" in one.reason
    assert [each.agreement for each in one.lines] == ["Managed Services", "Co-managed"]


def test_a_line_that_follows_another_is_none() -> None:
    before = line(25, "l1", starts=date(2025, 1, 1), ends=date(2026, 11, 30))

    assert kinds(before, line(27, "l2", starts=date(2026, 12, 1))) == []
    assert kinds(before, line(27, "l2", starts=date(2026, 11, 30))) == [("two recurring lines",)]


def test_other_products_and_other_customers_are_kept_apart() -> None:
    assert kinds(line(25, "l1"), line(25, "l2", product_id="p2")) == []


def test_a_product_that_no_rule_bills_is_looked_at_too() -> None:
    assert kinds(line(9, "l1", product_id="p9"), line(9, "l2", product_id="p9")) == [("two recurring lines",)]


@pytest.mark.parametrize("quantity", [0, -2])
def test_nothing_and_credits_bill_nobody_twice(quantity: int) -> None:
    assert kinds(line(25, "l1"), line(quantity, "l2")) == []


def test_a_hand_made_dated_line_beside_a_recurring_one_is_told() -> None:
    (one,) = found(world(), line(25), by_hand(2, "d1"))

    assert told(one.kinds, one.amount) == (("a recurring and a dated line",), 40)


def test_two_hand_made_dated_lines_are_told_where_they_overlap() -> None:
    assert kinds(by_hand(2, "d1"), by_hand(1, "d2", "2026-11-20")) == [("two dated lines",)]
    assert kinds(by_hand(2, "d1", last="2026-11-10"), by_hand(1, "d2", "2026-11-11")) == []


def test_own_dated_lines_of_one_period_are_parts_of_one_sum() -> None:
    assert kinds(own_line(2, "o1"), own_line(2, "o2"), own_line(1, "o3", period=DECEMBER)) == []


def test_an_own_dated_line_beside_the_recurring_one_is_its_true_up() -> None:
    assert kinds(line(2, starts=date(2025, 1, 1)), own_line(2)) == []


def test_a_hand_made_twin_of_what_syncd_posted_is_told_alone() -> None:
    (one,) = found(world(), own_line(2, "o1"), by_hand(2, "d1"))

    assert told(one.kinds, one.amount) == (("hand-made twin",), 40)
    assert "(o1)" in one.reason
    assert [each.made_by for each in one.lines] == ["hand", "syncd"]


def test_a_twin_beside_a_recurring_line_costs_what_the_twin_costs() -> None:
    (one,) = found(world(), line(25, starts=date(2025, 1, 1)), own_line(2, "o1"), by_hand(2, "d1"))

    assert told(set(one.kinds), one.amount) == ({"hand-made twin", "a recurring and a dated line"}, 40)


@pytest.mark.parametrize(("quantity", "twin"), [(20, True), (19, True), (18, True), (17, False), (23, False)])
def test_a_twin_has_the_same_or_a_similar_quantity(quantity: int, twin: bool) -> None:
    assert bool(kinds(own_line(20, "o1"), by_hand(quantity, "d1"))) is twin


def test_a_recurring_line_is_a_twin_only_where_it_came_after_the_posting() -> None:
    (one,) = found(world(), line(2, starts=NOVEMBER.first), own_line(2))

    assert told(one.kinds, one.amount) == (("hand-made twin",), 40)
    assert kinds(line(2, starts=None), own_line(2)) == []


def test_an_added_line_of_ours_beside_a_recurring_one_is_told() -> None:
    ours = line(27, "l2", marker=f"{PREFIX}0002")

    (one,) = found(world(), line(25, "l1"), ours)

    assert one.kinds == ("two recurring lines",)
    assert [each.made_by for each in one.lines] == ["hand", "syncd"]


def test_the_mark_of_another_installation_is_not_ours() -> None:
    (one,) = found(world(), line(25, "l1"), line(25, "l2", marker="sd-othr-1"))

    assert [each.made_by for each in one.lines] == ["hand", "another syncd"]


def test_one_mark_on_two_records_is_told_once_and_not_as_an_overlap() -> None:
    same = {"marker": f"{PREFIX}same"}

    (one,) = found(world(), own_line(2, "o1", **same), own_line(2, "o2", **same))

    assert told(one.kinds, one.amount) == (("one mark on two lines",), 40)
    assert f"{PREFIX}same" in one.reason


def test_two_rules_that_set_one_line_are_told_with_their_names() -> None:
    base = world().but(rules=(rule("Premium"), rule("Premium again")))

    (one,) = found(base, line(25))

    assert told(one.kinds, one.amount, one.twice) == (("two rules, one line",), 500, False)
    assert one.reason == "it is set by Contoso / Premium and by Contoso / Premium again"


def test_a_rule_that_only_reports_sets_nothing() -> None:
    base = world().but(rules=(rule("Premium"), rule("Watch", true_up="alert")))

    assert found(base, line(25)) == ()


def test_rules_of_other_customers_or_agreements_do_not_meet() -> None:
    split = world().but(rules=(rule("One", customers=("Contoso",)), rule("Two", customers=("Fabrikam",))))

    assert found(split, line(25)) == ()


def test_a_rival_integration_on_a_product_that_a_rule_bills_is_told() -> None:
    rivalled = world().but(products=(product(rival='the integration "RMM"'),))

    (one,) = found(rivalled, line(25))

    assert told(one.kinds, one.reason) == (
        ("rival writer",), 'the integration "RMM" also writes its quantity, beside Contoso / Premium',
    )  # fmt: skip
    assert found(rivalled.but(rules=()), line(25)) == ()


def test_what_is_billed_twice_comes_first_and_the_dearest_of_it() -> None:
    base = world().but(products=(product(rival="RMM"), product("p2", "EXO")))
    cheap = {"product_id": "p2", "unit_price": units(1)}

    order = found(base, line(25, "l1"), line(5, "l2"), line(25, "l3", **cheap), line(25, "l4", **cheap))

    assert [one.kinds[0] for one in order] == ["two recurring lines", "two recurring lines", "rival writer"]
    assert [one.amount for one in order] == [100, 25, 600]


def test_an_unknown_price_gives_no_money_and_no_zero() -> None:
    (one,) = found(world(), line(25, "l1"), line(5, "l2", unit_price=None))

    assert told(one.amount, one.currency) == (None, "")
    assert suspect_json(one)["amount"] is None


def test_agreements_of_two_currencies_are_not_added() -> None:
    places = (agreement("a1", currency="EUR"), agreement("a2", currency="USD"))

    (one,) = found(world(), line(25, "l1"), line(5, "l2", agreement_id="a2"), agreements=places)

    assert one.amount is None


def test_lines_that_were_not_read_whole_are_not_judged() -> None:
    broken = world().but(billings=(billing(state=State.PARTIAL),), readings=reads())

    assert find_duplicates(
        broken.mappings, broken.views, broken.resolution, moment(), prefix=PREFIX, currency="USD"
    ) == ()  # fmt: skip


def test_the_order_of_lines_changes_nothing() -> None:
    lines = [line(25, "l1"), line(5, "l2"), own_line(2, "o1"), by_hand(2, "d1")]

    assert found(world(), *lines) == found(world(), *reversed(lines))


def test_json_and_rows_say_the_same_with_one_row_a_line() -> None:
    suspects = found(world(), line(25, "l1"), by_hand("2.50", "d1"))

    rows = [dict(zip(COLUMNS, row, strict=True)) for row in suspect_rows(suspects)]

    assert [row["line"] for row in rows] == ["d1", "l1"]
    assert rows[0] | {"why": ""} == {
        "suspect": "1", "customer": "Contoso", "connection": "cw", "product": "M365-BP",
        "agreement": "Managed Services", "line": "d1", "quantity": "2.5", "unit_price": "20",
        "first_day": "2026-11-05", "last_day": "2026-11-30", "recurring": "no", "made_by": "hand", "changed_by": "",
        "why": "", "amount": "50.00", "currency": "USD",
    }  # fmt: skip
    assert [one["id"] for one in suspect_json(suspects[0])["lines"]] == ["d1", "l1"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_never_begins_a_formula(start: str) -> None:
    assert safe_cell(f"{start}HYPERLINK(1)") == f"'{start}HYPERLINK(1)"
    assert safe_cell(f"a{start}") == f"a{start}"
    assert safe_cell("-56.00") == "-56.00"
    assert safe_cell("-1+2") == "'-1+2"
