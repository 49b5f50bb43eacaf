"""The double's front: tokens that rotate once a day, the gate in front of a company, `requestid`, and faults in each of
QuickBooks' shapes. Holds no records.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.quickbooks.sandbox_query import Refusal
from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

REALM = "9341453000000007"
SEED = "AB11-sandbox-refresh-token"
ACCESS_LIFE = timedelta(seconds=3600)
ROTATES, OLDER_LIVES = timedelta(days=1), timedelta(days=1)
IDLE, HARD = timedelta(days=100), timedelta(days=5 * 365)


class Front(Double):
    """What every request passes. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        client_id: str = "sandbox-client",
        client_secret: str = "sandbox-secret",  # noqa: S107 - a sandbox's, known to everybody
        realm: str = REALM,
        per_minute: int = 0,
        batches_per_minute: int = 0,
        monthly_reads: int = 0,
        retry_after: str = "1",
        faults_under_200: bool = False,
        xml_401: bool = False,
        request_life: timedelta = timedelta(hours=24),
        **options: Any,
    ) -> None:
        began = time.monotonic()
        noon = datetime.combine(world.today, datetime.min.time(), UTC) + timedelta(hours=18)
        super().__init__(
            "quickbooks",
            now=lambda: noon + timedelta(seconds=time.monotonic() - began),
            throttled=self._too_many,
            unauthorized=self._who,
        )
        self.realm = realm
        self.per_minute, self.batches_per_minute, self.retry_after = per_minute, batches_per_minute, retry_after
        self.monthly_reads, self.metered_reads = monthly_reads, 0
        self.faults_under_200, self.xml_401, self.request_life = faults_under_200, xml_401, request_life
        self.tells_totals = True  # COUNT says how many there are: the contract suite holds the connector to it
        self.settings = {
            "realm_id": realm,
            "client_id": client_id,
            "client_secret": client_secret,
            "refresh_token": SEED,
        }
        self.current, self._since, self._used, self._first = SEED, self.now(), self.now(), self.now()
        self._older: dict[str, datetime] = {}
        self.access: dict[str, datetime] = {}
        self.answered: dict[str, tuple[bytes, datetime]] = {}
        self._seen: list[tuple[float, bool]] = []
        self.route("POST", "/oauth2/v1/tokens/bearer", self._token)

    # --- sign-in ----------------------------------------------------------------------------------------------------

    def _token(self, request: Request) -> Response:
        pair = f"{self.settings['client_id']}:{self.settings['client_secret']}"
        if request.headers.get("authorization") != "Basic " + base64.b64encode(pair.encode()).decode():
            return self._traced(json_response({"error": "invalid_client"}, 401))
        now, given = self.now(), request.form.get("refresh_token", "")
        if request.form.get("grant_type") != "refresh_token":
            return self._traced(json_response({"error": "unsupported_grant_type"}, 400))
        good = given == self.current or self._older.get(given, now) > now
        if not good or now - self._used > IDLE or now - self._first > HARD:
            body = {"error": "invalid_grant", "error_description": "Incorrect Token type or clientID"}
            return self._traced(json_response(body, 400))
        if given == self.current and now - self._since >= ROTATES:
            self.rotate()
        self._used = now
        access = secrets.token_urlsafe(24)
        self.access[access] = now + ACCESS_LIFE
        answer = {
            "token_type": "bearer", "access_token": access, "expires_in": int(ACCESS_LIFE.total_seconds()),
            "refresh_token": self.current, "x_refresh_token_expires_in": int(IDLE.total_seconds()),
            "x_refresh_token_hard_expires_in": int((self._first + HARD - now).total_seconds()),
            "unheard_of": {"more": [1, 2]},
        }  # fmt: skip
        return self._traced(json_response(answer))

    def rotate(self) -> None:
        """The refresh token changes, by this program or another one; the one before lives another day."""
        with self.lock:
            self._older[self.current] = self.now() + OLDER_LIVES
            self.current, self._since = f"AB11-{secrets.token_urlsafe(18)}", self.now()

    def withdraw(self) -> None:
        """An admin disconnects the app."""
        with self.lock:
            self.current, self._older = f"AB11-{secrets.token_urlsafe(18)}", {}
            self.access.clear()

    def reconnect(self) -> str:
        """A person connects the company anew; the refresh token that they were given."""
        with self.lock:
            self.withdraw()
            self._since = self._used = self._first = self.now()
            return self.current

    # --- every request ----------------------------------------------------------------------------------------------

    def api(self, method: str, rule: str, handler: Callable[..., Any]) -> None:
        """Adds a route below a company."""

        def guarded(request: Request, realm: str, **values: Any) -> Response:
            refusal = self._guard(request, realm)
            if refusal is not None:
                return self._traced(refusal)
            try:
                answer = handler(request, **values)
            except Refusal as told:
                return self._traced(self._fault(told))
            return self._traced(answer if isinstance(answer, Response) else json_response(self.timed(answer)))

        self.route(method, f"/v3/company/<realm>/{rule}", guarded)

    def writing(self, request: Request, make: Callable[[], dict[str, Any]]) -> Any:
        """A write under its `requestid`: one that was answered before is answered with the same bytes."""
        key = request.args.get("requestid", "")
        if len(key) > 50:
            raise Refusal("2010", "Request has invalid or unsupported property", "requestid is longer than 50")
        known = self.answered.get(key) if key else None
        if known and known[1] > self.now():
            return Response(known[0], 200, mimetype="application/json")
        response = json_response(self.timed(make()))
        if key and not self.ignoring():
            self.answered[key] = (response.get_data(), self.now() + self.request_life)
        return response

    def forget(self) -> None:
        """The service no longer knows any `requestid`."""
        with self.lock:
            self.answered.clear()

    def timed(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The envelope's time."""
        return {**answer, "time": self.now().isoformat(timespec="milliseconds")}

    def _guard(self, request: Request, realm: str) -> Response | None:
        if "application/json" not in request.headers.get("accept", ""):
            return Response('<?xml version="1.0"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3"/>', 200,
                            mimetype="application/xml")  # fmt: skip
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.access.get(token, self.now()) <= self.now():
            return self._who()
        if realm != self.realm:
            return self._lower(403, "3100", "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403")
        return self._limited(request)

    def _limited(self, request: Request) -> Response | None:
        now = time.monotonic()
        batch = request.path.endswith("/batch")
        self._seen = [one for one in self._seen if now - one[0] < 60]
        if self.per_minute and len(self._seen) >= self.per_minute:
            return self._too_many()
        if batch and self.batches_per_minute and sum(one[1] for one in self._seen) >= self.batches_per_minute:
            return self._too_many()
        self._seen.append((now, batch))
        if request.method == "GET" or batch or request.path.endswith("/query"):
            self.metered_reads += 1
            if self.monthly_reads and self.metered_reads > self.monthly_reads:
                return self._too_many()
        return None

    def _fault(self, told: Refusal) -> Response:
        status = 200 if self.faults_under_200 else told.status
        return json_response(self.timed({"Fault": fault(told)}), status)

    def _who(self) -> Response:
        text = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
        if self.xml_401:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?><IntuitResponse xmlns="http://schema.intuit.com/finance/v3">'
                f'<Fault type="AUTHENTICATION"><Error code="3200"><Message>{text}</Message></Error></Fault>'
                "</IntuitResponse>"
            )
            return self._traced(Response(body, 401, mimetype="application/xml"))
        return self._traced(self._lower(401, "3200", text))

    def _lower(self, status: int, code: str, text: str) -> Response:
        """The shape of the gate in front: lower case, and keys that nobody needs."""
        kind = "AUTHENTICATION" if status == 401 else "AUTHORIZATION"
        body: dict[str, Any] = {
            "warnings": None, "intuitObject": None, "requestId": None, "queryResponse": None, "batchItemResponse": [],
            "fault": {"error": [{"message": text, "detail": "Token expired", "code": code, "element": None}],
                      "type": kind},
        }  # fmt: skip
        return json_response(body, status)

    def _too_many(self) -> Response:
        text = "message=ThrottleExceeded; errorCode=003001; statusCode=429"
        told = Refusal("3001", text, status=429)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return self._traced(json_response({"Fault": {**fault(told), "type": "SERVICE"}}, 429, headers))

    def _traced(self, response: Response) -> Response:
        response.headers["intuit_tid"] = f"1-{uuid.uuid4().hex}"
        return response


def fault(told: Refusal) -> dict[str, Any]:
    """A fault in QuickBooks' shape."""
    row = {"Message": told.message, "Detail": told.detail or told.message, "code": told.code}
    kind = "SystemFault" if told.status >= 500 else "ValidationFault"
    return {"Error": [row | ({"element": told.element} if told.element else {})], "type": kind}


def body_of(request: Request) -> Any:
    """A request's JSON, numbers exact. Raises Refusal."""
    try:
        return json.loads(request.get_data(), parse_float=Decimal)
    except ValueError:
        raise Refusal("2010", "Request has invalid or unsupported property", "the body is not JSON") from None
