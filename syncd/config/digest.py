"""Digests of what an admin decided: equal settings give equal digests, however they are written down.

Owns the canonical form. What always holds: no secret's value enters it, only where the secret is found, and a default
that is written out counts as the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256

from pydantic import BaseModel

from syncd.connect.settings import Secret
from syncd.money import plain


def digest(value: object) -> str:
    """SHA-256, as hex, of the value's canonical JSON."""
    text = json.dumps(canonical(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def canonical(value: object, leave_out: frozenset[str] = frozenset()) -> object:
    """JSON types only. `leave_out`: fields of the outermost dataclass that do not count."""
    match value:
        case None | bool() | int():
            return value
        case Secret():
            return {"env": value.env, "file": value.file, "literal": bool(value.literal)}
        case Enum():
            return canonical(value.value)
        case str():
            return value
        case Decimal():
            return plain(value)
        case timedelta():
            return f"{value // timedelta(microseconds=1)} us"
        case date():
            return value.isoformat()
        case BaseModel():
            return {name: canonical(getattr(value, name)) for name in type(value).model_fields}
        case Mapping():
            return {str(key): canonical(one) for key, one in value.items()}
        case list() | tuple():
            return [canonical(one) for one in value]
        case set() | frozenset():
            return sorted((canonical(one) for one in value), key=repr)
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: canonical(getattr(value, one.name)) for one in fields(value) if one.name not in leave_out}
    return str(value)
