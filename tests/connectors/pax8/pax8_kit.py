"""Pax8's bench."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import connector_kit
from connector_kit import TODAY

from connectors.pax8 import connector
from connectors.pax8.sandbox import Pax8Double
from syncd.clock import real_now
from syncd.connect.contract import Ask, Connection
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer
from syncd.periods import month_of
from syncd.sandbox.world import small_msp


def moment(day: date = TODAY, hour: int = 18) -> Moment:
    """That hour in UTC; the MSP's day is the same."""
    return Moment(datetime(day.year, day.month, day.day, hour, tzinfo=UTC), day, month_of(day))


class Bench(connector_kit.Bench[Pax8Double]):
    """One double that listens, and shortcuts to what a test asks of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, Pax8Double(small_msp(customers=3, today=TODAY), **options))
        self.timeout = 5.0

    def clock(self) -> datetime:
        return real_now()

    def connect(self, **keys: Any) -> Connection:
        """A connection to the double; keys override those of a working one."""
        given = {
            "kind": "pax8",
            "base_url": self.url,
            "retry_wait": timedelta(milliseconds=5),
            **self.double.settings,
            **keys,
        }
        opened: Connection = self._open(connector, given)
        return opened

    def customer(self, number: int = 0) -> RemoteCustomer:
        row = self.double.stock.companies[number]
        return RemoteCustomer(row["id"], row["name"])

    def read(self, measure: str = "quantity", number: int = 0, at: Moment | None = None) -> Reading:
        """One company's reading, on a connection of its own."""
        ask = Ask(self.customer(number), (Query(measure),))
        (reading,) = self.connect().counts([ask], at or moment())
        return reading

    def count(self, sku: str, measure: str = "quantity", number: int = 0, at: Moment | None = None) -> Count:
        """The one count that a mapping with this `sku` would find."""
        reading = self.read(measure, number, at)
        assert reading.state == "known", reading.reason
        (count,) = [one for one in reading.counts if sku in (one.sku, *one.aliases)]
        return count

    def sell(self, sku: str, quantity: Any, number: int = 0, **fields: Any) -> dict[str, Any]:
        company = self.double.stock.companies[number]["id"]
        return self.control("subscription", company=company, sku=sku, quantity=quantity, **fields)
