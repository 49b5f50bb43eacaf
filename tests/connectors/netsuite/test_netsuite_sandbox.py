"""The double itself: answers that fit the description that is known, and rules that bite."""

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
from netsuite_kit import Bench
from werkzeug.test import Client, TestResponse

from connectors.netsuite.sandbox_books import NAMES
from connectors.netsuite.sandbox_front import credentials
from connectors.netsuite.sandbox_sql import BadQuery, run
from connectors.netsuite.signing import assertion
from syncd.model import Posting, Receipt
from syncd.sandbox.fill import fill, times

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "netsuite.json"
BASE = "/services/rest"
TOKEN = f"{BASE}/auth/oauth2/v1/token"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
INVOICE: dict[str, Any] = {
    "externalId": "hand-1",
    "entity": {"id": "101"},
    "tranDate": "2026-11-20",
    "item": {"items": [{"item": {"id": "501"}, "quantity": 3, "rate": 12.5}]},
}


def spec() -> dict[str, Any]:
    if not SPEC.exists():
        pytest.skip(f"the description of NetSuite's REST services is not here ({SPEC})")
    told: dict[str, Any] = json.loads(SPEC.read_text())
    return told


def fits(value: Any, schema: str) -> None:
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": spec()["components"]}
    jsonschema.Draft202012Validator(wanted).validate(value)


def token(bench: Bench) -> TestResponse:
    keys = bench.double.settings
    text = assertion(
        credentials()[0], keys["client_id"], keys["certificate_id"], f"http://localhost{TOKEN}"
    )  # fmt: skip
    form = {"grant_type": "client_credentials", "client_assertion_type": BEARER, "client_assertion": text}
    return Client(bench.double).post(TOKEN, data=form)


