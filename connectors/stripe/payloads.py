"""The fields of Stripe's records that are used. A field that must be there and is not is an error with its path.

Ids of other records may come expanded into the record itself; `id_of` takes both.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Ref(msgspec.Struct):
    """A record that came instead of its id."""

    id: str


Expandable = str | Ref


def id_of(one: Expandable | None) -> str:
    """The id of what may have come expanded; "" for none."""
    return "" if one is None else one if isinstance(one, str) else one.id


class Page(msgspec.Struct, Generic[T]):
    """A page of a list, newest records first."""

    object: str
    data: list[T]
    has_more: bool


class Moded(msgspec.Struct):
    """Any record: whether it is of the live mode."""

    id: str
    livemode: bool


class Customer(msgspec.Struct):
    """`customer`. Deleted ones come as {"id", "object", "deleted": true} with status 200."""

    id: str
    livemode: bool | None = None
    deleted: bool = False
    name: str | None = None
    business_name: str | None = None
    description: str | None = None
    email: str | None = None
    metadata: dict[str, str] | None = None


class Recurring(msgspec.Struct):
    """How a price recurs."""

    interval: str
    interval_count: int
    usage_type: str
    meter: str | None = None


class Transform(msgspec.Struct):
    """Quantities are divided before they are priced (packages)."""

    divide_by: int


class Catalogued(msgspec.Struct):
    """A product, as it comes expanded into a price."""

    id: str
    name: str = ""
    active: bool = True
    deleted: bool = False


class Price(msgspec.Struct):
    """`price`."""

    id: str
    livemode: bool
    active: bool
    currency: str
    billing_scheme: str
    type: str
    product: str | Catalogued
    created: int = 0
    lookup_key: str | None = None
    nickname: str | None = None
    recurring: Recurring | None = None
    tax_behavior: str | None = None
    transform_quantity: Transform | None = None
    unit_amount_decimal: str | None = None


class Item(msgspec.Struct):
    """`subscription_item`. `quantity` is absent where the price is metered."""

    id: str
    subscription: str
    price: Price
    current_period_start: int
    current_period_end: int
    quantity: int | None = None
    metadata: dict[str, str] | None = None
    created: int = 0


class Pause(msgspec.Struct):
    """What becomes of invoices while collection is paused."""

    behavior: str


class PendingUpdate(msgspec.Struct):
    """An update that waits for its payment."""

    expires_at: int


class Subscription(msgspec.Struct):
    """`subscription`; `items` shows ten at most."""

    id: str
    livemode: bool
    status: str
    currency: str
    customer: Expandable
    items: Page[Item]
    description: str | None = None
    billing_cycle_anchor: int | None = None
    cancel_at: int | None = None
    schedule: Expandable | None = None
    pending_update: PendingUpdate | None = None
    pause_collection: Pause | None = None


class PriceDetails(msgspec.Struct):
    """What a line charges."""

    price: Expandable
    product: str


class Pricing(msgspec.Struct):
    """How a line is priced."""

    price_details: PriceDetails | None = None
    unit_amount_decimal: str | None = None


class OfSubscription(msgspec.Struct):
    """The subscription that an invoice item belongs to."""

    subscription: Expandable | None = None


class ItemParent(msgspec.Struct):
    """Where an invoice item comes from."""

    subscription_details: OfSubscription | None = None


class Taken(msgspec.Struct):
    """An invoice that took an invoice item: whether it still stands."""

    id: str
    livemode: bool | None = None
    status: str | None = None
    deleted: bool = False


class InvoiceItem(msgspec.Struct):
    """`invoiceitem`. `quantity` is cut to a whole number, `quantity_decimal` is not."""

    id: str
    livemode: bool
    customer: Expandable
    amount: int
    currency: str
    quantity_decimal: str
    discountable: bool | None = None
    proration: bool = False
    description: str | None = None
    invoice: Expandable | None = None
    parent: ItemParent | None = None
    pricing: Pricing | None = None
    metadata: dict[str, str] | None = None


class Discount(msgspec.Struct):
    """What one discount takes off a line."""

    amount: int


class Tax(msgspec.Struct):
    """One tax of a line."""

    amount: int
    tax_behavior: str = "exclusive"


class ItemDetails(msgspec.Struct):
    """The record that an invoice's line comes from."""

    proration: bool = False


class LineParent(msgspec.Struct):
    """Where an invoice's line comes from."""

    invoice_item_details: ItemDetails | None = None
    subscription_item_details: ItemDetails | None = None


class Line(msgspec.Struct):
    """`line_item` of an invoice."""

    id: str
    amount: int
    currency: str
    description: str | None = None
    discount_amounts: list[Discount] | None = None
    taxes: list[Tax] | None = None
    metadata: dict[str, str] | None = None
    parent: LineParent | None = None
    pricing: Pricing | None = None
    quantity: int | None = None
    quantity_decimal: str | None = None


class Transitions(msgspec.Struct):
    """When an invoice was finalised."""

    finalized_at: int | None = None


class Shipping(msgspec.Struct):
    """What an invoice charges for shipping, without tax."""

    amount_subtotal: int


class Invoice(msgspec.Struct):
    """`invoice`; `lines` shows ten at most."""

    id: str
    livemode: bool
    customer: Expandable | None
    currency: str
    created: int
    total: int
    lines: Page[Line]
    status: str | None = None
    number: str | None = None
    effective_at: int | None = None
    status_transitions: Transitions = msgspec.field(default_factory=Transitions)
    total_excluding_tax: int | None = None
    shipping_cost: Shipping | None = None
    pre_payment_credit_notes_amount: int = 0
    post_payment_credit_notes_amount: int = 0


class CreditLine(msgspec.Struct):
    """A line of a credit note: amounts are positive. Lines of invoices name the line that they take back."""

    id: str
    amount: int
    invoice_line_item: str | None = None
    quantity: int | None = None
    description: str | None = None
    discount_amounts: list[Discount] | None = None
    taxes: list[Tax] | None = None


class CreditNote(msgspec.Struct):
    """`credit_note`; `lines` shows ten at most."""

    id: str
    livemode: bool
    invoice: Expandable
    currency: str
    status: str
    lines: Page[CreditLine]


class KeyOf(msgspec.Struct):
    """Which field of an event's payload holds something."""

    event_payload_key: str


class Aggregation(msgspec.Struct):
    """How a meter makes one number of its events."""

    formula: str


class Meter(msgspec.Struct):
    """`billing.meter`."""

    id: str
    livemode: bool
    event_name: str
    status: str
    customer_mapping: KeyOf
    value_settings: KeyOf
    default_aggregation: Aggregation
    event_time_window: str | None = None


class MeterEvent(msgspec.Struct):
    """`billing.meter_event`, as it is echoed."""

    livemode: bool
    event_name: str
    identifier: str
    payload: dict[str, str]
    timestamp: int


class Summary(msgspec.Struct):
    """`billing.meter_event_summary`."""

    id: str
    livemode: bool
    aggregated_value: Decimal
    start_time: int
    end_time: int


class Problem(msgspec.Struct):
    """What went wrong, in Stripe's words."""

    type: str
    code: str | None = None
    message: str | None = None
    param: str | None = None


class Failure(msgspec.Struct):
    """The body of every error."""

    error: Problem
