"""What is read of NetSuite: rows of SuiteQL and records of REST, only the fields used.

SuiteQL gives values mostly as text and leaves null columns out; flags are "T" and "F". Numbers and ids are Decimal,
which takes both text and numbers. REST gives references as `{"id": "107"}` and lines only where they are asked for.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from syncd.errors import VendorError


class Row(msgspec.Struct, kw_only=True):
    """Any row of SuiteQL: it has an id, by which lists are ordered and proved whole."""

    id: Decimal


R = TypeVar("R", bound=Row)


class Page(msgspec.Struct, Generic[R], rename="camel"):
    """One answer of SuiteQL. `total_results`: rows of the query, of which the page shows the first `count`."""

    count: int
    has_more: bool
    total_results: int
    items: list[R]


class Listed(msgspec.Struct):
    """One record in a list: no more than its id."""

    id: str | int


class Collection(msgspec.Struct, rename="camel"):
    """A list of records by REST; only its size is used."""

    count: int
    total_results: int
    items: list[Listed]


class Total(msgspec.Struct):
    n: Decimal


class Totals(msgspec.Struct):
    items: list[Total]


class CustomerRow(Row, kw_only=True):
    entityid: str
    companyname: str | None = None
    altname: str | None = None
    externalid: str | None = None
    isinactive: str
    currency: Decimal | None = None


class ItemRow(Row, kw_only=True):
    itemid: str
    displayname: str | None = None
    externalid: str | None = None
    itemtype: str
    subtype: str | None = None
    isinactive: str


class CurrencyRow(Row, kw_only=True):
    symbol: str


class PriceRow(Row, kw_only=True):
    """A base price. `id` is the item's."""

    unitprice: Decimal | None = None


class PeriodRow(Row, kw_only=True):
    """A base accounting period, without quarters, years and adjustments."""

    startdate: str
    enddate: str
    closed: str
    arlocked: str | None = None
    alllocked: str | None = None


class DocumentRow(Row, kw_only=True):
    type: str
    entity: Decimal
    trandate: str
    tranid: str | None = None
    externalid: str | None = None
    memo: str | None = None
    status: str | None = None
    voided: str | None = None
    currency: Decimal | None = None
    foreigntotal: Decimal | None = None


class LineRow(Row, kw_only=True):
    """A line of a document. Signs are the ledger's: see `amounts`."""

    document: Decimal
    place: Decimal | None = None
    item: Decimal | None = None
    memo: str | None = None
    quantity: Decimal | None = None
    rate: Decimal | None = None
    foreignamount: Decimal | None = None
    taxline: str | None = None


class ChargeRow(Row, kw_only=True):
    billto: Decimal
    billingitem: Decimal | None = None
    quantity: Decimal | None = None
    rate: Decimal | None = None
    chargedate: str | None = None
    stage: str | None = None
    invoice: Decimal | None = None
    memo: str | None = None


class Marked(Row, kw_only=True):
    """A record that may bear a mark."""

    memo: str | None = None
    externalid: str | None = None


class Ref(msgspec.Struct):
    id: str | int

    def __str__(self) -> str:
        return str(self.id)


class Line(msgspec.Struct):
    item: Ref | None = None
    quantity: Decimal | None = None
    rate: Decimal | None = None
    amount: Decimal | None = None


class Lines(msgspec.Struct, rename="camel"):
    """The lines of a document; None where only links to them were given."""

    items: list[Line] | None = None
    has_more: bool = False


class Document(msgspec.Struct, rename="camel"):
    """An invoice or a credit memo, as it is sent and as it is shown."""

    entity: Ref
    item: Lines
    id: str | int = ""
    external_id: str | None = None
    tran_date: str | None = None
    tran_id: str | None = None
    memo: str | None = None
    currency: Ref | None = None
    status: Ref | None = None
    approval_status: Ref | None = None
    subtotal: Decimal | None = None
    created_date: str | None = None
    last_modified_date: str | None = None


class Charge(msgspec.Struct, rename="camel"):
    """A charge, as it is sent and as it is shown."""

    bill_to: Ref
    billing_item: Ref | None = None
    id: str | int = ""
    external_id: str | None = None
    charge_date: str | None = None
    memo: str | None = None
    quantity: Decimal | None = None
    rate: Decimal | None = None
    amount: Decimal | None = None
    currency: Ref | None = None
    stage: Ref | None = None
    invoice: Ref | None = None
    created_date: str | None = None
    last_modified_date: str | None = None


Record = Document | Charge


def flag(value: str | None) -> bool:
    """A flag of SuiteQL. Raises VendorError for anything but "T", "F" and nothing."""
    if value not in ("T", "F", "true", "false", None):
        raise VendorError("malformed", f"NetSuite shows {value!r} where T or F is expected")
    return value in ("T", "true")


def number(value: Decimal) -> str:
    """An internal id as text."""
    if value != value.to_integral_value():
        raise VendorError("malformed", f"NetSuite shows {value} as an internal id")
    return str(int(value))
