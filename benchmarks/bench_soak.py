"""The whole soak: 200 customers, 30 months, every fault at one percent, and the money of four books.

    python benchmarks/bench_soak.py                                 # an hour or two
    python benchmarks/bench_soak.py --customers 10 --months 6       # some minutes

`tests/daemon/soak.py` says what is played and who judges. Each month is told when it is over. Ends with 1 where the
books differ by a cent, where a line was made twice or never, or where the record is broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from measure import RESULTS, keep, print_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "daemon"))
from soak import Soak, soak


def main() -> int:
    """Plays, prints, keeps."""
    asked = argparse.ArgumentParser(description="Months of billing under faults.")
    asked.add_argument("--customers", type=int, default=200)
    asked.add_argument("--months", type=int, default=30)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--rate", type=float, default=0.01, help="of requests and exports that are struck")
    asked.add_argument("--deaths", type=float, default=0.05, help="of cycles that are killed")
    asked.add_argument("--visits", type=int, default=3, help="days of a month on which counts move")
    given = asked.parse_args()
    RESULTS.mkdir(exist_ok=True)
    began = time.monotonic()

    def told(world: Soak) -> None:
        figures = world.figures
        posted, wrong = world.states()["posted"], len(figures.differences)
        print(
            f"{figures.months:>3} months, {figures.cycles} cycles, {posted:,} posted, {sum(figures.kills.values())} "
            f"killed, {wrong} differences; {time.monotonic() - began:.0f} s",
            flush=True,
        )

    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        found = soak(
            Path(scratch) / "soak", customers=given.customers, months=given.months, seed=given.seed, rate=given.rate,
            deaths=given.deaths, visits=given.visits, told=told,
        )  # fmt: skip
    print()
    print_table(("money of all months", "USD"), [(name, f"{money:,.2f}") for name, money in found.money.items()])
    counted = [("cycles", found.cycles), *found.kills.items(), *sorted(found.hits.items()), *found.entries.items()]
    print_table(("what happened", "times"), [(name, f"{number:,}") for name, number in counted if number])
    for one in found.differences[:20]:
        print(one)
    print(f"{len(found.differences)} differences; {found.seconds:.0f} s")
    told_all = {
        "customers": found.customers, "months": found.months, "seed": found.seed, "cycles": found.cycles,
        "seconds": round(found.seconds), "hits": dict(found.hits), "kills": dict(found.kills),
        "entries": dict(found.entries), "money": {name: str(money) for name, money in found.money.items()},
        "differences": found.differences,
    }  # fmt: skip
    print(f"kept in {keep('soak', told_all)}")
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(main())
