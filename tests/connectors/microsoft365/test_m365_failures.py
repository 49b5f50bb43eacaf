"""What may go wrong while reading: nothing of it becomes a number, and one tenant never spoils another."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

import pytest
from connector_kit import MOMENT
from m365_kit import Bench, count_of

from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Query, State

ALL = tuple(Query(measure) for measure in ("consumed", "purchased", "assigned", "active", "users"))
COUNTED = (Query("assigned"), Query("active"), Query("users"))


def _all_customers(bench: Bench, *queries: Query) -> dict[str, list[tuple[str, str]]]:
    asks = [Ask(bench.customer(number), queries) for number in range(len(bench.world.companies))]
    result: dict[str, list[tuple[str, str]]] = {}
    for reading in bench.connect().counts(asks, MOMENT):
        result.setdefault(reading.customer_id, []).append((str(reading.state), reading.code))
        assert (reading.state == State.KNOWN) == bool(reading.proof)
        assert reading.state == State.KNOWN or reading.counts == ()
    return result


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("consent", "consent"),
        ("gone", "not_found"),
        ("expired_secret", "unauthorized"),
        ("sign_in_unavailable", "unavailable"),
        ("forbidden", "forbidden"),
        ("wrong_tenant", "wrong_tenant"),
        ("no_value", "malformed"),
        ("throttle", "throttled"),
        ("stale_token", "unauthorized"),
    ],
)
def test_a_broken_tenant_is_unknown_and_the_others_are_read(bench: Bench, fault: str, code: str) -> None:
    bench.control("tenant", tenant=bench.world.companies[1].domain, fault=fault)
    found = _all_customers(bench, *ALL)
    first, broken, last = (found[company.tenant_id] for company in bench.world.companies)
    assert broken == [("unknown", code)] * len(ALL)
    assert first == last == [("known", "")] * len(ALL)


def test_a_mended_tenant_is_read_again(bench: Bench) -> None:
    tenant = bench.world.companies[0].tenant_id
    bench.control("tenant", tenant=tenant, fault="consent")
    connection = bench.connect()
    ask = [Ask(bench.customer(), (Query("consumed"),))]
    assert [one.state for one in connection.counts(ask, MOMENT)] == ["unknown"]
    bench.control("tenant", tenant=tenant, fault="")
    assert [one.state for one in connection.counts(ask, MOMENT)] == ["known"]


def test_reasons_tell_what_to_do_and_name_nobody(bench: Bench) -> None:
    bench.tenant(0).faults["consent"] = -1
    bench.tenant(1).faults["forbidden"] = -1
    bench.tenant(2).faults["wrong_tenant"] = -1
    consent, forbidden, wrong = (bench.one("consumed", number=number).reason for number in range(3))
    assert "AADSTS65001" in consent
    assert "Let an admin of that tenant consent" in consent
    assert "Organization.Read.All" in forbidden
    assert "Authorization_RequestDenied" in forbidden
    assert bench.world.companies[2].tenant_id in wrong
    assert not any("@" in reason for reason in (consent, forbidden, wrong))


def test_an_empty_list_of_products_is_read_as_it_is(bench: Bench) -> None:
    bench.tenant().faults["empty"] = -1
    reading = bench.one("consumed")
    assert (reading.state, reading.counts) == (State.KNOWN, ())


def test_every_page_of_users_is_asked_with_its_consistency_level(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(page_size=5)
    assert bench.quantity("assigned") == "27"
    pages = [one for one in bench.sandbox.double.requests if one.path == "/v1.0/users"]
    assert [page.status for page in pages] == [200] * 6
    assert [page.headers.get("consistencylevel") for page in pages] == ["eventual"] * 6
    assert all(page.query["$count"] == "true" for page in pages)


@pytest.mark.parametrize("fault", ["cut", "repeat"])
def test_a_missing_or_repeated_row_is_partial_and_never_counted(make_bench: Callable[..., Bench], fault: str) -> None:
    bench = make_bench(page_size=5)
    bench.tenant().faults[fault] = -1
    readings = bench.ask(*COUNTED)
    assert {(one.state, one.code, one.counts) for one in readings} == {(State.PARTIAL, "incomplete", ())}
    assert "of the 27 records" in readings[0].reason


@pytest.mark.parametrize("fault", ["cut", "repeat"])
def test_a_list_that_moved_once_is_read_again(make_bench: Callable[..., Bench], fault: str) -> None:
    bench = make_bench(page_size=5)
    bench.tenant().faults[fault] = 1
    assert bench.quantity("assigned") == "27"


def test_a_link_to_another_host_is_not_followed(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(page_size=5)
    bench.tenant().faults["foreign_link"] = -1
    reading, consumed = bench.ask(Query("assigned"), Query("consumed"))
    assert (reading.state, reading.code) == (State.UNKNOWN, "malformed")
    assert "graph.attacker.example" in reading.reason
    assert consumed.state == State.KNOWN


@pytest.mark.parametrize("fault", ["html", "truncate"])
def test_a_page_that_is_no_data_spoils_what_rests_on_it(make_bench: Callable[..., Bench], fault: str) -> None:
    bench = make_bench(page_size=5)
    bench.sandbox.double.fail(fault, path="/v1.0/users", after=1, times=100)
    assigned, consumed = bench.ask(Query("assigned"), Query("consumed"))
    assert assigned.state == State.UNKNOWN
    assert assigned.code == ("malformed" if fault == "html" else "unavailable")
    assert consumed.state == State.KNOWN


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "500_before", "unavailable", "throttle", "truncate"])
def test_what_passes_is_asked_again(bench: Bench, fault: str) -> None:
    for path in ("batch", "/v1.0/users", "/v1.0/subscribedSkus"):
        bench.sandbox.double.fail(fault, path=path)
    assert bench.quantity("assigned") == "27"


def test_a_fraction_of_a_second_is_waited_for(bench: Bench) -> None:
    bench.tenant().faults["throttle"] = 3  # each of the three parts of the first batch
    started = time.monotonic()
    assert bench.quantity("consumed") == "27"
    assert 0.128 <= time.monotonic() - started < 10
    batches = [one for one in bench.sandbox.double.requests if one.path.endswith("$batch")]
    assert [one.status for one in batches] == [200, 200]


def test_only_the_parts_put_off_are_asked_again(bench: Bench) -> None:
    bench.tenant().faults["throttle"] = 1
    assert bench.quantity("consumed") == "27"
    first, second = (one.body for one in bench.sandbox.double.requests if one.path.endswith("$batch"))
    assert first.count('"id"') == 3
    assert second.count('"id"') == 1


def test_a_throttled_tenant_keeps_nobody_else_waiting(bench: Bench) -> None:
    bench.tenant(0).faults["throttle"] = -1
    started = time.monotonic()
    readings = _all_customers(bench, Query("consumed"))
    spent = time.monotonic() - started
    assert [found[0][0] for found in readings.values()] == ["unknown", "known", "known"]
    assert spent < 10  # five waits of 0.128 s for the first, none for the others


def test_a_batch_that_lacks_a_part_is_incomplete(bench: Bench) -> None:
    bench.tenant().faults["drop_part"] = -1
    readings = bench.ask(*ALL)
    assert {(one.state, one.code) for one in readings} == {(State.PARTIAL, "incomplete")}
    assert "the batch answered without" in readings[0].reason


def test_without_batches_single_calls_give_the_same(make_bench: Callable[..., Bench], bench: Bench) -> None:
    plain = make_bench(batching=False)
    assert [one.counts for one in plain.ask(*ALL)] == [one.counts for one in bench.ask(*ALL)]
    connection = plain.connect()
    before = len(plain.paths("$batch"))
    asks = [Ask(plain.customer(number), (Query("consumed"),)) for number in range(3)]
    assert [one.state for one in connection.counts(asks, MOMENT)] == ["known"] * 3
    assert len(plain.paths("$batch")) == before + 1  # asked once for the whole connection


def test_without_batches_one_refused_call_spoils_no_other(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batching=False)
    bench.tenant().faults["no_purchases"] = -1
    assert bench.quantity("consumed") == "27"


def test_licences_assigned_while_counting_give_no_number(bench: Bench) -> None:
    bench.tenant().faults["moving"] = -1
    assigned, consumed = bench.ask(Query("assigned"), Query("consumed"))
    assert (assigned.state, assigned.code) == (State.UNKNOWN, "incomplete")
    assert consumed.state == State.KNOWN


def test_purchases_that_fail_this_once_spoil_only_what_needs_trials(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(batching=False)
    bench.sandbox.double.fail("unavailable", path="directory/subscriptions", times=100)
    consumed, purchased, users, assigned = bench.ask(
        Query("consumed"), Query("purchased"), Query("users"), Query("assigned")
    )
    assert (consumed.state, assigned.state) == (State.KNOWN, State.KNOWN)
    assert (purchased.code, users.code) == ("unavailable", "unavailable")


def test_missing_permissions_spoil_only_what_needs_them(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(roles=("LicenseAssignment.Read.All", "Organization.Read.All"))
    consumed, purchased, assigned = bench.ask(Query("consumed"), Query("purchased"), Query("assigned"))
    assert (consumed.state, purchased.state) == (State.KNOWN, State.KNOWN)
    assert (assigned.state, assigned.code) == (State.UNKNOWN, "forbidden")
    assert "must grant User.Read.All" in assigned.reason


def test_sign_ins_without_their_permission_fall_back_to_the_report(make_bench: Callable[..., Bench]) -> None:
    roles = ("LicenseAssignment.Read.All", "Organization.Read.All", "User.Read.All", "Reports.Read.All")
    bench = make_bench(roles=roles)
    count = count_of(bench.one("active"), "SPB")
    assert (count.quantity, "usage report" in count.note) == (Decimal(20), True)


def test_where_neither_sign_ins_nor_reports_are_allowed_active_is_unknown(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(roles=("LicenseAssignment.Read.All", "Organization.Read.All", "User.Read.All"))
    active, assigned = bench.ask(Query("active"), Query("assigned"))
    assert (active.code, assigned.state) == ("forbidden", State.KNOWN)
    assert "must grant Reports.Read.All" in active.reason


def test_a_report_elsewhere_is_not_fetched_and_its_address_is_not_told(bench: Bench) -> None:
    bench.tenant().faults |= {"no_premium": -1, "foreign_report": -1}
    reading = bench.one("active")
    assert (reading.code, bench.paths("report-files")) == ("malformed", [])
    assert "files.attacker.example" in reading.reason
    assert "report-files" not in reading.reason


def test_a_report_whose_download_fails_tells_the_host_only(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = -1
    bench.sandbox.double.fail("unauthorized", path="report-files", times=100)
    reading = bench.one("active")
    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert reading.reason == "the usage report could not be downloaded from localhost."


def test_the_limit_of_reports_is_respected(bench: Bench) -> None:
    bench.tenant().faults["no_premium"] = -1
    connection = bench.connect()
    codes = [next(iter(connection.counts([Ask(bench.customer(), (Query("active"),))], MOMENT))).code for _ in range(15)]
    assert codes == [""] * 14 + ["throttled"]


def test_stopping_ends_the_reading_of_everybody(bench: Bench) -> None:
    connection = bench.connect()
    way = bench.ways[0]
    bench.sandbox.double.fail("unavailable", path="batch", times=100)
    way.gate._stop.set()
    with pytest.raises(VendorError) as stopped:
        list(connection.counts([Ask(bench.customer(number), (Query("consumed"),)) for number in range(3)], MOMENT))
    assert stopped.value.code == "stopped"


def test_no_secret_is_in_any_address_and_every_request_has_its_own_id(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(page_size=5)
    bench.tenant().faults["no_premium"] = -1
    connection = bench.connect()
    connection.sign_in()
    connection.customers()
    asks = [Ask(bench.customer(number), ALL) for number in range(3)]
    assert all(one.state == State.KNOWN for one in connection.counts(asks, MOMENT))
    requests = bench.sandbox.double.requests
    written = " ".join(f"{one.path} {dict(one.query)} {dict(one.headers)} {one.body}" for one in requests)
    assert "sandbox-secret" not in written
    assert not any(token in written for token in bench.sandbox.sign_in.tokens)
    graph = [one for one in requests if one.path.startswith("/v1.0")]
    ids = {one.headers["client-request-id"] for one in graph}
    assert len(ids) == len(graph) > 10
    assert {one.headers["x-ms-throttle-priority"] for one in graph} == {"Low"}
    tokens = [one.path for one in requests if one.path.endswith("/token")]
    assert len(tokens) == len(set(tokens)) == 4  # one for each tenant
    assert {one.method for one in requests if "$batch" not in one.path and "/token" not in one.path} == {"GET"}
