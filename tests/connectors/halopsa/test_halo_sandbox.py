"""The double itself: answers that fit the published description, rules that bite, and a rehearsal's records."""

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
from halo_kit import Bench
from werkzeug.test import Client, TestResponse

from syncd.model import Posting, Receipt
from syncd.sandbox.fill import fill, is_stand_in, times

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "halopsa.json"


def call(bench: Bench, method: str, path: str, scope: str = "all", **options: Any) -> TestResponse:
    client = Client(bench.double)
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "b", "scope": scope}
    token = client.post("/auth/token?tenant=acme", data=form).get_json()["access_token"]
    return client.open(f"/api/{path}", method=method, headers={"Authorization": f"Bearer {token}"}, **options)


@pytest.mark.parametrize(
    ("path", "key", "schema"),
    [
        ("Client", "clients", "Area"),
        ("Item", "items", "Item"),
        ("RecurringInvoice?includelines=true", "invoices", "InvoiceHeader"),
        ("Invoice?includelines=true", "invoices", "InvoiceHeader"),
        ("InvoiceChange", "invoicechanges", "InvoiceChange"),
        ("SoftwareLicence", "licences", "Licence_List"),
        ("LicenceChange", "licencechanges", "LicenceChange"),
        ("Asset", "assets", "Device_List"),
        ("Users?includebillinginfo=true", "users", "Users"),
        ("Tickets", "tickets", "Faults"),
        ("Actions?startdate=2026-11-01T00:00:00Z&enddate=2026-12-01T00:00:00Z", "actions", "Actions"),
    ],
)
def test_answers_fit_the_published_description(bench: Bench, path: str, key: str, schema: str) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    bench.double.rival(24_010, 26)
    call(bench, "POST", "SoftwareLicence", json=[{"id": 3021, "client_id": 102, "count": 3}])
    bench.double.nightly()
    components = json.loads(SPEC.read_text())["components"]
    told = call(bench, "GET", path).get_json()
    assert told["record_count"] == len(told[key]) > 0
    wanted = {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}, "components": components}
    jsonschema.Draft202012Validator(wanted).validate(told[key])


