"""Reads customers, items, the company's settings, and syncd's own documents.

Lists are read once for each open connection (one cycle), whoever asks: reads are metered. The settings and the counts
of customers and items come in one batch, the counts of documents in another.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TypeVar

import msgspec

from connectors.quickbooks import payloads
from connectors.quickbooks.api import Api
from connectors.quickbooks.documents import CREDIT, ESTIMATE, INVOICE, Own, marks, named, own, voided
from connectors.quickbooks.payloads import Document
from connectors.quickbooks.query import ACTIVE_OR_NOT, Where, Whole, counted, single, whole
from syncd.connect.http import Reply
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, RemoteCustomer, State

T = TypeVar("T")

# Usage posts in arrears and corrects what is over: own documents are looked for in four months before this period.
BACK = timedelta(days=130)
OWN = (ESTIMATE, INVOICE, CREDIT)
SALES = (INVOICE, CREDIT, "SalesReceipt", "RefundReceipt")

# Why an item of a type cannot stand on a true-up line; the other types can.
_UNBILLABLE = {
    "Inventory": "is counted in stock, which a true-up would take from",
    "Assembly": "is counted in stock, which a true-up would take from",
    "Group": "is a bundle",
    "Bundle": "is a bundle",
    "Payment": "is a payment",
    "Subtotal": "is a subtotal",
    "Discount": "is a discount",
    "Tax": "is a tax",
    "Tax Group": "is a tax",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the company is, and how many customers and items it has."""

    company: payloads.Company
    preferences: payloads.Preferences
    customers: int
    items: int

    @property
    def american(self) -> bool:
        """Whether lines take "TAX" or "NON" instead of tax codes of the company's own."""
        return self.company.country.upper() in ("US", "USA") or bool(self.preferences.tax_prefs.partner_tax_enabled)

    @property
    def home_currency(self) -> str:
        """The company's own currency; "" where QuickBooks does not tell it (a company of one currency)."""
        home = self.preferences.currency_prefs.home_currency
        return home.value if home else ""


