"""What is read of Halo's records: only the fields used, of the hundreds that a record has.

Unknown fields are ignored. A missing required field is an error with its path. Quantities and money are Decimal (the
database keeps doubles: `money` and `units` round them). Dates stay text here; `dates` reads them. Ids may be negative.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import field

from syncd.connect.values import as_meant
from syncd.errors import VendorError
from syncd.money import number


class Record(msgspec.Struct, kw_only=True):
    """Anything that lists give: it has an id, by which lists are ordered and proved whole."""

    id: int


class AuthInfo(msgspec.Struct):
    auth_url: str | None = None
    tenant_id: str | None = None


class TokenScope(msgspec.Struct):
    """What a token answer says of its scope; None where it says nothing."""

    scope: str | None = None


class Client(Record):
    """A client. `xeroid`, `stripe_customer_id`, `connectwiseid`: its ids in other systems, where Halo keeps them."""

    name: str
    inactive: bool | None = None
    xeroid: str | None = None
    stripe_customer_id: str | None = None
    connectwiseid: int | None = None


class AzureTenant(Record):
    """Which Microsoft tenant is which client's."""

    client_id: int | None = None
    azure_tenant_id: str | None = None
    azure_tenant_domain: str | None = None


class Item(Record):
    name: str
    accountsid: str | None = None
    internalreference: str | None = None
    baseprice: Decimal | None = None
    costprice: Decimal | None = None
    recurringprice: Decimal | None = None
    recurringcost: Decimal | None = None
    dontinvoice: bool | None = None
    status: int | None = None


class QuantityRule(msgspec.Struct):
    """How Halo calculates a line's quantity."""

    id: int | None = None
    licence_id: int | None = None
    assigned_licences: bool | None = None
    qty_free: Decimal | None = None
    minimum_qty: Decimal | None = None
    criteria: list[Any] | None = None


class ProRata(msgspec.Struct):
    """A pending row for a part of a period."""

    id: int | None = None
    quantity: Decimal | None = None
    isinvoiced: bool | None = None


class Line(Record):
    """A line of a recurring invoice or of an invoice."""

    ihid: int | None = None
    item_id: int | None = field(name="_itemid", default=None)
    item_code: str | None = None
    short: str | None = field(name="item_shortdescription", default=None)
    qty_order: Decimal | None = None
    unit_price: Decimal | None = None
    unit_cost: Decimal | None = None
    net_amount: Decimal | None = None
    comment_2: str | None = None
    isinactive: bool | None = None
    isgroupdesc: bool | None = None
    onetimecharge: bool | None = None
    startdate: str | None = None
    enddate: str | None = None
    is_calculated_line: bool | None = field(name="_is_calculated_line", default=None)
    calculate_price_from_assets: bool | None = None
    calculate_price_from_users: bool | None = None
    is_meter: bool | None = None
    quantity_users: list[QuantityRule] | None = None
    quantity_assets: list[QuantityRule] | None = None
    quantity_licences: list[QuantityRule] | None = None
    quantity_subscriptions: list[QuantityRule] | None = None
    prorata_data: list[ProRata] | None = None
    prorata_next_invoice: bool | None = None
    warning: str | None = field(name="_warning", default=None)


class Schedule(msgspec.Struct):
    nextcreationdate: str | None = None
    lastcreated: str | None = None


class Recurring(Record):
    """A recurring invoice. Its id is negative."""

    client_id: int
    lines: list[Line]
    name: str | None = None
    reference: str | None = None
    contract_ref: str | None = None
    disabled: bool | None = None
    nextcreationdate: str | None = None
    lastcreated: str | None = None
    periodname: str | None = None
    startdate: str | None = None
    enddate: str | None = None
    schedule: Schedule | None = None
    contains_calculated_quantity: bool | None = None
    currency: str | None = None


class Invoice(Record):
    """An invoice's header. `lines` only where they were asked for."""

    client_id: int
    invoice_date: str | None = None
    invoicenumber: str | None = None
    reference: str | None = None
    internal_note: str | None = None
    posted: bool | None = None
    voided: bool | None = None
    reviewrequired: bool | None = None
    datesent: str | None = None
    creditlinkedtoinvoiceid: int | None = None
    total: Decimal | None = None
    tax_total: Decimal | None = None
    lines: list[Line] | None = None
    warning: str | None = field(name="_warning", default=None)


class Change(Record):
    """An audit row of a recurring invoice."""

    invoice_id: int | None = None
    invoice_line_id: int | None = None
    who: str | None = None
    datetime: str | None = None


class Licence(Record):
    """A software licence or subscription."""

    name: str
    client_id: int | None = None
    count: Decimal | None = None
    price: Decimal | None = None
    is_active: bool | None = None
    deleted: bool | None = None
    status: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    billing_cycle: str | None = None
    term_duration: str | None = None
    vendor: str | None = None
    manufacturer: str | None = None
    distributor: str | None = None
    product_sku: str | None = None
    vendor_product_sku: str | None = None
    tenant_id: str | None = None
    azure_connection_id: int | None = None
    warning: str | None = field(name="_warning", default=None)


class Asset(Record):
    """A device."""

    client_id: int
    inventory_number: str | None = None
    site_id: Decimal | None = None
    site_name: str | None = None
    assettype_id: int | None = None
    assettype_name: str | None = None
    status_id: int | None = None
    status_name: str | None = None
    inactive: bool | None = None


class User(Record):
    name: str
    client_id: int
    site_id: Decimal | None = None  # a number with decimals, unlike every other id
    site_name: str | None = None
    emailaddress: str | None = None
    inactive: bool | None = None
    isserviceaccount: bool | None = None
    ignoreautomatedbilling: bool | None = None


class Action(Record):
    """A time entry. Its id is only unique within its ticket."""

    ticket_id: int
    datetime: str | None = None
    who: str | None = None
    who_agentid: int | None = None
    timetaken: Decimal | None = None
    actionchargehours: Decimal | None = None
    actionnonchargehours: Decimal | None = None
    actionprepayhours: Decimal | None = None
    chargerate: int | None = None
    actisbillable: bool | None = None
    note: str | None = None
    note_html: str | None = None
    warning: str | None = field(name="_warning", default=None)


class Ticket(Record):
    client_id: int
    summary: str | None = None
    dateoccurred: str | None = None
    tickettype_id: int | None = None
    tickettype_name: str | None = None
    team: str | None = None
    status_id: int | None = None
    hasbeenclosed: bool | None = None
    warning: str | None = field(name="_warning", default=None)


class Team(Record):
    name: str
    inactive: bool | None = None


def units(told: Decimal | None) -> Decimal | None:
    """A double as the number that was meant: 2.9999999 is 3. One that is no round number at four places stays.

    Raises VendorError `malformed` for one that no count or price can be.
    """
    if told is None:
        return None
    try:
        number(told)
    except ValueError as error:
        raise VendorError("malformed", f"Halo shows {error}") from None
    return as_meant(told)
