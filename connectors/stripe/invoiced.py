"""What Stripe's invoices of a period say: units and money of each price, credits taken off; drafts and voided invoices
left out.

An invoice is dated by what is printed on it (`effective_at`), else by when it was finalised. A line that prorates is
money for a part of a period and no unit. Amounts are without tax and after discounts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from connectors.stripe import amounts, times
from connectors.stripe.api import Api
from connectors.stripe.own import OP, PRICE, decimal, noted, price_of
from connectors.stripe.payloads import CreditLine, CreditNote, Invoice, Line, id_of
from connectors.stripe.read import Reader
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, State
from syncd.money import plain

MEASURE = "invoiced"
_CHARGED = frozenset({"open", "paid", "uncollectible"})
_KNOWN = _CHARGED | {"draft", "void"}
# Invoices are listed by when they were made; a draft may wait a long time before it is finalised.
_LOOK_BACK = timedelta(days=400)


@dataclass
class Sum:
    """What the lines of one price come to."""

    name: str
    aliases: tuple[str, ...] = ()
    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    dated: date | None = None


@dataclass
class Sums:
    """The counts of one customer, by price and currency. `day`: that of the invoice whose lines are taken in."""

    found: dict[tuple[str, str, str], Sum] = field(default_factory=dict)
    day: date = date.min

    def add(self, sku: str, name: str, aliases: tuple[str, ...], currency: str, quantity: Decimal, amount: int) -> None:
        """Takes one line in. `amount` in minor units."""
        one = self.found.setdefault((sku, "" if sku else name, currency.upper()), Sum(name))
        one.aliases = tuple(dict.fromkeys((*one.aliases, *aliases)))
        one.quantity += quantity
        one.amount += amounts.major(amount, currency)
        one.dated = max(one.dated or self.day, self.day)

    def counts(self) -> tuple[Count, ...]:
        """The counts, in an order of their own."""
        return tuple(
            Count(sku, one.name, one.quantity, one.aliases, currency=currency, amount=one.amount, dated=one.dated)
            for (sku, _, currency), one in sorted(self.found.items())
        )


class Invoiced:
    """Invoices of one account. Thread-safe."""

    def __init__(self, api: Api, reader: Reader) -> None:
        self._api = api
        self._reader = reader

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a failure of one customer's invoices leaves the others alone."""
        for ask in asks:
            for query in ask.queries:
                try:
                    if query.measure != MEASURE or query.where:
                        raise VendorError("unsupported", f"Stripe's invoices cannot be read as {query}")
                    counts, proof = self._counts(ask.customer.id, moment)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
                else:
                    yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)

    def _counts(self, customer: str, moment: Moment) -> tuple[tuple[Count, ...], str]:
        zone = self._reader.zone
        since = times.instant(moment.period.first - _LOOK_BACK, zone)
        found = self._api.whole("v1/invoices", Invoice, "invoices", {"customer": customer, "created": {"gte": since}})
        sums, number = Sums(), 0
        for invoice in found.rows:
            if id_of(invoice.customer) != customer:
                raise VendorError("wrong_tenant", f"Stripe answered with another customer's invoice than {customer}'s")
            if invoice.status not in (None, *_KNOWN):
                raise VendorError("malformed", f"the Stripe invoice {_name(invoice)} is {invoice.status!r}: not known")
            dated = invoice.effective_at or invoice.status_transitions.finalized_at or invoice.created
            if invoice.status not in _CHARGED or times.day_of(dated, zone) not in moment.period:
                continue
            number += 1
            sums.day = times.day_of(dated, zone)
            self._add(invoice, sums)
        proof = f"{number} invoices of the period ({found.proof}), every amount explained by its lines"
        return sums.counts(), proof

    def _add(self, invoice: Invoice, sums: Sums) -> None:
        """All lines of one invoice, and what credit notes take off. Raises VendorError `incomplete` where the lines do
        not add up to what the invoice charges."""
        lines = self._api.rest(f"v1/invoices/{invoice.id}/lines", Line, "lines", invoice.lines, {})
        shipping = invoice.shipping_cost.amount_subtotal if invoice.shipping_cost else 0
        explained = sum(map(_net, lines)) + shipping
        if invoice.total_excluding_tax is not None and abs(invoice.total_excluding_tax - explained) > len(lines):
            raise VendorError(
                "incomplete",
                f"the Stripe invoice {_name(invoice)} charges {_money(invoice.total_excluding_tax, invoice)} without "
                f"tax, its lines show {_money(explained, invoice)}: some are missing",
            )
        for line in lines:
            if line.currency != invoice.currency:
                raise VendorError("malformed", f"the Stripe invoice {_name(invoice)} has lines in two currencies")
            shown = decimal(line.quantity_decimal, line.id) if line.quantity_decimal else Decimal(line.quantity or 0)
            units = _units(line, shown)
            self._line(line, -abs(units) if line.amount < 0 else units, _net(line), sums)
        if shipping:
            sums.add("", "Shipping", (), invoice.currency, Decimal(0), shipping)
        if invoice.pre_payment_credit_notes_amount or invoice.post_payment_credit_notes_amount:
            self._credits(invoice, {line.id: line for line in lines}, sums)

    def _line(self, line: Line, units: Decimal, amount: int, sums: Sums) -> None:
        details = line.pricing.price_details if line.pricing else None
        mine = (line.metadata or {}).get(PRICE, "")
        price = price_of(mine) or (id_of(details.price) if details else "")
        product = details.product if details else ""
        one = self._reader.catalogue.get().by_price.get(price)
        name = one.name if one else line.description or "(no description)"
        aliases = tuple(text for text in (one.id if one else "", product, name) if text and text != price)
        sums.add(price, name, aliases, line.currency, units, amount)

    def _credits(self, invoice: Invoice, lines: dict[str, Line], sums: Sums) -> None:
        found = self._api.whole("v1/credit_notes", CreditNote, "credit notes", {"invoice": invoice.id})
        for note in found.rows:
            if id_of(note.invoice) != invoice.id:
                raise VendorError("wrong_tenant", f"Stripe answered with a credit note of another invoice, {note.id}")
            if note.status == "void":
                continue
            for credit in self._api.rest(
                f"v1/credit_notes/{note.id}/lines", CreditLine, "lines of a credit note", note.lines, {}
            ):
                amount = credit.amount - sum(one.amount for one in credit.discount_amounts or ())
                amount -= sum(one.amount for one in credit.taxes or () if one.tax_behavior == "inclusive")
                line = lines.get(credit.invoice_line_item or "")
                if line is None:
                    sums.add("", credit.description or f"credit {note.id}", (), note.currency, Decimal(0), -amount)
                else:
                    # Only a line that is taken back whole names its quantity.
                    self._line(line, -_units(line, Decimal(credit.quantity or 0)), -amount, sums)


def _net(line: Line) -> int:
    """A line's money in minor units: after discounts, without tax."""
    inclusive = sum(one.amount for one in line.taxes or () if one.tax_behavior == "inclusive")
    return line.amount - sum(one.amount for one in line.discount_amounts or ()) - inclusive


def _units(line: Line, quantity: Decimal) -> Decimal:
    """What so many of a line stand for: nothing where it is a proration, syncd's units where it is syncd's."""
    details = line.parent and (line.parent.subscription_item_details or line.parent.invoice_item_details)
    if details and details.proration:
        return Decimal(0)
    mine = noted((line.metadata or {}).get(OP, ""))
    if mine is None:
        raise VendorError(
            "malformed",
            f"the line {line.id} of a Stripe invoice bears syncd's mark, but its metadata ({OP}) no longer says what "
            "it charges; put it back, or void the invoice",
        )
    return mine[0].shown(quantity) if len(mine) == 1 else quantity


def _name(invoice: Invoice) -> str:
    return invoice.number or invoice.id


def _money(units: int, invoice: Invoice) -> str:
    return f"{plain(amounts.major(units, invoice.currency))} {invoice.currency.upper()}"
