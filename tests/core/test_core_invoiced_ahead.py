"""A PSA that invoiced beyond the running period: a rise is charged for each of those periods, and for none twice."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import NOW, ZONE, agreement, free, line, product, told, using, wire

from syncd.core.entries import Entry
from syncd.core.plan import PlanLine
from syncd.core.rules import TrueUp
from syncd.core.undo import Ground
from syncd.core.undo_many import Desk, undo_many
from syncd.model import Operation

LATER = timedelta(hours=1)
# November and December stand on invoices at 25 already.
AHEAD = agreement(invoiced_through=date(2026, 12, 31), prorates=True)


def raised(*counts: int, **fields: Any) -> tuple[Book, Psa]:
    base, book, psa = free(prorate=True, **fields), Book(), Psa({"l1": line(25)}, (AHEAD,))
    for n, used in enumerate(counts):
        step(using(base, used), book, psa, NOW + n * LATER)
    return book, psa


def dated(book: Book) -> list[tuple[Any, ...]]:
    return [
        (one.intent.period, one.intent.posting.starts, one.intent.posting.ends, one.intent.amount)
        for one in book.entries.values()
        if one.intent.operation is Operation.POST_LINE
    ]


def test_each_invoiced_period_is_charged_and_none_of_them_whole_twice() -> None:
    book, _ = raised(27)
    assert dated(book) == [
        ("2026-11", date(2026, 11, 20), date(2026, 11, 30), Decimal("14.67")),  # 2 at 20.00 for 11 of 30 days
        ("2026-12", date(2026, 12, 1), date(2026, 12, 31), Decimal("40.00")),
    ]
    quantity, *parts = book.entries.values()
    assert {one.intent.follows for one in parts} == {quantity.intent.key}
    assert [one.intent.posting.description.split(":")[0][-7:] for one in parts] == ["2026-11", "2026-12"]


@pytest.mark.parametrize(("through", "periods"), [(date(2026, 12, 15), 2), (date(2027, 1, 31), 3)])
def test_the_last_one_ends_where_the_invoice_does(through: date, periods: int) -> None:
    book, psa = Book(), Psa({"l1": line(25)}, (agreement(invoiced_through=through, prorates=True),))
    step(free(27, prorate=True), book, psa)
    assert len(dated(book)) == periods
    assert dated(book)[-1][2] == through


def test_a_second_rise_in_the_running_period_is_not_taken_for_a_clock_that_fell_back() -> None:
    book, psa = raised(27, 28)
    assert all(one.state == "posted" for one in book.entries.values())
    assert told(psa.dated("2026-11"), psa.dated("2026-12")) == (3, 3)


def test_what_was_charged_ahead_is_credited_once() -> None:
    """It was charged by a line of its own, so that the invoice, which was made before, holds none of it."""
    book, _ = raised(27)
    entries: list[Entry] = list(book.entries.values())
    desk = Desk(book.past(), entries, lambda entry: Ground(AHEAD, True), lambda name: wire, date(2026, 11, 25), ZONE)
    made = undo_many(entries[:1], desk, by="Ada", why="wrong")
    assert not made.left
    found = {(str(one.operation), one.period): (*told(one.before, one.to), one.amount) for one in made.intents}
    assert found == {
        ("set_quantity", "2026-11"): (27, 25, made.intents[0].amount),
        ("post_credit", "2026-11"): (2, 0, Decimal("14.67")),
        ("post_credit", "2026-12"): (2, 0, Decimal("40.00")),
    }


def test_the_words_of_each_period_are_made_for_it() -> None:
    """A product whose name holds the running period keeps it on the line of the next one."""
    named = free(27, prorate=True, description="{product} in {period}").but(products=(product(name="Audit 2026-11"),))
    book = Book()
    step(named, book, Psa({"l1": line(25)}, (AHEAD,)))
    parts = [one.intent for one in book.entries.values() if one.intent.operation is Operation.POST_LINE]
    assert [one.posting.description for one in parts] == ["Audit 2026-11 in 2026-11", "Audit 2026-11 in 2026-12"]


@pytest.mark.parametrize("fields", [{"prorate": True}, {"true_up": TrueUp.LINE}])
def test_a_date_that_nobody_means_is_refused_before_it_drafts_a_line_for_each_month(fields: dict[str, Any]) -> None:
    def played(through: date) -> tuple[PlanLine, Psa]:
        psa = Psa({"l1": line(25)}, (agreement(invoiced_through=through),))
        (drawn,) = step(free(27, **fields), Book(), psa).lines
        return drawn, psa

    believed, psa = played(date(2028, 11, 30))  # 24 months ahead of November 2026
    assert believed.action != "blocked"
    mistyped, psa = played(date(2028, 12, 1))
    assert (mistyped.action, mistyped.reason) == (
        "blocked",
        "'Managed Services' says that it is invoiced through 2028-12-01, more than 24 periods ahead; "
        "correct the date in the billing system",
    )
    assert not psa.done
