"""Reads customers, prices, subscriptions with all their items, and syncd's own invoice items. Makes no decision.

The account's lists are read once while a connection is open, customer by customer would cost a call for each; what a
posting is judged by (`post`) is read anew each time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from connectors.stripe import amounts, times
from connectors.stripe.api import Api
from connectors.stripe.metered import Metered, usage_lines
from connectors.stripe.own import ADDED, Own, bears, named, own, price_of, product_of
from connectors.stripe.payloads import Catalogued, Customer, InvoiceItem, Item, Price, Subscription, Taken, id_of
from connectors.stripe.usage import Meters
from syncd.clock import Clock
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, RemoteCustomer, State
from syncd.periods import DAY, Period

# Subscriptions that bill, or that may again; the list leaves out the cancelled ones by itself.
_OVER = frozenset({"canceled", "incomplete_expired", "ended"})
_OBSTACLES = {
    "incomplete": "waits for its first payment",
    "paused": "is paused since its trial ended without a way to pay",
}
# Most lines that one invoice can hold; what is pending waits for the next one.
LINES_OF_AN_INVOICE = 250
# How many periods back own lines are looked for, and at least how long.
_PERIODS = 4
_LOOK_BACK = timedelta(days=130)
# Metadata that are shown to `syncd suggest`.
_LINKS = 5


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The active prices of the account, and those that a subscription still bills though they were archived. Stripe
    makes an archived price of every amount that is posted without one; those are left out.

    `prices` and `by_id` go by what syncd calls a price (`own.product_id`), `by_price` by its own id."""

    products: tuple[Product, ...]
    prices: Mapping[str, Price]
    by_id: Mapping[str, Product]
    by_price: Mapping[str, Product]


