"""Builds `conditions`: ConnectWise's filter language. Owns quoting and the length of an address; knows no endpoint.

Numbers are bare, texts quoted, instants in square brackets, booleans lower case (developer guide, "Conditions").
What is sent is percent-encoded by the HTTP client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime

from syncd.errors import VendorError

# Addresses much longer than 1,745 characters are refused on the way; ids are asked for in portions below this.
LONGEST = 1_200


def literal(value: str | int | bool | date | datetime | None) -> str:
    """A value as the filter language writes it.

    Raises VendorError `unsupported` for a text with both kinds of quotes: no escape is documented for them, so such a
    text must be filtered by id or locally.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case datetime():
            return f"[{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}]"
        case date():
            return f"[{value:%Y-%m-%d}T00:00:00Z]"
    text = value.replace("[", "[[]")  # a bracket opens a character class, as in SQL's LIKE
    quote = '"' if '"' not in text else "'" if "'" not in text else ""
    if not quote:
        raise VendorError("unsupported", f"ConnectWise cannot filter by a text with both kinds of quotes: {value}")
    return f"{quote}{text}{quote}"


def compare(field: str, operator: str, value: str | int | bool | date | datetime | None) -> str:
    """One comparison: `compare("company/id", "=", 250)`."""
    return f"{field}{operator}{literal(value)}"


def both(*parts: str) -> str:
    """All of the conditions; empty ones are left out."""
    return " and ".join(part for part in parts if part)


def among(field: str, ids: Iterable[int]) -> Iterator[str]:
    """`field in (1,2,3)`, in as many portions as the length of an address asks for."""
    portion: list[str] = []
    for one in sorted(set(ids)):
        if portion and len(field) + sum(map(len, portion)) + 4 * len(portion) > LONGEST:
            yield f"{field} in ({','.join(portion)})"
            portion = []
        portion.append(str(one))
    if portion:
        yield f"{field} in ({','.join(portion)})"
