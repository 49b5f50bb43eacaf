"""What is refused before it is sent: one sentence that names the record and the mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from netsuite_kit import Bench, Read

from syncd.model import Operation, Posting, Receipt

Postings = dict[str, Posting]


def test_what_fits_is_not_refused(bench: Bench, postings: Postings) -> None:
    assert [bench.refusal(one) for one in postings.values()] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"operation": Operation.SET_QUANTITY}, "cannot take the operation set_quantity"),
        ({"options": {"document": "estimate"}}, "charge or invoice"),
        ({"product_id": "999", "product": "X"}, "no item #999 X"),
        ({"product_id": "591"}, "inactive"),
        ({"product_id": "592"}, "stock"),
        ({"product_id": "593"}, "kit"),
        ({"product_id": "594"}, "no item #594"),
        ({"marker": ""}, "mark"),
        ({"marker": "x" * 41}, "mark"),
        ({"marker": "späße"}, "mark"),
        ({"quantity": Decimal(0)}, "more than none"),
        ({"quantity": Decimal(-2)}, "more than none"),
        ({"starts": None}, "first billed day"),
        ({"ends": date(2026, 10, 1)}, "first billed day"),
        ({"amount": None, "unit_price": None}, "what one M365-BP costs"),
        ({"amount": Decimal(-1)}, "a fall is a credit"),
        ({"currency": "EUR"}, "is in EUR"),
        ({"customer_id": "x"}, "no NetSuite customer id"),
    ],
)
def test_each_reason_is_told(read_once: Read, postings: Postings, changes: dict[str, Any], words: str) -> None:
    asked = len(read_once.bench.double.requests)

    assert words in read_once.refusal(replace(postings["charge"], **changes))
    assert len(read_once.bench.double.requests) == asked


def test_charges_need_their_type_and_invoices_do_not(bench: Bench, postings: Postings) -> None:
    without = bench.connect(charge_type="")
    assert "charge_type" in bench.refusal(postings["charge"], connection=without)
    assert bench.refusal(postings["invoice"], connection=without) == ""
    assert bench.refusal(postings["credit"], connection=without) == ""


def test_an_inactive_customer_is_not_posted_to(bench: Bench, postings: Postings) -> None:
    bench.double.customers[101]["isinactive"] = True

    assert "inactive" in bench.refusal(postings["charge"])


def test_a_closed_period_takes_charges_but_no_documents(bench: Bench, postings: Postings) -> None:
    bench.double.close_periods(date(2026, 11, 30))

    assert "closed through 2026-11-30" in bench.refusal(postings["invoice"])
    assert "closed through 2026-11-30" in bench.refusal(postings["credit"])
    assert bench.refusal(postings["charge"]) == ""  # it posts nothing; the bill run dates the invoice


@pytest.mark.parametrize("which", ["charge", "invoice"])
def test_a_fall_names_what_is_still_to_be_amended(bench: Bench, postings: Postings, which: str) -> None:
    connection, wanted = bench.connect(), postings[which]
    told = connection.send(wanted, connection.wire(wanted))
    assert isinstance(told, Receipt)

    refused = bench.refusal(replace(postings["credit"], quantity=Decimal(1)))

    assert told.remote_id in refused
    assert "amend it there by 1" in refused


def test_a_fall_of_what_is_billed_is_credited(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    told = connection.send(wanted, connection.wire(wanted))
    assert isinstance(told, Receipt)
    bench.double.release(int(told.remote_id.split()[1]))
    bench.double.bill_run(date(2026, 11, 30))

    assert bench.refusal(postings["credit"]) == ""


@pytest.mark.parametrize(
    "changes", [{"starts": date(2026, 12, 1), "ends": date(2026, 12, 31)}, {"product_id": "503", "product": "EXO-P1"}]
)
def test_other_days_and_products_do_not_hold_a_credit(
    make_bench: Callable[..., Bench], postings: Postings, changes: dict[str, Any]
) -> None:
    bench = make_bench()
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))

    assert bench.refusal(replace(postings["credit"], **changes)) == ""
