"""Alternative Payments' bench, with a posting that it accepts. Both sides have one time."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import MOMENT, TODAY

from connectors.alternative_payments import connector
from connectors.alternative_payments.connection import Payments
from connectors.alternative_payments.sandbox import PaymentsDouble
from syncd.connect.contract import Ask
from syncd.model import Operation, Posting, Query, Reading, RemoteCustomer
from syncd.sandbox.world import small_msp

NOW = MOMENT.now
ITEM = "Microsoft 365 Business Premium"


class Bench(connector_kit.Bench[PaymentsDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        world = small_msp(customers=4, today=TODAY)
        super().__init__(folder, PaymentsDouble(world, now=lambda: NOW, **options))
        self.marker = "sd-test-"
        self.timeout = 5.0

    def connect(self, **keys: Any) -> Payments:
        """A connection that signs in to the double; keys override those of a working one."""
        given = {
            "kind": "alternative_payments",
            "base_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        opened: Payments = self._open(connector, given)
        return opened

    def customer(self, number: int = 0) -> RemoteCustomer:
        row = self.double.customers[number]
        return RemoteCustomer(row["id"], row["name"])

    def invoiced(self, number: int = 0, **keys: Any) -> Reading:
        """What was invoiced to one customer in the period, on a connection of its own."""
        (reading,) = self.connect(**keys).booked([Ask(self.customer(number), (Query("invoiced"),))], MOMENT)
        return reading

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
