"""A double of Partner Center over real HTTP, a connection to it, and shortcuts to what a test asks of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from werkzeug.test import Client

from connectors.partnercenter import connector
from connectors.partnercenter.sandbox import PartnerCenterDouble
from syncd.clock import real_now
from syncd.connect.contract import Ask, Connection, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.rotating import InMemory, Vault
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer
from syncd.periods import month_of
from syncd.sandbox.kit import serve
from syncd.sandbox.world import small_msp

TODAY = date(2026, 11, 20)
QUANTITY = Query("quantity")
SPB, NEW = "CFQ7TTC0LCHC:0002", "CFQ7TTC0NEW1:0001"


def moment(day: date = TODAY) -> Moment:
    """18:00 UTC, noon in Chicago."""
    return Moment(datetime(day.year, day.month, day.day, 18, tzinfo=UTC), day, month_of(day))


@dataclass
class Bench:
    double: PartnerCenterDouble
    url: str
    folder: Path
    ways: list[Http] = field(default_factory=list)
    vault: Vault = field(default_factory=InMemory)

    def connect(self, **keys: Any) -> Connection:
        """A connection to the double; keys override those of a working one. All share one vault, as restarts do."""
        given = {
            "kind": "partnercenter",
            "base_url": self.url,
            "token_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        context = Context("pc", self._http, real_now, ZoneInfo("America/Chicago"), self.folder, vault=self.vault)
        return connector.open(connector.settings.model_validate(given), context)

    def _http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        self.ways.append(Http(base_url, gate=gate, timeout=5, first_wait=0.01, **options))
        return self.ways[-1]

    def customer(self, number: int = 0) -> RemoteCustomer:
        company = self.double.world.companies[number]
        return RemoteCustomer(company.tenant_id, company.name)

    def read(self, number: int = 0, at: Moment | None = None) -> Reading:
        (reading,) = self.connect().counts([Ask(self.customer(number), (QUANTITY,))], at or moment())
        return reading

    def count(self, sku: str = NEW, number: int = 0, at: Moment | None = None) -> Count:
        """The one count that a mapping with this `sku` would find."""
        reading = self.read(number, at)
        assert reading.state == "known", reading.reason
        (count,) = [one for one in reading.counts if sku in (one.sku, *one.aliases)]
        return count

    def control(self, what: str, **wanted: Any) -> dict[str, Any]:
        answer = Client(self.double).post(f"/_sandbox/{what}", json=wanted)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.get_json())

    def sell(self, quantity: Any, number: int = 0, **fields: Any) -> dict[str, Any]:
        offer = fields.pop("offer", f"{NEW}:CFQ7TTC0AV01")
        return self.control("subscription", customer=self.customer(number).id, offer=offer, quantity=quantity, **fields)

    def lie(self, path: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Every 200 to a GET whose path ends so is changed."""
        honest = self.double._answer

        def answer(request: Any, fault: str) -> Any:
            response = honest(request, fault)
            if request.path.endswith(path) and response.status_code == 200:
                body = msgspec.json.decode(response.get_data())
                change(body)
                response.set_data(msgspec.json.encode(body))
            return response

        self.double._answer = answer  # type: ignore[method-assign]


@contextmanager
def benches(folder: Path) -> Iterator[Bench]:
    double = PartnerCenterDouble(small_msp(customers=3, today=TODAY))
    double.retry_after = ""
    running = serve(double)
    bench = Bench(double, running.url, folder)
    try:
        yield bench
    finally:
        for way in bench.ways:
            way.close()
        running.stop()
