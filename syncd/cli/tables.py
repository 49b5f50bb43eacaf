"""Tables that people like to read: the drift, the ledger, one number explained."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from syncd.core.entries import Entry
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.core.shown import money_text, quantity_text
from syncd.core.worth import DRIFT, UNKNOWN
from syncd.model import State
from syncd.money import ZERO, plain_money

# Overbilling is told as loudly as leakage.
FINDING_STYLE: Mapping[str, str] = {
    "leakage": "bold yellow",
    "overbilling": "bold magenta",
    "unlicensed": "red",
    "shelfware": "cyan",
    "paid grace": "bold red",
    "books gap": "bold blue",
    "changed amount": "bold blue",
}
ACTION_STYLE: Mapping[Action, str] = {
    Action.POST: "bold green",
    Action.HOLD: "bold yellow",
    Action.BLOCKED: "bold red",
    Action.SETTLE: "cyan",
    Action.DEFER: "cyan",
    Action.ALERT: "yellow",
    Action.IGNORE: "dim",
    Action.NONE: "dim",
}
_STATE_STYLE = {"posted": "green", "held": "yellow", "failed": "red", "unknown": "bold red", "planned": "cyan"}

# So many customers whose books differ stand in a plan; `report close` lists them all.
BOOKS = 5


def printable(text: str) -> str:
    """Text that somebody else wrote, without terminal escapes."""
    return "".join(char if char.isprintable() else " " for char in text)


def clean(text: str) -> str:
    """As `printable`, and without meaning for the table's markup."""
    return escape(printable(text))


def drift_table(plan: Plan, *, every_line: bool = False) -> Table | None:
    """The lines that differ (or all of them); None where there is nothing to show.

    What could not be read is told once below the table, not again in each line that waits for it.
    """
    below = {error.message: "see below" for error in plan.errors}
    below |= {sentence: f"{source} is suspect, see below" for source, sentence in plan.suspects.items()}
    lines = [line for line in plan.lines if every_line or line.action is not Action.NONE or line.findings]
    if not lines:
        return None
    shows = {name: any(name in line.states for line in lines) for name in ("bought", "invoiced")}
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    table.add_column("Customer", no_wrap=True, max_width=28)
    table.add_column("Rule", no_wrap=True, max_width=34)
    for name in ("bought", "used", "billed", "invoiced"):
        if shows.get(name, True):
            table.add_column(name.capitalize(), justify="right", no_wrap=True)
    table.add_column("Differs", justify="right", no_wrap=True)
    table.add_column("A period", justify="right", no_wrap=True)
    table.add_column("Finding", max_width=24)
    table.add_column("What happens, and why", ratio=1, min_width=30)
    for line in sorted(lines, key=_weight):
        cells: list[RenderableType] = [clean(line.customer), clean(line.rule)]
        cells += [_number(line, name) for name in ("bought", "used", "billed", "invoiced") if shows.get(name, True)]
        cells += [_difference(line), _money(line), _findings(line), _verdict(line, below)]
        table.add_row(*cells)
    return table


def _weight(line: PlanLine) -> tuple[int, Decimal, str, str]:
    order = (Action.BLOCKED, Action.HOLD, Action.POST, Action.ALERT, Action.SETTLE, Action.DEFER)
    rank = order.index(line.action) if line.action in order else len(order)
    return rank, -abs(line.amount or ZERO), line.customer, line.rule


def _number(line: PlanLine, name: str) -> RenderableType:
    state = line.states.get(name)
    if state is None:
        return Text("·", style="dim")
    if state is not State.KNOWN:
        return Text(str(state), style="red")
    return quantity_text(getattr(line, name)) or "?"


def _difference(line: PlanLine) -> RenderableType:
    if line.difference is None or line.difference == 0:
        return Text("·", style="dim")
    sign = "+" if line.difference > 0 else "−"
    return Text(f"{sign}{quantity_text(abs(line.difference))}", style="bold")


def _money(line: PlanLine) -> RenderableType:
    if line.amount is None:
        return Text("·", style="dim")
    sign = "+" if line.amount > 0 else "−"
    return f"{sign}{money_text(abs(line.amount), line.currency)} {line.currency}"


def _findings(line: PlanLine) -> RenderableType:
    text = Text()
    for number, finding in enumerate(line.findings):
        text.append(", " if number else "")
        text.append(finding, style=FINDING_STYLE.get(finding, "bold"))
        worth = line.worth.get(finding, UNKNOWN)
        if worth.amount is not None and finding not in DRIFT:  # of those the column beside it tells the money
            text.append(f" {money_text(worth.amount, worth.currency)} {worth.currency}")
    return text


def _verdict(line: PlanLine, below: Mapping[str, str]) -> RenderableType:
    text = Text().append(str(line.action), style=ACTION_STYLE[line.action])
    reason = line.reason
    for sentence, short in below.items():
        reason = reason.replace(sentence, short)
    text.append(f"  {printable(reason)}")
    return text


