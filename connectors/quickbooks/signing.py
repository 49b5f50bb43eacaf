"""Signing in by a rotating refresh token, kept before it is used, and its refusals in words.

Intuit changes the refresh token about once a day; the one before stays good for about another day. So a process that is
killed between the answer and the keeping loses nothing: the next one signs in with the older token. One that has not
been used for 100 days, or is five years old, is over: only a person can connect the company again.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec

from connectors.quickbooks.config import QuickBooksSettings
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.connect.retry import NOT_NOW, Again, retry_after
from syncd.connect.rotating import RotatingToken
from syncd.errors import VendorError

PATH = "/oauth2/v1/tokens/bearer"
AGAIN = (
    "Connect the company once more (developer.intuit.com › your app › OAuth playground, or the app's Reconnect URL) "
    "and put the new refresh token where refresh_token points"
)


class Problem(msgspec.Struct):
    """RFC 6749, 5.2."""

    error: str = ""
    error_description: str = ""


def signer(settings: QuickBooksSettings, context: Context) -> RotatingToken:
    """Signs requests to one company; the newest refresh token lies in the context's vault."""

    def basic() -> dict[str, str]:
        pair = f"{settings.client_id}:{settings.client_secret.reveal(context.folder)}"
        return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    return RotatingToken(
        settings.login_root + PATH,
        context.vault,
        lambda: settings.refresh_token.reveal(context.folder),
        lambda refresh: {"grant_type": "refresh_token", "refresh_token": refresh},
        refused,
        headers=basic,
    )


def refused(reply: Reply) -> VendorError:
    """The error of a refused sign-in. Raises Again where it was only put off: the token in hand stays valid, so the
    exchange may be repeated."""
    ticket = reply.headers.get("intuit_tid", "")
    trace = f" [intuit_tid {ticket}]" if ticket.replace("-", "").isalnum() else ""
    if reply.status in NOT_NOW:
        code = "throttled" if reply.status == 429 else "unavailable"
        error = VendorError(code, f"the sign-in was put off with status {reply.status}{trace}", status=reply.status)
        raise Again(error, retry_after(reply.headers.get("retry-after"), datetime.now(UTC)))
    body = reply.try_parse(Problem)
    match body.error if body else "":
        case "invalid_grant":
            told = (
                "the refresh token is no longer good: withdrawn, unused for 100 days, older than five years, or "
                f"renewed by another program more than a day ago (invalid_grant). {AGAIN}"
            )
        case "invalid_client":
            told = (
                "Intuit does not know this app (invalid_client). Check client_id and client_secret: sandbox and "
                "production have different ones"
            )
        case "":
            code = "unauthorized" if reply.status in (400, 401, 403) else "unavailable"
            told = f"the sign-in failed with status {reply.status} and no reason. Check token_url and proxy{trace}"
            return VendorError(code, told, status=reply.status)
        case other:
            told = f"the sign-in was refused ({other[:40]}). Check client_id and client_secret"
    return VendorError("unauthorized", told + trace, status=reply.status)
