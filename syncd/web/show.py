"""What the pages say, made from plan, entries and snapshot: order, sums, words. Pure; nothing here decides anything.

Text that a customer or vendor wrote is escaped by the templates; `clean` takes control characters and marks that
reorder text out of it first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from syncd.core.entries import Entry, EntryState
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.rules import Mode
from syncd.core.shown import money_text, quantity_text
from syncd.core.worth import DRIFT, UNKNOWN
from syncd.model import OWN_ACTIONS, Operation, State
from syncd.money import ZERO, plain
from syncd.web.board import Snapshot

# The most urgent first; a page lists its lines in this order.
URGENCY = (
    Action.BLOCKED,
    Action.HOLD,
    Action.POST,
    Action.ALERT,
    Action.SETTLE,
    Action.DEFER,
    Action.IGNORE,
    Action.NONE,
)
ACTION_WORDS: Mapping[Action, str] = {
    Action.BLOCKED: "cannot be judged until something is mended",
    Action.HOLD: "waits for a person",
    Action.POST: "may be posted",
    Action.ALERT: "is only reported",
    Action.SETTLE: "seen, not yet often enough",
    Action.DEFER: "waits for a date",
    Action.IGNORE: "left alone on purpose",
    Action.NONE: "as it should be",
}
FINDING_WORDS: Mapping[str, str] = {
    "leakage": "more is owed than is billed",
    "overbilling": "more is billed than is owed",
    "shelfware": "more is bought than is used",
    "unlicensed": "more is used than is bought",
    "paid grace": "the commitment is over, and it is billed on",
    "books gap": "billed and invoiced differ",
    "changed amount": "what syncd posted shows other money now",
    "invoiced elsewhere": "another system writes that invoice already",
    "missing line": "no open line bills it",
    "missing agreement": "no agreement to bill it in",
    "ambiguous agreement": "several agreements could bill it",
    "ambiguous product": "several products bear the name",
    "unknown product": "the billing system does not know it",
    "unknown meter": "usage cannot be reported to its meter",
    "duplicate line": "two lines bill the same",
    "negative quantity": "less than nothing is billed",
    "two rules, one line": "two rules bill the same line",
    "foreign edit": "somebody changed what syncd wrote",
    "oscillation": "another writer puts back what syncd writes",
    "sku not seen": "no customer has what the rule counts",
    "outcome unknown": "a posting went out and its outcome is not known",
    "over maximum": "the count is over the rule's maximum",
    "rival writer": "another integration writes it, too",
    "gone": "the customer or tenant is no longer there",
}
OPERATION_WORDS: Mapping[Operation, str] = {
    Operation.SET_QUANTITY: "set the quantity",
    Operation.ADD_LINE: "add a line",
    Operation.END_LINE: "end the line",
    Operation.POST_LINE: "post a line",
    Operation.POST_CREDIT: "post a credit",
    Operation.REPORT_USAGE: "report usage",
    Operation.CHANGE_PLAN: "change the plan",
    Operation.OPEN_TICKET: "open a ticket",
    Operation.NOTE_TICKET: "note on a ticket",
    Operation.CLOSE_TICKET: "close a ticket",
    Operation.NOTIFY: "tell people",
}
MODE_WORDS: Mapping[Mode, str] = {
    Mode.OBSERVE: "writes to no outside system",
    Mode.PROPOSE: "every change waits for a person",
    Mode.POST: "changes inside the safety limits are posted",
}
STATE_WORDS: Mapping[EntryState, str] = {
    EntryState.HELD: "waits for a person",
    EntryState.REJECTED: "a person said no",
    EntryState.PLANNED: "will be sent in the next cycle",
    EntryState.SENDING: "is being sent",
    EntryState.POSTED: "done, and read back",
    EntryState.FAILED: "refused; nothing changed",
    EntryState.UNKNOWN: "sent, but the outcome is not known yet",
    EntryState.SUPERSEDED: "overtaken before it was sent",
}
LINES_PAGE = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One of the numbers of a line. `text` is the number, or the state where it is not known, or "" where the rule
    does not ask for it."""

    text: str
    state: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the plan as the table shows it."""

    line: PlanLine
    bought: Cell
    used: Cell
    billed: Cell
    invoiced: Cell
    target: str
    difference: str
    rising: bool
    money: str
    findings: tuple[tuple[str, str], ...]  # (kind for the colour, text)


@dataclass(frozen=True, slots=True)
class Sum:
    """Money of one finding: a text for each currency, and how many lines have no price."""

    lines: int
    money: tuple[str, ...]
    unpriced: int


@dataclass(frozen=True, slots=True)
class Chip:
    """A choice above a table."""

    name: str
    count: int
    chosen: bool


def row(line: PlanLine) -> Row:
    """One line of the plan, worded."""
    return Row(
        line,
        bought=_cell(line, "bought"),
        used=_cell(line, "used"),
        billed=_cell(line, "billed"),
        invoiced=_cell(line, "invoiced"),
        target=quantity_text(line.target) or "",
        difference=signed(line.difference),
        rising=bool(line.difference and line.difference > 0),
        money=signed_money(line.amount, line.currency),
        findings=tuple((kind_of(finding), finding + _worth(line, finding)) for finding in line.findings),
    )


def _worth(line: PlanLine, finding: str) -> str:
    """The money of a finding where no column shows it; "" where it is not known."""
    worth = line.worth.get(finding, UNKNOWN)
    return "" if worth.amount is None or finding in DRIFT else f" {money(worth.amount, worth.currency)}"


def _cell(line: PlanLine, name: str) -> Cell:
    state = line.states.get(name)
    if state is None:
        return Cell("", "absent")
    value: Decimal | None = getattr(line, name)
    if state is State.KNOWN and value is not None:
        return Cell(plain(value), "known")
    return Cell(str(state) if state is not State.KNOWN else "none", str(state))


def signed(value: Decimal | None) -> str:
    """A difference with its sign (a true minus); "" where there is none."""
    if value is None or value == 0:
        return ""
    return f"{'+' if value > 0 else '−'}{plain(abs(value))}"


def signed_money(amount: Decimal | None, currency: str) -> str:
    """Money with sign, thousands and currency; "" where no price is known."""
    if amount is None:
        return ""
    sign = "+" if amount > 0 else "−" if amount < 0 else ""
    return f"{sign}{money(abs(amount), currency)}"


def entry_money(entry: Entry) -> str:
    """The money that an entry moves (unsigned in the ledger), signed by its direction: what the customer pays more."""
    intent = entry.intent
    if intent.amount is None:
        return ""
    falls = intent.operation is Operation.POST_CREDIT or (
        intent.operation is not Operation.POST_LINE and intent.to < intent.before
    )
    return signed_money(-abs(intent.amount) if falls else abs(intent.amount), intent.currency)


def money(amount: Decimal, currency: str) -> str:
    """`1,234.50 USD`"""
    whole, point, minor = (money_text(amount, currency) or "").partition(".")
    return f"{int(whole):,}{point}{minor} {currency}".strip()


def kind_of(finding: str) -> str:
    """The CSS class of a finding: its kind, without what it names."""
    return finding.partition(":")[0].replace(" ", "-")


def urgent_first(lines: Iterable[PlanLine]) -> list[PlanLine]:
    """The most urgent action first, in it the most money, then by name."""
    return sorted(
        lines,
        key=lambda line: (URGENCY.index(line.action), -abs(line.amount or ZERO), line.customer.casefold(), line.rule),
    )


def choose(plan: Plan, action: str, customer: str) -> list[PlanLine]:
    """The lines that a filter asks for. `action`: an action, "all", or "" for whatever is not as it should be."""
    return urgent_first(
        line
        for line in plan.lines
        if (not customer or line.customer == customer)
        and (action == "all" or (line.action == action if action else line.action is not Action.NONE or line.findings))
    )


def action_chips(plan: Plan, customer: str, chosen: str) -> list[Chip]:
    """How many lines each action has, for one customer or all; actions without lines are left out."""
    mine = [line for line in plan.lines if not customer or line.customer == customer]
    counts = Counter(line.action for line in mine)
    differing = sum(1 for line in mine if line.action is not Action.NONE or line.findings)
    chips = [Chip("", differing, not chosen)]
    chips += [Chip(str(one), counts[one], chosen == one) for one in URGENCY if counts[one] or chosen == one]
    return [*chips, Chip("all", len(mine), chosen == "all")]


def sum_of(lines: Iterable[PlanLine], finding: str) -> Sum:
    """What the lines with a finding come to in one billing period, by currency."""
    by_currency: dict[str, Decimal] = defaultdict(Decimal)
    count = unpriced = 0
    for line in lines:
        if finding not in line.findings:
            continue
        count += 1
        worth = line.worth.get(finding, UNKNOWN)
        if worth.amount is None:
            unpriced += 1
        else:
            by_currency[worth.currency] += worth.amount
    return Sum(count, tuple(money(amount, name) for name, amount in sorted(by_currency.items())), unpriced)


@dataclass(frozen=True, slots=True)
class Finding:
    """How often something differs. `share`: percent of the most frequent one, for the bar. `money`: what those with a
    known price or cost come to in a period, by currency."""

    name: str
    kind: str
    words: str
    count: int
    share: int
    money: tuple[str, ...] = ()


def findings_of(lines: Iterable[PlanLine]) -> list[Finding]:
    """The most frequent first."""
    lines = list(lines)
    counts = Counter(finding.partition(":")[0] for line in lines for finding in line.findings)
    most = max(counts.values(), default=1)
    return [
        Finding(name, kind_of(name), FINDING_WORDS.get(name, ""), count, share, sum_of(lines, name).money)
        for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        for share in (max(count * 100 // most, 2),)
    ]


def headline(now: Snapshot, reasons: Sequence[str]) -> tuple[str, str]:
    """(tone, sentence): the one thing to know first. Tones: bad, warn, good, calm."""
    if reasons and now.cycle is None and reasons[0].startswith("starting"):
        return "calm", "The first cycle is running."
    if now.broken:
        return "bad", "The ledger cannot be trusted. Nothing is posted."
    if now.faults:
        return "bad", "The files have faults. Cycles are skipped until they are mended."
    if now.trouble:
        return "bad", "The last cycle failed by itself."
    if now.doubt:
        return "warn", "The clock is not believed. Nothing is posted."
    if reasons or now.cycle is None:
        return "warn", "The daemon is not ready."
    plan, cycle = now.cycle.plan, now.cycle
    if cycle.in_doubt:
        return "bad", f"{_many(cycle.in_doubt, 'posting')} went out and the answer was lost. syncd keeps looking."
    blocked = sum(1 for line in plan.lines if line.action is Action.BLOCKED)
    if plan.suspects:
        names = " and ".join(sorted(plan.suspects))
        return "warn", f"{names} fell too far to be believed. Nothing from it is posted."
    if blocked:
        return "warn", f"{_many(blocked, 'line')} cannot be judged until something is mended."
    if cycle.waiting:
        return "warn", f"{_many(cycle.waiting, 'change')} {'wait' if cycle.waiting > 1 else 'waits'} for a person."
    drifting = sum(1 for line in plan.lines if line.drifts)
    if drifting:
        return "calm", f"{_many(drifting, 'line')} {'differ' if drifting > 1 else 'differs'}. Nothing waits for you."
    return "good", "Everything that is used is billed."


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def ago(moment: datetime, now: datetime) -> str:
    """`just now`, `12 min ago`, `3 h ago`, `2 days ago`."""
    passed = now - moment
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed // timedelta(minutes=1)} min ago"
    if passed < timedelta(days=2):
        return f"{passed // timedelta(hours=1)} h ago"
    return f"{passed.days} days ago"


def took(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def sentence_of(entry: Entry) -> str:
    """What an entry is about, in one sentence."""
    intent = entry.intent
    verb = OPERATION_WORDS[intent.operation]
    if intent.operation in (Operation.POST_LINE, Operation.POST_CREDIT):
        return f"{verb} of {plain(intent.posting.quantity)} for {intent.period}"
    if intent.operation is Operation.REPORT_USAGE:
        verb = verb if intent.posting.quantity > 0 else "take back usage"
        return f"{verb} of {plain(abs(intent.posting.quantity))} for {intent.period}"
    if intent.operation in OWN_ACTIONS:
        return f"{verb}, on {intent.period}"
    return f"{verb} from {plain(intent.before)} to {plain(intent.to)}"
