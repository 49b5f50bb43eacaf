"""One budget for each connection: how many requests at once, how many a minute, and the waits a vendor imposes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from syncd.errors import VendorError

# A vendor that names a longer wait is asked again after this one.
LONGEST_HOLD = 86_400.0


class Gate:
    """Lets requests through one connection's budget. Shared by all threads of the connection.

    `patience`: the longest wait that is slept through; a longer one raises VendorError `deferred`, so that the
    connection is left to a later cycle. Writes have less of it, and so do the looks around them once `hasten` was
    called: nobody sees a cycle that stands still for minutes between two postings. `remember(scope, until)` is called
    for each wait the vendor imposes, to be kept across restarts. `stop` ends all sleeping. Scopes keep one throttled
    tenant from delaying the others; the scope "" is the whole connection.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        requests_per_minute: int | None,
        patience: timedelta,
        now: Callable[[], datetime],
        stop: threading.Event | None = None,
        remember: Callable[[str, datetime], None] | None = None,
        waits: dict[str, datetime] | None = None,
    ) -> None:
        self._slots = threading.BoundedSemaphore(concurrency)
        self._spacing = 60 / requests_per_minute if requests_per_minute else 0
        self._patience = patience.total_seconds()
        self._stop = stop or threading.Event()
        self._remember = remember
        self._lock = threading.Lock()
        self._next = 0.0
        moment = now()
        self._now = now
        self._until = {
            scope: time.monotonic() + (until - moment).total_seconds() for scope, until in (waits or {}).items()
        }
        self.requests = 0
        self.waited_seconds = 0.0

    @contextmanager
    def slot(self, scope: str = "", *, patience: float | None = None) -> Iterator[None]:
        """Waits for the budget, then holds one place. Raises VendorError `deferred` or `stopped`.

        `patience`: seconds, where this request waits less long than others.
        """
        self._rest(scope, self._patience if patience is None else min(patience, self._patience))
        with self._slots:
            self.requests += 1
            yield

    def hold(self, seconds: float, scope: str = "") -> None:
        """The vendor asked everybody in this scope to wait."""
        seconds = min(seconds, LONGEST_HOLD)
        with self._lock:
            until = time.monotonic() + seconds
            if until <= self._until.get(scope, 0):
                return
            self._until[scope] = until
        if self._remember:
            self._remember(scope, self._now() + timedelta(seconds=seconds))

    def hasten(self, seconds: float) -> None:
        """From here on nobody sleeps through a vendor's wait longer than this: reading is over, postings begin."""
        self._patience = min(self._patience, seconds)

    def remaining(self, scope: str = "") -> float:
        """Seconds of the vendor's wait that are left in this scope."""
        with self._lock:
            return max(max(self._until.get("", 0), self._until.get(scope, 0)) - time.monotonic(), 0.0)

    def pause(self, seconds: float) -> None:
        """Sleep between two attempts, ended early by `stop`."""
        self.waited_seconds += max(seconds, 0)
        if self._stop.wait(max(seconds, 0)):
            raise VendorError("stopped", "syncd is stopping")

    def _rest(self, scope: str, patience: float) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                wait = max(self._until.get("", 0), self._until.get(scope, 0)) - now
                if wait <= 0:
                    mine = max(self._next, now)
                    self._next = mine + self._spacing
                    wait, granted = mine - now, True
                else:
                    granted = False
            if not granted and wait > patience:
                raise VendorError(
                    "deferred",
                    f"the vendor asked for a pause of {round(wait)} s, longer than a cycle waits; a later one takes "
                    "it up",
                    status=429,
                )
            if wait > 0:
                self.pause(wait)
            if granted:
                return
