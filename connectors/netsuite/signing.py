"""Signs requests: OAuth 2.0 machine to machine with a certificate, or token-based authentication (OAuth 1.0a) while
NetSuite still takes it. Both follow the real clock; neither needs a person, and nothing here rotates.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import hmac
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote

import msgspec

from connectors.netsuite.config import NetSuiteSettings
from syncd.clock import real_now
from syncd.connect.auth import ClientCredentials
from syncd.connect.http import Auth, Reply, Request, Response
from syncd.connect.retry import NOT_NOW
from syncd.connect.settings import Secret
from syncd.errors import Fault, UserFault, VendorError

# How long a signed assertion is good; NetSuite takes anything below an hour.
ASSERTION_LIFE = timedelta(minutes=5)
# NetSuite mails the account's admins 2 months, 1 month and 14 days ahead; syncd says it at each of these.
NOTICE = (60, 30, 14, 7)
# A clock that is this far off breaks assertions and timestamps.
SKEW = timedelta(seconds=60)
# How often a token request is tried where the answer may be another one a little later.
TRIES = 3
# Signature algorithms by elliptic curve. RSA keys take PS256: RS256 is refused.
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_SMALLEST_RSA = 3072


class _Problem(msgspec.Struct):
    error: str = ""
    error_description: str = ""


def signer(settings: NetSuiteSettings, folder: Path, *, wait: float, pause: Callable[[float], None]) -> Auth:
    """What signs this connection's requests; reads no file yet."""
    if not settings.by_certificate:
        return TokenSigner(settings, folder)
    return ClientCredentials(
        settings.token_address,
        lambda: _form(settings, folder),
        _Refusals(settings.account).explain,
        wait=wait,
        pause=pause,
    )


def _form(settings: NetSuiteSettings, folder: Path) -> Mapping[str, str]:
    assert settings.private_key is not None  # the settings see to it
    pem = pem_text(settings.private_key, folder)
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion(pem, settings.client_id, settings.certificate_id, settings.token_address),
    }


def assertion(pem: str, client_id: str, certificate_id: str, address: str) -> str:
    """A signed statement that we are this integration, for this token address (RFC 7523).

    Raises UserFault where the PEM holds no key that NetSuite takes: RSA of at least 3072 bits, or EC 256, 384, 521.
    """
    import jwt  # imported here: a connection with tokens never needs the 60 ms
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):
        raise UserFault(
            Fault("private_key", "holds no readable private key.", "Put it there as PEM, without a passphrase.")
        ) from None
    match key:
        case rsa.RSAPrivateKey() if key.key_size >= _SMALLEST_RSA:
            algorithm = "PS256"
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            algorithm = _CURVES[key.curve.name]
        case _:
            raise UserFault(
                Fault(
                    "private_key",
                    "is of a kind that NetSuite refuses.",
                    "Make an RSA key of 3072 or 4096 bits, or an EC key of 256, 384 or 521.",
                )
            )
    now = real_now()
    claims = {
        "iss": client_id,
        "scope": ["rest_webservices"],
        "aud": address,
        "iat": now,
        "exp": now + ASSERTION_LIFE,
    }
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": certificate_id})


def pem_text(secret: Secret, folder: Path) -> str:
    """The PEM of a setting: the text itself, or the file that a plain path names; `\\n` stands for a line's end, which
    environment files cannot hold. Raises UserFault where it cannot be read."""
    text = secret.reveal(folder)
    if "-----BEGIN" not in text:
        text = Secret(file=text).reveal(folder)
    return text.replace("\\n", "\n")


def notices(settings: NetSuiteSettings, folder: Path) -> tuple[str, ...]:
    """What an admin should know of the credentials. Raises UserFault where they cannot be read."""
    if settings.private_key is None:
        return (
            "token-based authentication: NetSuite takes no new integrations of this kind from 2027.1; change to "
            "client_id, certificate_id and private_key",
        )
    from cryptography import x509

    pem = pem_text(settings.private_key, folder)
    if "BEGIN CERTIFICATE" not in pem:
        return (
            "private_key holds no certificate, so its last day is not known (two years after its making at most); put "
            "the certificate into the same file, and syncd tells it in time",
        )
    try:
        ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
    except ValueError:
        raise UserFault(Fault("private_key", "holds a certificate that cannot be read.", "Put it there as PEM.")) from (
            None
        )
    return life(ends, real_now())


