"""Runs a command as a process of its own and says what it took: wall, CPU, peak memory, what it wrote.

Client and server sit on different cores where the machine has two. Numbers of one kind are told as the median of
several runs. Owns the table and the results file; knows nothing of syncd but the tables of its ledger.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sqlite3
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
# Linux tells the peak in KiB, macOS in bytes (getrusage(2) of each).
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Taken:
    """What one process took. Seconds; MiB."""

    wall: float
    cpu: float
    peak: float
    status: int
    output: str


def cores() -> list[int]:
    """The cores this process may use; empty where the machine does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def core_of(place: int) -> int:
    """The core of the server (0) or of the client (1); -1, any, where there is only one or the machine tells none."""
    mine = cores()
    return mine[place] if len(mine) > 1 else -1


def run(command: Sequence[str], *, environment: Mapping[str, str], statuses: Sequence[int] = (0,)) -> Taken:
    """Runs a command on the client's core and waits for it. Ends the benchmark where it ends with another status."""
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        spawn = [sys.executable, "-I", "-S", str(HERE / "spawn.py"), str(core_of(1)), out.name, err.name]
        told = subprocess.run(
            [*spawn, *command], env=dict(environment), check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        output, trouble = out.read().decode(), err.read().decode()
    wall, cpu, peak, status = told.split()
    if int(status) not in statuses:
        raise SystemExit(f"{' '.join(command)} ended with {status}:\n{trouble[-3000:]}")
    return Taken(float(wall), float(cpu), int(peak) * _PEAK_UNIT / 2**20, int(status), output)


@contextlib.contextmanager
def server(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[int]:
    """A server on its own core, which prints its port; ended by closing its standard input."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(environment))
    if (core := core_of(0)) >= 0:
        os.sched_setaffinity(process.pid, [core])
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


# What a process wrote into the ledger


def rows_of(ledger: Path) -> dict[tuple[str, int], bytes]:
    """(table, row id) -> a digest of the row, over the whole ledger; empty where there is none yet."""
    if not ledger.exists():
        return {}
    found: dict[tuple[str, int], bytes] = {}
    with contextlib.closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for number, *row in connection.execute(f'SELECT rowid, * FROM "{table}"'):
                found[table, number] = sha256(repr(row).encode()).digest()[:12]
    return found


def written(before: Mapping[tuple[str, int], bytes], after: Mapping[tuple[str, int], bytes]) -> dict[str, int]:
    """Table -> rows that are new, changed or gone. A row written again as it was cannot be seen, and costs a commit
    nothing but its page."""
    found: dict[str, int] = {}
    for table, number in before.keys() | after.keys():
        if before.get((table, number)) != after.get((table, number)):
            found[table] = found.get(table, 0) + 1
    return dict(sorted(found.items()))


class Commits:
    """Counts the transactions that others commit to a ledger while this is open.

    Each commit ends with one frame of the write-ahead log whose header names the database's size; all other frames say
    zero there (SQLite, "WAL File Format"). A reader that began before the first of them keeps the log from being
    started anew, and an open connection keeps the last writer from taking it away, so the file holds every frame.
    """

    def __init__(self, ledger: Path) -> None:
        self._log = ledger.with_name(ledger.name + "-wal")
        self._reader = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        self._before = self._frames()

    def count(self) -> int:
        """Commits so far; ends the watch."""
        found = self._frames() - self._before
        self._reader.close()
        return found

    def _frames(self) -> int:
        content = self._log.read_bytes() if self._log.exists() else b""
        if len(content) < 32:
            return 0
        page = struct.unpack(">I", content[8:12])[0]
        salts, found = content[16:24], 0
        for start in range(32, len(content) - 24 - page + 1, 24 + page):
            if content[start + 8 : start + 16] != salts:
                break  # left over from before the log was last started anew
            found += struct.unpack(">I", content[start + 4 : start + 8])[0] != 0
        return found


# What is told


def median(values: Sequence[float]) -> float:
    """Of an odd number of runs, one that happened."""
    return statistics.median(values)


def machine() -> dict[str, Any]:
    """What was measured on, without its name."""
    import httpx

    from syncd import __version__

    model = ""
    with contextlib.suppress(OSError):
        rows = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((row.partition(":")[2].strip() for row in rows if row.startswith("model name")), "")
    memory = 0.0
    with contextlib.suppress(ValueError, OSError):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        # A third faster than one built without; distributions' and python.org's are, pyenv's by default is not.
        "python_optimised": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        "sqlite": sqlite3.sqlite_version,
        "httpx": httpx.__version__,
        "syncd": __version__,
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table that is also Markdown, so that it can go into the README as it is."""
    cells = [[str(cell) for cell in row] for row in [heads, *rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    print(line(cells[0]))
    print("| " + " | ".join("-" * (width - 1) + (":" if at else "-") for at, width in enumerate(widths)) + " |")
    for row in cells[1:]:
        print(line(row))
    print(flush=True)


def verdict(aim: str, value: str, met: bool) -> tuple[str, str, str]:
    """A row of the table of aims."""
    return aim, value, "yes" if met else "NO"


def keep(name: str, found: Mapping[str, Any]) -> Path:
    """Writes results/NAME.json, the machine's description with it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **found}, indent=2) + "\n")
    return path
