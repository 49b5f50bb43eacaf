"""Xero's bench, with a posting of each kind for its first customer."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import NOVEMBER, TODAY

from connectors.xero import connector
from connectors.xero.connection import Xero
from connectors.xero.sandbox import XeroDouble, build
from syncd.model import Count, Operation, Posting, Product, RemoteCustomer, Wire
from syncd.sandbox.world import World, small_msp


class Bench(connector_kit.Bench[XeroDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, customers: int = 3, **options: Any) -> None:
        self.world: World = small_msp(customers=customers, today=TODAY)
        super().__init__(folder, build(self.world, **options))

    def connect(self, **keys: Any) -> Xero:
        """A fresh connection to the double; keys override those of a working one, None leaves one out."""
        given = {"kind": "xero", "base_url": self.url, "token_url": self.url, **self.double.settings, **keys}
        opened: Xero = self._open(connector, given)
        return opened

    def contact(self, number: int = 1) -> dict[str, Any]:
        """The double's own record of a company."""
        return self.double.contact(self.world.companies[number - 1].name)

    def customer(self, who: int = 1) -> RemoteCustomer:
        """A company as syncd knows it."""
        return RemoteCustomer(self.contact(who)["ContactID"], self.world.companies[who - 1].name)

    def product(self, code: str = "M365-BP", connection: Xero | None = None) -> Product:
        return next(one for one in (connection or self.connect()).products() if one.identifier == code)

    def counts(self, number: int = 1) -> dict[str, Count]:
        reading = self.booked(number)
        assert reading.state == "known", reading.reason
        assert reading.proof
        return {count.sku or count.name: count for count in reading.counts}

    def line(self, **fields: Any) -> Posting:
        """Two seats of Business Premium beyond what is billed to the first company, in November."""
        item = self.double.books.by_code(fields.get("product", "M365-BP"))
        given: dict[str, Any] = {
            "operation": Operation.POST_LINE, "key": "k1", "marker": "sd-t1-aaaa", "quantity": Decimal(2),
            "customer_id": self.contact()["ContactID"], "product_id": item["ItemID"] if item else "",
            "product": "M365-BP", "unit_price": Decimal("28.00"), "amount": Decimal("56.00"), "currency": "USD",
            "starts": NOVEMBER.first, "ends": NOVEMBER.last, "period": "2026-11",
            "description": "Microsoft 365 Business Premium, 2026-11: 2 more, 25 to 27",
        }  # fmt: skip
        return Posting(**{**given, **fields})

    def credit(self, **fields: Any) -> Posting:
        """One seat less."""
        given = {"operation": Operation.POST_CREDIT, "key": "k2", "marker": "sd-t1-cccc", "quantity": Decimal(1),
                 "amount": Decimal("28.00")}  # fmt: skip
        return self.line(**{**given, **fields})

    def post(self, posting: Posting, connection: Xero | None = None) -> Any:
        """Sends a posting's own document."""
        one = connection or self.connect()
        return one.send(posting, one.wire(posting))

    def documents(self, resource: str = "Invoices") -> list[dict[str, Any]]:
        """Syncd's own documents in the double."""
        rows = self.double.books.tables[resource].values()
        return [row for row in rows if "sd-" in (row.get("Reference") or "")]

    def writes(self) -> list[str]:
        return [one.what for one in self.double.effects]

    def asked(self, path: str) -> list[Any]:
        """What the double was asked for, by the end of the path."""
        return [one for one in self.double.requests if one.path.endswith(path)]


def sent(wire: Wire) -> dict[str, Any]:
    """The one document in a wire."""
    [(_, [document])] = json.loads(wire.body, parse_float=Decimal).items()
    return dict(document)


def several(bench: Bench, count: int = 4) -> list[Posting]:
    """Lines of the first company that share a document, of another product each."""
    codes = ("M365-BP", "M365-BS", "EXO-P1", "VISIO-P2", "O365-E3")[:count]
    return [
        bench.line(
            key=f"k-{code}", marker=f"sd-t1-{number}", product=code, product_id=bench.product(code).id,
            quantity=Decimal(number), unit_price=None, amount=Decimal(number) * 10,
        )
        for number, code in enumerate(codes, 1)
    ]  # fmt: skip
