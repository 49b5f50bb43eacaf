"""ConnectWise's bench, and one posting of each operation that fits the story's first company."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import NOVEMBER, TODAY

from connectors.connectwise import connector
from connectors.connectwise.connection import ConnectWise
from connectors.connectwise.sandbox import ConnectWiseDouble, build
from syncd.connect.http import Http
from syncd.model import Moment, Operation, Posting, RemoteCustomer
from syncd.sandbox.world import World, small_msp


class Bench(connector_kit.Bench[ConnectWiseDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))
        self.moment = Moment(datetime(2026, 11, 20, 16, tzinfo=UTC), TODAY, NOVEMBER)
        self.wanted: list[dict[str, Any]] = []  # what each way out was asked to be

    def http(self, base_url: str, **options: Any) -> Http:
        self.wanted.append({"base_url": base_url, **options})
        return super().http(base_url, **options)

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
        opened: ConnectWise = self._open(connector, given)
        return opened

    def customer(self, other: RemoteCustomer | None = None) -> RemoteCustomer:
        """The first company of the story, 25 billed seats and a child agreement, unless another is given."""
        return other or RemoteCustomer("251", "Alder Dental Group", ("AlderDental",))

    def row(self, addition: int = 30_100) -> dict[str, Any]:
        """The double's own record of an addition."""
        return self.double.tables["additions"][addition]

    def wrote(self, method: str) -> int:
        """How many requests of a method the double has seen."""
        return sum(1 for one in self.double.requests if one.method == method)


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
