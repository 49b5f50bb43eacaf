"""What the pages ask of the ledger. Reads only; the ledger is thread-safe, each question one short transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBroken, UserFault
from syncd.ledger import Event, request_of

# So many entries on a page.
PAGE = 100


class Books(Protocol):
    """The part of the ledger that the pages use."""

    def entries(
        self,
        *,
        states: Collection[EntryState] | None = None,
        customer: str | None = None,
        limit: int | None = None,
        newest: bool = False,
    ) -> list[Entry]:
        """Oldest first, or `newest` first; `limit` takes so many of the first."""

    def entry(self, id: str) -> Entry | None:
        """By id or its beginning. Raises UserFault where several begin so."""

    def events(self, entry_id: str) -> list[Event]:
        """All that happened to an entry, oldest first."""

    def blob(self, digest: str) -> bytes | None:
        """Content by its SHA-256."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Entries for a page, newest first. `more`: there are older ones that are not shown."""

    entries: tuple[Entry, ...]
    more: bool


def newest(books: Books, *, state: EntryState | None = None, customer: str = "") -> Passed:
    """The newest entries, of one state and customer where they are named."""
    found = books.entries(states={state} if state else None, customer=customer or None, limit=PAGE + 1, newest=True)
    return Passed(tuple(found[:PAGE]), len(found) > PAGE)


def held(books: Books) -> Passed:
    """Everything that waits for a person, oldest first: who waits longest is served first."""
    found = books.entries(states={EntryState.HELD}, limit=PAGE * 5 + 1)
    return Passed(tuple(found[: PAGE * 5]), len(found) > PAGE * 5)


def find(books: Books, id: str) -> Entry | None:
    """One entry by id or its beginning; None where there is none or several."""
    try:
        return books.entry(id)
    except UserFault:
        return None


@dataclass(frozen=True, slots=True)
class Counted:
    """One count behind a number, with who or what was counted; `subjects` is None where the vendor told none, or where
    none are kept."""

    count: dict[str, Any]
    subjects: Sequence[Sequence[str]] | None


def counts_of(books: Books, entry: Entry) -> list[Counted]:
    """The counts of an entry's derivation. Raises LedgerBroken where what is kept cannot be read."""
    derivation = entry.intent.derivation.get("derivation", entry.intent.derivation)
    found = []
    for count in derivation.get("counts", ()):
        body = books.blob(count["subjects"]) if count.get("subjects") else None
        try:
            subjects = json.loads(body) if body is not None else None
        except ValueError:
            raise LedgerBroken(f"the subjects of entry {entry.id} cannot be read.") from None
        found.append(Counted(dict(count), subjects))
    return found


@dataclass(frozen=True, slots=True)
class Step:
    """One event, as the page tells it."""

    at: datetime
    state: EntryState
    note: str
    by: str
    hash: str


def body(books: Books, entry: Entry) -> str:
    """What was sent, or would be."""
    return request_of(entry, books.events(entry.id)).body.decode("utf-8", "replace")


def steps(books: Books, entry: Entry) -> list[Step]:
    """What happened to an entry, oldest first."""
    return [
        Step(
            event.at,
            event.to_state,
            str(event.data.get("note", "")) or str(event.data.get("intent", {}).get("why", "")),
            str(event.data.get("decided_by", "")) or str(event.data.get("intent", {}).get("decided_by", "")),
            event.hash,
        )
        for event in books.events(entry.id)
    ]
