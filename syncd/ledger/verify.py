"""Proves the record, or says what is wrong with it: the chain, each entry against its events, each stored content, and
that what one row names is there.

The chain covers what was intended, sent and answered, with the counts and the SHA-256 of the subject lists behind each
number. Cycles, readings and lines are covered as far as they name each other and those lists; a cycle's summary and a
reading's text could be rewritten unnoticed by whoever owns the database, and no amount depends on them.

Reads only, inside the caller's transaction. Rows are read as they are stored, so that an altered one ends as a sentence
and not as an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, func, select

from syncd.errors import LedgerBroken
from syncd.ledger import chain, codec
from syncd.ledger.engine import link_of
from syncd.ledger.projection import entry_of, replay
from syncd.ledger.tables import blob, cycle, entry, event, latest, line, meta, observation

_ROWS = 1000


def problems(connection: Connection, damage: Callable[[Connection], Iterator[str]]) -> Iterator[str]:
    """Everything that is wrong, each as a sentence; nothing where the record is whole.

    `damage`: the database's own look at itself (`engine.Place.damage`).
    """
    yield from damage(connection)
    told = connection.execute(select(meta)).mappings().one_or_none()
    if told is None:
        yield "the row that says where the record ends is missing."
        return
    ordered = connection.execute(select(event).order_by(event.c.seq)).yield_per(_ROWS).mappings()
    links = (link_of(row) for row in ordered)
    yield from chain.faults(told["installation"], links, told["events"], told["head"])
    yield from _entries(connection)
    yield from _fence(connection, told["epoch"])
    yield from _contents(connection)
    yield from _newest(connection)
    yield from _cycles(connection)


def went_back(connection: Connection, once: int) -> Iterator[str]:
    """The same for a ledger that ends earlier than it once did, as far as the mark beside it knows (`once` events).

    None where the ledger itself says that it was restored."""
    told = connection.execute(select(meta.c.events, meta.c.restored)).one_or_none()
    if told is not None and told.restored is None and told.events < once:
        yield (
            f"the record once had {once} events and ends at event {told.events}: it went back, and has forgotten what "
            "was posted since."
        )


def _fence(connection: Connection, epoch: int) -> Iterator[str]:
    """Each sending names the epoch of its writer, which only rises."""
    sent = select(event.c.seq, event.c.data).where(event.c.to_state == "sending").order_by(event.c.seq.desc()).limit(1)
    row = connection.execute(sent).one_or_none()
    if row is None:
        return
    try:
        by = codec.parse(row.data, f"event {row.seq}").get("epoch")
    except (LedgerBroken, AttributeError):
        return  # told already, by the chain
    if isinstance(by, int) and by > epoch:
        yield f"the ledger says that {epoch} writers had it, but event {row.seq} was written by number {by}."


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
    kept: set[bytes] = set()
    for row in connection.execute(select(blob)).yield_per(_ROWS):
        kept.add(row.digest.encode())
        yield from _content(row.body, row.digest, f"blob {row.digest}", None)
    for row in connection.execute(select(line.c.id, line.c.digest, line.c.body)).yield_per(_ROWS):
        yield from _content(row.body, row.digest, f"line {row.id}", kept)
    for row in connection.execute(select(observation.c.seq, observation.c.body)).yield_per(_ROWS):
        yield from _content(row.body, None, f"observation {row.seq}", kept)
    first = select(event.c.entry_id, event.c.data).where(event.c.from_state.is_(None))
    for row in connection.execute(first).yield_per(_ROWS):
        if isinstance(row.data, str):
            yield from _lost(row.data.encode("utf-8", "replace"), f"entry {row.entry_id}", kept)


# How every derivation and every reading names the list of who holds the seats.
_SUBJECTS = re.compile(rb'"subjects":"([0-9a-f]{64})"')


def _lost(content: bytes, what: str, kept: Collection[bytes]) -> Iterator[str]:
    for name in dict.fromkeys(_SUBJECTS.findall(content)):
        if name not in kept:
            yield f"{what} names the subjects {name.decode()}, which are not in the ledger any more."


def _newest(connection: Connection) -> Iterator[str]:
    """`latest` points to the newest observation of each kind."""
    of = ("connection", "customer_id", "what")
    newest = (
        select(*(observation.c[name] for name in of), func.max(observation.c.seq).label("seq"))
        .group_by(*(observation.c[name] for name in of))
        .subquery()
    )
    same = and_(*(newest.c[name] == latest.c[name] for name in of))
    pointed = select(latest, newest.c.seq.label("newest"), observation.c.digest.label("kept")).select_from(
        latest.outerjoin(newest, same).outerjoin(observation, observation.c.seq == latest.c.seq)
    )
    for row in connection.execute(pointed).yield_per(_ROWS):
        what = f"the newest reading {row.what!r} of {row.connection or 'the mappings'}"
        if row.kept is None:
            yield f"{what} is observation {row.seq}, which is not in the ledger any more."
        elif row.newest != row.seq or row.kept != row.digest:
            yield f"{what} is observation {row.newest}, but the ledger points to {row.seq}."
    unknown = select(newest.c.seq).select_from(newest.outerjoin(latest, same)).where(latest.c.seq.is_(None))
    for seq in connection.execute(unknown).scalars():
        yield f"observation {seq} is the newest of its kind, but the ledger does not point to it."


def _cycles(connection: Connection) -> Iterator[str]:
    """Cycles are numbered without a gap, and readings name theirs."""
    expected = 1
    for number in connection.execute(select(cycle.c.number).order_by(cycle.c.number)).scalars():
        if number != expected:
            yield f"cycle {expected} is missing: cycle {number} follows cycle {expected - 1}."
        expected = number + 1
    named = connection.execute(select(observation.c.cycle).distinct()).scalars()
    for name in named:
        if not name.removeprefix("c").isdecimal() or int(name.removeprefix("c")) >= expected:
            yield f"cycle {name} is missing, but something was read in it."


def _content(packed: bytes, named: str | None, what: str, kept: Collection[bytes] | None) -> Iterator[str]:
    try:
        content = codec.unpack(packed, what)
    except LedgerBroken as broken:
        yield str(broken)
        return
    if named is not None and codec.digest(content) != named:
        yield f"{what} was altered: its content does not match its SHA-256."
    if kept is not None:
        yield from _lost(content, what, kept)
