"""A random life of a ledger beside a plain model of it: plans, decisions, sendings, crashes, a second writer."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from ledger_kit import DATED, URL, Watch, fresh, intent

from syncd.core.entries import OPEN, TERMINAL, TRANSITIONS, Entry, EntryState, Intent
from syncd.errors import LedgerBusy, SyncdError, UserFault
from syncd.ledger import Ledger
from syncd.model import Operation

S = EntryState
COUNTED = {S.PLANNED, S.SENDING, S.UNKNOWN, S.POSTED}
LINES = ["quantity:1", "quantity:2", "lines:1", "lines:2"]
picks = st.integers(0, 99)


@dataclass
class Twin:
    """What the model knows of one entry."""

    intent: Intent
    state: EntryState
    attempts: int = 0
    decided_by: str = "policy"
    moves: list[EntryState] = field(default_factory=list)


class LedgerLife(RuleBasedStateMachine):
    """Every rule does one thing to the ledger and says what the model must be then; the invariants compare."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name)
        fresh(self.folder)
        self.twins: dict[str, Twin] = {}  # by key
        self.ids: dict[str, str] = {}
        self.ended: dict[str, Entry] = {}
        self.stale: list[Ledger] = []
        self.start()

    def start(self) -> None:
        self.ledger = Ledger.open(URL, self.watch, folder=self.folder)
        self.ledger.claim("run", timedelta())

    def teardown(self) -> None:
        for one in (*self.stale, self.ledger):
            one.close()
        self.scratch.cleanup()

    # What the model knows

    def of(self, identity: str) -> list[Twin]:
        return [twin for twin in self.twins.values() if twin.intent.identity == identity]

    def own(self, identity: str) -> Decimal:
        signs = {Operation.POST_LINE: 1, Operation.POST_CREDIT: -1}
        return sum(
            (
                twin.intent.posting.quantity * signs[twin.intent.operation]
                for twin in self.of(identity)
                if twin.intent.operation in DATED and twin.state in COUNTED
            ),
            Decimal(0),
        )

    def some(self, states: set[EntryState], pick: int) -> Entry | None:
        keys = [key for key, twin in self.twins.items() if twin.state in states]
        return self.ledger.by_key(keys[pick % len(keys)]) if keys else None

    def planned(self, identity: str, to: int, state: EntryState) -> Intent:
        generation = sum(twin.state in TERMINAL for twin in self.of(identity))
        operation, before = Operation.SET_QUANTITY, Decimal(25)
        if identity.startswith("lines"):
            before = self.own(identity)
            operation = Operation.POST_LINE if to >= before else Operation.POST_CREDIT
        return intent(identity, generation=generation, before=str(before), to=str(to), operation=operation, state=state)

    def wrote(self, entries: list[Entry], expected: list[Intent]) -> None:
        assert [entry.intent.key for entry in entries] == [one.key for one in expected]
        for entry, one in zip(entries, expected, strict=True):
            self.twins[one.key] = Twin(one, one.state)
            self.ids[one.key] = entry.id

    def went(self, entry: Entry, state: EntryState) -> None:
        twin = self.twins[entry.intent.key]
        twin.moves.append(state)
        twin.state = state

    # What happens

    @rule(identity=st.sampled_from(LINES), to=st.integers(0, 9), held=st.booleans())
    def plan(self, identity: str, to: int, held: bool) -> None:
        wanted = self.planned(identity, to, S.HELD if held else S.PLANNED)
        free = all(twin.state in TERMINAL for twin in self.of(identity))
        self.wrote(self.ledger.write("c1", [], [wanted]), [wanted] if free else [])

    @rule(identity=st.sampled_from(LINES[2:]), to=st.integers(0, 9), wrong=st.integers(1, 5))
    def plan_from_a_stale_reading(self, identity: str, to: int, wrong: int) -> None:
        wanted = self.planned(identity, to, S.PLANNED)
        stale = intent(
            identity, before=str(wanted.before + wrong), to=str(to), operation=wanted.operation, key=wanted.key
        )
        assert self.ledger.write("c1", [], [stale]) == []

    @rule(pick=picks, to=st.integers(0, 9))
    def plan_anew(self, pick: int, to: int) -> None:
        """Supersedes any entry, also one that cannot be superseded any more, and plans its line again."""
        old = self.some(set(S), pick)
        if old is None:
            return
        identity, twin = old.intent.identity, self.twins[old.intent.key]
        able = twin.state in (S.HELD, S.PLANNED)
        if able:
            self.went(old, S.SUPERSEDED)
        wanted = self.planned(identity, to, S.PLANNED)
        free = all(other.state in TERMINAL for other in self.of(identity))
        self.wrote(self.ledger.write("c1", [(old.id, "anew")], [wanted]), [wanted] if able and free else [])

    @rule(to=st.integers(0, 9), first=st.sampled_from(LINES[:2]), second=st.sampled_from(LINES[2:]))
    def plan_a_pair(self, to: int, first: str, second: str) -> None:
        leader, base = self.planned(first, to, S.HELD), self.planned(second, to, S.HELD)
        follower = intent(
            second, key=base.key, before=str(base.before), to=str(to), operation=base.operation,
            state=S.HELD, follows=leader.key,
        )  # fmt: skip
        free = all(twin.state in TERMINAL for twin in (*self.of(first), *self.of(second)))
        self.wrote(self.ledger.write("c1", [], [follower, leader]), [follower, leader] if free else [])

    @rule(pick=picks, yes=st.booleans())
    def decide(self, pick: int, yes: bool) -> None:
        entry = self.some(set(S), pick)
        if entry is None:
            return
        twin = self.twins[entry.intent.key]
        leader = self.twins.get(twin.intent.follows)
        alone = leader is not None and leader.state not in COUNTED
        if twin.state is not S.HELD or (yes and alone):
            with pytest.raises(UserFault):
                self._decide(entry, yes)
            return
        both = {entry.intent.key} | {
            key
            for key, other in self.twins.items()
            if other.intent.follows == entry.intent.key and other.state is S.HELD
        }
        assert {one.intent.key for one in self._decide(entry, yes)} == both
        for key in both:
            self.twins[key].state = S.PLANNED if yes else S.REJECTED
            self.twins[key].moves.append(self.twins[key].state)
            self.twins[key].decided_by = "person:Ada"

    def _decide(self, entry: Entry, yes: bool) -> list[Entry]:
        return self.ledger.approve([entry.id], "Ada") if yes else self.ledger.reject([entry.id], "no", "Ada")

    @rule(pick=picks, planned=st.booleans())
    def send(self, pick: int, planned: bool) -> None:
        entry = self.some({S.PLANNED} if planned else set(S), pick)
        if entry is None:
            return
        twin = self.twins[entry.intent.key]
        leader = self.twins.get(twin.intent.follows)
        able = twin.state is S.PLANNED and (leader is None or leader.state is S.POSTED)
        claimed = self.ledger.sending(entry)
        assert (claimed is not None) == able
        if claimed is not None:
            self.went(entry, S.SENDING)
            twin.attempts += 1
            assert claimed.intent == entry.intent

    @rule(pick=picks, way=picks, late=st.booleans())
    def settle_in_flight(self, pick: int, way: int, late: bool) -> None:
        entry = self.some({S.SENDING, S.UNKNOWN}, pick)
        if entry is not None:
            ways = sorted(TRANSITIONS[entry.state])
            self._settle(entry, ways[way % len(ways)], late)

    @rule(pick=picks, state=st.sampled_from(S), late=st.booleans())
    def settle_anything(self, pick: int, state: EntryState, late: bool) -> None:
        entry = self.some(set(S), pick)
        if entry is not None:
            self._settle(entry, state, late)

    def _settle(self, entry: Entry, state: EntryState, late: bool) -> None:
        move = (entry.state, state)
        if state not in TRANSITIONS[entry.state] or move in ((S.HELD, S.PLANNED), (S.PLANNED, S.SENDING)):
            with pytest.raises(ValueError, match="does not go from"):
                self.ledger.settle(entry, state)
            return
        self.ledger.settle(entry, state, note="said", data={"status": 200})
        self.went(entry, state)
        if late and entry.state is not state:
            with pytest.raises(SyncdError, match="it was left as it is"):
                self.ledger.settle(entry, state)

    @rule()
    def crash(self) -> None:
        """Nothing is settled; the kernel gives the lock back."""
        self.ledger.close()
        self.start()
        sending = {entry.intent.key for entry in self.ledger.entries(states={S.SENDING})}
        assert sending == {key for key, twin in self.twins.items() if twin.state is S.SENDING}

    @precondition(lambda self: len(self.stale) < 2)
    @rule(pick=picks)
    def a_second_writer_takes_over(self, pick: int) -> None:
        """The lock file was removed by hand; from then on the first writer can change nothing."""
        (self.folder / "state" / "syncd.db.lock").unlink()
        self.stale.append(self.ledger)
        self.start()
        entry = self.some({S.PLANNED}, pick)
        with pytest.raises(LedgerBusy, match="took over"):
            self.stale[-1].write("c1", [], [intent("quantity:9")])
        if entry is not None:
            with pytest.raises(LedgerBusy, match="took over"):
                self.stale[-1].sending(entry)

    @rule(hours=st.integers(-48, 48))
    def the_clock_jumps(self, hours: int) -> None:
        self.watch.move(hours=hours)

    # What always holds

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        entries = self.ledger.entries()
        assert [entry.intent.key for entry in entries] == list(self.twins)
        for entry in entries:
            twin = self.twins[entry.intent.key]
            assert (entry.id, entry.state, entry.attempts, entry.decided_by) == (
                self.ids[entry.intent.key],
                twin.state,
                twin.attempts,
                twin.decided_by,
            )
            if entry.state in TERMINAL:
                assert self.ended.setdefault(entry.id, entry) == entry  # never altered again
        open_lines = [entry.intent.identity for entry in entries if entry.state in OPEN]
        assert len(open_lines) == len(set(open_lines))

    @invariant()
    def planning_sees_the_same_past(self) -> None:
        past = self.ledger.past()
        assert set(past.lines) == {twin.intent.identity for twin in self.twins.values()}
        for identity, history in past.lines.items():
            of = self.of(identity)
            terminal = [twin for twin in of if twin.state in TERMINAL]
            posted = [twin for twin in terminal if twin.state is S.POSTED]
            still = [twin for twin in of if twin.state in OPEN]
            assert history.generation == len(terminal)
            assert history.own_quantity == self.own(identity)
            assert (history.open.intent.key if history.open else None) == (still[0].intent.key if still else None)
            assert (history.closed.state if history.closed else None) == (terminal[-1].state if terminal else None)
            assert (history.posted.to if history.posted else None) == (posted[-1].intent.to if posted else None)

    @invariant()
    def the_record_is_whole(self) -> None:
        assert self.ledger.verify() == []
        assert not self.ledger.restored
        assert self.ledger.head()[0] == sum(1 + len(twin.moves) for twin in self.twins.values())


def test_a_random_life_agrees_with_the_model() -> None:
    quick: Any = settings(
        max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(LedgerLife, settings=quick)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_random_lives_agree_with_the_model() -> None:
    long: Any = settings(
        max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(LedgerLife, settings=long)
