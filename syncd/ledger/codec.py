"""How the ledger writes values: canonical JSON, instants as UTC text, intents to JSON and back.

Canonical means: one text for one value. Keys sorted, no spaces, Decimals as plain strings, no binary floats ever.
What cannot be written that way is refused before anything is stored.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any

import msgspec

from syncd.core.entries import Intent
from syncd.errors import LedgerBroken
from syncd.model import Wire
from syncd.money import plain

# Level 3 is about twice as fast as the default on subject lists and derivations, and loses a few percent of size.
_LEVEL = 3


def native(value: object) -> Any:
    """`value` as JSON has it: dicts with text keys, lists, text, whole numbers, booleans, None.

    Decimals become plain text ("12.5"), instants UTC text, days ISO text, bytes base64. Text that is not Unicode (a
    lone surrogate from a vendor's answer) gets a question mark, because recording an outcome must never fail on it.
    Raises ValueError for binary floats, numbers that are not finite, keys that are not text, and any other type.
    """
    match value:
        case Enum():
            return native(value.value)
        case None | bool() | int():
            return value
        case str():
            return value.encode("utf-8", "replace").decode("utf-8")
        case Decimal():
            return decimal_text(value)
        case datetime():
            return instant_text(value)
        case date():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case Mapping():
            if not all(isinstance(name, str) for name in value):
                raise ValueError("a key that is not text cannot be kept as JSON")
            return {native(name): native(content) for name, content in value.items()}
        case list() | tuple():
            return [native(content) for content in value]
    if isinstance(value, msgspec.Struct) or hasattr(value, "__dataclass_fields__"):
        return {name: native(getattr(value, name)) for name in _fields(value)}
    raise ValueError(f"a {type(value).__name__} cannot be kept as JSON")


def _fields(value: object) -> tuple[str, ...]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    return tuple(getattr(value, "__dataclass_fields__", ()))


_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: object) -> str:
    """The one JSON text of `value`; see `native` for what it accepts and raises."""
    return _ENCODE(native(value))


def written(plainly: Any) -> str:
    """The same for what `native` made already: most of the time of writing an entry is spent in walking it."""
    return _ENCODE(plainly)


def parse(text: str, what: str) -> Any:
    """JSON that the ledger wrote. Raises LedgerBroken, naming `what`, where it no longer is JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise LedgerBroken(f"{what} in the ledger cannot be read ({error}).") from None


def decimal_text(value: Decimal) -> str:
    """A finite Decimal as plain text; equal numbers give equal texts. Raises ValueError for NaN and infinities."""
    if not value.is_finite():
        raise ValueError(f"{value} is not a number that can be kept")
    return plain(value)


def number(text: str, what: str) -> Decimal:
    """The inverse of `decimal_text`. Raises LedgerBroken, naming `what`."""
    try:
        return Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        raise LedgerBroken(f"{what} in the ledger holds {text!r} where a number belongs.") from None


def instant_text(value: datetime) -> str:
    """An aware instant as UTC text of fixed width, so that texts sort as instants do. Raises ValueError if naive."""
    if value.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def instant(text: str) -> datetime:
    """The inverse of `instant_text`. Raises LedgerBroken."""
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise LedgerBroken(f"{text!r} in the ledger is not an instant.") from None
    return value.astimezone(UTC)


def day(text: str) -> date:
    """A day from its ISO text. Raises LedgerBroken."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise LedgerBroken(f"{text!r} in the ledger is not a day.") from None


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal: how content is addressed."""
    return hashlib.sha256(content).hexdigest()


def pack(content: bytes) -> bytes:
    """Compressed for storage."""
    return zlib.compress(content, _LEVEL)


def unpack(packed: bytes, what: str) -> bytes:
    """The inverse of `pack`. Raises LedgerBroken, naming `what`: zlib carries a checksum of its own."""
    try:
        return zlib.decompress(packed)
    except (zlib.error, TypeError) as error:
        raise LedgerBroken(f"{what} in the ledger is damaged ({error}).") from None


def created(intent: Intent, cycle: str) -> dict[str, Any]:
    """What the first event of an entry keeps: everything about the intent that never changes."""
    return {"cycle": cycle, "intent": native(intent), "wire_sha256": digest(intent.wire.body)}


def wire_of(kept: Any, what: str) -> Wire:
    """A request as an event keeps it. Raises LedgerBroken, naming `what`."""
    try:
        return msgspec.convert(kept, Wire)
    except msgspec.ValidationError as error:
        raise LedgerBroken(f"{what} in the ledger is not as it was written ({error}).") from None


def intent_of(kept: Mapping[str, Any], what: str) -> Intent:
    """The intent from `created`'s data. Raises LedgerBroken, naming `what`, where it is not as it was written."""
    try:
        intent = msgspec.convert(kept["intent"], Intent)
    except (KeyError, msgspec.ValidationError) as error:
        raise LedgerBroken(f"{what} in the ledger is not as it was written ({error}).") from None
    if digest(intent.wire.body) != kept.get("wire_sha256"):
        raise LedgerBroken(f"{what} in the ledger: the bytes to send do not match their own SHA-256.")
    return intent
