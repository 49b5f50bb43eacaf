"""The ledger as a SQLite file: opened, made and migrated, its errors worded, its one writer.

What always holds: every commit is durable (write-ahead log with `synchronous=FULL`; with NORMAL a committed `sending`
may roll back after a power loss, and that is exactly a double post), writing transactions take the write lock at once
(`BEGIN IMMEDIATE`), and a file that is damaged, foreign, newer or on a network is refused before anything is read from
it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from syncd.clock import Clock
from syncd.errors import Fault, LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import engine, files, lock, mark, tables
from syncd.ledger.engine import RESTORE, Claim, Place

_log = structlog.get_logger()

# How long a statement waits for another process's transaction. Ours last milliseconds.
BUSY_MILLISECONDS = 10_000
PRAGMAS: tuple[str, ...] = (
    "synchronous = FULL",
    "fullfsync = ON",  # macOS: fsync alone does not reach the platter
    "foreign_keys = ON",
    "cell_size_check = ON",  # finds damage when a page is read instead of later
    "trusted_schema = OFF",
)
# Above this size, opening checks only the tables that move money; `ledger verify` checks everything.
WHOLE_CHECK_BYTES = 64 * 1024 * 1024
MEND = "Move it away with its -wal and -shm, and restore a backup (syncd restore FILE)."


class SqlitePlace(Place):
    """A ledger in a file; `path` is absolute where `folder` is."""

    mend = MEND

    def __init__(self, url: str, folder: Path, clock: Clock, *, create: bool, check: bool) -> None:
        self.path = files.locate(url, folder)
        self.name = str(self.path)
        self.engine = open_file(self.path, clock, create=create, check=check)
        self._file = _file(self.path)

    @contextmanager
    def worded(self, consequence: str = "nothing of this step was written") -> Iterator[None]:
        """See `Place`."""
        with worded(self.path, consequence):
            yield

    def same(self) -> None:
        """Raises SyncdError where the file was moved or another one put in its place."""
        if _file(self.path) != self._file:
            raise SyncdError(f"{self.path} was moved or replaced while syncd had it open: start syncd again.")

    def check_sound(self) -> None:
        """See `Place`."""
        check_sound(self.engine, self.path)

    def damage(self, connection: Connection) -> Iterator[str]:
        """See `Place`."""
        return damage(connection)

    def claim(self, role: str, since: datetime, wait: timedelta) -> Claim:
        """See `Place`."""
        return _FileClaim(lock.WriterLock(files.side(self.path, ".lock"), role, since, wait))

    @contextmanager
    def turn(self, what: str, wait: timedelta) -> Iterator[None]:
        """See `Place`."""
        with lock.turn(files.side(self.path, f".turn-{zlib.crc32(what.encode()):08x}"), what, wait):
            yield

    def note(self, installation: str, events: int) -> None:
        """See `Place`."""
        mark.note(self.path, installation, events)

    def noted(self, installation: str) -> int:
        """See `Place`."""
        return mark.noted(self.path, installation)


class _FileClaim(Claim):
    """The kernel keeps the lock until the process ends: it cannot be lost, however long the process stands still."""

    def __init__(self, held: lock.WriterLock) -> None:
        self._held = held

    def lost(self) -> bool:
        return False

    def holds(self, connection: Connection) -> bool:
        return True

    def release(self) -> None:
        self._held.release()


def _file(path: Path) -> tuple[int, int]:
    try:
        told = os.stat(path)
    except OSError as error:
        raise SyncdError(f"the ledger {path} cannot be reached: {error.strerror}.") from None
    return told.st_dev, told.st_ino


def connect(path: Path, *, write: bool = True) -> Engine:
    """An engine over an existing file. A connection with the execution option `immediate` begins with the write
    lock; all others begin a plain reading transaction, which sees one state of the ledger throughout."""

    def connection() -> sqlite3.Connection:
        mode = "rw" if write else "ro"
        # isolation_level None: the driver begins and commits nothing by itself, also not around DDL.
        opened = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
        opened.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        for pragma in PRAGMAS:
            opened.execute(f"PRAGMA {pragma}")
        return opened

    engine = create_engine("sqlite://", creator=connection, poolclass=QueuePool, pool_size=4, max_overflow=-1)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def worded(path: Path, consequence: str = "nothing of this step was written") -> Iterator[None]:
    """Turns SQLite's errors into sentences.

    `consequence` says what did not happen. Raises SyncdError (disk full, unwritable), LedgerBusy (locked),
    LedgerBroken (damaged); anything else is a fault of ours and passes as it is.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        sentence = _sentence(cause, path, consequence)
        if sentence is None:
            raise
        raise sentence from error
    except UnicodeDecodeError as error:  # SQLite's own complaint quotes the damage
        raise LedgerBroken(f"the ledger {path} is damaged; {consequence}. {RESTORE}") from error


