"""What a plan writes into the ledger: new intents, and what becomes of those that wait."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import (
    DECEMBER,
    LINE,
    NOW,
    World,
    agreement,
    billing,
    customer,
    known,
    line,
    told,
    units,
    wire,
    world,
)

from syncd.core.entries import Entry, EntryState
from syncd.core.intents import Writing, write_down
from syncd.core.rules import Mode
from syncd.core.undo import retry, undo
from syncd.model import Operation, State

PRORATED = (agreement(invoiced_through=date(2026, 11, 30), prorates=True),)
NOTHING = Writing(supersede=(), hold=(), approve=(), intents=(), sendable=frozenset())
FREE: dict[str, Any] = {name: units(10**6) for name in ("max_increase", "max_decrease", "max_step")}


def write(found: World, *waiting: Entry, applying: bool = False) -> Writing:
    return write_down(found.plan(), waiting, found.views, found.past, applying=applying)


def only_sends(one: Entry) -> Writing:
    return replace(NOTHING, sendable=frozenset({one.intent.key}))


def entry(found: World, state: EntryState, by: str = "policy", which: int = 0, **intent: Any) -> Entry:
    """The entry that this world's plan would have opened, in a state of its own."""
    made = write(found.but(house=replace(found.house, mode=Mode.POST, ceiling=Mode.POST), past=world().past))
    kept = replace(made.intents[which], **intent)
    return Entry("e1", kept, "cycle", state, 0, NOW, "hash", decided_by=by)


def remembering(found: World, *entries: Entry) -> World:
    book = Book({one.id: one for one in entries})
    return found.but(past=book.past(found.past))


@pytest.mark.parametrize("used", [27, 24, 25])
def test_observe_writes_nothing(used: int) -> None:
    assert write(world(used, mode=Mode.OBSERVE, decrease="now")) == NOTHING


@pytest.mark.parametrize(
    ("mode", "increase", "applying", "state"),
    [
        (Mode.POST, "now", False, EntryState.PLANNED),
        (Mode.POST, "hold", False, EntryState.HELD),
        (Mode.PROPOSE, "now", False, EntryState.HELD),
        (Mode.PROPOSE, "hold", False, EntryState.HELD),
        (Mode.PROPOSE, "now", True, EntryState.PLANNED),  # a person has read this plan
        (Mode.POST, "now", True, EntryState.PLANNED),
        (Mode.PROPOSE, "hold", True, EntryState.HELD),
        (Mode.POST, "ignore", False, None),
        (Mode.POST, "next-period", False, None),
        (Mode.OBSERVE, "now", True, None),
    ],
)
def test_modes_and_words(mode: Mode, increase: str, applying: bool, state: EntryState | None) -> None:
    made = write(world(mode=mode, increase=increase), applying=applying)

    assert [one.state for one in made.intents] == ([] if state is None else [state])
    assert made.sendable == {one.key for one in made.intents if state is EntryState.PLANNED}


def test_applying_lets_leave_what_waited_only_because_of_the_mode() -> None:
    proposed = world(mode=Mode.PROPOSE)
    held = entry(world(), EntryState.HELD)

    made = write(remembering(proposed, held), held, applying=True)

    assert made == replace(NOTHING, approve=("e1",), sendable=frozenset({held.intent.key}))
    assert write(remembering(proposed, held), held) == NOTHING
    for other in (
        world(increase="hold"),
        world(mode=Mode.OBSERVE),
        world(State.UNKNOWN),
        world(increase="next-period"),
    ):
        assert write(remembering(other, held), held, applying=True) == NOTHING


def test_a_customers_own_mode_holds_for_its_lines() -> None:
    found = world(mode=Mode.OBSERVE).but(customers=(customer(mode=Mode.POST),))

    assert [one.state for one in write(found).intents] == [EntryState.PLANNED]
    capped = found.but(house=replace(found.house, ceiling=Mode.OBSERVE))
    assert write(capped).intents == ()


