"""`sandbox` and `demo`: the vendors' doubles on loopback, alone or with the daemon against them."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from syncd.cli.common import options, print_json
from syncd.cli.main import app
from syncd.errors import Fault, UserFault


@app.command(epilog="Examples: syncd sandbox | syncd sandbox connectwise --port 8801 --customers 100 --latency 50")
def sandbox(
    context: typer.Context,
    kinds: Annotated[list[str] | None, typer.Argument(metavar="[KIND]...", help="Which; all by default.")] = None,
    port: Annotated[int, typer.Option(help="First port; the next kinds take the ones after it. 0: any free.")] = 8800,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal worlds.")] = 7,
    customers: Annotated[int, typer.Option(min=1, help="How many customers the MSP has.")] = 12,
    latency: Annotated[int, typer.Option(min=0, help="Milliseconds added to each answer.")] = 0,
    faults: Annotated[bool, typer.Option("--faults", help="Some requests fail, as vendors' do.")] = False,
) -> int:
    """The vendors' sandboxes alone, over real HTTP on loopback, until Ctrl-C."""
    from syncd.connect.registry import Kinds
    from syncd.demo import connection_toml, start_doubles

    known = [kind for kind, connector in Kinds().items() if connector.sandbox]
    wanted = kinds or known
    if unknown := [kind for kind in wanted if kind not in known]:
        names = ", ".join(repr(kind) for kind in unknown)
        raise UserFault(Fault("syncd sandbox", f"there is no sandbox for {names}.", f"There are: {', '.join(known)}."))
    running = start_doubles(wanted, port=port, seed=seed, customers=customers, latency=latency / 1000, faults=faults)
    try:
        if options(context).json:
            print_json({"sandboxes": {kind: one.url for kind, one in running.items()}})
        else:
            for kind, one in running.items():
                typer.echo(f"# {kind} at {one.url}; its record: {one.url}/_sandbox/requests and /_sandbox/effects")
                typer.echo(connection_toml(kind, one.url, one.double.settings) + "\n")
            typer.echo("# Ctrl-C ends them.", err=True)
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        for one in running.values():
            one.stop()
    return 0


@app.command(epilog="Example: syncd demo")
def demo(
    context: typer.Context,
    seconds: Annotated[int, typer.Option(help="End by itself after so long; 0: Ctrl-C ends it.")] = 0,
    every: Annotated[int, typer.Option(min=1, help="Seconds between two cycles.")] = 4,
) -> int:
    """A small MSP in sandboxes, the daemon against them in a scratch folder, the dashboard. Ctrl-C ends all."""
    from syncd.cli.story import run_demo

    return run_demo(seconds=seconds, every=every)
