"""A parametrised vendor over real HTTP, and connections that are declared to it."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.http_json import connector
from connectors.http_json.config import HttpJsonSettings
from connectors.http_json.sandbox import JsonSandbox
from syncd.connect.contract import Ask, Connection, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.rotating import InMemory
from syncd.model import Moment, Query, Reading, RemoteCustomer
from syncd.periods import local_date, month_of
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import small_msp

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
ZONE = ZoneInfo("America/Chicago")
TODAY = local_date(NOW, ZONE)
MOMENT = Moment(NOW, TODAY, month_of(TODAY))
QUANTITY = Query("quantity")

# Every Http with TLS loads the public authorities, which would be most of these tests' time.
ssl.create_default_context = functools.cache(ssl.create_default_context)

BASE: dict[str, Any] = {
    "kind": "http_json",
    "auth": "sandbox-token",
    "request": "/v2/devices",
    "records": "items",
    "customer": "account.id",
    "customer_name": "account.name",
    "sku": "plan",
    "subject": "hostname",
    "total": "meta.total",
    "paginate": "link",
}
EACH: dict[str, Any] = {
    **BASE,
    "request": "/v2/accounts/{id}/devices",
    "each": {"path": "/v2/accounts", "records": "items", "id": "id", "name": "name", "total": "meta.total"},
}


@dataclass
class Bench:
    """A double that listens, and whatever is opened to it."""

    double: Double
    folder: Path
    running: Running
    ways: list[Http] = field(default_factory=list)
    vault: InMemory = field(default_factory=InMemory)

    def open(self, settings: dict[str, Any], **changes: Any) -> Connection:
        """A connection that is declared so; None takes a key away."""
        keys = {"base_url": self.running.url, "token_url": self.running.url, "retry_wait": "0s", **settings, **changes}
        given = HttpJsonSettings.model_validate({name: value for name, value in keys.items() if value is not None})
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)

        def http(base_url: str, **options: Any) -> Http:
            self.ways.append(Http(base_url, gate=gate, timeout=2.0, first_wait=0.01, **options))
            return self.ways[-1]

        return connector.open(given, Context("backup", http, lambda: NOW, ZONE, self.folder, vault=self.vault))


Serve = Callable[..., tuple[JsonSandbox, Bench]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """Starts doubles of three customers; options are those of JsonSandbox."""
    benches: list[Bench] = []

    def start(**options: Any) -> tuple[JsonSandbox, Bench]:
        vendor = JsonSandbox(small_msp(customers=3), **options)
        vendor.double.retry_after = "0"
        benches.append(Bench(vendor.double, tmp_path, serve(vendor.double)))
        return vendor, benches[-1]

    yield start
    for bench in benches:
        for way in bench.ways:
            way.close()
        bench.running.stop()


def read(connection: Connection, *queries: Query) -> dict[str, Reading]:
    """The reading of every customer that is listed."""
    return read_of(connection, list(connection.customers()), *queries)


def read_of(connection: Connection, customers: list[RemoteCustomer], *queries: Query) -> dict[str, Reading]:
    asks = [Ask(customer, queries or (QUANTITY,)) for customer in customers]
    return {reading.customer_id: reading for reading in connection.counts(asks, MOMENT)}


def quantities(readings: dict[str, Reading]) -> dict[str, dict[str, str]]:
    """customer -> sku -> quantity; every reading must be KNOWN."""
    assert all(reading.state == "known" for reading in readings.values()), readings
    return {id_: {count.sku: str(count.quantity) for count in one.counts} for id_, one in readings.items()}
