"""Turns every shape of ConnectWise's errors into one sentence. Knows the shapes; decides no retry.

Seen: `{code, message, errors: [{code, message, resource, field}] | null}` from the API, `{error, message}` when the
API throttles, plain text or HTML from the proxy in front of it, and nothing at all.
"""

from __future__ import annotations

import msgspec

from syncd.connect.http import Reply
from syncd.model import Refused

_LONGEST = 500


class _Detail(msgspec.Struct):
    code: str | None = None
    message: str | None = None
    field: str | None = None


class _Shape(msgspec.Struct):
    code: str | None = None
    error: str | None = None
    message: str | None = None
    errors: list[_Detail] | None = None


def words(reply: Reply) -> str | None:
    """What ConnectWise itself says, on one line; None where the body is not ConnectWise's own error shape."""
    shape = reply.try_parse(_Shape)
    if shape is None or not (shape.code or shape.error):
        return None
    parts = [shape.message or shape.code or shape.error or ""]
    for detail in shape.errors or ():
        text = detail.message or detail.code or ""
        named = detail.field and detail.field.casefold() not in text.casefold()
        parts.append(f"{text} (field {detail.field})" if named else text)
    told = list(dict.fromkeys(" ".join(part.split()).rstrip(" .:") for part in parts if part.strip()))
    sentence = "; ".join(told) if len(told) < 3 else f"{told[0]}: {'; '.join(told[1:])}"
    return sentence[:_LONGEST]


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    said = words(reply)
    says = f": {said}" if said else ""
    match reply.status:
        case 401:
            return "unauthorized", (
                f"ConnectWise refused the sign-in{says}. Check company, public_key, private_key and client_id, "
                "and that the API member is active"
            )
        case 403 if b"ssl is required" in reply.body.lower():
            return "forbidden", (
                "ConnectWise says that SSL is required, which means a wrong host: the cloud's API lives on api- hosts. "
                "Leave base_url out, or begin it with https://api-"
            )
        case 403:
            return "forbidden", (
                f"ConnectWise forbids {reply.where}{says}. The security role of the API member lacks this right"
            )
        case 404:
            return "not_found", (
                f"ConnectWise does not find {reply.where}{says}. It says so of deleted records, and also after a wrong "
                "sign-in or when the code base moved"
            )
        case 409:
            return "invalid", f"ConnectWise says that the record is in use or changed meanwhile ({reply.where}){says}"
        case 429:
            wait = reply.headers.get("retry-after", "")
            return "throttled", f"ConnectWise throttles{f' for {wait} s' if wait.isdigit() else ''}{says}"
        case 500 if said and "converting value" in said.lower():
            return "invalid", f"ConnectWise could not read a value of {reply.where}{says}"
        case status if status >= 500 or status in (408, 425):
            return "unavailable", f"ConnectWise failed at {reply.where} with status {status}{says or _page(reply)}"
        case status:
            return "invalid", f"ConnectWise rejected {reply.where} with status {status}{says or _page(reply)}"


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else than ConnectWise answered."""
    if words(reply) is None:
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _page(reply: Reply) -> str:
    if b"<html" in reply.body[:2000].lower():
        return ", with a web page instead of data: a proxy answered"
    return ""
