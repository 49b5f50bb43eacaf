"""The daemon as an admin runs it: a process with files, signals and a port."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from daemon_kit import BROKEN, MAPPING, write_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


SYNCD = "from syncd.cli.main import main; main()"


class Running:
    """One `syncd run`, its pages and its log."""

    def __init__(self, folder: Path, port: int, **environ: str) -> None:
        self.folder = folder
        self.port = port
        self.log = folder / f"log-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SYNCD, "--config", str(folder / "config.toml"), "run"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**{name: value for name, value in os.environ.items() if "SYNCD" not in name}, **environ},
            )

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body; (0, "") where nobody listens yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def until(self, true: Callable[[], Any], seconds: float = 60) -> None:
        """Waits until something holds, or fails with the log."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def cycles(self) -> int:
        """How many went through, by the metrics."""
        for row in self.ask("/metrics")[1].splitlines():
            if row.startswith("syncd_cycle_duration_seconds_count"):
                return int(float(row.split()[-1]))
        return 0

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.log.read_text().splitlines() if row.startswith("{")]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts daemons over one folder; whatever still runs at the end is ended."""
    port = free_port()
    write_files(tmp_path, mode="observe", port=port)
    begun: list[Running] = []

    def begin(every: str = "1h", **environ: str) -> Running:
        path = tmp_path / "config.toml"
        path.write_text(path.read_text().replace('every = "1h"', f'every = "{every}"'))
        begun.append(Running(tmp_path, port, **environ))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_cycle_runs_at_once_and_a_signal_ends_it_with_0(start: Callable[..., Running], number: int) -> None:
    daemon = start()
    daemon.until(daemon.ready)
    health, metrics, page = daemon.ask("/healthz"), daemon.ask("/metrics")[1], daemon.ask("/drift?action=all")

    assert health == (200, '{"ok":true,"reasons":[]}')
    assert 'syncd_cycles_total{result="whole"} 1.0' in metrics
    assert "Contoso" not in metrics
    assert page[0] == 200
    assert "Contoso Dental" in page[1]
    assert '<td class="n">12</td>' in page[1]
    assert daemon.end(number) == 0
    assert [one["event"] for one in daemon.events()][-2:] == ["stopping", "daemon_ended"]
    assert "Traceback" not in daemon.log.read_text()


def test_a_second_daemon_ends_with_1_and_names_the_first(start: Callable[..., Running]) -> None:
    first = start()
    first.until(first.ready)
    begun = time.monotonic()
    second = start()
    status = second.process.wait(60)
    took = time.monotonic() - begun
    said = second.log.read_text()

    assert status == 1
    assert f"process {first.process.pid} on " in said
    assert len(said.splitlines()) == 1
    assert 9.5 < took < 30
    assert first.ready()


def test_a_broken_edit_turns_it_red_and_mending_turns_it_green(start: Callable[..., Running], tmp_path: Path) -> None:
    daemon = start(every="1s")
    mapping = tmp_path / "mappings" / "all.toml"
    daemon.until(daemon.ready)
    mapping.write_text(BROKEN, encoding="utf-8")
    daemon.until(lambda: daemon.ask("/readyz")[0] == 503)
    reasons = json.loads(daemon.ask("/readyz")[1])["reasons"]
    during = daemon.cycles()
    time.sleep(1.5)

    assert reasons[0].startswith("config_invalid: 1 fault in the files")
    assert daemon.cycles() == during
    assert daemon.ask("/healthz")[0] == 200
    assert "bakcup" in daemon.ask("/")[1]
    mapping.write_text(MAPPING, encoding="utf-8")
    daemon.until(daemon.ready)
    daemon.until(lambda: daemon.cycles() > during)
    assert daemon.end() == 0


def test_sighup_reads_the_files_anew_and_runs_a_cycle(start: Callable[..., Running], tmp_path: Path) -> None:
    daemon = start()
    daemon.until(daemon.ready)
    (tmp_path / "export.csv").write_text("Account,Plan,Seats\nContoso Dental,SERVER,13\n", encoding="utf-8")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.cycles() == 2)

    assert '<td class="n">13</td>' in daemon.ask("/drift?action=all")[1]
    assert daemon.end() == 0


def test_a_fixed_clock_is_said_and_holds_for_the_whole_daemon(start: Callable[..., Running]) -> None:
    daemon = start(SYNCD_NOW="2026-11-20T10:00:00-06:00")
    daemon.until(daemon.ready)
    page = daemon.ask("/drift?action=all")[1]

    assert "As of 2026-11-20 10:00." in page
    assert daemon.end() == 0
    assert "2026-11-20T10:00:00-06:00" in daemon.log.read_text()


def test_a_kill_leaves_nothing_that_hinders_the_next_start(start: Callable[..., Running]) -> None:
    first = start()
    first.until(first.ready)
    first.process.kill()
    first.process.wait()
    second = start()
    second.until(second.ready)

    assert second.end() == 0


def test_a_taken_port_and_faulty_files_are_one_line_each(start: Callable[..., Running], tmp_path: Path) -> None:
    port = int((tmp_path / "config.toml").read_text().rpartition(":")[2].strip().strip('"'))
    with socket.create_server(("127.0.0.1", port)):
        taken = start()
        assert taken.process.wait(60) == 1
    (tmp_path / "mappings" / "all.toml").write_text(BROKEN, encoding="utf-8")
    faulty = start()

    assert faulty.process.wait(60) == 2
    assert "[web] › listen" in taken.log.read_text().splitlines()[-1]
    assert len(faulty.log.read_text().splitlines()) == 1
    assert "bakcup" in faulty.log.read_text()


def test_a_record_broken_at_the_start_is_shown_red_and_ends_with_4(start: Callable[..., Running]) -> None:
    first = start()
    first.until(first.ready)
    assert first.end() == 0
    with sqlite3.connect(first.folder / "state" / "syncd.db") as database:
        database.execute("UPDATE meta SET head = 'x'")
    database.close()
    broken = start()
    broken.until(lambda: broken.ask("/readyz")[0] == 503)
    assert "ledger_broken" in broken.ask("/readyz")[1]
    told = [line for line in broken.events() if line["event"] == "ledger_broken"]
    assert "restore a backup" in told[0]["what"]
    assert broken.cycles() == 0
    assert broken.end() == 4
