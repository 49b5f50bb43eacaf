"""How many simulated schedules hold, and how fast: prints the figures of `tests/simulation` as a small table.

    python benchmarks/bench_simulation.py [SCHEDULES] [PROCESSES] [FIRST SEED]

Ends with 1 where a schedule fails, and prints its seed, setup and steps.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "simulation"))


def main(schedules: int = 1000, processes: int = 0, first: int = 0) -> int:
    """Plays the schedules of so many seeds in a row."""
    from sim_run import simulate_many, table

    total = simulate_many(range(first, first + schedules), processes=processes or os.cpu_count() or 1, shrinks=False)
    print(table(total))
    print(f"{'schedules in a second':34}{total.schedules / total.seconds:>10.1f}")
    for one in total.wrong[:5]:
        print(one)
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
