"""What Microsoft last charged for one seat of a subscription, from the lines of the newest invoice. Reads only.

Subscriptions show no price. The reconciliation lines of an invoice do: what was charged for so many seats from day to
day. A cost is taken only where nothing about it is a guess: a charge for one whole billing period of one subscription,
all parts of it alike in seats (one product may stand on two lines), without remainder. Everything else is left unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import count

from connectors.partnercenter.api import Api
from connectors.partnercenter.payloads import Invoice, InvoiceLine, Subscription
from connectors.partnercenter.values import last_day
from syncd.connect.values import quotient
from syncd.errors import VendorError
from syncd.money import ZERO
from syncd.periods import DAY, add_months

# Charges for a whole billing period; additions, refunds and changed plans are for a part of one.
_WHOLE = frozenset({"new", "renew", "cyclecharge"})
_MONTHS = {"monthly": 1, "annual": 12, "triennial": 36}
# A period of a 31st ends up to three days early in a short month.
_SLACK = 3
_INVOICES, _LINES = 200, 2000
_ORDER = tuple[str, str, str]  # customer, order, productId:skuId


@dataclass(frozen=True, slots=True)
class Cost:
    """What one seat costs every `months` months, before tax."""

    amount: Decimal
    currency: str
    months: int


@dataclass(frozen=True, slots=True)
class Costs:
    """What the newest invoices tell; `told` names them, or says why there is none."""

    of_order: Mapping[_ORDER, Cost] = field(default_factory=dict)
    told: str = ""

    def of(self, customer: str, row: Subscription, others: Iterable[Subscription]) -> Cost | None:
        """What one seat of a subscription costs in its own billing period; None where it is not known.

        An invoice does not name a subscription by the id that it has here, but by its order: of two subscriptions of
        one product in one order, neither is told from the other.
        """
        key = _order(customer, row)
        if key is None or any(one.id != row.id and _order(customer, one) == key for one in others):
            return None
        found = self.of_order.get(key)
        return found if found is not None and found.months == _MONTHS.get(row.billing_cycle or "") else None


def read_costs(api: Api) -> Costs:
    """The costs on the newest invoices of new commerce, one of each currency. Raises VendorError."""
    found = api.whole(
        "invoices", Invoice, what="invoices", key=lambda row: row.id, params={"size": _INVOICES, "offset": 0}
    )
    amended = {row.amends_of for row in found.rows if row.amends_of}
    dated = [
        (last, row)
        for row in found.rows
        if (row.invoice_type or "").lower() == "onetime" and (row.document_type or "").lower() == "invoice"
        if (last := last_day(row.billing_period_end_date, f"invoice {row.id} › billingPeriodEndDate")) is not None
    ]
    if not dated:
        return Costs(told="no invoice shows costs yet")
    newest = max(last for last, _ in dated)
    chosen = sorted(row.id for last, row in dated if last == newest)
    believed = [id_ for id_ in chosen if id_ not in amended]
    lines: list[InvoiceLine] = []
    for id_ in believed:
        number = count()
        lines += api.whole(
            f"invoices/{id_}/lineitems",
            InvoiceLine,
            what="invoice lines",
            key=lambda row, number=number: str(next(number)),  # type: ignore[misc]  # they bear no id of their own
            params={"provider": "onetime", "invoicelineitemtype": "billinglineitems", "size": _LINES},
        ).rows
    corrected = f"; {', '.join(sorted(set(chosen) - set(believed)))} was amended" if believed != chosen else ""
    return Costs(_by_order(lines), f"costs of invoice {', '.join(believed) or 'none'} to {newest}{corrected}")


def _by_order(lines: Iterable[InvoiceLine]) -> dict[_ORDER, Cost]:
    """Order -> what a seat cost in its newest whole billing period."""
    charges: dict[_ORDER, dict[tuple[date, date], list[InvoiceLine]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if (line.charge_type or "").lower() not in _WHOLE or not (line.customer_id and line.order_id):
            continue
        first = last_day(line.charge_start_date, "chargeStartDate")
        last = last_day(line.charge_end_date, "chargeEndDate")
        if first is not None and last is not None and last > first:
            order = (line.customer_id.lower(), line.order_id.lower(), f"{line.product_id}:{line.sku_id}")
            charges[order][first, last].append(line)
    found = {}
    for order, periods in charges.items():
        days = max(periods)
        cost = _cost(periods[days], *days)
        if cost is not None:
            found[order] = cost
    return found


def _cost(parts: list[InvoiceLine], first: date, last: date) -> Cost | None:
    """What a seat cost, of all lines of one order and period; None where they do not tell it."""
    seats = {part.billable_quantity if part.billable_quantity is not None else part.quantity for part in parts}
    subscriptions = {part.subscription_id for part in parts}
    currencies = {part.currency for part in parts}
    subtotals = [part.subtotal for part in parts if part.subtotal is not None]
    months = _whole_months(first, last)
    alike = len(seats) == len(subscriptions) == len(currencies) == 1 and len(subtotals) == len(parts)
    if not alike or months is None:
        return None
    (number,), (currency,) = seats, currencies
    if number is None or number <= 0 or not currency:
        return None
    amount = quotient(sum(subtotals, ZERO), number)
    return Cost(amount, currency, months) if amount is not None and amount >= 0 else None


def _whole_months(first: date, last: date) -> int | None:
    """The billing period that these days are, in months; None for a part of one. Its end is told as the last day, or as
    the day after."""
    for months in _MONTHS.values():
        if abs((last + DAY - add_months(first, months)).days) <= _SLACK:
            return months
    return None


def _order(customer: str, row: Subscription) -> _ORDER | None:
    product = ":".join(row.offer_id.split(":")[:2])
    return (customer.lower(), row.order_id.lower(), product) if row.order_id else None


def unread(error: VendorError) -> Costs:
    """No costs, and why: a count does not fail for want of them."""
    return Costs(told=f"no costs ({error.code}: {error})")
