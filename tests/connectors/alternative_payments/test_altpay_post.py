"""Invoices: what leaves, how its answer is judged, how it is found again, and what never leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from altpay_kit import ITEM, Bench
from connector_kit import MOMENT
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.alternative_payments import connector
from connectors.alternative_payments.amounts import Amounts, due, sent
from connectors.alternative_payments.api import permitted
from connectors.alternative_payments.payloads import Line
from syncd.model import Absent, Billing, Found, Moved, NotSent, Operation, Posting, Receipt, Refused, State, Unknown
from syncd.money import round_money

WORKING = {
    "kind": "alternative_payments", "client_id": "a", "client_secret": "b", "posting": True,
    "amount_unit": "major", "amount_basis": "per_unit", "primary_integration": "none",
}  # fmt: skip


def body(bench: Bench, posting: Posting, **keys: Any) -> dict[str, Any]:
    return dict(json.loads(bench.connect(**keys).wire(posting).body))


def test_an_invoice_says_what_it_is_for_and_bears_its_mark_in_its_text(bench: Bench) -> None:
    made = body(bench, bench.posting())

    assert made == {
        "customer_id": bench.customer().id,
        "currency": "USD",
        "due_date": "2026-12-30",
        "line_items": [
            {
                "description": f"{ITEM} | 2026-11: 3 more, 0 to 3 [sd-test-aaaabbbbccccdddd 3 20261101-20261130]",
                "quantity": 3,
                "amount": 28,
            }
        ],
    }


@pytest.mark.parametrize(
    ("unit", "basis", "amount"), [("major", "per_unit", 28), ("major", "line", 84), ("minor", "per_unit", 2800),
                                  ("minor", "line", 8400)],
)  # fmt: skip
def test_an_amount_means_what_the_proof_found_and_comes_back_as_it_was_meant(
    tmp_path: Path, unit: str, basis: str, amount: int
) -> None:
    with Bench(tmp_path, amount_unit=unit, amount_basis=basis) as bench:
        wanted, connection = bench.posting(), bench.connect()

        assert body(bench, wanted)["line_items"][0]["amount"] == amount
        assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
        assert isinstance(connection.find(wanted), Found)
        (line,) = bench.billing().lines
        assert (line.quantity, line.unit_price) == (Decimal(3), Decimal(28))


def test_what_is_no_whole_number_goes_as_one_unit_at_the_whole_amount(bench: Bench) -> None:
    wanted = bench.posting(quantity=Decimal("2.5"), amount=Decimal("70.00"))
    line = body(bench, wanted)["line_items"][0]

    assert (line["quantity"], line["amount"]) == (1, 70)
    assert "sd-test-aaaabbbbccccdddd 2.5/1 20261101-20261130" in line["description"]
    connection = bench.connect()
    assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
    assert connection.find(wanted) == Found(bench.double.invoices[-1]["id"], Decimal("2.5"))
    assert [one.quantity for one in bench.billing().lines] == [Decimal("2.5")]


@given(
    units=st.decimals("0.01", "5000", places=2),
    each=st.decimals("0.001", "999", places=3),
    priced=st.booleans(),
    unit=st.sampled_from(["major", "minor"]),
    basis=st.sampled_from(["per_unit", "line"]),
)
@settings(max_examples=100, deadline=None)
def test_the_vendors_own_multiplication_gives_exactly_the_amount(
    units: Decimal, each: Decimal, priced: bool, unit: str, basis: str
) -> None:
    amount = round_money(units * each, "USD")
    posting = Posting(
        Operation.POST_LINE, "k", "m", "c", units, amount=amount, unit_price=each if priced else None, currency="USD"
    )
    quantity, price = sent(posting)
    amounts = Amounts(unit, basis)
    line = Line("", quantity, amounts.written(quantity, price))

    assert quantity == quantity.to_integral_value()
    assert amounts.charged(line) == amount == due(posting)
    cents = line.amount if unit == "minor" else line.amount * 100
    assert cents == cents.to_integral_value()  # no vendor can round what has no fraction of a cent


def test_an_answer_that_shows_other_money_is_no_success(bench: Bench) -> None:
    bench.double.amount_basis = "line"
    wanted, connection = bench.posting(), bench.connect(amount_basis="per_unit")
    outcome = connection.send(wanted, connection.wire(wanted))

    assert isinstance(outcome, Unknown)  # 3 × 28 was meant, 28 is charged
    sight = connection.find(wanted)
    assert isinstance(sight, Moved)
    assert "28 before tax instead of 84.00 USD" in sight.what


def test_two_invoices_with_one_mark_are_both_named(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    connection.send(wanted, connection.wire(wanted))
    connection.send(wanted, connection.wire(wanted))
    sight = connection.find(wanted)

    assert isinstance(sight, Moved)
    assert all(row["invoice_number"] in sight.what for row in bench.double.invoices[-2:])


def test_of_two_invoices_with_one_mark_those_that_were_archived_no_longer_count(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    for _ in range(3):
        connection.send(wanted, connection.wire(wanted))
    first, second, third = bench.double.invoices[-3:]

    bench.control("change", id=first["id"], status="archived")
    sight = connection.find(wanted)
    assert isinstance(sight, Moved)
    assert f"2 invoices bear the mark {wanted.marker}" in sight.what
    assert [row["invoice_number"] in sight.what for row in (first, second, third)] == [False, True, True]

    bench.control("change", id=third["id"], status="archived")
    assert connection.find(wanted) == Found(second["id"], Decimal(3))
    second["line_items"][0]["amount"] = Decimal(1)  # the one that is left is still judged
    assert isinstance(connection.find(wanted), Moved)

    bench.control("change", id=second["id"], status="archived")
    ended = connection.find(wanted)
    assert isinstance(ended, Moved)
    assert ended.arrived in {row["id"] for row in (first, second, third)}


def test_an_archived_invoice_of_ours_is_neither_there_nor_absent(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    connection.send(wanted, connection.wire(wanted))
    bench.control("change", id=bench.double.invoices[-1]["id"], status="archived")
    sight = connection.find(wanted)

    assert isinstance(sight, Moved)
    assert "archived" in sight.what
    assert sight.arrived == bench.double.invoices[-1]["id"]
    assert bench.billing().lines == ()


def test_the_look_reads_every_page_of_the_customers_invoices(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    for _ in range(5):
        bench.control("invoice", customer=bench.customer().id, lines=[["Setup", 1, "10"]])
    connection.send(wanted, connection.wire(wanted))
    bench.double.longest_page = 2

    assert isinstance(connection.find(wanted), Found)


def test_a_list_that_lags_hides_it_and_the_look_finds_it_later(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    bench.double.lag = timedelta(minutes=10)
    connection.send(wanted, connection.wire(wanted))

    assert isinstance(connection.find(wanted), Absent)  # so that nothing is concluded before `request_life` is over
    bench.double.advance(11 * 60)
    assert isinstance(connection.find(wanted), Found)
    assert connector.abilities.operations[Operation.POST_LINE].request_life > bench.double.lag


def test_a_text_that_a_person_broke_is_an_error_and_not_a_missing_charge(bench: Bench) -> None:
    wanted, connection = bench.posting(), bench.connect()
    connection.send(wanted, connection.wire(wanted))
    bench.double.invoices[-1]["line_items"][0]["description"] = "thanks! (sd-test-aaaabbbbccccdddd)"
    billing = bench.billing()

    assert billing.state is State.UNKNOWN
    assert "no longer says what it charges" in billing.reason
    assert bench.billing(1).state is State.KNOWN


def test_nothing_but_reads_and_invoices_can_leave() -> None:
    assert permitted("POST", "invoices")
    for method, path in (
        ("POST", "payments"), ("POST", "payments/request"), ("POST", "refunds"), ("DELETE", "invoices/1"),
        ("POST", "customers"), ("POST", "checkout-auth/init"), ("POST", "invoices/1"), ("GET", "payouts"),
    ):  # fmt: skip
        assert not permitted(method, path)


def test_the_double_shows_whoever_charges_a_card(bench: Bench) -> None:
    connection = bench.connect()
    with pytest.raises(Exception, match="never asks"):
        connection._api.send(replace(connection.wire(bench.posting()), path="payments"))
    assert bench.double.effects == []


@pytest.mark.parametrize("lacking", [{"amount_unit": None}, {"amount_basis": None}])
def test_posting_needs_the_set_up_proof(lacking: dict[str, Any]) -> None:
    keys = {name: one for name, one in (WORKING | lacking).items() if one is not None}
    with pytest.raises(ValidationError, match="posting = true needs amount_"):
        connector.settings.model_validate(keys)


@pytest.mark.parametrize("primary", ["connectwise", "quickbooks", ""])
def test_posting_needs_the_word_that_no_other_system_sends_invoices(primary: str) -> None:
    with pytest.raises(ValidationError, match='primary_integration = "none"'):
        connector.settings.model_validate(WORKING | {"primary_integration": primary})


def test_what_was_approved_does_not_leave_once_posting_is_off(bench: Bench) -> None:
    wanted = bench.posting()
    wire = bench.connect().wire(wanted)
    outcome = bench.connect(posting=False).send(wanted, wire)

    assert isinstance(outcome, Refused)
    assert bench.double.effects == []


@pytest.mark.parametrize(
    ("planned", "corrected"),
    [
        ({"amount_unit": "minor"}, {}),
        ({"amount_basis": "line"}, {}),
        ({}, {"amount_unit": "minor"}),
        ({}, {"amount_basis": "line"}),
    ],
)
def test_what_was_planned_under_another_meaning_of_amounts_does_not_leave(
    bench: Bench, planned: dict[str, Any], corrected: dict[str, Any]
) -> None:
    wanted = bench.posting()
    frozen, connection = bench.connect(**planned).wire(wanted), bench.connect(**corrected)
    outcome = connection.send(wanted, frozen)

    assert isinstance(outcome, Refused)
    assert outcome.code == "invalid"
    assert "amount_unit or amount_basis changed since this was planned" in outcome.reason
    assert "syncd retry" in outcome.reason
    assert bench.double.effects == []


def test_a_due_date_that_changed_since_keeps_nothing_back(bench: Bench) -> None:
    wanted = bench.posting()
    frozen = bench.connect(due_days=10).wire(wanted)
    assert isinstance(bench.connect().send(wanted, frozen), Receipt)


REFUSED = [
    ({"currency": "EUR"}, "USD only"),
    ({"currency": ""}, "no currency"),
    ({"amount": None, "unit_price": None}, "no price is known"),
    ({"product_id": "other"}, "'other' is not what the line would say"),
    ({"product_id": "A | B", "product": "A | B"}, "cannot name a line"),
    ({"product_id": "x" * 200, "product": "x" * 200}, "cannot name a line"),
    ({"operation": Operation.POST_CREDIT}, "archive the invoice"),
    ({"starts": None}, "days that it covers"),
    ({"quantity": Decimal(0)}, "cannot be posted"),
]


@pytest.mark.parametrize(("fields", "why"), REFUSED)
def test_what_cannot_be_posted_is_told_in_words(bench: Bench, fields: dict[str, Any], why: str) -> None:
    billing = Billing(bench.customer().id, State.KNOWN)
    assert bench.connect().refusal(bench.posting(), billing, (), MOMENT) == ""
    assert why in bench.connect().refusal(bench.posting(**fields), billing, (), MOMENT)


def test_a_refusal_keeps_the_vendors_words_field_by_field(bench: Bench) -> None:
    wanted = bench.posting(customer_id="nobody")
    connection = bench.connect()
    outcome = connection.send(wanted, connection.wire(wanted))

    assert isinstance(outcome, Refused)
    assert "validation failed; customer_id: does not exist" in outcome.reason


def test_a_key_without_the_right_to_write_is_refused_and_nothing_is_done(bench: Bench) -> None:
    bench.double.scopes = bench.double.scopes - {"invoices:write"}
    connection = bench.connect()
    outcome = connection.send(bench.posting(), connection.wire(bench.posting()))

    assert isinstance(outcome, Refused)
    assert "lacks this scope" in outcome.reason


def test_five_requests_a_second_are_let_through_and_the_sixth_does_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path, rate=5) as bench:
        connection = bench.connect()
        outcomes = [
            connection.send(one, connection.wire(one))
            for number in range(7)
            for one in [bench.posting(marker=f"sd-test-{number:016d}", key=str(number))]
        ]

        assert [type(one) for one in outcomes].count(Receipt) == 5
        assert isinstance(outcomes[-1], NotSent)
        assert len(bench.double.effects) == 5


def test_the_due_date_is_counted_from_the_last_day_charged(bench: Bench) -> None:
    assert body(bench, bench.posting(ends=date(2027, 2, 28)), due_days=14)["due_date"] == "2027-03-14"
