"""Fills the double's books with what was read of real ones. What syncd's nouns do not tell is chosen so that the
records read back as they were given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from connectors.xero.sandbox_state import Books, Row
from syncd.model import Agreement, BilledLine, Billing, Product, RemoteCustomer


def fill(
    books: Books, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> None:
    """Replaces all records."""
    for table in books.tables.values():
        table.clear()
    for product in products:
        books.item(product.identifier, product.name, product.unit_price or Decimal(0), item_id=product.id)
        if product.obstacle:
            books.tables["Items"][product.id]["IsSold"] = False
    for customer in customers:
        number, account = (*customer.identifiers, None, None)[:2]
        books.contact(customer.name, contact_id=customer.id, ContactNumber=number, AccountNumber=account)
    for billing in billings:
        for account_ in billing.agreements:
            _account(books, account_, [line for line in billing.lines if line.agreement_id == account_.id])


def _account(books: Books, account: Agreement, lines: Sequence[BilledLine]) -> None:
    contact = books.tables["Contacts"].get(account.customer_id)
    if contact is None:
        return
    if account.obstacle:
        contact["ContactStatus"] = "ARCHIVED"
    if account.currency:
        contact["DefaultCurrency"] = account.currency
        books.currencies.add(account.currency)
    if account.invoiced_through is not None:
        books.organisation["PeriodLockDate"] = account.invoiced_through
    own: dict[str, list[BilledLine]] = defaultdict(list)
    for line in lines:
        if line.once and line.marker:
            own[line.id.partition("/")[0]].append(line)
        elif not line.once:
            _template(books, contact, line)
    for id_, some in own.items():
        _document(books, contact, id_, sorted(some, key=lambda line: int(line.id.partition("/")[2] or 0)))


def _template(books: Books, contact: Row, line: BilledLine) -> None:
    reference, _, text = line.name.removeprefix("repeating invoice ").partition(": ")
    starts = line.starts or books.now().date().replace(day=1)
    books.template(
        contact, [{**_given(line), "Description": text or line.name, "LineItemID": line.id}], starts,
        Reference=reference, Schedule={"EndDate": line.ends},
    )  # fmt: skip


def _document(books: Books, contact: Row, id_: str, lines: Sequence[BilledLine]) -> None:
    credit = lines[0].quantity < 0
    days = [(line.starts, line.ends) for line in lines]
    last = max((ends for _, ends in days if ends), default=books.now().date())
    names = "; ".join(
        f"{line.marker} {abs(line.quantity):f}{'/1' if _folded(line) else ''} {line.starts:%Y%m%d}-{line.ends:%Y%m%d}"
        for line in lines
        if line.starts and line.ends
    )
    resource, key = ("CreditNotes", "CreditNoteID") if credit else ("Invoices", "InvoiceID")
    books.document(
        resource, contact, last, [{**_given(line), "Description": line.name or "-"} for line in lines],
        Reference=names, Status="DRAFT", **{key: id_},
    )  # fmt: skip


def _given(line: BilledLine) -> Row:
    item = {"ItemCode": line.product} if line.product else {}
    if _folded(line):
        return {**item, "Quantity": Decimal(1), "UnitAmount": line.amount}
    return {**item, "Quantity": abs(line.quantity), "UnitAmount": line.unit_price or Decimal(0)}


def _folded(line: BilledLine) -> bool:
    """Whether all units stand there as one at the whole amount."""
    return line.amount is not None and line.amount != abs(line.quantity) * (line.unit_price or Decimal(0))
