"""Switches that break the product, one at a time: the simulation must find each of them, or it proves nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from sim_breaks_books import BOOKS_BREAKS

from syncd.core import guards, keys, true_up_line
from syncd.core.entries import EntryState
from syncd.cycle import posting
from syncd.ledger import Ledger
from syncd.model import Absent, Moved, NotSent, State, Unknown

FAR = datetime(2100, 1, 1, tzinfo=UTC)


@contextmanager
def repeats_without_looking() -> Iterator[None]:
    """An answer that is not known is taken for "not sent", and sent again unseen."""
    post = posting._post

    def blind(ledger: Ledger, one: Any, document: Any) -> Any:
        class Blind:
            sent = False

            def send(self, *arguments: Any) -> Any:
                self.sent = True
                answer = one.connection.send(*arguments)
                return NotSent(answer.reason) if isinstance(answer, Unknown) else answer

            def find(self, wanted: Any) -> Any:
                return one.connection.find(wanted) if self.sent else Absent()

            def gather(self, wanted: Any) -> Any:
                return one.connection.gather(wanted)

        return post(ledger, replace(one, connection=Blind()), document)

    with mock.patch.object(posting, "_post", blind):
        yield


@contextmanager
def no_quiet_time() -> Iterator[None]:
    """What is absent once is absent: a request on its way is repeated, and lands twice."""
    probe = posting.probe

    def hasty(ledger: Ledger, one: Any, entry: Any, now: datetime, **options: Any) -> Any:
        return probe(ledger, one, entry, FAR)

    with mock.patch.object(posting, "probe", hasty):
        yield


@contextmanager
def keys_of_the_attempt() -> Iterator[None]:
    """Every plan draws new keys."""
    number = itertools.count()
    key: Callable[..., str] = keys.key

    def drawn(*parts: Any) -> str:
        return key(*parts[:-1], int(parts[-1]) * 1_000_000 + next(number))

    with mock.patch.object(keys, "key", drawn):
        yield


@contextmanager
def partial_is_known() -> Iterator[None]:
    """A reading that ended early counts."""
    from sim_sources import SourceSession

    counts = SourceSession.counts

    def whole(self: Any, *arguments: Any) -> Iterator[Any]:
        for reading in counts(self, *arguments):
            yield replace(reading, state=State.KNOWN, counts=reading.counts[:0]) if reading.reason else reading

    with mock.patch.object(SourceSession, "counts", whole):
        yield


@contextmanager
def sends_before_it_writes() -> Iterator[None]:
    """The claim is not written down before the request leaves."""

    def later(self: Ledger, entry: Any) -> Any:
        return replace(entry, state=EntryState.SENDING, attempts=entry.attempts + 1)

    with mock.patch.object(Ledger, "sending", later):
        yield


@contextmanager
def posted_unseen() -> Iterator[None]:
    """A success counts without reading back: vendors answer 200 and change nothing."""

    def believe(ledger: Ledger, one: Any, entry: Any, remote_id: str, echo: str) -> Any:
        return posting._settle(ledger, entry, EntryState.POSTED, "", remote_id, echo)

    with mock.patch.object(posting, "_read_back", believe):
        yield


@contextmanager
def overwrites_unseen() -> Iterator[None]:
    """What somebody wrote between the plan and the sending is written over."""
    look = posting._look_before

    def hasty(one: Any, entry: Any, sight: Any) -> Any:
        return None if isinstance(sight, Moved) else look(one, entry, sight)

    with mock.patch.object(posting, "_look_before", hasty):
        yield


@contextmanager
def overwrites_unasked() -> Iterator[None]:
    """A quantity that somebody changed by hand is corrected, whatever `foreign_edit` says."""
    with mock.patch.object(guards, "edited_by_hand", return_value=""):
        yield


@contextmanager
def adds_to_edited_lines() -> Iterator[None]:
    """syncd's own lines were changed by hand, and it adds to them unasked."""
    meddling = true_up_line.meddling

    def unmoved(*arguments: Any) -> Any:
        return replace(meddling(*arguments), edited="")

    with mock.patch.object(true_up_line, "meddling", unmoved):
        yield


@contextmanager
def loses_the_part() -> Iterator[None]:
    """The part of a change that was refused stands for the part of the next try, and ends with the refused one."""
    with mock.patch.object(posting, "_end_orphans", return_value=None):
        yield


BREAKS: Mapping[str, Callable[[], Any]] = {
    one.__name__: one
    for one in (
        repeats_without_looking,
        no_quiet_time,
        keys_of_the_attempt,
        partial_is_known,
        sends_before_it_writes,
        posted_unseen,
        overwrites_unseen,
        overwrites_unasked,
        adds_to_edited_lines,
        loses_the_part,
        *BOOKS_BREAKS,
    )
}
