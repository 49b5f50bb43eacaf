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

from connectors.stripe import connector
from connectors.stripe.config import StripeSettings
from connectors.stripe.connection import Stripe
from connectors.stripe.sandbox import METER, StripeDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.model import BilledLine, Billing, Count, Moment, Operation, Posting, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 18, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")
PREMIUM = "price_1SyncdM365BP/prod_SyncdM365BP"
VISIO = "price_1SyncdVISIOP2/prod_SyncdVISIOP2"
# The running period of every subscription: from noon (UTC) of the first to noon of the first.
STARTS, ENDS = 1793534400, 1796126400


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.folder = folder
        self.double: StripeDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.url = self.running.url
        self.opened: list[Stripe] = []
        self.moment = MOMENT
        self.timeout = 2.0

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        gate = Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
        return Http(base_url, gate=gate, timeout=self.timeout, first_wait=0.01, **options)

    def connect(self, **keys: Any) -> Stripe:
        """A fresh connection to the double; keys override those of a working one."""
        given = {"kind": "stripe", "base_url": self.url, "api_key": self.double.api_key, "retry_wait": "0s", **keys}
        context = Context(
            name="stripe", http=self.http, clock=lambda: self.moment.now, zone=ZONE, folder=self.folder,
            own_marker="sd-t1-",
        )  # fmt: skip
        opened = connector.open(StripeSettings.model_validate(given), context)
        self.opened.append(opened)
        return opened

    def customer(self, number: int = 1) -> RemoteCustomer:
        """A company of the story."""
        company = self.world.companies[number - 1]
        return RemoteCustomer(self.double.customer(number), company.name)

    def subscription(self, number: int = 1) -> dict[str, Any]:
        """The double's own record."""
        return self.double.subscription_of(self.double.customer(number))

    def item(self, number: int = 1) -> dict[str, Any]:
        """The double's own record of a subscription's first item."""
        return self.double.items_of(self.subscription(number)["id"])[0]

    def billing(self, connection: Stripe | None = None, number: int = 1) -> Billing:
        [billing] = (connection or self.connect()).lines([self.customer(number)], self.moment)
        return billing

    def line(self, number: int = 1) -> BilledLine:
        """A subscription's first item as syncd sees it."""
        return self.billing(number=number).lines[0]

    def booked(self, number: int = 1, connection: Stripe | None = None) -> Reading:
        ask = Ask(self.customer(number), (Query("invoiced"),))
        [reading] = (connection or self.connect()).booked([ask], self.moment)
        return reading

    def counted(self, number: int = 1) -> dict[str, Count]:
        reading = self.booked(number)
        assert reading.proof, reading.reason
        return {one.sku or one.name: one for one in reading.counts}

    def refusal(self, posting: Posting, number: int = 1, connection: Stripe | None = None) -> str:
        """What the connector says before it is sent."""
        one = connection or self.connect()
        return one.refusal(posting, self.billing(one, number), one.products(), self.moment)

    def set(self, **changes: Any) -> Posting:
        """The first customer's seats go from 25 to 27."""
        line = self.line()
        return replace(
            Posting(
                operation=Operation.SET_QUANTITY, key="k1", marker="sd-t1-set", customer_id=line.customer_id,
                agreement_id=line.agreement_id, line_id=line.id, product_id=PREMIUM, product="price_1SyncdM365BP",
                quantity=Decimal(27), before=Decimal(25), version=line.version, period="2026-11", currency="USD",
            ),
            **changes,
        )  # fmt: skip

    def charge(self, **changes: Any) -> Posting:
        """Two seats of November on a line of their own."""
        fields = {
            "operation": Operation.POST_LINE, "key": "k2", "marker": "sd-t1-line", "line_id": "", "before": None,
            "version": "", "quantity": Decimal(2), "unit_price": Decimal("28.00"), "amount": Decimal("56.00"),
            "starts": date(2026, 11, 1), "ends": date(2026, 11, 30),
            "description": "Business Premium, 2026-11: 2 more", **changes,
        }  # fmt: skip
        return replace(self.set(), **fields)

    def add(self, **changes: Any) -> Posting:
        """Three seats of something that the subscription does not have yet."""
        fields = {
            "operation": Operation.ADD_LINE, "key": "k3", "marker": "sd-t1-add", "product_id": VISIO,
            "product": "price_1SyncdVISIOP2", "ends": None, "quantity": Decimal(3), "starts": TODAY, **changes,
        }  # fmt: skip
        return replace(self.charge(), **fields)

    def usage(self, **changes: Any) -> Posting:
        """October's 12.5 hours, reported in November's period."""
        fields = {
            "operation": Operation.REPORT_USAGE, "key": "k4", "marker": "sd-t1-usage", "quantity": Decimal("12.5"),
            "product_id": "price_1SyncdHours/prod_SyncdSupport", "options": {"meter": METER}, "period": "2026-10",
            **changes,
        }  # fmt: skip
        return replace(self.charge(), **fields)


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


@pytest.fixture(autouse=True, scope="session")
def one_trust_store() -> Iterator[None]:
    """Loads the public authorities once: every Http loads them twice, which would be most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield
