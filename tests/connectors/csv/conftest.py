from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from csv_kit import NOW, Open

from connectors.csv import CsvConnection, connector
from connectors.csv.config import CsvSettings
from syncd.connect.contract import Context


def _no_http(*_: Any, **__: Any) -> Any:
    raise AssertionError("a csv connection must not open a network connection")


@pytest.fixture
def connect(tmp_path: Path) -> Open:
    """Opens a connection on the scratch folder; keyword arguments override the settings, None leaves one out."""

    def open_it(**changes: str | None) -> CsvConnection:
        keys: dict[str, str | None] = {
            "kind": "csv",
            "path": "*.csv",
            "customer": "customer",
            "sku": "sku",
            "quantity": "quantity",
            "subject": None,
        }
        keys.update(changes)
        values = CsvSettings.model_validate({key: value for key, value in keys.items() if value is not None})
        context = Context("backup", _no_http, lambda: NOW, ZoneInfo("America/Chicago"), tmp_path)
        connection = connector.open(values, context)
        assert isinstance(connection, CsvConnection)
        return connection

    return open_it
