"""Opens each kind against its own double, as the cycle does. What runs is made from what the connectors declare."""

from __future__ import annotations

import functools
import importlib
import ssl
import tempfile
from collections.abc import Callable, Iterator
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
from syncd.connect.settings import HttpSettings
from syncd.model import Moment, Operation
from syncd.periods import local_date, month_of
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import small_msp

ALL = Kinds()
# Every kind that speaks HTTP must bring a double; the others have none to be tested against here.
KINDS = [kind for kind, connector in ALL.items() if connector.sandbox]
BILLING = [kind for kind in KINDS if ALL[kind].abilities.operations]
OFFERED = [(kind, operation) for kind in BILLING for operation in sorted(ALL[kind].abilities.operations)]
ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
TODAY = local_date(NOW, ZONE)
MOMENT = Moment(NOW, TODAY, month_of(TODAY))
NAME = "under-test"
# The silence after which a request is given up, and a longer one: seconds.
PATIENCE, SLOW = 1.0, 1.3

# Every Http with TLS loads the public authorities, which would be most of these tests' time.
ssl.create_default_context = functools.cache(ssl.create_default_context)


@dataclass
class Stage:
    """A kind, its double, and a connection to it."""

    connector: Connector
    double: Double
    running: Running
    connection: Connection
    ways: list[Http]
    connection_anew: Callable[[], Connection]  # another one to the same double, which remembers nothing
    now: datetime = NOW
    base: int = 0

    def settled(self) -> None:
        """What the double did so far was preparation and is not counted."""
        self.base = len(self.double.effects)

    def writes(self) -> int:
        """How often the double changed something because of a request, since `settled`."""
        return len(self.double.effects) - self.base

    def customers(self) -> list[Any]:
        return list(self.connection.customers())

    def pass_time(self, span: timedelta) -> None:
        """Moves syncd's clock and the double's."""
        self.now += span
        self.double.advance(span.total_seconds())


@contextmanager
def stage(kind: str, **settings: Any) -> Iterator[Stage]:
    """A fresh double of three customers and a connection that signs in to it."""
    connector = ALL[kind]
    module, _, function = connector.sandbox.partition(":")
    double: Double = getattr(importlib.import_module(module), function)(small_msp(customers=3))
    if hasattr(double, "retry_after"):  # nobody learns more from a second's wait
        double.retry_after = "0"
    running = serve(double)
    gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)

    ways: list[Http] = []

    def http(base_url: str, **options: Any) -> Http:
        ways.append(Http(base_url, gate=gate, timeout=PATIENCE, first_wait=0.01, **options))
        return ways[-1]

    keys: dict[str, Any] = {"kind": kind, **double.settings}
    if issubclass(connector.settings, HttpSettings):
        keys |= {"base_url": running.url, "token_url": running.url, "retry_wait": "0s"}
    with tempfile.TemporaryDirectory() as folder:
        made: list[Stage] = []
        context = Context(NAME, http, lambda: made[0].now if made else NOW, ZONE, Path(folder), "sd-test-")
        given = connector.settings.model_validate({**keys, **settings})
        opened: list[Connection] = []

        def connect() -> Connection:
            opened.append(connector.open(given, context))
            return opened[-1]

        made.append(Stage(connector, double, running, connect(), ways, connect))
        try:
            yield made[0]
        finally:
            for connection in opened:
                connection.close()
            running.stop()


def declared(double: Double, name: str) -> Callable[..., Any] | None:
    """What a double offers the suite beyond the kit (docs/connectors.md, "What proves it"); None where it does not."""
    offered: Callable[..., Any] | None = getattr(double, name, None)
    return offered


__all__ = ["ALL", "BILLING", "KINDS", "MOMENT", "NOW", "OFFERED", "TODAY", "Operation", "Stage", "stage"]
