"""The double itself: answers and requests that fit the published description, rules that bite, a rehearsal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import jsonschema  # type: ignore[import-untyped]
import pytest
from stripe_kit import Bench
from werkzeug.test import Client, TestResponse

from connectors.stripe import forms
from connectors.stripe.sandbox_front import nested
from syncd.model import Absent, Found, Posting, Receipt
from syncd.sandbox.fill import fill, is_stand_in, times
from syncd.sandbox.kit import Double

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "stripe.json"


def call(bench: Bench, method: str, path: str, headers: dict[str, str] | None = None, **form: Any) -> TestResponse:
    named = {
        "Authorization": f"Bearer {bench.double.api_key}",
        "Stripe-Version": "2026-10-28.endive",
        **(headers or {}),
    }
    return Client(bench.double).open(f"/v1/{path}", method=method, headers=named, data=form or None)


@cache
def spec() -> dict[str, Any]:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    read: dict[str, Any] = _with_nulls(json.loads(SPEC.read_text()))
    return read


def _with_nulls(one: Any) -> Any:
    """OpenAPI's `nullable` in the words of JSON Schema; open enumerations hold anything."""
    if isinstance(one, list):
        return [_with_nulls(inner) for inner in one]
    if not isinstance(one, dict):
        return one
    changed = {name: _with_nulls(inner) for name, inner in one.items() if name != "nullable"}
    if one.get("x-open-enum"):
        changed.pop("enum", None)
    return {"anyOf": [changed, {"type": "null"}]} if one.get("nullable") is True else changed


def busy(bench: Bench) -> None:
    """Something of everything stands in the double."""
    connection = bench.connect()
    for posting in (bench.set(), bench.charge(), bench.add(), bench.usage()):
        assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    bench.double.roll(bench.subscription()["id"])


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("customers", "customer"),
        ("products", "product"),
        ("prices", "price"),
        ("prices?expand[]=data.product", "price"),
        ("subscriptions", "subscription"),
        ("invoices", "invoice"),
        ("invoiceitems", "invoiceitem"),
        ("invoiceitems?expand[]=data.invoice", "invoiceitem"),
        ("subscription_items?subscription={subscription}", "subscription_item"),
        ("invoices/{invoice}/lines", "line_item"),
        ("billing/meters", "billing.meter"),
        ("billing/meters/mtr_test_61Syncd/event_summaries?customer={customer}&start_time=0&end_time=1900000020",
         "billing.meter_event_summary"),
    ],
)  # fmt: skip
def test_answers_fit_the_published_description(bench: Bench, path: str, schema: str) -> None:
    description = spec()
    busy(bench)
    invoice = list(bench.double.tables["invoice"])[-1]
    named = {"subscription": bench.subscription()["id"], "invoice": invoice, "customer": bench.double.customer(1)}
    told = json.loads(call(bench, "GET", path.format(**named)).data)
    assert told["data"]
    wanted = {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}, **description}
    jsonschema.Draft4Validator(wanted).validate(told["data"])


@pytest.mark.parametrize("which", ["set", "charge", "add", "usage"])
def test_what_syncd_sends_fits_the_published_description(bench: Bench, which: str) -> None:
    description = spec()
    posting: Posting = getattr(bench, which)()
    wire = bench.connect().wire(posting)
    path = re.sub(r"(?<=subscription_items/)\w+", "{item}", f"/{wire.path}")
    body = description["paths"][path]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    sent = nested(parse_qsl(wire.body.decode()))

    def known(name: str, schema: dict[str, Any], value: Any) -> None:
        parts = [schema, *schema.get("anyOf", ()), *schema.get("allOf", ())]
        for part in list(parts):
            if "$ref" in part:
                parts.append(description["components"]["schemas"][part["$ref"].rpartition("/")[2]])
        properties = {key: inner for part in parts for key, inner in part.get("properties", {}).items()}
        if isinstance(value, dict):
            for key, inner in value.items():
                free = any(part.get("additionalProperties") for part in parts)
                assert free or key in properties, f"{name}[{key}] is not described"
                known(f"{name}[{key}]", properties.get(key, {}), inner)

    known("body", body, sent)
    assert set(body.get("required", ())) <= set(sent)


