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
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from syncd.core.entries import Entry, EntryState, Intent
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
    """Appends events inside one transaction, which must hold the write lock. Made by `pen`."""

    def __init__(self, connection: Connection, at: datetime) -> None:
        end = connection.execute(select(meta.c.events, meta.c.head)).one()
        self.connection = connection
        self._at = instant_text(at)
        self._events: int = end.events
        self._head: str = end.head
        self._entries: list[dict[str, Any]] = []
        self._links: list[Link] = []

    def open(self, intents: Sequence[Intent], cycle: str) -> list[Entry]:
        """New entries, in this order, under keys that the ledger does not have yet."""
        made = []
        for intent, entry_id in zip(intents, self._new_ids([intent.key for intent in intents]), strict=True):
            data = created(intent, cycle)
            link = self._next(entry_id, None, intent.state, data)
            row = projection.opened(link, data)
            self._keep(link)
            self._entries.append(row)
            made.append(projection.entry_of(row, link.data))
        return made

    def move(self, kept: Kept, to: EntryState, said: Mapping[str, Any], *, only: ColumnElement[bool]) -> Kept | None:
        """Moves an entry, where it still is as `kept` and `only` holds; None where not. `said` as in `projection`."""
        data = native(said)
        link = self._next(kept.row["id"], EntryState(kept.row["state"]), to, data)
        changes = projection.moved(kept.row, link, data)
        hit = self.connection.execute(
            update(entry)
            .where(entry.c.seq == kept.row["seq"], entry.c.state == kept.row["state"])
            .where(entry.c.hash == kept.row["hash"], only)
            .values(changes)
        )
        if hit.rowcount != 1:
            return None
        self._keep(link)
        return Kept({**kept.row, **changes}, kept.created)

    def _next(self, entry_id: str, was: EntryState | None, to: EntryState, data: Mapping[str, Any]) -> Link:
        link = Link(self._events + 1, entry_id, self._at, was.value if was else None, to.value, written(data))
        return replace(link, hash=link_hash(self._head, link))

    def _keep(self, link: Link) -> None:
        self._links.append(link)
        self._events, self._head = link.seq, link.hash

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
        """Writes what was gathered, and the chain's new end."""
        if self._entries:
            self.connection.execute(insert(entry), self._entries)
        if self._links:
            rows = [
                {
                    "seq": link.seq,
                    "entry_id": link.entry_id,
                    "at": link.at,
                    "from_state": link.from_state,
                    "to_state": link.to_state,
                    "data": link.data,
                    "hash": link.hash,
                }
                for link in self._links
            ]
            self.connection.execute(insert(event), rows)
            self.connection.execute(update(meta).values(events=self._events, head=self._head))


@contextmanager
def pen(connection: Connection, at: datetime) -> Iterator[Pen]:
    """A Pen whose events are in the transaction when the block ends without an error."""
    held = Pen(connection, at)
    yield held
    held.finish()
