"""Plays schedules: draws one from a seed, plays it, shrinks one that fails, plays thousands in several processes.

`simulate(seed)` is the door: everything is drawn from the seed, so a failure comes back with it, and its `Outcome`
holds the setup and the shrunk steps that a regression test keeps.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import secrets
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import structlog
from sim_draw import draw_setup, draw_steps
from sim_files import Setup
from sim_steps import URL, Step
from sim_world import Died, World
from sim_wrong import Wrong
from sqlalchemy import Engine, event

from syncd.clock import real_now
from syncd.ledger import Ledger

Breaks = Callable[[], Any]  # a context manager that breaks the product


@dataclass
class Outcome:
    """What came of one schedule. `wrong` is empty where everything held; `steps` are shrunk where it did not."""

    seed: int
    setup: Setup
    steps: list[Step]
    wrong: str = ""
    trace: str = ""
    kills: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        listed = "".join(f"    {step!r},\n" for step in self.steps)
        return f"seed {self.seed}: {self.wrong}\n{self.setup!r}\n[\n{listed}]\n{self.trace}"


def simulate(seed: int, *, shrinks: bool = True) -> Outcome:
    """One schedule, drawn from its seed, played to rest and judged; shrunk where it fails."""
    dice = random.Random(seed)
    setup = draw_setup(dice, seed)
    outcome = play(setup, draw_steps(dice, setup))
    return shrink(outcome) if outcome.wrong and shrinks else outcome


def play(setup: Setup, steps: Sequence[Step]) -> Outcome:
    """Plays these steps, comes to rest and judges."""
    outcome = Outcome(setup.seed, setup, list(steps))
    folder = Path(tempfile.mkdtemp(prefix="syncd-sim-", dir=ram()))
    with one_thread(), one_dialect(), quietly():
        world = World(setup, folder / "world", empty_ledger())
        try:
            with _watching(world):
                for step in steps:
                    world.do(step)
                    world.judge.look()
                    world.judge.after_step()
                world.judge.at_rest(world.come_to_rest())
        except Wrong as wrong:
            outcome.wrong = str(wrong)
            outcome.trace = "".join(traceback.format_exception(wrong)[-12:])
        except (Exception, Died) as error:
            outcome.wrong = f"{type(error).__name__}: {error}"
            outcome.trace = traceback.format_exc()
        finally:
            world.close()
            shutil.rmtree(folder, ignore_errors=True)
    outcome.kills, outcome.hits, outcome.did = world.kills, world.estate.hits, world.did
    outcome.ended = world.judge.ended
    return outcome


def shrink(outcome: Outcome) -> Outcome:
    """The smallest list of steps that fails in the same way, found by leaving out: halves first, then single ones."""
    kind = _kind(outcome)
    best = outcome
    size = max(1, len(best.steps) // 2)
    while True:
        at, shorter = 0, False
        while at < len(best.steps):
            tried = play(best.setup, [*best.steps[:at], *best.steps[at + size :]])
            if tried.wrong and _kind(tried) == kind:
                best, shorter = tried, True
            else:
                at += size
        if size > 1:
            size //= 2
        elif not shorter:
            break
    for at, step in enumerate(best.steps):
        if step[0] != "cycle":
            continue
        for plainer in (("cycle", step[1], step[2], ()), ("cycle", step[1], None, step[3]), ("cycle", 0, *step[2:])):
            if plainer == best.steps[at]:
                continue
            tried = play(best.setup, [*best.steps[:at], plainer, *best.steps[at + 1 :]])
            if tried.wrong and _kind(tried) == kind:
                best = tried
    return best


def _kind(outcome: Outcome) -> str:
    return outcome.wrong.partition(":")[0]


# Many


@dataclass
class Total:
    """What came of many schedules."""

    schedules: int = 0
    seconds: float = 0.0
    wrong: list[Outcome] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    did: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    def add(self, other: Total) -> None:
        self.schedules += other.schedules
        self.wrong += other.wrong
        for name in ("kills", "hits", "did", "ended"):
            getattr(self, name).update(getattr(other, name))


def simulate_many(
    seeds: Iterable[int], *, processes: int = 1, shrinks: bool = True, within: float | None = None, yields: int = 0
) -> Total:
    """Schedules by their seeds, side by side in so many processes; few are begun after `within` seconds. `yields`: how
    far they stand back for everything else that runs (`nice`)."""
    began, total, listed = time.monotonic(), Total(), list(seeds)
    if processes == 1:
        total.add(_batch(listed, shrinks))
    else:
        size = max(1, min(100, len(listed) // (processes * 4)))
        with ProcessPoolExecutor(processes, initializer=os.nice, initargs=(yields,)) as pool:
            jobs: list[Future[Total]] = [
                pool.submit(_batch, listed[at : at + size], shrinks) for at in range(0, len(listed), size)
            ]
            wait(jobs, timeout=within)
            for job in jobs:
                job.cancel()  # those that were not begun
            for job in jobs:
                if not job.cancelled():
                    total.add(job.result())
    total.seconds = time.monotonic() - began
    return total


def _batch(seeds: Sequence[int], shrinks: bool) -> Total:
    total = Total()
    gc.disable()  # a sixth of the time; the garbage of some schedules is small
    for number, seed in enumerate(seeds):
        if number % 20 == 19:
            gc.collect()
        one = simulate(seed, shrinks=shrinks and len(total.wrong) < 3)
        total.schedules += 1
        if one.wrong:
            total.wrong.append(one)
        for name in ("kills", "hits", "did", "ended"):
            getattr(total, name).update(getattr(one, name))
    gc.enable()
    return total


def table(total: Total) -> str:
    """The figures, as a small table."""
    rows = [
        ("schedules", total.schedules),
        ("cycles", total.did["cycle"]),
        ("requests that changed something", sum(total.hits[f"write {one}"] for one in ("ok", "lost", "error_after"))),
        (
            "faults of vendors",
            sum(n for name, n in total.hits.items() if name.startswith(_FAULTS) and name != "write ok"),
        ),
        ("deaths of processes", sum(total.kills.values())),
        ("kinds of death points", len(total.kills)),
        ("take-overs by a second daemon", total.hits["a take-over"]),
        ("jumps of the clock", total.did["jump"]),
        ("restores of an older backup", total.hits["restored by tool"] + total.hits["restored by hand"]),
        ("lines at rest", sum(total.ended.values())),
        ("of them at their target", total.ended["none"]),
        ("failed schedules", len(total.wrong)),
        ("seconds", round(total.seconds)),
    ]
    parts = ("ledger", "src", "psa", "kb")
    rows[5:5] = [(f"  in {part}", sum(n for name, n in total.kills.items() if name.startswith(part))) for part in parts]
    return "\n".join(f"{name:34}{number:>10,}" for name, number in rows)


_FAULTS = ("write ", "counts ", "lines ", "find ")


# Where it runs


def ram() -> str | None:
    """A folder in memory, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@cache
