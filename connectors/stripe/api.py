"""The way to one Stripe account: key, version, the closed list of what may be asked, lists that are read whole.

Stripe has calls that finalise, pay, send or void invoices, move money and delete. They are not on the list, and neither
is `always_invoice`, which charges a card at once; so no mistake elsewhere can reach them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from connectors.stripe.config import VERSION, Key, StripeSettings, key
from connectors.stripe.errors import explain
from connectors.stripe.forms import Value, fields_of, pairs
from connectors.stripe.payloads import Moded, Page
from syncd.connect.auth import Basic
from syncd.connect.contract import Context
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

Row = TypeVar("Row")

READABLE = re.compile(
    r"v1/(customers|products|prices|invoiceitems|credit_notes|subscription_items"
    r"|subscriptions(/\w+)?|subscription_items/\w+|invoices(/\w+(/lines)?)?|credit_notes/\w+/lines"
    r"|billing/meters(/\w+/event_summaries)?)"
)
# Paths that may be written, and the fields that may stand in their bodies (the name before the first bracket).
_ITEM = frozenset({"quantity", "proration_behavior", "proration_date", "metadata"})
WRITABLE: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = (
    (re.compile(r"v1/subscription_items/\w+"), _ITEM),
    (re.compile(r"v1/subscription_items"), _ITEM | {"subscription", "price"}),
    (
        re.compile(r"v1/invoiceitems"),
        frozenset(
            "customer subscription price_data quantity_decimal discountable currency description period "
            "metadata".split()
        ),
    ),
    (re.compile(r"v1/billing/meter_events"), frozenset({"event_name", "identifier", "timestamp", "payload"})),
)
_FORBIDDEN = "always_invoice"

PAGE_SIZE = 100  # the vendor's limit
MAX_PAGES = 5000
# Rows may go while a list is read, and with them the place to read on from.
PASSES = 6


@dataclass(frozen=True, slots=True)
class Whole(Generic[Row]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[Row, ...]
    proof: str


def permitted(method: str, path: str, body: bytes = b"") -> bool:
    """Whether a request is on the list. `path` is relative to the API's root, without a query."""
    if method == "GET":
        return READABLE.fullmatch(path) is not None
    fields = fields_of(body)
    names = {name.partition("[")[0] for name in fields}
    return (
        method == "POST"
        and fields.get("proration_behavior") != _FORBIDDEN
        and any(pattern.fullmatch(path) and names <= allowed for pattern, allowed in WRITABLE)
    )


class Api:
    """Requests to one account. Thread-safe."""

    def __init__(self, settings: StripeSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = context.http(
            settings.root,
            explain=explain,
            headers={"stripe-version": VERSION, "accept": "application/json"},
            auth=Basic(lambda: (self.key().secret, "")),
        )

    def key(self) -> Key:
        """The key in force, read anew. Raises VendorError `unauthorized` where its shape is not that of a key."""
        return key(self._settings.api_key.reveal(self._context.folder))

    def read(self, path: str, params: Mapping[str, Value] | None = None) -> Reply:
        """GETs a path. Raises VendorError."""
        if not permitted("GET", path):
            raise VendorError("unsupported", f"syncd never asks Stripe for {path}")
        return self._http.read(path, params=dict(pairs(params or {})))

    def look(self, path: str) -> None:
        """Reads one record of a list, to see that it may be read and whose mode it is. Raises VendorError."""
        page = self.read(path, {"limit": 1}).parse(Page[Moded])
        for row in page.data:
            same_mode(row, self.key())

    def send(self, wire: Wire) -> Reply | NotSent | Unknown:
        """Sends a write once. Raises VendorError `unsupported` for what is not on the list, before anything leaves."""
        if not permitted(wire.method, wire.path, wire.body):
            raise VendorError("unsupported", f"syncd never asks Stripe for {wire.method} {wire.path} with this body")
        return self._http.send(wire)

    def whole(self, path: str, shape: type[Row], what: str, params: Mapping[str, Value] | None = None) -> Whole[Row]:
        """All rows of a list, newest first. Raises VendorError, `incomplete` where it cannot be read to its end."""
        trouble = ""
        for _ in range(PASSES):
            rows, pages, trouble = self._pass(path, shape, params or {})
            if not trouble:
                return Whole(
                    tuple(rows.values()), f"{len(rows)} {what} in {pages} page{'s' if pages > 1 else ''}, to the end"
                )
        raise VendorError("incomplete", f"Stripe's list of {what} cannot be read to its end: {trouble}")

    def rest(self, path: str, shape: type[Row], what: str, first: Page[Row], params: Mapping[str, Value]) -> list[Row]:
        """All rows of a list inside another record, which shows only its first ten. Raises VendorError."""
        if not first.has_more:
            return first.data
        return list(self.whole(path, shape, what, params).rows)

    def _pass(self, path: str, shape: type[Row], params: Mapping[str, Value]) -> tuple[dict[str, Row], int, str]:
        """(rows by id, pages read, why they are not the whole list)."""
        page_shape: Any = Page[shape]  # type: ignore[valid-type]
        mode = self.key()
        rows: dict[str, Row] = {}
        after: dict[str, Value] = {}
        for number in range(1, MAX_PAGES + 1):
            try:
                reply = self.read(path, {**params, "limit": PAGE_SIZE, **after})
            except VendorError as error:
                if after and error.status in (400, 404):
                    return rows, number, f"the record to read on from is gone ({error})"
                raise
            page: Page[Row] = reply.parse(page_shape)
            if page.object != "list":
                raise VendorError("malformed", f"{reply.where} answered with {page.object!r} instead of a list")
            for row in page.data:
                same_mode(row, mode)
                name: str = row.id  # type: ignore[attr-defined]
                if name in rows:
                    return rows, number, f"{name} came twice"
                rows[name] = row
            if not page.has_more:
                return rows, number, ""
            if not page.data:
                return rows, number, "a page is empty though more is promised"
            after = {"starting_after": next(reversed(rows))}
        return rows, MAX_PAGES, f"more than {MAX_PAGES} pages"

    def close(self) -> None:
        """Closes the sockets."""
        self._http.close()


def same_mode(row: object, mode: Key) -> None:
    """Raises VendorError `wrong_tenant` where a record is of the other mode than the key."""
    told = getattr(row, "livemode", None)
    if told is not None and told is not mode.live:
        other = "live" if told else "test"
        raise VendorError(
            "wrong_tenant", f"Stripe answered with a record of its {other} mode, but api_key is of {mode.mode}"
        )
