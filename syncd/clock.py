"""The one clock. Everything that asks for the time is handed a `Clock`; nobody calls `datetime.now()`.

`SYNCD_NOW` fixes the clock for rehearsals and tests. Signatures and token lifetimes follow the real clock
(`real_now`), because the vendor checks them against its own; durations use `time.monotonic()`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from syncd.errors import Fault, UserFault

Clock = Callable[[], datetime]


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
