"""The way to one organisation's books: sign-in, which organisation, the limits, and the closed list of what may be
asked. Knows no record.

Xero's `POST` on a collection overwrites the invoice that bears the number; `POST` on one changes it, mails it or voids
it. Only `PUT` of new invoices and credit notes is on the list, so no mistake elsewhere can reach the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NoReturn
from urllib.parse import urlsplit

from connectors.xero.config import XeroSettings
from connectors.xero.errors import explain
from connectors.xero.payloads import Link
from connectors.xero.signing import signer
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.connect.once import Once
from syncd.connect.retry import Again
from syncd.errors import VendorError
from syncd.model import NotSent, Refused, Unknown, Wire

ROOT = "api.xro/2.0/"
READABLE = re.compile(r"Organisation|Contacts|Items|Invoices|CreditNotes|RepeatingInvoices(/[0-9A-Fa-f-]{36})?")
WRITABLE = frozenset({"Invoices", "CreditNotes"})
TENANT = "xero-tenant-id"
# So many calls of a day are kept for postings and the looks around them (a Starter app has 1,000).
RESERVE = 100
# Where Xero says that the day is used up and not until when; and a minute whose end is not told.
DAY_UNKNOWN = 3600.0
MINUTE = 60.0


def permitted(method: str, path: str) -> bool:
    """Whether a request is on the list. `path` is relative to the API's root, without a query."""
    if method == "GET":
        return READABLE.fullmatch(path) is not None
    return method == "PUT" and path in WRITABLE


class Api:
    """Requests to one organisation. Thread-safe. The sign-in's organisations are asked for once, before all else."""

    def __init__(self, settings: XeroSettings, context: Context) -> None:
        self.tenant = settings.tenant_id.strip().lower()
        self._http = context.http(
            settings.base_url,
            explain=self._explain,
            also=(settings.token_url,),
            auth=signer(settings, context),
            headers={"accept": "application/json"},  # else Xero answers in XML
        )
        self.host = urlsplit(settings.base_url).netloc
        self.link = Once(self._link)
        self._left_today: int | None = None

    def read(self, path: str, params: Mapping[str, str | int] | None = None, *, urgent: bool = False) -> Reply:
        """GETs a path of the organisation. Raises VendorError; `deferred` where the day's calls are nearly used up.

        `urgent`: a look around a posting, which may use the calls that are kept back.
        """
        if not permitted("GET", path):
            _never("GET", path)
        self.link.get()
        left = self._left_today
        if not urgent and left is not None and left < RESERVE:
            raise VendorError(
                "deferred", f"Xero allows {left} more calls today; they are kept for postings, a later cycle reads on"
            )
        reply = self._http.read(f"{ROOT}{path}", params=params, headers={TENANT: self.tenant})
        self._note(reply)
        return reply

    def send(self, wire: Wire) -> Reply | NotSent | Unknown | Refused:
        """Sends a write once: to the organisation that it was planned for, which must be the one of this connection."""
        path = wire.path.partition("?")[0].removeprefix(ROOT)
        headers = {name.lower(): value for name, value in wire.headers}
        if not permitted(wire.method, path) or not wire.path.startswith(ROOT):
            return Refused("unsupported", f"syncd never asks Xero for {wire.method} {path}")
        if headers.get(TENANT) != self.tenant or not headers.get("idempotency-key"):
            return Refused(
                "wrong_tenant",
                f"this was planned for the organisation {headers.get(TENANT)}, and tenant_id is {self.tenant} now; "
                "nothing was sent",
            )
        try:
            self.link.get()
        except VendorError as error:
            return NotSent(str(error))
        try:
            reply = self._http.send(wire)
        except Again as again:  # the sign-in was put off: nothing of ours left
            return NotSent(str(again), Decimal(math.ceil(again.wait or 0)))
        if isinstance(reply, Reply):
            self._note(reply)
            if reply.status == 429:
                self._explain(reply)
        return reply

    def close(self) -> None:
        """Closes the sockets."""
        self._http.close()

    def _link(self) -> Link:
        """The organisation, as the sign-in names it. Raises VendorError where it does not reach it."""
        links = self._http.read("connections").parse(list[Link])
        for one in links:
            if one.tenant_id.lower() == self.tenant:
                return one
        named = ", ".join(sorted(f'"{one.tenant_name or "?"}" ({one.tenant_id})' for one in links))
        raise VendorError(
            "unauthorized",
            f"this sign-in does not reach the Xero organisation {self.tenant}; it is connected to "
            f"{named or 'none at all'}. Set tenant_id to the one that is meant, or connect the app to it (a demo "
            "company that was reset has a new id)",
        )

    def _note(self, reply: Reply) -> None:
        """Remembers what is left of the limits, and waits before the next call would be refused."""
        today, minute = (_count(reply.headers.get(f"x-{which}limit-remaining")) for which in ("day", "min"))
        if today is not None:
            self._left_today = today
        if minute == 0 and reply.status != 429:
            self._http.gate.hold(MINUTE)

    def _explain(self, reply: Reply) -> tuple[str, str]:
        if reply.status == 429 and not reply.headers.get("retry-after"):
            problem = reply.headers.get("x-rate-limit-problem", "").lower()
            if problem in ("day", "minute", "appminute"):
                self._http.gate.hold(DAY_UNKNOWN if problem == "day" else MINUTE)
        return explain(reply)


def _count(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdigit() else None


def _never(method: str, path: str) -> NoReturn:
    raise VendorError("unsupported", f"syncd never asks Xero for {method} {path}")
