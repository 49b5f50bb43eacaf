"""Additions that syncd itself makes to a mapping file: a customer, a rule, an ignore, and proposals as comments.

Owns writing; nobody else writes a mapping. New blocks go to the end of the file and everything that stood there stays
byte for byte. The file is not rendered anew: tomlkit 0.15 gathers `[[customer]]` blocks that alternate with `[[rule]]`
blocks, and tears comments from what they explain. What always holds: the file is replaced whole or not at all, and
only where reading it gives what was there and the new block.
"""

from __future__ import annotations

import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from syncd.config.faults import read_toml
from syncd.config.values import key_text, quoted, toml_text
from syncd.errors import Fault, UserFault

# What a customer's key may be: a text, { id =, where = }, or a list of those.
KeyValue = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]


def add_customer(
    path: Path, name: str, keys: Mapping[str, KeyValue], *, tags: Sequence[str] = (), mode: str = "", note: str = ""
) -> None:
    """Add `[[customer]]`; `keys` by connection, `note` becomes a comment above it. Raises UserFault."""
    block: dict[str, Any] = {"name": name, **keys}
    if tags:
        block["tags"] = list(tags)
    if mode:
        block["mode"] = mode
    add_block(path, "customer", block, note=note)


def add_rule(path: Path, rule: Mapping[str, Any], *, note: str = "") -> None:
    """Add `[[rule]]` as INTERFACE 3.2 writes it; `example` is a list of tables. Raises UserFault."""
    add_block(path, "rule", rule, note=note)


def add_ignore(
    path: Path,
    connection: str,
    *,
    skus: Sequence[str] = (),
    customers: Sequence[str] = (),
    why: str = "",
    until: date | None = None,
    note: str = "",
) -> None:
    """Add `[[ignore]]`. Raises UserFault."""
    block: dict[str, Any] = {"from": connection}
    for key, values in (("sku", skus), ("customer", customers)):
        if values:
            block[key] = list(values)
    if why:
        block["why"] = why
    if until is not None:
        block["until"] = until
    add_block(path, "ignore", block, note=note)


def as_comment(kind: str, block: Mapping[str, Any], note: str) -> str:
    """A block that does not count until a person takes the first `#` of its lines away: `note` then stays a comment."""
    return "".join(f"#{line}\n" for line in _render(kind, block, note).removesuffix("\n").split("\n"))


def add_comments(path: Path, comments: Sequence[str], *, heading: str = "") -> None:
    """Append comments, an empty line before each; `heading` opens a file that is made for them.

    What the file means stays the same: that is proven before it is written. Raises UserFault.
    """
    before: dict[str, Any] = {}
    text = ""
    if path.exists():
        found, faults = read_toml(path, str(path))
        if found is None:
            raise UserFault(faults)
        before, text = found, path.read_bytes().decode()
    newline = "\r\n" if "\r\n" in text else "\n"
    blocks = comments if text or not heading else (heading, *comments)
    added = "\n".join(one if one.endswith("\n") else f"{one}\n" for one in blocks).replace("\n", newline)
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    whole = text + gap + added
    try:
        now = tomllib.loads(whole.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        now = None
    if now != before:
        raise UserFault(Fault(str(path), "comments cannot be added at its end.", "Move it aside and run this again."))
    _replace(path, whole.encode())


def add_block(path: Path, kind: str, block: Mapping[str, Any], *, note: str = "") -> None:
    """Append one `[[kind]]` to the file, which is made where it is missing.

    Raises UserFault where the file cannot be read or written, or already has a block of that kind and name. Whether
    the block is valid beside the others is for `load` to say.
    """
    before: dict[str, Any] = {}
    text = ""
    if path.exists():
        found, faults = read_toml(path, str(path))
        if found is None:
            raise UserFault(faults)
        before, text = found, path.read_bytes().decode()
    there = before.get(kind, [])
    name = block.get("name")
    if name is not None and any(isinstance(one, dict) and one.get("name") == name for one in there):
        raise UserFault(Fault(str(path), f"already has a {kind} {quoted(str(name))}.", "Change it there."))
    rendered = _render(kind, block, note)
    newline = "\r\n" if "\r\n" in text else "\n"
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    whole = text + gap + rendered.replace("\n", newline)
    _prove(path, whole, before, kind, block)
    _replace(path, whole.encode())


def _render(kind: str, block: Mapping[str, Any], note: str) -> str:
    """The block as text; a rule's examples get headers of their own, after its other keys."""
    lines = [f"# {line}".rstrip() for line in note.splitlines()]
    lines.append(f"[[{kind}]]")
    lines += [f"{key_text(key)} = {toml_text(value)}" for key, value in block.items() if key != "example"]
    for example in block.get("example", ()):
        lines.append(f"[[{kind}.example]]")
        lines += [f"{key_text(key)} = {toml_text(value)}" for key, value in example.items()]
    return "\n".join(lines) + "\n"


def _prove(path: Path, whole: str, before: Mapping[str, Any], kind: str, block: Mapping[str, Any]) -> None:
    """Read what would be written: it must be the old blocks and the new one, or nothing is written."""
    wanted = {**before, kind: [*before.get(kind, []), _plain(block)]}
    try:
        now = tomllib.loads(whole.removeprefix("\ufeff"), parse_float=Decimal)
    except tomllib.TOMLDecodeError:
        now = {}
    if now != wanted:
        what = f"a [[{kind}]] cannot be added at its end."
        raise UserFault(Fault(str(path), what, f"Write its {kind} blocks with a header each: [[{kind}]]."))


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
    return value


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, flush to the disk, then rename over it; its rights stay."""
    target = path.resolve()  # a symbolic link stays one
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                os.fchmod(stream.fileno(), mode)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UserFault(Fault(str(path), f"cannot be written ({error.strerror}).")) from None
