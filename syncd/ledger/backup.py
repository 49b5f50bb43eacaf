"""A copy of the ledger while syncd runs, and the way back. A copy counts only once it was verified.

Restoring never throws away what is younger than the backup: where the present ledger knows more, the admin moves it
away first. A restored ledger says so (`Ledger.restored`), because it has forgotten what was posted after the backup.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from sqlalchemy import func, select, update

from syncd.clock import Clock, real_now
from syncd.errors import Fault, LedgerBroken, LedgerBusy, UserFault
from syncd.ledger import cycles, engine, files, moving, sqlite, verify
from syncd.ledger.lock import WriterLock
from syncd.ledger.tables import entry, event, meta

_log = structlog.get_logger()

_MOVE_AWAY = "Move it away first, with its -wal and -shm, and keep it."
# How long a restore waits for somebody's short transaction on the present ledger.
_PATIENCE = 10.0


def backup(
    source: str | Path, target: Path, *, folder: Path = Path(), progress: moving.Progress = moving.silent
) -> tuple[int, str]:
    """Copies the ledger (its URL, relative to `folder`, or its path) to `target`; returns the copy's head.

    A file becomes a file of the same kind, a database in PostgreSQL one that `moving` describes. Consistent while the
    daemon writes. Raises UserFault where `target` exists or there is no ledger, LedgerBroken where the copy does not
    verify, SyncdError where the disk refuses.
    """
    if isinstance(source, str) and engine.backend(source) == "postgresql":
        return moving.export(source, target, folder=folder, progress=progress)
    path = files.locate(source, folder) if isinstance(source, str) else source.absolute()
    if os.path.lexists(target):
        raise UserFault(Fault(str(target), "exists already.", "Name a file that does not."))
    if not path.exists():
        raise UserFault(Fault(str(path), "is not there: there is no ledger to back up."))
    copy = _copy(path, target, wanted=target)
    try:
        head = _prove(copy, path)
        if not files.put_in_place(copy, target):
            raise UserFault(Fault(str(target), "exists already.", "Name a file that does not."))
    finally:
        files.forget(copy)
    _log.info("ledger_backed_up", target=str(target), events=head[0])
    return head


def restore(
    source: Path, url: str, *, folder: Path, clock: Clock = real_now, progress: moving.Progress = moving.silent
) -> tuple[int, str]:
    """Makes a backup the ledger again; returns its head.

    The present ledger, if there is one, is replaced in one transaction of its own, so a crash leaves either. Raises
    UserFault where `source` is not a ledger or newer than this program, or where the present ledger knows more or
    other things; LedgerBroken where `source` is damaged; LedgerBusy where a daemon runs.
    """
    if not source.is_file():
        raise UserFault(Fault(str(source), "is not there.", "Name a file that `syncd backup` made."))
    if moving.kind_of(source) == "export":
        return moving.import_(source, url, folder=folder, clock=clock, progress=progress)
    if engine.backend(url) == "postgresql":
        return _carry_over(source, url, folder=folder, clock=clock, progress=progress)
    path = files.locate(url, folder)
    files.refuse_network(path)
    files.make_folder(path)
    writer = WriterLock(files.side(path, ".lock"), "restore", clock(), timedelta())
    try:
        files.refuse_leftovers(path)
        copy = _copy(source.absolute(), path)
        try:
            head = _prove(copy, source)
            if path.exists():
                epoch = _refuse_loss(path, copy, head)
                _mark(copy, epoch)
                _overwrite(path, copy)
            else:
                _mark(copy, 0)
                if not files.put_in_place(copy, path):
                    raise LedgerBusy(f"somebody made a ledger at {path} meanwhile: nothing was restored.")
        finally:
            files.forget(copy)
    finally:
        writer.release()
    _log.warning("ledger_restored", source=str(source), events=head[0])
    return head


def _carry_over(source: Path, url: str, *, folder: Path, clock: Clock, progress: moving.Progress) -> tuple[int, str]:
    """A copy that was made of a file becomes a ledger in PostgreSQL."""
    with TemporaryDirectory(prefix="syncd-restore-") as scratch:
        _prove(source.absolute(), source)
        plain = Path(scratch) / "ledger.gz"
        opened = sqlite.connect(source.absolute(), write=False)
        try:
            with sqlite.worded(source), engine.reading(opened) as connection:
                moving.write_out(connection, sqlite.damage, str(source), plain, clock=clock, progress=progress)
        finally:
            opened.dispose()
        return moving.import_(plain, url, folder=folder, clock=clock, progress=progress)


def _copy(path: Path, beside: Path, *, wanted: Path | None = None) -> Path:
    """A compact copy as of one moment, in one private file beside `beside`. `wanted`: the file that a person named."""
    made = files.side(beside, f".part-{os.getpid()}-{secrets.token_hex(4)}")
    files.make_private(made, wanted=wanted)
    try:
        with (
            sqlite.worded(path, "no copy was made"),
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as opened,
        ):
            opened.execute(f"PRAGMA busy_timeout = {sqlite.BUSY_MILLISECONDS}")
            opened.execute("VACUUM INTO ?", (str(made),))
    except BaseException:
        files.forget(made)
        raise
    return made


def _prove(copy: Path, path: Path) -> tuple[int, str]:
    """The head of a copy that is a sound ledger of a schema that this program knows. Errors name `path`."""
    opened = sqlite.connect(copy)
    try:
        with sqlite.worded(path):
            sqlite.check_kind(opened, path)
            with engine.reading(opened) as connection:
                engine.check_schema(connection, str(path))
                found = list(verify.problems(connection, sqlite.damage))
                if found:
                    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                    raise LedgerBroken(f"the ledger in {path} is damaged: {found[0]}{more} It was not used.")
                told = connection.execute(select(meta.c.events, meta.c.head)).one()
                return told.events, told.head
    finally:
        opened.dispose()


def _refuse_loss(path: Path, copy: Path, head: tuple[int, str]) -> int:
    """The present ledger's epoch. Raises UserFault where it holds anything that the backup does not."""
    opened = sqlite.connect(path)
    try:
        with sqlite.worded(path, "nothing was restored"):
            sqlite.check_kind(opened, path)
            sqlite.check_sound(opened, path)
            with engine.reading(opened) as connection:
                told = connection.execute(select(meta)).one()
                same = connection.execute(select(event.c.hash).where(event.c.seq == head[0])).scalar_one_or_none()
                lost = connection.execute(
                    select(func.count()).select_from(entry).where(entry.c.seq > head[0])
                ).scalar_one()
    except LedgerBroken as broken:
        raise UserFault(Fault(str(path), f"the present ledger cannot be compared: {broken}", _MOVE_AWAY)) from broken
    finally:
        opened.dispose()
    if _holds(copy, told.installation, told.events, told.head):
        return int(told.epoch)
    if told.events > head[0] and (same == head[1] or (head[0] == 0 and _holds(copy, told.installation, 0, ""))):
        raise UserFault(
            Fault(
                str(path),
                f"is newer than the backup: {told.events - head[0]} events would be lost, {lost} of its entries whole.",
                _MOVE_AWAY,
            )
        )
    raise UserFault(Fault(str(path), "is another ledger than the backup, or went another way since.", _MOVE_AWAY))


