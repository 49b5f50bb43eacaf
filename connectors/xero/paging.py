"""Reads a list whole, or says that it could not. Owns Xero's paging; knows no record but its id.

`page` is always sent: without it Xero leaves the lines of documents out. Lists are ordered by `UpdatedDateUTC`, so
that what is new or changed moves to the end; a row that slips over a page's edge then shows as one that is missing and
one that came twice, and `itemCount` tells. Where rows can leave a list (a document's date is changed), one may go and
another come, and the count stays as it was: such a list is read until two scans agree, if it has several pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from connectors.xero.api import Api
from connectors.xero.payloads import NO_ID, Pages, Record
from syncd.connect.http import Reply
from syncd.errors import VendorError

R = TypeVar("R", bound=Record)

PAGE_SIZE = 1000
TRIES = 4
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Whole(Generic[R]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[R, ...]
    proof: str


def whole(
    api: Api,
    path: str,
    shape: type[R],
    params: Mapping[str, str | int] | None = None,
    *,
    leaves: bool = True,
    urgent: bool = False,
) -> Whole[R]:
    """All rows of a paged list, by id. Raises VendorError, `incomplete` where wholeness cannot be proved.

    `leaves`: whether a row can drop out of the list while it is read.
    """
    before: list[str] = []
    seen = 0
    rows: dict[str, R] = {}
    total: int | None = None
    for _ in range(TRIES):
        rows, seen, total, pages = _scan(api, path, shape, params or {}, urgent)
        steady = pages <= 1 or not leaves or sorted(rows) == before
        if len(rows) == seen and total in (None, seen) and steady:
            told = "to the empty page" if total is None else f"itemCount says {total}"
            return Whole(tuple(rows[key] for key in sorted(rows)), f"{seen} {path} in {pages} pages, {told}")
        before = sorted(rows)
    lack = f"and its itemCount says {total}" if total not in (None, len(rows)) else "and other ones each time"
    raise VendorError("incomplete", f"Xero's {path} gave {len(rows)} rows {lack}, in {TRIES} attempts")


def single(api: Api, path: str, shape: type[R], params: Mapping[str, str | int] | None = None) -> Whole[R]:
    """All rows of a list that Xero gives at once. A count, where one is told, is held against them."""
    reply = api.read(path, params)
    rows, pages = _page(reply, path, shape)
    found = {row.key: row for row in rows}
    if len(found) != len(rows) or (pages is not None and pages.rows != len(rows)):
        raise VendorError("incomplete", f"Xero's {path} gave {len(found)} of {pages.rows if pages else len(rows)} rows")
    return Whole(tuple(found[key] for key in sorted(found)), f"{len(rows)} {path} in one list")


def _scan(
    api: Api, path: str, shape: type[R], params: Mapping[str, str | int], urgent: bool
) -> tuple[dict[str, R], int, int | None, int]:
    """(rows by id, how many were shown, how many the last page says there are, number of pages that held rows)."""
    rows: dict[str, R] = {}
    seen = 0
    for number in range(1, _MOST_PAGES):
        asked = {**params, "page": number, "pageSize": PAGE_SIZE, "order": "UpdatedDateUTC"}
        shown, pages = _page(api.read(path, asked, urgent=urgent), path, shape)
        seen += len(shown)
        rows |= {row.key: row for row in shown}
        if not shown:
            return rows, seen, pages.rows if pages else None, max(number - 1, 1)
        if pages is not None and number >= pages.pages:
            return rows, seen, pages.rows, number
    raise VendorError("incomplete", f"Xero's {path} never ends")


def _page(reply: Reply, path: str, shape: type[R]) -> tuple[list[R], Pages | None]:
    """One answer: an object with a list under the resource's name, and what the paging tells."""
    members = reply.parse(dict[str, msgspec.Raw])
    name = path.partition("/")[0]
    if name not in members:
        raise VendorError("malformed", f"{reply.where} answered without its list of {name}")
    rows: list[R] = replace(reply, body=bytes(members[name])).parse(list[shape])  # type: ignore[valid-type]
    if any(row.key in ("", NO_ID) for row in rows):
        raise VendorError("malformed", f"{reply.where} answered with a record without an id")
    told = members.get("pagination")
    return rows, replace(reply, body=bytes(told)).parse(Pages | None) if told is not None else None  # type: ignore[arg-type]
