"""Why Stripe would refuse a posting, or must not be asked: one clear reason each. Pure.

Stripe itself takes a fraction of a seat for a mistake of form, puts an invoice item without a subscription onto
whichever invoice comes next, and counts an event under an old identifier twice. Each sentence names the record and the
mend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

from connectors.stripe import amounts, times, usage
from connectors.stripe.abilities import IDENTIFIER_LENGTH, METADATA_LENGTH, OPERATIONS
from connectors.stripe.own import product_of
from connectors.stripe.payloads import Price
from connectors.stripe.read import period_of
from syncd.model import Agreement, Billing, Moment, Operation, Posting, Product
from syncd.money import plain
from syncd.periods import DAY

# Marks are followed by units and days where they stand in metadata.
_MARK_LENGTH = min(METADATA_LENGTH, IDENTIFIER_LENGTH) - 40


def refusal(
    posting: Posting,
    billing: Billing,
    products: Sequence[Product],
    moment: Moment,
    *,
    zone: ZoneInfo,
    prices: Mapping[str, Price],
) -> str:
    """The reason, "" where it may be sent. `prices`: what the catalogue says of the products, as far as it was read."""
    if posting.operation not in OPERATIONS:
        return f"Stripe cannot take the operation {posting.operation}; it takes {', '.join(OPERATIONS)}"
    agreement = next((one for one in billing.agreements if one.id == posting.agreement_id), None)
    if agreement is None:
        return (
            f"the customer has no Stripe subscription {posting.agreement_id} that is open; check the subscription that "
            "the rule names"
        )
    if agreement.obstacle:
        return f"{agreement.obstacle}; nothing is posted to it until that is mended in Stripe"
    if not posting.marker or len(posting.marker) > _MARK_LENGTH or not posting.marker.isascii():
        return f"the mark must be 1 to {_MARK_LENGTH} plain characters"
    if posting.operation is Operation.SET_QUANTITY:
        return _change(posting, billing, zone)
    product = next((one for one in products if one.id == posting.product_id), None)
    if product is None:
        return f"Stripe has no active price {posting.product_id} {posting.product}".rstrip()
    if posting.operation is not Operation.REPORT_USAGE and posting.quantity <= 0:
        return f"{plain(posting.quantity)} units cannot be posted; it takes more than none"
    price = prices.get(posting.product_id)
    if price is not None and price.currency.upper() != agreement.currency:
        return (
            f"the Stripe price {price.id} is in {price.currency.upper()}, the subscription {agreement.id} in "
            f"{agreement.currency}; name a price in the subscription's currency"
        )
    match posting.operation:
        case Operation.ADD_LINE:
            return _add(posting, billing, price, zone)
        case Operation.POST_LINE:
            return _charge(posting, agreement)
    return _usage(posting, agreement, moment.today, zone)


def _change(posting: Posting, billing: Billing, zone: ZoneInfo) -> str:
    where = f"the Stripe item {posting.line_id}"
    line = next((one for one in billing.lines if one.id == posting.line_id and not one.once), None)
    if line is None or line.agreement_id != posting.agreement_id:
        return f"{where} is no longer open on the subscription {posting.agreement_id}"
    if line.obstacle:
        return line.obstacle
    if posting.before is not None and line.quantity != posting.before:
        return (
            f"{where} shows {plain(line.quantity)} where the plan saw {plain(posting.before)}: it was changed "
            "meanwhile, and is planned anew"
        )
    if posting.quantity < 0:
        return f"{where} cannot have the quantity {plain(posting.quantity)}; a quantity is never negative"
    if why := _fraction(posting):
        return why
    return _outside(posting, period_of(line.version), zone)


def _add(posting: Posting, billing: Billing, price: Price | None, zone: ZoneInfo) -> str:
    if why := _fraction(posting):
        return why
    beside = [one for one in billing.lines if one.agreement_id == posting.agreement_id and not one.once]
    standing = next((one for one in beside if one.product_id == posting.product_id), None)
    if standing is not None:
        return (
            f"the Stripe subscription {posting.agreement_id} already has the item {standing.id} for {posting.product}; "
            "set its quantity instead of making a second one"
        )
    if price is not None and not price.active:
        return f"the Stripe price {price.id} is archived and takes no new items; name an active one"
    if price is not None and price.recurring is None:
        return f"the Stripe price {price.id} is a one-time price; a subscription item needs one that recurs"
    if price is not None and price.recurring is not None and price.recurring.usage_type == "metered":
        return f"the Stripe price {price.id} is metered; add its item by hand, syncd reports the usage to its meter"
    if "prorate" not in posting.options:
        return ""
    told = [period_of(one.version) for one in beside]
    return next((why for period in told if (why := _outside(posting, period, zone, added=True))), "")


def _fraction(posting: Posting) -> str:
    if posting.quantity == int(posting.quantity):
        return ""
    return f'Stripe counts whole units, not {plain(posting.quantity)}; set round = "up" in the rule'


def _outside(posting: Posting, period: tuple[int, int] | None, zone: ZoneInfo, *, added: bool = False) -> str:
    """Why the day from which a rise is prorated lies outside the running period, "" where it does not or nothing is
    prorated. Of a change the item's own period is known when it is sent, of an item that is added it is not."""
    if posting.options.get("prorate") != "daily":
        return ""
    if posting.starts is None:
        return "a change that is prorated needs the day from which it counts"
    if period is None:
        return ""
    since, (first, end) = times.instant(posting.starts, zone), period
    if since < first and (added or posting.starts < times.day_of(first, zone)):
        return (
            f"the subscription's period began on {times.day_of(first, zone)}, after {posting.starts} began; an item "
            "that is prorated can be added from the day after on"
        )
    return f"the subscription's period ends before {posting.starts}; it is planned anew" if since >= end else ""


