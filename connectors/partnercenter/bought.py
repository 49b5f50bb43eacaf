"""From subscriptions to what one customer has bought today, with commitments and windows. Pure.

Always holds: trials and what has not begun are left out; a suspended new-commerce subscription is still billed and
counts, a suspended old one does not; a state that is not known is an error and never a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from connectors.partnercenter.costs import Cost
from connectors.partnercenter.payloads import Subscription
from connectors.partnercenter.values import WINDOW, instant, last_day
from syncd.connect.values import mean_cost, units
from syncd.errors import VendorError
from syncd.model import Count, Moment, Term
from syncd.money import ZERO, plain
from syncd.periods import DAY

NEW_COMMERCE = "OnlineServicesNCE"
_BILLED = frozenset({"active", "suspended"})
_NOT_BILLED = frozenset({"pending", "expired", "disabled", "deleted", "none"})
_TERMS = {"P1M": "a month", "P1Y": "a year", "P3Y": "three years"}


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription that counts today. `refundable`: the windows still open, (seats, until when). `cost`: what a seat
    costs in its billing period, None where that is not known."""

    row: Subscription
    quantity: Decimal
    last: date | None
    refundable: tuple[tuple[Decimal, datetime], ...] = ()
    cost: Cost | None = None

    @property
    def open(self) -> Decimal:
        """Seats that may still be given back: not yet committed. Never more than the whole."""
        return min(sum((seats for seats, _ in self.refundable), ZERO), self.quantity)


def sku_of(row: Subscription) -> str:
    """`productId:skuId`; old offers have one GUID. The availability changes with time, term and market."""
    return ":".join(row.offer_id.split(":")[:2])


def new_commerce(row: Subscription) -> bool:
    """Whether the new-commerce rules hold: commitments, windows, billing while suspended."""
    if row.product_type and row.product_type.id:
        return row.product_type.id == NEW_COMMERCE
    return ":" in row.offer_id


def counts_today(row: Subscription, moment: Moment) -> bool:
    """Whether Microsoft bills this subscription today, or lends it as a trial. Raises VendorError."""
    status = row.status.lower()
    if status not in _BILLED | _NOT_BILLED:
        raise VendorError("malformed", f"subscription {row.id} is {row.status[:40]!r}, a state that is not known")
    if status in _NOT_BILLED or (status == "suspended" and not new_commerce(row)):
        return False
    begins = instant(row.effective_start_date, f"subscription {row.id} › effectiveStartDate")
    return begins is None or begins <= moment.now


def hold(row: Subscription, moment: Moment, cost: Cost | None = None) -> Held:
    """What counts of one subscription, at this cost of a seat. Raises VendorError."""
    name = f"subscription {row.id}"
    windows = []
    for detail in (row.refundable_quantity.details if row.refundable_quantity else None) or ():
        until = instant(detail.allowed_until_date_time, f"{name} › refundableQuantity")
        if until is not None and until > moment.now and detail.quantity > 0:
            windows.append((units(detail.quantity, name), until))
    last = last_day(row.commitment_end_date, f"{name} › commitmentEndDate")
    return Held(row, units(row.quantity, name), last, tuple(sorted(windows, key=lambda window: window[1])), cost)


def counts(held: Sequence[Held], parents: Iterable[Subscription], moment: Moment) -> tuple[Count, ...]:
    """One Count for each `productId:skuId`; an add-on under its parent's own product is no seat of it."""
    sku_of_id = {row.id: sku_of(row) for row in parents}
    of_sku: dict[str, list[Held]] = {}
    for one in held:
        sku = sku_of(one.row)
        if sku_of_id.get(one.row.parent_subscription_id or "") == sku:
            sku = f"{sku}/add-on"
        of_sku.setdefault(sku, []).append(one)
    return tuple(_count(sku, rows, moment) for sku, rows in sorted(of_sku.items()))


