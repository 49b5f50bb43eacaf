"""The look afterwards: what became of a draft, whoever touched it since."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from xero_kit import Bench

from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved

# --- the look ---------------------------------------------------------------------------------------------------------


def test_two_documents_with_one_mark_are_both_named(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    bench.post(replace(posting, key="k2", marker="sd-t1-bbbb"))
    one, copy = bench.documents()
    bench.double.edit("Invoices", copy["InvoiceID"], Reference=one["Reference"])
    numbers = [one["InvoiceNumber"], copy["InvoiceNumber"]]
    sight = bench.connect().find(posting)

    assert isinstance(sight, Moved)
    assert all(number in sight.what for number in numbers)

    first, second = bench.documents()
    bench.double.edit("Invoices", first["InvoiceID"], Status="DELETED")
    assert bench.connect().find(posting) == Found(second["InvoiceID"], posting.quantity)


@pytest.mark.parametrize("status", ["DELETED", "VOIDED"])
def test_a_document_that_was_taken_away_is_not_absent(bench: Bench, status: str) -> None:
    posting = bench.line()
    bench.post(posting)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Status=status)
    sight = bench.connect().find(posting)

    assert isinstance(sight, Moved)
    assert made["InvoiceNumber"] in sight.what
    assert f"was {status.lower()}" in sight.what
    assert sight.arrived == made["InvoiceID"]


def test_a_draft_whose_reference_was_changed_is_known_by_its_number(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Reference="for Dana")
    sight = bench.connect().find(posting)

    assert isinstance(sight, Moved)
    assert "its reference was changed" in sight.what
    assert sight.arrived == made["InvoiceID"]


def test_a_shared_draft_without_its_reference_makes_a_person_look(bench: Bench) -> None:
    """Which postings it holds cannot be told, on whatever day a person dated it; another product's and a deleted draft
    are none of them."""
    first, second = bench.line(), bench.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Reference="", Date=date(2026, 11, 20))

    for posting in (first, second):
        sight = bench.connect().find(posting)
        assert isinstance(sight, Moved)
        assert f"{made['InvoiceNumber']} bears syncd's number, no mark of it any more" in sight.what
        assert (sight.arrived, sight.perhaps) == ("", True)
    assert isinstance(bench.connect().find(replace(first, product="BACKUP-GB")), Absent)
    bench.double.edit("Invoices", made["InvoiceID"], Status="DELETED")
    assert isinstance(bench.connect().find(first), Absent)


def test_a_shared_draft_that_lost_one_of_its_marks_makes_a_person_look(bench: Bench) -> None:
    """The mark that is left does not say that nothing else stands on it."""
    first, second = bench.line(), bench.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Reference=made["Reference"].replace(f"{first.marker} ", "Dana: "))

    sight = bench.connect().find(first)
    assert isinstance(sight, Moved)
    assert f"{made['InvoiceNumber']} bears syncd's number, not every mark of it any more" in sight.what
    assert (sight.arrived, sight.perhaps) == ("", True)
    assert bench.connect().find(second) == Found(made["InvoiceID"])


def test_a_typo_in_the_reference_is_no_other_draft(bench: Bench) -> None:
    first, second = bench.line(), bench.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    [made] = bench.documents()
    reference = made["Reference"].replace("20261130", "20261131", 1)
    bench.double.edit("Invoices", made["InvoiceID"], Reference=reference)

    for posting in (first, second):
        assert bench.connect().find(posting) == Found(made["InvoiceID"])


def test_a_draft_of_a_persons_is_not_taken_for_syncds(bench: Bench) -> None:
    first, second = bench.line(), bench.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    [made] = bench.documents()
    lines = [{**line, "Description": "as agreed with Dana"} for line in made["LineItems"]]
    bench.double.edit("Invoices", made["InvoiceID"], Reference="", InvoiceNumber="SD-2026-11", LineItems=lines)

    assert isinstance(bench.connect().find(first), Absent)


@pytest.mark.parametrize("operation", ["line", "credit"])
def test_a_renumbered_draft_without_its_reference_is_known_by_its_words(bench: Bench, operation: str) -> None:
    """Nothing else tells that it is syncd's; another amount and other words are not."""
    posting = bench.line() if operation == "line" else bench.credit()
    bench.post(posting)
    kind = "Invoice" if operation == "line" else "CreditNote"
    [made] = bench.documents(f"{kind}s")
    bench.double.edit(f"{kind}s", made[f"{kind}ID"], Reference="PO 4711", **{f"{kind}Number": "INV-0412"})

    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert "INV-0412 bears syncd's words, no mark of it any more, and M365-BP" in sight.what
    assert (sight.arrived, sight.perhaps) == ("", True)
    others = (
        replace(posting, description="2 more"),
        replace(posting, amount=Decimal(7), unit_price=None),
        replace(posting, product="M365-BS"),
    )
    assert [bench.connect().find(one) for one in others] == [Absent()] * 3
    assert isinstance(bench.connect().find(replace(posting, product="m365-bp")), Moved)


