"""From subscriptions to what one company has bought today, with cost and commitments. Pure.

A subscription counts from its first to its last day, whatever its status says: Pax8 bills by dates, its status tells of
provisioning tasks that may stay open for ever. Trials are left out and told. An add-on is never a seat of its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connectors.pax8.payloads import CommitmentRules, Product, Subscription
from connectors.pax8.values import day
from syncd.connect.values import mean_cost, units
from syncd.errors import VendorError
from syncd.model import Count, Term
from syncd.money import ZERO, plain

_TRIAL = "Trial"
# Nothing has begun where these have no first day yet; without a day, any other one cannot be judged.
_WAITING = frozenset({"WaitingForDetails", "PendingActivation"})
_ENDED = frozenset({"Cancelled", "Converted"})
_MONTHLY = "Monthly"
# How often a cost is paid, in months; other terms are paid once, or in a rhythm that is not told.
_MONTHS = {_MONTHLY: 1, "Annual": 12, "2-Year": 24, "3-Year": 36}


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription that is in force today. `last` is its last day, None where none is set."""

    row: Subscription
    quantity: Decimal
    last: date | None
    trial: bool
    committed_until: date | None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of products: None where Pax8's catalogue shows the product no more. `rules` by commitment id."""

    products: Mapping[str, Product | None]
    rules: Mapping[str, CommitmentRules]


def in_force(rows: Iterable[Subscription], today: date) -> list[Held]:
    """The subscriptions that count today, trials too. Raises VendorError where a date or quantity cannot be read."""
    held = []
    for row in rows:
        name = f"subscription {row.id}"
        first = day(row.start_date, f"{name} › startDate") or day(row.billing_start, f"{name} › billingStart")
        last = day(row.end_date, f"{name} › endDate")
        if first is None:
            if row.status in _WAITING or (last is not None and last < today):
                continue
            raise VendorError("malformed", f"{name} has neither startDate nor billingStart")
        if not first <= today or (last is not None and last < today):
            continue
        term = row.commitment_term
        until = day(term.end_date, f"{name} › commitmentTerm.endDate") if term else None
        if until is not None and last is not None:
            until = min(until, last)  # its end is arranged already
        trial = _TRIAL in (row.status, row.billing_term)
        held.append(Held(row, units(row.quantity, name), last, trial, until))
    return held


def counts(held: Iterable[Held], parents: Mapping[str, str], catalogue: Catalogue, direct: bool) -> tuple[Count, ...]:
    """One Count for each product. `parents`: subscription id -> its product id, for add-ons; `direct`: Pax8 itself
    invoices this company."""
    of_product: dict[str, list[Held]] = {}
    shared: dict[str, set[str]] = {}
    for one in held:
        sku = one.row.product_id
        parent = parents.get(one.row.parent_subscription_id or "")
        if parent == sku:
            sku = f"{sku}/add-on"
        elif parent is not None:
            shared.setdefault(sku, set()).update(_names(parent, catalogue.products.get(parent), ()))
        of_product.setdefault(sku, []).append(one)
    return tuple(
        _count(sku, rows, shared.get(sku, set()), catalogue, direct) for sku, rows in sorted(of_product.items())
    )


def _count(sku: str, rows: list[Held], not_ours: set[str], catalogue: Catalogue, direct: bool) -> Count:
    paid = [one for one in rows if not one.trial]
    product_id = rows[0].row.product_id
    product = catalogue.products.get(product_id)
    names = _names(product_id, product, (one.row for one in rows)) if sku == product_id else ()
    name = (product.name if product else None) or rows[0].row.product_name or product_id
    cost, currency, told = _cost(paid)
    notes = [
        *(["add-on"] if sku != product_id or any(one.row.parent_subscription_id for one in rows) else []),
        *([] if product else ["no longer in Pax8's catalogue: name it by its product id"]),
        *_trials(rows),
        *([f"{len(paid)} subscriptions"] if len(paid) > 1 else []),
        *told,
        *(note for one in paid for note in _commitment(one, catalogue.rules)),
        *(
            f"{plain(one.quantity)} end on {one.last}"
            for one in paid
            if one.last is not None and one.last != one.committed_until
        ),
        *_status(paid),
        *(["Pax8 invoices this customer directly (billOnBehalfOfEnabled)"] if direct else []),
    ]
    terms = [_term(one, one.committed_until, catalogue.rules) for one in paid if one.committed_until is not None]
    return Count(
        sku=sku,
        name=f"{name} (add-on to itself)" if sku != product_id else name,
        quantity=sum((one.quantity for one in paid), ZERO),
        aliases=tuple(alias for alias in names if alias not in not_ours and alias != sku),
        free=not paid,
        note="; ".join(notes),
        unit_cost=cost,
        currency=currency,
        terms=tuple(sorted(terms, key=lambda term: (term.last, term.quantity))),
    )


