"""Documents that are there already: numbers that are taken, and the look whether a posting arrived."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal

import pytest
from qbo_kit import INVOICE, LINE, SECOND, Bench, MakeBench, sent

from connectors.quickbooks import sandbox_state as state
from syncd.connect.documents import charge, number
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Receipt, Refused, Unknown

# --- numbers that are taken ------------------------------------------------------------------------------------------


def test_a_number_that_is_somebody_elses_is_refused_and_theirs_left_alone(bench: Bench) -> None:
    taken = number("SD", [LINE.marker], 21)
    theirs = {"CustomerRef": {"value": "60"}, "DocNumber": taken, "PrivateNote": "Dana's",
              "Line": [state.sale(bench.double.tables["Item"]["10"], Decimal(1))]}  # fmt: skip
    row = bench.double.create("Estimate", theirs, by_hand=True)
    before = json.dumps(row, default=str)
    told = bench.post(LINE)

    assert isinstance(told, Refused)
    assert f"(#{row['Id']}) of customer #60, which is not syncd's" in told.reason
    assert json.dumps(row, default=str) == before
    assert bench.double.effects == []


def test_a_number_that_is_our_own_from_an_earlier_sending_is_looked_for(bench: Bench) -> None:
    """The answer was lost, and QuickBooks has forgotten the requestid: what a retry next morning meets."""
    connection = bench.connect()
    wire = connection.wire(LINE)
    bench.double.fail("drop_after", path="estimate")
    assert isinstance(connection.send(LINE, wire), Unknown)
    bench.double.forget()

    told = connection.send(LINE, wire)

    assert isinstance(told, Unknown)
    assert "from an earlier sending of the same" in told.reason
    assert isinstance(connection.find(LINE), Found)
    assert len(bench.double.effects) == 1


def test_a_second_sending_under_one_requestid_is_answered_and_not_done(bench: Bench) -> None:
    connection = bench.connect()
    wire = connection.wire(LINE)
    first, again = connection.send(LINE, wire), connection.send(LINE, wire)

    assert isinstance(first, Receipt)
    assert first == again
    assert len(bench.double.effects) == 1


@pytest.mark.parametrize("note", ["for Dana", "", "sd-t1-other 1 20261101-20261130"])
def test_a_number_of_our_own_whose_memo_was_rewritten_is_not_sent_under_others(bench: Bench, note: str) -> None:
    """Refused, the postings would be sent each alone, under numbers that are free: billed twice."""
    connection = bench.connect()
    wire = connection.gather([LINE, SECOND])
    assert isinstance(connection.send(LINE, wire), Receipt)
    [row] = bench.documents("Estimate")
    bench.double.rival("Estimate", row["Id"], PrivateNote=note, TxnDate="2026-11-20")
    bench.double.forget()

    told = connection.send(LINE, wire)

    assert isinstance(told, Unknown)
    assert f"(#{row['Id']}) bears syncd's number and no mark of it any more: put its memo back" in told.reason
    assert [row["PrivateNote"]] == [one["PrivateNote"] for one in bench.double.tables["Estimate"].values()]


@pytest.mark.parametrize("document", ["estimate", "invoice"])
def test_a_number_of_our_own_that_a_person_ended_is_refused(make_bench: MakeBench, document: str) -> None:
    """What a person was told to do for it to be billed anew: what has the number charges nothing any more."""
    bench = make_bench(void_keeps_note=False)
    connection = bench.connect()
    both = [replace(one, options={"document": document}) for one in (LINE, SECOND)]
    wire = connection.gather(both)
    assert isinstance(connection.send(both[0], wire), Receipt)
    [row] = bench.documents(document.capitalize())
    if document == "invoice":
        bench.double.void("Invoice", {"Id": row["Id"], "SyncToken": "0"})
    else:
        bench.double.rival("Estimate", row["Id"], PrivateNote="", TxnStatus="Rejected")
    bench.double.forget()
    assert isinstance(connection.find(both[0]), Absent)

    told = connection.send(both[0], wire)

    assert isinstance(told, Refused)
    assert "was syncd's and was " in told.reason


def test_a_number_that_is_taken_and_not_shown_is_unknown(bench: Bench) -> None:
    connection = bench.connect()
    wire = connection.wire(LINE)
    assert isinstance(connection.send(LINE, wire), Receipt)
    bench.double.forget()
    honest = bench.double._asked
    bench.double._asked = lambda statement: honest(statement.replace("'SD", "'XX"))  # type: ignore[method-assign]

    told = connection.send(LINE, wire)

    assert isinstance(told, Unknown)
    assert "shows no document that bears it" in told.reason


# --- the look --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps", [True, False])
def test_a_voided_document_is_told(make_bench: MakeBench, keeps: bool) -> None:
    bench = make_bench(void_keeps_note=keeps)
    id_ = sent(bench, INVOICE)
    bench.double.void("Invoice", {"Id": id_, "SyncToken": "0"})
    told = bench.connect().find(INVOICE)

    assert isinstance(told, Moved)
    assert told.what.endswith(f"(#{id_}) was voided")
    assert told.arrived == f"invoice {id_}"


def test_a_rejected_estimate_is_told(bench: Bench) -> None:
    bench.double.rival("Estimate", sent(bench), TxnStatus="Rejected")

    assert "was rejected" in bench.connect().find(LINE).what  # type: ignore[union-attr]


def test_a_deleted_document_leaves_no_trace(bench: Bench) -> None:
    bench.double.delete("Estimate", {"Id": sent(bench), "SyncToken": "0"})

    assert isinstance(bench.connect().find(LINE), Absent)


def test_a_document_whose_memo_was_changed_is_told_and_not_written_twice(bench: Bench) -> None:
    id_ = sent(bench)
    bench.double.rival("Estimate", id_, PrivateNote="for Dana")
    told = bench.connect().find(LINE)

    assert isinstance(told, Moved)
    assert "its memo was changed" in told.what
    assert told.arrived == f"estimate {id_}"


def test_a_shared_document_without_its_memo_makes_a_person_look(bench: Bench) -> None:
    """Which postings it holds cannot be told, on whatever day and with whatever number of a person's; another item is
    none of them."""
    assert isinstance(bench.post(LINE, SECOND), Receipt)
    [row] = bench.documents("Estimate")
    bench.double.rival("Estimate", row["Id"], PrivateNote="", TxnDate="2026-11-20")

    for posting in (LINE, SECOND):
        told = bench.connect().find(posting)
        assert isinstance(told, Moved)
        assert "bears syncd's number, no mark of it any more" in told.what
        assert (told.arrived, told.perhaps) == ("", True)
    assert isinstance(bench.connect().find(replace(LINE, product_id="77")), Absent)
    bench.double.rival("Estimate", row["Id"], DocNumber="SD-1001")
    renamed = bench.connect().find(LINE)
    assert isinstance(renamed, Moved)
    assert renamed.perhaps


def test_a_shared_document_that_lost_one_of_its_marks_makes_a_person_look(bench: Bench) -> None:
    """The mark that is left does not say that nothing else stands on it; once it is whole again, each is found."""
    assert isinstance(bench.post(LINE, SECOND), Receipt)
    [row] = bench.documents("Estimate")
    whole = row["PrivateNote"]
    bench.double.rival("Estimate", row["Id"], PrivateNote=whole.replace(f"{LINE.marker} ", "Dana: "))

    told = bench.connect().find(LINE)
    assert isinstance(told, Moved)
    assert "bears syncd's number, not every mark of it any more" in told.what
    assert (told.arrived, told.perhaps) == ("", True)

    bench.double.rival("Estimate", row["Id"], PrivateNote=whole)
    assert [type(bench.connect().find(one)) for one in (LINE, SECOND, replace(LINE, marker="sd-t1-new"))] == [
        Found,
        Found,
        Absent,
    ]


def test_a_document_with_quickbooks_own_number_is_known_by_its_words(make_bench: MakeBench) -> None:
    """Without the memo nothing else tells that it is syncd's; another amount, other words and other marks are not."""
    bench = make_bench(custom_numbers=False)
    told = bench.post(LINE)
    assert isinstance(told, Receipt)
    [row] = bench.documents("Estimate")
    bench.double.rival("Estimate", row["Id"], PrivateNote="")

    seen = bench.connect().find(LINE)
    assert isinstance(seen, Moved)
    assert (
        "bears syncd's words, no mark of it any more, and M365-BP: put its memo back, or delete or void it" in seen.what
    )
    assert (seen.arrived, seen.perhaps) == ("", True)
    others = (replace(LINE, description="2 seats more"), replace(LINE, amount=Decimal(7), unit_price=Decimal("3.50")))
    assert [bench.connect().find(one) for one in others] == [Absent()] * 2
    bench.double.rival("Estimate", row["Id"], PrivateNote=str(charge(replace(LINE, marker="sd-t1-other"), 5)))
    assert isinstance(bench.connect().find(LINE), Absent)


