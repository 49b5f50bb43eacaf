"""One token for each tenant, by client secret or by certificate, and what the sign-in host's refusals mean.

Owns the form of the token request and the words for its errors. Fetching, caching, renewing and the one repeat on 401
are `syncd.connect.auth.ClientCredentials`. A tenant's token is used for that tenant only.
"""

from __future__ import annotations

import base64
import re
import threading
import uuid
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec

from connectors.microsoft365.config import Microsoft365Settings
from connectors.microsoft365.payloads import TokenFault
from syncd.clock import real_now
from syncd.connect.auth import ClientCredentials
from syncd.connect.http import Auth, Reply, Request, Response
from syncd.connect.retry import NOT_NOW
from syncd.connect.settings import Secret
from syncd.errors import Fault, UserFault, VendorError

# How long a signed assertion is good. Minutes, because the vendor's clock is another one; few, because it is a bearer.
ASSERTION_LIFE = timedelta(minutes=5)
# A token request is tried this often in all where the answer may be another one a little later.
TRIES = 3

# AADSTS code -> (code of VendorError, what it means, how to mend it). Meanings: Microsoft's reference of Entra error
# codes and its service principal troubleshooting page.
_NOT_AGREED = "the tenant has not agreed to the app", "Let an admin of that tenant consent to it."
_GONE = "the tenant is gone or cannot be reached", "Check the customer; it is never read as zero seats."
_MEANING: dict[int, tuple[str, str, str]] = {
    65001: ("consent", *_NOT_AGREED),
    650051: ("consent", *_NOT_AGREED),
    650052: ("consent", *_NOT_AGREED),
    700016: ("consent", "the tenant does not know the app", "Let an admin of it consent, and check client_id."),
    7000112: ("consent", "the app is switched off in the tenant", "Switch it on under Enterprise applications."),
    500011: (
        "consent",
        "the tenant does not know Graph by this name",
        "Check base_url and token_url: is it the cloud?",
    ),
    7000215: ("unauthorized", "the client secret is wrong", "Set client_secret to the secret's value, not its id."),
    7000222: ("unauthorized", "the client secret has expired", "Make a new one in the app registration."),
    700027: ("unauthorized", "the certificate is not recognised", "Upload its public part to the app registration."),
    700024: ("unauthorized", "the signed assertion is not valid now", "Set this machine's clock."),
    700021: ("unauthorized", "the assertion does not name this app", "Check client_id and certificate."),
    700023: ("unauthorized", "the assertion was made for another address", "Check token_url."),
    53003: ("forbidden", "Conditional Access blocks the app", "Let an admin of that tenant exclude it."),
    50020: ("forbidden", "the account is only a guest there", "Renew the partner relationship."),
    50177: ("forbidden", "the account has no access there", "Renew the partner relationship."),
    90002: ("not_found", *_GONE),
    900023: ("not_found", *_GONE),
    5000224: ("not_found", *_GONE),
}
# Entra's nodes lag behind a certificate rotation: the same certificate is recognised a little later.
_LAGGING = frozenset({700027})


class Tokens:
    """Signs for any tenant. Thread-safe.

    `wait` seconds lie between the tries of one token request; `pause` sleeps and ends early when syncd stops.
    """

    def __init__(
        self, settings: Microsoft365Settings, folder: Path, *, wait: float, pause: Callable[[float], None]
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._wait = wait
        self._pause = pause
        self._lock = threading.Lock()
        self._tenants: dict[str, ClientCredentials] = {}

    def tenant(self, tenant: str) -> ClientCredentials:
        """The signer of one tenant, always the same for the same tenant."""
        with self._lock:
            signer = self._tenants.get(tenant.lower())
            if signer is None:
                address = f"{self._settings.login_root}/{quote(tenant, safe='')}/oauth2/v2.0/token"
                signer = self._tenants[tenant.lower()] = ClientCredentials(
                    address,
                    lambda: self._form(address),
                    _Refusals(tenant).explain,
                    wait=self._wait,
                    pause=self._pause,
                )
            return signer

    def _form(self, address: str) -> Mapping[str, str]:
        settings = self._settings
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            "scope": settings.token_scope,
        }
        if settings.client_secret is not None:
            return {**form, "client_secret": settings.client_secret.reveal(self._folder)}
        assert settings.certificate is not None  # the settings see to it
        return {
            **form,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion(pem_text(settings.certificate, self._folder), settings.client_id, address),
        }


