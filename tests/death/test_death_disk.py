"""The disk refuses: every write and every sync that SQLite asks for fails in its turn, until none is left (T6).

Nothing leaves without a durable row, the sentence says what happened, and when the disk is well again the change is
made once. Failures are SQLite's own result codes, given by the file's functions below it; nothing of syncd is patched.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import pytest
from death_stage import Scene, put_back

from syncd.core.entries import EntryState

LEFT = {EntryState.SENDING, EntryState.UNKNOWN, EntryState.POSTED}
FULL, SYNC = sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC
WRITE = sqlite3.SQLITE_IOERR_WRITE


def disk(scene: Scene) -> list[str]:
    """Every write and sync of a run, in order."""
    return [step.name for step in scene.steps if "/disk." in step.name and step.phase == "before"]


def refused(scene: Scene, numbers: Iterable[int], code: int, *, once: bool) -> int:
    """One run for each of these calls, which fails; how many of the runs ended in an error."""
    if not scene.stage.zygote.sees_disk:
        pytest.skip("this Python's SQLite is built in, so its calls to the disk cannot be reached")
    ended = 0
    for number in numbers:
        put_back(scene.stage, scene.start)
        before = len(scene.stage.psa.effects)
        status = scene.stage.run(fail_disk=number, code=code, once=once)
        told = f"call {number} failed with {code}: {scene.stage.said}"
        assert status in (0, 1, 4), told
        assert status == 0 or "the disk" in scene.stage.said or "cannot be opened" in scene.stage.said, told
        rows = [one for one in scene.stage.entries() if one.state in LEFT]
        assert len(scene.stage.psa.effects) - before <= len(rows), told
        ended += status != 0
        scene.judge(told)
    return ended


def test_a_full_disk_at_some_calls(scene: Callable[[str], Scene]) -> None:
    played = scene("post_line")
    total = len(disk(played))
    assert refused(played, (total // 3, total // 2), FULL, once=False) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("code", "once"), [(FULL, False), (SYNC, True), (WRITE, True)])
def test_every_call_in_its_turn(scene: Callable[[str], Scene], code: int, once: bool) -> None:
    played = scene("post_line")
    total = len(disk(played))
    assert total > 50
    # Calls that follow one another inside one commit leave the same behind: of writes, every fourth is taken.
    numbers = [number for number, call in enumerate(disk(played), start=1) if "sync" in call or number % 4 == 1]
    assert refused(played, numbers, code, once=once) > total // 12
