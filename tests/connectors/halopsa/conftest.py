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

from connectors.halopsa import connector
from connectors.halopsa.config import HaloSettings
from connectors.halopsa.connection import Halo
from connectors.halopsa.sandbox import HaloDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import BilledLine, Billing, Filters, Moment, Operation, Posting, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 18, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")
LINE = 24_010  # the first client's Business Premium: 25 seats, written by hand
CALCULATED = "24021/3021"  # the second client's Exchange: calculated from a distributor's licence


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.folder = folder
        self.double: HaloDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.url = self.running.url
        self.opened: list[Halo] = []
        self.moment = MOMENT
        self.timeout = 2.0

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        return Http(base_url, gate=gate, timeout=self.timeout, first_wait=0.01, **options)

    def connect(self, **keys: Any) -> Halo:
        """A fresh connection to the double; keys override those of a working one, None leaves one out."""
        given = {
            "kind": "halopsa",
            "base_url": self.url,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "tenant": "acme",
            "retry_wait": "0s",
            **keys,
        }
        settings = HaloSettings.model_validate({name: value for name, value in given.items() if value is not None})
        context = Context(
            name="halo", http=self.http, clock=lambda: self.moment.now, zone=ZONE, folder=self.folder,
            own_marker="sd-t1-",
        )  # fmt: skip
        opened = connector.open(settings, context)
        self.opened.append(opened)
        return opened

    def customer(self, number: int = 1) -> RemoteCustomer:
        """A company of the story."""
        company = self.world.companies[number - 1]
        return RemoteCustomer(str(100 + number), company.name)

    def billing(self, connection: Halo | None = None, number: int = 1) -> Billing:
        [billing] = (connection or self.connect()).lines([self.customer(number)], self.moment)
        return billing

    def line(self, number: int | str = LINE, client: int = 1) -> BilledLine:
        """A line as syncd sees it."""
        return next(one for one in self.billing(number=client).lines if one.id == str(number))

    def reading(self, measure: str, where: Filters = (), connection: Halo | None = None, number: int = 1) -> Reading:
        ask = Ask(self.customer(number), (Query(measure, where),))
        [reading] = (connection or self.connect()).counts([ask], self.moment)
        return reading

    def booked(self, number: int = 1, connection: Halo | None = None) -> Reading:
        ask = Ask(self.customer(number), (Query("invoiced"),))
        [reading] = (connection or self.connect()).booked([ask], self.moment)
        return reading

    def row(self, number: int = LINE) -> dict[str, Any]:
        """The double's own record of a line."""
        found = self.double.find_line(number)
        assert found is not None
        return found[1]

    def refusal(self, posting: Posting, number: int = 1, connection: Halo | None = None) -> str:
        """What the connector says before it is sent."""
        one = connection or self.connect()
        return one.refusal(posting, self.billing(one, number), one.products(), self.moment)


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
    customer_id="101",
    agreement_id="-91",
    line_id=str(LINE),
    product_id="401",
    product="M365-BP",
    quantity=Decimal(27),
    before=Decimal(25),
    period="2026-11",
)
COUNT = replace(
    SET, customer_id="102", agreement_id="-92", line_id=CALCULATED, product_id="403", product="EXO-P1",
    quantity=Decimal(4), before=Decimal(2), options={"via": "licence"},
)  # fmt: skip
DRAFT = replace(
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
ADD = replace(
    DRAFT, operation=Operation.ADD_LINE, marker="sd-t1-add", product_id="405", product="VISIO-P2", ends=None,
    unit_price=Decimal("20.00"), unit_cost=Decimal("15.00"), starts=date(2026, 12, 1),
)  # fmt: skip


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each kind that fits the story."""
    return {"set": SET, "count": COUNT, "draft": DRAFT, "add": ADD}


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every Http loads them twice, which would be most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
