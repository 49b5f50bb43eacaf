"""kill -9 at every step of every posting, restart, and ask the PSA's own record what happened (RELIABILITY, T1, T2).

The steps are recorded from a run of the real command; the end must be the end of a run without a death: the same
effects to the mark on the record, the same entries, a record that verifies, and nobody did anything but start syncd
again.
"""

from __future__ import annotations

import ast
import inspect
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from death_points import ELSEWHERE, OUT_OF_REACH, POINTS, instants, located
from death_stage import QUIET, SCENES, Alive, End, Moment, Scene, Stage, Step, keep, put_back, whole
from werkzeug.wrappers import Request, Response

import syncd.cycle
from syncd.core.entries import EntryState
from syncd.cycle import posting

# Crash point -> deaths that ended as if nobody had died.
tally: Counter[int] = Counter()
starts: Counter[int] = Counter()
# The stage before each run that looks for what a dead process sent, and the steps of that run.
Recovery = list[tuple[Moment, list[Step]]]


def survive(scene: Scene, step: Step, point: int) -> None:
    """One death, and what comes of it."""
    scene.die(step)
    half_written(scene.stage, step)
    judge(scene, point, step)


def judge(scene: Scene, point: int, told: object) -> None:
    starts[scene.judge(told)] += 1
    tally[point] += 1


def half_written(stage: Stage, told: object) -> None:
    """Crash point 16: whatever a death leaves, each entry is what its events say, and the chain ends where it says."""
    with stage.ledger() as ledger:
        assert ledger.verify() == [], told
    tally[16] += 1


@pytest.fixture(scope="module")
def recovery(scene: Callable[[str], Scene]) -> Recovery:
    return in_recovery(scene("post_line"))


# A new step cannot be forgotten


def asked_of(module: ModuleType, *holders: str) -> set[str]:
    """The functions that a module's source calls on the ledger ("ledger.settle") or on a connection ("find")."""
    found = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if name in holders:
                found.add(node.func.attr)
    return found


def test_whatever_the_posting_path_calls_is_a_step(scene: Callable[[str], Scene], recovery: Recovery) -> None:
    names = {part for step in scene("pair").steps for part in step.name.split("/")}
    names |= {step.name.split(":")[0] for step in scene("pair").steps}
    names |= {name.split(":")[0] for name in names}
    names |= {part.split(":")[0] for _, steps in recovery for step in steps for part in step.name.split("/")}
    ledger = asked_of(posting, "ledger") | asked_of(syncd.cycle, "ledger")
    # Of other commands (`apply`), of a restored ledger, and of documents that several lines share, which the PSA does
    # not have: test_death_documents.
    assert {f"ledger.{one}" for one in ledger} - names == {"ledger.approve", "ledger.sending_together", "ledger.trust"}
    assert {f"cw.{one}" for one in asked_of(posting, "connection")} - names == {"cw.gather", "cw.together"}
    own = [name for name, one in inspect.getmembers(posting, inspect.isfunction) if one.__module__ == posting.__name__]
    unheard = {name for name in own if f"posting.{name}" not in names}
    assert unheard == {"in_doubt", "_look_once"}  # one is for pages; for the other see the lost answers below


def test_every_crash_point_is_reached_or_says_why_not(scene: Callable[[str], Scene], recovery: Recovery) -> None:
    by_steps = {point for name in ("post_line", "pair") for _, point in instants(scene(name).steps)}
    by_steps |= {point for _, steps in recovery for _, point in located(steps)}
    assert by_steps | ELSEWHERE | OUT_OF_REACH.keys() == POINTS.keys()
    assert not by_steps & OUT_OF_REACH.keys()


# Every step


def chosen(scene: Scene, name: str) -> list[tuple[Step, int]]:
    """The deaths of a scene: all of its posting; of reading and of closing, which are the same in each, one scene's."""
    full = name == "set_quantity"
    found = instants(scene.steps, every_write=name == "set_quantity")
    return [
        (step, point)
        for step, point in found
        if (4 < point < 17 or full)
        and not (name == "set_quantity" and point not in (7, 15) and step.nth not in (1, last(scene, step)))
    ]


