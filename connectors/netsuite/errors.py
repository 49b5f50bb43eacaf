"""Turns NetSuite's errors into one sentence, and tells the few that mean something of their own. Decides no retry.

The code is often a catch-all (USER_ERROR, INVALID_CONTENT) and the truth stands in the detail, in the language of the
integration's user: English is asked for in the README.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import field

from connectors.netsuite.signing import clock
from syncd.connect.http import Reply
from syncd.model import Refused

_LONGEST = 500
_DUPLICATE = re.compile(r"already exists|DUP_RCRD|duplicate.{0,40}external", re.IGNORECASE)
_CLOSED = re.compile(r"period\b.{0,60}\b(closed|locked)|\b(closed|locked)\b.{0,30}period", re.IGNORECASE)
_MISSING_FEATURE = re.compile(r"approvalStatus", re.IGNORECASE)


class Detail(msgspec.Struct):
    detail: str = ""
    code: str = field(name="o:errorCode", default="")
    path: str = field(name="o:errorPath", default="")


class Fault(msgspec.Struct):
    """The body of an unsuccessful answer."""

    details: list[Detail] = field(name="o:errorDetails")
    title: str = ""


def words(reply: Reply) -> str | None:
    """What NetSuite itself says, on one line; None where the body has not its shape."""
    fault = reply.try_parse(Fault)
    if fault is None or not fault.details:
        return None
    told = []
    for one in fault.details:
        where = f" at {one.path}" if one.path else ""
        code = f" ({one.code})" if one.code else ""
        told.append(f"{' '.join(one.detail.split()).rstrip('.') or fault.title}{where}{code}")
    return "; ".join(dict.fromkeys(told))[:_LONGEST]


def is_duplicate(reply: Reply) -> bool:
    """Whether a record with this externalId is there already."""
    return reply.status in (400, 409) and bool(_DUPLICATE.search(words(reply) or ""))


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    said = words(reply)
    says = f": {said}" if said else _page(reply)
    match reply.status:
        case 401:
            return "unauthorized", (
                f"NetSuite refused the sign-in for {reply.where}{says}. The Login Audit Trail shows why: role, "
                "certificate or token, or a clock that is off" + "".join(f"; {one}" for one in clock(reply.headers))
            )
        case 403:
            return "forbidden", f"NetSuite forbids {reply.where}{says}. The integration's role lacks this permission"
        case 404:
            return "not_found", f"NetSuite does not find {reply.where}{says}; it may be hidden from the role"
        case 429:
            return "throttled", f"NetSuite's pool of simultaneous requests is used up{says}"
        case status if status >= 500 or status in (408, 425):
            return "unavailable", f"NetSuite failed at {reply.where} with status {status}{says}"
        case status:
            return "invalid", f"NetSuite rejected {reply.where} with status {status}{says}{_mend(said or '')}"


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else than NetSuite answered."""
    if words(reply) is None:
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _mend(said: str) -> str:
    if _CLOSED.search(said):
        return ". The accounting period is closed: open it in NetSuite, or let syncd post into the next one"
    if _MISSING_FEATURE.search(said):
        return (
            ". Switch on approval routing for invoices in NetSuite, or set approval = false in the connection where "
            "invoices may post at once"
        )
    return ""


def _page(reply: Reply) -> str:
    if b"<html" in reply.body[:2000].lower():
        return ", with a web page instead of data: a proxy answered"
    return ""
