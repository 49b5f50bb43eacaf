"""The double itself: faithful where a reader can go wrong, and in the shape that Pax8 publishes."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from connector_kit import TODAY
from werkzeug.test import Client, TestResponse

from connectors.pax8 import connector, sandbox
from connectors.pax8.sandbox import Pax8Double, build
from syncd.sandbox.kit import Double
from syncd.sandbox.world import small_msp

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "pax8.json"
READERS = {"api", "bought", "usage", "connection", "config", "payloads", "values"}


class Api:
    """A plain client of a double, signed in."""

    def __init__(self, audience: str = "https://api.pax8.com") -> None:
        self.double = Pax8Double(small_msp(customers=3, today=TODAY))
        self.client = Client(self.double)
        self.token = self.sign_in(audience=audience)
        self.headers = {"Authorization": f"Bearer {self.token.json['access_token']}"}  # type: ignore[index]

    def sign_in(self, **fields: str) -> TestResponse:
        keys = {
            "grant_type": "client_credentials",
            "audience": "https://api.pax8.com",
            **self.double.settings,
            **fields,
        }
        return self.client.post("/v1/token", json=keys)

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(f"/v1/{path}", query_string=query, headers=self.headers)


@pytest.fixture
def api() -> Api:
    return Api()


def test_the_entry_point_names_a_double() -> None:
    assert connector.sandbox == "connectors.pax8.sandbox:build"
    assert isinstance(build(small_msp()), Double)


def test_signing_in_takes_json_with_an_audience(api: Api) -> None:
    assert (api.token.json or {})["expires_in"] == 86400
    assert api.client.post("/v1/token", data={"grant_type": "client_credentials"}).status_code == 400
    assert api.sign_in(audience="https://elsewhere.example").status_code == 400
    refused = api.sign_in(client_secret="wrong")
    assert (refused.status_code, refused.json) == (
        401,
        {"error": "access_denied", "error_description": "Unauthorized"},
    )
    assert Api("api://usage").get("companies").status_code == 403
    api.double.advance(86_401)
    assert api.get("companies").status_code == 401


def test_pages_count_from_zero_and_hold_ten_rows_unless_asked(api: Api) -> None:
    rows = api.double.stock.companies
    rows += [{**rows[0], "id": str(number)} for number in range(20)]
    first = api.get("companies").json or {}
    assert (len(first["content"]), first["page"]) == (
        10,
        {"size": 10, "totalElements": 23, "totalPages": 3, "number": 0},
    )
    assert len((api.get("companies", page=2).json or {})["content"]) == 3
    assert api.get("companies", size=201).status_code == 400
    assert api.get("companies", sort="phone,asc").status_code == 400
    assert (api.get("companies", size=200, status="Deleted").json or {})["content"] == []


def test_the_vendors_id_is_shown_by_the_single_read_only(api: Api) -> None:
    row = (api.get("subscriptions").json or {})["content"][0]
    assert "vendorSubscriptionId" not in row
    assert "vendorSubscriptionId" in (api.get(f"subscriptions/{row['id']}").json or {})
    api.double.vendor_ids = True
    assert "vendorSubscriptionId" in (api.get("subscriptions").json or {})["content"][0]


def test_usage_lines_need_a_day(api: Api) -> None:
    summary = next(iter(api.double.stock.summaries))
    assert api.get(f"usage-summaries/{summary}/usage-lines").status_code == 400
    assert (api.get(f"usage-summaries/{summary}/usage-lines", usageDate="2026-11-19").json or {})["content"]
    row = next(iter(api.double.stock.summaries.values()))
    other = api.double.stock.companies[1]["id"]
    answer = api.get(f"subscriptions/{row['subscriptionId']}/usage-summaries", companyId=other)
    assert answer.status_code == 404


def test_controls_refuse_what_they_do_not_know(api: Api) -> None:
    for what in ("subscription", "usage"):
        assert api.client.post(f"/_sandbox/{what}", json={"company": "Nobody"}).status_code == 404
    assert api.client.post("/_sandbox/change", json={"id": "nothing"}).status_code == 404


def test_the_double_shares_no_code_with_what_reads() -> None:
    for path in Path(sandbox.__file__).parent.glob("sandbox*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("connectors.pax8"):
                assert (node.module or "").rpartition(".")[2] not in READERS, f"{path.name} imports {node.module}"
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("syncd.connect"))


def test_answers_have_the_published_shape(api: Api) -> None:
    if not SPEC.exists():
        pytest.skip("Pax8's description is not beside the project (../shared/specs/pax8.json)")
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]

    spec = json.loads(SPEC.read_text(encoding="utf-8"))

    def check(path: str, answer: TestResponse, method: str = "get") -> None:
        schema = spec["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
        faults = Draft202012Validator({**schema, "components": spec["components"]}).iter_errors(answer.json)
        assert answer.status_code == 200
        assert [f"{list(one.path)}: {one.message}" for one in faults] == [], path

    subscription = api.double.stock.subscriptions[0]
    summary = next(iter(api.double.stock.summaries.values()))
    product = subscription["productId"]
    check("/token", api.token, "post")
    check("/companies", api.get("companies"))
    check("/companies/{companyId}", api.get(f"companies/{subscription['companyId']}"))
    check("/products", api.get("products"))
    check("/products/{productId}", api.get(f"products/{product}"))
    check("/products/{productId}/dependencies", api.get(f"products/{product}/dependencies"))
    check("/subscriptions", api.get("subscriptions", size=200))
    check("/subscriptions/{subscriptionId}", api.get(f"subscriptions/{subscription['id']}"))
    usage = api.get(f"subscriptions/{summary['subscriptionId']}/usage-summaries")
    check("/subscriptions/{subscriptionId}/usage-summaries", usage)
    lines = api.get(f"usage-summaries/{summary['id']}/usage-lines", usageDate="2026-11-19")
    check("/usage-summaries/{usageSummaryId}/usage-lines", lines)
    error = Draft202012Validator({"$ref": "#/components/schemas/Error", "components": spec["components"]})
    for refused in (api.get("companies", size=999), api.get("companies/nobody"), api.client.get("/v1/companies")):
        assert list(error.iter_errors(refused.json)) == []
        assert (refused.json or {})["instance"].startswith("/v1/")
