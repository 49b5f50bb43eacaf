"""Reads a list whole, or says that it could not. Owns both paging ways of ConnectWise; knows no record but its id.

Forward-only paging is asked for first: rows come by rising id, and `pageId` means "greater than this id", so rows that
others add or delete meanwhile cannot push one over a page's edge. The end is where the endpoint's own count is reached,
or an empty page where it has no count. A short page alone is no end, and an empty one is not believed against the
count: half a list would hide a mark, and its line would be posted a second time.

Some endpoints ignore the header; that shows (ids that do not rise, the same page again, links with page numbers), and
the list is then read by page number, ordered by id, without doubles, compared with the endpoint's own count, and read
once more where it has several pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from connectors.connectwise.api import Api
from connectors.connectwise.payloads import Counted, Record
from syncd.connect.http import Reply
from syncd.errors import VendorError

R = TypeVar("R", bound=Record)

PAGE_SIZE = 1000  # the vendor's limit; the default of 25 would lose rows
TRIES = 4


@dataclass(frozen=True, slots=True)
class Whole(Generic[R]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[R, ...]
    proof: str


def whole(
    api: Api,
    path: str,
    shape: type[R],
    *,
    conditions: str = "",
    fields: str = "",
    countable: bool = True,
    optional: bool = False,
) -> Whole[R]:
    """All rows of a list, by rising id. Raises VendorError, `incomplete` where wholeness cannot be proved.

    `countable`: whether the endpoint has a count. `optional`: a 404 is no reason to look for another code base.
    """
    scan = _Scan(api, path, shape, conditions, fields, optional, countable)
    before: list[int] = []
    told: int | None = None
    ids: list[int] = []
    for _ in range(TRIES):
        forward = scan.forward()
        rows = scan.numbered() if forward is None else forward
        ids = [row.id for row in rows]
        told = scan.reached if forward is not None and scan.reached is not None else scan.count()
        # A count cannot see one row lost and another one gone: several numbered pages must be read twice alike.
        steady = forward is not None or scan.pages <= 1 or ids == before
        if steady and told in (None, len(rows)):
            way = f"{scan.pages} numbered pages" if forward is None else "ids rising"
            if forward is not None and told is None:
                way = "to the empty page, ids rising"
            return Whole(tuple(rows), f"{len(rows)} rows, {way}" + ("" if told is None else f", count says {told}"))
        before = ids
    lack = f"and its count says {told}" if told not in (None, len(ids)) else "and other ones each time"
    raise VendorError("incomplete", f"{path} gave {len(ids)} rows {lack}, in {TRIES} attempts one after another")


class _Scan(Generic[R]):
    def __init__(
        self, api: Api, path: str, shape: type[R], conditions: str, fields: str, optional: bool, countable: bool
    ) -> None:
        self._api = api
        self._path = path
        self._list: Any = list[shape]  # type: ignore[valid-type]
        self._filter: dict[str, str | int] = {"conditions": conditions} if conditions else {}
        self._params: dict[str, str | int] = {
            **self._filter,
            **({"fields": fields} if fields else {}),
            "pageSize": PAGE_SIZE,
        }
        self._optional = optional
        self._kind = re.sub(r"\d+", "#", path)
        self._countable = countable
        self.pages = 0
        self.reached: int | None = None  # the count, where the last forward scan ended by reaching it

    def forward(self) -> list[R] | None:
        """The list by `pageId`; None where the server does not page that way, or was seen not to for such lists."""
        self.reached = None
        if self._kind in self._api.numbered:
            return None
        rows: list[R] = []
        last = 0
        told: int | None = None
        while True:
            reply = self._api.read(
                self._path,
                params={**self._params, "pageId": last},
                headers={"pagination-type": "forward-only"},
                optional=self._optional,
            )
            page: list[R] = reply.parse(self._list)
            if not page:
                return rows
            ids = [last, *(row.id for row in page)]
            if any(after <= before for before, after in pairwise(ids)) or _numbered(reply):
                self._api.numbered.add(self._kind)
                return None
            rows += page
            last = ids[-1]
            if len(page) < PAGE_SIZE:
                told = self.count() if told is None else told
                if told == len(rows):
                    self.reached = told
                    return rows

    def numbered(self) -> list[R]:
        """The list by `page`, ordered by id; rows that slid onto a later page are kept once."""
        rows: dict[int, R] = {}
        self.pages = 0
        while True:
            reply = self._api.read(
                self._path,
                params={**self._params, "orderBy": "id asc", "page": self.pages + 1},
                optional=self._optional,
            )
            page: list[R] = reply.parse(self._list)
            fresh = {row.id: row for row in page if row.id not in rows}
            if not fresh:  # past the end; or a server without pages, which the count then proves or not
                break
            self.pages += 1
            rows |= fresh
        return [rows[one] for one in sorted(rows)]

    def count(self) -> int | None:
        """The endpoint's own count, None where it has none."""
        if not self._countable or self._kind in self._api.uncounted:
            return None
        try:
            reply = self._api.read(f"{self._path}/count", params=self._filter, optional=True)
            return reply.parse(Counted).count
        except VendorError as error:
            if error.code in ("not_found", "forbidden", "invalid", "malformed"):
                if error.code == "not_found":
                    self._api.uncounted.add(self._kind)
                return None
            raise


def _numbered(reply: Reply) -> bool:
    """Whether the link to the next page counts pages: the header asking for forward-only paging was ignored."""
    following = parse_qs(urlsplit(reply.links.get("next", "")).query)
    return "page" in following and "pageId" not in following