def _count(sku: str, rows: list[Held], moment: Moment) -> Count:
    paid = [one for one in rows if not one.row.is_trial]
    trials = sum((one.quantity for one in rows if one.row.is_trial), ZERO)
    add_on = sku.endswith("/add-on")
    names = dict.fromkeys(text for one in rows for text in (one.row.offer_name, one.row.offer_id) if text)
    notes = [
        *(["add-on"] if any(one.row.parent_subscription_id for one in rows) else []),
        *([f"{plain(trials)} on trial left out"] if trials else []),
        *([f"{len(paid)} subscriptions"] if len(paid) > 1 else []),
        *(note for one in paid for note in _notes(one, moment)),
    ]
    terms = [term for one in paid for term in _terms(one, moment)]
    cost, currency = _unit_cost(paid)
    return Count(
        sku=sku,
        name=next((one.row.offer_name for one in rows if one.row.offer_name), sku),
        quantity=sum((one.quantity for one in paid), ZERO),
        aliases=() if add_on else tuple(name for name in names if name != sku),
        free=not paid,
        note="; ".join(notes),
        unit_cost=cost,
        currency=currency,
        terms=tuple(sorted(terms, key=lambda term: (term.last, term.quantity))),
    )


def _terms(one: Held, moment: Moment) -> Iterator[Term]:
    """The commitment of a subscription: the seats inside each open window, and those that are bound. One that is over
    and does not renew is paid grace; of one that should renew, Microsoft takes up to a day to show the new term."""
    row, last = one.row, one.last
    if last is None or not new_commerce(row) or (last < moment.today and row.auto_renew_enabled is not False):
        return
    bound = Term(
        one.quantity - one.open,
        last,
        unit_cost=one.cost.amount if one.cost else None,
        currency=one.cost.currency if one.cost else "",
        months=one.cost.months if one.cost else 1,
        renews=row.auto_renew_enabled,
        lower_until=last + WINDOW if row.auto_renew_enabled else None,
    )
    if bound.quantity > 0:
        yield bound
    left = one.open
    for seats, until in one.refundable:
        free = min(seats, left)
        left -= free
        if free > 0:
            yield replace(bound, quantity=free, free_until=until)


def _unit_cost(paid: list[Held]) -> tuple[Decimal | None, str]:
    """What a seat costs a month: a number only where all parts are billed by the month in one currency, and their
    weighted mean is exact."""
    bearing = [one for one in paid if one.quantity]
    costs = [one.cost for one in bearing if one.cost is not None and one.cost.months == 1]
    currencies = {cost.currency for cost in costs}
    if not costs or len(costs) != len(bearing) or len(currencies) != 1:
        return None, ""
    mean = mean_cost([(one.quantity, cost.amount) for one, cost in zip(bearing, costs, strict=True)])
    return (mean, currencies.pop()) if mean is not None else (None, "")


def _notes(one: Held, moment: Moment) -> list[str]:
    """Until when, on what conditions, and what will change by itself."""
    row, seats = one.row, plain(one.quantity)
    notes = []
    if row.billing_type == "usage":
        notes.append("billed by usage")
    if row.status.lower() == "suspended":
        notes.append(f"{seats} suspended, still billed")
    if one.last is not None and new_commerce(row):
        notes.append(_term(one, one.last, moment))
    notes += [f"{plain(number)} may be given back until {until:%Y-%m-%d %H:%M} UTC" for number, until in one.refundable]
    scheduled = row.scheduled_next_term_instructions
    if scheduled is not None and scheduled.quantity is not None:
        notes.append(f"{plain(units(scheduled.quantity, f'subscription {row.id}'))} from the next term on")
    return notes


def _term(one: Held, last: date, moment: Moment) -> str:
    row, seats = one.row, plain(one.quantity)
    if last < moment.today:
        if row.auto_renew_enabled is not False:
            return f"the term of {seats} ended on {last}, its renewal is not shown yet"
        return f"the term of {seats} ended on {last} without renewal and Microsoft still bills them: paid grace"
    length = _TERMS.get(row.term_duration or "", row.term_duration or "a term")
    told = f"{seats} bought for {length} until {last}"
    if row.billing_cycle and row.billing_cycle != "none":
        told += f", billed {row.billing_cycle}"
    if one.cost is not None:
        told += f" at {plain(one.cost.amount)} {one.cost.currency} each"
    if row.auto_renew_enabled is None:
        return told
    if row.auto_renew_enabled:
        return f"{told}, renews by itself on {last + DAY}, then to be lowered until {last + WINDOW}"
    return f"{told}, does not renew by itself: unless cancelled, paid grace follows on {last + DAY}"
