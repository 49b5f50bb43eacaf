"""The one clock. Everything that asks for the time is handed a `Clock`; nobody calls `datetime.now()`.

`SYNCD_NOW` fixes the clock for rehearsals and tests. Signatures and token lifetimes follow the real clock
(`real_now`), because the vendor checks them against its own; durations use a clock that only runs forward
(`running_seconds`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from syncd.errors import Fault, UserFault

Clock = Callable[[], datetime]
# A clock that falls back, or runs ahead, further than this is not believed.
JUMP = timedelta(hours=1)


def real_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def fixed_now(environ: Mapping[str, str] = os.environ) -> datetime | None:
    """The instant that `SYNCD_NOW` fixes, or None.

    Raises UserFault where the variable is not an ISO 8601 instant with a zone.
    """
    text = environ.get("SYNCD_NOW", "")
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise UserFault(
            Fault("SYNCD_NOW", f"{text!r} is not an instant with a zone.", "Write it like 2026-11-30T23:00:00-06:00.")
        )
    return instant


def make_clock(environ: Mapping[str, str] = os.environ) -> Clock:
    """The process's clock: fixed where `SYNCD_NOW` is set, else the real one."""
    instant = fixed_now(environ)
    return (lambda: instant) if instant is not None else real_now


def running_seconds() -> float:
    """Seconds that run forward only, sleep of the machine included where the system counts it."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; monotonic() stands still while a machine sleeps
    return time.clock_gettime(boot) if boot is not None else time.monotonic()


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at both clocks: the wall's, and the one that only runs forward."""

    wall: datetime
    running: float

    def agrees(self, later: _Look) -> bool:
        """Whether the wall clock moved as far as time passed, give or take JUMP."""
        return abs(later.wall - self.wall - timedelta(seconds=later.running - self.running)) <= JUMP


class ClockWatch:
    """Whether the wall clock may be believed (RELIABILITY, "Time"). `mark`: the latest instant any cycle stood for.

    A cycle right after a jump is not believed; one that agrees with it a whole cycle later is, because then the
    jump was a correction. A clock behind the mark is not believed until it has passed it.
    """

    def __init__(self, mark: datetime | None, running: Callable[[], float]) -> None:
        self._mark = mark
        self._running = running
        self._trusted: _Look | None = None
        self._doubted: _Look | None = None

    def doubt(self, now: datetime) -> str:
        """Why `now` is not believed, as a sentence; "" where it is."""
        look = _Look(now, self._running())
        if self._mark is not None and now < self._mark - JUMP:
            self._doubted = look
            return (
                f"the clock shows {now:%Y-%m-%d %H:%M} UTC, earlier than the last cycle ({self._mark:%Y-%m-%d %H:%M})"
            )
        known = [one for one in (self._trusted, self._doubted) if one is not None]
        if self._trusted is not None and not any(one.agrees(look) for one in known):
            self._doubted = look
            passed = timedelta(seconds=round(look.running - self._trusted.running))
            return (
                f"the clock moved from {self._trusted.wall:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC "
                f"while {passed} passed"
            )
        self._trusted, self._doubted = look, None
        self._mark = max(self._mark, now) if self._mark else now
        return ""
