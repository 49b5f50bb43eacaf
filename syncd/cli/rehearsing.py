"""`rehearse`: the real counts, posted into sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli.common import console, load_all, options, print_json, progress
from syncd.cli.main import app
from syncd.clock import make_clock

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from syncd.rehearse import Rehearsal


@app.command(
    epilog="Examples: syncd rehearse | syncd rehearse --approve-held | syncd rehearse --faults --seed 42 --json\n\n"
    "Exit status: 0 every line came to its target or is held with a reason, 3 something still waits, 1 something "
    "could not be read, is blocked, or was not made exactly once."
)
def rehearse(
    context: typer.Context,
    faults: Annotated[bool, typer.Option("--faults", help="The sandboxes fail and the process dies, often.")] = False,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal faults.")] = 7,
    approve_held: Annotated[bool, typer.Option("--approve-held", help="Go on with what is held for a person.")] = False,
) -> int:
    """Today's real counts and mappings, posted into local sandboxes instead of the real systems, and what came of it.

    The real systems are read once and never written to; the ledger that is written is a copy in a scratch folder.
    """
    from syncd.rehearse import rehearse as play

    config, mappings, kinds = load_all(context)
    with progress(context, "Rehearsing") as tell:
        done = play(
            config, mappings, kinds, make_clock(), faults=faults, seed=seed, approve_held=approve_held, progress=tell
        )
    if options(context).json:
        print_json(rehearsal_json(done, config.house.zone))
    else:
        _print(console(), done)
    return done.exit_status


def rehearsal_json(done: Rehearsal, zone: Any) -> dict[str, Any]:
    """The whole rehearsal for programs. `plan` is what the real systems give now, `lines` what became of each."""
    from syncd.core.shown import entry_json, line_json, plan_json

    counted = (*done.changes, *done.doubtful)
    effects = {change.entry.id: change.effects for change in counted}
    entries = [*(change.entry for change in counted), *done.held, *done.failed]
    return {
        "plan": plan_json(done.before, "", zone),
        "lines": [{**line_json(line), "outcome": done.outcome(line)} for line in done.after.lines],
        "entries": [{**entry_json(entry), "effects": effects.get(entry.id, 0)} for entry in entries],
        "errors": [
            {"connection": e.connection, "customer": e.customer or None, "code": e.code, "message": e.message}
            for e in done.errors
        ],
        "cycles": done.cycles,
        "seed": done.seed,
        "interruptions": {"faults": dict(done.struck), "kills": dict(done.died)},
        "strays": done.strays,
        "exactly_once": done.once,
        "settled": done.rests,
        "sentence": done.sentence(),
    }


def _print(out: Console, done: Rehearsal) -> None:
    from syncd.cli.tables import clean, drift_table, entries_table

    if done.changes:
        out.print(_changes(done))
        out.print()
    doubtful = tuple(change.entry for change in done.doubtful)
    for entries, title in (
        (done.held, "Held for a person (--approve-held goes on)"),
        (done.failed, "Refused"),
        (doubtful, "Not settled"),
    ):
        if entries:
            out.print(entries_table(entries, title=title))
            out.print()
    left = drift_table(done.after)
    if left is not None:
        left.title = "What does not come to its target, and why"
        out.print(left)
        out.print()
    for error in done.errors:
        whom = f" / {clean(error.customer)}" if error.customer else ""
        out.print(
            f"[bold red]unread[/]   {clean(error.connection)}{whom}: {clean(error.message)} [dim]({error.code})[/]"
        )
    out.print(_lines(done))
    out.print(f"[bold {'green' if done.once else 'red'}]{done.sentence()}[/]")
    out.print("[dim]Nothing was written to a real system; the sandboxes and the copy of the ledger are gone.[/]")


def _changes(done: Rehearsal) -> Table:
    """What would have been posted, and how often the sandbox counted it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from syncd.cli.tables import clean
    from syncd.core.shown import money_text, quantity_text

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False, title="Would have been posted"
    )
    table.add_column("Customer", max_width=28)
    table.add_column("Rule", max_width=32)
    table.add_column("Operation", min_width=9)
    table.add_column("Period", min_width=7)
    table.add_column("From → to", justify="right", no_wrap=True, min_width=9)
    table.add_column("Money", justify="right", no_wrap=True, min_width=10)
    table.add_column("Sent", justify="right", no_wrap=True)
    table.add_column("Effects", justify="right", no_wrap=True)
    table.add_column("Note", ratio=1, min_width=16)
    for change in done.changes:
        intent = change.entry.intent
        money = money_text(intent.amount, intent.currency)
        table.add_row(
            clean(intent.customer),
            clean(intent.rule),
            str(intent.operation).replace("_", " "),
            intent.period,
            f"{quantity_text(intent.before)} → {quantity_text(intent.to)}",
            f"{money} {intent.currency}" if money else "·",
            str(change.entry.attempts),
            Text(str(change.effects), style="green" if change.effects == 1 else "bold red"),
            clean(change.entry.note or intent.why),
        )
    return table


def _lines(done: Rehearsal) -> str:
    """How the lines ended."""
    from collections import Counter

    ends = Counter(done.outcome(line) for line in done.after.lines)
    parts = [f"{ends.pop('on target', 0)} on target", *(f"{count} {word}" for word, count in sorted(ends.items()))]
    return f"{len(done.after.lines)} lines: {', '.join(parts)}. {done.cycles} cycles in mode post."
