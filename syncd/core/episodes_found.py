"""What one cycle found wrong, as conditions: who, how much, what to do. Pure.

One condition for each plan line that needs a person, one for each whose commitment is over and billed on, one for each
customer that is gone, one for each source that is suspect, unreadable or shows what nobody mapped, one for books that
differ from what is billed. What syncd mends by itself (a difference that is to be posted, not seen often enough yet, or
waiting for its date) is none. No sentence names a person.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from syncd.core.entries import IN_FLIGHT, Entry, EntryState
from syncd.core.episodes import Condition, Conditions
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.rules import Mode
from syncd.core.tie_out import TieOut
from syncd.core.unmapped import Unmapped
from syncd.core.worth import UNKNOWN
from syncd.model import State
from syncd.money import ZERO, plain, plain_money

# So many names stand in one sentence.
NAMES = 5
_EDITOR = re.compile(r"the line was changed by .+? to (?=-?\d)")
_UNREAD = frozenset({State.UNKNOWN, State.PARTIAL})
_UNDECIDED = frozenset({Action.SETTLE, Action.DEFER, Action.POST})
_MENDS: Mapping[str, str] = {
    "unauthorized": "Renew its secret, then run `syncd check`.",
    "consent": "Let the customer's admin consent again; `syncd check` shows who.",
    "forbidden": "Give the right that the message names, then run `syncd check`.",
    "ambiguous": "Name one of them by its id in the mappings.",
    "not_found": "Correct the key in the mappings; `syncd check` names each.",
    "unsupported": "Configure the connection again, so that the outcome can be looked up.",
    "clock": "Set the machine's clock right.",
}
_WAIT = "Nothing is posted from it meanwhile. If it lasts, see `syncd check`."


def conditions(
    plan: Plan, waiting: Iterable[Entry], ended: Iterable[Entry], tags: Mapping[str, Sequence[str]]
) -> Conditions:
    """Everything that is wrong after a cycle.

    `waiting`: the entries that are open when it ended; `ended`: those that ended in it. `tags`: by customer's name.
    """
    desk = _Desk(plan, tags, lines={line.id: line for line in plan.lines})
    # One that began to wait in this cycle is in both.
    for entry in {entry.id: entry for entry in (*ended, *waiting)}.values():
        desk.entries[entry.intent.line].append(entry)
    gone, suspect = _gone(desk), _suspect(desk)
    found = [*gone, *suspect, *_lines(desk), *_graces(desk), *_thresholds(desk), *_sources(desk), *_unmapped(desk)]
    found += _books(desk)
    return Conditions(tuple(sorted(found, key=lambda one: one.key)), desk.blind)


@dataclass
class _Desk:
    """What the makers of conditions share. `folded`: lines that are told with their customer or source."""

    plan: Plan
    tags: Mapping[str, Sequence[str]]
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    folded: set[str] = field(default_factory=set)
    lines: Mapping[str, PlanLine] = field(default_factory=dict)
    said: dict[str, list[str]] | None = None

    def messages(self, customer: str) -> Sequence[str]:
        """What was said about reads that failed for a customer, or for everybody."""
        if self.said is None:
            self.said = defaultdict(list)
            for error in self.plan.errors:
                self.said[error.customer].append(error.message)
        return (*self.said.get("", ()), *self.said.get(customer, ()))

    def tags_of(self, customers: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted({tag for name in customers for tag in self.tags.get(name, ())}))

    def blind(self, said: Condition) -> bool:
        """Whether a condition that was not found may be there all the same: a line whose numbers were not read, or that
        is told with its source; a source's trouble while another one hides it."""
        what, _, line_id = said.key.partition(":")
        if what in ("line", "threshold"):
            line = self.lines.get(line_id)
            return line is not None and self._hidden(line)
        errors = [error for error in self.plan.errors if error.connection in said.connections]
        if what in ("source", "grace"):
            return any(not error.customer or error.customer in said.customers for error in errors)
        if what == "gone":
            return any(not error.customer for error in errors)
        return bool(errors)

    def _hidden(self, line: PlanLine) -> bool:
        if line.id in self.folded or _UNREAD & set(line.states.values()):
            return True
        # The difference stands: it moved a moment ago, waits for its date, or could not be sent yet.
        return line.action in _UNDECIDED and not self.done(line.id)

    def done(self, line_id: str) -> bool:
        """Whether a change of the line was posted in this cycle."""
        return any(entry.state is EntryState.POSTED for entry in self.entries.get(line_id, ()))


