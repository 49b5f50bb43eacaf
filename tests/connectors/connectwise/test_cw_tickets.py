"""Tickets: opened on a board by its name, noted, closed in the status that closes them on their own board."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from cw_kit import Bench
from test_cw_sandbox import SPEC, plain_schema

from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Posting, Receipt, Refused, Unknown

TICKETS = "service/tickets"
OPEN = Posting(
    operation=Operation.OPEN_TICKET,
    key="k-open",
    marker="sd-t1-open",
    customer_id="251",
    quantity=Decimal(0),
    description="2 seats leak since 2026-11-18\nRule: Business Premium\r\n\n  approve with: syncd approve 4f  ",
    options={"board": "billing", "summary": "Alder Dental Group: 2 seats are not billed"},
)


def later(operation: Operation, ticket: str, **changes: Any) -> Posting:
    marker = "" if operation == Operation.CLOSE_TICKET else "sd-t1-note"
    return replace(OPEN, operation=operation, line_id=ticket, key=f"k-{operation}", marker=marker, **changes)


def opened(bench: Bench, **changes: Any) -> str:
    """A ticket that stands there; its number."""
    connection = bench.connect()
    posting = replace(OPEN, **changes)
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt), answer
    return answer.remote_id


def ticket(bench: Bench, number: str) -> dict[str, Any]:
    return dict(bench.double.tables[TICKETS][int(number)])


def test_a_ticket_stands_on_its_board_and_bears_the_mark(bench: Bench) -> None:
    connection = bench.connect()
    wire = connection.wire(OPEN)
    assert bench.double.requests == []  # nothing is read for it
    assert isinstance(connection.find(OPEN), Absent)
    number = opened(bench)
    row = ticket(bench, number)
    assert (row["board"]["name"], row["company"]["id"], row["externalXRef"]) == ("Billing", 251, "sd-t1-open")
    assert row["status"]["name"] == "New"
    sent = json.loads(wire.body)
    assert sent["processNotifications"] is False
    [note] = bench.double.notes(int(number)).values()
    assert note["text"] == "2 seats leak since 2026-11-18 · Rule: Business Premium · approve with: syncd approve 4f"
    assert connection.find(OPEN) == Found(number)
    assert [one.what for one in bench.double.effects] == ["create_ticket"]


def test_what_is_sent_fits_the_published_description(bench: Bench) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    components = plain_schema(json.loads(SPEC.read_text())["components"])
    number = opened(bench)
    connection = bench.connect()
    for posting, schema in (
        (OPEN, {"$ref": "#/components/schemas/Ticket"}),
        (later(Operation.NOTE_TICKET, number), {"$ref": "#/components/schemas/ServiceNote"}),
        (
            later(Operation.CLOSE_TICKET, number),
            {"type": "array", "items": {"$ref": "#/components/schemas/PatchOperation"}},
        ),
    ):
        body = json.loads(connection.wire(posting).body)
        jsonschema.Draft202012Validator({**schema, "components": components}).validate(body)
        if isinstance(body, dict):  # a name that the description does not know would be ignored silently
            known = components["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
            assert set(body) <= set(known)


def test_a_long_summary_is_cut_between_words(bench: Bench) -> None:
    long = "Alder Dental Group: " + "seats " * 40
    number = opened(bench, options={"board": "Billing", "summary": long})
    kept = ticket(bench, number)["summary"]
    assert len(kept) <= 100
    assert kept.endswith("seats…")


@pytest.mark.parametrize(
    ("board", "words"),
    [
        ("Biling", 'no service board "Biling"; it has "Billing", "Service Desk"'),
        ("Old Board", 'the ConnectWise service board "Old Board" is inactive'),
    ],
)
def test_a_board_that_cannot_take_it_is_told_before_anything_leaves(bench: Bench, board: str, words: str) -> None:
    connection = bench.connect()
    posting = replace(OPEN, options={**OPEN.options, "board": board})
    assert connection.refusal(posting, bench.billing(), [], bench.moment) == ""  # no board was read yet
    with pytest.raises(VendorError, match=words) as raised:
        connection.find(posting)
    assert raised.value.code == "invalid"
    assert words in connection.refusal(posting, bench.billing(), [], bench.moment)
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Refused)
    assert "board was not found or is inactive" in answer.reason
    assert bench.double.effects == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"customer_id": "AlderDental"}, "under a company by its number"),
        ({"options": {"summary": "x"}}, "needs the name of a service board"),
        ({"options": {"board": "Billing", "summary": " \n"}}, "needs a summary"),
        ({"marker": "s" * 101}, "1 to 100 plain characters"),
        ({"operation": Operation.NOTE_TICKET}, "needs the number of its ConnectWise ticket"),
        ({"operation": Operation.CLOSE_TICKET, "line_id": "x"}, "needs its number"),
    ],
)
def test_what_a_ticket_lacks_is_said_without_a_request(bench: Bench, change: dict[str, Any], words: str) -> None:
    connection = bench.connect()
    billing = bench.billing()
    asked = len(bench.double.requests)
    assert words in connection.refusal(replace(OPEN, **change), billing, [], bench.moment)
    assert len(bench.double.requests) == asked


def test_two_tickets_with_one_mark_are_both_named(bench: Bench) -> None:
    numbers = [opened(bench), opened(bench)]
    sight = bench.connect().find(OPEN)
    assert isinstance(sight, Moved)
    assert all(f"#{one}" in sight.what for one in numbers)


def test_a_ticket_that_a_person_closed_was_still_opened(bench: Bench) -> None:
    number = opened(bench)
    bench.double.set_by_hand(int(number), 23)
    assert bench.connect().find(OPEN) == Found(number)


def test_the_filter_is_not_trusted(bench: Bench) -> None:
    bench.double.filtered = lambda request, rows: [dict(row, externalXRef="sd-other") for row in list(rows)[:1]]  # type: ignore[method-assign]
    with pytest.raises(VendorError, match="when asked for those marked sd-t1-open"):
        bench.connect().find(OPEN)


def test_a_note_is_internal_and_found_by_the_mark_in_its_text(bench: Bench) -> None:
    number = opened(bench)
    connection = bench.connect()
    posting = later(Operation.NOTE_TICKET, number, description="Now 3 seats\nsince 2026-11-19")
    assert isinstance(connection.find(posting), Absent)
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt)
    note = bench.double.notes(int(number))[int(answer.remote_id)]
    assert note["text"] == "Now 3 seats · since 2026-11-19 (ref sd-t1-note)"
    assert (note["internalAnalysisFlag"], note["detailDescriptionFlag"]) == (True, False)
    assert connection.find(posting) == Found(answer.remote_id)
    longer = replace(posting, marker="sd-t1-note2")
    assert isinstance(connection.find(longer), Absent)
    connection.send(posting, connection.wire(posting))
    sight = connection.find(posting)
    assert isinstance(sight, Moved)
    assert "2 notes" in sight.what


@pytest.mark.parametrize("operation", [Operation.NOTE_TICKET, Operation.CLOSE_TICKET])
def test_a_ticket_that_is_gone_is_moved_but_a_dead_address_is_an_error(bench: Bench, operation: Operation) -> None:
    number = opened(bench)
    del bench.double.tables[TICKETS][int(number)]
    posting = later(operation, number)
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    assert f"the ConnectWise ticket #{number} no longer exists" in sight.what
    bench.double.absent |= {"service/tickets", "service/boards"}
    with pytest.raises(VendorError) as raised:
        bench.connect().find(posting)
    assert raised.value.code == "not_found"


def closing(bench: Bench, number: str, **keys: Any) -> Any:
    connection = bench.connect(**keys)
    posting = later(Operation.CLOSE_TICKET, number)
    answer = connection.send(posting, connection.wire(posting))
    assert isinstance(answer, Receipt), answer
    assert connection.find(posting) == Found(number)
    return ticket(bench, number)["status"]["name"]


def test_a_ticket_is_closed_in_the_only_closed_status_of_its_board(bench: Bench) -> None:
    number = opened(bench)
    assert isinstance(bench.connect().find(later(Operation.CLOSE_TICKET, number)), Absent)
    assert closing(bench, number) == "Closed"
    assert ticket(bench, number)["closedFlag"] is True
    assert [one.what for one in bench.double.effects] == ["create_ticket", "change_ticket"]


def on_the_desk(bench: Bench) -> str:
    """A ticket on the board that has two closed statuses."""
    return opened(bench, options={**OPEN.options, "board": "Service Desk"})


def test_of_several_closed_statuses_none_is_picked_silently(bench: Bench) -> None:
    number = on_the_desk(bench)
    connection = bench.connect()
    with pytest.raises(VendorError) as raised:
        connection.wire(later(Operation.CLOSE_TICKET, number))
    assert '"Service Desk" has 2 statuses that close a ticket ("Completed", "Cancelled")' in str(raised.value)
    assert "closed_status" in str(raised.value)
    with pytest.raises(VendorError, match='no closed status "Done"'):
        bench.connect(closed_status="Done").wire(later(Operation.CLOSE_TICKET, number))


def flag_default(bench: Bench) -> None:
    bench.double.statuses(1)[13]["defaultFlag"] = True


def flag_auto_close(bench: Bench) -> None:
    bench.double.tables["service/boards"][1]["autoCloseStatus"] = {"id": 13, "name": "Cancelled"}


def retire_the_other(bench: Bench) -> None:
    bench.double.statuses(1)[12]["inactive"] = True


@pytest.mark.parametrize("flag", [flag_default, flag_auto_close, retire_the_other])
def test_the_board_itself_may_say_which(bench: Bench, flag: Callable[[Bench], None]) -> None:
    number = on_the_desk(bench)
    flag(bench)
    assert closing(bench, number) == "Cancelled"


def test_the_admin_may_say_which_where_a_board_has_several(bench: Bench) -> None:
    number = on_the_desk(bench)
    assert closing(bench, number, closed_status="completed") == "Completed"
    other = opened(bench, marker="sd-t1-2")
    assert closing(bench, other, closed_status="completed") == "Closed"  # the only one of that board


def test_a_board_without_a_closed_status_is_named(bench: Bench) -> None:
    number = opened(bench)
    bench.double.statuses(2)[23]["closedStatus"] = False
    with pytest.raises(VendorError, match='"Billing" has no status that closes a ticket'):
        bench.connect().wire(later(Operation.CLOSE_TICKET, number))


def test_a_ticket_that_a_person_closed_needs_nothing(bench: Bench) -> None:
    number = on_the_desk(bench)
    bench.double.set_by_hand(int(number), 13)
    posting = later(Operation.CLOSE_TICKET, number)
    connection = bench.connect()
    connection.wire(posting)  # two closed statuses, and no question which one
    assert connection.find(posting) == Found(number)


def test_a_ticket_that_moved_to_another_board_is_refused_by_the_vendor_and_not_closed(bench: Bench) -> None:
    number = opened(bench)
    connection = bench.connect()
    posting = later(Operation.CLOSE_TICKET, number)
    wire = connection.wire(posting)
    bench.double.tables[TICKETS][int(number)]["board"] = {"id": 1, "name": "Service Desk"}
    answer = connection.send(posting, wire)
    assert isinstance(answer, Refused)
    assert "status does not belong to the board" in answer.reason
    assert isinstance(connection.find(posting), Absent)


def test_an_answer_that_shows_another_status_is_not_believed(bench: Bench) -> None:
    number = opened(bench)
    connection = bench.connect()
    posting = later(Operation.CLOSE_TICKET, number)
    wire = connection.wire(posting)
    wrong = replace(wire, body=wire.body.replace(b'"status"', b'"closedFlag"'))
    assert isinstance(connection.send(posting, wrong), Unknown)
    assert isinstance(connection.find(posting), Absent)


def test_a_missing_right_is_said(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forbidden={"service/boards"})
    with pytest.raises(VendorError, match="lacks this right") as raised:
        bench.connect().find(OPEN)
    assert raised.value.code == "forbidden"
