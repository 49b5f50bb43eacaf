"""Reads Xero's books: contacts with their merges, items, repeating invoices, and syncd's own documents.

Lists that concern no single contact are read once for each open connection (one cycle) and shared by its threads.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import TypeVar

import msgspec

from connectors.xero.api import Api
from connectors.xero.dates import day, instant, since
from connectors.xero.own import Own, marked, name, own
from connectors.xero.paging import Whole, single, whole
from connectors.xero.payloads import (
    Contact,
    CreditNote,
    Document,
    Invoice,
    Item,
    Line,
    Organisation,
    Repeating,
    Sales,
)
from connectors.xero.recurring import billed, item_of, left_over, selling, stands
from syncd.connect.documents import FAMILY
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, RemoteCustomer, State
from syncd.periods import Period, add_months

D = TypeVar("D", bound=Document)
Documents = tuple[Mapping[str, list[Document]], str]  # by contact, and how it is known that they are all

# How far back syncd's own documents are read: usage is charged after its period, and corrected later still.
LOOK_BACK = 5


class Reader:
    """The reads of one connection. Thread-safe."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.organisation = Once(self._organisation)
        self.contacts = Once(self._contacts)
        self.items = Once(lambda: single(api, "Items", Item, {"unitdp": 4}))
        self.catalogue = Once(self._catalogue)
        self.templates = Once(self._templates)
        self._lock = threading.Lock()
        self._own: dict[date, Once[Documents]] = {}
        self._dated: dict[Period, Once[Documents]] = {}

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All contacts that take documents, also under the ids of those that were merged into them."""
        merged: dict[str, list[str]] = defaultdict(list)
        for one in self.contacts.get().values():
            if one.merged_to and (target := self.destination(one.contact_id)) != one.contact_id:
                merged[target].append(one.contact_id)
        return tuple(
            RemoteCustomer(
                one.contact_id,
                one.name,
                tuple(dict.fromkeys(key for key in (one.number, one.account, *merged[one.contact_id]) if key)),
                links=(one.website,) if one.website else (),
            )
            for one in self.contacts.get().values()
            if one.active
        )

    def destination(self, contact_id: str) -> str:
        """The contact that this one was merged into, over several steps; itself where it was not."""
        known = self.contacts.get()
        seen = {contact_id}
        while (one := known.get(contact_id)) is not None and one.merged_to and one.merged_to not in seen:
            seen.add(one.merged_to)
            contact_id = one.merged_to
        return contact_id

    def products(self) -> tuple[Product, ...]:
        """All items, at prices in the organisation's own currency."""
        currency = self.organisation.get().currency
        return tuple(_product(item, currency) for item in self.items.get().rows)

    def _catalogue(self) -> Mapping[str, Item]:
        """Items by id, and by code in lower case."""
        rows = self.items.get().rows
        return {item.item_id: item for item in rows} | {item.code.casefold(): item for item in rows}

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each contact; what fails for one leaves the others alone."""
        for customer in customers:
            try:
                yield self._billing(customer, moment)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))

    def locked(self) -> date | None:
        """The last day of the books that is closed; None where none is."""
        told = self.organisation.get()
        return max(filter(None, (day(told.period_lock), day(told.year_lock))), default=None)

    def _billing(self, customer: RemoteCustomer, moment: Moment) -> Billing:
        contact = self.contacts.get().get(customer.id)
        if contact is None:
            raise VendorError("not_found", f"Xero has no contact {customer.id} ({customer.name})")
        items = self.catalogue.get()
        templates, told = self.templates.get()
        documents, proof = self.own(moment.period)
        account = Agreement(
            id=customer.id,
            customer_id=customer.id,
            name=contact.name,
            invoiced_through=self.locked(),
            currency=contact.currency or self.organisation.get().currency,
            obstacle="" if contact.active else f'the Xero contact "{contact.name}" is {contact.status.lower()}',
        )
        period = moment.period
        alive = {one.repeating_id: one for one in templates.get(customer.id, ()) if stands(one, period)}
        standing = [line for one in alive.values() for line in billed(one, customer, items, period)]
        dated, told_dated = self.dated(period)
        for one in dated.get(customer.id, ()):
            if isinstance(one, Invoice) and one.repeating_id and one.repeating_id not in alive:
                standing += left_over(one, customer, items, period)
        mine = [
            _own_line(document, one, customer, items)
            for document in documents.get(customer.id, ())
            for one in own(document)
        ]
        return Billing(
            customer.id,
            State.KNOWN,
            (account,),
            (*standing, *mine),
            proof=f"{told}; {told_dated}; syncd's own documents: {proof}",
        )

    def dated(self, period: Period) -> Documents:
        """All live sales documents dated in a period, drafts too."""
        with self._lock:
            once = self._dated.setdefault(period, Once(partial(self._within, period)))
        return once.get()

    def _within(self, period: Period) -> Documents:
        days = f"Date>={since(period.first)} AND Date<={since(period.last)}"
        invoices = self.sales("Invoices", Invoice, days)
        credits_ = self.sales("CreditNotes", CreditNote, days)
        found: dict[str, list[Document]] = defaultdict(list)
        for document in (*invoices.rows, *credits_.rows):
            if document.live:
                on = day(document.dated)
                if on is None or on not in period:
                    raise VendorError("malformed", f"{name(document)} is dated {on}, outside of what was asked for")
                found[self.destination(document.contact.contact_id)].append(document)
        return found, f"{invoices.proof}; {credits_.proof}"

    def own(self, period: Period) -> Documents:
        """Syncd's live documents by contact, of whatever installation, dated in this period, later, or shortly before.

        The list is narrowed by `Reference` and date, and what it gives is looked at again here.
        """
        first = add_months(period.first, -LOOK_BACK)
        with self._lock:
            once = self._own.setdefault(first, Once(partial(self._documents, first)))
        return once.get()

    def _documents(self, first: date) -> Documents:
        ours = f'Date>={since(first)} AND Reference!=null AND Reference.Contains("{FAMILY}")'
        invoices = self.sales("Invoices", Invoice, ours)
        credits_ = self.sales("CreditNotes", CreditNote, ours)
        found: dict[str, list[Document]] = defaultdict(list)
        for document in (*invoices.rows, *credits_.rows):
            if document.live and marked(document):
                found[self.destination(document.contact.contact_id)].append(document)
        return found, f"{invoices.proof}; {credits_.proof}"

    def sales(self, path: str, shape: type[D], which: str, *, urgent: bool = False) -> Whole[D]:
        """Sales documents that a filter lets through, with their lines at four decimals. Raises VendorError."""
        kind = "ACCREC" if path == "Invoices" else "ACCRECCREDIT"
        found = whole(
            self.api, path, shape, {"where": f'Type=="{kind}" AND {which}', "unitdp": 4}, urgent=urgent
        )  # fmt: skip
        for one in found.rows:
            if one.kind != kind:
                raise VendorError("malformed", f"Xero answered with a document of type {one.kind} to a list of {kind}")
        return found

    def _organisation(self) -> Organisation:
        rows = self.api.read("Organisation").parse(_Organisations).rows
        if len(rows) != 1:
            raise VendorError("malformed", f"Xero told {len(rows)} organisations where one was expected")
        return rows[0]

    def _contacts(self) -> Mapping[str, Contact]:
        # Contacts are archived and merged, never deleted: none drops out of the list while it is read.
        found = whole(self.api, "Contacts", Contact, {"includeArchived": "true"}, leaves=False, urgent=True)
        return {one.contact_id: one for one in found.rows}

    def _templates(self) -> tuple[Mapping[str, list[Repeating]], str]:
        found = single(self.api, "RepeatingInvoices", Repeating)
        by_contact: dict[str, list[Repeating]] = defaultdict(list)
        for row in found.rows:
            if selling(row):
                one = row if row.lines is not None else self._template(row.repeating_id)
                by_contact[self.destination(one.contact.contact_id)].append(one)
        return by_contact, found.proof

    def _template(self, id_: str) -> Repeating:
        """One template, for a list that leaves the lines out as other lists do."""
        rows = single(self.api, f"RepeatingInvoices/{id_}", Repeating).rows
        if len(rows) != 1 or rows[0].repeating_id != id_:
            raise VendorError("malformed", f"Xero answered with another repeating invoice than {id_}")
        return rows[0]


class _Organisations(msgspec.Struct):
    rows: list[Organisation] = msgspec.field(name="Organisations")


def _product(item: Item, currency: str) -> Product:
    sales = item.sales or Sales()
    named = f"the Xero item {item.code}"
    if not item.sold:
        obstacle = f'{named} is not sold; tick "I sell this item" in Xero'
    elif item.tracked:
        obstacle = f"{named} is tracked as inventory: an invoice would take stock; use one that is not"
    elif not sales.account:
        obstacle = f"{named} has no sales account, so neither account nor tax can be told; set both in Xero"
    else:
        obstacle = ""
    name = item.name or item.code
    return Product(item.item_id, item.code, name, obstacle, sales.price, currency=currency)


def _own_line(document: Document, one: Own, customer: RemoteCustomer, items: Mapping[str, Item]) -> BilledLine:
    """A line of one of syncd's documents as a dated line; a credit note's is negative."""
    item = item_of(one.line, items)
    shown = one.units if isinstance(document, Invoice) else -one.units
    return BilledLine(
        id=f"{document.key}/{one.place}",
        agreement_id=customer.id,
        customer_id=customer.id,
        product_id=item.item_id if item else "",
        product=item.code if item else one.line.code,
        name=one.line.description or "",
        quantity=shown,
        unit_price=one.line.price,
        starts=one.charge.days.first,
        ends=one.charge.days.last,
        once=True,
        marker=one.charge.mark,
        version=document.updated or "",
        amount=_before_tax(document, one.line),
        changed_at=instant(document.updated),
    )


def _before_tax(document: Document, line: Line) -> Decimal | None:
    """What a line charges without tax; None where it is not told."""
    if line.amount is None or document.amounts != "Inclusive":
        return line.amount
    return line.amount - line.tax_amount if line.tax_amount is not None else None
