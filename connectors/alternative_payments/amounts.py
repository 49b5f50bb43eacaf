"""Money on an invoice's lines, as the set-up proof found it: per unit or per line, in dollars or cents. Pure.

The vendor documents neither. Where the keys are not set no amount is believed, in either direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connectors.alternative_payments.config import PaymentsSettings
from connectors.alternative_payments.payloads import Invoice, Line
from syncd.connect.documents import arithmetic
from syncd.errors import VendorError
from syncd.model import Posting
from syncd.money import plain, plain_money, round_money

CURRENCY = "USD"
_CENT = Decimal("0.01")
_MINOR = 100


@dataclass(frozen=True, slots=True)
class Amounts:
    """How lines are read and written. Both empty where nothing was proved."""

    unit: str = ""
    basis: str = ""

    @classmethod
    def of(cls, settings: PaymentsSettings) -> Amounts:
        """As the keys say."""
        return cls(settings.amount_unit or "", settings.amount_basis or "")

    @property
    def proved(self) -> bool:
        """Whether money can be told at all."""
        return bool(self.unit and self.basis)

    def charged(self, line: Line) -> Decimal:
        """What a line charges, in dollars."""
        told = line.amount / _MINOR if self.unit == "minor" else line.amount
        return told * line.quantity if self.basis == "per_unit" else told

    def written(self, quantity: Decimal, each: Decimal) -> Decimal:
        """The number that a line's `amount` must hold for so many units at `each` dollars."""
        told = each * quantity if self.basis == "line" else each
        return Decimal(plain(told * _MINOR if self.unit == "minor" else told))

    def agrees(self, told: Decimal | None, meant: Decimal, slack: Decimal = Decimal(0)) -> bool:
        """Whether a sub-total shows that many dollars. Where amounts are cents it may be in cents or dollars: the proof
        shows only that it is one of the two."""
        if told is None:
            return False
        shown = (told, told / _MINOR) if self.unit == "minor" else (told,)
        return any(abs(one - meant) <= slack for one in shown)

    def explained(self, invoice: Invoice) -> None:
        """Raises VendorError `incomplete` where the lines do not come to what the invoice charges before tax."""
        if not self.proved or invoice.sub_total is None:
            return
        lines = sum((self.charged(line) for line in invoice.line_items), Decimal(0))
        if not self.agrees(invoice.sub_total, lines, _CENT * max(len(invoice.line_items), 1)):
            raise VendorError(
                "incomplete",
                f"the invoice {invoice.called} charges {plain(invoice.sub_total)} before tax, its lines come to "
                f"{plain(lines)}: some are missing, or amount_unit and amount_basis are not what was proved",
            )


def due(posting: Posting) -> Decimal:
    """What the posting charges, in whole cents. Raises ValueError where no price is known."""
    if posting.amount is not None:
        return round_money(posting.amount, CURRENCY)
    if posting.unit_price is None:
        raise ValueError("an invoice needs a price")
    return round_money(posting.unit_price * posting.quantity, CURRENCY)


def sent(posting: Posting) -> tuple[Decimal, Decimal]:
    """(quantity, dollars for one) of the line: whole units at whole cents, else one unit at the whole amount. Raises
    ValueError where no price is known."""
    amount = due(posting)
    quantity, each = arithmetic(posting, 2)
    whole = quantity == quantity.to_integral_value() and each == each.quantize(_CENT) and quantity * each == amount
    return (quantity, each) if whole else (Decimal(1), amount)


def shown(amount: Decimal) -> str:
    """Dollars for people."""
    return f"{plain_money(amount, CURRENCY)} {CURRENCY}"
