"""What every request to the double meets first: token, organisation, limits, the shape of answers and errors.

Refresh tokens are good for one use; the one before is taken for 30 minutes more. Limits are counted in fixed windows of
the double's own clock, for each organisation.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.xero.sandbox_state import Books, made_id
from syncd.sandbox.kit import Double, dumps, json_response
from syncd.sandbox.world import World

Row = dict[str, Any]
SCOPES = frozenset(
    "offline_access openid profile email accounting.invoices accounting.contacts.read accounting.contacts "
    "accounting.settings.read accounting.settings accounting.transactions".split()
)
GRACE = timedelta(minutes=30)
IDLE = timedelta(days=60)
REFUSED_KEY = frozenset({"", "none", "undefined", "null"})


@dataclass
class Login:
    """One person's consent: the newest refresh token, the one before and since when."""

    newest: str
    before: str = ""
    since: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Window:
    """Calls in a fixed span of time."""

    ends: datetime
    calls: int = 0


class Front(Double):
    """Sign-in, organisations, limits. Tests reach in through the attributes named in `build`."""

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        code_flow: bool = False,
        scopes: Iterable[str] = SCOPES,
        token_life: int = 1800,
        extra_fields: bool = True,
        per_minute: int = 0,
        per_day: int = 0,
        at_once: int = 5,
        retry_after: str | None = None,
        keeps_keys: timedelta = timedelta(minutes=10),
        now: Callable[[], datetime] | None = None,
    ) -> None:
        began, noon = time.monotonic(), datetime.combine(world.today, datetime.min.time(), UTC) + timedelta(hours=18)
        super().__init__(
            "xero",
            now=now or (lambda: noon + timedelta(seconds=time.monotonic() - began)),
            throttled=lambda: self._limited("minute"),
            unauthorized=self._nobody,
        )
        self.client_id, self.client_secret, self.code_flow = client_id, client_secret, code_flow
        self.scopes, self.token_life, self.extra_fields = set(scopes), token_life, extra_fields
        self.per_minute, self.per_day, self.at_once = per_minute, per_day, at_once
        self.retry_after, self.keeps_keys = retry_after, keeps_keys
        self.books = Books(made_id("tenant", world.seed), world.msp, self.now)
        self.other = Books(made_id("tenant", "demo"), "Demo Company (US)", self.now)
        self.other.organisation["IsDemoCompany"] = True
        self.connected = [self.books, self.other] if code_flow else [self.books]
        self.logins = [Login("sandbox-refresh-0", since=self.now())] if code_flow else []
        self.withdrawn = False
        self._tokens: dict[str, tuple[set[str], datetime]] = {}
        self._windows: dict[tuple[str, str], Window] = {}
        self._kept: dict[tuple[str, str], tuple[str, datetime, Response]] = {}
        self._busy = 0
        self._counting = threading.Lock()
        self._path = threading.local()
        self.settings = {
            "client_id": client_id, "client_secret": client_secret, "tenant_id": self.books.tenant,
        }  # fmt: skip
        if code_flow:
            self.settings["refresh_token"] = self.logins[0].newest
        self.route("POST", "/connect/token", self._token)
        for path in ("/connections", "/Connections"):  # the SDK writes it with a capital
            self.route("GET", path, self._connections)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        self._path.now = path
        if not path.startswith("/api.xro"):
            return super().__call__(environ, start_response)
        with self._counting:
            self._busy += 1
            crowded = self._busy > self.at_once
        try:
            if crowded:
                request = Request(environ)
                response = self._limited("concurrent")
                self._record(request, response.status_code)
                return response(environ, start_response)
            return super().__call__(environ, start_response)
        finally:
            with self._counting:
                self._busy -= 1

    # --- sign-in ----------------------------------------------------------------------------------------------------

    def _token(self, request: Request) -> Any:
        form = request.form
        kind, _, coded = request.headers.get("authorization", "").partition(" ")
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if kind == "Basic":
            user, _, password = base64.b64decode(coded).decode().partition(":")
            given = (user, password)
        if given != (self.client_id, self.client_secret):
            return json_response({"error": "invalid_client"}, 400)
        grant = form.get("grant_type")
        if grant == "client_credentials" and not self.code_flow:
            asked = set(form.get("scope", "").split()) or set(self.scopes)
            if not asked <= self.scopes:
                return json_response({"error": "invalid_scope"}, 400)
            return self._issued(asked, "")
        if grant == "refresh_token" and self.code_flow:
            return self._refreshed(form.get("refresh_token", ""))
        known = grant in ("client_credentials", "refresh_token", "authorization_code")
        return json_response({"error": "unauthorized_client" if known else "unsupported_grant_type"}, 400)

    def _refreshed(self, offered: str) -> Any:
        now = self.now()
        for login in self.logins:
            again = offered == login.before and now - login.since <= GRACE
            if not offered or self.withdrawn or (offered != login.newest and not again):
                continue
            if now - login.since > IDLE:
                break
            login.newest, login.before = f"sandbox-refresh-{secrets.token_hex(8)}", offered
            login.since = now
            return self._issued(set(self.scopes), login.newest)
        return json_response({"error": "invalid_grant"}, 400)

    def _issued(self, scopes: set[str], refresh: str) -> Any:
        token = uuid.uuid4().hex
        self._tokens[token] = (scopes, self.now() + timedelta(seconds=self.token_life))
        answer: Row = {
            "access_token": token, "expires_in": self.token_life, "token_type": "Bearer",
            "scope": " ".join(sorted(scopes)),
        }  # fmt: skip
        if refresh:
            answer["refresh_token"] = refresh
        if self.extra_fields:
            answer |= {"id_token": "eyJ…", "xero_session": {"since": self.now().isoformat()}}
        return answer

    def revoke(self) -> None:
        """Makes every access token bad."""
        with self.lock:
            self._tokens.clear()

    def _scopes_of(self, request: Request) -> set[str] | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        scopes, until = self._tokens.get(token, (set(), self.now()))
        return scopes if scheme == "Bearer" and until > self.now() else None

    def _nobody(self, detail: str = "TokenExpired: token expired") -> Response:
        if getattr(self._path, "now", "") == "/connect/token":
            return json_response({"error": "invalid_client"}, 401)
        return self.stranger(401, detail)

    def _connections(self, request: Request) -> Any:
        if self._scopes_of(request) is None:
            return self._nobody()
        return [
            {
                "id": made_id("link", one.tenant), "authEventId": made_id("event", one.tenant),
                "tenantId": one.tenant, "tenantType": "ORGANISATION", "tenantName": one.organisation["Name"],
                "createdDateUtc": "2026-01-05T09:00:00.0000000", "updatedDateUtc": "2026-01-05T09:00:00.0000000",
            }
            for one in self.connected
        ]  # fmt: skip

    # --- every request ----------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, handler: Callable[..., Any]) -> None:
        """Adds a route below the API's root; the handler is given the books that the request is for."""

        def guarded(request: Request, **values: Any) -> Any:
            books = self._let_in(request, path.partition("/")[0], method)
            if isinstance(books, Response):
                return books
            answer = self._once(request, books, lambda: handler(request, books, **values))
            if "json" not in request.headers.get("accept", ""):
                answer = Response("<Response><Status>OK</Status></Response>", 200, mimetype="text/xml")
            self._told_limits(answer, books)
            return answer

        self.route(method, f"/api.xro/2.0/{path}", guarded)

    def _let_in(self, request: Request, resource: str, method: str) -> Books | Response:
        scopes = self._scopes_of(request)
        if scopes is None:
            return self._nobody()
        tenant = request.headers.get("xero-tenant-id", "").lower()
        books = next((one for one in self.connected if one.tenant == tenant), None)
        if books is None:
            return self.stranger(403, "AuthenticationUnsuccessful")
        needed = {
            "Organisation": "accounting.settings", "Contacts": "accounting.contacts", "Items": "accounting.settings",
        }.get(resource, "accounting.invoices")  # fmt: skip
        enough = {needed, "accounting.transactions"} if needed == "accounting.invoices" else {needed}
        if method == "GET":
            enough |= {f"{one}.read" for one in enough}
        if not scopes & enough and not (resource == "Items" and "accounting.invoices" in scopes):
            return self.stranger(401, "AuthorizationUnsuccessful")
        for which, most, span in (("day", self.per_day, 86_400), ("minute", self.per_minute, 60)):
            if self._spent(books, which, most, span):
                return self._limited(which)
        return books

    def _spent(self, books: Books, which: str, most: int, seconds: int) -> bool:
        now = self.now()
        window = self._windows.get((books.tenant, which))
        if window is None or window.ends <= now:
            window = self._windows[books.tenant, which] = Window(now + timedelta(seconds=seconds))
        if most and window.calls >= most:
            return True
        window.calls += 1
        return False

    def _left(self, books: Books, which: str, most: int, usual: int) -> int:
        window = self._windows.get((books.tenant, which))
        return max((most or usual) - (window.calls if window else 0), 0) if most else usual

    def _told_limits(self, answer: Response, books: Books) -> None:
        answer.headers["X-DayLimit-Remaining"] = str(self._left(books, "day", self.per_day, 4999))
        answer.headers["X-MinLimit-Remaining"] = str(self._left(books, "minute", self.per_minute, 59))
        answer.headers["X-AppMinLimit-Remaining"] = "9999"

    def _limited(self, which: str) -> Response:
        """429 in Xero's words. `retry_after` overrides what it names; "" names nothing."""
        headers = {"X-Rate-Limit-Problem": which}
        named = self.retry_after
        if named is None and which != "concurrent":
            ends = [window.ends for (_, name), window in self._windows.items() if name == which]
            left = max((end - self.now()).total_seconds() for end in ends) if ends else 1
            named = str(max(int(left) + 1, 1))
        if named:
            headers["Retry-After"] = named
        return Response(b"", 429, headers=headers)

    def stranger(self, status: int, detail: str) -> Response:
        """Who asks may not."""
        title = {401: "Unauthorized", 403: "Forbidden"}.get(status, "Error")
        body: Row = {
            "Type": None, "Title": title, "Status": status, "Detail": detail, "Instance": str(uuid.uuid4()),
            "Extensions": {},
        }  # fmt: skip
        return json_response(body, status)

    # --- idempotency ------------------------------------------------------------------------------------------------

    def _once(self, request: Request, books: Books, make: Callable[[], Any]) -> Response:
        """The answer of a write whose key was seen, or a new one."""
        key = request.headers.get("idempotency-key")
        if request.method == "GET" or key is None:
            return _answer(make())
        if key.strip().lower() in REFUSED_KEY or len(key) > 128:
            return wrong("The Idempotency-Key header must hold 1 to 128 characters")
        body = hashlib.sha256(request.get_data() + request.full_path.encode()).hexdigest()
        kept = self._kept.get((books.tenant, key))
        if kept is not None and kept[1] + self.keeps_keys > self.now():
            if kept[0] != body:
                return wrong("The Idempotency-Key was used with another request before")
            return Response(kept[2].get_data(), kept[2].status_code, mimetype="application/json")
        answer = _answer(make())
        if not self.ignoring() and answer.status_code < 429:
            self._kept[books.tenant, key] = (body, self.now(), answer)
        return answer


def _answer(value: Any) -> Response:
    return value if isinstance(value, Response) else Response(dumps(value), 200, mimetype="application/json")


def wrong(message: str, number: int = 10, elements: Iterable[Row] = ()) -> Response:
    """A validation error."""
    body: Row = {"ErrorNumber": number, "Type": "ValidationException", "Message": "A validation exception occurred"}
    told = list(elements) or [{"ValidationErrors": [{"Message": message}]}]
    return json_response(body | {"Elements": told}, 400)


def modified_since(request: Request) -> datetime | None:
    """What If-Modified-Since asks for, UTC."""
    text = request.headers.get("if-modified-since", "")
    told = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", text)
    return datetime.fromisoformat(told[0]).replace(tzinfo=UTC) if told else None
