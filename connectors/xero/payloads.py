"""Xero's JSON as far as it is used. Unknown fields and words are passed over, a missing required field is an error."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import field

NO_ID = "00000000-0000-0000-0000-000000000000"
_FINEST = Decimal("0.0001")


class Record(msgspec.Struct, frozen=True):
    """Something with an id."""

    @property
    def key(self) -> str:
        """The id."""
        raise AttributeError("a record names its own id")


class Link(msgspec.Struct, frozen=True):
    """One organisation that the sign-in reaches. `id` would be that of the link itself."""

    tenant_id: str = field(name="tenantId")
    tenant_name: str | None = field(name="tenantName", default=None)
    tenant_type: str | None = field(name="tenantType", default=None)


class Organisation(msgspec.Struct, frozen=True):
    """The books themselves. Lock dates: nothing dated on or before them is taken any more."""

    name: str = field(name="Name")
    currency: str = field(name="BaseCurrency")
    country: str | None = field(name="CountryCode", default=None)
    demo: bool = field(name="IsDemoCompany", default=False)
    status: str | None = field(name="OrganisationStatus", default=None)
    period_lock: str | None = field(name="PeriodLockDate", default=None)
    year_lock: str | None = field(name="EndOfYearLockDate", default=None)


class Contact(Record, frozen=True):
    """A customer or a supplier. `merged_to`: where it went, if somebody merged it."""

    contact_id: str = field(name="ContactID")
    status: str = field(name="ContactStatus")
    name: str = field(name="Name", default="")
    merged_to: str | None = field(name="MergedToContactID", default=None)
    number: str | None = field(name="ContactNumber", default=None)
    account: str | None = field(name="AccountNumber", default=None)
    currency: str | None = field(name="DefaultCurrency", default=None)
    website: str | None = field(name="Website", default=None)

    @property
    def key(self) -> str:
        """The id."""
        return self.contact_id

    @property
    def active(self) -> bool:
        """Whether it takes documents."""
        return self.status == "ACTIVE"


class Sales(msgspec.Struct, frozen=True):
    """How an item is sold."""

    price: Decimal | None = field(name="UnitPrice", default=None)
    account: str | None = field(name="AccountCode", default=None)
    tax: str | None = field(name="TaxType", default=None)


class Item(Record, frozen=True):
    """A product."""

    item_id: str = field(name="ItemID")
    code: str = field(name="Code")
    name: str | None = field(name="Name", default=None)
    sold: bool = field(name="IsSold", default=True)
    tracked: bool = field(name="IsTrackedAsInventory", default=False)
    sales: Sales | None = field(name="SalesDetails", default=None)

    @property
    def key(self) -> str:
        """The id."""
        return self.item_id


class LineItem(msgspec.Struct, frozen=True):
    """The product as a line names it."""

    item_id: str | None = field(name="ItemID", default=None)
    name: str | None = field(name="Name", default=None)
    code: str | None = field(name="Code", default=None)


class Line(msgspec.Struct, frozen=True):
    """A line of a document or of a repeating invoice; one with nothing but a description is a remark."""

    description: str | None = field(name="Description", default=None)
    quantity: Decimal | None = field(name="Quantity", default=None)
    price: Decimal | None = field(name="UnitAmount", default=None)
    amount: Decimal | None = field(name="LineAmount", default=None)
    tax_amount: Decimal | None = field(name="TaxAmount", default=None)
    item_code: str | None = field(name="ItemCode", default=None)
    item: LineItem | None = field(name="Item", default=None)
    account: str | None = field(name="AccountCode", default=None)
    line_id: str | None = field(name="LineItemID", default=None)

    @property
    def remark(self) -> bool:
        """Whether it charges nothing and only says something."""
        return not self.item_code and not self.amount and not (self.price and self.quantity)

    @property
    def code(self) -> str:
        """The item's code, "" where the line has no item."""
        return self.item_code or (self.item.code if self.item else "") or ""


