"""Partner Center's dates and quantities as they were meant. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from syncd.errors import VendorError
from syncd.money import number, plain

# 0 to 7 digits of a second, with or without zone: without one it is UTC.
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?")
# Years outside of these stand for "never" (9999-12-30 on old Azure subscriptions) and "not set" (0001-01-01).
_FIRST_YEAR, _LAST_YEAR = 1971, 8999


def instant(text: str | None, what: str) -> datetime | None:
    """An aware instant, to the second; None where there is none, or a sentinel. Raises VendorError `malformed`."""
    if not text:
        return None
    found = _INSTANT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        if not _FIRST_YEAR <= int(found[1][:4]) <= _LAST_YEAR:
            return None
        zone = (found[3] or "Z").replace("Z", "+00:00")
        return datetime.fromisoformat(f"{found[1]}T{found[2] or '00:00:00'}{zone}").astimezone(UTC)
    except ValueError:
        raise VendorError("malformed", f"{what} is {text[:40]!r}, which is no date") from None


def last_day(text: str | None, what: str) -> date | None:
    """The last day of a term, inclusive: the UTC day as written, not moved into the MSP's zone."""
    found = instant(text, what)
    return found.date() if found else None


def units(told: Decimal, what: str) -> Decimal:
    """A quantity as it was meant: a binary fraction such as 2.9999999 is 3. Raises VendorError `malformed`."""
    try:
        told = number(told)
        near = told.quantize(Decimal("0.0001"))
        return number(plain(near if abs(told - near) < Decimal("0.000001") else told))
    except (ValueError, ArithmeticError):
        raise VendorError("malformed", f"{what} has the quantity {str(told)[:40]}, which is no count") from None


WINDOW = timedelta(days=7)  # after a purchase or renewal, in which Microsoft takes seats back
