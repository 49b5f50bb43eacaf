"""From a plan to what is written into the ledger: new intents, and open entries that the world has overtaken. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from syncd.core.effects import Effect
from syncd.core.entries import IN_FLIGHT, Entry, EntryState, Intent
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import View
from syncd.core.rules import Mode
from syncd.core.shown import derivation_json


@dataclass(frozen=True, slots=True)
class Writing:
    """What one plan writes down. `supersede`: (entry id, reason); `hold`: planned entries that a person must see first.

    `sendable`: keys that may leave in this cycle, once they are planned.
    """

    supersede: tuple[tuple[str, str], ...]
    hold: tuple[tuple[Entry, str], ...]
    intents: tuple[Intent, ...]
    sendable: frozenset[str]


def write_down(plan: Plan, waiting: Iterable[Entry], views: Mapping[str, View], *, applying: bool = False) -> Writing:
    """Turns the plan's actions into intents. `waiting`: the ledger's open entries. `applying`: a person has read this
    plan and lets it be posted, also where the mode is propose."""
    by_line: dict[str, list[Entry]] = defaultdict(list)
    for entry in waiting:
        by_line[entry.intent.line].append(entry)
    lines = {line.id: line for line in plan.lines}
    supersede: list[tuple[str, str]] = []
    hold: list[tuple[Entry, str]] = []
    intents: list[Intent] = []
    sendable: set[str] = set()
    for line_id, entries in by_line.items():
        for entry in entries:
            line = lines.get(line_id)
            verdict = _fate(entry, line)
            if verdict == "supersede":
                supersede.append((entry.id, _overtaken(line)))
            elif verdict == "hold" and line is not None:
                hold.append((entry, line.reason))
            elif verdict == "send":
                sendable.add(entry.intent.key)
    for line in plan.lines:
        state = _state(line, applying)
        if state is None:
            continue
        known = {entry.intent.key for entry in by_line.get(line.id, ())}
        busy = {
            entry.intent.identity
            for entry in by_line.get(line.id, ())
            if entry.state in IN_FLIGHT or entry.intent.undo_of
        }
        if busy & {effect.identity for effect in line.effects}:
            continue
        for intent in _intents(line, state, views[line.connection], "apply" if applying else "policy"):
            if intent.key not in known:
                intents.append(intent)
                if state is EntryState.PLANNED:
                    sendable.add(intent.key)
    return Writing(tuple(supersede), tuple(hold), tuple(intents), frozenset(sendable))


def _state(line: PlanLine, applying: bool) -> EntryState | None:
    """The state in which a line's effects are written down, None where they are not."""
    if line.mode is Mode.OBSERVE or line.action not in (Action.POST, Action.HOLD):
        return None
    may_post = applying or line.mode is Mode.POST
    return EntryState.PLANNED if line.action is Action.POST and may_post else EntryState.HELD


def _fate(entry: Entry, line: PlanLine | None) -> str:
    """What becomes of an open entry: "keep", "send", "hold" or "supersede"."""
    if entry.state in IN_FLIGHT:
        return "keep"
    decided = entry.decided_by.startswith("person:")
    if entry.intent.undo_of or _of_another_period(entry, line):
        may_leave = line is None or line.mode is not Mode.OBSERVE
        return "send" if entry.state is EntryState.PLANNED and may_leave else "keep"
    if line is None:
        return "supersede"
    if entry.intent.key not in {effect.posting.key for effect in line.effects}:
        return "keep" if line.action in (Action.BLOCKED, Action.DEFER) or line.difference is None else "supersede"
    if line.mode is Mode.OBSERVE or entry.state is EntryState.HELD or line.action is Action.BLOCKED:
        return "keep"
    if decided or line.action is Action.POST:
        return "send"
    return "hold" if line.action is Action.HOLD else "keep"


def _of_another_period(entry: Entry, line: PlanLine | None) -> bool:
    """A dated line keeps the period that it was planned in, however late it leaves."""
    if not entry.intent.identity.startswith("lines:"):
        return False
    return line is None or (all(effect.period != entry.intent.period for effect in line.effects) and bool(line.effects))


def _overtaken(line: PlanLine | None) -> str:
    if line is None:
        return "its customer or rule is no longer mapped"
    return f"planned anew: {line.reason}" if line.difference else "no longer needed: the line is as it should be"


def _intents(line: PlanLine, state: EntryState, view: View, decided_by: str) -> Collection[Intent]:
    """One intent for each effect, in order; a follower names its leader."""
    made: list[Intent] = []
    leader: Effect | None = None
    for effect in line.effects:
        made.append(
            Intent(
                identity=effect.identity,
                line=line.id,
                customer=line.customer,
                rule=line.rule,
                connection=line.connection,
                period=effect.period,
                before=effect.before,
                to=effect.to,
                state=state,
                decided_by=decided_by,
                posting=effect.posting,
                wire=view.wire(effect.posting),
                fingerprint=line.fingerprint,
                amount=effect.amount,
                currency=effect.currency,
                follows=leader.posting.key if effect.follows and leader else "",
                why=line.reason,
                derivation=derivation_json(line),
            )
        )
        leader = effect
    return made
