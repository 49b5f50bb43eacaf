"""Periods that the shape of today's cannot tell: short first ones, moved ones, weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from core_book import Book, Psa, step
from core_kit import DECEMBER, EMPTY, LINE, NOVEMBER, NOW, World, agreement, count, free, line, reading, reads, told

from syncd.core.aggregate import Seen, Track
from syncd.core.closing import billed_beside, known_periods, true_period
from syncd.core.entries import EntryState, LineHistory
from syncd.core.rules import Aggregate, Mode
from syncd.model import Agreement, Operation
from syncd.periods import DAY, Period, parse_period

KEY = ("m365", "t1", "assigned")
SHORT = Period(date(2026, 11, 20), date(2026, 11, 30))
MOVED = Period(date(2026, 11, 15), date(2026, 12, 14))
AFTER_MOVED = Period(date(2026, 12, 15), date(2027, 1, 14))
LATER = timedelta(hours=1)


def at(month: int, day: int, hour: int = 18, year: int = 2026) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def invoiced(period: Period, through: date) -> tuple[Agreement, ...]:
    return (agreement(period=period, invoiced_through=through, prorates=False, in_advance=True),)


def proposing(base: World) -> World:
    return base.but(house=replace(base.house, mode=Mode.PROPOSE))


# A short first period.


def test_a_late_line_of_a_short_first_period_is_not_the_next_months_own() -> None:
    """It stands in December's days, and no month before December is that of Nov 20 to 30."""
    base, book = proposing(free(2, true_up=LINE)), Book()
    psa = Psa(agreements=invoiced(SHORT, SHORT.first - DAY))
    step(base, book, psa, at(11, 24))
    psa.agreements = invoiced(DECEMBER, SHORT.last)
    step(base, book, psa, at(12, 2))
    for entry in book.open(EntryState.HELD):
        if entry.intent.period == str(SHORT):
            book.approve(entry.id)
    step(base, book, psa, at(12, 3))
    seen = [step(base, book, psa, at(12, day)).lines[0] for day in (4, 5)]

    assert [(one.period, one.starts, one.ends) for one in psa.done] == [(str(SHORT), DECEMBER.first, DECEMBER.last)]
    assert [told(one.action, one.billed, one.difference) for one in seen] == [("post", 0, 2)] * 2
    assert [(one.state, one.intent.period) for one in book.open()] == [(EntryState.HELD, "2026-12")]

    book.approve(book.open()[0].id)
    plans = [step(base, book, psa, at(12, 6, hour)) for hour in (10, 12)]
    assert {one.period: one.quantity for one in psa.done} == {str(SHORT): 2, "2026-12": 2}
    assert told(plans[-1].lines[0].action, plans[-1].lines[0].billed) == ("none", 2)


def test_what_is_late_in_a_short_first_period_goes_into_one_month() -> None:
    base = free(2, true_up=LINE)
    book, psa = Book(), Psa(agreements=invoiced(SHORT, SHORT.last))
    step(base, book, psa, at(11, 24))

    assert [(one.period, one.starts, one.ends) for one in psa.done] == [(str(SHORT), DECEMBER.first, DECEMBER.last)]


def test_what_is_invoiced_ahead_of_a_short_first_period_is_charged_by_the_month() -> None:
    ahead = (agreement(period=SHORT, invoiced_through=DECEMBER.last, prorates=True, in_advance=True),)
    base, book, psa = free(27, prorate=True), Book(), Psa({"l1": line(25)}, ahead)
    step(base, book, psa, at(11, 24))

    parts = [one for one in psa.done if one.operation is Operation.POST_LINE]
    assert [(one.period, one.starts, one.ends, one.amount) for one in parts] == [
        (str(SHORT), date(2026, 11, 24), SHORT.last, Decimal("25.45")),
        ("2026-12", DECEMBER.first, DECEMBER.last, Decimal(40)),
    ]


# The marks that the ledger knows.


def test_a_period_that_no_shape_tells_is_found_by_its_mark() -> None:
    base, book, psa = free(2, true_up=LINE), Book(), Psa(agreements=invoiced(SHORT, SHORT.last))
    step(base, book, psa, at(11, 24))
    (made,) = psa.done
    past = book.past()
    ((family, known),) = known_periods(past).items()

    def found(marker: str) -> Period | None:
        return true_period(DECEMBER, marker, DECEMBER.first, past, f"{family}:", known)

    assert list(known) == [str(SHORT)]
    assert found(made.marker) == SHORT
    assert found(f"{made.marker}x") is None
    assert true_period(DECEMBER, made.marker, DECEMBER.first, past, f"{family}:") is None  # by shape alone


