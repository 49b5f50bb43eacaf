"""The double's reading of ConnectWise's filter language: a tokenizer, a parser, an evaluator over JSON records.

Independent of what the connector builds. What it cannot read, and a literal of the wrong kind, raises `BadCondition`
with the sort of text that ConnectWise answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

Row = Mapping[str, Any]
Test = Callable[[Row], bool]


class BadCondition(Exception):
    """The condition cannot be used; the text is what the caller gets with a 400."""


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<date>\[[^\]]*\])
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<op><=|>=|!=|=|<|>)
      | (?P<mark>[(),])
      | (?P<word>[A-Za-z_][\w/]*)
    )""",
    re.VERBOSE,
)
_KEYWORDS = {"and", "or", "not", "like", "contains", "in", "null", "true", "false"}
# Values that are shown inside `_info` but filtered by their own name.
_STAMPS = {"lastUpdated", "updatedBy", "dateEntered", "enteredBy"}


def compiled(text: str, known: Callable[[str], bool] = lambda field: True) -> Test:
    """A test for one `conditions` text; "" passes all. `known` says whether a first field name exists."""
    if not text.strip():
        return lambda row: True
    parser = _Parser(_tokens(text), known)
    test = parser.alternatives()
    if parser.rest:
        raise BadCondition(f"Conditions could not be parsed near '{parser.rest[0][1]}'")
    return test


def custom_fields(text: str) -> Test:
    """A test for `customFieldConditions`: `caption="…" AND value="…"`, met by one entry of the array."""
    inner = compiled(text)
    return lambda row: any(inner(entry) for entry in row.get("customFields") or ())


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match or match.lastgroup is None:
            raise BadCondition(f"Conditions could not be parsed near '{text[at : at + 20]}'")
        kind, word = match.lastgroup, match.group(match.lastgroup)
        if kind == "word" and word.lower() in _KEYWORDS:
            kind, word = "keyword", word.lower()
        found.append((kind, word))
        at = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], known: Callable[[str], bool]) -> None:
        self.rest = tokens
        self._known = known

    def alternatives(self) -> Test:
        tests = [self._conjunction()]
        while self._take("keyword", "or"):
            tests.append(self._conjunction())
        return lambda row: any(test(row) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._term()]
        while self._take("keyword", "and"):
            tests.append(self._term())
        return lambda row: all(test(row) for test in tests)

    def _term(self) -> Test:
        if self._take("keyword", "not"):
            inner = self._term()
            return lambda row: not inner(row)
        if self._take("mark", "("):
            test = self.alternatives()
            self._need("mark", ")")
            return test
        return self._comparison()

    def _comparison(self) -> Test:
        field = self._need("word")
        first = field.split("/")[0]
        if first not in _STAMPS and not self._known(first):
            raise BadCondition(f"Column or Field '{field}' could not be found")
        turned = bool(self._take("keyword", "not"))
        test = self._operation(field)
        return (lambda row: not test(row)) if turned else test

    def _operation(self, field: str) -> Test:
        kind, word = self._next()
        if kind == "keyword" and word == "in":
            self._need("mark", "(")
            values = [self._literal()]
            while self._take("mark", ","):
                values.append(self._literal())
            self._need("mark", ")")
            return lambda row: any(_compare("=", _at(row, field), one) for one in values)
        if kind == "keyword" and word in ("like", "contains"):
            wanted = self._literal()
            if not isinstance(wanted, str):
                raise BadCondition('String values must be surrounded by double quotes, eg: "value"')
            glob = wanted.replace("%", "*") if word == "like" else f"*{wanted}*"
            return lambda row: fnmatchcase(str(_at(row, field) or "").lower(), glob.lower())
        if kind != "op":
            raise BadCondition(f"An operator was expected near '{word}'")
        value = self._literal()
        if isinstance(value, str):
            value = value.replace("[[]", "[")
        return lambda row: _compare(word, _at(row, field), value)

    def _literal(self) -> Any:
        kind, word = self._next()
        match kind:
            case "text":
                return word[1:-1]
            case "number":
                return Decimal(word)
            case "date":
                return _instant(word[1:-1])
            case "keyword" if word in ("true", "false", "null"):
                return {"true": True, "false": False, "null": None}[word]
        raise BadCondition("String values must be surrounded by double quotes, dates by square brackets")

    def _next(self) -> tuple[str, str]:
        if not self.rest:
            raise BadCondition("Conditions ended where a value was expected")
        return self.rest.pop(0)

    def _take(self, kind: str, word: str) -> bool:
        if self.rest and self.rest[0] == (kind, word):
            self.rest.pop(0)
            return True
        return False

    def _need(self, kind: str, word: str = "") -> str:
        found, text = self._next()
        if found != kind or (word and text != word):
            raise BadCondition(f"Conditions could not be parsed near '{text}'")
        return text


def _at(row: Row, field: str) -> Any:
    value: Any = row.get("_info", {}) if field in _STAMPS and field not in row else row
    for part in field.split("/"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadCondition("Dates must be written in ISO 8601, eg: [2026-01-01T00:00:00Z]") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _compare(operator: str, told: Any, wanted: Any) -> bool:
    if wanted is None or told is None:
        equal = told is None and wanted is None
        return equal if operator == "=" else (not equal) if operator == "!=" else False
    if isinstance(wanted, datetime):
        if not isinstance(told, str):
            raise BadCondition("A date was compared with a field that is none")
        told = _instant(told)
    elif isinstance(wanted, bool) or isinstance(told, bool):
        if not (isinstance(wanted, bool) and isinstance(told, bool)):
            raise BadCondition("Boolean values must be true or false, without quotes")
    elif isinstance(wanted, Decimal) != isinstance(told, int | Decimal):
        raise BadCondition(
            "Numbers must be written without quotes" if isinstance(wanted, str) else "Strings must be quoted"
        )
    elif isinstance(wanted, str):
        told, wanted = str(told).casefold(), wanted.casefold()
    results: dict[str, Callable[[], bool]] = {
        "=": lambda: told == wanted,
        "!=": lambda: told != wanted,
        "<": lambda: told < wanted,
        "<=": lambda: told <= wanted,
        ">": lambda: told > wanted,
        ">=": lambda: told >= wanted,
    }
    return results[operator]()
