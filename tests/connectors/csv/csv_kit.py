"""A moment, and shortcuts to what a test asks of a csv connection over files in a scratch folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.csv import CsvConnection
from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Moment, Query, Reading, RemoteCustomer, State
from syncd.periods import Period

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
MOMENT = Moment(NOW, date(2026, 11, 20), Period(date(2026, 11, 1), date(2026, 11, 30)))
QUANTITY = Query("quantity")
HEADER = "customer,sku,quantity\n"
GOOD = "Contoso,GB,1\n"

Open = Callable[..., CsvConnection]


def write(folder: Path, text: str | bytes, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def ask(connection: CsvConnection, *customers: str, query: Query = QUANTITY) -> list[Reading]:
    asks = [Ask(RemoteCustomer(name, name), (query,)) for name in customers]
    return list(connection.counts(asks, MOMENT))


def numbers(connection: CsvConnection, customer: str = "Contoso") -> dict[str, Decimal]:
    (reading,) = ask(connection, customer)
    assert reading.state is State.KNOWN
    return {count.sku: count.quantity for count in reading.counts}


def failure(connection: CsvConnection) -> VendorError:
    with pytest.raises(VendorError) as caught:
        connection.customers()
    return caught.value
