"""What a seat costs, from the newest invoice: only where nothing is guessed, and never at the count's expense."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pc_kit import NEW, Bench, moment

from connectors.partnercenter.sandbox_invoices import invoices, lines, number_of
from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Query

OCTOBER = "G261007411"


def costs(bench: Bench, sku: str = NEW) -> tuple[Any, str, list[tuple[Any, str, int]]]:
    """(unit cost, its currency, each term's cost) of one product."""
    count = bench.count(sku)
    return count.unit_cost, count.currency, [(one.unit_cost, one.currency, one.months) for one in count.terms]


def test_a_seat_costs_what_its_last_whole_month_was_charged(bench: Bench) -> None:
    bench.sell(4, price="18.70")
    assert costs(bench) == (Decimal("18.7"), "USD", [(Decimal("18.7"), "USD", 1)])
    assert f"costs of invoice {OCTOBER} to 2026-10-31" in bench.read().proof
    assert "billed monthly at 18.7" in bench.count().note


def test_a_product_on_two_lines_costs_their_sum(bench: Bench) -> None:
    bench.sell(4, price="38.00", split=True)
    assert costs(bench)[:2] == (Decimal(38), "USD")


@pytest.mark.parametrize(("cycle", "end", "months"), [("annual", "2027-09-30", 12), ("triennial", "2028-09-30", 36)])
def test_a_cost_of_another_rhythm_is_the_terms_and_no_monthly_one(
    bench: Bench, cycle: str, end: str, months: int
) -> None:
    bench.sell(4, price="264.00", billingCycle=cycle, commitmentEndDate=end, effectiveStartDate="2025-10-01")
    assert costs(bench) == (None, "", [(Decimal(264), "USD", months)])


def test_what_was_bought_after_the_invoice_has_no_cost_yet(bench: Bench) -> None:
    bench.sell(4, price="18.70", effectiveStartDate="2026-11-04T00:00:00Z")
    assert costs(bench) == (None, "", [(None, "", 1)])
    assert " at " not in bench.count().note


def test_two_subscriptions_of_one_sku_with_different_terms_keep_their_own_costs(bench: Bench) -> None:
    bench.sell(4, price="18.70")
    bench.sell(2, price="22.40", commitmentEndDate="2026-12-02", termDuration="P1M")
    cost, currency, terms = costs(bench)
    assert (cost, currency) == (None, "")  # (4 × 18.70 + 2 × 22.40) / 6 has no end
    assert terms == [(Decimal("22.4"), "USD", 1), (Decimal("18.7"), "USD", 1)]


def test_two_of_one_order_and_product_are_not_told_apart(bench: Bench) -> None:
    bench.sell(4, price="18.70", orderId="order1")
    bench.sell(2, price="22.40", orderId="order1")
    assert costs(bench) == (None, "", [(None, "", 1), (None, "", 1)])


def _edit(bench: Bench, **fields: Any) -> None:
    """Every line of the invoice that is the new product's is changed."""

    def change(body: dict[str, Any]) -> None:
        for line in body["items"]:
            if f"{line['productId']}:{line['skuId']}" == NEW:
                line.update(fields)

    bench.lie("/lineitems", change)


@pytest.mark.parametrize(
    "fields",
    [
        {"chargeType": "addQuantity"},
        {"chargeType": "cancelImmediate"},
        {"chargeType": "somethingNew"},
        {"chargeType": None},
        {"chargeEndDate": "2026-10-20T00:00:00Z"},  # a part of a month
        {"chargeStartDate": None},
        {"billableQuantity": "0", "quantity": 0},
        {"billableQuantity": -4, "quantity": -4},
        {"billableQuantity": 3},  # 74.80 by three has no end
        {"subtotal": None},
        {"subtotal": "-74.80"},
        {"currency": ""},
        {"customerId": "somebody-else"},
        {"orderId": "another"},
        {"skuId": "0009"},
    ],
)
def test_whatever_does_not_fit_leaves_the_cost_unknown(bench: Bench, fields: dict[str, Any]) -> None:
    bench.sell(4, price="18.70")
    _edit(bench, **fields)
    assert costs(bench) == (None, "", [(None, "", 1)])


@pytest.mark.parametrize("field", ["subscriptionId", "currency", "billableQuantity"])
def test_two_lines_that_are_not_alike_are_no_cost(bench: Bench, field: str) -> None:
    bench.sell(4, price="38.00", split=True)

    def change(body: dict[str, Any]) -> None:
        mine = [line for line in body["items"] if f"{line['productId']}:{line['skuId']}" == NEW]
        mine[0][field] = 9 if field == "billableQuantity" else "another"

    bench.lie("/lineitems", change)
    assert costs(bench)[:2] == (None, "")


def test_a_discount_counts_and_tax_does_not(bench: Bench) -> None:
    bench.sell(4, price="18.70")
    _edit(bench, unitPrice="20.00", subtotal="74.00", taxTotal="7.40", totalForCustomer="81.40")
    assert costs(bench)[0] == Decimal("18.5")


def test_the_newest_of_several_periods_is_taken(bench: Bench) -> None:
    bench.sell(4, price="18.70")

    def renewed(body: dict[str, Any]) -> None:
        (mine,) = [line for line in body["items"] if f"{line['productId']}:{line['skuId']}" == NEW]
        later = {"chargeStartDate": "2026-10-20", "chargeEndDate": "2026-11-19", "subtotal": "80.00"}
        body["items"].append({**mine, **later, "chargeType": "RENEW"})
        body["totalCount"] += 1

    bench.lie("/lineitems", renewed)
    assert costs(bench)[0] == Decimal(20)


@pytest.mark.parametrize(
    ("fault", "status"), [("unavailable", "unavailable"), ("throttle", "throttled"), ("html", "malformed")]
)
def test_costs_that_cannot_be_read_spoil_no_count(bench: Bench, fault: str, status: str) -> None:
    bench.sell(4, price="18.70")
    bench.double.fail(fault, path="/v1/invoices", times=100)
    reading = bench.read()
    assert reading.state == "known"
    assert {one.unit_cost for one in reading.counts} == {None}
    assert f"no costs ({status}: " in reading.proof


def test_a_right_that_is_missing_is_told_in_the_proof(bench: Bench) -> None:
    bench.double.billing = False
    reading = bench.read()
    assert (reading.state, len(reading.counts)) == ("known", 2)
    assert "no costs (forbidden: " in reading.proof


def test_a_sign_in_that_ends_meanwhile_is_no_missing_cost(bench: Bench) -> None:
    bench.lie("/subscriptions", lambda body: bench.double.__setattr__("mfa", False))
    with pytest.raises(VendorError) as failed:
        bench.read()
    assert failed.value.code == "unauthorized"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows.clear(), "no invoice shows costs yet"),
        (lambda rows: rows[3].update(amendsOf=OCTOBER), f"{OCTOBER} was amended"),
        (lambda rows: rows.__delitem__(2), "costs of invoice G260907411 to 2026-09-30"),
    ],
)
def test_which_invoice_is_believed(bench: Bench, change: Any, told: str) -> None:
    def edit(body: dict[str, Any]) -> None:
        change(body["items"])
        body["totalCount"] = len(body["items"])

    bench.lie("/invoices", edit)
    assert told in bench.read().proof


def test_invoices_are_read_once_for_all_customers_and_their_lines_to_the_last_page(bench: Bench) -> None:
    bench.double.longest_page = 3
    asks = [Ask(bench.customer(number), (Query("quantity"),)) for number in range(3)]
    readings = list(bench.connect().counts(asks, moment()))
    paid = [one for reading in readings for one in reading.counts if one.quantity and "2 subscriptions" not in one.note]
    assert len(paid) == 3
    assert all(one.unit_cost for one in paid)
    paths = [one.path for one in bench.double.requests if one.path.startswith("/v1/invoices")]
    assert paths.count("/v1/invoices") == 1
    assert paths.count(f"/v1/invoices/{OCTOBER}/lineitems") > 1


def test_the_double_invoices_in_the_month_after_from_the_6th(bench: Bench) -> None:
    stock = bench.double.stock
    for day, newest in ((5, "2026-09-30"), (6, "2026-10-31")):
        end = invoices(stock, moment().today.replace(day=day))[2]["billingPeriodEndDate"]
        assert end.startswith(newest)
    assert lines(stock, number_of(moment().today), moment().today) is None
