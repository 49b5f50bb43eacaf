"""Reading entries: by id, by state and filters, and everything planning needs of the past. Reads only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, TextClause, case, func, select, true

from syncd.core.entries import Closed, Entry, EntryState, LineHistory, Settled
from syncd.core.keys import OWN
from syncd.errors import Fault, UserFault
from syncd.ledger.codec import instant, number, parse, wire_of
from syncd.ledger.projection import entry_of, state_of
from syncd.ledger.tables import IS_DATED, IS_OPEN, TERMINAL_STATES, entry, event
from syncd.model import Operation, Wire
from syncd.money import ZERO

MIN_PREFIX = 4
# Messages and tickets: syncd's own actions, which move no money.
IS_OWN = entry.c.identity.startswith(OWN, autoescape=True)
_NOT_OWN = ~IS_OWN
_ID = re.compile(r"[a-z2-7]+")
# Lines that are there, or may be. What waits for a person is not decided, so it is not counted.
_COUNTED = frozenset({EntryState.PLANNED, EntryState.SENDING, EntryState.UNKNOWN, EntryState.POSTED})
Condition = ColumnElement[bool] | TextClause
# SQLite allows 32,766 parameters in a statement since 3.32.
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One transition of an entry. `seq` is its place in the record; `data` holds what was said with it."""

    seq: int
    entry_id: str
    at: datetime
    from_state: EntryState | None
    to_state: EntryState
    data: dict[str, Any]
    hash: str


def request_of(entry: Entry, events: Sequence[Event]) -> Wire:
    """What was sent for an entry, or would be: the document's bytes where it last left together with others. Raises
    LedgerBroken."""
    newest = next((one for one in reversed(events) if one.to_state is EntryState.SENDING), None)
    if newest is None or "wire" not in newest.data:
        return entry.intent.wire
    return wire_of(newest.data["wire"], f"event {newest.seq}")


def entries(
    connection: Connection, *conditions: Condition, limit: int | None = None, newest: bool = False
) -> list[Entry]:
    """Oldest first, or newest first. Raises LedgerBroken where one cannot be read."""
    found = connection.execute(_wanted(conditions, limit, newest)).mappings()
    return [entry_of(dict(row), row["first_event"]) for row in found]


@lru_cache(maxsize=64)  # a statement that is built anew costs more than it takes to run
def _wanted(conditions: tuple[Condition, ...], limit: int | None, newest: bool) -> Select[Any]:
    return (
        select(entry, event.c.data.label("first_event"))
        .join_from(entry, event, event.c.seq == entry.c.seq)
        .where(true(), *conditions)
        .order_by(entry.c.seq.desc() if newest else entry.c.seq)
        .limit(limit)
    )


def resolve(connection: Connection, wanted: str) -> str | None:
    """The id that begins with `wanted`, None where there is none.

    Raises UserFault where it is shorter than 4 characters, or where several begin so.
    """
    prefix = wanted.strip().lower()
    if not _ID.fullmatch(prefix):
        return None
    place = f"entry {wanted}"
    if len(prefix) < MIN_PREFIX:
        raise UserFault(Fault(place, f"is too short to be sure: give at least {MIN_PREFIX} characters of its id."))
    # A range instead of LIKE: the index serves it. "~" sorts after every character of an id.
    found = connection.execute(
        select(entry.c.id).where(entry.c.id >= prefix, entry.c.id < prefix + "~").order_by(entry.c.id).limit(4)
    ).scalars()
    ids = list(found)
    if prefix in ids or len(ids) == 1:
        return prefix if prefix in ids else ids[0]
    if ids:
        raise UserFault(Fault(place, f"could be any of {', '.join(ids)}{'…' if len(ids) == 4 else ''}. Write more."))
    return None


def events(connection: Connection, entry_id: str) -> list[Event]:
    """All that happened to an entry, oldest first."""
    found = connection.execute(select(event).where(event.c.entry_id == entry_id).order_by(event.c.seq))
    return [
        Event(
            seq=row.seq,
            entry_id=row.entry_id,
            at=instant(row.at),
            from_state=state_of(row.from_state, f"event {row.seq}") if row.from_state else None,
            to_state=state_of(row.to_state, f"event {row.seq}"),
            data=parse(row.data, f"event {row.seq}"),
            hash=row.hash,
        )
        for row in found
    ]


def chunks(values: Collection[str]) -> Iterator[Sequence[str]]:
    """`values` in portions that fit into one statement."""
    listed = list(values)
    for start in range(0, len(listed), _CHUNK):
        yield listed[start : start + _CHUNK]


@lru_cache(maxsize=4)
def _dated(only: ColumnElement[bool]) -> Select[Any]:
    return select(entry.c.identity, entry.c.operation, entry.c.state, entry.c.quantity, entry.c.amount).where(
        IS_DATED, only
    )


def counted(row: Mapping[str, Any]) -> Decimal:
    """What an entry adds to the sum of syncd's own lines under its identity; usage bears its own sign. Raises
    LedgerBroken."""
    if row["state"] not in _COUNTED:
        return ZERO
    quantity = number(row["quantity"], f"an entry of {row['identity']}")
    return -quantity if row["operation"] == Operation.POST_CREDIT else quantity


def _money(row: Row[Any], units: Decimal) -> Decimal | None:
    """What an entry that is `counted` as so many units adds to the money of syncd's own lines; None where no price was
    known. Raises LedgerBroken."""
    if row.amount is None:
        return None
    return abs(number(row.amount, f"an entry of {row.identity}")).copy_sign(units)


def _portions(identities: Collection[str] | None) -> Iterator[ColumnElement[bool]]:
    if identities is None:
        yield _NOT_OWN
    else:
        yield from (entry.c.identity.in_(portion) for portion in chunks(identities))


