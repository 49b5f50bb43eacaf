"""What Graph and the sign-in host send, as far as it is used. Unknown fields are ignored, missing ones are errors.

Types follow Graph's v1.0 metadata. A field that a count rests on is required even where the metadata allows null:
a null there is an answer that cannot be trusted, never a zero.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct, field

Row = TypeVar("Row")

# Int32 in the metadata; a larger or negative number of seats is a fault of the sender.
Units = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Id = Annotated[str, Meta(min_length=1)]
Instant = Annotated[datetime, Meta(tz=True)]


class Page(Struct, Generic[Row], frozen=True):
    """One page of a collection. An absent `value` is a failure, an empty one is not."""

    value: list[Row]
    next_link: str | None = field(name="@odata.nextLink", default=None)
    count: int | None = field(name="@odata.count", default=None)  # on the first page only


class Domain(Struct, rename="camel", frozen=True):
    """A domain of a tenant."""

    name: str | None = None


class Organization(Struct, rename="camel", frozen=True):
    """The tenant that the token really belongs to."""

    id: Id
    display_name: str | None = None
    verified_domains: list[Domain] = []


class Contract(Struct, rename="camel", frozen=True):
    """A customer of the partner; name and domain are copies from the day the partnership began."""

    customer_id: Id
    default_domain_name: str | None = None
    display_name: str | None = None


class Prepaid(Struct, frozen=True):
    """What was bought, by state. Old records lack single counters: those are zero, a null is not."""

    enabled: Units = 0
    warning: Units = 0


class SubscribedSku(Struct, rename="camel", frozen=True):
    """All purchases of one SKU in one tenant, merged."""

    sku_id: Id
    consumed_units: Units
    prepaid_units: Prepaid
    sku_part_number: str | None = None
    applies_to: str | None = None
    capability_status: str | None = None
    subscription_ids: list[str] | None = None


class Purchase(Struct, rename="camel", frozen=True):
    """One purchase (companySubscription): the only place where Graph tells a trial."""

    id: Id
    sku_id: str | None = None
    status: str | None = None
    total_licenses: Units | None = None
    is_trial: bool | None = None


class AssignedLicense(Struct, rename="camel", frozen=True):
    """A licence that a user holds, directly or through a group."""

    sku_id: Id


class SignInActivity(Struct, rename="camel", frozen=True):
    """When a user last signed in. The first two count failed attempts too."""

    last_sign_in_date_time: Instant | None = None
    last_non_interactive_sign_in_date_time: Instant | None = None
    last_successful_sign_in_date_time: Instant | None = None


class User(Struct, rename="camel", frozen=True):
    """A licensed user."""

    id: Id
    user_principal_name: Id
    assigned_licenses: list[AssignedLicense]
    account_enabled: bool | None = None
    user_type: str | None = None
    department: str | None = None
    created_date_time: Instant | None = None
    sign_in_activity: SignInActivity | None = None


class Group(Struct, rename="camel", frozen=True):
    """A group, to be found by its name."""

    id: Id
    display_name: str | None = None


class Member(Struct, frozen=True):
    """A member of a group: a user, a device, another group."""

    id: Id


class Fault(Struct, frozen=True):
    """Graph's error: `innerError` may hold a better code, and nests."""

    code: str = ""
    inner: Fault | None = field(name="innerError", default=None)
    inner_lower: Fault | None = field(name="innererror", default=None)  # the spelling varies
    request_id: str = field(name="request-id", default="")


class FaultBody(Struct, frozen=True):
    """The body of an unsuccessful answer."""

    error: Fault


class TokenFault(Struct, frozen=True):
    """The sign-in host's error. Only the codes are used; the description is prose."""

    error: str = ""
    error_description: str = ""
    error_codes: list[int] = []


class SubAnswer(Struct, frozen=True):
    """One part of a batch's answer."""

    id: str
    status: int
    headers: dict[str, str | int] = {}
    body: msgspec.Raw = msgspec.Raw(b"")


class BatchAnswer(Struct, frozen=True):
    """A batch's answer: parts in any order; its own 200 says only that the batch was understood."""

    responses: list[SubAnswer]
