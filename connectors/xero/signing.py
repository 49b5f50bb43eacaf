"""Sign-in to Xero: a custom connection's client credentials, or a web app's rotating refresh token; refusals in words.

A custom connection has no refresh token: id and secret bring a token for 30 minutes. A web app's refresh token is good
for one use and 60 days; the one before is taken for 30 minutes more, where the answer that brought the new one was
lost. `RotatingToken` keeps each new one durably before anything is signed with it, and after a crash begins with the
one that it kept last: that is the retry which Xero allows.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from connectors.xero.config import XeroSettings
from connectors.xero.payloads import TokenProblem
from syncd.connect.auth import ClientCredentials
from syncd.connect.contract import Context
from syncd.connect.http import Auth, Reply
from syncd.connect.retry import NOT_NOW, Again, retry_after
from syncd.connect.rotating import RotatingToken
from syncd.connect.settings import Secret
from syncd.errors import UserFault, VendorError

_RECONNECT = (
    "connect the app to the organisation anew (sign in with offline_access) and put the new refresh token where "
    "refresh_token points; each may be used by one program only"
)
_MENDS = {
    "invalid_client": "check client_id and client_secret",
    "unauthorized_client": (
        "the app is no custom connection, or nobody has authorised it yet; a web app needs a refresh_token"
    ),
    "invalid_scope": "the app does not have every scope that was asked for; list those that it has as scopes",
    "unsupported_grant_type": "the app is no custom connection; a web app needs a refresh_token",
}


def signer(settings: XeroSettings, context: Context) -> Auth:
    """What signs requests; no I/O yet."""
    address = f"{settings.token_url}/connect/token"

    def reveal(secret: Secret) -> str:
        try:
            return secret.reveal(context.folder)
        except UserFault as fault:
            raise VendorError("unauthorized", f"a key of {context.name} cannot be read: {fault}") from None

    def headers() -> Mapping[str, str]:
        pair = f"{settings.client_id}:{reveal(settings.client_secret)}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode(), "accept": "application/json"}

    if settings.refresh_token is None:
        scope = " ".join(settings.scopes)
        return ClientCredentials(
            address, lambda: {"grant_type": "client_credentials", "scope": scope}, _refused(""), headers=headers
        )
    first = settings.refresh_token
    return RotatingToken(
        address,
        context.vault,
        lambda: reveal(first),
        lambda refresh: {"grant_type": "refresh_token", "refresh_token": refresh},
        _refused(_RECONNECT),
        headers=headers,
        unused=timedelta(days=60),
    )


def _refused(reconnect: str) -> Callable[[Reply], VendorError]:
    """Words for refused token requests. The function raises Again where the sign-in was only put off: the token that
    was offered is taken once more for half an hour."""

    def error(reply: Reply) -> VendorError:
        if reply.status in NOT_NOW:
            code = "throttled" if reply.status == 429 else "unavailable"
            put_off = VendorError(code, f"Xero puts the sign-in off with status {reply.status}", status=reply.status)
            raise Again(put_off, retry_after(reply.headers.get("retry-after"), datetime.now(UTC)))
        told = reply.try_parse(TokenProblem)
        if told is None:
            code = "unauthorized" if reply.status in (400, 401, 403) else "unavailable"
            return VendorError(code, f"the sign-in failed with status {reply.status} and no reason; check token_url")
        what = reconnect if told.error == "invalid_grant" and reconnect else _MENDS.get(told.error, "")
        return VendorError(
            "unauthorized",
            f"Xero refused the sign-in ({told.error[:40]}). "
            + (what[:1].upper() + what[1:] if what else "Check client_id, client_secret and refresh_token"),
            status=reply.status,
        )

    return error
