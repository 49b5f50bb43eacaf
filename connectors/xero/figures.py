"""Quantity and price of a line, so that Xero's own arithmetic gives exactly the amount. Pure.

Xero keeps four digits of a quantity and, with `unitdp=4`, of a unit price; the product is rounded to cents. What does
not fit goes as one unit at the whole amount; its units stand in the description.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from connectors.xero.abilities import PLACES
from syncd.connect.documents import Charge, arithmetic
from syncd.model import Posting
from syncd.periods import Period

_CENT = Decimal("0.01")


def figures(posting: Posting) -> tuple[Decimal, Decimal]:
    """(quantity, unit price). Raises ValueError where no price is known, or it cannot be written in four digits."""
    quantity, price = arithmetic(posting, PLACES)
    if fits(quantity) and fits(price):
        return quantity, price
    if posting.amount is None or not fits(posting.amount):
        raise ValueError(f"{quantity} at {price} does not fit into {PLACES} digits after the point")
    return Decimal(1), posting.amount


def fits(value: Decimal) -> bool:
    """Whether Xero keeps every digit."""
    return value == value.quantize(Decimal(1).scaleb(-PLACES))


def charge(posting: Posting) -> Charge:
    """What a posting's line stands for. Raises ValueError for a posting without days or price."""
    if posting.starts is None or posting.ends is None:
        raise ValueError("a document needs the days that it covers")
    return Charge(posting.marker, posting.quantity, figures(posting)[0], Period(posting.starts, posting.ends))


def line_amount(quantity: Decimal, price: Decimal) -> Decimal:
    """What a line charges, to the cent. A line whose price came from Xero may end in half a cent."""
    return (quantity * price).quantize(_CENT, ROUND_HALF_UP)
