"""The nouns of the ledger: an intent, the entry it becomes, the states it may go through, what the past says to a plan.

The ledger keeps these; the core only reads them. Times are aware UTC. Allowed transitions are here, so that ledger,
cycle and tests speak of one table (RELIABILITY, "The ledger state machine").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from syncd.core.aggregate import Track
from syncd.model import Operation, Posting, Reading, State, Wire


class EntryState(StrEnum):
    """INTERFACE 4, JSON of `ledger`."""

    HELD = "held"  # waits for a person
    REJECTED = "rejected"
    PLANNED = "planned"  # will be sent
    SENDING = "sending"  # may have left
    POSTED = "posted"
    FAILED = "failed"  # surely refused
    UNKNOWN = "unknown"  # sent, answer not known
    SUPERSEDED = "superseded"  # the world moved before it left


TERMINAL = frozenset({EntryState.REJECTED, EntryState.POSTED, EntryState.FAILED, EntryState.SUPERSEDED})
OPEN = frozenset(EntryState) - TERMINAL
# Nothing newer overtakes these: their money may be there already.
IN_FLIGHT = frozenset({EntryState.SENDING, EntryState.UNKNOWN})

# What is said of an entry that was sent and looked for twice in vain.
NEVER_ARRIVED = "two looks agree that it never arrived"
# What is said of an approval where a restored ledger may have forgotten that the same was billed (`Past.forgot`).
LOOKED = "looked for after the ledger was restored, and not there yet"

# What is posted for one period, on top of what was: `before` and `to` are sums.
DATED = frozenset({Operation.POST_LINE, Operation.POST_CREDIT, Operation.REPORT_USAGE})

TRANSITIONS: Mapping[EntryState, frozenset[EntryState]] = {
    EntryState.HELD: frozenset({EntryState.PLANNED, EntryState.REJECTED, EntryState.SUPERSEDED}),
    EntryState.PLANNED: frozenset({EntryState.SENDING, EntryState.SUPERSEDED, EntryState.HELD}),
    EntryState.SENDING: frozenset({EntryState.POSTED, EntryState.FAILED, EntryState.UNKNOWN, EntryState.PLANNED}),
    EntryState.UNKNOWN: frozenset({EntryState.POSTED, EntryState.PLANNED}),
    **{state: frozenset() for state in TERMINAL},
}


@dataclass(frozen=True, slots=True)
class Intent:
    """A change that is to be written down before anything leaves. Its `state` is HELD or PLANNED.

    `identity` names what it changes: while one entry of an identity is open, no other may be. `before`/`to` are the
    line's quantities (`from`/`to` of the JSON); for POST_LINE, POST_CREDIT and REPORT_USAGE the cumulative quantity of
    syncd's own lines of that identity, or of what it reported, before and after. `fingerprint` names the situation
    (line, rule, target, billed) so that a rejected or refused change stays away until it moves. `follows`: the key of
    the intent that must be posted first. `derivation`: how the number came about, as JSON, kept for ever.
    """

    identity: str
    line: str  # the plan line's id
    customer: str
    rule: str
    connection: str
    period: str
    before: Decimal
    to: Decimal
    state: EntryState
    decided_by: str
    posting: Posting
    wire: Wire
    fingerprint: str
    amount: Decimal | None = None
    currency: str = ""
    follows: str = ""
    undo_of: str = ""
    retry_of: str = ""
    why: str = ""
    derivation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def operation(self) -> Operation:
        """What is done."""
        return self.posting.operation

    @property
    def key(self) -> str:
        """The operation's name for ever."""
        return self.posting.key

    @property
    def signed_amount(self) -> Decimal | None:
        """`amount` as the customer feels it: negative where less is paid afterwards, a credit or a fall."""
        if self.amount is None:
            return None
        rises = self.operation is Operation.POST_LINE
        falls = self.operation is Operation.POST_CREDIT or (not rises and self.to < self.before)
        return -abs(self.amount) if falls else abs(self.amount)


