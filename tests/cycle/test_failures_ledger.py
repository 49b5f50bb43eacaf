"""A ledger that cannot be written or opened: nothing is sent without its record.

Every test here also asks the PSA's own record.
"""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from stage import Stage

from syncd.ledger import Ledger
from syncd.ledger import sqlite as ledger_sqlite
from syncd.ledger.lock import WriterLock

# The ledger's disk


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writing beyond `size` bytes of any file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_sends_nothing(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.configure(settle=2)
    pair.cycle()
    with sqlite3.connect(pair.database) as opened:
        (pages,) = opened.execute("PRAGMA page_count").fetchone()
    opened.close()
    monkeypatch.setattr(ledger_sqlite, "PRAGMAS", (*ledger_sqlite.PRAGMAS, f"max_page_count = {pages}"))
    done = pair.cycle()
    assert done.status == 1
    assert "the disk is full" in done.err
    assert "syncd.db could not grow" in done.err
    monkeypatch.undo()
    assert pair.writes() == []
    assert pair.entries() == []
    assert pair.cycle().status == 0  # there is space again, and nothing was lost
    assert len(pair.effects) == 2
    assert pair.verified()


def test_a_disk_that_refuses_sends_nothing(pair: Stage) -> None:
    pair.configure(settle=2)
    pair.cycle()
    with files_no_larger_than(64 * 1024):
        done = pair.cycle()
    assert done.status == 1
    assert str(pair.database) in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0
    assert len(pair.effects) == 2
    assert pair.verified()


def test_a_ledger_that_is_locked(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.configure(settle=2)
    pair.cycle()
    monkeypatch.setattr(ledger_sqlite, "BUSY_MILLISECONDS", 50)
    with sqlite3.connect(pair.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        done = pair.cycle()
        other.execute("ROLLBACK")
    other.close()
    assert done.status == 1
    assert f"the ledger {pair.database} is locked by" in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0


def test_a_ledger_that_another_process_holds(pair: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger.claim, "__defaults__", (timedelta(0),))
    held = WriterLock(pair.database.with_name("syncd.db.lock"), "run", pair.now, timedelta(0))
    done = pair.cycle()
    held.release()
    assert done.status == 1
    assert 'is held by "syncd run" (process ' in done.err
    assert pair.writes() == []
    assert pair.cycle().status == 0


def test_a_ledger_that_a_newer_program_wrote(pair: Stage) -> None:
    with sqlite3.connect(pair.database) as opened:
        opened.execute("UPDATE alembic_version SET version_num = '9999'")
    opened.close()
    for done in (pair.cycle(), pair.plan(), pair.run("ledger")):
        assert done.status == 2
        assert "was written by a newer syncd (schema 9999" in done.err
    assert pair.writes() == []


def test_a_file_that_is_no_ledger(pair: Stage) -> None:
    pair.database.write_bytes(b"not a database, but long enough to have a header of its own" * 40)
    done = pair.cycle()
    assert done.status == 4
    assert str(pair.database) in done.err
    assert pair.writes() == []


def test_a_folder_that_cannot_be_made(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1, ledger=False)
    (stage.folder / "state").write_text("a file where a folder should be")
    done = stage.cycle()
    assert done.status in (1, 2)
    assert str(stage.folder / "state") in done.err
    assert stage.writes() == []
