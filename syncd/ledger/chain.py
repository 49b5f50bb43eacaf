"""The hash chain over events: pure. Each event's hash covers its content and the hash of the event before it.

hash = SHA-256(previous hash, newline, canonical JSON of the row). Before the first event stands a hash of the
installation's name, so that a chain belongs to one ledger. A chain shows every edit inside it; a tail that was cut off
together with the head in `meta` shows only against a head that somebody kept elsewhere (alerts, evidence packs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from syncd.ledger.codec import written


@dataclass(frozen=True, slots=True)
class Link:
    """One event exactly as it is stored; all text, so that nothing is normalised before it is hashed."""

    seq: int
    entry_id: str
    at: str
    from_state: str | None
    to_state: str
    data: str
    hash: str = ""


def genesis(installation: str) -> str:
    """What stands before the first event."""
    return hashlib.sha256(f"syncd ledger {installation}".encode()).hexdigest()


def link_hash(previous: str, link: Link) -> str:
    """The hash that `link` must have after `previous`; `link.hash` itself is not looked at."""
    row = written(
        {
            "at": link.at,
            "data": link.data,
            "entry": link.entry_id,
            "from": link.from_state,
            "seq": link.seq,
            "to": link.to_state,
        }
    )
    return hashlib.sha256(f"{previous}\n{row}".encode()).hexdigest()


def faults(installation: str, links: Iterable[Link], count: int, head: str) -> Iterator[str]:
    """What is wrong with a chain, in words; nothing where it is whole.

    `links` in the order of `seq`. `count` and `head` are what the ledger says of its own end.
    """
    previous, expected = genesis(installation), 1
    for link in links:
        if link.seq != expected:
            yield f"event {expected} is missing: event {link.seq} follows event {expected - 1}."
        if link_hash(previous, link) != link.hash:
            yield (
                f"event {link.seq} (entry {link.entry_id}, to {link.to_state}, {link.at}) does not match its hash: "
                "it or the one before it was altered."
            )
        previous, expected = link.hash, link.seq + 1
    last = expected - 1
    if last < count:
        yield f"the record ends at event {last}, but it had {count}: the last {count - last} are missing."
    elif last > count:
        yield f"the record goes on to event {last}, but the ledger counted {count}."
    elif previous != head:
        yield f"event {last} is not the one that the ledger noted as its last."
