"""The values that config.toml and mappings may hold: numbers, percentages, texts, and how each is written in TOML.

Owns the types and their sentences; the tables are in `schema` and `mapping_schema`. What always holds: numbers are
Decimal, a boolean is never a number, and text in quotes is never a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from syncd.connect.settings import Secret, write_duration
from syncd.core.rules import Bound
from syncd.money import ZERO, number, plain


class Wanted(ValueError):
    """A value of the wrong kind. The message names the kind; the example is taken from the key's declaration."""


class Table(BaseModel):
    """A table of a file: only declared keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


NOT_AVAILABLE = "is not available yet in this version."

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Wanted("must be a number")
    try:
        return number(value)
    except ValueError:
        raise Wanted("must be a finite number below 10^15") from None


def _percent(value: Any) -> Decimal:
    match = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise Wanted("must be a percentage in quotes")
    return number(match[1])


def _bound(value: Any) -> Bound:
    if isinstance(value, str):
        match = _PERCENT.fullmatch(value.strip())
        if match is not None:
            return Bound(number(match[1]), percent=True)
    elif isinstance(value, int | Decimal) and not isinstance(value, bool) and _number(value) >= 0:
        return Bound(_number(value))
    raise ValueError('must be a number that is not negative, like 2, or a percentage in quotes, like "5%"')


def _percents(value: Any) -> tuple[Decimal, ...]:
    if not isinstance(value, list) or not value:
        raise Wanted("must be a list of percentages")
    return tuple(_percent(one) for one in value)


def _texts(value: Any) -> tuple[str, ...]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not several or not all(isinstance(one, str) for one in several):
        raise Wanted("must be text, or a list of texts")
    if not all(one.strip() for one in several):
        raise ValueError("must not hold an empty text")
    return tuple(dict.fromkeys(several))


def _day(value: Any) -> date:
    if type(value) is not date:  # a datetime is a date to isinstance
        raise Wanted("must be a day without quotes")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


Number = Annotated[Decimal, BeforeValidator(_number)]
Quantity = Annotated[Decimal, BeforeValidator(_number), Field(ge=ZERO)]
Percent = Annotated[Decimal, BeforeValidator(_percent)]  # 0-100 and beyond, as written
Share = Annotated[Decimal, BeforeValidator(_percent), Field(le=Decimal(100))]
Percents = Annotated[tuple[Decimal, ...], BeforeValidator(_percents)]
Tolerance = Annotated[Bound, BeforeValidator(_bound)]
Text = Annotated[str, AfterValidator(_not_blank)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Day = Annotated[date, BeforeValidator(_day)]
ONE_OR_MORE = BeforeValidator(_one_or_more)  # a single table may stand for a list of one


def quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_text(key: str) -> str:
    """A TOML key, quoted only where it must be."""
    return key if _BARE_KEY.fullmatch(key) else quoted(key)


def example_text(example: object) -> str:
    """A declared example as TOML. Connectors may write a reference to a secret as TOML already."""
    if isinstance(example, str) and example.startswith("{") and example.endswith("}"):
        return example
    return toml_text(example)


def toml_text(value: object) -> str:
    """A value as TOML, on one line. Secrets are written as their reference, a literal one as asterisks."""
    match value:
        case bool():
            return "true" if value else "false"
        case Enum():
            return toml_text(value.value)
        case str():
            return quoted(value)
        case Decimal():
            return plain(value)
        case int():
            return str(value)
        case timedelta():
            return quoted(write_duration(value))
        case date():
            return value.isoformat()
        case Bound():
            return quoted(str(value)) if value.percent else plain(value.value)
        case Secret():
            how, where = ("env", value.env) if value.env else ("file", value.file)
            return f"{{ {how} = {quoted(where)} }}" if where else quoted("***")
        case Mapping():
            pairs = ", ".join(f"{key_text(str(key))} = {toml_text(one)}" for key, one in value.items())
            return f"{{ {pairs} }}" if pairs else "{}"
        case list() | tuple():
            return f"[{', '.join(toml_text(one) for one in value)}]"
    raise TypeError(f"{type(value).__name__} has no place in a TOML file")
