"""What must not be asked of QuickBooks, told before in words that name the record and the mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from qbo_kit import ALDER, CREDIT, INVOICE, LINE, Bench, MakeBench

from syncd.model import Operation, Posting, Receipt


@pytest.mark.parametrize("posting", [LINE, INVOICE, CREDIT, replace(CREDIT, options={})])
def test_what_can_be_posted_is_not_refused(bench: Bench, posting: Posting) -> None:
    assert bench.refusal(posting) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"operation": Operation.SET_QUANTITY}, "cannot take the operation set_quantity"),
        ({"options": {"document": "charge"}}, 'document = "charge" is unknown to QuickBooks; it takes estimate or'),
        ({"product_id": "999999"}, "no item #999999"),
        ({"product_id": "30"}, '"Business laptop" is counted in stock'),
        ({"product_id": "31"}, '"Starter bundle" is a bundle'),
        ({"product_id": "32"}, '"Fax line (deleted)" is inactive; make it active again'),
        ({"marker": "ü"}, "plain characters"),
        ({"quantity": Decimal(0)}, "0 units cannot be posted"),
        ({"ends": None}, "needs the days that it covers"),
        ({"ends": date(2026, 10, 1)}, "needs the days that it covers"),
        ({"amount": None, "unit_price": None}, "needs a price"),
        ({"amount": Decimal("10.005")}, "10.005 does not fit"),
        ({"currency": "EUR"}, '"Alder Dental Group" is billed in USD, not in EUR'),
    ],
)
def test_what_cannot_is_told_why(bench: Bench, change: dict[str, object], words: str) -> None:
    assert words in bench.refusal(replace(LINE, **change))  # type: ignore[arg-type]


def test_a_customer_who_left_is_told(bench: Bench) -> None:
    bench.double.tables["Customer"][ALDER]["Active"] = False

    assert '"Alder Dental Group" is inactive' in bench.refusal(LINE)


def test_closed_books_are_told_with_their_day(make_bench: MakeBench) -> None:
    bench = make_bench(close_date=date(2026, 11, 30))

    assert "closed through 2026-11-30, and the document would be dated 2026-11-30" in bench.refusal(INVOICE)
    assert bench.refusal(replace(INVOICE, starts=date(2026, 12, 1), ends=date(2026, 12, 31))) == ""


def test_estimates_that_are_switched_off_are_told(bench: Bench) -> None:
    bench.double.preferences["SalesFormsPrefs"]["AllowEstimates"] = False

    assert 'or set document = "invoice" in the rule' in bench.refusal(LINE)
    assert bench.refusal(INVOICE) == ""


def test_a_tax_code_is_never_invented(make_bench: MakeBench) -> None:
    bench = make_bench(american=False)
    assert bench.refusal(LINE) == ""
    bench.double.tables["Item"]["10"]["SalesTaxCodeRef"] = {"value": ""}
    assert "sales tax code; set one in QuickBooks" in bench.refusal(LINE)
    bench.double.tables["Customer"][ALDER]["DefaultTaxCodeRef"] = {"value": "6"}
    assert bench.refusal(LINE) == ""


def fallen(bench: Bench, settle: Callable[[str], object] | None = None, **options: str) -> str:
    """The refusal of a credit for one of two units that were posted."""
    told = bench.post(replace(LINE, options=options))
    assert isinstance(told, Receipt)
    if settle:
        settle(told.remote_id.rpartition(" ")[2])
    return bench.refusal(replace(CREDIT, key="k9", marker="sd-t1-fall", quantity=Decimal(1), amount=Decimal("28.00")))


def test_a_fall_of_an_open_estimate_names_what_to_amend(bench: Bench) -> None:
    told = fallen(bench)
    [row] = bench.documents("Estimate")

    assert f"take 1 off in the QuickBooks estimate {row['DocNumber']} (#{row['Id']})" in told


@pytest.mark.parametrize("status", ["Accepted", "Pending"])
def test_an_accepted_estimate_is_still_open(bench: Bench, status: str) -> None:
    assert "estimate SD" in fallen(bench, lambda id_: bench.double.rival("Estimate", id_, TxnStatus=status))


def test_a_fall_of_what_was_invoiced_is_credited(bench: Bench) -> None:
    assert fallen(bench, document="invoice") == ""


def test_an_estimate_that_was_invoiced_is_credited(bench: Bench) -> None:
    assert fallen(bench, bench.double.convert) == ""
