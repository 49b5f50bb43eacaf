"""Small makers for the ledger's tests: intents as a plan would make them, and a clock that a test moves."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from syncd.core.entries import EntryState, Intent
from syncd.ledger import Ledger
from syncd.model import Operation, Posting, Wire

URL = "sqlite:///state/syncd.db"
DATED = (Operation.POST_LINE, Operation.POST_CREDIT)


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **span: float) -> None:
        self.now += timedelta(**span)


@cache
def _empty() -> bytes:
    with TemporaryDirectory() as folder:
        Ledger.open(URL, Watch(), folder=Path(folder)).close()
        return (Path(folder) / "state" / "syncd.db").read_bytes()


def fresh(folder: Path) -> Path:
    """Puts a new ledger where `URL` says; quicker than migrating one for each test. All have one installation."""
    path = folder / "state" / "syncd.db"
    path.parent.mkdir()
    path.touch(0o600)
    path.write_bytes(_empty())
    return path


def intent(
    identity: str = "cw:line:7",
    *,
    generation: int = 0,
    before: str = "25",
    to: str = "27",
    operation: Operation = Operation.SET_QUANTITY,
    state: EntryState = EntryState.PLANNED,
    follows: str = "",
    key: str = "",
    body: bytes = b'{"quantity":27}',
    **more: Any,
) -> Intent:
    """A change of one line. The key is made as `core.keys` would: of identity, operation and generation."""
    old, new = Decimal(before), Decimal(to)
    posting = Posting(
        operation=operation,
        key=key or f"key/{identity}/{operation}/{generation}",
        marker="sd-test-1",
        customer_id="19",
        quantity=_units(operation, new - old, new),
        before=old if operation not in (*DATED, Operation.REPORT_USAGE) else None,
        starts=date(2026, 11, 1),
        ends=date(2026, 11, 30),
        period="2026-11",
        description="Business Premium, November",
        options={"document": "estimate"},
    )
    standing: dict[str, Any] = {
        "line": f"plan:{identity}",
        "customer": "Contoso Dental",
        "rule": "M365 Business Premium",
        "connection": "cw",
        "period": "2026-11",
        "decided_by": "policy",
        "fingerprint": f"fp/{identity}/{to}",
        "why": "increase is now",
        "derivation": {"used": "27", "steps": [{"text": "27 seats", "amount": Decimal("27.00")}]},
    }
    return Intent(
        identity=identity,
        before=old,
        to=new,
        state=state,
        follows=follows,
        posting=posting,
        wire=Wire("PATCH", "/finance/agreements/1/additions/7", body, (("content-type", "application/json"),)),
        **{**standing, **more},
    )


def _units(operation: Operation, moved: Decimal, new: Decimal) -> Decimal:
    if operation is Operation.REPORT_USAGE:
        return moved
    return abs(moved) if operation in DATED else new


# Where a test's ledger is in PostgreSQL, this file in its folder holds the URL.
ELSEWHERE = "postgresql.url"


def url_of(folder: Path) -> str:
    """Where the ledger of this test is."""
    elsewhere = folder / ELSEWHERE
    return elsewhere.read_text() if elsewhere.exists() else URL


def raw(folder: Path) -> Any:
    """The database beside the ledger, as somebody with a shell of the database has it; closes itself."""
    url = url_of(folder)
    if url == URL:
        return closing(sqlite3.connect(folder / "state" / "syncd.db", isolation_level=None))
    return closing(Shell(url))


class _Row(tuple[Any, ...]):
    """Values by place and by name, as `sqlite3.Row` has them."""

    names: tuple[str, ...]

    def __getitem__(self, which: Any) -> Any:
        return super().__getitem__(self.names.index(which) if isinstance(which, str) else which)


class Shell:
    """PostgreSQL for statements that are written for SQLite's shell: each committed by itself, `?` for a value."""

    def __init__(self, url: str) -> None:
        self._opened = psycopg.connect(url.replace("+psycopg", ""), autocommit=True, row_factory=_rows)
        self.row_factory: Any = None  # set by whoever wants names; they are always there

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        return self._opened.execute(statement.replace("?", "%s") if values else statement, values or None)

    def close(self) -> None:
        self._opened.close()


def _rows(cursor: psycopg.Cursor[Any]) -> Any:
    names = tuple(column.name for column in cursor.description or ())

    def row(values: Any) -> _Row:
        made = _Row(values)
        made.names = names
        return made

    return row


# What the databases raise where a trigger or a unique index refuses.
REFUSED = (sqlite3.IntegrityError, psycopg.errors.RaiseException, psycopg.errors.UniqueViolation)


def without_triggers(database: Any) -> Any:
    """Takes away what refuses to alter the record, with the keys that point from one table to another."""
    if isinstance(database, Shell):
        for table in ("event", "entry", "meta"):
            database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        database.execute("ALTER TABLE event DROP CONSTRAINT IF EXISTS event_entry_id_fkey")
        database.execute("ALTER TABLE latest DROP CONSTRAINT IF EXISTS latest_seq_fkey")
        return database
    database.execute("PRAGMA foreign_keys = OFF")
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    return database


def database(folder: Path) -> str:
    """The name of the PostgreSQL database in which a test's ledger is."""
    return (folder / ELSEWHERE).read_text().rpartition("/")[2]