class Party(msgspec.Struct, frozen=True):
    """The contact as a document names it."""

    contact_id: str = field(name="ContactID")


class Said(msgspec.Struct, frozen=True):
    """One validation error or warning."""

    message: str = field(name="Message", default="")


class Document(Record, frozen=True):
    """What sales invoices and their credit notes have in common."""

    kind: str = field(name="Type")
    status: str = field(name="Status")
    contact: Party = field(name="Contact")
    reference: str | None = field(name="Reference", default=None)
    dated: str | None = field(name="Date", default=None)
    currency: str | None = field(name="CurrencyCode", default=None)
    amounts: str | None = field(name="LineAmountTypes", default=None)
    subtotal: Decimal | None = field(name="SubTotal", default=None)
    lines: list[Line] | None = field(name="LineItems", default=None)
    updated: str | None = field(name="UpdatedDateUTC", default=None)
    attribute: str | None = field(name="StatusAttributeString", default=None)
    failed: bool = field(name="HasErrors", default=False)
    errors: list[Said] | None = field(name="ValidationErrors", default=None)
    warnings: list[Said] | None = field(name="Warnings", default=None)

    @property
    def number(self) -> str:
        """What people call it."""
        raise AttributeError("an invoice and a credit note have numbers of their own")

    @property
    def live(self) -> bool:
        """Whether it stands in the books or waits to."""
        return self.status not in ("DELETED", "VOIDED")


class Invoice(Document, frozen=True, kw_only=True):
    """An invoice."""

    invoice_id: str = field(name="InvoiceID", default=NO_ID)
    invoice_number: str | None = field(name="InvoiceNumber", default=None)
    repeating_id: str | None = field(name="RepeatingInvoiceID", default=None)

    @property
    def key(self) -> str:
        """The id."""
        return self.invoice_id

    @property
    def number(self) -> str:
        """What people call it."""
        return self.invoice_number or self.invoice_id


class CreditNote(Document, frozen=True, kw_only=True):
    """A credit note; its amounts are positive."""

    credit_id: str = field(name="CreditNoteID", default=NO_ID)
    credit_number: str | None = field(name="CreditNoteNumber", default=None)

    @property
    def key(self) -> str:
        """The id."""
        return self.credit_id

    @property
    def number(self) -> str:
        """What people call it."""
        return self.credit_number or self.credit_id


class Schedule(msgspec.Struct, frozen=True):
    """When a repeating invoice is made."""

    unit: str | None = field(name="Unit", default=None)
    every: int | None = field(name="Period", default=None)
    starts: str | None = field(name="StartDate", default=None)
    following: str | None = field(name="NextScheduledDate", default=None)
    ends: str | None = field(name="EndDate", default=None)


class Repeating(Record, frozen=True):
    """A template from which Xero makes an invoice again and again."""

    repeating_id: str = field(name="RepeatingInvoiceID")
    kind: str = field(name="Type")
    status: str = field(name="Status")
    contact: Party = field(name="Contact")
    lines: list[Line] | None = field(name="LineItems", default=None)
    schedule: Schedule = field(name="Schedule", default=Schedule())
    reference: str | None = field(name="Reference", default=None)
    currency: str | None = field(name="CurrencyCode", default=None)

    @property
    def key(self) -> str:
        """The id."""
        return self.repeating_id


class Pages(msgspec.Struct, frozen=True):
    """How much there is."""

    page: int
    pages: int = field(name="pageCount")
    rows: int = field(name="itemCount")


class TokenProblem(msgspec.Struct, frozen=True):
    """RFC 6749, 5.2."""

    error: str
    description: str = field(name="error_description", default="")


def units(value: Decimal | None) -> Decimal:
    """A quantity. Xero keeps four digits after the point; a double that has more (2.9999999) means the nearest."""
    if value is None:
        return Decimal(0)
    return value if value == value.quantize(_FINEST) else value.quantize(_FINEST)
