"""Writes quantities, subscription items, invoice items and usage events: what is sent, what its answer means, and the
look whether it is there.

A quantity is an absolute value on a known record (class S). The others are created under an idempotency key (class K),
which Stripe forgets after a day; so each bears syncd's mark in its metadata as well, and is found by listing, which
shows what was written at once. Search lags, and knows neither kind of item: it is never used.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from datetime import date, timedelta
from decimal import Decimal

from connectors.stripe import amounts, times, usage
from connectors.stripe.abilities import DESCRIPTION_LENGTH, OPERATIONS
from connectors.stripe.api import Api, same_mode
from connectors.stripe.config import VERSION
from connectors.stripe.errors import harmless, refused
from connectors.stripe.forms import Value, encoded
from connectors.stripe.own import ADDED, OP, PRICE, SET, SUBSCRIPTION, price_of, product_of
from connectors.stripe.payloads import InvoiceItem, Item, MeterEvent, id_of
from connectors.stripe.read import Reader, period_of
from syncd.connect.documents import arithmetic, charge, note
from syncd.connect.http import Reply
from syncd.connect.outcome import outcome
from syncd.connect.values import shortened
from syncd.errors import VendorError
from syncd.model import (
    Absent,
    Found,
    Moved,
    NotSent,
    Operation,
    Outcome,
    Posting,
    Receipt,
    Refused,
    Sight,
    Wire,
)
from syncd.money import number, plain
from syncd.periods import DAY

# Changes of quantities that one subscription takes in an hour (docs.stripe.com/rate-limits).
CHANGES_AN_HOUR = 200
# How long before its first day an invoice item may have been made: a long period's line is posted within it.
_MADE_BEFORE = timedelta(days=400)
_OVER = frozenset({"canceled", "incomplete_expired", "ended"})


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, api: Api) -> None:
        self._reader = reader
        self._api = api
        self._zone = reader.zone
        self._meters = reader.meters
        self._pace = Pace()

    def wire(self, posting: Posting) -> Wire:
        """The request for a posting. Pure: equal postings give equal bytes. Raises ValueError for a posting that lacks
        what its operation needs (`refusal` names it before)."""
        match posting.operation:
            case Operation.SET_QUANTITY:
                fields: dict[str, Value] = {
                    "quantity": whole(posting.quantity),
                    **self._proration(posting),
                    "metadata": {SET: posting.marker},
                }
                return _request(f"v1/subscription_items/{posting.line_id}", fields, posting)
            case Operation.ADD_LINE:
                fields = {
                    "subscription": posting.agreement_id,
                    "price": price_of(posting.product_id),
                    "quantity": whole(posting.quantity),
                    **self._proration(posting),
                    "metadata": {ADDED: posting.marker},
                }
                return _request("v1/subscription_items", fields, posting)
            case Operation.POST_LINE:
                return _request("v1/invoiceitems", self._invoice_item(posting), posting)
            case Operation.REPORT_USAGE:
                return _request("v1/billing/meter_events", usage.fields(posting, self._zone), posting)
        raise ValueError(f"Stripe has no {posting.operation}")

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the answer strictly."""
        if posting.operation in (Operation.SET_QUANTITY, Operation.ADD_LINE):
            wait = self._pace.wait(posting.agreement_id)
            if wait:
                reason = f"Stripe takes {CHANGES_AN_HOUR} changes of the subscription {posting.agreement_id} in an hour"
                return NotSent(reason, Decimal(wait))
        try:
            reply = self._api.send(wire)
        except VendorError as error:  # not on the list of what may be asked: nothing left
            return Refused(error.code, str(error))
        surely_nothing = not isinstance(reply, Reply) or harmless(reply)
        return outcome(
            reply,
            receipt=lambda told: self._receipt(posting, told),
            refused=refused,
            throttled_is_harmless=OPERATIONS[posting.operation].throttled_is_harmless and surely_nothing,
        )

    def find(self, posting: Posting) -> Sight:
        """Looks whether the change is there. Raises VendorError where it cannot tell."""
        match posting.operation:
            case Operation.SET_QUANTITY:
                return self._find_quantity(posting)
            case Operation.ADD_LINE:
                return self._find_item(posting)
            case Operation.POST_LINE:
                return self._find_invoice_item(posting)
        return self._meters.find(posting)

    # --- what is sent ------------------------------------------------------------------------------------------------

    def _proration(self, posting: Posting) -> dict[str, Value]:
        """Whether Stripe charges the rest of the running period: where the posting asks for it, from the first second
        of a day that stands in it, so that the cents do not depend on when it is sent. What takes such a change back
        bears the same day, and gives back the same cents."""
        if posting.options.get("prorate") != "daily" or posting.starts is None:
            return {"proration_behavior": "none"}
        since = times.instant(posting.starts, self._zone)
        if period := period_of(posting.version):
            since = max(since, period[0])
        return {"proration_behavior": "create_prorations", "proration_date": since}

    def _invoice_item(self, posting: Posting) -> dict[str, Value]:
        if posting.starts is None or posting.ends is None:
            raise ValueError("an invoice item needs the days that it covers")
        quantity, each = arithmetic(posting, amounts.places(posting.currency))
        currency = posting.currency.lower()
        return {
            "customer": posting.customer_id,
            "subscription": posting.agreement_id,
            "price_data": {
                "currency": currency,
                "product": product_of(posting.product_id),
                # A posting's amount is without tax, whatever the account takes a bare price for.
                "tax_behavior": "exclusive",
                "unit_amount_decimal": amounts.minor(each, currency),
            },
            "quantity_decimal": quantity,
            # A coupon of the customer or the subscription would charge less than what was approved.
            "discountable": False,
            "description": described(posting.description or posting.product),
            "period": {
                "start": times.instant(posting.starts, self._zone),
                "end": times.instant(posting.ends + DAY, self._zone) - 1,
            },
            "metadata": {
                OP: note([charge(posting, amounts.places(posting.currency))]),
                PRICE: posting.product_id,
                SUBSCRIPTION: posting.agreement_id,
            },
        }

    # --- what an answer means ----------------------------------------------------------------------------------------

    def _receipt(self, posting: Posting, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the record that was meant with what was asked."""
        echo = reply.body[:4000].decode(errors="replace")
        match posting.operation:
            case Operation.SET_QUANTITY | Operation.ADD_LINE:
                item = reply.try_parse(Item)
                shown = item is not None and self._shows(item, posting)
                return Receipt(item.id, echo) if item and shown else None
            case Operation.POST_LINE:
                made = reply.try_parse(InvoiceItem)
                shown = made is not None and self._charges(made, posting)
                return Receipt(made.id, echo) if made and shown else None
        event = reply.try_parse(MeterEvent)
        if event is None or event.livemode is not self._api.key().live:
            return None
        asked = usage.fields(posting, self._zone)
        same = (event.event_name, event.identifier, event.timestamp) == (
            asked["event_name"],
            asked["identifier"],
            asked["timestamp"],
        )
        return Receipt(event.identifier, echo) if same and event.payload == asked["payload"] else None

    def _shows(self, item: Item, posting: Posting) -> bool:
        """Whether an item is the one that was meant, with the quantity that was asked for."""
        if item.subscription != posting.agreement_id or item.quantity != posting.quantity:
            return False
        if posting.operation is Operation.SET_QUANTITY:
            return item.id == posting.line_id
        marked = (item.metadata or {}).get(ADDED) == posting.marker
        return marked and item.price.id == price_of(posting.product_id)

    def _charges(self, made: InvoiceItem, posting: Posting) -> bool:
        """Whether an invoice item charges what was meant, to whom it was meant, on the invoice that was meant."""
        asked = self._invoice_item(posting)
        quantity, each = arithmetic(posting, amounts.places(posting.currency))
        parent = made.parent.subscription_details if made.parent else None
        amount = amounts.charged(quantity, each, posting.currency)
        if posting.amount is not None and amounts.minor(posting.amount, posting.currency) != amount:
            return False
        return (
            made.livemode is self._api.key().live
            and id_of(made.customer) == posting.customer_id
            and parent is not None
            and id_of(parent.subscription) == posting.agreement_id
            and (made.amount, made.currency) == (amount, posting.currency.lower())
            and number(made.quantity_decimal) == quantity
            and made.discountable is not True
            and (made.metadata or {}) == asked["metadata"]
        )

    # --- the look ----------------------------------------------------------------------------------------------------

    def _find_quantity(self, posting: Posting) -> Sight:
        if moved := self._standing(posting):
            return moved
        name = f"the Stripe item {posting.line_id}"
        try:
            item = self._reader.item(posting.line_id)
        except VendorError as error:
            if error.status != 404:
                raise
            return Moved(f"{name} no longer exists")
        if item.id != posting.line_id:
            raise VendorError("wrong_tenant", f"Stripe answered with {item.id} when asked for {posting.line_id}")
        if item.subscription != posting.agreement_id:
            return Moved(f"{name} is on the subscription {item.subscription} now")
        if item.price.id != price_of(posting.product_id):
            return Moved(f"{name} bills the price {item.price.id} now")
        if item.quantity is None:
            return Moved(f"{name} is metered now")
        shown = Decimal(item.quantity)
        if shown == posting.quantity:
            return Found(posting.line_id, shown)
        return Absent() if shown == posting.before else Moved(f"{name} shows {plain(shown)}")

    def _find_item(self, posting: Posting) -> Sight:
        over = self._standing(posting)
        try:
            items = self._reader.items(posting.agreement_id)
        except VendorError as error:
            if over is None or error.status not in (400, 404):
                raise
            return over  # a subscription that is gone has no list of items
        bearing = [one for one in items if (one.metadata or {}).get(ADDED) == posting.marker]
        if over is not None:
            return Moved(over.what, arrived=bearing[0].id if bearing else "")
        if len(bearing) > 1:
            ids = ", ".join(one.id for one in bearing)
            return Moved(f"{len(bearing)} Stripe items bear the mark {posting.marker} ({ids}); delete the surplus ones")
        if bearing:
            return Found(bearing[0].id, Decimal(bearing[0].quantity or 0))
        price = price_of(posting.product_id)
        rival = next((one for one in items if one.price.id == price), None)
        if rival is not None:
            return Moved(f"the Stripe subscription {posting.agreement_id} has the item {rival.id} for {price} now")
        return Absent()

    def _find_invoice_item(self, posting: Posting) -> Sight:
        since: date | None = posting.starts - _MADE_BEFORE if posting.starts else None
        rows = self._reader.own_of(posting.customer_id, since)
        bearing = [one for one in rows if one.charge.mark == posting.marker]
        if not bearing:
            return Absent()
        ended = {number: self._reader.standing(number) for number in {one.invoice for one in bearing} if number}
        standing = [one for one in bearing if not ended.get(one.invoice)]
        if not standing:
            one, gone = bearing[0], ended[bearing[0].invoice]
            return Moved(f"the Stripe invoice item {one.id}, which syncd made for this, {gone}", arrived=one.id)
        if len(standing) > 1:
            ids = ", ".join(f"{one.id} on {one.invoice}" if one.invoice else f"{one.id} pending" for one in standing)
            return Moved(
                f"{len(standing)} Stripe invoice items bear the mark {posting.marker} ({ids}); keep one: delete the "
                "pending ones, void the invoices of the others"
            )
        [one] = standing
        if one.discountable:
            return Moved(
                f"the Stripe invoice item {one.id} is open to coupons, which charge less than was meant; set its "
                "discountable to false, or take it back by hand (delete it while it is pending, else void its invoice)"
            )
        return Found(one.id, one.units)

    def _standing(self, posting: Posting) -> Moved | None:
        """None where the subscription is there, runs, and is the customer's. Raises VendorError where it is another
        customer's."""
        number = posting.agreement_id
        try:
            one = self._reader.subscription(number)
        except VendorError as error:
            if error.status != 404:
                raise
            return Moved(f"the Stripe subscription {number} no longer exists")
        same_mode(one, self._api.key())
        if one.id != number or id_of(one.customer) != posting.customer_id:
            raise VendorError("wrong_tenant", f"the Stripe subscription {number} is another customer's")
        if one.status in _OVER:
            return Moved(f"the Stripe subscription {number} is {one.status}")
        return None


class Pace:
    """Counts the changes of each subscription's quantities within an hour. Thread-safe."""

    def __init__(self, most: int = CHANGES_AN_HOUR, span: float = 3600.0) -> None:
        self._most = most
        self._span = span
        self._lock = threading.Lock()
        self._sent: defaultdict[str, deque[float]] = defaultdict(deque)

    def wait(self, subscription: str) -> int:
        """0 where one more may be sent, which is counted; else the seconds until then."""
        with self._lock:
            now = time.monotonic()
            sent = self._sent[subscription]
            while sent and now - sent[0] >= self._span:
                sent.popleft()
            if len(sent) >= self._most:
                return int(self._span - (now - sent[0])) + 1
            sent.append(now)
            return 0


def _request(path: str, fields: dict[str, Value], posting: Posting) -> Wire:
    headers = (
        ("content-type", "application/x-www-form-urlencoded"),
        ("idempotency-key", f"syncd-{posting.key}"),
        ("stripe-version", VERSION),
    )
    return Wire("POST", path, encoded(fields), headers)


def whole(quantity: Decimal) -> int:
    """A quantity of an item, which Stripe keeps whole. Raises ValueError."""
    if quantity != int(quantity):
        raise ValueError(f"Stripe counts whole units, not {plain(quantity)}")
    return int(quantity)


def described(text: str) -> str:
    """A description on one line, cut between words at the declared length."""
    return shortened(text, DESCRIPTION_LENGTH)
