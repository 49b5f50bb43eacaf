"""The look whether a posting is there: by its external id, by its mark, and never by half an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from netsuite_kit import Bench
from werkzeug.wrappers import Request, Response

from connectors.netsuite import sandbox_front
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Posting, Unknown

Postings = dict[str, Posting]


def record(bench: Bench, kind: str) -> dict[str, Any]:
    """The newest record of a type."""
    return bench.double.records[kind][max(bench.double.records[kind])]


def test_a_lost_answer_is_found_by_its_external_id(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    bench.double.fail("drop_after", method="POST", path="record/v1/charge$")

    assert isinstance(connection.send(wanted, connection.wire(wanted)), Unknown)

    assert isinstance(connection.find(wanted), Found)


def test_a_record_whose_external_id_was_cleared_is_found_by_its_mark(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    for which, kind in (("charge", "charge"), ("invoice", "invoice"), ("credit", "creditMemo")):
        wanted = postings[which]
        connection.send(wanted, connection.wire(wanted))
        record(bench, kind)["externalId"] = None
        assert isinstance(connection.find(wanted), Found), which


def test_a_person_s_words_in_the_memo_do_no_harm(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, "charge")
    made["memo"] = f"agreed with Dana; {made['memo']} (ok)"

    assert isinstance(connection.find(wanted), Found)
    assert len(bench.billing().lines) == 1


@pytest.mark.parametrize(("which", "kind"), [("invoice", "invoice"), ("credit", "creditMemo")])
def test_a_shared_document_without_its_memo_makes_a_person_look(
    bench: Bench, postings: Postings, which: str, kind: str
) -> None:
    """Which postings it holds cannot be told; another item, another customer, and another kind are none of them."""
    first = postings[which]
    second = replace(first, key="k-2", marker="sd-t1-2", product_id="503", product="EXO-P1")
    connection = bench.connect()
    connection.send(first, connection.gather([first, second]))
    made = record(bench, kind)
    made["memo"] = "checked by Dana"

    for posting in (first, second):
        seen = connection.find(posting)
        assert isinstance(seen, Moved)
        assert "no mark of it any more" in seen.what
        assert f"{posting.product}: put its memo back, or delete or void it" in seen.what
        assert (seen.arrived, seen.perhaps) == ("", True)
    others = (replace(first, product_id="502"), replace(first, customer_id="102"), postings["charge"])
    assert [connection.find(one) for one in others] == [Absent()] * 3


def test_a_shared_document_that_lost_one_of_its_marks_makes_a_person_look(bench: Bench, postings: Postings) -> None:
    """The mark that is left does not say that nothing else stands on it; whole again, it says so."""
    both = [postings["invoice"], postings["second"]]
    first = both[0]
    connection = bench.connect()
    connection.send(first, connection.gather(both))
    made = record(bench, "invoice")
    whole = made["memo"]
    made["memo"] = whole.replace(f"{first.marker} ", "Dana: ")

    seen = connection.find(first)
    assert isinstance(seen, Moved)
    assert "bears syncd's external id, not every mark of it any more" in seen.what
    assert (seen.arrived, seen.perhaps) == ("", True)

    made["memo"] = whole
    assert [type(connection.find(one)) for one in both] == [Found, Found]
    new = replace(first, key="k-new", marker="sd-t1-new")
    assert isinstance(connection.find(new), Absent)
    made["memo"] = f"{whole} (Dana asks about {whole.partition('; ')[0]})"  # quoted once more, it is still one mark
    assert isinstance(connection.find(new), Absent)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "V"},
        {"status": "E"},
        {"externalId": "syncd-inv-2026-11"},
    ],
    ids=["voided", "rejected", "a person's id"],
)
def test_a_document_that_holds_it_for_sure_not_is_no_reason_to_look(
    bench: Bench, postings: Postings, change: dict[str, str]
) -> None:
    connection, both = bench.connect(), [postings["invoice"], postings["second"]]
    connection.send(both[0], connection.gather(both))
    record(bench, "invoice").update({"memo": ""} | change)

    assert isinstance(connection.find(both[0]), Absent)


def test_a_document_whose_lines_are_not_shown_may_hold_it(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, both = bench.connect(), [postings["invoice"], postings["second"]]
    connection.send(both[0], connection.gather(both))
    record(bench, "invoice")["memo"] = ""
    honest = bench.double._shown
    links: Any = lambda *given: {**honest(*given), "item": {"links": []}}  # noqa: E731
    monkeypatch.setattr(bench.double, "_shown", links)

    seen = connection.find(both[0])

    assert isinstance(seen, Moved)
    assert seen.perhaps


@pytest.mark.parametrize(("which", "kind"), [("charge", "charge"), ("invoice", "invoice"), ("credit", "creditMemo")])
def test_a_record_of_its_own_whose_memo_was_rewritten_arrived(
    bench: Bench, postings: Postings, which: str, kind: str
) -> None:
    connection, wanted = bench.connect(), postings[which]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, kind)
    made["memo"] = "ok, Dana"

    seen = connection.find(wanted)

    assert isinstance(seen, Moved)
    assert "not its mark" in seen.what
    assert seen.arrived == f"{kind} {made['id']}"


def test_a_charge_without_its_memo_is_no_other_charge(bench: Bench, postings: Postings) -> None:
    """Each is a record of its own, which its own external id tells."""
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    record(bench, "charge")["memo"] = "ok, Dana"

    assert isinstance(connection.find(replace(wanted, key="k-other", marker="sd-t1-other")), Absent)


def test_a_typo_in_the_memo_is_no_other_record(bench: Bench, postings: Postings) -> None:
    connection = bench.connect()
    for which, kind in (("charge", "charge"), ("invoice", "invoice"), ("credit", "creditMemo")):
        wanted = postings[which]
        connection.send(wanted, connection.wire(wanted))
        made = record(bench, kind)
        made["memo"] = made["memo"].replace("20261130", "20261131")
        assert connection.find(wanted) == Found(f"{kind} {made['id']}"), which


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("charge", lambda row: row.update(quantity=Decimal(5), amount=Decimal(140))),
    ("invoice", lambda row: row["lines"].append(dict(row["lines"][0]))),
]


@pytest.mark.parametrize(("which", "change"), CHANGES, ids=[one[0] for one in CHANGES])
def test_what_was_changed_after_it_was_made_arrived(
    bench: Bench, postings: Postings, which: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    """What a script of the account changes while the record is made is not what was meant, and stays unknown."""
    connection, wanted = bench.connect(), postings[which]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, which)
    change(made)
    for when, arrived in (
        (made["createdDate"], ""),
        (made["createdDate"][:10] + "T18:10:00Z", ""),
        ("2026-11-25T10:00:00Z", f"{which} {made['id']}"),
        ("11/25/2026", ""),
        (None, ""),
    ):
        made["lastModifiedDate"] = when
        seen = connection.find(wanted)
        assert isinstance(seen, Moved)
        assert seen.arrived == arrived, when


def test_a_charge_that_was_made_non_billable_is_told(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, "charge")
    made["stage"] = "NON_BILLABLE"

    seen = connection.find(wanted)

    assert isinstance(seen, Moved)
    assert "was made non-billable" in seen.what
    assert seen.arrived == f"charge {made['id']}"


def test_of_two_charges_with_one_mark_the_one_that_is_still_billed_counts(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, "charge")
    twin = {**made, "id": made["id"] + 1, "externalId": None}
    bench.double.records["charge"][twin["id"]] = twin
    seen = connection.find(wanted)
    assert isinstance(seen, Moved)
    assert "delete all but one, or set them to Non-Billable" in seen.what

    made["stage"] = "NON_BILLABLE"

    assert connection.find(wanted) == Found(f"charge {twin['id']}", wanted.quantity)


def test_two_records_with_one_mark_are_both_named(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, "charge")
    twin = {**made, "id": made["id"] + 1, "externalId": None}
    bench.double.records["charge"][twin["id"]] = twin

    seen = connection.find(wanted)

    assert isinstance(seen, Moved)
    assert f"#{made['id']}" in seen.what
    assert f"#{twin['id']}" in seen.what


@pytest.mark.parametrize("voided", ["first", "second"])
def test_of_two_records_with_one_mark_the_one_that_was_not_voided_counts(
    bench: Bench, postings: Postings, voided: str
) -> None:
    connection, wanted = bench.connect(), postings["invoice"]
    connection.send(wanted, connection.wire(wanted))
    made = record(bench, "invoice")
    twin = {**made, "id": made["id"] + 1, "externalId": None}
    bench.double.records["invoice"][twin["id"]] = twin
    ended, stands = (made, twin) if voided == "first" else (twin, made)
    ended["status"] = "V"

    seen = connection.find(wanted)

    assert isinstance(seen, Found)
    assert seen.remote_id == f"invoice {stands['id']}"


@pytest.mark.parametrize(("status", "words"), [("V", "voided"), ("E", "rejected")])
def test_an_own_invoice_that_was_ended_is_told(bench: Bench, postings: Postings, status: str, words: str) -> None:
    connection, wanted = bench.connect(), postings["invoice"]
    connection.send(wanted, connection.wire(wanted))
    record(bench, "invoice")["status"] = status

    seen = connection.find(wanted)

    assert isinstance(seen, Moved)
    assert words in seen.what
    assert seen.arrived == f"invoice {record(bench, 'invoice')['id']}"
    assert bench.billing().lines == ()


def test_a_deleted_record_is_absent(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    bench.double.records["charge"].clear()

    assert isinstance(connection.find(wanted), Absent)


def test_another_customer_s_mark_is_not_taken_for_ours(bench: Bench, postings: Postings) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    longer = replace(wanted, key="k-other", marker="sd-t1-chargeandmore")
    connection.send(longer, connection.wire(longer))

    assert isinstance(connection.find(wanted), Absent)


def test_a_web_page_with_status_404_is_no_absence(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    honest = bench.double._answer

    def proxy(request: Request, fault: str) -> Response:
        page = Response("<html><body>Not here</body></html>", 404, mimetype="text/html")
        return page if "eid:" in request.path else honest(request, fault)

    monkeypatch.setattr(bench.double, "_answer", proxy)
    with pytest.raises(VendorError, match="not in NetSuite's words"):
        connection.find(wanted)


def test_two_answers_that_contradict_each_other_settle_nothing(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record service still shows what was, SuiteQL already what is."""
    connection, wanted = bench.connect(), postings["charge"]
    connection.send(wanted, connection.wire(wanted))
    honest = bench.double._answer

    def lagging(request: Request, fault: str) -> Response:
        late = sandbox_front.fault(404, "does not exist", "NONEXISTENT_ID")
        return late if "eid:" in request.path else honest(request, fault)

    monkeypatch.setattr(bench.double, "_answer", lagging)
    with pytest.raises(VendorError, match="does not \\(yet\\)"):
        connection.find(wanted)


def test_another_record_s_answer_is_not_taken_for_ours(
    bench: Bench, postings: Postings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, wanted = bench.connect(), postings["charge"]
    other = replace(wanted, key="k-other", marker="sd-t1-other")
    connection.send(other, connection.wire(other))
    theirs = record(bench, "charge")
    honest = bench.double._by_external
    monkeypatch.setattr(
        bench.double, "_by_external", lambda request, kind, external: honest(request, kind, theirs["externalId"])
    )

    with pytest.raises(VendorError) as failed:
        connection.find(wanted)
    assert failed.value.code == "wrong_tenant"
