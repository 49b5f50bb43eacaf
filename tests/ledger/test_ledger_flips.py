"""One byte of the ledger is altered, anywhere: it is told, or it changes nothing, and nothing is sent from it (T8).

The file and its write-ahead log, each as it lies on the disk. `FLIPS=10000` in the environment plays more of them.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from ledger_kit import URL, Watch, intent

from syncd.core.entries import Entry, EntryState
from syncd.errors import SyncdError, UserFault
from syncd.ledger import Ledger

FLIPS = int(os.environ.get("FLIPS", "300"))


@dataclass(frozen=True)
class Home:
    """A ledger as it lies on the disk, and what it says. `log`: its write-ahead log, where it has one."""

    database: bytes
    log: bytes
    mark: bytes
    entries: dict[str, Entry]


def made(folder: Path, *, open_: bool) -> Home:
    """A ledger with entries in every state; `open_`: with everything still in its log."""
    state = folder / "state"
    with Ledger.open(URL, Watch(), folder=folder) as ledger:
        ledger.claim("run")
        with closing(sqlite3.connect(state / "syncd.db")) as reader:  # keeps the log from being emptied
            reader.execute("BEGIN").execute("SELECT count(*) FROM event").fetchone()
            cycle = ledger.begin_cycle("post", Watch()())
            held = intent("held", state=EntryState.HELD)
            for number, entry in enumerate(ledger.write(cycle, (), [*(intent(f"l{n}") for n in range(6)), held])):
                if number < 4:
                    claimed = ledger.sending(entry)
                    assert claimed is not None
                    if number:
                        ledger.settle(claimed, EntryState.UNKNOWN if number == 1 else EntryState.POSTED)
            entries = {one.id: one for one in ledger.entries()}
            kept = _bytes(state) if open_ else {}
    kept = kept or _bytes(state)
    log = kept.get("syncd.db-wal", b"")
    assert bool(log) is open_
    return Home(kept["syncd.db"], log, kept["syncd.db.mark"], entries)


def _bytes(state: Path) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in state.iterdir()}


def flipped(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ dice.randint(1, 255)]) + content[at + 1 :]


def judged(home: Home, folder: Path, dice: random.Random) -> str:
    """How it ended: told by what, or harmless. Fails where anything would be sent that was not written down."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    for left in state.iterdir():
        left.unlink()
    files = {"syncd.db": home.database, "syncd.db-wal": home.log, "syncd.db.mark": home.mark}
    struck = "syncd.db-wal" if home.log else "syncd.db"
    files[struck] = flipped(files[struck], dice)
    for name, content in files.items():
        if content:
            (state / name).touch(0o600)
            (state / name).write_bytes(content)
    sent: list[Entry] = []
    try:
        with Ledger.open(URL, Watch(), folder=folder, create=False) as ledger:
            if ledger.restored:
                return "went back, and knows it"  # every change waits for a person
            ledger.claim("run")
            sent += [one for entry in ledger.entries(states={EntryState.PLANNED}) if (one := ledger.sending(entry))]
            wrong = ledger.verify()
            found = {one.id: one for one in ledger.entries()}
    except (SyncdError, UserFault):
        wrong, found = ["refused"], {}
    for one in sent:
        assert one.intent == home.entries[one.id].intent
    if wrong:
        return "refused, or told by `ledger verify`"
    assert found.keys() == home.entries.keys()
    assert all(one.intent == home.entries[name].intent for name, one in found.items())
    assert all(
        one.state is home.entries[name].state for name, one in found.items() if name not in {one.id for one in sent}
    )
    return "harmless"


@pytest.mark.slow
@pytest.mark.timeout(120 + FLIPS)
@pytest.mark.parametrize("open_", [False, True], ids=["file", "log"])
def test_an_altered_byte_is_told_or_changes_nothing(tmp_path: Path, open_: bool) -> None:
    home = made(tmp_path / "made", open_=open_)
    dice, ends = random.Random(FLIPS), Counter[str]()
    for _ in range(FLIPS // 2):
        ends[judged(home, tmp_path / "flipped", dice)] += 1
    print(dict(ends))
    assert ends["harmless"] < FLIPS // 2  # some were no free space
