"""Turns SuiteQL's signs into those of a document. Pure.

NetSuite keeps lines as the ledger does, so that quantity and amount of what is sold are negative on an invoice. No
source says so for sure: hence the signs are proved by the document's total instead of believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from connectors.netsuite.payloads import LineRow
from connectors.netsuite.suiteql import shown_number
from syncd.errors import VendorError
from syncd.money import plain

# NetSuite rounds each line's amount; the total may differ from their sum by no more than this.
_ROUNDING = Decimal("0.01")


def turned(lines: Sequence[LineRow], total: Decimal, name: str) -> int:
    """1 or -1: what turns the amounts of a document's lines (with tax) into ones that add up to its total.

    Raises VendorError `incomplete` where neither does.
    """
    added = sum((shown_number(line.foreignamount) for line in lines), Decimal(0))
    for sign in (-1, 1):
        if abs(sign * added - total) <= _ROUNDING:
            return sign
    raise VendorError(
        "incomplete", f"{name} amounts to {plain(abs(total))}, its lines to {plain(abs(added))}: some are missing"
    )


def natural(line: LineRow, amount: Decimal, turn: int) -> Decimal:
    """The quantity with the sign that it has on the document: such that it and the rate give the amount.

    `amount` is the line's, already turned by `turn`; where it or the rate is nothing, the quantity turns with it.
    """
    quantity = shown_number(line.quantity)
    if not amount or not line.rate:
        return turn * quantity
    return abs(quantity) if (amount > 0) == (line.rate > 0) else -abs(quantity)
