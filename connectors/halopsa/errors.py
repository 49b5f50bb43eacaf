"""Turns every shape of Halo's errors into one sentence. Knows the shapes; decides no retry.

Seen: `{ClassName, Message}`, `{resultCode, errorMessage}`, `{Message}`, `{error, error_description}`, arrays under
`errors` or `validation_errors`, a bare JSON text, and plain text or HTML of something in front of Halo.
"""

from __future__ import annotations

from typing import Any

from syncd.connect.http import Reply
from syncd.model import Refused

_LONGEST = 500
_FIELDS = ("errorMessage", "Message", "message", "error_description", "error")


def words(reply: Reply) -> str | None:
    """What Halo itself says, on one line; None where the body has none of its shapes."""
    body = reply.try_parse(Any)
    told = body if isinstance(body, str) else _of(body) if isinstance(body, dict) else ""
    told = " ".join(told.split()).rstrip(" .")
    return told[:_LONGEST] or None


def _of(body: dict[str, Any]) -> str:
    parts = [value for name in _FIELDS if isinstance(value := body.get(name), str) and value.strip()][:1]
    for name in ("errors", "validation_errors"):
        some = body.get(name)
        for one in some if isinstance(some, list) else ():
            if isinstance(one, str):
                parts.append(one)
            elif isinstance(one, dict):
                text = one.get("message") or one.get("error") or ""
                field = one.get("field") or one.get("property")
                parts.append(f"{text} (field {field})" if field else str(text))
    return "; ".join(dict.fromkeys(part for part in parts if part))


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    said = words(reply)
    says = f": {said}" if said else ""
    match reply.status:
        case 401:
            return "unauthorized", (
                f"Halo refused the sign-in for {reply.where}{says}. Check client_id, client_secret and tenant, and "
                "that the application's scopes are granted"
            )
        case 403:
            return "forbidden", (
                f"Halo forbids {reply.where}{says}. The application's scope or the permissions of the agent that it "
                "logs in as lack this right"
            )
        case 404:
            return "not_found", f"Halo does not find {reply.where}{says}"
        case 429:
            return "throttled", f"Halo throttles{says}"
        case status if status >= 500 or status in (408, 425):
            return "unavailable", f"Halo failed at {reply.where} with status {status}{says or _page(reply)}"
        case status:
            return "invalid", f"Halo rejected {reply.where} with status {status}{says or _page(reply)}"


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else than Halo answered."""
    if words(reply) is None:
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _page(reply: Reply) -> str:
    if b"<html" in reply.body[:2000].lower():
        return ", with a web page instead of data: a proxy answered"
    return ""