def _sentence(cause: BaseException | None, path: Path, consequence: str) -> SyncdError | None:
    told = str(cause)
    if told.startswith("Could not decode to UTF-8"):
        return LedgerBroken(f"the ledger {path} holds text that is none: it is damaged; {consequence}. {RESTORE}")
    if told.startswith("no such "):  # table, column, index
        return LedgerBroken(f"the ledger {path} has lost its shape ({told}); {consequence}. {RESTORE}")
    # The low byte is the primary code, the rest says more (sqlite.org/rescode.html).
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_IOERR and _is_full(path):
        code = sqlite3.SQLITE_FULL  # the shared memory beside the log could not be made
    match code:
        case sqlite3.SQLITE_FULL:
            return SyncdError(
                f"the disk is full: {path} could not grow; {consequence}. Free some space; syncd goes on by itself."
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            by = lock.holder(files.side(path, ".lock"))
            return LedgerBusy(f"the ledger {path} is locked by {by}; {consequence}. Try again when that one is done.")
        case sqlite3.SQLITE_CORRUPT:
            return LedgerBroken(f"the ledger {path} is damaged ({cause}); {consequence}. {MEND}")
        case sqlite3.SQLITE_CONSTRAINT:  # nothing that we write breaks one, as long as the ledger is what it was
            return LedgerBroken(
                f"the ledger {path} holds what does not go together ({cause}); {consequence}. {RESTORE}"
            )
        case sqlite3.SQLITE_NOTADB:
            return LedgerBroken(
                f"{path} is not a database ({cause}); {consequence}. "
                "Correct `database` in config.toml, or move the file away and restore a backup (syncd restore FILE)."
            )
        case sqlite3.SQLITE_IOERR:
            return SyncdError(
                f"the disk did not do what was asked for {path} ({cause}); {consequence}. Check the disk."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return SyncdError(
                f"the ledger {path} cannot be opened for writing ({cause}); {consequence}. "
                "Check the owner and the permissions of the file and its folder."
            )
    return None


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < 64 * 1024
    except OSError:
        return False


def open_file(path: Path, clock: Clock, *, create: bool, check: bool = True) -> Engine:
    """The engine of a sound ledger of this program's schema, made or migrated first where needed.

    Raises UserFault (missing and not to be made, foreign, newer, network file system), LedgerBusy, LedgerBroken,
    SyncdError (unwritable).
    """
    files.refuse_network(path)
    files.refuse_leftovers(path)
    if not path.exists():
        if not create:
            raise UserFault(
                Fault("[syncd] database", f"there is no ledger at {path} yet.", "Run `syncd run --once` first.")
            )
        _refuse_loss(path)
        make(path, clock)
    files.keep_private(path)
    opened = connect(path)
    try:
        with worded(path, "nothing was read"):
            check_kind(opened, path)
            _migrate(opened, path, clock)
            _write_ahead(opened, path)
            if check:
                check_sound(opened, path)
    except BaseException:
        opened.dispose()
        raise
    return opened


def _refuse_loss(path: Path) -> None:
    """Raises LedgerBroken where the ledger is gone that once lay here: a new one would know of nothing it posted."""
    if events := mark.kept(path):
        raise LedgerBroken(
            f"there is no ledger at {path}, and the mark beside it says that there was one, with {events} events: "
            f"restore a backup (syncd restore FILE), or remove {files.side(path, mark.SUFFIX).name} to begin a new one."
        )


def make(path: Path, clock: Clock) -> None:
    """A new, empty ledger. It gets its name only when it is whole, so an empty file of that name is never a new one."""
    files.make_folder(path)
    made = files.side(path, f".new-{os.getpid()}-{secrets.token_hex(4)}")
    files.make_private(made)
    try:
        with worded(path):
            opened = connect(made)
            try:
                with engine.writing(opened) as connection:
                    engine.fill(connection, clock)
                    connection.exec_driver_sql(f"PRAGMA application_id = {tables.APPLICATION_ID}")
                _write_ahead(opened, made)
            finally:
                opened.dispose()
        if files.put_in_place(made, path):
            _log.info("ledger_made", path=str(path))
    finally:
        files.forget(made)


def check_kind(opened: Engine, path: Path) -> None:
    """Raises UserFault where the database is another program's, LedgerBroken where it is empty or damaged."""
    if path.stat().st_size == 0:
        raise LedgerBroken(f"{path} is empty: move it away, and restore a backup (syncd restore FILE).")
    with engine.reading(opened) as connection:
        told = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if told != tables.APPLICATION_ID:
            raise UserFault(
                Fault(
                    str(path), "is a database, but not a ledger of syncd.", "Name another file, or a backup of syncd."
                )
            )


def _migrate(opened: Engine, path: Path, clock: Clock) -> None:
    with engine.reading(opened) as connection:
        missing = engine.check_schema(connection, str(path))
    if not missing:
        return
    from syncd.ledger.migrations import upgrade

    writer = lock.WriterLock(files.side(path, ".lock"), "migration", clock(), engine.MIGRATION_WAIT)
    try:
        with engine.writing(opened) as connection:
            if engine.check_schema(connection, str(path)):
                upgrade(connection)
                _log.info("ledger_migrated", path=str(path), schema=tables.SCHEMA)
    finally:
        writer.release()


def _write_ahead(opened: Engine, path: Path) -> None:
    raw = opened.raw_connection()
    try:
        mode = raw.cursor().execute("PRAGMA journal_mode = WAL").fetchone()[0]
    finally:
        raw.close()
    if mode != "wal":
        raise SyncdError(
            f"the disk under {path} cannot hold a write-ahead log (it stays in {mode!r}): use another one."
        )


def check_sound(opened: Engine, path: Path) -> None:
    """Raises LedgerBroken where SQLite finds damage, or the last event is not the one the ledger noted."""
    parts = [""] if path.stat().st_size <= WHOLE_CHECK_BYTES else ["(meta)", "(entry)"]
    with engine.reading(opened) as connection:
        for part in parts:
            finding = connection.exec_driver_sql(f"PRAGMA quick_check{part}").scalars().first()
            if finding != "ok":
                raise LedgerBroken(f"the ledger {path} is damaged ({_one_line(finding)}). {MEND}")
        engine.check_head(connection, str(path))


def damage(connection: Connection) -> Iterator[str]:
    """What SQLite's own whole check finds, in words."""
    for finding in connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars():
        if finding != "ok":
            yield f"the database is damaged: {_one_line(finding)}."


def _one_line(finding: str | None) -> str:
    """What SQLite's checks say, without their headings and line breaks."""
    return "; ".join(line for line in (finding or "").splitlines() if line and not line.startswith("***"))
