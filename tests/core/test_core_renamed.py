"""A period is billed once, whatever the rule, the customer, the product or the agreement is called when it is looked at
again: what the ledger knows under another name holds the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from core_book import Book, Psa, step
from core_kit import NOW, World, agreement, bill, free, line, product, units
from test_core_usage import DECEMBER_3, NOVEMBER, arrears, psa

from syncd.core.entries import EntryState
from syncd.core.guards import Guard
from syncd.core.plan import Plan
from syncd.core.policy import Action
from syncd.model import Agreement
from syncd.periods import Period

DECEMBER = Period(date(2026, 12, 1), date(2026, 12, 31))


def held(plan: Plan) -> bool:
    """Whether the only line waits because its days are billed already."""
    (only,) = plan.lines
    billed = "billed already, before the rule, customer, product or agreement changed" in only.reason
    return only.action is Action.HOLD and Guard.EARLIER_PERIOD in only.guards and billed


def another_rule(base: World) -> World:
    return base.but(rules=(replace(base.rules[0], name="Premium seats"),))


def another_customer(base: World) -> World:
    return base.but(customers=(replace(base.customers[0], name="Contoso Dental"),))


@pytest.mark.parametrize("renamed", [another_rule, another_customer])
def test_a_month_in_arrears_is_billed_once_under_whatever_name(renamed: Callable[[World], World]) -> None:
    book, billed, base = Book(), psa(), arrears(NOVEMBER)
    assert not held(step(base, book, billed, DECEMBER_3))
    later = DECEMBER_3 + timedelta(hours=1)
    assert held(step(renamed(base), book, billed, later))
    assert len(billed.done) == 1
    # A person looks, and it was another thing indeed: it is posted, once.
    [entry] = book.open(EntryState.HELD)
    book.move(entry.id, EntryState.PLANNED)
    step(renamed(base), book, billed, later)
    assert len(billed.done) == 2
    assert not held(step(renamed(base), book, billed, later))


@pytest.mark.parametrize(
    "renewed",
    [
        agreement("a2", "Managed Services 2027", period=DECEMBER),
        agreement("a2", "Managed Services 2027", period=Period(date(2026, 12, 10), date(2027, 1, 9))),
    ],
    ids=["months", "other days"],
)
def test_a_month_in_arrears_is_billed_once_where_the_agreement_is_renewed(renewed: Agreement) -> None:
    book, billed, base = Book(), psa(), arrears(NOVEMBER)
    step(base, book, billed, DECEMBER_3)
    billed.agreements = (renewed,)
    billed.lines.clear()
    assert held(step(base, book, billed, datetime(2026, 12, 13, 18, tzinfo=UTC)))
    assert [one.agreement_id for one in billed.done] == ["a1"]


def test_a_true_up_is_billed_once_where_the_agreement_is_renewed_within_the_month() -> None:
    book, billed, base = Book(), Psa({}, (agreement(),)), free(27, true_up="line")
    step(base, book, billed)
    billed.agreements = (agreement("a2", "Managed Services 2027"),)
    billed.lines.clear()
    assert held(step(base, book, billed, NOW + timedelta(days=2)))
    assert len(billed.done) == 1


def test_a_true_up_is_billed_once_where_the_rule_names_another_product() -> None:
    products = (product(unit_price=units(20)), product("p2", "M365-BP2", "BP new", unit_price=units(20)))
    book, billed, base = Book(), Psa({}, (agreement(),)), free(27, true_up="line").but(products=products)
    step(base, book, billed)
    other = free(27, true_up="line", bill=bill("M365-BP2")).but(products=products)
    assert held(step(other, book, billed, NOW + timedelta(hours=1)))


def test_a_true_up_whose_lines_are_listed_needs_no_look_under_another_name() -> None:
    book, billed, base = Book(), Psa({"l1": line(25)}), free(27, true_up="line")
    step(base, book, billed)
    (same,) = step(another_rule(base), book, billed, NOW + timedelta(hours=1)).lines
    assert same.action is Action.NONE


def test_the_next_month_of_a_renamed_rule_is_billed_as_any() -> None:
    book, billed, base = Book(), Psa({}, (agreement(period=None),)), free(27, true_up="line")
    step(base, book, billed)
    assert not held(step(another_rule(base), book, billed, DECEMBER_3))