class Reader:
    """One connection's reads. Thread-safe."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.facts = Once(self._facts)
        self.everybody = Once(self._customers)
        self.items = Once(self._items)
        self._lock = threading.Lock()
        self._lists: dict[tuple[str, date, date | None], Once[Mapping[str, Whole[Document]]]] = {}

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All customers and sub-customers, inactive ones too. Raises VendorError."""
        return tuple(
            RemoteCustomer(
                row.id,
                row.display_name,
                identifiers=(row.fully_qualified_name,)
                if row.fully_qualified_name not in ("", row.display_name)
                else (),
                active=row.active,
                links=(row.company_name,) if row.company_name not in ("", row.display_name) else (),
            )
            for row in self.everybody.get().values()
        )

    def products(self) -> tuple[Product, ...]:
        """All items but the categories that they are sorted into. Raises VendorError."""
        facts = self.facts.get()
        return tuple(_product(row, facts) for row in self.items.get().values() if row.type != "Category")

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each customer: its account, and what syncd's own documents charge. Raises VendorError where
        the lists cannot be read; what cannot be told for one customer leaves the others alone."""
        facts, everybody, items = self.facts.get(), self.everybody.get(), self.items.get()
        lists = self.own_documents(moment)
        proof = ", ".join(one.proof for one in lists.values())
        by_customer: dict[str, list[tuple[str, Document]]] = {}
        for entity, listed in lists.items():
            for row in listed.rows:
                if marks(row):
                    by_customer.setdefault(row.customer, []).append((entity, row))
        for customer in customers:
            account = everybody.get(customer.id)
            try:
                if account is None:
                    raise VendorError("not_found", f"QuickBooks has no customer #{customer.id}")
                found = _standing(account.id, by_customer.get(account.id, ()), items)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))
            else:
                yield Billing(customer.id, State.KNOWN, (_agreement(account, facts),), tuple(found), proof=proof)

    def own_documents(self, moment: Moment) -> Mapping[str, Whole[Document]]:
        """Estimates, invoices and credit memos since four months before the period."""
        return self._documents("own", OWN, moment.period.first - BACK, None).get()

    def sales(self, moment: Moment) -> Mapping[str, Whole[Document]]:
        """What was sold in the period: invoices and credit memos (out of the longer lists, where those were read),
        sales and refund receipts."""
        first, last = moment.period.first, moment.period.last
        longer = self._documents("own", OWN, first - BACK, None).known()
        if longer is None:
            return self._documents("sales", SALES, first, last).get()
        return {**longer, **self._documents("receipts", SALES[2:], first, last).get()}

    def tax_code(self, product_id: str, customer_id: str) -> str:
        """The tax code of a line, as the books say it: the item's, else the customer's; "" where there is none or no
        sales tax is used. Raises VendorError."""
        facts = self.facts.get()
        item = self.items.get().get(product_id)
        if not facts.preferences.tax_prefs.using_sales_tax:
            return ""
        if facts.american:
            return "TAX" if item is not None and item.taxable else "NON"
        customer = self.everybody.get().get(customer_id)
        for ref in (item.sales_tax_code_ref if item else None, customer.default_tax_code_ref if customer else None):
            if ref is not None and ref.value:
                return ref.value
        return ""

    def has_tax_code(self, product_id: str, customer_id: str) -> bool:
        """Whether the books name a code for a line, or need none; True where they were not read. No I/O."""
        facts = self.facts.known()
        if facts is None or self.items.known() is None or self.everybody.known() is None:
            return True
        return not facts.preferences.tax_prefs.using_sales_tax or bool(self.tax_code(product_id, customer_id))

    def currency(self, customer_id: str) -> str:
        """The customer's currency, else the company's own. Raises VendorError."""
        return currency(self.everybody.get().get(customer_id), self.facts.get())

    def _documents(
        self, name: str, entities: Sequence[str], first: date, last: date | None
    ) -> Once[Mapping[str, Whole[Document]]]:
        where = [Where("TxnDate", ">=", first)] + ([Where("TxnDate", "<=", last)] if last else [])

        def make() -> Mapping[str, Whole[Document]]:
            counts = self.api.counts([(entity, where) for entity in entities])
            return {
                entity: whole(self.api, entity, Document, where, count=count)
                for entity, count in zip(entities, counts, strict=True)
            }

        with self._lock:
            return self._lists.setdefault((name, first, last), Once(make))

    def _facts(self) -> Facts:
        answers = self.api.batch(
            [
                single("CompanyInfo"),
                single("Preferences"),
                counted("Customer", (ACTIVE_OR_NOT,)),
                counted("Item", (ACTIVE_OR_NOT,)),
            ]
        )
        company = _only(*answers[0], "CompanyInfo", payloads.Company)
        preferences = _only(*answers[1], "Preferences", payloads.Preferences)
        totals = [_number(*answer) for answer in answers[2:]]
        return Facts(company, preferences, *totals)

    def _customers(self) -> Mapping[str, payloads.Customer]:
        found = whole(self.api, "Customer", payloads.Customer, (ACTIVE_OR_NOT,), count=self.facts.get().customers)
        return {row.id: row for row in found.rows}

    def _items(self) -> Mapping[str, payloads.Item]:
        count = self.facts.get().items
        found = whole(self.api, "Item", payloads.Item, (ACTIVE_OR_NOT,), fields="*, Sku", count=count)
        return {row.id: row for row in found.rows}


def currency(customer: payloads.Customer | None, facts: Facts) -> str:
    """A customer's currency, else the company's own."""
    told = customer.currency_ref if customer else None
    return (told.value if told else "") or facts.home_currency


def code_of(item: payloads.Item) -> str:
    """What mappings call an item: its SKU, else its name with its category."""
    return item.sku.strip() or item.fully_qualified_name or item.name


def _product(row: payloads.Item, facts: Facts) -> Product:
    """The catalogue's prices are in the company's own currency. One with tax in it is no price of a line of syncd's, to
    which QuickBooks adds the tax."""
    gross = row.sales_tax_included and not facts.american
    obstacle = ""
    if not row.active:
        obstacle = f'the QuickBooks item "{row.name}" is inactive; make it active again, or change the mapping'
    elif row.type in _UNBILLABLE:
        obstacle = f'the QuickBooks item "{row.name}" {_UNBILLABLE[row.type]}; name a service or non-inventory item'
    return Product(
        id=row.id,
        identifier=code_of(row),
        name=row.name,
        obstacle=obstacle,
        unit_price=None if gross else row.unit_price,
        unit_cost=row.purchase_cost,
        currency=facts.home_currency,
    )


def _agreement(account: payloads.Customer, facts: Facts) -> Agreement:
    return Agreement(
        id=account.id,
        customer_id=account.id,
        name=account.display_name,
        invoiced_through=facts.preferences.accounting_info_prefs.book_close_date,
        currency=currency(account, facts),
        labels=(account.fully_qualified_name,) if account.fully_qualified_name else (),
        obstacle=""
        if account.active
        else f'the QuickBooks customer "{account.display_name}" is inactive; make it active again',
    )


def _standing(
    customer: str, documents: Sequence[tuple[str, Document]], items: Mapping[str, payloads.Item]
) -> list[BilledLine]:
    """What syncd's own documents of a customer charge. Raises VendorError."""
    billed = {
        charge.mark for entity, row in documents if entity == INVOICE and not voided(row) for charge in marks(row)
    }
    found = []
    for entity, row in documents:
        if voided(row) or (entity == ESTIMATE and row.txn_status.casefold() == "rejected"):
            continue
        for index, one in enumerate(own(entity, row), start=1):
            if one.line is None or (entity == ESTIMATE and one.charge.mark in billed and _invoiced(row)):
                continue  # taken off by a person; or the estimate's invoice took its note over, and stands for both
            found.append(_line(customer, entity, row, index, one, items))
    return found