def test_an_intent_says_everything_that_a_restarted_process_needs() -> None:
    found = world()
    seen = found.one_line()
    (made,) = write(found).intents

    assert (made.customer, made.rule, made.connection, made.line) == ("Contoso", "Premium", "cw", seen.id)
    assert told(made.period, made.before, made.to, made.decided_by) == ("2026-11", 25, 27, "policy")
    assert told(made.amount, made.currency, made.operation) == (40, "USD", Operation.SET_QUANTITY)
    assert (made.posting, made.wire) == (seen.effects[0].posting, wire(seen.effects[0].posting))
    assert (made.fingerprint, made.why) == (seen.fingerprint, seen.reason)
    assert made.derivation["derivation"]["counts"][0]["quantity"] == "27"
    assert write(found, applying=True).intents[0].decided_by == "apply"


def test_a_follower_names_its_leader() -> None:
    found = world(prorate=True).but(billings=(billing(line(25), agreements=PRORATED),))
    leader, follower = write(found).intents

    assert (leader.operation, leader.follows) == (Operation.SET_QUANTITY, "")
    assert (follower.operation, follower.follows) == (Operation.POST_LINE, leader.key)


@pytest.mark.parametrize("line_state", ["same", "settle", "defer", "refused", "unreadable"])
def test_a_held_entry_is_kept_while_it_is_wanted_or_cannot_be_judged(line_state: str) -> None:
    found = world(increase="hold")
    kept = entry(world(), EntryState.HELD)
    now = {
        "same": found,
        "settle": world(safety={"settle": 3}),
        "defer": world(increase="next-period"),
        "refused": found.but(operations=frozenset()),
        "unreadable": world(State.UNKNOWN),
    }[line_state]

    made = write(remembering(now, kept), kept)

    assert made == NOTHING


@pytest.mark.parametrize(
    ("now", "again"),
    [
        (world(28, increase="hold"), True),  # overtaken: planned anew
        (world(27, 26, increase="hold"), True),
        (world(25, increase="hold"), False),  # no longer needed
        (world(27, 27), False),
        (world(27, tolerance=2), False),
        (world(27, increase="ignore"), False),  # the rule no longer wants it
        (world(27, true_up="alert"), False),
    ],
)
@pytest.mark.parametrize("state", [EntryState.HELD, EntryState.PLANNED])
def test_what_is_overtaken_or_no_longer_needed_is_superseded(now: World, again: bool, state: EntryState) -> None:
    old = entry(world(), state)
    made = write(remembering(now, old), old)

    assert [id_ for id_, _ in made.supersede] == ["e1"]
    assert all(reason for _, reason in made.supersede)
    assert len(made.intents) == again
    assert old.intent.key not in {one.key for one in made.intents} | made.sendable


def test_an_unmapped_line_is_superseded() -> None:
    for true_up in ("quantity", "line"):
        old = entry(world(true_up=true_up), EntryState.PLANNED)
        for gone in (world().but(rules=()), world().but(customers=())):
            made = write(remembering(gone, old), old)
            assert [id_ for id_, _ in made.supersede] == ["e1"]
            assert "no longer mapped" in made.supersede[0][1]
            assert not made.sendable


@pytest.mark.parametrize("by", ["person:Ada", "policy"])
def test_what_waits_to_be_sent_is_sent_when_it_may(by: str) -> None:
    old = entry(world(), EntryState.PLANNED, by)

    made = write(remembering(world(), old), old)

    assert made == only_sends(old)


@pytest.mark.parametrize(
    "now",
    [world(increase="hold"), world(safety={"settle": 9}), world(mode=Mode.PROPOSE), world(increase="next-period")],
)
def test_what_a_person_approved_leaves_whatever_policy_says(now: World) -> None:
    approved = entry(world(), EntryState.PLANNED, "person:Ada")

    made = write(remembering(now, approved), approved)

    assert made == only_sends(approved)


def test_observe_lets_nothing_leave_even_if_it_was_approved() -> None:
    approved = entry(world(), EntryState.PLANNED, "person:Ada")
    for now in (world(mode=Mode.OBSERVE), world().but(house=replace(world().house, ceiling=Mode.OBSERVE))):
        assert write(remembering(now, approved), approved) == NOTHING


