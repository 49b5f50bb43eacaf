"""Partner Center's dates as they were meant. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from syncd.connect.values import FIRST_YEAR, LAST_YEAR
from syncd.errors import VendorError

# 0 to 7 digits of a second, with or without zone: without one it is UTC.
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?")


def instant(text: str | None, what: str) -> datetime | None:
    """An aware instant, to the second; None where there is none, or a sentinel. Raises VendorError `malformed`."""
    if not text:
        return None
    found = _INSTANT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        if not FIRST_YEAR <= int(found[1][:4]) <= LAST_YEAR:
            return None
        zone = (found[3] or "Z").replace("Z", "+00:00")
        return datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00:00'}{zone}").astimezone(UTC)
    except ValueError:
        raise VendorError("malformed", f"{what} is {text[:40]!r}, which is no date") from None


def last_day(text: str | None, what: str) -> date | None:
    """The last day of a term, inclusive: the UTC day as written, not moved into the MSP's zone."""
    found = instant(text, what)
    return found.date() if found else None


WINDOW = timedelta(days=7)  # after a purchase or renewal, in which Microsoft takes seats back
