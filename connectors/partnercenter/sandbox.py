"""A double of Partner Center's REST API and of its sign-in host, over real HTTP. Shares no code with what reads.

Beside the kit's controls under `/_sandbox`: `POST subscription {customer, offer, quantity, price, split, …}` sells
(`price`: what invoices charge for a seat, `split`: on two lines; further fields go onto the wire as they are), `POST
change {id, …}` changes a subscription, `POST customer {customer, left | name}` lets a customer go or renames it, `POST
sign_in {withdraw | mfa}` withdraws all refresh tokens or says whether they had MFA.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from werkzeug.wrappers import Request, Response

from connectors.partnercenter import sandbox_invoices
from connectors.partnercenter.sandbox_state import Row, Stock, stock_of
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

SEED = "sandbox-refresh-token"
TOKEN_LIFE = 3599
REFRESH_LIFE = timedelta(days=90)
RESOURCES = ("https://api.partnercenter.microsoft.com", "https://partner.partnercenterapi.microsoftonline.cn")


class PartnerCenterDouble(Double):
    """State and routes. `longest_page` caps the pages of customers; `prefixed` writes links with `/v1`; `broken_links`
    as some of the documentation's examples have them; `bom` puts a byte-order mark in front of answers; `links` False
    leaves out what answers call themselves; `single_use` voids a refresh token at its first use; `billing` False shows
    no invoices to the service user."""

    tells_totals = True

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        longest_page: int = 500,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        super().__init__(
            "partnercenter",
            now=now,
            throttled=self._slow_down,
            unauthorized=lambda: problem(401, 400, "Access denied."),
        )
        self.world = world
        self.stock: Stock = stock_of(world)
        self.longest_page = longest_page
        self.retry_after = "1"
        self.prefixed = self.broken_links = self.bom = self.single_use = False
        self.links = self.mfa = self.billing = True
        self.tokens: dict[str, datetime] = {}
        self.refresh: dict[str, datetime] = {SEED: self.now() + REFRESH_LIFE}
        self._keys = (client_id, client_secret)
        self._cursors: dict[str, str] = {}
        self.settings = {
            "tenant_id": world.partner_tenant,
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": SEED,
        }
        self.route("POST", "/<tenant>/oauth2/v2.0/token", self._token)
        self.route("GET", "/v1/customers", self._customers)
        self.route("GET", "/v1/customers/<customer>/subscriptions", self._subscriptions)
        self.route("GET", "/v1/customers/<customer>/subscriptions/<id_>", self._subscription)
        self.route("GET", "/v1/invoices", self._invoices)
        self.route("GET", "/v1/invoices/<id_>/lineitems", self._lines)
        self.route("POST", "/_sandbox/subscription", self._sell)
        self.route("POST", "/_sandbox/change", self._change)
        self.route("POST", "/_sandbox/customer", self._customer)
        self.route("POST", "/_sandbox/sign_in", self._sign_in)

    def shift(self) -> None:
        """A customer at the head of the list comes, or goes again; one at its end has come to stay."""
        with self.lock:
            rows = self.stock.customers
            head, tail = (f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2))
            if all(row["id"] != tail for row in rows):
                rows.append(_passing(rows[-1], tail))
            if rows[0]["id"] == head:
                del rows[0]
            else:
                rows.insert(0, _passing(rows[0], head))

    # Signing in

    def _token(self, request: Request, tenant: str) -> Response:
        form = request.form
        if tenant != self.world.partner_tenant:
            return _token_problem("invalid_request", 90002)
        if form.get("grant_type") != "refresh_token":
            return _token_problem("unsupported_grant_type", 70003)
        if form.get("client_id") != self._keys[0]:
            return _token_problem("unauthorized_client", 700016)
        if form.get("client_secret") != self._keys[1]:
            return _token_problem("invalid_client", 7000215)
        scope = form.get("scope", "").split()
        if not any(
            scope[:1] == [f"{one}/{right}"] for one in RESOURCES for right in ("user_impersonation", ".default")
        ):
            return _token_problem("invalid_scope", 70011)
        given = form.get("refresh_token", "")
        until = self.refresh.get(given)
        if until is None:
            return _token_problem("invalid_grant", 70000)
        if until <= self.now():
            return _token_problem("invalid_grant", 700082)
        if self.single_use:
            del self.refresh[given]
        access, following = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.tokens[access] = self.now() + timedelta(seconds=TOKEN_LIFE)
        self.refresh[following] = self.now() + REFRESH_LIFE
        answer = {"token_type": "Bearer", "expires_in": TOKEN_LIFE, "access_token": access, "refresh_token": following}
        return json_response({**answer, "scope": form["scope"]})

    def _refused(self, request: Request) -> Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, self.now()) <= self.now() or not self.mfa:
            return self._sent(problem(401, 400, "Access denied."), request)
        return None

    def _slow_down(self) -> Response:
        body = {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 57 seconds."}
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return json_response(body, 429, headers)

    # Records

    def _customers(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        return self._sent(self._seek(request, "customers", self.stock.customers), request)

    def _seek(self, request: Request, path: str, rows: list[Row]) -> Response:
        """One page of a list that goes on by continuation."""
        size = min(int(request.args.get("size", "100")), self.longest_page)
        token = request.headers.get("MS-ContinuationToken", "")
        seeking = request.args.get("seekOperation", "").lower() == "next"
        if token and token not in self._cursors:
            return problem(400, 600009, "The continuation token is not valid.")
        # Without both, page one comes again. A token stands behind a row, so that nothing slides.
        after = self._cursors[token] if token and seeking else ""
        at = next((place + 1 for place, row in enumerate(rows) if _name(row) == after), 0)
        page = rows[at : at + size]
        body = self._collection(path, page)
        if at + size < len(rows):
            following = secrets.token_urlsafe(12)
            self._cursors[following] = _name(page[-1])
            query = "?size=2?seekOperation=Next" if self.broken_links else f"?size={size}&seekOperation=Next"
            body["continuationToken"] = following
            body.setdefault("links", {})["next"] = {
                "uri": f"{self._root}/{path}{query}",
                "method": "GET",
                "headers": [{"key": "MS-ContinuationToken", "value": following}],
            }
        return json_response(body)

    @property
    def _root(self) -> str:
        return "/v1" if self.prefixed else ""

    def _collection(self, path: str, rows: list[Row]) -> Row:
        body: Row = {"totalCount": len(rows), "items": rows, "attributes": {"objectType": "Collection"}}
        if self.links:
            body["links"] = {"self": {"uri": f"{self._root}/{path}", "method": "GET", "headers": []}}
        return body

    def _held(self, request: Request, customer: str) -> list[Row] | Response:
        if refused := self._refused(request):
            return refused
        if customer in self.stock.left:
            return self._sent(problem(403, 20002, "No commerce relationship with this customer."), request)
        if customer not in self.stock.subscriptions:
            return self._sent(problem(404, 60003, "The tenant was not found."), request)
        return self.stock.subscriptions[customer]

    def _subscriptions(self, request: Request, customer: str) -> Response:
        rows = self._held(request, customer)
        if isinstance(rows, Response):
            return rows
        shown = [{name: value for name, value in row.items() if name != "refundableQuantity"} for row in rows]
        return self._sent(json_response(self._collection(f"customers/{customer}/subscriptions", shown)), request)

    def _subscription(self, request: Request, customer: str, id_: str) -> Response:
        rows = self._held(request, customer)
        if isinstance(rows, Response):
            return rows
        found = next((row for row in rows if row["id"] == id_), None)
        answer = json_response(found) if found else problem(404, 20003, "The subscription was not found.")
        return self._sent(answer, request)

    def _invoices(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        if not self.billing:
            return self._sent(problem(403, 403, "The user may not read invoices."), request)
        rows = sandbox_invoices.invoices(self.stock, self.world.today)
        return self._sent(json_response(self._collection("invoices", rows)), request)

    def _lines(self, request: Request, id_: str) -> Response:
        if refused := self._refused(request):
            return refused
        asked = (request.args.get("provider", "").lower(), request.args.get("invoicelineitemtype", "").lower())
        rows = sandbox_invoices.lines(self.stock, id_, self.world.today)
        if rows is None:
            return self._sent(problem(404, 2000, "The invoice was not found."), request)
        if asked != ("onetime", "billinglineitems"):
            return self._sent(problem(400, 2001, "provider and invoicelineitemtype are required."), request)
        return self._sent(self._seek(request, f"invoices/{id_}/lineitems", rows), request)

    def _sent(self, response: Response, request: Request) -> Response:
        if self.bom:
            response.set_data(b"\xef\xbb\xbf" + response.get_data())
        response.headers["MS-RequestId"] = request.headers.get("MS-RequestId", str(uuid.uuid4()))
        response.headers["MS-CorrelationId"] = request.headers.get("MS-CorrelationId", str(uuid.uuid4()))
        response.headers["MS-CV"] = secrets.token_urlsafe(12)
        response.headers["MS-ServerId"] = "sandbox"
        return response

    # Controls

    def _sell(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        customer = self.stock.find(asked.pop("customer"))
        if customer is None:
            return json_response({"error": "no such customer"}, 404)
        price, split = asked.pop("price", None), asked.pop("split", False)
        price = Decimal(str(price)) if price is not None else None
        row = self.stock.sell(customer, asked.pop("offer"), asked.pop("name", "Another product"), price, **asked)
        if split:
            self.stock.split.add(row["id"])
        return row

    def _change(self, request: Request) -> Any:
        asked = msgspec.json.decode(request.get_data(), type=dict[str, Any])
        id_ = asked.pop("id")
        for row in (row for rows in self.stock.subscriptions.values() for row in rows):
            if row["id"] == id_:
                row.update(asked)
                for name in [name for name, value in asked.items() if value is None]:
                    del row[name]
                return row
        return json_response({"error": f"nothing has the id {id_}"}, 404)

    def _customer(self, request: Request) -> Any:
        asked = request.get_json()
        customer = self.stock.find(asked["customer"])
        if customer is None:
            return json_response({"error": "no such customer"}, 404)
        row = next(one for one in self.stock.customers if one["id"] == customer)
        if "name" in asked:
            row["companyProfile"]["companyName"] = asked["name"]
        if asked.get("left"):
            self.stock.left.add(customer)
            self.stock.customers.remove(row)
        return row

    def _sign_in(self, request: Request) -> Any:
        asked = request.get_json()
        if asked.get("withdraw"):
            self.refresh.clear()
            self.tokens.clear()
        self.mfa = asked.get("mfa", self.mfa)
        return {"refresh_tokens": len(self.refresh), "mfa": self.mfa}


def _name(row: Row) -> str:
    """What a row is told apart by: lines of invoices have no id."""
    return str(row.get("id") or f"{row['subscriptionId']}/{row['chargeType']}/{row['chargeStartDate']}")


def _passing(row: Row, id_: str) -> Row:
    profile = {"tenantId": id_, "domain": f"{id_[-1]}.passing.example", "companyName": f"Passing By {id_[-1]}"}
    return {**row, "id": id_, "companyProfile": profile}


def problem(status: int, code: int | str, description: str) -> Response:
    """Partner Center's error body."""
    return json_response({"code": code, "description": description, "data": [], "source": "PartnerFD"}, status)


def _token_problem(error: str, code: int) -> Response:
    body = {
        "error": error,
        "error_description": f"AADSTS{code}: Told at length to people, sometimes with names.",
        "error_codes": [code],
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
        "trace_id": str(uuid.uuid4()),
        "correlation_id": str(uuid.uuid4()),
    }
    return json_response(body, 401 if error == "invalid_client" else 400)


def build(world: World, **options: Any) -> Double:
    """The double of one World; options are those of `PartnerCenterDouble`."""
    return PartnerCenterDouble(world, **options)