def test_reads_ask_for_what_is_described(bench: Bench) -> None:
    description = spec()
    busy(bench)
    connection = bench.connect()
    connection.sign_in()
    connection.customers()
    bench.billing(connection=connection)
    bench.booked(connection=connection)
    connection.find(bench.usage())
    asked = [one for one in bench.double.requests if one.method == "GET"]
    assert len({one.path for one in asked}) >= 7
    for one in asked:
        path = next(
            (
                name
                for name, ways in description["paths"].items()
                if "get" in ways and re.fullmatch(re.sub(r"\{\w+\}", r"\\w+", name), one.path)
            ),
            None,
        )
        assert path is not None, one.path
        names = {parameter["name"] for parameter in description["paths"][path]["get"]["parameters"]}
        assert {name.partition("[")[0] for name in one.query} <= names, one.query


# --- rules that bite --------------------------------------------------------------------------------------------------


def test_keys_versions_and_names_are_looked_at(bench: Bench) -> None:
    assert call(bench, "GET", "customers", {"Authorization": "Bearer sk_test_no"}).status_code == 401
    assert call(bench, "GET", "customers", {"Stripe-Version": "2020-08-27"}).status_code == 400
    told = call(bench, "GET", "customers?colour=red")
    assert (told.status_code, told.get_json()["error"]["code"]) == (400, "parameter_unknown")
    assert call(bench, "GET", "customers?limit=101").status_code == 400
    assert call(bench, "GET", "customers").headers["Request-Id"].startswith("req_")


def test_pages_are_of_ten_and_inner_lists_are_cut(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=25)
    page = call(bench, "GET", "customers").get_json()
    assert (len(page["data"]), page["has_more"]) == (10, True)
    after = call(bench, "GET", f"customers?starting_after={page['data'][-1]['id']}").get_json()
    assert not {one["id"] for one in page["data"]} & {one["id"] for one in after["data"]}
    assert call(bench, "GET", "customers?starting_after=cus_gone").status_code == 400


def test_a_changed_price_forgets_the_quantity(bench: Bench) -> None:
    item = bench.item()["id"]
    told = call(bench, "POST", f"subscription_items/{item}", price="price_1SyncdVISIOP2").get_json()
    assert told["quantity"] == 1


def test_always_invoice_charges_at_once_and_meets_its_limit(bench: Bench) -> None:
    item = bench.item()["id"]
    statuses = [
        call(
            bench, "POST", f"subscription_items/{item}", quantity=str(26 + number), proration_behavior="always_invoice"
        ).status_code
        for number in range(21)
    ]
    assert statuses == [200] * 20 + [429]


def test_quantities_are_changed_two_hundred_times_an_hour(bench: Bench) -> None:
    item = bench.item()["id"]
    statuses = [
        call(bench, "POST", f"subscription_items/{item}", quantity=str(number), proration_behavior="none").status_code
        for number in range(201)
    ]
    assert statuses == [200] * 200 + [429]
    bench.double.advance(3601)
    assert call(bench, "POST", f"subscription_items/{item}", quantity="1").status_code == 200


def test_a_recurring_price_does_not_go_onto_an_invoice_item(bench: Bench) -> None:
    form: dict[str, Any] = {"customer": bench.double.customer(1), "pricing[price]": "price_1SyncdM365BP"}
    assert call(bench, "POST", "invoiceitems", **form).status_code == 400
    form["pricing[price]"] = "price_1SyncdSetup"
    assert call(bench, "POST", "invoiceitems", **form).get_json()["amount"] == 15_000


def test_an_item_without_a_subscription_goes_onto_whichever_invoice_comes_next(bench: Bench) -> None:
    """The trap that syncd never steps into."""
    made = call(
        bench, "POST", "invoiceitems", customer=bench.double.customer(1), amount="500", currency="usd"
    ).get_json()
    row = bench.double.invoice(bench.subscription()["id"])
    assert bench.double.tables["invoiceitem"][made["id"]]["invoice"] == row["id"]


