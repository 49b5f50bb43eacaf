"""How a ledger is opened, who may write to it, and whether its record is whole. The only module that opens
transactions; what is kept in them is `store`'s.

Any process may read, write intents and decide on held ones; only the one that claimed the ledger may send and settle.
Every transaction of a writer proves first that the ledger is still its own. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Connection, select, update

from syncd.clock import Clock
from syncd.errors import LedgerBroken, LedgerBusy
from syncd.ledger import cycles, engine, verify
from syncd.ledger.engine import Claim, Place
from syncd.ledger.pen import Pen, pen
from syncd.ledger.tables import meta

_log = structlog.get_logger()

# So many events are proven in a second or two; a longer record is proven by `ledger verify`, and each entry before it
# is sent.
_PROVEN_AT_CLAIM = 10_000


class Door:
    """An open ledger without what it holds: `store.Ledger` adds that. Closing it gives up the claim."""

    def __init__(self, place: Place, clock: Clock, *, check: bool) -> None:
        self.place = place
        self._clock = clock
        self._checked = check
        self._turn = threading.RLock()  # there is one writer; threads wait here instead of polling
        self._claim: Claim | None = None
        self._epoch: int | None = None
        with self._read() as connection:
            self.installation: str = connection.execute(select(meta.c.installation)).scalar_one()
        if check:
            self._look_for_amnesia()

    @classmethod
    def open(cls, url: str, clock: Clock, *, folder: Path, create: bool = True, check: bool = True) -> Self:
        """Opens `sqlite:///…` (relative to `folder`) or `postgresql+psycopg://…`; makes it first unless `create` is
        False.

        `check=False` is for `ledger verify` alone: a broken ledger opens, but cannot be claimed. Raises UserFault
        (no such ledger, another kind of database, a newer schema, a network file system), LedgerBusy, LedgerBroken,
        SyncdError (unwritable).
        """
        place = engine.open_place(url, folder, clock, create=create, check=check)
        try:
            return cls(place, clock, check=check)
        except BaseException:
            place.close()
            raise

    def close(self) -> None:
        """Gives up the claim and the database; may be called twice."""
        self.place.close()
        self._give_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Transactions

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self.place.worded("nothing was read"), engine.reading(self.place.engine) as connection:
            yield connection

    @contextmanager
    def _write(
        self, consequence: str = "nothing of this step was written", *, claimed: bool = False
    ) -> Iterator[Connection]:
        with self._turn, self.place.worded(consequence), engine.writing(self.place.engine) as connection:
            self.place.same()
            if claimed and self._epoch is None:
                raise LedgerBusy(f"this process does not hold the ledger {self.place.name}, so it may not send.")
            if self._epoch is not None and connection.execute(select(meta.c.epoch)).scalar_one() != self._epoch:
                raise LedgerBusy(
                    f"another syncd took over the ledger {self.place.name}: this one may not write to it any more. "
                    "Stop it."
                )
            if self._claim is not None and not self._claim.holds(connection):
                raise LedgerBusy(
                    f"this process lost its claim on the ledger {self.place.name}, so it may not write; {consequence}."
                )
            yield connection

    @contextmanager
    def _recording(self, consequence: str, *, claimed: bool = False) -> Iterator[Pen]:
        """A writing transaction that adds to the record."""
        with self._turn:
            with self._write(consequence, claimed=claimed) as connection, pen(connection, self._clock()) as held:
                yield held
            self.place.note(self.installation, held.events)

    def _look_for_amnesia(self) -> None:
        once = self.place.noted(self.installation)  # read first: it never runs ahead of the ledger
        with self._read() as connection:
            told = connection.execute(select(meta.c.events, meta.c.restored)).one()
        if once > told.events and told.restored is None:
            with self._write() as connection:
                connection.execute(update(meta).values(restored=meta.c.events))
                cycles.put_back(connection)
            _log.warning("ledger_went_back", ledger=self.place.name, events=told.events, once=once)

    # The single writer

    def claim(self, role: str, wait: timedelta = timedelta(seconds=10)) -> None:
        """Becomes the single writer until `close`. `role` is the command, for people ("run").

        Where it already is, nothing happens; where the claim was lost, it is taken anew.

        Raises LedgerBusy, naming the holder, where another one still is after `wait`.
        """
        if self._claim is not None and not self._claim.lost():
            return
        self._give_up()
        if not self._checked:
            self.place.check_sound()
            self._checked = True
        held = self.place.claim(role, self._clock(), wait)
        try:
            with self._write() as connection:
                if not held.holds(connection):
                    raise LedgerBusy(f"the claim on the ledger {self.place.name} was lost at once. Try again.")
                connection.execute(update(meta).values(epoch=meta.c.epoch + 1))
                epoch: int = connection.execute(select(meta.c.epoch)).scalar_one()
        except BaseException:
            held.release()
            raise
        self._claim, self._epoch = held, epoch
        try:
            self.prove()
        except LedgerBroken:
            self._give_up()
            raise

    def _give_up(self) -> None:
        held, self._claim, self._epoch = self._claim, None, None
        if held is not None:
            held.release()

    # The record

    def head(self) -> tuple[int, str]:
        """How many events there are, and the hash of the last: what an outside witness keeps."""
        with self._read() as connection:
            told = connection.execute(select(meta.c.events, meta.c.head)).one()
            return told.events, told.head

    def prove(self) -> None:
        """Raises LedgerBroken where a record that is short enough to be proven at every start is not whole."""
        if self.head()[0] <= _PROVEN_AT_CLAIM and (wrong := self.verify()):
            raise LedgerBroken(f"the record is broken, nothing is posted: {wrong[0]} See: syncd ledger verify")

    def verify(self) -> list[str]:
        """Recomputes the whole record; what is wrong with it, in words."""
        found: list[str] = []
        try:
            with self._read() as connection:
                found.extend(verify.problems(connection, self.place.damage))
                found.extend(verify.went_back(connection, self.place.noted(self.installation)))
        except LedgerBroken as broken:
            found.append(str(broken))
        return found

    @property
    def restored(self) -> bool:
        """The ledger came from a backup, or went back, and may have forgotten what it posted: nothing is posted
        unasked until every line was looked at and `trust` was called (RELIABILITY, rule 12)."""
        with self._read() as connection:
            return connection.execute(select(meta.c.restored)).scalar_one() is not None

    def trust(self) -> None:
        """Everything that may have been posted after the backup was looked at."""
        with self._write(claimed=True) as connection:
            connection.execute(update(meta).values(restored=None))
            events: int = connection.execute(select(meta.c.events)).scalar_one()
        self.place.note(self.installation, events)
