"""Halo's dates come without a zone. Those of invoices and lines are calendar days and are never shifted; those of
tickets and time entries are instants in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from syncd.errors import VendorError
from syncd.periods import DAY, Period

# "No date" comes as null or as a sentinel (1899-12-30, 1900-01-01 and 1901-01-01 are known).
_FIRST_REAL_YEAR = 1950
_LAST_REAL_YEAR = 2099


def day(text: str | None) -> date | None:
    """The calendar day of a date text, None where there is none or it is a sentinel. Raises VendorError `malformed`."""
    if not text:
        return None
    match = re.match(r"(\d{4})-(\d\d)-(\d\d)(?!\d)", text)
    try:
        found = date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        found = None
    if found is None:
        raise VendorError("malformed", f"Halo shows a date that cannot be read: {text[:40]!r}")
    return found if _FIRST_REAL_YEAR <= found.year <= _LAST_REAL_YEAR else None


def written(of: date) -> str:
    """A calendar day as Halo shows and takes it."""
    return f"{of:%Y-%m-%d}T00:00:00"


def instant(text: str | None) -> datetime | None:
    """An instant, in UTC where no zone is told; None where there is none. Raises VendorError `malformed`."""
    if day(text) is None:
        return None
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        raise VendorError("malformed", f"Halo shows a time that cannot be read: {(text or '')[:40]!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def bounds(period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of the period's first local day, and first instant after its last one, in UTC."""
    first = datetime.combine(period.first, time(), zone).astimezone(UTC)
    after = datetime.combine(period.last + DAY, time(), zone).astimezone(UTC)
    return first, after
