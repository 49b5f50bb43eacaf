"""Opens a ledger's database, and words what goes wrong with it. Makes and migrates it where needed.

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
from base64 import b32encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from syncd.clock import Clock
from syncd.errors import Fault, LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import chain, files, lock, tables
from syncd.ledger.codec import instant_text

_log = structlog.get_logger()

# How long a statement waits for another process's transaction. Ours last milliseconds.
BUSY_MILLISECONDS = 10_000
# How long a migration waits for the single writer to end.
MIGRATION_WAIT = timedelta(seconds=10)
PRAGMAS: tuple[str, ...] = (
    "synchronous = FULL",
    "fullfsync = ON",  # macOS: fsync alone does not reach the platter
    "foreign_keys = ON",
    "cell_size_check = ON",  # finds damage when a page is read instead of later
    "trusted_schema = OFF",
)
# Above this size, opening checks only the tables that move money; `ledger verify` checks everything.
WHOLE_CHECK_BYTES = 64 * 1024 * 1024


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
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that holds the write lock from its first moment; rolled back on any error."""
    with engine.connect().execution_options(immediate=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that sees one state of the ledger."""
    with engine.connect() as connection, connection.begin():
        yield connection


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
        raise LedgerBroken(f"the ledger {path} is damaged; {consequence}. {_RESTORE}") from error


def _sentence(cause: BaseException | None, path: Path, consequence: str) -> SyncdError | None:
    told = str(cause)
    if told.startswith("Could not decode to UTF-8"):
        return LedgerBroken(f"the ledger {path} holds text that is none: it is damaged; {consequence}. {_RESTORE}")
    if told.startswith("no such "):  # table, column, index
        return LedgerBroken(f"the ledger {path} has lost its shape ({told}); {consequence}. {_RESTORE}")
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
            return LedgerBroken(
                f"the ledger {path} is damaged ({cause}); {consequence}. "
                "Move it away with its -wal and -shm, and restore a backup (syncd restore FILE)."
            )
        case sqlite3.SQLITE_CONSTRAINT:  # nothing that we write breaks one, as long as the ledger is what it was
            return LedgerBroken(
                f"the ledger {path} holds what does not go together ({cause}); {consequence}. {_RESTORE}"
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

    `check=False` leaves out the look for damage, so that `ledger verify` can say what is wrong with a broken one.

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
        make(path, clock)
    files.keep_private(path)
    engine = connect(path)
    try:
        with worded(path, "nothing was read"):
            check_kind(engine, path)
            _migrate(engine, path, clock)
            _write_ahead(engine, path)
            if check:
                check_sound(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def make(path: Path, clock: Clock) -> None:
    """A new, empty ledger. It gets its name only when it is whole, so an empty file of that name is never a new one."""
    files.make_folder(path)
    made = files.side(path, f".new-{os.getpid()}-{secrets.token_hex(4)}")
    files.make_private(made)
    try:
        with worded(path):
            engine = connect(made)
            try:
                _fill(engine, clock)
                _write_ahead(engine, made)
            finally:
                engine.dispose()
        if files.put_in_place(made, path):
            _log.info("ledger_made", path=str(path))
    finally:
        files.forget(made)


def _fill(engine: Engine, clock: Clock) -> None:
    from syncd.ledger.migrations import upgrade

    installation = b32encode(secrets.token_bytes(5)).decode("ascii").lower()
    with writing(engine) as connection:
        upgrade(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {tables.APPLICATION_ID}")
        connection.execute(
            insert(tables.meta).values(
                id=1,
                installation=installation,
                epoch=0,
                events=0,
                head=chain.genesis(installation),
                created_at=instant_text(clock()),
            )
        )


def check_kind(engine: Engine, path: Path) -> None:
    """Raises UserFault where the database is another program's, LedgerBroken where it is empty or damaged."""
    if path.stat().st_size == 0:
        raise LedgerBroken(f"{path} is empty: move it away, and restore a backup (syncd restore FILE).")
    with reading(engine) as connection:
        told = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        if told != tables.APPLICATION_ID:
            raise UserFault(
                Fault(
                    str(path), "is a database, but not a ledger of syncd.", "Name another file, or a backup of syncd."
                )
            )


def check_schema(connection: Connection, path: Path) -> bool:
    """True where migrations are missing. Raises UserFault where the ledger is newer than the program."""
    known = "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
    found: list[str] = []
    if connection.exec_driver_sql(known).scalar_one():
        found = list(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())
    version = found[0] if len(found) == 1 else ""
    if not version:
        raise LedgerBroken(f"the ledger {path} does not say which schema it has. {_RESTORE}")
    if version > tables.SCHEMA:
        raise UserFault(
            Fault(
                str(path),
                f"was written by a newer syncd (schema {version}; this program knows {tables.SCHEMA}).",
                "Use the newer program, or a backup from before its first start.",
            )
        )
    return bool(version < tables.SCHEMA)


def _migrate(engine: Engine, path: Path, clock: Clock) -> None:
    with reading(engine) as connection:
        missing = check_schema(connection, path)
    if not missing:
        return
    from syncd.ledger.migrations import upgrade

    writer = lock.WriterLock(files.side(path, ".lock"), "migration", clock(), MIGRATION_WAIT)
    try:
        with writing(engine) as connection:
            if check_schema(connection, path):
                upgrade(connection)
                _log.info("ledger_migrated", path=str(path), schema=tables.SCHEMA)
    finally:
        writer.release()


def _write_ahead(engine: Engine, path: Path) -> None:
    raw = engine.raw_connection()
    try:
        mode = raw.cursor().execute("PRAGMA journal_mode = WAL").fetchone()[0]
    finally:
        raw.close()
    if mode != "wal":
        raise SyncdError(
            f"the disk under {path} cannot hold a write-ahead log (it stays in {mode!r}): use another one."
        )


def check_sound(engine: Engine, path: Path, *, whole: bool = False) -> None:
    """Raises LedgerBroken where SQLite finds damage, or the last event is not the one the ledger noted."""
    parts = [""] if whole or path.stat().st_size <= WHOLE_CHECK_BYTES else ["(meta)", "(entry)"]
    with reading(engine) as connection:
        for part in parts:
            finding = connection.exec_driver_sql(f"PRAGMA quick_check{part}").scalars().first()
            if finding != "ok":
                raise LedgerBroken(
                    f"the ledger {path} is damaged ({one_line(finding)}). "
                    "Move it away with its -wal and -shm, and restore a backup (syncd restore FILE)."
                )
        check_head(connection, path)


def one_line(finding: str | None) -> str:
    """What SQLite's checks say, without their headings and line breaks."""
    return "; ".join(line for line in (finding or "").splitlines() if line and not line.startswith("***"))


def check_head(connection: Connection, path: Path) -> None:
    """The cheap look at the chain's end. Raises LedgerBroken."""
    told = connection.execute(select(tables.meta)).mappings().one_or_none()
    if told is None:
        raise LedgerBroken(f"the ledger {path} has lost the row that says where its record ends. {_RESTORE}")
    event_rows = select(tables.event).order_by(tables.event.c.seq.desc()).limit(2)
    last = [link_of(row) for row in connection.execute(event_rows).mappings()]
    start = chain.genesis(told["installation"])
    count = last[0].seq if last else 0
    previous = last[1].hash if len(last) > 1 else start
    head = last[0].hash if last else start
    sound = not last or chain.link_hash(previous, last[0]) == head
    if count != told["events"] or head != told["head"] or not sound:
        noted = f"the ledger noted {told['events']}" if count != told["events"] else "whose hash does not agree"
        raise LedgerBroken(f"the record in {path} was altered: it ends at event {count}, {noted}. {_RESTORE}")


_RESTORE = "`syncd ledger verify` says more; restore a backup (syncd restore FILE)."


def link_of(row: Any) -> chain.Link:
    """A row of `event` as the chain hashes it."""
    texts = (row["entry_id"], row["at"], row["from_state"], row["to_state"], row["data"], row["hash"])
    # A flipped bit can turn text into bytes; as text they match no hash.
    return chain.Link(row["seq"], *(repr(one) if isinstance(one, bytes) else one for one in texts))
