"""A double of Alternative Payments' public API, over real HTTP. Shares no code with what reads and posts.

Beside the kit's controls under `/_sandbox`: `POST invoice {customer, lines, created_at, status, due_date}` makes an
invoice as a person or a primary integration does, `POST change {id, …}` changes fields of a record, `POST pay {invoice,
status}` makes a payment.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from werkzeug.wrappers import Request, Response

from connectors.alternative_payments.sandbox_fill import fill, times
from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import Company, World

TOKEN_LIFE = 3600
SCOPES = frozenset({"customers:read", "invoices:read", "invoices:write", "payments:read"})
Row = dict[str, Any]
# In the story, the one customer whom the books bill for fewer seats than the PSA does.
SHORT = "DogwoodVet"
_NAMES = uuid.UUID("0d2f7e0a-31f4-4a53-9a9e-1a2f3b4c5d6e")


class PaymentsDouble(Double):
    """State and routes.

    `amount_unit` and `amount_basis` are what an amount means here. `nested` shows the paging fields as the vendor's
    guide does; `keeps_memo` stores a memo instead of dropping it; `lag` hides new invoices from lists for so long;
    `rate` lets so many requests a second through; `primary` is the primary integration, whose customers bear its ids.
    `fee` is added to a payment's total. `longest_page` caps every page.
    """

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        amount_unit: str = "major",
        amount_basis: str = "per_unit",
        primary: str = "",
        rate: int | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__("alternative_payments", now=now, throttled=self._slow_down, unauthorized=self._who)
        self.world = world
        self.amount_unit, self.amount_basis, self.primary, self.rate = amount_unit, amount_basis, primary, rate
        self.scopes = SCOPES
        self.nested = False
        self.keeps_memo = False
        self.lag = timedelta(0)
        self.fee = Decimal(0)
        self.token_life = TOKEN_LIFE
        self.longest_page = 100
        self.retry_after = ""
        self.tokens: dict[str, datetime] = {}
        self.customers: list[Row] = []
        self.invoices: list[Row] = []
        self.payments: list[Row] = []
        self.owners: dict[str, str] = {}  # payment -> invoice, which payments do not show
        self._tokens_left, self._filled_at = float(rate or 0), self.now()
        self._keys = (client_id, client_secret)
        self.settings = {
            "client_id": client_id,
            "client_secret": client_secret,
            "posting": True,
            "amount_unit": amount_unit,
            "amount_basis": amount_basis,
            "primary_integration": primary or "none",
        }
        self.route("POST", "/oauth/token", self._token)
        self.route("GET", "/customers", lambda request: self._listed(request, "customers:read", self.customers))
        self.route("GET", "/invoices", lambda request: self._listed(request, "invoices:read", self._visible()))
        self.route("POST", "/invoices", self._create)
        self.route("GET", "/payments", lambda request: self._listed(request, "payments:read", self.payments))
        self.route("POST", "/payments", lambda request: self._charge(request))
        self.route("POST", "/_sandbox/invoice", self._made_elsewhere)
        self.route("POST", "/_sandbox/change", self._change)
        self.route("POST", "/_sandbox/pay", lambda request: self.pay(**request.get_json()))
        for company in world.companies:
            self._tell_story(company)

    # What the world says

    def _tell_story(self, company: Company) -> None:
        """The company as a customer, and two months of invoices for what the PSA bills."""
        made = datetime(self.world.today.year, 1, 2, 15, 0, tzinfo=UTC) + timedelta(minutes=company.number)
        customer: Row = {
            "id": made_id("customer", company.identifier),
            "name": company.name,
            "legal_name": company.name,
            "email": f"billing@{company.domain}",
            "external_id": company.identifier,
            "customer_integration_id": f"{self.primary}-{company.number}" if self.primary else None,
            "default_payment_method_id": None,
            "created_at": text(made),
        }
        self.customers.append(customer)
        skus = {sku.product: sku for sku in self.world.skus}
        first = self.world.today.replace(day=1)
        for month in ((first - timedelta(days=1)).replace(day=1), first):
            lines = []
            for product, quantity in company.billed:
                units = int(quantity) - (2 if company.identifier == SHORT else 0)
                lines.append((skus[product].name, units, skus[product].price))
            if lines:
                at = datetime(month.year, month.month, 1, 15, company.number % 60, tzinfo=UTC)
                self.make(customer["id"], lines, at, status="paid" if month < first else "open")

    def make(self, customer_id: str, lines: list[tuple[str, int, Decimal]], at: datetime, *, status: str) -> Row:
        """An invoice of (text, units, dollars for one), as somebody else makes it."""
        rows = []
        for described, units, each in lines:
            told = each * units if self.amount_basis == "line" else each
            rows.append({"description": described, "quantity": units, "amount": self._unit(told)})
        return self._keep(
            {"customer_id": customer_id, "currency": "USD", "due_date": f"{at:%Y-%m-28}"}, rows, at, status
        )

    def pay(self, invoice: str, status: str = "succeeded") -> Row:
        """A payment of a whole invoice; a fee makes its total larger."""
        of = next(row for row in self.invoices if invoice in (row["id"], row["invoice_number"]))
        row: Row = {
            "id": made_id("payment", f"{of['id']}:{len(self.payments)}"),
            "customer_id": of["customer_id"],
            "due_date": of["due_date"],
            "payment_method": "ach",
            "status": status,
            "sub_total": of["sub_total"],
            "total": of["sub_total"] + self._unit(self.fee),
            "fees": [],
            "created_at": text(self.now()),
        }
        self.payments.append(row)
        self.owners[row["id"]] = of["id"]
        return row

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of a real account instead of its own (see `syncd.sandbox.fill`)."""
        fill(self, customers, billings)

    def times(self, posting: Posting) -> int:
        """How often the invoice that this posting asks for was made."""
        return times(self, posting)

    def pass_by(self) -> None:
        """A customer that sorts before all others comes, or goes again."""
        with self.lock:
            extra = made_id("customer", "passing")
            if self.customers[0]["id"] == extra:
                del self.customers[0]
            else:
                self.customers.insert(
                    0, {**self.customers[0], "id": extra, "name": "AAA Passing By", "external_id": "AAA"}
                )

    def _unit(self, dollars: Decimal) -> Decimal:
        return dollars * 100 if self.amount_unit == "minor" else dollars

    def _keep(self, head: Row, lines: list[Row], at: datetime, status: str) -> Row:
        per_line = [row["amount"] * (row["quantity"] if self.amount_basis == "per_unit" else 1) for row in lines]
        total = sum((Decimal(str(one)) for one in per_line), Decimal(0))
        number = len(self.invoices) + 1001
        row = {
            "id": made_id("invoice", str(number)),
            **head,
            "invoice_number": f"INV-{number}",
            "status": status,
            "sub_total": total,
            "total": total,
            "line_items": lines,
            "created_at": text(at),
            "last_notification_at": text(at),
        }
        self.invoices.append(row)
        return row

    # Signing in

    def _token(self, request: Request) -> Response:
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        try:
            given = tuple(base64.b64decode(pair, validate=True).decode().split(":", 1))
        except (binascii.Error, UnicodeDecodeError):
            given = ()
        if request.form.get("grant_type") != "client_credentials":
            return problem(400, "grant_type must be client_credentials")
        if scheme != "Basic" or given != self._keys:
            return problem(401, "invalid client")
        token = secrets.token_urlsafe(32)
        self.tokens[token] = self.now() + timedelta(seconds=self.token_life)
        return json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.token_life})

    def _refused(self, request: Request, scope: str) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, self.now()) <= self.now():
            return self._who()
        if scope not in self.scopes:
            return problem(403, f"the key lacks {scope}")
        return self._slow_down() if self._over_rate() else None

    def _over_rate(self) -> bool:
        """A bucket of `rate` requests, filled again within a second."""
        if self.rate is None:
            return False
        now = self.now()
        self._tokens_left = min(
            float(self.rate), self._tokens_left + (now - self._filled_at).total_seconds() * self.rate
        )
        self._filled_at = now
        if self._tokens_left < 1:
            return True
        self._tokens_left -= 1
        return False

    def _who(self) -> Response:
        return problem(401, "Unauthorized")

    def _slow_down(self) -> Response:
        response = problem(429, "Too many requests")
        if self.retry_after:
            response.headers["Retry-After"] = self.retry_after
        return response

    # Lists

    def _visible(self) -> list[Row]:
        if not self.lag:
            return self.invoices
        return [row for row in self.invoices if instant(row["created_at"]) + self.lag <= self.now()]

    def _listed(self, request: Request, scope: str, rows: list[Row]) -> Response:
        if refused := self._refused(request, scope):
            return refused
        asked = request.args
        chosen = [row for row in rows if self._chosen(row, asked)]
        try:
            limit = min(int(asked.get("limit", "100")), self.longest_page)
        except ValueError:
            return problem(400, "limit must be a number")
        start = 0
        if after := asked.get("after"):
            there = [place for place, row in enumerate(chosen) if cursor(row) == after]
            if not there:
                return problem(400, "unknown cursor")
            start = there[0] + 1
        page = chosen[start : start + limit]
        fields = {
            "start_cursor": cursor(page[0]) if page else None,
            "end_cursor": cursor(page[-1]) if page else None,
            "has_next_page": start + limit < len(chosen),
            "has_previous_page": start > 0,
        }
        return json_response({"data": page, **({"pagination": fields} if self.nested else fields)})

    def _chosen(self, row: Row, asked: Any) -> bool:
        for name in ("customer_id", "status"):
            if name in asked and row.get(name) != asked[name]:
                return False
        if "invoice_id" in asked and self.owners.get(row["id"]) != asked["invoice_id"]:
            return False
        if "created_at_start" in asked and instant(row["created_at"]) < instant(asked["created_at_start"]):
            return False
        return not ("created_at_end" in asked and instant(row["created_at"]) > instant(asked["created_at_end"]))

    # Writing

    def _create(self, request: Request) -> Response:
        if refused := self._refused(request, "invoices:write"):
            return refused
        try:
            given = msgspec.json.decode(request.get_data(), type=_NewInvoice)
        except msgspec.ValidationError as error:
            return problem(422, "validation failed", {"body": str(error)})
        except msgspec.DecodeError:
            return problem(400, "the body is no JSON")
        wrong = given.wrong()
        if not any(row["id"] == given.customer_id for row in self.customers):
            wrong["customer_id"] = "does not exist"
        if wrong:
            return problem(422, "validation failed", wrong)
        lines: list[Row] = [
            {"description": one.description, "quantity": one.quantity, "amount": one.amount} for one in given.line_items
        ]
        head = {"customer_id": given.customer_id, "currency": given.currency, "due_date": given.due_date}
        if self.keeps_memo and given.memo:
            head["memo"] = given.memo
        if self.ignoring():
            before = list(self.invoices)
            row = self._keep(head, lines, self.now(), "open")
            self.invoices[:] = before
            return json_response(row, 201)
        row = self._keep(head, lines, self.now(), "open")
        text_of = given.line_items[0].description
        self.effect("invoice", row["id"], customer=given.customer_id, sub_total=str(row["sub_total"]), text=text_of)
        return json_response(row, 201)

    def _charge(self, request: Request) -> Response:
        """Charges the customer's card. Whoever sends this has a fault."""
        self.effect("charge", "card")
        return json_response({"id": "charged"}, 201)

    # Controls

    def _made_elsewhere(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        customer = next(
            row for row in self.customers if asked["customer"] in (row["id"], row["name"], row["external_id"])
        )
        lines = [(str(name), int(units), Decimal(str(each))) for name, units, each in asked["lines"]]
        at = instant(asked["created_at"]) if "created_at" in asked else self.now()
        return self.make(customer["id"], lines, at, status=asked.get("status", "open"))

    def _change(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        id_ = asked.pop("id")
        for row in (*self.customers, *self.invoices, *self.payments):
            if id_ in (row["id"], row.get("invoice_number")):
                row.update(asked)
                return row
        return json_response({"error": f"nothing has the id {id_}"}, 404)


class _NewLine(msgspec.Struct):
    description: str
    quantity: int
    amount: Decimal


class _NewInvoice(msgspec.Struct):
    """The documented fields; unknown ones are ignored, as the vendor does."""

    customer_id: str
    currency: str
    due_date: str
    line_items: list[_NewLine]
    memo: str | None = None

    def wrong(self) -> dict[str, str]:
        """What validation finds."""
        found = {}
        if self.currency != "USD":
            found["currency"] = "must be one of USD"
        try:
            date.fromisoformat(self.due_date)
        except ValueError:
            found["due_date"] = "must be a date"
        if not self.line_items:
            found["line_items"] = "must not be empty"
        return found


def made_id(kind: str, name: str) -> str:
    """An id that is the same for the same record of the same world."""
    return str(uuid.uuid5(_NAMES, f"{kind}:{name}"))


def cursor(row: Row) -> str:
    """What names a row's place in a list."""
    return base64.urlsafe_b64encode(row["id"].encode()).decode()


def text(at: datetime) -> str:
    """An instant as the vendor writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def instant(told: str) -> datetime:
    """The inverse of `text`."""
    return datetime.fromisoformat(told)


def problem(status: int, message: str, fields: dict[str, str] | None = None) -> Response:
    """The vendor's HttpError."""
    codes = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 422: "unprocessable"}
    body: Row = {"code": codes.get(status, "error"), "message": message}
    return json_response(body | ({"validation_errors": fields} if fields else {}), status)


def build(world: World, **options: Any) -> Double:
    """The double of one World; options are those of `PaymentsDouble`."""
    return PaymentsDouble(world, **options)
