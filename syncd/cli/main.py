"""`syncd`: the commands, their help, and how errors become one line and an exit status (INTERFACE 4).

Everything heavy is imported inside the command that needs it: `syncd --help` answers at once.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from syncd.errors import Fault, SyncdError, UserFault

app = typer.Typer(
    name="syncd",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Keeps what an MSP's customers use and what they are billed the same, and can prove every number.",
    epilog="Start with: syncd demo. Then: syncd init, syncd check, syncd plan. "
    "--config, --json and --debug are accepted before and after every command.",
)
ledger_app = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="What was posted, and that nobody altered the record."
)
report_app = typer.Typer(
    rich_markup_mode=None, invoke_without_command=True, help="Tables with money; nothing is posted."
)

# Promised by INTERFACE and not delivered yet: said plainly, never as "no such command".
NOT_YET = frozenset({"whatif", "evidence", "worker"})

# Wrong arguments. Typer exports no base class of these, and the click below it is its own since 0.2x.
USAGE: type[BaseException] = typer.BadParameter.__mro__[1]


@dataclass(frozen=True, slots=True)
class Options:
    """What stands before or after every command."""

    config: Path | None
    json: bool
    debug: bool


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option(help="The configuration file; else $SYNCD_CONFIG, else ./config.toml.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the trace of an error, too.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from syncd import __version__

        typer.echo(f"syncd {__version__}")
        raise typer.Exit
    context.obj = Options(config, json, debug)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves --config, --json and --debug to the front, so that they work before and after the command."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument in ("--json", "--debug") or argument.startswith("--config="):
            front.append(argument)
        elif argument == "--config":
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        else:
            rest.append(argument)
    return [*front, *rest]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `syncd` script: runs the command and exits with its status."""
    given = hoist(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(given))


def run(arguments: Sequence[str]) -> int:
    """One command, its exit status returned."""
    from syncd.clock import fixed_now

    debug = "--debug" in arguments
    try:
        word = next((one for one in arguments if not one.startswith("-")), "")
        if word in NOT_YET:
            raise UserFault(Fault(f"syncd {word}", "is not available yet in this version."))
        if (instant := fixed_now()) is not None:
            typer.echo(f"syncd: the clock is fixed at {instant.isoformat()} by SYNCD_NOW", err=True)
        _register()
        status = app(list(arguments), standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("syncd: stopped", err=True)
        return 130
    except USAGE as error:
        error.show()  # type: ignore[attr-defined]
        return 2
    except SyncdError as error:
        if debug:
            traceback.print_exc()
        for line in str(error).splitlines():
            typer.echo(f"syncd: {line}", err=True)
        return error.exit_status
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return status if isinstance(status, int) else 0


def _register() -> None:
    """Loads the command modules once; they are light and import the rest when they run."""
    from syncd.cli import (  # noqa: F401 - they add their commands to `app`
        closing,
        deciding,
        planning,
        pricing,
        record,
        rehearsing,
        reporting,
        setup,
        suggesting,
        worlds,
    )

    if not any(group.typer_instance is ledger_app for group in app.registered_groups):
        app.add_typer(ledger_app, name="ledger")
    if not any(group.typer_instance is report_app for group in app.registered_groups):
        app.add_typer(report_app, name="report")


if __name__ == "__main__":  # python -m syncd.cli.main: the commands add themselves to the module of that name
    from syncd.cli.main import main as run_module

    run_module()
