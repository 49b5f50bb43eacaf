"""The double's service desk: boards with their statuses, tickets, notes. Shares no code with the connector.

A ticket is closed by its status alone: `closedFlag` follows from it, and a PATCH of the flag answers 200 and changes
nothing, the harsher of two readings of a description that does not say.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request

from connectors.connectwise import sandbox_state as state
from connectors.connectwise.sandbox_books import Books
from connectors.connectwise.sandbox_front import error, invalid, missing
from syncd.sandbox.kit import json_response
from syncd.sandbox.world import World

Row = dict[str, Any]
WRITTEN_BY = "syncd API"
_WRITABLE = frozenset("summary externalXRef severity impact customerUpdatedFlag".split())


class Desk(Books):
    """Tickets. See `sandbox.build` for the options."""

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, **options)
        for number, name in state.BOARDS:
            self.sub_lists[f"service/boards/{number}/statuses"] = state.statuses(number, name)

    def desk_routes(self, api: str) -> None:
        """Adds the routes that write; lists are served with all the others."""
        tickets = f"{api}/service/tickets"
        self.api("POST", tickets, "service/tickets", self._post_ticket)
        self.api("PATCH", f"{tickets}/<int:number>", "service/tickets", self._patch_ticket)
        self.api("POST", f"{tickets}/<int:number>/notes", "service/tickets", self._post_note)

    def notes(self, ticket: int) -> dict[int, Row]:
        """A ticket's notes by id."""
        return self.sub_lists.setdefault(f"service/tickets/{ticket}/notes", {})

    def statuses(self, board: int) -> dict[int, Row]:
        """A board's statuses by id."""
        return self.sub_lists[f"service/boards/{board}/statuses"]

    def set_by_hand(self, ticket: int, status: int, by: str = "Technician 1") -> None:
        """A person sets a ticket's status."""
        with self.lock:
            row = self.tables["service/tickets"][ticket]
            self._set_status(row, self.statuses(row["board"]["id"])[status])
            self.touch(row, by)

    def _post_ticket(self, request: Request) -> Any:
        body = json.loads(request.get_data(), parse_float=Decimal)
        if not isinstance(body, dict):
            return error(400, "InvalidObject", "ticket object is invalid")
        company = _named(self.tables["company/companies"], body.get("company"), "identifier")
        board = _named(self.tables["service/boards"], body.get("board"), "name")
        faults = []
        if not body.get("summary"):
            faults.append(("summary", "summary is required"))
        elif len(body["summary"]) > 100:
            faults.append(("summary", "summary cannot exceed 100 characters"))
        if len(body.get("externalXRef") or "") > 100:
            faults.append(("externalXRef", "externalXRef cannot exceed 100 characters"))
        if company is None or company.get("deletedFlag"):
            faults.append(("company", "company was not found"))
        if board is None or board["inactiveFlag"]:
            faults.append(("board", "board was not found or is inactive"))
        if faults:
            return invalid("ticket", faults)
        assert company is not None
        assert board is not None
        row: Row = {
            "id": self.next_id + 1,
            "recordType": "ServiceTicket",
            **{name: value for name, value in body.items() if name in _WRITABLE},
            "board": {"id": board["id"], "name": board["name"]},
            "company": {name: company[name] for name in ("id", "identifier", "name")},
        }
        self._set_status(row, next(one for one in self.statuses(board["id"]).values() if one["defaultFlag"]))
        self.touch(row, WRITTEN_BY)
        if not self.ignoring():
            self.next_id += 1
            self.tables["service/tickets"][row["id"]] = row
            self.effect("create_ticket", row["id"], board=board["name"], mark=row.get("externalXRef", ""))
            if text := body.get("initialDescription"):
                self._keep_note(self._new_note(row["id"], {"text": text, "detailDescriptionFlag": True}))
        return json_response(self.shown(row, request.args.get("fields", "")), 201)

    def _patch_ticket(self, request: Request, number: int) -> Any:
        row = self.tables["service/tickets"].get(number)
        if row is None:
            return missing()
        operations = json.loads(request.get_data(), parse_float=Decimal)
        if not isinstance(operations, list):
            return error(400, "InvalidObject", "patch operations must be an array")
        changed = dict(row)
        for operation in operations:
            field, value = operation.get("path", ""), operation.get("value")
            if field == "status":
                status = _named(self.statuses(row["board"]["id"]), value, "name")
                if status is None:
                    return invalid("ticket", [("status", "status does not belong to the board of the ticket")])
                self._set_status(changed, status)
            elif field in _WRITABLE:
                changed[field] = value
        if changed != row:
            self.touch(changed, WRITTEN_BY)
            if not self.ignoring():
                self.tables["service/tickets"][number] = changed
                self.effect("change_ticket", number, status=changed["status"]["name"])
        return self.shown(changed, "")

    def _post_note(self, request: Request, number: int) -> Any:
        if number not in self.tables["service/tickets"]:
            return missing()
        body = json.loads(request.get_data(), parse_float=Decimal)
        if not isinstance(body, dict) or not body.get("text"):
            return invalid("serviceNote", [("text", "text is required")])
        if not any(body.get(f"{kind}Flag") for kind in ("internalAnalysis", "detailDescription", "resolution")):
            return invalid("serviceNote", [("internalAnalysisFlag", "a note needs one of its kinds")])
        made = self._new_note(number, body)
        if not self.ignoring():
            self._keep_note(made)
            self.effect("create_note", made["id"], ticket=number)
        return json_response(self.shown(made, ""), 201)

    def _keep_note(self, note: Row) -> None:
        self.next_id += 1
        self.notes(note["ticketId"])[note["id"]] = note

    def _new_note(self, ticket: int, body: Row) -> Row:
        return {
            "id": self.next_id + 1,
            "ticketId": ticket,
            "text": " ".join(body["text"].splitlines()),
            "detailDescriptionFlag": bool(body.get("detailDescriptionFlag")),
            "internalAnalysisFlag": bool(body.get("internalAnalysisFlag")),
            "resolutionFlag": bool(body.get("resolutionFlag")),
            "dateCreated": f"{self.now():%Y-%m-%dT%H:%M:%SZ}",
            "createdBy": WRITTEN_BY,
        }

    def _set_status(self, row: Row, status: Row) -> None:
        if row.get("status", {}).get("id") == status["id"]:
            return
        row["status"] = {"id": status["id"], "name": status["name"]}
        row["closedFlag"] = status["closedStatus"]
        if status["closedStatus"]:
            row["closedDate"] = f"{self.now():%Y-%m-%dT%H:%M:%SZ}"
        else:
            row.pop("closedDate", None)


def _named(rows: dict[int, Row], reference: Any, key: str) -> Row | None:
    """The record that a reference names, by id, else by its other key without case."""
    if not isinstance(reference, dict):
        return None
    if reference.get("id"):
        return rows.get(reference["id"])
    wanted = str(reference.get(key) or "").casefold()
    found = [row for row in rows.values() if row[key].casefold() == wanted]
    return found[0] if len(found) == 1 else None