class Reader:
    """Reads one account. Thread-safe."""

    def __init__(self, api: Api, own_marker: str, clock: Clock, zone: ZoneInfo) -> None:
        self._api = api
        self.own_marker = own_marker
        self._clock = clock
        self.zone = zone
        self.catalogue = Once(self._catalogue)
        self._subscriptions = Once(self._all_subscriptions)
        self._own = Once(self._own_lines)
        self.meters = Meters(api, zone, clock)

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers that are not deleted, whole. Raises VendorError."""
        found = self._api.whole("v1/customers", Customer, "customers")
        return tuple(_customer(row) for row in found.rows if not row.deleted)

    def products(self) -> Sequence[Product]:
        """All prices that can be billed or are, the oldest first, whole. Raises VendorError."""
        return self.catalogue.get().products

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Subscriptions, their items, and syncd's own invoice items. Raises VendorError where one of the account's
        lists cannot be read."""
        subscriptions, proof = self._subscriptions.get()
        posted, pending, broken, proof_of_own = self._own.get()
        catalogue = self.catalogue.get()
        for customer in customers:
            if error := broken.get(customer.id):
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))
                continue
            agreements: list[Agreement] = []
            lines: list[BilledLine] = []
            for one in subscriptions.get(customer.id, ()):
                agreements.append(self._agreement(one, moment.today, pending.get(one.id, 0)))
                lines += [self._line(item, one, catalogue) for item in one.items.data]
            lines += self._usage(customer.id, agreements, lines, moment.today)
            shown = {one.id for one in agreements}
            lines += [_own_line(row, catalogue) for row in posted.get(customer.id, ()) if row.subscription in shown]
            yield Billing(
                customer.id,
                State.KNOWN,
                tuple(agreements),
                tuple(lines),
                proof=f"{len(agreements)} subscriptions ({proof}); {proof_of_own}",
            )

    def subscription(self, number: str) -> Subscription:
        """One subscription, fresh; its inner list of items may be cut. Raises VendorError."""
        reply = self._api.read(f"v1/subscriptions/{number}")
        return reply.parse(Subscription)

    def item(self, number: str) -> Item:
        """One subscription item, fresh. Raises VendorError."""
        return self._api.read(f"v1/subscription_items/{number}").parse(Item)

    def items(self, subscription: str) -> tuple[Item, ...]:
        """All items of a subscription, fresh. Raises VendorError."""
        found = self._api.whole("v1/subscription_items", Item, "subscription items", {"subscription": subscription})
        if any(item.subscription != subscription for item in found.rows):
            raise VendorError("wrong_tenant", f"Stripe answered with items of another subscription than {subscription}")
        return found.rows

    def own_of(self, customer: str, since: date | None) -> tuple[Own, ...]:
        """syncd's own invoice items of a customer, fresh: those on voided invoices too (`standing`). Raises
        VendorError."""
        created = {"created": {"gte": times.instant(since, self.zone)}} if since else {}
        found = self._api.whole(
            "v1/invoiceitems", InvoiceItem, "invoice items",
            {"customer": customer, **created},
        )  # fmt: skip
        if any(id_of(row.customer) != customer for row in found.rows):
            raise VendorError("wrong_tenant", f"Stripe answered with invoice items of another customer than {customer}")
        return tuple(one for row in found.rows if (one := own(row)) is not None)

    def _agreement(self, one: Subscription, today: date, pending: int) -> Agreement:
        period = self._period(one, today)
        name = (one.description or "").strip() or one.id
        metered = bool(one.items.data) and all(_metered(item.price) for item in one.items.data)
        return Agreement(
            id=one.id,
            customer_id=id_of(one.customer),
            name=name,
            period=period,
            # The next invoice takes what is added in the running period, so that only those before it are closed.
            invoiced_through=period.first - DAY if period else None,
            in_advance=not metered,
            currency=one.currency.upper(),
            labels=(one.id,) if name != one.id else (),
            obstacle=_obstacle(one, name, pending),
        )

    def _period(self, one: Subscription, today: date) -> Period | None:
        """The billing period that holds today; None where the items have several."""
        found = {times.days(*self._running(item, one, today), self.zone) for item in one.items.data}
        return found.pop() if len(found) == 1 else None

    def _running(self, item: Item, one: Subscription, today: date) -> tuple[int, int]:
        """The item's period that holds today. On the day on which one ends and the next begins it is the next one,
        whatever the hour: no day is in two of them."""
        start, end = item.current_period_start, item.current_period_end
        every = item.price.recurring
        for _ in range(400):
            if every is None or today < times.day_of(end, self.zone):
                break
            start, end = times.following(end, every.interval, every.interval_count, one.billing_cycle_anchor)
        return start, end

    def _line(self, item: Item, one: Subscription, catalogue: Catalogue) -> BilledLine:
        name = named(item.price)
        product = catalogue.by_id.get(name)
        return BilledLine(
            id=item.id,
            agreement_id=one.id,
            customer_id=id_of(one.customer),
            product_id=name,
            product=product.identifier if product else item.price.id,
            name=product.name if product else item.price.nickname or item.price.id,
            quantity=Decimal(item.quantity or 0),
            unit_price=unit_price(item.price),
            # Usage is reported from the day after on: what came before a metered item might not be charged.
            starts=times.day_of(item.created, self.zone) if _metered(item.price) and item.created else None,
            ends=times.day_of(one.cancel_at, self.zone) - DAY if one.cancel_at else None,
            marker=(item.metadata or {}).get(ADDED, ""),
            version=version(item),
            obstacle=_fixed(item, one),
        )

    def _usage(
        self, customer: str, agreements: Sequence[Agreement], lines: Sequence[BilledLine], today: date
    ) -> Iterator[BilledLine]:
        """What the meters of the customer's metered items counted."""
        subscriptions, _ = self._subscriptions.get()
        items = {item.id: (item, one) for one in subscriptions.get(customer, ()) for item in one.items.data}
        standing = {one.id: one for one in agreements}
        metered = [
            Metered(line, item, standing[line.agreement_id], self._running(item, one, today))
            for line in lines
            for item, one in ([items[line.id]] if line.id in items else ())
            if item.price.recurring and item.price.recurring.meter
        ]
        return usage_lines(metered, self.meters, self.zone)

    def _all_subscriptions(self) -> tuple[Mapping[str, tuple[Subscription, ...]], str]:
        found = self._api.whole("v1/subscriptions", Subscription, "subscriptions")
        by_customer: dict[str, list[Subscription]] = defaultdict(list)
        for row in found.rows:
            if row.status in _OVER:
                continue
            row.items.data = self._api.rest(
                "v1/subscription_items", Item, "subscription items", row.items, {"subscription": row.id}
            )
            if any(item.subscription != row.id for item in row.items.data):
                raise VendorError("wrong_tenant", f"Stripe shows items of another subscription under {row.id}")
            by_customer[id_of(row.customer)].append(row)
        return {customer: tuple(rows) for customer, rows in by_customer.items()}, found.proof

    def standing(self, invoice: str) -> str:
        """Why what an invoice took is not charged any more, in words; "" where it is. Fresh. Raises VendorError."""
        try:
            found = self._api.read(f"v1/invoices/{invoice}").parse(Taken)
        except VendorError as error:
            if error.status != 404:
                raise
            return f"stood on the invoice {invoice}, which no longer exists"
        if found.id != invoice:
            raise VendorError("wrong_tenant", f"Stripe answered with the invoice {found.id} when asked for {invoice}")
        if found.deleted:
            return f"stood on the invoice {invoice}, which was deleted"
        return f"stands on the invoice {invoice}, which was voided" if found.status == "void" else ""

    def _own_lines(self) -> tuple[Mapping[str, tuple[Own, ...]], Mapping[str, int], Mapping[str, VendorError], str]:
        """(own invoice items that stand, by customer; how many of any kind wait for each subscription's next invoice;
        why a customer's cannot be told; proof). An invoice is made after what it takes: one window holds both."""
        since = int((self._clock() - self._look_back()).timestamp())
        found = self._api.whole(
            "v1/invoiceitems", InvoiceItem, "invoice items",
            {"created": {"gte": since}},
        )  # fmt: skip
        voided: frozenset[str] = frozenset()
        if any(row.invoice is not None and bears(row.metadata or {}) for row in found.rows):
            gone = self._api.whole(
                "v1/invoices", Taken, "voided invoices", {"status": "void", "created": {"gte": since}}
            )
            voided = frozenset(row.id for row in gone.rows)
        by_customer: dict[str, list[Own]] = defaultdict(list)
        waiting: dict[str, int] = defaultdict(int)
        broken: dict[str, VendorError] = {}
        for row in found.rows:
            parent = row.parent.subscription_details if row.parent else None
            if row.invoice is None and parent is not None:
                waiting[id_of(parent.subscription)] += 1
            if id_of(row.invoice) in voided:
                continue  # charges nobody, whatever its note says
            try:
                one = own(row)
            except VendorError as error:  # one customer's broken note leaves the others alone
                broken.setdefault(id_of(row.customer), error)
                continue
            if one is not None:
                by_customer[one.customer].append(one)
        day = datetime.fromtimestamp(since, self.zone).date()
        own_lines = {name: tuple(some) for name, some in by_customer.items()}
        return own_lines, waiting, broken, f"{found.proof}, made since {day}"

    def _look_back(self) -> timedelta:
        subscriptions, _ = self._subscriptions.get()
        longest = max(
            (
                item.current_period_end - item.current_period_start
                for some in subscriptions.values()
                for one in some
                for item in one.items.data
            ),
            default=0,
        )
        return max(_LOOK_BACK, timedelta(seconds=longest) * _PERIODS)

    def _catalogue(self) -> Catalogue:
        found = self._api.whole("v1/prices", Price, "prices", {"active": True, "expand": ["data.product"]})
        prices = {row.id: row for row in found.rows}
        titles = {row.product.id: row.product.name for row in found.rows if isinstance(row.product, Catalogued)}
        subscriptions, _ = self._subscriptions.get()
        for some in subscriptions.values():
            for item in (item for one in some for item in one.items.data):
                prices.setdefault(item.price.id, item.price)
        if any(product_of(named(row)) not in titles for row in prices.values()):
            every = self._api.whole("v1/products", Catalogued, "products")
            titles |= {row.id: row.name for row in every.rows if row.name}
        rows = sorted(prices.values(), key=lambda row: (row.created, row.id))
        products = tuple(_product(row, titles) for row in rows)
        return Catalogue(
            products,
            {named(row): row for row in rows},
            {one.id: one for one in products},
            {one.identifier: one for one in products},
        )


