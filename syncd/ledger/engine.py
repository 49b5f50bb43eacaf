"""What every kind of database has to do for the ledger (`Place`), and what is alike in all of them.

The kinds are `sqlite` and `postgres`; only those two modules know how theirs is opened, locked, found damaged, and how
its errors are worded. What always holds: a committed transaction survives a power loss, a writing transaction is the
only one from its first moment, a reading one sees one state of the ledger throughout, and a database that is damaged,
foreign or newer is refused before anything is read from it.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from base64 import b32encode
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from syncd.clock import Clock
from syncd.errors import Fault, LedgerBroken, UserFault
from syncd.ledger import chain, tables
from syncd.ledger.codec import instant_text

# How long a migration waits for the single writer to end.
MIGRATION_WAIT = timedelta(seconds=10)


class Claim(ABC):
    """The right to be the single writer, from construction until `release` or until it is lost."""

    @abstractmethod
    def lost(self) -> bool:
        """Whether another process may hold it by now."""

    @abstractmethod
    def holds(self, connection: Connection) -> bool:
        """The same, asked inside a writing transaction: true until that transaction ends."""

    @abstractmethod
    def release(self) -> None:
        """Lets the next one in; may be called twice."""


class Place(ABC):
    """One database that holds a ledger.

    `name` is what people read; it never holds a password. `engine` is open. `mend`: how a damaged one is replaced.
    `claim_life`: a writer that stands still for so many seconds may have lost its claim; None: never.
    """

    name: str
    engine: Engine
    mend: str
    claim_life: float | None = None

    @abstractmethod
    def worded(self, consequence: str = "nothing of this step was written") -> AbstractContextManager[None]:
        """Turns the database's errors into sentences; `consequence` says what did not happen.

        Raises SyncdError (full, unreachable), LedgerBusy (locked), LedgerBroken (damaged); a fault of ours passes.
        """

    @abstractmethod
    def same(self) -> None:
        """Raises SyncdError where the database behind the name was replaced since it was opened."""

    @abstractmethod
    def check_sound(self) -> None:
        """The quick look for damage. Raises LedgerBroken."""

    @abstractmethod
    def damage(self, connection: Connection) -> Iterator[str]:
        """The thorough look of the database at itself; what it finds, in words."""

    @abstractmethod
    def claim(self, role: str, since: datetime, wait: timedelta) -> Claim:
        """Takes the single writer's place. Raises LedgerBusy, naming the holder, where it is taken after `wait`."""

    @abstractmethod
    def turn(self, what: str, wait: timedelta) -> AbstractContextManager[None]:
        """One process and thread at a time uses `what`, claim or not; let go with the process. No transaction is open
        meanwhile. Raises LedgerBusy where it is still taken after `wait`."""

    @abstractmethod
    def note(self, installation: str, events: int) -> None:
        """Notes beside the ledger how far the record went (see `mark`)."""

    @abstractmethod
    def noted(self, installation: str) -> int:
        """How far the record once went, as far as the note knows."""

    def close(self) -> None:
        """Closes all connections; may be called twice."""
        self.engine.dispose()


def backend(url: str) -> str:
    """ "sqlite" or "postgresql". Raises UserFault for anything else; never shows a password."""
    try:
        parts = make_url(url)
    except ArgumentError:
        # Not shown: what cannot be taken apart may hold a password anywhere.
        raise UserFault(Fault(SETTING, "is not a database URL.", EXAMPLE)) from None
    if parts.drivername in ("sqlite", "postgresql", "postgresql+psycopg", "postgres"):
        return "sqlite" if parts.drivername == "sqlite" else "postgresql"
    shown = parts.render_as_string(hide_password=True)
    raise UserFault(Fault(SETTING, f"{shown} is not a kind of database that syncd can keep a ledger in.", EXAMPLE))


SETTING = "[syncd] database"
EXAMPLE = 'Write it like "sqlite:///state/syncd.db" or "postgresql+psycopg://user@host/name".'


def open_place(url: str, folder: Path, clock: Clock, *, create: bool, check: bool = True) -> Place:
    """A sound ledger of this program's schema, made or migrated first where needed. Paths are relative to `folder`.

    `check=False` leaves out the look for damage, so that `ledger verify` can say what is wrong with a broken one.

    Raises UserFault (missing and not to be made, foreign, newer, another kind), LedgerBusy, LedgerBroken, SyncdError.
    """
    if backend(url) == "postgresql":
        from syncd.ledger.postgres import PostgresPlace  # its driver is loaded only where it is used

        return PostgresPlace(url, folder, clock, create=create, check=check)
    from syncd.ledger.sqlite import SqlitePlace

    return SqlitePlace(url, folder, clock, create=create, check=check)


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


def fill(connection: Connection, clock: Clock) -> None:
    """Makes the tables, and the row that names the ledger, in an empty database."""
    from syncd.ledger.migrations import upgrade

    installation = b32encode(secrets.token_bytes(5)).decode("ascii").lower()
    upgrade(connection)
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


def check_schema(connection: Connection, name: str) -> bool:
    """True where migrations are missing. Raises UserFault where the ledger is newer than the program."""
    found: list[str] = []
    if inspect(connection).has_table("alembic_version"):
        found = list(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())
    version = found[0] if len(found) == 1 else ""
    if not version:
        raise LedgerBroken(f"the ledger {name} does not say which schema it has. {RESTORE}")
    if version > tables.SCHEMA:
        raise UserFault(
            Fault(
                name,
                f"was written by a newer syncd (schema {version}; this program knows {tables.SCHEMA}).",
                "Use the newer program, or a backup from before its first start.",
            )
        )
    return bool(version < tables.SCHEMA)


def check_head(connection: Connection, name: str) -> None:
    """The cheap look at the chain's end. Raises LedgerBroken."""
    told = connection.execute(select(tables.meta)).mappings().one_or_none()
    if told is None:
        raise LedgerBroken(f"the ledger {name} has lost the row that says where its record ends. {RESTORE}")
    event_rows = select(tables.event).order_by(tables.event.c.seq.desc()).limit(2)
    last = [link_of(row) for row in connection.execute(event_rows).mappings()]
    start = chain.genesis(told["installation"])
    count = last[0].seq if last else 0
    previous = last[1].hash if len(last) > 1 else start
    head = last[0].hash if last else start
    sound = not last or chain.link_hash(previous, last[0]) == head
    if count != told["events"] or head != told["head"] or not sound:
        noted = f"the ledger noted {told['events']}" if count != told["events"] else "whose hash does not agree"
        raise LedgerBroken(f"the record in {name} was altered: it ends at event {count}, {noted}. {RESTORE}")


RESTORE = "`syncd ledger verify` says more; restore a backup (syncd restore FILE)."


def link_of(row: Any) -> chain.Link:
    """A row of `event` as the chain hashes it."""
    texts = (row["entry_id"], row["at"], row["from_state"], row["to_state"], row["data"], row["hash"])
    # A flipped bit can turn text into bytes; as text they match no hash.
    return chain.Link(row["seq"], *(repr(one) if isinstance(one, bytes) else one for one in texts))
