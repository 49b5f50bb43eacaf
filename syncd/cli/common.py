"""What the commands share: the files, the ledger, progress, output."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from syncd.clock import Clock, make_clock

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


def load_all(context: typer.Context, *, secrets: bool = True) -> tuple[Config, Mappings, Kinds]:
    """Config, mappings and connectors. Raises UserFault with every fault; warnings go to standard error."""
    from syncd.config import load
    from syncd.connect.registry import Kinds
    from syncd.logs import configure

    configure(debug=options(context).debug, quiet=True)
    kinds = Kinds()
    config, mappings = load(config_path(context), kinds, os.environ, secrets=secrets)
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
