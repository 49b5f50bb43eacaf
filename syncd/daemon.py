"""The daemon: a schedule, signals, one writer, an orderly end (`syncd run`).

Main thread: signals, and nothing else, so that a signal never meets a lock that its own thread holds. Cycles run in
the scheduler's threads, one at a time. What always holds: files with faults, a doubted clock or a broken ledger stop
posting and never the process; whatever fails is told in one line and tried again by the next cycle.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TextIO
from urllib.parse import unquote, urlsplit

import structlog

from syncd import logs
from syncd.clock import Clock, ClockWatch, fixed_now, running_seconds
from syncd.config import Config, load
from syncd.connect.contract import Connector
from syncd.connect.settings import Secret, write_duration
from syncd.core.episodes import Conditions
from syncd.core.episodes_own import cycle_failed, files_faulty
from syncd.core.rules import Mappings, Mode
from syncd.cycle import Cycle, run_cycle
from syncd.cycle.alerting import tell_trouble, words
from syncd.errors import Fault, LedgerBroken, SyncdError, UserFault
from syncd.ledger import Ledger
from syncd.schedule import LOOK, Schedule
from syncd.web import Board, Server

log = structlog.get_logger()

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

RunCycle = Callable[..., Cycle]


def run_daemon(
    config_path: Path,
    kinds: Mapping[str, Connector],
    clock: Clock,
    *,
    debug: bool = False,
    log_to: TextIO | None = None,
    run: RunCycle = run_cycle,
) -> int:
    """Runs until SIGTERM or SIGINT, then returns 0. SIGHUP reads the files anew and runs a cycle at once.

    `log_to`: where the log goes instead of standard error. `run`: what one cycle is; the demo looks over its shoulder.
    Must be called in the main thread. Where the record is broken, nothing is done but saying so, and 4 is returned.
    Raises UserFault where the files have faults at the start, LedgerBusy where another process holds the ledger,
    LedgerBroken where it cannot be opened at all, SyncdError where the port is taken.
    """
    logs.configure(debug=debug, stream=log_to)
    with ExitStack() as stack:
        commands = stack.enter_context(_signals())
        files = Files(config_path, kinds)
        config, _ = files.current()
        for warning in config.warnings:
            log.warning("config_warning", what=warning)
        try:
            ledger = stack.enter_context(Ledger.open(config.database, clock, folder=config.folder))
            ledger.claim("run")
        except LedgerBroken as error:
            return _stay_red(commands, stack, config, clock, error)
        board = Board()
        server = Server(config.web.host, config.web.port, board, ledger, clock)
        stack.callback(server.stop)
        daemon = Daemon(files, kinds, ledger, clock, board, run=run)
        schedule = Schedule(daemon.tick, config)
        daemon.configured = schedule.follow
        fixed = fixed_now()
        log.info(
            "daemon_started",
            pages=server.url,
            mode=str(config.house.mode),
            every=config.cron or write_duration(config.every),
            connections=len(config.connections),
            **({"clock_fixed_by_SYNCD_NOW": fixed.isoformat()} if fixed else {}),
        )
        schedule.start()
        try:
            _serve(commands, daemon, schedule)
        finally:
            # The running cycle ends its posting, or parks it; nothing new is begun.
            daemon.stop.set()
            board.stops()
            schedule.stop()
    log.info("daemon_ended")
    return 0


def _stay_red(commands: SimpleQueue[int], stack: ExitStack, config: Config, clock: Clock, error: LedgerBroken) -> int:
    """The record is broken at the start: nothing is read or posted, and the pages say why until SIGTERM or SIGINT.

    A process that ended at once would be started again and again, and nobody would see a red light. Raises `error`
    where the ledger is so broken that it cannot even be opened."""
    log.critical("ledger_broken", what=str(error), consequence="nothing is posted until syncd starts again")
    try:
        ledger = stack.enter_context(
            Ledger.open(config.database, clock, folder=config.folder, create=False, check=False)
        )
    except SyncdError:
        raise error from None
    board = Board()
    board.configured(config)
    board.broke(str(error))
    server = Server(config.web.host, config.web.port, board, ledger, clock)
    stack.callback(server.stop)
    while commands.get() == signal.SIGHUP:
        log.critical("ledger_broken", what=str(error), consequence="restore a backup, then start syncd again")
    board.stops()
    return LedgerBroken.exit_status


@contextmanager
def _signals() -> Iterator[SimpleQueue[int]]:
    """A queue of the signals that come. Its `put` may interrupt anything, itself too; a lock may not."""
    commands: SimpleQueue[int] = SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        commands.put(number)

    before = {one: signal.signal(one, note) for one in _SIGNALS}
    try:
        yield commands
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _serve(commands: SimpleQueue[int], daemon: Daemon, schedule: Schedule) -> None:
    """The main thread's life: until it is told to stop."""
    while True:
        try:
            number = commands.get(timeout=LOOK)
        except Empty:
            if schedule.overdue(daemon.idle_seconds()):
                log.warning("cycle_overdue", idle_seconds=round(daemon.idle_seconds()))
                schedule.now(daemon.answer, daemon.ask)
            continue
        if number != signal.SIGHUP:
            log.info("stopping", signal=signal.Signals(number).name)
            return
        log.info("reload_asked")
        schedule.now(daemon.answer, daemon.ask)


