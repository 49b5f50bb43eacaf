"""Postings over real HTTP: the bytes, the outcome under every fault, the look afterwards, and one effect at most."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cw_kit import Bench

from connectors.connectwise import connector
from connectors.connectwise.post import charge
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, NotSent, Operation, Posting, Receipt, Refused, Unknown
from syncd.sandbox.kit import FAULTS


def body(posting: Posting, bench: Bench, **keys: Any) -> Any:
    return json.loads(bench.connect(**keys).wire(posting).body, parse_float=Decimal)


# --- the bytes ---


def test_a_quantity_is_set_by_a_patch_of_one_field(bench: Bench, postings: dict[str, Posting]) -> None:
    wire = bench.connect().wire(postings["set"])
    assert (wire.method, wire.path) == ("PATCH", "finance/agreements/1001/additions/30100")
    assert wire.body == b'[{"op":"replace","path":"quantity","value":27}]'
    assert bench.double.requests == []


def test_the_end_of_a_line_is_its_cancelled_date(bench: Bench, postings: dict[str, Posting]) -> None:
    wanted = [{"op": "replace", "path": "cancelledDate", "value": "2026-11-30T00:00:00Z"}]
    assert body(postings["end"], bench) == wanted
    wanted[0]["value"] = "2026-12-01T00:00:00Z"
    assert body(postings["end"], bench, cancelled_day="free") == wanted


def test_a_new_line_carries_prices_and_mark(bench: Bench, postings: dict[str, Posting]) -> None:
    assert body(postings["add"], bench) == {
        "product": {"id": 404},
        "quantity": 2,
        "lessIncluded": 0,
        "unitPrice": 20,
        "unitCost": 15,
        "billCustomer": "Billable",
        "effectiveDate": "2026-12-01T00:00:00Z",
        "serialNumber": "sd-t1-add",
        "invoiceDescription": "Microsoft 365 Business Premium, 2026-11: 2 seats more",
    }


def test_a_charge_is_dated_and_divided_by_the_vendor_only_where_asked(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    sent = body(postings["line"], bench)
    assert sent["effectiveDate"] == "2026-11-01T00:00:00Z"
    assert sent["cancelledDate"] == "2026-11-30T00:00:00Z"
    assert sent["prorateCurrentPeriodFlag"] is False
    daily = replace(postings["line"], options={"prorate": "daily"}, starts=date(2026, 11, 17), amount=Decimal("26.13"))
    sent = body(daily, bench)
    assert sent["prorateCurrentPeriodFlag"] is True
    assert (sent["quantity"], sent["unitPrice"]) == (2, 28)  # the full price: the vendor divides it by days


def test_a_credit_is_one_unit_at_the_negative_amount(bench: Bench, postings: dict[str, Posting]) -> None:
    sent = body(postings["credit"], bench)
    assert (sent["quantity"], sent["unitPrice"], sent["unitCost"]) == (1, -56, 0)
    assert sent["invoiceDescription"].endswith("2 seats more (ref sd-t1-credit, credit for 2 units)")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2", "28.00")),
        ({"amount": Decimal("56.00")}, ("2", "28.00")),
        ({"amount": Decimal("50.00")}, ("2", "25.00")),  # a price of its own, in whole cents
        ({"amount": Decimal("50.01")}, ("1", "50.01")),  # no whole cents for one: the amount as it is
        ({"amount": Decimal("100"), "quantity": Decimal(3)}, ("1", "100")),
        ({"amount": Decimal("9.99"), "unit_price": None}, ("1", "9.99")),
        ({"unit_price": None}, ("2", "None")),
    ],
)
def test_amounts_that_syncd_priced_survive_the_vendors_multiplication(
    postings: dict[str, Posting], changes: dict[str, Any], expected: tuple[str, str]
) -> None:
    quantity, price = charge(replace(postings["line"], **changes))
    assert (str(quantity), str(price)) == expected
    if amount := changes.get("amount"):
        assert price is not None
        assert quantity * price == amount


def test_equal_postings_give_equal_bytes(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    for one in postings.values():
        twin = replace(one, quantity=Decimal(f"{one.quantity}.00"), unit_price=Decimal("2.8E+1"))
        other = replace(one, unit_price=Decimal("28.00"))
        assert twin == other
        assert connection.wire(twin) == connection.wire(other)


def test_a_description_is_one_line_and_cut_between_words(bench: Bench, postings: dict[str, Posting]) -> None:
    long = replace(postings["credit"], description="Seats of\n" + ", ".join(f"Person Number{n}" for n in range(900)))
    text = body(long, bench)["invoiceDescription"]
    assert len(text) <= 6000
    assert "\n" not in text
    assert text.endswith("… (ref sd-t1-credit, credit for 2 units)")
    names = text.partition("…")[0].removeprefix("Seats of ").split(", ")
    assert names == [f"Person Number{n}" for n in range(len(names))]


def test_the_mark_can_live_in_a_custom_field(bench: Bench, postings: dict[str, Posting]) -> None:
    for seen in (True, False):  # on a line that stands, or looked up among the PSA's fields
        if not seen:
            bench.double.tables["additions"].clear()
        connection = bench.connect(marker="Sync Ref")
        bench.billing(connection=connection)
        sent = json.loads(connection.wire(postings["add"]).body)
        assert sent["customFields"] == [{"id": 12, "caption": "Sync Ref", "value": "sd-t1-add"}]
        assert "serialNumber" not in sent
    assert isinstance(connection.send(postings["add"], connection.wire(postings["add"])), Receipt)
    assert isinstance(connection.find(postings["add"]), Found)


def test_a_marker_field_that_does_not_exist_is_a_reason_in_the_plan(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect(marker="No Such Field")
    billing = bench.billing(connection=connection)
    reason = connection.refusal(postings["add"], billing, connection.products(), bench.moment)
    assert 'no custom field called "No Such Field"' in reason
    with pytest.raises(VendorError, match="no custom field"):
        connection.wire(postings["add"])


# --- sending and looking ---


@pytest.mark.parametrize("what", ["set", "line", "credit", "add", "end"])
def test_every_operation_is_sent_answered_and_found(bench: Bench, postings: dict[str, Posting], what: str) -> None:
    posting, connection = postings[what], bench.connect()
    assert isinstance(connection.find(posting), Absent)
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt), answer
    sight = connection.find(posting)
    assert isinstance(sight, Found)
    assert sight.remote_id == answer.remote_id
    assert sight.quantity == (25 if what == "end" else posting.quantity)
    assert len(bench.double.effects) == 1


def test_what_was_posted_is_read_back_as_lines(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    for what in ("line", "credit"):
        assert isinstance(connection.send(postings[what], connection.wire(postings[what])), Receipt)
    lines = {one.marker: one for one in bench.billing(connection=connection).lines if one.marker}
    assert lines["sd-t1-line"].quantity == 2
    assert lines["sd-t1-credit"].quantity == -2  # a credit of two units, although ConnectWise holds one at -56
    assert all(one.once for one in lines.values())


_DONE = {"drop_after", "500_after", "truncate"}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", ["set", "line"])
def test_no_fault_leads_to_two_effects(bench: Bench, postings: dict[str, Posting], fault: str, what: str) -> None:
    """Send under the fault; look; send again only where the ledger would (surely not received, or surely absent)."""
    bench.timeout = 0.4 if fault == "slow" else 2.0
    posting, connection = postings[what], bench.connect()
    wire = connection.wire(posting)
    bench.double.retry_after = "0"
    bench.double.fail(fault, method="PATCH|POST", path="additions", seconds=1.5)
    answer = connection.send(posting, wire)
    assert bench.wrote(wire.method) <= 1  # nothing repeats a write
    expected = {"unauthorized": Refused, "slow": Unknown, "ignore": Receipt}.get(fault, Unknown)
    assert isinstance(answer, expected), answer
    sight = connection.find(posting)
    if fault == "slow":  # it lands after we gave up: absent now proves nothing before the request's life is over
        assert isinstance(sight, Absent)
        assert connector.abilities.operations[posting.operation].request_life >= timedelta(minutes=5)
        deadline = time.monotonic() + 30
        while isinstance(sight, Absent) and time.monotonic() < deadline:
            time.sleep(0.05)
            sight = connection.find(posting)
    if fault in _DONE or fault == "slow":
        assert isinstance(sight, Found)
        assert len(bench.double.effects) == 1
        return
    assert isinstance(sight, Absent), sight
    assert bench.double.effects == []
    assert isinstance(connection.send(posting, wire), Receipt)
    assert isinstance(connection.find(posting), Found)
    assert len(bench.double.effects) == 1


def test_a_server_that_is_not_there_was_surely_not_reached(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect(base_url="http://127.0.0.1:9")
    assert isinstance(connection.send(postings["set"], connection.wire(postings["set"])), NotSent)


@pytest.mark.parametrize("cdn", [False, True])
def test_a_throttled_write_is_unknown_because_the_vendor_does_not_say_it_was_not_done(
    make_bench: Callable[..., Bench], postings: dict[str, Posting], cdn: bool
) -> None:
    bench = make_bench(cdn=cdn, retry_after="0")
    bench.double.fail("throttle", method="PATCH")
    connection = bench.connect()
    answer = connection.send(postings["set"], connection.wire(postings["set"]))
    assert isinstance(answer, Unknown)
    assert not any(one.throttled_is_harmless for one in connector.abilities.operations.values())


def test_an_answer_that_shows_another_quantity_is_not_believed(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    wire = connection.wire(postings["set"])
    wrong = replace(wire, body=wire.body.replace(b'"quantity"', b'"Quantity"'))  # PATCH of a wrong path: 200, no change
    assert isinstance(connection.send(postings["set"], wrong), Unknown)
    assert isinstance(connection.find(postings["set"]), Absent)


@pytest.mark.parametrize("field", ["unitPrice", "effectiveDate", "serialNumber", "billCustomer", "quantity"])
def test_a_created_line_is_compared_field_by_field(bench: Bench, postings: dict[str, Posting], field: str) -> None:
    connection = bench.connect()
    wire = connection.wire(postings["line"])
    sent = json.loads(wire.body)
    other = {"unitPrice": 27, "effectiveDate": "2026-11-02T00:00:00Z", "billCustomer": "NoCharge", "quantity": 3}
    sent[field] = other.get(field, "sd-other")
    answer = connection.send(postings["line"], replace(wire, body=json.dumps(sent).encode()))
    assert isinstance(answer, Unknown)


def test_the_vendors_own_words_come_with_a_refusal(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    early = replace(postings["line"], starts=date(2024, 1, 1), ends=date(2024, 1, 31))
    answer = connection.send(early, connection.wire(early))
    assert isinstance(answer, Refused)
    assert answer.code == "invalid"
    assert "effectiveDate cannot be less than the agreement billing start date" in answer.reason
    assert bench.double.effects == []


def test_a_moved_code_base_is_no_refusal_of_the_vendor_and_not_repeated(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    connection = bench.connect(base_url=None, site=bench.url)
    connection.customers()
    bench.double.codebase = "v2026_2"
    assert isinstance(connection.send(postings["set"], connection.wire(postings["set"])), Unknown)
    assert bench.wrote("PATCH") == 1
    assert isinstance(connection.find(postings["set"]), Absent)  # the look finds the new code base
    assert isinstance(connection.send(postings["set"], connection.wire(postings["set"])), Receipt)


# --- what the look sees ---


def test_a_rivals_quantity_is_moved_and_names_him(bench: Bench, postings: dict[str, Posting]) -> None:
    bench.double.rival(1001, 30_100, 31, by="RMM sync")
    sight = bench.connect().find(postings["set"])
    assert isinstance(sight, Moved)
    assert sight.what.startswith("the addition #30100 shows 31, last written by RMM sync on 2026-11-20 at 12:0")
    [line] = [one for one in bench.billing().lines if one.id == "30100"]
    assert line.changed_by == "RMM sync"  # what the plan says of a foreign edit
    del bench.row()["_info"]["updatedBy"]
    sight = bench.connect().find(postings["set"])
    assert isinstance(sight, Moved)
    assert sight.what == "the addition #30100 shows 31"


def test_a_line_that_was_ended_meanwhile_is_moved(bench: Bench, postings: dict[str, Posting]) -> None:
    bench.row()["cancelledDate"] = "2026-11-10T00:00:00Z"
    connection = bench.connect()
    for what, words in (("set", "was ended on 2026-11-10"), ("end", "already ends on 2026-11-10")):
        sight = connection.find(postings[what])
        assert isinstance(sight, Moved)
        assert words in sight.what


def test_a_line_that_had_an_end_when_it_was_planned_may_be_ended_sooner(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    bench.row()["cancelledDate"] = "2027-05-31T00:00:00Z"
    connection = bench.connect()
    line = next(one for one in bench.billing(connection=connection).lines if one.id == "30100")
    assert isinstance(connection.find(replace(postings["end"], version=line.version)), Absent)
    assert isinstance(connection.find(postings["end"]), Moved)


def test_a_line_that_is_gone_is_moved_but_a_dead_address_is_an_error(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    connection = bench.connect()
    del bench.double.tables["additions"][30_100]
    sight = connection.find(postings["set"])
    assert isinstance(sight, Moved)
    assert "no longer exists" in sight.what
    bench.double.absent.add("finance/agreements")
    with pytest.raises(VendorError) as raised:
        connection.find(postings["set"])
    assert raised.value.code == "not_found"


@pytest.mark.parametrize("what", ["set", "line"])
def test_a_look_that_fails_tells_nothing(bench: Bench, postings: dict[str, Posting], what: str) -> None:
    for fault in ("html", "unavailable"):
        bench.double.faults.clear()
        bench.double.fail(fault, method="GET", times=9)
        with pytest.raises(VendorError):
            bench.connect().find(postings[what])


def test_a_mark_borne_twice_is_never_the_first_of_two(bench: Bench, postings: dict[str, Posting]) -> None:
    for number in (41_001, 41_002):
        bench.double.tables["additions"][number] = {**bench.row(), "id": number, "serialNumber": "sd-t1-line"}
    with pytest.raises(VendorError, match="#41001, #41002"):
        bench.connect().find(postings["line"])


def test_a_mark_is_found_among_ended_lines_beyond_the_first_page(bench: Bench, postings: dict[str, Posting]) -> None:
    for number in range(40_000, 41_200):
        bench.double.tables["additions"][number] = {
            **bench.row(),
            "id": number,
            "cancelledDate": "2025-02-28T00:00:00Z",
            "serialNumber": "",
        }
    bench.double.tables["additions"][41_199]["serialNumber"] = "sd-t1-line"
    sight = bench.connect().find(postings["line"])
    assert isinstance(sight, Found)
    assert sight.remote_id == "41199"


def test_a_half_read_list_is_no_proof_of_absence(bench: Bench, postings: dict[str, Posting]) -> None:
    for number in range(40_000, 41_200):
        bench.double.tables["additions"][number] = {**bench.row(), "id": number}
    bench.double.fail("truncate", path="additions$", after=1, times=20)
    with pytest.raises(VendorError):
        bench.connect().find(postings["line"])


def test_put_and_delete_are_never_used(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect()
    assert {connection.wire(one).method for one in postings.values()} == {"PATCH", "POST"}
    with pytest.raises(ValueError, match="report_usage"):
        connection.wire(replace(postings["set"], operation=Operation.REPORT_USAGE))