def _gone(desk: _Desk) -> list[Condition]:
    """One for each customer that a system no longer shows."""
    where: dict[str, set[str]] = defaultdict(set)
    for error in desk.plan.errors:
        if error.code == "gone" and error.customer:
            where[error.customer].add(error.connection)
    found = []
    for customer, connections in sorted(where.items()):
        lines = [
            line
            for line in desk.plan.lines
            if line.customer == customer and line.action in (Action.HOLD, Action.BLOCKED)
            if State.GONE in line.states.values() or "gone" in line.findings
        ]
        desk.folded |= {line.id for line in lines}
        told = f"{customer} is gone from {_listed(sorted(connections))}"
        if lines:
            told += f"; {_count(len(lines), 'line')} of it {'wait' if len(lines) > 1 else 'waits'}{_worth(lines)}"
        mend = "If the customer left, approve the decreases (`syncd held`) and take it out of the mappings."
        found.append(
            Condition(
                f"gone:{customer}", ("held", "source"), told, mend, Decimal(max(len(lines), 1)), *_money(lines),
                (customer,), tuple(sorted(connections)), desk.tags_of([customer]),
            )
        )  # fmt: skip
    return found


def _suspect(desk: _Desk) -> list[Condition]:
    """One for each source that fell too far to be believed."""
    found = []
    for connection, sentence in sorted(desk.plan.suspects.items()):
        lines = [line for line in desk.plan.lines if line.action is Action.HOLD and sentence in line.reason]
        lines = [line for line in lines if line.id not in desk.folded]
        desk.folded |= {line.id for line in lines}
        customers = tuple(sorted({line.customer for line in lines}))
        told = f"{sentence}; {_count(len(lines), 'line')} held back{_worth(lines)}"
        mend = f"Look whether {connection} is right. Nothing from it is posted until it recovers or a person decides."
        found.append(
            Condition(
                f"suspect:{connection}", ("source", "held"), told, mend, Decimal(max(len(lines), 1)), *_money(lines),
                customers, (connection,), desk.tags_of(customers),
            )
        )  # fmt: skip
    return found


def _lines(desk: _Desk) -> list[Condition]:
    """One for each plan line that needs a person, and for what waits or failed although no line shows it any more."""
    found = []
    for line in desk.plan.lines:
        if line.id not in desk.folded and (made := _line(desk, line)) is not None:
            found.append(made)
    for line_id, entries in sorted(desk.entries.items()):
        if line_id not in desk.lines and (made := _orphan(desk, line_id, entries)) is not None:
            found.append(made)
    return found