def test_a_line_of_a_moved_period_counts_in_its_own_alone() -> None:
    """Both periods hold its days; counted in both, a period would pass for billed."""
    base, book, psa = free(2, true_up=LINE), Book(), Psa(agreements=(agreement(period=NOVEMBER),))
    for hour in range(2):
        step(base, book, psa, NOW + hour * LATER)
    assert [(one.period, one.quantity) for one in psa.done] == [("2026-11", 2)]
    psa.agreements = (agreement(period=MOVED),)

    seen = step(base, book, psa, NOW + 2 * LATER, send=False).lines[0]

    assert told(seen.action, seen.billed, seen.difference) == ("hold", 0, 2)
    assert [one.period for one in seen.effects] == [str(MOVED)]


# In arrears.


def arrears(*, mode: Mode = Mode.POST, safety: str = "hold") -> World:
    """Contoso with nine seats on every day of a winter, billed when the period is over."""
    days = [date(2026, 9, 1) + DAY * number for number in range(150)]
    track = Track((Seen(1, days[0], (count("SPB", 9),)),), {day: number + 1 for number, day in enumerate(days)})
    base = free(9, true_up="usage", aggregate=Aggregate.SUM, grace=timedelta(0), safety={"foreign_edit": safety})
    base = base.but(house=replace(base.house, mode=mode), readings=reads(reading("t1", count("SPB", 9))))
    return base.remembering(tracks={KEY: track})


def billed_november(safety: str = "hold") -> tuple[World, Book, Psa]:
    base, book, psa = arrears(safety=safety), Book(), Psa(agreements=(agreement(period=DECEMBER),))
    step(base, book, psa, at(12, 3))
    assert [(one.period, one.quantity) for one in psa.done] == [("2026-11", 270)]
    psa.agreements = (agreement(period=AFTER_MOVED),)
    return base, book, psa


@pytest.mark.parametrize("safety", ["hold", "overwrite", "accept"])
def test_days_that_were_billed_in_another_period_wait_for_a_person(safety: str) -> None:
    base, book, psa = billed_november(safety)
    seen = [step(base, book, psa, at(12, 20, hour)).lines[0] for hour in (10, 12, 14)]

    assert {str(one.action) for one in seen} == {"hold"}
    assert f"{MOVED} has days in common with 2026-11" in seen[0].reason
    assert "approve this, or reject it" in seen[0].reason
    assert [one.period for one in psa.done] == ["2026-11"]
    assert [(one.state, one.intent.period) for one in book.open()] == [(EntryState.HELD, str(MOVED))]


def test_who_looked_decides_and_the_next_period_is_billed_by_itself() -> None:
    base, book, psa = billed_november()
    step(base, book, psa, at(12, 20))
    book.reject(book.open()[0].id, "the rest is billed by hand")
    seen = step(base, book, psa, at(12, 20, 19)).lines[0]
    assert told(seen.action) == ("ignore",)

    psa.agreements = (agreement(period=Period(date(2027, 1, 15), date(2027, 2, 14))),)
    for hour in range(3):
        step(base, book, psa, at(1, 16, 16 + hour, 2027))
    assert [one.period for one in psa.done] == ["2026-11", str(AFTER_MOVED)]


def test_what_a_person_approves_is_posted_once() -> None:
    base, book, psa = billed_november()
    step(base, book, psa, at(12, 20))
    book.approve(book.open()[0].id)
    plans = [step(base, book, psa, at(12, 20, 19 + hour)) for hour in range(3)]

    assert [(one.period, one.quantity) for one in psa.done] == [("2026-11", 270), (str(MOVED), 270)]
    assert plans[-1].lines[0].action == "none"  # settled: that both stand is no question any more


def test_weeks_are_not_billed_as_months_that_overlap() -> None:
    base, book, psa = arrears(), Book(), Psa()
    for week in range(4):
        monday = date(2026, 11, 23) + timedelta(weeks=week)
        psa.agreements = (agreement(period=Period(monday, monday + timedelta(days=6))),)
        step(base, book, psa, at(11, 24) + timedelta(weeks=week))

    billed = [parse_period(one.period) for one in psa.done]
    assert len(billed) == 1
    assert {one.state for one in book.open()} == {EntryState.HELD}


def test_only_what_was_billed_stands_beside() -> None:
    def beside(text: str, quantity: int = 1) -> str:
        past = replace(EMPTY, lines={f"lines:x:{text}": LineHistory(own_quantity=Decimal(quantity))})
        return billed_beside(MOVED, past, "lines:x:", [text])

    assert beside("2026-11").startswith(f"{MOVED} has days in common with 2026-11, which is billed")
    assert beside("2026-12-14/2027-01-13")
    assert not beside("2026-11", 0)  # credited, or never posted
    assert not beside("2026-10-15/2026-11-14")
    assert not beside("2026-12-15/2027-01-14")
    assert not beside(str(MOVED))
