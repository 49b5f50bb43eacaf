"""Reads customers and invoices: what was invoiced, and what syncd itself charged.

All invoices of the last months come in one sweep over all customers, once for each open connection (one cycle). An
invoice has no date of its own: the day on which it was made, in the MSP's zone, is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from connectors.alternative_payments.amounts import CURRENCY, Amounts
from connectors.alternative_payments.api import Api, Whole
from connectors.alternative_payments.config import PaymentsSettings
from connectors.alternative_payments.paid import Paid
from connectors.alternative_payments.payloads import Customer, Invoice
from connectors.alternative_payments.text import Own, name_of, own_line
from syncd.connect.contract import Ask, Context
from syncd.connect.once import FATAL, Once
from syncd.connect.values import units
from syncd.errors import VendorError
from syncd.model import (
    Agreement,
    BilledLine,
    Billing,
    Count,
    Moment,
    Product,
    Query,
    Reading,
    RemoteCustomer,
    State,
)
from syncd.money import plain
from syncd.periods import add_months, local_date

MEASURE = "invoiced"
# Usage is charged in arrears and corrected later: lines of so many months before this one may still matter.
LOOK_BACK = 5
# The vendor's statuses are not published. An invoice in one of these charges nobody.
NOT_CHARGED = frozenset({"archived", "void", "voided", "deleted", "cancelled", "canceled", "draft"})


@dataclass(frozen=True, slots=True)
class Sweep:
    """All invoices made since `since`, by customer."""

    of: Mapping[str, tuple[Invoice, ...]]
    since: date
    proof: str


class Reader:
    """The reads of one connection. Thread-safe."""

    def __init__(self, api: Api, settings: PaymentsSettings, context: Context) -> None:
        self._api = api
        self._context = context
        self._settings = settings
        self._amounts = Amounts.of(settings)
        self._own = context.own_marker
        self._customers = Once(lambda: api.whole("customers", Customer))
        self._sweep = Once(self._read_sweep)
        self.paid = Paid(api, lambda: instant_text(self._since(), context))

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All customers. Raises VendorError; a list without any is `incomplete`, not empty."""
        found = self._customers.get()
        if not found.rows:
            raise VendorError(
                "incomplete",
                "Alternative Payments shows no customer at all; check that the API key has the scope to read customers",
            )
        return tuple(
            RemoteCustomer(
                row.id,
                row.name,
                (row.external_id,) if row.external_id else (),
                links=(row.customer_integration_id,) if row.customer_integration_id else (),
            )
            for row in found.rows
        )

    def integrated(self) -> tuple[Customer, ...]:
        """The customers that a primary integration keeps. Raises VendorError."""
        return tuple(row for row in self._customers.get().rows if row.customer_integration_id)

    def products(self) -> tuple[Product, ...]:
        """What stands on the invoices of the last months. There is no catalogue: any other text can be charged too."""
        names: dict[str, None] = {}
        for invoices in self._sweep.get().of.values():
            for invoice in invoices:
                if charges_somebody(invoice):
                    names |= dict.fromkeys(
                        name_of(line, own_line(invoice, line, self._own)) for line in invoice.line_items
                    )
        return tuple(Product(name, name, name) for name in sorted(names))

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each customer: its account, and syncd's own charges."""
        sweep = self._sweep.get()
        for customer in customers:
            try:
                lines = tuple(self._own_lines(customer.id, sweep))
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))
                continue
            account = Agreement(customer.id, customer.id, customer.name, currency=CURRENCY)
            yield Billing(customer.id, State.KNOWN, (account,), lines, proof=sweep.proof)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a failure of one customer's invoices leaves the others alone."""
        sweep = self._sweep.get()
        for ask in asks:
            for query in ask.queries:
                try:
                    yield self._reading(ask.customer.id, query, sweep, moment)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))

    def invoices_of(self, customer_id: str) -> Whole[Invoice]:
        """All invoices of a customer, fresh. Raises VendorError."""
        found = self._api.whole("invoices", Invoice, {"customer_id": customer_id})
        for row in found.rows:
            if row.customer_id != customer_id:
                raise VendorError(
                    "wrong_tenant", f"Alternative Payments answered with the invoice {row.called} of another customer"
                )
        return found

    def _reading(self, customer_id: str, query: Query, sweep: Sweep, moment: Moment) -> Reading:
        if query.measure != MEASURE or query.where:
            raise VendorError("unsupported", f"Alternative Payments' invoices cannot be read as {query}")
        if moment.period.first < sweep.since:
            raise VendorError("unsupported", f"invoices before {sweep.since} are not read")
        there = [one for one in sweep.of.get(customer_id, ()) if charges_somebody(one)]
        dated = [one for one in there if self.made_on(one) in moment.period]
        sums: dict[tuple[str, str], _Sum] = {}
        for invoice in dated:
            self._amounts.explained(invoice)
            told = self.paid.status(invoice)
            for line in invoice.line_items:
                mine = own_line(invoice, line, self._own)
                quantity = mine.units if mine else units(line.quantity, f"a line of the invoice {invoice.called}")
                name = name_of(line, mine)
                one = sums.setdefault((name, invoice.currency.upper()), _Sum())
                one.units += quantity
                one.notes[f"{invoice.called} {told}"] = None
                one.dated = max(one.dated, self.made_on(invoice))
                if self._amounts.proved:
                    one.amount += self._amounts.charged(line)
        counts = tuple(
            Count(
                sku=name,
                name=name,
                quantity=one.units,
                note="; ".join(one.notes),
                currency=currency,
                amount=one.amount if self._amounts.proved else None,
                dated=one.dated,
            )
            for (name, currency), one in sorted(sums.items())
        )
        money = "" if self._amounts.proved else "; amounts not proved"
        return Reading(
            customer_id,
            query,
            State.KNOWN,
            counts,
            proof=f"{len(dated)} made in {moment.period}, of {sweep.proof}{money}",
        )

    def _own_lines(self, customer_id: str, sweep: Sweep) -> Iterator[BilledLine]:
        for invoice in sweep.of.get(customer_id, ()):
            if not charges_somebody(invoice):
                continue
            for line in invoice.line_items:
                mine = own_line(invoice, line, self._own)
                if mine is not None:
                    yield _billed(invoice, mine, self._amounts)

    def made_on(self, invoice: Invoice) -> date:
        """The day on which an invoice was made, in the MSP's zone. Raises VendorError `malformed`."""
        try:
            made = datetime.fromisoformat(invoice.created_at)
        except ValueError:
            made = None
        if made is None or made.year < 2000:  # a sentinel is no date
            raise VendorError(
                "malformed", f"the invoice {invoice.called} was made {invoice.created_at[:40]!r}, which is no instant"
            )
        return local_date(made if made.tzinfo else made.replace(tzinfo=UTC), self._context.zone)

    def _since(self) -> date:
        today = local_date(self._context.clock(), self._context.zone)
        return add_months(today.replace(day=1), -LOOK_BACK)

    def _read_sweep(self) -> Sweep:
        since = self._since()
        found = self._api.whole("invoices", Invoice, {"created_at_start": instant_text(since, self._context)})
        of: dict[str, list[Invoice]] = defaultdict(list)
        for row in found.rows:
            of[row.customer_id].append(row)
        return Sweep({id_: tuple(rows) for id_, rows in of.items()}, since, found.proof)