class _Refusals:
    """Words for one tenant's refused token requests; lets those be repeated that may pass a little later.

    A count that was left by a request which passed at last only makes the next one give up one try earlier.
    """

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._tries = 0

    def explain(self, reply: Reply) -> VendorError | None:
        """The error to raise, or None to ask again."""
        aadsts, error = token_error(reply, self._tenant)
        self._tries += 1
        if (reply.status in NOT_NOW or aadsts in _LAGGING) and self._tries < TRIES:
            return None
        self._tries = 0
        return error


def token_error(reply: Reply, tenant: str) -> tuple[int, VendorError]:
    """(AADSTS code or 0, the error to raise) for an unsuccessful token answer."""
    where = f"the sign-in to tenant {tenant}"
    body = reply.try_parse(TokenFault)
    if reply.status in NOT_NOW:
        code = "throttled" if reply.status == 429 else "unavailable"
        return 0, VendorError(code, f"{where} was put off with status {reply.status}.", status=reply.status)
    if body is None or not body.error:
        return 0, VendorError(
            "unauthorized" if reply.status in (400, 401) else "unavailable",
            f"{where} failed with status {reply.status} and no reason. Check token_url and proxy.",
            status=reply.status,
        )
    found = re.search(r"AADSTS(\d+)", body.error_description)
    aadsts = body.error_codes[0] if body.error_codes else int(found[1]) if found else 0
    name = f"AADSTS{aadsts}" if aadsts else body.error
    if aadsts in _MEANING:
        code, what, mend = _MEANING[aadsts]
        return aadsts, VendorError(code, f"{where} was refused: {what} ({name}). {mend}", status=reply.status)
    code = "unauthorized" if body.error in ("invalid_client", "unauthorized_client") else "invalid"
    return aadsts, VendorError(
        code,
        f"{where} was refused ({name}). Microsoft explains it at login.microsoftonline.com/error.",
        status=reply.status,
    )


def pem_text(secret: Secret, folder: Path) -> str:
    """The PEM of a certificate setting: the text itself, or the file that a plain path names.

    Environment files cannot hold line ends, so `\\n` is taken for one. Raises UserFault where it cannot be read.
    """
    text = secret.reveal(folder)
    if "-----BEGIN" not in text:
        text = Secret(file=text).reveal(folder)
    return text.replace("\\n", "\n")


def assertion(pem: str, client_id: str, address: str) -> str:
    """A signed statement that we are this app, for this token address (RFC 7523).

    PS256 with the certificate's SHA-256 thumbprint in `x5t#S256`, as Microsoft asks for. Follows the real clock.
    Raises UserFault where the PEM holds no usable key and certificate.
    """
    import jwt  # imported here: a connection with a secret never needs the 60 ms
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise UserFault(
            Fault("certificate", "holds no readable private key and certificate.", "Put both, as PEM, into one file.")
        ) from None
    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    now = real_now()
    claims = {
        "aud": address,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
        "nbf": now,
        "exp": now + ASSERTION_LIFE,
    }
    try:
        return jwt.encode(claims, key, algorithm="PS256", headers={"x5t#S256": thumbprint})  # type: ignore[arg-type]
    except (TypeError, ValueError, jwt.PyJWTError):
        raise UserFault(Fault("certificate", "holds no RSA key.", "Microsoft takes RSA keys only.")) from None


class Witness(Auth):
    """Signs as `signer` does and keeps the roles that the token claims, for the advice on least privilege."""

    requires_response_body = True

    def __init__(self, signer: Auth) -> None:
        self._signer = signer
        self.roles: frozenset[str] | None = None

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Passes everything through and looks at the token at the end."""
        yield from self._signer.auth_flow(request)
        self.roles = claimed_roles(request.headers.get("authorization", "").removeprefix("Bearer "))


class _Claims(msgspec.Struct):
    roles: list[str]


def claimed_roles(token: str) -> frozenset[str] | None:
    """The application permissions in a token, None where it does not tell.

    Nothing is verified and nothing is decided by it: Microsoft says that the token is Graph's business, and its form
    may change. It only feeds advice.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), type=_Claims)
    except (ValueError, msgspec.DecodeError):
        return None
    return frozenset(claims.roles)
