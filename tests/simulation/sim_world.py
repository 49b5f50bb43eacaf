"""The simulated world: an MSP's customers, model vendors, processes that die, people and colleagues, one clock.

Owns what happens (steps are data, so that a schedule is replayed and shrunk) and what a process is: the real cycle over
the real ledger, with a boundary at every call of ledger and connection, and inside every commit. At a boundary the
process may die, or something else may happen meanwhile. What must hold is `sim_judge`'s.

Real time and the machine's clock are two things: vendors live by the first, syncd by the second, which may jump.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from sim_books import Books
from sim_estate import Estate
from sim_files import ZONE, Rules, Setup, load_files
from sim_judge import Judge
from sim_sources import SourceModel
from sim_steps import STEPS, URL, Step, approve, retry
from sim_vendors import BillingModel
from sim_wrong import Wrong

from syncd.clock import ClockWatch
from syncd.connect.contract import Connector
from syncd.core.entries import TERMINAL
from syncd.core.rules import Mode
from syncd.cycle import Cycle, run_cycle
from syncd.errors import LedgerBusy
from syncd.ledger import Ledger
from syncd.model import Posting
from syncd.periods import local_date, month_of

# A boundary: how many were passed in a cycle, or (its name, which time).
Place = int | tuple[str, int]
# Ledger calls that write: a process may die inside their commit.
WRITING = ("begin_cycle", "end_cycle", "write", "sending", "sending_together", "settle", "trust", "claim")


class Died(BaseException):
    """The process is gone; nothing of it may tidy up."""


@dataclass
class Process:
    """A syncd process: its ledger, and its own view of the clock."""

    ledger: Ledger
    watch: ClockWatch
    taken_over: bool = False


@dataclass
class Plan:
    """What strikes during one cycle: `death` is a boundary's number, or (its name, which time); `meanwhile` what
    happens at which boundary."""

    death: Place | None = None
    meanwhile: dict[Place, Step] = field(default_factory=dict)


class World:
    """One schedule's world. `template`: an empty ledger, ready made."""

    def __init__(self, setup: Setup, folder: Path, template: bytes) -> None:
        self.setup, self.folder = setup, folder
        self.path = folder / "syncd.db"
        folder.mkdir(parents=True)
        self.path.touch(0o600)
        self.path.write_bytes(template)
        self.estate = Estate(setup.start)
        self.offset = timedelta()
        self.seen_offset = self.offset
        self.latest = setup.start
        self.rules: Rules = setup.rules
        self.source = SourceModel(
            "src",
            self.estate,
            {(who, shape.product): setup.count(who, name) for who in setup.customers for name, shape in setup.shapes},
            together=setup.together,
        )
        self.billings = {
            name: BillingModel(
                name,
                self.estate,
                setup.customers,
                setup.products(name),
                keyed=name == "kb",
                tells_period=setup.tells_period,
                versions=setup.versions,
            )
            for name in ("psa", "kb")
        }
        if setup.booked:
            self.billings["books"] = Books(
                "books",
                self.estate,
                setup.customers,
                setup.products("books"),
                keyed=setup.numbers,
                drafts=setup.drafts,
                most=setup.most,
            )
        for who in setup.customers:
            for _, shape in setup.shapes:
                if (units := setup.billed(who, shape)) is not None:
                    self.billings[shape.connection].add(who, shape.product, units)
        if setup.invoiced:
            for model in self.billings.values():
                model.invoice(setup.customers, month_of(self.today), self.today, locks=model.name == "books")
        self.kills: Counter[str] = Counter()
        self.did: Counter[str] = Counter()
        self.reached: Counter[str] = Counter()
        self.plan = Plan()
        self.number = 0
        self.dead = False
        self.busy = False
        self.doubted = False
        self.calls: list[str] = []
        self.process: Process | None = None
        self.command: Ledger | None = None
        self.copies: list[Path] = []
        self.at = ""  # the boundary at which a step happens in the middle of a cycle
        self._before: Counter[str] = Counter()
        self.look_again()
        self.judge = Judge(self)
        self.estate.boundary = self.boundary
        self.estate.process = lambda: self.process
        self.estate.sent = self._sent
        self.estate.done = self.judge.happened
        self.judge.look()

    @property
    def models(self) -> list[SourceModel | BillingModel]:
        """All vendors."""
        return [self.source, *self.billings.values()]

    @property
    def kinds(self) -> Mapping[str, Connector]:
        """The vendors as syncd's registry of connectors shows them."""
        kinds = {"counts": self.source, **{model.kind: model for model in self.billings.values()}}
        return cast("Mapping[str, Connector]", kinds)

    # Time

    def clock(self) -> datetime:
        """What the machine's clock shows."""
        return self.estate.now + self.offset

    @property
    def today(self) -> date:
        """The MSP's day, by the machine's clock."""
        return local_date(self.clock(), ZONE)

    very_late = timedelta(minutes=6)
    very_lates = property(lambda self: self.estate.hits["write very_late"])

    def sleep(self, minutes: float) -> None:
        """Real time passes, for everybody."""
        self.estate.now += timedelta(minutes=minutes)
        for model in self.billings.values():
            model.arrive()

    # Boundaries

    def boundary(self, name: str, *, inside: bool = False) -> None:
        """A place where a process may die, and where other things may happen meanwhile. `inside`: a transaction is
        open, so that nobody else writes to the ledger there."""
        if self.busy:
            return
        if self.dead:
            raise Died(name)
        self.number += 1
        self.reached[name] += 1
        here = (self.number, (name, self.reached[name] - self._before[name]))
        if self.plan.death in here:
            self.kills[name] += 1
            self.dead = True
            raise Died(name)
        if not inside:
            for place in here:
                step = self.plan.meanwhile.pop(place, None)
                if step is not None:
                    self.busy = True
                    try:
                        self.did[f"meanwhile {step[0]}"] += 1
                        self.do(step, at=name)
                    finally:
                        self.busy = False
                    self.judge.look()

    def in_commit(self) -> None:
        """Called inside every commit of the process's ledger."""
        if self.calls and not self.busy and self.calls[-1].partition("(")[0] in WRITING:
            self.boundary(f"ledger.{self.calls[-1]}.commit", inside=True)

    def _sent(self, model: BillingModel, posting: Posting, body: bytes) -> None:
        self.judge.delivered(model, posting, body)

    # Processes

    def start(self) -> Process:
        """A process of its own, that claimed the ledger."""
        if self.process is None:
            if self.offset != self.seen_offset:
                # A new process cannot tell that the clock jumped before it was; it comes when what was on its way
                # has landed. Stated as a limit, not hidden.
                self.sleep(6)
            self.process = self._begin()
        self.seen_offset = self.offset
        return self.process

    def _begin(self) -> Process:
        ledger = Ledger.open(URL, self.clock, folder=self.folder, create=False)
        try:
            Watched(ledger, self).claim("run", timedelta())
        except BaseException:
            ledger.close()
            raise
        last = ledger.cycle()
        return Process(ledger, ClockWatch(last["as_of"] if last else None, lambda: self.estate.now.timestamp()))

    def drop(self) -> None:
        """The process is gone, with all that it held in memory."""
        if self.process is not None:
            self.process.ledger.close()
        self.process = None
        self.dead = False
        self.calls.clear()

    def run(self, process: Process) -> Cycle:
        """One cycle, as the daemon runs it."""
        config, mappings = load_files(self.setup, self.rules)
        self.latest = max(self.latest, self.clock())
        if process.watch.doubt(self.clock()):
            self.estate.hits["clock doubted"] += 1
            self.doubted = True
            config = replace(config, house=replace(config.house, ceiling=Mode.OBSERVE))
        watched = cast(Ledger, Watched(process.ledger, self))
        return run_cycle(config, mappings, self.kinds, watched, self.clock)

    def cycle(self, death: Place | None = None, meanwhile: dict[Place, Step] | None = None) -> Cycle | None:
        """One cycle of the process, started where it is not; None where it did not end."""
        if self.doubted:
            self.sleep(6)  # the daemon's next cycle comes an interval later, which is longer than a request lives
        self.doubted = False
        self.plan, self.number, self._before = Plan(death, meanwhile or {}), 0, self.reached.copy()
        for model in self.models:
            model.cycle_begins()
        try:
            return self.run(self.start())
        except Died:
            self.drop()
        except LedgerBusy as busy:
            if self.process is None or not self.process.taken_over:
                raise Wrong(f"busy: {busy}") from busy
            self.estate.hits["a stale writer was stopped"] += 1
            self.drop()
        finally:
            self.plan = Plan()
            for model in self.models:
                model.cycle_ends()
        return None

    def overtaken(self) -> bool:
        """Another process takes the ledger from this one, which does not know, and runs a cycle; False where this one
        has no claim."""
        stale, plan, number, before, calls = self.process, self.plan, self.number, self._before, self.calls
        if stale is None or stale.ledger._claim is None:
            return False
        stale.ledger._claim.release()
        stale.taken_over = True
        self.judge.stale_at = self.at
        self.process, self.busy, self.calls = None, False, []
        try:
            fresh = self._begin()
            self.plan = Plan()
            self.run(fresh)
            fresh.ledger.close()
        finally:
            self.process, self.plan, self.number, self._before, self.busy = stale, plan, number, before, True
            self.calls = calls
        return True

    # Steps

    def do(self, step: Step, at: str = "") -> None:
        """One step, in the middle of a cycle where `at` names the boundary."""
        name, *arguments = step
        self.did[name] += 1
        self.at = at
        STEPS[name](self, *arguments)

    # The end

    def come_to_rest(self) -> Cycle:
        """No fault is left, time goes on, a person lets everything through; returns the last cycle."""
        self.sleep(90)
        self.source.faults.clear()
        for model in self.billings.values():
            model.clear()
            model.arrive(everything=True)
        self.rules = replace(self.rules, mode="post")
        self.source.present.update(self.setup.customers)
        self.judge.look()
        if self.clock() < self.latest:  # a clock that fell back is not believed before it has caught up
            self.sleep((self.latest - self.clock()).total_seconds() / 60 + 1)
        tried = 0
        for _ in range(30):
            self.sleep(61)
            asking = self.judge.restored and self.start().ledger.restored  # what is held for that is not the end
            cycle = self.cycle()
            if cycle is None:
                raise Wrong("the last cycle did not end")
            self.judge.look()
            self.judge.after_step()
            rows = self.entry_rows()
            blocked = {
                line.id
                for line in cycle.plan.lines
                if line.action in ("blocked", "defer") or "is not known yet" in line.reason
            }
            open_ = [
                (row["id"], row["state"], row["note"])
                for row in rows
                if row["state"] not in TERMINAL
                and not (row["line"] in blocked and (row["state"] == "planned" or self.judge.stranded(row)))
            ]
            moving = any(
                line.action in ("settle", "post") or "max_postings" in line.reason for line in cycle.plan.lines
            )
            if not (open_ or moving or asking or cycle.entries):
                return cycle
            if any(row["state"] == "held" for row in rows):
                approve(self)
            if tried < 3 and any(row["state"] == "failed" for row in rows):
                tried += 1
                retry(self)
        assert cycle is not None
        told = [(line.customer, line.rule, line.action, line.reason) for line in cycle.plan.lines]
        raise Wrong(f"never at rest: {told} {open_} {cycle.plan.errors}")

    def close(self) -> None:
        """Nobody has the ledger open any more."""
        self.drop()
        if self.command is not None:
            self.command.close()
        self.command = None
        self.peek.close()

    def look_again(self) -> None:
        """Looks at what is committed, beside the ledger's own code."""
        self.peek = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)
        self.peek.row_factory = sqlite3.Row

    def entry_row(self, key: str) -> Mapping[str, Any] | None:
        """An entry as it stands in the file."""
        found = self.peek.execute("SELECT * FROM entry WHERE key = ?", (key,)).fetchone()
        return dict(found) if found is not None else None

    def entry_rows(self) -> list[dict[str, Any]]:
        """All entries as they stand in the file."""
        return [dict(row) for row in self.peek.execute("SELECT * FROM entry ORDER BY seq")]


class Watched:
    """A ledger with a boundary before and after each call."""

    def __init__(self, ledger: Ledger, world: World) -> None:
        self._ledger, self._world = ledger, world

    def __getattr__(self, name: str) -> Any:
        world = self._world
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            label = f"settle({arguments[1]})" if name == "settle" else name
            world.boundary(f"ledger.{label}")
            world.calls.append(label)
            try:
                result = found(*arguments, **options)
            finally:
                if world.calls:
                    world.calls.pop()
            world.boundary(f"ledger.{label}.after")
            return result

        return call
