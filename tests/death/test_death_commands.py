"""Deaths of the other commands: an approval, an undo, the first start, a backup, a restore, and what comes of them."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from death_points import instants
from death_stage import (
    NOW,
    QUIET,
    SCENES,
    Moment,
    Scene,
    Stage,
    Step,
    end_line,
    keep,
    pair,
    put_back,
    rest,
    whole,
)
from test_death_posting import Holding, half_written, tally

from syncd.core.entries import EntryState
from syncd.ledger import Ledger

APPROVE = ("approve", "--all", "--by", "Dana")


def fresh(stage: Stage, prepare: Callable[[Stage], None]) -> None:
    """An empty stage without a ledger, set by `prepare`."""
    stage.clear()
    prepare(stage)


def every(stage: Stage, moment: Moment, *command: str) -> list[Step]:
    """The instants of a command at which it can die."""
    put_back(stage, moment)
    return [step for step, _ in instants(stage.steps_of(*command))]


def killed(stage: Stage, moment: Moment, step: Step, *command: str) -> None:
    put_back(stage, moment)
    assert stage.run(*command, at=list(step)) == -signal.SIGKILL, f"it never came to {step}"


def sample(steps: list[Step], number: int) -> list[Step]:
    """So many of them, spread over all."""
    return steps[:: max(1, len(steps) // number)]


# 26: an approval


def held_pair(stage: Stage) -> None:
    """A quantity and the part of the period that goes with it wait for a person."""
    pair(stage)
    stage.configure(mode="propose")
    assert stage.run() == 3
    assert {one.state for one in stage.entries()} == {EntryState.HELD}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_approval_is_there_whole_or_not_at_all(stage: Stage, tmp_path: Path) -> None:
    fresh(stage, held_pair)
    waiting = keep(stage, tmp_path)
    seen = set()
    for step in every(stage, waiting, *APPROVE):
        killed(stage, waiting, step, *APPROVE)
        half_written(stage, step)
        states = {one.state for one in stage.entries()}
        assert len(states) == 1, f"half approved: {step}"
        seen |= states
        if states == {EntryState.HELD}:
            assert stage.run() == 3  # nothing of it was posted
            assert len(stage.psa.effects) == 0
            assert stage.run(*APPROVE) == 0
        rest(stage)
        assert [one.what for one in stage.psa.effects] == ["change_addition", "create_addition"], step
        assert whole(stage)
        tally[26] += 1
    assert seen == {EntryState.HELD, EntryState.PLANNED}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_step_of_an_undo(stage: Stage, tmp_path: Path) -> None:
    def posted(stage: Stage) -> None:
        SCENES["add_line"](stage)
        assert stage.run() == 0

    fresh(stage, posted)
    done = keep(stage, tmp_path)
    [entry] = stage.entries()
    undo = ("undo", entry.id, "--why", "wrong customer", "--by", "Dana")
    for step in every(stage, done, *undo):
        killed(stage, done, step, *undo)
        half_written(stage, step)
        if len(stage.entries()) == 1:
            assert stage.run(*undo) == 0
        assert stage.run(*APPROVE) == 0
        rest(stage)
        assert [one.what for one in stage.psa.effects] == ["create_addition", "change_addition"], step
        assert whole(stage)


# 23: the tables are made


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_first_start_that_dies_leaves_nothing_in_the_way(stage: Stage, tmp_path: Path) -> None:
    fresh(stage, SCENES["set_quantity"])
    nothing = keep(stage, tmp_path)
    steps = [step for step in every(stage, nothing) if step.name.startswith("ledger.open")]
    assert len(steps) > 10
    for step in sample(steps, 30):
        killed(stage, nothing, step)
        rest(stage)
        assert len(stage.psa.effects) == 1, step
        assert whole(stage)
        tally[23] += 1


# 24, 27: backup and restore


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_step_of_a_backup(stage: Stage, tmp_path: Path) -> None:
    fresh(stage, end_line)
    planned = keep(stage, tmp_path)
    copy = stage.folder / "copy.db"
    command = ("backup", str(copy))
    with stage.ledger() as ledger:
        head = ledger.head()
    for step in sample(every(stage, planned, *command), 40):
        killed(stage, planned, step, *command)
        with stage.ledger() as ledger:
            assert ledger.head() == head, step
            assert ledger.verify() == []
        if copy.exists():  # then it is whole
            with Ledger.open(f"sqlite:///{copy}", lambda: NOW, folder=stage.folder, create=False) as saved:
                assert saved.head() == head
                assert saved.verify() == []
        else:
            assert stage.run(*command) == 0
        tally[24] += 1
    rest(stage)
    assert [one.what for one in stage.psa.effects] == ["create_addition", "change_addition"]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("again", [True, False])
def test_every_step_of_a_restore(stage: Stage, tmp_path: Path, again: bool) -> None:
    """The backup is newer than what is there. Whether the admin repeats the restore or not, nothing is billed twice."""
    fresh(stage, SCENES["post_line"])
    stage.run("plan")
    older = tmp_path / "older.db"
    assert stage.run("backup", str(older)) == 0
    assert stage.run() == 0
    backup = stage.folder / "copy.db"
    assert stage.run("backup", str(backup)) == 0
    for path in stage.state.glob("syncd.db-*"):
        path.unlink()
    shutil.copy(older, stage.database)
    lost = keep(stage, tmp_path)
    command = ("restore", str(backup))
    for step in sample(every(stage, lost, *command), 40):
        killed(stage, lost, step, *command)
        half_written(stage, step)
        if again:
            assert stage.run(*command) == 0, stage.said
            with stage.ledger() as ledger:
                assert [one.state for one in ledger.entries()] == [EntryState.POSTED]
        for _ in range(2):
            stage.run()
        assert len(stage.psa.effects) == 1, step
        tally[24] += 1


def restored(scene: Scene, acts: str) -> None:
    """The process dies while the vendor has its request, the disk is lost, an older backup takes its place."""
    stage = scene.stage
    put_back(stage, scene.start)
    backup = stage.folder / "copy.db"
    assert stage.run("backup", str(backup)) == 0
    with Holding(stage, acts) as holding:
        holding.kill(stage.start("run", "--once", "--json"))
        shutil.rmtree(stage.state)
        assert stage.run("restore", str(backup)) == 0
        assert stage.run() in ((3,) if acts != "before" else (0,))  # whatever is to be done waits for a person
        assert len(stage.psa.effects) == len(scene.end.effects) - (acts != "before")
    if acts == "after":
        assert holding.done.wait(30)
    if acts != "before":
        assert stage.run(*APPROVE) == 0
    for number in range(3):
        # Not `rest`: an added line that landed late and begins next month keeps what was approved waiting until then.
        # What was approved is kept back first, as long as a forgotten request may still land.
        assert stage.run() == (3 if acts == "never" and number == 0 else 0), (number, stage.said)
        stage.now += QUIET
    assert stage.run("ledger", "verify") == 0
    assert tuple(f"{one.what} {one.record} {dict(one.detail)}" for one in stage.psa.effects) == scene.end.effects
    tally[27] += 1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["set_quantity", "add_line", "post_line", "post_credit"])
@pytest.mark.parametrize("acts", ["before", "after", "never"])
def test_an_older_backup_of_every_operation(scene: Callable[[str], Scene], name: str, acts: str) -> None:
    restored(scene(name), acts)
