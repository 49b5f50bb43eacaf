"""Billing in arrears where a part of the past is missing: a source is down, a reading vanished, a line was refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from core_book import Book, step
from core_kit import World, agreement, count, customer, free, known, reading, ref, told, world
from test_core_usage import DECEMBER_3, arrears, month, months, psa

from syncd.core.entries import EntryState
from syncd.core.resolve import ReadError, View
from syncd.core.rules import Mode
from syncd.model import Query, RemoteCustomer, Term

HOURS = Query("hours")


class Hours(World):
    """Hours of two systems: what happened in a period."""

    @property
    def views(self) -> dict[str, View]:
        return {name: replace(view, of_period=frozenset({"hours"})) for name, view in super().views.items()}


def hours(cw: int | None = 40, halo: int | None = 100, *, down: bool = False, seen: str = "5") -> World:
    """November's hours, asked for again on 3 December. None is not asked; `down`: halo shows no customers."""
    tracked = months(month("2026-11", seen), month("2026-12", "1"))
    refs = (ref("*", "cw", "hours"), ref("*", "halo", "hours"))
    base = arrears(tracked, aggregate="last", count=refs)
    again = {
        (name, id_, "hours of 2026-11"): reading(id_, count("h", value), query=HOURS)
        for name, id_, value in (("cw", "c1", cw), ("halo", "h1", halo))
        if value is not None
    }
    listed = {**base.listed, "halo": None if down else (RemoteCustomer("h1", "Contoso Halo"),)}
    made = base.but(
        customers=(customer("Contoso", m365="t1", cw="c1", halo="h1"),),
        listed=listed,
        readings={"cw": (reading("c1", count("h", 1), query=HOURS),)},
        errors=(ReadError("halo", "", "unavailable", "halo is down"),) if down else (),
    ).remembering(
        tracks={("cw", "c1", "hours"): tracked, ("halo", "h1", "hours"): tracked},
        again=again,
        customers=known("halo", h1={"hours": 1}),
    )
    return Hours(**{name: getattr(made, name) for name in made.__dataclass_fields__})


def test_a_month_of_two_sources_is_billed_when_both_were_asked() -> None:
    assert told(hours().one_line(DECEMBER_3).action, hours().one_line(DECEMBER_3).target) == ("post", 140)
    line = hours(halo=None, down=True).one_line(DECEMBER_3)
    assert told(line.action, line.effects) == ("blocked", ())
    assert line.reason == "2026-11 could not be read again: halo is down"


def test_nothing_is_taken_back_while_a_source_is_down() -> None:
    book, there = Book(), psa()
    step(hours(), book, there, DECEMBER_3)
    for world_ in (hours(halo=None, down=True), hours(cw=None, halo=None, down=True)):
        (line,) = step(world_, book, there, DECEMBER_3 + timedelta(hours=1)).lines
        assert line.action == "blocked"
    assert [one.quantity for one in there.done] == [140]


def test_a_month_that_vanished_waits_for_a_person() -> None:
    """Hours that were there on each day, and an empty list when they are due: a right that was lost looks so."""
    line = hours(0, 0).one_line(DECEMBER_3)
    assert told(line.action, line.effects) == ("hold", ())
    assert line.reason.startswith("2026-11 came to 10, and shows nothing where it is asked for again")
    assert hours(0, 0, seen="0").one_line(DECEMBER_3).action == "none"


@pytest.mark.parametrize("ended", [EntryState.FAILED, EntryState.SUPERSEDED])
def test_a_month_whose_line_was_refused_or_overtaken_is_due_still(ended: EntryState) -> None:
    three = months(month("2026-09", "9"), month("2026-10", "40"), month("2026-11", "27"), month("2026-12", "9"))
    book, there, base = Book(), psa(), arrears(three)
    step(base, book, there, datetime(2026, 10, 5, 18, tzinfo=UTC))
    november = datetime(2026, 11, 5, 18, tzinfo=UTC)
    if ended is EntryState.FAILED:
        step(base, book, there, november, send=False)
        [entry] = book.open(EntryState.PLANNED)
        book.settle(entry.id, ended, note="400 closed", at=november)
    else:
        propose = base.but(house=replace(base.house, mode=Mode.PROPOSE))
        step(propose, book, there, november)
        step(propose.but(rules=()), book, there, november + timedelta(hours=1))
    assert [entry.state for entry in book.entries.values()][1:] == [ended]

    plans = [step(base, book, there, DECEMBER_3 + timedelta(hours=hour)) for hour in range(4)]

    if ended is EntryState.FAILED:  # a person mends it, then tries again
        assert told(plans[-1].lines[0].action) == ("blocked",)
        assert "400 closed" in plans[-1].lines[0].reason
    else:
        assert sorted((one.period, one.quantity) for one in there.done) == [
            ("2026-09", 9), ("2026-10", 40), ("2026-11", 27),
        ]  # fmt: skip


@pytest.mark.parametrize("through", [date(9999, 12, 31), date(9999, 11, 30), date(2206, 11, 30)])
def test_a_mistyped_lock_date_parks_nothing_that_waits_and_ends_no_cycle(through: date) -> None:
    book, there = Book(), psa()
    base = free(27, true_up="line").but(house=replace(world().house, mode=Mode.PROPOSE))
    there.agreements = (agreement(),)
    step(base, book, there)
    [before] = book.open(EntryState.HELD)
    there.agreements = (agreement(invoiced_through=through),)
    (line,) = step(base, book, there).lines
    assert told(line.action) == ("blocked",)
    assert "correct the date in the billing system" in line.reason
    there.agreements = (agreement(),)
    step(base, book, there)
    assert {(one.intent.posting.starts, one.intent.posting.ends) for one in book.open(EntryState.HELD)} <= {
        (before.intent.posting.starts, before.intent.posting.ends)
    }


@pytest.mark.parametrize("renews", [True, None])
def test_a_commitment_without_an_end_binds_and_ends_no_cycle(renews: bool | None) -> None:
    terms = (Term(Decimal(25), date(9999, 12, 31), Decimal("22.00"), "USD", renews=renews),)
    line = world(20, 25, bought=25, bought_terms=terms, decrease="term").one_line()
    assert line.action == "defer"
    assert "committed until 2999-12-31" in line.reason
