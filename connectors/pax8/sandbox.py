"""A double of Pax8's partner API, over real HTTP. Shares no code with what reads.

Beside the kit's controls under `/_sandbox`: `POST subscription {company, sku, quantity, …}` sells (any further field
goes onto the wire as it is), `POST change {id, …}` changes fields of a subscription or company, `POST usage {company,
date, quantity}` posts a month's metered total.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from werkzeug.wrappers import Request, Response

from connectors.pax8.sandbox_state import METERED, Row, Stock, made_id, stock_of
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

TOKEN_LIFE = 86_400
AUDIENCES = ("https://api.pax8.com", "api://p8p.client", "api://provisioning", "api://usage")
PARTNER = AUDIENCES[0]
_SORTS = {
    "companies": r"(name|city|country|stateOrProvince|postalCode),(asc|desc)",
    "subscriptions": r"(quantity|startDate|endDate|createdDate|billingStart|price),(asc|desc)",
    "products": r"(name|vendor),(asc|desc)",
    "usage-summaries": r"(resourceGroup|currentCharges|partnerTotal),(asc|desc)",
}
_FILTERS = {
    "companies": ("status", "city", "country", "stateOrProvince", "postalCode"),
    "subscriptions": ("status", "billingTerm", "companyId", "productId"),
    "products": ("vendorName",),
    "usage-summaries": ("resourceGroup", "companyId"),
    "usage-lines": ("productId",),
}


class Pax8Double(Double):
    """State and routes. `longest_page` caps every page whatever was asked for; `retry_after` is what its 429 names
    ("" names nothing, as Pax8 documents none); `vendor_ids` shows vendorSubscriptionId in lists too."""

    tells_totals = True

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        longest_page: int = 200,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__(
            "pax8", now=now, throttled=self._slow_down, unauthorized=lambda: problem(401, "Unauthorized", "/v1")
        )
        self.world = world
        self.stock: Stock = stock_of(world)
        self.longest_page = longest_page
        self.retry_after = ""
        self.vendor_ids = False
        self.hidden: set[str] = set()  # products that the catalogue shows no more
        self.tokens: dict[str, tuple[datetime, str]] = {}
        self._keys = (client_id, client_secret)
        self.settings = {"client_id": client_id, "client_secret": client_secret}
        self.route("POST", "/v1/token", self._token)
        self.route("GET", "/v1/companies", lambda request: self._listed(request, "companies", self.stock.companies))
        self.route("GET", "/v1/companies/<id_>", lambda request, id_: self._one(request, self.stock.companies, id_))
        self.route("GET", "/v1/products", lambda request: self._listed(request, "products", self._products()))
        self.route("GET", "/v1/products/<id_>", lambda request, id_: self._one(request, self._products(), id_))
        self.route("GET", "/v1/products/<id_>/dependencies", self._dependencies)
        self.route("GET", "/v1/subscriptions", self._subscriptions)
        self.route("GET", "/v1/subscriptions/<id_>", self._subscription)
        self.route("GET", "/v1/subscriptions/<id_>/usage-summaries", self._summaries)
        self.route("GET", "/v1/usage-summaries/<id_>", self._summary)
        self.route("GET", "/v1/usage-summaries/<id_>/usage-lines", self._lines)
        self.route("POST", "/_sandbox/subscription", self._sell)
        self.route("POST", "/_sandbox/change", self._change)
        self.route("POST", "/_sandbox/usage", self._meter)

    def shift(self) -> None:
        """A company that sorts before all others comes, or goes again: every later row slides over a page's edge."""
        with self.lock:
            extra = made_id("company", "passing")
            rows = self.stock.companies
            if any(row["id"] == extra for row in rows):
                self.stock.companies = [row for row in rows if row["id"] != extra]
            else:
                self.stock.companies = [*rows, {**rows[0], "id": extra, "name": "AAA Passing By", "externalId": "AAA"}]

    # Signing in

    def _token(self, request: Request) -> Response:
        try:
            given = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        except msgspec.DecodeError:  # a form, as other vendors take
            return problem(400, "Malformed JSON request", request.path)
        if given.get("audience") not in AUDIENCES or given.get("grant_type") != "client_credentials":
            return problem(400, "audience and grant_type must be given", request.path)
        if (given.get("client_id"), given.get("client_secret")) != self._keys:
            return json_response({"error": "access_denied", "error_description": "Unauthorized"}, 401)
        token = secrets.token_urlsafe(32)
        self.tokens[token] = (self.now() + timedelta(seconds=TOKEN_LIFE), str(given["audience"]))
        return json_response({"access_token": token, "expires_in": TOKEN_LIFE, "token_type": "Bearer"})

    def _refused(self, request: Request) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        until, audience = self.tokens.get(token, (self.now(), ""))
        if until <= self.now():
            return problem(401, "Unauthorized", request.path)
        if audience != PARTNER:
            return problem(403, "Access denied", request.path)
        return None

    def _slow_down(self) -> Response:
        response = problem(429, "Too many requests", "/v1")
        if self.retry_after:
            response.headers["Retry-After"] = self.retry_after
        return response

    # Lists and records

    def _listed(self, request: Request, what: str, rows: list[Row]) -> Response:
        if refused := self._refused(request):
            return refused
        query = request.args
        page, size = query.get("page", "0"), query.get("size", "10")
        if not page.isdecimal() or not size.isdecimal() or not 1 <= int(size) <= 200:
            return problem(400, "size must be between 1 and 200", request.path)
        sort = query.get("sort", "")
        if sort and not re.fullmatch(_SORTS.get(what, ""), sort):
            return problem(400, f"cannot sort by {sort}", request.path)
        for name in _FILTERS[what]:
            if name in query:
                rows = [row for row in rows if str(row.get(name)) == query[name]]
        if sort:
            name, way = sort.split(",")
            rows = sorted(rows, key=lambda row: str(row.get(name, "")), reverse=way == "desc")
        number, size_ = int(page), min(int(size), self.longest_page)
        shown = {
            "content": rows[number * size_ : (number + 1) * size_],
            "page": {
                "size": size_,
                "totalElements": len(rows),
                "totalPages": -(-len(rows) // size_),
                "number": number,
            },
        }
        return json_response(shown)

    def _one(self, request: Request, rows: list[Row], id_: str) -> Response:
        if refused := self._refused(request):
            return refused
        found = next((row for row in rows if row["id"] == id_), None)
        return json_response(found) if found else problem(404, "Resource not found", request.path)

    def _products(self) -> list[Row]:
        return [row for id_, row in self.stock.products.items() if id_ not in self.hidden]

    def _dependencies(self, request: Request, id_: str) -> Response:
        if refused := self._refused(request):
            return refused
        if all(row["id"] != id_ for row in self._products()):
            return problem(404, "Resource not found", request.path)
        committed = self.stock.products[id_]["requiresCommitment"]
        return json_response(
            {
                "commitmentDependencies": [
                    {
                        "id": made_id("commitment", id_, term),
                        "term": term,
                        "allowForQuantityIncrease": True,
                        "allowForQuantityDecrease": False,
                        "allowForEarlyCancellation": False,
                        "cancellationFeeApplied": term != "Monthly",
                        "isTransferable": False,
                        "autoRenew": True,
                        "renewalWindowDaysBeforeTermEnd": 7,
                        "renewalWindowDaysAfterTermEnd": 7,
                    }
                    for term in ("Monthly", "1-Year", "3-Year")
                    if committed
                ],
                "productDependencies": [],
            }
        )

    def _subscriptions(self, request: Request) -> Response:
        if "companyId" in request.args and all(row["id"] != request.args["companyId"] for row in self.stock.companies):
            return self._refused(request) or problem(403, "Invalid companyId", request.path)
        rows = self.stock.subscriptions
        return self._listed(
            request, "subscriptions", [self._detailed(row) for row in rows] if self.vendor_ids else rows
        )

    def _subscription(self, request: Request, id_: str) -> Response:
        return self._one(request, [self._detailed(row) for row in self.stock.subscriptions], id_)

    def _detailed(self, row: Row) -> Row:
        return {**row, "vendorSubscriptionId": made_id("vendor", row["id"])}

    # Usage

    def _summaries(self, request: Request, id_: str) -> Response:
        wanted = request.args.get("companyId")
        owner = next((row["companyId"] for row in self.stock.subscriptions if row["id"] == id_), None)
        if owner is None or wanted not in (None, owner):
            return self._refused(request) or problem(404, "Invalid subscriptionId or companyId", request.path)
        rows = [row for row in self.stock.summaries.values() if row["subscriptionId"] == id_]
        return self._listed(request, "usage-summaries", rows)

    def _summary(self, request: Request, id_: str) -> Response:
        return self._one(request, list(self.stock.summaries.values()), id_)

    def _lines(self, request: Request, id_: str) -> Response:
        if id_ not in self.stock.summaries:
            return self._refused(request) or problem(404, "Invalid usage summary id", request.path)
        try:
            day = date.fromisoformat(request.args.get("usageDate", ""))
        except ValueError:
            return problem(400, "Required request parameter 'usageDate' is not present", request.path)
        return self._listed(request, "usage-lines", self.stock.posts[id_].get(day, []))

    # Controls

    def _sell(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        try:
            company = self.stock.company(asked.pop("company"))
        except KeyError as error:
            return json_response({"error": f"no company is called {error}"}, 404)
        part = asked.pop("sku")
        product = self.stock.product(part, asked.pop("name", part))
        cost = Decimal(str(asked.pop("cost", "10.00")))
        return self.stock.sell(company, product, asked.pop("quantity"), cost, **asked)

    def _change(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        id_ = asked.pop("id")
        for row in (*self.stock.subscriptions, *self.stock.companies):
            if row["id"] == id_:
                row.update(asked)
                return row
        return json_response({"error": f"nothing has the id {id_}"}, 404)

    def _meter(self, request: Request) -> Any:
        asked = request.get_json()
        try:
            company = self.stock.company(asked["company"])
        except KeyError as error:
            return json_response({"error": f"no company is called {error}"}, 404)
        row = next(
            one
            for one in self.stock.subscriptions
            if one["companyId"] == company["id"] and one["productName"] == METERED
        )
        product = self.stock.products[row["productId"]]
        return self.stock.meter(row, product, date.fromisoformat(asked["date"]), Decimal(str(asked["quantity"])))


def problem(status: int, message: str, path: str) -> Response:
    """Pax8's error envelope."""
    kind = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 429: "TOO_MANY_REQUESTS"}
    body = {"type": kind.get(status, "ERROR"), "message": message, "instance": path, "status": status, "details": []}
    return json_response(body, status)


def build(world: World, **options: Any) -> Double:
    """The double of one World; options are those of `Pax8Double`."""
    return Pax8Double(world, **options)
