"""Recurring invoices, their lines and syncd's own drafts, as the core sees them; and what invoices of a period say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import LINE, Bench

from connectors.halopsa.agreements import terms
from connectors.halopsa.dates import day, instant
from connectors.halopsa.payloads import Recurring, units
from syncd.errors import VendorError
from syncd.model import Posting, Receipt, State
from syncd.periods import Period


def test_customers_are_the_active_clients(bench: Bench) -> None:
    bench.double.tables["Client"][103]["inactive"] = True

    assert [(one.id, one.name, one.active) for one in bench.connect().customers()] == [
        ("101", "Alder Dental Group", True),
        ("102", "Birchwood Legal LLP", True),
    ]


def test_a_renamed_client_keeps_its_id(bench: Bench) -> None:
    bench.double.tables["Client"][101]["name"] = "Alder Dental Partners"

    assert ("101", "Alder Dental Partners") in [(one.id, one.name) for one in bench.connect().customers()]


def test_a_client_that_was_merged_into_another_is_no_longer_listed_and_its_lines_are_the_others(bench: Bench) -> None:
    tables = bench.double.tables
    del tables["Client"][102]
    for document in (
        *tables["RecurringInvoice"].values(),
        *tables["Invoice"].values(),
        *tables["AreaAzureTenant"].values(),
    ):
        if document["client_id"] == 102:
            document["client_id"] = 101
    connection = bench.connect()
    first, second, _ = bench.world.companies

    found = {one.id: one for one in connection.customers()}
    assert sorted(found) == ["101", "103"]
    assert {first.tenant_id, second.tenant_id} <= set(found["101"].links)
    kept, gone = connection.lines([bench.customer(1), bench.customer(2)], bench.moment)
    assert {one.id for one in kept.agreements} == {"-91", "-92"}
    assert (gone.agreements, gone.lines) == ((), ())  # whoever maps 102 finds it gone from the list


def test_items_go_by_their_code(bench: Bench) -> None:
    bench.double.tables["Item"][402]["dontinvoice"] = True
    bench.double.tables["Item"][404] |= {"accountsid": "", "internalreference": ""}
    products = {one.id: one for one in bench.connect().products()}

    assert (products["401"].identifier, products["401"].name) == ("M365-BP", "Microsoft 365 Business Premium")
    assert (products["401"].unit_price, products["401"].unit_cost) == (Decimal(28), Decimal(22))
    assert "not to be invoiced" in products["402"].obstacle
    assert products["404"].identifier == "Office 365 E3"


def test_a_recurring_invoice_is_an_agreement_with_a_negative_id(bench: Bench) -> None:
    bench.double.tables["RecurringInvoice"][-91]["contract_ref"] = "C-2025-7"
    [agreement] = bench.billing().agreements

    assert agreement.id == "-91"
    assert agreement.name == "Managed Services"
    assert agreement.labels == ("MS-AlderDental", "C-2025-7")
    assert agreement.period == Period(date(2026, 11, 1), date(2026, 11, 30))
    assert agreement.invoiced_through == date(2026, 11, 30)
    assert agreement.currency == "USD"


def test_lines_that_bill_nothing_are_no_lines(bench: Bench) -> None:
    """The double has a heading and an inactive line besides."""
    assert [line.id for line in bench.billing().lines] == [str(LINE)]
    line = bench.line()
    assert (line.quantity, line.product_id, line.unit_price) == (Decimal(25), "401", Decimal(28))
    assert (line.starts, line.ends, line.once, line.obstacle, line.marker) == (None, None, False, "", "")


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"enddate": "2026-11-19T00:00:00"}, None),
        ({"enddate": "2026-11-20T00:00:00"}, (None, date(2026, 11, 20), False)),
        ({"startdate": "2026-12-01T00:00:00"}, (date(2026, 12, 1), None, False)),
        ({"startdate": "1899-12-30T00:00:00", "enddate": None}, (None, None, False)),
        ({"onetimecharge": True}, (None, None, True)),
        ({"startdate": "2026-11-03T00:00:00", "enddate": "2026-11-25T00:00:00"},
         (date(2026, 11, 3), date(2026, 11, 25), True)),
        ({"startdate": "2026-12-05T00:00:00", "enddate": "2026-12-04T00:00:00"}, None),
    ],
)  # fmt: skip
def test_a_lines_days(bench: Bench, changes: dict[str, Any], shown: tuple[Any, ...] | None) -> None:
    bench.row().update(changes)
    lines = bench.billing().lines

    assert [(one.starts, one.ends, one.once) for one in lines] == ([shown] if shown else [])


@pytest.mark.parametrize(
    ("told", "meant"),
    [("2.9999999", "3"), ("2.50000001", "2.5"), ("0.33333333", "0.33333333"), ("26.0", "26"), ("0", "0")],
)
def test_doubles_are_read_as_what_was_meant(bench: Bench, told: str, meant: str) -> None:
    bench.row()["qty_order"] = Decimal(told)

    assert str(bench.line().quantity) == meant


@pytest.mark.parametrize("told", [None, Decimal("1e30")])
def test_a_line_without_a_usable_quantity_is_unknown_and_never_zero(bench: Bench, told: Any) -> None:
    bench.row()["qty_order"] = told
    connection = bench.connect()
    billings = list(connection.lines([bench.customer(1), bench.customer(2)], bench.moment))

    assert [one.state for one in billings] == [State.UNKNOWN, State.KNOWN]
    assert "24010" in billings[0].reason or "1E+30" in billings[0].reason
    with pytest.raises(VendorError):
        units(Decimal("1e30"))


def test_a_line_that_halo_calculates_from_one_licence_shows_the_licences_count(bench: Bench) -> None:
    bench.double.tables["SoftwareLicence"][3021]["count"] = 6  # Halo has not calculated the line yet
    line = bench.line("24021/3021", 2)

    assert line.quantity == 6
    assert line.obstacle == ""


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"qty_free": 2}, "calculated by Halo itself"),
        ({"minimum_qty": 5}, "calculated by Halo itself"),
        ({"assigned_licences": True}, "calculated by Halo itself"),
        ({"criteria": [{"fieldname": "x"}]}, "calculated by Halo itself"),
    ],
)
def test_a_line_that_is_calculated_otherwise_cannot_be_changed(bench: Bench, rule: dict[str, Any], told: str) -> None:
    bench.row(24_021)["quantity_licences"][0].update(rule)
    line = bench.line(24_021, 2)

    assert line.quantity == 2
    assert told in line.obstacle


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ({"tenant_id": "1b2"}, "imported from Microsoft"),
        ({"azure_connection_id": 4}, "imported from Microsoft"),
        ({"status": "PendingCancel"}, "PendingCancel"),
        ({"is_active": False}, "inactive or over"),
        ({"end_date": "2026-11-19T00:00:00"}, "inactive or over"),
    ],
)
def test_a_licence_that_is_not_ours_to_count(bench: Bench, licence: dict[str, Any], told: str) -> None:
    bench.double.tables["SoftwareLicence"][3021].update(licence)

    assert told in bench.line("24021/3021", 2).obstacle


def test_pending_rows_of_somebody_are_an_obstacle(bench: Bench) -> None:
    bench.double.prorate(bench.row(), Decimal(2), by_hand=True)

    assert "1 pending pro-rata row" in bench.line().obstacle


def test_lists_may_leave_out_how_lines_are_calculated(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(list_rules=False)

    assert bench.line("24021/3021", 2).obstacle == ""
    assert bench.line().obstacle == ""


def test_the_audit_names_who_edited_by_hand(bench: Bench) -> None:
    assert bench.line().changed_by == ""
    before = bench.line().version
    bench.double.rival(LINE, 30, by="Dana Admin")

    assert bench.line().changed_by == "Dana Admin"
    assert bench.line().version != before


def test_an_audit_that_cannot_be_read_costs_only_the_names(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forbidden=("InvoiceChange",))
    bench.double.rival(LINE, 30)

    assert bench.billing().state is State.KNOWN
    assert bench.line().changed_by == ""


def test_a_disabled_one_beside_a_living_one_is_left_out(bench: Bench) -> None:
    rows = bench.double.tables["RecurringInvoice"]
    rows[-191] = {**rows[-91], "id": -191, "disabled": True, "lines": []}
    assert [one.id for one in bench.billing().agreements] == ["-91"]

    rows[-91]["disabled"] = True
    shown = bench.billing()
    assert {one.obstacle.partition(") ")[2] for one in shown.agreements} == {"is disabled"}
    assert shown.lines == ()


def test_no_recurring_invoice_at_all_is_a_missing_right(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(hidden=("RecurringInvoice",))

    with pytest.raises(VendorError, match="lacks Invoices"):
        bench.billing()


def test_a_client_without_recurring_invoices_is_known_to_have_none(bench: Bench) -> None:
    del bench.double.tables["RecurringInvoice"][-93]

    assert bench.billing(who=3).state is State.KNOWN
    assert bench.billing(who=3).agreements == ()


def recurring(**fields: Any) -> Recurring:
    return Recurring(**{"id": -5, "client_id": 101, "lines": [], **fields})


@pytest.mark.parametrize(
    ("fields", "period", "advance", "arrears"),
    [
        ({"periodname": "Monthly", "nextcreationdate": "2026-12-01", "startdate": "2025-01-01"},
         "2026-11", date(2026, 11, 30), date(2026, 10, 31)),
        ({"periodname": "Quarterly", "nextcreationdate": "2026-12-15T00:00:00", "startdate": "2025-01-01"},
         "2026-09-15/2026-12-14", date(2026, 12, 14), date(2026, 9, 14)),
        # overdue: it still waits to be made
        ({"periodname": "Monthly", "nextcreationdate": "2026-11-01", "startdate": "2025-01-01"},
         "2026-11", date(2026, 10, 31), date(2026, 9, 30)),
        # no name of the period: the two dates tell it
        ({"lastcreated": "2026-10-31", "nextcreationdate": "2026-11-30", "startdate": "2025-01-31"},
         "2026-10-31/2026-11-29", date(2026, 11, 29), date(2026, 10, 30)),
        ({"lastcreated": "2026-11-01", "nextcreationdate": "2026-11-19", "startdate": "2025-01-01"},
         None, date(2026, 11, 18), None),
        ({"periodname": "Every blue moon", "nextcreationdate": "2026-12-01", "startdate": "2025-01-01"},
         None, date(2026, 11, 30), None),
        # never invoiced yet
        ({"periodname": "Monthly", "nextcreationdate": "2026-12-01", "startdate": "2026-12-01"},
         "2026-11", None, None),
        ({"schedule": {"nextcreationdate": "2026-12-01"}, "periodname": "Monthly", "startdate": "2025-01-01"},
         "2026-11", date(2026, 11, 30), date(2026, 10, 31)),
        ({}, None, None, None),
    ],
)  # fmt: skip
def test_what_the_dates_mean(fields: dict[str, Any], period: str | None, advance: Any, arrears: Any) -> None:
    import msgspec

    one = terms(msgspec.convert({"id": -5, "client_id": 101, "lines": [], **fields}, Recurring))
    found = one.period(date(2026, 11, 20))

    assert (str(found) if found else None) == period
    assert one.invoiced_through("advance") == advance
    assert one.invoiced_through("arrears") == arrears


def test_dates_are_days_and_never_shifted() -> None:
    assert day("2026-03-31T00:00:00") == date(2026, 3, 31)
    assert day("2026-03-31T23:00:00Z") == date(2026, 3, 31)
    assert day("1900-01-01T00:00:00") is None
    assert day(None) is None
    assert day("") is None
    for bad in ("31/03/2026", "2026-02-30", "soon"):
        with pytest.raises(VendorError):
            day(bad)
    told = instant("2026-11-01T03:00:00")
    assert told is not None
    assert told.utcoffset() is not None


# --- syncd's own drafts, and what is invoiced ------------------------------------------------------------------------


def post(bench: Bench, posting: Posting) -> None:
    connection = bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)


def test_an_own_draft_is_a_dated_line_of_its_recurring_invoice(bench: Bench, postings: dict[str, Posting]) -> None:
    post(bench, postings["draft"])
    [line] = [one for one in bench.billing().lines if one.once]

    assert (line.agreement_id, line.product_id, line.quantity) == ("-91", "401", Decimal(2))
    assert (line.starts, line.ends, line.marker) == (date(2026, 11, 1), date(2026, 11, 30), "sd-t1-line")


def test_a_person_who_changes_a_draft_is_seen(bench: Bench, postings: dict[str, Posting]) -> None:
    post(bench, postings["draft"])
    invoice = bench.double.tables["Invoice"][90_001]
    invoice["lines"][0]["qty_order"] = Decimal(1)
    assert [one.quantity for one in bench.billing().lines if one.once] == [Decimal(1)]

    invoice["lines"].append(dict(invoice["lines"][0]))
    assert "2 lines instead of one" in bench.billing().reason

    invoice["internal_note"] = "released"
    assert "no longer says what it charges" in bench.billing().reason

    invoice["voided"] = True
    assert [one for one in bench.billing().lines if one.once] == []


def test_somebody_elses_reference_is_nobody_of_ours(bench: Bench) -> None:
    bench.double.tables["Invoice"][5001]["reference"] = "sd-4711 your order"

    assert bench.billing().state is State.KNOWN
    assert [one for one in bench.billing().lines if one.once] == []


def test_invoiced_is_what_invoices_of_the_period_hold(bench: Bench) -> None:
    reading = bench.booked()

    assert reading.state is State.KNOWN
    assert [(one.sku, one.quantity) for one in reading.counts] == [("M365-BP", Decimal(25))]
    assert "1 invoices of the period" in reading.proof


def test_drafts_voids_and_other_months_are_left_out_and_credits_taken_off(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    post(bench, postings["draft"])
    table = bench.double.tables["Invoice"]
    first = table[5001]
    table[5101] = {**first, "id": 5101, "voided": True}
    table[5102] = {**first, "id": 5102, "invoice_date": "2026-10-31T00:00:00"}
    assert [one.quantity for one in bench.booked().counts] == [Decimal(25)]

    credit = [{**first["lines"][0], "qty_order": Decimal(3), "net_amount": Decimal("84.00")}]
    table[5103] = {
        **first, "id": 5103, "creditlinkedtoinvoiceid": 5001, "lines": credit, "total": Decimal("-84.00"),
        "tax_total": Decimal(0),
    }  # fmt: skip
    assert [one.quantity for one in bench.booked().counts] == [Decimal(22)]

    bench.double.tables["Invoice"][90_001] |= {"reviewrequired": False}  # a person released the draft
    assert [one.quantity for one in bench.booked().counts] == [Decimal(24)]


def test_an_invoice_whose_lines_do_not_explain_its_amount_is_unknown(bench: Bench) -> None:
    bench.double.tables["Invoice"][5001]["lines"] = []

    reading = bench.booked()
    assert reading.state is State.UNKNOWN
    assert reading.code == "incomplete"
    assert "some are missing" in reading.reason


def test_another_clients_invoice_is_not_believed(bench: Bench) -> None:
    honest = bench.double.listed

    def mixed(request: Any, resource: str, key: str, rows: Any, paged: bool = True) -> Any:
        told = honest(request, resource, key, rows, paged)
        if resource == "Invoice":
            told["invoices"] = [{**one, "client_id": 102} for one in told["invoices"]]
        return told

    bench.double.listed = mixed  # type: ignore[method-assign]
    assert bench.booked().code == "wrong_tenant"
    assert bench.billing().code == "wrong_tenant"


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ({}, date(2026, 12, 1)),
        ({"startdate": "2026-11-01T00:00:00"}, date(2026, 12, 1)),
        ({"startdate": "2027-01-15T00:00:00"}, date(2027, 1, 15)),
        ({"enddate": "2026-11-30T00:00:00"}, None),  # it is over before its recurring invoice begins
    ],
)
def test_lines_of_a_renewal_entered_ahead_begin_with_it(bench: Bench, line: dict[str, Any], first: date | None) -> None:
    """Counted as open today they would be a second line of the same product, or its units twice."""
    headers = bench.double.tables["RecurringInvoice"]
    rows = [{**row, "id": 99_100 + place, "ihid": -991} for place, row in enumerate(headers[-91]["lines"])]
    rows[0] |= line
    headers[-991] = {**headers[-91], "id": -991, "startdate": "2026-12-01T00:00:00", "lines": rows}

    lines = {one.id: one for one in bench.billing().lines}

    assert lines[str(LINE)].starts is None
    assert ("99100" in lines) == (first is not None)
    assert first is None or (lines["99100"].starts, lines["99100"].once) == (first, False)
