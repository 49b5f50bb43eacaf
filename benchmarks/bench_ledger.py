"""Postings in a second, each step durable: written down, claimed for sending, settled. No network, one thread.

    python benchmarks/bench_ledger.py

"alone" is one posting after another, three commits each. "in a cycle" writes 200 intents down in one commit, as a
cycle does, and then claims and settles each. The last row is the second on a ledger that already holds 20,000 entries.
All commits are `synchronous=FULL` on the disk that this folder lies on; `fsync` is what that disk takes for one, bare.

Where PostgreSQL is installed, the same follows on a private cluster (`synchronous_commit = on`, `fsync = on`, on
loopback, on the disk of the temporary folder): a server elsewhere adds its network, some ten round trips a posting.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from measure import RESULTS, keep, median, print_table

from syncd.clock import real_now
from syncd.core.entries import EntryState, Intent
from syncd.ledger import Ledger
from syncd.logs import configure
from syncd.model import Operation, Posting, Wire

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "ledger"))
from postgres_kit import cluster, programs  # the tests' own private server

ENTRIES = 200
RUNS = 5
HISTORY = 20_000
AT_ONCE = 1_000


def main() -> None:
    """Measures, prints, keeps."""
    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        fsync = _fsync(Path(scratch))
        found = _measure("SQLite", "sqlite:///bench.db", Path(scratch))
        size = (Path(scratch) / "bench.db").stat().st_size / 2**20
        if programs() is not None:
            with cluster() as server:
                found += _measure("PostgreSQL", server.fresh(), Path(scratch))
    print_table(
        ("", "postings in a second", "each", "commits each"),
        [(one["name"], one["postings_per_second"], f"{one['ms_each']} ms", one["commits_each"]) for one in found],
    )
    print(f"one bare fsync of this disk: {fsync * 1000:.2f} ms; the file at the end: {size:.0f} MiB\n")
    kept = keep("ledger", {"fsync_ms": round(fsync * 1000, 3), "rows": found})
    print(f"kept in {kept}")


def _measure(kind: str, url: str, folder: Path) -> list[dict[str, Any]]:
    with Ledger.open(url, real_now, folder=folder) as ledger:
        ledger.claim("bench")
        cycle = ledger.begin_cycle("post", real_now())
        numbers = count()
        alone = [_alone(ledger, cycle, numbers) for _ in range(RUNS)]
        together = [_together(ledger, cycle, numbers) for _ in range(RUNS)]
        for _ in range(HISTORY // AT_ONCE):
            ledger.write(cycle, (), [_intent(next(numbers)) for _ in range(AT_ONCE)])
        later = [_together(ledger, cycle, numbers) for _ in range(RUNS)]
    rows = [("alone", 3.0, alone), ("in a cycle", 2.0, together), (f"in a cycle, {HISTORY:,} entries", 2.0, later)]
    return [
        {
            "name": f"{kind}, {name}",
            "postings_per_second": round(ENTRIES / median(took), 1),
            "ms_each": round(median(took) / ENTRIES * 1000, 2),
            "commits_each": commits,
        }
        for name, commits, took in rows
    ]


def _alone(ledger: Ledger, cycle: str, numbers: Iterator[int]) -> float:
    intents = [_intent(next(numbers)) for _ in range(ENTRIES)]
    began = time.perf_counter()
    for intent in intents:
        (entry,) = ledger.write(cycle, (), [intent])
        claimed = ledger.sending(entry)
        assert claimed is not None
        ledger.settle(claimed, EntryState.POSTED, remote_id="1")
    return time.perf_counter() - began


def _together(ledger: Ledger, cycle: str, numbers: Iterator[int]) -> float:
    intents = [_intent(next(numbers)) for _ in range(ENTRIES)]
    began = time.perf_counter()
    for entry in ledger.write(cycle, (), intents):
        claimed = ledger.sending(entry)
        assert claimed is not None
        ledger.settle(claimed, EntryState.POSTED, remote_id="1")
    return time.perf_counter() - began


def _fsync(folder: Path) -> float:
    """Seconds that a small write takes to reach the disk, the middle of a hundred."""
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took)


def _intent(number: int) -> Intent:
    """A change of one line of its own, with a derivation of usual size."""
    posting = Posting(
        operation=Operation.SET_QUANTITY,
        key=f"bench key {number}",
        marker=f"sd-bench-{number}",
        customer_id="19",
        quantity=Decimal(27),
        agreement_id="1001",
        line_id=str(number),
        product="M365-BP",
        before=Decimal(25),
        unit_price=Decimal("28.00"),
        starts=date(2026, 11, 1),
        ends=date(2026, 11, 30),
        period="2026-11",
        description="Microsoft 365 Business Premium, 2026-11: 2 more, 25 to 27",
    )
    counted = {"connection": "m365", "customer_id": "0" * 36, "sku": "SPB", "quantity": "27", "subjects": "0" * 64}
    return Intent(
        identity=f"quantity:cw:1001:{number}",
        line=f"line{number}",
        customer=f"Customer {number % 800:04}",
        rule="Microsoft 365 Business Premium",
        connection="cw",
        period="2026-11",
        before=Decimal(25),
        to=Decimal(27),
        state=EntryState.PLANNED,
        decided_by="policy",
        posting=posting,
        wire=Wire(
            "PATCH", f"finance/agreements/1001/additions/{number}", b'[{"op":"replace","path":"quantity","value":27}]'
        ),
        fingerprint=f"situation {number}",
        why="increase is now",
        derivation={"counts": [counted], "steps": [{"text": "used", "result": "27"}]},
    )


if __name__ == "__main__":
    main()
