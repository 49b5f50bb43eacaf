"""The ledger: what syncd intends, what it sent and what came of it. The only module that opens transactions.

Any process may read, write intents and decide on held ones; only the one that claimed the ledger may send and settle.
Every public method is one transaction at most, and none is ever open over a network call. Order comes from row
numbers and hashes, never from the clock. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog
from sqlalchemy import Connection, delete, exists, insert, select, true, update

from syncd.clock import Clock, running_seconds
from syncd.core.aggregate import Track
from syncd.core.entries import (
    TRANSITIONS,
    Entry,
    EntryState,
    Intent,
    KnownCustomer,
    LineHistory,
    Observation,
    Past,
    Sighting,
)
from syncd.core.episodes import Episode
from syncd.errors import LedgerBroken, LedgerBusy, SyncdError
from syncd.ledger import cycles, engine, episodes, lookup, series, tables, verify
from syncd.ledger.codec import instant_text
from syncd.ledger.engine import Claim, Place
from syncd.ledger.episodes import Told
from syncd.ledger.intents import decide, may_leave, put
from syncd.ledger.lookup import Event
from syncd.ledger.pen import Kept, Pen, checked, pen
from syncd.ledger.projection import SAID
from syncd.ledger.tables import meta, token
from syncd.model import Wire

_log = structlog.get_logger()


_NOT_POSTED = "nothing was posted"
# A token answer takes seconds; whoever holds the turn longer has died with it.
TURN = timedelta(minutes=3)
# So many events are proven in a second or two; a longer record is proven by `ledger verify`, and each entry before it
# is sent.
_PROVEN_AT_CLAIM = 10_000
_OUTCOME = "the outcome is not recorded yet, and will be looked up at the vendor"
# These two moves have doors of their own: a person's name, and the fencing token.
_OWN_DOORS = frozenset({(EntryState.HELD, EntryState.PLANNED), (EntryState.PLANNED, EntryState.SENDING)})


class Ledger:
    """An open ledger; see `open`. Closing it gives up the claim."""

    def __init__(self, place: Place, clock: Clock, *, check: bool) -> None:
        self.place = place
        self._clock = clock
        self._checked = check
        self._turn = threading.RLock()  # there is one writer; threads wait here instead of polling
        self._claim: Claim | None = None
        self._epoch: int | None = None
        with self._read() as connection:
            self.installation: str = connection.execute(select(meta.c.installation)).scalar_one()
        if check:
            self._look_for_amnesia()

    @classmethod
    def open(cls, url: str, clock: Clock, *, folder: Path, create: bool = True, check: bool = True) -> Ledger:
        """Opens `sqlite:///…` (relative to `folder`) or `postgresql+psycopg://…`; makes it first unless `create` is
        False.

        `check=False` is for `ledger verify` alone: a broken ledger opens, but cannot be claimed. Raises UserFault
        (no such ledger, another kind of database, a newer schema, a network file system), LedgerBusy, LedgerBroken,
        SyncdError (unwritable).
        """
        place = engine.open_place(url, folder, clock, create=create, check=check)
        try:
            return cls(place, clock, check=check)
        except BaseException:
            place.close()
            raise

    def close(self) -> None:
        """Gives up the claim and the database; may be called twice."""
        self.place.close()
        self._give_up()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Transactions

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self.place.worded("nothing was read"), engine.reading(self.place.engine) as connection:
            yield connection

    @contextmanager
    def _write(
        self, consequence: str = "nothing of this step was written", *, claimed: bool = False
    ) -> Iterator[Connection]:
        with self._turn, self.place.worded(consequence), engine.writing(self.place.engine) as connection:
            self.place.same()
            if claimed and self._epoch is None:
                raise LedgerBusy(f"this process does not hold the ledger {self.place.name}, so it may not send.")
            if self._epoch is not None and connection.execute(select(meta.c.epoch)).scalar_one() != self._epoch:
                raise LedgerBusy(
                    f"another syncd took over the ledger {self.place.name}: this one may not write to it any more. "
                    "Stop it."
                )
            if self._claim is not None and not self._claim.holds(connection):
                raise LedgerBusy(
                    f"this process lost its claim on the ledger {self.place.name}, so it may not write; {consequence}."
                )
            yield connection

    @contextmanager
    def _recording(self, consequence: str, *, claimed: bool = False) -> Iterator[Pen]:
        """A writing transaction that adds to the record."""
        with self._turn:
            with self._write(consequence, claimed=claimed) as connection, pen(connection, self._clock()) as held:
                yield held
            self.place.note(self.installation, held.events)

    def _look_for_amnesia(self) -> None:
        once = self.place.noted(self.installation)  # read first: it never runs ahead of the ledger
        with self._read() as connection:
            told = connection.execute(select(meta.c.events, meta.c.restored)).one()
        if once > told.events and told.restored is None:
            with self._write() as connection:
                connection.execute(update(meta).values(restored=meta.c.events))
            _log.warning("ledger_went_back", ledger=self.place.name, events=told.events, once=once)

    # The single writer

    def claim(self, role: str, wait: timedelta = timedelta(seconds=10)) -> None:
        """Becomes the single writer until `close`. `role` is the command, for people ("run").

        Where it already is, nothing happens; where the claim was lost, it is taken anew.

        Raises LedgerBusy, naming the holder, where another one still is after `wait`.
        """
        if self._claim is not None and not self._claim.lost():
            return
        self._give_up()
        if not self._checked:
            self.place.check_sound()
            self._checked = True
        held = self.place.claim(role, self._clock(), wait)
        try:
            with self._write() as connection:
                if not held.holds(connection):
                    raise LedgerBusy(f"the claim on the ledger {self.place.name} was lost at once. Try again.")
                connection.execute(update(meta).values(epoch=meta.c.epoch + 1))
                epoch: int = connection.execute(select(meta.c.epoch)).scalar_one()
        except BaseException:
            held.release()
            raise
        self._claim, self._epoch = held, epoch
        if self.head()[0] <= _PROVEN_AT_CLAIM and (wrong := self.verify()):
            self._give_up()
            raise LedgerBroken(f"the record is broken, nothing is posted: {wrong[0]} See: syncd ledger verify")

    def _give_up(self) -> None:
        held, self._claim, self._epoch = self._claim, None, None
        if held is not None:
            held.release()

    # Cycles

    def begin_cycle(self, mode: str, as_of: datetime) -> str:
        """A new cycle's id; `as_of` in the MSP's zone. Older cycles that never ended become aborted."""
        with self._write() as connection:
            return cycles.begin(connection, mode, as_of, self._clock())

    def end_cycle(
        self,
        cycle: str,
        summary: Mapping[str, Any],
        observations: Sequence[Observation],
        sightings: Mapping[str, Sighting],
        customers: Mapping[str, Sequence[KnownCustomer]],
        lines: Mapping[str, bytes],
        fresh: Sequence[str],
    ) -> None:
        """Keeps what the cycle learnt, where it changed, in one transaction.

        `sightings` replace all older ones; `lines`: plan line id -> canonical JSON with `customer` and `rule`;
        `fresh`: the connections that were read well. Raises SyncdError where the cycle is unknown or ended before.
        """
        now = self._clock()
        with self._write() as connection:
            day = cycles.end(connection, cycle, summary, now)
            seen = cycles.observe(connection, cycle, now, observations)
            cycles.keep_sightings(connection, sightings)
            cycles.keep_customers(connection, customers)
            changed = cycles.keep_lines(connection, cycle, lines)
            cycles.mark_fresh(connection, cycle, day, fresh)
        _log.info("cycle_kept", cycle=cycle, observations=seen, lines=changed)

    def cycle(self, id: str | None = None) -> dict[str, Any] | None:
        """A cycle (id, state, mode, as_of, started_at, ended_at, summary); by default the newest that ended whole."""
        with self._read() as connection:
            return cycles.show(connection, id)

    def last_cycle(self) -> str:
        """The id of the newest cycle that ended whole; what is written outside of cycles stands after it. `c000000`
        before the first."""
        found = self.cycle()
        return str(found["id"]) if found else "c000000"

    def fresh_since(self, connection: str) -> date | None:
        """The newest of the MSP's days on which this connection was read well; None where it never was."""
        with self._read() as opened:
            return cycles.fresh_since(opened, connection)

    def latest_as_of(self, after: datetime | None = None) -> datetime | None:
        """The latest instant, later than `after`, that a cycle stood for which could post, also one that never ended;
        None where there is none. What the clock must not fall behind (RELIABILITY, "Time")."""
        with self._read() as connection:
            return cycles.latest_as_of(connection, after)

    def line(self, line_id: str) -> bytes | None:
        """The derivation of a plan line as it last was."""
        with self._read() as connection:
            return cycles.load_line(connection, line_id)

    def find_line(self, customer: str, rule: str) -> list[bytes]:
        """The derivations of all lines of a customer and rule."""
        with self._read() as connection:
            return cycles.find_line(connection, customer, rule)

    def observation(self, connection: str, customer_id: str, what: str) -> Observation | None:
        """What was last read; its `blobs` are empty, see `blob`."""
        with self._read() as opened:
            return cycles.load_observation(opened, connection, customer_id, what)

    def tracks(self, wanted: Mapping[series.Key, date]) -> dict[series.Key, Track]:
        """What was read of each (connection, customer's id, query) since a day; see `core.aggregate.Track`."""
        with self._read() as opened:
            return series.tracks(opened, wanted)

    def blob(self, digest: str) -> bytes | None:
        """Content by its SHA-256 in hexadecimal."""
        with self._read() as connection:
            return cycles.load_blob(connection, digest)

    def remember_wait(self, connection: str, scope: str, until: datetime) -> None:
        """A vendor asked not to be asked until then; survives a restart."""
        with self._write() as opened:
            cycles.remember_wait(opened, connection, scope, until, self._clock())

    def waits(self, connection: str) -> dict[str, datetime]:
        """Scope -> until when, without those that are over."""
        with self._read() as opened:
            return cycles.load_waits(opened, connection, self._clock())

    # Tokens that rotate

    def turn(self, what: str, wait: timedelta = TURN) -> AbstractContextManager[None]:
        """One process and thread at a time uses `what`, also where this one does not hold the ledger. Raises
        LedgerBusy where it is still taken after `wait`."""
        return self.place.turn(what, wait)

    def sealed(self, connection: str) -> tuple[str, bytes] | None:
        """(the name of the sign-in, the sealed tokens) of a connection."""
        with self._read() as opened:
            row = opened.execute(
                select(token.c.seed, token.c.body).where(token.c.connection == connection)
            ).one_or_none()
            return None if row is None else (row.seed, row.body)

    def keep_sealed(self, connection: str, seed: str, body: bytes) -> None:
        """Puts sealed tokens in place of those before, durably."""
        consequence = "the new sign-in token was not kept, and is not used"
        # Not fenced: the token is the newest one, whoever fetched it; without it nobody could sign in any more.
        with self._turn, self.place.worded(consequence), engine.writing(self.place.engine) as opened:
            self.place.same()
            opened.execute(delete(token).where(token.c.connection == connection))
            values = {"connection": connection, "seed": seed, "body": body, "at": instant_text(self._clock())}
            opened.execute(insert(token).values(values))

    # Entries

    def past(self, identities: Collection[str] | None = None) -> Past:
        """All that planning needs, as of one moment; `identities` limits the lines, None means all."""
        with self._read() as connection:
            return Past(
                installation=self.installation,
                lines=lookup.histories(connection, identities),
                sightings=cycles.load_sightings(connection),
                customers=cycles.load_customers(connection),
            )

    def write(
        self,
        cycle: str,
        supersede: Sequence[tuple[str, str]],
        intents: Sequence[Intent],
        observations: Sequence[Observation] = (),
    ) -> list[Entry]:
        """Writes intents down durably; returns the entries of those that were.

        `observations`: what the intents rest on; the subject lists that they name are kept in the same transaction, so
        that an entry never names what a crash took away before the cycle ended.

        `supersede`: ids of held or planned entries that these replace, each with the reason. Left out, and logged: an
        intent whose identity has an open entry or whose replaced entry moved on, whose key exists, or whose `before`
        is not what syncd's own dated lines sum to now; and all that are joined to such a one by `follows`.
        """
        with self._recording(_NOT_POSTED) as held:
            cycles.keep_blobs(held.connection, observations)
            return put(held, cycle, supersede, intents)

    def entries(
        self,
        *,
        states: Collection[EntryState] | None = None,
        customer: str | None = None,
        rule: str | None = None,
        period: str | None = None,
        cycle: str | None = None,
        identity: str | None = None,
        limit: int | None = None,
        own: bool = False,
        newest: bool = False,
    ) -> list[Entry]:
        """Oldest first, or `newest` first; `limit` takes so many of the first. `own`: syncd's own actions (messages,
        tickets) instead of changes."""
        conditions = lookup.matching(
            states, own=own, customer=customer, rule=rule, period=period, cycle=cycle, identity=identity
        )
        with self._read() as connection:
            return lookup.entries(connection, *conditions, limit=limit, newest=newest)

    def entry(self, id: str) -> Entry | None:
        """By id or by its first 4 or more characters. Raises UserFault where several begin so."""
        with self._read() as connection:
            found = lookup.resolve(connection, id)
            return None if found is None else checked(connection, found).entry

    def histories(self, identities: Collection[str]) -> dict[str, LineHistory]:
        """What is known of these identities, syncd's own actions too; those without an entry are left out."""
        with self._read() as connection:
            return lookup.histories(connection, identities)

    def episodes(self) -> dict[str, dict[str, Episode]]:
        """What was told on which channel: channel -> key of the condition -> its episode."""
        with self._read() as connection:
            return episodes.load(connection)

    def tell(
        self, cycle: str, supersede: Sequence[tuple[str, str]], intents: Sequence[Intent], told: Told
    ) -> list[Entry]:
        """Writes messages and tickets down, and with them what is told on these channels from now on: all or nothing.

        Raises SyncdError where one of the intents cannot be written.
        """
        with self._recording("nothing was told", claimed=True) as held:
            written = put(held, cycle, supersede, intents)
            if len(written) != len(intents):
                raise SyncdError("what was to be told moved on meanwhile; the next cycle tells it.")
            episodes.keep(held.connection, told)
            return written

    def by_key(self, key: str) -> Entry | None:
        """By the operation's name."""
        with self._read() as connection:
            found = lookup.entries(connection, tables.entry.c.key == key)
            return found[0] if found else None

    def events(self, entry_id: str) -> list[Event]:
        """All that happened to an entry, oldest first."""
        with self._read() as connection:
            return lookup.events(connection, entry_id)

    def sending(self, entry: Entry) -> Entry | None:
        """Claims a planned entry for sending, durably; None where it is not planned any more, or what it follows is
        not posted. Only what this returns may be sent: its bytes were just proven against the record.

        Raises LedgerBusy where this process lost the ledger, LedgerBroken where the entry was altered.
        """
        claimed = self._claim_for_sending([entry], {})
        return claimed[0] if claimed else None

    def sending_together(self, entries: Sequence[Entry], wire: Wire) -> list[Entry]:
        """As `sending`, for the entries of one document: all or none. The document's bytes are kept with each."""
        return self._claim_for_sending(entries, {"wire": wire})

    def _claim_for_sending(self, entries: Sequence[Entry], said: Mapping[str, Any]) -> list[Entry]:
        moved: list[Kept | None] = []
        began = running_seconds()
        with self._recording(_NOT_POSTED, claimed=True) as held:
            found = [checked(held.connection, entry.id) for entry in entries]
            for kept in found:
                if kept.row["state"] != EntryState.PLANNED or not may_leave(held.connection, kept):
                    _log.info("entry_not_sent", entry=kept.row["id"], state=kept.row["state"])
                    return []
            fenced = exists().where(meta.c.epoch == self._epoch)
            for kept in found:
                moved.append(held.move(kept, EntryState.SENDING, {**said, "epoch": self._epoch}, only=fenced))
        life = self.place.claim_life
        if life is not None and running_seconds() - began > life / 2:
            # Asleep between the look at the claim and the end of the commit: another one may be posting by now.
            names = ", ".join(entry.id for entry in entries)
            raise LedgerBusy(f"this process stood still while it claimed entry {names}: it was not sent.")
        return [kept.entry for kept in moved if kept is not None]

    def settle(
        self,
        entry: Entry,
        state: EntryState,
        *,
        note: str = "",
        remote_id: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Moves an entry on from the state that the caller saw.

        `data` is kept with the event. Raises SyncdError where the entry is in another state by now, LedgerBusy where
        this process lost the ledger, ValueError for a move that does not exist.
        """
        if state not in TRANSITIONS[entry.state] or (entry.state, state) in _OWN_DOORS:
            raise ValueError(f"an entry does not go from {entry.state} to {state} by settling")
        if data is not None and SAID & data.keys():
            raise ValueError(f"{sorted(SAID & data.keys())} have places of their own")
        said = {**(data or {}), "note": note} | ({"remote_id": remote_id} if remote_id else {})
        sent = entry.state in (EntryState.SENDING, EntryState.UNKNOWN)
        consequence = _OUTCOME if sent else _NOT_POSTED
        with self._recording(consequence, claimed=True) as held:
            kept = checked(held.connection, entry.id)
            moved = held.move(kept, state, said, only=true()) if kept.row["state"] == entry.state else None
            if moved is None:
                raise SyncdError(
                    f"entry {entry.id} is {kept.row['state']} by now, not {entry.state}: it was left as it is."
                )
            return moved.entry

    def approve(self, ids: Sequence[str], by: str) -> list[Entry]:
        """Held entries become planned in a person's name, with their followers. All or none: raises one UserFault."""
        with self._recording(_NOT_POSTED) as held:
            return decide(held, ids, EntryState.PLANNED, by)

    def reject(self, ids: Sequence[str], why: str, by: str) -> list[Entry]:
        """Held entries end, with their followers. All or none: raises one UserFault."""
        with self._recording(_NOT_POSTED) as held:
            return decide(held, ids, EntryState.REJECTED, by, why)

    # The record

    def head(self) -> tuple[int, str]:
        """How many events there are, and the hash of the last: what an outside witness keeps."""
        with self._read() as connection:
            told = connection.execute(select(meta.c.events, meta.c.head)).one()
            return told.events, told.head

    def verify(self) -> list[str]:
        """Recomputes the whole record; what is wrong with it, in words."""
        found: list[str] = []
        try:
            with self._read() as connection:
                found.extend(verify.problems(connection, self.place.damage))
                found.extend(verify.went_back(connection, self.place.noted(self.installation)))
        except LedgerBroken as broken:
            found.append(str(broken))
        return found

    @property
    def restored(self) -> bool:
        """The ledger came from a backup, or went back, and may have forgotten what it posted: nothing is posted
        unasked until every line was looked at and `trust` was called (RELIABILITY, rule 12)."""
        with self._read() as connection:
            return connection.execute(select(meta.c.restored)).scalar_one() is not None

    def trust(self) -> None:
        """Everything that may have been posted after the backup was looked at."""
        with self._write(claimed=True) as connection:
            connection.execute(update(meta).values(restored=None))
            events: int = connection.execute(select(meta.c.events)).scalar_one()
        self.place.note(self.installation, events)