@pytest.mark.parametrize(
    "now",
    [
        world().remembering(customers=known(t1={"assigned": 900})),  # the source is suspect now
        world(increase="hold"),
        world(mode=Mode.PROPOSE),  # every change waits for a person now
    ],
)
def test_what_policy_planned_waits_for_a_person_when_policy_says_so_now(now: World) -> None:
    old = entry(world(), EntryState.PLANNED)

    made = write(remembering(now, old), old)

    assert [(one.id, bool(reason)) for one, reason in made.hold] == [("e1", True)]
    assert (made.intents, made.supersede, made.sendable) == ((), (), frozenset())


@pytest.mark.parametrize("now", [world(increase="next-period"), world(safety={"settle": 9}), world(State.PARTIAL)])
def test_what_policy_planned_stays_planned_while_it_must_wait(now: World) -> None:
    old = entry(world(), EntryState.PLANNED)

    assert write(remembering(now, old), old) == NOTHING


@pytest.mark.parametrize("state", [EntryState.SENDING, EntryState.UNKNOWN])
@pytest.mark.parametrize("used", [27, 28, 25])
@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_what_may_have_left_is_left_alone(state: EntryState, used: int, true_up: str) -> None:
    flying = entry(world(true_up=true_up), state)

    assert write(remembering(world(used, true_up=true_up), flying), flying) == NOTHING


# Undone and tried again.


def undone(state: EntryState = EntryState.HELD) -> tuple[World, Book, Psa, Entry]:
    base, book, psa = world(safety=FREE, decrease="now"), Book(), Psa({"l1": line(25)})
    step(base, book, psa)
    back = undo(book.entries["e1"], book.past(), wire, by="Ada", why="wrong", today=date(2026, 11, 20))
    made = book.add(back)
    return base, book, psa, book.approve(made.id) if state is EntryState.PLANNED else made


def test_an_undo_waits_and_is_left_alone() -> None:
    base, book, psa, back = undone()

    for used in (27, 28, 25):
        seen = world(used, 27, safety=FREE, decrease="now").but(past=book.past())
        made = write_down(seen.plan(), book.open(), seen.views, seen.past)
        assert made == NOTHING
    assert told(back.intent.before, back.intent.to, back.intent.operation) == (27, 25, Operation.SET_QUANTITY)
    assert len(psa.done) == 1
    assert base.plan().lines


def test_an_approved_undo_is_sent_and_what_it_undid_stays_away() -> None:
    base, book, psa, _ = undone(EntryState.PLANNED)

    plans = [step(base, book, psa, NOW.replace(hour=hour)) for hour in (17, 18, 19)]

    assert [one.quantity for one in psa.done] == [27, 25]
    assert plans[-1].lines[0].action == "ignore"
    moved = base.but(readings=world(28).readings)
    step(moved, book, psa, NOW.replace(hour=20))
    assert [one.quantity for one in psa.done] == [27, 25, 28]


def test_an_undone_true_up_is_credited_and_stays_away() -> None:
    base, book, psa = world(true_up=LINE, safety=FREE, decrease="now"), Book(), Psa({"l1": line(25)})
    step(base, book, psa)
    back = undo(book.entries["e1"], book.past(), wire, by="Ada", why="wrong", today=date(2026, 11, 20))
    book.approve(book.add(back).id)

    plans = [step(base, book, psa, NOW.replace(hour=hour)) for hour in (17, 18, 19)]

    assert psa.dated("2026-11") == 0
    assert len(psa.done) == 2
    assert plans[-1].lines[0].action == "ignore"


@pytest.mark.parametrize("true_up", ["quantity", "line"])
@pytest.mark.parametrize("when", [NOW.replace(hour=18), datetime.fromisoformat("2026-12-05T16:00:00+00:00")])
def test_a_second_try_is_sent_although_the_first_was_refused(true_up: str, when: datetime) -> None:
    base, book = world(true_up=true_up), Book()
    psa = Psa({"l1": line(25)}, (agreement(),))
    step(base, book, psa, send=False)
    book.settle("e1", EntryState.FAILED, note="closed")
    again = book.add(retry(book.entries["e1"], book.past(), wire, by="Ada"))
    if when.month == 12:
        psa.agreements = (agreement(period=DECEMBER),)
    step(base, book, psa, when)

    assert again.intent.key != book.entries["e1"].intent.key
    assert book.entries[again.id].state is EntryState.POSTED
    assert psa.done[0].key == again.intent.key


