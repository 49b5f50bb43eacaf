"""Charges, invoices and credit memos: what is sent, what is believed of the answer, and what a look finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from netsuite_kit import Bench
from werkzeug.wrappers import Request

from syncd.model import Absent, Found, Moved, Posting, Receipt, Refused, Unknown

Postings = dict[str, Posting]


def record(bench: Bench, kind: str) -> dict[str, Any]:
    """The newest record of a type."""
    return bench.double.records[kind][max(bench.double.records[kind])]


def test_a_charge_waits_on_hold_with_the_mark_and_the_days(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Receipt)
    made = record(bench, "charge")
    assert told.remote_id == f"charge {made['id']}"
    assert made["stage"] == "HOLD_FOR_BILLING"
    assert (made["billTo"], made["billingItem"], made["chargeType"]) == (101, 501, "-19")
    assert (made["quantity"], made["rate"], made["amount"]) == (2, 28, 56)
    assert (made["chargeDate"], made["serviceStartDate"], made["serviceEndDate"]) == (
        "2026-11-30", "2026-11-01", "2026-11-30",
    )  # fmt: skip
    assert made["memo"] == "sd-t1-charge 2 20261101-20261130"
    assert made["externalId"].startswith("syncd-chg-")
    assert made["externalId"] == made["externalId"].lower()
    assert connection.find(wanted) == Found(told.remote_id, Decimal(2))


def test_an_invoice_awaits_approval_and_is_mailed_to_nobody(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["invoice"]
    assert isinstance(connection.find(wanted), Absent)

    assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)

    made = record(bench, "invoice")
    assert (made["status"], made["approvalStatus"], made["toBeEmailed"]) == ("D", "1", False)
    assert made["tranDate"] == "2026-11-30"
    assert isinstance(connection.find(wanted), Found)


def test_what_is_sent_names_no_tax_and_validates_names(bench: Bench, postings: Postings) -> None:
    for wanted in postings.values():
        wire = bench.connect().wire(wanted)
        headers = dict(wire.headers)
        assert wire.method == "POST"
        assert headers["x-netsuite-propertynamevalidation"] == "Error"
        assert b"tax" not in wire.body.lower()
        assert "idempotency" not in str(headers).lower()


def test_a_misspelt_field_would_be_an_error_and_not_a_loss(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    wire = connection.wire(wanted)
    body = json.loads(wire.body) | {"quantitty": 5}

    told = connection.send(wanted, replace(wire, body=json.dumps(body).encode()))

    assert isinstance(told, Refused)
    assert "quantitty" in told.reason
    assert bench.double.effects == []


def test_several_rules_share_one_invoice_and_each_is_found_in_it(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    first, second = postings["invoice"], postings["second"]
    assert connection.together(first) == connection.together(second) != ""
    wire = connection.gather([first, second])

    told = connection.send(first, wire)

    assert isinstance(told, Receipt)
    made = record(bench, "invoice")
    assert [(line["item"], line["quantity"], line["rate"], line["amount"]) for line in made["lines"]] == [
        (501, 2, 28, 56), (503, 1, 10, 10),
    ]  # fmt: skip
    assert made["memo"] == "sd-t1-invoice 2 20261101-20261130; sd-t1-second 3/1 20261101-20261130"
    assert connection.find(first) == Found(told.remote_id, Decimal(2))
    assert connection.find(second) == Found(told.remote_id, Decimal(3))
    shown: list[Any] = [(line.quantity, line.marker) for line in bench.billing().lines]
    assert shown == [
        (2, "sd-t1-invoice"), (3, "sd-t1-second"),
    ]  # fmt: skip
    assert isinstance(connection.send(first, wire), Receipt)  # sent again: refused by NetSuite, and looked at
    assert [one.record for one in bench.double.effects] == [told.remote_id] * 2  # one for each line


@pytest.mark.parametrize("field", ["customer_id", "period", "currency", "ends"])
def test_other_customers_periods_and_currencies_share_nothing(bench: Bench, postings: Postings, field: str) -> None:
    other = {"customer_id": "102", "period": "2026-10", "currency": "EUR", "ends": date(2026, 11, 29)}[field]
    connection, one = bench.connect(), postings["invoice"]
    assert connection.together(one) != connection.together(replace(one, **{field: other}))  # type: ignore[arg-type]


def test_charges_stand_alone_and_credits_stand_apart(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    assert connection.together(postings["charge"]) == ""
    assert connection.together(postings["credit"]) != connection.together(postings["invoice"])


def test_one_posting_is_gathered_as_it_is_wired(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    for wanted in postings.values():
        assert connection.gather((wanted,)) == connection.wire(wanted)


def test_a_credit_memo_is_applied_to_nothing(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["credit"]

    assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)

    assert json.loads(connection.wire(wanted).body)["apply"] == {"items": []}
    assert record(bench, "creditMemo")["lines"][0]["amount"] == 56
    assert [line.quantity for line in bench.billing().lines] == [-2]
    assert isinstance(connection.find(wanted), Found)


@pytest.mark.parametrize("shared_ids", [False, True])
def test_a_second_creation_is_refused_by_netsuite_and_adopted(
    make_bench: Callable[..., Bench], postings: Postings, shared_ids: bool
) -> None:
    bench = make_bench(shared_ids=shared_ids)
    connection = bench.connect()
    for wanted in (postings["charge"], postings["invoice"], postings["credit"]):
        wire = connection.wire(wanted)
        first, again = connection.send(wanted, wire), connection.send(wanted, wire)
        assert isinstance(first, Receipt)
        assert first == again
    assert len(bench.double.effects) == 3


def test_an_unmarked_record_of_the_customer_with_our_id_is_unknown_and_never_touched(
    bench: Bench, postings: Postings
) -> None:
    """The id is a hash of the posting's own key, so the record is ours, though somebody rewrote all the rest of it; a
    refusal would have what shares a document sent anew, each alone and under an id that is free: billed twice."""
    connection, wanted = bench.connect(), postings["invoice"]
    theirs = bench.double.invoice_by_hand(101, date(2026, 11, 3), [(501, Decimal(1))])
    theirs["externalId"] = json.loads(connection.wire(wanted).body)["externalId"]
    before = dict(theirs)

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "no mark of it any more: put its memo back, or delete or void it" in told.reason
    assert theirs == before
    seen = connection.find(wanted)
    assert isinstance(seen, Moved)
    assert "not its mark" in seen.what


def test_another_customer_s_record_with_our_id_is_refused_and_never_touched(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["invoice"]
    theirs = bench.double.invoice_by_hand(102, date(2026, 11, 3), [(501, Decimal(1))])
    theirs["externalId"] = json.loads(connection.wire(wanted).body)["externalId"]
    before = dict(theirs)

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Refused)
    assert "not syncd's" in told.reason
    assert theirs == before
    seen = connection.find(wanted)
    assert isinstance(seen, Moved)
    assert seen.arrived == ""


@pytest.mark.parametrize(
    ("memo", "words"),
    [("", "no mark of it any more"), ("sd-t1-invoice 2 20261101-20261130", "not every mark of it")],
)
def test_a_shared_record_of_ours_without_its_marks_is_not_sent_under_other_ids(
    bench: Bench, postings: Postings, memo: str, words: str
) -> None:
    """Once it was voided it charges nothing, and each may be billed anew."""
    connection, both = bench.connect(), [postings["invoice"], postings["second"]]
    wire = connection.gather(both)
    assert isinstance(connection.send(both[0], wire), Receipt)
    record(bench, "invoice")["memo"] = memo

    told = connection.send(both[0], wire)

    assert isinstance(told, Unknown)
    assert words in told.reason
    record(bench, "invoice")["status"] = "V"
    told = connection.send(both[0], wire)
    assert isinstance(told, Refused)
    assert "was syncd's and was voided" in told.reason


ALTERED: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("charge", lambda row: row.update(rate=Decimal(26), amount=Decimal(52)), "rate 26 instead of 28"),
    ("charge", lambda row: row.update(quantity=Decimal(5), amount=Decimal(140)), "quantity 5 instead of 2"),
    ("charge", lambda row: row.update(amount=Decimal("56.01")), "amount 56.01 instead of 56"),
    ("charge", lambda row: row.update(billTo=102), "customer #102"),
    ("charge", lambda row: row.update(chargeDate="2026-12-01"), "dated 2026-12-01"),
    ("invoice", lambda row: row["lines"].append(dict(row["lines"][0])), "2 lines"),
    ("invoice", lambda row: row["lines"][0].update(item=502), "item #502 instead of #501"),
    ("invoice", lambda row: row["lines"].clear(), "0 lines"),
    ("credit", lambda row: row["lines"][0].update(amount=Decimal(55)), "amount 55 instead of 56"),
]


@pytest.mark.parametrize(("which", "change", "words"), ALTERED, ids=[f"{one[0]}: {one[2]}" for one in ALTERED])
def test_what_a_script_of_the_account_changed_is_no_success(
    bench: Bench, postings: Postings, which: str, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    bench.double.script = lambda kind, row: change(row)
    connection, wanted = bench.connect(), postings[which]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert words in told.reason
    if "customer" not in words:
        assert isinstance(connection.find(wanted), Moved)


def test_a_discount_on_the_whole_document_is_no_success(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.double, "total", lambda row: (Decimal("50.40"), Decimal(0)))
    connection, wanted = bench.connect(), postings["invoice"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "amounts to 50.4 before tax instead of 56" in told.reason


@pytest.mark.parametrize(("field", "words"), [("memo", "mark"), ("externalId", "external id none")])
def test_a_record_that_lost_what_names_it_is_no_success(
    bench: Bench, postings: Postings, field: str, words: str
) -> None:
    bench.double.script = lambda kind, row: row.update({field: None})
    connection, wanted = bench.connect(), postings["charge"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert words in told.reason


def test_lines_that_are_shown_as_links_alone_are_no_success(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = bench.double._shown

    def links_only(request: Request, kind: str, row: dict[str, Any]) -> dict[str, Any]:
        told = honest(request, kind, row)
        if "item" in told:
            told["item"] = {"links": []}
        return told

    monkeypatch.setattr(bench.double, "_shown", links_only)
    connection, wanted = bench.connect(), postings["invoice"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "does not show its lines" in told.reason
    assert isinstance(connection.find(wanted), Moved)


def test_an_own_invoice_that_posts_at_once_is_no_success(bench: Bench, postings: Postings) -> None:
    bench.double.script = lambda kind, row: row.update(approvalStatus="2", status="A")
    connection, wanted = bench.connect(), postings["invoice"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "does not await approval" in told.reason


def test_a_charge_that_is_ready_at_once_is_no_success(bench: Bench, postings: Postings) -> None:
    bench.double.script = lambda kind, row: row.update(stage="READY_FOR_BILLING")
    connection, wanted = bench.connect(), postings["charge"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "READY_FOR_BILLING" in told.reason


def test_without_approval_routing_nothing_is_posted_unless_it_was_agreed(
    make_bench: Callable[..., Bench], postings: Postings
) -> None:
    bench = make_bench(routing=False)
    wanted = postings["invoice"]

    connection = bench.connect()
    told = connection.send(wanted, connection.wire(wanted))
    assert isinstance(told, Refused)
    assert "approval = false" in told.reason
    assert bench.double.effects == []

    agreed = bench.connect(approval=False)
    assert isinstance(agreed.send(wanted, agreed.wire(wanted)), Receipt)


def test_a_closed_period_is_told_in_words(bench: Bench, postings: Postings) -> None:
    bench.double.close_periods(date(2026, 11, 30))
    connection, wanted = bench.connect(), postings["invoice"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Refused)
    assert "accounting period is closed" in told.reason


def test_an_inactive_item_is_told_in_words(bench: Bench, postings: Postings) -> None:
    bench.double.items[501]["isinactive"] = True
    connection, wanted = bench.connect(), postings["charge"]

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Refused)
    assert "501" in told.reason


@pytest.mark.parametrize(
    ("quantity", "price", "amount", "sent"),
    [
        ("27", None, "318.50", ("1", "318.50")),
        ("3", "3.335", "10.005", ("3", "3.335")),
        ("3", None, "10.01", ("1", "10.01")),
        ("12.5", "4.00", "50.00", ("12.5", "4")),
        ("5", None, "0.00", ("5", "0")),
    ],
)
def test_netsuite_s_multiplication_cannot_change_an_amount(
    bench: Bench, postings: Postings, quantity: str, price: str | None, amount: str, sent: tuple[str, str]
) -> None:
    wanted = replace(
        postings["charge"],
        quantity=Decimal(quantity),
        unit_price=None if price is None else Decimal(price),
        amount=Decimal(amount),
    )
    connection = bench.connect()
    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Receipt), told
    made = record(bench, "charge")
    assert (made["quantity"], made["rate"]) == tuple(map(Decimal, sent))
    assert connection.find(wanted) == Found(told.remote_id, Decimal(quantity))
    assert [line.quantity for line in bench.billing().lines] == [Decimal(quantity)]


def test_a_document_in_another_currency_than_meant_is_no_success(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), replace(postings["charge"], currency="EUR")

    told = connection.send(wanted, connection.wire(wanted))

    assert isinstance(told, Unknown)
    assert "in USD instead of EUR" in told.reason
