"""What the invoices of a period say: units and money by item, credits taken off; drafts and voided ones left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from connectors.xero.dates import day
from connectors.xero.own import marked, name, own
from connectors.xero.payloads import Document, Invoice, Item, Line, units
from connectors.xero.read import Reader
from connectors.xero.recurring import item_of
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Query, Reading, State
from syncd.money import plain
from syncd.periods import Period

MEASURE = "invoiced"
# In the books, whoever has paid what.
BOOKED = ("AUTHORISED", "PAID")
_CENT = Decimal("0.01")


@dataclass(slots=True)
class _Sum:
    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    name: str = ""
    aliases: dict[str, None] = field(default_factory=dict)
    dated: date | None = None


class Booked:
    """What was invoiced, period by period. Thread-safe."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def readings(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a failure of one contact's invoices leaves the others alone."""
        for ask in asks:
            for query in ask.queries:
                try:
                    counts, proof = self._counts(ask.customer.id, query, moment.period)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
                else:
                    yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)

    def _counts(self, contact: str, query: Query, period: Period) -> tuple[tuple[Count, ...], str]:
        if query.measure != MEASURE or query.where:
            raise VendorError("unsupported", f"Xero's invoices cannot be read as {query}")
        books, proof = self._reader.dated(period)
        items = self._reader.catalogue.get()
        house = self._reader.organisation.get().currency
        sums: dict[tuple[str, str, str], _Sum] = defaultdict(_Sum)
        documents = [one for one in books.get(contact, ()) if one.status in BOOKED]
        for document in documents:
            currency = document.currency or house
            stands_for = _own_units(document)
            for line, net in _net(document):
                sign = 1 if isinstance(document, Invoice) else -1
                sku, called, aliases = _named(line, items)
                entry = sums[sku, "" if sku else called, currency]
                entry.quantity += sign * stands_for.get(id(line), units(line.quantity))
                entry.amount += sign * net
                entry.name = entry.name or called
                entry.aliases |= dict.fromkeys(aliases)
                entry.dated = max(filter(None, (entry.dated, day(document.dated))), default=None)
        counts = tuple(
            Count(
                sku,
                entry.name,
                entry.quantity,
                tuple(entry.aliases),
                currency=currency,
                amount=entry.amount,
                dated=entry.dated,
            )
            for (sku, _, currency), entry in sorted(sums.items())
        )
        return counts, f"{len(documents)} documents of {period} ({proof}), each explained by its lines"


def _net(document: Document) -> list[tuple[Line, Decimal]]:
    """The lines that charge something, each with its money without tax.

    Raises VendorError `incomplete` where they do not add up to what the document charges.
    """
    if document.lines is None or document.subtotal is None:
        raise VendorError("incomplete", f"Xero shows no lines of {name(document)}, or no subtotal")
    found = []
    for line in document.lines:
        if line.remark:
            continue
        amount = line.amount if line.amount is not None else Decimal(0)
        if document.amounts == "Inclusive":
            amount -= line.tax_amount or Decimal(0)
        found.append((line, amount))
    shown = sum((net for _, net in found), Decimal(0))
    if abs(shown - document.subtotal) > _CENT * max(len(found), 1):
        raise VendorError(
            "incomplete",
            f"{name(document)} charges {plain(document.subtotal)} before tax, its lines show {plain(shown)}: some are "
            "missing",
        )
    return found


def _own_units(document: Document) -> dict[int, Decimal]:
    """The units behind syncd's own lines, which may stand there as one at the whole amount."""
    if not marked(document):
        return {}
    try:
        return {id(one.line): one.units for one in own(document)}
    except VendorError:  # a person worked on it: what it shows counts
        return {}


def _named(line: Line, items: Mapping[str, Item]) -> tuple[str, str, tuple[str, ...]]:
    """(sku, name, further keys) of a line: its item, else its account."""
    item = item_of(line, items)
    if item is not None:
        also = (item.item_id, line.code, item.name or "")
        return item.code, item.name or item.code, tuple(key for key in also if key and key != item.code)
    if line.code:
        return line.code, line.description or line.code, ()
    return "", f"account {line.account}" if line.account else line.description or "without an item", ()
