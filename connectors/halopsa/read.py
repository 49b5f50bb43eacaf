"""Reads what Halo bills: clients, items, recurring invoices with their lines, syncd's own drafts, and who changed what.

Lists that concern no single client are read once for each open connection (one cycle) and shared by its threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from connectors.halopsa import payloads
from connectors.halopsa.agreements import Terms, terms
from connectors.halopsa.api import Api
from connectors.halopsa.config import HaloSettings
from connectors.halopsa.dates import instant
from connectors.halopsa.drafts import Charge, charge_of
from connectors.halopsa.lines import billed_line, quantity
from connectors.halopsa.paging import Whole, newest, whole
from connectors.halopsa.payloads import units
from syncd.clock import Clock
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, RemoteCustomer, State

T = TypeVar("T")

# How far back the audit is read for names, and in how many pages at most.
_AUDIT = timedelta(days=45)
_AUDIT_PAGES = 5


class Each(Generic[T]):
    """Values by client, each made once."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._values: dict[int, Once[T]] = {}

    def get(self, client: int) -> T:
        """The client's value. Raises the VendorError that making it ended with."""
        with self._lock:
            once = self._values.setdefault(client, Once(lambda: self._make(client)))
        return once.get()


class Reader:
    """The billing side of one connection's reads. Thread-safe."""

    def __init__(self, api: Api, settings: HaloSettings, own_marker: str, clock: Clock) -> None:
        self.api = api
        self.settings = settings
        self.own_marker = own_marker
        self._clock = clock
        self.items = Once(self._items)
        self.recurring = Once(self._recurring)
        self.licences = Once(lambda: whole(api, "SoftwareLicence", payloads.Licence))
        self.audit = Once(self._audit)
        self.invoices = Each(self._invoices)

    def look(self) -> None:
        """Reads a few clients. Raises VendorError, also where none is shown."""
        if not newest(self.api, "Client", payloads.Client, lambda row: True, {}, 1):
            raise lacking("client", "Customers")

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All active clients. Raises VendorError; a list without any is `incomplete`, not empty."""
        found = whole(self.api, "Client", payloads.Client)
        if not found.rows:
            raise lacking("client", "Customers")
        tenants = self._tenants()
        return tuple(
            RemoteCustomer(str(row.id), row.name, links=_links(row, tenants.get(row.id, ())))
            for row in found.rows
            if not row.inactive
        )

    def _tenants(self) -> Mapping[int, tuple[str, ...]]:
        """Client -> ids and domains of its Microsoft tenants. They only feed proposals: a failure leaves them out."""
        try:
            found = whole(self.api, "AreaAzureTenant", payloads.AzureTenant)
        except VendorError as error:
            if error.code in FATAL:
                raise
            return {}
        told: dict[int, tuple[str, ...]] = {}
        for row in found.rows:
            if row.client_id is not None:
                named = (row.azure_tenant_id, row.azure_tenant_domain)
                told[row.client_id] = (*told.get(row.client_id, ()), *(name for name in named if name))
        return told

    def products(self) -> tuple[Product, ...]:
        """All active items."""
        return tuple(_product(row) for row in self.items.get().values())

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each client; what fails for one leaves the others alone."""
        every, proof = self.recurring.get()
        for customer in customers:
            try:
                yield self._billing(customer, every.get(client_id(customer), ()), proof, moment)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))

    def detailed(self, recurring_id: int) -> payloads.Recurring:
        """One recurring invoice with all its lines, fresh. Raises VendorError."""
        reply = self.api.read(f"RecurringInvoice/{recurring_id}", params={"includedetails": "true"})
        found = reply.parse(payloads.Recurring)
        if found.id != recurring_id:
            raise VendorError("malformed", f"Halo answered with recurring invoice #{found.id}, not #{recurring_id}")
        return found

    def invoice(self, number: int, client: int) -> payloads.Invoice:
        """One invoice with its lines, fresh. Raises VendorError."""
        found = self.api.read(f"Invoice/{number}", params={"includedetails": "true"}).parse(payloads.Invoice)
        if found.id != number or found.client_id != client:
            raise VendorError("wrong_tenant", f"Halo answered with invoice #{found.id} when asked for #{number}")
        if found.lines is None:
            raise VendorError("incomplete", f"Halo shows no lines of the invoice #{number} although it was asked to")
        return found

    def fresh_invoices(self, client: int) -> Whole[payloads.Invoice]:
        """The headers of all invoices of a client, credits too."""
        found = whole(self.api, "Invoice", payloads.Invoice, params={"client_id": client, "includecredits": "true"})
        for row in found.rows:
            same_client(row.client_id, client, f"invoice #{row.id}")
        return found

    def changed_by(self, line: int) -> str:
        """Who last changed a line of a recurring invoice, as the audit tells; "" where it does not reach that far."""
        return self.audit.get().get(line, "")

    def _billing(self, customer: RemoteCustomer, mine: Sequence[Terms], proof: str, moment: Moment) -> Billing:
        shown: list[Agreement] = []
        lines: list[BilledLine] = []
        lives = any(not one.over(moment.today) for one in mine)
        for one in mine:
            if not one.over(moment.today):
                licences = self._licences_behind(one)
                for row in one.row.lines:
                    by = self.changed_by(row.id)
                    line = billed_line(row, one, licences, moment, own=self.own_marker, changed_by=by)
                    if line is not None:
                        lines.append(line)
            elif lives:
                continue  # a renewed one often bears the name of the one it follows: only one can be meant
            shown.append(one.agreement(moment.today, self.settings.invoicing))
        own, drafts = self._own(client_id(customer), {one.id: one for one in mine}, moment)
        return Billing(
            customer.id,
            State.KNOWN,
            tuple(shown),
            (*lines, *own),
            proof=f"{len(mine)} recurring invoices ({proof}), invoices: {drafts}",
        )

    def _licences_behind(self, one: Terms) -> Mapping[int, payloads.Licence]:
        """The licences, where a line is calculated from some."""
        if not any(line.quantity_licences or line.quantity_subscriptions for line in one.row.lines):
            return {}
        return {row.id: row for row in self.licences.get().rows if row.client_id == one.row.client_id}

    def _own(self, client: int, mine: Mapping[str, Terms], moment: Moment) -> tuple[tuple[BilledLine, ...], str]:
        """The charges that syncd itself posted for the current period or a later one, each an invoice."""
        found = self.invoices.get(client)
        lines = []
        for row in found.rows:
            charge = None if row.voided else charge_of(row, self.own_marker)
            if charge is None:
                continue
            agreement = mine.get(charge.agreement_id)
            period = (agreement.period(moment.today) if agreement else None) or moment.period
            if charge.days.last >= period.first:
                lines.append(_own_line(self.invoice(row.id, client), charge))
        return tuple(lines), found.proof

    def _recurring(self) -> tuple[Mapping[int, tuple[Terms, ...]], str]:
        found = whole(self.api, "RecurringInvoice", payloads.Recurring, params={"includelines": "true"})
        if not found.rows:
            raise lacking("recurring invoice", "Invoices")
        by_client: dict[int, list[Terms]] = {}
        for row in found.rows:
            by_client.setdefault(row.client_id, []).append(terms(self._with_rules(row)))
        return {client: tuple(some) for client, some in by_client.items()}, found.proof

    def _with_rules(self, row: payloads.Recurring) -> payloads.Recurring:
        """It with the rules of its calculated lines, which lists may leave out."""
        told = any(line.quantity_licences or line.quantity_users or line.quantity_assets for line in row.lines)
        if told or not row.contains_calculated_quantity or row.disabled:
            return row
        detailed = self.detailed(row.id)
        if {line.id for line in detailed.lines} != {line.id for line in row.lines} or detailed.client_id != (
            row.client_id
        ):
            raise VendorError("incomplete", f"Halo shows the recurring invoice #{row.id} in two ways")
        return detailed

    def _invoices(self, client: int) -> Whole[payloads.Invoice]:
        return self.fresh_invoices(client)

    def _audit(self) -> Mapping[int, str]:
        """Line -> who changed it last, newest rows first. Only names: a failure leaves them out, and proves nothing."""
        since = self._clock() - _AUDIT

        def recent(row: payloads.Change) -> bool:
            at = instant(row.datetime)
            return at is None or at >= since

        try:
            rows = newest(self.api, "InvoiceChange", payloads.Change, recent, {}, _AUDIT_PAGES)
        except VendorError as error:
            if error.code in FATAL:
                raise
            return {}
        names: dict[int, str] = {}
        for row in rows:
            if row.invoice_line_id and row.who:
                names.setdefault(row.invoice_line_id, row.who)
        return names

    def _items(self) -> Mapping[str, payloads.Item]:
        found = whole(self.api, "Item", payloads.Item)
        if not found.rows:
            raise lacking("item", "Products")
        return {str(row.id): row for row in found.rows}