def last(scene: Scene, step: Step) -> int:
    """The highest occurrence of a step."""
    return max(one.nth for one in scene.steps if one.name == step.name)


def test_a_death_at_some_crash_points(scene: Callable[[str], Scene]) -> None:
    played = scene("post_line")
    deaths = {point: step for step, point in instants(played.steps) if point in (7, 8, 10, 13, 15)}
    for point, step in deaths.items():  # the last step of each
        survive(played, step, point)
    assert len(deaths) == 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENES)
def test_a_death_at_every_step(scene: Callable[[str], Scene], name: str) -> None:
    deaths = chosen(scene(name), name)
    for step, point in deaths:
        survive(scene(name), step, point)
    assert len(deaths) >= 25


# The vendor holds the request in its hand


class Holding:
    """The double keeps a write until the process is dead. It acts before the death, after it, or never."""

    def __init__(self, stage: Stage, acts: str) -> None:
        self.stage, self.acts = stage, acts
        self.asked, self.dead, self.done = threading.Event(), threading.Event(), threading.Event()
        self._answer = stage.psa._answer

    def __enter__(self) -> Holding:
        self.stage.psa._answer = self._slowly  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        self.dead.set()
        del self.stage.psa._answer

    def _slowly(self, request: Request, fault: str) -> Response:
        writes = request.method in ("POST", "PATCH") and not request.path.endswith(("/tokens/bearer", "/batch"))
        if not writes or self.asked.is_set():
            return self._answer(request, fault)
        request.get_data()  # with its body: a client that dies between head and body has asked for nothing
        response = self._answer(request, fault) if self.acts == "before" else None
        self.asked.set()
        assert self.dead.wait(120)
        if self.acts == "after":
            response = self._answer(request, fault)
        self.done.set()
        return response or Response("gone", 500)

    def kill(self, alive: Alive) -> None:
        """The process dies while the double has its request."""
        assert self.asked.wait(60), alive.said
        alive.end()
        assert alive.wait() == -signal.SIGKILL


def killed_while_held(scene: Scene, acts: str, *, lands_late: bool = False) -> None:
    """The death; and `lands_late`: the vendor acts only after the first look of the recovery."""
    put_back(scene.stage, scene.start)
    with Holding(scene.stage, acts) as holding:
        holding.kill(scene.stage.start("run", "--once", "--json"))
        scene.deaths += 1
        half_written(scene.stage, acts)
        if lands_late:
            assert scene.stage.run() == 1  # not known yet, and not sent again
    if acts != "never":
        assert holding.done.wait(30)


def test_a_death_while_the_vendor_has_the_request(scene: Callable[[str], Scene]) -> None:
    killed_while_held(scene("post_line"), "before")
    judge(scene("post_line"), 12, "acted")


def test_a_request_that_lands_after_the_first_look(scene: Callable[[str], Scene]) -> None:
    killed_while_held(scene("post_line"), "after", lands_late=True)
    judge(scene("post_line"), 11, "landed late")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("acts", "late"), [("before", False), ("after", False), ("after", True), ("never", False)])
def test_every_operation_while_the_vendor_has_the_request(
    scene: Callable[[str], Scene], name: str, acts: str, late: bool
) -> None:
    killed_while_held(scene(name), acts, lands_late=late)
    judge(scene(name), 12 if acts == "before" else 11, acts)


# A second death during the recovery


def in_recovery(scene: Scene) -> Recovery:
    """The runs that look for what a dead process sent: the stage before each, and its steps.

    One finds it; one does not and waits; one does not after the quiet time, and sends it again.
    """
    found = []
    for acts in ("before", "never"):
        killed_while_held(scene, acts)
        for _ in range(2 if acts == "never" else 1):
            moment = keep(scene.stage, scene.scratch)
            found.append((moment, scene.stage.steps_of("run", "--once", "--json")))
            scene.stage.now += QUIET
    return found


