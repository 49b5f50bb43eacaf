"""One cycle as an admin runs it, against precomputed bytes, beside two programs that only download and parse.

`syncd run --once --json` reads ConnectWise and Microsoft 365 in mode observe: a first cycle on an empty ledger, one
more that settles what was seen twice, and then cycles in which nothing changed. Every run is a whole process: the start
of Python is part of each number, of syncd's and of its rivals'.

    python benchmarks/bench_cycle.py                                  everything, some fifteen minutes
    python benchmarks/bench_cycle.py --customers 100 --latency 50 --runs 1
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measure import HERE, Commits, Taken, keep, median, print_table, rows_of, run, server, verdict, written
from replay import SYNCD, environment

SIZES = (100, 800)
LATENCIES = (0, 50)
THREADS = 8
# (b) takes minutes and varies by less than a percent: once is enough.
NAIVE_RUNS = 1


def main() -> None:
    """Measures, prints, keeps."""
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("--customers", type=int, nargs="+", default=SIZES)
    wanted.add_argument("--latency", type=int, nargs="+", default=LATENCIES, help="milliseconds added to each answer")
    wanted.add_argument("--runs", type=int, default=3)
    asked = wanted.parse_args()
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for customers in asked.customers:
            folder = Path(scratch, str(customers))
            folder.mkdir()
            print(f"recording {customers} customers", file=sys.stderr, flush=True)
            run(
                [sys.executable, str(HERE / "replay.py"), "record", str(customers), str(folder)],
                environment=environment(),
            )
            cases += [_case(folder, customers, latency, asked.runs) for latency in asked.latency]
    _tell(cases)
    print(f"kept in {keep('cycle', {'threads': THREADS, 'cases': cases, 'aims': _aims(cases)})}")


def _case(folder: Path, customers: int, latency: int, runs: int) -> dict[str, Any]:
    print(f"measuring {customers} customers at {latency} ms", file=sys.stderr, flush=True)
    serve = [sys.executable, str(HERE / "replay.py"), "serve", str(folder), str(latency)]
    with server(serve, environment()) as port:
        address = f"http://127.0.0.1:{port}"
        rivals = [sys.executable, str(HERE / "rivals.py")]
        bare = [_run([*rivals, "bare", str(folder), address, str(THREADS)], address) for _ in range(runs)]
        naive = [_run([*rivals, "naive", str(folder), address], address) for _ in range(NAIVE_RUNS)]
        first = []
        for _ in range(runs):
            home = Path(tempfile.mkdtemp(dir=folder))
            first.append(_cycle(home, customers, address))
        _cycle(home, customers, address)  # settles: what was seen twice is noted once more
        again = [_cycle(home, customers, address) for _ in range(runs)]
    return {
        "customers": customers,
        "lines": again[0]["lines"],
        "latency_ms": latency,
        "first": _middle(first),
        "no_change": _middle(again),
        "bare": _middle(bare),
        "naive": _middle(naive),
    }


def _run(command: Sequence[str], address: str) -> dict[str, Any]:
    return {**_numbers(run(command, environment=environment())), **_asked(address)}


def _cycle(home: Path, customers: int, address: str) -> dict[str, Any]:
    """One `run --once` in a folder of its own; what it took and what it wrote."""
    config, ledger = home / "config.toml", home / "state" / "syncd.db"
    if not config.exists():
        write = "import sys; from pathlib import Path; from world import make_world, write_files; "
        write += "write_files(Path(sys.argv[1]), make_world(int(sys.argv[2])), "
        write += "dict.fromkeys(('connectwise', 'microsoft365'), sys.argv[3]))"
        python = {**environment(), "PYTHONPATH": str(HERE)}
        run([sys.executable, "-c", write, str(home), str(customers), address], environment=python)
    before = rows_of(ledger)
    commits = Commits(ledger) if before else None
    taken = run([*SYNCD, "--config", str(config), "--json", "run", "--once"], environment=environment())
    counted = {"commits": commits.count()} if commits else {}
    shown = json.loads(taken.output)
    changed = written(before, rows_of(ledger))
    return {
        **_numbers(taken),
        **_asked(address),
        **counted,
        "rows": sum(changed.values()),
        "rows_by_table": changed,
        "entries": changed.get("entry", 0),
        "lines": len(shown["lines"]),
        "drifting": sum(line["action"] not in ("none", "ignore") for line in shown["lines"]),
    }


def _numbers(taken: Taken) -> dict[str, Any]:
    return {"wall": taken.wall, "cpu": taken.cpu, "peak_mib": taken.peak}


def _asked(address: str) -> dict[str, Any]:
    """What the server saw since it was last asked. Ends the benchmark where anything was not recorded."""
    with urllib.request.urlopen(f"{address}/_replay") as answer:
        told = json.load(answer)
    if told["strangers"]:
        raise SystemExit(f"asked for what was not recorded: {told['strangers']}")
    return {"requests": told["requests"], "received_mb": told["bytes"] / 1e6, "on_the_wire": told["seconds"]}


def _middle(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of what was measured; everything else is the same in each run, and taken from the last."""
    measured = ("wall", "cpu", "peak_mib", "on_the_wire")
    found = {**runs[-1], **{name: round(median([one[name] for one in runs]), 3) for name in measured}}
    return {**found, "runs": len(runs), "walls": [round(one["wall"], 3) for one in runs]}


