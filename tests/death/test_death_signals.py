"""SIGTERM in the middle of a posting, a process that sleeps while another takes over, two that start at once."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from death_stage import ALDER, BIRCHWOOD, LINE, SET, Alive, End, Scene, Stage, Step, put_back, rest, whole
from test_death_commands import fresh
from test_death_posting import Holding, tally

ONCE = ("run", "--once", "--json")


# 25: the daemon is told to end


def two_postings(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        stage.port = free.getsockname()[1]
    stage.write(SET + LINE, {(ALDER, "M365-BP"): 27, (BIRCHWOOD, "M365-BP"): 16})


@pytest.mark.slow
@pytest.mark.parametrize("patient", [True, False])
def test_a_daemon_that_is_told_to_end_while_it_posts(stage: Stage, patient: bool) -> None:
    """It ends its posting and begins no other. Whoever loses patience and kills it loses nothing either."""
    fresh(stage, two_postings)
    with Holding(stage, "before") as holding:
        daemon = stage.start("run")
        assert holding.asked.wait(60), daemon.said
        daemon.end(signal.SIGTERM)
        if patient:
            holding.dead.set()
            assert daemon.wait() == 0, daemon.said
        else:
            assert daemon.wait(0.5) is None  # it waits for its answer
            daemon.end(signal.SIGKILL)
            assert daemon.wait() == -signal.SIGKILL
    states = [str(one.state) for one in stage.entries()]
    assert states == (["posted", "planned"] if patient else ["sending", "planned"])
    rest(stage)
    assert len(stage.psa.effects) == 2
    assert whole(stage)
    tally[25] += 1


# 28: asleep while another one takes over


def asleep_at(scene: Scene, step: Step) -> Alive:
    """A process that was stopped at a step, and holds the ledger."""
    put_back(scene.stage, scene.start)
    alive = scene.stage.start(*ONCE, at=list(step), signal=signal.SIGSTOP)
    end = time.monotonic() + 30
    while Path(f"/proc/{alive.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < end, f"it never came to {step}"
        time.sleep(0.005)
    return alive


def at(scene: Scene, name: str, phase: str) -> Step:
    """The one step of a posting that ends so."""
    [found] = [one for one in scene.steps if one.name.endswith(name) and one.phase == phase]
    return found


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_nobody_takes_over_from_a_process_that_sleeps(scene: Callable[[str], Scene]) -> None:
    """The lock is the kernel's: a sleeper keeps it, and its posting goes on when it wakes."""
    played = scene("post_line")
    sleeper = asleep_at(played, at(played, "posting._post/posting._send/ledger.sending", "after"))
    second = played.stage.start(*ONCE)
    assert second.wait() == 1
    assert f"process {sleeper.pid} on" in second.said
    sleeper.end(signal.SIGCONT)
    assert sleeper.wait() == 0, sleeper.said
    assert End.of(played.stage) == played.end
    tally[28] += 1


FENCED = (
    ("ledger.write", "before"),
    ("ledger.write", "after"),
    ("posting._post/posting._look/cw.find", "after"),
    ("posting._post/posting._send/ledger.sending", "before"),
)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "phase"), FENCED)
@pytest.mark.parametrize("operation", ["set_quantity", "post_line"])
def test_a_sleeper_whose_lock_was_taken_away_sends_nothing(
    scene: Callable[[str], Scene], operation: str, name: str, phase: str
) -> None:
    """Somebody removed the lock file, so another one took over: the epoch in the ledger keeps the sleeper from it."""
    played = scene(operation)
    stage = played.stage
    sleeper = asleep_at(played, at(played, name, phase))
    (stage.state / "syncd.db.lock").unlink()
    rest(stage)
    assert len(stage.psa.effects) == len(played.end.effects)
    requests = len(stage.psa.requests)
    sleeper.end(signal.SIGCONT)
    assert sleeper.wait() == 1
    assert "another syncd took over" in sleeper.said
    writes = [one for one in stage.psa.requests[requests:] if one.method != "GET"]
    assert writes == []
    assert whole(stage)
    tally[28] += 1


# T9: two at once


def race(scene: Scene, delay: float) -> None:
    """Two start at once; both end well, and the change is made once."""
    stage = scene.stage
    put_back(stage, scene.start)
    first = stage.start(*ONCE)
    time.sleep(delay)
    second = stage.start(*ONCE)
    assert (first.wait(), second.wait()) == (0, 0), (first.said, second.said)
    assert End.of(stage) == scene.end
    assert whole(stage)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_that_start_at_once_make_the_change_once(scene: Callable[[str], Scene]) -> None:
    for number in range(20):
        race(scene("post_line"), number * 0.01)
