"""What the commands share: the files, the ledger, progress, output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from syncd.clock import Clock, make_clock
from syncd.errors import Fault, UserFault

if TYPE_CHECKING:
    from rich.console import Console

    from syncd.cli.main import Options
    from syncd.config import Config
    from syncd.connect.registry import Kinds
    from syncd.core.rules import Mappings
    from syncd.ledger import Ledger


def options(context: typer.Context) -> Options:
    """What stood before or after the command."""
    found: Options = context.find_root().obj
    return found


def config_path(context: typer.Context) -> Path:
    """The configuration file in force. Raises UserFault where there is none."""
    from syncd.config import find_config

    return find_config(options(context).config, os.environ)


def load_all(
    context: typer.Context, *, secrets: bool = True, may_be_empty: bool = False
) -> tuple[Config, Mappings, Kinds]:
    """Config, mappings and connectors. Raises UserFault with every fault; warnings go to standard error.

    `may_be_empty`: for set-up, before there is any mapping file."""
    from syncd.config import load
    from syncd.connect.registry import Kinds
    from syncd.logs import configure

    configure(debug=options(context).debug, quiet=True)
    kinds = Kinds()
    config, mappings = load(config_path(context), kinds, os.environ, secrets=secrets, may_be_empty=may_be_empty)
    for warning in config.warnings:
        typer.echo(f"syncd: warning: {warning}", err=True)
    return config, mappings, kinds


@contextmanager
def open_ledger(context: typer.Context, *, check: bool = True) -> Iterator[tuple[Ledger, Config, Clock]]:
    """The ledger that the configuration names, without signing in anywhere. `check=False` opens a broken one too."""
    from syncd.config import load_config
    from syncd.connect.registry import Kinds
    from syncd.ledger import Ledger
    from syncd.logs import configure

    configure(debug=options(context).debug, quiet=True)
    config = load_config(config_path(context), Kinds(), os.environ, secrets=False)
    clock = make_clock()
    with Ledger.open(config.database, clock, folder=config.folder, create=False, check=check) as ledger:
        yield ledger, config, clock


def check_span(ledger: Ledger, cycle: str | None, period: str | None) -> None:
    """Raises UserFault for a cycle that never was and a period that is none."""
    from syncd.periods import parse_period

    if cycle is not None and ledger.cycle(cycle) is None:
        raise UserFault(Fault("--cycle", f"there is no cycle {cycle!r}.", "`syncd ledger --json` names them."))
    if period is not None:
        try:
            parse_period(period)
        except ValueError:
            raise UserFault(
                Fault("--period", f"{period!r} is no period.", "Write 2026-11, or 2026-11-15/2026-12-14.")
            ) from None


def check_names(
    ledger: Ledger,
    mappings: Sequence[Mappings],
    *,
    customer: str | None,
    rule: str | None,
    mapped: bool = False,
) -> None:
    """Raises UserFault for a customer or rule that no entry is of: a misspelt name must not look like nothing to tell
    or to take back. `mapped`: one that the mappings have is right, too. `mappings`: none where they cannot be read."""
    from syncd.config.faults import did_you_mean

    faults = []
    names = {
        "customer": (customer, [one.name for some in mappings for one in some.customers]),
        "rule": (rule, [one.name for some in mappings for one in some.rules]),
    }
    for what, (given, known) in names.items():
        if given is None or (mapped and given in known) or ledger.entries(**{what: given}, limit=1):  # type: ignore[arg-type]
            continue
        mend = did_you_mean(given, known, listed=False)
        faults.append(Fault(f"--{what}", f"no entry is of a {what} {given!r}.", mend))
    if faults:
        raise UserFault(faults)


def mappings_if_sound(config: Config) -> list[Mappings]:
    """The mappings, to name what was misspelt; none where they have faults, which are another command's to tell."""
    from syncd.config import load_mappings
    from syncd.connect.registry import Kinds

    try:
        return [load_mappings(config, Kinds())]
    except UserFault:
        return []


def console(*, err: bool = False) -> Console:
    """Rich output on a terminal; plain text of a steady width elsewhere."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        return Console(stderr=err, highlight=False)
    return Console(stderr=err, highlight=False, width=int(os.environ.get("COLUMNS", "160")), no_color=True)


def print_json(value: Any) -> None:
    """JSON for programs."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


@contextmanager
def progress(context: typer.Context, title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar on standard error while it is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty() or options(context).json:
        yield lambda done, total, what: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("[dim]{task.fields[what]}"), console=console(err=True), transient=True) as bar:
        task = bar.add_task(title, total=None, what="")
        yield lambda done, total, what: bar.update(task, completed=done, total=total, what=what[:40])