def test_a_renumbered_draft_that_lost_one_of_its_marks_makes_a_person_look(bench: Bench) -> None:
    """A whole one never does, whose marks account for all of its lines."""
    first, second = bench.line(), bench.line(key="k2", marker="sd-t1-bbbb", product="EXO-P1", description="Exchange")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], InvoiceNumber="INV-0412")
    again = [replace(one, marker=f"{one.marker}x") for one in (first, second)]
    assert [bench.connect().find(one) for one in again] == [Absent()] * 2
    bench.double.edit("Invoices", made["InvoiceID"], Reference=made["Reference"].partition("; ")[2])

    sight = bench.connect().find(first)
    assert isinstance(sight, Moved)
    assert "INV-0412 bears syncd's words, not every mark of it any more, and M365-BP" in sight.what
    assert (sight.arrived, sight.perhaps) == ("", True)


def test_an_approved_and_changed_document_is_found_with_what_it_shows(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    [made] = bench.documents()
    made["LineItems"][0]["Quantity"] = Decimal(5)
    bench.double.edit("Invoices", made["InvoiceID"], Status="PAID", InvoiceNumber="INV-0815")
    assert bench.connect().find(posting) == Found(made["InvoiceID"], Decimal(5))

    bench.double.edit("Invoices", made["InvoiceID"], LineItems=[*made["LineItems"], *made["LineItems"]])
    assert bench.connect().find(posting) == Found(made["InvoiceID"], None)


def test_a_draft_in_another_currency_is_told(bench: Bench) -> None:
    """The same figures in other money are not what was sent."""
    for posting, kind in ((bench.line(), "Invoice"), (bench.credit(), "CreditNote")):
        bench.post(posting)
        [made] = bench.documents(f"{kind}s")
        bench.double.edit(f"{kind}s", made[f"{kind}ID"], CurrencyCode="EUR")
        sight = bench.connect().find(posting)

        assert isinstance(sight, Moved)
        assert sight.what.endswith(f"{made[f'{kind}Number']} is in EUR, not in USD")
        assert (sight.arrived, sight.perhaps) == ("", False)
        assert isinstance(bench.connect().find(replace(posting, currency="EUR")), Found)


def test_a_document_is_found_although_its_contact_was_merged(bench: Bench) -> None:
    posting, credit = bench.line(), bench.credit()
    bench.post(posting)
    bench.post(credit)
    bench.double.books.merge(posting.customer_id, bench.contact(2)["ContactID"])

    for one in (posting, credit):
        assert isinstance(bench.connect().find(one), Found)


def test_an_answer_of_another_contact_is_not_believed(bench: Bench) -> None:
    bench.post(bench.line())
    everything: Any = lambda request, resource, books: list(books.tables[resource].values())  # noqa: E731
    bench.double._filtered = everything  # type: ignore[method-assign]
    with pytest.raises(VendorError) as failed:
        bench.connect().find(bench.line(customer_id=bench.contact(2)["ContactID"]))
    assert failed.value.code == "wrong_tenant"