def _holds(copy: Path, installation: str, events: int, head: str) -> bool:
    """The copy is of this installation, and went through this head."""
    opened = sqlite.connect(copy)
    try:
        with engine.reading(opened) as connection:
            if connection.execute(select(meta.c.installation)).scalar_one() != installation:
                return False
            found = connection.execute(select(event.c.hash).where(event.c.seq == events)).scalar_one_or_none()
            return events == 0 or found == head
    finally:
        opened.dispose()


def _mark(copy: Path, epoch: int) -> None:
    """Says in the copy that it was restored, and fences whoever wrote to the ledger before."""
    opened = sqlite.connect(copy)
    try:
        with sqlite.worded(copy), engine.writing(opened) as connection:
            here = connection.execute(select(meta.c.epoch)).scalar_one()
            connection.execute(update(meta).values(restored=meta.c.events, epoch=max(here, epoch) + 1))
            cycles.put_back(connection)
    finally:
        opened.dispose()


def _overwrite(path: Path, copy: Path) -> None:
    """Puts the copy's content into the present file, as one transaction of that file.

    Not by renaming: a process that has the old file open would go on writing to a file without a name, and the old
    write-ahead log would be played into the new database (sqlite.org/howtocorrupt.html, 1.4 and 2.4).
    """
    end = time.monotonic() + _PATIENCE

    def patiently(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > end:
            raise LedgerBusy(f"the ledger {path} is in use by another process: nothing was restored.")

    with (
        sqlite.worded(path, "nothing was restored"),
        closing(sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro", uri=True)) as taken,
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as present,
    ):
        present.execute("PRAGMA synchronous = FULL")
        taken.backup(present, pages=-1, progress=patiently, sleep=0.1)
    check = sqlite.connect(path)
    try:
        with sqlite.worded(path):
            sqlite.check_sound(check, path)
    finally:
        check.dispose()
