"""Customers, invoices and payments as they are read, and what makes a reading unknown."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from altpay_kit import ITEM, NOW, Bench
from connector_kit import MOMENT

from syncd.connect.contract import Feed
from syncd.errors import VendorError
from syncd.model import State


def lie(bench: Bench, path: str, change: Any) -> None:
    """Every 200 to a GET of exactly this path is changed."""
    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Any:
        response = honest(request, fault)
        if request.method == "GET" and request.path == path and response.status_code == 200:
            told = msgspec.json.decode(response.get_data())
            response.set_data(msgspec.json.encode(change(told)))
        return response

    bench.double._answer = answer  # type: ignore[method-assign]


def test_invoiced_is_what_the_lines_of_the_period_say_in_units_and_money(bench: Bench) -> None:
    reading = bench.invoiced()

    assert reading.state is State.KNOWN
    assert [(one.sku, one.quantity, one.amount, one.currency) for one in reading.counts] == [
        (ITEM, Decimal(25), Decimal("700.00"), "USD")
    ]
    assert "to the end of the list" in reading.proof


def test_our_own_line_is_counted_under_its_item_in_units(bench: Bench) -> None:
    wanted, connection = bench.posting(quantity=Decimal("2.5"), amount=Decimal("70.00")), bench.connect()
    connection.send(wanted, connection.wire(wanted))
    (count,) = bench.invoiced().counts

    assert (count.sku, count.quantity, count.amount) == (ITEM, Decimal("27.5"), Decimal("770.00"))


def test_archived_invoices_charge_nobody_and_unknown_statuses_do(bench: Bench) -> None:
    id_ = bench.double.invoices[1]["id"]
    bench.control("change", id=id_, status="archived")
    assert bench.invoiced().counts == ()
    bench.control("change", id=id_, status="something_new")
    assert bench.invoiced().counts[0].quantity == 25


def test_without_the_proof_no_amount_is_believed_and_quantities_are(bench: Bench) -> None:
    reading = bench.invoiced(posting=False, amount_unit=None, amount_basis=None)

    assert [(one.quantity, one.amount) for one in reading.counts] == [(Decimal(25), None)]
    assert "amounts not proved" in reading.proof


def test_lines_that_do_not_come_to_the_sum_make_the_reading_unknown(bench: Bench) -> None:
    bench.double.invoices[1]["sub_total"] = Decimal("1400.00")
    reading = bench.invoiced()

    assert reading.state is State.UNKNOWN
    assert "amount_unit and amount_basis" in reading.reason
    assert bench.invoiced(1).state is State.KNOWN


def test_a_line_without_text_is_counted_and_never_dropped_from_the_money(bench: Bench) -> None:
    bench.double.invoices[1]["line_items"][0]["description"] = None
    (count,) = bench.invoiced().counts

    assert (count.sku, count.amount) == ("(no description)", Decimal("700.00"))


def test_the_day_is_the_msps_own(bench: Bench) -> None:
    # 05:30 UTC on 1 December is still 30 November in Chicago.
    bench.control("invoice", customer=bench.customer().id, lines=[["Late", 1, "5"]], created_at="2026-12-01T05:30:00Z")
    bench.control("invoice", customer=bench.customer().id, lines=[["Next", 1, "5"]], created_at="2026-12-01T06:30:00Z")

    assert [one.sku for one in bench.invoiced().counts] == ["Late", ITEM]


@pytest.mark.parametrize("told", ["", "yesterday", "0001-01-01T00:00:00Z"])
def test_an_invoice_without_a_readable_instant_is_an_error(bench: Bench, told: str) -> None:
    lie(bench, "/invoices", lambda page: {**page, "data": [{**row, "created_at": told} for row in page["data"]]})
    reading = bench.invoiced()

    assert reading.state is State.UNKNOWN
    assert "no instant" in reading.reason


def test_a_quantity_that_a_double_bent_is_the_whole_number_it_was(bench: Bench) -> None:
    bench.double.invoices[1]["line_items"][0]["quantity"] = Decimal("24.9999999")
    assert bench.invoiced(posting=False, amount_unit=None, amount_basis=None).counts[0].quantity == 25


@pytest.mark.parametrize("nested", [False, True])
def test_lists_are_read_to_their_end_wherever_the_cursors_stand(bench: Bench, nested: bool) -> None:
    bench.double.nested, bench.double.longest_page = nested, 1

    assert len(bench.connect().customers()) == 4
    assert bench.invoiced().state is State.KNOWN


def test_a_list_that_does_not_say_whether_it_goes_on_is_no_list(bench: Bench) -> None:
    # A community client looks for these fields; they are not the vendor's, and it reads one page.
    lie(bench, "/customers", lambda page: {"data": page["data"], "next_cursor": "x", "has_more": False})
    with pytest.raises(VendorError, match="does not say whether its list goes on") as failed:
        bench.connect().customers()
    assert failed.value.code == "malformed"


@pytest.mark.parametrize("cursor", [None, "same"])
def test_a_list_that_goes_on_nowhere_is_incomplete(bench: Bench, cursor: str | None) -> None:
    bench.double.longest_page = 1
    lie(bench, "/customers", lambda page: {**page, "end_cursor": cursor and page["end_cursor"], "has_next_page": True})
    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


def test_customers_that_come_and_go_between_pages_lose_nobody(bench: Bench) -> None:
    bench.double.longest_page = 1
    there = {row["id"] for row in bench.double.customers}
    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Any:
        response = honest(request, fault)
        if request.path == "/customers":
            bench.double.pass_by()
        return response

    bench.double._answer = answer  # type: ignore[method-assign]
    shown = [one.id for one in bench.connect().customers()]

    assert there <= set(shown)
    assert len(shown) == len(set(shown))


@pytest.mark.slow
def test_fifteen_hundred_customers_come_over_many_pages(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        first = bench.double.customers[0]
        bench.double.customers = [{**first, "id": f"c{number}", "name": f"C {number}"} for number in range(1500)]
        before = len(bench.asked())

        assert len(bench.connect().customers()) == 1500
        assert bench.asked()[before:].count("GET /customers") == 15


def test_no_customer_at_all_is_no_answer(bench: Bench) -> None:
    bench.double.customers.clear()
    with pytest.raises(VendorError, match="no customer at all") as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


def test_a_customer_is_known_by_its_id_and_our_own_key(bench: Bench) -> None:
    (first, *_) = bench.connect().customers()

    assert first.identifiers == ("AlderDental",)


def test_two_customers_of_one_name_stay_two(bench: Bench) -> None:
    bench.double.customers[1]["name"] = bench.double.customers[0]["name"]
    names = [one.name for one in bench.connect().customers()]

    assert len(names) == 4
    assert len(set(names)) == 3


def test_another_customers_invoices_are_not_taken_for_this_ones(bench: Bench) -> None:
    lie(bench, "/invoices", lambda page: {**page, "data": [{**row, "customer_id": "other"} for row in page["data"]]})
    with pytest.raises(VendorError) as failed:
        bench.connect().find(bench.posting())
    assert failed.value.code == "wrong_tenant"


# Payment status


@pytest.mark.parametrize(
    ("status", "payment", "told"),
    [
        ("open", None, "open"),
        ("open", "failed", "open, payment failed"),
        ("open", "pending", "open, payment pending"),
        ("paid", "succeeded", "paid"),
        ("paid", "charged_back", "paid, payment charged_back"),
    ],
)
def test_whether_an_invoice_is_paid_stands_beside_its_number(
    bench: Bench, status: str, payment: str | None, told: str
) -> None:
    row = bench.double.invoices[1]
    bench.control("change", id=row["id"], status=status)
    if payment:
        bench.control("pay", invoice=row["id"], status=payment)
    bench.double.fee = Decimal(3)

    (count,) = bench.invoiced().counts
    assert count.note == f"{row['invoice_number']} {told}"
    assert count.amount == Decimal("700.00")


def test_payments_that_cannot_be_read_are_said_and_spoil_no_number(bench: Bench) -> None:
    bench.double.scopes = bench.double.scopes - {"payments:read"}
    reading = bench.invoiced()

    assert reading.state is State.KNOWN
    assert "payments could not be read (forbidden)" in reading.counts[0].note
    assert any("cannot read payments" in one for one in bench.connect().sign_in().warnings)


def test_only_invoices_that_are_not_plainly_paid_are_asked_about(bench: Bench) -> None:
    for row in bench.double.invoices:
        row["status"] = "paid"
        bench.double.pay(row["id"])
    before = len(bench.asked())
    bench.invoiced()

    assert bench.asked()[before:].count("GET /payments") == 1


# Who owns the invoice


def test_a_primary_integration_that_is_named_feeds_this_system(bench: Bench) -> None:
    feeds = bench.connect(posting=False, primary_integration="connectwise").feeds()

    assert [one.kind for one in feeds] == ["alternative_payments", "quickbooks"]
    assert '"connectwise"' in feeds[0].how


def test_customers_that_bear_the_id_of_a_primary_integration_betray_it(tmp_path: Path) -> None:
    with Bench(tmp_path, primary="cw") as bench:
        bench.double.customers[3]["customer_integration_id"] = None
        kept = frozenset(row["id"] for row in bench.double.customers[:3])

        (feed,) = bench.connect(primary_integration="none").feeds()
        assert feed == Feed("alternative_payments", feed.how, kept)
        assert "3 of its customers" in feed.how


def test_where_nothing_feeds_it_nothing_is_said(bench: Bench) -> None:
    assert bench.connect().feeds() == ()


# Signing in


def test_a_wrong_secret_is_refused_in_words_without_it(bench: Bench) -> None:
    with pytest.raises(VendorError, match="API Keys") as failed:
        bench.connect(client_secret="not-the-secret").sign_in()
    assert failed.value.code == "unauthorized"
    assert "not-the-secret" not in str(failed.value)


def test_a_token_that_ended_is_fetched_anew(bench: Bench) -> None:
    connection = bench.connect()
    connection.customers()
    bench.double.tokens.clear()

    assert connection.products()
    assert bench.asked().count("POST /oauth/token") == 2


def test_the_proof_and_the_primary_integration_are_asked_for_at_sign_in(bench: Bench) -> None:
    told = bench.connect(posting=False, primary_integration=None).sign_in()

    assert "only read" in told.identity
    assert any("primary_integration is not set" in one for one in told.warnings)


def test_the_story_agrees_with_what_is_billed_but_for_one_customer(bench: Bench) -> None:
    billed = [dict(company.billed) for company in bench.double.world.companies]
    invoiced = [sum((one.quantity for one in bench.invoiced(number).counts), Decimal(0)) for number in range(4)]

    assert [sum(one.values()) - told for one, told in zip(billed, invoiced, strict=True)] == [0, 0, 0, 2]
    assert MOMENT.now == NOW
