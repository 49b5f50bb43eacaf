"""Where a rule bills: exactly one line, or a finding that names what stands in the way."""

from __future__ import annotations

from datetime import date

import pytest
from core_kit import (
    DECEMBER,
    LINE,
    NOVEMBER,
    PREFIX,
    TODAY,
    agreement,
    bill,
    billing,
    customer,
    line,
    own_line,
    product,
    told,
    units,
    world,
)

from syncd.core.resolve import Target, find_target
from syncd.model import Agreement, BilledLine, Product
from syncd.periods import Period, month_of


def look(
    *lines: BilledLine, named: tuple[Product, ...] = (product(),), agreements: tuple[Agreement, ...] | None = None,
    pattern: str = "*",
) -> Target:  # fmt: skip
    return find_target(bill(agreement=pattern), billing(*lines, agreements=agreements), named, PREFIX, TODAY)


def test_one_line_is_the_line() -> None:
    found = look(line(25), line(9, "l2", product_id="p2"), line(9, "l3", agreement_id="elsewhere"))

    assert [one.id for one in found.lines] == ["l1"]
    assert (found.problem, found.reason) == ("", "")


def test_no_line_is_no_problem_of_the_search() -> None:
    found = look()

    assert (found.lines, found.problem) == ((), "")


def test_two_lines_are_a_finding_and_none_is_picked() -> None:
    found = look(line(20, "l2"), line(5, "l1"))

    assert found.problem == "duplicate line"
    assert "l1" in found.reason
    assert "l2" in found.reason


def test_duplicates_show_their_sum_and_are_blocked() -> None:
    made = world(27).but(billings=(billing(line(20, "l2"), line(5, "l1")),)).one_line()

    assert told(made.billed, made.difference, made.action) == (25, 2, "blocked")
    assert set(made.findings) == {"duplicate line", "leakage"}
    assert not made.effects


def test_duplicates_over_two_agreements_are_told_apart_by_the_agreements_name() -> None:
    agreements = (agreement("a1", "Managed Services"), agreement("a2", "Cloud 2026"))
    lines = (line(20), line(5, "l2", agreement_id="a2"))

    assert look(*lines, agreements=agreements).problem == "duplicate line"
    assert [one.id for one in look(*lines, agreements=agreements, pattern="managed*").lines] == ["l1"]
    assert [one.id for one in look(*lines, agreements=agreements, pattern="Cloud ????").lines] == ["l2"]
    assert look(*lines, agreements=agreements, pattern="cloud").lines == ()


def test_an_agreement_is_also_found_by_its_other_names() -> None:
    agreements = (agreement("a1", "Recurring 7", labels=("REF-1", "Contract A")), agreement("a2", "Recurring 8"))

    assert [one.id for one in look(agreements=agreements, pattern="ref-*").agreements] == ["a1"]


def test_a_line_of_the_future_is_scheduled_and_not_in_force() -> None:
    tomorrow = date(2026, 11, 21)
    found = look(line(25), line(30, "l2", starts=tomorrow), line(1, "l3", starts=TODAY, product_id="p9"))

    assert [one.id for one in found.lines] == ["l1"]
    assert [one.id for one in found.scheduled] == ["l2"]
    assert not found.problem
    assert [one.id for one in look(line(25, starts=TODAY)).lines] == ["l1"]


def test_a_scheduled_line_alone_defers_and_names_the_day() -> None:
    made = world(27).but(billings=(billing(line(27, starts=date(2026, 12, 1))),)).one_line()

    assert told(made.action, made.billed) == ("defer", 0)
    assert "2026-12-01" in made.reason


def test_own_dated_lines_are_never_duplicates() -> None:
    found = look(line(25), own_line(2), own_line(1, "o2"))

    assert not found.problem
    assert [one.id for one in found.lines] == ["l1"]
    assert [one.id for one in found.own] == ["o1", "o2"]


def test_own_lines_count_as_billed_in_their_period_only() -> None:
    october = month_of(date(2026, 10, 1))
    lines = (
        line(25),
        own_line(2),
        own_line(-1, "o2"),
        own_line(7, "o3", october),
        own_line(8, "o4", DECEMBER),
        own_line(9, "x", marker=""),
    )

    as_line = world(true_up=LINE).but(billings=(billing(*lines),)).one_line()
    as_quantity = world().but(billings=(billing(*lines),)).one_line()

    assert as_line.billed == 26
    assert as_quantity.billed == 25


