"""`syncd rehearse`: today's real counts and mappings, posted into local doubles, and what came of it.

    read the real systems once -> copy the ledger -> fill the doubles -> whole cycles in mode post -> count the effects

The reading can send nothing, the cycles can reach nothing but loopback, and the ledger they write is a copy in a
scratch folder. The judge of "exactly once" is the double's own record of what it changed, not the ledger.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from syncd.clock import Clock
from syncd.config import Config
from syncd.connect.contract import Connector
from syncd.core.entries import OPEN, Entry, EntryState
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import Mappings, Mode
from syncd.cycle import Cycle, look, moment_of, run_cycle
from syncd.cycle.connections import open_connections
from syncd.cycle.reading import Progress
from syncd.ledger import Ledger, backup, engine, export, import_
from syncd.rehearse.mischief import LATE_SECONDS, Killed, Mischief, Mortal
from syncd.rehearse.stage import OnStage, Theatre, posting_names, refuse_strangers
from syncd.sandbox.fill import times

# Between two cycles the rehearsal's clock moves so far: longer than a lost request to a double may live.
STEP = timedelta(seconds=2)
PERSON = "rehearsal"
# The most cycles with faults, and the most in all, before a rehearsal says that something still waits.
STORMY, MOST = 100, 160
# So many calm cycles in a row in which nothing came to an end, beyond those that `settle` takes, are a standstill.
IDLE = 8
_BUSY = frozenset({EntryState.PLANNED, EntryState.SENDING, EntryState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Change:
    """One change that was made in a double. `effects`: how often, by the double's own count; one is right."""

    entry: Entry
    effects: int


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What came of it. `before` is the plan that the real systems give, `after` the last one of the rehearsal.

    `doubtful`: changes whose outcome the ledger does not know at the end. `strays`: changes in the doubles that no
    entry accounts for. `struck`: fault -> how often; `died`: step -> how often the process ended there. `seed` is None
    without faults. `rests`: whether nothing was left to be done.
    """

    before: Plan
    after: Plan
    changes: tuple[Change, ...]
    doubtful: tuple[Change, ...]
    held: tuple[Entry, ...]
    failed: tuple[Entry, ...]
    strays: int
    cycles: int
    struck: Mapping[str, int]
    died: Mapping[str, int]
    seed: int | None
    rests: bool

    @property
    def faults(self) -> int:
        """How many requests a double failed on purpose."""
        return sum(self.struck.values())

    @property
    def kills(self) -> int:
        """How often the process died on purpose."""
        return sum(self.died.values())

    @property
    def once(self) -> bool:
        """Whether every change was made exactly once, and nothing else was changed."""
        return not self.strays and not self.wrong

    @property
    def wrong(self) -> tuple[Change, ...]:
        """Changes that were made another number of times than they should."""
        return tuple(one for one in self.changes if one.effects != 1) + tuple(
            one for one in self.doubtful if one.effects > 1
        )

    @property
    def errors(self) -> tuple[ReadError, ...]:
        """What could not be read, really or in a double."""
        return tuple(dict.fromkeys((*self.before.errors, *self.after.errors)))

    @property
    def exit_status(self) -> int:
        """1 where something was not read, refused, blocked or not made once; 3 where something still waits; else 0."""
        blocked = any(line.action is Action.BLOCKED for line in self.after.lines)
        if self.errors or blocked or self.failed or not self.once:
            return 1
        return 0 if self.rests else 3

    def outcome(self, line: PlanLine) -> str:
        """What became of a line: "on target", "held", "waits", or what else the plan says of it."""
        if line.action in (Action.POST, Action.SETTLE):
            return "waits"
        return {Action.NONE: "on target", Action.HOLD: "held"}.get(line.action, str(line.action))

    def sentence(self) -> str:
        """The figures, in one sentence."""
        said = f"{len(self.changes)} changes"
        if self.seed is not None:
            said += f", {self.faults + self.kills} interruptions ({self.faults} faults, {self.kills} kills)"
        if not self.once:
            return f"{said}: {len(self.wrong)} NOT made exactly once, {self.strays} changes that nobody asked for."
        return f"{said}, " + ("nothing to change." if not self.changes else "every change exactly once.")


class Clockwork:
    """The rehearsal's clock: it stands where the real one stood at the reading, and moves between cycles."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    def __call__(self) -> datetime:
        return self.now


