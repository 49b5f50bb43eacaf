"""Turns every shape of Xero's errors into one sentence. Knows the shapes; decides no retry.

Seen: `{ErrorNumber, Type, Message, Elements: [{ValidationErrors: [{Message}]}]}` for what is wrong with a request,
`{Type, Title, Status, Detail}` for who asks, `{error, error_description}` of the sign-in host. Single errors have no
codes, only English sentences: whatever is understood from them is understood loosely, and fails closed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syncd.connect.http import Reply
from syncd.model import Refused

_LONGEST = 500
# (words that a sentence of Xero's holds, what a person does about it).
_MENDS = (
    ("must be unique", "The number is taken; nothing of that document was touched"),
    ("lock", "Post into an open period, or move the lock date in Xero"),
    ("archived", "Restore the contact in Xero, or map the customer to another one"),
    ("account code", "Correct the sales account of the item in Xero"),
    ("tax", "Correct the sales tax of the item in Xero"),
    ("item code", "The item was renamed or deleted in Xero; correct the rule"),
    ("currency", "Add the currency in Xero, or correct the rule's"),
    ("idempotency", "The vendor's key was used for another request; see `syncd retry`"),
)


def words(reply: Reply) -> str:
    """What Xero itself says, on one line; "" where the body has none of its shapes."""
    body = reply.try_parse(Any)
    if not isinstance(body, dict):
        return ""
    told: list[str] = []
    elements = body.get("Elements")
    for element in elements if isinstance(elements, list) else ():
        told += _messages(element)
    if not told and isinstance(body.get("Detail"), str) and body["Detail"]:
        told = [": ".join(part for part in (body.get("Title"), body["Detail"]) if isinstance(part, str) and part)]
    for name in ("Message", "Title", "error_description", "error"):
        if not told and isinstance(body.get(name), str) and body[name]:
            told = [body[name]]
    return one_line(told)


def one_line(sentences: Iterable[str]) -> str:
    """Several of Xero's sentences as one, without repeating any."""
    parts = dict.fromkeys(" ".join(one.split()).rstrip(" .") for one in sentences)
    return "; ".join(part for part in parts if part)[:_LONGEST]


def mend(said: str) -> str:
    """What a person can do about one of Xero's sentences, as ". Do this"; "" where none is known."""
    low = said.lower()
    return next((f". {what}" for words_, what in _MENDS if words_ in low), "")


def duplicate(said: str) -> bool:
    """Whether Xero says that the number is taken already ("Invoice # must be unique.")."""
    low = said.lower()
    return "unique" in low or "already exists" in low or "already in use" in low


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    said = words(reply)
    says = f": {said}" if said else ""
    match reply.status:
        case 401 if "authorizationunsuccessful" in said.lower():
            return "forbidden", (
                f"Xero forbids {reply.where}{says}. The app's scopes or its plan do not include it: consent to "
                "accounting.invoices, accounting.contacts.read and accounting.settings.read"
            )
        case 401:
            return "unauthorized", (
                f"Xero refused the sign-in for {reply.where}{says}. Check client_id and client_secret, and connect "
                "the organisation anew"
            )
        case 403:
            return "forbidden", (
                f"Xero forbids {reply.where}{says}. The app is not connected to this organisation (tenant_id), or its "
                "scopes lack this right"
            )
        case 404:
            return "not_found", f"Xero does not find {reply.where}{says}"
        case 429:
            limit = reply.headers.get("x-rate-limit-problem", "").lower() or "some"
            return "throttled", f"Xero's {limit} limit of calls is used up"
        case status if status >= 500 or status in (408, 425):
            return "unavailable", f"Xero failed at {reply.where} with status {status}{says or _page(reply)}"
        case status:
            return "invalid", f"Xero rejected {reply.where} with status {status}{says or _page(reply)}{mend(said)}"


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else than Xero answered."""
    if not words(reply):
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _messages(element: Any) -> list[str]:
    some = element.get("ValidationErrors") if isinstance(element, dict) else None
    return [
        one["Message"] for one in (some if isinstance(some, list) else ())
        if isinstance(one, dict) and isinstance(one.get("Message"), str)
    ]  # fmt: skip


def _page(reply: Reply) -> str:
    return ", with a web page instead of data" if b"<html" in reply.body[:2000].lower() else ""