def call(bench: Bench, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
    signed = {"Authorization": f"Bearer {token(bench).get_json()['access_token']}"}
    return Client(bench.double).open(f"{BASE}/{path}", method=method, headers={**signed, **(headers or {})}, **options)


def query(bench: Bench, text: str, path: str = "query/v1/suiteql", prefer: str = "transient") -> TestResponse:
    return call(bench, "POST", path, {"Prefer": prefer}, json={"q": text})


def test_answers_fit_the_description(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    for wanted in postings.values():
        assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
    records = bench.double.records
    fits(token(bench).get_json(), "tokenResponse")
    for kind in ("invoice", "creditMemo", "charge"):
        shown = call(bench, "GET", f"record/v1/{kind}/{max(records[kind])}?expandSubResources=true").get_json()
        fits(shown, kind)
    fits(call(bench, "GET", "record/v1/customer/101").get_json(), "customer")
    fits(call(bench, "GET", "record/v1/invoice?limit=2").get_json(), "invoiceCollection")
    fits(query(bench, "SELECT id, tranid FROM transaction ORDER BY id").get_json(), "suiteQLResponse")
    fits(call(bench, "GET", "record/v1/invoice/1").get_json(), "nsError")


def test_what_syncd_sends_fits_the_description(bench: Bench, postings: dict[str, Posting]) -> None:
    schemas = spec()["components"]["schemas"]
    connection = bench.connect()
    for wanted in postings.values():
        wire = connection.wire(wanted)
        body = json.loads(wire.body)
        kind = wire.path.rpartition("/")[2]
        fits(body, kind)
        # The credit memo's list of fields is a part of the invoice's; whether it is mailed is not on it.
        known = set(schemas[kind]["properties"]) | ({"toBeEmailed"} if kind == "creditMemo" else set())
        assert set(body) <= known, kind
        for line in body.get("item", {}).get("items", ()):
            assert set(line) <= set(schemas["invoiceLine"]["properties"])
        assert f"{BASE}/{wire.path}" in spec()["paths"]


@pytest.mark.parametrize("kind", ["invoice", "charge"])
def test_the_double_knows_no_field_that_netsuite_does_not(kind: str) -> None:
    schemas = spec()["components"]["schemas"]
    assert NAMES[kind] <= set(schemas[kind]["properties"])
    assert NAMES["line"] <= set(schemas["invoiceLine"]["properties"])


def test_a_misspelt_field_is_dropped_unless_names_are_validated(bench: Bench) -> None:
    body = {**INVOICE, "mmemo": "lost"}

    strict = call(bench, "POST", "record/v1/invoice", {"X-NetSuite-PropertyNameValidation": "Error"}, json=body)
    assert strict.status_code == 400
    loose = call(bench, "POST", "record/v1/invoice", json=body)
    assert loose.status_code == 204


def test_a_success_has_no_body_and_names_the_record(bench: Bench) -> None:
    made = call(bench, "POST", "record/v1/invoice", json=INVOICE)

    assert (made.status_code, made.data) == (204, b"")
    assert made.headers["Location"].rpartition("/")[2] == str(max(bench.double.records["invoice"]))


def test_an_external_id_serves_once(make_bench: Callable[..., Bench]) -> None:
    apart, shared = make_bench(), make_bench(shared_ids=True)
    for bench in (apart, shared):
        assert call(bench, "POST", "record/v1/invoice", json=INVOICE).status_code == 204
        again = call(bench, "POST", "record/v1/invoice", json=INVOICE)
        assert again.status_code == 400
        assert "already exists" in again.get_json()["o:errorDetails"][0]["detail"]
    assert call(apart, "POST", "record/v1/creditMemo", json=INVOICE).status_code == 204
    assert call(shared, "POST", "record/v1/creditMemo", json=INVOICE).status_code == 400


def test_an_idempotency_key_does_nothing_on_an_ordinary_call(bench: Bench) -> None:
    body = {name: value for name, value in INVOICE.items() if name != "externalId"}
    for _ in range(2):
        call(bench, "POST", "record/v1/invoice", {"X-NetSuite-Idempotency-Key": "one"}, json=body)

    assert len(bench.double.effects) == 2


def test_lines_are_shown_only_where_they_are_asked_for(bench: Bench) -> None:
    number = max(bench.double.records["invoice"])

    assert "items" not in call(bench, "GET", f"record/v1/invoice/{number}").get_json()["item"]
    assert call(bench, "GET", f"record/v1/invoice/{number}?expandSubResources=true").get_json()["item"]["items"]


@pytest.mark.parametrize(("routing", "status"), [(True, "D"), (False, "A")])
def test_an_invoice_waits_only_where_approval_is_routed(
    make_bench: Callable[..., Bench], routing: bool, status: str
) -> None:
    bench = make_bench(routing=routing)
    call(bench, "POST", "record/v1/invoice", json=INVOICE)

    assert bench.double.records["invoice"][max(bench.double.records["invoice"])]["status"] == status


def test_a_closed_period_takes_nothing(bench: Bench) -> None:
    bench.double.close_periods(date(2026, 11, 30))

    told = call(bench, "POST", "record/v1/invoice", json=INVOICE)

    assert told.status_code == 400
    assert "closed" in told.get_json()["o:errorDetails"][0]["detail"]


def test_hidden_records_are_not_there(bench: Bench) -> None:
    bench.double.hidden["customer"] = {102}

    assert call(bench, "GET", "record/v1/customer/102").status_code == 404
    assert call(bench, "GET", "record/v1/customer").get_json()["totalResults"] == 2


def test_suiteql_asks_for_its_header_and_a_fitting_offset(bench: Bench) -> None:
    text = "SELECT id FROM customer ORDER BY id"

    assert query(bench, text, prefer="respond-async").status_code == 400
    assert query(bench, text, path="query/v1/suiteql?limit=2&offset=1").status_code == 400
    page = query(bench, text, path="query/v1/suiteql?limit=2&offset=2").get_json()
    assert (page["count"], page["hasMore"], page["totalResults"], page["offset"]) == (1, False, 3, 2)


def test_suiteql_tells_text_and_leaves_null_out(bench: Bench) -> None:
    [row] = query(bench, "SELECT id, companyname, externalid, isinactive FROM customer WHERE id = 101").get_json()[
        "items"
    ]

    assert row == {"links": [], "id": "101", "companyname": "Alder Dental Group", "isinactive": "F"}


@pytest.mark.parametrize(
    "text", ["DELETE FROM customer", "SELECT id FROM employee", "SELECT nothing FROM customer", "SELECT id FROM"]
)
def test_suiteql_refuses_what_it_does_not_know(bench: Bench, text: str) -> None:
    told = query(bench, text)

    assert told.status_code == 400
    fits(told.get_json(), "nsError")


def test_sql_is_read_only() -> None:
    with pytest.raises(BadQuery):
        run({"customer": []}, "SELECT 1; DROP TABLE customer")


def test_the_ledger_s_lines_add_up_to_nothing(bench: Bench) -> None:
    rows = bench.double.tables()["transactionline"]
    for number in bench.double.records["invoice"]:
        mine = [one["foreignamount"] for one in rows if one["transaction"] == number]
        assert sum(mine, Decimal(0)) == 0


def test_the_pool_is_the_account_s_and_its_size_is_told_to_administrators(make_bench: Callable[..., Bench]) -> None:
    busy, admin = make_bench(outside=5), make_bench(admin=True)

    assert call(busy, "GET", "record/v1/customer").status_code == 429
    assert "Retry-After" not in call(busy, "GET", "record/v1/customer").headers
    assert call(make_bench(), "GET", "system/v1/governanceLimits").status_code == 403
    assert call(admin, "GET", "system/v1/governanceLimits").get_json()["accountConcurrencyLimit"] == 5


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "authorization_code"},
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "client_assertion_type": BEARER, "client_assertion": "no.jwt.here"},
    ],
)
def test_no_token_without_a_good_assertion(bench: Bench, form: dict[str, str]) -> None:
    assert Client(bench.double).post(TOKEN, data=form).status_code == 400


