"""What Partner Center and the sign-in host send, as far as it is used. Unknown fields are ignored.

A missing required field is an error with its path. Quantities are Decimal. Dates stay text here; `values` reads them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct, field

Row = TypeVar("Row")
Id = Annotated[str, Meta(min_length=1)]


class Header(Struct, frozen=True):
    key: str
    value: str


class Link(Struct, frozen=True):
    uri: str | None = None
    headers: list[Header] | None = None


class Links(Struct, frozen=True):
    this: Link | None = field(name="self", default=None)
    next: Link | None = None


class Collection(Struct, Generic[Row], rename="camel", frozen=True):
    """One page. `total_count` counts this page where pages follow by continuation."""

    items: list[Row]
    total_count: Annotated[int, Meta(ge=0)] | None = None
    links: Links | None = None


class CompanyProfile(Struct, rename="camel", frozen=True):
    domain: str | None = None
    company_name: str | None = None


class Customer(Struct, rename="camel", frozen=True):
    id: Id
    company_profile: CompanyProfile | None = None
    custom_domains: list[str] | None = None
    relationship_to_partner: str | None = None


class ProductType(Struct, frozen=True):
    id: str | None = None


class RefundableDetail(Struct, rename="camel", frozen=True):
    quantity: Decimal
    allowed_until_date_time: str | None = None


class Refundable(Struct, rename="camel", frozen=True):
    """Seats that may still be given back, each addition with a window of its own."""

    details: list[RefundableDetail] | None = None


class NextTerm(Struct, rename="camel", frozen=True):
    quantity: Decimal | None = None


class Subscription(Struct, rename="camel", frozen=True):
    id: Id
    offer_id: Id
    quantity: Decimal
    status: Id
    offer_name: str | None = None
    product_type: ProductType | None = None
    parent_subscription_id: str | None = None
    is_trial: bool | None = None
    billing_type: str | None = None
    billing_cycle: str | None = None
    term_duration: str | None = None
    auto_renew_enabled: bool | None = None
    effective_start_date: str | None = None
    commitment_end_date: str | None = None
    cancellation_allowed_until_date: str | None = None
    refundable_quantity: Refundable | None = None
    scheduled_next_term_instructions: NextTerm | None = None
    order_id: str | None = None
    links: Links | None = None


class Invoice(Struct, rename="camel", frozen=True):
    """An invoice of Microsoft to the partner. `amends_of`: the invoice that this one corrects."""

    id: Id
    billing_period_end_date: str | None = None
    document_type: str | None = None
    invoice_type: str | None = None
    amends_of: str | None = None


class InvoiceLine(Struct, rename="camel", frozen=True):
    """A reconciliation line. Numbers come as numbers or as text, in one answer. `subscription_id` is another id than
    the subscription's own."""

    customer_id: str | None = None
    order_id: str | None = None
    product_id: str | None = None
    sku_id: str | None = None
    subscription_id: str | None = None
    charge_type: str | None = None
    charge_start_date: str | None = None
    charge_end_date: str | None = None
    quantity: Decimal | None = None
    billable_quantity: Decimal | None = None
    subtotal: Decimal | None = None
    currency: str | None = None


class Problem(Struct, frozen=True):
    """Partner Center's error body; the code comes as a number or as text."""

    code: int | str
    description: str | None = None


class Throttled(Struct, rename="camel", frozen=True):
    """The other error body, of its gateway."""

    status_code: int
    message: str | None = None


class TokenProblem(Struct, frozen=True):
    """The sign-in host's error body."""

    error: str = ""
    error_description: str = ""
    error_codes: list[int] = []
