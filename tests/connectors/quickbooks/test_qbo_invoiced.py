"""What was invoiced: units and money by item, credits taken off, everything else left out or told."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import MOMENT
from qbo_kit import ALDER, CREDIT, INVOICE, LINE, Bench, MakeBench

from connectors.quickbooks import sandbox_state as state
from syncd.connect.contract import Ask
from syncd.model import Query, State


def sale(bench: Bench, sku: str, quantity: int | str, price: str | None = None) -> dict[str, Any]:
    item = next(row for row in bench.double.tables["Item"].values() if sku in (row.get("Sku"), row["Name"]))
    return state.sale(item, Decimal(quantity), Decimal(price) if price else None)


def write(bench: Bench, entity: str, *lines: dict[str, Any], day: str = "2026-11-09", **fields: Any) -> dict[str, Any]:
    """A person writes a document."""
    body = {"CustomerRef": {"value": ALDER}, "TxnDate": day, "Line": list(lines), **fields}
    made: dict[str, Any] = bench.double.create(entity, body, by_hand=True)
    return made


def money(bench: Bench) -> dict[str, tuple[Decimal, Decimal | None]]:
    return {sku: (one.quantity, one.amount) for sku, one in bench.invoiced().items()}


def test_the_story_agrees_with_what_the_psa_bills_but_for_one_gap(make_bench: MakeBench) -> None:
    bench = make_bench(customers=12)
    connection = bench.connect()
    asks = [Ask(bench.customer(str(58 + one.number)), (Query("invoiced"),)) for one in bench.world.companies]
    gaps = {}
    for company, reading in zip(bench.world.companies, connection.booked(asks, MOMENT), strict=True):
        assert reading.state is State.KNOWN, reading.reason
        told = {count.sku: count.quantity for count in reading.counts}
        if told != dict(company.billed):
            gaps[company.name] = (told, dict(company.billed))

    assert gaps == {"Fir Logistics": ({"M365-BS": 28}, {"M365-BS": 30})}


def test_a_count_says_item_units_money_and_how_it_knows(bench: Bench) -> None:
    reading = bench.booked()
    [count] = reading.counts

    assert (count.sku, count.name, count.aliases) == (
        "M365-BP", "Microsoft 365 Business Premium", ("10", "Microsoft 365 Business Premium"),
    )  # fmt: skip
    assert (count.quantity, count.amount, count.currency) == (25, Decimal("700.00"), "USD")  # without tax
    assert reading.proof.startswith("1 documents of the period, each total explained by its lines (")
    assert "3 of 3 Invoice rows" in reading.proof


def test_credits_and_refunds_are_taken_off_and_receipts_count(bench: Bench) -> None:
    write(bench, "SalesReceipt", sale(bench, "M365-BP", 4))
    write(bench, "CreditMemo", sale(bench, "M365-BP", 2))
    write(bench, "RefundReceipt", sale(bench, "M365-BP", 1))

    assert money(bench) == {"M365-BP": (26, Decimal("728.00"))}


def test_estimates_voids_and_other_periods_are_left_out(bench: Bench) -> None:
    write(bench, "Estimate", sale(bench, "M365-BP", 7))
    write(bench, "Invoice", sale(bench, "M365-BP", 7), day="2026-10-31")
    write(bench, "Invoice", sale(bench, "M365-BP", 7), day="2026-12-01")
    voided = write(bench, "Invoice", sale(bench, "M365-BP", 7))
    bench.double.void("Invoice", {"Id": voided["Id"], "SyncToken": "0"})

    assert money(bench) == {"M365-BP": (25, Decimal("700.00"))}
    assert bench.booked().proof.startswith("1 documents of the period")


def test_money_without_an_item_is_never_dropped(bench: Bench) -> None:
    write(
        bench, "Invoice",
        sale(bench, "EXO-P1", 10),
        {"DetailType": "SalesItemLineDetail", "Amount": Decimal("80.00"), "Description": "On-site visit",
         "SalesItemLineDetail": {}},
        {"DetailType": "DiscountLineDetail", "Amount": Decimal("14.00"), "DiscountLineDetail": {
            "PercentBased": False, "DiscountAccountRef": {"value": "86", "name": "Discounts given"}}},
        {"DetailType": "DescriptionOnly", "Description": "Thank you", "DescriptionLineDetail": {}},
    )  # fmt: skip
    told = bench.invoiced()

    assert (told["EXO-P1"].quantity, told["EXO-P1"].amount) == (10, Decimal("60.00"))
    assert (told[""].name, told[""].amount) == ("On-site visit, Discounts given", Decimal("66.00"))


def test_a_bundles_lines_count_and_not_the_bundle(bench: Bench) -> None:
    inside = [sale(bench, "M365-BS", 2), sale(bench, "EXO-P1", 3)]
    bundle = {
        "DetailType": "GroupLineDetail", "Amount": Decimal("51.00"),
        "GroupLineDetail": {"GroupItemRef": {"value": "31"}, "Quantity": 1, "Line": inside},
    }  # fmt: skip
    write(bench, "Invoice", bundle)

    assert money(bench)["M365-BS"] == (2, Decimal("33.00"))
    assert money(bench)["EXO-P1"] == (3, Decimal("18.00"))


def test_a_line_that_names_an_amount_alone_is_one(bench: Bench) -> None:
    line = sale(bench, "EXO-P1", 1, "44.00")
    del line["SalesItemLineDetail"]["Qty"], line["SalesItemLineDetail"]["UnitPrice"]
    write(bench, "Invoice", line)

    assert money(bench)["EXO-P1"] == (1, Decimal("44.00"))


def test_an_inactive_item_still_has_its_name(bench: Bench) -> None:
    line = sale(bench, "EXO-P1", 2)
    write(bench, "Invoice", line)
    bench.double.tables["Item"][line["SalesItemLineDetail"]["ItemRef"]["value"]]["Active"] = False

    assert money(bench)["EXO-P1"][0] == 2


def test_own_invoices_count_in_units_also_where_they_are_one_at_the_whole_amount(bench: Bench) -> None:
    bench.post(replace(INVOICE, quantity=Decimal(27), unit_price=None, amount=Decimal("318.55")))
    bench.post(replace(CREDIT, key="k7", marker="sd-t1-ffff7777", quantity=Decimal(7), unit_price=None,
                       amount=Decimal("83.33")))  # fmt: skip
    bench.post(replace(LINE, key="k8", marker="sd-t1-gggg8888"))  # an estimate invoices nobody

    assert money(bench) == {"M365-BP": (25 + 27 - 7, Decimal("935.22"))}


def test_lines_that_do_not_explain_a_total_make_it_unknown(bench: Bench) -> None:
    made = write(bench, "Invoice", sale(bench, "EXO-P1", 10), sale(bench, "M365-BS", 1))
    del made["Line"][0]
    reading = bench.booked()

    assert (reading.state, reading.code, reading.counts) == (State.UNKNOWN, "incomplete", ())
    assert "charges 76.5 before tax, its lines show 16.5" in reading.reason
    assert bench.booked("60").state is State.KNOWN


def test_a_document_in_another_currency_than_its_customers_is_told(bench: Bench) -> None:
    made = write(bench, "Invoice", sale(bench, "EXO-P1", 10))
    made["CurrencyRef"] = {"value": "EUR"}

    assert "is in EUR, its customer's currency is USD" in bench.booked().reason


@pytest.mark.parametrize("query", [Query("billed"), Query("invoiced", (("class", ("x",)),))])
def test_what_invoices_do_not_tell_is_unsupported(bench: Bench, query: Query) -> None:
    [reading] = bench.connect().booked([Ask(bench.customer(), (query,))], MOMENT)

    assert (reading.state, reading.code) == (State.UNKNOWN, "unsupported")


def test_nothing_invoiced_is_known_to_be_nothing(bench: Bench) -> None:
    bench.double.tables["Customer"]["800"] = state.customer(800, "New & Co")
    reading = bench.booked("800")

    assert (reading.state, reading.counts) == (State.KNOWN, ())
    gone = next(iter(bench.connect().booked([Ask(replace(bench.customer(), id="4711"), (Query("invoiced"),))], MOMENT)))
    assert (gone.state, gone.code) == (State.UNKNOWN, "not_found")


def test_the_longer_lists_are_read_once_for_both_numbers(bench: Bench) -> None:
    connection = bench.connect()
    bench.billing(connection=connection)
    before = bench.double.metered_reads
    bench.booked(connection=connection)

    assert bench.double.metered_reads - before == 3  # a batch of counts, sales receipts, refund receipts


def test_a_subtotal_is_no_line_however_its_type_is_written(bench: Bench) -> None:
    made = write(bench, "Invoice", sale(bench, "EXO-P1", 10))
    made["Line"][-1]["DetailType"] = "SUB_TOTAL_LINE_DETAIL"

    assert money(bench)["EXO-P1"] == (10, Decimal("60.00"))


def test_amounts_written_as_text_are_read_exactly(bench: Bench) -> None:
    made = write(bench, "Invoice", sale(bench, "EXO-P1", "3.5", "0.0125"))
    made["Line"][0]["Amount"] = str(made["Line"][0]["Amount"])
    made["Line"][0]["SalesItemLineDetail"]["Qty"] = "3.5"

    assert money(bench)["EXO-P1"] == (Decimal("3.5"), Decimal("0.04"))
    assert date(2026, 11, 9) in MOMENT.period
