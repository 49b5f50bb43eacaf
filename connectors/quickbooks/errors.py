"""Turns every shape of QuickBooks' errors into one sentence. Knows the shapes and codes; decides no retry.

Seen: `{"Fault": {"Error": [...], "type"}}`, also with HTTP 200; the same in lower case from the sign-in's gate; the
same as XML; and pages of whatever stands in front. `intuit_tid` is what Intuit's support asks for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from syncd.connect.http import Reply
from syncd.model import Refused

_LONGEST = 500
DUPLICATE_NUMBER = frozenset({"6140"})

# Code -> (our code, what is said before QuickBooks' own words, how to mend it).
_CHANGED = "says that the record was changed meanwhile (SyncToken)"
_MEANING: dict[str, tuple[str, str, str]] = {
    "3200": ("unauthorized", "refused the sign-in", "If it stays, connect the company again and set refresh_token"),
    "100": ("forbidden", "denies this company", "The user who connected it may have lost access: connect again"),
    "120": ("forbidden", "denies this company", "The user who connected it may have lost access: connect again"),
    "3100": ("forbidden", "denies this company", "Check realm_id, and that the token was made for this company"),
    "3001": ("throttled", "throttles", ""),
    "610": (
        "not_found",
        "does not find a record that is named, or it was made inactive",
        "Make the customer or item active again, or change the mapping",
    ),
    "2010": ("invalid", "does not know a field that was sent", "This is syncd's to mend: please report it"),
    "2020": ("invalid", "misses a field", "This is syncd's to mend: please report it"),
    "5010": (
        "invalid",
        _CHANGED,
        "It is planned anew from what is there",
    ),
    "2030": (
        "invalid",
        _CHANGED,
        "It is planned anew from what is there",
    ),
    "6000": ("invalid", "refuses it by a rule of the books", ""),
    "6070": ("invalid", "finds that amount and quantity × price differ", ""),
    "6140": ("invalid", "has that document number already", ""),
    "6190": ("forbidden", "says that the company's subscription has lapsed", "Renew it in QuickBooks"),
    "6210": ("invalid", "refuses it because the books are closed", "Reopen the period in QuickBooks, or date it later"),
    "6240": ("invalid", "has a record of that name already", ""),
}
_SYSTEM = frozenset({"SYSTEMFAULT", "SERVICE", "SERVICEFAULT"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What QuickBooks says is wrong: the codes in its order, and its own words on one line."""

    kind: str
    codes: tuple[str, ...]
    words: str

    @property
    def passing(self) -> bool:
        """Whether it is trouble of the service, which does not say that nothing was done."""
        known = any(code in _MEANING and code != "3001" for code in self.codes)
        return self.kind.upper() in _SYSTEM and not known


def fault(reply: Reply) -> Fault | None:
    """The fault in a body, whatever its status; None where QuickBooks names none."""
    body = reply.try_parse(Any)
    if isinstance(body, dict):
        found = body.get("Fault") or body.get("fault")
        return _of(found) if isinstance(found, dict) else None
    if reply.body.lstrip()[:200].startswith(b"<") and b"Fault" in reply.body[:2000]:
        return _of_xml(reply.body[:4000].decode(errors="replace"))
    return None


def _of(found: dict[str, Any]) -> Fault:
    rows = found.get("Error") or found.get("error") or []
    told, codes = [], []
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        fields = {str(name).casefold(): " ".join(str(value).split()) for name, value in row.items() if value}
        codes.append(_code(fields))
        told.append(_sentence(fields))
    return Fault(str(found.get("type") or ""), tuple(codes), "; ".join(dict.fromkeys(filter(None, told)))[:_LONGEST])


def _of_xml(text: str) -> Fault:
    def of(pattern: str) -> str:
        found = re.search(pattern, text, re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    fields = {"message": of(r"<Message>([^<]*)<"), "detail": of(r"<Detail>([^<]*)<"), "code": of(r'code="(\w+)"')}
    return Fault(of(r'<Fault[^>]*\btype="(\w+)"'), (_code(fields),), _sentence(fields)[:_LONGEST])


def _code(fields: dict[str, str]) -> str:
    """The code without leading zeros; the gate writes it only into its message ("errorCode=003200")."""
    told = fields.get("code", "")
    if not told.isdigit():
        inside = re.search(r"errorCode=(\d+)", f"{fields.get('message', '')} {fields.get('detail', '')}")
        told = inside[1] if inside else ""
    return told.lstrip("0")


def _sentence(fields: dict[str, str]) -> str:
    message, detail = fields.get("message", "").rstrip(" ."), fields.get("detail", "").rstrip(" .")
    said = message if not detail or detail.casefold() in message.casefold() else f"{message}: {detail}"
    if message and message.casefold() in detail.casefold():
        said = detail
    element = fields.get("element", "")
    return f"{said} (field {element})" if element else said


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful reply; see VendorError for the codes."""
    found = fault(reply)
    said = f": {found.words}" if found and found.words else ""
    ticket = reply.headers.get("intuit_tid", "")
    trace = f" [intuit_tid {ticket}]" if re.fullmatch(r"[\w.-]{1,80}", ticket) else ""
    for code in found.codes if found else ():
        if code in _MEANING:
            ours, what, mend = _MEANING[code]
            if ours == "invalid" and found is not None and _closed(found.words):
                what, mend = _MEANING["6210"][1:]
            return ours, f"QuickBooks {what} (code {code}){said}" + (f". {mend}" if mend else "") + trace
    number = f" (code {found.codes[0]})" if found and found.codes and found.codes[0] else ""
    match reply.status:
        case 401:
            return "unauthorized", (
                f"QuickBooks refused the sign-in for {reply.where}{number}{said}. If it stays, connect the company "
                f"again and set refresh_token{trace}"
            )
        case 403:
            return "forbidden", (
                f"QuickBooks forbids {reply.where}{number}{said}. Check realm_id, and that the user who connected the "
                f"company still has access{trace}"
            )
        case 404:
            return "not_found", f"QuickBooks does not find {reply.where}{number}{said}{trace}"
        case 429:
            return "throttled", f"QuickBooks throttles{number}{said}{trace}"
        case status if status >= 500 or status in (408, 425):
            return "unavailable", f"QuickBooks failed at {reply.where} with status {status}{number}{said}{trace}"
        case 200:
            return "invalid", f"QuickBooks answered {reply.where} with an error{number}{said}{trace}"
        case status:
            said = said or _page(reply)
            return (
                "invalid",
                f"QuickBooks rejected {reply.where} with status {status}{number}{said}{trace}",
            )


def refused(reply: Reply) -> Refused | None:
    """A write's answer as a refusal; None where it is no fault, or one that does not say that nothing was done."""
    found = fault(reply)
    if found is None or found.passing:
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _closed(words: str) -> bool:
    """Whether a business rule speaks of closed books: the code alone (6000) says only "a rule"."""
    text = words.casefold()
    return "clos" in text and any(word in text for word in ("period", "books", "closing date"))


def _page(reply: Reply) -> str:
    if b"<html" in reply.body[:2000].lower():
        return ", with a web page instead of data: a proxy answered"
    return ""
