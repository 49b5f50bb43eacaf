"""`report`: tables for people who look after the money. Each report reads, and none posts."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncd.cli.common import console, load_all, options, print_json, progress
from syncd.cli.main import report_app
from syncd.clock import make_clock
from syncd.errors import Fault, UserFault

if TYPE_CHECKING:
    from rich.console import Console

    from syncd.core.duplicates import Suspect
    from syncd.core.resolve import ReadError
    from syncd.core.rules import Mappings

# Promised by INTERFACE and not delivered yet: said plainly.
NOT_YET = ("leakage", "margin", "shelfware", "forecast", "renewals")


@report_app.callback()
def _report(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@report_app.command(
    epilog="Examples: syncd report duplicates | syncd report duplicates --customer 'Contoso*' | "
    "syncd report duplicates --csv > duplicates.csv\n\n"
    "Exit status: 0 nothing found, 3 something found, 1 something could not be read."
)
def duplicates(
    context: typer.Context,
    customer: Annotated[list[str] | None, typer.Option(help="Only this customer; a glob. Repeatable.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="One row for each line, for a spreadsheet.")] = False,
) -> int:
    """Lines that bill the same product twice for one customer, and lines that two writers feed. Posts nothing."""
    from syncd.core.duplicates import find_duplicates, suspect_json
    from syncd.core.keys import mark_prefix
    from syncd.cycle import moment_of
    from syncd.cycle.billed import read_billed
    from syncd.ledger import Ledger

    config, mappings, kinds = load_all(context)
    mappings = _only(mappings, customer or ())
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder) as ledger, progress(context, "Reading") as tell:
        seen = read_billed(config, mappings, kinds, ledger, clock, progress=tell)
        prefix = mark_prefix(ledger.installation)
    moment = moment_of(config, clock())
    found = find_duplicates(
        mappings, seen.views, seen.resolution, moment, prefix=prefix, currency=config.house.currency
    )
    read = [one for view in seen.views.values() for one in view.billings.values() if one.state == "known"]
    lines = sum(len(one.lines) for one in read)
    if options(context).json:
        print_json(
            {
                "as_of": moment.now.astimezone(config.house.zone).isoformat(timespec="seconds"),
                "covered": {"connections": sorted(seen.views), "customers": len(read), "lines": lines},
                "suspects": [suspect_json(one) for one in found],
                "errors": [
                    {"connection": e.connection, "customer": e.customer or None, "code": e.code, "message": e.message}
                    for e in seen.errors
                ],
            }
        )
    elif as_csv:
        typer.echo(_csv(found), nl=False)
        for error in seen.errors:
            typer.echo(f"syncd: {_uncovered(error)}", err=True)
    else:
        _print(console(), found, seen.errors, len(read), lines)
    return 1 if seen.errors else 3 if found else 0


def _not_yet(name: str) -> None:
    def refuse() -> None:
        raise UserFault(Fault(f"syncd report {name}", "is not available yet in this version."))

    refuse.__doc__ = "Not available yet in this version."
    report_app.command(name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(refuse)


for _name in NOT_YET:
    _not_yet(_name)


def _only(mappings: Mappings, patterns: list[str] | tuple[str, ...]) -> Mappings:
    """The mappings with those customers alone. Raises UserFault for a pattern that covers nobody."""
    from syncd.core.globs import covering, covers

    if not patterns:
        return mappings
    strangers = [one for one in patterns if not any(covers(one, each.name) for each in mappings.customers)]
    if strangers:
        raise UserFault([Fault(f"--customer {one}", "covers no customer of the mappings.") for one in strangers])
    meant = covering(tuple(patterns))
    return replace(mappings, customers=tuple(one for one in mappings.customers if meant(one.name)))


def _csv(found: tuple[Suspect, ...]) -> str:
    from syncd.core.duplicates import COLUMNS, safe_cell, suspect_rows

    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    rows.writerows([safe_cell(cell) for cell in row] for row in suspect_rows(found))
    return text.getvalue()


def _uncovered(error: ReadError) -> str:
    whom = f"{error.connection} / {error.customer}" if error.customer else error.connection
    return f"not covered: {whom}: {error.message} ({error.code})"


def _print(out: Console, found: tuple[Suspect, ...], errors: tuple[ReadError, ...], customers: int, lines: int) -> None:
    from syncd.cli.tables import clean

    if found:
        out.print(_table(found))
        out.print()
    for error in errors:
        out.print(f"[bold red]unread[/]   {clean(_uncovered(error))}")
    out.print(_closing(found, errors, customers, lines))


def _table(found: tuple[Suspect, ...]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from syncd.cli.tables import clean, printable
    from syncd.core.shown import money_text, quantity_text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    table.add_column("Customer", max_width=28)
    table.add_column("Product", max_width=18)
    table.add_column("Agreement", max_width=26, no_wrap=True)
    table.add_column("Line", no_wrap=True)
    table.add_column("Quantity", justify="right", no_wrap=True)
    table.add_column("Days", no_wrap=True)
    table.add_column("Made, last changed by", max_width=26, no_wrap=True)
    table.add_column("A period", justify="right", no_wrap=True)
    table.add_column("Why", ratio=1, min_width=30)
    for suspect in found:
        style = "bold magenta" if suspect.twice else "bold yellow"
        why = Text().append(", ".join(suspect.kinds), style=style).append(f"  {printable(suspect.reason)}")
        money = f"{money_text(suspect.amount, suspect.currency)} {suspect.currency}"
        cells = [
            (
                clean(one.agreement),
                clean(one.line.id),
                quantity_text(one.line.quantity) or "?",
                _days(one.line.starts, one.line.ends),
                f"{one.made_by}, {clean(one.line.changed_by)}" if one.line.changed_by else one.made_by,
            )
            for one in suspect.lines
        ]
        table.add_row(
            clean(suspect.customer),
            clean(suspect.product),
            *("\n".join(column) for column in zip(*cells, strict=True)),
            money if suspect.amount is not None else Text("·", style="dim"),
            why,
        )
    return table


def _days(starts: Any, ends: Any) -> str:
    return "open" if not starts and not ends else f"{starts or '…'} – {ends or '…'}"


def _closing(found: tuple[Suspect, ...], errors: tuple[ReadError, ...], customers: int, lines: int) -> str:
    """One sentence: what was looked at, what was found, what it costs."""
    from collections import defaultdict
    from decimal import Decimal

    from syncd.money import plain_money

    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in found:
        if one.twice and one.amount is not None:
            sums[one.currency] += one.amount
    money = " + ".join(f"{plain_money(amount, code)} {code}" for code, amount in sorted(sums.items()))
    said = f"{len(found)} suspects" if found else "no suspect"
    return (
        f"{lines} open lines of {customers} customers: {said}"
        + (f", {money} a period billed twice if they are what they seem" if money else "")
        + (f"; {len(errors)} could not be read and are not covered" if errors else "")
        + "."
    )
