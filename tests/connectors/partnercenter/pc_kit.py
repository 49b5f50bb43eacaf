"""Partner Center's bench."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY

from connectors.partnercenter import connector
from connectors.partnercenter.sandbox import PartnerCenterDouble
from syncd.clock import real_now
from syncd.connect.contract import Ask, Connection
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer
from syncd.periods import month_of
from syncd.sandbox.world import small_msp

QUANTITY = Query("quantity")
SPB, NEW = "CFQ7TTC0LCHC:0002", "CFQ7TTC0NEW1:0001"


def moment(day: date = TODAY) -> Moment:
    """18:00 UTC, noon in Chicago."""
    return Moment(datetime(day.year, day.month, day.day, 18, tzinfo=UTC), day, month_of(day))


class Bench(connector_kit.Bench[PartnerCenterDouble]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, PartnerCenterDouble(small_msp(customers=3, today=TODAY)))
        self.double.retry_after = ""
        self.timeout = 5.0

    def clock(self) -> datetime:
        return real_now()

    def connect(self, **keys: Any) -> Connection:
        """A connection to the double; keys override those of a working one. All share one vault, as restarts do."""
        given = {
            "kind": "partnercenter",
            "base_url": self.url,
            "token_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        opened: Connection = self._open(connector, given)
        return opened

    def customer(self, number: int = 0) -> RemoteCustomer:
        company = self.double.world.companies[number]
        return RemoteCustomer(company.tenant_id, company.name)

    def read(self, number: int = 0, at: Moment | None = None) -> Reading:
        (reading,) = self.connect().counts([Ask(self.customer(number), (QUANTITY,))], at or moment())
        return reading

    def count(self, sku: str = NEW, number: int = 0, at: Moment | None = None) -> Count:
        """The one count that a mapping with this `sku` would find."""
        reading = self.read(number, at)
        assert reading.state == "known", reading.reason
        (count,) = [one for one in reading.counts if sku in (one.sku, *one.aliases)]
        return count

    def sell(self, quantity: Any, number: int = 0, **fields: Any) -> dict[str, Any]:
        offer = fields.pop("offer", f"{NEW}:CFQ7TTC0AV01")
        return self.control("subscription", customer=self.customer(number).id, offer=offer, quantity=quantity, **fields)
