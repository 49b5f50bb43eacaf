"""`held`, `approve`, `reject`, `undo`, `retry`: what a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.common import console, load_all, open_ledger, options, print_json
from syncd.cli.main import app
from syncd.clock import make_clock
from syncd.errors import Fault, LedgerBusy, UserFault

if TYPE_CHECKING:
    from syncd.core.entries import Entry, Intent

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
) -> int:
    """Lets held changes be posted; the next cycle does it, after looking again."""
    from syncd.core.entries import EntryState

    if bool(ids) == every:
        raise UserFault(Fault("syncd approve", "name ids, or --all for everything that waits."))
    with open_ledger(context) as (ledger, _, _):
        wanted = [entry.id for entry in ledger.entries(states={EntryState.HELD})] if every else list(ids or ())
        decided = ledger.approve(wanted, by) if wanted else []
    if not now:
        _print_entries(context, decided)
        return 0
    return _post_now(context)


@app.command(epilog='Example: syncd reject k3f9a --why "seats end on Friday" --by "Dana"')
def reject(context: Context, ids: Ids, why: Why, by: By) -> int:
    """Turns held changes down; they stay away until count, line or rule moves."""
    with open_ledger(context) as (ledger, _, _):
        _print_entries(context, ledger.reject(ids, why, by))
    return 0


@app.command(epilog='Example: syncd undo k3f9a --why "wrong customer" --by "Dana"')
def undo(context: Context, ids: Ids, why: Why, by: By) -> int:
    """Plans a compensating change for what was posted; it is held like any other."""
    return _new_entries(context, ids, by=by, why=why)


@app.command(epilog='Example: syncd retry k3f9a --by "Dana"')
def retry(context: Context, ids: Ids, by: By) -> int:
    """A new entry for a failed posting; the failed one stays."""
    return _new_entries(context, ids, by=by, why="")


def _new_entries(context: Context, ids: list[str], *, by: str, why: str) -> int:
    """Compensations where `why` is given, second tries where it is not; all of them or none."""
    from syncd.core.keys import mark_prefix
    from syncd.core.undo import retry as try_again
    from syncd.core.undo import undo as take_back
    from syncd.cycle import moment_of
    from syncd.cycle.connections import open_connections
    from syncd.ledger import Ledger

    config, _, kinds = load_all(context)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder, create=False) as ledger:
        past, today = ledger.past(), moment_of(config, clock()).today
        intents: list[Intent] = []
        faults: list[Fault] = []
        with open_connections(config, kinds, clock, own_marker=mark_prefix(past.installation)) as opened:
            for id_ in ids:
                try:
                    entry = ledger.entry(id_)
                    if entry is None:
                        raise UserFault(Fault(id_, "no entry has this id.", "See: syncd ledger"))
                    if entry.intent.connection not in opened:
                        raise UserFault(Fault(id_, f"connection {entry.intent.connection!r} is no longer configured."))
                    wire = opened[entry.intent.connection].connection.wire
                    if why:
                        intents.append(take_back(entry, past, wire, by=by, why=why, today=today))
                    else:
                        intents.append(try_again(entry, past, wire, by=by))
                except UserFault as fault:
                    faults += fault.faults
        if faults:
            raise UserFault(faults)
        written = ledger.write("", (), intents)
        if len(written) < len(intents):
            raise UserFault(Fault("syncd ledger", "a line changed while this was written.", "Look again, then repeat."))
    _print_entries(context, written)
    return 0


def _post_now(context: Context) -> int:
    from syncd.cli.planning import run

    try:
        return int(run(context, once=True))
    except LedgerBusy as busy:
        typer.echo(f"syncd: approved; {busy}. It posts this in its next cycle.", err=True)
        return 0


def _print_entries(context: Context, entries: list[Entry]) -> None:
    from syncd.core.shown import entry_json

    if options(context).json:
        print_json({"entries": [entry_json(entry) for entry in entries]})
        return
    from syncd.cli.tables import entries_table

    console().print(entries_table(entries))
