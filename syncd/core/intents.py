"""From a plan to what is written into the ledger: new intents, and open entries that the world has overtaken. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from syncd.core import ownership
from syncd.core.closing import may_be_forgotten, postpone
from syncd.core.effects import Effect
from syncd.core.entries import DATED, IN_FLIGHT, LOOKED, NEVER_ARRIVED, Entry, EntryState, Intent, Past
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.resolve import View
from syncd.core.rules import Mode
from syncd.core.shown import derivation_json
from syncd.model import Billing, Operation, State
from syncd.periods import parse_period


@dataclass(frozen=True, slots=True)
class Writing:
    """What one plan writes down. `supersede`: (entry id, reason); `hold`: planned entries that a person must see first.

    `sendable`: keys that may leave in this cycle, once they are planned. `approve`: ids of held entries that a person
    lets leave by applying the plan that shows them.
    """

    supersede: tuple[tuple[str, str], ...]
    hold: tuple[tuple[Entry, str], ...]
    intents: tuple[Intent, ...]
    sendable: frozenset[str]
    approve: tuple[str, ...] = ()


def write_down(
    plan: Plan,
    waiting: Iterable[Entry],
    views: Mapping[str, View],
    past: Past,
    *,
    applying: bool = False,
    restored: bool = False,
) -> Writing:
    """Turns the plan's actions into intents. `waiting`: the ledger's open entries, `past` what the plan was made from.
    `applying`: a person has read this plan and lets it be posted, also where the mode is propose. `restored`: the
    ledger may have forgotten what was posted; what waits for a period that is over could be there already, where no
    list shows it any more, so it ends. What bills in arrears, or takes back, does not: under its own key it is found
    where it was posted, and a person looks whether it was posted under another.

    What waited until its period was closed is written down anew, for the first open period, and a person must see it:
    the approval was for other days (RELIABILITY, "Time").
    """
    by_line: dict[str, list[Entry]] = defaultdict(list)
    for entry in waiting:
        by_line[entry.intent.line].append(entry)
    lines = {line.id: line for line in plan.lines}
    supersede: list[tuple[str, str]] = []
    hold: list[tuple[Entry, str]] = []
    approve: list[str] = []
    intents: list[Intent] = []
    sendable: set[str] = set()
    busy: set[str] = set()
    for line_id, entries in by_line.items():
        line = lines.get(line_id)
        fates = _fates(entries, line, plan)
        wanted = {effect.posting.key for effect in line.effects} if line else set()
        for entry in entries:
            fate = fates[entry.id]
            if fate == "supersede":
                supersede.append((entry.id, _overtaken(line)))
                continue
            if restored and _is_over(entry, line, plan):
                supersede.append((entry.id, _forgotten(entry)))
                continue
            late = _late(entry, line, plan, views, past)
            if late is not None:
                busy.add(entry.intent.identity)
                if isinstance(late, Intent):
                    supersede.append((entry.id, late.why))
                    intents.append(late)
                elif entry.state is EntryState.PLANNED:
                    hold.append((entry, late))
                continue
            if entry.intent.key not in wanted or entry.state in IN_FLIGHT or entry.intent.undo_of:
                busy.add(entry.intent.identity)  # it stays, whatever the line wants now
            if fate == "send" and _asks_again(entry, views):
                hold.append((entry, _AGAIN))
            elif restored and _unsure(entry, plan):
                hold.append((entry, _LOOK))
            elif fate == "hold" and line is not None:
                hold.append((entry, line.reason if line.action is Action.HOLD else _ASKED))
            elif fate == "send" and not _unread(entry, views):
                sendable.add(entry.intent.key)
            elif fate == "keep" and applying and line is not None and _applied(entry, line):
                approve.append(entry.id)
                sendable.add(entry.intent.key)
    for line in plan.lines:
        state = _state(line, applying)
        if state is None:
            continue
        known = {entry.intent.key for entry in by_line.get(line.id, ())}
        if busy & {effect.identity for effect in line.effects}:
            continue
        for intent in _intents(line, state, views[line.connection], "apply" if applying else "policy"):
            if intent.key not in known:
                intents.append(intent)
                if state is EntryState.PLANNED:
                    sendable.add(intent.key)
    return Writing(tuple(supersede), tuple(hold), tuple(intents), frozenset(sendable), tuple(approve))


def _late(
    entry: Entry, line: PlanLine | None, plan: Plan, views: Mapping[str, View], past: Past
) -> Intent | str | None:
    """What takes the place of an entry whose period was closed before it left; a sentence where a person must mend
    that by hand; None where its days are open."""
    if entry.state in IN_FLIGHT or (line.mode if line is not None else plan.mode) is Mode.OBSERVE:
        return None
    intent, view, billing = entry.intent, views.get(entry.intent.connection), _billing(entry, views)
    if view is None or billing is None:
        return None
    agreement = next((one for one in billing.agreements if one.id == intent.posting.agreement_id), None)
    if agreement is None:
        return None
    posting, why = postpone(intent, agreement, agreement.period or plan.moment.period, past, today=plan.moment.today)
    if posting is not None and (reason := view.refusal(posting, billing, view.products or (), plan.moment)):
        posting, why = None, f"{why}; that cannot be done: {reason}"
    if posting is None:
        return why or None
    return replace(
        intent, state=EntryState.HELD, decided_by="policy", posting=posting, wire=view.wire(posting), why=why,
        retry_of="",
    )  # fmt: skip


def _billing(entry: Entry, views: Mapping[str, View]) -> Billing | None:
    """What was read of the entry's customer where it is billed."""
    view = views.get(entry.intent.connection)
    return view.billings.get(entry.intent.posting.customer_id) if view is not None else None


