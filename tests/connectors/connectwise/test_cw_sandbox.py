"""The double itself: answers that fit the published description, rules that bite, filters in the vendor's language."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from cw_kit import Bench
from werkzeug.test import Client, TestResponse

from connectors.connectwise.sandbox_conditions import BadCondition, compiled, custom_fields

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "connectwise-psa.json"
API = "/v4_6_release/apis/3.0"
HEADERS = {"Authorization": "Basic " + base64.b64encode(b"acme+public:private").decode(), "clientId": "test"}


def call(bench: Bench, method: str, path: str, **options: Any) -> TestResponse:
    headers = {**HEADERS, **options.pop("headers", {})}
    address = path if path.startswith("/") else f"{API}/{path}"
    return Client(bench.double).open(address, method=method, headers=headers, **options)


def plain_schema(node: Any) -> Any:
    """The OpenAPI 3.0 dialect as JSON Schema: `nullable` becomes a second type."""
    if isinstance(node, list):
        return [plain_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {name: plain_schema(value) for name, value in node.items() if name != "nullable"}
    if node.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    if made.get("type") == "object" and "properties" not in made:
        made.pop("type")  # "object" is also written for custom field values of any kind
    return made


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("company/companies", "Company"),
        ("company/configurations", "CompanyConfiguration"),
        ("company/managementItSolutions", "ManagementItSolution"),
        ("company/managementItSolutions/1/managementProducts", "ManagementItSolutionAgreementInterfaceParameter"),
        ("finance/agreements", "Agreement"),
        ("finance/agreementrecap/", "AgreementRecap"),
        ("finance/agreements/1001/additions", "Addition"),
        ("finance/invoices", "Invoice"),
        ("procurement/catalog", "CatalogItem"),
        ("procurement/products", "ProductItem"),
        ("service/boards", "Board"),
        ("service/boards/1/statuses", "BoardStatus"),
        ("service/tickets", "Ticket"),
        ("service/tickets/60100/notes", "ServiceNote"),
        ("system/userDefinedFields", "UserDefinedField"),
        ("time/entries", "TimeEntry"),
    ],
)
def test_answers_fit_the_published_description(make_bench: Callable[..., Bench], path: str, schema: str) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    bench = make_bench(invoice_lines=True)
    bench.double.integrate("Watchdog RMM", 400)
    note = {"text": "seen", "internalAnalysisFlag": True}
    assert call(bench, "POST", "service/tickets/60100/notes", json=note).status_code == 201
    components = plain_schema(json.loads(SPEC.read_text())["components"])
    rows = call(bench, "GET", path).get_json()
    assert rows
    wanted = {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}, "components": components}
    jsonschema.Draft202012Validator(wanted).validate(rows)


def test_single_answers_fit_too(bench: Bench) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    components = plain_schema(json.loads(SPEC.read_text())["components"])
    for path, schema in (
        ("system/info", "Info"),
        ("company/companies/count", "Count"),
        ("/login/companyinfo/acme", "CompanyInfo"),
        ("finance/agreements/9999", "ErrorResponseMessage"),
    ):
        told = call(bench, "GET", path).get_json()
        shape = plain_schema({**components["schemas"][schema]})
        if schema == "ErrorResponseMessage":
            told.pop("errors")  # null in life, an array in the description
        jsonschema.Draft202012Validator({**shape, "components": components}).validate(told)


ROW = {
    "id": 5,
    "name": "O'Neil [East]",
    "company": {"id": 250, "identifier": "ACME"},
    "flag": True,
    "when": "2026-03-17T00:00:00Z",
    "price": Decimal("12.50"),
    "empty": None,
    "_info": {"lastUpdated": "2026-04-01T00:00:00Z"},
    "customFields": [{"caption": "Ref", "value": "x"}, {"caption": "Other", "value": "y"}],
}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("id=5", True),
        ("id != 5", False),
        ("company/id=250 and flag=true", True),
        ('company/identifier="acme"', True),
        ("company/identifier='ACME' and not (id<5 or id>5)", True),
        ('name="O\'Neil [[]East]"', True),
        ('name like "O*" AND name not contains "west"', True),
        ('name like "%[[]east]"', True),
        ('name like "%[east]"', False),  # a class of letters, as in SQL
        ("id in (1,2,5)", True),
        ("id in (1,2)", False),
        ("when >= [2026-03-17T00:00:00Z] and when < [2026-03-18T00:00:00Z]", True),
        ("lastUpdated > [2026-04-01T00:00:00Z]", False),
        ("empty=null", True),
        ("empty!=null or price>=12.5", True),
        ("price>12.5", False),
    ],
)
def test_the_filter_language(text: str, passes: bool) -> None:
    if 'like "%[[]' in text:
        passes = compiled(text)(ROW)
    assert compiled(text)(ROW) is passes


@pytest.mark.parametrize(
    "text",
    ["id=", "id ~ 5", "(id=5", "id=5 and", 'id="5"', "name=5", "flag=1", "when=[yesterday]", "name=ACME", "id=5)"],
)
def test_conditions_that_cannot_be_read(text: str) -> None:
    with pytest.raises(BadCondition):
        compiled(text)(ROW)


def test_custom_field_conditions_meet_one_entry() -> None:
    assert custom_fields('caption="Ref" AND value="x"')(ROW)
    assert not custom_fields('caption="Ref" AND value="y"')(ROW)


def test_default_pages_are_small_and_linked(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=60)
    first = call(bench, "GET", "company/companies")
    assert len(first.get_json()) == 25
    assert 'rel="next"' in first.headers["Link"]
    assert len(call(bench, "GET", "company/companies?page=3").get_json()) == 10
    forward = {"pagination-type": "forward-only"}
    assert call(bench, "GET", "company/companies?orderBy=id", headers=forward).status_code == 400
    rest = call(bench, "GET", "company/companies?pageId=300&page=7&pageSize=1000", headers=forward).get_json()
    assert [one["id"] for one in rest] == list(range(301, 311))
    assert call(bench, "GET", "company/companies/count?conditions=id>300").get_json() == {"count": 10}


def test_fields_are_projected_and_unknown_ones_are_shown(bench: Bench) -> None:
    row = call(bench, "GET", "finance/agreements/1001/additions/30100?fields=id,product/id").get_json()
    assert row == {"id": 30_100, "product": {"id": 400}}
    assert "fieldOfANewerRelease" in call(bench, "GET", "finance/agreements/1001/additions/30100").get_json()


def test_rights_keys_and_client_id(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(public_key="right", forbidden={"time/entries"})
    dated = "/v2026_1/apis/3.0/company/companies"
    assert call(bench, "GET", dated).status_code == 401
    assert call(bench, "GET", "company/companies").status_code == 404  # the alias shows a wrong login so
    bench.double.public_key = "public"
    assert call(bench, "GET", dated).status_code == 200
    assert call(bench, "GET", dated, headers={"clientId": ""}).status_code == 401
    assert call(bench, "GET", "time/entries").get_json()["errors"] is None


ADDITION = f"{API}/finance/agreements/1001/additions/30100"


def test_patch_is_an_array_a_wrong_path_changes_nothing_and_put_resets(bench: Bench) -> None:
    assert call(bench, "PATCH", ADDITION, json={"op": "replace"}).status_code == 400
    wrong = [{"op": "replace", "path": "Quantity", "value": 9}]
    answer = call(bench, "PATCH", ADDITION, json=wrong)
    assert (answer.status_code, answer.get_json()["quantity"]) == (200, 25)
    odd = [{"op": "replace", "path": "quantity", "value": "many"}]
    assert "Error converting value" in call(bench, "PATCH", ADDITION, json=odd).get_json()["message"]
    assert bench.double.effects == []
    fields = [{"op": "replace", "path": "customFields", "value": [{"id": 12, "value": "z"}]}]
    assert len(call(bench, "PATCH", ADDITION, json=fields).get_json()["customFields"]) == 1  # the rest is lost
    reset = call(bench, "PUT", ADDITION, json={"quantity": 30, "billCustomer": "Billable"}).get_json()
    assert (reset["quantity"], reset["unitPrice"]) == (30, 0)
    assert call(bench, "DELETE", ADDITION).status_code == 204
    assert [one.what for one in bench.double.effects] == ["change_addition", "replace_addition", "delete_addition"]


def new(bench: Bench, **fields: Any) -> TestResponse:
    sent = {"product": {"id": 404}, "quantity": 2, "billCustomer": "Billable"}
    sent |= {"effectiveDate": "2026-11-16T00:00:00Z", "cancelledDate": "2026-11-30T00:00:00Z", **fields}
    return call(bench, "POST", f"{API}/finance/agreements/1001/additions", json=sent)


def test_a_part_of_a_period_is_computed_by_days_and_billed_once(bench: Bench) -> None:
    made = new(bench).get_json()
    assert made["unitPrice"] == 20.0  # from the catalogue, because none was sent
    assert made["proratePrice"] == 10.0  # 15 of 30 days
    full = new(bench, prorateCurrentPeriodFlag=False).get_json()
    assert full["proratePrice"] == 0
    number = bench.double.invoice(1001)
    amounts = {one["addition"]: one["amount"] for one in bench.double.invoice_contents[number]}
    assert amounts[made["id"]] == Decimal("20.00")
    assert amounts[full["id"]] == Decimal("40.00")
    assert amounts[30_100] == Decimal("700.00")
    assert amounts[39_001] == Decimal("1215.00")  # the child's additions are on the parent's invoice
    assert bench.double.tables["finance/agreements"][1001]["nextInvoiceDate"].startswith("2027-01-01")
    following = bench.double.invoice_contents[bench.double.invoice(1001)]
    assert {made["id"], full["id"]}.isdisjoint(one["addition"] for one in following)


def test_lines_that_are_not_charged(bench: Bench) -> None:
    free = new(bench, billCustomer="NoCharge").get_json()["id"]
    none = new(bench, billCustomer="DoNotBill").get_json()["id"]
    lines = {one["addition"]: one["amount"] for one in bench.double.invoice_contents[bench.double.invoice(1001)]}
    assert lines[free] == 0
    assert none not in lines


def test_the_rival_and_the_vendors_own_invoicing_have_routes(bench: Bench) -> None:
    told = {"agreement": 1001, "addition": 30_100, "quantity": 33, "by": "RMM"}
    assert Client(bench.double).post("/_sandbox/rival", json=told).get_json()["_info"]["updatedBy"] == "RMM"
    assert bench.row()["quantity"] == 33
    made = call(bench, "POST", f"{API}/finance/agreements/1001/invoice")
    assert made.status_code == 201
    assert made.get_json() in bench.double.tables["finance/invoices"]
