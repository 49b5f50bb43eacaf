"""The simulated world: an MSP's customers, model vendors, processes that die, people and colleagues, one clock.

Owns what happens (steps are data, so that a schedule is replayed and shrunk) and what a process is: the real cycle over
the real ledger, with a boundary at every call of ledger and connection, and inside every commit. At a boundary the
process may die, or something else may happen meanwhile. What must hold is `sim_judge`'s.

Real time and the machine's clock are two things: vendors live by the first, syncd by the second, which may jump.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

from sim_files import Rules, Setup, load_files
from sim_judge import Judge, Wrong
from sim_sources import LIES, SourceModel
from sim_vendors import BillingModel, Estate

from syncd.connect.contract import Connector
from syncd.core.entries import TERMINAL, EntryState
from syncd.core.rules import Mode
from syncd.core.undo import retry, undo
from syncd.cycle import Cycle, moment_of, run_cycle
from syncd.cycle.connections import open_connections
from syncd.clock import ClockWatch
from syncd.errors import LedgerBusy, UserFault
from syncd.ledger import Ledger
from syncd.ledger.backup import backup, restore
from syncd.model import Posting
from syncd.periods import local_date, month_of

Step = tuple[Any, ...]
ZONE = ZoneInfo("America/Chicago")
URL = "sqlite:///syncd.db"
# Ledger calls that write: a process may die inside their commit.
WRITING = ("begin_cycle", "end_cycle", "write", "sending", "settle", "trust", "claim")


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

    death: int | tuple[str, int] | None = None
    meanwhile: dict[int | tuple[str, int], Step] = field(default_factory=dict)


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
                [shape.product for _, shape in setup.shapes if shape.connection == name],
                keyed=name == "kb",
                tells_period=setup.tells_period,
                versions=setup.versions,
            )
            for name in ("psa", "kb")
        }
        for who in setup.customers:
            for _, shape in setup.shapes:
                if (units := setup.billed(who, shape)) is not None:
                    self.billings[shape.connection].add(who, shape.product, units)
        if setup.invoiced:
            for model in self.billings.values():
                model.invoiced_through = dict.fromkeys(setup.customers, month_of(self.today).last)
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
        self._command: Ledger | None = None
        self.copies: list[tuple[Path, int]] = []
        self.peek = self._peek()
        self.judge = Judge(self)
        self.estate.boundary = self.boundary
        self.estate.sent = self._sent
        self.estate.done = self.judge.happened
        self.judge.look()

    @property
    def models(self) -> list[SourceModel | BillingModel]:
        """All vendors."""
        return [self.source, *self.billings.values()]

    # Time

    def clock(self) -> datetime:
        return self.estate.now + self.offset

    @property
    def today(self) -> Any:
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
        kinds = {"counts": self.source, **{model.kind: model for model in self.billings.values()}}
        watched = cast(Ledger, Watched(process.ledger, self))
        return run_cycle(config, mappings, cast("Mapping[str, Connector]", kinds), watched, self.clock)

    def cycle(self, plan: Plan | None = None) -> Cycle | None:
        """One cycle of the process, started where it is not; None where it did not end."""
        if self.doubted:
            self.sleep(6)  # the daemon's next cycle comes an interval later, which is longer than a request lives
        self.doubted = False
        self.plan, self.number, self._before = plan or Plan(), 0, self.reached.copy()
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

    # Steps

    def do(self, step: Step, at: str = "") -> None:
        """One step. Steps that do not apply do nothing."""
        name, *arguments = step
        self.did[name] += 1
        getattr(self, f"_{name}")(*arguments, **({"at": at} if name == "takeover" else {}))

    def _cycle(self, minutes: int, death: Any = None, meanwhile: Iterable[tuple[Any, Step]] = ()) -> None:
        self.sleep(minutes)
        self.cycle(Plan(death, dict(meanwhile)))

    def _hire(self, customer: int, rule: int, number: int) -> None:
        """The count moves: up, or down where `number` is negative."""
        who, sku = self._pick_count(customer, rule)
        self.source.counts[who, sku] = max(0, self.source.counts[who, sku] + number)

    def _pick_count(self, customer: int, rule: int) -> tuple[str, str]:
        shape = self.setup.shapes[rule % len(self.setup.shapes)][1]
        return self.setup.customers[customer % len(self.setup.customers)], shape.product

    def _leave(self, customer: int) -> None:
        self.source.present.discard(self.setup.customers[customer % len(self.setup.customers)])

    def _join(self, customer: int) -> None:
        self.source.present.add(self.setup.customers[customer % len(self.setup.customers)])

    def _write_fault(self, vendor: str, *kinds: str) -> None:
        self.billings[vendor].faults.writes += kinds

    def _find_fault(self, vendor: str, number: int) -> None:
        self.billings[vendor].faults.finds = number

    def _lines_fault(
        self, vendor: str, kind: str, customer: int, cycles: int, lags: tuple[int, ...] = (2, 0, 3)
    ) -> None:
        faults = self.billings[vendor].faults
        if kind == "gap" and (cycles > 1 or self.setup.settle < 2):
            return  # a gap that nobody sees, twice in a row, is a line that somebody deleted
        faults.victim = self.setup.customers[customer % len(self.setup.customers)]
        faults.reads[kind], faults.lags = cycles, list(lags)

    def _count_fault(self, kind: str, customer: int, cycles: int, lags: tuple[int, ...] = (2, 0, 3)) -> None:
        if kind in LIES and not self.setup.strict:
            return
        faults = self.source.faults
        faults.victim = self.setup.customers[customer % len(self.setup.customers)]
        faults.reads[kind], faults.lags = cycles, list(lags)

    def _rival(self, vendor: str, line: int, what: str, units: int) -> None:
        """A colleague edits a line: "edit", "touch" (nothing that is billed), "remove" or "twin" (a second one)."""
        model = self.billings[vendor]
        rows = sorted(model.rows)
        if not rows:
            return
        row = model.rows[rows[line % len(rows)]]
        self.estate.hits[f"rival {what}"] += 1
        if what == "remove":
            del model.rows[row.id]
        elif what == "twin":
            if not row.once:
                model.add(row.customer, row.product, units)
        elif row.once and what == "edit":
            model.rival(row.id, units if row.units >= 0 else -units)
        else:
            model.rival(row.id, units if what == "edit" else None)
        self.judge.disturbed.add((row.customer, row.product))

    def _forget(self) -> None:
        """The vendor forgets the keys that it promised to keep."""
        self.estate.hits["keys forgotten"] += len(self.billings["kb"].keys)
        self.billings["kb"].keys.clear()

    def _rule(self, rule: int, key: str, value: Any) -> None:
        name = self.setup.shapes[rule % len(self.setup.shapes)][0]
        self.rules = self.rules.changed(name, key, value)

    def _mode(self, mode: str) -> None:
        self.rules = replace(self.rules, mode=mode)

    def _sleep(self, minutes: int) -> None:
        self.sleep(minutes)

    def _month(self) -> None:
        """The real time goes to just before or over the end of the month; the billing systems make their invoices."""
        end = month_of(self.today).last
        while local_date(self.clock(), ZONE) <= end:
            self.sleep(60 * 12)
        self._invoice()

    def _invoice(self) -> None:
        """The current period is invoiced, and the one before is closed."""
        period = month_of(self.today)
        for model in self.billings.values():
            model.invoiced_through = dict.fromkeys(self.setup.customers, period.last)
            if self.setup.locks:
                model.locked_through = period.first - timedelta(days=1)

    def _jump(self, hours: int) -> None:
        """The machine's clock jumps; no time passes."""
        self.offset += timedelta(hours=hours)
        self.estate.hits[f"clock {hours:+} h"] += 1

    def _restart(self) -> None:
        """An orderly end."""
        self.drop()

    def _intruder(self) -> None:
        """A second process wants the ledger."""
        if self.process is None or self.process.taken_over:
            return
        with Ledger.open(URL, self.clock, folder=self.folder, create=False) as other:
            try:
                other.claim("run", timedelta())
            except LedgerBusy:
                self.estate.hits["a second writer was refused"] += 1
                return
        raise Wrong("two writers: a second process claimed the ledger")

    def _takeover(self, at: str = "") -> None:
        """The process loses its lock without knowing (its session fell, it slept); another one runs a cycle."""
        if self.process is None or self.process.taken_over or not at:
            return
        stale, plan, number, before = self.process, self.plan, self.number, self._before
        claim = stale.ledger._claim
        if claim is None:
            return
        claim.release()
        stale.taken_over = True
        self.judge.stale_at = at
        calls, self.calls = self.calls, []
        self.process, self.busy = None, False
        try:
            fresh = self._begin()
            self.plan = Plan()
            self.run(fresh)
            fresh.ledger.close()
        finally:
            self.process, self.plan, self.number, self._before, self.busy = stale, plan, number, before, True
            self.calls = calls
        self.estate.hits["a take-over"] += 1

    # People

    @contextmanager
    def _desk(self) -> Iterator[Ledger]:
        """The ledger of a command in another process."""
        if self._command is None:
            self._command = Ledger.open(URL, self.clock, folder=self.folder, create=False)
        with suppress(UserFault):
            yield self._command

    def _approve(self, which: int = -1) -> None:
        """A person lets one held change leave; -1 is all of them."""
        with self._desk() as ledger:
            held = ledger.entries(states={EntryState.HELD})
            chosen = held if which < 0 else held[which % len(held) :][:1] if held else []
            if chosen:
                ledger.approve([one.id for one in chosen], "Dana")
                self.estate.hits["approved"] += len(chosen)

    def _reject(self, which: int) -> None:
        with self._desk() as ledger:
            if held := ledger.entries(states={EntryState.HELD}):
                ledger.reject([held[which % len(held)].id], "not now", "Dana")
                self.estate.hits["rejected"] += 1

    def _undo(self, which: int) -> None:
        self._new_entry(EntryState.POSTED, which, again=False)

    def _retry(self, which: int) -> None:
        self._new_entry(EntryState.FAILED, which, again=True)

    def _new_entry(self, state: EntryState, which: int, *, again: bool) -> None:
        """As `syncd undo` and `syncd retry` do it."""
        with self._desk() as ledger:
            found = ledger.entries(states={state})
            if not found:
                return
            for entry in found if which < 0 else [found[-1 - which % len(found)]]:
                with suppress(UserFault):
                    self._write_anew(ledger, entry, again=again)

    def _write_anew(self, ledger: Ledger, entry: Any, *, again: bool) -> None:
        config, _ = load_files(self.setup, self.rules)
        kinds = {"counts": self.source, **{model.kind: model for model in self.billings.values()}}
        past, today = ledger.past(), moment_of(config, self.clock()).today
        with open_connections(config, cast(Any, kinds), self.clock, ledger) as opened:
            wire = opened[entry.intent.connection].connection.wire
            if again:
                intent = retry(entry, past, wire, by="Dana")
            else:
                intent = undo(entry, past, wire, by="Dana", why="a mistake", today=today)
            if ledger.write("", (), [intent]):
                self.estate.hits["retried" if again else "undone"] += 1
                self.judge.by_hand.add(intent.identity)

    # Backups

    def _backup(self) -> None:
        target = self.folder / f"copy{len(self.copies)}.db"
        with suppress(UserFault):
            backup(self.path, target)
            self.copies.append((target, sum(len(model.effects) for model in self.billings.values())))

    def _restore(self, which: int, how: str) -> None:
        """An older copy becomes the ledger: by `syncd restore` ("tool"), or somebody copies the file back ("hand")."""
        if not self.copies:
            return
        copy, _ = self.copies[which % len(self.copies)]
        self._all_closed()
        mark = self.path.with_name(self.path.name + ".mark")
        for path in self.folder.glob("syncd.db*"):
            if path != mark:
                path.unlink()
        if how == "tool":
            mark.unlink(missing_ok=True)
            restore(copy, URL, folder=self.folder, clock=self.clock)
        else:
            shutil.copyfile(copy, self.path)
            os.chmod(self.path, 0o600)
        self.peek = self._peek()
        self.judge.forgot()
        self.estate.hits[f"restored by {how}"] += 1

    # The end

    def come_to_rest(self) -> Cycle:
        """No fault is left, time goes on, a person lets everything through; returns the last cycle."""
        self.sleep(90)
        for one in self.models:
            one.faults.clear()
        for model in self.billings.values():
            model.arrive(everything=True)
        self.rules = replace(self.rules, mode="post")
        self.source.present.update(self.setup.customers)
        self.judge.look()
        if self.clock() < self.latest:  # a clock that fell back is not believed before it has caught up
            self.sleep((self.latest - self.clock()).total_seconds() / 60 + 1)
        tried = 0
        for _ in range(30):
            self.sleep(61)
            cycle = self.cycle()
            if cycle is None:
                raise Wrong("the last cycle did not end")
            self.judge.look()
            self.judge.after_step()
            blocked = {line.id for line in cycle.plan.lines if line.action in ("blocked", "defer")}
            open_ = [
                entry
                for entry in self.start().ledger.entries(states=set(EntryState) - TERMINAL)
                if entry.state is not EntryState.PLANNED or entry.intent.line not in blocked
            ]
            moving = any(
                line.action in ("settle", "post") or "max_postings" in line.reason for line in cycle.plan.lines
            )
            if not (open_ or moving or cycle.entries):
                return cycle
            self._approve()
            if tried < 3 and any(entry.state is EntryState.FAILED for entry in self.start().ledger.entries()):
                tried += 1
                self._new_entry(EntryState.FAILED, -1, again=True)
        assert cycle is not None
        told = [(line.customer, line.rule, line.action, line.reason) for line in cycle.plan.lines]
        raise Wrong(f"never at rest: {told} {[(e.id, e.state, e.note) for e in open_]} {cycle.plan.errors}")

    def close(self) -> None:
        self._all_closed()

    def _all_closed(self) -> None:
        self.drop()
        if self._command is not None:
            self._command.close()
        self._command = None
        self.peek.close()

    def _peek(self) -> sqlite3.Connection:
        """A look at what is committed, beside the ledger's own code."""
        return sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)

    def entry_row(self, key: str) -> Mapping[str, Any] | None:
        """An entry as it stands in the file."""
        self.peek.row_factory = sqlite3.Row
        found = self.peek.execute("SELECT * FROM entry WHERE key = ?", (key,)).fetchone()
        return dict(found) if found is not None else None

    def entry_rows(self) -> list[dict[str, Any]]:
        """All entries as they stand in the file."""
        self.peek.row_factory = sqlite3.Row
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
