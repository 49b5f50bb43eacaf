"""Postings in a second, each step durable: written down, claimed for sending, settled. No network, one thread.

    python benchmarks/bench_ledger.py                # some three minutes
    python benchmarks/bench_ledger.py --seconds 2    # a look

"alone" is one posting after another, three commits each. "in a cycle" writes an intention for each of many lines down
in one commit, as a cycle does, and then claims and settles each. The last row is the second on a ledger that already
holds 20,000 entries. Each row is measured for so many seconds, so that a slow disk makes it less exact and not longer;
what is measured is told at once. "CPU" is syncd's own part of a posting, the rest is waiting for the disk. All commits
are `synchronous=FULL` on the disk that this folder lies on; `fsync` is what that disk takes for one, bare.

Where PostgreSQL is installed, the same follows on a private cluster (`synchronous_commit = on`, `fsync = on`, on
loopback, on the disk of the temporary folder): a server elsewhere adds its network, some ten round trips a posting.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from measure import RESULTS, keep, median, print_table

from syncd.clock import real_now
from syncd.core.entries import Entry, EntryState, Intent
from syncd.ledger import Ledger
from syncd.logs import configure
from syncd.model import Operation, Posting, Wire

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "ledger"))
from postgres_kit import cluster, programs  # the tests' own private server

AT_ONCE = 100  # lines of one cycle
SECONDS = 20.0  # a row
HISTORY = 20_000


def main() -> None:
    """Measures, prints, keeps."""
    asked = argparse.ArgumentParser(description="Postings in a second.")
    asked.add_argument("--seconds", type=float, default=SECONDS, help="how long each row is measured")
    asked.add_argument("--history", type=int, default=HISTORY, help="entries before the last row")
    given = asked.parse_args()
    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        folder = Path(scratch)
        fsync = _fsync(folder)
        print(f"one bare fsync of this disk: {fsync * 1000:.2f} ms", flush=True)
        found = _measure("SQLite", "sqlite:///bench.db", folder, given.seconds, given.history)
        size = (folder / "bench.db").stat().st_size / 2**20
        if programs() is not None:
            with cluster() as server:
                found += _measure("PostgreSQL", server.fresh(), folder, given.seconds, given.history)
    print()
    print_table(
        ("", "postings in a second", "each", "CPU each", "ledger writes in a second"),
        [
            (one["name"], one["postings_per_second"], f"{one['ms_each']} ms", f"{one['cpu_ms_each']} ms",
             one["writes_per_second"])
            for one in found
        ],
    )  # fmt: skip
    print(f"one bare fsync of this disk: {fsync * 1000:.2f} ms; the file at the end: {size:.0f} MiB\n")
    kept = keep("ledger", {"fsync_ms": round(fsync * 1000, 3), "rows": found})
    print(f"kept in {kept}")


def _measure(kind: str, url: str, folder: Path, seconds: float, history: int) -> list[dict[str, Any]]:
    with Ledger.open(url, real_now, folder=folder) as ledger:
        ledger.claim("bench")
        cycle = ledger.begin_cycle("post", real_now())
        numbers = count()

        def alone(intents: list[Intent]) -> int:
            for one in intents:
                _posted(ledger, *ledger.write(cycle, (), [one]))
            return 3 * len(intents)

        def together(intents: list[Intent]) -> int:
            for entry in ledger.write(cycle, (), intents):
                _posted(ledger, entry)
            return 2 * len(intents) + 1

        rows = [_row(f"{kind}, alone", alone, numbers, seconds)]
        rows.append(_row(f"{kind}, in a cycle", together, numbers, seconds))
        for done in range(0, history, 1000):
            ledger.write(cycle, (), [intent(next(numbers)) for _ in range(min(1000, history - done))])
        rows.append(_row(f"{kind}, in a cycle, {history:,} entries", together, numbers, seconds))
    return rows


def _row(name: str, post: Callable[[list[Intent]], int], numbers: Iterator[int], seconds: float) -> dict[str, Any]:
    """Posts portion after portion for so many seconds; `post` returns its commits."""
    portion = [intent(next(numbers)) for _ in range(10)]
    post(portion)  # statements are compiled, pages are there
    posted = commits = 0
    wall = cpu = 0.0
    while wall < seconds:
        portion = [intent(next(numbers)) for _ in range(AT_ONCE)]
        began, worked = time.perf_counter(), time.process_time()
        commits += post(portion)
        wall += time.perf_counter() - began
        cpu += time.process_time() - worked
        posted += len(portion)
    row = {
        "name": name,
        "postings_per_second": round(posted / wall, 1),
        "writes_per_second": round(commits / wall, 1),
        "ms_each": round(wall / posted * 1000, 2),
        "cpu_ms_each": round(cpu / posted * 1000, 2),
        "posted": posted,
    }
    print(f"{name}: {row['postings_per_second']} postings in a second ({posted:,} in {wall:.0f} s)", flush=True)
    return row


def _posted(ledger: Ledger, entry: Entry) -> None:
    claimed = ledger.sending(entry)
    assert claimed is not None
    ledger.settle(claimed, EntryState.POSTED, remote_id="1")


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


def intent(number: int) -> Intent:
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
