"""What is read of ConnectWise's records: only the fields used, in the vendor's meaning.

Unknown fields are ignored (the vendor adds some at any time). A missing required field is an error with its path.
Money and quantities are Decimal. Dates stay text here; `dates` reads them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import field


class Record(msgspec.Struct, rename="camel", kw_only=True):
    """Anything that lists give: it has an id, by which lists are ordered and proved whole."""

    id: int


class Ref(msgspec.Struct, rename="camel"):
    """A reference to another record; which names it carries depends on the kind."""

    id: int | None = None
    identifier: str | None = None
    name: str | None = None


class Stamp(msgspec.Struct, rename="camel"):
    """`_info`: who touched the record and when (UTC)."""

    last_updated: str | None = None
    updated_by: str | None = None
    date_entered: str | None = None


class Currency(msgspec.Struct, rename="camel"):
    currency_code: str | None = None
    currency_identifier: str | None = None


class CustomField(msgspec.Struct, rename="camel"):
    id: int | None = None
    caption: str | None = None
    value: Any = None


class CompanyInfo(msgspec.Struct):
    """`/login/companyinfo/{company}`: which code base serves the company."""

    codebase: str | None = field(name="Codebase", default=None)


class SystemInfo(msgspec.Struct, rename="camel"):
    version: str
    server_time_zone: str | None = None
    cloud_region: str | None = None


class Counted(msgspec.Struct):
    """The answer of `…/count`."""

    count: int


class Company(Record):
    identifier: str
    name: str
    deleted_flag: bool | None = None
    website: str | None = None
    custom_fields: list[CustomField] | None = None


class Agreement(Record):
    name: str
    company: Ref
    parent_agreement: Ref | None = None
    start_date: str | None = None
    end_date: str | None = None
    no_ending_date_flag: bool | None = None
    cancelled_flag: bool | None = None
    date_cancelled: str | None = None
    agreement_status: str | None = None
    billing_cycle: Ref | None = None
    bill_start_date: str | None = None
    next_invoice_date: str | None = None
    bill_amount: Decimal | None = None
    period_type: str | None = None
    invoicing_cycle: str | None = None
    prorate_flag: bool | None = None
    currency: Currency | None = None


class Recap(Record):
    """`/finance/agreementrecap/`: the PSA's own summary of an agreement's invoicing."""

    last_invoice_date: str | None = None
    next_invoice_date: str | None = None


class Addition(Record):
    product: Ref
    bill_customer: str
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    unit_cost: Decimal | None = None
    effective_date: str | None = None
    cancelled_date: str | None = None
    serial_number: str | None = None
    invoice_description: str | None = None
    description: str | None = None
    agreement_id: int | None = None
    custom_fields: list[CustomField] | None = None
    info: Stamp | None = field(name="_info", default=None)


class CatalogItem(Record):
    identifier: str
    description: str | None = None
    inactive_flag: bool | None = None
    product_class: str | None = None
    price: Decimal | None = None
    cost: Decimal | None = None


class Configuration(Record):
    """A device."""

    name: str
    type: Ref
    company: Ref
    status: Ref | None = None
    site: Ref | None = None
    serial_number: str | None = None
    active_flag: bool | None = None
    bill_flag: bool | None = None


class TimeEntry(Record):
    status: str
    time_start: str
    company: Ref | None = None
    actual_hours: Decimal | None = None
    member: Ref | None = None
    work_type: Ref | None = None
    work_role: Ref | None = None
    ticket_board: str | None = None
    billable_option: str | None = None


class Ticket(Record):
    company: Ref
    board: Ref | None = None
    type: Ref | None = None
    closed_flag: bool | None = None
    closed_date: str | None = None
    info: Stamp | None = field(name="_info", default=None)


class DeskTicket(Record):
    """A ticket as syncd opens and closes them."""

    company: Ref
    external_x_ref: str | None = None
    board: Ref | None = None
    status: Ref | None = None
    closed_flag: bool | None = None
    info: Stamp | None = field(name="_info", default=None)


class TicketNote(Record):
    ticket_id: int | None = None
    text: str | None = None


class Board(Record):
    """A service board. `auto_close_status`: the status into which the board itself closes tickets."""

    name: str
    inactive_flag: bool | None = None
    auto_close_status: Ref | None = None


class BoardStatus(Record):
    """A status of one board; each board has its own."""

    name: str
    inactive: bool | None = None
    closed_status: bool | None = None
    default_flag: bool | None = None


class Invoice(Record):
    type: str
    company: Ref
    date: str
    invoice_number: str | None = None
    agreement: Ref | None = None
    subtotal: Decimal | None = None
    service_total: Decimal | None = None
    expense_total: Decimal | None = None


class InvoicedProduct(Record):
    """A product line of an invoice (`/procurement/products`)."""

    catalog_item: Ref
    quantity: Decimal | None = None
    quantity_cancelled: Decimal | None = None
    price: Decimal | None = None
    ext_price: Decimal | None = None
    billable_option: str | None = None
    invoice: Ref | None = None


class UserDefinedField(Record):
    caption: str


class Integration(Record):
    """A management solution or a managed-devices integration, which may write additions by itself."""

    name: str


class ManagementProduct(Record):
    agreement_type: Ref | None = None
    server_product: Ref | None = None
    workstation_product: Ref | None = None
    spam_stats_product: Ref | None = None


class CrossReference(Record):
    agreement_type: Ref | None = None
    product: Ref | None = None
    inactive_flag: bool | None = None
