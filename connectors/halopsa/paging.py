"""Reads a list whole, or says that it could not. Owns Halo's paging; knows no record but its id.

Halo may cap a page below the size that was asked for and still tell the right `record_count`, so nothing is computed
from the size asked: a capped page is asked for anew in the size that came back, and the list ends where as many
distinct ids were seen as the count says, or at an empty page. A list of several pages is read twice: one row lost and
another one gone between two pages would leave the count as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import msgspec

from connectors.halopsa.api import Api
from connectors.halopsa.payloads import Action, Record
from syncd.connect.http import Reply
from syncd.errors import VendorError

R = TypeVar("R", bound=Record)

PAGE_SIZE = 100
TRIES = 4
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Whole(Generic[R]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[R, ...]
    proof: str


@dataclass(frozen=True, slots=True)
class _Page(Generic[R]):
    rows: list[R]
    total: int | None


def whole(
    api: Api,
    path: str,
    shape: type[R],
    *,
    params: Mapping[str, str | int] | None = None,
    pages: bool = True,
    counted: bool = True,
) -> Whole[R]:
    """All rows of a list, by rising id. Raises VendorError, `incomplete` where wholeness cannot be proved.

    `pages`: whether the endpoint pages at all; where not, its one answer is held against its count, and without one
    nothing tells that it was not cut short. `counted`: whether such a list must have that count.
    """
    asked = dict(params or {})
    before: list[int] = []
    rows: dict[object, R] = {}
    total: int | None = None
    for _ in range(TRIES):
        rows, total, count = _scan(api, path, shape, asked, pages)
        if total is None and counted and not pages:
            raise VendorError("incomplete", f"Halo's {path} gave {len(rows)} rows and no record_count to prove them")
        ids = [row.id for row in rows.values()]
        steady = count <= 1 or ids == before
        if steady and total in (None, len(rows)):
            ordered = tuple(sorted(rows.values(), key=lambda row: row.id))
            told = "to the empty page" if total is None else f"record_count says {total}"
            return Whole(ordered, f"{len(rows)} rows in {count} pages, {told}")
        before = ids
    lack = f"and its record_count says {total}" if total not in (None, len(rows)) else "and other ones each time"
    raise VendorError("incomplete", f"Halo's {path} gave {len(rows)} rows {lack}, in {TRIES} attempts")


def _scan(
    api: Api, path: str, shape: type[R], params: dict[str, str | int], pages: bool
) -> tuple[dict[object, R], int | None, int]:
    """(rows by what names them, the last count told, number of pages that held rows)."""
    if not pages:
        page = _page(api.read(path, params=params), shape)
        return _named(page.rows), page.total, 1
    size = PAGE_SIZE
    rows: dict[object, R] = {}
    number = 1
    while number <= _MOST_PAGES:
        order: dict[str, str | int] = {"order": "id", "pageinate": "true", "page_size": size, "page_no": number}
        page = _page(api.read(path, params={**params, **order}), shape)
        fresh = {name: row for name, row in _named(page.rows).items() if name not in rows}
        rows |= fresh
        if not page.rows or (page.total is not None and len(rows) >= page.total):
            return rows, page.total, number - (not page.rows)
        if page.total is None and not fresh:  # a list that knows no pages shows the same rows for ever
            return rows, None, 1
        if number == 1 and len(page.rows) < size:
            # Capped: whether the next page begins after what came back or after what was asked for is not told.
            size, rows = len(page.rows), {}
            page = _page(api.read(path, params={**params, **order, "page_size": size}), shape)
            rows |= _named(page.rows)
            if len(page.rows) < size:
                return rows, page.total, 1
        number += 1
    raise VendorError("incomplete", f"Halo's {path} never ends")


def _named(rows: list[R]) -> dict[object, R]:
    return {_name(row): row for row in rows}


def _name(row: Record) -> object:
    """An action's id is only unique within its ticket."""
    return (row.ticket_id, row.id) if isinstance(row, Action) else row.id


def _page(reply: Reply, shape: type[R]) -> _Page[R]:
    """One answer: an object with a count and one array, or a bare array (small lists)."""
    if reply.body.lstrip()[:1] == b"[":
        return _Page(reply.parse(list[shape]), None)  # type: ignore[valid-type]
    members = reply.parse(dict[str, msgspec.Raw])
    lists = {name: bytes(raw) for name, raw in members.items() if bytes(raw).lstrip()[:1] == b"["}
    if len(lists) != 1:
        what = "no list" if not lists else f"{len(lists)} lists ({', '.join(sorted(lists))})"
        raise VendorError("malformed", f"{reply.where} answered with {what} where one was expected")
    (body,) = lists.values()
    rows: list[R] = replace(reply, body=body).parse(list[shape])  # type: ignore[valid-type]
    count = members.get("record_count")
    total = replace(reply, body=bytes(count)).parse(int) if count is not None else None
    return _Page(rows, total)


def newest(
    api: Api, path: str, shape: type[R], wanted: Callable[[R], bool], params: Mapping[str, str | int], most: int
) -> tuple[R, ...]:
    """The newest rows, by falling id, while they are wanted; at most so many pages. Proves nothing."""
    rows: list[R] = []
    for number in range(1, most + 1):
        order: dict[str, str | int] = {
            "order": "id", "orderdesc": "true", "pageinate": "true", "page_size": PAGE_SIZE, "page_no": number,
        }  # fmt: skip
        page = _page(api.read(path, params={**params, **order}), shape)
        keep = [row for row in page.rows if wanted(row)]
        rows += keep
        if not page.rows or len(keep) < len(page.rows) or (page.total is not None and len(rows) >= page.total):
            break
    return tuple(rows)
