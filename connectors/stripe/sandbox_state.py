"""The records of the double, with every field that Stripe always shows. Makes them; keeps none."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

Row = dict[str, Any]
_EXTRA = {"test_clock": None}


def text(value: Decimal) -> str:
    """A decimal as Stripe writes it."""
    shown = format(value, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def customer(number: str, name: str, email: str, made: int, live: bool) -> Row:
    """`customer`."""
    return {
        "id": number, "object": "customer", "created": made, "livemode": live, "name": name, "email": email,
        "description": None, "metadata": {}, "currency": "usd", "balance": 0, "address": None, **_EXTRA,
    }  # fmt: skip


def product(number: str, name: str, made: int, live: bool) -> Row:
    """`product`."""
    return {
        "id": number, "object": "product", "active": True, "created": made, "images": [], "livemode": live,
        "marketing_features": [], "metadata": {}, "name": name, "type": "service", "updated": made,
    }  # fmt: skip


def price(number: str, product: str, cents: Decimal | None, made: int, live: bool, **more: Any) -> Row:
    """`price`, monthly and licensed unless `more` says otherwise; tiered where there are no cents."""
    return {
        "id": number, "object": "price", "active": True, "created": made, "currency": "usd", "livemode": live,
        "metadata": {}, "nickname": None, "product": product, "lookup_key": None, "type": "recurring",
        "billing_scheme": "tiered" if cents is None else "per_unit", "tax_behavior": "unspecified",
        "tiers_mode": "graduated" if cents is None else None, "transform_quantity": None,
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed", "meter": None},
        "unit_amount": None if cents is None or cents != int(cents) else int(cents),
        "unit_amount_decimal": None if cents is None else text(cents),
    } | more  # fmt: skip


def item(number: str, subscription: str, price: Row, quantity: int | None, period: tuple[int, int], made: int) -> Row:
    """`subscription_item`."""
    shown: Row = {
        "id": number, "object": "subscription_item", "created": made, "current_period_start": period[0],
        "current_period_end": period[1], "discounts": [], "metadata": {}, "price": price, "subscription": subscription,
        "plan": _plan(price), "tax_rates": [],
    }  # fmt: skip
    return shown if quantity is None else {**shown, "quantity": quantity}


def _plan(price: Row) -> Row:
    every = price["recurring"] or {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": price["id"], "object": "plan", "active": price["active"], "billing_scheme": price["billing_scheme"],
        "created": price["created"], "currency": price["currency"], "interval": every["interval"],
        "interval_count": every["interval_count"], "livemode": price["livemode"], "usage_type": every["usage_type"],
    }  # fmt: skip


def subscription(number: str, customer: str, description: str | None, made: int, live: bool) -> Row:
    """`subscription`; its items are put in when it is shown."""
    return {
        "id": number, "object": "subscription", "automatic_tax": {"enabled": False}, "billing_cycle_anchor": made,
        "billing_mode": {"type": "classic"}, "billing_schedules": [], "cancel_at_period_end": False, "cancel_at": None,
        "collection_method": "send_invoice", "days_until_due": 30, "created": made, "currency": "usd",
        "customer": customer, "description": description, "discounts": [],
        "invoice_settings": {"issuer": {"type": "self"}}, "livemode": live, "metadata": {}, "start_date": made,
        "status": "active", "schedule": None, "pending_update": None, "pause_collection": None, **_EXTRA,
    }  # fmt: skip


def invoice_item(
    number: str, customer: str, subscription: str | None, *, quantity: Decimal, cents: Decimal, currency: str,
    price: str, product: str, period: tuple[int, int], made: int, live: bool, **more: Any,
) -> Row:  # fmt: skip
    """`invoiceitem`; pending until an invoice takes it."""
    parent = {
        "type": "subscription_details",
        "subscription_details": {"subscription": subscription, "subscription_item": None},
    }
    return {
        "id": number, "object": "invoiceitem", "amount": rounded(quantity * cents), "currency": currency,
        "customer": customer, "date": made, "description": None, "discountable": True, "discounts": [],
        "invoice": None, "livemode": live, "metadata": {}, "parent": parent if subscription else None,
        "period": {"start": period[0], "end": period[1]}, "proration": False, "quantity": int(quantity),
        "quantity_decimal": text(quantity), "tax_rates": [],
        "pricing": {
            "type": "price_details", "price_details": {"price": price, "product": product},
            "unit_amount_decimal": text(cents),
        }, **_EXTRA,
    } | more  # fmt: skip


def line(
    number: str, invoice: str, *, amount: int, currency: str, description: str, quantity: Decimal, price: str | None,
    product: str, cents: Decimal, period: tuple[int, int], item: str = "", of_invoice_item: str = "",
    proration: bool = False, metadata: Row | None = None, live: bool = False, discountable: bool = True,
) -> Row:  # fmt: skip
    """`line_item` of an invoice."""
    parent: Row = {"type": "subscription_item_details", "subscription_item_details": None, "invoice_item_details": None}
    if of_invoice_item:
        parent |= {
            "type": "invoice_item_details",
            "invoice_item_details": {"invoice_item": of_invoice_item, "proration": proration},
        }
    else:
        parent["subscription_item_details"] = {"subscription_item": item, "proration": proration}
    pricing = {
        "type": "price_details", "price_details": {"price": price, "product": product},
        "unit_amount_decimal": text(cents),
    }  # fmt: skip
    return {
        "id": number, "object": "line_item", "amount": amount, "currency": currency, "description": description,
        "discount_amounts": [], "discountable": discountable, "discounts": [], "invoice": invoice, "livemode": live,
        "metadata": metadata or {}, "parent": parent, "period": {"start": period[0], "end": period[1]},
        "pricing": pricing if price else None, "quantity": int(quantity), "quantity_decimal": text(quantity),
        "subtotal": amount, "taxes": [],
    }  # fmt: skip


def invoice(
    number: str, shown: str, customer: str, subscription: str | None, made: int, live: bool, status: str
) -> Row:
    """`invoice`; totals and lines are put in when it is shown."""
    parent: Row = {
        "type": "subscription_details", "quote_details": None,
        "subscription_details": {"subscription": subscription, "metadata": {}},
    }  # fmt: skip
    final = None if status == "draft" else made + 3600
    return {
        "id": number, "object": "invoice", "number": shown, "customer": customer, "currency": "usd", "created": made,
        "status": status, "livemode": live, "billing_reason": "subscription_cycle" if subscription else "manual",
        "parent": parent if subscription else None, "effective_at": final, "auto_advance": status != "draft",
        "status_transitions": {
            "finalized_at": final, "paid_at": final if status == "paid" else None, "voided_at": None,
            "marked_uncollectible_at": None,
        },
        "amount_due": 0, "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": 0, "amount_shipping": 0,
        "attempt_count": 0, "attempted": False, "automatic_tax": {"enabled": False},
        "collection_method": "send_invoice", "default_tax_rates": [], "discounts": [],
        "issuer": {"type": "self"}, "metadata": {},
        "payment_settings": {"payment_method_options": None, "payment_method_types": None}, "period_end": made,
        "period_start": made, "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0, "shipping_cost": None, "description": None, **_EXTRA,
    }  # fmt: skip


def meter(number: str, event: str, made: int, live: bool, formula: str = "sum") -> Row:
    """`billing.meter`."""
    return {
        "id": number, "object": "billing.meter", "created": made, "display_name": event, "event_name": event,
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": formula}, "event_time_window": None, "livemode": live, "status": "active",
        "status_transitions": {"deactivated_at": None}, "updated": made,
        "value_settings": {"event_payload_key": "value"},
    }  # fmt: skip


def rounded(cents: Decimal) -> int:
    """Whole minor units."""
    return int(cents.quantize(Decimal(1), rounding=ROUND_HALF_UP))
