"""Microsoft 365's bench."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import MOMENT, TODAY

from connectors.microsoft365 import connector
from connectors.microsoft365.connection import Microsoft365Connection
from connectors.microsoft365.sandbox import GraphSandbox
from connectors.microsoft365.sandbox_state import TenantState
from syncd.clock import real_now
from syncd.connect.contract import Ask
from syncd.model import Count, Filters, Moment, Query, Reading, RemoteCustomer
from syncd.sandbox.kit import Double
from syncd.sandbox.world import World, small_msp


class Bench(connector_kit.Bench[Double]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, world: World | None = None, **options: Any) -> None:
        self.world = world or known_world()
        self.sandbox = GraphSandbox(self.world, **options)
        super().__init__(folder, self.sandbox.double)
        self.timeout = 5.0
        self.concurrency = 8

    def clock(self) -> datetime:
        return real_now()

    def tenant(self, number: int = 0) -> TenantState:
        return self.sandbox.tenants[self.world.companies[number].tenant_id]

    @cached_property
    def connection(self) -> Microsoft365Connection:
        """One connection that works, made when first asked for."""
        return self.connect()

    def connect(self, **keys: Any) -> Microsoft365Connection:
        """A connection to the double; keys override those of a working one, None leaves one out."""
        given = {
            "kind": "microsoft365",
            "tenant_id": self.world.partner_tenant,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "base_url": self.url,
            "token_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **keys,
        }
        opened: Microsoft365Connection = self._open(connector, given)
        return opened

    def customer(self, number: int = 0) -> RemoteCustomer:
        company = self.world.companies[number]
        return RemoteCustomer(company.tenant_id, company.name, (company.domain,))

    def ask(self, *queries: Query, number: int = 0, moment: Moment = MOMENT, **keys: Any) -> list[Reading]:
        """The readings of one customer, in the order of the queries."""
        connection = self.connect(**keys) if keys else self.connection
        readings = list(connection.counts([Ask(self.customer(number), queries)], moment))
        assert [reading.query for reading in readings] == list(queries)
        return readings

    def one(self, measure: str, *, number: int = 0, where: Filters = (), **keys: Any) -> Reading:
        return self.ask(Query(measure, where), number=number, **keys)[0]

    def quantity(self, measure: str, sku: str = "SPB", *, number: int = 0, where: Filters = ()) -> str:
        return str(count_of(self.one(measure, number=number, where=where), sku).quantity)

    def paths(self, part: str = "") -> list[str]:
        """Paths asked of Graph, in order."""
        return [one.path for one in self.sandbox.double.requests if part in one.path]


def count_of(reading: Reading, sku: str) -> Count:
    assert reading.state == "known", reading.reason
    (count,) = [count for count in reading.counts if sku in (count.sku, *count.aliases)]
    return count


def known_world() -> World:
    """Three customers; in the first one everybody is enabled except the third person, and the fifth is a guest."""
    world = small_msp(customers=3, today=TODAY)
    first = world.companies[0]
    people = tuple(
        dataclasses.replace(person, enabled=order != 2, guest=order == 4) for order, person in enumerate(first.people)
    )
    return dataclasses.replace(world, companies=(dataclasses.replace(first, people=people), *world.companies[1:]))
