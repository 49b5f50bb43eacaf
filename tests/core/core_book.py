"""A ledger and a billing system in memory: what postings do to them, so that cycles can follow one another.

`Book` keeps the promises of the real ledger that planning rests on: one open entry an identity, generation = terminal
entries, the sum of dated lines counts what is planned or may be there. `Psa` does what it is told, and counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from core_kit import EMPTY, NOW, World, billing, line

from syncd.core.entries import (
    OPEN,
    TERMINAL,
    TRANSITIONS,
    Closed,
    Entry,
    EntryState,
    Intent,
    LineHistory,
    Past,
    Settled,
    Sighting,
)
from syncd.core.intents import Writing, write_down
from syncd.core.plan import Plan
from syncd.model import Agreement, BilledLine, Billing, Operation, Posting

DATED = frozenset({Operation.POST_LINE, Operation.POST_CREDIT, Operation.REPORT_USAGE})
COUNTED = frozenset({EntryState.PLANNED, EntryState.SENDING, EntryState.UNKNOWN, EntryState.POSTED})


@dataclass
class Psa:
    """A billing system of one company. `lag`: lists show it as it was before the last posting."""

    lines: dict[str, BilledLine] = field(default_factory=dict)
    agreements: tuple[Agreement, ...] | None = None
    done: list[Posting] = field(default_factory=list)

    def take(self, posting: Posting) -> str:
        """Does what is asked; gives the id of the record."""
        self.done.append(posting)
        match posting.operation:
            case Operation.SET_QUANTITY:
                old = self.lines[posting.line_id]
                assert old.quantity == posting.before, "a line is set only from what the plan saw"
                self.lines[old.id] = replace(old, quantity=posting.quantity, version=f"{old.version}+")
                return old.id
            case Operation.ADD_LINE:
                made = self._new(posting, posting.quantity, once=False)
            case Operation.POST_LINE:
                made = self._new(posting, posting.quantity, once=True)
            case Operation.POST_CREDIT:
                made = self._new(posting, -posting.quantity, once=True)
            case other:
                raise AssertionError(f"the core does not plan {other} by itself")
        self.lines[made.id] = made
        return made.id

    def _new(self, posting: Posting, quantity: Decimal, *, once: bool) -> BilledLine:
        return line(
            quantity, f"n{len(self.done)}", agreement_id=posting.agreement_id, product_id=posting.product_id,
            marker=posting.marker, starts=posting.starts, ends=posting.ends, once=once,
        )  # fmt: skip

    def billing(self) -> Billing:
        return billing(*self.lines.values(), agreements=self.agreements)

    def dated(self, period: str) -> Decimal:
        """What syncd's own lines of a period sum to."""
        signs = {Operation.POST_LINE: 1, Operation.POST_CREDIT: -1}
        return sum(
            (
                one.quantity * signs.get(one.operation, 1)
                for one in self.done
                if one.operation in DATED and one.period == period
            ),
            Decimal(0),
        )


