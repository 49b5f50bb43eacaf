"""NetSuite's bench, and postings of each kind that fit the story."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY

from connectors.netsuite import connector
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.connection import NetSuite
from connectors.netsuite.sandbox import NetSuiteDouble, build
from syncd.model import Operation, Posting, RemoteCustomer
from syncd.sandbox.world import World, small_msp


class Bench(connector_kit.Bench[NetSuiteDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))
        self.concurrency = 1

    def keys(self, **keys: Any) -> dict[str, Any]:
        """Those of a working connection; None leaves one out."""
        return {"kind": "netsuite", **self.double.settings, "base_url": self.url, "retry_wait": "0s", **keys}

    def settings(self, **keys: Any) -> NetSuiteSettings:
        """The same, as the connection takes them."""
        given = {name: one for name, one in self.keys(**keys).items() if one is not None}
        return NetSuiteSettings.model_validate(given)

    def by_token(self, **keys: Any) -> NetSuite:
        """A connection that signs in by token-based authentication."""
        without = dict.fromkeys(("client_id", "certificate_id", "private_key"))
        return self.connect(**without, **self.double.tokens, **keys)

    def connect(self, **keys: Any) -> NetSuite:
        """A fresh connection to the double; keys override those of a working one, None leaves one out."""
        opened: NetSuite = self._open(connector, self.keys(**keys))
        return opened

    def customer(self, who: int = 1) -> RemoteCustomer:
        """A company of the story."""
        return RemoteCustomer(str(100 + who), self.world.companies[who - 1].name)

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
