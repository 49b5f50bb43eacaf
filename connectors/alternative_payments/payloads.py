"""What Alternative Payments answers: the fields used and no others. Numbers are Decimals, states are open strings."""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

Row = TypeVar("Row")


class Cursors(msgspec.Struct):
    """Where a list goes on. The vendor's specification has these beside `data`, its guide under `pagination`."""

    has_next_page: bool
    end_cursor: str | None = None


class Page(msgspec.Struct, Generic[Row]):
    """One page of a list."""

    data: list[Row]
    has_next_page: bool | None = None
    end_cursor: str | None = None
    pagination: Cursors | None = None


class Record(msgspec.Struct):
    """Every record has an id."""

    id: str


class Customer(Record):
    """`external_id` is the MSP's own key, `customer_integration_id` that of the primary integration."""

    name: str
    external_id: str | None = None
    customer_integration_id: str | None = None


class Line(msgspec.Struct):
    """A line of an invoice. Whether `amount` is that of one unit, and in dollars or cents, is not documented."""

    description: str | None
    quantity: Decimal
    amount: Decimal


class Written(msgspec.Struct):
    """What is read back from a request of syncd's own, before it is sent."""

    line_items: list[Line]


class Invoice(Record):
    """An invoice; it has no date but the instant of its making, and no field for a foreign key."""

    customer_id: str
    currency: str
    created_at: str
    line_items: list[Line]
    invoice_number: str | None = None
    due_date: str | None = None
    status: str | None = None
    sub_total: Decimal | None = None
    total: Decimal | None = None

    @property
    def called(self) -> str:
        """How people find it."""
        return self.invoice_number or self.id


class Payment(Record):
    """A payment; it does not say for which invoice, so one asks invoice by invoice."""

    customer_id: str
    status: str
    sub_total: Decimal | None = None
    total: Decimal | None = None


class Problem(msgspec.Struct):
    """The vendor's error, with the field that its FAQ speaks of."""

    code: str | int | None = None
    message: str | None = None
    validation_errors: dict[str, object] | None = None
    error: object = None
