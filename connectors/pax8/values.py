"""Pax8's dates as they were meant. Pure."""

from __future__ import annotations

import re
from datetime import date

from syncd.connect.values import FIRST_YEAR, LAST_YEAR
from syncd.errors import VendorError

# 2020-12-03, 2021-01-01T08:30:00Z, 2023-08-11T11:33:12.314-0600: one list shows all of them.
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")


def day(text: str | None, what: str) -> date | None:
    """The calendar day as Pax8 wrote it; None where there is none, or a sentinel. Raises VendorError `malformed`.

    The day is not moved into the MSP's zone: Pax8 bills by days, and a last day written 2026-11-30T00:00:00Z is
    30 November also in Chicago.
    """
    if not text:
        return None
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise VendorError("malformed", f"{what} is {text[:40]!r}, which is no date")
    year, month, dom = (int(part) for part in found.groups()[:3])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, dom)
    except ValueError:
        raise VendorError("malformed", f"{what} is {text[:40]!r}, which is no date") from None
