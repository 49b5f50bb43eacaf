"""Tickets: one for each episode, noted when it grows, closed when it is over; counted in the desk's own record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from alerts_kit import HOOK, TICKETS, Killed, Room, drifting, unread

from syncd.alerts.outbox import MOST_OPENED
from syncd.core.rules import Mode
from syncd.cycle import alerting
from syncd.model import NotSent, Operation, Refused, RemoteCustomer, Unknown

MakeRoom = Callable[..., Room]
OPEN, NOTE, CLOSE = Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET


def test_the_life_of_a_ticket(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    [fared] = room.cycle(drifting())
    assert (fared.kind, fared.sent, fared.problem) == ("ticket", 1, "")
    [ticket] = room.desk.tickets.values()
    assert (ticket["company"], ticket["board"]) == ("19", "Billing")
    assert ticket["summary"].startswith("syncd: drift: Contoso Dental / M365 Business Premium: leakage, 25 billed")
    assert "What to do: Correct it by hand" in ticket["text"]
    room.cycle(drifting())
    room.cycle(drifting(used=28, amount="84.00"))
    assert [note.splitlines()[0][-31:] for note in ticket["notes"]] == [" Before: 2, 56.00 USD a period."]
    room.cycle(drifting(used=28, amount="84.00"), after=timedelta(hours=25))
    room.cycle(drifting(used=28, amount="84.00"))  # a day later it is the same: nothing to note
    room.cycle()
    room.cycle()
    assert room.desk.effects == ["open_ticket", "note_ticket", "close_ticket"]
    assert room.desk.open == []
    assert room.own() == [("open_ticket", "posted"), ("note_ticket", "posted"), ("close_ticket", "posted")]
    room.cycle(drifting())  # it came back: a new episode, a new ticket
    assert room.desk.effects[3:] == ["open_ticket"]
    assert room.ledger.verify() == []


def test_none_is_written_in_observe(make_room: MakeRoom) -> None:
    room = make_room(TICKETS, HOOK)
    room.mode = Mode.OBSERVE
    ticket, message = room.cycle(drifting())
    assert (ticket.resting, ticket.problem, ticket.sent) == (alerting.RESTING, "", 0)
    assert message.problem or message.sent  # people are told all the same
    assert room.desk.effects == []
    room.mode = Mode.PROPOSE
    room.cycle(drifting())
    assert room.desk.effects == ["open_ticket"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_while_opening_opens_one(make_room: MakeRoom, moment: str) -> None:
    room = make_room(TICKETS)
    room.desk.dies = moment
    with pytest.raises(Killed):
        room.cycle(drifting(), after=timedelta(minutes=1))
    room.dies()
    for _ in range(3):  # an unknown outcome is looked for, and sent again only when a lost request cannot land any more
        room.cycle(drifting(), after=timedelta(minutes=3))
    assert room.desk.effects == ["open_ticket"]
    assert room.own() == [("open_ticket", "posted")]
    room.cycle()
    assert room.desk.effects == ["open_ticket", "close_ticket"]


def test_a_lost_answer_is_looked_for(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.desk.answers[OPEN] = Unknown("the answer was lost")
    [fared] = room.cycle(drifting(), after=timedelta(minutes=1))
    assert (fared.sent, fared.failed) == (0, 1)
    assert "the answer was lost" in fared.problem
    room.desk.answers.clear()
    room.cycle(drifting(used=30), after=timedelta(minutes=10))  # still too early to be sure
    assert room.desk.effects == []
    room.cycle(drifting(used=30))
    assert room.desk.effects == ["open_ticket"]
    room.cycle(drifting(used=30))  # what grew meanwhile is noted once the ticket is there
    assert room.desk.effects == ["open_ticket", "note_ticket"]


def test_a_desk_that_is_down_is_told_and_tried_again(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.desk.answers[OPEN] = NotSent("connection refused")
    [fared] = room.cycle(drifting())
    assert fared.problem == "connection refused"
    room.desk.answers.clear()
    room.desk.blind = True
    [fared] = room.cycle(drifting())
    assert fared.problem == "the desk does not answer"
    room.desk.blind = False
    [fared] = room.cycle(drifting())
    assert (fared.sent, fared.problem) == (1, "")
    assert room.desk.effects == ["open_ticket"]


def test_a_closing_that_could_not_be_sent_is_not_forgotten(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.cycle(drifting())
    room.desk.answers[CLOSE] = NotSent("connection refused")
    room.cycle()
    room.cycle(drifting())  # it came back: first the old ticket is closed, then a new one opened
    assert room.desk.open == ["100"]
    room.desk.answers.clear()
    room.cycle(drifting())
    room.cycle(drifting())
    assert room.desk.effects == ["open_ticket", "close_ticket", "open_ticket"]
    assert room.desk.open == ["101"]


def test_what_is_over_before_its_ticket_was_opened_opens_none(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.desk.answers[OPEN] = NotSent("connection refused")
    room.cycle(drifting())
    room.desk.answers.clear()
    room.cycle()
    assert room.own() == [("open_ticket", "superseded")]
    assert room.desk.effects == []


def test_a_refused_ticket_is_told_until_it_is_mended_and_tried_daily(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.desk.answers[OPEN] = Refused("invalid", "there is no board Billing")
    [fared] = room.cycle(drifting())
    assert fared.failed == 1
    [fared] = room.cycle(drifting())
    assert (fared.failed, fared.problem) == (0, "a ticket was refused: there is no board Billing (invalid)")
    room.desk.answers.clear()
    room.now += timedelta(hours=24)
    [fared] = room.cycle(drifting())
    assert (fared.sent, fared.problem) == (1, "")
    assert room.own() == [("open_ticket", "failed"), ("open_ticket", "posted")]


def test_the_end_of_a_refused_ticket_is_nothing_to_close(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.desk.answers[OPEN] = Refused("invalid", "there is no board Billing")
    room.cycle(drifting())
    [fared] = room.cycle()
    assert (fared.sent, fared.failed) == (0, 0)
    [fared] = room.cycle()
    assert fared.problem == ""


@pytest.mark.parametrize(
    ("companies", "told"),
    [
        ((), 'cw has no company "ACME MSP"; name one by its id'),
        (
            (RemoteCustomer("1", "ACME MSP"), RemoteCustomer("2", "ACME MSP")),
            'cw has 2 companies "ACME MSP"; name one by its id',
        ),
        (None, "the companies of cw could not be read"),
    ],
)
def test_a_company_that_is_not_one_is_told(
    make_room: MakeRoom, companies: tuple[RemoteCustomer, ...] | None, told: str
) -> None:
    room = make_room(TICKETS)
    room.companies = companies
    [fared] = room.cycle(drifting())
    assert fared.problem == told
    room.companies = (RemoteCustomer("7", "Acme", ("acme msp",)),)
    room.cycle(drifting())
    assert room.desk.tickets["100"]["company"] == "7"


def test_a_channel_that_is_taken_out_and_comes_back_knows_its_ticket(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.cycle(drifting())
    room.tables.clear()
    room.cycle()
    assert room.desk.open == ["100"]  # nobody asked for it to be closed
    room.tables.append(TICKETS)
    room.cycle()
    assert room.desk.effects == ["open_ticket", "close_ticket"]


def test_many_are_opened_over_several_cycles(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    lines = [drifting(f"Customer {number:02}") for number in range(MOST_OPENED + 5)]
    room.cycle(*lines)
    assert len(room.desk.tickets) == MOST_OPENED
    room.cycle(*lines)
    assert len(room.desk.tickets) == MOST_OPENED + 5
    room.cycle(*lines)
    assert len(room.desk.effects) == MOST_OPENED + 5


def test_a_source_that_fails_for_many_customers_opens_one(make_room: MakeRoom) -> None:
    room = make_room(TICKETS)
    room.cycle(*(unread(f"Customer {number:02}") for number in range(9)))
    [ticket] = room.desk.tickets.values()
    assert "Customer 00, Customer 01, Customer 02, Customer 03, Customer 04 and 4 more" in ticket["text"]


def test_another_customer_that_fails_in_the_place_of_one_is_noted(make_room: MakeRoom) -> None:
    room = make_room(TICKETS, {**HOOK, "on": ["source"]})
    room.cycle(unread("Koa"))
    room.cycle(unread("Koa"))
    assert room.desk.effects == ["open_ticket"]
    room.cycle(unread("Fir"))
    room.cycle(unread("Fir"))
    assert room.desk.effects == ["open_ticket", "note_ticket"]
    [ticket] = room.desk.tickets.values()
    [told] = ticket["notes"]
    assert told.startswith("M365 could not be read for Fir: the tenant did not answer. Before: 1, Koa.\n")


def test_memory_that_was_lost_finds_its_ticket_by_the_mark(make_room: MakeRoom) -> None:
    """A ledger restored from before the ticket derives the same key and mark."""
    room = make_room(TICKETS)
    state = room.folder / "state" / "syncd.db"
    room.ledger.close()
    before = state.read_bytes()
    room.ledger = room.opened()
    room.cycle(drifting())
    room.ledger.close()
    for path in state.parent.iterdir():
        if path != state and path.name.startswith("syncd.db-"):
            path.unlink()
    state.write_bytes(before)
    room.ledger = room.opened()
    room.cycle(drifting())
    assert room.desk.effects == ["open_ticket"]
    assert room.own() == [("open_ticket", "posted")]