def _links(row: payloads.Client, tenants: Sequence[str]) -> tuple[str, ...]:
    """What Halo keeps of a client elsewhere; zero and blank stand for none."""
    number = str(row.connectwiseid) if row.connectwiseid and row.connectwiseid > 0 else ""
    told = (*tenants, row.xeroid or "", row.stripe_customer_id or "", number)
    return tuple(dict.fromkeys(text.strip() for text in told if text.strip()))


def client_id(customer: RemoteCustomer) -> int:
    """The client's number. Raises VendorError where the customer is not one of Halo."""
    try:
        return int(customer.id)
    except ValueError:
        raise VendorError("invalid", f"{customer.id!r} is not a Halo client id", customer=customer.id) from None


def same_client(told: int | None, asked: int, what: str) -> None:
    """Raises VendorError where Halo answered with another client's record."""
    if told != asked:
        raise VendorError("wrong_tenant", f"Halo answered with {what} of another client when asked for client #{asked}")


def lacking(what: str, right: str) -> VendorError:
    """An empty list that cannot be true: agents without a right are shown nothing instead of an error."""
    return VendorError(
        "incomplete",
        f"Halo shows not a single {what}; the agent that the API application logs in as probably lacks {right}",
    )


def item_code(item: payloads.Item) -> str:
    """What mappings call an item: its code in the accounts, else its internal reference, else its name."""
    return (item.accountsid or "").strip() or (item.internalreference or "").strip() or item.name


