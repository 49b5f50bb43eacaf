"""What the double of Partner Center has invoiced: one invoice a month with its reconciliation lines, as its docs show.

Numbers come as text in every second row and the case of `chargeType` varies. An invoice is there from the 6th of the
month after. Of a price that no seat divides, or a change in the middle, tests make lines of their own.
"""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.partnercenter.sandbox_state import Row, Stock

VISIBLE = 6
_CYCLES = {"monthly": 1, "annual": 12, "triennial": 36}


def invoices(stock: Stock, today: date) -> list[Row]:
    """The headers: the newest month's, the one before it, an old one of the legacy kind and a credit note."""
    end = today.replace(day=1) - timedelta(days=1)
    if today.day < VISIBLE:
        end = end.replace(day=1) - timedelta(days=1)
    before = end.replace(day=1) - timedelta(days=1)
    return [
        _header(before, "G", "Invoice", "OneTime"),
        _header(end, "D", "Invoice", "Recurring"),
        _header(end, "G", "Invoice", "OneTime"),
        _header(end, "C", "Credit Note", "OneTime"),
    ]


def number_of(end: date, letter: str = "G") -> str:
    """An invoice's id."""
    return f"{letter}{end:%y%m}07411"


def _header(end: date, letter: str, kind: str, rhythm: str) -> Row:
    return {
        "id": number_of(end, letter),
        "invoiceDate": f"{end + timedelta(days=7)}T00:00:00Z",
        "billingPeriodStartDate": f"{end.replace(day=1)}T00:00:00Z",
        "billingPeriodEndDate": f"{end}T23:59:59Z",
        "totalCharges": 1234.5,
        "paidAmount": 0.0,
        "currencyCode": "USD",
        "documentType": kind,
        "invoiceType": rhythm,
        "attributes": {"objectType": "Invoice"},
    }


def lines(stock: Stock, id_: str, today: date) -> list[Row] | None:
    """The lines of an invoice; None where there is none of this id."""
    header = next((row for row in invoices(stock, today) if row["id"] == id_), None)
    if header is None:
        return None
    if not id_.startswith("G"):
        return []
    month = date.fromisoformat(header["billingPeriodEndDate"][:10])
    made: list[Row] = []
    for customer, rows in stock.subscriptions.items():
        for row in rows:
            made += _charged(stock, customer, row, month)
    return [*made, *stock.charges]


def _charged(stock: Stock, customer: str, row: Row, month: date) -> list[Row]:
    """The charge of one subscription whose billing period begins in this month: one line, or two for a product that is
    split."""
    price = stock.prices.get(row["id"])
    if price is None or row.get("isTrial") or "commitmentEndDate" not in row or ":" not in row["offerId"]:
        return []
    last = date.fromisoformat(row["commitmentEndDate"][:10])
    first = _on(month, (last + timedelta(days=1)).day)
    begun = row.get("effectiveStartDate", "")[:10]
    cycle = _CYCLES.get(row.get("billingCycle", ""), 0)
    whole_years = cycle > 1 and first.month != (last + timedelta(days=1)).month
    if not cycle or whole_years or (begun and date.fromisoformat(begun) > first):
        return []
    shares = (price * Decimal("0.75"), price * Decimal("0.25")) if row["id"] in stock.split else (price,)
    product, sku, availability = row["offerId"].split(":")
    made: list[Row] = []
    for number, share in enumerate(shares):
        quantity = Decimal(str(row["quantity"]))
        figures: dict[str, Any] = {
            "unitPrice": share,
            "effectiveUnitPrice": share,
            "quantity": quantity,
            "billableQuantity": quantity,
            "subtotal": share * quantity,
            "taxTotal": Decimal(0),
            "totalForCustomer": share * quantity,
            "pcToBCExchangeRate": Decimal(1),
        }
        if number or len(made) % 2:
            figures = {name: str(value) for name, value in figures.items()}
        made.append(
            {
                "partnerId": stock.world.partner_tenant,
                "customerId": customer,
                "orderId": row["orderId"],
                "productId": product,
                "skuId": sku,
                "availabilityId": availability,
                "productName": row["offerName"],
                "skuName": row["offerName"],
                "subscriptionId": f"charge-{row['id']}",  # not the id of the subscription itself
                "chargeType": "CycleCharge" if number else "cycleCharge",
                "termAndBillingCycle": "One-Year commitment for monthly/yearly billing",
                "currency": "USD",
                "pricingCurrency": "USD",
                "chargeStartDate": f"{first}T00:00:00Z",
                "chargeEndDate": f"{_on(_later(first, cycle), first.day) - timedelta(days=1)}T00:00:00Z",
                **figures,
                "attributes": {"objectType": "OneTimeInvoiceLineItem"},
            }
        )
    return made


def _on(month: date, day: int) -> date:
    return month.replace(day=min(day, calendar.monthrange(month.year, month.month)[1]))


def _later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, 1)
