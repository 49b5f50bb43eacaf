"""What syncd's own dated lines were sent as, in money, so that a later change of it can be told. Reads only."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from syncd.core.entries import EntryState, Sent
from syncd.core.keys import marker
from syncd.ledger.codec import instant, number
from syncd.ledger.lookup import chunks
from syncd.ledger.tables import IS_DATED, entry
from syncd.model import Operation

# What stands on a document as a line; usage that was reported to a meter does not.
_LINES = (Operation.POST_LINE.value, Operation.POST_CREDIT.value)


def load(connection: Connection, installation: str, identities: Collection[str]) -> dict[str, Sent]:
    """Mark -> the money of each posted dated line of these identities. Left out: those whose money is not known, and
    those that were undone. Raises LedgerBroken where one cannot be read."""
    found: dict[str, Sent] = {}
    undone: set[str] = set()
    for portion in chunks(identities):
        for row in connection.execute(_posted(entry.c.identity.in_(portion))):
            undone.add(row.undo_of)
            if row.amount is None or row.settled_at is None:
                continue
            mark, place = marker(installation, row.key), f"entry {row.id}"
            found[mark] = Sent(
                row.id, row.identity, number(row.quantity, place), abs(number(row.amount, place)), row.currency,
                instant(row.settled_at),
            )  # fmt: skip
    return {mark: one for mark, one in found.items() if one.entry_id not in undone}


def _posted(only: ColumnElement[bool]) -> Select[Any]:
    names = "id key identity quantity amount currency settled_at undo_of".split()
    posted = entry.c.state == EntryState.POSTED.value
    return select(*(entry.c[name] for name in names)).where(IS_DATED, entry.c.operation.in_(_LINES), posted, only)
