"""What invoices of a period say: units and money, without drafts, voided ones and prorations' quantities."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from stripe_kit import Bench

from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Moment, Query, State
from syncd.periods import Period

PRICE = "price_1SyncdM365BP"
OCTOBER = Moment(
    datetime(2026, 10, 20, 18, tzinfo=UTC), date(2026, 10, 20), Period(date(2026, 10, 1), date(2026, 10, 31))
)


def invoices(bench: Bench, number: int = 1) -> list[dict[str, Any]]:
    """A customer's invoices, the one of October first."""
    customer = bench.double.customer(number)
    return [row for row in bench.double.tables["invoice"].values() if row["customer"] == customer]


def test_the_running_periods_invoices_say_what_was_charged(bench: Bench) -> None:
    [count] = bench.booked().counts
    assert (count.sku, count.quantity, count.amount, count.currency) == (PRICE, Decimal(25), Decimal("700.00"), "USD")
    assert count.name == "Microsoft 365 Business Premium"
    assert "prod_SyncdM365BP" in count.aliases
    assert bench.booked().proof.startswith("1 invoices of the period (2 invoices in 1 page")


def test_the_story_has_one_books_gap(bench: Bench) -> None:
    """The PSA bills Birchwood fourteen seats, and thirteen were invoiced."""
    assert bench.counted(2)[PRICE].quantity == Decimal(13)
    assert bench.line(2).quantity == Decimal(14)


def test_another_period_is_another_sum(bench: Bench) -> None:
    bench.moment = OCTOBER
    bench.double.tables["invoice"][invoices(bench)[1]["id"]]["status"] = "draft"
    assert bench.counted()[PRICE].quantity == Decimal(25)
    assert invoices(bench)[0]["created"] < invoices(bench)[1]["created"]


@pytest.mark.parametrize("status", ["draft", "void"])
def test_drafts_and_voided_invoices_are_left_out(bench: Bench, status: str) -> None:
    invoices(bench)[1]["status"] = status
    assert bench.counted() == {}


def test_an_uncollectible_invoice_was_invoiced_all_the_same(bench: Bench) -> None:
    invoices(bench)[1]["status"] = "uncollectible"
    assert bench.counted()[PRICE].quantity == Decimal(25)


def test_a_status_that_nobody_knows_is_an_error(bench: Bench) -> None:
    invoices(bench)[1]["status"] = "parked"
    assert (bench.booked().state, bench.booked().code) == (State.UNKNOWN, "malformed")


def test_the_printed_date_decides(bench: Bench) -> None:
    invoices(bench)[1]["effective_at"] = int(datetime(2026, 12, 1, 5, 59, tzinfo=UTC).timestamp())  # in Chicago: Nov 30
    assert bench.counted()[PRICE].quantity == Decimal(25)
    invoices(bench)[1]["effective_at"] += 120
    assert bench.counted() == {}


def test_a_proration_is_money_and_no_units(bench: Bench) -> None:
    connection = bench.connect()
    posting = bench.set(options={"prorate": "daily"}, starts=date(2026, 11, 20))
    connection.send(posting, connection.wire(posting))
    row = bench.double.invoice(posting.agreement_id, regular=False)
    row["effective_at"] = row["created"]
    prorated = sum(one["amount"] for one in bench.double.tables["invoiceitem"].values())
    count = bench.counted()[PRICE]
    assert count.quantity == Decimal(25)
    assert count.amount == Decimal("700.00") + Decimal(prorated) / 100


def folded(bench: Bench) -> dict[str, Any]:
    """An invoice on which three units of syncd's stand as one, at the whole amount."""
    connection = bench.connect()
    posting = bench.charge(quantity=Decimal(3), amount=Decimal("100.00"), unit_price=None)
    connection.send(posting, connection.wire(posting))
    row: dict[str, Any] = bench.double.invoice(posting.agreement_id, regular=False)
    row["effective_at"] = row["created"]
    return row


def test_own_lines_count_with_their_units(bench: Bench) -> None:
    folded(bench)
    count = bench.counted()[PRICE]
    assert (count.quantity, count.amount) == (Decimal(28), Decimal("800.00"))


@pytest.mark.parametrize("note", ["sd-t1-line 3/0 20261101-20261130", "sd-t1-line 3/1 20261101-20269930"])
def test_an_own_line_whose_note_cannot_be_is_said_of_its_customer_alone(bench: Bench, note: str) -> None:
    row = folded(bench)
    [line] = bench.double.lines_of(row["id"])
    line["metadata"] = {**line["metadata"], "syncd_op": note}

    reading = bench.booked()
    assert (reading.state, reading.code) == (State.UNKNOWN, "malformed")
    assert f"the line {line['id']} of a Stripe invoice bears syncd's mark" in reading.reason
    assert bench.booked(2).state is State.KNOWN


def test_discounts_and_taxes_are_not_in_the_money(bench: Bench) -> None:
    [line] = bench.double.lines_of(invoices(bench)[1]["id"])
    line["discount_amounts"] = [{"amount": 7000, "discount": "di_1"}]
    line["taxes"] = [
        {
            "amount": 6300, "tax_behavior": "exclusive", "taxability_reason": "standard_rated",
            "type": "tax_rate_details",
        },
    ]  # fmt: skip
    assert bench.counted()[PRICE].amount == Decimal("630.00")
    line["taxes"][0]["tax_behavior"] = "inclusive"
    assert bench.counted()[PRICE].amount == Decimal("567.00")


