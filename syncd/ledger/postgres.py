"""The ledger in a PostgreSQL database: opened, made and migrated, its errors worded.

What always holds: every commit waits for the disk (`synchronous_commit`, asserted on each connection; a server with
`fsync = off` is refused), a writing transaction holds the row of `meta` from its first moment, so that writers go one
after the other and nothing that one has read can change before it commits; a reading one is REPEATABLE READ. The
password is never part of a name, a log line or an error. One writer: see `session`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, Engine, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from syncd.clock import Clock
from syncd.connect.settings import is_loopback
from syncd.errors import Fault, LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import engine, mark, tables
from syncd.ledger.engine import EXAMPLE, RESTORE, SETTING, Claim, Place
from syncd.ledger.session import IDLE_SECONDS, SessionClaim

_log = structlog.get_logger()

MEND = "Name a new, empty database in config.toml, and restore a backup into it (syncd restore FILE)."
# How long a statement waits for another writer's transaction. Ours last milliseconds.
BUSY_MILLISECONDS = 10_000
OLDEST = 14  # the first that ends a session that stands still (idle_session_timeout)
_KNOWN = frozenset("sslmode sslrootcert sslcert sslkey host port target_session_attrs".split())
_SIGNED = "syncd ledger"


class PostgresPlace(Place):
    """A ledger in a database of its own, or in a schema of its own (the first of the role's `search_path`)."""

    mend = MEND
    claim_life = IDLE_SECONDS

    def __init__(self, url: str, folder: Path, clock: Clock, *, create: bool, check: bool) -> None:
        parts = make_url(url)
        self.name = _shown(parts)
        self._conninfo = conninfo(parts)
        # No file is a database's neighbour here; the mark lies where a ledger in a file would.
        self._beside = folder / "state" / "postgresql"
        self.engine = _connect(self._conninfo)
        try:
            with self.worded("nothing was read"):
                self._refuse_server()
                self._open(clock, create=create)
                if check:
                    self.check_sound()
        except BaseException:
            self.engine.dispose()
            raise

    def _refuse_server(self) -> None:
        settings = {name: f"current_setting('{name}')" for name in ("server_version_num", "fsync", "full_page_writes")}
        asked = ", ".join([*settings.values(), "pg_is_in_recovery()", "current_schema()"])
        with engine.reading(self.engine) as connection:
            version, fsync, pages, standby, schema = connection.exec_driver_sql(f"SELECT {asked}").one()
        trouble = ""
        if int(version) < OLDEST * 10_000:
            trouble = f"is PostgreSQL {int(version) // 10_000}; syncd needs {OLDEST} or later."
        elif fsync != "on" or pages != "on":
            trouble = (
                "does not write through to its disk (fsync or full_page_writes is off): a power loss there would make "
                "syncd post twice. Switch both on."
            )
        elif standby:
            trouble = "is a standby, which takes no writes. Name the primary."
        elif schema is None:
            trouble = "has no schema that this user may use. Check its search_path."
        if trouble:
            raise UserFault(Fault(SETTING, f"{self.name} {trouble}"))
        self._key = zlib.crc32(schema.encode()) & 0x7FFFFFFF  # one lock for each ledger of a database

    def _open(self, clock: Clock, *, create: bool) -> None:
        with engine.reading(self.engine) as connection:
            there = self._there(connection)
            missing = there and engine.check_schema(connection, self.name)
        if not there:
            if not create:
                raise UserFault(
                    Fault(SETTING, f"there is no ledger in {self.name} yet.", "Run `syncd run --once` first.")
                )
            self._make(clock)
        elif missing:
            self._migrate(clock)

    def _there(self, connection: Connection) -> bool:
        """Whether the schema holds a ledger. Raises UserFault where it holds anything else."""
        found = set(
            connection.exec_driver_sql(
                "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            ).scalars()
        )
        if not found:
            return False
        signed = None
        if "meta" in found:
            signed = connection.exec_driver_sql("SELECT obj_description('meta'::regclass)").scalar_one()
        if signed != _SIGNED:
            raise UserFault(
                Fault(self.name, "holds tables, but no ledger of syncd.", "Give the ledger a database of its own.")
            )
        return True

    def _make(self, clock: Clock) -> None:
        with self._alone() as connection:
            if self._there(connection):
                return  # another one was quicker
            engine.fill(connection, clock)
            connection.exec_driver_sql(f"COMMENT ON TABLE meta IS '{_SIGNED}'")
        _log.info("ledger_made", ledger=self.name)

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction before there is a row to lock."""
        with self.engine.connect().execution_options(making=True) as connection, connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({tables.APPLICATION_ID + 1}, {self._key})")
            yield connection

    def _migrate(self, clock: Clock) -> None:
        from syncd.ledger.migrations import upgrade

        held = self.claim("migration", clock(), engine.MIGRATION_WAIT)
        try:
            with engine.writing(self.engine) as connection:
                if engine.check_schema(connection, self.name):
                    upgrade(connection)
                    _log.info("ledger_migrated", ledger=self.name, schema=tables.SCHEMA)
        finally:
            held.release()

    @contextmanager
    def worded(self, consequence: str = "nothing of this step was written") -> Iterator[None]:
        """See `Place`."""
        try:
            yield
        except (DBAPIError, psycopg.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            sentence = _sentence(cause, self.name, consequence)
            if sentence is None:
                raise
            # Not `from error`: the driver's own trace may show the connection's parameters.
            raise sentence from None

    def same(self) -> None:
        """The server answers for it: a database that was replaced ends the connections into the old one."""

    def check_sound(self) -> None:
        """See `Place`."""
        with self.worded("nothing was read"), engine.reading(self.engine) as connection:
            engine.check_head(connection, self.name)
            missing = _guards() - set(
                connection.exec_driver_sql(
                    "SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
                ).scalars()
            )
        if missing:
            raise LedgerBroken(
                f"the ledger {self.name} has lost what keeps its record unaltered ({', '.join(sorted(missing))}). "
                f"{MEND}"
            )

    def damage(self, connection: Connection) -> Iterator[str]:
        """PostgreSQL finds damaged pages while they are read, and `verify` reads them all; nothing more can be asked
        of it without rights of a superuser."""
        yield from ()

    def claim(self, role: str, since: datetime, wait: timedelta) -> Claim:
        """See `Place`; `session` says how."""
        with self.worded("nothing was done"):
            return SessionClaim(self._conninfo, self.name, self._key, role, wait)

    @contextmanager
    def turn(self, what: str, wait: timedelta) -> Iterator[None]:
        """See `Place`."""
        key = (self._key ^ zlib.crc32(what.encode())) & 0x7FFFFFFF
        with self.worded("nothing was done"):
            session = psycopg.connect(self._conninfo, autocommit=True)
        with session:
            try:
                session.execute(
                    "SELECT set_config('lock_timeout', %s, false)", (str(int(wait.total_seconds() * 1000)),)
                )
                session.execute("SELECT pg_advisory_lock(%s, %s)", (tables.APPLICATION_ID + 2, key))
            except psycopg.errors.LockNotAvailable:
                raise LedgerBusy(
                    f"another process has used the {what} for {int(wait.total_seconds())} s; try again."
                ) from None
            yield

    def note(self, installation: str, events: int) -> None:
        """See `Place`."""
        mark.note(self._beside, installation, events)

    def noted(self, installation: str) -> int:
        """See `Place`."""
        return mark.noted(self._beside, installation)


def _guards() -> set[str]:
    return {"event_never_changes", "event_never_leaves", "entry_never_leaves", "meta_never_leaves", "entry_ends_once"}


def conninfo(parts: URL) -> str:
    """What libpq needs to connect. Raises UserFault where the URL names no database, or says what is not understood.

    Beyond this machine the server's certificate is proven against its name, unless `sslmode` says otherwise.
    """
    shown = _shown(parts)
    unknown = sorted(parts.query.keys() - _KNOWN)
    if unknown:
        raise UserFault(
            Fault(SETTING, f"{shown}: unknown option {unknown[0]!r}.", f"Known: {', '.join(sorted(_KNOWN))}.")
        )
    options: dict[str, str] = {name: value for name, value in parts.query.items() if isinstance(value, str)}
    host = parts.host or options.get("host", "")
    if not parts.database or (parts.query.keys() - options.keys()):
        raise UserFault(Fault(SETTING, f"{shown} does not name one database.", EXAMPLE))
    if host and not host.startswith("/") and not is_loopback(host):
        options.setdefault("sslmode", "verify-full")
        if options["sslmode"] == "verify-full" and not (Path.home() / ".postgresql" / "root.crt").exists():
            options.setdefault("sslrootcert", "system")
    named: dict[str, Any] = {
        "host": parts.host,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "dbname": parts.database,
        "connect_timeout": 10,
        "application_name": "syncd",
    }
    return make_conninfo("", **{name: value for name, value in named.items() if value is not None}, **options)


def _shown(parts: URL) -> str:
    """What people read: without password and options."""
    named = URL.create("postgresql", parts.username, None, parts.host, parts.port, parts.database)
    return named.render_as_string()


def _connect(conninfo: str) -> Engine:
    def connection() -> psycopg.Connection[Any]:
        opened = psycopg.connect(conninfo)
        with opened.transaction():
            found = opened.execute(
                "SELECT CASE WHEN current_setting('synchronous_commit') = 'remote_apply' THEN 'on' "
                "ELSE set_config('synchronous_commit', 'on', false) END, "
                "set_config('lock_timeout', %s, false), "
                # Whoever stands still in the middle of a transaction holds up all others.
                "set_config('idle_in_transaction_session_timeout', %s, false)",
                (str(BUSY_MILLISECONDS), str(int(IDLE_SECONDS * 1000))),
            ).fetchone()
        if found is None or found[0] != "on":
            opened.close()
            raise SyncdError("the database does not let syncd wait for its disk (synchronous_commit).")
        return opened

    made = create_engine(
        "postgresql+psycopg://",
        creator=connection,
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=-1,
        pool_pre_ping=True,  # a server that was started anew must not cost the outcome of a posting
        hide_parameters=True,
    )

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        how: Mapping[str, Any] = connection.get_execution_options()
        alone = bool(how.get("immediate") or how.get("making"))
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.isolation_level = (
            psycopg.IsolationLevel.READ_COMMITTED if alone else psycopg.IsolationLevel.REPEATABLE_READ
        )
        driver.read_only = not alone
        if how.get("immediate"):
            # Each statement after this one sees all that was committed before it, and nothing more is.
            connection.execute(select(tables.meta.c.id).with_for_update())

    return made


_AT_THE_DOOR = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    "does not exist": "3D000",
}


def _sentence(cause: BaseException | None, name: str, consequence: str) -> SyncdError | None:
    """PostgreSQL's error codes (Appendix A of its manual) as sentences; None for a fault of ours."""
    if not isinstance(cause, psycopg.Error):
        return None
    code = cause.sqlstate or ""
    told = (cause.diag.message_primary or str(cause)).strip().splitlines()[0].rpartition("FATAL:  ")[2]
    if not code and isinstance(cause, psycopg.OperationalError):  # refused at the door: only words tell why
        code = next((known for words, known in _AT_THE_DOOR.items() if words in told), "")
    match code:
        case "28P01" | "28000":
            return UserFault(Fault(SETTING, f"{name} does not let this user in ({told}).", "Check user and password."))
        case "3D000":
            return UserFault(Fault(SETTING, f"{name}: {told}.", "Make it first: createdb NAME."))
        case "42501":
            return UserFault(Fault(SETTING, f"{name}: {told}.", "Give the user a database, or a schema, of its own."))
        case "53100":
            return SyncdError(
                f"the disk is full: {name} could not grow; {consequence}. Free some space; syncd goes on by itself."
            )
        case "55P03" | "40P01" | "40001":
            return LedgerBusy(f"the ledger {name} is locked by another process; {consequence}. Try again.")
        case "25006":
            return SyncdError(f"{name} takes no writes at present ({told}); {consequence}. Name the primary.")
        case "42P01" | "42703" | "42704":
            return LedgerBroken(f"the ledger {name} has lost its shape ({told}); {consequence}. {RESTORE}")
        case "P0001":
            return LedgerBroken(f"the ledger {name} holds what does not go together ({told}); {consequence}. {RESTORE}")
        case "XX001" | "XX002" | "58P01" | "58030":
            return LedgerBroken(f"the ledger {name} is damaged ({told}); {consequence}. {MEND}")
        case _ if code.startswith("23"):
            return LedgerBroken(f"the ledger {name} holds what does not go together ({told}); {consequence}. {RESTORE}")
        case _ if isinstance(cause, psycopg.DataError):
            return SyncdError(f"{name} cannot keep what was to be written ({told}); {consequence}.")
        case _ if isinstance(cause, psycopg.OperationalError) or code.startswith(("08", "53", "57", "25P03")):
            return SyncdError(f"{name} did not answer ({told}); {consequence}. syncd goes on when it is back.")
    return None
