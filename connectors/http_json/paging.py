"""From a declared list to all its records: every way of paging, and how it is known that the list was whole.

Owns the pages. Does not own what a record means (`read`). What always holds: a list either comes whole, as far as its
source lets that be known and with the words for it, or it is a VendorError; a loop, an empty page that names a further
one and a total that disagrees never shorten a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin

from connectors.http_json.config import (
    CursorPaging,
    LinkPaging,
    NextUrlPaging,
    NoPaging,
    OffsetPaging,
    PagePaging,
    Paging,
)
from connectors.http_json.select import Selector, decode
from syncd.connect.http import Http, Reply
from syncd.errors import VendorError

# More pages than any list has: a source that goes on for ever is broken.
MAX_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """One list to be read: its request, where its records stand, how it is paged. `key`: the settings' table."""

    path: str
    params: Mapping[str, str]
    records: Selector
    total: Selector | None
    paging: Paging
    key: str = ""

    def named(self, key: str) -> str:
        """A key of the settings as messages name it: `records`, `each.records`."""
        return f"{self.key}.{key}" if self.key else key


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. `total`: what it says of the whole list, None where it says nothing."""

    rows: list[Any]
    body: Any
    reply: Reply
    total: int | None
    url: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """All records of a list, and how it is known that they are all."""

    rows: list[Any]
    proof: str


class _Moved(Exception):
    """The list changed while it was read; reading it again may help."""


def sweep(http: Http, listing: Listing) -> Sweep:
    """The whole list. One that moved while it was read is read once more. Raises VendorError."""
    try:
        return _once(http, listing)
    except _Moved:
        pass
    try:
        return _once(http, listing)
    except _Moved as moved:
        raise VendorError("incomplete", f"GET {listing.path}: {moved}, twice in a row") from None


def first_page(http: Http, listing: Listing) -> Page:
    """The first answer alone, for a look at what comes. Raises VendorError."""
    return next(_pages(http, listing))


def more_named(listing: Listing, page: Page) -> bool:
    """Whether a page says by itself that another one follows."""
    return not isinstance(listing.paging, PagePaging | OffsetPaging) and _following(listing, page, 1, 0) is not None


def _once(http: Http, listing: Listing) -> Sweep:
    rows: list[Any] = []
    seen: dict[bytes, int] = {}
    total: int | None = None
    number = 0
    for number, page in enumerate(_pages(http, listing), start=1):
        if number == 1:
            total = page.total
        elif page.total is not None and page.total != total:
            raise _Moved(f"the total went from {total} to {page.total} between two pages")
        for row in page.rows:
            if seen.setdefault(_digest(row), number) != number:
                raise _Moved(f"page {number} holds a record of an earlier page")
        rows += page.rows
        if total is not None and len(rows) > total:
            raise _Moved(f"{len(rows)} records came where the total is {total}")
    if total is not None and len(rows) != total:
        raise _Moved(f"{len(rows)} records came where the total is {total}")
    if not rows:
        words = f"{listing.named('records')} ({listing.records.text}) holds no rows, which is not the same as zero"
        raise VendorError("incomplete", f"GET {listing.path}: {words}")
    count = f"{len(rows)} of {total} records" if total is not None else _many(len(rows), "record")
    proof = f"{count} in {_many(number, 'page')}"
    return Sweep(rows, proof if total is not None else f"{proof}; no total is told, {_ENDS[listing.paging.kind]}")


_ENDS = {
    "none": "and no paging is declared",
    "link": "the last page linked to no other",
    "next_url": "the last page named no other",
    "cursor": "the last page named no cursor",
    "page": "an empty page ended it",
    "offset": "an empty page ended it",
}


def _pages(http: Http, listing: Listing) -> Iterator[Page]:
    url, params = http.address(listing.path), {**listing.params, **_first_params(listing.paging)}
    asked: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    read = 0
    for number in range(1, MAX_PAGES + 1):
        step = url, tuple(sorted(params.items()))
        if step in asked:
            raise VendorError(
                "incomplete", f"GET {listing.path}: page {number} is one that was read before; paging runs in a circle"
            )
        asked.add(step)
        reply = http.read(url, params=params or None)
        page = _page(listing, reply, url, first=number == 1)
        yield page
        read += len(page.rows)
        following = _following(listing, page, number, read)
        if following is None:
            return
        if not page.rows:
            raise VendorError("incomplete", f"GET {listing.path}: page {number} is empty and names a further one")
        url, params = following[0], {**following[1]}
    raise VendorError("incomplete", f"GET {listing.path}: no end after {MAX_PAGES} pages")


def _first_params(paging: Paging) -> dict[str, str]:
    match paging:
        case PagePaging():
            return {paging.param: str(paging.start), **_size(paging)}
        case OffsetPaging():
            return {paging.param: "0", **_size(paging)}
    return {}


def _size(paging: PagePaging | OffsetPaging) -> dict[str, str]:
    return {paging.size_param: str(paging.size)} if paging.size_param else {}


def _page(listing: Listing, reply: Reply, url: str, *, first: bool) -> Page:
    body = decode(reply)
    rows = _found(listing, "records", listing.records, body, reply)
    if not isinstance(rows, list):
        what = "finds nothing" if rows is None else "finds no list"
        raise VendorError("malformed", f"{reply.where}: {listing.named('records')} ({listing.records.text}) {what}")
    total: int | None = None
    if listing.total is not None:
        told = _found(listing, "total", listing.total, body, reply)
        whole = _whole_number(told)
        if whole is None and (told is not None or first):  # some vendors tell it on the first page alone
            what = "finds nothing" if told is None else "finds no whole number"
            raise VendorError("malformed", f"{reply.where}: {listing.named('total')} ({listing.total.text}) {what}")
        total = whole
    return Page(rows, body, reply, total, url)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) < 16 else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    fits = 0 <= value < 10**15 and value == int(value)
    return int(value) if fits else None


def _following(listing: Listing, page: Page, number: int, read: int) -> tuple[str, dict[str, str]] | None:
    """Address and parameters of the next page; None where this was the last."""
    paging = listing.paging
    match paging:
        case NoPaging():
            if "next" in page.reply.links:
                words = 'links to a further page. Set paginate = { kind = "link" }'
                raise VendorError("incomplete", f"{page.reply.where} {words}")
            return None
        case LinkPaging():
            link = page.reply.links.get("next")
            return (urljoin(page.url, link), {}) if link else None
        case NextUrlPaging():
            link = _pointer(listing, "next_url", paging.next_url, page)
            return (urljoin(page.url, link), {}) if link else None
        case CursorPaging():
            cursor = _pointer(listing, "cursor", paging.cursor, page)
            return (page.url, {**listing.params, paging.param: cursor}) if cursor else None
        case PagePaging() | OffsetPaging():
            if not page.rows or (page.total is not None and read >= page.total):
                return None
            position = paging.start + number if isinstance(paging, PagePaging) else read
            return page.url, {**listing.params, **_size(paging), paging.param: str(position)}


def _pointer(listing: Listing, key: str, selector: Selector, page: Page) -> str:
    """The cursor or address that a page names; "" where it names none.

    That the last field is absent ends the list. That the object around it is absent is another shape than declared.
    """
    home = selector.home
    if home is not None and _found(listing, key, home, page.body, page.reply) is None:
        words = f'paginate.{key} ({selector.text}): there is no "{home.text}" in the answer'
        raise VendorError("malformed", f"{page.reply.where}: {words}")
    found = _found(listing, key, selector, page.body, page.reply)
    if found is None or found == "":
        return ""
    if isinstance(found, bool) or not isinstance(found, str | int):
        raise VendorError(
            "malformed", f"{page.reply.where}: paginate.{key} ({selector.text}) finds neither text nor a number"
        )
    return str(found)


def _found(listing: Listing, key: str, selector: Selector, body: Any, reply: Reply) -> Any:
    try:
        return selector.find(body)
    except ValueError as error:
        raise VendorError("malformed", f"{reply.where}: {listing.named(key)} ({selector.text}) {error}") from None


def _digest(row: Any) -> bytes:
    return hashlib.blake2b(repr(row).encode(errors="backslashreplace"), digest_size=16).digest()


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
