"""Numbers and texts between syncd and vendors, for every connector. Pure.

Owns what a quantity may look like on the wire, how numbers and descriptions are written, and what a mean cost is. How a
vendor writes its dates is the vendor's folder's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, Inexact, localcontext

from syncd.errors import VendorError
from syncd.money import ZERO, number, plain

# Years outside of these stand for "never" (9999) and "not set" (0001, 1900) in vendors' databases.
FIRST_YEAR, LAST_YEAR = 1971, 8999
_FOUR = Decimal("0.0001")
_TINY = Decimal("0.000001")


def as_meant(told: Decimal) -> Decimal:
    """A number that a binary fraction blurred: 2.9999999 is 3. One that is no round number at four places stays."""
    near = told.quantize(_FOUR)
    return Decimal(plain(near)) if abs(told - near) < _TINY else told


def exact(value: Decimal) -> Decimal:
    """The number without trailing zeros or exponent: equal numbers are written with equal bytes."""
    return Decimal(plain(value))


def shortened(text: str, room: int) -> str:
    """A text on one line, cut between words where it is longer than `room` characters."""
    text = " ".join(text.split())
    if len(text) <= room:
        return text
    cut = text[: room - 1]
    return cut[: max(cut.rfind(", "), 0) or max(cut.rfind(" "), 0) or len(cut)].rstrip(" ,;") + "…"


def units(told: Decimal, what: str) -> Decimal:
    """A quantity as it was meant. Raises VendorError `malformed`, naming `what`, for what can be no count."""
    try:
        return number(as_meant(number(told)))
    except (ValueError, ArithmeticError):
        raise VendorError("malformed", f"{what} has the quantity {str(told)[:40]}, which is no count") from None


def mean_cost(parts: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    """What one unit costs on average, of (quantity, cost of one); None where that is no finite decimal."""
    if len({cost for _, cost in parts}) == 1:
        return parts[0][1]
    total = sum((quantity for quantity, _ in parts), ZERO)
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