def empty_ledger() -> bytes:
    """A ledger as the program makes it, always of the same installation."""
    with (
        tempfile.TemporaryDirectory(dir=ram()) as folder,
        mock.patch.object(secrets, "token_bytes", lambda size: b"model"[:size]),
        quietly(),
    ):
        Ledger.open(URL, real_now, folder=Path(folder)).close()
        return Path(folder, "syncd.db").read_bytes()


class _AtOnce:
    """A pool that does each job when it is handed in."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Takes what a pool takes."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        job: Future[Any] = Future()
        try:
            job.set_result(function(*arguments))
        except Exception as error:
            job.set_exception(error)
        return job

    def shutdown(self, **options: Any) -> None:
        """Nothing runs."""


@contextmanager
def one_thread() -> Iterator[None]:
    """The cycle reads one thing after the other, so that a schedule is played alike every time."""
    with (
        mock.patch("syncd.cycle.reading.ThreadPoolExecutor", _AtOnce),
        mock.patch("syncd.cycle.reading.as_completed", list),
    ):
        yield


_FIRST: list[Engine] = []


@contextmanager
def one_dialect() -> Iterator[None]:
    """Statements are compiled once for all ledgers of this process: that would take half of the time."""
    begin = Engine.__init__

    def begun(engine: Engine, *arguments: Any, **options: Any) -> None:
        begin(engine, *arguments, **options)
        if engine.dialect.name != "sqlite":
            return
        _FIRST.append(engine) if not _FIRST else None
        engine.dialect, engine._compiled_cache = _FIRST[0].dialect, _FIRST[0]._compiled_cache

    with mock.patch.object(Engine, "__init__", begun):
        yield


@contextmanager
def quietly() -> Iterator[None]:
    """No log."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@contextmanager
def _watching(world: World) -> Iterator[None]:
    """The world is told of every commit."""

    def told(connection: Any) -> None:
        world.in_commit()

    event.listen(Engine, "commit", told)
    try:
        yield
    finally:
        with suppress(Exception):
            event.remove(Engine, "commit", told)
