"""What stands in an answer: numbers exactly as told, and everything that is no answer at all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from connector_kit import MOMENT
from json_kit import BASE, EACH, Serve, quantities, read, read_of
from werkzeug.wrappers import Response

from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Query, RemoteCustomer, State

SEATS: dict[str, Any] = {**BASE, "request": "/v2/seats", "quantity": "seats", "subject": None}
SEAT = "AlderDental-SPB"


def alder(served: Serve, raw: str) -> Decimal:
    vendor, bench = served()
    vendor.raw[SEAT] = raw
    counts = read(bench.open(SEATS))["AlderDental"].counts
    return next(count.quantity for count in counts if count.sku == "SPB")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("28", "28"),
        ("0", "0"),
        ("12.0", "12.0"),
        ('"12"', "12"),
        ('" 12.5 "', "12.5"),
        ("2.9999999", "2.9999999"),
        ("0.1", "0.1"),
        ("1e3", "1000"),
        ("999999999999999.000000000000000000000000000001", "999999999999999.000000000000000000000000000001"),
    ],
)
def test_a_quantity_is_taken_exactly_as_it_is_told(served: Serve, raw: str, told: str) -> None:
    quantity = alder(served, raw)

    assert isinstance(quantity, Decimal)
    assert str(quantity) == told


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("null", r"quantity \(seats\) finds nothing"),
        ("-1", "is below zero"),
        ('"1,500"', '"1,500" is no plain number, such as 1500 or 1.5'),
        ('"1\u202f500"', "is text that is no plain number"),
        ('"1_500"', "is text that is no plain number"),
        ('"Jordan Field"', "is text that is no plain number"),
        ('""', "no plain number"),
        ("true", "is no usable number"),
        ("[3]", "is no usable number"),
        ("1e999999999", "is no usable number"),
        ("1000000000000000", "is no usable number"),
        ("NaN", "cannot be read as JSON|another shape"),
    ],
)
def test_what_is_no_quantity_is_an_error_of_the_source(served: Serve, raw: str, words: str) -> None:
    with pytest.raises(VendorError, match=words) as failed:
        alder(served, raw)
    assert failed.value.code == "malformed"
    assert "Jordan" not in str(failed.value)


def test_quantities_of_one_sku_are_added_without_losing_a_digit(served: Serve) -> None:
    vendor, bench = served()
    vendor.seats.append({**vendor.seats[0], "id": "second-order"})
    vendor.raw = {SEAT: "100000000000000.1", "second-order": "0.0000000000000000000000000001"}

    assert quantities(read(bench.open(SEATS)))["AlderDental"]["SPB"] == "100000000000000.1000000000000000000000000001"


@pytest.mark.parametrize(
    ("key", "selector"),
    [
        ("customer", "account.uid"),
        ("sku", "plan_name"),
        ("subject", "hostnames"),
        ("quantity", "count"),
        ("customer_name", "account.title"),
    ],
)
def test_a_declared_field_that_is_not_there_is_an_error(served: Serve, key: str, selector: str) -> None:
    _, bench = served()
    connection = bench.open(BASE, **{key: selector})
    for look in (connection.customers, connection.sign_in):
        with pytest.raises(VendorError, match=f"{key} .{selector}. finds nothing") as failed:
            look()
        assert failed.value.code == "malformed"


def test_one_record_without_the_field_spoils_the_list(served: Serve) -> None:
    vendor, bench = served()
    del vendor.devices[40]["plan"]
    with pytest.raises(VendorError, match=r"record \d+: sku \(plan\) finds nothing"):
        bench.open(BASE).customers()


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("rows", r"records \(rows\) finds nothing"),
        ("meta", r"records \(meta\) finds no list"),
        ("items[].host", r"records .* finds nothing in the 1st of 55 places that it goes through"),
        ("items[?plan=='NONE']", "holds no rows, which is not the same as zero"),
        ("sum(items)", "does not fit the answer"),
    ],
)
def test_records_that_are_not_found_are_an_error(served: Serve, selector: str, words: str) -> None:
    _, bench = served()
    with pytest.raises(VendorError, match=words):
        bench.open(BASE, records=selector, total=None).customers()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "nothing where data was expected"),
        (b"<!DOCTYPE html><html>Sign in", "a web page instead of data"),
        (b'{"items": [', "another shape|cannot be read"),
        (b'{"items": []}', "total|holds no rows"),
        (b'{"items": null}', "records .items. finds nothing"),
        (b"[]", "records .items. finds nothing"),
        (b"null", "records .items. finds nothing"),
        (b"\xff\xfe", "another shape|cannot be read"),
        (b"[" * 100_000, "another shape|cannot be read|nested|recursion"),
        (b'{"items": [], "meta": {"total": 0}}', "holds no rows, which is not the same as zero"),
    ],
)
@pytest.mark.parametrize("settings", [BASE, EACH], ids=["one list", "each"])
def test_an_answer_without_records_is_never_a_zero(served: Serve, settings: Any, body: bytes, words: str) -> None:
    vendor, bench = served()
    connection = bench.open(settings)
    customers = list(connection.customers())
    honest = vendor.double._answer

    def answer(request: Any, fault: str) -> Response:
        own = request.path.endswith("/devices")
        return Response(body, mimetype="application/json") if own else honest(request, fault)

    vendor.double._answer = answer  # type: ignore[method-assign]
    if "each" in settings:
        readings = read_of(connection, customers).values()
        assert {reading.state for reading in readings} == {State.UNKNOWN}
        assert all(reading.code in ("malformed", "incomplete") and not reading.counts for reading in readings)
    else:
        with pytest.raises(VendorError, match=words):
            list(connection.counts([Ask(one, (Query("quantity"),)) for one in customers], MOMENT))


def test_a_customer_that_no_record_names_is_unknown_and_never_zero(served: Serve) -> None:
    _, bench = served()
    readings = read_of(bench.open(BASE), [RemoteCustomer("Nobody", "Nobody")])

    assert (readings["Nobody"].state, readings["Nobody"].code) == (State.UNKNOWN, "not_found")


@pytest.mark.parametrize("query", [Query("gigabytes"), Query("quantity", (("domain", ("x",)),))])
def test_another_measure_or_a_filter_is_not_answered(served: Serve, query: Query) -> None:
    _, bench = served()
    assert {reading.code for reading in read(bench.open(BASE), query).values()} == {"unsupported"}


def test_ids_may_be_numbers_and_names_of_one_customer_must_agree(served: Serve) -> None:
    vendor, bench = served()
    for row in vendor.devices:
        row["account"]["id"] = {"AlderDental": 12, "Birchwood": 9007199254740993}.get(row["account"]["id"], "C")
    next(row for row in vendor.devices if row["account"]["id"] == "C")["account"]["name"] = "Renamed meanwhile"

    shown = {one.id: one.name for one in bench.open(BASE).customers()}

    assert shown == {"12": "Alder Dental Group", "9007199254740993": "Birchwood Legal LLP", "C": "C"}


@pytest.mark.parametrize("id_", [12.5, True, "", " ", [], {}])
def test_what_cannot_be_an_id_is_an_error(served: Serve, id_: Any) -> None:
    vendor, bench = served()
    vendor.devices[0]["account"]["id"] = Decimal(str(id_)) if isinstance(id_, float) else id_
    with pytest.raises(VendorError, match=r"customer \(account.id\) is"):
        bench.open(BASE).customers()


def test_subjects_stand_behind_the_count(served: Serve) -> None:
    vendor, bench = served()
    vendor.devices[1]["hostname"] = vendor.devices[0]["hostname"]
    counts = {one.sku: one for one in read(bench.open(BASE))["AlderDental"].counts}

    assert [one.name for one in counts["SERVER"].subjects or ()] == ["alderdental-01"]
    assert (str(counts["SERVER"].quantity), counts["SERVER"].note) == ("2", "1 more of the same name")
    assert len(counts["WORKSTATION"].subjects or ()) == 27
    assert read(bench.open(BASE, subject=None))["AlderDental"].counts[0].subjects is None


def test_one_answer_may_tell_several_products(served: Serve) -> None:
    """A vendor that names each product in a field of its own: one row for each, made by JMESPath."""
    vendor, bench = served()
    vendor.accounts = [{**account, "edr": 5, "sat": 7} for account in vendor.accounts]
    each_field = "items[].[{id: id, sku: 'edr', n: edr}, {id: id, sku: 'sat', n: sat}][]"
    connection = bench.open(
        {**BASE, "request": "/v2/accounts", "records": each_field, "customer": "id", "customer_name": None,
         "sku": "sku", "quantity": "n", "subject": None, "total": None}
    )  # fmt: skip

    assert quantities(read(connection))["Birchwood"] == {"edr": "5", "sat": "7"}


def test_the_day_of_the_msp_may_stand_in_a_parameter(served: Serve) -> None:
    _, bench = served()
    bench.open(BASE, request={"path": "/v2/devices", "params": {"date": "{today}", "deep": True, "n": 5}}).customers()

    assert bench.double.requests[-1].query == {"date": "2026-11-20", "deep": "true", "n": "5"}


def test_each_may_ask_by_parameter(served: Serve) -> None:
    _, bench = served()
    keys = {**EACH, "request": {"path": "/v2/devices", "params": {"account": "{id}"}}, "customer": None}
    connection = bench.open(keys)
    read(connection)

    assert {one.query.get("account") for one in bench.double.requests if one.path == "/v2/devices"} == {
        "AlderDental",
        "Birchwood",
        "CedarSons",
    }


@pytest.mark.parametrize("settings", [BASE, EACH], ids=["one list", "each"])
def test_where_says_which_records_count_and_the_total_counts_them_all(served: Serve, settings: Any) -> None:
    _, bench = served(longest_page=2)
    connection = bench.open(settings, where="plan == 'SERVER'")

    readings = read(connection)

    assert {tuple(counts.items()) for counts in quantities(readings).values()} == {(("SERVER", "2"),)}
    assert "55 of 55" in readings["Birchwood"].proof or "16 of 16" in readings["Birchwood"].proof


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        ("plan == 'OLD'", "no record passes where"),
        ("hostname", "finds neither true nor false"),
        ("weight > `1`", "where .* finds nothing"),
    ],
)
def test_a_filter_that_nothing_passes_is_no_zero(served: Serve, selector: str, words: str) -> None:
    _, bench = served()
    with pytest.raises(VendorError, match=words):
        bench.open(BASE, where=selector).customers()
    readings = read(bench.open(EACH, where=selector))
    assert {reading.state for reading in readings.values()} == {State.UNKNOWN}