def _charge(posting: Posting, agreement: Agreement) -> str:
    """Reasons against an invoice item."""
    if posting.starts is None or posting.ends is None or posting.ends < posting.starts:
        return "an invoice item needs the days that it covers"
    if not product_of(posting.product_id):
        return f"the Stripe price {posting.product_id} names no product"
    if not posting.currency or posting.currency.upper() != agreement.currency:
        return (
            f"the line is in {posting.currency or 'no currency'}, the Stripe subscription {agreement.id} in "
            f"{agreement.currency}; an invoice has one currency"
        )
    if posting.amount is None and posting.unit_price is None:
        return (
            f"neither the rule nor the Stripe price {posting.product} tells what one unit costs (tiers, packages and "
            "prices with tax inside have no single price); give the rule a price"
        )
    if posting.amount is not None and not amounts.usable(posting.amount, posting.currency):
        return (
            f"{plain(posting.amount)} {posting.currency} cannot be written in Stripe, which takes "
            f"{amounts.places(posting.currency)} decimals; change the rule's price"
        )
    if posting.amount is not None and posting.amount < 0:
        return "a line's amount cannot be negative"
    if meter := posting.options.get(usage.METER):
        return f"the rule reports to the Stripe meter {meter!r}, so that no line is posted; take meter out of its bill"
    if posting.options.get("beside") == "quantity":
        return (
            "Stripe itself prorates a rise of an item's quantity; a line for the same days would charge them twice: "
            'set prorate = "none" in the rule'
        )
    return ""


def _usage(posting: Posting, agreement: Agreement, today: date, zone: ZoneInfo) -> str:
    """Reasons against a usage event."""
    if not posting.options.get(usage.METER):
        return "usage needs the name of its meter: meter = \"…\" in the rule's bill (the meter's event name)"
    if posting.starts is None:
        return "usage needs the days that it is dated into"
    if posting.quantity == 0:
        return "0 units cannot be reported; it takes more than none, or less to take some off"
    if posting.quantity != round(posting.quantity, usage.PLACES):
        return f"{plain(posting.quantity)} units have more than {usage.PLACES} decimals; set round in the rule"
    on = usage.day(posting)
    if on >= today:
        return f"Stripe takes no usage of days to come: this is reported under {on}, from {on + DAY} on"
    if (today - on).days >= usage.OLDEST_DAYS:
        return (
            f"Stripe takes no usage older than {usage.OLDEST_DAYS} days; charge that of {on} by an invoice item by hand"
        )
    if agreement.period is not None and on not in agreement.period:
        return (
            f"usage that is dated on {on} lies outside the running period of the Stripe subscription {agreement.id} "
            f"({agreement.period}), whose invoice would not take it any more"
        )
    return ""
