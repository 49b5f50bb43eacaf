"""Lists read whole or not at all: customers, items, closed periods, and syncd's own charges, invoices and credits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from netsuite_kit import Bench
from werkzeug.wrappers import Request, Response

from connectors.netsuite.suiteql import holding, text, whole_number
from syncd.errors import VendorError
from syncd.model import Moment, Posting, Receipt, RemoteCustomer, State
from syncd.periods import Period

Postings = dict[str, Posting]
SUITEQL = "/services/rest/query/v1/suiteql"


def lying(bench: Bench, patch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any], times: int = 100) -> None:
    """Changes the next answers of SuiteQL."""
    honest, left = bench.double._answer, [times]

    def answer(request: Request, fault: str) -> Response:
        response = honest(request, fault)
        if request.path == SUITEQL and response.status_code == 200 and left[0]:
            left[0] -= 1
            content = json.loads(response.get_data())
            change(content)
            response.set_data(json.dumps(content))
        return response

    patch.setattr(bench.double, "_answer", answer)


def test_customers_have_their_names_and_codes(bench: Bench) -> None:
    bench.double.customers[101] |= {"isinactive": True, "externalid": "psa-1"}
    bench.double.customers[102] |= {"companyname": 'O\'Neill "Döner" & <Söhne> 株式会社'}
    bench.double.customers[103] |= {"companyname": None, "altname": None}

    found = bench.connect().customers()

    assert [one.id for one in found] == ["101", "102", "103"]
    assert found[0] == RemoteCustomer("101", "Alder Dental Group", ("AlderDental", "psa-1"), active=False)
    assert found[1].name == 'O\'Neill "Döner" & <Söhne> 株式会社'
    assert found[2] == RemoteCustomer("103", "CedarSons")


def test_customers_with_one_name_are_two(bench: Bench) -> None:
    bench.double.customers[102]["companyname"] = bench.double.customers[101]["companyname"]

    found = bench.connect().customers()

    assert [one.id for one in found if one.name == "Alder Dental Group"] == ["101", "102"]


@pytest.mark.slow
def test_fifteen_hundred_customers_come_over_several_pages(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(more_customers=1500)

    found = bench.connect().customers()

    assert len(found) == len({one.id for one in found}) == 1503
    assert sum(one.path == SUITEQL for one in bench.double.requests) == 2


def test_customers_who_come_and_go_between_pages_shift_nothing(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(more_customers=30)
    bench.double.largest_page = 10
    left = list(range(20_001, 20_004))

    def going(content: dict[str, Any]) -> None:
        if left:
            del bench.double.customers[left.pop()]

    lying(bench, monkeypatch, going)
    found = bench.connect().customers()

    shown = [int(one.id) for one in found]
    assert left == []
    assert len(shown) == len(set(shown))
    assert set(bench.double.customers) <= set(shown)


def test_a_list_that_never_rests_is_not_believed(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(more_customers=30)
    bench.double.largest_page = 10
    coming = iter(range(30_000, 31_000))

    def growing(content: dict[str, Any]) -> None:
        number = next(coming)
        bench.double.customers[number] = {**bench.double.customers[101], "id": number}

    lying(bench, monkeypatch, growing)
    with pytest.raises(VendorError, match="changed in each of 4 reads") as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


LIES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("half the rows", lambda told: told.update(items=told["items"][:1])),
    ("half the rows and their count", lambda told: told.update(items=told["items"][:1], count=1)),
    ("no rows", lambda told: told.update(items=[])),
    ("more to come that does not", lambda told: told.update(hasMore=True)),
    ("a total that is too small", lambda told: told.update(totalResults=1)),
    ("no order", lambda told: told["items"].reverse()),
    ("one row twice", lambda told: told["items"].__setitem__(1, told["items"][0])),
    ("no list", lambda told: told.pop("items")),
    ("null for a list", lambda told: told.update(items=None)),
    ("no total", lambda told: told.pop("totalResults")),
    ("half of everything", lambda told: told.update(items=told["items"][:1], count=1, totalResults=1)),
    ("nothing at all", lambda told: told.update(items=[], count=0, totalResults=0)),
    ("a name that is missing", lambda told: told["items"][0].pop("entityid")),
    ("a flag that is none", lambda told: told["items"][0].update(isinactive="maybe")),
]


@pytest.mark.parametrize("change", [one for _, one in LIES], ids=[name for name, _ in LIES])
def test_half_a_list_is_no_list(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], Any]
) -> None:
    lying(bench, monkeypatch, change)

    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code in ("incomplete", "malformed")


def test_a_role_that_suiteql_hides_records_from_is_told(bench: Bench) -> None:
    bench.double.blind = {"customer"}
    with pytest.raises(VendorError, match="SuiteAnalytics Workbook"):
        bench.connect().customers()
    with pytest.raises(VendorError, match="SuiteAnalytics Workbook"):
        bench.connect().sign_in()


def test_items_tell_why_they_cannot_be_billed(bench: Bench) -> None:
    found = {one.identifier: one for one in bench.connect().products()}

    assert found["M365-BP"].id == "501"
    assert found["M365-BP"].unit_price == 28
    assert found["M365-BP"].obstacle == ""
    assert "inactive" in found["SETUP-OLD"].obstacle
    assert "stock" in found["FW-60F"].obstacle
    assert "kit" in found["DESK-KIT"].obstacle
    assert "SPLA-COST" not in found  # bought, never sold


def test_a_base_price_is_taken_only_where_all_customers_have_one_currency(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(euro=(2,))

    assert all(one.unit_price is None for one in bench.connect().products())


def test_a_price_list_that_cannot_be_read_leaves_prices_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = bench.double.tables
    monkeypatch.setattr(
        bench.double, "tables", lambda: {name: rows for name, rows in honest().items() if name != "pricing"}
    )

    found = bench.connect().products()

    assert found
    assert all(one.unit_price is None for one in found)


def test_an_account_with_one_currency_names_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(single_currency=True)

    connection = bench.connect(currency="USD")
    [account] = bench.billing(1, connection).agreements
    assert account.currency == "USD"
    assert bench.booked(1, connection).counts[0].currency == "USD"


def test_an_account_s_currency_and_its_closed_days_are_told(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(euro=(2,))
    connection = bench.connect()

    [first], [second] = bench.billing(1, connection).agreements, bench.billing(2, connection).agreements

    assert (first.id, first.name, first.currency) == ("101", "Alder Dental Group", "USD")
    assert second.currency == "EUR"
    assert first.invoiced_through == date(2026, 9, 30)


@pytest.mark.parametrize("how", ["closed", "arlocked", "alllocked"])
def test_a_period_is_closed_or_locked(bench: Bench, how: str) -> None:
    for period in bench.double.periods:
        period |= {"closed": False, "arlocked": False, "alllocked": False}
    assert bench.billing().agreements[0].invoiced_through is None

    for period in bench.double.periods:
        period[how] = period["enddate"] <= "2026-10-31" and period["startdate"] != "2026-07-01"
    assert bench.billing().agreements[0].invoiced_through == date(2026, 6, 30)  # July was opened again


def test_an_inactive_customer_is_an_obstacle(bench: Bench) -> None:
    bench.double.customers[101]["isinactive"] = True

    assert "inactive" in bench.billing().agreements[0].obstacle


def test_a_customer_that_is_not_there_is_not_an_empty_one(bench: Bench) -> None:
    [billing] = bench.connect().lines([RemoteCustomer("999", "Nobody")], bench.moment)

    assert (billing.state, billing.code) == (State.UNKNOWN, "not_found")


def test_own_lines_are_read_back_wherever_they_stand(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    for wanted in (postings["charge"], postings["credit"]):
        assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
    both = [postings["invoice"], postings["second"]]
    assert isinstance(connection.send(both[0], connection.gather(both)), Receipt)

    billing = bench.billing()

    assert billing.state is State.KNOWN
    assert billing.proof
    shown: list[Any] = [
        (one.marker, one.quantity, one.product, one.once, one.starts, one.ends) for one in billing.lines
    ]
    days = (True, date(2026, 11, 1), date(2026, 11, 30))
    assert sorted(shown) == [
        ("sd-t1-charge", 2, "M365-BP", *days),
        ("sd-t1-credit", -2, "M365-BP", *days),
        ("sd-t1-invoice", 2, "M365-BP", *days),
        ("sd-t1-second", 3, "EXO-P1", *days),
    ]
    assert all(one.agreement_id == one.customer_id == "101" for one in billing.lines)
    assert bench.billing(2).lines == ()


def test_what_a_person_changed_on_an_own_line_is_read(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), replace(postings["second"], options={})
    connection.send(wanted, connection.wire(wanted))
    [charge] = bench.double.records["charge"].values()
    assert charge["quantity"] == 1  # three mailboxes, sent as one unit at the whole amount

    charge["quantity"] = Decimal(2)

    assert [line.quantity for line in bench.billing().lines] == [6]


def test_lines_of_earlier_periods_are_read_too(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    for month in range(6, 12):
        days = Period(date(2026, month, 1), date(2026, month, 28))
        wanted = replace(
            postings["charge"], key=f"k{month}", marker=f"sd-t1-m{month}", starts=days.first, ends=days.last
        )
        connection.send(wanted, connection.wire(wanted))

    assert len(bench.billing().lines) == 6
    bench.moment = Moment(
        datetime(2027, 1, 4, 18, tzinfo=UTC), date(2027, 1, 4), Period(date(2027, 1, 1), date(2027, 1, 31))
    )
    assert len(bench.billing().lines) == 4


def test_charges_that_are_not_billable_any_more_bill_nothing(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    [charge] = bench.double.records["charge"].values()
    charge["stage"] = "NON_BILLABLE"

    assert bench.billing().lines == ()


def test_a_billed_charge_stays_one_line(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    told = connection.send(wanted, connection.wire(wanted))
    assert isinstance(told, Receipt)
    bench.double.release(int(told.remote_id.split()[1]))
    [invoice] = bench.double.bill_run(date(2026, 11, 30))

    [line] = bench.billing().lines

    assert line.quantity == 2
    assert f"invoice #{invoice['id']}" in line.obstacle


def test_an_own_document_with_lines_of_others_spoils_its_customer_only(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["invoice"]
    connection.send(wanted, connection.wire(wanted))
    [made] = [one for one in bench.double.records["invoice"].values() if one["memo"]]
    made["lines"].append(dict(made["lines"][0]))

    spoilt, fine = bench.billing(1), bench.billing(2)

    assert spoilt.state is State.UNKNOWN
    assert "put additions of your own onto another one" in spoilt.reason
    assert fine.state is State.KNOWN


@pytest.mark.parametrize("which", ["charge", "invoice"])
def test_a_typo_in_a_memo_spoils_its_customer_only(bench: Bench, postings: Postings, which: str) -> None:
    connection, wanted = bench.connect(), postings[which]
    connection.send(wanted, connection.wire(wanted))
    [made] = [one for one in bench.double.records[which].values() if one["memo"]]
    made["memo"] = made["memo"].replace("20261130", "20261131")

    spoilt, fine = bench.billing(1), bench.billing(2)

    assert (spoilt.state, spoilt.code) == (State.UNKNOWN, "malformed")
    assert f"bears syncd's mark {wanted.marker}" in spoilt.reason
    assert "put the memo back as it was" in spoilt.reason
    assert fine.state is State.KNOWN


def test_an_account_without_charges_is_read_where_none_are_posted(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(charging=False)

    assert bench.billing(1, bench.connect(charge_type="")).state is State.KNOWN
    with pytest.raises(VendorError):
        bench.billing(1, bench.connect())


@pytest.mark.parametrize("kind", ["invoice", "charge"])
def test_own_documents_that_the_role_may_not_see_are_no_empty_list(bench: Bench, postings: Postings, kind: str) -> None:
    connection, wanted = bench.connect(), postings[kind]
    connection.send(wanted, connection.wire(wanted))
    bench.double.blind = {kind}

    with pytest.raises(VendorError, match="fewer than"):
        bench.billing()


@pytest.mark.parametrize("value", ["a'b", 'a"b', "a b", "a%b", "a;b", "", "ä", "a)", "--" + "'"])
def test_nothing_but_plain_letters_gets_into_a_query(value: str) -> None:
    for make in (text, holding, whole_number):
        with pytest.raises(ValueError, match=r"may not stand|no internal id"):
            make(value)


def test_a_customer_id_from_a_mapping_cannot_carry_a_query(bench: Bench, postings: Postings) -> None:
    wanted = replace(postings["charge"], customer_id="101 OR 1=1")

    with pytest.raises(ValueError, match="no internal id"):
        bench.connect().find(wanted)
    assert "no NetSuite customer id" in bench.refusal(wanted)


def test_every_list_is_ordered_and_read_once(bench: Bench) -> None:
    connection = bench.connect()
    connection.customers()
    connection.products()
    for number in (1, 2, 3):
        bench.billing(number, connection)
        bench.booked(number, connection)

    queries = [json.loads(one.body)["q"] for one in bench.double.requests if one.path == SUITEQL]
    lists = [one for one in queries if "COUNT(*)" not in one]
    assert all("ORDER BY" in one for one in lists)
    assert len(lists) == len(set(lists))
    assert bench.double.most_at_once == 1
