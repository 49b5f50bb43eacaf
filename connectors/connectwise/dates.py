"""ConnectWise's dates. Agreement and addition dates are calendar days stored as midnight `Z`: they are compared as days
and never shifted by a zone. Time entries and tickets carry real instants in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from syncd.periods import DAY, Period

# An open `cancelledDate` is null or a sentinel (which one is not documented): years no addition of ours can have.
_FIRST_REAL_YEAR = 1990
_LAST_REAL_YEAR = 2099


def day(text: str | None) -> date | None:
    """The calendar day of a date text, None where there is none, where it is a sentinel, or cannot be read surely.

    `nextInvoiceDate` and the recap's dates are typed as plain text, their format is not documented: ISO is read, and
    a date with slashes where day and month cannot be mistaken for each other.
    """
    text = (text or "").strip()
    if match := re.match(r"(\d{4})-(\d\d)-(\d\d)(?!\d)", text):
        year, month, number = (int(part) for part in match.groups())
    elif match := re.match(r"(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)", text):
        month, number, year = (int(part) for part in match.groups())
        if month > 12:
            month, number = number, month
        elif number <= 12 and month != number:
            return None
    else:
        return None
    try:
        found = date(year, month, number)
    except ValueError:
        return None
    return found if _FIRST_REAL_YEAR <= year <= _LAST_REAL_YEAR else None


def written(of: date) -> str:
    """A calendar day as ConnectWise takes it."""
    return f"{of:%Y-%m-%d}T00:00:00Z"


def instant(text: str | None) -> datetime | None:
    """An instant (ISO 8601, UTC where no zone is told), None where it cannot be read."""
    try:
        found = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def bounds(period: Period, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """First instant of the period's first local day, and first instant after its last one, in UTC."""
    first = datetime.combine(period.first, time(), zone).astimezone(UTC)
    after = datetime.combine(period.last + DAY, time(), zone).astimezone(UTC)
    return first, after
