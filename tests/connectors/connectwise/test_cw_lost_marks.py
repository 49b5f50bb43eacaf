"""A charge whose mark is gone: typed over, not kept by the PSA, or on a record that a person took back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cw_kit import Bench

from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Posting, Receipt, Sight


def sent(bench: Bench, posting: Posting) -> dict[str, Any]:
    """The double's record of a posting that was sent."""
    connection = bench.connect()
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt), answer
    return bench.row(int(answer.remote_id))


def look(bench: Bench, posting: Posting, **keys: Any) -> Sight:
    return bench.connect(**keys).find(posting)


@pytest.mark.parametrize("typed", ["5CD2270F0K", "", None])
@pytest.mark.parametrize("what", ["line", "add"])
def test_a_charge_without_its_mark_is_not_taken_for_absent(
    bench: Bench, postings: dict[str, Posting], what: str, typed: str | None
) -> None:
    row = sent(bench, postings[what])
    row["serialNumber"] = typed
    sight = look(bench, postings[what])
    assert isinstance(sight, Moved)
    assert (sight.perhaps, sight.arrived) == (True, "")
    assert f"the addition #{row['id']} of the agreement #1001 shows this charge's product, days" in sight.what
    assert f"put its serialNumber back to {postings[what].marker}, or end it" in sight.what


def test_a_field_that_was_not_kept_is_named(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.connect(marker="Sync Ref")
    assert isinstance(connection.send(postings["line"], connection.wire(postings["line"])), Receipt)
    bench.row(max(bench.double.tables["additions"]))["customFields"] = []
    sight = look(bench, postings["line"], marker="Sync Ref")
    assert isinstance(sight, Moved)
    assert "put its Sync Ref back to sd-t1-line" in sight.what


def test_a_credit_that_lost_field_and_tail_is_known_by_its_amount(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, postings["credit"])
    row["serialNumber"] = ""
    assert isinstance(look(bench, postings["credit"]), Found)  # the tail of its description still says whose it is
    row["invoiceDescription"] = "2 seats less"
    sight = look(bench, postings["credit"])
    assert isinstance(sight, Moved)
    assert sight.perhaps


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 3},
        {"unitPrice": 27},
        {"product": {"id": 401}},
        {"effectiveDate": "2026-11-02T00:00:00Z"},
        {"cancelledDate": "2026-11-29T00:00:00Z"},
        {"cancelledDate": None},
        {"serialNumber": "sd-t1-another"},
        {"serialNumber": "sd-other-mark"},
        {"invoiceDescription": "2 seats (ref sd-t1-another, 2 units)"},
    ],
    ids=str,
)
def test_another_charge_is_not_taken_for_it(bench: Bench, postings: dict[str, Posting], other: dict[str, Any]) -> None:
    row = sent(bench, postings["line"])
    row |= {"serialNumber": "", **other}
    assert isinstance(look(bench, postings["line"]), Absent)


def test_a_price_of_the_catalogue_cannot_tell_them_apart(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, postings["line"])
    row |= {"serialNumber": "", "unitPrice": 27}
    assert isinstance(look(bench, replace(postings["line"], unit_price=None)), Moved)


def test_several_that_may_be_it_are_all_named(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, postings["line"])
    row["serialNumber"] = ""
    bench.double.tables["additions"][99_999] = {**row, "id": 99_999}
    sight = look(bench, postings["line"])
    assert isinstance(sight, Moved)
    assert f"#{row['id']}, #99999" in sight.what


# --- taken back ---


def test_a_surplus_one_that_was_ended_as_told_is_none_any_more(bench: Bench, postings: dict[str, Posting]) -> None:
    row = sent(bench, postings["line"])
    bench.double.tables["additions"][99_999] = {**row, "id": 99_999}
    with pytest.raises(VendorError, match=f"#{row['id']}, #99999"):
        look(bench, postings["line"])
    bench.double.tables["additions"][99_999]["cancelledDate"] = "2026-10-31T00:00:00Z"
    sight = look(bench, postings["line"])
    assert isinstance(sight, Found)
    assert sight.remote_id == str(row["id"])


@pytest.mark.parametrize(("day", "back"), [("billed", "2026-10-31"), ("free", "2026-11-01")])
def test_the_only_one_taken_back_did_arrive(bench: Bench, postings: dict[str, Posting], day: str, back: str) -> None:
    row = sent(bench, postings["line"])
    row["cancelledDate"] = f"{back}T00:00:00Z"
    sight = look(bench, postings["line"], cancelled_day=day)
    assert isinstance(sight, Moved)
    assert sight.arrived == str(row["id"])
    assert "was ended before it began" in sight.what


def test_one_taken_back_without_its_mark_asks_nobody(bench: Bench, postings: dict[str, Posting]) -> None:
    """It is how the message says to end the matter."""
    row = sent(bench, postings["add"])
    row |= {"serialNumber": "", "cancelledDate": "2026-11-30T00:00:00Z"}
    assert isinstance(look(bench, postings["add"]), Absent)
