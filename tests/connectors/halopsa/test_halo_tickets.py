"""Tickets of alerts: opened for a team, noted, closed, found again."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import Bench

from connectors.halopsa.tickets import SUMMARY_LENGTH
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Posting, Receipt, Refused, Unknown

OPEN = Posting(
    operation=Operation.OPEN_TICKET,
    key="t1",
    marker="sd-t1-ticket",
    customer_id="101",
    quantity=Decimal(0),
    description="2 seats <leak>.\n\nApprove them.",
    options={"board": "billing", "summary": "2 seats are not billed"},
)
NOTE = replace(OPEN, operation=Operation.NOTE_TICKET, marker="sd-t1-note", description="Now 3 seats.")
CLOSE = replace(OPEN, operation=Operation.CLOSE_TICKET, marker="sd-t1-close")


def sent(bench: Bench, posting: Posting, **keys: Any) -> Any:
    connection = bench.connect(**keys)
    return connection.send(posting, connection.wire(posting))


def opened(bench: Bench) -> str:
    receipt = sent(bench, OPEN)
    assert isinstance(receipt, Receipt)
    return receipt.remote_id


def test_a_ticket_goes_to_its_team_and_is_found_by_its_mark(bench: Bench) -> None:
    assert isinstance(bench.connect().find(OPEN), Absent)
    number = opened(bench)
    row = bench.double.tables["Tickets"][int(number)]

    assert row["summary"] == "2 seats are not billed [sd-t1-ticket]"
    assert row["details_html"] == "<p>2 seats &lt;leak&gt;.</p><p>Approve them.</p>"
    assert row["team"] == "Billing"
    assert bench.connect().find(OPEN) == Found(number)


def test_the_body_names_nobody_and_fires_nothing(bench: Bench) -> None:
    [body] = json.loads(bench.connect(ticket_type=3).wire(OPEN).body)

    assert body["userlookup"]["id"] == -1
    assert (body["_novalidate"], body["donotapplytemplateintheapi"]) == (True, True)
    assert body["tickettype_id"] == 3


@pytest.mark.parametrize(
    ("board", "told"),
    [
        ("Old Team", 'the Halo team "Old Team" is inactive'),
        ("Biling", 'Halo has no team called "Biling" (the alert\'s board); it has "Billing", "Service Desk"'),
    ],
)
def test_a_team_that_cannot_take_it_is_said_before_anything_leaves(bench: Bench, board: str, told: str) -> None:
    with pytest.raises(VendorError) as failed:
        bench.connect().find(replace(OPEN, options={**OPEN.options, "board": board}))
    assert told in str(failed.value)
    assert bench.double.effects == []


def test_two_teams_of_one_name(bench: Bench) -> None:
    bench.double.tables["Team"][4] = {"id": 4, "name": "Billing", "inactive": False}

    with pytest.raises(VendorError, match="2 teams"):
        bench.connect().find(OPEN)


def test_a_ticket_that_landed_in_another_team_is_no_success(bench: Bench) -> None:
    assert isinstance(sent(bench, replace(OPEN, options={**OPEN.options, "board": "Nowhere"})), Unknown)


def test_notes_are_internal_and_found_by_their_mark(bench: Bench) -> None:
    number = opened(bench)
    note = replace(NOTE, line_id=number)
    assert isinstance(bench.connect().find(note), Absent)
    assert sent(bench, note).remote_id == f"{number}/1"

    row = next(one for one in bench.double.tables["Actions"].values() if str(one["ticket_id"]) == number)
    assert (row["hiddenfromuser"], row["outcome_id"]) == (True, 7)
    assert bench.connect().find(note) == Found(f"{number}/1")
    sent(bench, note)
    assert isinstance(bench.connect().find(note), Moved)


def test_a_note_without_outcome_is_what_halo_refuses(bench: Bench) -> None:
    note = replace(NOTE, line_id=opened(bench))
    connection = bench.connect()
    wire = connection.wire(note)

    told = connection.send(note, replace(wire, body=wire.body.replace(b'"outcome_id":7', b'"outcome_id":0')))
    assert isinstance(told, Refused)
    assert "An Outcome must be entered" in told.reason


def test_closing_sets_the_status(bench: Bench) -> None:
    number = opened(bench)
    close = replace(CLOSE, line_id=number)
    assert isinstance(bench.connect().find(close), Absent)
    assert isinstance(sent(bench, close), Receipt)

    assert bench.double.tables["Tickets"][int(number)]["hasbeenclosed"] is True
    assert bench.connect().find(close) == Found(number)
    assert bench.connect().find(OPEN) == Found(number)  # it is the one, whoever closed it


def test_a_ticket_that_somebody_closed_in_his_own_way_is_closed(bench: Bench) -> None:
    number = opened(bench)
    bench.double.tables["Tickets"][int(number)] |= {"status_id": 8, "hasbeenclosed": True}

    assert bench.connect().find(replace(CLOSE, line_id=number)) == Found(number)


def test_a_ticket_that_is_gone(bench: Bench) -> None:
    for posting in (NOTE, CLOSE):
        seen = bench.connect().find(replace(posting, line_id="77"))
        assert isinstance(seen, Moved)
        assert "no longer exists" in seen.what


def test_summaries_keep_their_mark(bench: Bench) -> None:
    long = replace(OPEN, options={**OPEN.options, "summary": "seats " * 60})
    [body] = json.loads(bench.connect().wire(long).body)

    assert body["summary"].endswith("… [sd-t1-ticket]")
    assert len(body["summary"]) < SUMMARY_LENGTH + 20


def test_a_warning_is_no_success(bench: Bench) -> None:
    bench.double.warning = "no mail could be sent"

    assert isinstance(sent(bench, OPEN), Unknown)
