"""A small world, its double over real HTTP, and connections that speak to it through the real way out."""

from __future__ import annotations

import functools
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.xero import connector
from connectors.xero.config import XeroSettings
from connectors.xero.connection import Xero
from connectors.xero.sandbox import XeroDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.rotating import InMemory, Vault
from syncd.model import Billing, Count, Moment, Operation, Posting, Product, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 18, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.folder = folder
        self.double: XeroDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.opened: list[Xero] = []
        self.vault: Vault = InMemory()
        self.patience = timedelta(seconds=5)
        self.gates: list[Gate] = []
        self.gate: Gate | None = None
        self.moment = MOMENT

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        gate = self.gate or Gate(concurrency=4, requests_per_minute=None, patience=self.patience, now=real_now)
        self.gates.append(gate)
        return Http(base_url, gate=gate, timeout=2.0, first_wait=0.01, **options)

    def connect(self, **keys: Any) -> Xero:
        """A fresh connection to the double; keys override those of a working one, None leaves one out."""
        url = self.running.url
        given = {"kind": "xero", "base_url": url, "token_url": url, **self.double.settings, **keys}
        settings = XeroSettings.model_validate({name: value for name, value in given.items() if value is not None})
        context = Context(
            name="books", http=self.http, clock=lambda: self.moment.now, zone=ZONE, folder=self.folder,
            own_marker="sd-t1-", vault=self.vault,
        )  # fmt: skip
        opened = connector.open(settings, context)
        self.opened.append(opened)
        return opened

    def contact(self, number: int = 1) -> dict[str, Any]:
        """The double's own record of a company."""
        return self.double.contact(self.world.companies[number - 1].name)

    def customer(self, number: int = 1) -> RemoteCustomer:
        """A company as syncd knows it."""
        return RemoteCustomer(self.contact(number)["ContactID"], self.world.companies[number - 1].name)

    def product(self, code: str = "M365-BP", connection: Xero | None = None) -> Product:
        return next(one for one in (connection or self.connect()).products() if one.identifier == code)

    def billing(self, number: int = 1, connection: Xero | None = None) -> Billing:
        [billing] = (connection or self.connect()).lines([self.customer(number)], self.moment)
        return billing

    def booked(self, number: int = 1, connection: Xero | None = None) -> Reading:
        ask = Ask(self.customer(number), (Query("invoiced"),))
        [reading] = (connection or self.connect()).booked([ask], self.moment)
        return reading

    def counts(self, number: int = 1) -> dict[str, Count]:
        reading = self.booked(number)
        assert reading.state == "known", reading.reason
        assert reading.proof
        return {count.sku or count.name: count for count in reading.counts}

    def refusal(self, posting: Posting, number: int = 1) -> str:
        """What the connector says before it is sent."""
        one = self.connect()
        return one.refusal(posting, self.billing(number, one), one.products(), self.moment)

    def line(self, **fields: Any) -> Posting:
        """Two seats of Business Premium beyond what is billed to the first company, in November."""
        item = self.double.books.by_code(fields.get("product", "M365-BP"))
        given: dict[str, Any] = {
            "operation": Operation.POST_LINE, "key": "k1", "marker": "sd-t1-aaaa", "quantity": Decimal(2),
            "customer_id": self.contact()["ContactID"], "product_id": item["ItemID"] if item else "",
            "product": "M365-BP", "unit_price": Decimal("28.00"), "amount": Decimal("56.00"), "currency": "USD",
            "starts": NOVEMBER.first, "ends": NOVEMBER.last, "period": "2026-11",
            "description": "Microsoft 365 Business Premium, 2026-11: 2 more, 25 to 27",
        }  # fmt: skip
        return Posting(**{**given, **fields})

    def credit(self, **fields: Any) -> Posting:
        """One seat less."""
        given = {"operation": Operation.POST_CREDIT, "key": "k2", "marker": "sd-t1-cccc", "quantity": Decimal(1),
                 "amount": Decimal("28.00")}  # fmt: skip
        return self.line(**{**given, **fields})

    def post(self, posting: Posting, connection: Xero | None = None) -> Any:
        """Sends a posting's own document."""
        one = connection or self.connect()
        return one.send(posting, one.wire(posting))

    def documents(self, resource: str = "Invoices") -> list[dict[str, Any]]:
        """Syncd's own documents in the double."""
        rows = self.double.books.tables[resource].values()
        return [row for row in rows if "sd-" in (row.get("Reference") or "")]

    def writes(self) -> list[str]:
        return [one.what for one in self.double.effects]

    def asked(self, path: str) -> list[Any]:
        """What the double was asked for, by the end of the path."""
        return [one for one in self.double.requests if one.path.endswith(path)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench with the double's defaults: a custom connection to one organisation."""
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Benches with options of the double."""
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every Http loads them twice, which would be most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


__all__ = ["MOMENT", "NOVEMBER", "Bench", "replace"]