def version(item: Item) -> str:
    """Quantity and period of an item: what a posting that is prorated must know of it."""
    return f"{item.quantity}:{item.current_period_start}:{item.current_period_end}"


def period_of(told: str) -> tuple[int, int] | None:
    """First second and end of the period in what `version` made."""
    parts = told.split(":")
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and all(map(str.isdigit, parts[1:])) else None


def unit_price(price: Price) -> Decimal | None:
    """What one unit costs without tax; None where it depends on how many there are, or where the tax is inside."""
    if price.billing_scheme != "per_unit" or price.transform_quantity or price.tax_behavior == "inclusive":
        return None
    try:
        return amounts.price(price.unit_amount_decimal, price.currency)
    except ValueError as error:
        raise VendorError("malformed", f"Stripe shows a price {price.id} that {error}") from None


def _metered(price: Price) -> bool:
    return price.recurring is not None and price.recurring.usage_type == "metered"


def _customer(row: Customer) -> RemoteCustomer:
    name = next((one.strip() for one in (row.name, row.business_name, row.description, row.email) if one), row.id)
    links = tuple(dict.fromkeys(value for value in (row.metadata or {}).values() if value))[:_LINKS]
    return RemoteCustomer(row.id, name, (row.email,) if row.email and row.email != name else (), links=links)


