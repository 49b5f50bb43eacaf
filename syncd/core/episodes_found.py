"""What one cycle found wrong, as conditions: who, how much, what to do. Pure.

One condition for each plan line that needs a person, one for each whose commitment is over and billed on, one for each
of which somebody changed the money of what syncd posted, one for each that comes near a tier; those of sources,
customers and books are `episodes_sources`'. What syncd mends by itself (a difference that is to be posted, not seen
often enough yet, or waiting for its date) is none. No sentence names a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from syncd.core.changed_amounts import FINDING as CHANGED
from syncd.core.entries import IN_FLIGHT, Entry, EntryState
from syncd.core.episodes import Condition, Conditions
from syncd.core.episodes_desk import Desk, condition, listed
from syncd.core.episodes_sources import books, gone, logins, sources, suspect, unmapped
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.rules import Mode
from syncd.core.worth import UNKNOWN
from syncd.money import ZERO, plain, plain_money


def conditions(
    plan: Plan, waiting: Iterable[Entry], ended: Iterable[Entry], tags: Mapping[str, Sequence[str]]
) -> Conditions:
    """Everything that is wrong after a cycle.

    `waiting`: the entries that are open when it ended; `ended`: those that ended in it. `tags`: by customer's name.
    """
    desk = Desk(plan, tags, lines={line.id: line for line in plan.lines})
    # One that began to wait in this cycle is in both.
    for entry in {entry.id: entry for entry in (*ended, *waiting)}.values():
        desk.entries[entry.intent.line].append(entry)
    # Those first: the lines that are told with their customer or source are not told again.
    found = [*gone(desk), *suspect(desk)]
    found += [*_lines(desk), *_graces(desk), *_changed(desk), *_thresholds(desk)]
    found += [*sources(desk), *logins(desk), *unmapped(desk), *books(desk)]
    return Conditions(tuple(sorted(found, key=lambda one: one.key)), desk.blind)


def _lines(desk: Desk) -> list[Condition]:
    """One for each plan line that needs a person, and for what waits or failed although no line shows it any more."""
    found = []
    for line in desk.plan.lines:
        if line.id not in desk.folded and (made := _line(desk, line)) is not None:
            found.append(made)
    for line_id, entries in sorted(desk.entries.items()):
        if line_id not in desk.lines and (made := _orphan(desk, line_id, entries)) is not None:
            found.append(made)
    return found


def _line(desk: Desk, line: PlanLine) -> Condition | None:
    entries = desk.entries.get(line.id, [])
    name = f"{line.customer} / {line.rule}"
    if told := _entries_told(entries):
        kind, what, mend = told
        return condition(desk, line, kind, f"{name}: {_numbers(line)}{what}", mend)
    if line.action is Action.BLOCKED:
        if any(message in line.reason for message in desk.messages(line.customer)):
            desk.folded.add(line.id)  # its source is told
            return None
        return condition(
            desk,
            line,
            "failed",
            f"{name}: blocked, {line.reason}",
            "Mend what is named; `syncd explain` shows the line.",
        )
    waits = [entry for entry in entries if entry.state is EntryState.HELD]
    on_its_way = any(entry.state is EntryState.PLANNED for entry in entries) or desk.done(line.id)
    if waits or (line.action is Action.HOLD and not on_its_way):
        mend = "Correct it by hand."
        if waits:
            ids = " ".join(entry.id for entry in waits[:3])
            mend = f"Decide: `syncd approve {ids} --by NAME`, or reject it."
        elif line.mode is Mode.OBSERVE:
            mend = "Correct it by hand; in observe nothing can be approved."
        because = line.reason if line.action is Action.HOLD else _because(waits[0], line)
        made = condition(desk, line, "held", f"{name}: {_numbers(line)}waits for a person: {because}", mend)
        return replace(made, began=min((entry.created_at for entry in waits), default=None))
    if line.action is Action.ALERT:
        return condition(desk, line, "drift", f"{name}: {_numbers(line)}{line.reason}", "Mend it by hand.")
    if line.action is Action.POST and line.mode is Mode.OBSERVE:
        mend = 'Correct it by hand, or let syncd do it: mode = "propose" or "post".'
        return condition(desk, line, "drift", f"{name}: {_numbers(line)}only observed", mend)
    return None


def _because(entry: Entry, line: PlanLine) -> str:
    """Why an entry waits although the line itself might be posted."""
    return entry.note or ("the mode is propose" if line.mode is Mode.PROPOSE else entry.intent.why)


def _entries_told(entries: Sequence[Entry]) -> tuple[str, str, str] | None:
    """(kind, what, mend) of a posting that failed or is in doubt; None where none did."""
    failed = [entry for entry in entries if entry.state is EntryState.FAILED]
    if failed:
        return "failed", f"refused: {failed[-1].note}", f"Mend it, then `syncd retry {failed[-1].id} --by NAME`."
    flying = [entry for entry in entries if entry.state in IN_FLIGHT]
    if flying:
        return (
            "failed",
            "sent, and the outcome is not known yet",
            "syncd keeps looking: `syncd ledger --state unknown`.",
        )
    stuck = [entry for entry in entries if entry.state is EntryState.PLANNED and entry.attempts]
    if stuck:
        return "failed", stuck[-1].note or "could not be sent", "syncd tries again in the next cycle."
    return None


def _orphan(desk: Desk, line_id: str, entries: Sequence[Entry]) -> Condition | None:
    """What waits or failed of a line that the plan does not have: its customer or rule is no longer mapped."""
    intent = entries[-1].intent
    name = f"{intent.customer} / {intent.rule}"
    told = _entries_told(entries)
    if told is None:
        held = [entry.id for entry in entries if entry.state is EntryState.HELD]
        if not held:
            return None
        told = "held", "waits for a person", f"Decide: `syncd approve {held[0]} --by NAME`, or reject it."
    kind, what, mend = told
    size = abs(intent.to - intent.before)
    return Condition(
        f"line:{line_id}", (kind,), f"{name}: {what}", mend, size, intent.amount and abs(intent.amount),
        intent.currency, (intent.customer,), (intent.connection,), desk.tags_of([intent.customer]),
    )  # fmt: skip


def _numbers(line: PlanLine) -> str:
    """`leakage, 25 billed and 27 due (+2, 44.00 USD a period); `"""
    if line.difference is None or line.target is None or not line.difference:
        return ""
    sign = "+" if line.difference > 0 else "−"
    money = f", {plain_money(abs(line.amount), line.currency)} {line.currency} a period" if line.amount else ""
    words = [finding for finding in line.findings if finding in ("leakage", "overbilling")]
    told = f"{words[0]}, " if words else ""
    billed = plain(line.billed) if line.billed is not None else "nothing"
    return f"{told}{billed} billed and {plain(line.target)} due ({sign}{plain(abs(line.difference))}{money}); "


def _graces(desk: Desk) -> list[Condition]:
    """One for each line of which seats are billed on by their vendor although their commitment is over."""
    found = []
    for line in desk.plan.lines:
        seats = [(Decimal(quantity), last) for quantity, last in line.derivation.get("grace", ())]
        if "paid grace" not in line.findings or not seats:
            continue
        vendors = tuple(sorted({part["connection"] for part in line.derivation["bought"]}))
        number, ended = sum((quantity for quantity, _ in seats), ZERO), min(last for _, last in seats)
        worth = line.worth.get("paid grace", UNKNOWN)
        told = f"{line.customer} / {line.rule}: {plain(number)} in paid grace at {listed(vendors)}"
        told += f", their commitment ended on {ended}"
        if worth.amount is not None:
            told += f", {plain_money(worth.amount, worth.currency)} {worth.currency} a period"
        found.append(
            Condition(
                f"grace:{line.id}", ("renewal",), told, "Renew them for a new term there, or cancel them.", number,
                worth.amount, worth.currency, (line.customer,), vendors, desk.tags_of([line.customer]),
            )
        )  # fmt: skip
    return found


def _changed(desk: Desk) -> list[Condition]:
    """One for each line of which somebody changed the money of what syncd had posted."""
    found = []
    for line in desk.plan.lines:
        edits = line.derivation.get("changed", ())
        if not edits:
            continue
        worth = line.worth.get(CHANGED, UNKNOWN)
        told = f"{line.customer} / {line.rule}: {listed([edit['text'] for edit in edits])}"
        mend = (
            f"Look who did it in {line.connection}, and put it back there; syncd posts nothing for it. "
            'Where such changes are meant: foreign_edit = "accept".'
        )
        found.append(
            Condition(
                f"amount:{line.id}", ("drift",), told, mend, Decimal(len(edits)), worth.amount, worth.currency,
                (line.customer,), (line.connection,), desk.tags_of([line.customer]),
            )
        )  # fmt: skip
    return found


def _thresholds(desk: Desk) -> list[Condition]:
    """One for each line whose count comes near to where its price changes. It grows with the next percentage."""
    found = []
    for line in desk.plan.lines:
        near = line.threshold
        if near is None:
            continue
        told = f"{line.customer} / {line.rule}: {near}"
        mend = f'Tell the customer before the bill does; `syncd price "{line.rule}" N` shows what it will cost.'
        found.append(
            Condition(
                f"threshold:{line.id}", ("threshold",), told, mend, near.percent + (1 if near.passed else 0),
                customers=(line.customer,), connections=(line.connection,), tags=desk.tags_of([line.customer]),
            )
        )  # fmt: skip
    return found