class Files:
    """config.toml and the mappings, read anew when they changed. Not thread-safe: only the running cycle asks."""

    def __init__(self, path: Path, kinds: Mapping[str, Connector]) -> None:
        self._path = path
        self._kinds = kinds
        self._folder: Path | None = None
        self._seen: object = None
        self._valid: tuple[Config, Mappings] | None = None
        # What the files said when they last had no faults; only to tell somebody of those that they have.
        self.last: tuple[Config, Mappings] | None = None

    def current(self) -> tuple[Config, Mappings]:
        """What the files say now. Raises UserFault with every fault; what was valid before is not used then."""
        seen = self._look()  # before reading, so that a change during the reading is found next time
        if self._valid is not None and seen == self._seen:
            return self._valid
        self._valid = None
        config, mappings = load(self._path, self._kinds, os.environ)
        if config.mappings_folder != self._folder:
            self._folder = config.mappings_folder
            seen = self._look()
            config, mappings = load(self._path, self._kinds, os.environ)
        self._seen, self._valid = seen, (config, mappings)
        self.last = self._valid
        logs.conceal(_secrets(config))
        return self._valid

    def _look(self) -> tuple[tuple[str, int, int, int], ...]:
        """Which files there are, when they were written and how large they are; unreadable ones count as absent."""
        paths = [self._path, *(sorted(self._folder.glob("*.toml")) if self._folder else ())]
        found = []
        for path in paths:
            try:
                told = path.stat()
            except OSError:
                continue
            found.append((str(path), told.st_mtime_ns, told.st_size, told.st_ino))
        return tuple(found)


def _secrets(config: Config) -> Iterator[str]:
    """The values of all secrets that can be read now, for the logs and messages to hide."""
    if password := urlsplit(config.database).password:
        yield config.database
        yield unquote(password)
    for alert in config.alerts:
        if alert.to is not None and not alert.to.problem(config.folder):
            yield alert.to.reveal(config.folder)
    for connection in config.connections.values():
        for name in type(connection.settings).model_fields:
            value = getattr(connection.settings, name)
            if isinstance(value, Secret) and not value.problem(config.folder):
                yield value.reveal(config.folder)