def test_shipping_and_lines_without_a_price_stay_in_the_money(bench: Bench) -> None:
    row = invoices(bench)[1]
    row["shipping_cost"] = {"amount_subtotal": 1200, "amount_tax": 0, "amount_total": 1200, "shipping_rate": None}
    [line] = bench.double.lines_of(row["id"])
    bench.double.tables["line"]["il_hand"] = {
        **line, "id": "il_hand", "pricing": None, "amount": 500, "description": "On-site visit",
    }  # fmt: skip
    found = bench.counted()
    assert found["Shipping"].amount == Decimal("12.00")
    assert found["On-site visit"].amount == Decimal("5.00")
    assert found["On-site visit"].sku == ""


def credit_note(bench: Bench, row: dict[str, Any], lines: Sequence[dict[str, Any]], **more: str) -> None:
    """A person credits a part of an invoice, as Stripe shows it."""
    row["post_payment_credit_notes_amount"] = sum(line["amount"] for line in lines)
    note: dict[str, Any] = {
        "id": "cn_1", "object": "credit_note", "created": row["created"], "customer": row["customer"],
        "invoice": row["id"], "currency": "usd", "livemode": False, "status": "issued", "lines": list(lines),
    }  # fmt: skip
    bench.double.tables["credit_note"][more.get("id", "cn_1")] = note | more


def taken_back(line: dict[str, Any], amount: int, quantity: int | None) -> dict[str, Any]:
    return {
        "id": "cnli_1", "object": "credit_note_line_item", "amount": amount, "quantity": quantity, "description": None,
        "invoice_line_item": line["id"], "discount_amounts": [], "taxes": [], "type": "invoice_line_item",
    }  # fmt: skip


@pytest.mark.parametrize(("quantity", "left"), [(1, 25), (None, 28)], ids=["taken back", "some money"])
def test_a_credited_line_of_syncds_is_taken_off_with_its_units(bench: Bench, quantity: int | None, left: int) -> None:
    """Three units stand on the invoice as one, at the whole amount."""
    row = folded(bench)
    [line] = bench.double.lines_of(row["id"])
    credit_note(bench, row, [taken_back(line, 10_000 if quantity else 2_500, quantity)])

    count = bench.counted()[PRICE]
    assert (count.quantity, count.amount) == (Decimal(left), Decimal("700.00" if quantity else "775.00"))


def test_a_credited_proration_takes_no_units_off(bench: Bench) -> None:
    connection = bench.connect()
    posting = bench.set(options={"prorate": "daily"}, starts=date(2026, 11, 20))
    connection.send(posting, connection.wire(posting))
    row = bench.double.invoice(posting.agreement_id, regular=False)
    row["effective_at"] = row["created"]
    line = next(one for one in bench.double.lines_of(row["id"]) if one["amount"] > 0)
    credit_note(bench, row, [taken_back(line, line["amount"], line["quantity"])])

    assert bench.counted()[PRICE].quantity == Decimal(25)


def test_credit_notes_are_taken_off(bench: Bench) -> None:
    row = invoices(bench)[1]
    [line] = bench.double.lines_of(row["id"])
    credited = taken_back(line, 5600, 2)
    goodwill = {**credited, "id": "cnli_2", "amount": 100, "quantity": 1, "invoice_line_item": None,
                "description": "Sorry", "type": "custom_line_item"}  # fmt: skip
    credit_note(bench, row, [credited, goodwill])
    credit_note(bench, row, [credited], id="cn_2", status="void")
    found = bench.counted()
    assert (found[PRICE].quantity, found[PRICE].amount) == (Decimal(23), Decimal("644.00"))
    assert found["Sorry"].amount == Decimal("-1.00")


def test_an_invoice_of_more_than_ten_lines_is_read_to_its_end(bench: Bench) -> None:
    row = invoices(bench)[1]
    [line] = bench.double.lines_of(row["id"])
    for number in range(120):
        bench.double.tables["line"][f"il_{number}"] = {**line, "id": f"il_{number}", "quantity_decimal": "1"}
    assert bench.counted()[PRICE].quantity == Decimal(25 + 120)


def test_lines_that_do_not_explain_the_amount_are_no_answer(bench: Bench) -> None:
    row = invoices(bench)[1]
    honest = bench.double.shown_invoice
    bench.double.shown_invoice = lambda row: {**honest(row), "total_excluding_tax": 99_999}  # type: ignore[method-assign]
    reading = bench.booked()
    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert (
        f"the Stripe invoice {row['number']} charges 999.99 USD without tax, its lines show 700 USD" in reading.reason
    )


def test_another_customers_invoices_are_not_believed(bench: Bench) -> None:
    for row in bench.double.tables["invoice"].values():
        if row["customer"] == bench.double.customer(1):
            row["customer"] = bench.double.customer(2)
    honest = bench.double.listed
    everything = list(bench.double.tables["invoice"].values())

    def mixed(url: str, rows: Any, params: Any) -> Any:
        return honest(url, everything if url == "/v1/invoices" else rows, params)

    bench.double.listed = mixed  # type: ignore[method-assign]
    assert bench.booked().code == "wrong_tenant"


def test_one_customers_failure_leaves_the_others_alone_and_a_refused_key_ends_it(bench: Bench) -> None:
    invoices(bench)[1]["status"] = "parked"
    asks = [Ask(bench.customer(number), (Query("invoiced"),)) for number in (1, 2)]
    first, second = bench.connect().booked(asks, bench.moment)
    assert (first.state, second.state) == (State.UNKNOWN, State.KNOWN)
    with pytest.raises(VendorError):
        list(bench.connect(api_key="rk_test_wrong").booked(asks, bench.moment))


def test_only_invoiced_can_be_asked(bench: Bench) -> None:
    [reading] = bench.connect().booked([Ask(bench.customer(), (Query("seats"),))], bench.moment)
    assert reading.code == "unsupported"
