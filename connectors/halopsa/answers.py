"""How writes go out and what comes back: bodies are arrays, and of one record saved Halo shows that record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from syncd.connect.http import Reply, json_bytes
from syncd.model import Wire

T = TypeVar("T")

_HEADERS = (("content-type", "application/json; charset=utf-8"),)


def upsert(path: str, record: Mapping[str, Any]) -> Wire:
    """The request that saves one record: with an id it updates, without it creates. An object alone is refused."""
    return Wire("POST", path, json_bytes([record]), _HEADERS)


def saved(reply: Reply, shape: type[T]) -> T | None:
    """The one record that Halo says it saved: bare, or alone in an array; None for anything else."""
    if reply.body.lstrip()[:1] == b"[":
        rows = reply.try_parse(list[shape])  # type: ignore[valid-type]
        return rows[0] if rows is not None and len(rows) == 1 else None
    return reply.try_parse(shape)
