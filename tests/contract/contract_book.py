"""A posting through syncd's own machine: the real ledger, the real sending and recovery, over one connection."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from contract_kit import NAME, ZONE, Stage

from syncd.core import keys
from syncd.core.entries import Entry, EntryState, Intent
from syncd.cycle.connections import Opened
from syncd.cycle.posting import post_all, recover
from syncd.ledger import Ledger
from syncd.model import OWN_ACTIONS, Operation, Posting


@dataclass
class Book:
    """A ledger with entries of one connection."""

    stage: Stage
    ledger: Ledger
    keys: dict[Operation, str] = field(default_factory=dict)

    @property
    def opened(self) -> dict[str, Opened]:
        one = Opened(NAME, self.stage.connector, self.stage.connection, 1, lambda: 0)
        return {NAME: one}

    def write_down(self, posting: Posting) -> None:
        """The intention, with its bytes, before anything leaves."""
        own = posting.operation in OWN_ACTIONS
        identity = keys.ticket(NAME, posting.operation) if own else f"test:{posting.operation}"
        intent = Intent(
            identity=identity,
            line=f"line-{posting.operation}",
            customer="Customer",
            rule="Rule",
            connection=NAME,
            period=posting.period,
            before=posting.before or Decimal(0),
            to=posting.quantity,
            state=EntryState.PLANNED,
            decided_by="policy",
            posting=posting,
            wire=self.stage.connection.wire(posting),
            fingerprint="seen",
        )
        cycle = self.ledger.begin_cycle("post", self.stage.now.astimezone(ZONE))
        self.ledger.write(cycle, (), [intent])
        self.keys[posting.operation] = posting.key

    def send(self, *operations: Operation) -> None:
        """Sends what is planned of these operations."""
        wanted = {self.keys[operation] for operation in operations}
        for own in (False, True):
            post_all(self.ledger, self.opened, wanted, own=own)

    def recover(self) -> None:
        """What the next cycle does first."""
        for own in (False, True):
            recover(self.ledger, self.opened, self.stage.now, own=own)

    def later(self, span: timedelta) -> None:
        """A cycle after some time: look, then send what surely did not arrive."""
        self.stage.pass_time(span)
        self.recover()
        self.send(*self.keys)

    def entry(self, operation: Operation) -> Entry:
        found = self.ledger.by_key(self.keys[operation])
        assert found is not None
        return found


@contextmanager
def book(stage: Stage) -> Iterator[Book]:
    """An empty ledger, claimed."""
    clock: Callable[[], object] = lambda: stage.now  # noqa: E731
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open("sqlite:///syncd.db", clock, folder=Path(folder)) as ledger,  # type: ignore[arg-type]
    ):
        ledger.claim("test")
        yield Book(stage, ledger)
