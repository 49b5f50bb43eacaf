"""Which posted changes can be taken back together, in which order, and what belongs to them. Pure.

Changes of one line are a pile: only what lies on top can be taken back, because each one was planned from the one
below. What is taken back in one step becomes one compensation. A part of a period goes with the quantity that it was
charged for; what was invoiced at that quantity since is credited, where the rule charges parts of periods.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

from syncd.core import keys
from syncd.core.entries import Entry, EntryState, Intent, Past
from syncd.core.undo import Ground, credit, undo
from syncd.errors import Fault, UserFault
from syncd.model import Operation, Posting, Wire
from syncd.money import ZERO, plain
from syncd.periods import Period, following, local_date, preceding

_LINE = frozenset({Operation.SET_QUANTITY, Operation.ADD_LINE, Operation.END_LINE})


@dataclass(frozen=True, slots=True)
class Desk:
    """What taking back rests on. `entries`: all of the ledger's that touch the same lines, customers and rules, oldest
    first. `ground`: what is known of where an entry was made."""

    past: Past
    entries: Sequence[Entry]
    ground: Callable[[Entry], Ground]
    wire: Callable[[str], Callable[[Posting], Wire]]  # by connection
    today: date
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Undoing:
    """What is written down, and (entry id, why) of what is not."""

    intents: tuple[Intent, ...]
    left: tuple[tuple[str, str], ...]


def line_of(entry: Entry) -> str:
    """The line that an entry changed, as its changes have it in common: a recurring line has the same name whether it
    was added or set."""
    intent = entry.intent
    if intent.operation in (Operation.ADD_LINE, Operation.END_LINE):
        remote = entry.remote_id or intent.posting.line_id
        return keys.recurring(intent.connection, intent.posting.agreement_id, remote)
    return intent.identity


def undo_many(chosen: Iterable[Entry], desk: Desk, *, by: str, why: str) -> Undoing:
    """Takes back all of `chosen` that can be, newest first; the parts that were charged with a quantity go with it."""
    wanted = {entry.id: entry for entry in chosen}
    keys_of = {entry.intent.key for entry in wanted.values()}
    parts = [one for one in desk.entries if one.intent.follows in keys_of and one.state is EntryState.POSTED]
    wanted |= {one.id: one for one in parts if one.id not in wanted and not _undone(one, desk)}
    piles: dict[str, list[Entry]] = defaultdict(list)
    for entry in desk.entries:
        if entry.state is EntryState.POSTED:
            piles[line_of(entry)].append(entry)
    left: list[tuple[str, str]] = []
    made: list[Intent] = []
    leaders: dict[str, Intent] = {}  # key of what is taken back -> what takes it back
    names = sorted({line_of(entry) for entry in wanted.values()}, key=lambda name: (name.startswith("lines:"), name))
    for name in names:
        here = [entry for entry in wanted.values() if line_of(entry) == name]
        run, reasons = _top(here, piles[name], desk)
        left += reasons
        if apart := next((one for one in run if one.intent.follows in keys_of - leaders.keys()), None):
            left += [(one.id, f"goes with what {apart.id} belongs to, which stays.") for one in run]
            continue
        if not run:
            continue
        try:
            intents = _take_back(run, piles[name], desk, by=by, why=why)
        except UserFault as fault:
            left += [(entry.id, "; ".join(f"{one.what} {one.mend}".strip() for one in fault.faults)) for entry in run]
            continue
        leaders |= {entry.intent.key: intents[0] for entry in run}
        leader = next((leaders[one.intent.follows] for one in run if one.intent.follows in leaders), None)
        made += [replace(intents[0], follows=leader.key), *intents[1:]] if leader is not None else intents
    return Undoing(_merged(made, desk), tuple(left))


def _undone(entry: Entry, desk: Desk) -> Entry | None:
    """What took an entry back and was not taken back itself."""
    by = [one for one in desk.entries if entry.id in one.intent.undo_of.split() and one.state is EntryState.POSTED]
    return next((one for one in by if _undone(one, desk) is None), None)


def _top(here: Sequence[Entry], pile: Sequence[Entry], desk: Desk) -> tuple[list[Entry], list[tuple[str, str]]]:
    """Those that lie on top of their pile, newest first; and why the others cannot be taken back."""
    standing: list[Entry] = []
    for entry in pile:
        taken = set(entry.intent.undo_of.split())
        rest = [one for one in standing if one.id not in taken]
        standing = rest if len(rest) < len(standing) else [*rest, entry]
    chosen = {entry.id for entry in here}
    left = []
    if pile and pile[-1].id in chosen and pile[-1] not in standing:
        run = [pile[-1]]  # an undo is taken back for itself
    else:
        run = []
        for entry in reversed(standing):
            if entry.id not in chosen:
                break
            run.append(entry)
    for entry in here:
        if entry in run:
            continue
        if (by := _undone(entry, desk)) is not None:
            left.append((entry.id, f"is undone already (entry {by.id})."))
        elif entry in standing and standing[-1] is not entry:
            newest = next((one for one in reversed(standing) if one.id not in chosen), pile[-1])
            left.append((entry.id, f"entry {newest.id} changed the line since. Undo that one first."))
        else:
            left.append((entry.id, "was an undo that other changes followed; undo those first."))
    return run, left


def _take_back(run: Sequence[Entry], pile: Sequence[Entry], desk: Desk, *, by: str, why: str) -> list[Intent]:
    """The compensation of changes of one line, newest first, and the credits for what was invoiced at them."""
    newest, oldest = run[0], run[-1]
    ground = desk.ground(newest)
    # A recurring line has two identities, the one it was added under and its own: neither may have an entry open.
    opened = desk.past.lines.get(line_of(newest))
    if opened is not None and opened.open is not None:
        raise UserFault(Fault(f"entry {newest.id}", f"its line has entry {opened.open.id} open.", "Settle that first."))
    wire = desk.wire(newest.intent.connection)
    latest = next((one for one in reversed(pile) if not one.intent.undo_of), newest)
    intent = undo(
        newest, desk.past, wire, by=by, why=why, today=desk.today, ground=ground, beneath=run[1:], latest=latest
    )
    if oldest.intent.operation not in _LINE or oldest.intent.undo_of or not ground.prorated:
        return [intent]
    credits: list[Intent] = []
    for period, units in _invoiced_since(run, ground, desk).items():
        one = credit(newest, period, units, desk.past, wire, leader=intent, today=desk.today, ground=ground)
        if one is not None:
            credits.append(one)
        else:
            text = f"{intent.why} (no price is known: credit {plain(units)} units of {period} by hand)"
            intent = replace(intent, why=text)
    return [intent, *credits]


def _invoiced_since(run: Sequence[Entry], ground: Ground, desk: Desk) -> dict[Period, Decimal]:
    """The whole periods that were invoiced at the quantity to which these changes raised their line, and by how much.

    A period of a rise is one of them only where it was not invoiced yet: a part that was charged for it, or refused,
    says that it was. A fall counts from its own period on: in doubt less is credited.
    """
    found: dict[Period, Decimal] = defaultdict(Decimal)
    agreement = ground.agreement
    if agreement is None or agreement.invoiced_through is None:
        return found
    for entry in run:
        units = entry.intent.to - entry.intent.before
        day = local_date(entry.settled_at, desk.zone) if entry.settled_at else desk.today
        period = ground.period(desk.today)
        while day < period.first:
            period = preceding(period)
        charged = {one.intent.period for one in desk.entries if one.intent.follows == entry.intent.key}
        if units > 0 and (charged or entry.intent.operation is Operation.ADD_LINE):
            period = following(period)
        while period.last <= agreement.invoiced_through:
            found[period] += units if str(period) not in charged else ZERO
            period = following(period)
    return {period: units for period, units in sorted(found.items()) if units > 0}


def _merged(intents: Sequence[Intent], desk: Desk) -> tuple[Intent, ...]:
    """One intent for each identity: credits of one period that come from several changes are one credit."""
    found: dict[str, Intent] = {}
    for intent in intents:
        first = found.get(intent.identity)
        if first is None:
            found[intent.identity] = intent
            continue
        if first.operation is not intent.operation:
            raise UserFault(Fault(f"period {intent.period}", "has a line and a credit to take back; undo one by one."))
        amount = None if first.amount is None or intent.amount is None else first.amount + intent.amount
        posting = replace(first.posting, quantity=first.posting.quantity + intent.posting.quantity, amount=amount)
        found[intent.identity] = replace(
            first, to=first.to + intent.to - intent.before, amount=amount, posting=posting,
            wire=desk.wire(first.connection)(posting), undo_of=f"{first.undo_of} {intent.undo_of}",
        )  # fmt: skip
    return tuple(found.values())


def touched(entries: Iterable[Entry]) -> set[str]:
    """The identities whose entries decide what may be taken back."""
    found = set()
    for entry in entries:
        found |= {entry.intent.identity, line_of(entry)}
    return found