def rehearse(
    config: Config,
    mappings: Mappings,
    kinds: Mapping[str, Connector],
    clock: Clock,
    *,
    faults: bool = False,
    seed: int = 7,
    approve_held: bool = False,
    progress: Progress | None = None,
) -> Rehearsal:
    """Reads, fills, posts, counts. Raises UserFault where a rule posts to a kind that cannot be rehearsed, and what
    reading raises."""
    start = clock()
    today = moment_of(config, start).today
    names = posting_names(config, mappings)
    refuse_strangers(config, kinds, names, today)
    with tempfile.TemporaryDirectory(prefix="syncd-rehearse-") as scratch:
        theatre = Theatre(config, kinds)
        try:
            recorded, recorders = theatre.recording()
            with Ledger.open(config.database, clock, folder=config.folder) as real:
                before = look(recorded, mappings, recorders, real, clock, counting=False, progress=progress)
            copy = Path(scratch) / "syncd.db"
            _copy_ledger(config, copy, clock)
            theatre.set_up([name for name in names if theatre.tapes[name].listed()], today)
            time_now = Clockwork(start)
            _compare(theatre, copy, time_now)
            play = _Play(theatre, _posting(mappings), copy, time_now, progress)
            try:
                return play.through(before, seed=seed if faults else None, approve_held=approve_held)
            finally:
                play.close()
        finally:
            theatre.close()


def _copy_ledger(config: Config, copy: Path, clock: Clock) -> None:
    """The ledger as it is now, in a file of its own, from whichever kind of database."""
    if engine.backend(config.database) != "postgresql":
        backup(config.database, copy, folder=config.folder)
        return
    exported = copy.with_suffix(".export")
    export(config.database, exported, folder=config.folder)
    url = f"sqlite:///{copy}"
    import_(exported, url, folder=copy.parent, clock=clock)
    with Ledger.open(url, clock, folder=copy.parent) as ledger:
        ledger.claim("rehearse")
        ledger.trust()  # it is a copy of a moment ago, and has forgotten nothing


def _posting(mappings: Mappings) -> Mappings:
    """The mappings with every customer in the mode of the house, which is `post` here: what would be posted is seen."""
    return replace(mappings, customers=tuple(replace(one, mode=None) for one in mappings.customers))


def _compare(theatre: Theatre, copy: Path, clock: Clock) -> None:
    config, kinds = theatre.playing()
    with (
        Ledger.open(f"sqlite:///{copy}", clock, folder=copy.parent) as ledger,
        open_connections(config, kinds, clock, ledger) as opened,
    ):
        stages = {name: one.connection for name, one in opened.items() if isinstance(one.connection, OnStage)}
        theatre.compare(stages, moment_of(config, clock()))


