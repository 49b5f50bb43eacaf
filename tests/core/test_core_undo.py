"""Taking changes back: which may be, together or alone, and what the compensation says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import DECEMBER, LINE, NOVEMBER, NOW, ZONE, agreement, free, line, product, told, units, using, wire
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.entries import Entry, EntryState
from syncd.core.undo import Ground, undo
from syncd.core.undo_many import Desk, Undoing, undo_many
from syncd.errors import UserFault
from syncd.model import Agreement, Operation

LATER = timedelta(hours=1)
TODAY = date(2026, 11, 20)
WHOLE_MONTH = agreement(invoiced_through=date(2026, 11, 30), prorates=True)


def take_back(
    book: Book, *ids: str, today: date = TODAY, at: Agreement | None = None, prorated: bool = False
) -> Undoing:
    """What undoing these would write down."""
    desk = Desk(
        book.past(), list(book.entries.values()), lambda entry: Ground(at, prorated), lambda name: wire, today, ZONE
    )
    return undo_many([book.entries[id_] for id_ in ids], desk, by="Ada", why="wrong")


def write(book: Book, made: Undoing, psa: Psa) -> list[Entry]:
    """Written down, approved and posted."""
    done = []
    for intent in made.intents:
        assert intent.state is EntryState.HELD
        entry = book.add(intent)
        book.approve(entry.id)
        done.append(book.settle(entry.id, EntryState.POSTED, psa.take(intent.posting), at=NOW + LATER))
    return done


def cycles(counts: Iterable[int], **fields: Any) -> tuple[Any, Book, Psa]:
    base, book, psa = free(**fields), Book(), Psa({"l1": line(25)})
    for n, used in enumerate(counts):
        step(using(base, used), book, psa, NOW + n * LATER)
    return base, book, psa


def test_changes_of_one_line_are_taken_back_as_one() -> None:
    base, book, psa = cycles([27, 28, 31])
    made = take_back(book, "e1", "e2", "e3")
    (back,) = made.intents
    assert told(back.operation, back.before, back.to) == (Operation.SET_QUANTITY, 31, 25)
    assert (back.undo_of, made.left) == ("e3 e2 e1", ())
    write(book, made, psa)
    assert step(using(base, 31), book, psa, NOW + 9 * LATER).lines[0].action == "ignore"
    assert step(using(base, 32), book, psa, NOW + 9 * LATER).lines[0].action == "post"


def test_only_the_top_of_a_pile_can_be_taken_back() -> None:
    _, book, _ = cycles([27, 28, 31])
    assert take_back(book, "e1").left == (("e1", "entry e3 changed the line since. Undo that one first."),)
    some = take_back(book, "e1", "e3")
    assert told(some.intents[0].before, some.intents[0].to) == (31, 28)
    assert some.left == (("e1", "entry e2 changed the line since. Undo that one first."),)


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_what_lies_below_an_undo_can_be_taken_back_next(true_up: str) -> None:
    base, book, psa = cycles([27, 28], true_up=true_up)
    write(book, take_back(book, "e2"), psa)
    assert take_back(book, "e2").left[0][1].startswith("is undone already (entry e3)")
    write(book, take_back(book, "e1"), psa)
    assert (psa.lines["l1"].quantity, psa.dated("2026-11")) == (25, 0)
    assert step(using(base, 28), book, psa, NOW + 9 * LATER).lines[0].action == "ignore"


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_there_and_back_again(true_up: str) -> None:
    base, book, psa = cycles([27], true_up=true_up)
    for id_, expected in (("e1", 0), ("e2", 2), ("e3", 0)):
        write(book, take_back(book, id_), psa)
        assert psa.lines["l1"].quantity - 25 + psa.dated("2026-11") == expected
    assert len({one.key for one in psa.done}) == 4
    assert step(using(base, 27), book, psa, NOW + 9 * LATER).lines[0].action == "ignore"


@given(st.lists(st.integers(25, 40), min_size=1, max_size=6), st.data(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_is_taken_back_the_line_is_as_it_was_before(
    counts: list[int], data: st.DataObject, dated: bool
) -> None:
    """Any number from the top, in one step: the billing system shows what stood below them, and it stays away."""
    base, book, psa = cycles(counts, true_up="line" if dated else "quantity")
    posted = book.ended(EntryState.POSTED)
    if not posted:
        return
    number = data.draw(st.integers(1, len(posted)))
    chosen = posted[-number:]
    made = take_back(book, *(one.id for one in chosen))
    if chosen[-1].intent.to == chosen[0].intent.before:
        assert all(intent.before == intent.to for intent in made.intents)
        return
    write(book, made, psa)

    shown = psa.dated("2026-11") if dated else psa.lines["l1"].quantity
    assert shown == chosen[0].intent.before
    assert step(using(base, counts[-1]), book, psa, NOW + 20 * LATER).lines[0].action == "ignore"


def test_lines_that_sum_to_nothing_are_not_taken_back_as_one() -> None:
    _, book, _ = cycles([27, 25], true_up=LINE)
    assert "do not sum to anything" in take_back(book, "e1", "e2").left[0][1]


def test_credits_of_a_line_are_taken_back_by_a_line_at_their_money() -> None:
    _, book, psa = cycles([30, 26], true_up=LINE)
    (back,) = take_back(book, "e2").intents
    assert told(back.operation, back.before, back.to, back.posting.quantity) == (Operation.POST_LINE, 1, 5, 4)
    assert (back.amount, back.signed_amount) == (Decimal(80), Decimal(80))
    both = take_back(book, "e1", "e2").intents[0]
    assert told(both.operation, both.to, both.amount) == (Operation.POST_CREDIT, 0, 20)
    assert psa.dated("2026-11") == 1


def pair(*, open_now: bool = False) -> tuple[Any, Book, Psa]:
    base, book = free(27, prorate=True), Book()
    psa = Psa({"l1": line(25)}, (agreement() if open_now else WHOLE_MONTH,))
    step(base, book, psa)
    return base, book, psa


def test_a_part_goes_with_its_quantity_and_the_quantity_not_with_its_part() -> None:
    _, book, _ = pair()
    both = take_back(book, "e1", at=WHOLE_MONTH, prorated=True).intents
    assert [one.operation for one in both] == [Operation.SET_QUANTITY, Operation.POST_CREDIT]
    assert both[1].follows == both[0].key
    assert [one.operation for one in take_back(book, "e2").intents] == [Operation.POST_CREDIT]


def test_a_part_stays_where_its_quantity_cannot_be_taken_back() -> None:
    base, book, psa = pair()
    step(using(base, 28), book, psa, NOW + LATER)
    made = take_back(book, "e1", "e2", at=WHOLE_MONTH, prorated=True)
    assert made.intents == ()
    assert {id_ for id_, _ in made.left} == {"e1", "e2"}


@pytest.mark.parametrize(
    ("open_now", "through", "periods"),
    [
        (False, NOVEMBER.last, []),  # the part was charged, and it alone
        (False, DECEMBER.last, ["2026-12"]),
        (True, date(2026, 10, 31), []),
        (True, NOVEMBER.last, ["2026-11"]),  # November was invoiced later, at 27
        (True, DECEMBER.last, ["2026-11", "2026-12"]),
    ],
)
def test_what_was_invoiced_at_the_raised_quantity_is_credited(
    open_now: bool, through: date, periods: list[str]
) -> None:
    _, book, _ = pair(open_now=open_now)
    at = agreement(period=DECEMBER, invoiced_through=through, prorates=True)
    made = take_back(book, "e1", today=date(2026, 12, 5), at=at, prorated=True).intents
    credits = [one for one in made if one.operation is Operation.POST_CREDIT and one.before == 0]
    assert [one.period for one in credits] == periods
    assert all(told(one.amount, one.to, one.posting.quantity) == (40, -2, 2) for one in credits)
    assert all(one.follows == made[0].key for one in credits)
    assert take_back(book, "e1", today=date(2026, 12, 5), at=at).intents[0].to == 25  # not prorated: no credit
    plain_rule = take_back(book, "e1", today=date(2026, 12, 5), at=at).intents
    assert [one.before for one in plain_rule if one.operation is Operation.POST_CREDIT] in ([], [2])


def test_a_credit_for_a_closed_period_names_it_and_stands_in_the_open_one() -> None:
    _, book, _ = cycles([27], true_up=LINE)
    at = agreement(period=DECEMBER, invoiced_through=NOVEMBER.last, prorates=True)
    (back,) = take_back(book, "e1", today=date(2026, 12, 5), at=at).intents
    assert (back.period, back.posting.starts, back.posting.ends) == ("2026-11", DECEMBER.first, DECEMBER.last)
    assert back.posting.description.startswith("for 2026-11: takes back e1: ")
    (same,) = take_back(book, "e1", today=date(2026, 11, 25), at=WHOLE_MONTH).intents
    assert (same.posting.starts, same.posting.description[:14]) == (NOVEMBER.first, "takes back e1:")


def test_several_rises_of_one_period_make_one_credit_for_each_period_since() -> None:
    base, book, psa = pair()
    step(using(base, 30), book, psa, NOW + LATER)
    at = agreement(period=DECEMBER, invoiced_through=DECEMBER.last, prorates=True)
    made = take_back(book, *book.entries, today=date(2026, 12, 5), at=at, prorated=True)
    found = {(str(one.operation), one.period): told(one.before, one.to) for one in made.intents}
    assert found == {
        ("set_quantity", "2026-11"): (30, 25),
        ("post_credit", "2026-12"): (0, -5),
        ("post_credit", "2026-11"): (5, 0),
    }
    assert made.left == ()


def test_an_added_line_goes_with_what_changed_it_since() -> None:
    base, book, psa = free(3, create=True, prorate=True), Book(), Psa()
    step(base, book, psa)
    step(using(base, 5), book, psa, NOW + LATER)
    assert [one.intent.operation for one in book.entries.values()] == [Operation.ADD_LINE, Operation.SET_QUANTITY]
    assert take_back(book, "e1").left == (("e1", "entry e2 changed the line since. Undo that one first."),)
    (back,) = take_back(book, "e1", "e2").intents
    assert told(back.operation, back.before, back.to) == (Operation.END_LINE, 5, 0)
    assert (back.posting.line_id, back.posting.ends) == ("n1", TODAY)


def test_an_ended_line_begins_anew_after_what_is_invoiced() -> None:
    _, book, psa = free(3, create=True, prorate=True), Book(), Psa()
    step(free(3, create=True, prorate=True), book, psa)
    (end,) = take_back(book, "e1").intents
    ended = book.add(end)
    book.approve(ended.id)
    book.settle(ended.id, EntryState.POSTED, "n1")
    at = agreement(invoiced_through=NOVEMBER.last)
    (again,) = take_back(book, ended.id, at=at).intents
    assert told(again.operation, again.before, again.to) == (Operation.ADD_LINE, 0, 3)
    assert (again.posting.starts, again.posting.line_id) == (DECEMBER.first, "")


def test_what_waits_on_a_line_is_settled_first() -> None:
    base, book, psa = cycles([27])
    step(using(base.but(), 28), book, psa, NOW + LATER, send=False)
    assert "has entry e2 open" in take_back(book, "e1").left[0][1]
    with pytest.raises(UserFault, match="has entry e2 open"):
        undo(book.entries["e1"], book.past(), wire, by="Ada", why="x", today=TODAY)


def test_without_a_price_the_credit_is_named_for_a_person() -> None:
    base, book = free(27, prorate=True).but(products=(product(),)), Book()
    psa = Psa({"l1": line(25, unit_price=None)}, (agreement(),))
    step(base, book, psa)
    at = agreement(invoiced_through=NOVEMBER.last)
    (back,) = take_back(book, "e1", at=at, prorated=True).intents
    assert "credit 2 units of 2026-11 by hand" in back.why
    assert back.posting.quantity == units(25)
