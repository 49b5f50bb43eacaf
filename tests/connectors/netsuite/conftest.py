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

from connectors.netsuite import connector
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.connection import NetSuite
from connectors.netsuite.sandbox import NetSuiteDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import Billing, Moment, Operation, Posting, Query, Reading, RemoteCustomer
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
        self.double: NetSuiteDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.url = self.running.url
        self.opened: list[NetSuite] = []
        self.moment = MOMENT

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=1, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        return Http(base_url, gate=gate, timeout=2.0, first_wait=0.01, **options)

    def settings(self, **keys: Any) -> NetSuiteSettings:
        """Those of a working connection; keys override, None leaves one out."""
        given = {"kind": "netsuite", **self.double.settings, "base_url": self.url, "retry_wait": "0s", **keys}
        return NetSuiteSettings.model_validate({name: value for name, value in given.items() if value is not None})

    def by_token(self, **keys: Any) -> NetSuite:
        """A connection that signs in by token-based authentication."""
        without = dict.fromkeys(("client_id", "certificate_id", "private_key"))
        return self.connect(**without, **self.double.tokens, **keys)

    def connect(self, **keys: Any) -> NetSuite:
        context = Context(
            name="books", http=self.http, clock=lambda: self.moment.now, zone=ZONE, folder=self.folder,
            own_marker="sd-t1-",
        )  # fmt: skip
        opened = connector.open(self.settings(**keys), context)
        self.opened.append(opened)
        return opened

    def customer(self, number: int = 1) -> RemoteCustomer:
        """A company of the story."""
        return RemoteCustomer(str(100 + number), self.world.companies[number - 1].name)

    def billing(self, number: int = 1, connection: NetSuite | None = None) -> Billing:
        [billing] = (connection or self.connect()).lines([self.customer(number)], self.moment)
        return billing

    def booked(self, number: int = 1, connection: NetSuite | None = None, moment: Moment = MOMENT) -> Reading:
        ask = Ask(self.customer(number), (Query("invoiced"),))
        [reading] = (connection or self.connect()).booked([ask], moment)
        return reading

    def refusal(self, posting: Posting, number: int = 1, **keys: Any) -> str:
        """What the connector says before it is sent."""
        one = self.connect(**keys)
        return one.refusal(posting, self.billing(number, one), one.products(), self.moment)

    def writes(self, record: str) -> int:
        """How often a creation was asked for."""
        path = f"/services/rest/record/v1/{record}"
        return sum(one.method == "POST" and one.path == path for one in self.double.requests)


class Read:
    """A bench whose books were read: refusals are pure and need them once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._connection = bench.connect()
        self._billing = bench.billing(1, self._connection)
        self._products = self._connection.products()

    def refusal(self, posting: Posting) -> str:
        return self._connection.refusal(posting, self._billing, self._products, self.bench.moment)


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Read]:
    """What was read once for all tests of a file."""
    made = Bench(tmp_path_factory.mktemp("read"))
    yield Read(made)
    made.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench with the double's defaults."""
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


CHARGE = Posting(
    operation=Operation.POST_LINE,
    key="k-charge",
    marker="sd-t1-charge",
    customer_id="101",
    product_id="501",
    product="M365-BP",
    quantity=Decimal(2),
    unit_price=Decimal("28.00"),
    amount=Decimal("56.00"),
    currency="USD",
    starts=date(2026, 11, 1),
    ends=date(2026, 11, 30),
    period="2026-11",
    description="Microsoft 365 Business Premium, 2026-11: 2 seats more",
)
INVOICE = replace(CHARGE, key="k-invoice", marker="sd-t1-invoice", options={"document": "invoice"})
SECOND = replace(
    INVOICE, key="k-second", marker="sd-t1-second", product_id="503", product="EXO-P1", quantity=Decimal(3),
    unit_price=None, amount=Decimal("10.00"), description="Exchange, 2026-11: 3 mailboxes, 10.00",
)  # fmt: skip
CREDIT = replace(CHARGE, operation=Operation.POST_CREDIT, key="k-credit", marker="sd-t1-credit")


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each kind that fits the story; `second` shares `invoice`'s document."""
    return {"charge": CHARGE, "invoice": INVOICE, "second": SECOND, "credit": CREDIT}


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every Http loads them twice, which would be most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
