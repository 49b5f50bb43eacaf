"""Queries in QuickBooks' language, and lists read whole by them. Every value goes through `quoted`; nothing else builds
a query.

A list is whole where as many distinct ids came as `COUNT(*)` says. Pages go by position, in the order of ids, and each
begins with the row that the one before ended with: a row that comes and one that goes between two pages would leave the
count as it was. Where pages are too short for that, the list is read twice alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Generic, TypeVar

from connectors.quickbooks.payloads import Record
from syncd.errors import VendorError

if TYPE_CHECKING:
    from connectors.quickbooks.api import Api

R = TypeVar("R", bound=Record)

PAGE_SIZE = 1000  # the most that QuickBooks gives
TRIES = 6
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Where:
    """One condition: a field, how it is compared, and the value as it is."""

    field: str
    compares: str
    value: str | date | tuple[bool, ...]

    def __str__(self) -> str:
        if isinstance(self.value, tuple):
            return f"{self.field} {self.compares} ({', '.join(str(one).lower() for one in self.value)})"
        text = self.value.isoformat() if isinstance(self.value, date) else self.value
        return f"{self.field} {self.compares} {quoted(text)}"


# Lists hide inactive customers and items unless they are asked for.
ACTIVE_OR_NOT = Where("Active", "IN", (True, False))


def quoted(text: str) -> str:
    """A text as a literal: only backslash and apostrophe mean something inside one. What the address makes of
    ampersands and letters is the transport's matter.

    Raises ValueError for control characters, which no name or number holds.
    """
    if any(ord(letter) < 32 for letter in text):
        raise ValueError("a value with control characters cannot be asked for")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def counted(entity: str, where: Iterable[Where] = ()) -> str:
    """The query that tells how many there are."""
    return f"SELECT COUNT(*) FROM {entity}{_where(where)}"  # noqa: S608 - values only through `quoted`


def single(entity: str) -> str:
    """The query for a record that there is one of."""
    return f"SELECT * FROM {entity}"  # noqa: S608 - a name of our own


def page(entity: str, where: Iterable[Where] = (), *, fields: str = "*", first: int = 1, most: int = PAGE_SIZE) -> str:
    """The query for one page; `first` counts from 1."""
    return f"SELECT {fields} FROM {entity}{_where(where)} ORDERBY Id STARTPOSITION {first} MAXRESULTS {most}"  # noqa: S608


def _where(conditions: Iterable[Where]) -> str:
    text = " AND ".join(map(str, conditions))
    return f" WHERE {text}" if text else ""


@dataclass(frozen=True, slots=True)
class Whole(Generic[R]):
    """A list that was read whole; `proof` says how that is known."""

    rows: tuple[R, ...]
    proof: str


def whole(
    api: Api, entity: str, shape: type[R], where: Iterable[Where] = (), *, fields: str = "*", count: int | None = None
) -> Whole[R]:
    """All rows. `count`: what COUNT said already; else it is asked for. Raises VendorError, `incomplete` where
    wholeness cannot be proved."""
    conditions = tuple(where)
    before: set[str] | None = None
    rows: dict[str, R] = {}
    for _ in range(TRIES):
        expected = api.count(entity, conditions) if count is None else count
        rows, pages, joined = _scan(api, entity, shape, conditions, fields, expected)
        if len(rows) == expected and (joined or before == set(rows)):
            ordered = tuple(sorted(rows.values(), key=lambda row: (len(row.id), row.id)))
            return Whole(ordered, f"{len(rows)} of {expected} {entity} rows in {pages} pages")
        before, count = set(rows), expected if len(rows) == expected else None
    raise VendorError(
        "incomplete",
        f"QuickBooks gave {len(rows)} {entity} rows where COUNT says {expected}, or other ones each time, in {TRIES} "
        "attempts",
    )


def _scan(
    api: Api, entity: str, shape: type[R], where: tuple[Where, ...], fields: str, expected: int
) -> tuple[dict[str, R], int, bool]:
    """(rows by id, pages read, whether each page begins with the row that the one before ended with), until as many
    came as are expected or no more come."""
    rows: dict[str, R] = {}
    first, joined, last = 1, True, ""
    for number in range(1, _MOST_PAGES):
        found = api.rows(entity, shape, page(entity, where, fields=fields, first=first))
        fresh = [row for row in found if row.id not in rows]
        if last and joined and (not found or found[0].id != last):
            return rows, number, False
        rows |= {row.id: row for row in fresh}
        through = first + len(found) - 1
        if not fresh or through >= expected:
            return rows, number, joined
        # The next page begins with this one's last row, or else nobody would see that rows moved in between.
        joined = joined and len(found) > 1
        first, last = (through if joined else through + 1), found[-1].id
    raise VendorError("incomplete", f"QuickBooks' list of {entity} never ends")
