"""The double itself: answers and requests that fit the published description, rules that bite, a rehearsal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from werkzeug.test import Client, TestResponse
from xero_kit import Bench

from syncd.model import Receipt
from syncd.sandbox.fill import fill, is_stand_in, times

Make = Callable[..., Bench]
SPEC = Path(__file__).parents[4] / "shared" / "specs" / "xero-accounting.json"


def described() -> dict[str, Any]:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    told: dict[str, Any] = json.loads(SPEC.read_text())
    return told


def fits(body: Any, schema: str) -> None:
    shape = {"$ref": f"#/components/schemas/{schema}", "components": described()["components"]}
    jsonschema.Draft202012Validator(shape).validate(body)


def known(told: Any, schema: str, spec: dict[str, Any]) -> None:
    """Every field is one that the description names."""
    properties = spec["components"]["schemas"][schema]["properties"]
    assert set(told) <= set(properties), (schema, set(told) - set(properties))
    for name, value in told.items():
        inner = properties[name].get("items", properties[name]).get("$ref", "").rpartition("/")[2]
        for one in value if isinstance(value, list) else [value]:
            if inner and isinstance(one, dict):
                known(one, inner, spec)


def call(bench: Bench, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
    client = Client(bench.double)
    form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    token = client.post("/connect/token", data=form).get_json()["access_token"]
    sent = {
        "Authorization": f"Bearer {token}", "Accept": "application/json", "xero-tenant-id": bench.double.books.tenant,
        **(headers or {}),
    }  # fmt: skip
    return client.open(f"/api.xro/2.0/{path}", method=method, headers=sent, **options)


# The double adds what the real answers have and the description leaves out.
BESIDE = {"Id", "Status", "ProviderName", "DateTimeUTC", "DateString", "DueDateString"}


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("Organisation", "Organisations"),
        ("Contacts?page=1&includeArchived=true", "Contacts"),
        ("Items?unitdp=4", "Items"),
        ("Invoices?page=1&unitdp=4", "Invoices"),
        ("CreditNotes?page=1&unitdp=4", "CreditNotes"),
        ("RepeatingInvoices", "RepeatingInvoices"),
    ],
)
def test_answers_fit_the_published_description(bench: Bench, path: str, schema: str) -> None:
    spec = described()
    bench.post(bench.line())
    bench.post(bench.credit())
    told = call(bench, "GET", path).get_json()
    [rows] = [value for value in told.values() if isinstance(value, list)]

    assert rows
    fits(told, schema)
    for row in rows:
        shown = {name: value for name, value in row.items() if name not in BESIDE}
        known(shown | {"Status": row["Status"]} if "Status" in row else shown, schema.removesuffix("s"), spec)


@pytest.mark.parametrize("which", ["line", "credit"])
def test_what_syncd_sends_fits_the_published_description(bench: Bench, which: str) -> None:
    spec = described()
    wire = bench.connect().wire(getattr(bench, which)())
    path = wire.path.removeprefix("api.xro/2.0").partition("?")[0]
    operation = spec["paths"][path]["put"]
    body = json.loads(wire.body)
    schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]

    fits(body, schema)
    known(body[schema][0], schema.removesuffix("s"), spec)
    parameters = [
        spec["components"]["parameters"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
        for one in (*operation["parameters"], *spec["paths"][path]["parameters"])
    ]
    named = {one["name"].lower() for one in parameters}
    assert {one.partition("=")[0].lower() for one in wire.path.partition("?")[2].split("&")} <= named
    assert {name for name, _ in wire.headers if name != "content-type"} <= named


def test_without_accept_it_answers_in_xml(bench: Bench) -> None:
    assert call(bench, "GET", "Organisation", {"Accept": "*/*"}).mimetype == "text/xml"


def test_prices_are_cut_to_cents_unless_four_decimals_are_asked_for(bench: Bench) -> None:
    bench.double.books.item("GB", "Gigabyte", Decimal("0.0125"))

    def price(query: str) -> Any:
        rows = call(bench, "GET", f"Items{query}").get_json(force=True)["Items"]
        return next(Decimal(str(one["SalesDetails"]["UnitPrice"])) for one in rows if one["Code"] == "GB")

    assert (price("?unitdp=4"), price("")) == (Decimal("0.0125"), Decimal("0.01"))
    line = {"ItemCode": "GB", "Quantity": 8, "UnitAmount": 0.0125}
    body = {"Invoices": [{"Type": "ACCREC", "Contact": {"ContactID": bench.customer().id}, "LineItems": [line]}]}
    totals = [
        call(bench, "PUT", f"Invoices{query}", json=body).get_json()["Invoices"][0]["SubTotal"]
        for query in ("?unitdp=4", "")
    ]
    assert totals == [0.1, 0.08]


def test_a_contact_that_is_named_by_a_new_name_is_made_without_a_word(bench: Bench) -> None:
    line = {"Description": "x", "Quantity": 1, "UnitAmount": 1}
    body = {"Invoices": [{"Type": "ACCREC", "Contact": {"Name": "Alder Dentl"}, "LineItems": [line]}]}
    call(bench, "PUT", "Invoices", json=body)
    assert bench.double.contact("Alder Dentl")


def test_contacts_are_made_by_name_and_only_once(bench: Bench) -> None:
    body = {"Contacts": [{"Name": "New Practice"}]}
    assert call(bench, "PUT", "Contacts", json=body).get_json()["Contacts"][0]["ContactStatus"] == "ACTIVE"
    assert call(bench, "PUT", "Contacts", json=body).status_code == 400
    assert bench.writes() == ["create_contact"]


def test_increments_since_an_instant(bench: Bench) -> None:
    bench.double.advance(3600)
    since = {"If-Modified-Since": bench.double.now().strftime("%Y-%m-%dT%H:%M:%S")}
    assert call(bench, "GET", "Contacts?page=1", since).get_json()["Contacts"] == []
    bench.double.edit("Contacts", bench.customer().id, Name="Renamed")
    assert [one["Name"] for one in call(bench, "GET", "Contacts?page=1", since).get_json()["Contacts"]] == ["Renamed"]


def test_a_filter_that_is_not_understood_is_an_error(bench: Bench) -> None:
    for text in ('Nope(1)=="x"', 'Reference.Contains("x")'):  # the second: some contact has no reference at all
        assert call(bench, "GET", f"Contacts?where={text}").status_code == 400


def test_windows_of_the_limits_end_by_the_doubles_clock(make_bench: Make) -> None:
    bench = make_bench(per_minute=2)
    assert [call(bench, "GET", "Organisation").status_code for _ in range(3)] == [200, 200, 429]
    refused = call(bench, "GET", "Organisation")
    assert (refused.headers["X-Rate-Limit-Problem"], int(refused.headers["Retry-After"]) <= 60) == ("minute", True)
    bench.double.advance(61)
    told = call(bench, "GET", "Organisation")
    assert (told.status_code, told.headers["X-MinLimit-Remaining"]) == (200, "1")


def test_a_refresh_token_is_good_once_and_its_predecessor_for_half_an_hour(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)

    def refresh(token: str) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": "sandbox-client",
                "client_secret": "sandbox-secret"}  # fmt: skip
        return Client(bench.double).post("/connect/token", data=form).get_json()

    first = bench.double.settings["refresh_token"]
    second = refresh(first)["refresh_token"]
    assert "refresh_token" in refresh(first)  # the answer was lost: once more
    assert refresh(second) == {"error": "invalid_grant"}  # the repetition brought another one
    newest = bench.double.logins[0].newest
    third = refresh(newest)["refresh_token"]
    bench.double.advance(31 * 60)
    assert refresh(newest) == {"error": "invalid_grant"}
    bench.double.advance(61 * 86_400)
    assert refresh(third) == {"error": "invalid_grant"}  # nobody used it for sixty days


# --- rehearsal --------------------------------------------------------------------------------------------------------


def test_it_can_stand_in_for_real_books(make_bench: Make) -> None:
    real, stand_in = make_bench(), make_bench()
    real.double.books.template(
        real.contact(), [{"ItemCode": "M365-BP", "Quantity": 10, "Description": "Seats"}], date(2026, 3, 1),
        Reference="Seats", Schedule={"EndDate": date(2027, 2, 28)},
    )  # fmt: skip
    real.double.edit("Contacts", real.customer(2).id, DefaultCurrency="EUR")
    real.double.books.organisation["PeriodLockDate"] = date(2026, 9, 30)
    one, two = real.line(), real.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1", quantity=Decimal(3))
    connection = real.connect()
    connection.send(one, connection.gather([one, two]))
    real.post(real.credit(key="k3"))
    connection = real.connect()
    customers, products = connection.customers(), connection.products()
    billings = list(connection.lines(customers, real.moment))
    double = stand_in.double
    assert is_stand_in(double)
    fill(stand_in.double, customers, products, billings)

    rehearsed = stand_in.connect(**stand_in.double.settings)
    again = list(rehearsed.lines(rehearsed.customers(), stand_in.moment))
    assert [one.id for one in rehearsed.customers()] == [one.id for one in customers]
    by_customer = {billing.customer_id: billing for billing in again}
    for before in billings:
        after = by_customer[before.customer_id]
        assert after.agreements == before.agreements
        shown = [
            sorted((replace(line, version="", changed_at=None) for line in billing.lines), key=lambda line: line.id)
            for billing in (before, after)
        ]
        assert shown[0] == shown[1]
    assert [one.identifier for one in rehearsed.products()] == [one.identifier for one in products]

    for posting in (real.line(key="k8", marker="sd-t1-new1"), real.credit(key="k9", marker="sd-t1-new2")):
        assert times(stand_in.double, posting) == 0
        assert isinstance(rehearsed.send(posting, rehearsed.wire(posting)), Receipt)
        assert times(stand_in.double, posting) == 1
