"""The part of Xero's filter language that its double understands: comparisons with texts, ids, days and null, texts
that contain, begin or end with another, joined by AND and OR, with brackets around an OR."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import date
from typing import Any

Row = dict[str, Any]
Test = Callable[[Row], bool]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq, "=": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt,
    "<": operator.lt,
}  # fmt: skip
_CLAUSE = re.compile(
    r"(?P<field>[A-Za-z.]+?)"
    r"(?:\.(?P<call>Contains|StartsWith|EndsWith)\(\"(?P<part>[^\"]*)\"\)"
    r"|\s*(?P<how>==|=|!=|>=|<=|>|<)\s*(?P<value>null|true|false|\"[^\"]*\"|(?:Guid|guid)\(\"[^\"]*\"\)"
    r"|DateTime\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\)))"
)


def where(text: str) -> Test:
    """The test that a filter means. Raises ValueError where the double does not understand it."""
    tests = [_either(part) for part in _split(text, "AND")]
    return lambda row: all(test(row) for test in tests)


def _either(text: str) -> Test:
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    tests = [_clause(part) for part in _split(text, "OR")]
    return lambda row: any(test(row) for test in tests)


def _split(text: str, word: str) -> list[str]:
    """Parts between a word that stands outside of brackets and quotes."""
    parts, depth, quoted, begun, at = [], 0, False, 0, 0
    mark = f" {word} "
    while at < len(text):
        quoted ^= text[at] == '"'
        depth += 0 if quoted else (text[at] == "(") - (text[at] == ")")
        if not quoted and not depth and text[at : at + len(mark)].upper() == mark:
            parts.append(text[begun:at])
            begun = at = at + len(mark)
            continue
        at += 1
    return [*parts, text[begun:]]


def _clause(text: str) -> Test:
    told = _CLAUSE.fullmatch(text.strip())
    if told is None:
        raise ValueError(f"the filter {text.strip()!r} is not understood")
    field = told["field"]
    if told["call"]:
        part = told["part"].lower()
        return {
            "Contains": lambda row: part in _text(row, field),
            "StartsWith": lambda row: _text(row, field).startswith(part),
            "EndsWith": lambda row: _text(row, field).endswith(part),
        }[told["call"]]
    value, how = _value(told["value"]), told["how"]

    def compare(row: Row) -> bool:
        found = _of(row, field)
        if value is None or found is None:
            return (found == value) if how in ("==", "=") else how == "!=" and found != value
        if isinstance(found, str) and isinstance(value, str):
            found, wanted = found.lower(), value.lower()
        else:
            wanted = value
        return bool(_COMPARE[how](found, wanted))

    return compare


def _value(text: str) -> Any:
    if text in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text]
    if text.startswith("DateTime"):
        return date(*map(int, re.findall(r"\d+", text)))
    return text[text.index('"') + 1 : text.rindex('"')]


def _of(row: Row, field: str) -> Any:
    found: Any = row
    for name in field.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _text(row: Row, field: str) -> str:
    found = _of(row, field)
    if found is None:  # as .NET does it: a text that is not there has no letters to look for
        raise ValueError("Object reference not set to an instance of an object")
    return str(found).lower()
