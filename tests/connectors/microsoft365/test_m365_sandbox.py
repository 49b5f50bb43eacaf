"""The double itself: faithful where a reader can go wrong, and in the shape that Microsoft publishes."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from m365_kit import Bench, known_world
from werkzeug.test import Client, TestResponse

from connectors.microsoft365 import connector, sandbox
from connectors.microsoft365.sandbox import build
from syncd.sandbox.kit import Double

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "msgraph.json"
LICENSED = {"$filter": "assignedLicenses/$count ne 0", "$count": "true", "$select": "id,assignedLicenses"}
EVENTUAL = {"ConsistencyLevel": "eventual"}


class Graph:
    """A plain client of the double, signed in to one tenant."""

    def __init__(self, bench: Bench, tenant: str) -> None:
        self.client = Client(bench.sandbox.double)
        form = {
            "grant_type": "client_credentials",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
            "scope": "https://graph.microsoft.com/.default",
        }
        answer = self.client.post(f"/{tenant}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        self.headers = {"Authorization": f"Bearer {answer.json['access_token']}"}  # type: ignore[index]

    def get(self, path: str, headers: dict[str, str] | None = None, **query: str) -> TestResponse:
        params = {name.replace("_", "$", 1): value for name, value in query.items()}
        return self.client.get(f"/v1.0/{path}", query_string=params, headers={**self.headers, **(headers or {})})

    def batch(self, *paths: str) -> TestResponse:
        wanted = [{"id": str(number), "method": "GET", "url": path} for number, path in enumerate(paths)]
        return self.client.post("/v1.0/$batch", json={"requests": wanted}, headers=self.headers)


@pytest.fixture
def graph(make_bench: Callable[..., Bench]) -> Graph:
    bench = make_bench(page_size=10)
    return Graph(bench, bench.world.companies[0].tenant_id)


def _code(answer: TestResponse) -> str:
    return str(answer.json["error"]["code"])  # type: ignore[index]


def test_the_entry_point_names_a_double() -> None:
    assert connector.sandbox == "connectors.microsoft365.sandbox:build"
    assert isinstance(build(known_world()), Double)


def test_a_token_opens_its_own_tenant_only_and_ends(bench: Bench) -> None:
    graph = Graph(bench, bench.world.companies[1].domain)
    row = graph.get("organization").json["value"][0]  # type: ignore[index]
    assert row["id"] == bench.world.companies[1].tenant_id
    assert graph.client.get("/v1.0/organization").status_code == 401
    bench.sandbox.double.advance(4000)
    assert _code(graph.get("organization")) == "InvalidAuthenticationToken"


def test_advanced_queries_need_header_and_count_on_every_page(graph: Graph) -> None:
    for headers, query in ((EVENTUAL, {**LICENSED, "$count": "false"}), ({}, LICENSED)):
        answer = graph.client.get("/v1.0/users", query_string=query, headers={**graph.headers, **headers})
        assert (answer.status_code, _code(answer)) == (400, "Request_UnsupportedQuery")
    first = graph.client.get("/v1.0/users", query_string=LICENSED, headers={**graph.headers, **EVENTUAL})
    page = first.json
    assert page is not None
    assert (page["@odata.count"], len(page["value"])) == (27, 10)
    without = graph.client.get(page["@odata.nextLink"], headers=graph.headers)
    assert _code(without) == "Request_UnsupportedQuery"
    second = graph.client.get(page["@odata.nextLink"], headers={**graph.headers, **EVENTUAL}).json
    assert second is not None
    assert "@odata.count" not in second
    assert {row["id"] for row in second["value"]}.isdisjoint(row["id"] for row in page["value"])


def test_what_graph_refuses_is_refused(graph: Graph) -> None:
    assert _code(graph.get("subscribedSkus", _filter="skuPartNumber eq 'SPB'")) == "Request_UnsupportedQuery"
    assert graph.get("users", _select="id,mailboxSettings").status_code == 501
    assert _code(graph.get("users", _skiptoken="made-up")) == "Directory_ExpiredPageToken"
    assert graph.get("nothing").status_code == 400
    assert graph.batch(*["/organization"] * 21).status_code == 400
    assert "userPrincipalName" in graph.get("users").json["value"][0]  # type: ignore[index]
    assert "assignedLicenses" not in graph.get("users").json["value"][0]  # type: ignore[index]


def test_a_batch_is_shuffled_and_tells_each_status(graph: Graph) -> None:
    paths = ["/organization", "/subscribedSkus?$select=skuId", "/nothing", "/users?$select=id", "/contracts"]
    orders = set()
    for _ in range(6):
        parts = graph.batch(*paths).json["responses"]  # type: ignore[index]
        orders.add(tuple(part["id"] for part in parts))
        assert {part["id"]: part["status"] for part in parts} == {"0": 200, "1": 200, "2": 400, "3": 200, "4": 200}
    assert len(orders) > 1


def test_products_follow_purchases_and_people(bench: Bench) -> None:
    graph = Graph(bench, bench.world.companies[0].tenant_id)

    def spb() -> tuple[int, int]:
        rows = graph.get("subscribedSkus").json["value"]  # type: ignore[index]
        (row,) = [row for row in rows if row["skuPartNumber"] == "SPB"]
        return row["consumedUnits"], row["prepaidUnits"]["enabled"]

    assert spb() == (27, 28)
    tenant = bench.world.companies[0].domain
    assert bench.control("people", tenant=tenant, sku="SPB", add=3)["assigned"] == 30
    bench.control("purchases", tenant=tenant, sku="SPB", quantity=5)
    assert spb() == (30, 33)
    assert bench.control("people", tenant=tenant, sku="SPB", remove=10)["assigned"] == 20
    assert spb() == (20, 33)


def test_controls_refuse_what_they_do_not_know(bench: Bench) -> None:
    client = Client(bench.sandbox.double)
    assert client.post("/_sandbox/tenant", json={"tenant": "nowhere", "fault": "consent"}).status_code == 404
    assert client.post("/_sandbox/tenant", json={"tenant": "cedarsons.example", "fault": "?"}).status_code == 400
    assert client.post("/_sandbox/people", json={"tenant": "cedarsons.example", "sku": "?"}).status_code == 404


def test_a_report_that_is_fetched_with_a_token_is_noted_as_a_leak(bench: Bench) -> None:
    graph = Graph(bench, bench.world.companies[0].tenant_id)
    report = graph.get("reports/getOffice365ActiveUserDetail(period='D30')")
    assert report.status_code == 302
    path = "/report-files/" + report.headers["Location"].rpartition("/")[2]
    assert graph.client.get(path, headers=graph.headers).status_code == 400
    assert [one.what for one in bench.sandbox.double.effects] == ["credential_leak"]
    assert graph.client.get(path).get_data().startswith(b"\xef\xbb\xbfReport Refresh Date,User Principal Name")
    bench.sandbox.double.advance(301)
    assert graph.client.get(path).status_code == 403


def test_the_double_shares_no_code_with_what_reads() -> None:
    readers = {"activity", "batch", "connection", "graph", "people", "payloads", "read", "tokens", "names", "config"}
    folder = Path(sandbox.__file__).parent
    for path in folder.glob("sandbox*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("connectors.microsoft365"):
                assert node.module.rpartition(".")[2] not in readers, f"{path.name} imports {node.module}"
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("syncd.connect"))


def test_answers_have_the_published_shape(bench: Bench) -> None:
    if not SPEC.exists():
        pytest.skip("Graph's description is not beside the project (../shared/specs/msgraph.json)")
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]

    components = _nullable(json.loads(SPEC.read_text(encoding="utf-8"))["components"])

    def check(name: str, answer: TestResponse) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        faults = [f"{list(one.path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(answer.json)]
        assert faults == [], name

    graph = Graph(bench, bench.world.companies[0].tenant_id)
    partner = Graph(bench, bench.world.partner_tenant)
    check("contractCollectionResponse", partner.get("contracts"))
    check("organizationCollectionResponse", graph.get("organization"))
    check("subscribedSkuCollectionResponse", graph.get("subscribedSkus"))
    check("companySubscriptionCollectionResponse", graph.get("directory/subscriptions"))
    check("groupCollectionResponse", graph.get("groups"))
    check("batchResponse", graph.batch("/organization", "/users", "/nothing"))
    users = {**LICENSED, "$select": "id,userPrincipalName,accountEnabled,userType,assignedLicenses,signInActivity"}
    check(
        "userCollectionResponse",
        graph.client.get("/v1.0/users", query_string=users, headers={**graph.headers, **EVENTUAL}),
    )
    for refused in (graph.get("nothing"), graph.get("users", _filter="x"), graph.client.get("/v1.0/users")):
        check("odata.error", refused)
    bench.tenant().faults["throttle"] = 1
    throttled = graph.get("organization")
    check("odata.error", throttled)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "0.128")


def _nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if isinstance(node, list):
        return [_nullable(one) for one in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _nullable(value) for name, value in node.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if node.get("nullable") is True else plain
