"""What was invoiced in a period: invoices and sales receipts, credit memos and refund receipts taken off, by item.

Estimates are no invoices, and voided documents show nothing. The money of every document must be explained by its
lines, or what it says is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from connectors.quickbooks.documents import CREDIT, item_of, named, own, voided
from connectors.quickbooks.payloads import Document, Item, Line
from connectors.quickbooks.read import SALES, Reader, code_of, currency
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, State
from syncd.money import ZERO, plain

MEASURE = "invoiced"
_NEGATIVE = frozenset({CREDIT, "RefundReceipt"})
# QuickBooks rounds each line and each tax; a total may differ from their sum by that.
_ROUNDING = Decimal("0.01")
_NAMES = 5


@dataclass(slots=True)
class _Sum:
    names: dict[str, None] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    quantity: Decimal = ZERO
    amount: Decimal = ZERO
    dated: date = date.min


def booked(reader: Reader, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
    """One Reading for each customer and query. Raises VendorError where the lists cannot be read; a document that is
    not explained spoils its customer's reading alone."""
    lists = reader.sales(moment)
    facts, everybody, items = reader.facts.get(), reader.everybody.get(), reader.items.get()
    mine: dict[str, list[tuple[str, Document]]] = {}
    for entity in SALES:
        for row in lists[entity].rows:
            if row.txn_date in moment.period and not voided(row):
                mine.setdefault(row.customer, []).append((entity, row))
    listed = ", ".join(lists[entity].proof for entity in SALES)
    for ask in asks:
        documents = mine.get(ask.customer.id, [])
        for query in ask.queries:
            try:
                if query.measure != MEASURE or query.where:
                    raise VendorError("unsupported", f"QuickBooks' invoices cannot be read as {query}")
                if ask.customer.id not in everybody:
                    raise VendorError("not_found", f"QuickBooks has no customer #{ask.customer.id}")
                counts = _counts(documents, items, currency(everybody[ask.customer.id], facts))
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
            else:
                proof = f"{len(documents)} documents of the period, each total explained by its lines ({listed})"
                yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)


def _counts(documents: Sequence[tuple[str, Document]], items: Mapping[str, Item], money: str) -> tuple[Count, ...]:
    sums: dict[str, _Sum] = {}
    for entity, row in documents:
        if row.currency_ref is not None and money and row.currency_ref.value != money:
            told = row.currency_ref.value
            raise VendorError("malformed", f"the {named(entity, row)} is in {told}, its customer's currency is {money}")
        _explained(entity, row)
        sign = -1 if entity in _NEGATIVE else 1
        units = _own_units(entity, row)
        for line in _lines(row.line):
            sku, name, aliases = _called(line, items)
            one = sums.setdefault(sku, _Sum(aliases=aliases))
            one.names.setdefault(name)
            one.quantity += sign * units.get(id(line), _quantity(line))
            one.amount += sign * _amount(line)
            one.dated = max(one.dated, row.txn_date)
    return tuple(
        Count(
            sku=sku,
            name=", ".join(list(one.names)[:_NAMES]) + (", …" if len(one.names) > _NAMES else ""),
            quantity=one.quantity,
            aliases=one.aliases,
            amount=one.amount,
            currency=money,
            dated=one.dated,
        )
        for sku, one in sorted(sums.items())
    )


def _lines(lines: Sequence[Line]) -> Iterator[Line]:
    """The lines that charge something, those inside bundles instead of the bundle."""
    for line in lines:
        if line.group_line_detail is not None:
            yield from _lines(line.group_line_detail.line)
        elif not _subtotal(line) and (line.sales_item_line_detail or line.amount):
            yield line


def _subtotal(line: Line) -> bool:
    """A derived line. Intuit's own examples write its type in two ways."""
    return line.detail_type.replace("_", "").casefold() == "subtotallinedetail"


def _called(line: Line, items: Mapping[str, Item]) -> tuple[str, str, tuple[str, ...]]:
    """(sku, name, other keys): the item's; "" for a line without one, by what it says of itself."""
    item = items.get(item_of(line))
    if item is not None:
        sku = code_of(item)
        return sku, item.name, tuple(dict.fromkeys(one for one in (item.id, item.name) if one != sku))
    sold, discount = line.sales_item_line_detail, line.discount_line_detail
    if sold is not None and sold.item_ref is not None and sold.item_ref.value:  # shipping and the like
        return sold.item_ref.value, sold.item_ref.name or sold.item_ref.value, ()
    account = discount.discount_account_ref if discount else None
    return "", line.description or (account.name if account else "") or line.detail_type or "a line without item", ()


def _quantity(line: Line) -> Decimal:
    """A line may name an amount alone: that is one of it. A discount is a quantity of nothing."""
    sold = line.sales_item_line_detail
    if sold is None:
        return ZERO
    return sold.qty if sold.qty is not None else Decimal(bool(line.amount))


def _amount(line: Line) -> Decimal:
    """A discount's amount is written without its sign."""
    amount = line.amount or ZERO
    return -amount if line.discount_line_detail is not None else amount


def _own_units(entity: str, row: Document) -> dict[int, Decimal]:
    """The units behind syncd's own lines, which may stand there as one at the whole amount."""
    try:
        return {id(one.line): one.units for one in own(entity, row) if one.line is not None}
    except VendorError:  # a person worked on it: what it shows counts
        return {}


def _explained(entity: str, row: Document) -> None:
    """Raises VendorError `incomplete` where the lines do not add up to what the document charges."""
    if row.total_amt is None:
        raise VendorError("incomplete", f"the {named(entity, row)} shows no total")
    tax = (row.txn_tax_detail.total_tax if row.txn_tax_detail else None) or ZERO
    lines = list(_lines(row.line))
    shown = sum((_amount(line) for line in lines), ZERO)
    charged = row.total_amt - tax
    if abs(charged - shown) > _ROUNDING * max(len(lines), 1):
        raise VendorError(
            "incomplete",
            f"the {named(entity, row)} charges {plain(charged)} before tax, its lines show {plain(shown)}: some are "
            "missing",
        )
