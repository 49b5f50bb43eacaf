"""Tickets: opened for a team, noted, closed. Owns what is sent for them and the look whether it is there.

Halo's ticket has no free text field for a mark that is sure to exist, so the mark stands at the end of the summary, and
of a note's text; both are found by listing. A board is a team. Closing sets the status, an absolute value.
"""

from __future__ import annotations

import html
from typing import Any

from connectors.halopsa import payloads
from connectors.halopsa.abilities import MARK_LENGTH
from connectors.halopsa.answers import saved, upsert
from connectors.halopsa.api import Api
from connectors.halopsa.config import HaloSettings
from connectors.halopsa.paging import whole
from connectors.halopsa.read import same_client
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Posting, Receipt, Sight, Wire

SUMMARY_LENGTH = 150
# The client's general contact, as public integrations write it: a ticket with no named user needs no site.
_NOBODY = {"id": -1, "lookupdisplay": "General User"}


class Tickets:
    """The service desk of one connection. Thread-safe."""

    def __init__(self, api: Api, settings: HaloSettings) -> None:
        self._api = api
        self._settings = settings

    def wire(self, posting: Posting) -> Wire:
        """The request. Pure."""
        match posting.operation:
            case Operation.OPEN_TICKET:
                body: dict[str, Any] = {
                    "client_id": int(posting.customer_id),
                    "summary": f"{summary(posting)} {_reference(posting.marker)}",
                    "details_html": _html(posting.description),
                    "team": posting.options["board"],
                    "userlookup": _NOBODY,
                    "usertype": 1,
                    "donotapplytemplateintheapi": True,
                    "_forcereassign": True,
                    "_novalidate": True,
                }
                if self._settings.ticket_type is not None:
                    body["tickettype_id"] = self._settings.ticket_type
                return upsert("Tickets", body)
            case Operation.NOTE_TICKET:
                body = {
                    "ticket_id": int(posting.line_id),
                    "outcome_id": self._settings.note_outcome,
                    "note_html": f"{_html(posting.description)}<p>{_reference(posting.marker)}</p>",
                    "hiddenfromuser": True,
                }
                return upsert("Actions", body)
        body = {"id": int(posting.line_id), "status_id": self._settings.closed_status}
        return upsert("Tickets", body)

    def receipt(self, posting: Posting, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the record that was meant with what was asked, and no warning."""
        echo = reply.body[:4000].decode(errors="replace")
        if posting.operation == Operation.NOTE_TICKET:
            note: payloads.Action | None = saved(reply, payloads.Action)
            if note is None or note.warning or str(note.ticket_id) != posting.line_id:
                return None
            return Receipt(f"{note.ticket_id}/{note.id}", echo) if _says(note, posting.marker) else None
        ticket: payloads.Ticket | None = saved(reply, payloads.Ticket)
        if ticket is None or ticket.warning:
            return None
        if posting.operation == Operation.OPEN_TICKET:
            done = str(ticket.client_id) == posting.customer_id and _bears(ticket, posting.marker)
            done = done and _same(ticket.team, posting.options["board"])
        else:
            done = str(ticket.id) == posting.line_id and ticket.status_id == self._settings.closed_status
        return Receipt(str(ticket.id), echo) if done else None

    def find(self, posting: Posting) -> Sight:
        """Looks whether the ticket, the note or the closing is there. Raises VendorError where it cannot tell, and for
        a board that is missing or inactive."""
        if posting.operation == Operation.OPEN_TICKET:
            return self._find_ticket(posting)
        standing = self._standing(posting.line_id)
        if isinstance(standing, Moved):
            return standing
        if posting.operation == Operation.NOTE_TICKET:
            return self._find_note(posting)
        closed = standing.hasbeenclosed or standing.status_id == self._settings.closed_status
        return Found(str(standing.id)) if closed else Absent()

    def refusal(self, posting: Posting) -> str:
        """Why it must not be sent. No I/O."""
        if not posting.customer_id.isdigit():
            return f"a Halo ticket stands under a client by its number, and {posting.customer_id!r} is none"
        if posting.operation != Operation.OPEN_TICKET and not posting.line_id.isdigit():
            return "noting or closing a Halo ticket needs its number"
        if posting.operation == Operation.CLOSE_TICKET:
            return ""
        if not posting.marker or len(posting.marker) > MARK_LENGTH or not posting.marker.isascii():
            return f"the mark of a ticket or note must be 1 to {MARK_LENGTH} plain characters"
        if posting.operation == Operation.OPEN_TICKET and not posting.options.get("board"):
            return "a Halo ticket needs the name of a team as its board"
        if posting.operation == Operation.OPEN_TICKET and not summary(posting):
            return "a Halo ticket needs a summary"
        return ""

    def _find_ticket(self, posting: Posting) -> Sight:
        client = int(posting.customer_id)
        rows = whole(self._api, "Tickets", payloads.Ticket, params={"client_id": client}).rows
        for row in rows:
            same_client(row.client_id, client, f"ticket #{row.id}")
        bearing = [row for row in rows if _bears(row, posting.marker)]
        if len(bearing) > 1:
            numbers = ", ".join(f"#{row.id}" for row in bearing)
            return Moved(f"{len(bearing)} Halo tickets bear the mark {posting.marker} ({numbers}); close or merge them")
        if bearing:
            return Found(str(bearing[0].id))
        self._judge_board(posting.options["board"])
        return Absent()

    def _find_note(self, posting: Posting) -> Sight:
        params: dict[str, str | int] = {"ticket_id": int(posting.line_id), "includehtmlnote": "true"}
        notes = whole(self._api, "Actions", payloads.Action, params=params, pages=False).rows
        if other := next((one for one in notes if str(one.ticket_id) != posting.line_id), None):
            raise VendorError(
                "malformed",
                f"Halo answered with an action of ticket #{other.ticket_id} when asked for those of #{posting.line_id}",
            )
        bearing = [one for one in notes if _says(one, posting.marker)]
        if len(bearing) > 1:
            numbers = ", ".join(f"#{one.id}" for one in bearing)
            return Moved(
                f"{len(bearing)} notes of ticket #{posting.line_id} bear the mark {posting.marker} ({numbers})"
            )
        return Found(f"{bearing[0].ticket_id}/{bearing[0].id}") if bearing else Absent()

    def _standing(self, ticket: str) -> payloads.Ticket | Moved:
        try:
            found = self._api.read(f"Tickets/{int(ticket)}", params={"includedetails": "true"}).parse(payloads.Ticket)
        except VendorError as error:
            if error.status != 404:
                raise
            self._api.read("Tickets", params={"pageinate": "true", "page_size": 1, "page_no": 1})
            return Moved(f"the Halo ticket #{ticket} no longer exists")
        if found.id != int(ticket):
            raise VendorError("malformed", f"Halo answered with ticket #{found.id}, not #{ticket}")
        return found

    def _judge_board(self, name: str) -> None:
        """Raises VendorError `invalid` where no single active team has this name."""
        teams = whole(self._api, "Team", payloads.Team, pages=False, counted=False).rows
        named = [one for one in teams if _same(one.name, name)]
        active = [one for one in named if not one.inactive]
        if len(active) == 1:
            return
        if named and not active:
            raise VendorError("invalid", f'the Halo team "{name}" is inactive; activate it, or name another as board')
        others = ", ".join(sorted(f'"{one.name}"' for one in teams if not one.inactive))
        found = f"{len(active)} teams" if active else "no team"
        raise VendorError("invalid", f'Halo has {found} called "{name}" (the alert\'s board); it has {others}')


def summary(posting: Posting) -> str:
    """The ticket's summary on one line, without its mark, cut between words."""
    text = " ".join(posting.options.get("summary", "").split())
    if len(text) <= SUMMARY_LENGTH:
        return text
    cut = text[: SUMMARY_LENGTH - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut else cut}…"


def _reference(marker: str) -> str:
    return f"[{marker}]"


def _bears(ticket: payloads.Ticket, marker: str) -> bool:
    return (ticket.summary or "").rstrip().endswith(_reference(marker))


def _says(note: payloads.Action, marker: str) -> bool:
    return _reference(marker) in (note.note_html or "") or _reference(marker) in (note.note or "")


def _html(text: str) -> str:
    return "".join(f"<p>{html.escape(line)}</p>" for line in text.splitlines() if line.strip())


def _same(told: str | None, wanted: str) -> bool:
    return (told or "").strip().casefold() == wanted.strip().casefold()