@pytest.mark.parametrize(
    ("forgot", "state"),
    [(None, EntryState.PLANNED), (date(2026, 11, 30), EntryState.PLANNED), (date(2026, 12, 1), EntryState.HELD)],
)
def test_a_second_try_for_a_month_that_was_over_at_a_restore_is_held(forgot: date | None, state: EntryState) -> None:
    """It may have been tried again since the backup, under a name that the ledger forgot."""
    found = world(true_up=LINE)
    refused = entry(found, EntryState.FAILED)
    past = replace(remembering(found, refused).past, forgot=forgot)

    assert retry(refused, past, wire, by="Ada").state is state


def test_an_old_periods_dated_line_keeps_its_period() -> None:
    found = world(true_up=LINE)
    december = found.but(billings=(billing(line(25), agreements=(agreement(period=DECEMBER),)),))
    when = datetime.fromisoformat("2026-12-05T16:00:00+00:00")
    for state, sent in ((EntryState.PLANNED, True), (EntryState.HELD, False)):
        old = entry(found, state)
        for now in (december, december.but(readings=world(25).readings)):
            seen = remembering(now, old)
            made = write_down(seen.plan(when), [old], seen.views, seen.past)
            assert (made.supersede, made.hold) == ((), ())
            assert (old.intent.key in made.sendable) is sent
            assert all(one.period == "2026-12" for one in made.intents)


@pytest.mark.parametrize("state", [EntryState.HELD, EntryState.PLANNED])
def test_a_restored_ledger_lets_nothing_leave_for_a_period_that_is_over(state: EntryState) -> None:
    """It may have been posted after the backup, and no list shows that month any more."""
    found = world(true_up=LINE)
    old = entry(found, state, by="person:Ada")
    now = remembering(found.but(billings=(billing(line(25), agreements=(agreement(period=DECEMBER),)),)), old)
    seen = now.plan(datetime.fromisoformat("2026-12-05T16:00:00+00:00"))

    made = write_down(seen, [old], now.views, now.past, restored=True)

    ((id_, why),) = made.supersede
    assert id_ == old.id
    assert "2026-11 is over and may have been billed since" in why
    assert old.intent.key not in made.sendable
    in_time = write_down(found.plan(), [entry(found, state)], found.views, found.past, restored=True)
    assert in_time.supersede == ()


def test_a_part_of_a_period_does_not_outlive_the_change_that_it_belongs_to() -> None:
    """Held over the end of the period, and then the target moves: the old part would wait for a leader for ever."""
    november = world(prorate=True, increase="hold").but(billings=(billing(line(25), agreements=PRORATED),))
    base = november.but(rules=world(prorate=True).rules)
    leader, follower = entry(base, EntryState.HELD), replace(entry(base, EntryState.HELD, which=1), id="e2")
    december = world(28, prorate=True, increase="hold")
    december = december.but(billings=(billing(line(25), agreements=(agreement(period=DECEMBER),)),))
    seen = remembering(december, leader, follower)

    when = datetime.fromisoformat("2026-12-05T16:00:00+00:00")
    made = write_down(seen.plan(when), [leader, follower], seen.views, seen.past)

    assert [id_ for id_, _ in made.supersede] == ["e1", "e2"]
    assert [one.to for one in made.intents] == [28]


def test_what_is_written_is_the_same_whatever_the_order_of_entries() -> None:
    found = world(28, prorate=True).but(billings=(billing(line(25), agreements=PRORATED),))
    old = world(prorate=True).but(billings=found.billings)
    one, two = entry(old, EntryState.HELD), replace(entry(old, EntryState.HELD, which=1), id="e2")
    seen = remembering(found, one, two)

    first = write_down(seen.plan(), [one, two], seen.views, seen.past)
    second = write_down(seen.plan(), [two, one], seen.views, seen.past)

    assert sorted(first.supersede) == sorted(second.supersede)
    assert len(first.supersede) == 2
    assert first.intents == second.intents
