"""A number that Xero has already: ours from an earlier sending, whatever became of it since, or somebody else's."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from xero_kit import Bench, sent, several

from syncd.model import Absent, Found, Receipt, Refused, Unknown


@pytest.mark.parametrize("operation", ["line", "credit"])
def test_somebody_elses_document_with_our_number_is_not_touched(bench: Bench, operation: str) -> None:
    connection, posting = bench.connect(), getattr(bench, operation)()
    resource, field = ("Invoices", "InvoiceNumber") if operation == "line" else ("CreditNotes", "CreditNoteNumber")
    wire = connection.wire(posting)
    theirs = bench.double.books.document(
        resource, bench.contact(2), date(2026, 11, 5), [{"ItemCode": "EXO-P1"}], Reference="PO 1",
        **{field: sent(wire)[field]},
    )  # fmt: skip
    before = json.dumps(theirs, default=str)
    outcome = connection.send(posting, wire)

    assert isinstance(outcome, Refused)
    assert "not syncd's" in outcome.reason
    assert "not touched" in outcome.reason
    assert json.dumps(theirs, default=str) == before
    assert bench.writes() == []
    assert isinstance(connection.find(posting), Absent)


def test_a_number_of_our_own_whose_reference_was_rewritten_is_not_sent_under_others(bench: Bench) -> None:
    """Refused, the postings would be sent each alone, under numbers that are free: billed twice. Once the draft is
    deleted it charges nothing, and they may."""
    connection, postings = bench.connect(), several(bench)
    wire = connection.gather(postings)
    assert isinstance(connection.send(postings[0], wire), Receipt)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Reference="PO 4711", Date=date(2026, 11, 20))
    bench.double.advance(86_400)
    told = connection.send(postings[0], wire)

    assert isinstance(told, Unknown)
    assert f"{made['InvoiceNumber']} bears syncd's number and no mark of it any more: put its reference" in told.reason
    bench.double.edit("Invoices", made["InvoiceID"], Status="DELETED")
    again = bench.connect().send(postings[0], wire)
    assert isinstance(again, Refused)
    assert "was syncd's and was deleted" in again.reason


def test_a_number_of_our_own_is_known_although_the_contact_was_merged(bench: Bench) -> None:
    connection, postings = bench.connect(), several(bench)
    wire = connection.gather(postings)
    assert isinstance(connection.send(postings[0], wire), Receipt)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Reference="PO 4711")
    bench.double.books.merge(postings[0].customer_id, bench.contact(2)["ContactID"])
    made["Contact"] = {"ContactID": bench.contact(2)["ContactID"]}
    bench.double.advance(86_400)
    bench.double.edit("Contacts", postings[0].customer_id, ContactStatus="ACTIVE")  # else Xero refuses it before

    assert isinstance(bench.connect().send(postings[0], wire), Unknown)


def test_a_number_that_is_taken_and_not_shown_is_unknown(bench: Bench) -> None:
    connection, posting = bench.connect(), bench.line()
    wire = connection.wire(posting)
    connection.send(posting, wire)
    bench.double.advance(86_400)
    nothing: Any = lambda request, resource, books: []  # noqa: E731
    bench.double._filtered = nothing  # type: ignore[method-assign]
    told = connection.send(posting, wire)

    assert isinstance(told, Unknown)
    assert "shows no document with the number" in told.reason


def test_a_number_of_our_own_deleted_draft_is_said(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Status="DELETED")
    bench.double.advance(86_400)
    outcome = bench.post(posting)

    assert isinstance(outcome, Refused)
    assert "was deleted" in outcome.reason


def test_a_number_of_our_own_draft_that_a_person_changed_is_unknown(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    [made] = bench.documents()
    bench.double.edit("Invoices", made["InvoiceID"], Status="AUTHORISED")
    bench.double.advance(86_400)
    outcome = bench.post(posting)

    assert isinstance(outcome, Unknown)
    assert "status" in outcome.reason
    assert isinstance(bench.connect().find(posting), Found)


def test_a_number_whose_holder_cannot_be_read_is_unknown(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    bench.double.advance(86_400)
    connection = bench.connect()
    wire = connection.wire(posting)
    bench.double.fail("html", method="GET", path="/Invoices", times=9)
    assert isinstance(connection.send(posting, wire), Unknown)