def test_a_foreign_mark_blocks_the_line() -> None:
    other = f"sd-{'z' * 4}-0123456789abcdef"

    for stranger in (line(25, marker=other), own_line(2, marker=other)):
        found = look(line(25, "l0") if stranger.once else stranger, stranger) if stranger.once else look(stranger)
        assert found.problem == "foreign mark"
        assert other in found.reason
    made = world().but(billings=(billing(line(25, marker=other)),)).one_line()
    assert (made.action, made.effects) == ("blocked", ())


def test_marks_of_people_and_our_own_are_no_foreign_marks() -> None:
    assert not look(line(25, marker="PO 4711")).problem
    assert not look(line(25, marker=f"{PREFIX}x")).problem


def test_a_foreign_mark_on_another_product_is_none_of_ours() -> None:
    assert not look(line(25), line(1, "l2", product_id="p2", marker="sd-zzzz-1")).problem


@pytest.mark.parametrize(
    ("named", "problem"),
    [((), "unknown product"), ((product("p1"), product("p2")), "ambiguous product")],
)
def test_a_product_is_one(named: tuple[Product, ...], problem: str) -> None:
    assert look(line(25), named=named).problem == problem


def test_an_ambiguous_product_blocks_and_names_both() -> None:
    twins = (product("p1", "A", "Twin"), product("p2", "B", "Twin"))
    made = world(bill=bill("Twin")).but(products=twins).one_line()

    assert (made.action, made.billed, made.findings) == ("blocked", None, ("ambiguous product",))
    assert made.difference is None
    assert "p1" in made.reason
    assert "p2" in made.reason


@pytest.mark.parametrize("pattern", ["Managed [2026]", "managed [2026]", "Managed*", "REF[1]"])
def test_an_agreement_is_found_by_its_plain_name_whatever_signs_are_in_it(pattern: str) -> None:
    agreements = (agreement("a1", "Managed [2026]", labels=("REF[1]",)),)

    assert [one.id for one in look(agreements=agreements, pattern=pattern).agreements] == ["a1"]


def test_without_a_line_and_without_create_it_is_a_finding() -> None:
    made = world(27, None).one_line()

    assert told(made.action, made.billed) == ("alert", 0)
    assert set(made.findings) == {"missing line", "leakage"}
    assert "create" in made.reason
    assert not made.effects


def test_create_adds_to_the_one_agreement() -> None:
    made = world(3, None, create=True).one_line()

    (effect,) = made.effects
    assert told(made.action, effect.posting.operation, effect.before, effect.to) == ("post", "add_line", 0, 3)
    assert (effect.posting.agreement_id, effect.posting.product_id, effect.posting.line_id) == ("a1", "p1", "")


@pytest.mark.parametrize(
    ("agreements", "finding"),
    [((), "missing agreement"), ((agreement("a1"), agreement("a2", "Cloud")), "ambiguous agreement")],
)
def test_create_never_picks_an_agreement(agreements: tuple[Agreement, ...], finding: str) -> None:
    made = world(3, None, create=True).but(billings=(billing(agreements=agreements),)).one_line()

    assert (made.action, made.effects) == ("blocked", ())
    assert finding in made.findings


def test_nothing_is_created_for_nothing() -> None:
    assert world(0, None, create=True).one_line().action == "none"
    assert world(0, None).one_line().action == "none"


def test_a_customer_with_two_companies_is_not_billed_by_a_guess() -> None:
    found = world().but(customers=(customer(m365="t1", cw=["c1", "c2"]),))

    made = found.one_line()

    assert (made.action, made.states["billed"], made.effects) == ("blocked", "unknown", ())


def test_the_agreements_period_is_the_lines_period() -> None:
    period = Period(date(2026, 11, 15), date(2026, 12, 14))
    own = world().but(billings=(billing(line(25), agreements=(agreement(period=period),)),)).one_line()
    msps = world().but(billings=(billing(line(25), agreements=(agreement(period=None),)),)).one_line()

    assert own.effects[0].period == "2026-11-15/2026-12-14"
    assert msps.effects[0].period == str(NOVEMBER)


def test_prices_are_the_lines_own_before_the_catalogues() -> None:
    catalogue = (product(unit_price=units(99)),)

    assert world(27).but(products=catalogue).one_line().amount == units(40)
    assert world(3, None, create=True).but(products=catalogue).one_line().amount == units(297)
    unpriced = world(27).but(products=catalogue, billings=(billing(line(25, unit_price=None)),)).one_line()
    assert (unpriced.amount, unpriced.currency) == (None, "")
