"""kill -9 at any instant: the ledger opens, its record is whole, and no transaction is there by half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from ledger_kit import URL, Watch

from syncd.core.entries import EntryState
from syncd.ledger import Ledger

# Pairs are written, sent and settled without end; each line printed is a promise that was committed before.
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from ledger_kit import intent
from syncd.core.entries import EntryState
from syncd.ledger import Ledger

clock = lambda: datetime(2026, 11, 20, tzinfo=UTC)
ledger = Ledger.open("sqlite:///state/syncd.db", clock, folder=Path(sys.argv[1]))
ledger.claim("run")
number = len(ledger.entries())
while True:
    number += 2
    leader = intent(f"q{number}")
    pair = ledger.write("c1", [], [leader, intent(f"d{number}", follows=leader.key)])
    print("written", pair[0].id, pair[1].id, flush=True)
    claimed = ledger.sending(pair[0])
    print("sending", claimed.id, flush=True)
    ledger.settle(claimed, EntryState.POSTED, remote_id="r")
    print("posted", claimed.id, flush=True)
"""

KEPT = ("written", "sending", "posted")


def killed(folder: Path, promised: int, after: float) -> list[list[str]]:
    """What the writer promised before it was killed, some instants after the given number of promises."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert writer.stdout is not None
    heard: list[str] = []
    while len([line for line in heard if line.startswith(KEPT)]) < promised:
        heard.append(writer.stdout.readline())
        assert heard[-1], "the writer ended by itself"
    time.sleep(after)
    os.kill(writer.pid, signal.SIGKILL)
    rest, _ = writer.communicate(timeout=30)
    assert writer.returncode == -signal.SIGKILL
    return [line.split() for line in "".join([*heard, rest]).splitlines() if line.startswith(KEPT)]


def check(folder: Path, promises: list[list[str]]) -> Counter[EntryState]:
    with Ledger.open(URL, Watch(), folder=folder, create=False) as ledger:
        assert ledger.verify() == []
        entries = {entry.id: entry for entry in ledger.entries()}
        assert len(entries) % 2 == 0
        for entry in entries.values():
            twin = f"{'d' if entry.intent.identity[0] == 'q' else 'q'}{entry.intent.identity[1:]}"
            assert any(other.intent.identity == twin for other in entries.values())
        for what, *ids in promises:
            for one in ids:
                state = entries[one].state  # a promise is never forgotten
                assert what == "written" or state is not EntryState.PLANNED
                assert what != "posted" or state is EntryState.POSTED
        ledger.claim("run")  # the dead one's lock is gone with it
        return Counter(entry.state for entry in entries.values())


def rounds(folder: Path, count: int, seed: int) -> None:
    chance = random.Random(seed)
    promises: list[list[str]] = []
    for _ in range(count):
        promises += killed(folder, chance.randint(3, 12), chance.uniform(0, 0.02))
        states = check(folder, promises)
    assert states[EntryState.POSTED] >= count


@pytest.mark.slow
def test_a_killed_writer_leaves_no_half_transaction(tmp_path: Path) -> None:
    rounds(tmp_path, 4, seed=os.getpid())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_writer_killed_many_times(tmp_path: Path) -> None:
    rounds(tmp_path, 60, seed=11)
