"""Pax8's dates, quantities and costs as they were meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, Inexact, localcontext

from syncd.errors import VendorError
from syncd.money import ZERO, number, plain

# 2020-12-03, 2021-01-01T08:30:00Z, 2023-08-11T11:33:12.314-0600: one list shows all of them.
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
# Years outside of these stand for "never" and "always" in vendors' databases.
_FIRST_YEAR, _LAST_YEAR = 1971, 8999


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
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return None
    try:
        return date(year, month, dom)
    except ValueError:
        raise VendorError("malformed", f"{what} is {text[:40]!r}, which is no date") from None


def units(told: Decimal, what: str) -> Decimal:
    """A quantity as it was meant: a binary fraction such as 2.9999999 is 3. Raises VendorError `malformed`."""
    try:
        told = number(told)
        near = told.quantize(Decimal("0.0001"))
        return number(plain(near if abs(told - near) < Decimal("0.000001") else told))
    except (ValueError, ArithmeticError):
        raise VendorError("malformed", f"{what} has the quantity {str(told)[:40]}, which is no count") from None


def mean_cost(parts: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    """What one unit costs on average, of (quantity, cost of one); None where that is no finite decimal."""
    if len({cost for _, cost in parts}) == 1:
        return parts[0][1]
    total = sum((quantity for quantity, _ in parts), ZERO)
    if not total:
        return None
    return quotient(sum((quantity * cost for quantity, cost in parts), ZERO), total)


def quotient(amount: Decimal, by: Decimal) -> Decimal | None:
    """`amount / by` where it has an end, else None: a rounded cost would be told as if it were exact."""
    if not by:
        return None
    with localcontext(prec=28) as context:
        context.traps[Inexact] = True
        try:
            return amount / by
        except Inexact:
            return None
