"""Fills the double with the subscriptions and lines of a real account, and counts what was changed in it since.

What syncd's nouns do not tell is chosen so that the records read back as they were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connectors.stripe import sandbox_state as state
from connectors.stripe.sandbox_billing import Billing as Books
from connectors.stripe.sandbox_billing import month
from syncd.model import BilledLine, Billing, Operation, Posting, Product, RemoteCustomer

Row = dict[str, Any]


def fill(
    double: Books, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> None:
    """Replaces the double's records."""
    with double.lock:
        meters = dict(double.tables["meter"])
        for table in double.tables.values():
            table.clear()
        double.tables["meter"].update(meters)
        double.effects.clear()
        double.events.clear()
        now = double.seconds()
        for customer in reversed(customers):  # lists show the newest first
            email = next(iter(customer.identifiers), "")
            double.tables["customer"][customer.id] = state.customer(customer.id, customer.name, email, now, double.live)
        for number, one in enumerate(products):
            _price(double, one, now - 86_400 + number)
        for billing in billings:
            for agreement in billing.agreements:
                mine = [line for line in billing.lines if line.agreement_id == agreement.id]
                row = state.subscription(agreement.id, agreement.customer_id, agreement.name, now, double.live)
                row |= {"currency": agreement.currency.lower() or "usd"}
                if agreement.name == agreement.id:
                    row["description"] = None
                if agreement.obstacle:
                    row["pause_collection"] = {"behavior": "void", "resumes_at": None}
                double.tables["subscription"][agreement.id] = row
                for line in mine:
                    (_usage if line.meter else _own if line.once else _item)(double, row, line)


def _price(double: Books, one: Product, made: int) -> Row:
    number, _, product = one.id.partition("/")
    double.tables["product"].setdefault(product, state.product(product, one.name, made, double.live))
    cents = None if one.unit_price is None else one.unit_price * 100
    row = state.price(number, product, cents, made, double.live)
    if double.tables["product"][product]["name"] != one.name:
        row["nickname"] = one.name
    double.tables["price"][number] = row
    return row


def _item(double: Books, subscription: Row, line: BilledLine) -> None:
    number, _, product = line.product_id.partition("/")
    price = double.tables["price"].get(number) or _price(
        double, Product(f"{number}/{product}", number, line.name, unit_price=line.unit_price), double.seconds()
    )
    price["currency"] = subscription["currency"]
    told = line.version.split(":")
    period = (int(told[1]), int(told[2])) if len(told) == 3 else month(double.world.today, double.seconds())
    metered = bool(line.obstacle) and not line.quantity
    if metered:
        price["recurring"] = {**price["recurring"], "usage_type": "metered"}
    elif line.obstacle:
        subscription["schedule"] = "sub_sched_1Syncd"
    since = _noon(line.starts) if line.starts else 0
    # Of a period's two ends one may be cut short by its month; the other shows the day.
    subscription["billing_cycle_anchor"] = max(period, key=lambda second: datetime.fromtimestamp(second, UTC).day)
    row = state.item(line.id, subscription["id"], price, None if metered else int(line.quantity), period, since)
    if line.marker:
        row["metadata"] = {"syncd_added": line.marker}
    if line.ends:
        subscription["cancel_at"] = _noon(line.ends + timedelta(days=1))
    double.tables["item"][line.id] = row


def _usage(double: Books, subscription: Row, line: BilledLine) -> None:
    """One event that stands for all that the meter counted in a period; the item came before."""
    if line.obstacle or line.starts is None:
        return
    item, meter, _ = line.id.split("/")
    row = double.tables["item"][item]
    row["price"]["recurring"]["meter"] = meter
    double.tables["meter"][meter] = state.meter(meter, line.meter, 0, double.live)
    start = row["current_period_start"]
    running = line.starts >= datetime.fromtimestamp(start, UTC).date() - timedelta(days=1)
    if line.quantity:
        double.events.append(
            {
                "object": "billing.meter_event", "created": 0, "event_name": line.meter, "identifier": line.id,
                "livemode": double.live, "timestamp": start if running else start - 3600,
                "payload": {"stripe_customer_id": subscription["customer"], "value": state.text(line.quantity)},
            }
        )  # fmt: skip


def _own(double: Books, subscription: Row, line: BilledLine) -> None:
    if line.starts is None or line.ends is None:
        return
    number, _, product = line.product_id.partition("/")
    cents = (line.unit_price or Decimal(0)) * 100
    note = f"{line.marker} {state.text(line.quantity)} {line.starts:%Y%m%d}-{line.ends:%Y%m%d}"
    double.tables["invoiceitem"][line.id] = state.invoice_item(
        line.id, line.customer_id, subscription["id"], quantity=line.quantity, cents=cents,
        currency=subscription["currency"], price=number, product=product, made=double.seconds(), live=double.live,
        period=(_noon(line.starts), _noon(line.ends)), discountable=False,
        metadata={"syncd_op": note, "syncd_price": line.product_id, "syncd_subscription": subscription["id"]},
    )  # fmt: skip


def _noon(day: date) -> int:
    return int(datetime.combine(day, time(12), tzinfo=UTC).timestamp())


def times(double: Books, posting: Posting) -> int:
    """How often the double made the change that a posting asks for."""
    with double.lock:
        return sum(_is(posting, effect.what, effect.record, effect.detail) for effect in double.effects)


def _is(posting: Posting, what: str, record: str, detail: Any) -> bool:
    match posting.operation:
        case Operation.SET_QUANTITY:
            return bool(what == "set_quantity" and record == posting.line_id and detail["to"] == posting.quantity)
        case Operation.REPORT_USAGE:
            return what == "meter_event" and record == posting.marker
        case _:
            return what in ("add_item", "invoice_item") and any(
                posting.marker in text for text in detail["mark"].values()
            )
