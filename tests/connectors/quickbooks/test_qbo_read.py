"""Customers, items, and what syncd's own documents charge."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from connector_kit import MOMENT
from qbo_kit import ALDER, CREDIT, INVOICE, LINE, SECOND, Bench, MakeBench

from connectors.quickbooks import sandbox_state as state
from syncd.model import BilledLine, Receipt, RemoteCustomer, State


def posted(bench: Bench, *postings: object) -> str:
    """The id of the document that they became."""
    told = bench.post(*postings)  # type: ignore[arg-type]
    assert isinstance(told, Receipt), told
    return told.remote_id.rpartition(" ")[2]


def charges(bench: Bench, customer: str = ALDER) -> list[tuple[str, Decimal]]:
    billing = bench.billing(customer)
    assert billing.state is State.KNOWN, billing.reason
    return [(line.marker, line.quantity) for line in billing.lines]


def test_customers_are_whole_with_those_who_left(bench: Bench) -> None:
    parent = bench.double.tables["Customer"][ALDER]
    bench.double.tables["Customer"]["900"] = state.customer(900, "Clinic North", parent=parent)
    found = {one.id: one for one in bench.connect().customers()}

    assert found[ALDER].name == "Alder Dental Group"
    assert found["900"] == RemoteCustomer("900", "Clinic North", ("Alder Dental Group:Clinic North",))
    assert [one.name for one in found.values() if not one.active] == ["Zelkova Press (deleted)"]


def test_items_say_why_they_cannot_be_billed(bench: Bench) -> None:
    found = {one.identifier: one for one in bench.connect().products()}

    assert (found["M365-BP"].id, found["M365-BP"].unit_price, found["M365-BP"].unit_cost) == ("10", 28, 22)
    assert found["M365-BP"].name == "Microsoft 365 Business Premium"
    assert "Licences" not in found  # a category is no item
    assert "counted in stock" in found["LAPTOP"].obstacle
    assert "is a bundle" in found["Starter bundle"].obstacle
    assert "is inactive" in found["Fax line (deleted)"].obstacle
    assert any("*, Sku" in one for one in bench.statements())


@pytest.mark.parametrize(("american", "price"), [(True, Decimal(28)), (False, None)])
def test_a_price_with_tax_in_it_is_no_price_of_a_line_without(
    make_bench: MakeBench, american: bool, price: Decimal | None
) -> None:
    """Outside the US lines are sent without tax, which QuickBooks adds: the customer would pay it twice."""
    bench = make_bench(american=american)
    bench.double.tables["Item"]["10"]["SalesTaxIncluded"] = True
    found = {one.id: one.unit_price for one in bench.connect().products()}

    assert found["10"] == price
    assert found["11"] == Decimal("16.50")


def test_a_document_shows_as_dated_lines_of_the_customers_account(bench: Bench) -> None:
    posted(bench, LINE, SECOND)
    billing = bench.billing()
    [account] = billing.agreements

    assert (account.id, account.name, account.currency, account.invoiced_through) == (
        ALDER, "Alder Dental Group", "USD", None,
    )  # fmt: skip
    first, second = billing.lines
    assert (first.marker, first.quantity, first.product, first.unit_price) == (LINE.marker, 2, "M365-BP", 28)
    assert (second.marker, second.quantity, second.product_id) == (SECOND.marker, 3, SECOND.product_id)
    assert (first.starts, first.ends, first.once) == (date(2026, 11, 1), date(2026, 11, 30), True)
    assert first.name.startswith("QuickBooks estimate SD")
    assert billing.proof.startswith("1 of 1 Estimate rows in 1 pages, 6 of 6 Invoice rows")


def test_nobody_elses_documents_are_lines(bench: Bench) -> None:
    assert bench.billing().lines == ()


def test_credits_count_below_zero(bench: Bench) -> None:
    posted(bench, INVOICE)
    posted(bench, replace(CREDIT, key="k9", marker="sd-t1-cccc3333", quantity=Decimal(1), amount=Decimal("28.00")))

    assert sorted(charges(bench)) == [("sd-t1-aaaa1111", 2), ("sd-t1-cccc3333", -1)]


def test_units_are_told_where_the_line_is_one_at_the_whole_amount(bench: Bench) -> None:
    tiered = replace(LINE, quantity=Decimal(27), unit_price=None, amount=Decimal("318.55"))
    id_ = posted(bench, tiered)
    row = bench.double.tables["Estimate"][id_]["Line"][0]

    assert (row["SalesItemLineDetail"]["Qty"], row["Amount"]) == (1, Decimal("318.55"))
    assert charges(bench) == [(LINE.marker, 27)]


@pytest.mark.parametrize("status", ["Rejected", "Pending", "Accepted", "Closed"])
def test_a_rejected_estimate_charges_nothing(bench: Bench, status: str) -> None:
    id_ = posted(bench, LINE)
    bench.double.rival("Estimate", id_, TxnStatus=status)

    assert charges(bench) == ([] if status == "Rejected" else [(LINE.marker, 2)])


def test_an_estimate_that_became_an_invoice_is_one_charge(bench: Bench) -> None:
    id_ = posted(bench, LINE)
    made = bench.double.convert(id_)
    [line] = bench.billing().lines

    assert (line.id, line.quantity) == (f"invoice {made['Id']}/1", 2)


def test_two_documents_with_one_mark_are_both_shown(bench: Bench) -> None:
    """Nobody picks the first: twice the units stand there until a person voids one."""
    id_ = posted(bench, LINE)
    twin = dict(bench.double.tables["Estimate"][id_], Id="5000", DocNumber="copy")
    bench.double.tables["Estimate"]["5000"] = twin

    assert charges(bench) == [(LINE.marker, 2), (LINE.marker, 2)]


@pytest.mark.parametrize("keeps", [True, False])
def test_voided_and_deleted_documents_charge_nothing(make_bench: MakeBench, keeps: bool) -> None:
    bench = make_bench(void_keeps_note=keeps)
    voided = posted(bench, INVOICE)
    deleted = posted(bench, replace(INVOICE, key="k3", marker="sd-t1-dddd4444"))
    assert len(charges(bench)) == 2
    bench.double.void("Invoice", {"Id": voided, "SyncToken": "0"})
    bench.double.delete("Invoice", {"Id": deleted, "SyncToken": "0"})

    assert charges(bench) == []


def line_of(bench: Bench, sku: str, quantity: int) -> dict[str, object]:
    item = next(row for row in bench.double.tables["Item"].values() if row.get("Sku") == sku)
    return {**state.sale(item, Decimal(quantity)), "Id": "77"}


def edited(bench: Bench, id_: str, lines: list[dict[str, object]]) -> None:
    bench.double.rival("Estimate", id_, Line=lines)


def test_a_line_that_a_person_adds_is_not_taken_for_syncds(bench: Bench) -> None:
    id_ = posted(bench, LINE, SECOND)
    own = bench.double.tables["Estimate"][id_]["Line"]
    edited(bench, id_, [line_of(bench, "EXO-P1", 40), *own])

    assert charges(bench) == [(LINE.marker, 2), (SECOND.marker, 3)]


def test_a_line_that_a_person_took_off_or_changed_shows_what_is_left(bench: Bench) -> None:
    id_ = posted(bench, LINE, SECOND)
    [first, _, *rest] = bench.double.tables["Estimate"][id_]["Line"]
    first["SalesItemLineDetail"]["Qty"] = Decimal(5)
    edited(bench, id_, [first, *rest])

    assert charges(bench) == [(LINE.marker, 5)]


def test_a_document_that_cannot_be_told_apart_is_unknown_for_its_customer_alone(bench: Bench) -> None:
    id_ = posted(bench, LINE)
    posted(bench, replace(LINE, key="k5", marker="sd-t1-eeee5555", customer_id="60"))
    edited(bench, id_, [line_of(bench, "M365-BP", 4), *bench.double.tables["Estimate"][id_]["Line"]])
    billing = bench.billing()

    assert (billing.state, billing.code) == (State.UNKNOWN, "malformed")
    assert f"(#{id_})" in billing.reason
    assert charges(bench, "60") == [("sd-t1-eeee5555", 2)]


def test_a_typo_in_a_memo_is_unknown_for_its_customer_alone(bench: Bench) -> None:
    id_ = posted(bench, LINE)
    posted(bench, replace(LINE, key="k5", marker="sd-t1-eeee5555", customer_id="60"))
    note = bench.double.tables["Estimate"][id_]["PrivateNote"]
    bench.double.rival("Estimate", id_, PrivateNote=note.replace("20261130", "20261131"))
    billing = bench.billing()

    assert (billing.state, billing.code) == (State.UNKNOWN, "malformed")
    assert f"(#{id_}) bears syncd's mark {LINE.marker}" in billing.reason
    assert "put the memo back as it was" in billing.reason
    assert charges(bench, "60") == [("sd-t1-eeee5555", 2)]


def test_words_of_a_person_around_the_marks_do_no_harm(bench: Bench) -> None:
    id_ = posted(bench, LINE)
    note = bench.double.tables["Estimate"][id_]["PrivateNote"]
    bench.double.rival("Estimate", id_, PrivateNote=f"Ask Dana first. {note} (checked)")

    assert charges(bench) == [(LINE.marker, 2)]


def test_the_account_tells_its_currency_and_the_day_of_closing(make_bench: MakeBench) -> None:
    bench = make_bench(multi_currency=True, close_date=date(2026, 10, 31))
    bench.double.tables["Customer"][ALDER]["CurrencyRef"] = {"value": "EUR"}
    [account] = bench.billing().agreements

    assert (account.currency, account.invoiced_through) == ("EUR", date(2026, 10, 31))


def test_a_customer_who_left_takes_nothing(bench: Bench) -> None:
    bench.double.tables["Customer"][ALDER]["Active"] = False
    [account] = bench.billing().agreements

    assert "inactive" in account.obstacle
    gone = list(bench.connect().lines([RemoteCustomer("4711", "Nobody")], MOMENT))
    assert [(one.state, one.code) for one in gone] == [(State.UNKNOWN, "not_found")]


def test_a_cycles_reads_are_few_whatever_the_number_of_customers(make_bench: MakeBench) -> None:
    """Reads are metered: settings and counts share batches, lists are read once."""
    bench = make_bench(customers=40)
    connection = bench.connect()
    connection.sign_in()
    customers = connection.customers()
    connection.products()
    for _ in range(2):
        list(connection.lines(customers, MOMENT))
    lines: list[BilledLine] = [line for one in connection.lines(customers, MOMENT) for line in one.lines]

    assert lines == []
    assert bench.double.metered_reads == 2 + 2 + 3  # two batches; customers and items; three kinds of documents
