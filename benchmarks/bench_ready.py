"""How soon a daemon over a large ledger is ready: 1,000,000 events, 1,000 changes that wait, five years of cycles.

    python benchmarks/bench_ready.py                           # makes the ledger first, some minutes and a gigabyte
    python benchmarks/bench_ready.py --events 30000            # a look
    python benchmarks/bench_ready.py --events 1000000 --keep /var/tmp/large    # makes it there once, and uses it again

`grow.py` says what is in it. "open and claimed" is the ledger alone. "the past" is what every cycle reads of it before
it plans. "up" is from the start of a fresh interpreter until `/healthz` answers, "ready" until `/readyz` says 200,
which it does when the first cycle has ended: over one customer and one rule here, because vendors' answers are not
meant. The file is in the system's cache, as after a restart of the process; after one of the machine, the disk is read
first. What waits is held for a person: an outcome that is not known is asked of its vendor, and takes as long as that.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench_ledger import intent
from grow import LINES, URL, grow
from measure import RESULTS, keep, median, print_table, verdict

from syncd.clock import real_now
from syncd.core.entries import EntryState
from syncd.ledger import Ledger
from syncd.logs import configure

OPEN = 1_000
RUNS = 3
READY_AIM = 2.0  # seconds
CONFIG = """
[connections.seats]
kind = "csv"
path = "seats.csv"
customer = "Account"
sku = "Plan"
quantity = "Seats"
[web]
listen = "127.0.0.1:{port}"
"""
MAPPING = """
[[customer]]
name = "Contoso"
seats = "Contoso"
[[rule]]
name = "A"
count = { from = "seats", sku = "A", measure = "quantity" }
true_up = "alert"
"""


def main() -> None:
    """Measures, prints, keeps."""
    asked = argparse.ArgumentParser(description="How soon a large ledger is ready.")
    asked.add_argument("--events", type=int, default=1_000_000)
    asked.add_argument("--keep", type=Path, default=None, help="a folder for the ledger, used again where it is there")
    given = asked.parse_args()
    configure(quiet=True)
    RESULTS.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(dir=RESULTS)))
        _make(folder, given.events)
        opened = [_opened(folder) for _ in range(RUNS)]
        daemons = [_daemon(folder) for _ in range(RUNS)]
        size = (folder / "state" / "syncd.db").stat().st_size / 2**20
        with Ledger.open(URL, real_now, folder=folder) as ledger:
            events = ledger.head()[0]
    found = {
        "open and claimed": median([one for one, _ in opened]),
        "the past": median([one for _, one in opened]),
        "up": median([one for one, _, _ in daemons]),
        "ready": median([one for _, one, _ in daemons]),
        "ready, CPU": median([cpu for _, _, cpu in daemons]),
    }
    large = f"{events:,} events, {OPEN:,} open entries, {size:.0f} MiB"
    print()
    print_table((large, "seconds"), [(name, f"{seconds:.2f}") for name, seconds in found.items()])
    met = found["ready"] <= READY_AIM
    print_table(("aim", "measured", "met"), [verdict(f"ready in {READY_AIM:.0f} s", f"{found['ready']:.2f} s", met)])
    told = {name.replace(", ", "_").replace(" ", "_"): round(seconds, 3) for name, seconds in found.items()}
    print(f"kept in {keep('ready', {'events': events, 'open_entries': OPEN, 'mib': round(size), 'seconds': told})}")


def _make(folder: Path, events: int) -> None:
    """The large ledger, and a daemon's files beside it."""
    (folder / "mappings").mkdir(parents=True, exist_ok=True)
    if not (folder / "state" / "syncd.db").exists():
        began = time.monotonic()
        grow(folder, events, lambda done: print(f"{done:,} events, {time.monotonic() - began:.0f} s", flush=True))
    with Ledger.open(URL, real_now, folder=folder) as ledger:
        ledger.claim("bench")
        if not ledger.entries(states={EntryState.HELD}):
            cycle = ledger.begin_cycle("post", real_now())
            waiting = [
                replace(intent(LINES + one), state=EntryState.HELD, undo_of="bench", decided_by="person:bench")
                for one in range(OPEN)
            ]
            assert len(ledger.write(cycle, (), waiting)) == OPEN
    (folder / "seats.csv").write_text("Account,Plan,Seats\nContoso,A,1\n")
    (folder / "mappings" / "all.toml").write_text(MAPPING)


def _opened(folder: Path) -> tuple[float, float]:
    """Seconds until the ledger is open and claimed, and until its past is read."""
    began = time.monotonic()
    with Ledger.open(URL, real_now, folder=folder) as ledger:
        ledger.claim("bench")
        claimed = time.monotonic()
        assert len(ledger.past().lines) > OPEN
        return claimed - began, time.monotonic() - claimed


def _daemon(folder: Path) -> tuple[float, float, float]:
    """Seconds from the start of a fresh interpreter until the daemon answers, and until it is ready; its CPU by then
    (0 where the system does not tell)."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.toml").write_text(CONFIG.format(port=port))
    command = [sys.executable, "-m", "syncd", "run", "--config", str(folder / "config.toml")]
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        found = []
        for path in ("/healthz", "/readyz"):
            while _asked(port, path) != 200:
                if process.poll() is not None or time.monotonic() > began + 300:
                    raise SystemExit((folder / "log").read_text()[-2000:])
                time.sleep(0.02)
            found.append(time.monotonic() - began)
        return found[0], found[1], _cpu(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _asked(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    main()
