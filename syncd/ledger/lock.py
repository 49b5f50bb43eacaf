"""The single writer: an exclusive flock on a side file, held for life.

The kernel releases it on any death of the process, so there is no lease and no clock. The file's content only tells
people who holds it; it is never removed, because two processes could then lock two files of one name.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from syncd.errors import LedgerBusy, SyncdError
from syncd.ledger.codec import canonical, instant_text

_STEP = 0.05  # seconds between two tries


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock, as the file says. All text; empty where it does not say."""

    role: str = ""
    pid: str = ""
    host: str = ""
    since: str = ""

    def __str__(self) -> str:
        if not self.role:
            return "another process"
        since = f", since {self.since[:16].replace('T', ' ')} UTC" if self.since else ""
        return f'"syncd {self.role}" (process {self.pid} on {self.host}{since})'


def holder(path: Path) -> Holder:
    """What the lock file says; nothing of it is proof that the lock is held."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Holder()
    if not isinstance(told, dict):
        return Holder()
    return Holder(*(str(told.get(name, "")) for name in ("role", "pid", "host", "since")))


class WriterLock:
    """Held from construction until `release`.

    Raises LedgerBusy, naming the holder, where it is still taken after `wait`; SyncdError where the lock file cannot
    be made.
    """

    def __init__(self, path: Path, role: str, since: datetime, wait: timedelta) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SyncdError(f"the lock file {path} cannot be opened: {error.strerror}.") from None
        try:
            self._take(path, wait)
            self._say({"role": role, "pid": os.getpid(), "host": socket.gethostname(), "since": instant_text(since)})
        except BaseException:
            os.close(self._file)
            raise

    def _take(self, path: Path, wait: timedelta) -> None:
        end = time.monotonic() + wait.total_seconds()
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise SyncdError(f"the lock file {path} cannot be locked: {error.strerror}.") from None
            if time.monotonic() >= end:
                raise LedgerBusy(
                    f"the ledger {path.name.removesuffix('.lock')} is held by {holder(path)}: "
                    "stop that one, or wait until it is done."
                )
            time.sleep(_STEP)

    def _say(self, told: dict[str, str | int]) -> None:
        with suppress(OSError):  # a full disk: the lock holds all the same, only its holder stays unnamed
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, canonical(told).encode() if told else b"", 0)

    def release(self) -> None:
        """Lets the next one in."""
        if self._file >= 0:
            self._say({})
            os.close(self._file)  # and with it the lock
            self._file = -1


@contextmanager
def turn(path: Path, what: str, wait: timedelta) -> Iterator[None]:
    """Held by one process and thread at a time, and let go by the kernel when the process dies.

    Raises LedgerBusy where it is still taken after `wait`; SyncdError where the file cannot be made.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise SyncdError(f"the lock file {path} cannot be opened: {error.strerror}.") from None
    try:
        end = time.monotonic() + wait.total_seconds()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise SyncdError(f"the lock file {path} cannot be locked: {error.strerror}.") from None
            if time.monotonic() >= end:
                raise LedgerBusy(f"another process has used the {what} for {int(wait.total_seconds())} s; try again.")
            time.sleep(_STEP)
        yield
    finally:
        os.close(file)
