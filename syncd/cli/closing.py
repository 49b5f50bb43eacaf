"""`report close`: the month-end checklist with the tie-out. Reads, and posts nothing."""

from __future__ import annotations

import csv
import io
from datetime import datetime, time
from typing import TYPE_CHECKING, Annotated

import typer

from syncd.cli.common import console, load_all, options, print_json, progress
from syncd.cli.main import report_app
from syncd.clock import Clock, make_clock
from syncd.errors import Fault, UserFault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from syncd.config import Config
    from syncd.core.close import Check
    from syncd.core.tie_out import TieOut
    from syncd.periods import Period


@report_app.command(
    epilog="Examples: syncd report close | syncd report close --period 2026-10 | syncd report close --csv > close.csv"
    "\n\nExit status: 0 everything is settled, 3 something stands open, 1 something could not be read."
)
def close(
    context: typer.Context,
    period: Annotated[str, typer.Option(help="A period that is over, like 2026-10: its entries and books.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="The tie-out, one row for each product that differs.")] = False,
) -> int:
    """The month-end checklist: sources fresh, lines settled, nothing unmapped, PSA and books agree. Posts nothing."""
    from syncd.core.close import checklist, close_json, of_period, over
    from syncd.core.entries import OPEN, EntryState
    from syncd.cycle import look, moment_of
    from syncd.ledger import Ledger

    config, mappings, kinds = load_all(context)
    clock = make_clock()
    running = moment_of(config, clock()).period
    wanted = _period_over(config, period, clock) if period and period != str(running) else None
    past = _clock_of(config, wanted) if wanted else None
    with Ledger.open(config.database, clock, folder=config.folder) as ledger, progress(context, "Reading") as tell:
        plan = look(config, mappings, kinds, ledger, past or clock, counting=False, progress=tell)
        entries = ledger.entries(states={*OPEN, EntryState.FAILED} if wanted else OPEN)
        histories = ledger.histories({one.intent.identity for one in entries}) if wanted else {}
    checks = over(plan, of_period(entries, histories, wanted)) if wanted else checklist(plan, entries)
    if options(context).json:
        as_of = clock().astimezone(config.house.zone).isoformat(timespec="seconds")
        print_json({"as_of": as_of, "period": period or str(running), **close_json(checks, plan.tie_outs)})
    elif as_csv:
        typer.echo(_csv(plan.tie_outs), nl=False)
        for one in checks:
            for sentence in one.open:
                typer.echo(f"syncd: {one.name}? {sentence}", err=True)
    else:
        _print(console(), period or str(running), checks, plan.tie_outs)
    return 1 if any(one.unread for one in checks) else 0 if all(one.green for one in checks) else 3


def _clock_of(config: Config, period: Period) -> Clock:
    """A clock that stands on the last day of a period that is over."""
    noon = datetime.combine(period.last, time(12), config.house.zone)
    return lambda: noon


def _period_over(config: Config, period: str, clock: Clock) -> Period:
    """A billing period of the MSP's that is over. Raises UserFault for any other."""
    from syncd.cycle import moment_of
    from syncd.periods import parse_period

    try:
        wanted = parse_period(period)
    except ValueError:
        mend = "Write it like 2026-10, or 2026-10-15/2026-11-14."
        raise UserFault(Fault(f"--period {period}", "is no period.", mend)) from None
    if wanted.last >= clock().astimezone(config.house.zone).date():
        raise UserFault(Fault(f"--period {period}", "is not over yet.", "Leave it out for the running period."))
    then = moment_of(config, _clock_of(config, wanted)()).period
    if then != wanted:
        raise UserFault(
            Fault(
                f"--period {period}", f"is no billing period here; {wanted.last} is in {then}.", f"Say --period {then}."
            )
        )
    return wanted


def _csv(found: Sequence[TieOut]) -> str:
    from syncd.core.duplicates import safe_cell
    from syncd.core.tie_out_shown import COLUMNS, tie_out_rows

    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerows([safe_cell(cell) for cell in row] for row in tie_out_rows(found))
    return text.getvalue()


def _print(out: Console, period: str, checks: Sequence[Check], found: Sequence[TieOut]) -> None:
    from rich import box
    from rich.table import Table

    from syncd.cli.tables import clean
    from syncd.core.close import SHOWN
    from syncd.core.shown import money_text, quantity_text

    out.print(f"Period {period}")
    for one in checks:
        out.print(f"{'[green]yes[/]' if one.green else '[bold red]no[/] '}  {one.name}")
        for sentence in one.open[:SHOWN]:
            out.print(f"       {clean(sentence)}")
        if len(one.open) > SHOWN:
            out.print(f"       and {len(one.open) - SHOWN} more (--json shows all)")
    rows = [(one, row) for one in found for row in one.rows if row.since is None]
    later = [(one, row) for one in found for row in one.rows if row.since is not None]
    if rows:
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
        for heading in ("Customer", "Books", "Product"):
            table.add_column(heading, max_width=30)
        for heading in ("Billed", "Amount", "Invoiced", "Amount", "Difference"):
            table.add_column(heading, justify="right", no_wrap=True)
        for tie, row in rows:
            cells = [
                cell or "·"
                for sums in (row.billed, row.invoiced)
                for cell in (
                    quantity_text(sums.quantity if sums else None),
                    money_text(sums.amount if sums else None, tie.currency),
                )
            ]
            difference = money_text(row.difference, tie.currency) or "·"
            table.add_row(
                clean(tie.customer),
                clean(tie.connection),
                clean(row.product),
                *cells,
                f"{difference} {tie.currency}",
            )
        out.print()
        out.print(table)
    if later:
        out.print()
        out.print("Billed with the next invoice, and no difference:")
        for tie, row in later:
            out.print(f"  {clean(tie.customer)} in {clean(tie.connection)}: {clean(row.product)} {row.since}")
    agree = sum(one.agrees is True for one in found)
    out.print(
        f"{agree} of {len(found)} customers and books agree." if found else "No rule names `invoiced`: no tie-out."
    )
