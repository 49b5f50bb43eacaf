"""The double's sign-in host: tokens bound to a tenant, by client secret or by a signed assertion, and its refusals."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.microsoft365.sandbox_state import TenantState, find_tenant, zulu
from syncd.sandbox.kit import json_response

TOKEN_LIFE = 3599


@dataclass(frozen=True)
class Token:
    """A token that was given out."""

    tenant: str
    until: datetime
    roles: frozenset[str]


class SignInHost:
    """Gives out tokens and remembers them in `tokens`. Guarded by the double's lock.

    `certificate`: PEM of the certificate whose signature is asked for, "" to look at the claims only. `opaque`: tokens
    that nobody can look into.
    """

    def __init__(
        self,
        tenants: Mapping[str, TenantState],
        now: Callable[[], datetime],
        client_id: str,
        client_secret: str,
        certificate: str,
        opaque: bool,
        roles: frozenset[str],
    ) -> None:
        self.tokens: dict[str, Token] = {}
        self._tenants = tenants
        self._now = now
        self._client_id, self._client_secret, self._certificate = client_id, client_secret, certificate
        self._opaque, self._roles = opaque, roles

    def answer(self, request: Request, tenant: str) -> Response:
        """`POST /{tenant}/oauth2/v2.0/token`: the client credentials grant, by secret or signed assertion."""
        state = find_tenant(self._tenants, tenant)
        form = request.form
        if state is None:
            return _token_fault("invalid_request", 90002)
        for fault, code in (("gone", 5000224), ("consent", 65001), ("expired_secret", 7000222)):
            if state.struck(fault):
                return _token_fault("invalid_client" if fault == "expired_secret" else "invalid_grant", code)
        if state.struck("sign_in_unavailable"):
            return Response("<html><body>Service unavailable</body></html>", 503, mimetype="text/html")
        if form.get("grant_type") != "client_credentials" or form.get("client_id") != self._client_id:
            return _token_fault("unauthorized_client", 700016)
        if not form.get("scope", "").endswith("/.default"):
            return _token_fault("invalid_scope", 1002012)
        if "client_assertion" in form:
            if state.struck("lagging_certificate"):
                return _token_fault("invalid_client", 700027)
            if code := self._assertion_fault(form.to_dict(), request.base_url):
                return _token_fault("invalid_client", code)
        elif form.get("client_secret") != self._client_secret:
            return _token_fault("invalid_client", 7000215)
        until = self._now() + timedelta(seconds=TOKEN_LIFE)
        token = self._mint(state.id, until)
        self.tokens[token] = Token(state.id, until, self._roles)
        return json_response(
            {"token_type": "Bearer", "expires_in": TOKEN_LIFE, "ext_expires_in": TOKEN_LIFE, "access_token": token}
        )

    def _mint(self, tenant: str, until: datetime) -> str:
        if self._opaque:
            return secrets.token_urlsafe(32)
        claims = {"tid": tenant, "roles": sorted(self._roles), "exp": int(until.timestamp())}
        parts = [json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        return ".".join([*(_base64(part) for part in parts), secrets.token_urlsafe(24)])

    def _assertion_fault(self, form: Mapping[str, str], address: str) -> int:
        """AADSTS code of what is wrong with a signed assertion, 0 where nothing is."""
        import jwt

        text = form["client_assertion"]
        if form.get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            return 50027
        try:
            header = jwt.get_unverified_header(text)
            claims = jwt.decode(text, options={"verify_signature": False})
        except jwt.PyJWTError:
            return 50027
        if claims.get("aud") != address:
            return 700023
        if not claims.get("iss") == claims.get("sub") == self._client_id:
            return 700021
        now = datetime.now(UTC).timestamp()
        if not claims.get("nbf", 0) <= now + 300 or not now < claims.get("exp", 0) < now + 3600 or "jti" not in claims:
            return 700024
        if self._certificate and not self._signed_by_ours(text, header):
            return 700027
        return 0

    def _signed_by_ours(self, text: str, header: Mapping[str, Any]) -> bool:
        import jwt
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        ours = x509.load_pem_x509_certificate(self._certificate.encode())
        if header.get("alg") != "PS256" or header.get("x5t#S256") != _base64(ours.fingerprint(hashes.SHA256())):
            return False
        try:
            jwt.decode(text, ours.public_key(), algorithms=["PS256"], options={"verify_aud": False})  # type: ignore[arg-type]
        except jwt.PyJWTError:
            return False
        return True


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _token_fault(error: str, code: int) -> Response:
    body = {
        "error": error,
        "error_description": f"AADSTS{code}: Told at length to people.",
        "error_codes": [code],
        "timestamp": zulu(datetime.now(UTC)),
        "trace_id": str(uuid.uuid4()),
        "correlation_id": str(uuid.uuid4()),
    }
    return json_response(body, 401 if error == "invalid_client" else 400)