def twice(scene: Scene, moments: Recovery, only: Callable[[int, int], bool]) -> Counter[int]:
    """A second death at the instants of the recovering runs; how often at which point."""
    hit: Counter[int] = Counter()
    for number, (moment, steps) in enumerate(moments):
        for step, point in instants(steps):
            if not only(number, point):
                continue
            scene.die(step, since=moment)
            half_written(scene.stage, step)
            judge(scene, 21, f"second death at {step}")
            tally[point] += point in (19, 20)
            hit[point] += 1
    return hit


def test_a_second_death_while_looking(scene: Callable[[str], Scene], recovery: Recovery) -> None:
    assert twice(scene("post_line"), recovery[:1], lambda _, point: point == 20)[20] > 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["set_quantity", "post_line"])
def test_a_second_death_at_every_step_of_the_recovery(scene: Callable[[str], Scene], name: str) -> None:
    moments = in_recovery(scene(name))
    # The run that finds nothing and waits does nothing that the two others do not; it ends with the same looks.
    hit = twice(scene(name), moments, lambda number, point: number != 1 and point not in (1, 3, 24))
    assert hit[19]
    assert hit[20]
    assert hit[7]
    assert hit[14]


# At any instant, and without any wrapping


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["set_quantity", "post_line", "pair"])
def test_deaths_at_random_instants(scene: Callable[[str], Scene], name: str) -> None:
    at_random(scene(name), 25, random.Random(name))


def at_random(scene: Scene, deaths: int, dice: random.Random) -> None:
    """Kills at instants drawn over the length of a run until so many runs died before they were done.

    How long a run takes changes with what else the machine does; one that was done when the kill came tells it anew.
    """
    put_back(scene.stage, scene.start)
    began = time.monotonic()
    scene.stage.run()
    length = time.monotonic() - began
    died = 0
    for _ in range(10 * deaths):
        put_back(scene.stage, scene.start)
        alive = scene.stage.start("run", "--once", "--json")
        wait = dice.uniform(0, length)
        time.sleep(wait)
        alive.end()
        if alive.wait() == -signal.SIGKILL:
            died += 1
        else:
            length = wait
        half_written(scene.stage, wait)
        scene.judge(f"killed after {wait:.6f} s of {length:.3f} s")
        if died == deaths:
            return
    pytest.fail(f"only {died} of {10 * deaths} runs could be killed before they were done")


@contextmanager
def interpreter(stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """A fresh interpreter, as an admin's shell starts one: `python -m syncd run --once`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", "run", "--once", "--json", "--config", str(stage.folder / "config.toml")],
        env={**os.environ, **stage.environ()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("acts", ["before", "never"])
def test_a_fresh_interpreter_dies_and_rises(scene: Callable[[str], Scene], acts: str) -> None:
    played = scene("post_line")
    stage = played.stage
    put_back(stage, played.start)
    with Holding(stage, acts) as holding, interpreter(stage) as process:
        assert holding.asked.wait(60), process.communicate()
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
    [entry] = stage.entries()
    assert entry.state is EntryState.SENDING
    if acts == "never":
        # What died while sending is unknown from the next look on; the quiet time runs from there.
        with interpreter(stage) as looks:
            told = looks.communicate(timeout=60)
            assert looks.returncode == 1, told
        stage.now += QUIET
    with interpreter(stage) as again:
        said = again.communicate(timeout=60)
        assert again.returncode == 0, said
    assert End.of(stage) == played.end
    assert whole(stage)
    judge(played, 12 if acts == "before" else 11, acts)


@pytest.mark.slow
def test_the_tally(capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config) -> None:
    """What this session's deaths came to; each was checked where it happened."""
    with capsys.disabled():
        print_tally(tally)
    assert sum(tally.values()) > 0


def print_tally(tally: Any) -> None:
    """Crash point, deaths, and in how many of them the effect was there once."""
    print(f"\n{'point':>5}  {'deaths':>6}  {'effects = 1':>11}")
    for point, what in POINTS.items():
        number = tally[point]
        why = f" ({OUT_OF_REACH[point]})" if point in OUT_OF_REACH else ""
        print(f"{point:>5}  {number:>6}  {number:>11}  {what}{why}")
