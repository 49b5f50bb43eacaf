"""Plays the demo: the daemon against the doubles, told on the terminal as it happens."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncd.cli.common import console
from syncd.cli.tables import closing_line, entries_table, print_plan
from syncd.clock import make_clock
from syncd.connect.registry import Kinds
from syncd.cycle import run_cycle
from syncd.daemon import run_daemon
from syncd.demo import NAMES, STORY, Stage, start_doubles, write_files
from syncd.sandbox.world import small_msp

if TYPE_CHECKING:
    from rich.console import Console

    from syncd.cycle import Cycle

ENDING = "The story is over; the daemon goes on. Look around: {look}"


def run_demo(*, seconds: int = 0, every: int = 4) -> int:
    """Plays the story until Ctrl-C, or for so many seconds. Everything lies in a scratch folder that is removed."""
    out = console()
    world = small_msp(today=make_clock()().date())
    kinds = [kind for kind in Kinds() if kind in NAMES]
    with tempfile.TemporaryDirectory(prefix="syncd-demo-") as scratch:
        folder = Path(scratch)
        stage = Stage(world, start_doubles(kinds, world=world))
        port = _free_port()
        config = write_files(folder, stage, every=every, port=port)
        teller = Teller(out, stage, folder, f"http://127.0.0.1:{port}")

        def cycle(*args: Any, **options: Any) -> Cycle:
            teller.before()
            done = run_cycle(*args, **options)
            teller.after(done)
            return done

        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        if seconds:
            timer.start()
        try:
            with (folder / "daemon.log").open("w", encoding="utf-8") as log:
                return run_daemon(config, Kinds(), make_clock(), log_to=log, run=cycle)
        finally:
            timer.cancel()
            for one in stage.running.values():
                one.stop()
            out.print("[dim]The sandboxes are gone, and the scratch folder with them.[/]")


class Teller:
    """Tells the story on the terminal: a sentence before a cycle, the drift after it where it changed."""

    def __init__(self, out: Console, stage: Stage, folder: Path, url: str) -> None:
        self._out = out
        self._stage = stage
        self._folder = folder
        self._url = url
        self._cycles = 0
        self._shown = ""

    def before(self) -> None:
        """The next scene."""
        self._cycles += 1
        if self._cycles <= len(STORY):
            scene = STORY[self._cycles - 1]
            for happens in scene.happens:
                happens(self._stage)
            self._out.rule(f"[bold]Cycle {self._cycles}", style="dim")
            self._out.print(f"[italic]{scene.told}")
        elif self._cycles == len(STORY) + 1:
            self._out.rule(style="dim")
            self._out.print(f"[bold]{ENDING.format(look=self._url)}")
            self._out.print(f"  export SYNCD_CONFIG={self._folder / 'config.toml'}")
            self._out.print(
                '  syncd held · syncd explain "Alder Dental Group" "Microsoft 365 Business Premium" · syncd plan'
            )
            self._out.print("  Ctrl-C ends all.")

    def after(self, cycle: Cycle) -> None:
        """The drift, where it is another than last time."""
        posted = [entry for entry in cycle.entries if entry.settled_at is not None and entry.attempts]
        if cycle.plan.checksum != self._shown or self._cycles <= len(STORY):
            self._shown = cycle.plan.checksum
            if cycle.plan.drifting or cycle.plan.errors:
                print_plan(self._out, cycle.plan)
            else:
                self._out.print(closing_line(cycle.plan))
        if posted:
            self._out.print(entries_table(posted, title="Posted and read back"))
        if cycle.waiting and self._cycles <= 2:
            self._out.print(f"[dim]{cycle.waiting} waits for a person (syncd held). The dashboard: {self._url}[/]")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
