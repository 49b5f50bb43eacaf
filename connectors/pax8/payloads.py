"""What Pax8 sends, as far as it is used. Unknown fields are ignored, missing required ones are errors with their path.

Money and quantities are Decimal. Dates stay text here; `values` reads them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

Row = TypeVar("Row")
Id = Annotated[str, Meta(min_length=1)]
Natural = Annotated[int, Meta(ge=0)]


class PageInfo(Struct, rename="camel", frozen=True):
    """Where a page stands; `number` counts from 0."""

    total_elements: Natural
    total_pages: Natural
    number: Natural


class Page(Struct, Generic[Row], frozen=True):
    """One page of a list. Without its rows, or without saying how many there are, it is no answer."""

    content: list[Row]
    page: PageInfo


class Company(Struct, rename="camel", frozen=True):
    id: Id
    name: Id
    status: str | None = None  # Active, Inactive (no contacts), Deleted
    external_id: str | None = None
    website: str | None = None
    bill_on_behalf_of_enabled: bool | None = None


class Commitment(Struct, rename="camel", frozen=True):
    """The commitment of one subscription."""

    id: str | None = None
    term: str | None = None
    end_date: str | None = None


class Subscription(Struct, rename="camel", frozen=True):
    id: Id
    company_id: Id
    product_id: Id
    quantity: Decimal
    parent_subscription_id: str | None = None
    vendor_sku_id: str | None = None
    product_name: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    billing_start: str | None = None
    status: str | None = None
    partner_cost: Decimal | None = None
    currency_code: str | None = None
    billing_term: str | None = None
    commitment_term: Commitment | None = None


class Product(Struct, rename="camel", frozen=True):
    id: Id
    name: str | None = None
    sku: str | None = None
    vendor_sku: str | None = None


class CommitmentRules(Struct, rename="camel", frozen=True):
    """What a commitment of a product allows; found by the `id` in the subscription's commitment."""

    id: str | None = None
    term: str | None = None
    auto_renew: bool | None = None
    renewal_window_days_before_term_end: int | None = None
    renewal_window_days_after_term_end: int | None = None
    allow_for_quantity_decrease: bool | None = None
    cancellation_fee_applied: bool | None = None


class Dependencies(Struct, rename="camel", frozen=True):
    commitment_dependencies: list[CommitmentRules] | None = None


class UsageSummary(Struct, rename="camel", frozen=True):
    id: Id
    company_id: Id
    current_charges: Decimal | None = None
    partner_total: Decimal | None = None
    is_trial: bool | None = None


class UsageLine(Struct, rename="camel", frozen=True):
    product_id: Id
    quantity: Decimal
    usage_date: Id
    usage_summary_id: str | None = None
    product_name: str | None = None
    unit_of_measure: str | None = None
    partner_total: Decimal | None = None
    currency_code: str | None = None
    is_trial: bool | None = None


class Detail(Struct, frozen=True):
    message: str | None = None


class Problem(Struct, frozen=True):
    """Pax8's error body."""

    type: str | None = None
    message: str | None = None
    details: list[Detail] | None = None


class TokenProblem(Struct, frozen=True):
    """The sign-in's error body (RFC 6749, 5.2)."""

    error: str = msgspec.field(default="")