def _tell(cases: Sequence[Mapping[str, Any]]) -> None:
    names = {"first": "first cycle", "no_change": "no change", "bare": "(a) bare loop", "naive": "(b) naive"}
    rows = []
    for case in cases:
        for kind, name in names.items():
            one = case[kind]
            rows.append(
                (
                    name, f"{case['customers']} / {case['lines']:,}", f"{case['latency_ms']} ms",
                    f"{one['wall']:.2f} s",
                    f"{one['on_the_wire']:.2f} s", f"{one['cpu']:.2f} s", f"{one['peak_mib']:.0f} MiB",
                    f"{one['requests']:,}", f"{one['rows']:,}" if "rows" in one else "", one.get("commits", ""),
                )
            )  # fmt: skip
    heads = ("", "customers / lines", "latency", "wall", "on the wire", "CPU", "peak", "requests", "rows", "commits")
    print_table(heads, rows)
    print_table(("aim", "measured", "met"), _aims(cases))


def _aims(cases: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    found = []
    for case in cases:
        size = f"{case['customers']} customers, {case['latency_ms']} ms"
        for kind in ("first", "no_change"):
            one, name = case[kind], f"{size}, {kind.replace('_', ' ')}"
            if case["latency_ms"] >= 50:
                share = one["wall"] / case["bare"]["wall"]
                found.append(verdict(f"{name}: wall within 1.15 of (a)", f"{share:.2f}", share <= 1.15))
                speed = case["naive"]["wall"] / one["wall"]
                found.append(verdict(f"{name}: wall below 1/7 of (b)", f"1/{speed:.1f}", speed > 7))
            else:
                share = one["cpu"] / case["bare"]["cpu"]
                found.append(verdict(f"{name}: CPU within 2 of (a)", f"{share:.2f}", share <= 2))
            found.append(verdict(f"{name}: peak below 120 MiB", f"{one['peak_mib']:.0f}", one["peak_mib"] < 120))
        still = case["no_change"]
        found.append(verdict(f"{size}: no change writes no entry", str(still["entries"]), still["entries"] == 0))
        found.append(
            verdict(f"{size}: no change commits at most 3 times", str(still["commits"]), still["commits"] <= 3)
        )
    ends = sorted(
        (one for one in cases if one["latency_ms"] == cases[0]["latency_ms"]), key=lambda one: one["customers"]
    )
    if len(ends) > 1 and ends[-1]["customers"] >= 5 * ends[0]["customers"]:
        small, large = ends[0], ends[-1]
        for kind in ("first", "no_change"):
            growth = large[kind]["peak_mib"] / small[kind]["peak_mib"]
            times = large["customers"] / small["customers"]
            name = f"{kind.replace('_', ' ')}: peak flat while customers grow {times:.0f} times"
            found.append(verdict(name, f"× {growth:.2f}", growth <= 1.1))
    return found


if __name__ == "__main__":
    main()