def histories(connection: Connection, identities: Collection[str] | None = None) -> Mapping[str, LineHistory]:
    """What the ledger knows of each identity that has an entry: of those named, or of all but syncd's own actions.

    As of one moment: all of it is read here. What cannot be understood raises LedgerBroken when it is looked at.
    """
    found = _Histories()
    for only in _portions(identities):
        found.ended.update((row[0], row) for row in connection.execute(_newest(only)).all())
        # The state is looked at later, because SQLite would rather take the index over states and read every row.
        for row in connection.execute(_dated(only)).all():
            found.dated.setdefault(row[0], []).append(row)
        found.opened.update((one.intent.identity, one) for one in entries(connection, IS_OPEN, only))
    # Where one entry ended, the newest is all there is.
    for portion in chunks([identity for identity, row in found.ended.items() if row.generation > 1]):
        for row in connection.execute(_written(entry.c.identity.in_(portion))).all():
            found.written.setdefault(row[0], []).append(row)
    found.names = {**found.ended, **found.opened}
    return found


class _Histories(Mapping[str, LineHistory]):
    """Identity -> its history, made of its rows when it is looked at: of a long past, most never is."""

    def __init__(self) -> None:
        self.ended: dict[str, Row[Any]] = {}
        self.written: dict[str, list[Row[Any]]] = {}
        self.dated: dict[str, list[Row[Any]]] = {}
        self.opened: dict[str, Entry] = {}
        self.names: Mapping[str, object] = {}
        self._made: dict[str, LineHistory] = {}

    def __getitem__(self, identity: str) -> LineHistory:
        made = self._made.get(identity)
        if made is None:
            if identity not in self.names:
                raise KeyError(identity)
            made = self._made[identity] = self._of(identity)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def _of(self, identity: str) -> LineHistory:
        ended = self.ended.get(identity)
        posted: Sequence[Row[Any]] = self.written.get(identity, ())
        if ended is not None and ended.generation == 1 and ended.state == EntryState.POSTED:
            posted = (ended,)
        recent = tuple(_settled(row) for row in posted)
        # Summed here and not by the database, which would sum text as binary floats.
        rows = [(row, counted(dict(row._mapping))) for row in self.dated.get(identity, ())]
        money = [_money(row, units) for row, units in rows if row.state in _COUNTED]
        return LineHistory(
            generation=ended.generation if ended is not None else 0,
            open=self.opened.get(identity),
            closed=_closed(ended) if ended is not None else None,
            posted=recent[-1] if recent else None,
            own_quantity=sum((units for _, units in rows), ZERO),
            own_amount=None if None in money else sum((one for one in money if one is not None), ZERO),
            recent=recent,
        )


def _closed(row: Row[Any]) -> Closed:
    state = state_of(row.state, f"entry {row.id}")
    return Closed(row.id, state, row.fingerprint, row.note, row.decided_by, row.undo_of)


def _settled(row: Row[Any]) -> Settled:
    what = f"entry {row.id}"
    return Settled(row.id, number(row.before, what), number(row.after, what), instant(row.settled_at), row.remote_id)


def _ends(only: ColumnElement[bool]) -> Subquery:
    """Of each identity: how many entries ended, the newest of them, and the newest that was posted."""
    ended = case((entry.c.state.in_(TERMINAL_STATES), entry.c.seq))
    return (
        select(
            entry.c.identity,
            func.count(ended).label("generation"),
            func.max(ended).label("closed"),
            func.max(case((entry.c.state == EntryState.POSTED.value, entry.c.seq))).label("posted"),
        )
        .where(only)
        .group_by(entry.c.identity)  # over all states, so that one pass over an index answers it
        .subquery()
    )


@lru_cache(maxsize=4)
def _newest(only: ColumnElement[bool]) -> Select[Any]:
    """The newest terminal entry of each identity."""
    ends, names = _ends(only), "identity id state fingerprint note decided_by undo_of before after settled_at remote_id"
    columns = (entry.c[name] for name in names.split())
    return select(*columns, ends.c.generation).join_from(ends, entry, entry.c.seq == ends.c.closed)


def _written(only: ColumnElement[bool]) -> Select[Any]:
    """The newest two entries of each identity that were posted, oldest first."""
    ends = _ends(only)
    # The one before the newest is looked up by the index, so that a long history costs no more than a short one.
    former = entry.alias("former")
    before_that = (
        select(func.max(former.c.seq))
        .where(
            former.c.identity == ends.c.identity,
            former.c.state == EntryState.POSTED.value,
            former.c.seq < ends.c.posted,
        )
        .scalar_subquery()
    )
    return (
        select(*(entry.c[name] for name in "identity id before after settled_at remote_id".split()))
        .join_from(ends, entry, entry.c.seq.in_((ends.c.posted, before_that)))
        .order_by(entry.c.seq)
    )


def matching(
    states: Collection[EntryState] | None, *, own: bool, **columns: str | None
) -> tuple[ColumnElement[bool], ...]:
    """Conditions for `entries`: syncd's own actions or all others, the states, and the columns that are not None."""
    return _matching(None if states is None else frozenset(states), own, tuple(columns.items()))


@lru_cache(maxsize=64)
def _matching(
    states: frozenset[EntryState] | None, own: bool, columns: tuple[tuple[str, str | None], ...]
) -> tuple[ColumnElement[bool], ...]:
    conditions = [IS_OWN if own else _NOT_OWN]
    conditions += [entry.c[name] == value for name, value in columns if value is not None]
    if states is not None:
        conditions.append(entry.c.state.in_(sorted(state.value for state in states)))
    return tuple(conditions)