def test_what_syncd_sends_fits_the_published_description(bench: Bench, postings: dict[str, Posting]) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    described = json.loads(SPEC.read_text())
    connection = bench.connect()
    for posting in postings.values():
        wire = connection.wire(posting)
        shape = described["paths"][f"/{wire.path}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        body = json.loads(wire.body)
        jsonschema.Draft202012Validator({**shape, "components": described["components"]}).validate(body)
        name = shape["items"]["$ref"].rpartition("/")[2]
        known = set(described["components"]["schemas"][name]["properties"])
        assert set(body[0]) <= known, posting.operation


def test_a_token_without_scope_opens_nothing(bench: Bench) -> None:
    assert call(bench, "GET", "Client", scope="").status_code == 401
    assert call(bench, "GET", "Client", scope="read:items").status_code == 403
    assert call(bench, "POST", "SoftwareLicence", scope="read:softwarelicensing", json=[]).status_code == 403


def test_lists_have_a_cap_and_no_order_of_their_own(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(longest_page=2)
    told = call(bench, "GET", "Client?pageinate=true&page_size=1000&page_no=1").get_json()

    assert [row["id"] for row in told["clients"]] == [103, 102]
    assert (told["record_count"], told["page_size"]) == (3, 2)
    assert len(call(bench, "GET", "Client?count=1").get_json()["clients"]) == 1


def test_lines_only_where_they_are_asked_for(bench: Bench) -> None:
    assert "lines" not in call(bench, "GET", "RecurringInvoice").get_json()["invoices"][0]
    assert "lines" not in call(bench, "GET", "RecurringInvoice/-91").get_json()
    assert call(bench, "GET", "RecurringInvoice/-91?includedetails=true").get_json()["lines"]


def test_a_full_rewrite_drops_the_lines_that_it_leaves_out(bench: Bench) -> None:
    body = [{"id": -91, "lines": [{"id": 24_010, "qty_order": 26}]}]
    told = call(bench, "POST", "RecurringInvoice", json=body).get_json()

    assert [line["id"] for line in told["lines"]] == [24_010]


def test_the_forbidden_calls_would_really_do_it(bench: Bench) -> None:
    """Or the proof that the client cannot reach them would prove nothing."""
    call(bench, "POST", "RecurringInvoice/process", json=[-91])
    call(bench, "POST", "IntegrationData/AdjustQty/MicrosoftCSP", json={"licence_id": 3010})

    assert [one.what for one in bench.double.effects] == ["process", "adjust_seats"]


def test_calculated_lines_follow_users_and_assets(bench: Bench) -> None:
    line = bench.row()
    line["quantity_users"] = [{"id": 1, "qty_free": 2, "minimum_qty": 0, "pro_rata": 0}]
    bench.double.nightly()
    assert line["qty_order"] == sum(1 for one in bench.world.companies[0].people if one.enabled) - 2

    line |= {"quantity_users": [], "quantity_assets": [{"id": 2, "type_id": 6, "minimum_qty": 5}]}
    bench.double.nightly()
    assert line["qty_order"] == 5
    assert {row["who"] for row in bench.double.tables["InvoiceChange"].values()} == {"Halo Integrator"}


def test_a_one_time_line_is_billed_once(bench: Bench) -> None:
    bench.row()["onetimecharge"] = True
    first = bench.double.invoice(-91)
    second = bench.double.invoice(-91)

    assert [len(bench.double.tables["Invoice"][one]["lines"]) for one in (first, second)] == [1, 0]


def test_tickets_need_a_site_with_a_user(bench: Bench) -> None:
    body = [{"client_id": 101, "summary": "x", "user_id": 5, "_novalidate": True}]

    assert call(bench, "POST", "Tickets", json=body).status_code == 400


# --- rehearsal -------------------------------------------------------------------------------------------------------


def test_it_can_stand_in_for_a_real_halo(make_bench: Callable[..., Bench], postings: dict[str, Posting]) -> None:
    real, stand_in = make_bench(), make_bench()
    real.double.tables["RecurringInvoice"][-93] |= {
        "periodname": "Quarterly", "nextcreationdate": "2027-01-01T00:00:00", "reference": "", "contract_ref": "C-1",
    }  # fmt: skip
    connection = real.connect()
    connection.send(postings["draft"], connection.wire(postings["draft"]))
    connection = real.connect()
    customers, products = connection.customers(), connection.products()
    billings = list(connection.lines(customers, real.moment))
    assert is_stand_in(stand_in.double)
    fill(stand_in.double, customers, products, billings)

    rehearsed = stand_in.connect(**stand_in.double.settings)
    again = list(rehearsed.lines(rehearsed.customers(), stand_in.moment))
    for before, after in zip(billings, again, strict=True):
        assert after.agreements == before.agreements
        assert [replace(one, version="") for one in after.lines] == [replace(one, version="") for one in before.lines]
    assert rehearsed.products() == products

    for name in ("set", "count", "add"):
        posting = postings[name]
        assert times(stand_in.double, posting) == 0
        assert isinstance(rehearsed.send(posting, rehearsed.wire(posting)), Receipt), name
        assert times(stand_in.double, posting) == 1


def test_a_rehearsal_in_arrears_keeps_its_dates(make_bench: Callable[..., Bench]) -> None:
    real, stand_in = make_bench(), make_bench()
    connection = real.connect(invoicing="arrears")
    billings = list(connection.lines([real.customer()], real.moment))
    assert billings[0].agreements[0].invoiced_through == date(2026, 10, 31)
    fill(stand_in.double, connection.customers(), connection.products(), billings)

    [again] = stand_in.connect(**stand_in.double.settings).lines([real.customer()], real.moment)
    assert again.agreements == billings[0].agreements
    assert [one.quantity for one in again.lines] == [Decimal(25)]
