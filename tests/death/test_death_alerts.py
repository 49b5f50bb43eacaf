"""Deaths while syncd tells somebody: one episode has one ticket; a message may come twice and is never lost.

Tickets are writes with a mark, like additions. No chat or mail service can be asked what it received, so messages are
at-least-once, and said to be (docs/alerts.md).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from death_points import instants
from death_stage import QUIET, End, Stage, keep, post_line
from test_death_commands import fresh, killed
from test_death_posting import half_written, tally

ONCE = ("run", "--once", "--json")
TICKET = '[[alerts]]\nticket = { in = "cw", board = "Billing", company = "AlderDental" }\non = ["held"]\n'
MESSAGE = '[[alerts]]\nto = "json://127.0.0.1:%d/hook"\non = ["held"]\n'


def waiting(stage: Stage, alerts: str) -> None:
    """A change that waits for a person, and somebody who is told of it."""
    stage.mode, stage.alerts = "propose", alerts
    post_line(stage)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_episode_has_one_ticket(stage: Stage, tmp_path: Path) -> None:
    fresh(stage, lambda stage: waiting(stage, TICKET))
    stage.run("plan")  # the ledger is there
    before = keep(stage, tmp_path)
    steps = instants(stage.steps_of(*ONCE))
    end = End.of(stage)
    assert [effect.split()[0] for effect in end.effects] == ["create_ticket"]
    deaths = [(step, point) for step, point in steps if 6 < point < 16][::2]
    for step, point in deaths:
        killed(stage, before, step, *ONCE)
        half_written(stage, step)
        for _ in range(2):
            assert stage.run() in (1, 3)  # 1 while it is not known whether the ticket is there
            stage.now += QUIET
        assert stage.run() == 3
        assert End.of(stage) == end, step
        tally[18 if 10 <= point <= 15 else 17] += 1
    assert len(deaths) > 12


@contextmanager
def hook() -> Iterator[tuple[int, list[str]]]:
    """Somebody who listens: the port, and the bodies that came."""
    heard: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, heard
        server.shutdown()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_message_is_never_lost(stage: Stage, tmp_path: Path) -> None:
    with hook() as (port, heard):
        fresh(stage, lambda stage: waiting(stage, MESSAGE % port))
        stage.run("plan")
        before = keep(stage, tmp_path)
        steps = stage.steps_of(*ONCE)
        assert len(heard) == 1
        assert "Birchwood" in json.loads(heard[0])["message"]
        sent = next(number for number, step in enumerate(steps) if step.name.endswith("ledger.sending"))
        settled = next(n for n, step in enumerate(steps) if step.name.endswith("ledger.settle:posted") and n > sent)
        unsent = steps[:sent][-60::20]
        doubtful = [step for step in steps[sent : settled + 40] if "/disk." not in step.name][1::3]
        for step in (*unsent, *doubtful):
            heard.clear()
            killed(stage, before, step, *ONCE)
            half_written(stage, step)
            for _ in range(2):
                stage.run()
                stage.now += QUIET
            assert len(heard) == 1 or (len(heard) == 2 and step in doubtful), step
            tally[18 if step in doubtful else 17] += 1
