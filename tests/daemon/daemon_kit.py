"""The daemon's stage: files on disk with one csv source, a real ledger, and cycles that a test can look into."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from syncd.connect.registry import Kinds
from syncd.core.plan import Plan
from syncd.core.rules import Mode
from syncd.cycle import Cycle
from syncd.daemon import Daemon, Files
from syncd.ledger import Ledger
from syncd.model import Moment
from syncd.periods import Period
from syncd.web.board import Board

CONFIG = """
[syncd]
every = "{every}"
timezone = "America/Chicago"
mode = "{mode}"

[connections.backup]
kind = "csv"
path = "export.csv"
customer = "Account"
sku = "Plan"
quantity = "Seats"

[web]
listen = "127.0.0.1:{port}"
"""
MAPPING = """
[[customer]]
name = "Contoso Dental"
backup = "Contoso Dental"

[[rule]]
name = "Backup seats"
count = { from = "backup", sku = "SERVER", measure = "quantity" }
true_up = "alert"
"""
BROKEN = MAPPING.replace('from = "backup"', 'from = "bakcup"')


def write_files(folder: Path, *, every: str = "1h", mode: str = "post", port: int = 8730) -> Path:
    """config.toml, one mapping, one export."""
    (folder / "mappings").mkdir()
    (folder / "mappings" / "all.toml").write_text(MAPPING, encoding="utf-8")
    (folder / "export.csv").write_text("Account,Plan,Seats\nContoso Dental,SERVER,12\n", encoding="utf-8")
    path = folder / "config.toml"
    path.write_text(CONFIG.format(every=every, mode=mode, port=port), encoding="utf-8")
    return path


class World:
    """What a cycle meets: two clocks that a test moves, and what the cycle is made to do."""

    def __init__(self, folder: Path, **files: Any) -> None:
        self.folder = folder
        self.path = write_files(folder, **files)
        self.now = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
        self.passed = 0.0
        self.ran: list[Mode] = []  # the ceiling of each cycle that ran
        self.trouble: Exception | None = None
        self.inside: Callable[[threading.Event], None] = lambda stop: None
        self.ledger = Ledger.open("sqlite:///syncd.db", lambda: self.now, folder=folder)
        self.ledger.claim("test")
        self.board = Board()
        self.kinds = Kinds()
        self.files = Files(self.path, self.kinds)
        self.daemon = self.make_daemon()

    def make_daemon(self) -> Daemon:
        """A daemon over this world, as after a start."""
        return Daemon(
            self.files, self.kinds, self.ledger, lambda: self.now, self.board,
            run=self._run, running=lambda: self.passed,
        )  # fmt: skip

    def pass_time(self, **span: float) -> None:
        """Both clocks go on."""
        self.now += timedelta(**span)
        self.passed += timedelta(**span).total_seconds()

    def _run(self, config: Any, mappings: Any, kinds: Any, ledger: Any, clock: Any, *, stop: threading.Event) -> Cycle:
        self.inside(stop)
        if self.trouble is not None:
            raise self.trouble
        self.ran.append(config.house.ceiling)
        moment = Moment(clock(), date(2026, 11, 20), Period(date(2026, 11, 1), date(2026, 11, 30)))
        return Cycle("c1", Plan(moment, config.house.mode, (), (), (), (), {}, "x"), (), 0, 0, 0)
