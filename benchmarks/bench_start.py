"""How long syncd takes to be there: its help, and what a cycle imports before it can begin.

python benchmarks/bench_start.py
"""

from __future__ import annotations

import json
import sys

from measure import keep, median, print_table, run, verdict
from replay import SYNCD, environment

RUNS = 15
HELP_SECONDS = 0.150
# What `run --once` has no use for: each of these was once imported by accident in some program like this one.
UNWANTED = ("alembic", "mako", "apscheduler", "jinja2", "prometheus_client", "starlette", "uvicorn", "werkzeug")
# The imports of `syncd run --once` with both connectors, in the order in which it makes them.
CYCLE = """
import sys
from syncd.cli import common, deciding, main, planning, record, setup, worlds
from syncd.config import load
from syncd.cycle import run_cycle
from syncd.ledger import Ledger
from syncd.connect.registry import Kinds
from syncd.logs import configure
kinds = Kinds()
kinds["connectwise"], kinds["microsoft365"]
import httpx, json
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def main() -> None:
    """Measures, prints, keeps."""
    python, package = [sys.executable, "-c", "pass"], [sys.executable, "-c", CYCLE]
    rows = {"python, empty": python, "syncd --help": [*SYNCD, "--help"], "syncd run --help": [*SYNCD, "run", "--help"],
            "imports of run --once": package}  # fmt: skip
    run(package, environment=environment())  # compiles what has not been compiled yet
    found = {}
    for name, command in rows.items():
        runs = [run(command, environment=environment()) for _ in range(RUNS)]
        middle = {what: median([getattr(one, what) for one in runs]) for what in ("wall", "cpu", "peak")}
        found[name] = {what: round(value, 4) for what, value in middle.items()}
        imported = runs[0].output if command is package else "[]"
    print_table(
        ("", "wall", "CPU", "peak"),
        [
            (name, f"{one['wall'] * 1000:.0f} ms", f"{one['cpu'] * 1000:.0f} ms", f"{one['peak']:.0f} MiB")
            for name, one in found.items()
        ],
    )
    surplus = sorted(set(UNWANTED) & set(json.loads(imported)))
    wall = found["syncd --help"]["wall"]
    aims = [
        verdict(f"`syncd --help` under {HELP_SECONDS * 1000:.0f} ms", f"{wall * 1000:.0f} ms", wall < HELP_SECONDS),
        verdict("run --once imports none of " + ", ".join(UNWANTED), ", ".join(surplus) or "none", not surplus),
    ]
    print_table(("aim", "measured", "met"), aims)
    print(f"kept in {keep('start', {'commands': found, 'aims': aims})}")


if __name__ == "__main__":
    main()
