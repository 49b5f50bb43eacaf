"""The double's query language: one entity, AND alone, positions from 1, a page of 1,000 at most. Knows no record.

Faults are raised as `Refusal`, which the front turns into QuickBooks' shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

Row = dict[str, Any]

_TOKEN = re.compile(r"\s*(?:('(?:\\.|[^'\\])*')|(>=|<=|!=|[=<>(),*])|([\w.%:+-]+))")
FILTERABLE = frozenset(
    "Id DocNumber TxnDate DueDate CustomerRef TotalAmt Balance Active DisplayName GivenName FamilyName CompanyName "
    "FullyQualifiedName Name Sku Type UnitPrice MetaData.CreateTime MetaData.LastUpdatedTime".split()
)
_HIDES_INACTIVE = frozenset({"Customer", "Item"})
_WORDS = frozenset({"WHERE", "ORDERBY", "ORDER", "STARTPOSITION", "MAXRESULTS"})


class Refusal(Exception):
    """A fault to answer with."""

    def __init__(self, code: str, message: str, detail: str = "", *, element: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.detail, self.element, self.status = code, message, detail, element, status


@dataclass
class Query:
    """A statement taken apart."""

    entity: str
    fields: tuple[str, ...]  # ("*",) for all, () for COUNT(*)
    conditions: list[tuple[str, str, list[str]]] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    first: int = 1
    most: int = 100


def parse(text: str) -> Query:
    """The statement. Raises Refusal."""
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        at = 0
        text = text.strip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                self._wrong(text[at : at + 20])
            assert found is not None
            self._tokens.append(found[0].strip())
            at = found.end()
            while at < len(text) and text[at].isspace():
                at += 1

    def query(self) -> Query:
        self._expect("SELECT")
        names: list[str] = []
        while self._peek().upper() != "FROM":
            names.append(self._next())
            if names[-1].upper() == "COUNT":
                for mark in ("(", "*", ")"):
                    self._expect(mark)
            if self._peek() == ",":
                self._next()
        self._expect("FROM")
        counting = [name.upper() for name in names] == ["COUNT"]
        found = Query(self._next(), () if counting else tuple(names))
        while self._tokens:
            match self._next().upper():
                case "WHERE":
                    found.conditions.append(self._condition())
                    while self._peek().upper() == "AND":
                        self._next()
                        found.conditions.append(self._condition())
                    if self._peek() and self._peek().upper() not in _WORDS:
                        self._wrong(self._peek())
                case "ORDER" if self._peek().upper() == "BY":
                    self._next()
                    self._order(found)
                case "ORDERBY":
                    self._order(found)
                case "STARTPOSITION":
                    found.first = self._number()
                case "MAXRESULTS":
                    found.most = self._number()
                case other:
                    self._wrong(other)
        if found.most > 1000:
            raise Refusal("4002", "Invalid query", f"max results {found.most} is larger than 1000")
        return found

    def _condition(self) -> tuple[str, str, list[str]]:
        name, compares = self._next(), self._next().upper()
        if name not in FILTERABLE:
            raise Refusal("4001", "Invalid query", f"QueryValidationError: property '{name}' is not queryable")
        if compares == "IN":
            self._expect("(")
            values = [self._value()]
            while self._peek() == ",":
                self._next()
                values.append(self._value())
            self._expect(")")
            return name, compares, values
        if compares not in ("=", "<", ">", "<=", ">=", "LIKE"):
            self._wrong(compares)
        return name, compares, [self._value()]

    def _order(self, found: Query) -> None:
        while True:
            name, falling = self._next(), False
            if self._peek().upper() in ("ASC", "DESC"):
                falling = self._next().upper() == "DESC"
            found.order.append((name, falling))
            if self._peek() != ",":
                return
            self._next()

    def _value(self) -> str:
        token = self._next()
        if token.startswith("'"):
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if token.lower() in ("true", "false") or re.fullmatch(r"-?\d+(\.\d+)?", token):
            return token
        return self._wrong(token)

    def _number(self) -> int:
        token = self._next()
        return int(token) if token.isdigit() and int(token) > 0 else int(self._wrong(token))

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _next(self) -> str:
        return self._tokens.pop(0) if self._tokens else self._wrong("the end")

    def _expect(self, word: str) -> None:
        if self._next().upper() != word:
            self._wrong(word)

    def _wrong(self, what: str) -> str:
        raise Refusal("4000", "Error parsing query", f"QueryParserError: Encountered {what!r} in {self._text[:80]!r}")


def run(query: Query, rows: Iterable[Row], *, longest_page: int, text_ids: bool) -> tuple[list[Row], int]:
    """(the page, how many there are in all)."""
    every = list(rows)
    if query.entity in _HIDES_INACTIVE and not any(name == "Active" for name, _, _ in query.conditions):
        every = [row for row in every if row.get("Active", True)]
    for name, compares, values in query.conditions:
        every = [row for row in every if _passes(_ranked(name, _of(row, name)), compares, values)]
    for name, falling in reversed(query.order or [("Id", False)]):
        every.sort(key=_key(name, text_ids), reverse=falling)
    shown = every[query.first - 1 : query.first - 1 + min(query.most, longest_page)]
    return [_fields(row, query.fields) for row in shown], len(every)


def _key(name: str, text_ids: bool) -> Callable[[Row], Any]:
    def key(row: Row) -> Any:
        value = _of(row, name)
        return int(value) if name == "Id" and not text_ids else (value is not None, value)

    return key


def _fields(row: Row, names: tuple[str, ...]) -> Row:
    """`*` holds everything but an item's Sku, which must be named."""
    if "*" in names:
        return {name: value for name, value in row.items() if name != "Sku" or "Sku" in names}
    return {name: value for name, value in row.items() if name in names or name == "Id"}


def _of(row: Row, name: str) -> Any:
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value["value"] if isinstance(value, dict) else value


def _ranked(name: str, value: Any) -> Any:
    """Ids rank as numbers."""
    return Decimal(value) if name == "Id" else value


def _passes(value: Any, compares: str, wanted: list[str]) -> bool:
    if value is None:
        return False
    if compares == "LIKE":
        pattern = "".join(".*" if part == "%" else re.escape(part) for part in re.split("(%)", wanted[0]))
        return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None
    try:
        options = [_like(value, one) for one in wanted]
    except (ValueError, InvalidOperation):
        return False
    value = _like(value, str(value)) if not isinstance(value, bool) else value
    other = options[0]
    verdicts: dict[str, bool] = {
        "=": value == other, "IN": value in options, "<": value < other, ">": value > other, "<=": value <= other,
        ">=": value >= other,
    }  # fmt: skip
    return verdicts[compares]


def _like(value: Any, text: str) -> Any:
    """The text as what the field holds."""
    if isinstance(value, bool):
        return text.lower() == "true"
    if isinstance(value, Decimal):
        return Decimal(text)
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.astimezone()
    return text
