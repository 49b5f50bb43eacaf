"""QuickBooks' bench, and postings that fit the story's first company."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY, Row
from werkzeug.test import Client, TestResponse

from connectors.quickbooks import connector
from connectors.quickbooks.connection import QuickBooks
from connectors.quickbooks.sandbox import QuickBooksDouble, build
from syncd.model import Count, Operation, Posting, Receipt, RemoteCustomer, Wire
from syncd.sandbox.world import World, small_msp

ALDER = "59"  # the first company's customer id
PREMIUM, STANDARD = "10", "11"  # item ids


class Bench(connector_kit.Bench[QuickBooksDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))
        self.timeout = 5.0

    def connect(self, **keys: Any) -> QuickBooks:
        """A fresh connection that remembers nothing but the vault."""
        given = {"kind": "quickbooks", "base_url": self.url, "token_url": self.url, **self.double.settings, **keys}
        opened: QuickBooks = self._open(connector, given)
        return opened

    def customer(self, id_: str = ALDER) -> RemoteCustomer:
        return RemoteCustomer(id_, self.double.tables["Customer"][id_]["DisplayName"])

    def invoiced(self, id_: str = ALDER) -> dict[str, Count]:
        """What was invoiced, by item."""
        reading = self.booked(id_)
        assert reading.proof, reading.reason
        return {count.sku: count for count in reading.counts}

    def refusal(self, posting: Posting, who: Any = None, connection: Any = None) -> str:
        return super().refusal(posting, who or posting.customer_id, connection)

    def post(self, *postings: Posting, connection: QuickBooks | None = None) -> Any:
        """One document of these postings."""
        one = connection or self.connect()
        return one.send(postings[0], one.gather(postings) if len(postings) > 1 else one.wire(postings[0]))

    def documents(self, entity: str, *, own: bool = True) -> list[Row]:
        """The double's own records; `own`: those that syncd made."""
        rows = self.double.tables[entity].values()
        return [row for row in rows if not own or "sd-" in row.get("PrivateNote", "")]

    def statements(self) -> list[str]:
        """What was asked by query."""
        return [one.query["query"] for one in self.double.requests if one.path.endswith("/query")]


LINE = Posting(
    operation=Operation.POST_LINE,
    key="k1",
    marker="sd-t1-aaaa1111",
    customer_id=ALDER,
    product_id=PREMIUM,
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
INVOICE = replace(LINE, options={"document": "invoice"})
CREDIT = replace(LINE, operation=Operation.POST_CREDIT, options={"document": "invoice"})
SECOND = replace(
    LINE, key="k2", marker="sd-t1-bbbb2222", product_id=STANDARD, product="M365-BS", quantity=Decimal(3),
    unit_price=Decimal("16.50"), amount=Decimal("49.50"), description="Microsoft 365 Business Standard",
)  # fmt: skip


def body(wire: Wire) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(wire.body, parse_float=Decimal)
    return told


def sent(bench: Bench, posting: Posting = LINE) -> str:
    """The id of the document that it became."""
    told = bench.post(posting)
    assert isinstance(told, Receipt), told
    return told.remote_id.rpartition(" ")[2]


MakeBench = Callable[..., Bench]


def token(bench: Bench, refresh: str = "") -> TestResponse:
    """An answer of the double's sign-in."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh or bench.double.settings["refresh_token"]}
    return Client(bench.double).post("/oauth2/v1/tokens/bearer", data=form, auth=("sandbox-client", "sandbox-secret"))


def sale(quantity: int = 1) -> dict[str, Any]:
    """A line as a program writes it."""
    return {
        "DetailType": "SalesItemLineDetail", "Amount": 28 * quantity,
        "SalesItemLineDetail": {"ItemRef": {"value": "10"}, "Qty": quantity, "UnitPrice": 28,
                                "TaxCodeRef": {"value": "TAX"}},
    }  # fmt: skip


def invoice(**fields: Any) -> dict[str, Any]:
    """An invoice as a program writes it."""
    return {"CustomerRef": {"value": ALDER}, "TxnDate": "2026-11-30", "Line": [sale()], **fields}
