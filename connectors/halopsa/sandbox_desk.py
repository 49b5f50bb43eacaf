"""The double's service desk: tickets and actions with Halo's rules for them."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Request

from connectors.halopsa.sandbox_billing import API_AGENT, Billing

Row = dict[str, Any]
CLOSED = 9


class Desk(Billing):
    """Tickets. See `sandbox.build` for the options."""

    def desk_routes(self) -> None:
        """Adds the routes of the service desk."""
        tables = self.tables
        self.api("GET", "Tickets", self._tickets)
        self.api("GET", "Tickets/<int:number>", lambda request, number: self.single("Tickets", number))
        self.api("POST", "Tickets", self._save_tickets)
        self.api("GET", "Actions", self._actions)
        self.api("POST", "Actions", self._save_actions)
        self.api("GET", "Team", lambda request: self.listed(request, "Team", "teams", tables["Team"].values(), False))

    def single(self, resource: str, number: int) -> Any:
        """One record, or 404."""
        row = self.tables[resource].get(number)
        return self.refuse(404, f"{resource} {number} was not found") if row is None else row

    def _tickets(self, request: Request) -> Any:
        client = request.args.get("client_id")
        rows = [row for row in self.tables["Tickets"].values() if client in (None, str(row["client_id"]))]
        return self.listed(request, "Tickets", "tickets", rows)

    def _actions(self, request: Request) -> Any:
        args = request.args
        rows = list(self.tables["Actions"].values())
        if args.get("ticket_id"):
            rows = [row for row in rows if str(row["ticket_id"]) == args["ticket_id"]]
        elif not (args.get("startdate") and args.get("enddate")):
            return self.refuse(400, "A ticket or a range of dates is needed")
        else:
            first, last = (args[name].rstrip("Z") for name in ("startdate", "enddate"))
            rows = [row for row in rows if first <= row["datetime"] <= last]
        if args.get("timeentriesonly") == "true":
            rows = [row for row in rows if row.get("timetaken")]
        if args.get("includehtmlnote") != "true":
            rows = [{name: value for name, value in row.items() if name != "note_html"} for row in rows]
        return self.listed(request, "Actions", "actions", rows, paged=False)

    def _save_tickets(self, request: Request) -> Any:
        body = request.get_json()
        if not isinstance(body, list):
            return self.refuse(400, "an array was expected")
        made: list[Row] = []
        for given in body:
            row = self.tables["Tickets"].get(given["id"]) if given.get("id") else {}
            if row is None:
                return self.refuse(404, "the ticket was not found")
            if not given.get("id") and (fault := self._fault(given)):
                return self.refuse(400, fault)
            made.append(self._saved_ticket(row, given))
        return self.answered(made)

    def _fault(self, given: Row) -> str:
        if given.get("client_id") not in self.tables["Client"]:
            return "The client was not found"
        if not given.get("summary"):
            return "Please enter a summary"
        if given.get("user_id", -1) > 0 and not given.get("site_id"):
            return "A site must be given with a user"
        if not given.get("_novalidate") and not given.get("tickettype_id"):
            return "Please enter the ticket type"
        return ""

    def _saved_ticket(self, row: Row, given: Row) -> Row:
        changed = {
            **row,
            **{name: value for name, value in given.items() if not name.startswith("_") and name != "userlookup"},
        }
        if self.warning:
            text, self.warning = self.warning, ""
            return {**changed, "id": row.get("id", 0), "_warning": text}
        if not row:
            team = changed.get("team", "")
            known = {one["name"].casefold(): one["name"] for one in self.tables["Team"].values() if not one["inactive"]}
            changed |= {
                "id": self.fresh_id(), "status_id": 1, "hasbeenclosed": False,
                "dateoccurred": f"{self.now():%Y-%m-%dT%H:%M:%S}", "team": known.get(team.casefold(), "Service Desk"),
                "tickettype_id": given.get("tickettype_id", 1), "tickettype_name": "Incident",
            }  # fmt: skip
        changed["hasbeenclosed"] = changed["status_id"] == CLOSED
        if not self.ignoring() and changed != row:
            self.tables["Tickets"][changed["id"]] = changed
            if row:
                self.effect("change_ticket", changed["id"], status=changed["status_id"])
            else:
                self.effect("create_ticket", changed["id"], team=changed["team"], mark=changed["summary"])
        return changed

    def _save_actions(self, request: Request) -> Any:
        body = request.get_json()
        if not isinstance(body, list):
            return self.refuse(400, "an array was expected")
        made = []
        for given in body:
            if given.get("ticket_id") not in self.tables["Tickets"]:
                return self.refuse(404, "the ticket was not found")
            if not given.get("outcome_id"):
                return self.refuse(400, "An Outcome must be entered for this Action")
            ids = [one["id"] for one in self.tables["Actions"].values() if one["ticket_id"] == given["ticket_id"]]
            row = {
                **given, "id": max(ids, default=0) + 1, "who": API_AGENT, "who_agentid": 99,
                "datetime": f"{self.now():%Y-%m-%dT%H:%M:%S}", "note": given.get("note", ""),
            }  # fmt: skip
            if not self.ignoring():
                self.tables["Actions"][self.fresh_id()] = row
                self.effect("create_note", f"{row['ticket_id']}/{row['id']}", ticket=row["ticket_id"])
            made.append(row)
        return self.answered(made)