@dataclass(frozen=True, slots=True)
class Entry:
    """An intent as the ledger keeps it. `id` is short and shown to people; `hash` is that of its newest event.

    `note` is the last thing said about it: the vendor's words, why it was rejected, what was found.
    `sent_at`, the newest attempt, starts the quiet time after which an absent change may be sent again.
    """

    id: str
    intent: Intent
    cycle: str
    state: EntryState
    attempts: int
    created_at: datetime
    hash: str
    remote_id: str = ""
    note: str = ""
    decided_by: str = ""
    settled_at: datetime | None = None
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """The newest terminal entry of an identity."""

    id: str
    state: EntryState
    fingerprint: str
    note: str
    decided_by: str
    undo_of: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A posted entry of an identity: what syncd wrote."""

    id: str
    before: Decimal
    to: Decimal
    settled_at: datetime
    remote_id: str


@dataclass(frozen=True, slots=True)
class LineHistory:
    """What the ledger knows of one identity. `generation`: its terminal entries so far. `own_quantity`: the sum of
    syncd's own lines under it (only dated lines have one): what is planned or may have left counts as if posted, what
    is held does not; `own_amount`: the same of their money, None where some has none. `recent`: the posted entry before
    the newest and the newest, which is `posted`; fewer where there are not so many. They show whether somebody puts
    back what syncd writes."""

    generation: int = 0
    open: Entry | None = None
    closed: Closed | None = None
    posted: Settled | None = None
    own_quantity: Decimal = Decimal(0)
    own_amount: Decimal | None = None
    recent: tuple[Settled, ...] = ()


@dataclass(frozen=True, slots=True)
class Sighting:
    """How many cycles in a row a plan line showed the same difference, and the MSP's day on which it was first seen.

    `times` stops at the number that settles it, so that a standing difference writes nothing more.
    """

    fingerprint: str
    times: int
    since: date


@dataclass(frozen=True, slots=True)
class KnownCustomer:
    """A customer that a connection once showed. `totals`: query (as text) -> the sum of its paid counts when it was
    last read whole and believed; the ledger keeps them as one JSON text."""

    id: str
    name: str
    identifiers: tuple[str, ...]
    totals: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """The money of a dated line that was posted, as it was sent: `amount` without a sign, for so many `units`."""

    entry_id: str
    identity: str
    units: Decimal
    amount: Decimal
    currency: str
    settled_at: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """All that planning needs of the ledger."""

    installation: str
    lines: Mapping[str, LineHistory] = field(default_factory=dict)  # by identity
    sightings: Mapping[str, Sighting] = field(default_factory=dict)  # by plan line id
    customers: Mapping[str, Mapping[str, KnownCustomer]] = field(default_factory=dict)  # connection -> id -> customer
    # What was read day by day, where a rule bills in arrears: (connection, customer's id there, query) -> its track.
    tracks: Mapping[tuple[str, str, str], Track] = field(default_factory=dict)
    # What happened in a period that is over, as it was read again just now: the same, with "<query> of <period>".
    again: Mapping[tuple[str, str, str], Reading] = field(default_factory=dict)
    # A restored ledger may have forgotten what it posted before this day; None where it remembers everything.
    forgot: date | None = None
    # Mark -> what was sent, of those of syncd's dated lines that the billing systems show with their money.
    sent: Mapping[str, Sent] = field(default_factory=dict)

    def forgets(self, day: date) -> bool:
        """Whether what was done on a day, or for a time that had begun by then, may be forgotten."""
        return self.forgot is not None and day <= self.forgot


@dataclass(frozen=True, slots=True)
class Observation:
    """What was read of one customer in one respect (`what`: a query, "billed", "invoiced"), as it is kept.

    Written only when `digest` changed. `body` is canonical JSON; subject lists in it are digests into `blobs`.
    """

    connection: str
    customer_id: str
    what: str
    state: State
    digest: str
    body: bytes
    blobs: Mapping[str, bytes] = field(default_factory=dict)
