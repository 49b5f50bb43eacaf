"""Asks in SuiteQL and reads the answer whole, or says that it could not. Knows no table.

Pages go on behind the last id instead of by offset, so that rows which come or go meanwhile shift nothing. Each page
tells how many rows are left, and they must be exactly those that the next one tells. SuiteQL has no bound parameters:
only ids, days and marks are ever put into a query, and only through `whole_number`, `day` and `text`.

A role that may not see a record is shown nothing instead of an error. `witnessed` asks the record service, which has
rights of its own, whether it knows of more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Generic, TypeVar

from connectors.netsuite.api import RECORD, Api
from connectors.netsuite.payloads import Collection, Page, Row, Totals
from syncd.connect.http import Reply
from syncd.errors import VendorError

R = TypeVar("R", bound=Row)

PAGE = 1000
TRIES = 4
_MOST_PAGES = 1000
_SAFE = re.compile(r"[A-Za-z0-9_-]+")


def text(value: str) -> str:
    """A literal. Raises ValueError for anything that is not plain letters, digits, underscores and hyphens."""
    if not _SAFE.fullmatch(value):
        raise ValueError(f"{value!r} may not stand in a query")
    return f"'{value}'"


def holding(mark: str) -> str:
    """A pattern for values that contain a mark."""
    return f"'%{text(mark)[1:-1]}%'"


def beginning(prefix: str) -> str:
    """A pattern for values that begin so."""
    return f"'{text(prefix)[1:-1]}%'"


def whole_number(value: str | int) -> str:
    """An internal id. Raises ValueError."""
    if not re.fullmatch(r"-?\d+", str(value)):
        raise ValueError(f"{value!r} is no internal id")
    return str(value)


def day(value: date) -> str:
    """A day. Its format is named, because the account's own follows the user's preferences."""
    return f"TO_DATE('{value:%Y-%m-%d}', 'YYYY-MM-DD')"


@dataclass(frozen=True, slots=True)
class Select:
    """A query for a list. `key`: the column that orders it and that rows show as `id`."""

    columns: str
    tables: str
    where: str = ""
    key: str = "id"

    def after(self, last: int | None) -> str:
        """The query for what comes behind an id."""
        behind = f"{self.key} > {last}" if last is not None else ""
        conditions = " AND ".join(one for one in (self.where, behind) if one)
        return (
            f"SELECT {self.key} AS id, {self.columns} FROM {self.tables}"  # noqa: S608 - see the module's head
            + (f" WHERE {conditions}" if conditions else "")
            + f" ORDER BY {self.key}"
        )


@dataclass(frozen=True, slots=True)
class Whole(Generic[R]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[R, ...]
    proof: str


def whole(api: Api, shape: type[R], select: Select) -> Whole[R]:
    """All rows, by rising id. Raises VendorError, `incomplete` where wholeness cannot be proved."""
    for _ in range(TRIES):
        found = _scan(api, shape, select)
        if found is not None:
            return found
    raise VendorError("incomplete", f"the rows of {select.tables} changed in each of {TRIES} reads")


def _scan(api: Api, shape: type[R], select: Select) -> Whole[R] | None:
    """None where rows came or went between two pages."""
    rows: list[R] = []
    left: int | None = None
    last: int | None = None
    for pages in range(1, _MOST_PAGES + 1):
        page = _page(api.query(select.after(last), PAGE), shape)
        where = f"NetSuite's answer about {select.tables}"
        rest = page.total_results - page.count
        if page.count != len(page.items) or rest < 0 or page.has_more != (rest > 0):
            raise VendorError(
                "incomplete",
                f"{where} holds {len(page.items)} rows, tells {page.count} of {page.total_results}"
                f"{' and more to come' if page.has_more else ''}",
            )
        if left is not None and page.total_results != left:
            return None
        for row in page.items:
            if last is not None and int(row.id) <= last:
                raise VendorError("incomplete", f"{where} is not ordered by id")
            last = int(row.id)
        rows += page.items
        if not page.has_more:
            return Whole(tuple(rows), f"{len(rows)} rows in {pages} pages, none left by totalResults")
        if not page.items:
            raise VendorError("incomplete", f"{where} has an empty page before its end")
        left = rest
    raise VendorError("incomplete", f"NetSuite's list of {select.tables} never ends")


def _page(reply: Reply, shape: type[R]) -> Page[R]:
    return reply.parse(Page[shape])  # type: ignore[valid-type]


def listed(api: Api, record: str) -> int:
    """How many records of a type the record service knows. Raises VendorError."""
    return total(api.read(f"{RECORD}/{record}", params={"limit": 1}), record)


def total(reply: Reply, record: str) -> int:
    """What a list that was asked for with `limit=1` tells of its size. Raises VendorError."""
    found = reply.parse(Collection)
    if found.count != len(found.items) or found.count != min(found.total_results, 1):
        raise VendorError(
            "incomplete",
            f"NetSuite's list of {record} records shows {len(found.items)}, tells {found.count} of "
            f"{found.total_results}",
        )
    return found.total_results


def counted(api: Api, tables: str, where: str = "") -> int:
    """How many rows SuiteQL sees. Raises VendorError."""
    query = f"SELECT COUNT(*) AS n FROM {tables}" + (f" WHERE {where}" if where else "")  # noqa: S608 - as above
    rows = api.query(query, PAGE).parse(Totals).items
    if len(rows) != 1:
        raise VendorError("malformed", f"NetSuite counted {tables} in {len(rows)} rows instead of one")
    return int(rows[0].n)


def witnessed(api: Api, sources: Mapping[str, tuple[str, str]]) -> str:
    """Proves that SuiteQL sees no less than the record service does. `sources`: record type -> (tables, where).

    Raises VendorError `incomplete` where it sees less. Returns the proof.
    """
    for record, (tables, where) in sources.items():
        for last in (False, False, True):
            there = listed(api, record)
            if counted(api, tables, where) >= there:
                break
            if last:
                raise lacking(record, there)
    return f"SuiteQL sees every {' and '.join(sources)} that the record service lists"


def lacking(record: str, there: int) -> VendorError:
    """SuiteQL shows fewer records than there are: a role is shown less instead of an error."""
    return VendorError(
        "incomplete",
        f"SuiteQL shows fewer than the {there} {record} records that NetSuite lists; the integration's role probably "
        "lacks SuiteAnalytics Workbook or Find Transaction, or is limited to some subsidiaries",
    )


def shown_number(value: Decimal | None) -> Decimal:
    """A number, zero where the column was left out because it is null."""
    return value if value is not None else Decimal(0)
