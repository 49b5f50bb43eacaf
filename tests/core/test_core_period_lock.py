"""The period lock: which days are closed, where late lines go, and that they are counted in their own period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import DECEMBER, LINE, NOVEMBER, NOW, ZONE, agreement, billing, free, line, told, units, using
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.closing import first_open, is_closed, late_words
from syncd.core.entries import EntryState
from syncd.core.intents import write_down
from syncd.model import Agreement, Operation, State
from syncd.periods import Period, add_months, following, local_date, month_of, period_on, preceding

LATER = timedelta(hours=1)
IN_DECEMBER = datetime.fromisoformat("2026-12-05T16:00:00+00:00")
TODAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("through", "prorates", "ends", "closed"),
    [
        (None, False, date(2026, 11, 30), False),
        (date(2026, 10, 31), False, date(2026, 11, 30), False),
        (date(2026, 11, 1), False, date(2026, 11, 30), True),
        (date(2026, 11, 30), False, date(2026, 11, 30), True),
        (date(2026, 11, 30), True, date(2026, 11, 30), False),  # its next invoice brings what is dated into it
        (date(2026, 11, 30), True, date(2026, 11, 20), False),
        (date(2026, 11, 30), True, date(2026, 11, 19), True),  # those days are over
        (date(2026, 11, 30), True, None, False),
        (date(2026, 11, 30), False, None, True),
    ],
)
def test_what_is_closed(through: date | None, prorates: bool, ends: date | None, closed: bool) -> None:
    found = agreement(invoiced_through=through, prorates=prorates)

    assert is_closed(found, date(2026, 11, 1), ends, TODAY) is closed


@pytest.mark.parametrize(
    ("through", "expected"),
    [
        (date(2026, 11, 30), DECEMBER),
        (date(2026, 10, 31), NOVEMBER),
        (date(2026, 9, 30), Period(date(2026, 10, 1), date(2026, 10, 31))),
        (date(2027, 2, 28), Period(date(2027, 3, 1), date(2027, 3, 31))),
        (date(2026, 11, 15), Period(date(2026, 11, 16), date(2026, 11, 30))),
    ],
)
def test_the_first_open_days(through: date, expected: Period) -> None:
    assert first_open(agreement(invoiced_through=through), NOVEMBER) == expected


@given(st.integers(1, 31), st.sampled_from([1, 3, 6, 12]), st.dates(date(2000, 1, 1), date(2090, 1, 1)))
@settings(max_examples=100, deadline=None)
def test_periods_follow_each_other(anchor: int, months: int, day: date) -> None:
    """As the vendor counts them from the first day of any period, however short the months between are."""
    first = add_months(date(1999, 1, 1), 0, anchor)
    here = period_on(day, first, months)
    after = period_on(here.last + timedelta(days=1), first, months)

    assert following(here) == after
    assert preceding(after) == here


def test_late_words_are_said_once() -> None:
    assert late_words("2026-10", late_words("2026-10", "2 more")) == "for 2026-10: 2 more"


def closed(period: Period, through: date, **fields: Any) -> tuple[Agreement, ...]:
    return (agreement(period=period, invoiced_through=through, **fields),)


def test_a_closed_current_period_is_posted_into_the_next_under_its_own_name() -> None:
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, NOVEMBER.last))

    plans = [step(using(base, used), book, psa, NOW + n * LATER) for n, used in enumerate((27, 30, 26, 26))]

    assert [(one.starts, one.ends, one.period) for one in psa.done] == [(DECEMBER.first, DECEMBER.last, "2026-11")] * 3
    assert all(one.description.startswith("for 2026-11: ") for one in psa.done)
    assert told(psa.dated("2026-11"), plans[-1].lines[0].billed) == (1, 26)
    assert plans[-1].lines[0].action == "none"
    assert not book.refused


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.booleans(), st.booleans()), min_size=2, max_size=10),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_lines_of_a_period_sum_to_what_was_due_whenever_they_are_billed(
    story: list[tuple[int, int, bool, bool]], prorates: bool
) -> None:
    """Days pass, counts rise, invoices come early or late, postings fail to leave, people approve: the lines of each
    period come to what was due at its end, under its own name, and never to more."""
    base, book, psa = free(true_up=LINE), Book(), Psa({"l1": line(25)})
    now, used, through = NOW, 25, NOVEMBER.last
    due: dict[str, int] = {}
    for days, rise, sends, invoices in story:
        now += timedelta(days=days, hours=1)
        used += rise
        period = month_of(local_date(now, ZONE))  # the MSP's day, as the cycle takes it
        through = max(through, period.last) if invoices else through
        psa.agreements = closed(period, through, prorates=prorates)
        for entry in book.open(EntryState.HELD):
            book.approve(entry.id)
        step(using(base, used), book, psa, now, send=sends)
        due[str(period)] = used - 25
        for text, wanted in due.items():
            assert psa.dated(text) <= wanted
    for n in range(4):
        for entry in book.open(EntryState.HELD):
            book.approve(entry.id)
        step(using(base, used), book, psa, now + (n + 1) * timedelta(minutes=20))

    assert {text: psa.dated(text) for text in due} == due
    assert not book.refused
    for one in psa.done:
        assert one.starts is not None
        assert one.description.startswith(f"for {one.period}: ") is (str(month_of(one.starts)) != one.period)
    assert len({one.key for one in psa.done}) == len(psa.done)


@pytest.mark.parametrize(("rule", "billed"), [("Premium", 25), ("Renamed", 27)])
def test_a_late_line_that_the_ledger_forgot_is_counted_in_its_own_period(rule: str, billed: int) -> None:
    """By its mark: counted by its days it would pass for December's own line, and December would never be billed. Under
    another rule no mark tells, and what the list shows is what is billed in those days."""
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, NOVEMBER.last))
    step(base, book, psa)
    psa.agreements = closed(DECEMBER, NOVEMBER.last)
    later = base.but(rules=tuple(replace(one, name=rule) for one in base.rules))

    seen = step(later, Book(), psa, IN_DECEMBER, send=False).lines[0]

    assert told(seen.billed) == (billed,)


@pytest.mark.parametrize("state", [EntryState.HELD, EntryState.PLANNED])
def test_what_waits_for_a_closed_period_waits_anew_for_the_open_one(state: EntryState) -> None:
    base, book = free(27, true_up=LINE, increase="hold"), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, date(2026, 10, 31)))
    step(base, book, psa)
    if state is EntryState.PLANNED:
        book.approve("e1")
    psa.agreements = closed(DECEMBER, NOVEMBER.last)
    step(using(base, 25), book, psa, IN_DECEMBER)

    assert [(one.state, one.intent.period) for one in book.entries.values()] == [
        (EntryState.SUPERSEDED, "2026-11"),
        (EntryState.HELD, "2026-11"),
    ]
    late = book.entries["e2"].intent
    assert told(late.before, late.to, late.posting.quantity) == (0, 2, 2)
    assert (late.posting.starts, late.posting.ends) == (DECEMBER.first, DECEMBER.last)
    assert "2026-11 is closed" in late.why
    assert not psa.done


@pytest.mark.parametrize("state", [EntryState.SENDING, EntryState.UNKNOWN])
def test_what_may_have_left_keeps_its_days(state: EntryState) -> None:
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, date(2026, 10, 31)))
    step(base, book, psa, send=False)
    book.settle("e1", state)
    psa.agreements = closed(DECEMBER, NOVEMBER.last)
    step(using(base, 25), book, psa, IN_DECEMBER)

    assert [one.state for one in book.entries.values()] == [state]


def test_a_part_without_a_price_is_left_to_a_person() -> None:
    base, book = free(27, prorate=True, increase="hold"), Book()
    base = base.but(products=(replace(base.products[0], unit_price=None),))  # type: ignore[index]
    psa = Psa({"l1": line(25, unit_price=None)}, closed(NOVEMBER, NOVEMBER.last, prorates=True))
    step(base, book, psa)
    for entry in book.open(EntryState.HELD):
        book.approve(entry.id)
    psa.agreements = closed(DECEMBER, NOVEMBER.last, prorates=True)
    step(base, book, psa, IN_DECEMBER)

    part = next(one for one in book.entries.values() if one.intent.operation is Operation.POST_LINE)
    assert part.state is EntryState.HELD
    assert "no price is known" in part.note
    assert [one.operation for one in psa.done] == [Operation.SET_QUANTITY]


def test_a_vendor_that_refuses_the_open_period_keeps_the_entry_waiting() -> None:
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, date(2026, 10, 31)))
    step(base, book, psa, send=False)
    psa.agreements = closed(DECEMBER, NOVEMBER.last)
    step(using(base, 25).but(refusal=lambda *_: "the agreement ends in November"), book, psa, IN_DECEMBER)

    (kept,) = book.entries.values()
    assert kept.state is EntryState.HELD
    assert "the agreement ends in November" in kept.note


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PARTIAL])
def test_what_waits_leaves_only_when_it_can_be_told_whether_its_period_is_open(state: State) -> None:
    base, book = free(27, true_up=LINE), Book()
    psa = Psa({"l1": line(25)}, closed(NOVEMBER, date(2026, 10, 31)))
    step(base, book, psa, send=False)

    unread = base.but(billings=(billing(state=state),), past=book.past(base.past))
    waits = write_down(unread.plan(IN_DECEMBER), book.open(), unread.views, unread.past)
    assert (waits.sendable, waits.supersede, waits.hold, waits.intents) == (frozenset(), (), (), ())

    psa.agreements = closed(DECEMBER, date(2026, 10, 31))
    step(using(base, 25), book, psa, IN_DECEMBER + LATER)
    assert [(one.period, one.starts) for one in psa.done] == [("2026-11", NOVEMBER.first)]


# A line that syncd added and that has not begun.


def test_a_scheduled_line_of_ours_follows_the_count_and_a_hand_made_one_does_not() -> None:
    for marker, expected in (("sd-acme-x", ["defer", "post"]), ("", ["defer", "defer"])):
        later = line(3, starts=DECEMBER.first, marker=marker)
        base = free(create=True, prorate=True)
        psa = Psa({"l1": later}, closed(NOVEMBER, NOVEMBER.last))
        seen = [step(using(base, used), Book(), psa, NOW, send=False).lines[0] for used in (3, 4)]
        assert [str(one.action) for one in seen] == expected
        effects = [effect.operation for effect in (one.posting for one in seen[1].effects)]
        assert effects == ([Operation.SET_QUANTITY] if marker else [])  # no part of days that it does not bill
    assert units(3) == later.quantity
