"""Opens each kind against its own double, as the cycle does."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from syncd.connect.contract import Connection, Connector, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.registry import Kinds
from syncd.model import Moment
from syncd.periods import local_date, month_of
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import small_msp

KINDS = [kind for kind, connector in Kinds().items() if connector.sandbox]
BILLING = [kind for kind in KINDS if Kinds()[kind].abilities.operations]
ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TODAY = local_date(NOW, ZONE)
MOMENT = Moment(NOW, TODAY, month_of(TODAY))


@dataclass
class Stage:
    """A kind, its double, and a connection to it."""

    connector: Connector
    double: Double
    running: Running
    connection: Connection
    ways: list[Http]

    def writes(self) -> int:
        """How often the double changed something because of a request."""
        return len(self.double.effects)


@contextmanager
def stage(kind: str, **settings: Any) -> Iterator[Stage]:
    """A fresh double of three customers and a connection that signs in to it."""
    connector = Kinds()[kind]
    module, _, function = connector.sandbox.partition(":")
    double: Double = getattr(importlib.import_module(module), function)(small_msp(customers=3))
    running = serve(double)
    gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)

    ways: list[Http] = []

    def http(base_url: str, **options: Any) -> Http:
        ways.append(Http(base_url, gate=gate, timeout=1.0, first_wait=0.01, **options))
        return ways[-1]

    keys = {"kind": kind, **double.settings, "base_url": running.url, "token_url": running.url, "retry_wait": "0s"}
    context = Context("under-test", http, lambda: NOW, ZONE, Path(), "sd-test-")
    connection = connector.open(connector.settings.model_validate({**keys, **settings}), context)
    try:
        yield Stage(connector, double, running, connection, ways)
    finally:
        connection.close()
        running.stop()
