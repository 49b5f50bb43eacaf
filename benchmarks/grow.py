"""A ledger as it is after years, in minutes: the record is built as the program builds it (its own intents, events,
hashes and rows), but in large commits and without the look at each entry before it is moved. `ledger verify` finds
nothing wrong with it.

Every second change is one of a recurring quantity, the others are dated lines of a month; all were posted. The hourly
cycles of five years stand beside them. Owns no measurement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from bench_ledger import intent

from syncd.clock import real_now
from syncd.core.entries import EntryState, Intent
from syncd.core.keys import dated
from syncd.ledger import Ledger, projection
from syncd.ledger.chain import Link, genesis, link_hash
from syncd.ledger.codec import created, instant_text, native, written
from syncd.ledger.tables import cycle, entry, event, meta
from syncd.model import Operation

URL = "sqlite:///state/syncd.db"
LINES = 12_000  # of 800 customers with 15 products each
HOURS = 5 * 8760  # hourly cycles
_CHANGES = ((EntryState.SENDING, {"epoch": 1, "note": ""}), (EntryState.POSTED, {"note": "", "remote_id": "1"}))
_AT_ONCE = 20_000


def grow(folder: Path, events: int, told: Callable[[int], None] = lambda events: None) -> Path:
    """The file of a ledger with about so many events, a third of them entries; `told` hears how far it is."""
    with Ledger.open(URL, real_now, folder=folder) as ledger:
        installation = ledger.installation
    path = folder / "state" / "syncd.db"
    now = datetime.now(UTC)
    entries = -(-events // 3)
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA synchronous = OFF")
        _cycles(opened, now)
        head, seq = genesis(installation), 0
        rows: list[dict[str, Any]] = []
        links: list[Link] = []
        for number in range(entries):
            at = instant_text(now - timedelta(minutes=5 + (entries - number) * HOURS * 60 // entries))
            row, made = _entry(number, number * HOURS // entries, at, seq, head)
            rows.append(row)
            links += made
            head, seq = links[-1].hash, links[-1].seq
            if len(rows) == _AT_ONCE or number == entries - 1:
                opened.execute("BEGIN")
                _insert(opened, entry, rows)
                _insert(opened, event, [{name: getattr(one, name) for name in Link.__slots__} for one in links])
                opened.execute(f"UPDATE {meta.name} SET events = ?, head = ?, epoch = 1", (seq, head))
                opened.execute("COMMIT")
                rows, links = [], []
                told(seq)
    return path


def _entry(number: int, hour: int, at: str, seq: int, head: str) -> tuple[dict[str, Any], list[Link]]:
    """An entry that was planned, sent and posted: its row and its three events after `seq` and `head`."""
    made = _dated(number) if number % 2 else _quantity(number)
    data = created(made, f"c{hour + 1:06d}")
    first = _linked(Link(seq + 1, f"{number:010d}".translate(_BASE32), at, None, made.state.value, written(data)), head)
    row, links = projection.opened(first, data), [first]
    for state, said in _CHANGES:
        last = links[-1]
        link = Link(last.seq + 1, last.entry_id, at, last.to_state, state.value, written(native(said)))
        links.append(_linked(link, last.hash))
        row |= projection.moved(row, links[-1], said)
    return row, links


_BASE32 = str.maketrans("0123456789", "abcdefghij")


def _linked(link: Link, head: str) -> Link:
    return replace(link, hash=link_hash(head, link))


def _quantity(number: int) -> Intent:
    """The next change of one of the lines."""
    return replace(_of_line(number), derivation={"steps": [{"text": "used", "result": "27"}]})


def _dated(number: int) -> Intent:
    """A line of its own month."""
    plain = _quantity(number)
    month = 2021 * 12 + (number // LINES)
    period = f"{month // 12}-{month % 12 + 1:02}"
    posting = replace(
        plain.posting, operation=Operation.POST_LINE, quantity=Decimal(2), period=period, line_id="", before=None
    )
    identity = dated("cw", "1001", "7", plain.customer, plain.line, period)
    money = Decimal("56.00")
    return replace(
        plain, identity=identity, posting=posting, period=period, before=Decimal(0), to=Decimal(2), amount=money
    )


def _of_line(number: int) -> Intent:
    line = number % LINES
    made = intent(line)
    posting = replace(made.posting, key=f"grown {number}", marker=f"sd-grown-{number}")
    return replace(made, posting=posting, fingerprint=f"situation {number}")


def _cycles(opened: sqlite3.Connection, now: datetime) -> None:
    """Five years of hourly cycles in which little happened."""
    numbers = count(1)
    summary = '{"actions":{"none":12000},"clock":"believed","entries":{},"errors":0,"lines":12000,"mode":"post"}'
    opened.execute("BEGIN")
    _insert(
        opened,
        cycle,
        [
            {
                "number": next(numbers), "state": "done", "mode": "post", "as_of": instant_text(at),
                "day": at.date().isoformat(), "started_at": instant_text(at), "ended_at": instant_text(at),
                "summary": summary,
            }
            for at in (now - timedelta(hours=HOURS - hour) for hour in range(HOURS))
        ],
    )  # fmt: skip
    opened.execute("COMMIT")


def _insert(opened: sqlite3.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    names = [column.name for column in table.columns]
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})"
    opened.executemany(statement, ([row[name] for name in names] for row in rows))
