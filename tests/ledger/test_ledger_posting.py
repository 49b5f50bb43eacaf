"""One posting after the other over a real ledger: what was written when the request left, and what each answer means.

The vendor is a line of 25 in memory, which takes orders and is looked at. It reads the database beside the ledger at
the moment in which a request reaches it, as somebody would after a crash right then.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_kit import Watch, intent, raw

from syncd.connect.contract import Abilities, Delivery
from syncd.core.entries import Entry, EntryState
from syncd.cycle.connections import Opened
from syncd.cycle.posting import post_all, recover
from syncd.ledger import Ledger
from syncd.model import Absent, Found, Moved, NotSent, Operation, Outcome, Posting, Receipt, Refused, Sight, Wire
from syncd.model import Unknown as Lost

PLANNED, SENDING, UNKNOWN = EntryState.PLANNED, EntryState.SENDING, EntryState.UNKNOWN
POSTED, FAILED, SUPERSEDED = EntryState.POSTED, EntryState.FAILED, EntryState.SUPERSEDED
KEY = "key/cw:line:7/set_quantity/0"


@dataclass
class Line:
    """A vendor with one line. `does`: whether it does what it is asked; `answer`: what it says instead of a receipt;
    `sights`: what the next looks show instead of the truth. `written`: the states of the entry when it was asked."""

    folder: Path
    shown: Decimal = Decimal(25)
    does: bool = True
    answer: Outcome | None = None
    sights: list[Sight] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        with raw(self.folder) as database:
            self.written += [state for (state,) in database.execute("SELECT state FROM entry WHERE key = ?", (KEY,))]
        self.sent.append(wire.body)
        if self.does:
            self.shown = posting.quantity
        return self.answer or Receipt("7", "echo")

    def find(self, posting: Posting) -> Sight:
        if self.sights:
            return self.sights.pop(0)
        if self.shown == posting.quantity:
            return Found("7", self.shown)
        return Absent() if self.shown == posting.before else Moved(f"it shows {self.shown}")


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return Line(tmp_path)


@pytest.fixture
def planned(ledger: Ledger) -> Entry:
    (entry,) = ledger.write("c000001", [], [intent()])
    return entry


def opened(line: Line, operation: Operation = Operation.SET_QUANTITY) -> dict[str, Opened]:
    connector: Any = SimpleNamespace(abilities=Abilities(frozenset(), operations={operation: Delivery("S")}))
    connection: Any = line
    return {"cw": Opened("cw", connector, connection, 1, lambda: 0)}


def post(ledger: Ledger, line: Line, keys: Collection[str] = (KEY,)) -> None:
    post_all(ledger, opened(line), keys)


def state(ledger: Ledger, key: str = KEY) -> EntryState:
    entry = ledger.by_key(key)
    assert entry is not None
    return entry.state


def test_a_request_leaves_after_its_sending_was_written_down(ledger: Ledger, line: Line, planned: Entry) -> None:
    post(ledger, line)
    assert line.written == ["sending"]
    assert line.sent == [planned.intent.wire.body]
    assert state(ledger) is POSTED


def test_nothing_leaves_that_the_plan_did_not_let_go(ledger: Ledger, line: Line, planned: Entry) -> None:
    post(ledger, line, keys=())
    assert (line.sent, state(ledger)) == ([], PLANNED)


def test_between_two_postings_the_stop_flag_is_looked_at(ledger: Ledger, line: Line) -> None:
    ledger.write("c000001", [], [intent(), intent("cw:line:8", key="second")])
    stop = threading.Event()
    post_all(ledger, opened(line), (KEY, "second"), stop=stop, progress=lambda *_: stop.set())
    assert (len(line.sent), state(ledger), state(ledger, "second")) == (1, POSTED, PLANNED)


def test_a_refusal_is_the_end(ledger: Ledger, line: Line, planned: Entry, watch: Watch) -> None:
    line.does, line.answer = False, Refused("invalid", "the agreement is closed")
    post(ledger, line)
    assert state(ledger) is FAILED
    watch.move(hours=1)
    recover(ledger, opened(line), watch.now)
    post(ledger, line)
    assert (len(line.sent), state(ledger)) == (1, FAILED)


def test_what_surely_was_not_sent_waits_under_its_key(ledger: Ledger, line: Line, planned: Entry) -> None:
    line.does, line.answer = False, NotSent("connection refused")
    post(ledger, line)
    assert state(ledger) is PLANNED
    line.does, line.answer = True, None
    post(ledger, line)
    assert state(ledger) is POSTED
    assert line.sent == [planned.intent.wire.body] * 2


def test_a_lost_answer_is_looked_for_at_once(ledger: Ledger, line: Line, planned: Entry) -> None:
    line.answer = Lost("the connection broke")
    post(ledger, line)
    assert (len(line.sent), state(ledger)) == (1, POSTED)


def test_an_outcome_that_is_not_known_is_neither_failed_nor_repeated(
    ledger: Ledger, line: Line, planned: Entry, watch: Watch
) -> None:
    line.does, line.answer = False, Lost("the connection broke")
    post(ledger, line)
    assert state(ledger) is UNKNOWN
    post(ledger, line)
    recover(ledger, opened(line), watch.now)
    post(ledger, line)
    assert (len(line.sent), state(ledger)) == (1, UNKNOWN)


def test_absent_needs_a_quiet_time_and_then_the_same_bytes_leave(
    ledger: Ledger, line: Line, planned: Entry, watch: Watch
) -> None:
    line.does, line.answer = False, Lost("the connection broke")
    post(ledger, line)
    watch.move(minutes=4, seconds=59)
    recover(ledger, opened(line), watch.now)
    assert state(ledger) is UNKNOWN
    watch.move(seconds=1)
    recover(ledger, opened(line), watch.now)
    assert state(ledger) is PLANNED
    line.does, line.answer = True, None
    post(ledger, line)
    assert state(ledger) is POSTED
    assert line.sent == [planned.intent.wire.body] * 2


@pytest.mark.parametrize("second", [Moved("it shows 30"), Found("7", Decimal(27))])
def test_absent_needs_two_looks_that_agree(
    ledger: Ledger, line: Line, planned: Entry, watch: Watch, second: Sight
) -> None:
    line.does, line.answer = False, Lost("the connection broke")
    post(ledger, line)
    watch.move(hours=1)
    line.sights = [Absent(), second]
    recover(ledger, opened(line), watch.now)
    assert state(ledger) is UNKNOWN


def test_a_clock_that_is_doubted_proves_no_quiet_time(ledger: Ledger, line: Line, planned: Entry, watch: Watch) -> None:
    line.does, line.answer = False, Lost("the connection broke")
    post(ledger, line)
    watch.move(days=31)
    recover(ledger, opened(line), watch.now, believed=False)
    assert state(ledger) is UNKNOWN


def test_what_a_dead_process_was_sending_is_not_sent_again_unseen(
    ledger: Ledger, line: Line, planned: Entry, watch: Watch
) -> None:
    assert ledger.sending(planned) is not None
    recover(ledger, opened(line), watch.now)
    post(ledger, line)
    assert (line.sent, state(ledger)) == ([], UNKNOWN)


def test_done_counts_when_the_record_shows_it(ledger: Ledger, line: Line, planned: Entry) -> None:
    line.does = False  # says that it was done
    post(ledger, line)
    assert (len(line.sent), state(ledger)) == (1, UNKNOWN)


@pytest.mark.parametrize("shown", [26, 27, 30])
def test_what_somebody_wrote_meanwhile_is_not_overwritten(
    ledger: Ledger, line: Line, planned: Entry, shown: int
) -> None:
    line.shown = Decimal(shown)
    post(ledger, line)
    assert (len(line.sent), line.shown, state(ledger)) == (0, Decimal(shown), SUPERSEDED)


def test_a_mark_that_is_there_already_is_not_made_twice(ledger: Ledger, line: Line, watch: Watch) -> None:
    """An earlier send landed after it was taken for absent: there is nothing left to send."""
    dated = intent(operation=Operation.POST_LINE, before="0", to="2", key=KEY)
    ledger.write("c000001", [], [dated])
    line.does, line.answer = False, Lost("the connection broke")
    line.sights = [Absent(), Absent()]
    post(ledger, line)
    watch.move(minutes=5)
    line.sights = [Absent(), Absent()]
    recover(ledger, opened(line, Operation.POST_LINE), watch.now)
    assert state(ledger) is PLANNED
    line.sights = [Found("8", Decimal(2))]
    post(ledger, line)
    assert (len(line.sent), state(ledger)) == (1, POSTED)


@pytest.mark.parametrize("end", [FAILED, UNKNOWN])
def test_what_follows_leaves_only_when_its_leader_is_posted(ledger: Ledger, line: Line, end: EntryState) -> None:
    part = intent("lines:2026-11", operation=Operation.POST_LINE, before="0", to="2", key="part", follows=KEY)
    ledger.write("c000001", [], [intent(), part])
    line.does, line.answer = False, Refused("invalid", "no") if end is FAILED else Lost("the connection broke")
    post(ledger, line, keys=(KEY, "part"))
    assert (len(line.sent), state(ledger)) == (1, end)
    assert state(ledger, "part") is (SUPERSEDED if end is FAILED else PLANNED)
