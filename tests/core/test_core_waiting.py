"""What waits, what was approved, what is in flight, what was refused: over cycles, and over the end of a period."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import DECEMBER, LINE, NOVEMBER, NOW, agreement, free, line, told, using

from syncd.core.entries import EntryState
from syncd.core.pricing import Price, Unit
from syncd.model import Operation

D = Decimal
LATER = timedelta(hours=1)  # the list shows what was written
IN_DECEMBER = datetime.fromisoformat("2026-12-05T16:00:00+00:00")
WHOLE_MONTH = (agreement(invoiced_through=date(2026, 11, 30), prorates=True),)


# What waits goes on waiting, and what was approved is posted, also over the end of a period.


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_what_waits_is_one_entry_however_often_it_is_looked_at(true_up: str) -> None:
    base, book, psa = free(increase="hold", true_up=true_up), Book(), Psa({"l1": line(25)})

    for n in range(5):
        step(base, book, psa, NOW + n * LATER)

    assert [one.state for one in book.entries.values()] == [EntryState.HELD]


def test_a_quantity_that_waits_over_the_end_of_the_period_stays_one_entry() -> None:
    base, book = free(increase="hold"), Book()
    psa = Psa({"l1": line(25)}, (agreement(period=NOVEMBER),))
    step(base, book, psa)
    psa.agreements = (agreement(period=DECEMBER),)
    for n in range(4):
        step(base, book, psa, IN_DECEMBER + n * LATER)

    assert [one.state for one in book.entries.values()] == [EntryState.HELD]
    book.approve("e1")
    step(base, book, psa, IN_DECEMBER + 5 * LATER)
    assert [told(one.before, one.quantity) for one in psa.done] == [(25, 27)]


@pytest.mark.parametrize(
    ("fields", "agreements", "expected"),
    [
        ({}, None, [Operation.SET_QUANTITY]),
        ({"true_up": LINE}, None, [Operation.POST_LINE]),
        ({"prorate": True}, WHOLE_MONTH, [Operation.SET_QUANTITY, Operation.POST_LINE]),
    ],
)
def test_what_was_approved_is_posted_in_the_next_cycle(
    fields: dict[str, Any], agreements: Any, expected: list[Operation]
) -> None:
    base, book, psa = free(increase="hold", **fields), Book(), Psa({"l1": line(25)}, agreements)
    step(base, book, psa)
    for entry in book.open(EntryState.HELD):
        book.approve(entry.id)

    step(base, book, psa, NOW + LATER)

    assert [one.operation for one in psa.done] == expected
    assert {one.state for one in book.entries.values()} == {EntryState.POSTED}


@pytest.mark.parametrize("approved", [False, True])
def test_what_waits_is_asked_anew_at_another_price(approved: bool) -> None:
    """Its bytes say the old one: whoever approves it now, or applies a plan, reads the new one."""
    book, psa = Book(), Psa()
    for hour, price in enumerate((D(30), D(30), D(3), D(3))):
        base = free(2, true_up=LINE, increase="hold", price=Price(Unit(price)))
        step(base, book, psa, NOW + hour * LATER)
        if approved and hour == 1:
            book.approve("e1")
    first, second = book.entries.values()

    assert psa.done == []
    assert (first.state, first.intent.amount) == (EntryState.SUPERSEDED, D(60))
    assert (second.state, second.intent.amount) == (EntryState.HELD, D(6))
    book.approve(second.id)
    step(base, book, psa, NOW + 5 * LATER)
    assert [(one.quantity, one.amount) for one in psa.done] == [(D(2), D(6))]


def test_a_part_of_a_period_waits_on_although_it_costs_less_each_day() -> None:
    base, book, psa = free(increase="hold", prorate=True), Book(), Psa({"l1": line(25)}, WHOLE_MONTH)

    for day in range(4):
        step(base, book, psa, NOW + timedelta(days=day))

    assert [one.state for one in book.entries.values()] == [EntryState.HELD] * 2


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_a_sending_that_did_not_leave_is_sent_later_under_its_key(true_up: str) -> None:
    base, book, psa = free(true_up=true_up), Book(), Psa({"l1": line(25)})
    step(base, book, psa, send=False)
    (waiting,) = book.open(EntryState.PLANNED)

    step(base, book, psa, NOW + LATER)

    assert [one.key for one in psa.done] == [waiting.intent.key]
    assert len(book.entries) == 1


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_what_never_arrived_is_sent_again_under_its_key(true_up: str) -> None:
    """Sent, not known, then surely absent: the second attempt is the same change, and bears the same name."""
    base, book, psa = free(true_up=true_up), Book(), Psa({"l1": line(25)})
    step(base, book, psa, send=False)
    first = book.settle("e1", EntryState.UNKNOWN).intent
    book.move("e1", EntryState.PLANNED)

    step(base, book, psa, NOW + LATER)

    assert [(one.key, one.marker) for one in psa.done] == [(first.key, first.posting.marker)]
    assert [(one.state, one.attempts) for one in book.entries.values()] == [(EntryState.POSTED, 2)]


def test_the_part_of_a_period_is_not_lost_when_only_its_leader_was_sent() -> None:
    """Killed between the two: the line is right already, and the part of the period must still be billed, once."""
    base, book, psa = free(prorate=True), Book(), Psa({"l1": line(25)}, WHOLE_MONTH)
    step(base, book, psa, send=False)
    leader, follower = book.open(EntryState.PLANNED)
    assert follower.intent.follows == leader.intent.key
    book.settle(leader.id, EntryState.POSTED, psa.take(leader.intent.posting))

    for n in range(1, 4):
        step(base, book, psa, NOW + n * LATER)

    assert [one.operation for one in psa.done] == [Operation.SET_QUANTITY, Operation.POST_LINE]
    assert not book.open()


def test_a_dated_line_of_the_old_period_is_still_owed_in_the_new_one() -> None:
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, (agreement(period=NOVEMBER),))
    step(base, book, psa, send=False)
    psa.agreements = (agreement(period=DECEMBER),)
    step(using(base, 25), book, psa, IN_DECEMBER)  # nothing is due in December

    assert told(psa.dated("2026-11"), psa.dated("2026-12")) == (2, 0)


@pytest.mark.parametrize("true_up", ["quantity", "line"])
@pytest.mark.parametrize("state", [EntryState.UNKNOWN, EntryState.SENDING])
def test_nothing_overtakes_an_outcome_that_is_not_known(true_up: str, state: EntryState) -> None:
    base, book, psa = free(true_up=true_up), Book(), Psa({"l1": line(25)})
    step(base, book, psa, send=False)
    book.settle("e1", state)

    for n, used in enumerate((27, 28, 20)):
        made = step(using(base, used), book, psa, NOW + n * LATER).lines[0]
        assert (made.action, made.effects) == ("blocked", ())
        assert "e1" in made.reason
    assert len(book.entries) == 1
    assert not psa.done


def test_a_refused_posting_is_not_repeated_until_something_moves() -> None:
    base, book, psa = free(), Book(), Psa({"l1": line(25)})
    step(base, book, psa, send=False)
    book.settle("e1", EntryState.FAILED, note="the agreement is closed")

    for n in range(3):
        made = step(base, book, psa, NOW + n * LATER).lines[0]
        assert (made.action, "the agreement is closed" in made.reason) == ("blocked", True)
    step(using(base, 28), book, psa, NOW + 4 * LATER)

    assert [one.quantity for one in psa.done] == [28]
    assert len({one.intent.key for one in book.entries.values()}) == 2


def test_a_rejected_change_stays_away_until_something_moves() -> None:
    base, book, psa = free(increase="hold"), Book(), Psa({"l1": line(25)})
    step(base, book, psa)
    book.reject("e1")

    assert step(base, book, psa, NOW + LATER).lines[0].action == "ignore"
    assert not book.open()
    step(using(base, 28), book, psa, NOW + 2 * LATER)
    (waiting,) = book.open(EntryState.HELD)
    assert waiting.intent.to == 28


def test_a_line_added_by_hand_meanwhile_is_adopted() -> None:
    base, book, psa = free(3, create=True, increase="hold"), Book(), Psa()
    step(base, book, psa)
    psa.lines["l1"] = line(2)
    step(base, book, psa, NOW + LATER)

    assert [(str(one.intent.operation), one.state) for one in book.entries.values()] == [
        ("add_line", EntryState.SUPERSEDED),
        ("set_quantity", EntryState.HELD),
    ]


def test_an_edited_true_up_is_held_and_never_posted_twice() -> None:
    """Somebody deleted syncd's line: whatever `foreign_edit` says, a plan never says `post` with nothing to post."""
    for policy in ("hold", "overwrite", "accept"):
        base, book, psa = free(true_up=LINE, safety={"foreign_edit": policy}), Book(), Psa({"l1": line(25)})
        step(base, book, psa)
        del psa.lines["n1"]
        made = step(base, book, psa, NOW + LATER).lines[0]

        assert made.action in ("hold", "ignore")
        assert "foreign edit" in made.findings
        assert len(psa.done) == 1
