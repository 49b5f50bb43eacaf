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
        quantity=abs(new - old) if operation in DATED else new,
        before=None if operation in DATED else old,
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


def raw(folder: Path) -> Any:
    """The database beside the ledger, as somebody with a SQLite shell has it; closes itself."""
    return closing(sqlite3.connect(folder / "state" / "syncd.db", isolation_level=None))


def without_triggers(database: sqlite3.Connection) -> sqlite3.Connection:
    """Takes away what refuses to alter the record."""
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    return database
