"""Each connection has a budget of its own: its keys reach its gate, and nobody else's traffic counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncd.config import load
from syncd.connect.limits import Gate
from syncd.connect.registry import Kinds
from syncd.cycle.connections import open_connections
from syncd.ledger import Ledger
from syncd.sandbox.kit import Double, serve

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
CONFIG = """
[syncd]
concurrency = 7
[connections.slow]
kind = "http_json"
base_url = "{url}"
auth = {{ kind = "bearer", token = "sandbox-token" }}
request = {{ path = "/rows" }}
records = "items"
customer = "id"
sku = "plan"
requests_per_minute = 600
concurrency = 2
[connections.fast]
kind = "http_json"
base_url = "{url}"
auth = {{ kind = "bearer", token = "sandbox-token" }}
request = {{ path = "/rows" }}
records = "items"
customer = "id"
sku = "plan"
"""


def gate(**fields: Any) -> Gate:
    given = {"concurrency": 2, "requests_per_minute": None, "patience": timedelta(seconds=5), "now": lambda: NOW}
    return Gate(**{**given, **fields})


def test_requests_of_a_minute_are_spread_and_none_is_refused() -> None:
    one = gate(requests_per_minute=1200)  # one in 50 ms
    began = time.monotonic()
    for _ in range(5):
        with one.slot():
            pass
    assert 0.2 <= time.monotonic() - began < 20
    assert one.requests == 5


def test_never_more_at_once_than_the_budget_says() -> None:
    one, lock = gate(concurrency=2), threading.Lock()
    inside, most = 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        with one.slot():
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert most == 2


def test_the_keys_of_a_connection_are_its_own_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    double = Double("vendor", now=lambda: NOW)
    double.route("GET", "/rows", lambda request: {"items": [{"id": "a", "plan": "x"}]})
    running = serve(double)
    made: list[Mapping[str, Any]] = []
    honest = Gate.__init__

    def noted(self: Gate, **fields: Any) -> None:
        made.append(fields)
        honest(self, **fields)

    monkeypatch.setattr(Gate, "__init__", noted)
    (tmp_path / "config.toml").write_text(CONFIG.format(url=running.url))
    (tmp_path / "mappings").mkdir()
    kinds = Kinds()
    config, _ = load(tmp_path / "config.toml", kinds, {}, may_be_empty=True)
    try:
        with (
            Ledger.open(config.database, lambda: NOW, folder=config.folder) as ledger,
            open_connections(config, kinds, lambda: NOW, ledger) as opened,
        ):
            assert [(one["concurrency"], one["requests_per_minute"]) for one in made] == [(2, 600), (7, None)]
            assert (opened["slow"].threads, opened["fast"].threads) == (2, 7)
            began = time.monotonic()
            for _ in range(4):
                opened["slow"].connection.sign_in()
            assert time.monotonic() - began >= 0.3  # 600 a minute: one in 100 ms
            opened["fast"].connection.sign_in()
            assert opened["fast"].requests() == 1
            assert opened["slow"].requests() >= 4
    finally:
        running.stop()
