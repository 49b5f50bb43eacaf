"""Stripe's request bodies: forms with bracket notation. Pure, and one value has one text, so that equal requests are
equal bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from urllib.parse import parse_qsl, quote

from syncd.money import plain

Value = str | int | bool | Decimal | Mapping[str, "Value"] | list["Value"]


def encoded(fields: Mapping[str, Value]) -> bytes:
    """The body: `metadata[syncd_op]=k&items[0][quantity]=5&active=true`, in the order given."""
    return "&".join(f"{quote(name, safe='[]')}={quote(text, safe='')}" for name, text in pairs(fields)).encode()


def pairs(fields: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Flat names and texts, for query strings."""
    for name, value in fields.items():
        yield from _flat(name, value)


def _flat(name: str, value: Value) -> Iterator[tuple[str, str]]:
    match value:
        case bool():
            yield name, "true" if value else "false"
        case Mapping():
            for key, inner in value.items():
                yield from _flat(f"{name}[{key}]", inner)
        case list():
            for number, inner in enumerate(value):
                yield from _flat(f"{name}[{number}]", inner)
        case Decimal():
            yield name, plain(value)
        case _:
            yield name, str(value)


def fields_of(body: bytes) -> dict[str, str]:
    """The flat fields of a body that `encoded` made."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))