@dataclass
class Book:
    """The ledger. `refused`: intents that it could not open, with the reason."""

    entries: dict[str, Entry] = field(default_factory=dict)
    sightings: dict[str, Sighting] = field(default_factory=dict)
    refused: list[tuple[Intent, str]] = field(default_factory=list)

    def open(self, *states: EntryState) -> list[Entry]:
        wanted = frozenset(states) or OPEN
        return [one for one in self.entries.values() if one.state in wanted]

    def ended(self, state: EntryState) -> list[Entry]:
        return [one for one in self.entries.values() if one.state is state]

    def past(self, base: Past = EMPTY) -> Past:
        identities = dict.fromkeys(one.intent.identity for one in self.entries.values())
        lines = {identity: self._history(identity) for identity in identities}
        return replace(base, lines=lines, sightings=dict(self.sightings))

    def _history(self, identity: str) -> LineHistory:
        mine = [one for one in self.entries.values() if one.intent.identity == identity]
        ended = [one for one in mine if one.state in TERMINAL]
        opened = [one for one in mine if one.state in OPEN]
        posted = [one for one in ended if one.state is EntryState.POSTED]
        closed = ended[-1] if ended else None
        last = posted[-1] if posted else None
        return LineHistory(
            generation=len(ended),
            open=opened[0] if opened else None,
            closed=_closed(closed) if closed else None,
            posted=_settled(last) if last else None,
            own_quantity=self._own(mine),
            own_amount=self._money(mine),
            recent=tuple(_settled(one) for one in posted[-2:]),
        )

    def _own(self, mine: Iterable[Entry]) -> Decimal:
        total = Decimal(0)
        for one in mine:
            if one.intent.operation in DATED and one.state in COUNTED:
                total += one.intent.posting.quantity * (-1 if one.intent.operation is Operation.POST_CREDIT else 1)
        return total

    def _money(self, mine: Iterable[Entry]) -> Decimal | None:
        amounts = [one.intent.signed_amount for one in mine if one.intent.operation in DATED and one.state in COUNTED]
        return None if None in amounts else sum((one for one in amounts if one is not None), Decimal(0))

    def write(self, writing: Writing) -> None:
        """What the ledger does with a plan's writing, in one transaction."""
        for held, reason in writing.hold:
            self.move(held.id, EntryState.HELD, note=reason)
        for id_ in writing.approve:
            self.approve(id_, "apply")
        for id_, reason in writing.supersede:
            self.move(id_, EntryState.SUPERSEDED, note=reason)
        left_out: set[str] = set()
        for intent in writing.intents:
            if reason := self._obstacle(intent, left_out):
                self.refused.append((intent, reason))
                left_out.add(intent.key)
            else:
                self.add(intent)

    def _obstacle(self, intent: Intent, left_out: Collection[str]) -> str:
        if any(one.intent.identity == intent.identity for one in self.open()):
            return "an entry of this line is open"
        if any(one.intent.key == intent.key for one in self.entries.values()):
            return "its key is in the ledger"
        own = self._own(one for one in self.entries.values() if one.intent.identity == intent.identity)
        if intent.operation in DATED and intent.before != own:
            return f"planned from {intent.before}, but {own} stand there"
        return "its leader was left out" if intent.follows in left_out else ""

    def add(self, intent: Intent) -> Entry:
        made = Entry(
            f"e{len(self.entries) + 1}", intent, "cycle", intent.state, 0, NOW, "hash", decided_by=intent.decided_by
        )
        self.entries[made.id] = made
        return made

    def move(self, id_: str, state: EntryState, **said: object) -> Entry:
        """One transition of the ledger's table; `said` as fields of the entry."""
        old = self.entries[id_]
        assert state in TRANSITIONS[old.state], f"{old.state} to {state} is not in the table"
        self.entries[id_] = replace(old, state=state, **said)  # type: ignore[arg-type]
        return self.entries[id_]

    def approve(self, id_: str, by: str = "Ada") -> Entry:
        return self.move(id_, EntryState.PLANNED, decided_by=f"person:{by}")

    def reject(self, id_: str, why: str = "not yet", by: str = "Ada") -> Entry:
        return self.move(id_, EntryState.REJECTED, decided_by=f"person:{by}", note=why, settled_at=NOW)

    def settle(self, id_: str, state: EntryState, remote_id: str = "", note: str = "", at: datetime = NOW) -> Entry:
        """Sends an entry, with this outcome."""
        self.move(id_, EntryState.SENDING, attempts=self.entries[id_].attempts + 1)
        if state is EntryState.SENDING:
            return self.entries[id_]
        return self.move(id_, state, remote_id=remote_id, note=note, settled_at=at if state in TERMINAL else None)

    def leader_ended(self, intent: Intent) -> EntryState | None:
        """How the entry that this one follows ended; None where it follows nothing."""
        return next((one.state for one in self.entries.values() if one.intent.key == intent.follows), None)


def _closed(entry: Entry) -> Closed:
    return Closed(entry.id, entry.state, entry.intent.fingerprint, entry.note, entry.decided_by, entry.intent.undo_of)


def _settled(entry: Entry) -> Settled:
    return Settled(entry.id, entry.intent.before, entry.intent.to, entry.settled_at or NOW, entry.remote_id)


def step(base: World, book: Book, psa: Psa, now: datetime = NOW, *, send: bool = True, applying: bool = False) -> Plan:
    """One cycle: look, plan, write down, and post what may leave."""
    seen = base.but(billings=(psa.billing(),), past=book.past(base.past))
    plan = seen.plan(now)
    writing = write_down(plan, book.open(), seen.views, seen.past, applying=applying)
    book.write(writing)
    book.sightings = {one.id: one.sighting for one in plan.lines if one.sighting is not None}
    for entry in book.open(EntryState.PLANNED):
        if send and entry.intent.key in writing.sendable:
            if entry.intent.follows and book.leader_ended(entry.intent) is not EntryState.POSTED:
                continue
            book.settle(entry.id, EntryState.POSTED, psa.take(entry.intent.posting), at=now)
    return plan


def operations(psa: Psa) -> Counter[Operation]:
    return Counter(one.operation for one in psa.done)
