"""Every way of paging against the double: whole lists come whole, and nothing that looks whole by a lie does."""

from __future__ import annotations

from typing import Any

import pytest
from connector_kit import MOMENT
from json_kit import BASE, EACH, QUANTITY, Serve, quantities, read, read_of

from syncd.connect.contract import Ask
from syncd.core.entries import KnownCustomer
from syncd.core.resolve import resolve
from syncd.core.rules import Customer, RemoteKey
from syncd.errors import VendorError
from syncd.model import State
from syncd.sandbox.world import small_msp

PAGING: dict[str, Any] = {
    "link": "link",
    "next_url": {"kind": "next_url", "next_url": "meta.next"},
    "cursor": {"kind": "cursor", "cursor": "meta.next", "param": "cursor"},
    "page": {"kind": "page", "param": "page", "size_param": "size", "size": 20},
    "offset": {"kind": "offset", "param": "offset", "size_param": "size", "size": 20},
    "last_id": {"kind": "cursor", "cursor": "[-1].id", "param": "after"},
    "none": "none",
}
BARE = {"records": "@", "total": None}


def declared(paging: str, **changes: Any) -> dict[str, Any]:
    return {**BASE, "paginate": PAGING[paging], **(BARE if paging == "last_id" else {}), **changes}


def expected() -> dict[str, dict[str, str]]:
    return {
        company.identifier: {"SERVER": "2", "WORKSTATION": str(company.devices - 2)}
        for company in small_msp(customers=3).companies
    }


@pytest.mark.parametrize("paging", PAGING)
@pytest.mark.parametrize("totals", [True, False])
def test_every_way_of_paging_reads_the_whole_list(served: Serve, paging: str, totals: bool) -> None:
    _, bench = served(paging=paging, totals=totals, longest_page=7)
    connection = bench.open(declared(paging, **({} if totals else {"total": None})))

    readings = read(connection)

    assert quantities(readings) == expected()
    proof = next(iter(readings.values())).proof
    pages = 1 if paging == "none" else None
    told = totals and paging != "last_id"
    assert ("of 55 records" in proof) == told, proof
    assert ("no total is told" in proof) == (not told)
    assert pages is None or "in 1 page" in proof


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_a_page_cap_below_the_size_asked_for_loses_nothing(served: Serve, paging: str) -> None:
    """The vendor gives 7 where 20 were asked for: a short page is no end."""
    _, bench = served(paging=paging, totals=False, longest_page=7)
    readings = read(bench.open(declared(paging, total=None)))

    assert quantities(readings) == expected()
    assert "an empty page ended it" in next(iter(readings.values())).proof


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_a_total_saves_the_request_for_an_empty_page(served: Serve, paging: str) -> None:
    _, bench = served(paging=paging, longest_page=20)
    bench.open(declared(paging)).customers()

    assert len(bench.double.requests) == 3


@pytest.mark.parametrize(
    ("lie", "paging", "words"),
    [
        ("repeat_cursor", "cursor", "holds a record of an earlier page|was read before|circle"),
        ("repeat_cursor", "link", "circle|earlier page"),
        ("repeat_cursor", "next_url", "circle|earlier page"),
        ("repeat_page", "page", "holds a record of an earlier page"),
        ("repeat_page", "offset", "holds a record of an earlier page"),
        ("repeat_page", "cursor", "circle|earlier page"),
        ("empty_more", "cursor", "is empty and names a further one"),
        ("empty_more", "link", "is empty and names a further one"),
        ("empty_more", "next_url", "is empty and names a further one"),
        ("wrong_total", "page", "55 records came where the total is 56, twice in a row"),
        ("wrong_total", "offset", "55 records came where the total is 56"),
        ("wrong_total", "link", "55 records came where the total is 56"),
        ("moving_total", "cursor", "the total went from"),
    ],
)
def test_what_only_looks_whole_is_incomplete(served: Serve, lie: str, paging: str, words: str) -> None:
    vendor, bench = served(paging=paging, longest_page=20)
    connection = bench.open(declared(paging))
    customers = list(connection.customers())
    vendor.lies = {lie}

    with pytest.raises(VendorError, match=words) as failed:
        connection.customers()
    assert failed.value.code == "incomplete"
    with pytest.raises(VendorError, match=words):
        list(connection.counts([Ask(one, (QUANTITY,)) for one in customers], MOMENT))


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_a_vendor_that_repeats_its_last_page_needs_a_total(served: Serve, paging: str) -> None:
    vendor, bench = served(paging=paging, longest_page=20)
    vendor.lies = {"clamp"}

    assert quantities(read(bench.open(declared(paging)))) == expected()
    with pytest.raises(VendorError, match="holds a record of an earlier page"):
        bench.open(declared(paging, total=None)).customers()


