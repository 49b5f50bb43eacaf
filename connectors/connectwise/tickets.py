"""Tickets: opened on a board, noted, closed. Owns what is sent for them and the look whether it is there; no addition.

ConnectWise has no idempotency key, so a new ticket bears syncd's mark in `externalXRef` and a note at the end of its
text; both are found by listing. Closing sets a status, an absolute value. Which statuses mean "closed" is each board's
own affair: `closedFlag` of a ticket follows from its status, and nothing documents that it can be written. Therefore a
closing names the status by its id, which is read from the ticket's board when the request is made and frozen with it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from connectors.connectwise.abilities import NOTE_MARK_LENGTH, XREF_LENGTH
from connectors.connectwise.api import Api
from connectors.connectwise.conditions import compare
from connectors.connectwise.config import ConnectWiseSettings
from connectors.connectwise.paging import whole
from connectors.connectwise.payloads import Board, BoardStatus, DeskTicket, TicketNote
from syncd.connect.http import Reply, json_bytes
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Posting, Receipt, Sight, Wire

SUMMARY_LENGTH = 100
_HEADERS = (("content-type", "application/json; charset=utf-8"),)
_SHOWN = "id,summary,externalXRef,company,board,status,closedFlag,_info"


class Tickets:
    """The service desk of one connection. Thread-safe; boards and their statuses are read once while it is open."""

    def __init__(self, api: Api, settings: ConnectWiseSettings) -> None:
        self._api = api
        self._closed_status = settings.closed_status
        self._boards = Once(self._read_boards)
        self._statuses: dict[int, Once[tuple[BoardStatus, ...]]] = {}
        self._lock = threading.Lock()

    def wire(self, posting: Posting) -> Wire:
        """The request. Opening and noting are pure; closing reads the ticket's board for the status that closes it.

        Raises VendorError where the ticket or its board cannot be read, or the board has no or several such statuses.
        """
        match posting.operation:
            case Operation.OPEN_TICKET:
                body: dict[str, Any] = {
                    "recordType": "ServiceTicket",
                    "summary": summary(posting),
                    "company": {"id": int(posting.customer_id)},
                    "board": {"name": posting.options["board"]},
                    "initialDescription": one_line(posting.description),
                    "externalXRef": posting.marker,
                    "processNotifications": False,  # the alert is the ticket itself, not a mail about it
                }
                return Wire("POST", "service/tickets", json_bytes(body), _HEADERS)
            case Operation.NOTE_TICKET:
                body = {
                    "text": f"{one_line(posting.description)} {_reference(posting.marker)}".lstrip(),
                    "internalAnalysisFlag": True,  # for the MSP's own people: a discussion shows in customer portals
                    "detailDescriptionFlag": False,
                    "resolutionFlag": False,
                    "processNotifications": False,
                }
                return Wire("POST", f"service/tickets/{int(posting.line_id)}/notes", json_bytes(body), _HEADERS)
        standing = self._standing(posting.line_id)
        if isinstance(standing, Moved):
            raise VendorError("not_found", standing.what)
        patch = [{"op": "replace", "path": "status", "value": {"id": self._closing(standing)}}]
        return Wire("PATCH", f"service/tickets/{int(posting.line_id)}", json_bytes(patch), _HEADERS)

    def receipt(self, posting: Posting, wire: Wire, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the record that was meant with what was asked."""
        echo = reply.body[:4000].decode(errors="replace")
        if posting.operation == Operation.NOTE_TICKET:
            note = reply.try_parse(TicketNote)
            done = note is not None and note.id > 0 and _reference(posting.marker) in (note.text or "")
            return Receipt(str(note.id), echo) if note and done else None
        shown = reply.try_parse(DeskTicket)
        if shown is None:
            return None
        if posting.operation == Operation.OPEN_TICKET:
            done = (
                shown.id > 0
                and shown.external_x_ref == posting.marker
                and str(shown.company.id) == posting.customer_id
                and shown.board is not None
                and _same(shown.board.name, posting.options["board"])
            )
        else:
            wanted = msgspec.json.decode(wire.body)[0]["value"]["id"]
            done = str(shown.id) == posting.line_id and shown.status is not None and shown.status.id == wanted
        return Receipt(str(shown.id), echo) if done else None

    def find(self, posting: Posting) -> Sight:
        """Looks whether the ticket, the note or the closing is there. Raises VendorError where it cannot tell.

        Before a first sending this is also where a board that is missing or inactive comes to light: by then it has
        been read, and nothing has left.
        """
        if posting.operation == Operation.OPEN_TICKET:
            return self._find_ticket(posting)
        standing = self._standing(posting.line_id)
        if isinstance(standing, Moved):
            return standing
        if posting.operation == Operation.NOTE_TICKET:
            return self._find_note(posting)
        if standing.closed_flag or (
            standing.status is not None
            and any(one.id == standing.status.id and one.closed_status for one in self._statuses_of(standing))
        ):
            return Found(str(standing.id))
        return Absent()

    def refusal(self, posting: Posting) -> str:
        """Why it must not be sent, from the posting and from the boards where this connection has read them. No I/O."""
        if not posting.customer_id.isdigit():
            return f"a ConnectWise ticket stands under a company by its number, and {posting.customer_id!r} is none"
        if posting.operation == Operation.CLOSE_TICKET:
            return "" if posting.line_id.isdigit() else "closing a ConnectWise ticket needs its number"
        limit = XREF_LENGTH if posting.operation == Operation.OPEN_TICKET else NOTE_MARK_LENGTH
        if not posting.marker or len(posting.marker) > limit or not posting.marker.isascii():
            return f"the mark of a ticket or note must be 1 to {limit} plain characters"
        if posting.operation == Operation.NOTE_TICKET:
            return "" if posting.line_id.isdigit() else "a note needs the number of its ConnectWise ticket"
        if not posting.options.get("board"):
            return "a ConnectWise ticket needs the name of a service board"
        if not summary(posting):
            return "a ConnectWise ticket needs a summary"
        boards = self._boards.known()
        return "" if boards is None else _board_problem(boards, posting.options["board"])

    def _find_ticket(self, posting: Posting) -> Sight:
        rows = whole(
            self._api,
            "service/tickets",
            DeskTicket,
            conditions=compare("externalXRef", "=", posting.marker),
            fields=_SHOWN,
        ).rows
        if other := next((row for row in rows if not _same(row.external_x_ref, posting.marker)), None):
            raise VendorError(
                "malformed",
                f"ConnectWise answered with ticket #{other.id} when asked for those marked {posting.marker}",
            )
        bearing = [row for row in rows if row.external_x_ref == posting.marker]
        if len(bearing) > 1:
            numbers = ", ".join(f"#{row.id}" for row in bearing)
            return Moved(
                f"{len(bearing)} ConnectWise tickets bear the mark {posting.marker} ({numbers}); close or merge the "
                "surplus ones by hand"
            )
        if bearing:
            return Found(str(bearing[0].id))
        if problem := _board_problem(self._boards.get(), posting.options["board"]):
            raise VendorError("invalid", problem)
        return Absent()

    def _find_note(self, posting: Posting) -> Sight:
        notes = whole(self._api, f"service/tickets/{int(posting.line_id)}/notes", TicketNote).rows
        if other := next((one for one in notes if str(one.ticket_id or posting.line_id) != posting.line_id), None):
            raise VendorError(
                "malformed",
                f"ConnectWise answered with note #{other.id} of ticket #{other.ticket_id} when asked for those of "
                f"#{posting.line_id}",
            )
        bearing = [one for one in notes if _reference(posting.marker) in (one.text or "")]
        if len(bearing) > 1:
            numbers = ", ".join(f"#{one.id}" for one in bearing)
            return Moved(
                f"{len(bearing)} notes of the ConnectWise ticket #{posting.line_id} bear the mark {posting.marker} "
                f"({numbers})"
            )
        return Found(str(bearing[0].id)) if bearing else Absent()

    def _standing(self, ticket_id: str) -> DeskTicket | Moved:
        try:
            found = self._api.read(f"service/tickets/{int(ticket_id)}", params={"fields": _SHOWN}).parse(DeskTicket)
        except VendorError as error:
            if error.status != 404:
                raise
            self._boards.get()  # raises where the service desk cannot be read at all: then a 404 says nothing
            return Moved(f"the ConnectWise ticket #{ticket_id} no longer exists")
        if str(found.id) != str(int(ticket_id)):
            raise VendorError("malformed", f"ConnectWise answered with ticket #{found.id}, not #{ticket_id}")
        return found

    def _closing(self, ticket: DeskTicket) -> int:
        """The id of the status that closes this ticket: the only one, the one that the admin or the board names.

        Raises VendorError `invalid` where the board has none, or several and nothing says which.
        """
        if ticket.closed_flag and ticket.status is not None and ticket.status.id is not None:
            return ticket.status.id  # somebody closed it already, in whichever way he chose
        closing = [one for one in self._statuses_of(ticket) if one.closed_status and not one.inactive]
        board = f'the ConnectWise board "{(ticket.board and ticket.board.name) or ""}"'
        names = ", ".join(f'"{one.name}"' for one in closing)
        if not closing:
            raise VendorError("invalid", f"{board} has no status that closes a ticket; mark one of them as closed")
        if self._closed_status:
            named = [one for one in closing if _same(one.name, self._closed_status)]
            if len(named) == 1:
                return named[0].id
            if len(closing) > 1:
                raise VendorError(
                    "invalid", f'{board} has no closed status "{self._closed_status}" (closed_status); it has {names}'
                )
        if len(closing) == 1:
            return closing[0].id
        flagged = [one for one in closing if one.default_flag] or [
            one for one in closing if one.id == self._auto_close(ticket)
        ]
        if len(flagged) == 1:
            return flagged[0].id
        raise VendorError(
            "invalid",
            f"{board} has {len(closing)} statuses that close a ticket ({names}) and flags none as the default; "
            "name one with closed_status in the connection",
        )

    def _auto_close(self, ticket: DeskTicket) -> int | None:
        """The status into which the board itself closes tickets, None where it tells none."""
        board = next((one for one in self._boards.get() if ticket.board and one.id == ticket.board.id), None)
        return board.auto_close_status.id if board and board.auto_close_status else None

    def _statuses_of(self, ticket: DeskTicket) -> tuple[BoardStatus, ...]:
        if ticket.board is None or ticket.board.id is None:
            raise VendorError("malformed", f"the ConnectWise ticket #{ticket.id} names no board")
        path = f"service/boards/{ticket.board.id}/statuses"
        with self._lock:
            once = self._statuses.setdefault(ticket.board.id, Once(lambda: whole(self._api, path, BoardStatus).rows))
        return once.get()

    def _read_boards(self) -> tuple[Board, ...]:
        fields = "id,name,inactiveFlag,autoCloseStatus"
        boards = whole(self._api, "service/boards", Board, fields=fields).rows
        if not boards:
            raise VendorError(
                "incomplete",
                "ConnectWise shows not a single service board; the API member's role probably lacks Service Desk › "
                "Service Tickets (inquire, all)",
            )
        return boards


