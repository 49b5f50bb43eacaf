"""What was read day by day: the readings that changed, and the marks of the days on which they were read unchanged.

For rules that bill in arrears. Reads only; what a day comes to is `core.aggregate`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from sqlalchemy import Connection, RowMapping, func, select

from syncd.core.aggregate import Seen, Track
from syncd.core.evidence import kept_counts
from syncd.errors import LedgerBroken
from syncd.ledger import tables
from syncd.ledger.codec import day, unpack
from syncd.ledger.lookup import chunks
from syncd.model import State

# A cycle of an MSP's day is kept at an instant in UTC: at most so far from that day's own midnight there.
_ZONES = timedelta(days=2)
# (connection, customer's id there, query as text).
Key = tuple[str, str, str]


def tracks(connection: Connection, wanted: Mapping[Key, date]) -> dict[Key, Track]:
    """The track of each key since a day, with the last reading before it; what was never read has none.

    Raises LedgerBroken where a reading cannot be read.
    """
    by_source: dict[str, dict[Key, date]] = defaultdict(dict)
    for key, since in wanted.items():
        by_source[key[0]][key] = since
    found: dict[Key, Track] = {}
    for source, keys in by_source.items():
        since = min(keys.values())
        rows = _rows(connection, source, keys, since)
        if not rows:
            continue
        days = _days(connection, (row for several in rows.values() for row in several))
        fresh = _fresh(connection, source, since)
        for key, several in rows.items():
            seen = tuple(_seen(row, days) for row in sorted(several, key=lambda row: int(row["seq"])))
            found[key] = Track(seen, fresh)
    return found


def _rows(connection: Connection, source: str, keys: Mapping[Key, date], since: date) -> dict[Key, list[RowMapping]]:
    table = tables.observation
    bound = (since - _ZONES).isoformat()  # instants are UTC text, which sorts as they do
    columns = (table.c.seq, table.c.customer_id, table.c.what, table.c.state, table.c.cycle, table.c.body)
    found: dict[Key, list[RowMapping]] = defaultdict(list)
    queries = sorted({what for _, _, what in keys})
    for portion in chunks(sorted({customer for _, customer, _ in keys})):
        here = (table.c.connection == source, table.c.customer_id.in_(portion), table.c.what.in_(queries))
        before = (
            select(func.max(table.c.seq))
            .where(*here, table.c.at < bound)
            .group_by(table.c.connection, table.c.customer_id, table.c.what)
        )
        for wanted in (
            select(*columns).where(*here, table.c.at >= bound),
            select(*columns).where(table.c.seq.in_(before)),
        ):
            for row in connection.execute(wanted).mappings():
                key = (source, row["customer_id"], row["what"])
                if key in keys:
                    found[key].append(row)
    return found


def _number(cycle: str) -> int:
    """A cycle's place in the order of cycles. Raises LedgerBroken."""
    digits = cycle.removeprefix("c")
    if not (digits.isascii() and digits.isdigit()):
        raise LedgerBroken(f"a reading in the ledger names a cycle that does not exist ({cycle!r}).")
    return int(digits)


def _days(connection: Connection, rows: Iterable[RowMapping]) -> dict[int, date]:
    """The MSP's day of each cycle that is named."""
    table = tables.cycle
    numbers = {_number(row["cycle"]) for row in rows}
    known = connection.execute(
        select(table.c.number, table.c.day).where(table.c.number >= min(numbers), table.c.number <= max(numbers))
    )
    return {row.number: day(row.day) for row in known if row.number in numbers}


def _fresh(connection: Connection, source: str, since: date) -> dict[date, int]:
    """For each day on which the source was read well, the first cycle that did."""
    table = tables.freshness
    rows = connection.execute(
        select(table.c.day, table.c.cycle).where(table.c.connection == source, table.c.day >= since.isoformat())
    )
    return {day(row.day): _number(row.cycle) for row in rows}


def _seen(row: RowMapping, days: Mapping[int, date]) -> Seen:
    number = _number(row["cycle"])
    what = f"the reading {row['what']} of {row['cycle']}"
    if number not in days:
        raise LedgerBroken(f"{what} names a cycle that is not in the ledger.")
    if row["state"] != State.KNOWN.value:
        return Seen(number, days[number], None)
    try:
        counts = kept_counts(unpack(row["body"], what))
    except ValueError as error:
        raise LedgerBroken(f"{what} in the ledger is not as it was written ({error}).") from None
    return Seen(number, days[number], counts)
