"""Draws docs/img/drift.svg: the drift table as a terminal shows it, from two cycles against the sandboxes."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from syncd.cli.tables import print_plan
from syncd.clock import make_clock
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.cycle import run_cycle
from syncd.demo import NAMES, Stage, start_doubles, write_files
from syncd.ledger import Ledger
from syncd.logs import configure
from syncd.sandbox.world import small_msp


def main() -> None:
    """Writes the picture. Fonts are the reader's own: nothing is loaded from anywhere."""
    configure(quiet=True)
    kinds = Kinds()
    world = small_msp(today=make_clock()().date())
    with tempfile.TemporaryDirectory() as scratch:
        stage = Stage(world, start_doubles([kind for kind in kinds if kind in NAMES], world=world))
        config, mappings = load(write_files(Path(scratch), stage, every=60, port=8730), kinds)
        with Ledger.open(config.database, make_clock(), folder=config.folder) as ledger:
            ledger.claim("pictures")
            run_cycle(config, mappings, kinds, ledger, make_clock())
            stage.breaks("Koa Property Management", "consent")
            done = run_cycle(config, mappings, kinds, ledger, make_clock())
        for one in stage.running.values():
            one.stop()
    out = Console(record=True, width=196, file=io.StringIO(), force_terminal=True, highlight=False)
    print_plan(out, done.plan)
    svg = out.export_svg(title="syncd plan", theme=MONOKAI)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code", "ui-monospace, monospace")
    (Path(__file__).parent / "img" / "drift.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
