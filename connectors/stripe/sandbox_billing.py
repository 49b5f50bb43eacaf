"""What the double does with its records: prorations by the second, invoices that take what is pending, meters."""

from __future__ import annotations

import calendar
import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.stripe import sandbox_state as state
from connectors.stripe.sandbox_front import DAY_LONG, Front, Params, Row, Stop
from syncd.sandbox.world import World

INVOICES_A_DAY = 20
CHANGES_AN_HOUR = 200
LINES = 250
_OLDEST, _AHEAD = 35 * DAY_LONG, 300


class Billing(Front):
    """Records and what happens to them. See `sandbox.build` for the options."""

    def __init__(self, world: World, *, summary_delay: float = 0.0, **options: Any) -> None:
        super().__init__(world, **options)
        self.world = world
        self.summary_delay = summary_delay
        self.tables: dict[str, dict[str, Row]] = {
            name: {}
            for name in "customer product price subscription item invoiceitem invoice line credit_note meter".split()
        }
        self.events: list[Row] = []
        self.changes: dict[str, list[float]] = {}
        self._made = itertools.count(1)

    def number(self, prefix: str) -> str:
        """A fresh id, as Stripe's look."""
        return f"{prefix}_1Syncd{next(self._made):010d}"

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def items_of(self, subscription: str) -> list[Row]:
        """A subscription's items, the oldest first."""
        return [row for row in self.tables["item"].values() if row["subscription"] == subscription]

    def add_item(self, subscription: str, price: str, quantity: int | None, period: tuple[int, int]) -> Row:
        """Puts an item onto a subscription, as a person does in the dashboard."""
        number = self.number("si")
        made = state.item(number, subscription, self.tables["price"][price], quantity, period, self.seconds())
        self.tables["item"][number] = made
        return made

    def paced(self, subscription: str) -> None:
        """Counts a change of quantity. Raises Stop where there are too many in an hour."""
        now = self.now().timestamp()
        recent = [at for at in self.changes.get(subscription, []) if now - at < 3600]
        if len(recent) >= CHANGES_AN_HOUR:
            raise Stop(429, "This subscription was updated too often", code="rate_limit")
        self.changes[subscription] = [*recent, now]

    def prorate(self, row: Row, before: int, after: int, params: Params) -> None:
        """Charges the rest of the period, as the parameters ask for."""
        how = params.get("proration_behavior", "create_prorations")
        if how not in ("create_prorations", "always_invoice", "none"):
            raise Stop(400, f"Invalid proration_behavior: {how}", param="proration_behavior")
        start, end = row["current_period_start"], row["current_period_end"]
        since = int(params.get("proration_date", min(max(self.seconds(), start), end)))
        if not start <= since <= end:
            raise Stop(400, "Cannot specify proration_date outside of the current period", param="proration_date")
        cents = row["price"]["unit_amount_decimal"]
        if how == "none" or before == after or cents is None:
            return
        share = Decimal(end - since) / Decimal(end - start)
        owner = self.tables["subscription"][row["subscription"]]
        for quantity, sign, words in ((before, -1, "Unused time on"), (after, 1, "Remaining time on")):
            if quantity:
                self.pend(
                    owner["customer"], owner["id"], quantity=Decimal(quantity), cents=Decimal(cents),
                    currency=owner["currency"], price=row["price"]["id"], product=row["price"]["product"],
                    period=(since, end), proration=True, discountable=False,
                    amount=state.rounded(sign * Decimal(quantity) * Decimal(cents) * share),
                    description=f"{words} {quantity} × {self.title(row['price'])}",
                )  # fmt: skip
        if how == "always_invoice":
            today = [
                one for one in self.tables["invoice"].values()
                if (one["parent"] or {}).get("subscription_details", {}).get("subscription") == owner["id"]
                and self.seconds() - one["created"] < DAY_LONG
            ]  # fmt: skip
            if len(today) >= INVOICES_A_DAY:
                raise Stop(429, "This subscription has too many invoices today", code="rate_limit")
            self.effect("charge_at_once", self.invoice(owner["id"], regular=False)["id"])

    def pend(self, customer: str, subscription: str | None, **fields: Any) -> Row:
        """A pending invoice item."""
        number = self.number("ii")
        made = state.invoice_item(number, customer, subscription, made=self.seconds(), live=self.live, **fields)
        self.tables["invoiceitem"][number] = made
        return made

    def title(self, price: Row) -> str:
        """What a price is called on an invoice."""
        return str(self.tables["product"][price["product"]]["name"])

    # --- invoices ----------------------------------------------------------------------------------------------------

    def invoice(
        self, subscription: str, *, regular: bool = True, made: int | None = None, status: str = "paid",
        quantities: dict[str, int] | None = None, used: dict[str, Decimal] | None = None,
    ) -> Row:  # fmt: skip
        """Makes a subscription's invoice: its licensed items (`quantities` by price instead of theirs), what metered
        ones `used`, and what is pending for it or for no subscription in particular."""
        owner = self.tables["subscription"][subscription]
        number, now = self.number("in"), self.seconds() if made is None else made
        row = state.invoice(
            number,
            f"SYN-{len(self.tables['invoice']) + 1:04d}",
            owner["customer"],
            subscription,
            now,
            self.live,
            status,
        )
        self.tables["invoice"][number] = row
        for one in self.items_of(subscription) if regular else ():
            price = one["price"]
            units = (used or {}).get(one["id"], one.get("quantity"))
            if units is None or price["unit_amount_decimal"] is None:
                continue
            count = units if quantities is None else quantities[price["id"]]
            cents = Decimal(price["unit_amount_decimal"])
            self._line(
                row, amount=state.rounded(cents * count), description=f"{count} × {self.title(price)}",
                quantity=Decimal(count), price=price["id"], product=price["product"], cents=cents, item=one["id"],
                period=(one["current_period_start"], one["current_period_end"]),
            )  # fmt: skip
        for one in list(self.tables["invoiceitem"].values()):
            parent = one["parent"]["subscription_details"]["subscription"] if one["parent"] else None
            if one["invoice"] is None and one["customer"] == owner["customer"] and parent in (None, subscription):
                self.take(one, row)
        return row

    def take(self, one: Row, row: Row) -> None:
        """An invoice takes a pending invoice item. Raises Stop where it is full."""
        if len(self.lines_of(row["id"])) >= LINES:
            raise Stop(400, f"An invoice holds {LINES} lines at most", param="invoice")
        one["invoice"] = row["id"]
        details = one["pricing"]["price_details"]
        self._line(
            row, amount=one["amount"], description=one["description"] or "", metadata=one["metadata"],
            quantity=Decimal(one["quantity_decimal"]), price=details["price"], product=details["product"],
            cents=Decimal(one["pricing"]["unit_amount_decimal"]), of_invoice_item=one["id"],
            proration=one["proration"], period=(one["period"]["start"], one["period"]["end"]),
            discountable=one["discountable"],
        )  # fmt: skip

    def _line(self, row: Row, **fields: Any) -> None:
        number = self.number("il")
        self.tables["line"][number] = state.line(number, row["id"], currency=row["currency"], live=self.live, **fields)

    def lines_of(self, invoice: str) -> list[Row]:
        """An invoice's lines."""
        return [row for row in self.tables["line"].values() if row["invoice"] == invoice]

    def shown_invoice(self, row: Row) -> Row:
        """An invoice with its totals and the first of its lines."""
        lines = self.lines_of(row["id"])
        net = sum(one["amount"] - sum(off["amount"] for off in one["discount_amounts"]) for one in lines)
        inside = sum(tax["amount"] for one in lines for tax in one["taxes"] if tax["tax_behavior"] == "inclusive")
        on_top = sum(tax["amount"] for one in lines for tax in one["taxes"] if tax["tax_behavior"] == "exclusive")
        shipping = row["shipping_cost"]["amount_subtotal"] if row["shipping_cost"] else 0
        total = net + on_top + shipping
        return {
            **row, "lines": self.inner(f"/v1/invoices/{row['id']}/lines", lines), "amount_due": total,
            "amount_remaining": 0 if row["status"] == "paid" else total,
            "amount_paid": total if row["status"] == "paid" else 0, "subtotal": net, "total": total,
            "total_excluding_tax": net - inside + shipping, "amount_shipping": shipping,
        }  # fmt: skip

    def void(self, invoice: str) -> None:
        """A person voids an invoice."""
        self.tables["invoice"][invoice]["status"] = "void"

    def roll(self, subscription: str) -> Row:
        """The period of a subscription ends: its next one begins and is invoiced, with the usage of the one that ended,
        which is nothing where it came to less."""
        used = {one["id"]: self.used(one) for one in self.items_of(subscription) if "quantity" not in one}
        anchor = datetime.fromtimestamp(self.tables["subscription"][subscription]["billing_cycle_anchor"], UTC).day
        for one in self.items_of(subscription):
            end = datetime.fromtimestamp(one["current_period_end"], UTC)
            clipped = anchor > end.day == calendar.monthrange(end.year, end.month)[1]
            later = (end.replace(day=1) + timedelta(days=32)).replace(day=1)
            later = later.replace(
                day=min(anchor if clipped else end.day, calendar.monthrange(later.year, later.month)[1])
            )
            one["current_period_start"], one["current_period_end"] = int(end.timestamp()), int(later.timestamp())
        return self.invoice(subscription, used=used)

    # --- meters ------------------------------------------------------------------------------------------------------

    def take_event(self, params: Params) -> Row:
        """Takes a usage event in."""
        now = self.seconds()
        identifier = params.get("identifier") or self.number("evt")
        if len(identifier) > 100:
            raise Stop(400, "identifier is too long", param="identifier")
        at = int(params.get("timestamp", now))
        if at < now - _OLDEST or at > now + _AHEAD:
            raise Stop(400, "The timestamp is outside of the time that is accepted", param="timestamp")
        if any(one["identifier"] == identifier and now - one["created"] < DAY_LONG for one in self.events):
            raise Stop(
                400, f"An event already exists with identifier {identifier}", code="duplicate_meter_event",
                param="identifier",
            )  # fmt: skip
        row = {
            "object": "billing.meter_event", "created": now, "event_name": params["event_name"],
            "identifier": identifier, "livemode": self.live, "payload": dict(params["payload"]), "timestamp": at,
        }  # fmt: skip
        if not self.ignoring():
            self.events.append(row)
            self.effect("meter_event", identifier, **row["payload"])
        return row

    def used(self, item: Row) -> Decimal:
        """What a metered item charges for its period."""
        owner = self.tables["subscription"][item["subscription"]]["customer"]
        meter = self.tables["meter"].get(item["price"]["recurring"]["meter"] or "")
        start, end = (item[name] // 60 * 60 for name in ("current_period_start", "current_period_end"))
        asked = {"customer": owner, "start_time": start, "end_time": end}
        rows = self.summary(meter, asked) if meter else []
        return max(sum((row["aggregated_value"] for row in rows), Decimal(0)), Decimal(0))

    def summary(self, meter: Row, params: Params) -> list[Row]:
        """What a meter counted of a customer between two minutes."""
        start, end = int(params["start_time"]), int(params["end_time"])
        if start % 60 or end % 60 or end <= start:
            raise Stop(400, "start_time and end_time must be aligned with minute boundaries", param="start_time")
        values = [
            Decimal(one["payload"]["value"])
            for one in sorted(self.events, key=lambda one: one["timestamp"])
            if one["event_name"] == meter["event_name"]
            and one["payload"].get("stripe_customer_id") == params["customer"]
            and start <= one["timestamp"] < end
            and self.seconds() - one["created"] >= self.summary_delay
        ]
        if not values:
            return []
        formula = meter["default_aggregation"]["formula"]
        told = {"sum": sum(values, Decimal(0)), "last": values[-1], "count": Decimal(len(values))}[formula]
        return [
            {
                "id": f"mtrusg_{start}", "object": "billing.meter_event_summary", "aggregated_value": told,
                "start_time": start, "end_time": end, "livemode": self.live, "meter": meter["id"],
            }
        ]  # fmt: skip


def month(today: date, now: int) -> tuple[int, int]:
    """The month's period, from noon of its first day (UTC), so that it is that day wherever the MSP is."""
    first = datetime(today.year, today.month, 1, 12, tzinfo=UTC)
    if first.timestamp() > now:
        first = (first - timedelta(days=1)).replace(day=1)
    later = (first + timedelta(days=32)).replace(day=1)
    return int(first.timestamp()), int(later.timestamp())
