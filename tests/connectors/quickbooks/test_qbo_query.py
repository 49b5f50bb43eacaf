"""Queries: one function for every value, and lists that are whole or said not to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from qbo_kit import Bench, MakeBench
from werkzeug.wrappers import Request, Response

from connectors.quickbooks import sandbox_state as state
from connectors.quickbooks.api import Api
from connectors.quickbooks.config import QuickBooksSettings
from connectors.quickbooks.payloads import Customer
from connectors.quickbooks.query import ACTIVE_OR_NOT, Where, counted, page, quoted, whole
from syncd.connect.contract import Context
from syncd.errors import VendorError

NAMES = [
    "O'Brien & Sons",
    "Smith, Jones & O'Neill 'The Third'",
    "Ångström Öl & Çelik",
    "株式会社ミナト",
    "Пекарня «Заря»",
    'Back\\slash "Quote"',
    "100% +plus #hash ?mark;semi=colon",
    "' OR Id > '0",
    "ends with a backslash\\",
]


def api(bench: Bench) -> Api:
    connection = bench.connect()
    found: Any = connection
    made: Api = found._api
    return made


@pytest.mark.parametrize("name", NAMES)
def test_any_name_finds_exactly_its_customer(bench: Bench, name: str) -> None:
    for number, other in enumerate(NAMES, start=500):
        bench.double.tables["Customer"][str(number)] = state.customer(number, other)
    where = (Where("DisplayName", "=", name),)

    found = whole(api(bench), "Customer", Customer, where)

    assert [row.display_name for row in found.rows] == [name]


def test_values_that_no_name_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="control characters"):
        quoted("a\nb")
    assert quoted("it's \\") == "'it\\'s \\\\'"
    assert page("Invoice", [Where("TxnDate", ">=", date(2026, 11, 1)), Where("CustomerRef", "=", "12")], first=3) == (
        "SELECT * FROM Invoice WHERE TxnDate >= '2026-11-01' AND CustomerRef = '12' ORDERBY Id STARTPOSITION 3 "
        "MAXRESULTS 1000"
    )
    assert counted("Customer", [ACTIVE_OR_NOT]) == "SELECT COUNT(*) FROM Customer WHERE Active IN (true, false)"


def test_nothing_but_selects_is_asked(bench: Bench) -> None:
    for statement in ("DELETE FROM Invoice", "select * from Customer", "SELECT Id FROM Customer; x"):
        with pytest.raises(VendorError) as refused:
            api(bench).query(statement)
        assert refused.value.code == "unsupported"
    assert bench.double.requests == []


def many(bench: Bench, number: int = 1500) -> None:
    table = bench.double.tables["Customer"]
    for one in range(number - len(table)):
        table[str(70_000 + one)] = state.customer(70_000 + one, f"Customer {one}")


@pytest.mark.slow
@pytest.mark.parametrize("text_ids", [False, True])
def test_fifteen_hundred_customers_come_whole_over_two_pages(make_bench: MakeBench, text_ids: bool) -> None:
    bench = make_bench(text_ids=text_ids)
    many(bench)

    customers = bench.connect().customers()

    assert len({one.id for one in customers}) == len(customers) == 1500
    assert len(bench.statements()) == 2  # the count came with the settings
    assert [one.id for one in customers] == sorted((one.id for one in customers), key=int)


@pytest.mark.parametrize("longest_page", [pytest.param(100, marks=pytest.mark.slow), 999])
def test_a_page_that_is_shorter_than_asked_for_ends_nothing(make_bench: MakeBench, longest_page: int) -> None:
    bench = make_bench(longest_page=longest_page)
    many(bench)

    assert len(bench.connect().customers()) == 1500


def test_a_customer_that_exists_twice_by_name_is_shown_twice(bench: Bench) -> None:
    bench.double.tables["Customer"]["700"] = state.customer(700, "Alder Dental Group")

    twins = [one for one in bench.connect().customers() if one.name == "Alder Dental Group"]

    assert [one.id for one in twins] == ["59", "700"]


def lying(bench: Bench, change: Callable[[Any], Any], path: str = "/query") -> None:
    """Every answer of an address, changed."""
    honest = bench.double._answer

    def answer(request: Request, fault: str) -> Response:
        response = honest(request, fault)
        if request.path.endswith(path) and response.status_code == 200:
            response.set_data(json.dumps(change(json.loads(response.get_data()))))
        return response

    bench.double._answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda told: {**told, "QueryResponse": None}, "malformed"),
        (lambda told: {**told, "QueryResponse": {**told["QueryResponse"], "Customer": None}}, "malformed"),
        (lambda told: {"time": told["time"]}, "malformed"),
        (lambda told: {}, "malformed"),
        (lambda told: {**told, "QueryResponse": {}}, "incomplete"),
        (lambda told: {**told, "QueryResponse": {"Customer": []}}, "incomplete"),
        (lambda told: {**told, "QueryResponse": {"Customer": told["QueryResponse"].get("Customer", [])[1:]}},
         "incomplete"),
    ],
)  # fmt: skip
def test_a_list_that_is_not_there_is_never_an_empty_one(bench: Bench, change: Callable[[Any], Any], code: str) -> None:
    lying(bench, lambda told: change(told) if "Customer" in told["QueryResponse"] else told)

    with pytest.raises(VendorError) as failed:
        bench.connect().customers()

    assert failed.value.code == code


def test_a_batch_that_leaves_an_answer_out_or_failed_in_one_is_an_error(bench: Bench) -> None:
    lying(bench, lambda told: {"BatchItemResponse": told["BatchItemResponse"][:-1]}, "/batch")
    with pytest.raises(VendorError, match="left out") as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


def test_a_fault_inside_a_batch_is_told_in_its_words(bench: Bench) -> None:
    fault = {"Error": [{"Message": "message=Denied", "Detail": "No edition", "code": "120"}], "type": "Authorization"}

    def change(told: Any) -> Any:
        return {"BatchItemResponse": [*told["BatchItemResponse"][:-1], {"bId": "3", "Fault": fault}]}

    lying(bench, change, "/batch")
    with pytest.raises(VendorError, match=r"\(code 120\): message=Denied: No edition") as failed:
        bench.connect().customers()
    assert failed.value.code == "forbidden"


def test_a_fault_under_status_200_is_no_answer(make_bench: MakeBench) -> None:
    bench = make_bench(faults_under_200=True)
    with pytest.raises(VendorError, match="code 4001") as failed:
        whole(api(bench), "Invoice", Customer, (Where("PrivateNote", "=", "x"),))
    assert failed.value.code == "invalid"


def test_a_list_that_is_never_steady_is_not_believed(make_bench: MakeBench) -> None:
    bench = make_bench(longest_page=2)
    honest = bench.double._answer

    def answer(request: Request, fault: str) -> Response:
        response = honest(request, fault)
        if request.path.endswith("/query"):
            bench.double.shift()
        return response

    bench.double._answer = answer  # type: ignore[method-assign]
    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


@pytest.mark.parametrize("longest_page", [1, 2, 3])
def test_a_row_that_goes_while_another_comes_takes_nobody_with_it(make_bench: MakeBench, longest_page: int) -> None:
    """The number stays the same, and the row after the gap would be on no page."""
    bench = make_bench(longest_page=longest_page)
    table = bench.double.tables["Customer"]
    table["1"] = state.customer(1, "Leaving")
    honest, once = bench.double._asked, [True]

    def asked(statement: str) -> Any:
        told = honest(statement)
        if once and "Customer" in told["QueryResponse"]:
            once.clear()
            del table["1"]
            table["50000"] = state.customer(50000, "Coming")
        return told

    bench.double._asked = asked  # type: ignore[method-assign]

    assert [one.id for one in bench.connect().customers()] == ["59", "60", "61", "40000", "50000"]


def test_throttling_without_a_time_waits_what_intuit_says(make_bench: MakeBench) -> None:
    """Nothing sleeps through a minute where a cycle has less patience: it is left to a later one."""
    bench = make_bench(retry_after="")
    connection = bench.connect()
    connection.sign_in()
    bench.double.fail("throttle", path="query")

    with pytest.raises(VendorError) as failed:
        connection.customers()

    assert failed.value.code == "deferred"
    assert 50 < bench.gates[-1].remaining() <= 60


def test_an_allowance_of_reads_that_is_spent_defers_the_connection(make_bench: MakeBench) -> None:
    bench = make_bench(monthly_reads=2, retry_after="0")
    connection = bench.connect()
    connection.customers()

    with pytest.raises(VendorError, match="allowance of reads") as failed:
        connection.products()

    assert failed.value.code == "deferred"


def test_settings_and_dates_as_they_really_come(bench: Bench) -> None:
    """A context is only needed for the way out; a realm is digits."""
    given = {"kind": "quickbooks", **bench.double.settings}
    with pytest.raises(ValueError, match="realm_id"):
        QuickBooksSettings.model_validate({**given, "realm_id": "9341 4530"})
    assert Context.__dataclass_fields__["vault"].default_factory is not None
