"""Proves the record, or says what is wrong with it: the chain, each entry against its events, each stored content.

Reads only, inside the caller's transaction. Rows are read as they are stored, so that an altered one ends as a sentence
and not as an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from syncd.errors import LedgerBroken
from syncd.ledger import chain, codec
from syncd.ledger.engine import link_of, one_line
from syncd.ledger.projection import entry_of, replay
from syncd.ledger.tables import blob, entry, event, line, meta, observation

_ROWS = 1000


def problems(connection: Connection) -> Iterator[str]:
    """Everything that is wrong, each as a sentence; nothing where the record is whole."""
    for finding in connection.exec_driver_sql("PRAGMA integrity_check(20)").scalars():
        if finding != "ok":
            yield f"the database is damaged: {one_line(finding)}."
    told = connection.execute(select(meta)).mappings().one_or_none()
    if told is None:
        yield "the row that says where the record ends is missing."
        return
    ordered = connection.execute(select(event).order_by(event.c.seq)).yield_per(_ROWS).mappings()
    links = (link_of(row) for row in ordered)
    yield from chain.faults(told["installation"], links, told["events"], told["head"])
    yield from _entries(connection)
    yield from _contents(connection)


def _entries(connection: Connection) -> Iterator[str]:
    """Both sides are walked in the order of ids, so that neither is held in memory."""
    kept = iter(connection.execute(select(entry).order_by(entry.c.id)).yield_per(_ROWS).mappings())
    by_entry = select(event).order_by(event.c.entry_id, event.c.seq)
    links = (link_of(row) for row in connection.execute(by_entry).yield_per(_ROWS).mappings())
    row = next(kept, None)
    for entry_id, group in groupby(links, lambda link: link.entry_id):
        while row is not None and row["id"] < entry_id:
            yield f"entry {row['id']} has no events: nobody can say how it came about."
            row = next(kept, None)
        if row is None or row["id"] > entry_id:
            yield f"entry {entry_id} is missing, but it has events."
            continue
        yield from _compare(dict(row), list(group))
        row = next(kept, None)
    while row is not None:
        yield f"entry {row['id']} has no events: nobody can say how it came about."
        row = next(kept, None)


def _compare(row: Mapping[str, Any], links: list[chain.Link]) -> Iterator[str]:
    try:
        told = replay(links)
        entry_of(told, links[0].data)
    except LedgerBroken as broken:
        yield str(broken)
        return
    for name, value in told.items():
        if row[name] != value:
            yield f"entry {row['id']} was altered: its {name} is {row[name]!r}, its events say {value!r}."


def _contents(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(blob)).yield_per(_ROWS):
        yield from _content(row.body, row.digest, f"blob {row.digest}")
    for row in connection.execute(select(line.c.id, line.c.digest, line.c.body)).yield_per(_ROWS):
        yield from _content(row.body, row.digest, f"line {row.id}")
    for row in connection.execute(select(observation.c.seq, observation.c.body)).yield_per(_ROWS):
        yield from _content(row.body, None, f"observation {row.seq}")


def _content(packed: bytes, named: str | None, what: str) -> Iterator[str]:
    try:
        content = codec.unpack(packed, what)
    except LedgerBroken as broken:
        yield str(broken)
        return
    if named is not None and codec.digest(content) != named:
        yield f"{what} was altered: its content does not match its SHA-256."
