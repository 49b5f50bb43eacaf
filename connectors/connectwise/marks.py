"""Syncd's mark on an addition: where it is written, how it is found again, and how many units a charge stands for.

ConnectWise gives an addition no external id and no idempotency key. The mark goes into `serialNumber` (50 characters)
or into a custom text field that the admin made. A charge whose price must not be recomputed is sent as one unit at the
whole amount; the units it stands for are then told at the end of its description: "(ref sd-7f3a, 2 units)".
"""

from __future__ import annotations

import re
from decimal import Decimal

from connectors.connectwise.config import SERIAL_NUMBER
from connectors.connectwise.payloads import Addition
from syncd.connect.values import shortened
from syncd.errors import VendorError
from syncd.money import number, plain

DESCRIPTION_LENGTH = 6000
# Other installations of syncd mark with their own prefix after this one.
FAMILY = "sd-"

_TAIL = re.compile(r"\(ref (?P<ref>[!-~]+), (?P<credit>credit for )?(?P<units>\d+(?:\.\d+)?) units?\)\s*$")


def text_of(addition: Addition, field: str) -> str:
    """What stands in the field that bears marks."""
    if field == SERIAL_NUMBER:
        return (addition.serial_number or "").strip()
    values = [one.value for one in addition.custom_fields or () if one.caption == field]
    return values[0].strip() if values and isinstance(values[0], str) else ""


def marker(addition: Addition, field: str, own: str) -> str:
    """Syncd's mark, this or another installation's; "" where the field is empty or holds a person's own text."""
    text = text_of(addition, field)
    return text if text.startswith((FAMILY, own)) else ""


def bears(addition: Addition, field: str, wanted: str) -> bool:
    """Whether the addition bears exactly this mark, in its field or in the tail of its description."""
    tail = _TAIL.search(addition.invoice_description or "")
    return text_of(addition, field) == wanted or bool(tail and tail["ref"] == wanted)


def marked(addition: Addition, field: str, own: str) -> bool:
    """Whether it bears any mark of syncd's, this or another installation's, in its field or in its description."""
    told = _TAIL.search(addition.invoice_description or "")
    return bool(marker(addition, field, own)) or bool(told and told["ref"].startswith((FAMILY, own)))


def tail(wanted: str, units: Decimal, *, credit: bool) -> str:
    """The end of a description that tells what one unit at the whole amount stands for."""
    return f"(ref {wanted}, {'credit for ' if credit else ''}{plain(units)} units)"


def units(addition: Addition, mark: str) -> Decimal:
    """How many units an addition stands for: negative for one of syncd's own credits, else its quantity.

    A credit is an addition with a negative price (ConnectWise prorates nothing downwards), so its quantity alone would
    count a fall as a rise. Raises VendorError `malformed` where quantity or price are none.
    """
    quantity = figure(addition, "quantity", addition.quantity) or Decimal(0)
    if not mark:
        return quantity
    told = _TAIL.search(addition.invoice_description or "")
    if told and told["ref"] == mark:
        return (-Decimal(told["units"]) if told["credit"] else Decimal(told["units"])) * quantity
    price = figure(addition, "price", addition.unit_price)
    return -abs(quantity) if price is not None and price < 0 else quantity


def figure(addition: Addition, what: str, told: Decimal | None) -> Decimal | None:
    """A number that an addition shows, None where it shows none. Raises VendorError `malformed` for one that no count
    or price can be: arithmetic with it would fail, or go on for ever, far from the customer whose it is."""
    if told is None:
        return None
    try:
        return number(told)
    except ValueError as error:
        raise VendorError(
            "malformed", f"the ConnectWise addition #{addition.id} shows no usable {what}: {error}"
        ) from None


def described(description: str, end: str = "") -> str:
    """A description on one line (line breaks are turned into spaces anyway), cut between words at the limit."""
    text = shortened(description, DESCRIPTION_LENGTH - (len(end) + 1 if end else 0))
    return f"{text} {end}".strip()
