"""A double of Stripe over real HTTP: keys, forms, idempotency with its day, lists of pages, prorations, invoices that
take what is pending, meters, a person in the dashboard.

Shares no code with the connector. `build(world, …)` makes one; see there for what can be configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from connectors.stripe import sandbox_state as state
from connectors.stripe.sandbox_billing import Billing, month
from connectors.stripe.sandbox_fill import fill, times
from connectors.stripe.sandbox_front import Params, Row, Stop, exact, in_range, missing, whole
from syncd.model import Billing as Read
from syncd.model import Operation, Posting, Product, RemoteCustomer
from syncd.sandbox.world import World

METER = "support_hours"
_NEVER_LISTED = frozenset({"canceled"})


def build(world: World, **options: Any) -> StripeDouble:
    """The double of the world's account. Options, all with defaults:

    `api_key`, `live` (the mode of its records), `forbidden` (resources that answer 403), `key_life` (seconds that an
    idempotency key is kept), `longest_page`, `summary_delay` (seconds until a meter event is counted).
    """
    return StripeDouble(world, **options)


class StripeDouble(Billing):
    """State and routes. Tests reach in through `tables`, `troubles`, `rival`, `invoice`, `roll` and `void`."""

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, **options)
        self._populate()
        self._routes()

    # --- what tests and the demo do to it ----------------------------------------------------------------------------

    def customer(self, number: int) -> str:
        """A company's id."""
        return f"cus_Syncd{number:08d}"

    def subscription_of(self, customer: str) -> Row:
        """A customer's first subscription."""
        return next(row for row in self.tables["subscription"].values() if row["customer"] == customer)

    def rival(self, item: str, quantity: int) -> None:
        """A person changes a quantity in the dashboard."""
        with self.lock:
            self.tables["item"][item]["quantity"] = quantity

    def sample(self, posting: Posting) -> Posting:
        """Usage needs a meter, and a day of the running period that is over."""
        if posting.operation is not Operation.REPORT_USAGE or posting.starts is None:
            return posting
        return replace(posting, options={"meter": METER}, starts=posting.starts.replace(day=1))

    def shift(self) -> None:
        """Somebody adds a customer, and takes away the one that was added before."""
        with self.lock:
            added = [one for one in self.tables["customer"] if one.startswith("cus_Shifted")]
            for one in added:
                del self.tables["customer"][one]
            number = f"cus_Shifted{len(self.requests):06d}"
            self.tables["customer"][number] = state.customer(
                number, f"Shifted {number}", "shifted@example.com", self.seconds(), self.live
            )

    def fill(self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Read]) -> None:
        """Holds these records of a real account instead of its own (see `syncd.sandbox.fill`)."""
        fill(self, customers, products, billings)

    def times(self, posting: Posting) -> int:
        """How often the change that this posting asks for was made."""
        return times(self, posting)

    # --- the story ---------------------------------------------------------------------------------------------------

    def _populate(self) -> None:
        now = self.seconds()
        long_ago, period = now - 300 * 86_400, month(self.world.today, now)
        before = month(self.world.today.replace(day=1), period[0] - 1)
        prices = {}
        for sku in self.world.skus:
            name = f"prod_Syncd{sku.product.replace('-', '')}"
            self.tables["product"][name] = state.product(name, sku.name, long_ago, self.live)
            if not sku.free:
                number = f"price_1Syncd{sku.product.replace('-', '')}"
                made = state.price(number, name, sku.price * 100, long_ago, self.live, lookup_key=sku.product.lower())
                self.tables["price"][number] = made
                prices[sku.product] = number
        self.tables["meter"]["mtr_test_61Syncd"] = state.meter("mtr_test_61Syncd", METER, long_ago, self.live)
        self._further_prices(long_ago)
        own = self.customer(0)  # the MSP tried Stripe on itself first, and never bought anything
        self.tables["customer"][own] = state.customer(own, self.world.msp, "", long_ago, self.live)
        for company in self.world.companies:
            customer, since = self.customer(company.number), long_ago + company.number
            self.tables["customer"][customer] = state.customer(
                customer, company.name, f"billing@{company.domain}", since, self.live
            )
            number = f"sub_1Syncd{company.number:08d}"
            self.tables["subscription"][number] = state.subscription(
                number, customer, "Managed Services", since, self.live
            )
            quantities = {}
            for product, quantity in company.billed:
                self.add_item(number, prices[product], int(quantity), before)
                quantities[prices[product]] = int(quantity)
            self.tables["subscription"][number]["billing_cycle_anchor"] = before[0]
            self.invoice(number, made=before[0], quantities=quantities)
            for row in self.items_of(number):
                row["current_period_start"], row["current_period_end"] = period
            if company.number == 2 and quantities:  # the books gap of the story: one seat fewer was invoiced
                first = next(iter(quantities))
                quantities[first] -= 1
            self.invoice(number, made=period[0], quantities=quantities)

    def _further_prices(self, made: int) -> None:
        """Prices that are not simply so much for each unit."""
        self.tables["product"]["prod_SyncdSupport"] = state.product("prod_SyncdSupport", "Support", made, self.live)
        monthly = {"interval": "month", "interval_count": 1}
        further: tuple[tuple[str, Decimal | None, Row], ...] = (
            ("price_1SyncdHours", Decimal(9500), {
                "recurring": {**monthly, "usage_type": "metered", "meter": "mtr_test_61Syncd"}, "nickname": "Hours",
            }),
            ("price_1SyncdTiers", None, {"nickname": "Tiered"}),
            ("price_1SyncdSetup", Decimal(15000), {"type": "one_time", "recurring": None, "nickname": "Setup"}),
        )  # fmt: skip
        for number, (name, cents, more) in enumerate(further, 1):
            self.tables["price"][name] = state.price(name, "prod_SyncdSupport", cents, made + number, self.live, **more)

    # --- routes ------------------------------------------------------------------------------------------------------

    def _routes(self) -> None:
        self._lists("customers", "customer", "email created")
        self._lists("products", "product", "active created ids")
        self._lists("prices", "price", "active created product type currency lookup_keys")
        self._lists("subscriptions", "subscription", "customer status created price")
        self._lists("subscription_items", "item", "subscription")
        self._lists("invoiceitems", "invoiceitem", "customer created invoice pending")
        self._lists("invoices", "invoice", "customer created status subscription")
        self._lists("credit_notes", "credit_note", "customer created invoice")
        self._lists("billing/meters", "meter", "status")
        for what, table in (("invoices", "invoice"), ("credit_notes", "credit_note")):
            self.api(
                "GET", f"{what}/<number>/lines",
                lambda params, number, what=what, table=table: self._lines(what, table, params, number), listed=True,
            )  # fmt: skip
        self.api(
            "GET", "billing/meters/<number>/event_summaries", self._summaries,
            allowed="customer start_time end_time value_grouping_window", listed=True,
        )  # fmt: skip
        common = "quantity proration_behavior proration_date metadata payment_behavior"
        self.api("POST", "subscription_items/<number>", self._change_item, allowed=f"{common} price")
        self.api("POST", "subscription_items", self._new_item, allowed=f"{common} price subscription")
        self.api(
            "POST", "invoiceitems", self._new_invoice_item,
            allowed="customer subscription invoice pricing price_data amount currency quantity quantity_decimal "
            "unit_amount_decimal description period metadata discountable tax_behavior tax_code tax_rates",
        )  # fmt: skip
        self.api("DELETE", "invoiceitems/<number>", self._delete_invoice_item)
        self.api("POST", "invoices/<number>/void", self._void)
        self.api(
            "POST", "billing/meter_events", lambda params: self._event(params),
            allowed="event_name payload identifier timestamp",
        )  # fmt: skip
        self.route("POST", "/_sandbox/rival", self._rival_route)

    def _lists(self, path: str, table: str, filters: str) -> None:
        def many(params: Params) -> Row:
            if table == "item" and "subscription" not in params:
                raise Stop(400, "Missing required param: subscription", code="parameter_missing", param="subscription")
            rows = [row for row in self.tables[table].values() if _passes(table, row, params)]
            page = self.listed(f"/v1/{path}", rows, params)
            return {**page, "data": [self._shown(table, row, params) for row in page["data"]]}

        def one(params: Params, number: str) -> Row:
            row = self.tables[table].get(number)
            if row is None:
                raise missing(table, number)
            return self._shown(table, row, params)

        self.api("GET", path, many, allowed=filters, listed=True)
        self.api("GET", f"{path}/<number>", one)

    def _shown(self, table: str, row: Row, params: Params) -> Row:
        """A record as it is shown, with what was asked for expanded."""
        expand = {name.removeprefix("data.") for name in params.get("expand", ())}
        match table:
            case "subscription":
                url = f"/v1/subscription_items?subscription={row['id']}"
                return {**row, "items": self.inner(url, self.items_of(row["id"]))}
            case "price" if "product" in expand:
                return {**row, "product": self.tables["product"][row["product"]]}
            case "invoiceitem" if "invoice" in expand and row["invoice"]:
                taken = self.tables["invoice"].get(row["invoice"])
                deleted = {"id": row["invoice"], "object": "invoice", "deleted": True}
                return {**row, "invoice": self.shown_invoice(taken) if taken else deleted}
            case "invoice":
                return self.shown_invoice(row)
            case "credit_note":
                return {**row, "lines": self.inner(f"/v1/credit_notes/{row['id']}/lines", row["lines"])}
        return row

    def _lines(self, what: str, table: str, params: Params, number: str) -> Row:
        if number not in self.tables[table]:
            raise missing(table, number)
        rows = self.lines_of(number) if table == "invoice" else self.tables[table][number]["lines"]
        return self.listed(f"/v1/{what}/{number}/lines", rows[::-1], params)

    def _summaries(self, params: Params, number: str) -> Row:
        for name in ("customer", "start_time", "end_time"):
            if name not in params:
                raise Stop(400, f"Missing required param: {name}", code="parameter_missing", param=name)
        meter = self.tables["meter"].get(number)
        if meter is None:
            raise missing("billing meter", number)
        return self.listed(f"/v1/billing/meters/{number}/event_summaries", self.summary(meter, params), params)

    # --- writes ------------------------------------------------------------------------------------------------------

    def _change_item(self, params: Params, number: str) -> Row:
        row = self.tables["item"].get(number)
        if row is None:
            raise missing("subscription_item", number)
        self._running(row["subscription"])
        shown = {**row, "metadata": {**row["metadata"], **params.get("metadata", {})}}
        if "price" in params:
            price = self.tables["price"].get(params["price"])
            if price is None:
                raise missing("price", params["price"], "price")
            shown |= {"price": price, "quantity": 1}  # what nobody expects: the quantity is forgotten
        if "quantity" in params:
            if "quantity" not in row:
                raise Stop(400, "Quantity cannot be set on a metered price", param="quantity")
            shown["quantity"] = whole(params, "quantity")
        if shown.get("quantity", 0) < 0:
            raise Stop(400, "Invalid non-negative integer", param="quantity")
        if self.ignoring():
            return shown
        self.paced(row["subscription"])
        before = row.get("quantity", 0)
        self.prorate(row, before, shown.get("quantity", 0), params)
        row |= shown
        self.effect("set_quantity", number, before=before, to=row.get("quantity"), mark=row["metadata"])
        return dict(row)

    def _new_item(self, params: Params) -> Row:
        subscription = self._running(params.get("subscription", ""))
        price = self.tables["price"].get(params.get("price", ""))
        if price is None:
            raise missing("price", params.get("price", ""), "price")
        beside = self.items_of(subscription["id"])
        if price["recurring"] is None:
            raise Stop(
                400,
                "The price specified is set to `type=one_time` but this field only accepts prices with "
                "`type=recurring`",
                param="price",
            )
        if any(row["price"]["id"] == price["id"] for row in beside):
            raise Stop(400, "An existing Subscription Item is already using that Price", param="price")
        if price["currency"] != subscription["currency"] or not price["active"]:
            raise Stop(400, "The price specified cannot be used on this subscription", param="price")
        metered = price["recurring"]["usage_type"] == "metered"
        quantity = None if metered else whole(params, "quantity") if "quantity" in params else 1
        first = beside[0] if beside else None
        period = (
            (first["current_period_start"], first["current_period_end"])
            if first
            else month(self.world.today, self.seconds())
        )
        number = self.number("si")
        made = state.item(number, subscription["id"], price, quantity, period, self.seconds())
        made["metadata"] = params.get("metadata", {})
        if not self.ignoring():
            self.paced(subscription["id"])
            self.prorate(made, 0, quantity or 0, params)
            self.tables["item"][number] = made
            self.effect("add_item", number, subscription=subscription["id"], mark=made["metadata"])
        return made

    def _running(self, number: str) -> Row:
        found = self.tables["subscription"].get(number)
        if found is None:
            raise missing("subscription", number, "subscription")
        if found["status"] in _NEVER_LISTED:
            raise Stop(400, "A canceled subscription can only update its cancellation_details and metadata")
        return found

    def _new_invoice_item(self, params: Params) -> Row:
        customer = params.get("customer", "")
        if customer not in self.tables["customer"]:
            raise missing("customer", customer, "customer")
        subscription = params.get("subscription")
        if subscription is not None and self._running(subscription)["customer"] != customer:
            raise Stop(400, "The subscription belongs to another customer", param="subscription")
        data = params.get("price_data")
        quantity = exact(params, "quantity_decimal") if "quantity_decimal" in params else Decimal(1)
        if "quantity" in params:
            quantity = Decimal(whole(params, "quantity"))
        if data is not None:
            if data.get("product") not in self.tables["product"]:
                raise missing("product", data.get("product", ""), "price_data[product]")
            cents, currency, price, product = (
                exact(data, "unit_amount_decimal"), data["currency"], self.number("price"), data["product"],
            )  # fmt: skip
        elif "pricing" in params:
            found = self.tables["price"].get(params["pricing"]["price"])
            if found is None or found["type"] != "one_time":
                raise Stop(
                    400,
                    "The price specified is set to `type=recurring` but this field only accepts prices with "
                    "`type=one_time`",
                    param="pricing[price]",
                )
            cents, currency = Decimal(found["unit_amount_decimal"]), found["currency"]
            price, product = found["id"], found["product"]
        else:
            cents = Decimal(whole(params, "amount"))
            currency, price, product = params["currency"], self.number("price"), "prod_none"
        if subscription is not None and self.tables["subscription"][subscription]["currency"] != currency:
            raise Stop(400, "You cannot combine currencies on a single subscription", param="currency")
        period = params.get("period") or {"start": self.seconds(), "end": self.seconds()}
        made = state.invoice_item(
            self.number("ii"), customer, subscription, quantity=quantity, cents=cents, currency=currency, price=price,
            product=product, period=(int(period["start"]), int(period["end"])), made=self.seconds(), live=self.live,
            description=params.get("description"), metadata=params.get("metadata", {}),
            discountable=params.get("discountable", "true") == "true",
        )  # fmt: skip
        if not self.ignoring():
            self.tables["invoiceitem"][made["id"]] = made
            self.effect(
                "invoice_item", made["id"], customer=customer, subscription=subscription, amount=made["amount"],
                mark=made["metadata"],
            )  # fmt: skip
        return made

    def _delete_invoice_item(self, params: Params, number: str) -> Row:
        row = self.tables["invoiceitem"].get(number)
        if row is None:
            raise missing("invoiceitem", number)
        if row["invoice"] is not None:
            raise Stop(400, "This invoice item was taken by an invoice already")
        del self.tables["invoiceitem"][number]
        return {"id": number, "object": "invoiceitem", "deleted": True}

    def _void(self, params: Params, number: str) -> Row:
        row = self.tables["invoice"].get(number)
        if row is None:
            raise missing("invoice", number)
        self.void(number)
        return self.shown_invoice(row)

    def _event(self, params: Params) -> Row:
        for name in ("event_name", "payload"):
            if name not in params:
                raise Stop(400, f"Missing required param: {name}", code="parameter_missing", param=name)
        if all(one["event_name"] != params["event_name"] for one in self.tables["meter"].values()):
            raise Stop(400, f"No active meter has the event name {params['event_name']}", param="event_name")
        return self.take_event(params)

    def _rival_route(self, request: Any) -> Any:
        body = request.get_json()
        self.rival(str(body["item"]), int(body["quantity"]))
        return {"item": body["item"]}


def _passes(table: str, row: Row, params: Params) -> bool:
    """Whether a record passes a list's filters."""
    made: int = row["created"] if "created" in row else row.get("date", 0)
    if not in_range(made, params.get("created")):
        return False
    if table == "subscription":
        wanted = params.get("status")
        if wanted is None and row["status"] in _NEVER_LISTED:
            return False
        if wanted not in (None, "all", row["status"]):
            return False
    elif "status" in params and row["status"] != params["status"]:
        return False
    if "pending" in params and (row["invoice"] is None) != (params["pending"] == "true"):
        return False
    if "active" in params and row["active"] != (params["active"] == "true"):
        return False
    return all(params[name] == row.get(name) for name in ("customer", "subscription", "invoice", "email")
               if name in params and name in row)  # fmt: skip
