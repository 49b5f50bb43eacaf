"""Rules that report to a meter: its sum is what is due, never more, and only while its period runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import (
    DECEMBER,
    FREE,
    NOVEMBER,
    NOW,
    TODAY,
    ZONE,
    World,
    agreement,
    bill,
    billing,
    free,
    line,
    rule,
    told,
    using,
    wire,
    world,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import meters
from syncd.core.entries import EntryState
from syncd.core.plan import Plan
from syncd.core.undo import Ground
from syncd.core.undo_many import Desk, Undoing, undo_many
from syncd.model import BilledLine, Billing, Operation, Posting
from syncd.periods import DAY, Period, following, month_of

HOURS = "support_hours"
LATER = timedelta(hours=1)
REPORT = frozenset({Operation.REPORT_USAGE})
IN_DECEMBER = datetime.fromisoformat("2026-12-05T16:00:00+00:00")


@dataclass
class Meter(Psa):
    """A billing system whose line is metered. `counted`: by syncd, in its running period; `others`: by somebody else.
    `stale`: what a list that lags shows."""

    period: Period = NOVEMBER
    counted: Decimal = Decimal(0)
    others: Decimal = Decimal(0)
    stale: Decimal | None = None
    name: str = HOURS
    obstacle: str = ""

    def take(self, posting: Posting) -> str:
        assert posting.operation is Operation.REPORT_USAGE
        assert posting.starts is not None
        assert posting.starts in self.period, "it would be charged with another period's usage"
        assert posting.options["meter"] == self.name
        self.done.append(posting)
        self.counted += posting.quantity
        return posting.marker

    def usage(self) -> BilledLine:
        shown = self.counted + self.others if self.stale is None else self.stale
        return line(
            shown, "l1/m1", once=True, starts=self.period.first, ends=self.period.last, meter=self.name,
            obstacle=self.obstacle,
        )  # fmt: skip

    def billing(self) -> Billing:
        own = agreement(period=self.period, invoiced_through=self.period.first - DAY)
        return billing(line(0, obstacle="it is metered"), self.usage(), agreements=(own,))

    def roll(self, period: Period) -> None:
        """The period ends, and is invoiced."""
        self.period, self.counted = period, Decimal(0)


def hours(used: Any = 12, **fields: Any) -> World:
    return free(used, true_up="line", bill=bill(meter=HOURS), **fields).but(operations=REPORT)


def run(base: World, meter: Meter, book: Book, *counts: Any, start: datetime = NOW) -> Plan:
    for number, used in enumerate(counts):
        made = step(using(base, used), book, meter, start + number * LATER)
    return made


def test_parts_are_reported_and_taken_off_until_the_sum_is_what_is_due() -> None:
    base, book, meter = hours(), Book(), Meter()
    made = run(base, meter, book, 12, 20, 20, "15.5", 15, 15)
    assert [told(one.quantity) for one in meter.done] == [(12,), (8,), (Decimal("-4.5"),), (Decimal("-0.5"),)]
    assert [(one.starts, one.ends, one.period) for one in meter.done] == [
        (date(2026, 11, 2), date(2026, 11, 2), "2026-11")
    ] * 4
    assert len({one.key for one in meter.done}) == 4
    names, numbers = zip(*(one.options["part"].split("/") for one in meter.done), strict=True)
    assert (len(set(names)), numbers) == (1, ("0", "1", "2", "3"))
    [shown] = made.lines
    assert told(shown.billed, shown.target, str(shown.action)) == (15, 15, "none")
    assert not book.refused
    money = [one.intent.signed_amount for one in book.ended(EntryState.POSTED)]
    assert money == [240, 160, -90, -10]


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["post", "lose", "vanish", "stall"])), max_size=8))
@settings(max_examples=15, deadline=None)
def test_the_sum_never_exceeds_what_was_due_whatever_is_lost(story: list[tuple[int, str]]) -> None:
    base, book, meter = hours(), Book(), Meter()
    most = 0
    for n, (used, luck) in enumerate(story):
        most = max(most, used)
        step(using(base, used), book, meter, NOW + n * LATER, send=luck == "post")
        if luck in ("lose", "vanish"):
            for entry in book.open(EntryState.PLANNED):
                book.settle(entry.id, EntryState.UNKNOWN)
                if luck == "lose":
                    meter.take(entry.intent.posting)
        assert 0 <= meter.counted <= most
    for entry in book.open(EntryState.UNKNOWN):
        arrived = entry.intent.posting in meter.done
        book.move(entry.id, EntryState.POSTED if arrived else EntryState.PLANNED, settled_at=NOW, remote_id="looked")
    last = story[-1][0] if story else 0
    for n in range(3):
        step(using(base, last), book, meter, NOW + timedelta(days=2) + n * LATER)
    assert told(meter.counted) == (last,)
    assert not book.open()
    assert not book.refused


@pytest.mark.parametrize("others", [5, -5])
def test_what_others_report_stops_it_and_is_named(others: int) -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12)
    meter.others = Decimal(others)
    made = run(base, meter, book, 20, 20, start=NOW + LATER)
    [shown] = made.lines
    assert (str(shown.action), len(meter.done)) == ("hold", 1)
    assert f"counts {12 + others} units of 2026-11, of which syncd reported 12; somebody else" in shown.reason
    assert "foreign edit" in shown.findings
    # Where more stands there than the ledger knows, nothing may be approved: nobody knows what is missing.
    assert [one.intent.before for one in book.open()] == ([] if others > 0 else [12])


@pytest.mark.parametrize("foreign_edit", ["accept", "overwrite"])
def test_no_setting_lets_it_report_beside_others(foreign_edit: str) -> None:
    base, book, meter = hours(safety={"foreign_edit": foreign_edit}), Book(), Meter()
    run(base, meter, book, 12)
    meter.others = Decimal(5)
    run(base, meter, book, 20, 30, start=NOW + LATER)
    assert len(meter.done) == 1


def test_a_ledger_that_forgot_what_it_reported_reports_nothing() -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12)
    for used, action in ((20, "hold"), (12, "none")):
        made = run(base, meter, Book(), used, start=NOW + LATER)
        assert str(made.lines[0].action) == action
    assert len(meter.done) == 1


def test_a_list_that_lags_behind_is_waited_for() -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12)
    meter.stale = Decimal(0)
    made = step(using(base, 12), book, meter, NOW + timedelta(minutes=5))
    assert str(made.lines[0].action) == "settle"
    assert len(meter.done) == 1


def test_a_new_period_begins_at_nothing_and_waits_for_a_day_that_is_over() -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12)
    meter.roll(DECEMBER)
    seen = []
    for day in (1, 2, 3):
        made = step(using(base, 12), book, meter, datetime(2026, 12, day, 16, tzinfo=NOW.tzinfo))
        seen.append((str(made.lines[0].action), made.lines[0].reason))
    assert [action for action, _ in seen] == ["defer", "defer", "post"]
    assert seen[0][1] == "usage of 2026-12 can be reported from 2026-12-03 on"
    assert [(one.starts, told(one.quantity)) for one in meter.done[1:]] == [(date(2026, 12, 2), (12,))]


def test_what_would_be_held_is_not_written_down_before_it_can_leave() -> None:
    base, book, meter = hours(safety={"max_amount": Decimal(1)}), Book(), Meter(period=DECEMBER)
    first, third = (
        step(using(base, 12), book, meter, datetime(2026, 12, day, 16, tzinfo=NOW.tzinfo)).lines[0] for day in (1, 3)
    )
    assert (str(first.action), str(third.action)) == ("defer", "hold")
    assert [one.state for one in book.open()] == [EntryState.HELD]


def test_what_waited_until_its_period_was_invoiced_stays_with_the_person() -> None:
    base, book, meter = hours(), Book(), Meter()
    step(using(base, 12), book, meter, NOW, send=False)
    meter.roll(DECEMBER)
    for n in range(2):
        step(using(base, 0), book, meter, IN_DECEMBER + n * LATER)
        [entry] = book.open()
        assert entry.state is EntryState.HELD
        assert "2026-11 is over and its usage is invoiced" in entry.note
        book.approve(entry.id)
    assert meter.done == []


# --- undo -------------------------------------------------------------------------------------------------------------


def take_back(book: Book, *ids: str, today: date = TODAY, through: date | None = None) -> Undoing:
    ground = Ground(agreement(invoiced_through=through or date(2026, 10, 31)))
    desk = Desk(book.past(), list(book.entries.values()), lambda entry: ground, lambda name: wire, today, ZONE)
    return undo_many([book.entries[id_] for id_ in ids], desk, by="Ada", why="wrong")


@pytest.mark.parametrize("ids", [("e3",), ("e2", "e3"), ("e1", "e2", "e3")])
def test_an_undo_reports_the_other_way_and_stays_away(ids: tuple[str, ...]) -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12, 20, 15)
    before = book.entries[ids[0]].intent.before
    [back] = take_back(book, *ids).intents
    assert (back.operation, told(back.before, back.to)) == (Operation.REPORT_USAGE, (15, before))
    assert back.posting.quantity == before - 15
    assert back.posting.options["part"].endswith("/3")
    entry = book.add(back)
    book.approve(entry.id)
    book.settle(entry.id, EntryState.POSTED, meter.take(back.posting), at=NOW + 5 * LATER)
    assert told(meter.counted) == (before,)
    assert str(run(base, meter, book, 15, start=NOW + 9 * LATER).lines[0].action) == "ignore"
    assert str(run(base, meter, book, 16, start=NOW + 10 * LATER).lines[0].action) == "post"
    assert told(meter.counted) == (16,)


def test_what_is_invoiced_is_not_taken_off() -> None:
    base, book, meter = hours(), Book(), Meter()
    run(base, meter, book, 12)
    [(_, why)] = take_back(book, "e1", today=date(2026, 12, 5), through=date(2026, 11, 30)).left
    assert "was reported for 2026-11, which is invoiced: usage cannot be taken off an invoice. Credit it" in why


# --- where nothing can be reported ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "tickets"}, "no open line of 'M365-BP' bills the meter 'support_hours' (it bills 'tickets')"),
        ({"obstacle": "it takes the last of its events"}, "it takes the last of its events"),
        ({"period": DECEMBER}, "no open line of 'M365-BP' bills the meter 'support_hours'"),
    ],
)
def test_without_its_meter_a_rule_is_blocked_and_its_number_unknown(fields: dict[str, Any], words: str) -> None:
    made = run(hours(), Meter(**fields), Book(), 12)
    [shown] = made.lines
    assert (str(shown.action), shown.billed, shown.states["billed"]) == ("blocked", None, "unknown")
    assert shown.reason == words
    assert shown.findings == ("unknown meter",)
    assert made.failing


def test_a_second_rule_for_the_product_blocks_both() -> None:
    for other in (bill(meter=HOURS), bill()):
        base = hours().but(rules=(*hours().rules, rule("Twice", bill=other, true_up="line")))
        made = step(base, Book(), Meter(), NOW)
        assert [str(one.action) for one in made.lines] == ["blocked", "blocked"]


def test_a_rule_that_only_reports_shows_what_the_meter_counted() -> None:
    meter = Meter(counted=Decimal(7))
    made = run(world(12, None, true_up="alert", bill=bill(meter=HOURS), safety=FREE), meter, Book(), 12)
    assert (made.lines[0].billed, made.lines[0].difference) == (7, 5)


# --- the day ----------------------------------------------------------------------------------------------------------


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)), st.integers(3, 400), st.data())
@settings(max_examples=20, deadline=None)
def test_the_day_lies_in_the_period_is_over_and_young_enough(first: date, days: int, data: st.DataObject) -> None:
    period = Period(first, first + (days - 1) * DAY)
    today = data.draw(st.dates(period.first + 2 * DAY, period.last))
    day = meters.reporting_day(period, today)
    assert period.first < day < today
    assert day in period
    assert (today - day).days < 35
    assert meters.reporting_day(period, today) <= meters.reporting_day(period, min(today + DAY, period.last))
    since = data.draw(st.dates(period.first - DAY, today - 2 * DAY))
    later = meters.reporting_day(period, today, since)
    assert since < later < today
    assert later in period
    assert (today - later).days < 35


@given(st.dates(date(2024, 1, 1), date(2030, 1, 1)))
@settings(max_examples=20, deadline=None)
def test_in_a_month_it_is_always_the_same_day(today: date) -> None:
    month = month_of(today)
    assert meters.reporting_day(month, today) == month.first + DAY


def test_a_period_too_short_for_any_day_is_blocked() -> None:
    base, meter = hours(), Meter(period=Period(date(2026, 11, 20), date(2026, 11, 21)))
    [shown] = run(base, meter, Book(), 12).lines
    assert str(shown.action) == "blocked"
    assert "has no day left under which usage could be reported while it runs" in shown.reason


def test_lines_and_usage_have_names_of_their_own() -> None:
    """What a period's parts are called does not depend on the day, so that a forgotten one is found where it stands."""
    base, meter = hours(), Meter()
    first = run(base, meter, Book(), 12).lines[0].effects[0]
    later = step(base, Book(), replace(meter, counted=Decimal(0), done=[]), NOW + timedelta(days=8)).lines[0].effects[0]
    assert (first.posting.key, first.posting.marker) == (later.posting.key, later.posting.marker)
    assert first.posting.starts == later.posting.starts
    assert first.identity == later.identity


def test_following_periods_have_their_own_sums() -> None:
    base, book, meter = hours(), Book(), Meter()
    period = NOVEMBER
    for n, used in enumerate((12, 7, 30)):
        start = datetime(period.first.year, period.first.month, 10, 16, tzinfo=NOW.tzinfo)
        run(base, meter, book, used, used, start=start)
        assert told(meter.counted) == (used,), n
        period = following(period)
        meter.roll(period)
    assert {one.period for one in meter.done} == {"2026-11", "2026-12", "2027-01"}
    assert not book.open()
