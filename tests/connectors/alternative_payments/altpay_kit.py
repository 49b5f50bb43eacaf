"""A double of Alternative Payments over real HTTP, a connection to it, and a posting that it accepts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.test import Client

from connectors.alternative_payments import connector
from connectors.alternative_payments.connection import Payments
from connectors.alternative_payments.sandbox import PaymentsDouble
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import Billing, Moment, Operation, Posting, Query, Reading, RemoteCustomer
from syncd.periods import month_of
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import small_msp

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
ZONE = ZoneInfo("America/Chicago")
MOMENT = Moment(NOW, TODAY, month_of(TODAY))
ITEM = "Microsoft 365 Business Premium"


@dataclass
class Bench:
    """`now` is the time of both sides."""

    double: PaymentsDouble
    running: Running
    folder: Path
    ways: list[Http] = field(default_factory=list)

    def connect(self, **keys: Any) -> Payments:
        """A connection that signs in to the double; keys override those of a working one."""
        given = {
            "kind": "alternative_payments",
            "base_url": self.running.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        settings = connector.settings.model_validate({name: one for name, one in given.items() if one is not None})
        context = Context("payments", self._http, lambda: NOW, ZONE, self.folder, "sd-test-")
        return connector.open(settings, context)

    def _http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=lambda: NOW)
        self.ways.append(Http(base_url, gate=gate, timeout=5, first_wait=0.01, **options))
        return self.ways[-1]

    def customer(self, number: int = 0) -> RemoteCustomer:
        row = self.double.customers[number]
        return RemoteCustomer(row["id"], row["name"])

    def invoiced(self, number: int = 0, **keys: Any) -> Reading:
        """What was invoiced to one customer in the period, on a connection of its own."""
        (reading,) = self.connect(**keys).booked([Ask(self.customer(number), (Query("invoiced"),))], MOMENT)
        return reading

    def billing(self, number: int = 0, **keys: Any) -> Billing:
        (billing,) = self.connect(**keys).lines([self.customer(number)], MOMENT)
        return billing

    def control(self, what: str, **wanted: Any) -> dict[str, Any]:
        answer = Client(self.double).post(f"/_sandbox/{what}", json=wanted)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return dict(answer.get_json())

    def asked(self) -> list[str]:
        """Every request so far, without its query."""
        return [f"{one.method} {one.path}" for one in self.double.requests]

    def posting(self, number: int = 0, **fields: Any) -> Posting:
        made: dict[str, Any] = {
            "operation": Operation.POST_LINE,
            "key": "k1",
            "marker": "sd-test-aaaabbbbccccdddd",
            "customer_id": self.customer(number).id,
            "quantity": Decimal(3),
            "product_id": ITEM,
            "product": ITEM,
            "unit_price": Decimal("28.00"),
            "amount": Decimal("84.00"),
            "currency": "USD",
            "starts": date(2026, 11, 1),
            "ends": date(2026, 11, 30),
            "period": "2026-11",
            "description": f"{ITEM}, 2026-11: 3 more, 0 to 3",
        }
        return Posting(**(made | fields))


@contextmanager
def benches(folder: Path, **options: Any) -> Iterator[Bench]:
    double = PaymentsDouble(small_msp(customers=4, today=TODAY), now=lambda: NOW, **options)
    bench = Bench(double, serve(double), folder)
    try:
        yield bench
    finally:
        for way in bench.ways:
            way.close()
        bench.running.stop()
