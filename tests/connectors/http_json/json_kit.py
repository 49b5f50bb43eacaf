"""Benches of a parametrised vendor, and connections that are declared to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import connector_kit
import pytest
from connector_kit import MOMENT

from connectors.http_json import connector
from connectors.http_json.sandbox import JsonSandbox
from syncd.connect.contract import Ask, Connection
from syncd.model import Query, Reading, RemoteCustomer
from syncd.sandbox.kit import Double
from syncd.sandbox.world import small_msp

NOW = MOMENT.now
QUANTITY = Query("quantity")

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


class Bench(connector_kit.Bench[Double]):
    """A double that listens, and whatever is declared to it."""

    def __init__(self, folder: Path, double: Double) -> None:
        super().__init__(folder, double)
        self.patience = timedelta(minutes=1)

    def open(self, settings: dict[str, Any], **changes: Any) -> Connection:
        """A connection that is declared so; None takes a key away."""
        keys = {"base_url": self.url, "token_url": self.url, "retry_wait": "0s", **settings, **changes}
        opened: Connection = self._open(connector, keys)
        return opened

    def connect(self, **keys: Any) -> Connection:
        return self.open(BASE, **keys)

    def customer(self) -> RemoteCustomer:
        return self.connect().customers()[0]


Serve = Callable[..., tuple[JsonSandbox, Bench]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serve]:
    """Starts doubles of three customers; options are those of JsonSandbox."""
    with ExitStack() as benches:

        def start(**options: Any) -> tuple[JsonSandbox, Bench]:
            vendor = JsonSandbox(small_msp(customers=3), **options)
            vendor.double.retry_after = "0"
            return vendor, benches.enter_context(Bench(tmp_path, vendor.double))

        yield start


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
