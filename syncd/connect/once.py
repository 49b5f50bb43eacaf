"""What is read at most once while a connection is open, and the errors after which asking on is useless."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from syncd.errors import VendorError

T = TypeVar("T")

# The sign-in is refused, the vendor asked for a long pause, or syncd stops: no other customer would fare better.
FATAL = frozenset({"unauthorized", "deferred", "stopped"})


class Once(Generic[T]):
    """A value made at first use, by one thread while the others wait; a failure is kept as well."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[T] | None = None
        self._error: VendorError | None = None

    def get(self) -> T:
        """The value. Raises the VendorError that making it ended with."""
        with self._lock:
            if self._made is None and self._error is None:
                try:
                    self._made = (self._make(),)
                except VendorError as error:
                    self._error = error
            if self._made is not None:
                return self._made[0]
            failed = self._error
        assert failed is not None
        raise failed.with_traceback(None)  # itself: connectors tell their errors apart by type

    def known(self) -> T | None:
        """The value where it was made already; makes nothing."""
        return self._made[0] if self._made else None

    def problem(self) -> str:
        """Why it could not be made, "" where it could or was not tried."""
        return str(self._error) if self._error else ""
