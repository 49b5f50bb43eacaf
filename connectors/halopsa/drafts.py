"""Syncd's own invoices: one for each charge, a draft until a person releases it. Owns how they name what they are for.

Halo gives an invoice no external id. The mark goes into `reference`; the recurring invoice that the charge belongs to,
its days and the units that it stands for go into the internal note, which no customer sees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from connectors.halopsa.lines import FAMILY, quantity
from connectors.halopsa.payloads import Invoice, Line
from syncd.errors import VendorError
from syncd.money import plain
from syncd.periods import Period

_NUMBER = r"\d+(?:\.\d+)?"
_NOTE = re.compile(
    rf"syncd (?P<mark>\S+): (?P<units>{_NUMBER}) units, sent as (?P<sent>{_NUMBER}), for recurring invoice "
    r"(?P<agreement>-?\d+), (?P<first>\d{4}-\d\d-\d\d) to (?P<last>\d{4}-\d\d-\d\d)"
)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one of syncd's own invoices stands for. `sent`: the quantity on its line, which is one where the price is
    that of all units together."""

    mark: str
    agreement_id: str
    units: Decimal
    sent: Decimal
    days: Period

    def shown(self, line: Line) -> Decimal:
        """The units that the line stands for now, also where a person changed its quantity."""
        return self.units * quantity(line) / self.sent


def note(charge: Charge) -> str:
    """The internal note."""
    return (
        f"syncd {charge.mark}: {plain(charge.units)} units, sent as {plain(charge.sent)}, for recurring invoice "
        f"{charge.agreement_id}, {charge.days.first} to {charge.days.last}"
    )


def noted_mark(invoice: Invoice) -> str:
    """The mark that an invoice's internal note names; "" for none."""
    told = _NOTE.search(invoice.internal_note or "")
    return told["mark"] if told else ""


def charge_of(invoice: Invoice, own: str) -> Charge | None:
    """What an invoice stands for, if syncd made it, this installation or another; None for everybody else's.

    Raises VendorError `malformed` where this installation made it and its note was changed.
    """
    mark = (invoice.reference or "").strip()
    if not mark.startswith((FAMILY, own)):
        return None
    told = _NOTE.search(invoice.internal_note or "")
    days = _days(told) if told else None
    if told is None or days is None or told["mark"] != mark or not Decimal(told["sent"]):
        if not mark.startswith(own):
            return None
        raise VendorError(
            "malformed",
            f"the Halo invoice #{invoice.id} bears syncd's mark {mark}, but its internal note no longer says what it "
            "charges; void it, or put the note back",
        )
    return Charge(mark, told["agreement"], Decimal(told["units"]), Decimal(told["sent"]), days)


def _days(told: re.Match[str]) -> Period | None:
    """The days of a note; None where a typo made them impossible."""
    try:
        return Period(date.fromisoformat(told["first"]), date.fromisoformat(told["last"]))
    except ValueError:
        return None
