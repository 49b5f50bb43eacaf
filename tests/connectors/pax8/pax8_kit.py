"""A double of Pax8 over real HTTP, a connection to it, and shortcuts to what a test asks of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from werkzeug.test import Client

from connectors.pax8 import connector
from connectors.pax8.sandbox import Pax8Double
from syncd.clock import real_now
from syncd.connect.contract import Ask, Connection, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer
from syncd.periods import month_of
from syncd.sandbox.kit import serve
from syncd.sandbox.world import small_msp

TODAY = date(2026, 11, 20)
ZONE = ZoneInfo("America/Chicago")


def moment(day: date = TODAY, hour: int = 18) -> Moment:
    """That hour in UTC; the MSP's day is the same."""
    return Moment(datetime(day.year, day.month, day.day, hour, tzinfo=UTC), day, month_of(day))


@dataclass
class Bench:
    double: Pax8Double
    url: str
    ways: list[Http]
    folder: Path

    def connect(self, **keys: Any) -> Connection:
        """A connection to the double; keys override those of a working one."""
        given = {
            "kind": "pax8",
            "base_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        context = Context("pax8", self._http, real_now, ZONE, self.folder)
        return connector.open(connector.settings.model_validate(given), context)

    def _http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        self.ways.append(Http(base_url, gate=gate, timeout=5, first_wait=0.01, **options))
        return self.ways[-1]

    def customer(self, number: int = 0) -> RemoteCustomer:
        row = self.double.stock.companies[number]
        return RemoteCustomer(row["id"], row["name"])

    def read(self, measure: str = "quantity", number: int = 0, at: Moment | None = None) -> Reading:
        """One company's reading, on a connection of its own."""
        ask = Ask(self.customer(number), (Query(measure),))
        (reading,) = self.connect().counts([ask], at or moment())
        return reading

    def count(self, sku: str, measure: str = "quantity", number: int = 0, at: Moment | None = None) -> Count:
        """The one count that a mapping with this `sku` would find."""
        reading = self.read(measure, number, at)
        assert reading.state == "known", reading.reason
        (count,) = [one for one in reading.counts if sku in (one.sku, *one.aliases)]
        return count

    def control(self, what: str, **wanted: Any) -> dict[str, Any]:
        answer = Client(self.double).post(f"/_sandbox/{what}", json=wanted)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.get_json())

    def sell(self, sku: str, quantity: Any, number: int = 0, **fields: Any) -> dict[str, Any]:
        company = self.double.stock.companies[number]["id"]
        return self.control("subscription", company=company, sku=sku, quantity=quantity, **fields)


@contextmanager
def benches(folder: Path, **options: Any) -> Iterator[Bench]:
    double = Pax8Double(small_msp(customers=3, today=TODAY), **options)
    running = serve(double)
    bench = Bench(double, running.url, [], folder)
    try:
        yield bench
    finally:
        for way in bench.ways:
            way.close()
        running.stop()


def lie(bench: Bench, path: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Every 200 to a GET of exactly this path is changed."""
    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Any:
        response = honest(request, fault)
        if request.path == path and response.status_code == 200:
            body = msgspec.json.decode(response.get_data())
            change(body)
            response.set_data(msgspec.json.encode(body))
        return response

    bench.double._answer = answer  # type: ignore[method-assign]
