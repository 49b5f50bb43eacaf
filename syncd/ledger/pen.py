"""Writes events, and with each the entry it moves: the only code that inserts into `event` or touches `entry`.

A Pen lives inside one writing transaction. It holds the chain's end, so that many events cost one update of `meta`.
Before an entry is moved, its own events are hashed again and replayed: a row that was altered beside the chain, or a
flipped bit in the bytes to send, is found before anything leaves.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from syncd.core.entries import TRANSITIONS, Entry, EntryState, Intent
from syncd.errors import LedgerBroken, SyncdError
from syncd.ledger import projection
from syncd.ledger.chain import Link, genesis, link_hash
from syncd.ledger.codec import created, instant_text, native, written
from syncd.ledger.engine import link_of
from syncd.ledger.lookup import chunks
from syncd.ledger.tables import entry, event, meta

ID_LENGTHS = (10, 16, 52)  # base32 of a SHA-256; the longer ones only where a shorter is taken


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry's row with the data of its first event."""

    row: Mapping[str, Any]
    created: str

    @property
    def entry(self) -> Entry:
        """As the core knows it. Raises LedgerBroken."""
        return projection.entry_of(self.row, self.created)


def checked(connection: Connection, entry_id: str) -> Kept:
    """One entry, proven against its own events. Raises LedgerBroken; SyncdError where there is none."""
    row = connection.execute(select(entry).where(entry.c.id == entry_id)).mappings().one_or_none()
    if row is None:
        raise SyncdError(f"there is no entry {entry_id} in the ledger.")
    before = event.alias("before")
    found = connection.execute(
        select(event, before.c.hash.label("previous"))
        .join_from(event, before, before.c.seq == event.c.seq - 1, isouter=True)
        .where(event.c.entry_id == entry_id)
        .order_by(event.c.seq)
    ).mappings()
    links: list[Link] = []
    for one in found:
        link = link_of(one)
        previous = one["previous"]
        if link.seq == 1:
            previous = genesis(connection.execute(select(meta.c.installation)).scalar_one())
        if previous is None or link_hash(previous, link) != link.hash:
            raise LedgerBroken(f"event {link.seq} of entry {entry_id} was altered. {_BROKEN}")
        links.append(link)
    if not links or projection.replay(links) != dict(row):
        raise LedgerBroken(f"entry {entry_id} is not what its events say. {_BROKEN}")
    return Kept(dict(row), links[0].data)


_BROKEN = "Nothing was done with it; `syncd ledger verify` says more."


class Pen:
    """Appends events inside one transaction, which must hold the write lock. Made by `pen`.

    `events`: how many there are by now.
    """

    def __init__(self, connection: Connection, at: datetime) -> None:
        end = connection.execute(select(meta.c.events, meta.c.head)).one()
        self.connection = connection
        self._at = instant_text(at)
        self.events: int = end.events
        self._head: str = end.head

    def open(self, intents: Sequence[Intent], cycle: str) -> list[Entry]:
        """New entries, in this order, under keys that the ledger does not have yet."""
        rows: list[dict[str, Any]] = []
        links: list[Link] = []
        for intent, entry_id in zip(intents, self._new_ids([intent.key for intent in intents]), strict=True):
            data = created(intent, cycle)
            link = self._next(entry_id, None, intent.state, data)
            self.events, self._head = link.seq, link.hash
            rows.append(projection.opened(link, data))
            links.append(link)
        if rows:
            self.connection.execute(insert(entry), rows)
            self._append(links)
        return [projection.entry_of(row, link.data) for row, link in zip(rows, links, strict=True)]

    def move(self, kept: Kept, to: EntryState, said: Mapping[str, Any], *, only: ColumnElement[bool]) -> Kept | None:
        """Moves an entry, where it still is as `kept` and `only` holds; None where not. `said` as in `projection`.

        Raises ValueError for a move that does not exist.
        """
        was = EntryState(kept.row["state"])
        if to not in TRANSITIONS[was]:
            raise ValueError(f"an entry does not go from {was} to {to}")
        data = native(said)
        link = self._next(kept.row["id"], was, to, data)
        changes = projection.moved(kept.row, link, data)
        hit = self.connection.execute(
            update(entry)
            .where(entry.c.seq == kept.row["seq"], entry.c.state == kept.row["state"])
            .where(entry.c.hash == kept.row["hash"], only)
            .values(changes)
        )
        if hit.rowcount != 1:
            return None
        self.events, self._head = link.seq, link.hash
        self._append([link])
        return Kept({**kept.row, **changes}, kept.created)

    def _next(self, entry_id: str, was: EntryState | None, to: EntryState, data: Mapping[str, Any]) -> Link:
        link = Link(self.events + 1, entry_id, self._at, was.value if was else None, to.value, written(data))
        return replace(link, hash=link_hash(self._head, link))

    def _append(self, links: Sequence[Link]) -> None:
        rows = [{field.name: getattr(link, field.name) for field in fields(link)} for link in links]
        self.connection.execute(insert(event), rows)

    def _new_ids(self, keys: Sequence[str]) -> list[str]:
        names = [base64.b32encode(hashlib.sha256(key.encode()).digest()).decode("ascii").lower() for key in keys]
        taken: set[str] = set()
        for length in ID_LENGTHS:
            wanted = sorted({name[:length] for name in names})
            for portion in chunks(wanted):
                taken.update(self.connection.execute(select(entry.c.id).where(entry.c.id.in_(portion))).scalars())
        ids = []
        for name in names:
            ids.append(next(name[:length] for length in ID_LENGTHS if name[:length] not in taken))
            taken.add(ids[-1])
        return ids

    def finish(self) -> None:
        """Notes the chain's new end."""
        self.connection.execute(
            update(meta).where(meta.c.events != self.events).values(events=self.events, head=self._head)
        )


@contextmanager
def pen(connection: Connection, at: datetime) -> Iterator[Pen]:
    """A Pen; the chain's end is noted when the block ends without an error."""
    held = Pen(connection, at)
    yield held
    held.finish()
