"""`held`, `approve`, `reject`, `undo`, `retry`: what a person decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.common import check_names, check_span, console, load_all, open_ledger, options, print_json
from syncd.cli.main import app
from syncd.clock import make_clock
from syncd.errors import Fault, LedgerBusy, UserFault

if TYPE_CHECKING:
    from syncd.core.entries import Entry

Context = typer.Context
Ids = Annotated[list[str], typer.Argument(help="Ids as `syncd held` or `syncd ledger` show them.")]
By = Annotated[str, typer.Option("--by", help="Your name; it is kept with the decision.")]
Why = Annotated[str, typer.Option("--why", help="The reason; it is kept with the decision.")]


@app.command(epilog="Example: syncd held --json")
def held(context: Context) -> int:
    """Changes that wait for a person."""
    from syncd.core.entries import EntryState

    with open_ledger(context) as (ledger, _, _):
        waiting = ledger.entries(states={EntryState.HELD})
    if options(context).json:
        _print_entries(context, waiting)
    elif waiting:
        _print_entries(context, waiting)
        console().print('Decide with: syncd approve ID --by NAME, or syncd reject ID --why "…" --by NAME')
    else:
        typer.echo("Nothing waits for a person.")
    return 3 if waiting else 0


@app.command(epilog='Examples: syncd approve k3f9a --by "Dana" | syncd approve --all --by "Dana" --now')
def approve(
    context: Context,
    by: By,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids as `syncd held` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that waits.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Post at once, after looking again.")] = False,
    looked: Annotated[
        bool, typer.Option("--looked", help="After a restore: you looked in the billing system, and it is not there.")
    ] = False,
) -> int:
    """Lets held changes be posted; the next cycle does it, after looking again."""
    from syncd.core.entries import EntryState

    if bool(ids) == every:
        raise UserFault(Fault("syncd approve", "name ids, or --all for everything that waits."))
    with open_ledger(context) as (ledger, _, _):
        wanted = [entry.id for entry in ledger.entries(states={EntryState.HELD})] if every else list(ids or ())
        decided = ledger.approve(wanted, by, looked=looked) if wanted else []
    observing = _observing(context, decided)
    for entry in observing:
        typer.echo(
            f"syncd: entry {entry.id} is approved, and nothing is posted: the mode of {entry.intent.customer} is "
            "observe; it leaves when that is post or propose",
            err=True,
        )
    if not now or (decided and len(observing) == len(decided)):
        _print_entries(context, decided)
        return 0
    return _post_now(context, decided)


def _observing(context: Context, entries: list[Entry]) -> list[Entry]:
    """Those whose customer's mode is observe: they wait until it is another."""
    if not entries:
        return []
    from syncd.core.rules import Mode

    # The decision is written down by now: a folder without mappings is for the next cycle to refuse.
    config, mappings, _ = load_all(context, secrets=False, may_be_empty=True)
    observed = {one.name for one in mappings.customers if config.house.mode_of(one) is Mode.OBSERVE}
    return [entry for entry in entries if entry.intent.customer in observed]


@app.command(epilog='Example: syncd reject k3f9a --why "seats end on Friday" --by "Dana"')
def reject(context: Context, ids: Ids, why: Why, by: By) -> int:
    """Turns held changes down; they stay away until count, line or rule moves."""
    _said(by=by, why=why)
    with open_ledger(context) as (ledger, _, _):
        _print_entries(context, ledger.reject(ids, why, by))
    return 0