@pytest.mark.parametrize(
    ("client_id", "certificate_id", "address"),
    [("other", None, None), (None, "other", None), (None, None, "https://other.example/token")],
)
def test_issuer_certificate_and_audience_must_be_right(
    bench: Bench, client_id: str | None, certificate_id: str | None, address: str | None
) -> None:
    keys = bench.double.settings
    text = assertion(
        credentials()[0],
        client_id or keys["client_id"],
        certificate_id or keys["certificate_id"],
        address or f"http://localhost{TOKEN}",
    )
    form = {"grant_type": "client_credentials", "client_assertion_type": BEARER, "client_assertion": text}

    assert Client(bench.double).post(TOKEN, data=form).status_code == 400


def test_a_token_ends(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    connection = bench.connect()
    connection.sign_in()
    bench.double.advance(3601)

    assert connection.customers()
    assert sum(one.path == TOKEN for one in bench.double.requests) == 2


def test_it_can_stand_in_for_a_real_account(make_bench: Callable[..., Bench], postings: dict[str, Posting]) -> None:
    real, stand_in = make_bench(), make_bench()
    connection = real.connect()
    shared = [postings["invoice"], postings["second"]]
    assert isinstance(connection.send(shared[0], connection.gather(shared)), Receipt)
    billed = replace(postings["charge"], key="k-billed", marker="sd-t1-billed")
    for wanted in (postings["charge"], billed, postings["credit"]):
        assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
    real.double.release(min(real.double.records["charge"]))
    real.double.bill_run(date(2026, 11, 30))
    connection = real.connect()
    customers, products = connection.customers(), connection.products()
    billings = list(connection.lines(customers, real.moment))
    assert len(billings[0].lines) == 5
    fill(stand_in.double, customers, products, billings)

    rehearsed = stand_in.connect(**stand_in.double.settings)
    again = list(rehearsed.lines(rehearsed.customers(), stand_in.moment))

    assert rehearsed.customers() == customers
    assert [(one.id, one.identifier, one.unit_price, bool(one.obstacle)) for one in rehearsed.products()] == [
        (one.id, one.identifier, one.unit_price, bool(one.obstacle)) for one in products
    ]
    for before, after in zip(billings, again, strict=True):
        assert after.agreements == before.agreements
        assert [replace(one, obstacle="") for one in after.lines] == [replace(one, obstacle="") for one in before.lines]
        assert [bool(one.obstacle) for one in after.lines] == [bool(one.obstacle) for one in before.lines]
    for name in ("charge", "invoice", "credit"):
        wanted = replace(postings[name], key=f"k-anew-{name}", marker=f"sd-t1-anew-{name}")
        assert times(stand_in.double, wanted) == 0
        assert isinstance(rehearsed.send(wanted, rehearsed.wire(wanted)), Receipt), name
        assert times(stand_in.double, wanted) == 1