def _product(row: Price, titles: Mapping[str, str]) -> Product:
    title = titles.get(product_of(named(row))) or row.nickname or row.id
    name = f"{title} ({row.nickname})" if row.nickname and row.nickname != title else title
    return Product(id=named(row), identifier=row.id, name=name, unit_price=unit_price(row))


def _obstacle(one: Subscription, name: str, pending: int) -> str:
    title = f"the Stripe subscription {name!r}" + (f" ({one.id})" if name != one.id else "")
    if why := _OBSTACLES.get(one.status):
        return f"{title} {why}"
    if one.pause_collection and one.pause_collection.behavior in ("void", "mark_uncollectible"):
        return f"{title} has its collection paused ({one.pause_collection.behavior}): its invoices charge nothing"
    if pending + len(one.items.data) >= LINES_OF_AN_INVOICE:
        return f"the next invoice of {title.removeprefix('the ')} is full: {pending} lines wait for it already"
    return ""


def _fixed(item: Item, one: Subscription) -> str:
    """Why an item's quantity cannot be changed, in words; "" where it can."""
    if _metered(item.price):
        return f"the Stripe item {item.id} is metered: it bills the usage of its meter and has no quantity"
    if one.schedule is not None:
        return (
            f"the Stripe subscription {one.id} follows the schedule {id_of(one.schedule)}, whose next phase would "
            "undo a change; release the schedule, or change it there"
        )
    if one.pending_update is not None:
        return f"the Stripe subscription {one.id} has an update that waits for its payment"
    return ""


def _own_line(row: Own, catalogue: Catalogue) -> BilledLine:
    product = catalogue.by_id.get(row.product)
    return BilledLine(
        id=row.id,
        agreement_id=row.subscription,
        customer_id=row.customer,
        product_id=row.product,
        product=product.identifier if product else price_of(row.product),
        name=product.name if product else price_of(row.product),
        quantity=row.units,
        unit_price=amounts.major(row.amount, row.currency) / row.units if row.units else None,
        starts=row.charge.days.first,
        ends=row.charge.days.last,
        once=True,
        marker=row.charge.mark,
        amount=amounts.major(row.amount, row.currency),
    )