def _forgotten(entry: Entry) -> str:
    return (
        f"the ledger was restored from a backup in which this waited: {entry.intent.period} is over and may have been "
        "billed since; look, and bill by hand what is missing"
    )


def _is_over(entry: Entry, line: PlanLine | None, plan: Plan) -> bool:
    """Whether a dated line that waits is for a period that has ended, and that the plan says nothing of any more."""
    if entry.state in IN_FLIGHT or entry.intent.operation not in DATED or entry.intent.undo_of:
        return False
    if line is not None and line.period == entry.intent.period:
        return False  # in arrears: under its own key it is found where it was posted
    return parse_period(entry.intent.period).last < plan.moment.today


_LOOK = "the ledger was restored, and this may be billed under another mark: look, then approve it with --looked"


def _unsure(entry: Entry, plan: Plan) -> bool:
    """Whether it was to leave as the backup has it, and nobody looked since."""
    waits = entry.state is EntryState.PLANNED and entry.note != LOOKED
    return waits and may_be_forgotten(entry.intent.operation, entry.intent.period, plan.moment.today)


_AGAIN = f"{NEVER_ARRIVED}; look for yourself before you let it leave again"


def _asks_again(entry: Entry, views: Mapping[str, View]) -> bool:
    """Whether it was approved, sent and not found, where what is posted reaches the customer at once: sending it again
    is another decision. The note is that of the last look until a person decides anew."""
    view = views.get(entry.intent.connection)
    lost = entry.attempts > 0 and entry.note == NEVER_ARRIVED
    return lost and view is not None and entry.intent.operation in view.undrafted


def _unread(entry: Entry, views: Mapping[str, View]) -> bool:
    """Whether it could not be told if the entry's period is still open: it leaves when that is known."""
    billing = _billing(entry, views)
    return entry.intent.operation in DATED and billing is not None and billing.state is not State.KNOWN


def _state(line: PlanLine, applying: bool) -> EntryState | None:
    """The state in which a line's effects are written down, None where they are not."""
    if line.mode is Mode.OBSERVE or line.action not in (Action.POST, Action.HOLD):
        return None
    may_post = applying or line.mode is Mode.POST
    return EntryState.PLANNED if line.action is Action.POST and may_post else EntryState.HELD


_ASKED = "the mode is propose now: every change waits for a person"


def _fates(entries: Iterable[Entry], line: PlanLine | None, plan: Plan) -> dict[str, str]:
    """What becomes of each open entry of a line; a follower does not outlive a leader that is superseded."""
    entries = tuple(entries)
    leaders = {entry.intent.key for entry in entries}
    fates = {entry.id: _fate(entry, line, plan, leaders) for entry in entries}
    ended = {entry.intent.key for entry in entries if fates[entry.id] == "supersede"}
    for entry in entries:
        if entry.intent.follows in ended and entry.state not in IN_FLIGHT:
            fates[entry.id] = "supersede"
    return fates


def _fate(entry: Entry, line: PlanLine | None, plan: Plan, leaders: Collection[str]) -> str:
    """What becomes of an open entry: "keep", "send", "hold" or "supersede". `leaders`: keys that are still open."""
    if entry.state in IN_FLIGHT:
        return "keep"
    mode = line.mode if line is not None else plan.mode
    stands = "send" if entry.state is EntryState.PLANNED and mode is not Mode.OBSERVE else "keep"
    back = bool(entry.intent.undo_of)
    if line is not None and ownership.FINDING in line.findings:
        # Another system invoices it there: nothing more is billed, whatever its period and whoever approved it.
        return stands if back and entry.intent.operation is Operation.POST_CREDIT else "keep"
    if back:
        return stands
    if line is None:
        return "supersede"
    if _of_an_earlier_period(entry, line, plan) or (entry.intent.follows and entry.intent.follows not in leaders):
        return stands  # the line does not show what it is for: its period is over, or its leader has left already
    if entry.intent.key not in {effect.posting.key for effect in line.effects}:
        blind = not line.effects and line.action in (Action.DEFER, Action.SETTLE)
        if entry.intent.follows and "outcome unknown" in line.findings:
            blind = True  # the change that it belongs to may have arrived, whatever the list shows and the count is now
        return "keep" if line.action is Action.BLOCKED or blind or line.difference is None else "supersede"
    if line.action is Action.IGNORE:
        return "supersede"
    if stands == "keep" or line.action is Action.BLOCKED:
        return "keep"
    if entry.decided_by.startswith("person:"):
        return "send"
    if line.action is Action.POST:
        return "hold" if line.mode is Mode.PROPOSE and entry.decided_by == "policy" else "send"
    return "hold" if line.action is Action.HOLD else "keep"


def _applied(entry: Entry, line: PlanLine) -> bool:
    """Whether a held entry is what the applied plan posts: it waited only because of the mode."""
    posts = line.action is Action.POST and line.mode is not Mode.OBSERVE and entry.state is EntryState.HELD
    return posts and entry.intent.key in {effect.posting.key for effect in line.effects}


def _of_an_earlier_period(entry: Entry, line: PlanLine, plan: Plan) -> bool:
    """A dated line keeps the period that it was planned in, however late it leaves. A usage line is always about a
    period that is over; what is for that one is judged with it."""
    if line.period and line.period == entry.intent.period:
        return False
    return entry.intent.identity.startswith("lines:") and parse_period(entry.intent.period).last < plan.moment.today


def _overtaken(line: PlanLine | None) -> str:
    if line is None:
        return "its customer or rule is no longer mapped"
    if line.action is Action.IGNORE:
        return f"no longer wanted: {line.reason}"
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
        leader = leader if effect.follows else effect
    return made