@pytest.mark.parametrize("paging", ["link", "next_url"])
def test_a_next_page_on_another_host_is_refused_with_everything(served: Serve, paging: str) -> None:
    vendor, bench = served(paging=paging, longest_page=20)
    vendor.lies = {"other_host"}

    with pytest.raises(VendorError, match="another host"):
        bench.open(declared(paging)).customers()


def test_further_pages_without_declared_paging_are_seen(served: Serve) -> None:
    _, bench = served(paging="link", longest_page=20)
    with pytest.raises(VendorError, match=r"links to a further page\. Set paginate") as failed:
        bench.open(declared("none", total=None)).customers()
    assert failed.value.code == "incomplete"


def test_a_relative_next_address_counts_from_the_page_it_stands_on(served: Serve) -> None:
    """The base has a path of its own, and the link begins at the root of the host."""
    _, bench = served(paging="link", longest_page=20)
    connection = bench.open(declared("link", base_url=f"{bench.url}/v2", request="/devices"))

    assert quantities(read(connection)) == expected()


@pytest.mark.parametrize("paging", ["cursor", "next_url"])
def test_a_misspelt_pointer_does_not_end_the_list_quietly(served: Serve, paging: str) -> None:
    _, bench = served(paging=paging, totals=False, longest_page=20)
    key = "next_url" if paging == "next_url" else "cursor"
    elsewhere = {**PAGING[paging], key: "paging.next"}
    with pytest.raises(VendorError, match=rf'paginate.{key} \(paging.next\): there is no "paging" in the answer'):
        bench.open(declared(paging, paginate=elsewhere, total=None)).customers()

    slip = {**PAGING[paging], key: "meta.nxt"}
    signed = bench.open(declared(paging, paginate=slip, total=None)).sign_in()
    assert "a slip in it would end every list here" in signed.warnings[0]
    assert bench.open(declared(paging, total=None)).sign_in().warnings == ()


def test_a_total_that_is_not_there_is_an_error(served: Serve) -> None:
    _, bench = served(totals=False)
    with pytest.raises(VendorError, match=r"total \(meta.total\) finds nothing") as failed:
        bench.open(BASE).customers()
    assert failed.value.code == "malformed"


def test_rows_that_move_between_pages_are_read_again(served: Serve) -> None:
    vendor, bench = served(paging="offset", longest_page=20)
    connection = bench.open(declared("offset"))
    answer, moved = vendor.double._answer, []

    def moving(request: Any, fault: str) -> Any:
        response = answer(request, fault)
        if not moved:
            moved.append(vendor.devices.pop(0))
        return response

    vendor.double._answer = moving  # type: ignore[method-assign]
    readings = read_of(connection, list(connection.customers()))

    first = small_msp(customers=1).companies[0]
    assert quantities(readings)[first.identifier]["SERVER"] == "1"
    assert moved


def test_a_narrowed_scope_shows_in_the_list_and_never_as_zero(served: Serve) -> None:
    """Fewer rows with status 200 and a total that fits: only the customers that are gone tell it, and the core's guard
    over the fall of a source."""
    vendor, bench = served()
    connection = bench.open(BASE)
    everybody = list(connection.customers())
    vendor.lies = {"narrow"}

    readings = read_of(connection, everybody)

    assert {reading.state for reading in readings.values()} == {State.KNOWN, State.UNKNOWN}
    lost = [reading for reading in readings.values() if reading.state is State.UNKNOWN]
    assert all(reading.code == "not_found" and not reading.counts for reading in lost)
    assert len(list(connection.customers())) < len(everybody)