def summary(posting: Posting) -> str:
    """The ticket's summary on one line, cut between words at the vendor's 100 characters."""
    text = " ".join(posting.options.get("summary", "").split())
    if len(text) <= SUMMARY_LENGTH:
        return text
    cut = text[: SUMMARY_LENGTH - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut else cut}…"


def one_line(text: str) -> str:
    """Text without line breaks, which ConnectWise turns into spaces: the lines stay apart by a dot between them."""
    return " · ".join(line for line in (" ".join(one.split()) for one in text.splitlines()) if line)


def _reference(marker: str) -> str:
    return f"(ref {marker})"


def _same(told: str | None, wanted: str) -> bool:
    """Names compare as the vendor's own filter does: without case."""
    return (told or "").strip().casefold() == wanted.strip().casefold()


def _board_problem(boards: Sequence[Board], name: str) -> str:
    named = [one for one in boards if _same(one.name, name)]
    active = [one for one in named if not one.inactive_flag]
    if len(active) == 1:
        return ""
    if len(active) > 1:
        return f'ConnectWise has {len(active)} service boards called "{name}"; rename one of them'
    if named:
        return f'the ConnectWise service board "{name}" is inactive; activate it, or name another board in the alert'
    others = ", ".join(sorted(f'"{one.name}"' for one in boards if not one.inactive_flag))
    return f'ConnectWise has no service board "{name}"; it has {others}'