@dataclass
class _Sum:
    units: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)
    notes: dict[str, None] = None  # type: ignore[assignment]
    dated: date = date.min

    def __post_init__(self) -> None:
        self.notes = {}


def charges_somebody(invoice: Invoice) -> bool:
    """Whether an invoice stands. Unknown statuses do: money is left out only where the vendor says so."""
    return (invoice.status or "").strip().casefold() not in NOT_CHARGED


def instant_text(first: date, context: Context) -> str:
    """The first instant of a day in the MSP's zone, as the vendor's filters take it (RFC 3339, UTC)."""
    return f"{datetime.combine(first, time(), context.zone).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _billed(invoice: Invoice, mine: Own, amounts: Amounts) -> BilledLine:
    amount = amounts.charged(mine.line) if amounts.proved else None
    return BilledLine(
        id=invoice.id,
        agreement_id=invoice.customer_id,
        customer_id=invoice.customer_id,
        product_id=mine.item,
        product=mine.item,
        name=mine.line.description or mine.item,
        quantity=mine.units,
        unit_price=amount / mine.units if amount is not None and mine.units else None,
        starts=mine.charge.days.first,
        ends=mine.charge.days.last,
        once=True,
        marker=mine.charge.mark,
        version=f"{invoice.status or ''}:{plain(mine.line.quantity)}:{plain(mine.line.amount)}",
        amount=amount,
    )