def test_each_asks_once_for_each_customer(served: Serve) -> None:
    _, bench = served(longest_page=5)
    connection = bench.open(EACH)

    assert [one.name for one in connection.customers()] == [one.name for one in small_msp(customers=3).companies]
    readings = read(connection)
    assert quantities(readings) == expected()
    assert readings["AlderDental"].proof == "29 of 29 records in 6 pages"


def test_with_each_one_failure_is_one_customers(served: Serve) -> None:
    _, bench = served()
    connection = bench.open(EACH)
    customers = list(connection.customers())
    bench.double.fail("html", path="Birchwood", times=100)

    readings = read_of(connection, customers)

    assert readings["Birchwood"].state is State.UNKNOWN
    assert "a web page instead of data" in readings["Birchwood"].reason
    assert [id_ for id_, one in readings.items() if one.state is State.KNOWN] == ["AlderDental", "CedarSons"]


def test_with_each_another_customers_answer_is_refused(served: Serve) -> None:
    vendor, bench = served()
    connection = bench.open(EACH)
    customers = list(connection.customers())
    vendor.lies = {"mixed"}

    for reading in read_of(connection, customers).values():
        assert (reading.state, reading.code) == (State.UNKNOWN, "wrong_tenant")


def test_with_each_a_customer_that_is_no_longer_there_or_has_nothing_is_unknown(served: Serve) -> None:
    vendor, bench = served()
    connection = bench.open(EACH)
    customers = list(connection.customers())
    vendor.accounts = vendor.accounts[1:]
    vendor.devices = [row for row in vendor.devices if row["account"]["id"] != "CedarSons"]

    readings = read_of(connection, customers)

    assert (readings["AlderDental"].code, readings["CedarSons"].code) == ("not_found", "incomplete")
    assert "holds no rows, which is not the same as zero" in readings["CedarSons"].reason
    assert readings["Birchwood"].state is State.KNOWN


def test_an_id_is_written_into_the_path_and_never_leaves_it(served: Serve) -> None:
    vendor, bench = served()
    vendor.accounts = [{"id": id_, "name": id_} for id_ in ("a b", "../devices", "x?y=1#z", "..")]
    connection = bench.open(EACH)

    readings = read(connection)

    assert all(reading.state is State.UNKNOWN for reading in readings.values())
    asked = {request.path for request in bench.double.requests}
    assert "/v2/devices" not in asked
    assert "/v2/accounts/x?y=1#z/devices" in asked
    assert "no path can name" in readings[".."].reason


def test_two_customers_with_one_id_are_an_error(served: Serve) -> None:
    vendor, bench = served()
    vendor.accounts = [vendor.accounts[0], {**vendor.accounts[0], "name": "Other"}]
    with pytest.raises(VendorError, match="is that of an earlier record"):
        bench.open(EACH).customers()


@pytest.mark.parametrize("lie", ["repeat_cursor", "empty_more", "wrong_total", "moving_total"])
def test_with_each_a_lie_spoils_the_customers_that_it_touches_and_is_no_number(served: Serve, lie: str) -> None:
    vendor, bench = served(paging="cursor", longest_page=5)
    connection = bench.open(EACH, paginate=PAGING["cursor"])
    customers = list(connection.customers())
    vendor.lies = {lie}

    readings = read_of(connection, customers)

    assert {(one.state, one.code) for one in readings.values()} == {(State.UNKNOWN, "incomplete")}
    with pytest.raises(VendorError):
        connection.customers()


def test_who_was_shown_and_is_no_longer_is_gone_and_who_never_was_is_unknown(served: Serve) -> None:
    """INTERFACE 3.5, by the core's own rule over what this connection lists before and after."""
    vendor, bench = served()
    connection = bench.open(BASE)
    before = {one.id: KnownCustomer(one.id, one.name, ()) for one in connection.customers()}
    vendor.devices = [row for row in vendor.devices if row["account"]["id"] != "Birchwood"]
    mapped = [
        Customer(name, {"backup": (RemoteKey(name),)}) for name in ("AlderDental", "Birchwood Legal LLP", "Nobody")
    ]

    found = resolve(mapped, {"backup": list(connection.customers())}, {"backup": before}, {})

    states = {customer: one.state for (customer, _), (one,) in found.items()}
    assert states == {"AlderDental": State.KNOWN, "Birchwood Legal LLP": State.GONE, "Nobody": State.UNKNOWN}