def _term(one: Held, last: date, known: Mapping[str, CommitmentRules]) -> Term:
    """The commitment of one subscription, with what it costs and what happens at its end. One whose end is arranged
    does not renew, whatever its product says; Pax8 tells no window in which seats may be given back at once."""
    row = one.row
    cost = row.partner_cost if row.currency_code else None
    rules = known.get(row.commitment_term.id or "") if row.commitment_term else None
    renews = rules.auto_renew if rules and one.last is None else False if one.last is not None else None
    after = rules.renewal_window_days_after_term_end if rules and renews else None
    return Term(
        one.quantity,
        last,
        unit_cost=cost,
        currency=(row.currency_code or "") if cost is not None else "",
        months=_MONTHS.get(row.billing_term or "", 0) if cost is not None else 1,
        renews=renews,
        lower_until=last + timedelta(days=after) if after else None,
    )


def _names(product_id: str, product: Product | None, rows: Iterable[Subscription]) -> tuple[str, ...]:
    """Everything by which a mapping may name a product: its id, SKU, vendor's SKU and name."""
    told = [product_id, product and product.sku, product and product.vendor_sku, product and product.name]
    told += [text for row in rows for text in (row.vendor_sku_id, row.product_name)]
    return tuple(dict.fromkeys(text for text in told if text))


def _cost(paid: list[Held]) -> tuple[Decimal | None, str, list[str]]:
    """(cost of a unit and month, currency, notes): told as a number only where it is one, exactly."""
    bearing = [one for one in paid if one.quantity]
    currencies = {one.row.currency_code or "" for one in bearing}
    parts = [(one.quantity, one.row.partner_cost) for one in bearing if one.row.partner_cost is not None]
    if not parts:
        return None, "", []
    monthly = {one.row.billing_term for one in bearing} == {_MONTHLY}
    if len(parts) == len(bearing) and len(currencies) == 1 and monthly:
        mean = mean_cost(parts)
        if mean is not None:
            return mean, next(iter(currencies)), []
    each = ", ".join(
        f"{plain(one.quantity)} at "
        + (f"{one.row.partner_cost} {one.row.currency_code or ''}".strip() if one.row.partner_cost is not None else "?")
        + f" {one.row.billing_term or ''}".rstrip()
        for one in bearing
    )
    return None, "", [f"costs: {each}"]


def _trials(rows: list[Held]) -> list[str]:
    trials = [one for one in rows if one.trial]
    seats = sum((one.quantity for one in trials), ZERO)
    last = max((one.last for one in trials if one.last is not None), default=None)
    until = f", until {last}" if last else ""
    return [f"{plain(seats)} on trial left out{until}"] if trials else []


def _commitment(one: Held, known: Mapping[str, CommitmentRules]) -> list[str]:
    """Until when these seats are bound, what they cost until then, and when and how that may be changed."""
    term = one.row.commitment_term
    if term is None:
        return []
    seats = f"{plain(one.quantity)} committed{f' for {term.term}' if term.term else ''}"
    if one.committed_until is None:
        return [f"{seats}, its end is not told"]
    told = f"{seats} until {one.committed_until}"
    if one.row.partner_cost is not None:
        cost = f"{one.row.partner_cost} {one.row.currency_code or ''}".strip()
        told += f" at {cost} each {one.row.billing_term or ''}".rstrip()
    rules = known.get(term.id or "")
    if rules is None:
        return [told]
    if rules.auto_renew is not None:
        told += ", renews by itself" if rules.auto_renew else ", does not renew by itself"
    before, after = rules.renewal_window_days_before_term_end, rules.renewal_window_days_after_term_end
    if before is not None or after is not None:
        opens = one.committed_until - timedelta(days=before or 0)
        closes = one.committed_until + timedelta(days=after or 0)
        told += f", may be changed from {opens} to {closes}"
    if rules.allow_for_quantity_decrease is False:
        told += ", not to be lowered before"
    if rules.cancellation_fee_applied:
        told += ", early end costs a fee"
    return [told]


def _status(paid: list[Held]) -> list[str]:
    """Where the status contradicts the dates: somebody will ask why it is counted."""
    ended = sum(one.row.status in _ENDED for one in paid)
    pending = sum((one.row.status or "").startswith(("Pending", "Waiting")) and one.last is None for one in paid)
    return [
        *([f"{ended} marked as ended, but billed by its dates"] if ended else []),
        *([f"{pending} still being provisioned, but billed by its dates"] if pending else []),
    ]
