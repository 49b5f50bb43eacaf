"""A restored ledger has forgotten what it posted since: a person lets each change through, nothing is billed twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stage import ALDER, Stage


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def lose_and_restore(stage: Stage, copy: Path) -> None:
    """The ledger is gone, an older copy takes its place."""
    for path in stage.database.parent.glob("syncd.db*"):
        path.rename(path.with_name(f"lost-{path.name}"))
    assert stage.run("restore", copy).status == 0


def test_after_a_restore_every_change_waits_for_a_person_until_all_was_read(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    assert alder.run("backup", copy).status == 0
    lose_and_restore(alder, copy)
    before = len(alder.effects)
    alder.hire(ALDER, 1)

    first = alder.cycle()

    assert first.status == 3
    assert first.line(ALDER)["action"] == "post"
    assert len(alder.effects) == before
    assert alder.entry("--state", "held")["decided_by"] == "policy"

    alder.run("approve", "--all", "--by", "Dana")
    assert alder.cycle().status == 0
    assert len(alder.effects) == before + 1


def test_a_source_that_cannot_be_read_keeps_the_restored_ledger_careful(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    alder.run("backup", copy)
    lose_and_restore(alder, copy)
    before = len(alder.effects)
    alder.break_tenant(ALDER, "consent")
    assert alder.cycle().status == 1
    alder.mend()
    alder.hire(ALDER, 1)

    assert alder.cycle().status == 3
    assert len(alder.effects) == before


@pytest.mark.parametrize("again", [1, 2])
def test_what_was_posted_after_the_backup_is_not_posted_again(alder: Stage, again: int) -> None:
    copy = alder.folder / "copy.db"
    alder.run("backup", copy)
    alder.hire(ALDER, again)
    alder.cycle()
    effects = len(alder.effects)
    lose_and_restore(alder, copy)

    for _ in range(3):
        alder.cycle()

    assert len(alder.effects) == effects
    assert alder.verified()
