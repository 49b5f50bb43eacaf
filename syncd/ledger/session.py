"""The single writer on PostgreSQL: an advisory lock of one session, held on a connection of its own.

The server releases it with the session, so no clock of any client decides. A heartbeat keeps the session from being
idle; a process that stands still, or a machine that is gone, is silent, and the server ends its session after
IDLE_SECONDS. Whether the lock is still held is asked of the server inside each writing transaction (`holds`), so that a
process that slept through the end of its session cannot write, and a posting that is not written down cannot leave.
Behind a pooler a session is not one: that is detected, and refused.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from sqlalchemy import Connection, text

from syncd.errors import Fault, LedgerBusy, UserFault
from syncd.ledger import tables
from syncd.ledger.engine import SETTING, Claim

_log = structlog.get_logger()

# A session that says nothing for so long is ended by the server; the next writer comes in then.
IDLE_SECONDS = 8.0
BEAT_SECONDS = 2.0
_STEP = 0.25  # seconds between two tries
_HELD = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = :class AND objid = :key "
    "AND objsubid = 2 AND pid = :pid AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class SessionClaim(Claim):
    """Held from construction until `release`, or until the session ends.

    Raises LedgerBusy, naming the holder, where it is still taken after `wait`; UserFault behind a pooler;
    psycopg.Error where the server does not answer.
    """

    def __init__(self, conninfo: str, name: str, key: int, role: str, wait: timedelta) -> None:
        self._name = name
        self._key = key
        self._gone = threading.Event()
        self._turn = threading.Lock()
        self._session = psycopg.connect(conninfo, autocommit=True)
        try:
            _refuse_pooler(self._session, conninfo, name)
            self._pid = self._session.info.backend_pid
            self._set(role)
            self._take(wait)
        except BaseException:
            self._session.close()
            raise
        self._beat = threading.Thread(target=self._keep, name="ledger-claim", daemon=True)
        self._beat.start()

    def _set(self, role: str) -> None:
        # The server cuts a name at 63 bytes.
        named = f"syncd {role} (process {os.getpid()} on {socket.gethostname()})"
        settings = {
            "application_name": named.encode("ascii", "replace").decode()[:63],
            "idle_session_timeout": str(int(IDLE_SECONDS * 1000)),
            "tcp_keepalives_idle": "4",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "2",
        }
        for setting, value in settings.items():
            self._session.execute("SELECT set_config(%s, %s, false)", (setting, value))

    def _take(self, wait: timedelta) -> None:
        end = time.monotonic() + wait.total_seconds()
        while True:
            row = self._session.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", (tables.APPLICATION_ID, self._key)
            ).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() >= end:
                raise LedgerBusy(
                    f"the ledger {self._name} is held by {self._holder()}: stop that one, or wait until it is done."
                )
            time.sleep(_STEP)

    def _holder(self) -> str:
        row = self._session.execute(
            "SELECT a.application_name, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') "
            "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s AND l.objsubid = 2 "
            "AND a.datname = current_database()",
            (tables.APPLICATION_ID, self._key),
        ).fetchone()
        return "another process" if row is None or not row[0] else f'"{row[0]}", since {row[1]} UTC'

    def _keep(self) -> None:
        while not self._gone.wait(BEAT_SECONDS):
            with self._turn:
                if self._gone.is_set():
                    return
                try:
                    self._session.execute("SELECT 1")
                except psycopg.Error as error:
                    self._gone.set()
                    told = (str(error).strip() or type(error).__name__).splitlines()[0]
                    _log.error("ledger_claim_lost", ledger=self._name, why=told, consequence="nothing more is posted")

    def lost(self) -> bool:
        """Asks the server, so that a process which just woke up hears the truth."""
        with self._turn:
            if not self._gone.is_set():
                try:
                    self._session.execute("SELECT 1")
                except psycopg.Error:
                    self._gone.set()
            return self._gone.is_set()

    def holds(self, connection: Connection) -> bool:
        """The server's own answer, for the writer's session by its process id. Another session that got the same id
        later cannot hold this lock without having raised the epoch."""
        if self._gone.is_set():
            return False
        asked: dict[str, Any] = {"class": tables.APPLICATION_ID, "key": self._key, "pid": self._pid}
        return bool(connection.execute(text(_HELD), asked).scalar_one())

    def release(self) -> None:
        """Ends the session, and with it the lock."""
        self._gone.set()
        with self._turn:
            self._session.close()


def _refuse_pooler(session: psycopg.Connection[Any], conninfo: str, name: str) -> None:
    """Raises UserFault where something between here and the server hands one session out to many clients.

    Two signs. The number that was given as that of the server's process is not the one that answers (a pooler answers
    the greeting itself); and two connections that are open at once are answered by one process, or one connection by
    two.
    """
    first = _answers(session)
    pooled = first != session.info.backend_pid
    if not pooled:
        with psycopg.connect(conninfo) as other:  # a transaction stays open while the first is asked again
            pooled = _answers(other) == first or _answers(session) != first
            other.rollback()
    if pooled:
        raise UserFault(
            Fault(
                SETTING,
                f"{name} is reached through a connection pooler, where a lock does not belong to one session.",
                "Name the server itself: its own host and port.",
            )
        )


def _answers(session: psycopg.Connection[Any]) -> int:
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])