class Daemon:
    """Runs cycles, one at a time, and tells the board how they went."""

    def __init__(
        self,
        files: Files,
        kinds: Mapping[str, Connector],
        ledger: Ledger,
        clock: Clock,
        board: Board,
        *,
        run: RunCycle = run_cycle,
        running: Callable[[], float] = running_seconds,
    ) -> None:
        self._files = files
        self._kinds = kinds
        self._ledger = ledger
        self._clock = clock
        self._board = board
        self._run = run
        self._running = running
        self._turn = threading.Lock()
        self._asked = threading.Event()
        self._broken = ""
        self._faults: tuple[str, ...] = ()
        self._idle_since = running()
        self._watch = ClockWatch(ledger.latest_as_of(), running) if fixed_now() is None else None
        self._place: tuple[str, str, int] | None = None
        self.stop = threading.Event()
        self.configured: Callable[[Config], None] = lambda config: None

    def tick(self) -> None:
        """The schedule's turn: one cycle."""
        with self._turn:
            self._asked.clear()
            self._one()

    def ask(self) -> None:
        """Somebody wants a cycle now."""
        self._asked.set()

    def answer(self) -> None:
        """One cycle, unless another one began after it was asked for."""
        with self._turn:
            if self._asked.is_set():
                self._asked.clear()
                self._one()

    def idle_seconds(self) -> float:
        """Since the last cycle ended; 0 while one runs."""
        return 0.0 if self._turn.locked() else self._running() - self._idle_since

    def _one(self) -> None:
        if self.stop.is_set():
            return
        try:
            self._cycle()
        except LedgerBroken as error:
            self._broken = str(error)
            self._board.broke(self._broken)
            log.critical("ledger_broken", what=str(error), consequence="nothing is posted until syncd starts again")
        except UserFault as error:
            self._faulty(error)
        except SyncdError as error:
            self._failed(str(error), error)
        except Exception as error:
            # A fault of ours or of the machine: one line, a red light, and the next cycle tries again.
            self._failed(f"{type(error).__name__}: {error}", error, bug=True)
        finally:
            self._idle_since = self._running()

    def _cycle(self) -> None:
        if self._broken:
            raise LedgerBroken(self._broken)
        config, mappings = self._files.current()
        self._same_place(config)
        if self._faults:
            log.info("config_mended")
        self._faults = ()
        self._board.configured(config)
        self.configured(config)
        self._board.began()
        self._ledger.claim("run")  # nothing happens, unless the ledger's server was away and another claim is needed
        cycle = self._run(self._believed(config), mappings, self._kinds, self._ledger, self._clock, stop=self.stop)
        self._board.forgot(self._ledger.restored)
        self._board.ended_well(cycle, self._clock(), self._ledger.head())

    def _same_place(self, config: Config) -> None:
        """The ledger stays the one that was claimed. Raises UserFault where the config names another."""
        place = (config.database, config.web.host, config.web.port)
        before = self._place = self._place or place
        if place[0] != before[0]:
            raise UserFault(
                Fault(
                    f"{config.path.name} › [syncd] › database",
                    "was changed while the daemon runs.",
                    "Start the daemon again to use the other ledger.",
                )
            )
        if place != before:
            log.warning("restart_needed", what="[web] listen was changed; it is used after the next start")
            self._place = place

    def _believed(self, config: Config) -> Config:
        """The config, lowered to `observe` where the clock cannot be believed: then nothing is posted."""
        doubt = self._watch.doubt(self._clock()) if self._watch else ""
        self._board.doubted(f"{doubt}; nothing is posted" if doubt else "")
        if not doubt:
            return config
        log.error("clock_doubted", why=doubt, consequence="nothing is posted in this cycle; check the machine's clock")
        return replace(config, house=replace(config.house, ceiling=Mode.OBSERVE))

    def _faulty(self, error: UserFault) -> None:
        faults = tuple(str(fault) for fault in error.faults)
        self._board.faulty(faults)
        for fault in faults if faults != self._faults else ():
            log.error("config_fault", what=fault)
        log.error("cycle_skipped", why="the files have faults; nothing is read or posted until they are mended")
        self._faults = faults
        self._tell(lambda mappings: files_faulty(faults, mappings))

    def _failed(self, trouble: str, error: Exception, *, bug: bool = False) -> None:
        self._board.failed(trouble)
        if self.stop.is_set():
            log.info("cycle_stopped", why=trouble)
            return
        log.error("cycle_failed", why=trouble, exc_info=error if bug else None)
        self._tell(lambda mappings: cycle_failed(words(error), mappings))

    def _tell(self, found: Callable[[Mappings], Conditions]) -> None:
        """Tells the channels of the last files without faults; whatever goes wrong there is logged."""
        if self._files.last is not None:
            config, mappings = self._files.last
            tell_trouble(config, mappings, self._kinds, self._ledger, self._clock, found(mappings), self.stop)
