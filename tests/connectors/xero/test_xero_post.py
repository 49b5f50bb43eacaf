"""Draft invoices and credit notes: the bytes, what answers mean, never twice, never over somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from xero_kit import Bench, sent, several

from syncd.connect.documents import charges
from syncd.model import Found, Operation, Receipt, Refused, Unknown
from syncd.money import plain

Make = Callable[..., Bench]


# --- the bytes --------------------------------------------------------------------------------------------------------


def test_a_draft_is_created_and_never_upserted(bench: Bench) -> None:
    wire = bench.connect().wire(bench.line())
    document, headers = sent(wire), dict(wire.headers)

    assert (wire.method, wire.path) == ("PUT", "api.xro/2.0/Invoices?summarizeErrors=false&unitdp=4")
    assert document.pop("InvoiceNumber").startswith("SD-")
    assert document == {
        "Type": "ACCREC",
        "Status": "DRAFT",
        "Contact": {"ContactID": bench.customer().id},
        "Reference": "sd-t1-aaaa 2 20261101-20261130",
        "Date": "2026-11-30",
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": "USD",
        "LineItems": [
            {
                "ItemCode": "M365-BP",
                "Description": "Microsoft 365 Business Premium, 2026-11: 2 more, 25 to 27",
                "Quantity": 2,
                "UnitAmount": 28,
            }
        ],
    }
    assert headers["xero-tenant-id"] == bench.double.books.tenant
    assert 20 < len(headers["idempotency-key"]) <= 128


def test_number_and_key_are_the_postings_own(bench: Bench) -> None:
    connection = bench.connect()
    one, again, other = (connection.wire(bench.line(marker=f"sd-t1-{mark}")) for mark in "aab")

    assert one == again
    assert sent(one)["InvoiceNumber"] != sent(other)["InvoiceNumber"]
    assert dict(one.headers)["idempotency-key"] != dict(other.headers)["idempotency-key"]


def test_a_credit_note_has_positive_amounts_and_is_a_draft(bench: Bench) -> None:
    wire = bench.connect().wire(bench.credit())
    document = sent(wire)

    assert wire.path.startswith("api.xro/2.0/CreditNotes?")
    assert (document["Type"], document["Status"]) == ("ACCRECCREDIT", "DRAFT")
    assert (document["LineItems"][0]["Quantity"], document["LineItems"][0]["UnitAmount"]) == (1, 28)
    assert isinstance(bench.post(bench.credit()), Receipt)
    [made] = bench.documents("CreditNotes")
    assert (made["Status"], made["SubTotal"]) == ("DRAFT", Decimal("28.00"))


@pytest.mark.parametrize(
    ("quantity", "unit", "amount", "wanted"),
    [
        ("2", "28.00", "56.00", ("2", "28")),
        ("3", None, "10.00", ("1", "10")),  # a third of ten has no end
        ("8", None, "10.01", ("1", "10.01")),  # 1.25125 has five digits
        ("8", None, "10.02", ("8", "1.2525")),
        ("2.5", "3.00", "7.50", ("2.5", "3")),
        ("0.33333", "30.00", "10.00", ("1", "10")),  # five digits of a quantity would be rounded
        ("8", "0.00125", "0.01", ("1", "0.01")),  # five digits of a price too
        ("4", None, "0.00", ("4", "0")),
        ("3", "28.00", "42.00", ("3", "14")),  # a share of the period
        ("7", "28.00", None, ("7", "28")),
    ],
)
def test_xeros_arithmetic_cannot_change_the_amount(
    bench: Bench, quantity: str, unit: str | None, amount: str | None, wanted: tuple[str, str]
) -> None:
    posting = bench.line(
        quantity=Decimal(quantity),
        unit_price=None if unit is None else Decimal(unit),
        amount=None if amount is None else Decimal(amount),
    )
    [line] = sent(bench.connect().wire(posting))["LineItems"]
    assert (plain(Decimal(line["Quantity"])), plain(Decimal(line["UnitAmount"]))) == wanted
    assert isinstance(bench.post(posting), Receipt)
    [made] = bench.documents()
    assert made["SubTotal"] == (Decimal(amount) if amount else Decimal("196.00"))


def test_a_long_description_is_cut_between_words(bench: Bench) -> None:
    wire = bench.connect().wire(bench.line(description="seat of somebody, " * 100))
    text = sent(wire)["LineItems"][0]["Description"]
    assert len(text) <= 1000
    assert text.endswith("somebody…")


def test_words_of_every_alphabet_arrive_as_they_are(bench: Bench) -> None:
    text = 'Ålder "Dental" & Söhne <12 €> 歯科'
    bench.post(bench.line(description=text))
    assert bench.documents()[0]["LineItems"][0]["Description"] == text


# --- several in one document ------------------------------------------------------------------------------------------


def test_rules_of_one_customer_and_period_share_one_document(bench: Bench) -> None:
    postings = several(bench)
    connection = bench.connect()
    assert len({connection.together(one) for one in postings}) == 1
    receipt = connection.send(postings[0], connection.gather(postings))

    assert isinstance(receipt, Receipt)
    [made] = bench.documents()
    assert made["SubTotal"] == Decimal("100.00")
    assert [one.mark for one in charges(made["Reference"])] == [one.marker for one in postings]
    assert len(made["Reference"]) <= 255
    for number, posting in enumerate(postings, 1):
        assert connection.find(posting) == Found(made["InvoiceID"], Decimal(number))
    read = {line.marker: line.quantity for line in bench.billing().lines if line.once}
    assert read == {one.marker: one.quantity for one in postings}


def test_a_document_of_one_is_its_own_wire_and_the_number_knows_no_order(bench: Bench) -> None:
    connection, postings = bench.connect(), several(bench)
    assert connection.gather(postings[:1]) == connection.wire(postings[0])
    one, other = connection.gather(postings), connection.gather(postings[::-1])
    assert sent(one)["InvoiceNumber"] == sent(other)["InvoiceNumber"]
    assert sent(one)["InvoiceNumber"] != sent(connection.gather(postings[:3]))["InvoiceNumber"]


@pytest.mark.parametrize(
    "change",
    [
        {"operation": Operation.POST_CREDIT},
        {"customer_id": "somebody-else"},
        {"period": "2026-10"},
        {"ends": date(2026, 11, 29)},
        {"currency": "EUR"},
    ],
)
def test_what_differs_in_more_than_its_product_stands_alone(bench: Bench, change: dict[str, Any]) -> None:
    connection = bench.connect()
    other = replace(bench.line(key="k9", marker="sd-t1-kk"), **change)
    assert connection.together(bench.line()) != connection.together(other)
    with pytest.raises(ValueError, match="do not belong"):
        connection.gather([bench.line(), other])


def test_the_four_longest_charges_fit_into_the_reference(bench: Bench) -> None:
    connection = bench.connect()
    assert connection.together(bench.line()) != ""
    longest = [
        bench.line(key=f"k{n}", marker=f"sd-abcdefgh-{n}234567890ab", quantity=Decimal("123456.7891"), unit_price=None,
                   amount=Decimal("99999.99"))
        for n in range(4)
    ]  # fmt: skip
    assert len(sent(connection.gather(longest))["Reference"]) <= 255
    with pytest.raises(ValueError, match="more charges"):
        connection.gather([*longest, bench.line()])


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_receipt_names_the_record_and_its_number(bench: Bench) -> None:
    receipt = bench.post(bench.line())
    [made] = bench.documents()
    assert receipt == Receipt(made["InvoiceID"], made["InvoiceNumber"])
    assert made["Status"] == "DRAFT"
    assert made["LineItems"][0]["AccountCode"] == "200"  # the item's, as its tax
    assert made["LineItems"][0]["TaxType"] == "OUTPUT"


@pytest.mark.parametrize(
    ("prepare", "change", "words"),
    [
        (lambda d: None, {"product": "GONE"}, "Item code 'GONE' is not valid"),
        (lambda d: d.edit("Contacts", d.contact("Alder Dental Group")["ContactID"], ContactStatus="ARCHIVED"), {},
         "Restore the contact in Xero"),
        (lambda d: d.books.organisation.update(PeriodLockDate=date(2026, 11, 30)), {}, "open period"),
        (lambda d: None, {"currency": "EUR"}, "not subscribed to currency EUR"),
        (lambda d: None, {"customer_id": "22222222-2222-4222-8222-222222222222"}, "contact ID does not exist"),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_is_a_refusal_in_words(
    bench: Bench, prepare: Callable[[Any], Any], change: dict[str, Any], words: str
) -> None:
    prepare(bench.double)
    posting = bench.line(**change)
    outcome = bench.post(posting)

    assert isinstance(outcome, Refused), outcome
    assert words in outcome.reason
    assert [one.status for one in bench.asked("/Invoices") if one.method == "PUT"] == [200]
    assert bench.writes() == []


def test_a_validation_error_with_400_is_a_refusal_in_words(bench: Bench) -> None:
    connection = bench.connect()
    posting = bench.line(product="GONE")
    wire = connection.wire(posting)
    outcome = connection.send(posting, replace(wire, path=wire.path.replace("false", "true")))

    assert isinstance(outcome, Refused)
    assert "Item code 'GONE' is not valid. The item was renamed or deleted" in outcome.reason


def test_a_warning_is_no_success(bench: Bench) -> None:
    bench.double.warning = "The contact is over its credit limit"
    posting = bench.line()
    assert isinstance(bench.post(posting), Unknown)
    assert isinstance(bench.connect().find(posting), Found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Quantity", 3), ("UnitAmount", "27.99"), ("LineAmount", "55.99"), ("ItemCode", "EXO-P1"),
    ],
)  # fmt: skip
def test_a_line_that_is_shown_otherwise_is_no_success(bench: Bench, field: str, value: Any) -> None:
    line = bench.double.books.line

    def changed(given: dict[str, Any], places: int = 4) -> dict[str, Any]:
        return line(given, places) | {field: value if field == "ItemCode" else Decimal(value)}

    bench.double.books.line = changed  # type: ignore[method-assign]
    told = bench.post(bench.line())
    assert isinstance(told, Unknown)
    assert told.reason.endswith("is there and differs from what was sent: line 1")


@pytest.mark.parametrize(
    "change",
    [
        {"SubTotal": Decimal("55.99")}, {"CurrencyCode": "NZD"}, {"Status": "AUTHORISED"}, {"Reference": "x"},
        {"InvoiceNumber": "INV-9"}, {"LineAmountTypes": "Inclusive"}, {"Date": date(2026, 12, 1)},
        {"Warnings": [{"Message": "over the credit limit"}]}, {"StatusAttributeString": "WARNING"},
    ],
)  # fmt: skip
def test_a_document_that_is_shown_otherwise_is_no_success(bench: Bench, change: dict[str, Any]) -> None:
    made = bench.double._kept_or_shown
    changed: Any = lambda *given: {**made(*given), **change}  # noqa: E731
    bench.double._kept_or_shown = changed  # type: ignore[method-assign]
    assert isinstance(bench.post(bench.line()), Unknown)


def test_an_id_of_zeros_was_not_made(bench: Bench) -> None:
    made = bench.double._kept_or_shown
    zeros = "00000000-0000-0000-0000-000000000000"
    changed: Any = lambda *given: {**made(*given), "InvoiceID": zeros}  # noqa: E731
    bench.double._kept_or_shown = changed  # type: ignore[method-assign]
    outcome = bench.post(bench.line())
    assert isinstance(outcome, Refused)
    assert "without an id" in outcome.reason


def test_a_lost_answer_is_found_and_not_sent_twice(bench: Bench) -> None:
    connection, posting = bench.connect(), bench.line()
    bench.double.fail("drop_after", method="PUT")

    assert isinstance(connection.send(posting, connection.wire(posting)), Unknown)
    assert isinstance(connection.find(posting), Found)


@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(days=2)], ids=["key lasts", "key ended"])
def test_sent_again_it_is_the_same_document(bench: Bench, later: timedelta) -> None:
    connection, posting = bench.connect(), bench.line()
    wire = connection.wire(posting)
    bench.double.fail("drop_after", method="PUT")
    connection.send(posting, wire)
    bench.double.advance(later.total_seconds())
    outcome = bench.connect().send(posting, wire)

    assert isinstance(outcome, Receipt), outcome
    assert bench.writes() == ["create_invoice"]
    assert outcome.remote_id == bench.documents()[0]["InvoiceID"]


def test_a_key_that_was_used_with_another_body_is_a_refusal(bench: Bench) -> None:
    connection, posting = bench.connect(), bench.line()
    wire = connection.wire(posting)
    connection.send(posting, wire)
    outcome = connection.send(posting, replace(wire, body=wire.body.replace(b"SD-", b"SE-")))

    assert isinstance(outcome, Refused)
    assert "Idempotency-Key" in outcome.reason
    assert bench.writes() == ["create_invoice"]


def test_a_page_of_something_in_front_says_nothing(bench: Bench) -> None:
    bench.double.fail("html", method="PUT")
    assert isinstance(bench.post(bench.line()), Unknown)
