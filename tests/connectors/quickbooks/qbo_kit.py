"""A small world, its books over real HTTP, and connections that speak to them through the real way out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.quickbooks import connector
from connectors.quickbooks.config import QuickBooksSettings
from connectors.quickbooks.connection import QuickBooks
from connectors.quickbooks.sandbox import QuickBooksDouble, build
from syncd.clock import real_now
from syncd.connect.contract import Ask, Context
from syncd.connect.http import Http
from syncd.connect.limits import Gate
from syncd.connect.rotating import InMemory, Vault
from syncd.model import Billing, Count, Moment, Operation, Posting, Query, Reading, RemoteCustomer
from syncd.periods import Period
from syncd.sandbox.kit import Running, serve
from syncd.sandbox.world import World, small_msp

TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
MOMENT = Moment(datetime(2026, 11, 20, 18, tzinfo=UTC), TODAY, NOVEMBER)
ZONE = ZoneInfo("America/Chicago")
ALDER = "59"  # the first company's customer id
PREMIUM, STANDARD = "10", "11"  # item ids
Row = dict[str, Any]


class Bench:
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        self.folder = folder
        self.double: QuickBooksDouble = build(self.world, **options)
        self.running: Running = serve(self.double)
        self.url = self.running.url
        self.opened: list[QuickBooks] = []
        self.vault: Vault = InMemory()
        self.gates: list[Gate] = []
        self.timeout = 5.0
        self.patience = timedelta(seconds=5)

    def close(self) -> None:
        for one in self.opened:
            one.close()
        threading.Thread(target=self.running.stop).start()  # the server's loop looks up twenty times a second only

    def http(self, base_url: str, **options: Any) -> Http:
        self.gates.append(Gate(concurrency=4, requests_per_minute=None, patience=self.patience, now=real_now))
        return Http(base_url, gate=self.gates[-1], timeout=self.timeout, first_wait=0.01, **options)

    def connect(self, **keys: Any) -> QuickBooks:
        """A fresh connection that remembers nothing but the vault."""
        given = {"kind": "quickbooks", "base_url": self.url, "token_url": self.url, **self.double.settings, **keys}
        context = Context(
            name="qbo", http=self.http, clock=lambda: MOMENT.now, zone=ZONE, folder=self.folder, own_marker="sd-t1-",
            vault=self.vault,
        )  # fmt: skip
        opened = connector.open(QuickBooksSettings.model_validate(given), context)
        self.opened.append(opened)
        return opened

    def customer(self, id_: str = ALDER) -> RemoteCustomer:
        return RemoteCustomer(id_, self.double.tables["Customer"][id_]["DisplayName"])

    def billing(self, id_: str = ALDER, connection: QuickBooks | None = None) -> Billing:
        [billing] = (connection or self.connect()).lines([self.customer(id_)], MOMENT)
        return billing

    def booked(self, id_: str = ALDER, connection: QuickBooks | None = None) -> Reading:
        ask = Ask(self.customer(id_), (Query("invoiced"),))
        [reading] = (connection or self.connect()).booked([ask], MOMENT)
        return reading

    def invoiced(self, id_: str = ALDER) -> dict[str, Count]:
        """What was invoiced, by item."""
        reading = self.booked(id_)
        assert reading.proof, reading.reason
        return {count.sku: count for count in reading.counts}

    def refusal(self, posting: Posting, connection: QuickBooks | None = None) -> str:
        one = connection or self.connect()
        return one.refusal(posting, self.billing(posting.customer_id, one), one.products(), MOMENT)

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

MakeBench = Callable[..., Bench]
__all__ = ["ALDER", "CREDIT", "INVOICE", "LINE", "MOMENT", "NOVEMBER", "SECOND", "Bench", "MakeBench", "Sequence"]
