"""What customers use (devices, approved hours, tickets) and what invoices say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from cw_kit import Bench

from syncd.connect.contract import Ask
from syncd.model import Query, Reading, RemoteCustomer, State


def quantities(reading: Reading) -> dict[str, Decimal]:
    assert reading.state is State.KNOWN, reading.reason
    return {one.sku: one.quantity for one in reading.counts}


def test_devices_are_counted_by_type_with_their_subjects(bench: Bench) -> None:
    reading = bench.reading("devices")
    assert quantities(reading) == {"Managed Server": 2, "Managed Workstation": 27}
    servers = reading.counts[0]
    assert servers.aliases == ("5",)
    assert servers.subjects is not None
    assert [one.name for one in servers.subjects] == ["ALDER-SRV-01 (SN001000)", "ALDER-SRV-02 (SN001001)"]
    assert "30 rows" in reading.proof  # the retired one was read and is not counted


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ((("type", ("managed server",)),), {"Managed Server": 2}),
        ((("type", ("*Workstation", "5")),), {"Managed Server": 2, "Managed Workstation": 27}),
        ((("bill_flag", (False,)),), {"Managed Workstation": 2}),
        ((("bill_flag", (True,)), ("type", ("Managed W*",))), {"Managed Workstation": 25}),
        ((("status", ("Retired",)),), {}),
        ((("site", ("Main",)), ("status", ("1",))), {"Managed Server": 2, "Managed Workstation": 27}),
    ],
)
def test_device_filters(bench: Bench, where: Any, expected: dict[str, int]) -> None:
    assert quantities(bench.reading("devices", where)) == expected


def hours(bench: Bench, **fields: Any) -> None:
    """Replaces all time entries by two that are alike but for what is given."""
    table = bench.double.tables["time/entries"]
    sample = {**table[50_100], "actualHours": Decimal("1.25"), "status": "ReadyToBill"}
    table.clear()
    table[1] = {**sample, "id": 1, "timeStart": "2026-11-10T15:00:00Z"}
    table[2] = {**sample, "id": 2, "timeStart": "2026-11-11T15:00:00Z", **fields}


@pytest.mark.parametrize(
    ("status", "counted", "note"),
    [
        ("ApprovedByTierOne", Decimal("2.5"), "2 time entries"),
        ("ApprovedByTierTwo", Decimal("2.5"), "2 time entries"),
        ("BilledAgreement", Decimal("2.5"), "2 time entries"),
        ("Billed", Decimal("2.5"), "2 time entries"),
        ("Open", Decimal("1.25"), "1 time entries, 1.25 hours are not approved yet and not counted"),
        ("PendingApproval", Decimal("1.25"), "1 time entries, 1.25 hours are not approved yet and not counted"),
        ("Rejected", Decimal("1.25"), "1 time entries"),
        ("WrittenOff", Decimal("1.25"), "1 time entries"),
    ],
)
def test_only_approved_hours_count(bench: Bench, status: str, counted: Decimal, note: str) -> None:
    hours(bench, status=status)
    [count] = bench.reading("hours").counts
    assert (count.sku, count.aliases, count.quantity, count.note) == ("Remote Support", ("1",), counted, note)


@pytest.mark.parametrize(
    ("start", "counted"),
    [
        ("2026-11-01T04:59:59Z", Decimal("1.25")),  # still October in Chicago, on summer time
        ("2026-11-01T05:00:00Z", Decimal("2.5")),
        ("2026-12-01T05:59:59Z", Decimal("2.5")),
        ("2026-12-01T06:00:00Z", Decimal("1.25")),
    ],
)
def test_hours_belong_to_the_msps_own_period(bench: Bench, start: str, counted: Decimal) -> None:
    hours(bench, timeStart=start)
    assert bench.reading("hours").counts[0].quantity == counted


@pytest.mark.parametrize(
    "where",
    [
        (("billable", (False,)),),
        (("work_type", ("Onsite*",)),),
        (("work_role", ("Architect",)),),
        (("member", ("tech9",)),),
        (("board", ("Projects",)),),
    ],
)
def test_hour_filters(bench: Bench, where: Any) -> None:
    hours(
        bench,
        billableOption="DoNotBill",
        workType={"id": 2, "name": "Onsite Support"},
        workRole={"id": 3, "name": "Architect"},
        member={"id": 9, "identifier": "tech9"},
        ticketBoard="Projects",
    )
    [count] = bench.reading("hours", where).counts
    assert (count.sku, count.quantity) == ("Onsite Support", Decimal("1.25"))


def test_tickets_count_when_entered_and_when_closed(bench: Bench) -> None:
    table = bench.double.tables["service/tickets"]
    sample = table[60_100]
    table.clear()
    dates = [
        ("2026-11-03T15:00:00Z", None),
        ("2026-11-04T15:00:00Z", "2026-11-05T15:00:00Z"),
        ("2026-10-20T15:00:00Z", "2026-11-06T15:00:00Z"),
        ("2026-10-20T15:00:00Z", None),
    ]
    for number, (entered, closed) in enumerate(dates, start=1):
        info = {"dateEntered": entered, "lastUpdated": "2026-11-07T00:00:00Z"}
        table[number] = {**sample, "id": number, "_info": info, "closedFlag": bool(closed), "closedDate": closed or ""}
    assert quantities(bench.reading("tickets")) == {"Service Desk": 2}
    closed_in = bench.reading("tickets", (("when", ("closed",)),))
    assert quantities(closed_in) == {"Service Desk": 2}
    assert closed_in.counts[0].subjects is not None
    assert [one.id for one in closed_in.counts[0].subjects] == ["2", "3"]
    assert quantities(bench.reading("tickets", (("board", ("Billing",)),))) == {}


def test_tickets_are_all_read_where_the_filter_by_change_is_refused(bench: Bench) -> None:
    honest = bench.double.filtered

    def picky(request: Any, rows: Any) -> Any:
        from connectors.connectwise.sandbox_conditions import BadCondition

        if "lastUpdated" in request.args.get("conditions", ""):
            raise BadCondition("Column or Field 'lastUpdated' could not be found")
        return honest(request, rows)

    bench.double.filtered = picky  # type: ignore[method-assign]
    assert quantities(bench.reading("tickets")) == {"Service Desk": 7}


@pytest.mark.parametrize("measure", ["devices", "hours", "tickets"])
def test_rows_of_another_company_are_never_counted(bench: Bench, measure: str) -> None:
    bench.double.filtered = lambda request, rows: list(rows)  # type: ignore[method-assign]
    reading = bench.reading(measure)
    assert (reading.state, reading.code, reading.counts) == (State.UNKNOWN, "wrong_tenant", ())


def test_a_failed_measure_leaves_the_others_known(bench: Bench) -> None:
    bench.double.forbidden.add("time/entries")
    queries = (Query("devices"), Query("hours"), Query("wishes"))
    readings = {
        one.query.measure: one for one in bench.connect().counts([Ask(bench.customer(), queries)], bench.moment)
    }
    assert readings["devices"].state is State.KNOWN
    assert (readings["hours"].state, readings["hours"].code) == (State.UNKNOWN, "forbidden")
    assert "security role" in readings["hours"].reason
    assert readings["wishes"].code == "unsupported"


def booked(bench: Bench, customer: RemoteCustomer | None = None) -> Reading:
    asks = [Ask(customer or bench.customer(), (Query("invoiced"),))]
    [reading] = bench.connect().booked(asks, bench.moment)
    return reading


def test_an_agreement_invoice_without_readable_lines_is_unknown_and_never_zero(bench: Bench) -> None:
    reading = booked(bench)
    assert reading.state is State.UNKNOWN
    assert "does not list the additions of an agreement invoice" in reading.reason


def test_invoiced_quantities_where_the_lines_explain_every_amount(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(invoice_lines=True)
    assert quantities(booked(bench)) == {"M365-BP": 25, "MANAGED-WS": 27}


def test_the_agreements_flat_fee_is_no_missing_line(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(invoice_lines=True)
    bench.double.tables["finance/agreements"][1001]["billAmount"] = Decimal("500.00")
    for invoice in bench.double.tables["finance/invoices"].values():
        invoice["subtotal"] += Decimal("500.00")
    assert quantities(booked(bench)) == {"M365-BP": 25, "MANAGED-WS": 27}


def test_credits_are_taken_off_and_other_months_left_out(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(invoice_lines=True)
    invoices, lines = bench.double.tables["finance/invoices"], bench.double.tables["procurement/products"]
    own = next(one for one in invoices.values() if one["company"]["id"] == 251)
    line = next(one for one in lines.values() if one["invoice"]["id"] == own["id"])
    for number, day in ((70_001, "2026-11-18"), (70_002, "2026-10-18")):
        amounts = {"subtotal": Decimal("-84.00"), "agreement": None}
        invoices[number] = {**own, "id": number, "type": "CreditMemo", "date": f"{day}T00:00:00Z", **amounts}
        credit = {"id": number + 10, "invoice": {"id": number}, "quantity": Decimal(3), "extPrice": Decimal("84.00")}
        lines[number + 10] = {**line, **credit}
    assert quantities(booked(bench)) == {"M365-BP": 22, "MANAGED-WS": 27}


def test_no_invoice_in_the_period_is_a_known_nothing(bench: Bench) -> None:
    bench.moment = replace(bench.moment, period=replace(bench.moment.period, first=date(2026, 11, 2)))
    assert quantities(booked(bench)) == {}
