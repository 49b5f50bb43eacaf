"""What the books say was invoiced: units and money by item, and every amount explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from netsuite_kit import INVOICE, SECOND, Bench

from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Operation, Posting, Query, Reading, RemoteCustomer, State


def told(reading: Reading) -> dict[str, Any]:
    assert reading.state is State.KNOWN, reading.reason
    assert reading.proof
    return {count.sku: (count.quantity, count.amount) for count in reading.counts}


@pytest.mark.parametrize("ledger_signs", [True, False])
def test_units_and_money_are_told_without_tax(make_bench: Callable[..., Bench], ledger_signs: bool) -> None:
    """No source says for sure with which sign lines are shown: both readings give the same."""
    bench = make_bench(ledger_signs=ledger_signs)

    found = bench.booked(2)

    assert told(found) == {"M365-BP": (14, 392), "EXO-P1": (2, 12)}
    count = next(one for one in found.counts if one.sku == "EXO-P1")
    assert (count.aliases, count.currency) == (("503", "Exchange Online (Plan 1)"), "USD")


@pytest.mark.parametrize("ledger_signs", [True, False])
def test_credits_are_taken_off(make_bench: Callable[..., Bench], ledger_signs: bool) -> None:
    bench = make_bench(ledger_signs=ledger_signs)
    bench.double.invoice_by_hand(102, date(2026, 11, 12), [(501, Decimal(3))], kind="creditMemo")

    assert told(bench.booked(2)) == {"M365-BP": (11, 308), "EXO-P1": (2, 12)}


@pytest.mark.parametrize("status", ["D", "E", "V"])
def test_drafts_rejected_and_voided_ones_are_left_out(bench: Bench, status: str) -> None:
    bench.double.invoice_by_hand(102, date(2026, 11, 12), [(501, Decimal(3))], status=status)

    assert told(bench.booked(2))["M365-BP"] == (14, 392)


@pytest.mark.parametrize("ledger_signs", [True, False])
@pytest.mark.parametrize("kind", ["invoice", "creditMemo"])
def test_syncds_own_line_counts_in_units_though_it_stands_there_as_one(
    make_bench: Callable[..., Bench], ledger_signs: bool, kind: str
) -> None:
    """3 units for 10.00 have no price of one: they are written as one at the whole amount."""
    bench = make_bench(ledger_signs=ledger_signs)
    given = SECOND if kind == "invoice" else replace(SECOND, operation=Operation.POST_CREDIT)
    postings = [INVOICE if kind == "invoice" else replace(INVOICE, operation=Operation.POST_CREDIT), given]
    connection = bench.connect()
    connection.send(postings[0], connection.gather(postings))
    [made] = [row for row in bench.double.records[kind].values() if "sd-" in (row["memo"] or "")]
    made["status"] = "B"
    assert [line["quantity"] for line in made["lines"]] == [2, 1]

    sign = 1 if kind == "invoice" else -1
    assert told(bench.booked(1)) == {"M365-BP": (25 + sign * 2, 700 + sign * 56), "EXO-P1": (sign * 3, sign * 10)}

    made["memo"] = made["memo"].replace("20261130", "20261131")  # no longer readable: what the document shows counts
    assert told(bench.booked(1))["EXO-P1"] == (sign, sign * 10)


def test_paid_ones_count(bench: Bench) -> None:
    bench.double.invoice_by_hand(102, date(2026, 11, 30), [(501, Decimal(1))], status="B")

    assert told(bench.booked(2))["M365-BP"] == (15, 420)


@pytest.mark.parametrize("day", [date(2026, 10, 31), date(2026, 12, 1)])
def test_other_months_do_not_count(bench: Bench, day: date) -> None:
    bench.double.invoice_by_hand(102, day, [(501, Decimal(3))])

    assert told(bench.booked(2))["M365-BP"] == (14, 392)


def test_own_invoices_count_once_they_are_approved(bench: Bench, postings: dict[str, Posting]) -> None:
    connection, wanted = bench.connect(), replace(postings["invoice"], customer_id="102")
    connection.send(wanted, connection.wire(wanted))
    assert told(bench.booked(2))["M365-BP"] == (14, 392)

    bench.double.records["invoice"][max(bench.double.records["invoice"])]["status"] = "A"

    assert told(bench.booked(2))["M365-BP"] == (16, 448)


def test_charges_count_once_they_are_billed(bench: Bench, postings: dict[str, Posting]) -> None:
    connection, wanted = bench.connect(), replace(postings["charge"], customer_id="102")
    connection.send(wanted, connection.wire(wanted))
    assert told(bench.booked(2))["M365-BP"] == (14, 392)

    bench.double.release(max(bench.double.records["charge"]))
    bench.double.bill_run(date(2026, 11, 30))

    assert told(bench.booked(2))["M365-BP"] == (16, 448)


def test_a_line_without_an_item_keeps_its_money(bench: Bench) -> None:
    bench.double.invoice_by_hand(102, date(2026, 11, 12), [(None, Decimal(1))])

    found = bench.booked(2)

    assert told(found)[""] == (0, 10)
    assert next(one.name for one in found.counts if not one.sku) == "Travel"


def test_a_customer_without_invoices_has_none_and_one_unknown_to_netsuite_is_unknown(bench: Bench) -> None:
    for row in bench.double.records["invoice"].values():
        row["entity"] = 103
    assert told(bench.booked(2)) == {}

    [gone] = bench.connect().booked([Ask(RemoteCustomer("999", "Nobody"), (Query("invoiced"),))], bench.moment)
    assert (gone.state, gone.code) == (State.UNKNOWN, "not_found")


def test_two_currencies_are_two_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    other = bench.double.invoice_by_hand(102, date(2026, 11, 12), [(501, Decimal(3))])
    honest = bench.double._transaction

    def transaction(kind: str, row: dict[str, Any]) -> dict[str, Any]:
        return honest(kind, row) | ({"currency": 2} if row is other else {})

    monkeypatch.setattr(bench.double, "_transaction", transaction)
    found: list[Any] = [(one.sku, one.currency, one.quantity, one.amount) for one in bench.booked(2).counts]

    assert ("M365-BP", "EUR", 3, 84) in found
    assert ("M365-BP", "USD", 14, 392) in found


def test_a_document_that_its_lines_do_not_explain_is_unknown_for_its_customer_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = bench.double._transaction

    def transaction(kind: str, row: dict[str, Any]) -> dict[str, Any]:
        shown = honest(kind, row)
        return shown | ({"foreigntotal": shown["foreigntotal"] + 1} if row["entity"] == 102 else {})

    monkeypatch.setattr(bench.double, "_transaction", transaction)
    spoilt = bench.booked(2)

    assert (spoilt.state, spoilt.code) == (State.UNKNOWN, "incomplete")
    assert "some are missing" in spoilt.reason
    assert bench.booked(1).state is State.KNOWN


def test_an_item_that_is_no_longer_there_is_not_left_out(bench: Bench) -> None:
    del bench.double.items[503]

    found = bench.booked(2)

    assert (found.state, found.code) == (State.UNKNOWN, "incomplete")
    assert "item #503" in found.reason


def test_an_unknown_status_is_not_guessed(bench: Bench) -> None:
    bench.double.invoice_by_hand(102, date(2026, 11, 12), [(501, Decimal(3))], status="Q")

    found = bench.booked(2)

    assert (found.state, found.code) == (State.UNKNOWN, "malformed")
    assert bench.booked(1).state is State.KNOWN


def test_quantities_are_told_as_they_are(bench: Bench) -> None:
    bench.double.invoice_by_hand(101, date(2026, 11, 12), [(501, Decimal("2.9999999")), (501, Decimal("-1"))])

    assert told(bench.booked(1))["M365-BP"] == (Decimal("26.9999999"), Decimal("756.00"))


def test_invoices_that_the_role_may_not_see_are_not_zero(bench: Bench) -> None:
    bench.double.blind = {"invoice"}

    with pytest.raises(VendorError, match="Find Transaction"):
        bench.booked(2)


def test_no_other_measure_and_no_filter_is_answered(bench: Bench) -> None:
    asks = [Ask(bench.customer(), (Query("seats"), Query("invoiced", (("item", ("x",)),))))]

    assert [one.code for one in bench.connect().booked(asks, bench.moment)] == ["unsupported", "unsupported"]


def test_the_story_agrees_with_the_psa_but_for_one_gap(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=12)
    connection = bench.connect()
    gaps = {}
    for company in bench.world.companies:
        found = {sku: units for sku, (units, _) in told(bench.booked(company.number, connection)).items()}
        if found != dict(company.billed):
            gaps[company.name] = found
    assert gaps == {"Hazel Home Care": {"M365-BP": 10, "EXO-P1": 27}}
