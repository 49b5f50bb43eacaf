"""The double's front: tokens for signed assertions, OAuth 1.0a with nonces, the account's pool of requests, NetSuite's
error shape. Holds no records.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Double, json_response
from syncd.sandbox.world import World

ACCOUNT = "1234567_SB1"
CLIENT, CERTIFICATE = "sandbox-client", "sandbox-certificate"
TOKENS = {
    "consumer_key": "sandbox-consumer",
    "consumer_secret": "sandbox-consumer-hidden",
    "token_id": "sandbox-token",
    "token_secret": "sandbox-token-hidden",
}
CHARGE_TYPE = "-19"
ALGORITHMS = ["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
BASE = "/services/rest"
TOKEN_LIFE = 3600


@functools.cache
def credentials() -> tuple[str, str]:
    """(PEM with private key and certificate, PEM of the public key): made once, nobody's secret."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "syncd sandbox")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=700))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return (private + pem).decode(), public.decode()


def fault(status: int, detail: str, code: str, path: str = "") -> Response:
    """NetSuite's error shape."""
    title = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
    told = {"detail": detail, "o:errorCode": code} | ({"o:errorPath": path} if path else {})
    body = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4",
        "title": title.get(status, "Error"),
        "status": status,
        "o:errorDetails": [told],
    }
    response = json_response(body, status)
    response.mimetype = "application/vnd.oracle.resource+json"
    return response


class Front(Double):
    """What every request passes. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        pool: int = 5,
        outside: int = 0,
        expired_certificate: bool = False,
        token_life: int = TOKEN_LIFE,
    ) -> None:
        began = time.monotonic()
        noon = datetime.combine(world.today, datetime.min.time(), UTC) + timedelta(hours=18)
        super().__init__(
            "netsuite",
            now=lambda: noon + timedelta(seconds=time.monotonic() - began),
            throttled=self._crowded,
            unauthorized=lambda: fault(401, "Invalid login attempt.", "INVALID_LOGIN"),
        )
        self.account = ACCOUNT
        self.pool, self.outside = pool, outside
        self.expired_certificate, self.token_life = expired_certificate, token_life
        self.retry_after = ""  # NetSuite promises none; the contract suite sets "0"
        self.public_keys = {CERTIFICATE: credentials()[1]}
        self.tokens = dict(TOKENS)
        self.most_at_once = 0
        self._bearers: dict[str, datetime] = {}
        self._nonces: set[str] = set()
        self._present = 0
        self._door = threading.Lock()
        self.route("POST", f"{BASE}/auth/oauth2/v1/token", self._token)

    # --- sign-in ----------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """A sandbox refresh: every mapping and token is gone."""
        with self.lock:
            self.public_keys, self.tokens = {}, {}
            self._bearers.clear()

    def revoke(self) -> None:
        """Makes every access token bad."""
        with self.lock:
            self._bearers.clear()

    def _token(self, request: Request) -> Any:
        problem = self._assertion_fault(request)
        if problem:
            body = {"error": problem, "error_description": "told at length to people"}
            return json_response(body, 400)
        bearer = secrets.token_urlsafe(24)
        self._bearers[bearer] = self.now() + timedelta(seconds=self.token_life)
        return {"access_token": bearer, "expires_in": str(self.token_life), "token_type": "Bearer"}

    def _assertion_fault(self, request: Request) -> str:
        import jwt

        form = request.form
        if form.get("grant_type") != "client_credentials":
            return "unsupported_grant_type"
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return "invalid_request"
        text = form.get("client_assertion", "")
        try:
            header = jwt.get_unverified_header(text)
            public = self.public_keys.get(header.get("kid", ""))
            if public is None or self.expired_certificate:
                return "invalid_client"
            claims = jwt.decode(
                text, public, algorithms=ALGORITHMS, audience=request.base_url,
                leeway=60, options={"require": ["exp", "iat", "iss", "aud"]},
            )  # fmt: skip
        except jwt.PyJWTError:
            return "invalid_grant"
        now = datetime.now(UTC).timestamp()
        life = claims["exp"] - claims["iat"]
        if claims["iss"] != CLIENT or not 0 < life < 3600 or abs(claims["iat"] - now) > 300:
            return "invalid_grant"
        return "" if "rest_webservices" in claims.get("scope", ()) else "invalid_scope"

    # --- every request ----------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        counted = not environ.get("PATH_INFO", "").startswith("/_sandbox")
        with self._door:
            self._present += counted
            self.most_at_once = max(self.most_at_once, self._present)
            environ["netsuite.at_once"] = self._present
        try:
            return super().__call__(environ, start_response)
        finally:
            with self._door:
                self._present -= counted

    def _answer(self, request: Request, fault: str) -> Response:
        response = super()._answer(request, fault)
        if fault == "truncate" and response.status_code == 204:
            # An answer without a body can only be cut in its head.
            response.headers.pop("Location", None)
        return response

    def api(self, method: str, path: str, handler: Callable[..., Any]) -> None:
        """Adds a route below the services' root; it is signed for and counted against the pool."""

        def guarded(request: Request, **values: Any) -> Any:
            if request.environ.get("netsuite.at_once", 0) + self.outside > self.pool:
                return self._crowded()
            if not self._known(request):
                return self._unauthorized()
            return handler(request, **values)

        self.route(method, f"{BASE}/{path}", guarded)

    def _crowded(self) -> Response:
        response = fault(429, "Concurrent request limit exceeded. Request blocked.", "TOO_MANY_REQUESTS")
        if self.retry_after:
            response.headers["Retry-After"] = self.retry_after
        return response

    def _known(self, request: Request) -> bool:
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer":
            until = self._bearers.get(rest)
            return until is not None and self.now() < until
        return scheme == "OAuth" and bool(self.tokens) and self._signed(request, rest)

    def _signed(self, request: Request, header: str) -> bool:
        told = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', header)}
        nonce = told.get("oauth_nonce", "")
        if (
            told.get("realm") != self.account
            or told.get("oauth_consumer_key") != self.tokens["consumer_key"]
            or told.get("oauth_token") != self.tokens["token_id"]
            or told.get("oauth_signature_method") != "HMAC-SHA256"
            or abs(int(told.get("oauth_timestamp", "0")) - time.time()) > 300
            or not nonce
            or nonce in self._nonces
        ):
            return False
        self._nonces.add(nonce)
        query = request.query_string.decode()
        pairs = parse_qsl(query, keep_blank_values=True)
        pairs += [(name, value) for name, value in told.items() if name not in ("realm", "oauth_signature")]
        norm = "&".join(f"{a}={b}" for a, b in sorted((quote(a, safe="~"), quote(b, safe="~")) for a, b in pairs))
        base = f"{request.method}&{quote(request.base_url, safe='~')}&{quote(norm, safe='~')}"
        key = f"{quote(self.tokens['consumer_secret'], safe='~')}&{quote(self.tokens['token_secret'], safe='~')}"
        good = base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha256).digest()).decode()
        return hmac.compare_digest(good, told.get("oauth_signature", ""))
