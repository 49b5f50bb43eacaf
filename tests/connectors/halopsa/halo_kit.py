"""Halo's bench, and postings of each kind that fit the story."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY

from connectors.halopsa import connector
from connectors.halopsa.connection import Halo
from connectors.halopsa.sandbox import HaloDouble, build
from syncd.model import BilledLine, Operation, Posting, RemoteCustomer
from syncd.sandbox.world import World, small_msp

LINE = 24_010  # the first client's Business Premium: 25 seats, written by hand
CALCULATED = "24021/3021"  # the second client's Exchange: calculated from a distributor's licence


class Bench(connector_kit.Bench[HaloDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))

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
        opened: Halo = self._open(connector, given)
        return opened

    def customer(self, who: int = 1) -> RemoteCustomer:
        """A company of the story."""
        company = self.world.companies[who - 1]
        return RemoteCustomer(str(100 + who), company.name)

    def line(self, number: int | str = LINE, client: int = 1) -> BilledLine:
        """A line as syncd sees it."""
        return next(one for one in self.billing(client).lines if one.id == str(number))

    def row(self, number: int = LINE) -> dict[str, Any]:
        """The double's own record of a line."""
        found = self.double.find_line(number)
        assert found is not None
        return found[1]


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
