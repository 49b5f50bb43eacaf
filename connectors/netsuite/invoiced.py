"""What NetSuite's own invoices of a period say: units and money by item, credits taken off; those that await approval,
were rejected or voided left out. All customers' documents of a period are read at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from connectors.netsuite.amounts import natural, turned
from connectors.netsuite.own import CREDIT, INVOICE, PENDING, REJECTED, VOIDED, document_name, own_charges, status_of
from connectors.netsuite.payloads import DocumentRow, ItemRow, LineRow, flag, number
from connectors.netsuite.read import Each, Reader
from connectors.netsuite.suiteql import Select, day, shown_number, whole
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, State
from syncd.periods import Period

MEASURE = "invoiced"
_LEFT_OUT = frozenset({PENDING, REJECTED, VOIDED})


@dataclass
class Sum:
    """One product's on all documents of a customer."""

    name: str
    quantity: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    aliases: dict[str, None] = field(default_factory=dict)
    dated: date = date.min


@dataclass
class Books:
    """A period's documents that count, by customer, with their lines, and how they are known to be all."""

    documents: Mapping[str, Sequence[tuple[DocumentRow, Sequence[LineRow]]]]
    problems: Mapping[str, VendorError]
    proof: str


class Invoiced:
    """The invoices of one connection. Thread-safe."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._books: Each[Period, Books] = Each(lambda period: _books(reader, period))

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; what is wrong with one's documents leaves the others alone."""
        books = self._books.get(moment.period)
        for ask in asks:
            for query in ask.queries:
                try:
                    if query.measure != MEASURE or query.where:
                        raise VendorError("unsupported", f"NetSuite's invoices cannot be read as {query}")
                    counts, found = _counts(self._reader, ask.customer.id, books)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
                else:
                    proof = f"{found} documents of {moment.period} ({books.proof}), each explained by its lines"
                    yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)


def _books(reader: Reader, period: Period) -> Books:
    sight = reader.in_sight.get()
    dated = f"t.trandate >= {day(period.first)} AND t.trandate <= {day(period.last)}"
    where = f"t.type IN ('{INVOICE}', '{CREDIT}') AND {dated}"
    currency = "" if reader.settings.currency else ", t.currency"
    documents = whole(
        reader.api,
        DocumentRow,
        Select(
            "t.type, t.entity, TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, t.tranid, t.memo, t.status, "
            f"t.voided, t.foreigntotal{currency}",
            "transaction t",
            where,
            "t.id",
        ),
    )
    lines = whole(
        reader.api,
        LineRow,
        Select(
            "tl.transaction AS document, tl.linesequencenumber AS place, tl.item, tl.memo, tl.quantity, tl.rate, "
            "tl.foreignamount, tl.taxline",
            "transactionline tl INNER JOIN transaction t ON t.id = tl.transaction",
            f"{where} AND tl.mainline = 'F' AND tl.iscogs = 'F'",
            "tl.uniquekey",
        ),
    )
    held: dict[str, list[LineRow]] = defaultdict(list)
    for line in lines.rows:
        held[number(line.document)].append(line)
    found: dict[str, list[tuple[DocumentRow, Sequence[LineRow]]]] = defaultdict(list)
    problems = {}
    for row in documents.rows:
        try:
            if status_of(row) not in _LEFT_OUT:
                found[number(row.entity)].append((row, held[number(row.id)]))
        except VendorError as error:
            problems[number(row.entity)] = error
    return Books(found, problems, f"{documents.proof}; {sight}")


def _counts(reader: Reader, customer: str, books: Books) -> tuple[tuple[Count, ...], int]:
    reader.client(customer)  # one that the role does not see would seem to have no invoices
    if problem := books.problems.get(customer):
        raise problem
    items = reader.items.get()
    sums: dict[tuple[str, str], Sum] = {}
    mine = books.documents.get(customer, ())
    for row, lines in mine:
        if row.foreigntotal is None:
            raise VendorError("malformed", f"{document_name(row)} shows no total")
        currency = reader.currency(row.currency)
        # Whether a credit memo's total is told as negative is not certain; on the memo it is positive.
        total, side = (abs(row.foreigntotal), -1) if row.type == CREDIT else (row.foreigntotal, 1)
        turn = turned(lines, total, document_name(row))
        stands_for = own_charges(row, lines)
        for line in lines:
            if flag(line.taxline) or (line.foreignamount is None and line.quantity is None):
                continue
            amount = turn * shown_number(line.foreignamount)
            sku, name, aliases = _named(line, items)
            one = sums.setdefault((sku, currency), Sum(name))
            shown, charge = natural(line, amount, turn), stands_for.get(id(line))
            one.quantity += side * (charge.shown(shown) if charge else shown)
            one.amount += side * amount
            one.aliases |= dict.fromkeys(aliases)
            one.dated = max(one.dated, date.fromisoformat(row.trandate))
    counts = tuple(
        Count(sku, one.name, one.quantity, tuple(one.aliases), amount=one.amount, currency=currency, dated=one.dated)
        for (sku, currency), one in sorted(sums.items())
    )
    return counts, len(mine)


def _named(line: LineRow, items: Mapping[str, ItemRow]) -> tuple[str, str, tuple[str, ...]]:
    """(what mappings call it, its name, its other exact keys). A line without an item is a product of its own."""
    if line.item is None:
        return "", line.memo or "lines without an item", ()
    key = number(line.item)
    row = items.get(key)
    if row is None:
        raise VendorError("incomplete", f"an invoice names the item #{key}, which NetSuite does not show")
    name = row.displayname or row.itemid
    return row.itemid, name, tuple(one for one in (key, name) if one != row.itemid)
