"""The way to Alternative Payments: sign-in, the closed list of what may be asked, errors in words, whole lists.

`POST /payments` charges a customer's card. It is not on the list, nor is any refund: no mistake elsewhere gets there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from connectors.alternative_payments.config import PaymentsSettings
from connectors.alternative_payments.payloads import Page, Problem, Record
from syncd.connect.auth import ClientCredentials
from syncd.connect.contract import Context
from syncd.connect.http import Reply, explain_plainly
from syncd.connect.retry import NOT_NOW
from syncd.errors import UserFault, VendorError
from syncd.model import NotSent, Refused, Unknown, Wire

Row = TypeVar("Row", bound=Record)

READABLE = re.compile(r"(customers|invoices|payments)")
WRITABLE = frozenset({"invoices"})
PAGE_SIZE = 100
MOST_PAGES = 10_000
_LONGEST = 300


def permitted(method: str, path: str) -> bool:
    """Whether a request is on the list. `path` is relative to the API's root, without a query."""
    if method == "GET":
        return READABLE.fullmatch(path) is not None
    return method == "POST" and path in WRITABLE


@dataclass(frozen=True, slots=True)
class Whole(Generic[Row]):
    """A list that was read to its end; `proof` says how that is known."""

    rows: tuple[Row, ...]
    proof: str


class Api:
    """Requests to one partner account. Thread-safe."""

    def __init__(self, settings: PaymentsSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self.http = context.http(
            settings.root, also=(settings.token_root,), headers={"accept": "application/json"}, explain=explain
        )
        self._auth = ClientCredentials(
            f"{settings.token_root}/oauth/token",
            lambda: {"grant_type": "client_credentials"},
            _sign_in_refused,
            wait=settings.retry_wait.total_seconds(),
            pause=self.http.gate.pause,
            headers=self._basic,
        )

    def whole(self, path: str, shape: type[Row], params: Mapping[str, str | int] | None = None) -> Whole[Row]:
        """All rows of a list, in the vendor's order. Raises VendorError, `incomplete` where it has no end."""
        page_shape: Any = Page[shape]  # type: ignore[valid-type]
        rows: dict[str, Row] = {}
        after = ""
        seen: set[str] = set()
        for number in range(1, MOST_PAGES + 1):
            asked = {**(params or {}), "limit": PAGE_SIZE, **({"after": after} if after else {})}
            _hold("GET", path)
            reply = self.http.read(path, params=asked, auth=self._auth)
            page: Page[Row] = reply.parse(page_shape)
            rows |= {row.id: row for row in page.data}
            more, after = _next(reply, page)
            if not more:
                return Whole(tuple(rows.values()), f"{len(rows)} {path} to the end of the list, {number} pages")
            if not after or after in seen:
                raise VendorError("incomplete", f"the list of {path} says that it goes on, and not where")
            seen.add(after)
        raise VendorError("incomplete", f"the list of {path} never ends")

    def look(self, path: str, shape: type[Row], params: Mapping[str, str | int] | None = None) -> tuple[Row, ...]:
        """The first rows of a list: proves a right, not a whole. Raises VendorError."""
        page_shape: Any = Page[shape]  # type: ignore[valid-type]
        _hold("GET", path)
        page: Page[Row] = self.http.read(path, params={**(params or {}), "limit": 1}, auth=self._auth).parse(page_shape)
        return tuple(page.data)

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once. Raises VendorError `unsupported` for what is not on the list, before anything leaves."""
        _hold(wire.method, wire.path)
        return self.http.send(wire, auth=self._auth)

    def close(self) -> None:
        """Closes the sockets."""
        self.http.close()

    def _basic(self) -> Mapping[str, str]:
        """The token request bears id and secret in its header (RFC 6749, 2.3.1)."""
        try:
            secret = self._settings.client_secret.reveal(self._context.folder)
        except UserFault as fault:
            raise VendorError("unauthorized", f"a key of {self._context.name} cannot be read: {fault}") from None
        pair = base64.b64encode(f"{self._settings.client_id}:{secret}".encode()).decode()
        return {"authorization": f"Basic {pair}"}


def _hold(method: str, path: str) -> None:
    if not permitted(method, path):
        raise VendorError("unsupported", f"syncd never asks Alternative Payments for {method} {path}")


def _next(reply: Reply, page: Page[Row]) -> tuple[bool, str]:
    """(whether the list goes on, where). Raises VendorError where it does not say: a client that looks for other fields
    reads the first page for the whole list."""
    if page.has_next_page is not None:
        return page.has_next_page, page.end_cursor or ""
    if page.pagination is not None:
        return page.pagination.has_next_page, page.pagination.end_cursor or ""
    raise VendorError("malformed", f"{reply.where} does not say whether its list goes on")


def explain(reply: Reply) -> tuple[str, str]:
    """(code, sentence) of an unsuccessful answer, with the vendor's words."""
    code, message = explain_plainly(reply)
    said = words(reply)
    if said is None:
        return code, f"{message}, and not with Alternative Payments' own error (a proxy in between?)"
    message += f": {said}"
    if reply.status == 401:
        message += ". The token is refused: check client_id, client_secret and base_url (demo or production)"
    if reply.status == 403:
        message += ". The API key lacks this scope: make one with it under Team Preferences › API Keys"
    return code, message


def words(reply: Reply) -> str | None:
    """What the vendor itself says, on one line; None where the body has none of its shapes."""
    body = reply.try_parse(Problem)
    if body is None:
        return None
    inner = body.error if isinstance(body.error, dict) else {}
    told = body.message or inner.get("message") or (body.error if isinstance(body.error, str) else None)
    if not isinstance(told, str) or not told.strip():
        return None
    fields = [f"{name}: {text}" for name, text in sorted((body.validation_errors or {}).items())]
    return " ".join("; ".join((told, *fields)).split())[:_LONGEST].rstrip(" .")


def refused(reply: Reply) -> Refused | None:
    """A 4xx of a write as a refusal; None where somebody else than the vendor answered."""
    if words(reply) is None:
        return None
    code, sentence = explain(reply)
    return Refused(code, sentence)


def _sign_in_refused(reply: Reply) -> VendorError | None:
    """The error of a refused sign-in, None where it is worth asking again."""
    if reply.status in NOT_NOW:
        return None
    if reply.status not in (400, 401, 403):
        return VendorError("unavailable", f"the sign-in failed with status {reply.status}", status=reply.status)
    return VendorError(
        "unauthorized",
        "Alternative Payments refused the sign-in. Check client_id, client_secret and base_url, or make a new API key "
        "under Partner Dashboard › Team Preferences › API Keys",
        status=reply.status,
    )