def print_plan(out: Console, plan: Plan, *, every_line: bool = False) -> None:
    """The whole plan for a person: the table, what nobody mapped, what could not be read, one closing line."""
    if (table := drift_table(plan, every_line=every_line)) is not None:
        out.print(table)
        out.print()
    for source, sentence in sorted(plan.suspects.items()):
        out.print(f"[bold red]suspect[/]  {clean(source)}: {clean(sentence)}; nothing from it is posted")
    for error in plan.errors:
        whom = f" / {clean(error.customer)}" if error.customer else ""
        out.print(
            f"[bold red]unread[/]   {clean(error.connection)}{whom}: {clean(error.message)} [dim]({error.code})[/]"
        )
    for product in plan.unmapped_products:
        out.print(
            f"[yellow]unmapped[/] {clean(product.connection)}: {quantity_text(product.quantity)} × "
            f"{clean(product.name)} [dim]({clean(product.id)})[/] is billed by no rule{_having(product.customers)}"
        )
    for customer in plan.unmapped_customers:
        out.print(
            f"[yellow]unmapped[/] {clean(customer.connection)}: customer {clean(customer.name)} "
            f"[dim]({clean(customer.id)})[/] is in no mapping"
        )
    differing = [one for one in plan.tie_outs if one.agrees is False]
    for tie in differing[:BOOKS]:
        out.print(f"[bold blue]books[/]    {clean(tie.connection)} / {clean(tie.customer)}: {clean(tie.reason)}")
    if len(differing) > BOOKS:
        out.print(f"[bold blue]books[/]    and {len(differing) - BOOKS} more customers: syncd report close")
    out.print(closing_line(plan))


def _having(customers: Sequence[str]) -> str:
    """Who has it: the first few names, and how many more."""
    named = ", ".join(map(clean, customers[:3]))
    more = len(customers) - 3
    return f": {named}" + (f" and {more} more" if more > 0 else "") if customers else ""


_STATES = {
    Action.BLOCKED: "blocked", Action.HOLD: "held for a person", Action.POST: "to post",
    Action.SETTLE: "settling", Action.DEFER: "deferred",
}  # fmt: skip
_BY_HAND = "to mend by hand"


def _state(line: PlanLine) -> str:
    """In words what a line waits for; what is held and moves nothing cannot be approved, so `syncd held` has none of
    it. "" for a line that waits for nothing."""
    return _BY_HAND if line.action is Action.HOLD and not line.effects else _STATES.get(line.action, "")


def closing_line(plan: Plan) -> str:
    """One sentence: how many lines, what leaks, what is billed too much."""
    fine = sum(1 for line in plan.lines if line.action is Action.NONE)
    parts = [f"{len(plan.lines)} lines, {fine} as they should be"]
    for finding, word in (
        ("leakage", "leaking"), ("overbilling", "billed too much"), ("shelfware", "with shelfware"),
        ("unlicensed", "unlicensed"), ("paid grace", "in paid grace"),
    ):  # fmt: skip
        hit = [line for line in plan.lines if finding in line.findings]
        if hit:
            sums: dict[str, Decimal] = defaultdict(Decimal)
            for worth in (line.worth.get(finding, UNKNOWN) for line in hit):
                if worth.amount is not None:
                    sums[worth.currency] += worth.amount
            money = " + ".join(f"{plain_money(amount, code)} {code}" for code, amount in sorted(sums.items()))
            parts.append(f"{len(hit)} {word}" + (f" ({money} a period)" if money else ""))
    counts = Counter(map(_state, plan.lines))
    parts += [f"{counts[word]} {word}" for word in (*_STATES.values(), _BY_HAND) if counts[word]]
    return "; ".join(parts) + f". Mode {plan.mode}."


def entries_table(entries: Iterable[Entry], *, title: str = "") -> Table:
    """Ledger entries, oldest first."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, title=title or None)
    table.add_column("Id", no_wrap=True, min_width=10)
    table.add_column("Customer", max_width=28)
    table.add_column("Rule", max_width=32)
    table.add_column("Operation", min_width=9)
    table.add_column("Period", min_width=7)
    table.add_column("From → to", justify="right", no_wrap=True, min_width=9)
    table.add_column("Money", justify="right", no_wrap=True, min_width=10)
    table.add_column("State", no_wrap=True, min_width=8)
    table.add_column("Decided by", min_width=6)
    table.add_column("Note", ratio=1, min_width=16)
    for entry in entries:
        intent = entry.intent
        state = str(entry.state)
        money = money_text(intent.signed_amount, intent.currency)
        table.add_row(
            entry.id,
            clean(intent.customer),
            clean(intent.rule),
            str(intent.operation).replace("_", " "),
            intent.period,
            f"{quantity_text(intent.before)} → {quantity_text(intent.to)}",
            f"{money} {intent.currency}" if money else "·",
            Text(state, style=_STATE_STYLE.get(state, "dim")),
            clean((entry.decided_by or intent.decided_by).removeprefix("person:")),
            clean(entry.note or intent.why),
        )
    return table
