"""Deaths: how many were survived, how long it takes to be at rest again, how soon a large ledger is ready.

    python benchmarks/bench_recovery.py [--kills 300] [--events 100000]

The deaths are those of `tests/death` (which need pytest, too): SIGKILL at every step of a posting, and at random
instants, against the sandbox of ConnectWise over HTTP; the judge is the sandbox's own record. "at rest" is measured
from the start of a fresh interpreter to the end of the cycle in which it found and settled what the dead one had sent.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import RESULTS, keep, median, print_table, verdict

DEATH = Path(__file__).resolve().parents[1] / "tests" / "death"
SWEPT = ("set_quantity", "post_line")
AT_RANDOM = ("set_quantity", "post_line", "pair")
RESTARTS = 5
OPEN = 1_000
AT_ONCE = 1_000
# RELIABILITY: working again within ten seconds; ready within two, with 1,000 open entries.
REST_AIM, READY_AIM = 10.0, 2.0


def main() -> None:
    """Measures, prints, keeps."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=300, help="deaths at random instants, in all")
    asked.add_argument("--events", type=int, default=100_000, help="events of the large ledger")
    given = asked.parse_args()
    sys.path.insert(0, str(DEATH))
    from syncd.logs import configure

    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=RESULTS) as scratch:
        points, died, rest = _deaths(Path(scratch), given.kills)
        opened, ready, size = _ready(Path(scratch), given.events)
    total = sum(points.values())
    print(f"{total} deaths at steps, {died} at random instants: each ended with the effects of a run without one.\n")
    large = f"{given.events:,} events, {OPEN:,} open entries, {size:.0f} MiB"
    print_table(
        ("aim", "measured", "met"),
        [
            verdict(f"at rest after a death in {REST_AIM:.0f} s", f"{median(rest):.2f} s", max(rest) <= REST_AIM),
            verdict(f"ledger open and claimed in {READY_AIM:.0f} s ({large})", f"{opened:.2f} s", opened <= READY_AIM),
            verdict(f"daemon's first cycle over it in {REST_AIM:.0f} s", f"{ready:.2f} s", ready <= REST_AIM),
        ],
    )
    kept = keep(
        "recovery",
        {"deaths_by_point": dict(points), "deaths_at_random": died, "rest_seconds": rest, "open_seconds": opened,
         "ready_seconds": ready, "events": given.events, "open_entries": OPEN, "ledger_mib": round(size, 1)},
    )  # fmt: skip
    print(f"kept in {kept}")


def _deaths(scratch: Path, kills: int) -> tuple[Counter[int], int, list[float]]:
    """Deaths at each crash point, deaths at random instants, and how long each of some restarts took."""
    import test_death_posting as deaths
    from death_points import instants
    from death_stage import SCENES, Scene, Stage, Zygote

    zygote = Zygote()
    stage = Stage(scratch / "stage", zygote)
    died = 0
    rest: list[float] = []
    try:
        for name in SWEPT:
            scene = Scene.play(stage, scratch, SCENES[name])
            for step, point in instants(scene.steps):
                if 4 < point < 18:
                    deaths.survive(scene, step, point)
            for acts, point in (("before", 12), ("never", 11)):
                deaths.killed_while_held(scene, acts)
                deaths.judge(scene, point, acts)
            deaths.twice(scene, deaths.in_recovery(scene), lambda number, point: number != 1 and point > 5)
        points = Counter(deaths.tally)
        deaths.print_tally(points)
        dice = random.Random(kills)
        for name in AT_RANDOM:
            scene = Scene.play(stage, scratch, SCENES[name])
            died += deaths.at_random(scene, kills // len(AT_RANDOM), dice)
        scene = Scene.play(stage, scratch, SCENES["post_line"])
        for _ in range(RESTARTS):
            deaths.killed_while_held(scene, "before")
            began = time.monotonic()
            with deaths.interpreter(stage) as process:
                process.communicate()
                rest.append(round(time.monotonic() - began, 3))
            scene.judge("after a restart")
    finally:
        stage.close()
        zygote.close()
    return points, died, rest


def _ready(scratch: Path, events: int) -> tuple[float, float, float]:
    """Seconds until a large ledger is open and claimed, seconds until a daemon over it is ready, and its MiB."""
    from death_stage import RULE

    from syncd.clock import real_now
    from syncd.core.entries import EntryState
    from syncd.ledger import Ledger

    folder = scratch / "large"
    (folder / "mappings").mkdir(parents=True)
    with Ledger.open("sqlite:///state/syncd.db", real_now, folder=folder) as ledger:
        ledger.claim("bench")
        cycle = ledger.begin_cycle("post", real_now())
        number = 0
        while ledger.head()[0] < events:
            written = ledger.write(cycle, (), [_intent(number + one) for one in range(AT_ONCE)])
            ledger.write(cycle, [(entry.id, "the bench has no vendor") for entry in written], ())
            number += AT_ONCE
        waiting = [
            replace(_intent(number + one), state=EntryState.HELD, undo_of="bench", decided_by="person:bench")
            for one in range(OPEN)
        ]
        ledger.write(cycle, (), waiting)
    opened = median([_open(folder) for _ in range(3)])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.toml").write_text(
        f'[connections.seats]\nkind = "csv"\npath = "seats.csv"\ncustomer = "Account"\nsku = "Plan"\n'
        f'quantity = "Seats"\n[web]\nlisten = "127.0.0.1:{port}"\n'
    )
    (folder / "seats.csv").write_text("Account,Plan,Seats\nContoso,A,1\n")
    alert = RULE.format(name="A", customer="Contoso", product="A", keys='true_up = "alert"')
    bill = next(line for line in alert.splitlines() if line.startswith("bill"))
    customer = '[[customer]]\nname = "Contoso"\nseats = "Contoso"\n'
    (folder / "mappings" / "all.toml").write_text(customer + alert.replace(bill, ""))
    ready = _until_ready(folder, port)
    return opened, ready, (folder / "state" / "syncd.db").stat().st_size / 2**20


def _open(folder: Path) -> float:
    from syncd.clock import real_now
    from syncd.core.entries import EntryState
    from syncd.ledger import Ledger

    began = time.monotonic()
    with Ledger.open("sqlite:///state/syncd.db", real_now, folder=folder) as ledger:
        ledger.claim("bench")
        assert len(ledger.entries(states={EntryState.HELD})) == OPEN
        return time.monotonic() - began


def _until_ready(folder: Path, port: int) -> float:
    """Seconds from the start of a daemon in a fresh interpreter until /readyz says 200."""
    began = time.monotonic()
    command = [sys.executable, "-m", "syncd", "run", "--config", str(folder / "config.toml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        while _asked(port) != 200:
            if process.poll() is not None or time.monotonic() > began + 120:
                raise SystemExit((folder / "log").read_text()[-2000:])
            time.sleep(0.02)
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _asked(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _intent(number: int) -> Any:
    from bench_ledger import _intent as intent

    made: Callable[[int], Any] = intent
    return replace(made(number), derivation={"steps": [{"text": "used", "result": "27"}]})  # no subjects are kept here


if __name__ == "__main__":
    main()