def _product(row: payloads.Item) -> Product:
    price = row.recurringprice if row.recurringprice else row.baseprice
    cost = row.recurringcost if row.recurringcost else row.costprice
    return Product(
        id=str(row.id),
        identifier=item_code(row),
        name=row.name,
        obstacle=f'the Halo item "{row.name}" is set not to be invoiced' if row.dontinvoice else "",
        unit_price=units(price),
        unit_cost=units(cost),
    )


def _own_line(invoice: payloads.Invoice, charge: Charge) -> BilledLine:
    """One of syncd's own invoices as a dated line. Raises VendorError where it does not hold exactly one product."""
    rows = [line for line in invoice.lines or () if not line.isgroupdesc]
    if len(rows) != 1:
        raise VendorError(
            "malformed",
            f"the Halo invoice #{invoice.id} bears syncd's mark {charge.mark} and has {len(rows)} lines instead of "
            "one; put additions of your own onto another invoice",
        )
    line = rows[0]
    return BilledLine(
        id=f"invoice {invoice.id}",
        agreement_id=charge.agreement_id,
        customer_id=str(invoice.client_id),
        product_id=str(line.item_id or ""),
        product=line.item_code or "",
        name=line.short or "",
        quantity=charge.shown(line),
        unit_price=units(line.unit_price),
        unit_cost=units(line.unit_cost),
        starts=charge.days.first,
        ends=charge.days.last,
        once=True,
        marker=charge.mark,
        amount=None if line.unit_price is None else (units(line.unit_price) or Decimal(0)) * quantity(line),
    )
