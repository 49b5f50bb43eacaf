"""Companies, catalogue, agreements and additions, read over real HTTP from the double."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from cw_kit import Bench

from syncd.errors import VendorError
from syncd.model import RemoteCustomer, State
from syncd.periods import Period


def lists(bench: Bench, path: str) -> int:
    """Full scans of a list: its first pages."""
    return sum(1 for one in bench.double.requests if one.path.endswith(path) and one.query.get("pageId") == "0")


def test_companies_have_their_identifier_and_deleted_ones_are_left_out(bench: Bench) -> None:
    bench.double.tables["company/companies"][253]["deletedFlag"] = True
    found = bench.connect().customers()
    assert [(one.id, one.name, one.identifiers) for one in found] == [
        ("251", "Alder Dental Group", ("AlderDental",)),
        ("252", "Birchwood Legal LLP", ("Birchwood",)),
    ]


def test_requests_carry_sign_in_client_id_and_the_pinned_version(bench: Bench) -> None:
    bench.connect(api_version="2025.16").customers()
    assert bench.wanted[0]["base_url"] == bench.url
    assert bench.wanted[0]["headers"]["clientId"] == "sandbox-client"
    assert bench.double.requests[0].headers["accept"] == "application/vnd.connectwise.com+json; version=2025.16"
    assert bench.double.requests[0].path == "/v4_6_release/apis/3.0/company/companies"


@pytest.mark.parametrize(
    ("table", "ask"),
    [("company/companies", "customers"), ("procurement/catalog", "products"), ("finance/agreements", "lines")],
)
def test_an_empty_list_is_an_error_and_not_zero(bench: Bench, table: str, ask: str) -> None:
    bench.double.tables[table].clear()
    connection = bench.connect()
    with pytest.raises(VendorError) as raised:
        list(connection.lines([bench.customer()], bench.moment)) if ask == "lines" else getattr(connection, ask)()
    assert raised.value.code == "incomplete"
    assert "role probably lacks" in str(raised.value)


def test_products_tell_prices_and_why_they_cannot_be_billed(bench: Bench) -> None:
    found = {one.identifier: one for one in bench.connect().products()}
    assert found["M365-BP"].unit_price == Decimal("28.00")
    assert found["M365-BP"].unit_cost == Decimal("22.00")
    assert found["M365-BP"].obstacle == ""
    assert "bundle" in found["M365-BUNDLE"].obstacle
    assert "inactive" in found["OLD-AV"].obstacle


def test_an_integration_that_maintains_a_product_is_named(bench: Bench) -> None:
    bench.double.integrate("Watchdog RMM", product=400)
    connection = bench.connect()
    found = {one.identifier: one.rival for one in connection.products()}
    assert found["M365-BP"] == 'the integration "Watchdog RMM" (on agreements of type Managed Services)'
    assert found["EXO-P1"] == ""
    assert any("Watchdog RMM" in warning for warning in connection.sign_in().warnings)


def test_an_agreement_in_advance_is_invoiced_through_the_day_before_the_next_invoice(bench: Bench) -> None:
    billing = bench.billing()
    assert billing.state is State.KNOWN
    main = next(one for one in billing.agreements if one.id == "1001")
    assert main.name == "Managed Services"
    assert main.period == Period(date(2026, 11, 1), date(2026, 11, 30))
    assert main.invoiced_through == date(2026, 11, 30)
    assert (main.in_advance, main.prorates, main.currency, main.obstacle) == (True, True, "USD", "")


def test_a_child_agreement_bills_on_its_parents_dates(bench: Bench) -> None:
    child = bench.double.tables["finance/agreements"][2001]
    assert child["nextInvoiceDate"].startswith("2025-01-01")  # stale in the PSA itself
    found = next(one for one in bench.billing().agreements if one.id == "2001")
    assert found.invoiced_through == date(2026, 11, 30)
    assert found.period == Period(date(2026, 11, 1), date(2026, 11, 30))


def test_a_child_without_its_parent_takes_no_postings(bench: Bench) -> None:
    bench.double.tables["finance/agreements"][2001]["parentAgreement"] = {"id": 777, "name": "Gone"}
    found = next(one for one in bench.billing().agreements if one.id == "2001")
    assert (found.period, found.invoiced_through) == (None, None)
    assert "parent" in found.obstacle


def test_open_additions_are_lines_with_price_version_and_author(bench: Bench) -> None:
    line = next(one for one in bench.billing().lines if one.id == "30100")
    assert (line.product, line.product_id, line.quantity) == ("M365-BP", "400", Decimal(25))
    assert (line.unit_price, line.unit_cost) == (Decimal("28.00"), Decimal("22.00"))
    assert (line.agreement_id, line.customer_id, line.marker, line.obstacle) == ("1001", "251", "", "")
    assert line.changed_by == "Admin1"
    assert not line.once
    before = line.version
    bench.double.rival(1001, 30_100, 26)
    after = next(one for one in bench.billing().lines if one.id == "30100")
    assert after.version != before
    assert after.changed_by == "RMM sync"


def test_the_quantity_is_the_total_held_and_never_the_billed_part(bench: Bench) -> None:
    bench.row()["lessIncluded"] = Decimal(10)
    bench.double.rival(1001, 30_100, 25)
    assert bench.row()["billedQuantity"] == 15
    assert next(one for one in bench.billing().lines if one.id == "30100").quantity == 25


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ({"cancelledDate": "2026-11-20T00:00:00Z"}, True),  # the cancelled day itself is still open
        ({"cancelledDate": "2026-11-19T00:00:00Z"}, False),
        ({"cancelledDate": None}, True),
        ({"cancelledDate": "0001-01-01T00:00:00Z"}, True),  # a sentinel for "open"
        ({"cancelledDate": "2027-01-01T00:00:00Z"}, True),
        ({"effectiveDate": "2026-11-20T00:00:00Z"}, True),
        ({"effectiveDate": "2026-11-21T00:00:00Z"}, True),  # begins tomorrow: told with its first day
        ({"effectiveDate": "2026-11-21T00:00:00Z", "cancelledDate": "2026-11-25T00:00:00Z"}, False),  # a charge to come
        ({"effectiveDate": "2026-12-05T00:00:00Z", "cancelledDate": "2026-12-01T00:00:00Z"}, False),
    ],
)
def test_dates_alone_decide_whether_an_addition_is_open(bench: Bench, changes: dict[str, Any], given: bool) -> None:
    bench.row().update(changes)
    bench.row()["agreementStatus"] = "Cancelled"  # a flag that lags
    assert ("30100" in [one.id for one in bench.billing().lines]) is given


def test_the_cancelled_day_can_be_free(bench: Bench) -> None:
    bench.row()["cancelledDate"] = "2026-11-20T00:00:00Z"
    lines = bench.billing(connection=bench.connect(cancelled_day="free")).lines
    assert "30100" not in [one.id for one in lines]


def test_an_addition_that_is_not_billable_has_an_obstacle(bench: Bench) -> None:
    bench.row()["billCustomer"] = "NoCharge"
    line = next(one for one in bench.billing().lines if one.id == "30100")
    assert "Bill Customer is NoCharge" in line.obstacle


def charge(bench: Bench, number: int, starts: str, ends: str, serial: str) -> None:
    bench.double.tables["additions"][number] = {
        **bench.row(),
        "id": number,
        "quantity": Decimal(2),
        "effectiveDate": f"{starts}T00:00:00Z",
        "cancelledDate": f"{ends}T00:00:00Z",
        "serialNumber": serial,
    }


def test_syncds_own_charges_of_the_period_are_given_after_their_last_day(bench: Bench) -> None:
    charge(bench, 41_001, "2026-11-03", "2026-11-10", "sd-t1-abc")
    charge(bench, 41_002, "2026-10-03", "2026-10-10", "sd-t1-old")
    charge(bench, 41_003, "2026-11-03", "2026-11-10", "SN-4711")
    charge(bench, 41_004, "2026-11-03", "2026-11-30", "SN-4712")
    lines = {one.id: one for one in bench.billing().lines}
    assert lines["41001"].once
    assert lines["41001"].marker == "sd-t1-abc"
    assert lines["41004"].once
    assert lines["41004"].marker == ""  # a real serial number is nobody's mark
    assert not {"41002", "41003"} & set(lines)


def test_a_mark_of_another_installation_is_shown_as_it_is(bench: Bench) -> None:
    bench.row()["serialNumber"] = "sd-other-77"
    assert next(one for one in bench.billing().lines if one.id == "30100").marker == "sd-other-77"


def test_marks_are_read_from_a_custom_field_where_that_is_set(bench: Bench) -> None:
    bench.row()["customFields"][0]["value"] = "sd-t1-custom"
    bench.row()["serialNumber"] = "sd-t1-serial"
    connection = bench.connect(marker="Sync Ref")
    assert next(one for one in bench.billing(connection=connection).lines if one.id == "30100").marker == "sd-t1-custom"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cancelledFlag": True, "dateCancelled": "2026-11-05T00:00:00Z"}, "is cancelled since 2026-11-05"),
        ({"cancelledFlag": True}, "is cancelled"),
        ({"noEndingDateFlag": False, "endDate": "2026-11-15T00:00:00Z"}, "ended on 2026-11-15"),
        ({"startDate": "2026-12-01T00:00:00Z"}, "is inactive"),
        ({"billStartDate": "2026-12-01T00:00:00Z"}, "starts only on 2026-12-01"),
    ],
)
def test_an_agreement_that_bills_nothing_says_why(bench: Bench, changes: dict[str, Any], words: str) -> None:
    bench.double.tables["finance/agreements"][1001].update(changes)
    found = {one.id: one.obstacle for one in bench.billing().agreements}
    assert words in found["1001"]
    assert words in found["2001"] or "startDate" in changes  # a child bills by its parent


def test_an_agreement_that_is_over_gives_way_to_one_that_lives(bench: Bench) -> None:
    table = bench.double.tables["finance/agreements"]
    table[1901] = {**table[1001], "id": 1901, "noEndingDateFlag": False, "endDate": "2026-11-15T00:00:00Z"}
    table[1902] = {**table[1001], "id": 1902, "startDate": "2027-01-01T00:00:00Z"}  # to come: shown with its obstacle
    assert [one.id for one in bench.billing().agreements] == ["1001", "1902", "2001"]


def test_a_recurring_line_to_come_tells_its_first_day(bench: Bench) -> None:
    bench.row()["effectiveDate"] = "2026-12-01T00:00:00Z"
    line = next(one for one in bench.billing().lines if one.id == "30100")
    assert (line.starts, line.once) == (date(2026, 12, 1), False)


def test_an_agreement_that_was_over_before_the_period_is_not_given_and_costs_no_read(bench: Bench) -> None:
    bench.double.tables["finance/agreements"][1001].update(noEndingDateFlag=False, endDate="2026-10-31T00:00:00Z")
    bench.double.tables["finance/agreements"][2001]["parentAgreement"] = None
    billing = bench.billing()
    assert [one.id for one in billing.agreements] == ["2001"]
    assert lists(bench, "/agreements/1001/additions") == 0


@pytest.mark.parametrize(
    ("cycle", "first", "last"),
    [
        ("Monthly", date(2026, 11, 15), date(2026, 12, 14)),
        ("Quarterly", date(2026, 10, 15), date(2027, 1, 14)),
        ("ANNUAL", date(2026, 1, 15), date(2027, 1, 14)),
    ],
)
def test_periods_follow_billing_start_and_cycle(bench: Bench, cycle: str, first: date, last: date) -> None:
    bench.double.tables["finance/agreements"][1002].update(
        billingCycle={"id": 9, "name": cycle}, billStartDate="2025-01-15T00:00:00Z", invoicingCycle="ContractYear"
    )
    found = bench.billing(RemoteCustomer("252", "Birchwood")).agreements[0]
    assert found.period == Period(first, last)


def test_an_unknown_cycle_tells_no_period(bench: Bench) -> None:
    bench.double.tables["finance/agreements"][1002]["billingCycle"] = {"id": 9, "name": "Every full moon"}
    found = bench.billing(RemoteCustomer("252", "Birchwood")).agreements[0]
    assert (found.period, found.obstacle) == (None, "")
    assert found.invoiced_through == date(2026, 11, 30)  # the day before the next invoice, whatever the cycle


def test_billing_in_arrears_leaves_the_running_period_uninvoiced(bench: Bench) -> None:
    found = bench.billing(connection=bench.connect(invoicing="arrears")).agreements[0]
    assert found.in_advance is False
    assert found.invoiced_through == date(2026, 10, 31)
    bench.double.tables["finance/agreements"][1001]["periodType"] = "Future"
    assert bench.billing(connection=bench.connect(invoicing="arrears")).agreements[0].in_advance is True


def test_nothing_is_invoiced_before_the_first_invoice(bench: Bench) -> None:
    bench.double.tables["finance/agreements"][1002].update(
        billStartDate="2026-11-01T00:00:00Z", nextInvoiceDate="2026-11-01T00:00:00Z"
    )
    assert bench.billing(RemoteCustomer("252", "Birchwood")).agreements[0].invoiced_through is None


@pytest.mark.parametrize("how", ["absent", "forbidden"])
def test_optional_endpoints_may_be_missing(make_bench: Callable[..., Bench], how: str) -> None:
    missing = {
        "system/info",
        "finance/agreementrecap",
        "company/managementItSolutions",
        "company/managedDevicesIntegrations",
    }
    bench = make_bench(**{how: missing})
    connection = bench.connect()
    warnings = " ".join(connection.sign_in().warnings)
    assert "system/info" in warnings
    assert "recaps could not be read" in warnings
    assert "cannot see whether one of them writes the same additions" in warnings
    billing = bench.billing(connection=connection)
    assert billing.state is State.KNOWN
    assert billing.agreements[0].invoiced_through == date(2026, 11, 30)
    assert "recaps could not be read" in billing.proof
    assert connection.products()


def test_lists_without_a_customer_are_read_once_for_all_threads(bench: Bench) -> None:
    connection = bench.connect()
    customers = connection.customers()
    with ThreadPoolExecutor(4) as pool:
        billings = list(pool.map(lambda one: bench.billing(one, connection), [*customers, *customers]))
    assert all(one.state is State.KNOWN for one in billings)
    assert lists(bench, "/finance/agreements") == 1
    assert lists(bench, "/finance/agreementrecap/") == 1
    assert lists(bench, "/agreements/1002/additions") == 2  # additions are read fresh each time


def test_one_customers_failure_leaves_the_others_known(bench: Bench) -> None:
    bench.double.fail("html", path=r"/agreements/1002/additions")
    connection = bench.connect()
    states = {one.customer_id: one for one in connection.lines(connection.customers(), bench.moment)}
    assert states["252"].state is State.UNKNOWN
    assert states["252"].code == "malformed"
    assert states["252"].lines == ()
    assert {states["251"].state, states["253"].state} == {State.KNOWN}


@pytest.mark.parametrize("quantity", [None, "many", Decimal("1e30")])
def test_an_open_addition_without_usable_quantity_is_no_zero(bench: Bench, quantity: Any) -> None:
    bench.row()["quantity"] = quantity
    billing = bench.billing()
    assert (billing.state, billing.code) == (State.UNKNOWN, "malformed")


def test_a_customer_without_agreements_is_known_to_have_none(bench: Bench) -> None:
    billing = bench.billing(RemoteCustomer("999", "Prospect"))
    assert (billing.state, billing.agreements, billing.lines) == (State.KNOWN, (), ())


def test_the_identity_names_release_and_zone(bench: Bench) -> None:
    told = bench.connect().sign_in()
    assert "release v2026.1.99999" in told.identity
    assert "Central Standard Time" in told.identity
    assert told.warnings == ()


def test_the_moment_is_not_cached(bench: Bench) -> None:
    connection = bench.connect()
    bench.billing(connection=connection)
    later = replace(bench.moment, today=date(2026, 12, 2), period=Period(date(2026, 12, 1), date(2026, 12, 31)))
    [billing] = connection.lines([bench.customer()], later)
    assert billing.agreements[0].period == Period(date(2026, 12, 1), date(2026, 12, 31))


def test_without_a_billing_start_an_agreement_is_billed_from_its_first_day(bench: Bench) -> None:
    bench.double.tables["finance/agreements"][1001].update(
        billStartDate=None, startDate="2025-01-15T00:00:00Z", invoicingCycle="ContractYear"
    )

    agreement = next(one for one in bench.billing().agreements if one.id == "1001")

    assert agreement.obstacle == ""
    assert agreement.period is not None
    assert agreement.period.first.day == 15


@pytest.mark.parametrize("mark", ["", "sd-t1-x"])
@pytest.mark.parametrize("field", ["unitPrice", "unitCost", "quantity"])
@pytest.mark.parametrize("told", ["NaN", "sNaN", "Infinity", "1e999999999", "-1e999999"])
def test_a_number_that_is_none_is_one_customers_trouble(bench: Bench, told: str, field: str, mark: str) -> None:
    """Arithmetic with it would end the whole read, or never end."""
    days = {"effectiveDate": "2026-11-02T00:00:00Z", "cancelledDate": "2026-11-25T00:00:00Z"}

    def spoil(rows: Any) -> None:
        for row in rows if isinstance(rows, list) else ():
            row |= {field: told, "serialNumber": mark, **days}

    bench.lie("/agreements/1001/additions", spoil)
    connection = bench.connect()
    states = {one.customer_id: one for one in connection.lines(connection.customers(), bench.moment)}
    assert (states["251"].state, states["251"].code) == (State.UNKNOWN, "malformed")
    assert "shows no usable" in states["251"].reason
    assert {states["252"].state, states["253"].state} == {State.KNOWN}
