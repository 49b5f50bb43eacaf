"""A small world, its double over real HTTP, and connections that speak to it through the real way out."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from werkzeug.test import Client

from connectors.microsoft365 import connector
from connectors.microsoft365.config import Microsoft365Settings
from connectors.microsoft365.connection import Microsoft365Connection
from connectors.microsoft365.sandbox import GraphSandbox
from connectors.microsoft365.sandbox_state import TenantState
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import Count, Filters, Moment, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Double, Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
MOMENT = Moment(datetime(2026, 11, 20, 16, tzinfo=UTC), TODAY, Period(date(2026, 11, 1), date(2026, 11, 30)))


class Stage:
    """A server that lives for the whole run and shows one double after the other: starting and stopping takes time."""

    def __init__(self) -> None:
        self.double: Double | None = None
        self.running: Running = serve(cast(Double, self))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert self.double is not None, "nobody is on the stage"
        return self.double(environ, start_response)


class Stages:
    """The stages that are free."""

    def __init__(self) -> None:
        self.free: list[Stage] = []
        self.built: list[Stage] = []

    def show(self, double: Double) -> Stage:
        """A stage that serves this double until it is given back."""
        if not self.free:
            self.built.append(Stage())
            self.free.append(self.built[-1])
        stage = self.free.pop()
        stage.double = double
        return stage

    def back(self, stage: Stage) -> None:
        stage.double = None
        self.free.append(stage)


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, stages: Stages, world: World, folder: Path, **options: Any) -> None:
        self.world = world
        self.folder = folder
        self.sandbox = GraphSandbox(world, **options)
        self._stages = stages
        self._stage = stages.show(self.sandbox.double)
        self.url = self._stage.running.url
        self._open: list[Any] = []
        self.ways: list[Http] = []

    def close(self) -> None:
        for one in (*self._open, *self.ways):
            one.close()
        self._stages.back(self._stage)

    def tenant(self, number: int = 0) -> TenantState:
        return self.sandbox.tenants[self.world.companies[number].tenant_id]

    def control(self, what: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """Asks the double's own controls; the answer must be 200."""
        answer = Client(self.sandbox.double).post(f"/_sandbox/{what}", json=wanted)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        result: dict[str, Any] = answer.get_json()
        return result

    def http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=8, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        way = Http(base_url, gate=gate, timeout=5, first_wait=0.01, **options)
        self.ways.append(way)
        return way

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
        settings = Microsoft365Settings(**{name: value for name, value in given.items() if value is not None})
        context = Context("m365", self.http, real_now, ZoneInfo("UTC"), self.folder)
        connection = connector.open(settings, context)
        self._open.append(connection)
        assert isinstance(connection, Microsoft365Connection)
        return connection

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


_once = cache(ssl.create_default_context)


@pytest.fixture(autouse=True)
def _authorities_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client reads all certificate authorities, 26 ms each; the doubles need none of them."""
    monkeypatch.setattr(ssl, "create_default_context", _once)


@pytest.fixture(scope="session")
def stages() -> Iterator[Stages]:
    stages = Stages()
    yield stages
    for stage in stages.built:
        stage.running.stop()


@pytest.fixture
def make_bench(tmp_path: Path, stages: Stages) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(**options: Any) -> Bench:
        benches.append(Bench(stages, options.pop("world", None) or known_world(), tmp_path, **options))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
