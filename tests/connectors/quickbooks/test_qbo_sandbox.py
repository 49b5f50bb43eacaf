"""The double itself: answers that fit Intuit's own classes, rules that bite."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from connector_kit import MOMENT
from qbo_kit import ALDER, CREDIT, INVOICE, LINE, SECOND, Bench, MakeBench, invoice, sale, token
from werkzeug.test import Client, TestResponse

from connectors.quickbooks.sandbox_query import Refusal, parse
from syncd.model import Receipt
from syncd.sandbox.fill import fill, is_stand_in, times

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "quickbooks.json"
ROOT = "/v3/company/9341453000000007"


def call(bench: Bench, method: str, path: str, body: Any = None, accept: str = "application/json") -> TestResponse:
    signed = {"Authorization": f"Bearer {token(bench).get_json()['access_token']}", "Accept": accept}
    data = body if isinstance(body, str) else json.dumps(body) if body is not None else None
    return Client(bench.double).open(f"{ROOT}/{path}", method=method, headers=signed, data=data)


def asked(bench: Bench, statement: str) -> Any:
    return call(bench, "POST", "query", statement).get_json()


def code(answer: TestResponse) -> str:
    told: str = answer.get_json()["Fault"]["Error"][0]["code"]
    return told


# --- true to the published classes -----------------------------------------------------------------------------------


def described(name: str) -> jsonschema.Draft202012Validator:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published classes are not here ({SPEC})")
    definitions = json.loads(SPEC.read_text())["definitions"]
    # The classes are made for XML, where a number in a line is text; the JSON service writes a number.
    definitions["Line"]["properties"]["LineNum"] = {"type": ["string", "integer"]}
    return jsonschema.Draft202012Validator({"$ref": f"#/definitions/{name}", "definitions": definitions})


def fields(name: str) -> set[str]:
    definitions = json.loads(SPEC.read_text())["definitions"]

    def of(shape: dict[str, Any]) -> set[str]:
        found = set(shape.get("properties", {}))
        for part in shape.get("allOf", []):
            found |= of(definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part)
        return found

    return of(definitions[name])


@pytest.mark.parametrize(
    ("entity", "shape"),
    [("Customer", "Customer"), ("Item", "Item"), ("Invoice", "Invoice"), ("Estimate", "Estimate"),
     ("CreditMemo", "CreditMemo"), ("Preferences", "Preferences"), ("CompanyInfo", "CompanyInfo")],
)  # fmt: skip
def test_answers_fit_the_published_classes(bench: Bench, entity: str, shape: str) -> None:
    validator = described(shape)
    bench.post(LINE)
    bench.post(replace(CREDIT, key="k3"))
    rows = asked(bench, f"SELECT * FROM {entity}")["QueryResponse"][entity]

    assert rows
    for row in rows:
        validator.validate(row)
        assert set(row) <= fields(shape), set(row) - fields(shape)


@pytest.mark.parametrize("posting", [LINE, INVOICE, CREDIT])
def test_what_syncd_sends_fits_the_published_classes(make_bench: MakeBench, posting: Any) -> None:
    for options in ({}, {"american": False, "multi_currency": True}):
        bench = make_bench(**options)
        wire = bench.connect().gather([posting, replace(SECOND, operation=posting.operation, options=posting.options)])
        name = {"estimate": "Estimate", "invoice": "Invoice", "creditmemo": "CreditMemo"}[
            wire.path.partition("?")[0].rpartition("/")[2]
        ]
        body = json.loads(wire.body)
        described(name).validate(body)
        assert set(body) <= fields(name)
        assert set(body["Line"][0]) <= fields("Line")


# --- sign-in ---------------------------------------------------------------------------------------------------------


def test_a_refresh_inside_the_day_gives_the_same_token_and_afterwards_another(bench: Bench) -> None:
    first = token(bench).get_json()
    assert first["refresh_token"] == bench.double.settings["refresh_token"]
    assert (first["expires_in"], first["x_refresh_token_expires_in"]) == (3600, 8_640_000)
    bench.double.advance(25 * 3600)
    second = token(bench).get_json()["refresh_token"]
    assert second != first["refresh_token"]
    assert token(bench).get_json()["refresh_token"] == second  # the older one still brings the newest
    bench.double.advance(25 * 3600)
    assert token(bench).get_json()["error"] == "invalid_grant"
    assert token(bench, second).status_code == 200


def test_strangers_and_other_companies_stay_outside(bench: Bench) -> None:
    client = Client(bench.double)
    assert client.get(f"{ROOT}/preferences", headers={"Accept": "application/json"}).get_json()["fault"]["type"] == (
        "AUTHENTICATION"
    )
    assert client.post("/oauth2/v1/tokens/bearer", data={}).get_json() == {"error": "invalid_client"}
    assert call(bench, "GET", "preferences", accept="*/*").mimetype == "application/xml"
    assert call(bench, "GET", "../1/preferences").status_code in (403, 404)


# --- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "wanted"),
    [
        ("select * from Customer where DisplayName = 'Cedar & Sons Joinery'", ["61"]),
        ("SELECT * FROM Customer WHERE DisplayName LIKE 'A%'", ["59"]),
        ("SELECT * FROM Customer WHERE Active = false", ["40000"]),
        ("SELECT * FROM Customer WHERE Active IN (true, false) AND Id > '60' ORDERBY Id DESC", ["40000", "61"]),
        ("SELECT * FROM Customer ORDER BY DisplayName DESC STARTPOSITION 2 MAXRESULTS 1", ["60"]),
        ("SELECT * FROM Item WHERE Type = 'Inventory'", ["30"]),
        ("SELECT * FROM Invoice WHERE TxnDate < '2026-11-01' AND CustomerRef = '59'", ["901"]),
        ("SELECT * FROM Invoice WHERE TotalAmt > 700 AND CustomerRef IN ('59', '60') AND TxnDate >= '2026-11-01'",
         ["904"]),
        ("SELECT * FROM Invoice WHERE MetaData.CreateTime > '2026-11-20T00:00:00-08:00' MAXRESULTS 1", ["901"]),
    ],
)  # fmt: skip
def test_the_query_language(bench: Bench, statement: str, wanted: list[str]) -> None:
    told = asked(bench, statement)["QueryResponse"]
    [rows] = [value for value in told.values() if isinstance(value, list)]

    assert [row["Id"] for row in rows] == wanted


def test_an_empty_answer_has_no_rows_and_a_count_only_a_total(bench: Bench) -> None:
    assert asked(bench, "SELECT * FROM Estimate")["QueryResponse"] == {}
    assert asked(bench, "SELECT COUNT(*) FROM Customer")["QueryResponse"] == {"totalCount": 3}
    assert "Sku" not in asked(bench, "SELECT * FROM Item")["QueryResponse"]["Item"][1]
    assert "Sku" in asked(bench, "SELECT *, Sku FROM Item")["QueryResponse"]["Item"][1]
    assert set(asked(bench, "SELECT Name FROM Item MAXRESULTS 1")["QueryResponse"]["Item"][0]) == {"Id", "Name"}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM Customer WHERE Id = '1' OR Id = '2'",
        "SELECT * FROM Customer WHERE Id != '1'",
        "SELECT * FROM Customer WHERE DisplayName = 'O'Brien'",
        "SELECT * FROM Invoice WHERE PrivateNote = 'x'",
        "SELECT * FROM Customer MAXRESULTS 1001",
        "SELECT * FROM Customer STARTPOSITION 0",
        "SELECT * FROM Nothing",
        "SELECT * FROM Customer WHERE Id = 1a",
        "SELECT * Customer",
        "§",
    ],
)
def test_what_the_query_language_does_not_know(bench: Bench, statement: str) -> None:
    answer = call(bench, "POST", "query", statement)

    assert answer.status_code == 400
    assert code(answer).startswith("400")
    with pytest.raises(Refusal):
        bench.double._asked(statement)
    assert parse("SELECT * FROM Customer").most == 100


# --- documents -------------------------------------------------------------------------------------------------------


def test_versions_are_held_and_a_stale_one_is_refused(bench: Bench) -> None:
    made = call(bench, "POST", "invoice", invoice(DocNumber="A1", PrivateNote="note")).get_json()["Invoice"]
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "CustomerRef": {"value": ALDER}, "Line": [sale(2)]}
    once = call(bench, "POST", "invoice", change).get_json()["Invoice"]
    again = call(bench, "POST", "invoice", change)

    assert (once["SyncToken"], once["TotalAmt"], once["PrivateNote"]) == ("1", 60.62, "note")
    assert (again.status_code, code(again)) == (400, "5010")
    assert len([one for one in once["Line"] if one["DetailType"] == "SalesItemLineDetail"]) == 1  # replaced as a whole
    full = {**change, "SyncToken": "1", "sparse": False}
    assert call(bench, "POST", "invoice", full).get_json()["Invoice"].get("PrivateNote") is None
    gone = call(bench, "POST", "invoice?operation=delete", {"Id": made["Id"], "SyncToken": "2"})
    assert gone.get_json()["Invoice"]["status"] == "Deleted"
    assert code(call(bench, "GET", f"invoice/{made['Id']}")) == "610"


@pytest.mark.parametrize(
    ("fields_", "wanted"),
    [
        ({"CustomerRef": None}, "2020"),
        ({"CustomerRef": {"value": "4711"}}, "2500"),
        ({"CustomerRef": {"value": "40000"}}, "610"),
        ({"Line": []}, "2020"),
        ({"Line": [{**sale(), "Amount": 27}]}, "6070"),
        ({"Line": [{**sale(), "Amount": None}]}, "2020"),
        ({"Line": [{**sale(), "DetailType": "Odd"}]}, "2020"),
        ({"DocNumber": "1001"}, "6140"),
        ({"DocNumber": "1" * 22}, "2050"),
        ({"CurrencyRef": {"value": "EUR"}}, "6000"),
        ({"Nonsense": 1}, "2010"),
    ],
)
def test_what_a_document_must_be(bench: Bench, fields_: dict[str, Any], wanted: str) -> None:
    assert code(call(bench, "POST", "invoice", invoice(**fields_))) == wanted
    assert bench.double.effects == []


def test_numbers_twice_only_where_they_are_allowed(bench: Bench) -> None:
    again = invoice(DocNumber="1001")
    assert call(bench, "POST", "invoice?include=allowduplicatedocnum", again).status_code == 200
    assert call(bench, "POST", "estimate", again).status_code == 200  # another kind has numbers of its own


def test_elsewhere_a_line_needs_a_tax_code(make_bench: MakeBench) -> None:
    bench = make_bench(american=False)

    assert code(call(bench, "POST", "invoice", invoice())) == "6000"


def test_a_requestid_is_answered_alike_as_long_as_it_is_known(make_bench: MakeBench) -> None:
    bench = make_bench(request_life=timedelta(hours=1))
    path = "invoice?requestid=abc"
    first = call(bench, "POST", path, invoice())
    assert call(bench, "POST", path, invoice(PrivateNote="other")).data == first.data
    bench.double.advance(3700)
    assert call(bench, "POST", path, invoice()).data != first.data
    assert code(call(bench, "POST", f"invoice?requestid={'x' * 51}", invoice())) == "2010"
    assert len(bench.double.effects) == 2


def test_batches_answer_one_by_one(bench: Bench) -> None:
    body = {
        "BatchItemRequest": [
            {"bId": "1", "operation": "create", "Invoice": invoice()},
            {"bId": "2", "operation": "create", "Invoice": invoice(Line=[])},
            {"bId": "3", "Query": "SELECT COUNT(*) FROM Invoice"},
        ]
    }
    first, second, third = call(bench, "POST", "batch", body).get_json()["BatchItemResponse"]

    assert first["Invoice"]["Id"]
    assert second["Fault"]["Error"][0]["code"] == "2020"
    assert third["QueryResponse"]["totalCount"] == 7  # six of the story and the first one's
    too_many = {"BatchItemRequest": [{"bId": str(one), "Query": "SELECT * FROM Item"} for one in range(31)]}
    assert call(bench, "POST", "batch", too_many).status_code == 400


def test_limits_bite(make_bench: MakeBench) -> None:
    bench = make_bench(per_minute=3, batches_per_minute=1)
    ask = {"BatchItemRequest": [{"bId": "1", "Query": "SELECT * FROM Item"}]}
    assert [call(bench, "POST", "batch", ask).status_code for _ in range(2)] == [200, 429]
    assert [call(bench, "GET", "preferences").status_code for _ in range(3)] == [200, 200, 429]


def test_changes_since(bench: Bench) -> None:
    bench.double.advance(60)
    since = bench.double.now().isoformat(timespec="seconds").replace("+", "%2B")
    bench.post(LINE)
    told = call(bench, "GET", f"cdc?entities=Estimate,Invoice&changedSince={since}").get_json()

    assert [list(one) for one in told["CDCResponse"][0]["QueryResponse"]] == [["Estimate"], []]


# --- rehearsal -------------------------------------------------------------------------------------------------------


def test_it_can_stand_in_for_a_real_company(make_bench: MakeBench) -> None:
    real, stand_in = make_bench(close_date=date(2026, 9, 30)), make_bench()
    real.post(LINE, SECOND)
    tiered = replace(INVOICE, key="k4", marker="sd-t1-dddd", quantity=Decimal(27), unit_price=None,
                     amount=Decimal("318.55"))  # fmt: skip
    real.post(tiered)
    connection = real.connect()
    customers, products = connection.customers(), connection.products()
    billings = list(connection.lines(customers, MOMENT))

    assert is_stand_in(stand_in.double)
    fill(stand_in.double, customers, products, billings)
    again = stand_in.connect()

    assert [(one.id, one.name, one.active) for one in again.customers()] == [
        (one.id, one.name, one.active) for one in customers
    ]

    def shown(found: Any) -> Any:
        return [
            (
                one.agreements,
                [(line.id, line.product_id, line.quantity, line.marker, line.starts) for line in one.lines],
            )
            for one in found
        ]

    assert shown(again.lines(customers, MOMENT)) == shown(billings)
    fresh = [replace(LINE, key="k9", marker="sd-t1-fresh"), replace(SECOND, key="k10", marker="sd-t1-fresher")]
    assert [times(stand_in.double, one) for one in fresh] == [0, 0]
    assert isinstance(stand_in.post(*fresh, connection=again), Receipt)
    assert [times(stand_in.double, one) for one in (*fresh, LINE)] == [1, 1, 0]
    assert len(stand_in.double.effects) == 2  # what nobody asked for would be one more


def test_somebody_edits_over_http(bench: Bench) -> None:
    [row] = [one for one in bench.documents("Invoice", own=False) if one["Id"] == "901"]
    body = {"entity": "Invoice", "id": "901", "changes": {"PrivateNote": "seen"}}
    Client(bench.double).post("/_sandbox/rival", json=body)

    assert (row["PrivateNote"], row["SyncToken"]) == ("seen", "1")