@pytest.mark.parametrize(
    ("whole", "left"),
    [
        pytest.param("items 10, 11", "items 11", id="mark and item"),
        pytest.param("items 10, 11", "items 10, 11", id="the mark alone"),
        pytest.param(" for items 10, 11", f" {SECOND.marker} 3 20261101-20261130", id="the other mark quoted twice"),
    ],
)
def test_a_document_without_syncds_number_that_lost_one_of_its_marks_makes_a_person_look(
    make_bench: MakeBench, whole: str, left: str
) -> None:
    """A mark accounts for one line: what else has the posting's words may be the posting."""
    bench = make_bench(custom_numbers=False)
    assert isinstance(bench.post(LINE, SECOND), Receipt)
    [row] = bench.documents("Estimate")
    first = f"{charge(LINE, 5)}; "
    assert first in row["PrivateNote"]
    bench.double.rival("Estimate", row["Id"], PrivateNote=row["PrivateNote"].replace(first, "").replace(whole, left))

    for number_of_a_persons in ("", "1042"):
        bench.double.rival("Estimate", row["Id"], DocNumber=number_of_a_persons)
        told = bench.connect().find(LINE)
        assert isinstance(told, Moved)
        assert "bears syncd's words, not every mark of it any more, and M365-BP" in told.what
        assert (told.arrived, told.perhaps) == ("", True)
    assert isinstance(bench.connect().find(replace(LINE, description="2 seats more")), Absent)