def test_one_key_one_effect_until_its_day_is_over(bench: Bench) -> None:
    form = {"customer": bench.double.customer(1), "amount": "500", "currency": "usd"}
    first = call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **form)
    again = call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **form)
    assert first.data == again.data
    assert again.headers["Idempotent-Replayed"] == "true"
    other = call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **{**form, "amount": "501"})
    assert (other.status_code, other.get_json()["error"]["type"]) == (400, "idempotency_error")
    bench.double.advance(86_401)
    later = call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **form)
    assert later.get_json()["id"] != first.get_json()["id"]


def test_what_fails_validation_is_not_kept(bench: Bench) -> None:
    form = {"customer": "cus_none", "amount": "500", "currency": "usd"}
    assert call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **form).status_code == 400
    form["customer"] = bench.double.customer(1)
    assert call(bench, "POST", "invoiceitems", {"Idempotency-Key": "k"}, **form).status_code == 200


def test_a_double_outside_its_minutes(bench: Bench) -> None:
    path = "billing/meters/mtr_test_61Syncd/event_summaries?customer=cus_1&start_time=1&end_time=61"
    assert call(bench, "GET", path).status_code == 400


# --- forms ------------------------------------------------------------------------------------------------------------


def test_forms_go_there_and_back() -> None:
    fields: dict[str, forms.Value] = {
        "a": "ä & = [x] +\u3000", "b": {"c": {"d": Decimal("12.50"), "e": True}}, "f": ["x", {"g": 3}], "h": "",
    }  # fmt: skip
    told = forms.encoded(fields).decode()
    assert told.isascii()
    assert nested(parse_qsl(told, keep_blank_values=True)) == {
        "a": "ä & = [x] +\u3000", "b": {"c": {"d": "12.5", "e": "true"}}, "f": ["x", {"g": "3"}], "h": "",
    }  # fmt: skip


# --- a rehearsal's records --------------------------------------------------------------------------------------------


def test_records_read_back_as_they_were_given(make_bench: Callable[..., Bench]) -> None:
    bench, other = make_bench(), make_bench()
    subscription = bench.subscription(3)
    bench.double.add_item(subscription["id"], "price_1SyncdHours", None, (1793534400, 1796126400))
    bench.subscription(2)["schedule"] = "sub_sched_1"
    connection = bench.connect()
    for posting in (bench.charge(), bench.add()):
        connection.send(posting, connection.wire(posting))
    connection = bench.connect()
    customers, products = connection.customers(), connection.products()
    given = list(connection.lines(customers, bench.moment))
    double: Double = other.double
    assert is_stand_in(double)
    fill(other.double, customers, products, given)
    again = other.connect()
    assert again.customers() == customers
    told = {one.customer_id: one for one in again.lines(customers, bench.moment)}
    for one in given:
        shown = told[one.customer_id]
        assert {line.id: line.quantity for line in shown.lines} == {line.id: line.quantity for line in one.lines}
        assert {line.id: (line.product_id, line.marker, line.starts, line.ends, line.once, bool(line.obstacle))
                for line in shown.lines} == {
            line.id: (line.product_id, line.marker, line.starts, line.ends, line.once, bool(line.obstacle))
            for line in one.lines
        }  # fmt: skip
        assert [agreement.period for agreement in shown.agreements] == [each.period for each in one.agreements]


@pytest.mark.parametrize("which", ["set", "charge", "add", "usage"])
def test_a_rehearsed_change_is_counted_once(make_bench: Callable[..., Bench], which: str) -> None:
    bench, other = make_bench(), make_bench()
    connection = bench.connect()
    posting: Posting = getattr(bench, which)()
    fill(other.double, connection.customers(), connection.products(), [bench.billing(connection=connection)])
    rehearsed = other.connect()
    assert rehearsed.find(posting) == Absent()
    assert isinstance(rehearsed.send(posting, rehearsed.wire(posting)), Receipt)
    assert isinstance(rehearsed.find(posting), Found)
    assert times(other.double, posting) == 1
