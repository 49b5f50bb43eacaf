"""From an intent to its end: written, decided, sent, settled; and what planning sees of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_kit import REFUSED, Watch, intent, raw

from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBusy, SyncdError, UserFault
from syncd.ledger import Ledger, tables
from syncd.model import Operation

HELD, PLANNED, SENDING = EntryState.HELD, EntryState.PLANNED, EntryState.SENDING
POSTED, UNKNOWN, FAILED = EntryState.POSTED, EntryState.UNKNOWN, EntryState.FAILED


def sent(ledger: Ledger, entry: Entry) -> Entry:
    claimed = ledger.sending(entry)
    assert claimed is not None
    return claimed


def post(ledger: Ledger, entry: Entry, remote_id: str = "addition-7") -> Entry:
    return ledger.settle(sent(ledger, entry), POSTED, remote_id=remote_id)


def test_an_entry_keeps_the_intent_and_goes_its_way(ledger: Ledger, watch: Watch) -> None:
    wanted = intent()
    (entry,) = ledger.write("c000001", [], [wanted])
    derivation = {"used": "27", "steps": [{"text": "27 seats", "amount": "27"}]}
    assert entry.intent == replace(wanted, derivation=derivation)
    assert (entry.state, entry.attempts, entry.cycle, entry.created_at) == (PLANNED, 0, "c000001", watch.now)
    assert len(entry.id) == 10

    watch.move(seconds=5)
    claimed = sent(ledger, entry)
    assert (claimed.state, claimed.attempts, claimed.sent_at) == (SENDING, 1, watch.now)
    assert claimed.intent.wire.body == wanted.wire.body
    watch.move(seconds=1)
    unknown = ledger.settle(claimed, UNKNOWN, note="time-out after 30 s", data={"status": 504})
    assert (unknown.settled_at, unknown.note) == (None, "time-out after 30 s")
    watch.move(minutes=6)
    ended = ledger.settle(unknown, POSTED, note="found when looking", remote_id="addition-7")
    assert (ended.state, ended.settled_at, ended.remote_id) == (POSTED, watch.now, "addition-7")
    assert ended.sent_at == claimed.sent_at

    assert ledger.entry(entry.id) == ledger.entry(entry.id[:4].upper()) == ledger.by_key(wanted.key) == ended
    happened = ledger.events(entry.id)
    assert [(one.from_state, one.to_state) for one in happened] == [
        (None, PLANNED),
        (PLANNED, SENDING),
        (SENDING, UNKNOWN),
        (UNKNOWN, POSTED),
    ]
    assert happened[2].data == {"note": "time-out after 30 s", "status": 504}
    assert happened[-1].hash == ended.hash == ledger.head()[1]
    assert [one.seq for one in happened] == [1, 2, 3, 4]
    assert ledger.verify() == []


def test_one_open_entry_per_identity_whatever_its_state(ledger: Ledger) -> None:
    (held,) = ledger.write("c1", [], [intent(state=HELD)])
    assert ledger.write("c1", [], [intent(generation=1)]) == []
    (planned,) = ledger.approve([held.id], "Ada")
    claimed = sent(ledger, planned)
    assert ledger.write("c1", [], [intent(generation=1)]) == []
    ended = ledger.settle(ledger.settle(claimed, UNKNOWN), POSTED)
    assert ledger.write("c1", [], [intent()]) == []  # its key was used
    (second,) = ledger.write("c1", [], [intent(generation=1)])
    assert second.id != ended.id


def test_the_database_itself_refuses_a_second_open_entry(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write("c1", [], [intent()])
    with raw(tmp_path) as database:
        names = [column.name for column in tables.entry.columns]
        copied = ", ".join(
            "999" if name == "seq" else f"'x' || {name}" if name in ("id", "key") else name for name in names
        )
        with pytest.raises(REFUSED, match=r"entry\.identity|entry_open"):
            database.execute(f"INSERT INTO entry SELECT {copied} FROM entry")


def test_superseding_makes_room_in_the_same_step(ledger: Ledger) -> None:
    (old,) = ledger.write("c1", [], [intent(state=HELD)])
    (new,) = ledger.write("c2", [(old.id, "planned anew: 28 are used")], [intent(generation=1, to="28")])
    was = ledger.entry(old.id)
    assert was is not None
    assert (was.state, was.note) == (EntryState.SUPERSEDED, "planned anew: 28 are used")
    assert was.settled_at is not None
    assert new.intent.to == 28


def test_what_moved_on_is_neither_superseded_nor_replaced(ledger: Ledger) -> None:
    old, other = ledger.write("c1", [], [intent("a"), intent("b", state=HELD)])
    post(ledger, old)
    written = ledger.write(
        "c2", [(old.id, "anew"), (other.id, "anew")], [intent("a", generation=1), intent("b", generation=1)]
    )
    assert [entry.intent.identity for entry in written] == ["b"]
    assert ledger.entry(old.id) is not None
    assert [entry.state for entry in ledger.entries()] == [POSTED, EntryState.SUPERSEDED, PLANNED]
    claimed = sent(ledger, ledger.entries(states={PLANNED})[0])
    for state in (SENDING, UNKNOWN):
        assert ledger.write("c3", [(claimed.id, "anew")], [intent("b", generation=2)]) == []
        assert [entry.state for entry in ledger.entries()][-1] is state
        claimed = ledger.settle(claimed, UNKNOWN) if state is SENDING else claimed
    with pytest.raises(SyncdError, match="there is no entry zzzz"):
        ledger.write("c2", [("zzzz", "anew")], [])


def test_a_dated_line_is_written_only_from_what_stands_there_now(ledger: Ledger) -> None:
    def dated(generation: int, before: str, to: str, operation: Operation = Operation.POST_LINE) -> list[Entry]:
        return ledger.write("c1", [], [intent("l", generation=generation, before=before, to=to, operation=operation)])

    (first,) = dated(0, "0", "3.5")
    post(ledger, first)
    assert dated(1, "0", "4") == []  # a stale plan would post the first line again
    (second,) = dated(1, "3.5", "5")
    ledger.settle(sent(ledger, second), UNKNOWN)
    assert ledger.past().lines["l"].own_quantity == 5  # it may be there
    ledger.settle(ledger.entries(states={UNKNOWN})[0], POSTED)
    (credit,) = dated(2, "5", "4", Operation.POST_CREDIT)
    assert ledger.past().lines["l"].own_quantity == 4
    ledger.settle(sent(ledger, credit), FAILED, note="period closed")
    assert ledger.past().lines["l"].own_quantity == 5
    assert dated(3, "4", "6") == []
    (held,) = ledger.write(
        "c1", [], [intent("l", generation=3, before="5", to="6", operation=Operation.POST_LINE, state=HELD)]
    )
    assert ledger.past().lines["l"].own_quantity == 5  # what waits for a person is not decided
    assert ledger.approve([held.id], "Ada")
    assert ledger.past({"l"}).lines["l"].own_quantity == 6


def pair(generation: int = 0, **leader: object) -> list:  # type: ignore[type-arg]
    first = intent("q", generation=generation, **leader)  # type: ignore[arg-type]
    return [
        first,
        intent(
            "d", generation=generation, before="0", to="2", operation=Operation.POST_LINE,
            follows=first.key, state=first.state,
        ),
    ]  # fmt: skip


def test_joined_intents_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    assert len(ledger.write("c1", [], pair())) == 2
    leader, follower = ledger.entries()
    assert ledger.write("c1", [], [*pair(1), intent("else")])[0].intent.identity == "else"
    post(ledger, leader)
    assert ledger.write("c2", [], pair(1)) == []  # the follower's line is open, so the leader waits with it
    assert ledger.write("c2", [], [intent("lost", follows="key/nobody")]) == []
    (alone,) = ledger.write("c2", [], [intent("late", follows=leader.intent.key)])  # its leader is in the ledger
    assert alone.intent.follows == leader.intent.key
    assert follower.intent.follows == leader.intent.key


def test_a_follower_leaves_only_after_its_leader_is_posted(ledger: Ledger) -> None:
    leader, follower = ledger.write("c1", [], pair())
    assert ledger.sending(follower) is None
    claimed = sent(ledger, leader)
    assert ledger.sending(follower) is None
    ledger.settle(claimed, POSTED)
    assert sent(ledger, follower).state is SENDING


def test_followers_are_decided_with_their_leader(ledger: Ledger) -> None:
    leader, follower = ledger.write("c1", [], pair(state=HELD))
    with pytest.raises(UserFault, match=rf"entry {follower.id}: goes with {leader.id}, which is held\. Approve that"):
        ledger.approve([follower.id], "Ada")
    approved = ledger.approve([leader.id], " Ada ")
    assert [(entry.id, entry.state, entry.decided_by) for entry in approved] == [
        (leader.id, PLANNED, "person:Ada"),
        (follower.id, PLANNED, "person:Ada"),
    ]
    assert approved[0].intent.decided_by == "policy"
    ledger.settle(sent(ledger, approved[0]), FAILED)
    ledger.settle(approved[1], HELD)
    with pytest.raises(UserFault, match=r"which is failed\. Reject it"):
        ledger.approve([follower.id], "Ada")
    (rejected,) = ledger.reject([follower.id], "not this month", "Bo")
    assert (rejected.state, rejected.note, rejected.decided_by) == (EntryState.REJECTED, "not this month", "person:Bo")


def test_deciding_is_all_or_nothing_and_tells_every_fault(ledger: Ledger) -> None:
    held, planned = ledger.write("c1", [], [intent("a", state=HELD), intent("b")])
    before = ledger.head()
    with pytest.raises(UserFault) as raised:
        ledger.approve([held.id, planned.id, "zzzzzzzz", "ab"], "Ada")
    assert str(raised.value).splitlines() == [
        f"entry {planned.id}: is planned, not held.",
        "entry zzzzzzzz: is not in the ledger. `syncd held` lists what waits.",
        "entry ab: is too short to be sure: give at least 4 characters of its id.",
    ]
    with pytest.raises(UserFault, match="Give the name"):
        ledger.reject([held.id], "no", " ")
    assert ledger.head() == before
    assert ledger.approve([held.id, held.id[:5]], "Ada")[0].state is PLANNED


def test_a_prefix_that_fits_two_is_refused(ledger: Ledger) -> None:
    # 40 entries share no 4 characters by chance; so two keys are searched whose ids do.
    import base64
    import hashlib

    seen: dict[str, str] = {}
    for number in range(100_000):
        key = f"key-{number}"
        start = base64.b32encode(hashlib.sha256(key.encode()).digest())[:4].decode().lower()
        if start in seen:
            break
        seen[start] = key
    one, two = ledger.write("c1", [], [intent("a", key=seen[start]), intent("b", key=key)])
    with pytest.raises(UserFault, match=f"could be any of {min(one.id, two.id)}, {max(one.id, two.id)}"):
        ledger.entry(start)
    assert ledger.entry(one.id[:6]) == one


def test_ids_that_collide_grow(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.ledger.pen.ID_LENGTHS", (1, 10))
    written = ledger.write("c1", [], [intent(f"line-{number}") for number in range(40)])
    assert len({entry.id for entry in written}) == 40
    assert {len(entry.id) for entry in written} == {1, 10}


def test_sending_is_won_once_and_may_be_repeated_with_the_same_bytes(ledger: Ledger, watch: Watch) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    first = sent(ledger, entry)
    assert ledger.sending(entry) is None
    again = ledger.settle(first, PLANNED, note="connection refused")
    assert (again.note, again.attempts) == ("connection refused", 1)
    watch.move(minutes=10)
    second = sent(ledger, again)
    assert (second.attempts, second.sent_at) == (2, watch.now)  # the quiet time begins anew
    assert second.intent.wire == first.intent.wire


def test_only_what_is_planned_is_sent(ledger: Ledger) -> None:
    (entry,) = ledger.write("c1", [], [intent(state=HELD)])
    assert ledger.sending(entry) is None
    (planned,) = ledger.approve([entry.id], "Ada")
    unknown = ledger.settle(sent(ledger, planned), UNKNOWN)
    assert ledger.sending(planned) is ledger.sending(unknown) is None
    ended = ledger.settle(unknown, POSTED)
    assert ledger.sending(planned) is ledger.sending(ended) is None
    assert ledger.entries() == [ended]


def test_settling_from_a_state_that_is_over_fails_plainly(ledger: Ledger) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    claimed = sent(ledger, entry)
    ledger.settle(claimed, POSTED)
    before = ledger.head()
    with pytest.raises(SyncdError, match=f"entry {entry.id} is posted by now, not sending: it was left as it is"):
        ledger.settle(claimed, FAILED)
    assert ledger.head() == before


@pytest.mark.parametrize(
    ("state", "to"),
    [(PLANNED, POSTED), (PLANNED, SENDING), (HELD, PLANNED), (UNKNOWN, FAILED), (POSTED, PLANNED), (FAILED, POSTED)],
)
def test_moves_that_do_not_exist_or_have_their_own_door(ledger: Ledger, state: EntryState, to: EntryState) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    with pytest.raises(ValueError, match=f"does not go from {state} to {to}"):
        ledger.settle(replace(entry, state=state), to)
    with pytest.raises(ValueError, match="places of their own"):
        ledger.settle(sent(ledger, entry), POSTED, data={"note": "x"})


def test_terminal_entries_are_not_moved_even_by_hand(ledger: Ledger, tmp_path: Path) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    post(ledger, entry)
    with raw(tmp_path) as database:
        for statement in (
            "UPDATE entry SET state = 'planned'",
            "UPDATE entry SET note = 'x'",
            "DELETE FROM entry",
            "UPDATE event SET data = '{}'",
            "DELETE FROM event",
            "DELETE FROM meta",
        ):
            with pytest.raises(REFUSED, match="never altered"):
                database.execute(statement)


def test_the_bytes_to_send_are_not_changed_in_the_open_either(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write("c1", [], [intent()])
    with raw(tmp_path) as database, pytest.raises(REFUSED, match="never altered"):
        database.execute("UPDATE entry SET quantity = '99'")


def test_only_who_claimed_may_send_and_settle(ledger: Ledger, opened: Callable[[], Ledger]) -> None:
    (entry,) = ledger.write("c1", [], [intent(state=HELD)])
    other = opened()
    (planned,) = other.approve([entry.id], "Ada")
    with pytest.raises(LedgerBusy, match="does not hold the ledger"):
        other.sending(planned)
    claimed = sent(ledger, planned)
    with pytest.raises(LedgerBusy, match="does not hold the ledger"):
        other.settle(claimed, POSTED)


def test_past_says_what_planning_needs(ledger: Ledger, watch: Watch) -> None:
    (first,) = ledger.write("c1", [], [intent("a")])
    post(ledger, first, "r1")
    watch.move(hours=1)
    (second,) = ledger.write("c1", [], [intent("a", generation=1, before="27", to="25")])
    ledger.settle(sent(ledger, second), FAILED, note="books closed")
    (third,) = ledger.write("c1", [], [intent("a", generation=2, before="27", to="26", state=HELD)])
    ledger.write("c1", [], [intent("b", state=HELD)])
    past = ledger.past()
    history = past.lines["a"]
    assert past.installation == ledger.installation
    assert len(past.installation) == 8
    assert history.generation == 2
    assert history.open == third
    assert history.closed is not None
    assert (history.closed.id, history.closed.state, history.closed.note) == (second.id, FAILED, "books closed")
    assert history.closed.fingerprint == "fp/a/25"
    assert history.posted is not None
    assert (history.posted.id, history.posted.before, history.posted.to) == (first.id, Decimal(25), Decimal(27))
    assert history.posted.remote_id == "r1"
    assert history.posted.settled_at == watch.now - timedelta(hours=1)
    assert history.own_quantity == 0
    assert past.lines["b"].generation == 0
    assert past.lines["b"].closed is None
    assert set(ledger.past({"b", "c"}).lines) == {"b"}


def test_entries_are_found_by_what_people_ask(ledger: Ledger) -> None:
    ledger.write("c000001", [], [intent("a", customer="Fabrikam"), intent("b", rule="Backup")])
    ledger.write("c000002", [], [intent("c", period="2026-10", state=HELD)])

    def identities(**asked: object) -> str:
        return "".join(entry.intent.identity for entry in ledger.entries(**asked))  # type: ignore[arg-type]

    assert identities() == "abc"
    assert identities(limit=2) == "ab"
    assert identities(customer="Fabrikam") == "a"
    assert identities(rule="Backup", customer="Contoso Dental") == "b"
    assert identities(period="2026-10") == identities(cycle="c000002") == identities(states={HELD}) == "c"
    assert identities(states=set()) == ""


def test_order_never_comes_from_the_clock(ledger: Ledger, watch: Watch) -> None:
    (first,) = ledger.write("c1", [], [intent("a")])
    watch.move(days=-40)
    (second,) = ledger.write("c1", [], [intent("b")])
    post(ledger, first)
    watch.move(days=-1)
    (third,) = ledger.write("c1", [], [intent("a", generation=1)])
    assert ledger.entries() == [ledger.entry(first.id), second, third]
    history = ledger.past().lines["a"]
    assert history.open == third
    assert history.generation == 1
    assert [one.seq for one in ledger.events(first.id)] == [1, 3, 4]
    assert ledger.verify() == []


@pytest.mark.parametrize("bad", [{"state": POSTED}, {"identity": ""}])
def test_an_intent_that_is_none_is_a_fault_of_ours(ledger: Ledger, bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="held or planned"):
        ledger.write("c1", [], [replace(intent(), **bad)])  # type: ignore[arg-type]
    assert ledger.entries() == []


def test_two_that_write_at_once_wait_their_turn(ledger: Ledger, opened: Callable[[], Ledger]) -> None:
    """A transaction that reads before it takes the write lock would be refused, not made to wait."""
    other = opened()

    def decide(one: Ledger, who: str) -> int:
        for number in range(25):
            (held,) = one.write("c1", [], [intent(f"{who}{number}", state=HELD)])
            one.approve([held.id], who)
        return 25

    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(decide, one, who) for one, who in ((ledger, "a"), (other, "b"), (ledger, "c"), (other, "d"))
        ]
        assert sum(one.result() for one in done) == 100
    assert len(ledger.entries(states={PLANNED})) == 100
    assert ledger.verify() == []


def test_of_many_threads_one_sends(ledger: Ledger) -> None:
    entries = ledger.write("c1", [], [intent(f"line-{number}") for number in range(5)])
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(ledger.sending, entries * 8))
    assert sorted(one.id for one in won if one is not None) == sorted(entry.id for entry in entries)
    assert [entry.attempts for entry in ledger.entries()] == [1] * 5
