"""Signing in as the partner's service user: a refresh token that rotates, kept before use, and refusals in words.

Partner Center takes calls only from sign-ins that passed MFA (from 1 April 2026), so a lost refresh token costs a
person another sign-in. Entra gives a new one at every exchange, good for 90 days.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from connectors.partnercenter.config import PartnerCenterSettings
from connectors.partnercenter.payloads import TokenProblem
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.connect.retry import NOT_NOW, Again, retry_after
from syncd.connect.rotating import RotatingToken
from syncd.errors import VendorError

AGAIN = (
    "Sign in again as the partner's service user, with MFA, and put the new refresh token where refresh_token points."
)
# AADSTS code -> (our code, what it means, how to mend it).
_MEANING = {
    700082: ("unauthorized", "the refresh token has not been used for 90 days and has ended", AGAIN),
    70008: ("unauthorized", "the refresh token has ended", AGAIN),
    70000: ("unauthorized", "the refresh token is not valid any more: ended, withdrawn, or used elsewhere", AGAIN),
    50173: ("unauthorized", "the refresh token was withdrawn, by a new password or an admin", AGAIN),
    54005: ("unauthorized", "the refresh token was used elsewhere already", AGAIN),
    50076: ("unauthorized", "MFA is asked for", AGAIN),
    50079: ("unauthorized", "the service user has not set MFA up", AGAIN),
    50158: ("unauthorized", "MFA is asked for", AGAIN),
    53003: ("forbidden", "Conditional Access blocks this sign-in", "Exempt this machine, or ask the tenant's admin."),
    7000215: ("unauthorized", "the client secret is wrong", "Check client_secret: its value is needed, not its id."),
    7000222: ("unauthorized", "the client secret has expired", "Create a new one in Entra ID › App registrations."),
    700016: ("unauthorized", "the app is not known in this tenant", "Check client_id and tenant_id."),
    65001: ("consent", "the app has no consent for Partner Center", "Consent once in the partner's tenant."),
    90002: ("not_found", "there is no such tenant", "Check tenant_id and the cloud in token_url."),
}


def signer(settings: PartnerCenterSettings, context: Context) -> RotatingToken:
    """Signs requests to Partner Center; the newest refresh token lies in the context's vault."""

    def form(refresh: str) -> dict[str, str]:
        return {
            "grant_type": "refresh_token",
            "client_id": settings.client_id,
            "client_secret": settings.client_secret.reveal(context.folder),
            "refresh_token": refresh,
            "scope": settings.token_scope,
        }

    return RotatingToken(
        f"{settings.login_root}/{quote(settings.tenant_id, safe='')}/oauth2/v2.0/token",
        context.vault,
        lambda: settings.refresh_token.reveal(context.folder),
        form,
        refused,
        unused=timedelta(days=90),
    )


def refused(reply: Reply) -> VendorError:
    """The error of a refused sign-in. Raises Again where it was only put off: Entra keeps the older token valid, so
    the exchange may be repeated."""
    if reply.status in NOT_NOW:
        code = "throttled" if reply.status == 429 else "unavailable"
        error = VendorError(code, f"the sign-in was put off with status {reply.status}", status=reply.status)
        raise Again(error, retry_after(reply.headers.get("retry-after"), datetime.now(UTC)))
    body = reply.try_parse(TokenProblem)
    if body is None or not body.error:
        code = "unauthorized" if reply.status in (400, 401) else "unavailable"
        return VendorError(
            code, f"the sign-in failed with status {reply.status} and no reason. Check token_url and proxy."
        )
    found = re.search(r"AADSTS(\d+)", body.error_description)
    number = body.error_codes[0] if body.error_codes else int(found[1]) if found else 0
    name = f"AADSTS{number}" if number else body.error[:40]
    usual = ("unauthorized", "", AGAIN if body.error == "invalid_grant" else "Check client_id and client_secret.")
    code, what, mend = _MEANING.get(number, usual)
    told = f": {what}" if what else ""
    return VendorError(code, f"the sign-in was refused{told} ({name}). {mend}", status=reply.status)