def _line(desk: _Desk, line: PlanLine) -> Condition | None:
    entries = desk.entries.get(line.id, [])
    name = f"{line.customer} / {line.rule}"
    if told := _entries_told(entries):
        kind, what, mend = told
        return _condition(desk, line, kind, f"{name}: {_numbers(line)}{what}", mend)
    if line.action is Action.BLOCKED:
        if any(message in line.reason for message in desk.messages(line.customer)):
            desk.folded.add(line.id)  # its source is told
            return None
        return _condition(
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
        made = _condition(desk, line, "held", f"{name}: {_numbers(line)}waits for a person: {because}", mend)
        return replace(made, began=min((entry.created_at for entry in waits), default=None))
    if line.action is Action.ALERT:
        return _condition(desk, line, "drift", f"{name}: {_numbers(line)}{line.reason}", "Mend it by hand.")
    if line.action is Action.POST and line.mode is Mode.OBSERVE:
        mend = 'Correct it by hand, or let syncd do it: mode = "propose" or "post".'
        return _condition(desk, line, "drift", f"{name}: {_numbers(line)}only observed", mend)
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


def _orphan(desk: _Desk, line_id: str, entries: Sequence[Entry]) -> Condition | None:
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


def _condition(desk: _Desk, line: PlanLine, kind: str, what: str, mend: str) -> Condition:
    what = _EDITOR.sub("the line was changed to ", what)  # who did it is for the pages, behind their sign-in
    size = abs(line.difference) if line.difference is not None else Decimal(1)
    money = abs(line.amount) if line.amount is not None else None
    return Condition(
        f"line:{line.id}", (kind,), what, mend, size, money, line.currency if money is not None else "",
        (line.customer,), (line.connection,), desk.tags_of([line.customer]),
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


def _graces(desk: _Desk) -> list[Condition]:
    """One for each line of which seats are billed on by their vendor although their commitment is over."""
    found = []
    for line in desk.plan.lines:
        seats = [(Decimal(quantity), last) for quantity, last in line.derivation.get("grace", ())]
        if "paid grace" not in line.findings or not seats:
            continue
        vendors = tuple(sorted({part["connection"] for part in line.derivation["bought"]}))
        number, ended = sum((quantity for quantity, _ in seats), ZERO), min(last for _, last in seats)
        worth = line.worth.get("paid grace", UNKNOWN)
        told = f"{line.customer} / {line.rule}: {plain(number)} in paid grace at {_listed(vendors)}"
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


def _thresholds(desk: _Desk) -> list[Condition]:
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


def _sources(desk: _Desk) -> list[Condition]:
    """One for each source and way of failing, with the customers that it concerns."""
    by_source: dict[tuple[str, str], list[ReadError]] = defaultdict(list)
    for error in desk.plan.errors:
        if error.code != "gone" or not error.customer:
            by_source[error.connection, error.code].append(error)
    found = []
    for (connection, code), errors in sorted(by_source.items()):
        customers = tuple(sorted({error.customer for error in errors if error.customer}))
        whole = any(not error.customer for error in errors)
        whom = "" if whole else f" for {_listed(customers)}"
        told = f"{connection} could not be read{whom}: {min(error.message for error in errors)}"
        if connection == "syncd":
            told = errors[0].message
        messages = [error.message for error in errors if not error.customer]
        lines = desk.plan.lines if messages else ()
        blocked = {line.customer for line in lines if any(one in line.reason for one in messages)}
        found.append(
            Condition(
                f"source:{connection}:{code}", ("source",), told, _MENDS.get(code, _WAIT),
                Decimal(len(customers) or 1), None, "", customers, (connection,), desk.tags_of({*customers, *blocked}),
            )
        )  # fmt: skip
    return found


def _unmapped(desk: _Desk) -> list[Condition]:
    """One for each source that shows customers or products which nobody mapped."""
    by_source: dict[str, list[Unmapped]] = defaultdict(list)
    for one in (*desk.plan.unmapped_products, *desk.plan.unmapped_customers):
        by_source[one.connection].append(one)
    found = []
    for connection, several in sorted(by_source.items()):
        several.sort(key=lambda one: (-(one.quantity or ZERO), one.name, one.id))
        names = [f"{one.name or one.id}" + (f" ({plain(one.quantity)})" if one.quantity else "") for one in several]
        told = f"{connection} shows {_count(len(several), 'thing')} that nobody mapped: {_listed(names)}"
        mend = "Map them, or put them under [[ignore]] with the reason; `syncd plan` lists all."
        found.append(
            Condition(
                f"unmapped:{connection}", ("unmapped",), told, mend, Decimal(len(several)), connections=(connection,)
            )
        )
    return found


def _money(lines: Iterable[PlanLine]) -> tuple[Decimal | None, str]:
    """What the lines come to in one period, where all that are priced have one currency."""
    priced = [(abs(line.amount), line.currency) for line in lines if line.amount is not None]
    if len({currency for _, currency in priced}) != 1:
        return None, ""
    return sum((amount for amount, _ in priced), ZERO), priced[0][1]


def _worth(lines: Iterable[PlanLine]) -> str:
    money, currency = _money(lines)
    return f", {plain_money(money, currency)} {currency} a period" if money else ""


def _listed(names: Sequence[str]) -> str:
    """`A, B and C`; more than NAMES end in `and 4 more`."""
    if len(names) > NAMES:
        return f"{', '.join(names[:NAMES])} and {len(names) - NAMES} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _books(desk: _Desk) -> list[Condition]:
    """One for each books that differ from what is billed: the tie-out of the day."""
    differing: dict[str, list[TieOut]] = defaultdict(list)
    for one in desk.plan.tie_outs:
        if one.agrees is False:
            differing[one.connection].append(one)
    found = []
    for connection, some in sorted(differing.items()):
        names = [one.customer for one in some]
        told = f"billed and invoiced in {connection} differ for {_count(len(some), 'customer')} ({_listed(names)})"
        against = sorted({connection, *(name for one in some for name in one.against)})
        found.append(
            Condition(
                f"books:{connection}", ("drift",), told, "`syncd report close` lists the lines.", Decimal(len(some)),
                None, "", tuple(names), tuple(against), desk.tags_of(names),
            )
        )  # fmt: skip
    return found