class _Play:
    """The cycles, and the ledger they write: reopened whenever the process "dies"."""

    def __init__(
        self, theatre: Theatre, mappings: Mappings, copy: Path, clock: Clockwork, progress: Progress | None
    ) -> None:
        self._theatre = theatre
        self._mappings = mappings
        self._copy = copy
        self._clock = clock
        self._progress = progress
        self._mischief: Mischief | None = None
        self._cycles = 0
        theatre.fate = self._fate
        config, self._kinds = theatre.playing()
        house = replace(config.house, mode=Mode.POST, ceiling=Mode.POST)
        self._config = replace(config, house=house)
        self._ledger = self._open()
        self._known = {entry.id: entry.state for entry in self._ledger.entries()}
        for entry in self._ledger.entries(states={EntryState.PLANNED, EntryState.HELD}, own=True):
            # tickets and messages of the real daemon are not rehearsed
            self._ledger.settle(entry, EntryState.SUPERSEDED, note="not rehearsed")

    def close(self) -> None:
        """Closes the scratch ledger."""
        self._ledger.close()

    def through(self, before: Plan, *, seed: int | None, approve_held: bool) -> Rehearsal:
        """Plays until everything rests, or for as many cycles as can be sensible."""
        changes = sum(len(line.effects) for line in before.lines)
        if seed is not None:
            self._mischief = Mischief(seed, self._theatre.doubles, changes)
        done, rests = self._until_rest(before)
        if approve_held and (held := self._entries(EntryState.HELD)):
            self._ledger.approve([entry.id for entry in held if not entry.intent.follows], by=PERSON, looked=True)
            done, rests = self._until_rest(before)
        counted = self._counted(EntryState.POSTED)
        doubtful = tuple(change for state in sorted(_BUSY) for change in self._counted(state))
        all_effects = sum(len(double.effects) for double in self._theatre.doubles.values())
        return Rehearsal(
            before=before,
            after=done.plan,
            changes=counted,
            doubtful=doubtful,
            held=tuple(self._entries(EntryState.HELD)),
            failed=tuple(self._entries(EntryState.FAILED)),
            strays=all_effects - sum(change.effects for change in (*counted, *doubtful)),
            cycles=self._cycles,
            struck=dict(self._mischief.struck) if self._mischief else {},
            died=dict(self._mischief.died) if self._mischief else {},
            seed=seed,
            rests=rests,
        )

    def _until_rest(self, before: Plan) -> tuple[Cycle, bool]:
        done: Cycle | None = None
        idle = 0
        stormy = self._mischief is not None
        if self._mischief:
            self._mischief.storm()
        for number in range(MOST):
            if self._mischief:
                if stormy and number == STORMY:
                    stormy = False
                    self._mischief.calm()
                self._mischief.before_cycle(len(self._ledger.entries(states=OPEN)) or len(before.lines))
            lived = self._cycle()
            done = lived or done
            if self._mischief and self._mischief.after_cycle():
                time.sleep(LATE_SECONDS)  # what a late request does, it does now
            if self._progress:
                self._progress(number + 1, number + 2, "cycles in the sandboxes")
            if lived is None:
                continue
            if not self._resting(lived):
                idle = 0 if stormy or lived.entries else idle + 1
                if idle >= IDLE + self._config.house.safety.settle:
                    return lived, False  # something waits for what no further cycle brings
                continue
            if not stormy:
                return lived, True
            stormy = False  # nothing is left that could be interrupted; one calm look ends it
            assert self._mischief is not None
            self._mischief.calm()
        assert done is not None  # a calm cycle ends
        return done, False

    def _cycle(self) -> Cycle | None:
        """One cycle; None where the process died in it."""
        self._clock.now += STEP
        self._cycles += 1
        try:
            return run_cycle(self._config, self._mappings, self._kinds, self._ledger, self._clock)
        except Killed:
            self._ledger.close()
            self._ledger = self._open()
            return None

    def _resting(self, done: Cycle) -> bool:
        """Whether another cycle would change nothing."""
        moving = any(
            line.action in (Action.POST, Action.SETTLE)
            or (line.action is Action.DEFER and line.reason.startswith("max_postings"))
            for line in done.plan.lines
        )
        return not moving and not done.entries and not self._ledger.entries(states=_BUSY)

    def _entries(self, state: EntryState) -> list[Entry]:
        """The changes of billing that came into this state in the rehearsal, and all that are still open."""
        return [
            entry
            for entry in self._ledger.entries(states={state})
            if state in OPEN or self._known.get(entry.id) is not state
        ]

    def _counted(self, state: EntryState) -> tuple[Change, ...]:
        return tuple(Change(entry, self._times(entry)) for entry in self._entries(state))

    def _times(self, entry: Entry) -> int:
        double = self._theatre.doubles.get(entry.intent.connection)
        return times(double, entry.intent.posting) if double is not None else 0

    def _fate(self, where: str) -> None:
        if self._mischief:
            self._mischief.may_die(where)

    def _open(self) -> Mortal:
        opened = Mortal.open(f"sqlite:///{self._copy}", self._clock, folder=self._copy.parent, create=False)
        assert isinstance(opened, Mortal)
        opened.fate = self._fate
        opened.claim("rehearse")
        return opened


__all__ = ["Change", "Rehearsal", "rehearse"]
