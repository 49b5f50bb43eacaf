"""Stripe's bench, with a posting of each kind for its first customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY

from connectors.stripe import connector
from connectors.stripe.connection import Stripe
from connectors.stripe.sandbox import METER, StripeDouble, build
from syncd.model import BilledLine, Count, Operation, Posting, RemoteCustomer
from syncd.sandbox.world import World, small_msp

PREMIUM = "price_1SyncdM365BP/prod_SyncdM365BP"
VISIO = "price_1SyncdVISIOP2/prod_SyncdVISIOP2"
# The running period of every subscription: from noon (UTC) of the first to noon of the first.
STARTS, ENDS = 1793534400, 1796126400


class Bench(connector_kit.Bench[StripeDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))

    def connect(self, **keys: Any) -> Stripe:
        """A fresh connection to the double; keys override those of a working one."""
        given = {"kind": "stripe", "base_url": self.url, "api_key": self.double.api_key, "retry_wait": "0s", **keys}
        opened: Stripe = self._open(connector, given)
        return opened

    def customer(self, who: int = 1) -> RemoteCustomer:
        """A company of the story."""
        company = self.world.companies[who - 1]
        return RemoteCustomer(self.double.customer(who), company.name)

    def subscription(self, number: int = 1) -> dict[str, Any]:
        """The double's own record."""
        return self.double.subscription_of(self.double.customer(number))

    def item(self, number: int = 1) -> dict[str, Any]:
        """The double's own record of a subscription's first item."""
        return self.double.items_of(self.subscription(number)["id"])[0]

    def line(self, number: int = 1) -> BilledLine:
        """A subscription's first item as syncd sees it."""
        return self.billing(number).lines[0]

    def counted(self, number: int = 1) -> dict[str, Count]:
        reading = self.booked(number)
        assert reading.proof, reading.reason
        return {one.sku or one.name: one for one in reading.counts}

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
