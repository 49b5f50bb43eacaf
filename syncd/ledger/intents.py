"""What becomes of intents before anything is sent: written down, superseded, approved, rejected.

All of it happens inside one writing transaction of the caller, so what is read here cannot change meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal

import structlog
from sqlalchemy import Connection, select, true

from syncd.core.closing import may_be_forgotten
from syncd.core.entries import DATED, LOOKED, Entry, EntryState, Intent
from syncd.core.keys import OWN
from syncd.errors import Fault, UserFault
from syncd.ledger.lookup import chunks, counted, resolve
from syncd.ledger.pen import Kept, Pen, checked
from syncd.ledger.tables import IS_DATED, IS_OPEN, entry
from syncd.model import OWN_ACTIONS, Operation
from syncd.money import ZERO, plain

_log = structlog.get_logger()

_NOT_SENT = frozenset({EntryState.HELD, EntryState.PLANNED})


def put(pen: Pen, cycle: str, supersede: Sequence[tuple[str, str]], intents: Sequence[Intent]) -> list[Entry]:
    """Supersedes, then opens an entry for each intent that still fits; returns those, in order.

    Intents joined by `follows` are written together or not at all: a quantity that rises without the part of the
    period that belongs to it would never be asked for again. Raises ValueError for an intent that is neither held nor
    planned, or has no key.
    """
    for intent in intents:
        if intent.state not in _NOT_SENT or not intent.key or not intent.identity:
            raise ValueError(f"an intent needs a key and an identity, and is held or planned: {intent.key!r}")
        if (intent.operation in OWN_ACTIONS) != intent.identity.startswith(OWN):
            raise ValueError(f"an own action has an identity of its own: {intent.operation} {intent.identity!r}")
    moved = _supersede(pen, supersede)
    reasons = _obstacles(pen.connection, intents, moved)
    _spread(intents, reasons)
    for number, reason in sorted(reasons.items()):
        left = intents[number]
        _log.info(
            "intent_left_out", reason=reason, key=left.key, connection=left.connection, rule=left.rule, cycle=cycle
        )
    return pen.open([intent for number, intent in enumerate(intents) if number not in reasons], cycle)


def _supersede(pen: Pen, wanted: Sequence[tuple[str, str]]) -> set[str]:
    """The identities whose entry can no longer be superseded."""
    moved = set()
    for entry_id, why in dict(wanted).items():
        kept = checked(pen.connection, entry_id)
        told = None
        if kept.row["state"] in _NOT_SENT:
            told = pen.move(kept, EntryState.SUPERSEDED, {"note": why}, only=true())
        if told is None:
            moved.add(kept.row["identity"])
            _log.info("supersede_left_out", entry=entry_id, state=kept.row["state"])
    return moved


def _obstacles(connection: Connection, intents: Sequence[Intent], moved: Collection[str]) -> dict[int, str]:
    """Why an intent cannot be written, by its place in `intents`."""
    identities = {intent.identity for intent in intents}
    keys = {intent.key for intent in intents}
    asked = keys | {intent.follows for intent in intents if intent.follows}
    busy: set[str] = set()
    known: set[str] = set()
    for portion in chunks(identities):
        wanted = select(entry.c.identity).where(IS_OPEN, entry.c.identity.in_(portion))
        busy.update(connection.execute(wanted).scalars())
    for portion in chunks(asked):
        known.update(connection.execute(select(entry.c.key).where(entry.c.key.in_(portion))).scalars())
    own = _proven_sums(connection, {intent.identity for intent in intents if intent.operation in DATED})

    reasons: dict[int, str] = {}
    here: set[str] = set()
    for number, intent in enumerate(intents):
        due_from = own.get(intent.identity, ZERO)
        if intent.identity in moved:
            reasons[number] = "what it replaces moved on"
        elif intent.identity in busy:
            reasons[number] = "an entry of this line is open"
        elif intent.key in known or intent.key in here:
            reasons[number] = "its key is in the ledger"
        elif intent.identity in here:
            reasons[number] = "the plan names this line twice"
        elif intent.operation in DATED and intent.before != due_from:
            reasons[number] = f"planned from {plain(intent.before)}, but {plain(due_from)} stand there now"
        elif intent.follows and intent.follows not in known and intent.follows not in keys:
            reasons[number] = "what it follows is not in the ledger"
        here |= {intent.key, intent.identity}
    return reasons


def _proven_sums(connection: Connection, identities: Collection[str]) -> dict[str, Decimal]:
    """The sums of syncd's own dated lines, each entry proven against its events: a quantity that was altered beside
    the record, or a flipped bit, would be posted as a difference."""
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for portion in chunks(identities):
        wanted = select(entry.c.id).where(IS_DATED, entry.c.identity.in_(portion))
        for entry_id in connection.execute(wanted).scalars().all():
            row = checked(connection, entry_id).row
            sums[row["identity"]] += counted(row)
    return dict(sums)


def _spread(intents: Sequence[Intent], reasons: dict[int, str]) -> None:
    """Whoever is joined to one that is left out is left out too."""
    by_key = {intent.key: number for number, intent in enumerate(intents)}
    joined: defaultdict[int, list[int]] = defaultdict(list)
    for number, intent in enumerate(intents):
        leader = by_key.get(intent.follows) if intent.follows else None
        if leader is not None:
            joined[number].append(leader)
            joined[leader].append(number)
    waiting = list(reasons)
    while waiting:
        number = waiting.pop()
        for other in joined[number]:
            if other not in reasons:
                reasons[other] = f"goes with {intents[number].key}, which was left out"
                waiting.append(other)


def decide(
    pen: Pen,
    ids: Sequence[str],
    to: EntryState,
    by: str,
    why: str = "",
    *,
    looked: bool = False,
    forgot: date | None = None,
) -> list[Entry]:
    """Moves held entries to PLANNED or REJECTED in a person's name, each leader with its held followers.

    `forgot`: as in `Past`; what may be billed already without the ledger's knowing is approved only by who says that
    they `looked`. All or none: raises one UserFault that lists every id that is unknown, ambiguous, not held or not
    looked for, and every follower whose leader is not on the way.
    """
    if not by.strip():
        raise UserFault(Fault("--by", "is empty.", "Give the name of the person who decides."))
    chosen, faults = _chosen(pen.connection, ids)
    for kept in _followers(pen.connection, chosen):
        chosen.setdefault(kept.row["id"], kept)
    if to is EntryState.PLANNED:
        faults += _without_leader(pen.connection, chosen)
    unsure = {
        entry_id
        for entry_id, kept in chosen.items()
        if to is EntryState.PLANNED and may_be_forgotten(Operation(kept.row["operation"]), kept.row["period"], forgot)
    }
    if not looked:
        faults += [_not_looked_for(chosen[entry_id]) for entry_id in sorted(unsure)]
    if faults:
        raise UserFault(faults)
    moved = []
    for kept in sorted(chosen.values(), key=lambda one: one.row["seq"]):
        note = LOOKED if kept.row["id"] in unsure else why
        said = {"decided_by": f"person:{by.strip()}"} | ({"note": note} if note else {})
        moved.append(pen.move(kept, to, said, only=true()))
    return [kept.entry for kept in moved if kept is not None]


def _not_looked_for(kept: Kept) -> Fault:
    place = kept.row["connection"]
    return Fault(
        f"entry {kept.row['id']}",
        f"is for {kept.row['period']}, which was over when the ledger was restored: it may be billed already.",
        f"Look in {place}. If it is not there: the same command with --looked; if it is: syncd reject.",
    )


def _chosen(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, Kept], list[Fault]]:
    chosen: dict[str, Kept] = {}
    faults: list[Fault] = []
    for wanted in ids:
        try:
            entry_id = resolve(connection, wanted)
        except UserFault as fault:
            faults += fault.faults
            continue
        if entry_id is None:
            faults.append(Fault(f"entry {wanted}", "is not in the ledger.", "`syncd held` lists what waits."))
            continue
        kept = checked(connection, entry_id)
        if kept.row["state"] == EntryState.HELD:
            chosen[entry_id] = kept
        else:
            faults.append(Fault(f"entry {entry_id}", f"is {kept.row['state']}, not held."))
    return chosen, faults


def _followers(connection: Connection, leaders: dict[str, Kept]) -> list[Kept]:
    """All held entries that follow one of these, directly or not."""
    found: dict[str, Kept] = {}
    keys = {kept.row["key"] for kept in leaders.values()}
    while keys:
        fresh: set[str] = set()
        for portion in chunks(keys):
            wanted = select(entry.c.id, entry.c.key).where(
                entry.c.follows.in_(portion), entry.c.state == EntryState.HELD.value
            )
            for entry_id, key in connection.execute(wanted):
                if entry_id not in found and entry_id not in leaders:
                    found[entry_id] = checked(connection, entry_id)
                    fresh.add(key)
        keys = fresh
    return list(found.values())


def _without_leader(connection: Connection, chosen: dict[str, Kept]) -> list[Fault]:
    """Faults for those that would wait for ever, because what they follow is not approved with them."""
    faults = []
    for entry_id, kept in chosen.items():
        if not kept.row["follows"]:
            continue
        leader = connection.execute(
            select(entry.c.id, entry.c.state).where(entry.c.key == kept.row["follows"])
        ).one_or_none()
        if leader is None or leader.id in chosen:
            continue
        if leader.state == EntryState.HELD:
            faults.append(Fault(f"entry {entry_id}", f"goes with {leader.id}, which is held.", "Approve that one."))
        elif leader.state in (EntryState.REJECTED, EntryState.FAILED, EntryState.SUPERSEDED):
            faults.append(Fault(f"entry {entry_id}", f"goes with {leader.id}, which is {leader.state}.", "Reject it."))
    return faults


def may_leave(connection: Connection, kept: Kept) -> bool:
    """False while what it follows is not posted."""
    if not kept.row["follows"]:
        return True
    leader = select(entry.c.state).where(entry.c.key == kept.row["follows"])
    return connection.execute(leader).scalar_one_or_none() == EntryState.POSTED
