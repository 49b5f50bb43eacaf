"""Cycles one after another, against a billing system and a ledger in memory: once is enough, never more than due."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from core_book import Book, Psa, operations, step
from core_kit import DECEMBER, FREE, LINE, NOVEMBER, NOW, agreement, free, line, posts, product, told, units, using
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.entries import EntryState
from syncd.model import Operation, Posting
from syncd.periods import parse_period

LATER = timedelta(hours=1)  # the list shows what was written
IN_DECEMBER = datetime.fromisoformat("2026-12-05T16:00:00+00:00")
WHOLE_MONTH = (agreement(invoiced_through=date(2026, 11, 30), prorates=True),)


@pytest.mark.parametrize(
    ("fields", "psa", "expected"),
    [
        ({}, Psa({"l1": line(25)}), {Operation.SET_QUANTITY: 1}),
        ({"used": 20}, Psa({"l1": line(25)}), {Operation.SET_QUANTITY: 1}),
        ({"used": 0}, Psa({"l1": line(25)}), {Operation.SET_QUANTITY: 1}),
        ({"true_up": LINE}, Psa({"l1": line(25)}), {Operation.POST_LINE: 1}),
        ({"true_up": LINE}, Psa(), {Operation.POST_LINE: 1}),
        ({"create": True}, Psa(), {Operation.ADD_LINE: 1}),
        ({"create": True}, Psa({}, WHOLE_MONTH), {Operation.ADD_LINE: 1}),  # it begins after what is invoiced
        ({"prorate": True}, Psa({"l1": line(25)}, WHOLE_MONTH), {Operation.SET_QUANTITY: 1, Operation.POST_LINE: 1}),
        ({"prorate": True, "true_up": LINE}, Psa({"l1": line(25)}), {Operation.POST_LINE: 1}),
        ({"tolerance": 2}, Psa({"l1": line(25)}), {}),
        ({"decrease": "hold", "used": 20}, Psa({"l1": line(25)}), {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("settle", [1, 3])
def test_what_was_posted_is_not_planned_again(
    fields: dict[str, Any], psa: Psa, expected: dict[Operation, int], settle: int
) -> None:
    psa = replace(psa, lines=dict(psa.lines), done=[])
    base, book = free(**fields, safety={"settle": settle}), Book()

    plans = [step(base, book, psa, NOW + n * LATER) for n in range(settle + 4)]

    assert operations(psa) == expected
    assert not [one for plan in plans[settle + 1 :] for one in posts(plan.lines)]
    assert not book.refused


def test_a_true_up_follows_from_a_credit_and_both_sum_to_what_is_due() -> None:
    base, book, psa = free(27, true_up=LINE), Book(), Psa({"l1": line(25)})

    for n, used in enumerate((27, 26, 30, 30, 25)):
        step(using(base, used), book, psa, NOW + n * LATER)

    assert [told(one.operation, one.quantity) for one in psa.done] == [
        (Operation.POST_LINE, 2),
        (Operation.POST_CREDIT, 1),
        (Operation.POST_LINE, 4),
        (Operation.POST_CREDIT, 5),
    ]
    assert psa.dated("2026-11") == 0


def test_a_fall_in_a_period_waits_where_decrease_says_so() -> None:
    base, book, psa = free(27, true_up=LINE, decrease="hold"), Book(), Psa({"l1": line(25)})

    for n, used in enumerate((27, 25, 25)):
        step(using(base, used), book, psa, NOW + n * LATER)

    assert psa.dated("2026-11") == 2
    (held,) = book.open(EntryState.HELD)
    assert told(held.intent.operation, held.intent.before, held.intent.to) == (Operation.POST_CREDIT, 2, 0)


def test_a_fall_below_the_recurring_line_credits_what_syncd_added_and_no_more() -> None:
    base, book, psa = free(27, true_up=LINE), Book(), Psa({"l1": line(25)})

    plans = [step(using(base, used), book, psa, NOW + n * LATER) for n, used in enumerate((27, 20, 20))]

    assert psa.dated("2026-11") == 0
    assert [told(one.operation, one.quantity) for one in psa.done][-1] == (Operation.POST_CREDIT, 2)
    assert plans[-1].lines[0].action == "alert"  # the rest is on a line that "line" cannot lower


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_lines_of_a_period_sum_to_what_was_due(rises: list[int], recurring: int, prorate: bool) -> None:
    """Whatever the counts rise to, in whatever steps: at each moment the sum is what is due, and never more."""
    base, book = free(true_up=LINE, prorate=prorate), Book()
    psa = Psa({"l1": line(recurring)} if recurring else {})
    used = recurring
    for n, rise in enumerate(rises):
        used += rise
        step(using(base, used), book, psa, NOW + n * LATER)
        assert psa.dated("2026-11") == used - recurring
        assert psa.dated("2026-11") == sum(one.quantity for one in psa.lines.values() if one.once)
    assert not book.refused
    assert len({one.key for one in psa.done}) == len(psa.done)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["post", "lose", "stall"])), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_sum_never_exceeds_what_is_due_when_answers_are_lost(story: list[tuple[int, str]]) -> None:
    """What was lost (`unknown`) or did not leave (`planned`) counts as if posted until it is settled."""
    base, book, psa = free(true_up=LINE), Book(), Psa({"l1": line(25)})
    used = 25
    for n, (rise, luck) in enumerate(story):
        used += rise
        now = NOW + n * LATER
        step(using(base, used), book, psa, now, send=luck == "post")
        if luck == "lose":
            for entry in book.open(EntryState.PLANNED):
                book.settle(entry.id, EntryState.UNKNOWN)
                psa.take(entry.intent.posting)
        assert psa.dated("2026-11") <= used - 25
        (own,) = {book.past().lines[one.intent.identity].own_quantity for one in book.entries.values()} or {Decimal(0)}
        assert own <= used - 25
    for entry in book.open(EntryState.UNKNOWN):
        book.move(entry.id, EntryState.POSTED, settled_at=NOW, remote_id="found")
    for n in range(3):
        step(using(base, used), book, psa, NOW + timedelta(days=1) + n * LATER)
    assert psa.dated("2026-11") == used - 25
    assert not book.open()


def test_each_period_owes_its_own() -> None:
    base, book, psa = free(27, true_up=LINE), Book(), Psa({"l1": line(25)}, (agreement(period=NOVEMBER),))
    step(base, book, psa)
    psa.agreements = (agreement(period=DECEMBER),)
    for n in range(3):
        step(base, book, psa, IN_DECEMBER + n * LATER)

    assert told(psa.dated("2026-11"), psa.dated("2026-12"), len(psa.done)) == (2, 2, 2)


def test_percentages_judge_a_true_up_against_its_last_closed_period() -> None:
    limits = {**FREE, "max_increase": units(100)}
    base, book = free(true_up=LINE, safety=limits), Book()
    psa = Psa({"l1": line(25)}, (agreement(period=NOVEMBER),))
    first = step(using(base, 35), book, psa)  # a first period is judged by max_amount alone
    psa.agreements = (agreement(period=DECEMBER),)
    double = step(using(base, 45), Book(dict(book.entries)), replace(psa, done=[]), IN_DECEMBER)
    more = step(using(base, 46), Book(dict(book.entries)), replace(psa, done=[]), IN_DECEMBER)

    assert [str(one.lines[0].action) for one in (first, double, more)] == ["post", "post", "hold"]


@pytest.mark.parametrize("settle", [1, 2])
def test_next_period_for_true_up_lines_waits_once_and_is_owed_from_then_on(settle: int) -> None:
    base, book, psa = (
        free(true_up=LINE, increase="next-period", safety={"settle": settle}),
        Book(),
        Psa({"l1": line(25)}),
    )
    story = {
        "2026-11": (20, [27, 27, 27]),  # seen first
        "2026-12": (1, [27, 27, 27]),  # owed
        "2027-01": (1, [27, 27, 28, 28]),  # owed again, and one more is seen
        "2027-02": (1, [28, 28, 28]),
        "2027-03": (1, [30, 30, 30]),  # on its very first day two more: as much as before is owed at once
        "2027-04": (1, [30, 30, 26, 26]),
    }
    for text, (day, counts) in story.items():
        period = parse_period(text)
        psa.agreements = (agreement(period=period),)
        for n, used in enumerate(counts):
            step(
                using(base, used),
                book,
                psa,
                datetime(period.first.year, period.first.month, day, 16, tzinfo=UTC) + n * LATER,
            )

    assert [psa.dated(text) for text in story] == [0, 2, 2, 3, 3, 1]
    assert not book.refused


# Keys.


def test_there_and_back_and_there_again_are_three_keys() -> None:
    base, book, psa = free(), Book(), Psa({"l1": line(5)})

    for n, used in enumerate((6, 5, 6)):
        step(using(base, used), book, psa, NOW + n * LATER)

    assert [told(one.before, one.quantity) for one in psa.done] == [(5, 6), (6, 5), (5, 6)]
    assert len({one.key for one in psa.done}) == 3
    assert len({one.marker for one in psa.done}) == 3


def test_the_same_step_looked_at_twice_is_one_key() -> None:
    found = free()
    first, second = found.one_line(), found.one_line(NOW + LATER)

    assert [one.posting for one in first.effects] == [one.posting for one in second.effects]


def test_another_month_is_another_key_and_another_installation_too() -> None:
    found = free()
    december = found.but(billings=(replace(found.billings[0], agreements=(agreement(period=DECEMBER),)),))
    elsewhere = found.but(past=replace(found.past, installation="otherhome"))
    key = found.one_line().effects[0].posting.key

    assert len({key, december.one_line().effects[0].posting.key, elsewhere.one_line().effects[0].posting.key}) == 3


@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_a_target_that_moves_while_a_change_waits_gets_a_new_key(true_up: str) -> None:
    base, book, psa = free(increase="hold", true_up=true_up), Book(), Psa({"l1": line(25)})

    for n, used in enumerate((27, 28, 28, 27)):
        step(using(base, used), book, psa, NOW + n * LATER)

    made = [(one.intent.to, one.state) for one in book.entries.values()]
    top = {27: units(27), 28: units(28)} if true_up == "quantity" else {27: units(2), 28: units(3)}
    assert made == [
        (top[27], EntryState.SUPERSEDED),
        (top[28], EntryState.SUPERSEDED),
        (top[27], EntryState.HELD),
    ]
    assert len({one.intent.key for one in book.entries.values()}) == 3
    assert not book.refused


@given(st.lists(st.integers(20, 30), min_size=2, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
@settings(max_examples=60, deadline=None)
def test_no_key_is_used_for_two_things(counts: list[int], approvals: list[bool]) -> None:
    base, book, psa = free(increase="hold", decrease="hold"), Book(), Psa({"l1": line(25)})

    for n, used in enumerate(counts):
        step(using(base, used), book, psa, NOW + n * LATER)
        if approvals[n % len(approvals)]:
            for entry in book.open(EntryState.HELD):
                book.approve(entry.id)

    by_key: dict[str, Posting] = {}
    for entry in book.entries.values():
        assert by_key.setdefault(entry.intent.key, entry.intent.posting) == entry.intent.posting
    assert not book.refused
    assert all(one.quantity != two.quantity for one, two in pairwise(psa.done))


def test_prorating_bills_the_days_that_are_left() -> None:
    base, book, psa = free(27, prorate=True), Book(), Psa({"l1": line(25)}, WHOLE_MONTH)
    step(base, book, psa)
    part = psa.done[1]

    assert told(part.starts, part.ends, part.quantity) == (date(2026, 11, 20), date(2026, 11, 30), 2)
    assert part.amount == Decimal("14.67")  # 2 seats at 20.00 for 11 of 30 days
    assert part.options["prorate"] == "daily"


@pytest.mark.parametrize(
    ("through", "used", "parts"),
    [(None, 27, 0), (date(2026, 11, 19), 27, 0), (date(2026, 11, 20), 27, 1), (date(2026, 11, 30), 23, 0)],
)
def test_only_what_is_invoiced_already_and_rises_is_prorated(through: date | None, used: int, parts: int) -> None:
    base, book = free(used, prorate=True), Book()
    psa = Psa({"l1": line(25)}, (agreement(invoiced_through=through),))
    step(base, book, psa)

    assert operations(psa) == Counter({Operation.SET_QUANTITY: 1, Operation.POST_LINE: parts})


def test_a_line_rule_without_a_recurring_line_owes_the_whole_target() -> None:
    base, book, psa = free(7, true_up=LINE).but(products=(product(unit_price=units(20)),)), Book(), Psa()
    step(base, book, psa)

    assert told(psa.dated("2026-11"), psa.done[0].amount) == (7, Decimal("140.00"))
    assert (psa.done[0].starts, psa.done[0].ends) == (NOVEMBER.first, NOVEMBER.last)