def test_a_whole_document_is_never_taken_for_one_that_lost_a_mark(make_bench: MakeBench) -> None:
    """Also where a person put a line onto it: the marks that stand account for theirs, and what was never sent in
    another's words is free to go."""
    bench = make_bench(custom_numbers=False)
    assert isinstance(bench.post(LINE, SECOND), Receipt)
    again = [replace(one, marker=f"{one.marker}x") for one in (LINE, SECOND)]
    assert [bench.connect().find(one) for one in again] == [Absent()] * 2
    [row] = bench.documents("Estimate")
    added = state.sale(bench.double.tables["Item"]["12"], Decimal(1))
    bench.double.rival("Estimate", row["Id"], Line=[*row["Line"], added])

    assert [bench.connect().find(one) for one in again] == [Absent()] * 2


def test_a_typo_in_the_memo_is_no_other_document(bench: Bench) -> None:
    told = bench.post(LINE, SECOND)
    assert isinstance(told, Receipt)
    [row] = bench.documents("Estimate")
    bench.double.rival("Estimate", row["Id"], PrivateNote=row["PrivateNote"].replace("20261130", "20261131", 1))

    for posting in (LINE, SECOND):
        assert bench.connect().find(posting) == Found(told.remote_id)


def test_a_document_that_a_person_dated_back_is_found(bench: Bench) -> None:
    bench.double.rival("Estimate", sent(bench), TxnDate="2026-02-01")

    assert isinstance(bench.connect().find(LINE), Found)


def test_a_quantity_that_a_person_changed_is_shown(bench: Bench) -> None:
    id_ = sent(bench)
    row = bench.double.tables["Estimate"][id_]
    row["Line"][0]["SalesItemLineDetail"]["Qty"] = Decimal(5)
    row["Line"][0]["Amount"] = Decimal(140)
    bench.double.rival("Estimate", id_)

    assert bench.connect().find(LINE) == Found(f"estimate {id_}", Decimal(5))


def test_a_document_in_another_currency_is_told(bench: Bench) -> None:
    """Its figures are other money: what was made so is not what was sent, what was changed later had arrived."""
    id_ = sent(bench)
    row = bench.double.tables["Estimate"][id_]
    row["CurrencyRef"] = {"value": "EUR", "name": "Euro"}

    for arrived in ("", f"estimate {id_}"):
        told = bench.connect().find(LINE)
        assert isinstance(told, Moved)
        assert told.what.endswith(f"(#{id_}) is in EUR, not in USD")
        assert told.arrived == arrived
        bench.double.rival("Estimate", id_)
    assert isinstance(bench.connect().find(replace(LINE, currency="EUR")), Found)


def test_a_line_that_a_person_took_off_is_told(bench: Bench) -> None:
    told = bench.post(LINE, SECOND)
    assert isinstance(told, Receipt)
    [row] = bench.documents("Estimate")
    bench.double.rival("Estimate", row["Id"], Line=row["Line"][1:])
    connection = bench.connect()

    assert "no longer holds the line for M365-BP" in connection.find(LINE).what  # type: ignore[union-attr]
    assert isinstance(connection.find(SECOND), Found)


def test_two_documents_with_one_mark_are_named_both(bench: Bench) -> None:
    id_ = sent(bench)
    bench.double.tables["Estimate"]["5000"] = dict(bench.double.tables["Estimate"][id_], Id="5000")
    told = bench.connect().find(LINE)

    assert isinstance(told, Moved)
    assert f"(#{id_})" in told.what
    assert "(#5000)" in told.what


def test_of_two_documents_with_one_mark_the_one_that_was_not_voided_counts(bench: Bench) -> None:
    id_ = sent(bench, INVOICE)
    bench.double.tables["Invoice"]["5000"] = deepcopy(bench.double.tables["Invoice"][id_]) | {"Id": "5000"}
    bench.double.void("Invoice", {"Id": id_, "SyncToken": "0"})

    assert bench.connect().find(INVOICE) == Found("invoice 5000", INVOICE.quantity)


def test_another_customers_documents_in_the_answer_are_not_believed(bench: Bench) -> None:
    id_ = sent(bench)
    bench.double.tables["Estimate"][id_]["CustomerRef"]["value"] = "60"
    connection = bench.connect()
    honest = bench.double._asked
    bench.double._asked = lambda statement: honest(statement.replace("'59'", "'60'"))  # type: ignore[method-assign]
    with pytest.raises(VendorError) as failed:
        connection.find(LINE)

    assert failed.value.code == "wrong_tenant"
