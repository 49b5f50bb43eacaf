"""The double's front: `authinfo`, tokens with scopes, rights of the agent, throttling; and lists with Halo's paging.

Holds no records. Answers carry fields that no client knows, in an order that nobody asked for.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

Row = dict[str, Any]

# Which scope a resource belongs to; actions and teams follow tickets, users follow customers.
SCOPE_OF = {
    "Client": "customers",
    "AreaAzureTenant": "customers",
    "Users": "customers",
    "Item": "items",
    "RecurringInvoice": "invoices",
    "Invoice": "invoices",
    "InvoiceChange": "invoices",
    "SoftwareLicence": "softwarelicensing",
    "LicenceChange": "softwarelicensing",
    "IntegrationData": "softwarelicensing",
    "Asset": "assets",
    "Tickets": "tickets",
    "Actions": "tickets",
    "Team": "tickets",
}
KNOWN_SCOPES = {
    f"{verb}:{what}"
    for verb in ("read", "edit")
    for what in (
        "tickets calendar customers crm timesheets contracts suppliers items projects sales quotes sos pos invoices "
        "reporting software softwarelicensing kb assets"
    ).split()
} | {"all", "all:standard", "admin"}
SHAPES = ("class", "result", "message", "oauth", "errors", "text", "plain", "html")
_FILLER = {f"unused_field_{number}": "" for number in range(20)}


class Front(Double):
    """What every request passes. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        tenant: str = "acme",
        granted: Collection[str] | None = None,
        forbidden: Collection[str] = (),
        hidden: Collection[str] = (),
        bare: Collection[str] = (),
        authinfo: bool = True,
        auth_url: str = "",
        token_life: int = 3600,
        longest_page: int = 100,
        skips_what_was_asked: bool = False,
        longest_list: int = 0,
        per_minute: int = 0,
        retry_after: str = "1",
        error_shape: str = "class",
        answers_array: bool = False,
        **options: Any,
    ) -> None:
        began = time.monotonic()
        noon = datetime.combine(world.today, datetime.min.time(), UTC) + timedelta(hours=18)
        super().__init__(
            "halopsa",
            now=lambda: noon + timedelta(seconds=time.monotonic() - began),
            throttled=self._too_many,
            unauthorized=lambda: json_response({"error": "invalid_client"}, 401),
        )
        self.client_id, self.client_secret, self.tenant = client_id, client_secret, tenant
        self.granted = None if granted is None else set(granted)
        self.forbidden, self.hidden, self.bare = set(forbidden), set(hidden), set(bare)
        self.authinfo, self.auth_url, self.token_life = authinfo, auth_url, token_life
        self.longest_page, self.skips_what_was_asked = longest_page, skips_what_was_asked
        self.longest_list = longest_list
        self.per_minute, self.retry_after = per_minute, retry_after
        self.error_shape, self.answers_array = error_shape, answers_array
        self.tells_totals = True  # every list has its record_count: the contract suite holds the connector to it
        self._tokens: dict[str, tuple[set[str], datetime]] = {}
        self._seen: list[float] = []
        self.route("GET", "/api/authinfo", self._auth_info)
        self.route("POST", "/auth/token", self._token)

    # --- sign-in ----------------------------------------------------------------------------------------------------

    def _auth_info(self, request: Request) -> Any:
        if not self.authinfo:
            return self.refuse(404, "no such page")
        return {"auth_url": self.auth_url or f"{request.host_url}auth", "tenant_id": self.tenant}

    def _token(self, request: Request) -> Any:
        form = request.form
        wrong = (
            form.get("grant_type") != "client_credentials"
            or not form.get("client_id")
            or not form.get("client_secret")
            or self.client_id not in (None, form.get("client_id"))
            or self.client_secret not in (None, form.get("client_secret"))
            or request.args.get("tenant", "") != self.tenant
        )
        if wrong:
            return json_response({"error": "invalid_client"}, 401)
        asked = form.get("scope", "").split()
        if not set(asked) <= KNOWN_SCOPES:
            return json_response({"error": "invalid_scope"}, 400)
        given = [
            one for one in asked
            if self.granted is None or {one, one.replace("read:", "edit:")} & self.granted
        ]  # fmt: skip
        token = uuid.uuid4().hex
        self._tokens[token] = (set(given), self.now() + timedelta(seconds=self.token_life))
        return {
            "access_token": token, "token_type": "Bearer", "expires_in": self.token_life, "scope": " ".join(given),
            "id_token": "none",
        }  # fmt: skip

    def revoke(self) -> None:
        """Makes every token bad."""
        with self.lock:
            self._tokens.clear()

    # --- every request ----------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, handler: Callable[..., Any]) -> None:
        """Adds a route below /api; the first part of the path is the resource whose rights it needs."""
        resource = path.partition("/")[0]

        def guarded(request: Request, **values: Any) -> Any:
            refusal = self._guard(request, resource, method)
            return refusal if refusal is not None else handler(request, **values)

        self.route(method, f"/api/{path}", guarded)

    def _guard(self, request: Request, resource: str, method: str) -> Response | None:
        if self.per_minute:
            now = time.monotonic()
            self._seen = [one for one in self._seen if now - one < 60]
            if len(self._seen) >= self.per_minute:
                return self._too_many()
            self._seen.append(now)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        scopes, until = self._tokens.get(token, (set(), self.now()))
        if scheme != "Bearer" or not scopes or until <= self.now():
            return self.refuse(401, "Authorization has been denied for this request")
        what = SCOPE_OF[resource]
        needed = {f"edit:{what}"} | ({f"read:{what}"} if method == "GET" else set())
        if not scopes & (needed | {"all", "all:standard"}):
            return self.refuse(403, f"the scope of {what} is missing")
        if resource in self.forbidden:
            return self.refuse(403, "You do not have permission to do this")
        return None

    def refuse(self, status: int, text: str) -> Response:
        """An error in the shape that is set."""
        if self.error_shape in ("plain", "html"):
            page = f"<html><body>{text}</body></html>" if self.error_shape == "html" else text
            return Response(page, status, mimetype=f"text/{self.error_shape}")
        body: Any = {
            "class": {"ClassName": "System.Exception", "Message": text},
            "result": {"resultCode": "1", "errorMessage": text},
            "message": {"Message": text},
            "oauth": {"error": "refused", "error_description": text},
            "errors": {"validation_errors": [{"property": "lines", "error": text}]},
            "text": text,
        }[self.error_shape]
        return json_response(body, status)

    def _too_many(self) -> Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return json_response({"Message": "too many requests"}, 429, headers)

    # --- lists ------------------------------------------------------------------------------------------------------

    def listed(self, request: Request, resource: str, key: str, rows: Iterable[Row], paged: bool = True) -> Any:
        """A list in Halo's wrapper, cut by its paging."""
        every = [] if resource in self.hidden else list(rows)
        args = request.args
        total = len(every)
        if args.get("order"):
            every.sort(key=lambda row: row.get(args["order"], 0), reverse=args.get("orderdesc") == "true")
        else:
            every.reverse()
        size = number = 0
        if paged and args.get("pageinate") == "true":
            asked = max(int(args.get("page_size", 50)), 1)
            size, number = min(asked, self.longest_page), max(int(args.get("page_no", 1)), 1)
            first = (number - 1) * (asked if self.skips_what_was_asked else size)
            every = every[first : first + size]
        else:
            most = min(filter(None, (int(args.get("count", 0)), self.longest_list)), default=total)
            every = every[:most]
        shown = [{**row, **_FILLER} for row in every]
        if resource in self.bare:
            return shown
        return {"page_no": number or 1, "page_size": size or total, "record_count": total, key: shown}

    def answered(self, rows: list[Row]) -> Response:
        """What was saved: one record bare (or in an array, where that is set), several in an array."""
        return json_response(rows[0] if len(rows) == 1 and not self.answers_array else rows, 201)


def number(value: Any) -> Decimal:
    """A double as it was written."""
    return Decimal(str(value))
