"""Additions as billed lines. Pure; what an addition's dates mean on a day is decided here and nowhere else.

An addition's state is judged by its dates alone (the computed status field can lag): open on day D if it took effect
on or before D and is not cancelled before D.
"""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal

import msgspec

from connectors.connectwise.agreements import Terms
from connectors.connectwise.dates import day, instant
from connectors.connectwise.marks import figure, marker, units
from connectors.connectwise.payloads import Addition
from syncd.errors import VendorError
from syncd.model import BilledLine, Moment
from syncd.periods import DAY, period_on


def last_billed_day(addition: Addition, cancelled_day_billed: bool) -> date | None:
    """The last day that is billed, None while the addition is open-ended."""
    cancelled = day(addition.cancelled_date)
    if cancelled is None or cancelled_day_billed:
        return cancelled
    return cancelled - DAY


def never_bills(addition: Addition, cancelled_day_billed: bool) -> bool:
    """Whether it was cancelled before it began, which is how people take one back."""
    starts, ends = day(addition.effective_date), last_billed_day(addition, cancelled_day_billed)
    return starts is not None and ends is not None and ends < starts


def version(addition: Addition) -> str:
    """Changes whenever the addition changes: the vendor's own time of change, else a digest of what was read."""
    if addition.info and addition.info.last_updated:
        return addition.info.last_updated
    return hashlib.sha256(msgspec.json.encode(addition, order="sorted")).hexdigest()[:16]


def changed_by(addition: Addition) -> str:
    """Who last wrote it: a login or an integration's name; "" where it is not told."""
    return (addition.info and addition.info.updated_by) or ""


def billed_line(
    addition: Addition,
    terms: Terms,
    moment: Moment,
    *,
    field: str,
    own: str,
    cancelled_day_billed: bool,
) -> BilledLine | None:
    """The line that this addition is today, None where it is none.

    None: ended, cancelled, or a charge of another time. A recurring line that begins later is given with its first
    day, so that nobody adds a second one. One-time charges that syncd itself made for the current period or a later
    one are given even when their last day has passed, because a period's true-ups are summed.
    Raises VendorError `malformed` where an open addition shows no usable quantity, price or cost.
    """
    starts = day(addition.effective_date)
    ends = last_billed_day(addition, cancelled_day_billed)
    if never_bills(addition, cancelled_day_billed):
        return None
    mark = marker(addition, field, own)
    once = _once(starts, ends, terms, moment)
    open_today = (starts is None or starts <= moment.today) and (ends is None or ends >= moment.today)
    scheduled = not once and starts is not None and starts > moment.today
    current = terms.period(moment.today) or moment.period
    # Those of a later period too: what is late for a closed period is dated into the first open one.
    ours = bool(mark) and once and ends is not None and ends >= current.first
    if not (open_today or scheduled or ours):
        return None
    return BilledLine(
        id=str(addition.id),
        agreement_id=terms.id,
        customer_id=str(terms.row.company.id),
        product_id=str(addition.product.id or ""),
        product=addition.product.identifier or "",
        name=addition.description or addition.invoice_description or addition.product.identifier or "",
        quantity=_quantity(addition, mark),
        unit_price=figure(addition, "price", addition.unit_price),
        unit_cost=figure(addition, "cost", addition.unit_cost),
        starts=starts,
        ends=ends,
        once=once,
        marker=mark,
        version=version(addition),
        changed_by=changed_by(addition),
        obstacle=_obstacle(addition),
        amount=_amount(addition, mark) if once else None,
        changed_at=instant(addition.info.last_updated) if addition.info else None,
    )


def _quantity(addition: Addition, mark: str) -> Decimal:
    if addition.quantity is None:
        raise VendorError("malformed", f"the ConnectWise addition #{addition.id} shows no quantity")
    return units(addition, mark)


def _amount(addition: Addition, mark: str) -> Decimal | None:
    """What it charges at its price, before the vendor prorates anything; positive also for a credit of syncd's, which
    is a negative price."""
    price = figure(addition, "price", addition.unit_price)
    if price is None:
        return None
    charged = price * (figure(addition, "quantity", addition.quantity) or Decimal(0))
    return -charged if units(addition, mark) < 0 else charged


def _obstacle(addition: Addition) -> str:
    if addition.bill_customer != "Billable":
        return (
            f"the ConnectWise addition #{addition.id} is not charged to the customer (Bill Customer is "
            f"{addition.bill_customer})"
        )
    return ""


def _once(starts: date | None, ends: date | None, terms: Terms, moment: Moment) -> bool:
    if starts is None or ends is None:
        return False
    period = terms.period(starts) or period_on(starts, moment.period.first)
    return ends <= period.last
