"""What is written: bytes, proration, what an answer means, and the look that settles what an answer did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import pytest
from stripe_kit import STARTS, Bench

from connectors.stripe.api import permitted
from connectors.stripe.post import Pace
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, NotSent, Posting, Receipt, Refused, Unknown, Wire


def fields(wire: Wire) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(wire.body.decode(), strict_parsing=True).items()}


def sent(bench: Bench, posting: Posting) -> Any:
    connection = bench.connect()
    return connection.send(posting, connection.wire(posting))


# --- quantities -------------------------------------------------------------------------------------------------------


def test_a_quantity_is_set_without_touching_the_price_and_without_charging(bench: Bench) -> None:
    wire = bench.connect().wire(bench.set())
    assert wire.path == f"v1/subscription_items/{bench.item()['id']}"
    assert fields(wire) == {"quantity": "27", "proration_behavior": "none", "metadata[syncd_set]": "sd-t1-set"}
    assert dict(wire.headers)["idempotency-key"] == "syncd-k1"
    assert dict(wire.headers)["stripe-version"] == "2026-10-28.endive"
    assert isinstance(sent(bench, bench.set()), Receipt)
    assert bench.item()["quantity"] == 27
    assert bench.double.tables["invoiceitem"] == {}


def test_a_prorated_rise_is_left_for_the_next_invoice_from_a_fixed_second(bench: Bench) -> None:
    posting = bench.set(options={"prorate": "daily"}, starts=date(2026, 11, 20))
    wire = bench.connect().wire(posting)
    midnight = int(datetime(2026, 11, 20, 6, tzinfo=UTC).timestamp())
    assert fields(wire)["proration_behavior"] == "create_prorations"
    assert fields(wire)["proration_date"] == str(midnight)
    assert isinstance(sent(bench, posting), Receipt)
    credit, debit = bench.double.tables["invoiceitem"].values()
    left = Decimal(30 * 86_400 - (midnight - STARTS)) / (30 * 86_400)
    assert (credit["amount"], debit["amount"]) == (-round(25 * 2800 * left), round(27 * 2800 * left))
    assert all(one["invoice"] is None for one in (credit, debit))
    assert [one.what for one in bench.double.effects] == ["set_quantity"]


def test_what_takes_a_prorated_rise_back_gives_back_the_same_cents(bench: Bench) -> None:
    rise = bench.set(options={"prorate": "daily"}, starts=date(2026, 11, 20))
    sent(bench, rise)
    sent(bench, replace(rise, key="undo", marker="sd-t1-undo", quantity=Decimal(25), before=Decimal(27)))
    assert sum(one["amount"] for one in bench.double.tables["invoiceitem"].values()) == 0


def test_a_rise_on_the_periods_first_day_counts_from_its_first_second(bench: Bench) -> None:
    posting = bench.set(options={"prorate": "daily"}, starts=date(2026, 11, 1))
    assert fields(bench.connect().wire(posting))["proration_date"] == str(STARTS)


def test_a_fraction_never_becomes_bytes(bench: Bench) -> None:
    with pytest.raises(ValueError, match="whole units"):
        bench.connect().wire(bench.set(quantity=Decimal("2.9999999")))


@pytest.mark.parametrize("operation", ["set", "charge", "add", "usage"])
def test_nothing_ever_charges_a_card_at_once(bench: Bench, operation: str) -> None:
    posting = getattr(bench, operation)()
    for prorate in ({}, {"prorate": "daily"}, {"prorate": "always_invoice"}):
        wire = bench.connect().wire(replace(posting, options={**posting.options, **prorate}))
        assert b"always_invoice" not in wire.body
        assert b"pay" not in wire.path.encode()


def test_what_is_not_on_the_list_does_not_leave(bench: Bench) -> None:
    connection = bench.connect()
    for path, body in (
        ("v1/subscription_items/si_1", b"quantity=1&proration_behavior=always_invoice"),
        ("v1/subscription_items/si_1", b"quantity=1&price=price_2"),  # the quantity would be forgotten
        ("v1/invoiceitems", b"customer=cus_1&invoice=in_1"),
        ("v1/invoices/in_1/finalize", b""),
        ("v1/invoices/in_1/pay", b""),
        ("v1/customers/cus_1", b""),
        ("v1/refunds", b""),
    ):
        outcome = connection.send(bench.set(), Wire("POST", path, body))
        assert isinstance(outcome, Refused), path
        assert outcome.code == "unsupported"
    assert not permitted("DELETE", "v1/subscription_items/si_1")
    assert not permitted("GET", "v1/charges")
    assert not any(one.method != "GET" for one in bench.double.requests)


def test_a_changed_quantity_a_moved_or_gone_item_are_seen(bench: Bench) -> None:
    posting, connection = bench.set(), bench.connect()
    assert connection.find(posting) == Absent()
    bench.double.rival(posting.line_id, 30)
    assert connection.find(posting) == Moved(f"the Stripe item {posting.line_id} shows 30")
    bench.double.rival(posting.line_id, 27)
    assert connection.find(posting) == Found(posting.line_id, Decimal(27))
    bench.item()["price"] = bench.double.tables["price"]["price_1SyncdVISIOP2"]
    assert "bills the price" in getattr(connection.find(posting), "what", "")
    del bench.double.tables["item"][posting.line_id]
    assert connection.find(posting) == Moved(f"the Stripe item {posting.line_id} no longer exists")
    bench.subscription()["status"] = "canceled"
    assert "is canceled" in getattr(connection.find(posting), "what", "")
    bench.double.tables["subscription"].clear()
    assert "no longer exists" in getattr(connection.find(posting), "what", "")


def test_another_customers_subscription_is_not_believed(bench: Bench) -> None:
    posting = bench.set()
    bench.subscription()["customer"] = bench.double.customer(2)
    with pytest.raises(VendorError, match="another customer's"):
        bench.connect().find(posting)


def test_two_hundred_changes_of_a_subscription_in_an_hour(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace(most=2)
    assert [pace.wait("sub_1"), pace.wait("sub_1"), pace.wait("sub_2")] == [0, 0, 0]
    assert 3590 <= pace.wait("sub_1") <= 3601
    connection = bench.connect()
    monkeypatch.setattr(connection._poster, "_pace", Pace(most=0))
    monkeypatch.setattr(Pace, "wait", lambda self, subscription: 1234)
    outcome = connection.send(bench.set(), connection.wire(bench.set()))
    assert isinstance(outcome, NotSent)
    assert outcome.wait == 1234
    assert not any(one.method == "POST" for one in bench.double.requests)


# --- items and invoice items ------------------------------------------------------------------------------------------


def test_a_new_item_bears_its_mark_which_a_later_change_leaves_alone(bench: Bench) -> None:
    posting = bench.add()
    outcome = sent(bench, posting)
    assert isinstance(outcome, Receipt)
    change = bench.set(
        line_id=outcome.remote_id, product_id=posting.product_id, quantity=Decimal(4), before=Decimal(3), key="k9"
    )
    assert isinstance(sent(bench, change), Receipt)
    line = next(one for one in bench.billing().lines if one.id == outcome.remote_id)
    assert (line.marker, line.quantity) == ("sd-t1-add", Decimal(4))
    assert bench.connect().find(posting) == Found(outcome.remote_id, Decimal(4))


def test_an_item_for_the_same_price_that_somebody_else_added_is_seen(bench: Bench) -> None:
    posting = bench.add()
    row = bench.double.add_item(posting.agreement_id, "price_1SyncdVISIOP2", 1, (STARTS, STARTS + 86_400))
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert row["id"] in sight.what


def test_an_invoice_item_belongs_to_its_subscription_and_charges_what_was_meant(bench: Bench) -> None:
    told = fields(bench.connect().wire(bench.charge()))
    assert told["subscription"] == bench.subscription()["id"]
    assert told["price_data[product]"] == "prod_SyncdM365BP"
    assert (told["quantity_decimal"], told["price_data[unit_amount_decimal]"]) == ("2", "2800")
    assert told["metadata[syncd_op]"] == "sd-t1-line 2 20261101-20261130"
    assert "invoice" not in told
    assert told["discountable"] == "false"
    sent(bench, bench.charge())
    other = {**bench.subscription(), "id": "sub_other"}
    bench.double.tables["subscription"]["sub_other"] = other
    bench.double.invoice("sub_other")  # comes first, and is not the one
    [row] = bench.double.tables["invoiceitem"].values()
    assert row["invoice"] is None
    assert bench.double.roll(bench.subscription()["id"])["id"] == row["invoice"]


@pytest.mark.parametrize(
    ("quantity", "unit_price", "amount", "sent_as"),
    [
        ("3", None, "100.00", ("1", "10000")),  # no price of one has whole cents
        ("2.5", "10.00", "25.00", ("2.5", "1000")),
        ("3", None, "10.005", None),
        ("3", None, "30.00", ("3", "1000")),
        ("7", None, "0.00", ("7", "0")),
        ("3", "33.333", None, ("3", "3333.3")),
    ],
)
def test_stripes_arithmetic_cannot_change_the_amount(
    bench: Bench, quantity: str, unit_price: str | None, amount: str | None, sent_as: tuple[str, str] | None
) -> None:
    posting = bench.charge(
        quantity=Decimal(quantity),
        unit_price=None if unit_price is None else Decimal(unit_price),
        amount=None if amount is None else Decimal(amount),
    )
    if sent_as is None:
        assert "cannot be written in Stripe" in bench.refusal(posting)
        return
    told = fields(bench.connect().wire(posting))
    assert (told["quantity_decimal"], told["price_data[unit_amount_decimal]"]) == sent_as
    outcome = sent(bench, posting)
    assert isinstance(outcome, Receipt)
    [row] = bench.double.tables["invoiceitem"].values()
    if amount is not None:
        assert row["amount"] == Decimal(amount) * 100
    assert bench.connect().find(posting) == Found(row["id"], Decimal(quantity))


@pytest.mark.parametrize(("currency", "minor"), [("JPY", "56"), ("USD", "5600"), ("BHD", "56000"), ("ISK", "5600")])
def test_minor_units_are_stripes_own(bench: Bench, currency: str, minor: str) -> None:
    posting = bench.charge(quantity=Decimal(1), unit_price=Decimal(56), currency=currency)
    assert fields(bench.connect().wire(posting))["price_data[unit_amount_decimal]"] == minor


def test_two_records_with_one_mark_are_told_with_both_ids(bench: Bench) -> None:
    posting = bench.charge()
    sent(bench, posting)
    sent(bench, replace(posting, key="another"))
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert all(number in sight.what for number in bench.double.tables["invoiceitem"])


def test_an_own_line_on_a_voided_invoice_was_there_and_is_not_made_again(bench: Bench) -> None:
    posting = bench.charge()
    sent(bench, posting)
    bench.double.void(bench.double.roll(posting.agreement_id)["id"])
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert "was voided" in sight.what
    assert [sight.arrived] == list(bench.double.tables["invoiceitem"])


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 5601},
        {"currency": "eur"},
        {"customer": "cus_somebody"},
        {"parent": None},
        {"quantity_decimal": "3"},
        {"livemode": True},
        {"discountable": True},
        {"metadata": {}},
    ],
)
def test_an_echo_that_differs_is_no_receipt(bench: Bench, change: dict[str, Any]) -> None:
    honest = bench.double.pend
    from connectors.stripe import sandbox_state as state

    made = state.invoice_item

    def altered(*given: Any, **named: Any) -> Any:
        return {**made(*given, **named), **change}

    state.invoice_item = altered
    try:
        assert isinstance(sent(bench, bench.charge()), Unknown)
    finally:
        state.invoice_item = made
    assert honest is not None


def test_no_coupon_lowers_what_was_approved(bench: Bench) -> None:
    posting = bench.charge()
    assert isinstance(sent(bench, posting), Receipt)
    [row] = bench.double.tables["invoiceitem"].values()
    assert row["discountable"] is False
    taken = bench.double.roll(posting.agreement_id)["id"]
    assert [line["discountable"] for line in bench.double.lines_of(taken)] == [True, False]


def test_an_item_that_coupons_lower_is_not_what_was_meant(bench: Bench) -> None:
    posting = bench.charge()
    sent(bench, posting)
    [row] = bench.double.tables["invoiceitem"].values()
    row["discountable"] = True
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert f"{row['id']} is open to coupons" in sight.what
    del row["discountable"]  # not shown: nothing is known against it
    assert isinstance(bench.connect().find(posting), Found)


# --- what an answer means ---------------------------------------------------------------------------------------------


def test_a_stored_500_is_replayed_and_does_not_become_a_second_charge(bench: Bench) -> None:
    posting = bench.charge()
    bench.double.troubles = ["500 done"]
    assert isinstance(sent(bench, posting), Unknown)
    assert isinstance(sent(bench, posting), Unknown)  # the stored answer, not a second try
    assert isinstance(bench.connect().find(posting), Found)
    assert len(bench.double.tables["invoiceitem"]) == 1


def test_a_500_after_which_nothing_was_done_is_seen_by_looking(bench: Bench) -> None:
    posting = bench.charge()
    bench.double.troubles = ["500 nothing"]
    assert isinstance(sent(bench, posting), Unknown)
    assert bench.connect().find(posting) == Absent()


def test_after_the_keys_day_the_mark_is_found_by_listing(bench: Bench) -> None:
    """The trap: the same key makes a second charge on the second day. The look comes first, and finds the mark."""
    posting = bench.charge()
    sent(bench, posting)
    bench.double.advance(25 * 3600)
    assert isinstance(bench.connect().find(posting), Found)
    sent(bench, posting)
    assert len(bench.double.tables["invoiceitem"]) == 2  # what would have come of not looking
    assert not any("search" in one.path for one in bench.double.requests)


@pytest.mark.parametrize(("trouble", "kind"), [("lock", Unknown), ("in use", Unknown)])
def test_answers_about_another_request_say_nothing_of_this_one(bench: Bench, trouble: str, kind: type[Unknown]) -> None:
    bench.double.troubles = [trouble]
    assert isinstance(sent(bench, bench.charge()), kind)
    assert isinstance(sent(bench, bench.charge()), Receipt)


def test_a_key_that_was_used_for_something_else_is_looked_into(bench: Bench) -> None:
    sent(bench, bench.charge())
    assert isinstance(sent(bench, bench.charge(quantity=Decimal(3), amount=Decimal("84.00"))), Unknown)


def test_throttling_stands_before_everything_and_is_tried_again(bench: Bench) -> None:
    bench.double.fail("throttle", method="POST")
    assert isinstance(sent(bench, bench.charge()), NotSent)
    assert isinstance(sent(bench, bench.charge()), Receipt)


def test_a_refusal_is_told_in_stripes_words_with_its_request(bench: Bench) -> None:
    outcome = sent(bench, bench.charge(customer_id="cus_other"))
    assert isinstance(outcome, Refused)
    assert "No such customer: 'cus_other' (resource_missing)" in outcome.reason
    assert "[req_" in outcome.reason


def test_a_right_that_was_taken_away_meanwhile_is_a_refusal(bench: Bench) -> None:
    posting = bench.charge()
    bench.double.forbidden.add("invoiceitems")
    outcome = sent(bench, posting)
    assert isinstance(outcome, Refused)
    assert outcome.code == "forbidden"


def test_more_than_a_hundred_invoice_items_are_looked_through(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    posting, subscription = bench.charge(), bench.subscription()
    sent(bench, posting)
    for number in range(230):
        bench.double.pend(
            subscription["customer"], subscription["id"], quantity=Decimal(1), cents=Decimal(1), currency="usd",
            price="price_x", product="prod_x", period=(1, 2), description=str(number),
        )  # fmt: skip
    assert isinstance(bench.connect().find(posting), Found)
