"""Xero's dates. JSON carries `/Date(1518685950940+0000)/`: milliseconds since 1970, UTC; the offset says nothing more.

A business date is midnight UTC of the organisation's own day: its UTC day is that day, and it is never moved through
another zone. Written dates are plain days.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from syncd.errors import VendorError

_MS = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ].*)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Years that stand for "none" in systems that cannot leave a date out.
_FIRST_YEAR = 1950


def day(text: str | None) -> date | None:
    """A business date; None where there is none. Raises VendorError `malformed` for anything else."""
    if not text:
        return None
    try:
        if told := _MS.fullmatch(text):
            found = (_EPOCH + timedelta(milliseconds=int(told[1]))).date()
        elif told := _ISO.fullmatch(text):
            found = date(int(told[1]), int(told[2]), int(told[3]))
        else:
            raise ValueError
    except (ValueError, OverflowError):
        raise VendorError("malformed", f"Xero tells a date that is none: {text[:40]!r}") from None
    return found if found.year >= _FIRST_YEAR else None


def instant(text: str | None) -> datetime | None:
    """When something happened; None where that is not told, or cannot be read."""
    told = _MS.fullmatch(text or "")
    try:
        return _EPOCH + timedelta(milliseconds=int(told[1])) if told else None
    except OverflowError:
        return None


def since(first: date) -> str:
    """A day as Xero's filters write it."""
    return f"DateTime({first.year},{first.month},{first.day})"
