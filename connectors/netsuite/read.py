"""Reads customers, items, currencies, closed periods, and makes the customers' accounts of them and of `own`.

Lists are read whole, once for each open connection (one cycle): an account takes few requests at a time. Items have
many record types, so they and whatever belongs to no single record come from SuiteQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from connectors.netsuite import payloads
from connectors.netsuite.api import RECORD, Api
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.own import CREDIT, INVOICE, Own, read_own
from connectors.netsuite.payloads import CustomerRow, ItemRow, flag, number
from connectors.netsuite.suiteql import (
    Select,
    lacking,
    listed,
    total,
    whole,
    witnessed,
)
from syncd.connect.http import Reply
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Agreement, Billing, Moment, Product, RemoteCustomer, State
from syncd.periods import add_months

K = TypeVar("K")
T = TypeVar("T")

# How many periods back syncd's own documents are read: usage is posted in arrears and corrected later still.
LOOK_BACK = 5
# Types of items that stand alone on a line of an invoice and move no stock; others by what they are.
_BILLABLE = frozenset({"Service", "NonInvtPart", "OthCharge", "DwnLdItem"})
_OTHERS = {
    "InvtPart": "is an inventory item, and billing it would move stock",
    "Assembly": "is an assembly, and billing it would move stock",
    "Kit": "is a kit; bill what it is made of, or make a service item for it",
    "Group": "is an item group; bill what it is made of, or make a service item for it",
}


class Each(Generic[K, T]):
    """Values by a key, each made once."""

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._values: dict[K, Once[T]] = {}

    def get(self, key: K) -> T:
        """The value. Raises the VendorError that making it ended with."""
        with self._lock:
            once = self._values.setdefault(key, Once(lambda: self._make(key)))
        return once.get()


class Reader:
    """The reading side of one connection. Thread-safe."""

    def __init__(self, api: Api, settings: NetSuiteSettings) -> None:
        self.api = api
        self.settings = settings
        self.clients: Once[Mapping[str, CustomerRow]] = Once(self._clients)
        self.items: Once[Mapping[str, ItemRow]] = Once(self._items)
        self.currencies: Once[Mapping[str, str]] = Once(self._currencies)
        self.prices: Once[Mapping[str, Decimal]] = Once(self._prices)
        self.closed: Once[date | None] = Once(self._closed)
        self.charging = Once(self._charging)
        self.in_sight = Once(self._in_sight)
        self.own = Each(self._own)

    def look(self) -> Reply:
        """One small read of each service. Raises VendorError, also where no customer is shown."""
        reply = self.api.read(f"{RECORD}/customer", params={"limit": 1})
        if not total(reply, "customer"):
            raise VendorError("incomplete", "NetSuite shows not a single customer; the role probably lacks Customers")
        witnessed(self.api, {"customer": ("customer", "")})
        return reply

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All customers, whole, inactive ones too. Raises VendorError."""
        return tuple(_customer(key, row) for key, row in self.clients.get().items())

    def products(self) -> tuple[Product, ...]:
        """All items that sell. Raises VendorError."""
        prices = self.prices.get()
        found = ((key, row) for key, row in self.items.get().items() if row.subtype != "Purchase")
        return tuple(_product(key, row, prices.get(key)) for key, row in found)

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each customer; what is wrong with one's documents leaves the others alone."""
        closed = self.closed.get()
        own = self.own.get(add_months(moment.period.first, -LOOK_BACK))
        for customer in customers:
            try:
                if problem := own.problems.get(customer.id):
                    raise problem
                row = self.client(customer.id)
                account = Agreement(
                    id=customer.id,
                    customer_id=customer.id,
                    name=_name(row),
                    invoiced_through=closed,
                    currency=self.currency(row.currency),
                    obstacle=f'the NetSuite customer "{_name(row)}" is inactive' if flag(row.isinactive) else "",
                )
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))
            else:
                mine = tuple(own.lines.get(customer.id, ()))
                yield Billing(customer.id, State.KNOWN, (account,), mine, proof=own.proof)

    def client(self, customer: str) -> CustomerRow:
        """A customer's row. Raises VendorError where there is none."""
        row = self.clients.get().get(customer)
        if row is None:
            raise VendorError("not_found", f"NetSuite has no customer #{customer}", customer=customer)
        return row

    def currency(self, number_: Decimal | None) -> str:
        """The ISO code of a currency. Raises VendorError where it is not known."""
        if self.settings.currency:
            return self.settings.currency
        code = self.currencies.get().get(number(number_)) if number_ is not None else None
        if not code:
            raise VendorError(
                "malformed",
                "NetSuite does not tell a record's currency; where Multiple Currencies is switched off, name the "
                "account's only one as currency in the connection",
            )
        return code

    def _clients(self) -> Mapping[str, CustomerRow]:
        there = listed(self.api, "customer")
        currency = "" if self.settings.currency else ", currency"
        columns = f"entityid, companyname, altname, externalid, isinactive{currency}"
        found = whole(self.api, CustomerRow, Select(columns, "customer"))
        if len(found.rows) < there:
            raise lacking("customer", there)
        if not found.rows:
            raise VendorError("incomplete", "NetSuite shows not a single customer; the role probably lacks Customers")
        return {number(row.id): row for row in found.rows}

    def _items(self) -> Mapping[str, ItemRow]:
        columns = "itemid, displayname, externalid, itemtype, subtype, isinactive"
        found = whole(self.api, ItemRow, Select(columns, "item"))
        if not found.rows:
            raise VendorError("incomplete", "NetSuite shows not a single item; the role probably lacks Items")
        return {number(row.id): row for row in found.rows}

    def _currencies(self) -> Mapping[str, str]:
        found = whole(self.api, payloads.CurrencyRow, Select("symbol", "currency"))
        return {number(row.id): row.symbol.strip().upper() for row in found.rows}

    def _prices(self) -> Mapping[str, Decimal]:
        """Item -> base price, where all customers have one currency; else a price would have none. A price list that
        cannot be read leaves prices out, and rules must name them."""
        used = {row.currency for row in self.clients.get().values()}
        if len(used) > 1:
            return {}
        (only,) = used or {None}
        where = "pricelevel = 1 AND quantity = 0" + (f" AND currency = {number(only)}" if only is not None else "")
        try:
            found = whole(self.api, payloads.PriceRow, Select("unitprice", "pricing", where, key="item"))
        except VendorError as error:
            if error.code in FATAL:
                raise
            return {}
        return {number(row.id): row.unitprice for row in found.rows if row.unitprice is not None}

    def _closed(self) -> date | None:
        """The last day up to which no period takes receivables any more; None where the first one still does."""
        columns = (
            "TO_CHAR(startdate, 'YYYY-MM-DD') AS startdate, TO_CHAR(enddate, 'YYYY-MM-DD') AS enddate, closed, "
            "arlocked, alllocked"
        )
        where = "isyear = 'F' AND isquarter = 'F' AND isadjust = 'F'"
        found = whole(self.api, payloads.PeriodRow, Select(columns, "accountingperiod", where))
        through: date | None = None
        for row in sorted(found.rows, key=lambda one: one.startdate):
            if not (flag(row.closed) or flag(row.arlocked) or flag(row.alllocked)):
                break
            through = iso_day(row.enddate)
        return through

    def _charging(self) -> bool:
        """Whether the account has charges. Where none are posted, a NetSuite without them is none to complain of."""
        try:
            listed(self.api, "charge")
        except VendorError as error:
            if self.settings.charge_type or error.code not in ("invalid", "forbidden", "not_found"):
                raise
            return False
        return True

    def _in_sight(self) -> str:
        return witnessed(
            self.api,
            {
                "invoice": ("transaction", f"type = '{INVOICE}'"),
                "creditMemo": ("transaction", f"type = '{CREDIT}'"),
            },
        )

    def _own(self, since: date) -> Own:
        sight = self.in_sight.get()
        made = read_own(self.api, since, self.items.get(), charging=self.charging.get())
        made.proof += f"; {sight}"
        return made


def iso_day(text: str) -> date:
    """A day as TO_CHAR gives it. Raises VendorError."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise VendorError("malformed", f"NetSuite shows {text!r} where a day is expected") from None


def _name(row: CustomerRow) -> str:
    return (row.companyname or row.altname or row.entityid).strip()


def _customer(key: str, row: CustomerRow) -> RemoteCustomer:
    name = _name(row)
    also = tuple(dict.fromkeys(one for one in (row.entityid, row.externalid or "") if one and one != name))
    return RemoteCustomer(key, name, also, active=not flag(row.isinactive))


def _product(key: str, row: ItemRow, price: Decimal | None) -> Product:
    name = row.displayname or row.itemid
    obstacle = ""
    if flag(row.isinactive):
        obstacle = f'the NetSuite item "{row.itemid}" is inactive'
    elif row.itemtype not in _BILLABLE:
        what = _OTHERS.get(row.itemtype, f"is of the type {row.itemtype}, which is no product of its own")
        obstacle = f'the NetSuite item "{row.itemid}" {what}'
    return Product(id=key, identifier=row.itemid, name=name, obstacle=obstacle, unit_price=price)
