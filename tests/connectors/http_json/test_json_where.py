"""`where` over records that lack its field: an error that says which and where, never quietly "not equal"."""

from __future__ import annotations

from typing import Any

import pytest
from json_kit import BASE, EACH, Serve, quantities, read

from connectors.http_json.config import HttpJsonSettings
from connectors.http_json.read import Row, rows
from syncd.errors import VendorError
from syncd.model import State


def _passed(where: str, *records: dict[str, Any]) -> list[Row]:
    settings = HttpJsonSettings.model_validate(
        {
            "kind": "http_json",
            "base_url": "https://api.example",
            "request": "/v2/devices",
            "records": "items",
            "customer": "account",
            "sku": "plan",
            "where": where,
        }
    )
    return rows(settings, [{"account": "c1", "plan": "edr", **one} for one in records], "GET /v2/devices")


@pytest.mark.parametrize(
    ("where", "record", "field"),
    [
        ("state == 'active'", {"status": "active"}, "state"),
        ("state != 'retired'", {"status": "retired"}, "state"),
        ("!(retired == `true`)", {}, "retired"),
        ("contains(['active', 'new'], state)", {}, "state"),
        ("agent.state == 'active'", {"agent": {"status": "active"}}, "state"),
        ("agent.state == 'active'", {}, "agent"),
        ("agent.state != 'retired'", {"agent": "active"}, "state"),
        ("plan == 'edr' && state == 'active'", {}, "state"),
        ("state == 'active' || plan == 'edr'", {}, "state"),
        ("length(parts[?on == `true`]) > `0`", {"parts": [{"on": True}, {}]}, "on"),
    ],
)
def test_a_field_that_is_not_there_is_malformed(where: str, record: dict[str, Any], field: str) -> None:
    whole = {"state": "active", "agent": {"state": "active"}, "retired": False, "parts": [{"on": True}]}
    assert len(_passed(where, whole)) == 1

    with pytest.raises(VendorError) as failed:
        _passed(where, whole, record)

    assert failed.value.code == "malformed"
    assert str(failed.value).startswith("GET /v2/devices, record 2: where (")
    assert str(failed.value).endswith(f'finds nothing under "{field}"')


@pytest.mark.parametrize(
    ("where", "record", "passes"),
    [
        ("state == 'active'", {"state": None}, False),
        ("state != 'retired'", {"state": None}, True),
        ("agent.state != 'retired'", {"agent": None}, True),
        ("not_null(state, 'active') == 'active'", {}, True),
        ("not_null(agent.state, state, 'active') == 'active'", {"state": "retired"}, False),
        ("plan == 'edr' || state == 'active'", {}, True),
        ("plan == 'av' && state == 'active'", {}, False),
    ],
)
def test_null_is_a_value_and_what_may_be_absent_is_said(where: str, record: dict[str, Any], passes: bool) -> None:
    always = {"plan": "edr", "state": "active", "agent": {"state": "active"}}
    kept = {**always, "plan": "av"} if "'av'" in where else always

    assert len(_passed(where, kept, record)) == 1 + passes


@pytest.mark.parametrize("settings", [BASE, EACH], ids=["one list", "each"])
def test_one_record_without_the_field_spoils_its_list(served: Serve, settings: dict[str, Any]) -> None:
    vendor, bench = served()
    for row in vendor.devices:
        row["state"] = "active"
    connection = bench.open(settings, where="state == 'active'")
    assert set(quantities(read(connection))["AlderDental"]) == {"SERVER", "WORKSTATION"}
    row = next(row for row in vendor.devices if row["account"]["id"] == "AlderDental")
    row["status"] = row.pop("state")

    if settings is BASE:
        with pytest.raises(VendorError, match=r"record \d+: where .* finds nothing under .state."):
            connection.customers()
    else:
        readings = read(connection)
        assert (readings["AlderDental"].state, readings["AlderDental"].code) == (State.UNKNOWN, "malformed")
        assert readings["Birchwood"].state == State.KNOWN
