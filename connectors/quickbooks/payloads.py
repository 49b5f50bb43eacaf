"""The fields of QuickBooks' records that are used, as they come. Numbers are Decimal, whether QuickBooks writes them as
numbers or as text. Unknown fields are left alone; a required one that is missing is an error with its path.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec


class Record(msgspec.Struct, kw_only=True, rename="pascal"):
    """What everything has: an id, and a number that rises with every change by anybody."""

    id: str
    sync_token: str = ""


class Ref(msgspec.Struct):
    """A reference; only `value` counts, the name is a label."""

    value: str = ""
    name: str = ""


class Customer(Record, kw_only=True, rename="pascal"):
    """A customer or sub-customer."""

    display_name: str
    fully_qualified_name: str = ""
    company_name: str = ""
    active: bool = True
    currency_ref: Ref | None = None
    default_tax_code_ref: Ref | None = None


class Item(Record, kw_only=True, rename="pascal"):
    """A product or service."""

    name: str
    fully_qualified_name: str = ""
    sku: str = ""
    type: str = ""
    active: bool = True
    taxable: bool = False
    sales_tax_included: bool = False
    unit_price: Decimal | None = None
    purchase_cost: Decimal | None = None
    income_account_ref: Ref | None = None
    sales_tax_code_ref: Ref | None = None


class Sold(msgspec.Struct, rename="pascal"):
    """What a line of a sale says of an item. A discount has the same place for its account."""

    item_ref: Ref | None = None
    qty: Decimal | None = None
    unit_price: Decimal | None = None
    tax_code_ref: Ref | None = None
    item_account_ref: Ref | None = None


class Discount(msgspec.Struct, rename="pascal"):
    """What a discount is booked on."""

    discount_account_ref: Ref | None = None


class Bundle(msgspec.Struct, rename="pascal"):
    """The lines inside a bundle; the line that holds them repeats their sum."""

    line: list[Line] = []


class Line(msgspec.Struct, rename="pascal"):
    """One line of a document."""

    detail_type: str = ""
    id: str = ""
    amount: Decimal | None = None
    description: str = ""
    sales_item_line_detail: Sold | None = None
    discount_line_detail: Discount | None = None
    group_line_detail: Bundle | None = None


class Tax(msgspec.Struct, rename="pascal"):
    """What QuickBooks made of the tax."""

    total_tax: Decimal | None = None


class Linked(msgspec.Struct, rename="pascal"):
    """Another document that this one came from or went into."""

    txn_id: str = ""
    txn_type: str = ""


class Stamp(msgspec.Struct, rename="pascal"):
    """When a record was last written; by whom is not told."""

    last_updated_time: datetime | None = None


class Form(msgspec.Struct, rename="pascal"):
    """What syncd sends, read back from its own bytes."""

    customer_ref: Ref
    txn_date: date
    private_note: str
    line: list[Line]
    doc_number: str | None = None
    currency_ref: Ref | None = None


class Document(Record, kw_only=True, rename="pascal"):
    """An estimate, invoice, credit memo, sales receipt or refund receipt."""

    txn_date: date
    line: list[Line]
    customer_ref: Ref | None = None  # a receipt may be for nobody in particular
    doc_number: str | None = None
    private_note: str | None = None
    txn_status: str = ""
    currency_ref: Ref | None = None
    total_amt: Decimal | None = None
    txn_tax_detail: Tax | None = None
    email_status: str = ""
    linked_txn: list[Linked] = []
    meta_data: Stamp | None = None

    @property
    def customer(self) -> str:
        """The customer's id, "" where it names none."""
        return self.customer_ref.value if self.customer_ref else ""


class SalesForms(msgspec.Struct, rename="pascal"):
    """How sales forms are numbered, and which there are."""

    custom_txn_numbers: bool = False
    allow_estimates: bool = True


class Accounting(msgspec.Struct, rename="pascal"):
    """The day through which the books are closed."""

    book_close_date: date | None = None


class Currency(msgspec.Struct, rename="pascal"):
    """Whether there are several currencies, and the company's own."""

    multi_currency_enabled: bool = False
    home_currency: Ref | None = None


class Taxes(msgspec.Struct, rename="pascal"):
    """Whether sales tax is used; `partner_tax_enabled` is told by American companies alone."""

    using_sales_tax: bool = False
    partner_tax_enabled: bool | None = None


class Preferences(msgspec.Struct, rename="pascal"):
    """The company's settings."""

    sales_forms_prefs: SalesForms
    accounting_info_prefs: Accounting
    currency_prefs: Currency = msgspec.field(default_factory=Currency)
    tax_prefs: Taxes = msgspec.field(default_factory=Taxes)


class Company(msgspec.Struct, rename="pascal"):
    """Who the company is."""

    company_name: str
    country: str = ""


class Listed(msgspec.Struct, rename="pascal"):
    """The envelope of a query's answer: the rows lie under the entity's name, which is missing where there are none."""

    query_response: dict[str, msgspec.Raw]


class BatchRow(msgspec.Struct, rename={"bid": "bId", "query_response": "QueryResponse", "fault": "Fault"}):
    """One answer of a batch."""

    bid: str
    query_response: dict[str, msgspec.Raw] | None = None
    fault: dict[str, Any] | None = None


class Batch(msgspec.Struct, rename="pascal"):
    """The answers of a batch."""

    batch_item_response: list[BatchRow]
