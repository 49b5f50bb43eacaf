"""The double's own rules of billing: when an addition is refused, what a part of a period costs, what an invoice holds.

Written from the vendor's behaviour as published, and apart from the connector: dates and shares are computed here anew.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

Row = dict[str, Any]
_ONE_DAY = timedelta(days=1)
_MONTHS = {"Monthly": 1, "Quarterly": 3, "Semi-Annual": 6, "Annual": 12}


def as_day(value: Any) -> date | None:
    """The calendar day of a stored date."""
    return date.fromisoformat(value[:10]) if value else None


def as_text(value: date) -> str:
    """A calendar day as it is stored."""
    return f"{value.isoformat()}T00:00:00Z"


def cents(value: Decimal) -> Decimal:
    """Money to two digits."""
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Span:
    """First and last day."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """How many days, both ends counted."""
        return (self.last - self.first).days + 1


def span_from(first: date, agreement: Mapping[str, Any]) -> Span:
    """The billing period that begins on `first`."""
    months = _MONTHS[agreement["billingCycle"]["name"]]
    year, month = first.year + (first.month - 1 + months) // 12, (first.month - 1 + months) % 12 + 1
    start = as_day(agreement["billStartDate"]) or first
    following = date(year, month, min(start.day, calendar.monthrange(year, month)[1]))
    return Span(first, following - _ONE_DAY)


def spans(agreement: Mapping[str, Any], until: date) -> Iterator[Span]:
    """The billing periods from the billing start up to the one that holds `until`."""
    first = as_day(agreement["billStartDate"])
    while first is not None and first <= until:
        span = span_from(first, agreement)
        yield span
        first = span.last + _ONE_DAY


def refused(addition: Row, agreement: Row, dated: Row, product: Row | None) -> list[tuple[str, str]]:
    """Why an addition is refused, as (message, field); `dated` is the agreement whose dates bill it."""
    faults = []
    if product is None:
        return [("product is required or does not exist", "product")]
    if addition.get("billCustomer") not in ("Billable", "DoNotBill", "NoCharge"):
        faults.append(("billCustomer is required", "billCustomer"))
    if product.get("inactiveFlag"):
        faults.append(("the product is inactive", "product"))
    if product.get("productClass") == "Bundle":
        faults.append(("a bundle cannot be added to an agreement", "product"))
    effective = as_day(addition.get("effectiveDate"))
    start, following = as_day(dated.get("billStartDate")), as_day(dated.get("nextInvoiceDate"))
    if effective and start and effective < start:
        faults.append(("effectiveDate cannot be less than the agreement billing start date", "effectiveDate"))
    elif effective and following and effective < following and not agreement.get("prorateFlag"):
        faults.append(
            (
                "the period is already invoiced and the agreement is not prorated; prorate the agreement or let "
                "the addition start on or after the next invoice date",
                "effectiveDate",
            )
        )
    return faults


def last_day(addition: Row, inclusive: bool) -> date | None:
    """The last billed day of an addition."""
    cancelled = as_day(addition.get("cancelledDate"))
    return cancelled if cancelled is None or inclusive else cancelled - _ONE_DAY


def compute(addition: Row, agreement: Row, dated: Row, today: date, inclusive: bool) -> None:
    """Fills what the server computes of an addition."""
    quantity = Decimal(addition["quantity"])
    billed = quantity - Decimal(addition.get("lessIncluded") or 0)
    price, cost = Decimal(addition["unitPrice"]), Decimal(addition["unitCost"])
    addition["billedQuantity"] = billed
    addition["extPrice"], addition["extCost"] = cents(billed * price), cents(billed * cost)
    addition["margin"] = addition["extPrice"] - addition["extCost"]
    effective, ends = as_day(addition.get("effectiveDate")), last_day(addition, inclusive)
    part = Decimal(0)
    if effective and agreement.get("prorateFlag") and addition.get("prorateCurrentPeriodFlag") is not False:
        for span in spans(dated, effective):
            if span.first < effective <= span.last:
                part = share(span, effective, ends)
    addition["proratePrice"], addition["prorateCost"] = cents(price * part), cents(cost * part)
    addition["extendedProratePrice"] = cents(billed * price * part)
    addition["extendedProrateCost"] = cents(billed * cost * part)
    begun = effective is None or effective <= today
    addition["agreementStatus"] = (
        "Cancelled" if ends is not None and ends < today else "Active" if begun else "Inactive"
    )


def share(span: Span, effective: date, ends: date | None) -> Decimal:
    """The part of a period's days that an addition covers."""
    first, last = max(span.first, effective), min(span.last, ends or span.last)
    return Decimal(max((last - first).days + 1, 0)) / span.days


def charges(
    addition: Row, agreement: Row, dated: Row, upto: Span, billed: set[tuple[int, date]], inclusive: bool
) -> Iterator[tuple[Span, Decimal, Decimal]]:
    """What an invoice of period `upto` charges for an addition and has not charged: (period, quantity, amount)."""
    if addition["billCustomer"] == "DoNotBill":
        return
    effective, ends = as_day(addition.get("effectiveDate")), last_day(addition, inclusive)
    quantity = Decimal(addition["billedQuantity"])
    for span in spans(dated, upto.first):
        begins = effective or span.first
        if begins > span.last or (ends is not None and ends < span.first) or (addition["id"], span.first) in billed:
            continue
        billed.add((addition["id"], span.first))
        divides = agreement.get("prorateFlag") and addition.get("prorateCurrentPeriodFlag") is not False
        part = share(span, begins, ends) if divides else Decimal(1)
        free = addition["billCustomer"] == "NoCharge"
        yield span, quantity, Decimal(0) if free else cents(quantity * Decimal(addition["unitPrice"]) * part)
