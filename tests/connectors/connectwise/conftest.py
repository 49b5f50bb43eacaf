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

from connectors.connectwise import connector
from connectors.connectwise.config import ConnectWiseSettings
from connectors.connectwise.connection import ConnectWise
from connectors.connectwise.sandbox import ConnectWiseDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import Billing, Filters, Moment, Operation, Posting, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 16, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.folder = folder
        self.double: ConnectWiseDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.url = self.running.url
        self.opened: list[ConnectWise] = []
        self.ways: list[dict[str, Any]] = []
        self.moment = MOMENT
        self.timeout = 2.0

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        self.ways.append({"base_url": base_url, **options})
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        return Http(base_url, gate=gate, timeout=self.timeout, first_wait=0.01, **options)

    def connect(self, **keys: Any) -> ConnectWise:
        """A fresh connection to the double; keys override those of a working one, None leaves one out."""
        given = {
            "kind": "connectwise",
            "company": "acme",
            "public_key": "public",
            "private_key": "private",
            "client_id": "sandbox-client",
            "base_url": self.url,
            **keys,
        }
        settings = ConnectWiseSettings.model_validate({name: value for name, value in given.items() if value})
        context = Context(
            name="cw", http=self.http, clock=lambda: self.moment.now, zone=ZONE, folder=self.folder, own_marker="sd-t1-"
        )
        opened = connector.open(settings, context)
        self.opened.append(opened)
        return opened

    @property
    def customer(self) -> RemoteCustomer:
        """The first company of the story: 25 billed seats, and a child agreement."""
        return RemoteCustomer("251", "Alder Dental Group", ("AlderDental",))

    def billing(self, connection: ConnectWise | None = None, customer: RemoteCustomer | None = None) -> Billing:
        [billing] = (connection or self.connect()).lines([customer or self.customer], self.moment)
        return billing

    def reading(self, measure: str, where: Filters = (), connection: ConnectWise | None = None) -> Reading:
        ask = Ask(self.customer, (Query(measure, where),))
        [reading] = (connection or self.connect()).counts([ask], self.moment)
        return reading

    def row(self, addition: int = 30_100) -> dict[str, Any]:
        """The double's own record of an addition."""
        return self.double.tables["additions"][addition]

    def wrote(self, method: str) -> int:
        """How many requests of a method the double has seen."""
        return sum(1 for one in self.double.requests if one.method == method)


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


SET = Posting(
    operation=Operation.SET_QUANTITY,
    key="k1",
    marker="sd-t1-set",
    customer_id="251",
    agreement_id="1001",
    line_id="30100",
    product_id="400",
    product="M365-BP",
    quantity=Decimal(27),
    before=Decimal(25),
    period="2026-11",
)
LINE = replace(
    SET,
    operation=Operation.POST_LINE,
    marker="sd-t1-line",
    line_id="",
    before=None,
    quantity=Decimal(2),
    unit_price=Decimal("28.00"),
    unit_cost=Decimal("22.00"),
    starts=date(2026, 11, 1),
    ends=date(2026, 11, 30),
    description="Microsoft 365 Business Premium, 2026-11: 2 seats more",
)
CREDIT = replace(LINE, operation=Operation.POST_CREDIT, marker="sd-t1-credit", amount=Decimal("56.00"))
ADD = replace(LINE, operation=Operation.ADD_LINE, marker="sd-t1-add", product_id="404", product="VISIO-P2", ends=None)
ADD = replace(ADD, unit_price=Decimal("20.00"), unit_cost=Decimal("15.00"), starts=date(2026, 12, 1))
END = replace(SET, operation=Operation.END_LINE, quantity=Decimal(0), ends=date(2026, 11, 30))
EVERY = {"set": SET, "line": LINE, "credit": CREDIT, "add": ADD, "end": END}


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each operation that fits the story's first company."""
    return dict(EVERY)


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every Http loads them twice, which would be most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