@app.command(
    epilog='Examples: syncd undo k3f9a --why "wrong customer" --by "Dana" | syncd undo --cycle c000123 --why "…" '
    '--by "Dana" | syncd undo --period 2026-11 --customer Contoso --why "…" --by "Dana"\n\n'
    "Exit status: 0 everything named waits as a compensation, 3 something could not be taken back and was left."
)
def undo(
    context: Context,
    why: Why,
    by: By,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids as `syncd ledger` shows them.")] = None,
    cycle: Annotated[str | None, typer.Option(help="All that was posted of this cycle, like c000123.")] = None,
    period: Annotated[str | None, typer.Option(help="All that was posted for this period, like 2026-11.")] = None,
    customer: Annotated[str | None, typer.Option(help="With --cycle or --period: only this customer.")] = None,
    rule: Annotated[str | None, typer.Option(help="With --cycle or --period: only this rule.")] = None,
) -> int:
    """Plans compensating changes for what was posted; they are held like any other.

    A quantity goes back, with the part of the period that was charged for it; a line of a period becomes a credit.
    What was invoiced meanwhile is credited in the first open period, under the name of the old one. Ids: all of them
    or none. A cycle or a period: newest first; what cannot be taken back is told, and the rest is written.
    """
    whole = cycle is not None or period is not None
    if bool(ids) == whole or (not whole and (customer or rule)):
        raise UserFault(Fault("syncd undo", "name ids, or --cycle or --period (with --customer, --rule)."))
    from syncd.cycle.undoing import named, posted_in, take_back
    from syncd.ledger import Ledger

    _said(by=by, why=why)
    config, mappings, kinds = load_all(context)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder, create=False) as ledger:
        if whole:
            check_span(ledger, cycle, period)
            check_names(ledger, [mappings], customer=customer, rule=rule)
            chosen = posted_in(ledger, cycle=cycle, period=period, customer=customer, rule=rule)
        else:
            chosen = named(ledger, ids or ())
        done = take_back(ledger, config, kinds, clock, chosen, by=by, why=why, strict=not whole)
    left = [{"id": id_, "reason": reason} for id_, reason in done.left]
    _print_entries(context, list(done.entries), left=left)
    if not chosen:
        typer.echo("syncd: nothing was posted there, so nothing is taken back.", err=True)
    for one in left:
        typer.echo(stays(one), err=True)
    undone_before = all("is undone already" in one["reason"] for one in left)
    return 0 if undone_before else 3


def _said(*, by: str, why: str = "-") -> None:
    """Raises UserFault where a decision would be kept without a name or a reason."""
    faults = [] if by.strip() else [Fault("--by", "is empty.", "Give the name of the person who decides.")]
    faults += [] if why.strip() else [Fault("--why", "is empty.", "Give the reason; it is kept with the decision.")]
    if faults:
        raise UserFault(faults)


@app.command(epilog='Example: syncd retry k3f9a --by "Dana"')
def retry(context: Context, ids: Ids, by: By) -> int:
    """A new entry for a failed posting; the failed one stays."""
    from syncd.cycle.undoing import named, try_again
    from syncd.ledger import Ledger

    _said(by=by)
    config, _, kinds = load_all(context)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder, create=False) as ledger:
        _print_entries(context, try_again(ledger, config, kinds, clock, named(ledger, ids), by=by))
    return 0


def _post_now(context: Context, decided: list[Entry]) -> int:
    """One cycle; where the daemon holds the ledger, it does that by itself, and nobody has to stop it."""
    from syncd.cli.planning import run

    try:
        return int(run(context, once=True))
    except LedgerBusy:
        _print_entries(context, decided)
        typer.echo("syncd: approved; another process holds the ledger, and the next cycle posts this.", err=True)
        return 0


def stays(one: Mapping[str, str]) -> str:
    """The line that says why an entry was not taken back."""
    subject = "it " if one["reason"].startswith(("is ", "was ", "goes ", "and ")) else ""
    return f"syncd: entry {one['id']} is left as it is: {subject}{one['reason']}"


def _print_entries(context: Context, entries: list[Entry], *, left: list[dict[str, str]] | None = None) -> None:
    from syncd.core.shown import entry_json

    if options(context).json:
        more = {} if left is None else {"left": left}
        print_json({"entries": [entry_json(entry) for entry in entries], **more})
        return
    from syncd.cli.tables import entries_table

    if entries:
        console().print(entries_table(entries))
    elif left is None:
        console().print("Nothing waits for a person.")