def life(ends: datetime, now: datetime) -> tuple[str, ...]:
    """What to say of a certificate's end: from 60 days before, in words that change at 30, 14 and 7 days."""
    left = (ends - now).days
    if ends <= now:
        return (f"the certificate ended on {ends:%Y-%m-%d}: make a new one and map it in NetSuite",)
    within = [days for days in NOTICE if left < days]
    if not within:
        return ()
    return (
        f"the certificate ends on {ends:%Y-%m-%d}, in less than {min(within)} days: map a new one in NetSuite before, "
        "else every request is refused",
    )


class _Refusals:
    """Words for refused token requests; lets those be repeated that may pass a little later."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._tries = 0

    def explain(self, reply: Reply) -> VendorError | None:
        """The error to raise, or None to ask again."""
        self._tries += 1
        if reply.status in NOT_NOW and self._tries < TRIES:
            return None
        self._tries = 0
        where = f"the sign-in to NetSuite account {self._account}"
        if reply.status in NOT_NOW:
            code = "throttled" if reply.status == 429 else "unavailable"
            return VendorError(code, f"{where} was put off with status {reply.status}", status=reply.status)
        told = reply.try_parse(_Problem)
        if told is None or not told.error:
            code = "unauthorized" if reply.status in (400, 401, 403) else "unavailable"
            return VendorError(
                code,
                f"{where} failed with status {reply.status} and no reason; check account, token_url and proxy",
                status=reply.status,
            )
        return VendorError(
            "unauthorized",
            f"{where} was refused ({told.error}). Check client_id, certificate_id and private_key; a sandbox refresh "
            "erases the mapping, and a certificate lives two years at most"
            + "".join(f"; {one}" for one in clock(reply.headers)),
            status=reply.status,
        )


def clock(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What to say where this machine's clock is too far from the vendor's; nothing where that is not told."""
    try:
        theirs = email.utils.parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return ()
    off = real_now() - theirs.astimezone(UTC)
    if abs(off) <= SKEW:
        return ()
    side = "ahead of" if off > timedelta(0) else "behind"
    return (f"this machine's clock is {round(abs(off).total_seconds())} s {side} NetSuite's, which breaks signatures",)


class TokenSigner(Auth):
    """OAuth 1.0a with HMAC-SHA256 (RFC 5849, 3.4; SHA-1 ended with 2023.1). Every attempt has its own nonce."""

    def __init__(self, settings: NetSuiteSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Signs the request as it will be sent; there is nothing to refresh."""
        told = self._settings
        keys = [one.reveal(self._folder) for one in (told.consumer_key, told.token_id) if one is not None]
        hidden = [one.reveal(self._folder) for one in (told.consumer_secret, told.token_secret) if one is not None]
        request.headers["authorization"] = authorization(
            request.method,
            str(request.url),
            realm=told.account,
            keys=keys,
            hidden=hidden,
            nonce=secrets.token_hex(16),
            timestamp=int(real_now().timestamp()),
        )
        yield request


def authorization(
    method: str, url: str, *, realm: str, keys: Sequence[str], hidden: Sequence[str], nonce: str, timestamp: int
) -> str:
    """The header for one request. `keys`: consumer key and token; `hidden`: their secrets. Pure."""
    consumer, token = keys
    oauth = {
        "oauth_consumer_key": consumer,
        "oauth_nonce": nonce,
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_timestamp": str(timestamp),
        "oauth_token": token,
        "oauth_version": "1.0",
    }
    address, _, query = url.partition("?")
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    pairs = sorted(
        (_enc(name), _enc(value)) for name, value in (*parse_qsl(query, keep_blank_values=True), *oauth.items())
    )
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join((method.upper(), _enc(f"{scheme.lower()}://{host.lower()}{slash}{path}"), _enc(joined)))
    digest = hmac.new("&".join(map(_enc, hidden)).encode(), base.encode(), hashlib.sha256).digest()
    oauth["oauth_signature"] = base64.b64encode(digest).decode()
    told = ", ".join(f'{name}="{_enc(value)}"' for name, value in oauth.items())
    return f'OAuth realm="{realm}", {told}'


def _enc(text: str) -> str:
    return quote(text, safe="-._~")
