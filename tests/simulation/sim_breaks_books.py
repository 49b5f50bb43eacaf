"""Switches that break how several postings share a document, one at a time. See `sim_breaks`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from sim_books import BooksSession

from syncd.core.entries import EntryState
from syncd.cycle import posting
from syncd.ledger import Ledger
from syncd.model import Found, Posting, Receipt, Refused, Unknown, Wire


@contextmanager
def sends_the_document_again() -> Iterator[None]:
    """The answer to a document is lost, and it is sent once more at once."""
    send = BooksSession.send

    def twice(self: BooksSession, first: Posting, wire: Wire) -> Any:
        answer = send(self, first, wire)
        shared = len(self.model.carried(first, wire.body)) > 1
        return send(self, first, wire) if isinstance(answer, Unknown) and shared else answer

    with mock.patch.object(BooksSession, "send", twice):
        yield


@contextmanager
def settles_the_rest_as_absent() -> Iterator[None]:
    """A document is found by its first line, and the others are taken for absent."""
    probe = posting.probe

    def hasty(ledger: Ledger, one: Any, entry: Any, now: Any, **options: Any) -> Any:
        known = {row.remote_id for row in ledger.entries(states={EntryState.POSTED})}
        sight = one.connection.find(entry.intent.posting)
        if one.name == "books" and isinstance(sight, Found) and sight.remote_id in known:
            return posting._settle(ledger, entry, EntryState.PLANNED, "another line of the document was found")
        return probe(ledger, one, entry, now, **options)

    with mock.patch.object(posting, "probe", hasty):
        yield


@contextmanager
def asks_for_the_refused_together_again() -> Iterator[None]:
    """What was refused together waits, and is asked for together again in the next cycle."""
    send = posting._send

    def stubborn(ledger: Ledger, one: Any, document: Sequence[Any]) -> Any:
        if len(document) == 1:
            return send(ledger, one, document)
        wire = one.connection.gather([entry.intent.posting for entry in document])
        claimed = ledger.sending_together(document, wire)
        answer = one.connection.send(document[0].intent.posting, wire) if claimed else None
        if isinstance(answer, Refused):
            return [posting._settle(ledger, entry, EntryState.PLANNED, "refused together") for entry in claimed]
        return [posting._outcome(ledger, one, entry, answer) for entry in claimed if answer is not None]

    with mock.patch.object(posting, "_send", stubborn):
        yield


@contextmanager
def names_it_by_its_first_line() -> Iterator[None]:
    """A document's number is derived from the first of its lines alone."""
    gather = BooksSession.gather

    def named(self: BooksSession, postings: Sequence[Posting]) -> Wire:
        asked = json.loads(gather(self, postings).body)
        asked["number"] = json.loads(gather(self, postings[:1]).body)["number"]
        return Wire("POST", f"/{asked['entity']}", json.dumps(asked, sort_keys=True).encode())

    with mock.patch.object(BooksSession, "gather", named):
        yield


@contextmanager
def claims_only_the_first_line() -> Iterator[None]:
    """The claim of a document is written down for its first line alone."""

    def first(self: Ledger, entries: Sequence[Any], wire: Wire) -> Any:
        claimed = self.sending(entries[0])
        later = [replace(one, state=EntryState.SENDING, attempts=one.attempts + 1) for one in entries[1:]]
        return [claimed, *later] if claimed is not None else []

    with mock.patch.object(Ledger, "sending_together", first):
        yield


@contextmanager
def believes_the_receipt() -> Iterator[None]:
    """One look proves a document, and the lines after it are not looked for: vendors answer 200 and make nothing."""
    outcome = posting._outcome

    def believe(ledger: Ledger, one: Any, entry: Any, answer: Any) -> Any:
        if isinstance(answer, Receipt) and one.name == "books":
            return posting._settle(ledger, entry, EntryState.POSTED, "", answer.remote_id)
        return outcome(ledger, one, entry, answer)

    with mock.patch.object(posting, "_outcome", believe):
        yield


@contextmanager
def adds_to_what_stands() -> Iterator[None]:
    """What is due later is written into a draft that stands already."""
    gather = BooksSession.gather

    def added(self: BooksSession, postings: Sequence[Posting]) -> Wire:
        asked = json.loads(gather(self, postings).body)
        open_ = [
            document.id
            for document in self.model.documents.values()
            if (document.customer, document.entity, document.voided) == (asked["customer"], "draft", False)
        ]
        asked["document"] = open_[0] if open_ and asked["entity"] == "draft" else ""
        return Wire("POST", f"/{asked['entity']}", json.dumps(asked, sort_keys=True).encode())

    with mock.patch.object(BooksSession, "gather", added):
        yield


@contextmanager
def mixes_customers() -> Iterator[None]:
    """All that is due on one day goes into one document, whoever the customer is."""

    def together(self: BooksSession, one: Posting) -> str:
        return str(one.ends)

    with mock.patch.object(BooksSession, "together", together):
        yield


BOOKS_BREAKS = (
    sends_the_document_again,
    settles_the_rest_as_absent,
    asks_for_the_refused_together_again,
    names_it_by_its_first_line,
    claims_only_the_first_line,
    believes_the_receipt,
    adds_to_what_stands,
    mixes_customers,
)
