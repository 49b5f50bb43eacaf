"""The ledger: what syncd intends, what it sent and what came of it, and what it read.

Every public method is one transaction at most (`door`), and none is ever open over a network call. Order comes from row
numbers and hashes, never from the clock. Thread-safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, exists, insert, select, true

from syncd.clock import running_seconds
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
    Sent,
    Sighting,
)
from syncd.core.episodes import Episode
from syncd.errors import Fault, LedgerBusy, SyncdError, UserFault
from syncd.ledger import cycles, engine, episodes, lookup, sent, series, tables
from syncd.ledger.codec import instant_text
from syncd.ledger.door import Door
from syncd.ledger.episodes import Told
from syncd.ledger.intents import decide, may_leave, put
from syncd.ledger.lookup import Event
from syncd.ledger.pen import Kept, checked
from syncd.ledger.projection import SAID
from syncd.ledger.tables import meta, token
from syncd.model import Wire

_log = structlog.get_logger()


_NOT_POSTED = "nothing was posted"
# A token answer takes seconds; whoever holds the turn longer has died with it.
TURN = timedelta(minutes=3)
_OUTCOME = "the outcome is not recorded yet, and will be looked up at the vendor"
# These two moves have doors of their own: a person's name, and the fencing token.
_OWN_DOORS = frozenset({(EntryState.HELD, EntryState.PLANNED), (EntryState.PLANNED, EntryState.SENDING)})


class Ledger(Door):
    """An open ledger; see `open`."""

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

    def restored_for(self, now: datetime) -> timedelta | None:
        """How long ago it looked at the billing systems for the first time since it was restored: what it forgot may be
        on its way for as long as a request lives. None where it never was restored."""
        with self._read() as connection:
            return cycles.restored_for(connection, now)

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
                forgot=cycles.forgot(connection),
            )

    def write(
        self,
        cycle: str,
        supersede: Sequence[tuple[str, str]],
        intents: Sequence[Intent],
        observations: Sequence[Observation] = (),
        *,
        whole: bool = False,
    ) -> list[Entry]:
        """Writes intents down durably; returns the entries of those that were.

        `observations`: what the intents rest on; the subject lists that they name are kept in the same transaction, so
        that an entry never names what a crash took away before the cycle ended.

        `supersede`: ids of held or planned entries that these replace, each with the reason. Left out, and logged: an
        intent whose identity has an open entry or whose replaced entry moved on, whose key exists, or whose `before`
        is not what syncd's own dated lines sum to now; and all that are joined to such a one by `follows`. `whole`:
        then nothing at all is written (UserFault), because a person asked for all of them.
        """
        with self._recording(_NOT_POSTED) as held:
            cycles.keep_blobs(held.connection, observations)
            written = put(held, cycle, supersede, intents)
            if whole and len(written) < len(intents):
                what = "a line changed while this was written; nothing was written."
                raise UserFault(Fault("syncd ledger", what, "Look again, then repeat."))
            return written

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

    def histories(self, identities: Collection[str]) -> Mapping[str, LineHistory]:
        """What is known of these identities, syncd's own actions too; those without an entry are left out."""
        with self._read() as connection:
            return lookup.histories(connection, identities)

    def sent(self, identities: Collection[str]) -> dict[str, Sent]:
        """Mark -> the money of each posted dated line of these identities that was not undone."""
        with self._read() as connection:
            return sent.load(connection, self.installation, identities)

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

    def approve(self, ids: Sequence[str], by: str, *, looked: bool = False) -> list[Entry]:
        """Held entries become planned in a person's name, with their followers. All or none: raises one UserFault.

        `looked`: the person looked in the billing system, and it is not there. Without that, nothing is approved for a
        period that was over when the ledger was restored."""
        with self._recording(_NOT_POSTED) as held:
            forgot = cycles.forgot(held.connection)
            return decide(held, ids, EntryState.PLANNED, by, looked=looked, forgot=forgot)

    def reject(self, ids: Sequence[str], why: str, by: str) -> list[Entry]:
        """Held entries end, with their followers. All or none: raises one UserFault."""
        with self._recording(_NOT_POSTED) as held:
            return decide(held, ids, EntryState.REJECTED, by, why)
