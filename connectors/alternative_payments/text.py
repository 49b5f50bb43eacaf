"""What stands in a line's description: which item it is, what the customer reads, and what syncd charged. Pure.

The vendor gives an invoice no reference, no external id and no metadata, so the text is all there is:
`Microsoft 365 Business Premium | 2026-11: 3 more, 0 to 3 [sd-7qxz-… 3 20261101-20261130]`. A line that others wrote is
named by its whole text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connectors.alternative_payments.amounts import sent
from connectors.alternative_payments.payloads import Invoice, Line
from syncd.connect.documents import FAMILY, Charge, charges
from syncd.errors import VendorError
from syncd.model import Posting
from syncd.periods import Period

SEPARATOR = " | "
NAMELESS = "(no description)"


@dataclass(frozen=True, slots=True)
class Own:
    """A line that syncd made, this installation or another."""

    item: str
    line: Line
    charge: Charge

    @property
    def units(self) -> Decimal:
        """The units that it stands for now, also where a person changed its quantity."""
        return self.charge.shown(self.line.quantity)


def on_one_line(text: str | None) -> str:
    """A text without line breaks and doubled spaces."""
    return " ".join((text or "").split())


def description(posting: Posting) -> str:
    """The text of a posting's line. Raises ValueError for a posting without days or price."""
    if posting.starts is None or posting.ends is None:
        raise ValueError("an invoice needs the days that it covers")
    item = on_one_line(posting.product_id)
    told = on_one_line(posting.description).removeprefix(item).lstrip(" ,:;|-")
    mark = Charge(posting.marker, posting.quantity, sent(posting)[0], Period(posting.starts, posting.ends))
    return f"{item}{SEPARATOR}{told} [{mark}]" if told else f"{item}{SEPARATOR}[{mark}]"


def own_line(invoice: Invoice, line: Line, own: str) -> Own | None:
    """What a line stands for, if syncd made it; None for everybody else's.

    `own`: how this installation's marks begin. Raises VendorError `malformed` where its mark is there and the rest of
    the note is not.
    """
    text = on_one_line(line.description)
    found = charges(text)
    if len(found) == 1 and found[0].sent:
        return Own(text.partition(SEPARATOR)[0], line, found[0])
    if found or own in text:
        raise VendorError(
            "malformed",
            f"a line of the invoice {invoice.called} bears syncd's mark ({FAMILY}…), and its text no longer says what "
            "it charges; archive the invoice, or put the text back",
        )
    return None


def name_of(line: Line, mine: Own | None) -> str:
    """What names the line: the item that syncd wrote, else the whole text."""
    return mine.item if mine else on_one_line(line.description) or NAMELESS
