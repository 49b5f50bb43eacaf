"""A record whose mark is gone: typed over, not kept by Halo, or on one that a person took back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from halo_kit import Bench

from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Posting, Receipt, Sight, State


def sent(bench: Bench, posting: Posting) -> dict[str, Any]:
    """The double's record of a posting that was sent."""
    connection = bench.connect()
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt), answer
    number = int(answer.remote_id.removeprefix("invoice "))
    made: dict[str, Any] = bench.double.tables["Invoice"].get(number) or bench.row(number)
    return made


def look(bench: Bench, posting: Posting) -> Sight:
    return bench.connect().find(posting)


def asked(sight: Sight) -> str:
    """What a person is asked about a record that may be the one."""
    assert isinstance(sight, Moved), sight
    assert (sight.perhaps, sight.arrived) == (True, "")
    return sight.what


@pytest.mark.parametrize("typed", ["PO 4711", "", None])
@pytest.mark.parametrize("note", ["", None, "asked Dana"])
def test_a_draft_without_its_mark_is_not_taken_for_absent(
    bench: Bench, postings: dict[str, Posting], typed: str | None, note: str | None
) -> None:
    row = sent(bench, postings["draft"])
    row |= {"reference": typed, "internal_note": note}
    what = asked(look(bench, postings["draft"]))
    assert f"the Halo invoice #{row['id']} shows this charge's product, days, quantity and price" in what
    assert "put its reference back to sd-t1-line, or void it" in what
    row["voided"] = True
    assert isinstance(look(bench, postings["draft"]), Absent)


def test_a_draft_whose_note_still_names_the_mark_is_it(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, postings["draft"])
    row["reference"] = "PO 4711"
    row["lines"][0]["qty_order"] = 5
    sight = look(bench, postings["draft"])
    assert isinstance(sight, Moved)
    assert (sight.perhaps, sight.arrived) == (False, "")  # nothing else can bear it: not even a first sending is right
    assert f"#{row['id']} bears the mark sd-t1-line in its internal note alone: put its reference back" in sight.what
    row["voided"] = True
    sight = look(bench, postings["draft"])
    assert isinstance(sight, Moved)
    assert sight.arrived == f"invoice {row['id']}"


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ({"invoice_date": "2026-11-02T00:00:00"}, {}),
        ({"reference": "sd-t1-another"}, {}),
        ({"reference": "sd-other-mark"}, {}),
        ({"voided": True}, {}),
        ({}, {"qty_order": 3}),
        ({}, {"unit_price": 27}),
        ({}, {"_itemid": 402}),
    ],
    ids=str,
)
def test_another_invoice_is_not_taken_for_it(
    bench: Bench, postings: dict[str, Posting], header: dict[str, Any], line: dict[str, Any]
) -> None:
    row = sent(bench, postings["draft"])
    row |= {"reference": "", "internal_note": "", **header}
    row["lines"][0] |= line
    assert isinstance(look(bench, postings["draft"]), Absent)


def test_the_draft_of_another_charge_is_not_taken_for_it(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, replace(postings["draft"], marker="sd-t1-another"))
    row["reference"] = ""
    assert isinstance(look(bench, postings["draft"]), Absent)  # its note names that one's mark


@pytest.mark.parametrize("typed", ["annual, ask Dana", "", None])
def test_a_line_without_its_mark_is_not_taken_for_absent(
    bench: Bench, postings: dict[str, Posting], typed: str | None
) -> None:
    row = sent(bench, postings["add"])
    row["comment_2"] = typed
    what = asked(look(bench, postings["add"]))
    assert f"the Halo line #{row['id']} shows this charge's product" in what
    assert "put its comment_2 back to sd-t1-add, or end it" in what


@pytest.mark.parametrize(
    "other",
    [
        {"qty_order": 3},
        {"unit_price": 21},
        {"_itemid": 401},
        {"startdate": "2026-12-02T00:00:00"},
        {"comment_2": "sd-t1-another"},
        {"isinactive": True},
        {"enddate": "2026-11-30T00:00:00"},
    ],
    ids=str,
)
def test_another_line_is_not_taken_for_it(bench: Bench, postings: dict[str, Posting], other: dict[str, Any]) -> None:
    row = sent(bench, postings["add"])
    row |= {"comment_2": "", **other}
    assert isinstance(look(bench, postings["add"]), Absent)


# --- taken back ---


def test_a_surplus_draft_that_was_voided_as_told_is_none_any_more(bench: Bench, postings: dict[str, Posting]) -> None:
    first, second = sent(bench, postings["draft"]), sent(bench, postings["draft"])
    sight = look(bench, postings["draft"])
    assert isinstance(sight, Moved)
    assert "void all but one" in sight.what
    first["voided"] = True
    sight = look(bench, postings["draft"])
    assert isinstance(sight, Found)
    assert sight.remote_id == f"invoice {second['id']}"


@pytest.mark.parametrize("note", [None, "asked Dana"])
def test_the_only_draft_voided_did_arrive_whatever_its_note_says(
    bench: Bench, postings: dict[str, Posting], note: str | None
) -> None:
    row = sent(bench, postings["draft"])
    if note:
        row["internal_note"] = note
        with pytest.raises(VendorError, match="void it, or put the note back"):
            look(bench, postings["draft"])
    row["voided"] = True
    assert look(bench, postings["draft"]) == Moved(
        f"the Halo invoice #{row['id']} was voided", arrived=f"invoice {row['id']}"
    )


@pytest.mark.parametrize(
    ("back", "told"),
    [
        ({"isinactive": True}, "was made inactive"),
        ({"enddate": "2026-11-30T00:00:00"}, "was ended before it began"),
    ],
)
def test_lines_that_were_taken_back(
    bench: Bench, postings: dict[str, Posting], back: dict[str, Any], told: str
) -> None:
    first, second = sent(bench, postings["add"]), sent(bench, postings["add"])
    second |= back
    sight = look(bench, postings["add"])
    assert isinstance(sight, Found)
    assert sight.remote_id == str(first["id"])
    first |= back
    sight = look(bench, postings["add"])
    assert isinstance(sight, Moved)
    assert sight.arrived == str(min(first["id"], second["id"]))
    assert f"#{first['id']} {told}" in sight.what


# --- notes ---


@pytest.mark.parametrize("typo", ["2026-11-31", "2026-10-30", "2026-13-01", "0000-00-00"])
def test_a_typo_in_a_note_is_one_clients_trouble(bench: Bench, postings: dict[str, Posting], typo: str) -> None:
    row = sent(bench, postings["draft"])
    row["internal_note"] = row["internal_note"].replace("to 2026-11-30", f"to {typo}")
    connection = bench.connect()
    states = {
        one.customer_id: (one.state, one.code)
        for one in connection.lines([bench.customer(who) for who in (1, 2, 3)], bench.moment)
    }
    assert states["101"] == (State.UNKNOWN, "malformed")
    assert states["102"] == states["103"] == (State.KNOWN, "")
    with pytest.raises(VendorError, match="void it, or put the note back"):
        look(bench, postings["draft"])