def _invoiced(estimate: Document) -> bool:
    return any(one.txn_type == INVOICE for one in estimate.linked_txn)


def is_open(estimate: Document) -> bool:
    """Whether it can still be amended before it is billed: neither converted into an invoice nor closed."""
    return estimate.txn_status.casefold() not in ("closed", "rejected") and not _invoiced(estimate)


def _line(
    customer: str, entity: str, row: Document, index: int, one: Own, items: Mapping[str, payloads.Item]
) -> BilledLine:
    assert one.line is not None
    sold = one.line.sales_item_line_detail
    assert sold is not None
    assert sold.item_ref is not None
    item = items.get(sold.item_ref.value)
    units = one.units
    closed = "" if entity != ESTIMATE or is_open(row) else "closed "
    changed = row.meta_data.last_updated_time if row.meta_data else None
    return BilledLine(
        id=f"{closed}{entity.lower()} {row.id}/{index}",
        agreement_id=customer,
        customer_id=customer,
        product_id=sold.item_ref.value,
        product=code_of(item) if item else sold.item_ref.name,
        name=f"{named(entity, row)}: {one.line.description or sold.item_ref.name}",
        quantity=-units if entity == CREDIT else units,
        unit_price=sold.unit_price if one.charge.sent == one.charge.units else None,
        starts=one.charge.days.first,
        ends=one.charge.days.last,
        once=True,
        marker=one.charge.mark,
        version=row.sync_token,
        amount=one.line.amount,
        changed_at=changed if changed is not None and changed.tzinfo is not None else None,
    )


def _only(reply: Reply, found: Mapping[str, msgspec.Raw], entity: str, shape: type[T]) -> T:
    told = found.get(entity)
    rows = replace(reply, body=bytes(told)).parse(list[shape]) if told is not None else []  # type: ignore[valid-type]
    if len(rows) != 1:
        raise VendorError("malformed", f"QuickBooks shows {len(rows)} records of {entity} instead of one")
    return rows[0]


def _number(reply: Reply, found: Mapping[str, msgspec.Raw]) -> int:
    told = found.get("totalCount")
    if told is None:
        raise VendorError("malformed", f"{reply.where} answered a COUNT without totalCount")
    return replace(reply, body=bytes(told)).parse(int)
