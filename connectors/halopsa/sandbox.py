"""A double of HaloPSA over real HTTP: sign-in with scopes, paging with its cap, upserts by array, lines that Halo
calculates, pro-rata rows, the audit, drafts, the invoice run, a rival who edits meanwhile.

Shares no code with the connector. `build(world, …)` makes one; see there for what can be configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request

from connectors.halopsa import sandbox_state as state
from connectors.halopsa.sandbox_billing import API_AGENT
from connectors.halopsa.sandbox_desk import Desk
from connectors.halopsa.sandbox_fill import fill, times
from connectors.halopsa.sandbox_front import number
from syncd.model import Billing, Operation, Posting, Product, RemoteCustomer
from syncd.sandbox.world import World

Row = dict[str, Any]
LINE_FIELDS = frozenset(
    "qty_order unit_price unit_cost item_shortdescription item_longdescription comment_1 comment_2 isinactive "
    "startdate enddate onetimecharge".split()
)
_RULES = ("quantity_licences", "quantity_subscriptions", "quantity_users", "quantity_assets", "prorata_data")


def build(world: World, **options: Any) -> HaloDouble:
    """The double of the world's PSA. Options, all with defaults:

    `client_id`, `client_secret` (None accepts any), `tenant` ("acme"), `granted` (scopes of the application; None
    grants what is asked), `forbidden` (resources that answer 403), `hidden` (resources whose lists are empty, as to an
    agent without the right), `bare` (resources listed as bare arrays), `authinfo` (False: there is no such page),
    `auth_url` (what it tells), `token_life` (seconds), `longest_page` (the cap), `skips_what_was_asked` (the next page
    begins after what was asked for, not after what came back), `longest_list` (the cap of lists without pages; 0 is
    none), `per_minute`, `retry_after` ("" leaves it out),
    `error_shape` (see `sandbox_front.SHAPES`), `answers_array`, `list_rules` (False: lists leave out how lines are
    calculated), `list_billing_flags` (False: lists of users leave out who is not billed).
    """
    return HaloDouble(world, **options)


class HaloDouble(Desk):
    """State and routes. Tests reach in through `tables`, `rival`, `nightly`, `prorate`, `invoice`, `warning` and
    `reprices`."""

    def __init__(
        self, world: World, *, list_rules: bool = True, list_billing_flags: bool = True, **options: Any
    ) -> None:
        super().__init__(world, **options)
        self.list_rules, self.list_billing_flags = list_rules, list_billing_flags
        self.reprices: Decimal | None = None  # what Halo's item then writes as price onto a line that is written
        self.settings = {
            "client_id": self.client_id or "sandbox-client",
            "client_secret": self.client_secret or "sandbox-secret",
            "tenant": self.tenant,
        }
        self._routes()

    # --- what tests and the demo do to it -------------------------------------------------------------------------

    def rival(self, line: int, quantity: Decimal | int, by: str = "Dana Admin") -> Row:
        """A person changes a quantity."""
        with self.lock:
            found = self.find_line(line)
            assert found is not None, f"there is no line {line}"
            self.edit_line(*found, {"qty_order": Decimal(quantity)}, by)
            return found[1]

    def sample(self, posting: Posting) -> Posting:
        """A new line begins after what is invoiced: Halo charges nothing for days before."""
        if posting.operation != Operation.ADD_LINE:
            return posting
        header = self.tables["RecurringInvoice"][int(posting.agreement_id)]
        following = date.fromisoformat(header["nextcreationdate"][:10])
        return replace(posting, starts=max(following, posting.starts or following))

    def shift(self) -> None:
        """Somebody adds a client, and takes away the one that was added before."""
        with self.lock:
            clients = self.tables["Client"]
            sample = clients[max(clients)]
            added = [one for one in clients if one < state.FIRST_CLIENT]
            for one in added:
                del clients[one]
            fresh = (added[0] if added else 10) + 1
            clients[fresh] = {**sample, "id": fresh, "name": f"Shifted {fresh}"}

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of a real Halo instead of its own (see `syncd.sandbox.fill`)."""
        self.settings |= fill(self, customers, products, billings)

    def push(self, field: str) -> None:
        """What the accounting sync does: every invoice is posted, and bears its id there (`xeroid`, `qboid`)."""
        with self.lock:
            for number, row in self.tables["Invoice"].items():
                row.update({"posted": True, "thirdpartyinvoicenumber": f"B-{number}", field: f"3f0e-{number}"})

    def times(self, posting: Posting) -> int:
        """How often the change that this posting asks for was made."""
        return times(self, posting)

    # --- routes -----------------------------------------------------------------------------------------------------

    def _routes(self) -> None:
        self._plain("Client", ("inactive",))
        self._plain("AreaAzureTenant", ())
        self._plain("Item", ())
        self._plain("SoftwareLicence", ("is_active",))
        self._plain("Asset", ("inactive",))
        self._plain("LicenceChange", ())
        self.api("GET", "Users", self._users)
        self.api("GET", "Users/<int:number>", lambda request, number: self.single("Users", number))
        self.api("GET", "InvoiceChange", self._changes)
        for resource in ("RecurringInvoice", "Invoice"):
            self._documents(resource)
        self.api("POST", "RecurringInvoice", self._save_recurring)
        self.api("POST", "RecurringInvoice/updatelines", self._update_lines)
        self.api("POST", "RecurringInvoice/Lines", self._add_lines)
        self.api("POST", "RecurringInvoice/process", self._process)
        self.api("POST", "Invoice", self._save_invoices)
        self.api("POST", "SoftwareLicence", self._save_licences)
        self.api("POST", "IntegrationData/AdjustQty/MicrosoftCSP", self._adjust)
        self.desk_routes()
        self.route("POST", "/_sandbox/rival", self._rival_route)

    def _plain(self, resource: str, off: tuple[str, ...]) -> None:
        """A list filtered by client, and single records."""

        def rows(request: Request) -> Any:
            client = request.args.get("client_id")
            every = self.tables[resource].values()
            found = [row for row in every if client in (None, str(row.get("client_id")))]
            if request.args.get("includeinactive") != "true" and "inactive" in off:
                found = [row for row in found if not row["inactive"]]
            return self.listed(request, resource, state.KEYS[resource], found)

        self.api("GET", resource, rows)
        self.api("GET", f"{resource}/<int:number>", lambda request, number: self.single(resource, number))

    def _users(self, request: Request) -> Any:
        args = request.args
        rows = [row for row in self.tables["Users"].values() if args.get("client_id") in (None, str(row["client_id"]))]
        if args.get("exclude_generaluser") == "true":
            rows = [row for row in rows if row["name"] != "General User"]
        if args.get("includeinactive") != "true":
            rows = [row for row in rows if not row["inactive"]]
        if not self.list_billing_flags or args.get("includebillinginfo") != "true":
            flags = ("isserviceaccount", "ignoreautomatedbilling")
            rows = [{name: value for name, value in row.items() if name not in flags} for row in rows]
        return self.listed(request, "Users", "users", rows)

    def _changes(self, request: Request) -> Any:
        args = request.args
        rows = [
            row for row in self.tables["InvoiceChange"].values()
            if args.get("invoice_id") in (None, str(row["invoice_id"]))
            and args.get("line_id") in (None, str(row["invoice_line_id"]))
        ]  # fmt: skip
        return self.listed(request, "InvoiceChange", "invoicechanges", rows)

    def _documents(self, resource: str) -> None:
        """Invoices and recurring ones: lines only where they are asked for; recurring ids are negative."""

        def rows(request: Request) -> Any:
            args = request.args
            found = []
            for row in self.tables[resource].values():
                if args.get("client_id") not in (None, str(row["client_id"])):
                    continue
                if args.get("postedonly") == "true" and not row["posted"]:
                    continue
                shown = {**row, "contains_calculated_quantity": any(map(_calculated, row["lines"]))}
                if args.get("includelines") != "true":
                    shown.pop("lines")
                elif not self.list_rules:
                    shown["lines"] = [_without_rules(line) for line in row["lines"]]
                found.append(shown)
            return self.listed(request, resource, "invoices", found)

        def one(request: Request, number: int) -> Any:
            row = self.tables[resource].get(number)
            if row is None:
                return self.refuse(404, f"{resource} {number} was not found")
            if request.args.get("includedetails") == "true":
                return row
            return {name: value for name, value in row.items() if name != "lines"}

        self.api("GET", resource, rows)
        self.api("GET", f"{resource}/<int(signed=True):number>", one)

    def _rival_route(self, request: Request) -> Any:
        body = request.get_json()
        return self.rival(int(body["line"]), Decimal(str(body["quantity"])), body.get("by", "Dana Admin"))

    # --- lines ------------------------------------------------------------------------------------------------------

    def _update_lines(self, request: Request) -> Any:
        body = _body(request)
        if not isinstance(body, list):
            return self.refuse(400, "Cannot deserialize the current JSON object into type 'List'")
        saved = []
        for given in body:
            found = self.find_line(given.get("id", 0))
            if found is None or found[0]["id"] != given.get("ihid"):
                return self.refuse(400, "the line was not found on this invoice")
            header, line = found
            changes = {name: value for name, value in given.items() if name in LINE_FIELDS}
            shown = {**line, **changes}
            if self.warning:
                shown, self.warning = {**line, "_warning": self.warning}, ""
            elif not self.ignoring():
                changed = self.edit_line(header, line, changes, API_AGENT)
                if changed:
                    self.effect("change_line", line["id"], **changed)
                shown = dict(line)
                if self.reprices is not None:
                    self.edit_line(header, line, {"unit_price": self.reprices}, "Halo")
            saved.append(shown)
        return self.answered(saved)

    def _add_lines(self, request: Request) -> Any:
        body = _body(request)
        if not isinstance(body, list):
            return self.refuse(400, "Cannot deserialize the current JSON object into type 'List'")
        saved = []
        for given in body:
            header = self.tables["RecurringInvoice"].get(given.get("ihid", 0))
            item = self.tables["Item"].get(given.get("_itemid", 0))
            if header is None or item is None:
                return self.refuse(400, "the invoice or the item was not found")
            line = state.line(self.next_id + 1, header["id"], item, number(given.get("qty_order", 1)))
            line |= {name: value for name, value in given.items() if name in LINE_FIELDS}
            if self.warning:
                text, self.warning = self.warning, ""
                saved.append({**line, "_warning": text})
                continue
            if not self.ignoring():
                self.fresh_id()
                header["lines"] = [*header["lines"], line]
                self.audit(header["id"], line["id"], "line", "", "added", API_AGENT)
                self.effect("add_line", line["id"], header=header["id"], mark=line["comment_2"])
            saved.append(dict(line))
            if self.reprices is not None:
                line["unit_price"] = self.reprices
        return self.answered(saved)

    def _save_recurring(self, request: Request) -> Any:
        """The full rewrite: lines that are left out are dropped, unless that is switched off."""
        body = _body(request)
        if not isinstance(body, list):
            return self.refuse(400, "Cannot deserialize the current JSON object into type 'List'")
        for given in body:
            header = self.tables["RecurringInvoice"][given["id"]]
            if "lines" in given:
                sent = {line["id"]: line for line in given["lines"] if "id" in line}
                kept = [line for line in header["lines"] if line["id"] in sent or not self.drops_omitted_lines]
                header["lines"] = [{**line, **sent.get(line["id"], {})} for line in kept]
                self.effect("rewrite_recurring", header["id"], lines=len(header["lines"]))
        return self.answered([self.tables["RecurringInvoice"][given["id"]] for given in body])

    def _process(self, request: Request) -> Any:
        made = [self.invoice(one) for one in request.get_json()]
        for one in made:
            self.effect("process", one)
        return self.answered([self.tables["Invoice"][one] for one in made])

    # --- invoices and licences --------------------------------------------------------------------------------------

    def _save_invoices(self, request: Request) -> Any:
        body = _body(request)
        if not isinstance(body, list):
            return self.refuse(400, "Cannot deserialize the current JSON object into type 'List'")
        saved = []
        for given in body:
            client = self.tables["Client"].get(given.get("client_id", 0))
            if client is None:
                return self.refuse(400, "the client was not found")
            lines = []
            for one in given.get("lines") or ():
                item = self.tables["Item"].get(one.get("_itemid", 0))
                if item is None:
                    return self.refuse(400, "the item was not found")
                quantity = number(one.get("qty_order", 1))
                lines.append(state.line(0, 0, item, quantity) | {k: v for k, v in one.items() if k in LINE_FIELDS})
            day = date.fromisoformat((given.get("invoice_date") or state.text(self.today()))[:10])
            row = state.invoice(self.next_id + 1, client["id"], client["name"], day, lines)
            row |= {name: given[name] for name in ("reference", "internal_note", "reviewrequired") if name in given}
            if self.warning:
                text, self.warning = self.warning, ""
                saved.append({**row, "_warning": text})
                continue
            if not self.ignoring():
                self.fresh_id()
                self.tables["Invoice"][row["id"]] = row
                self.effect("create_invoice", row["id"], client=client["id"], mark=row["reference"], total=row["total"])
            saved.append(row)
        return self.answered(saved)

    def _save_licences(self, request: Request) -> Any:
        body = _body(request)
        if not isinstance(body, list):
            return self.refuse(400, "Cannot deserialize the current JSON object into type 'List'")
        saved = []
        for given in body:
            row = self.tables["SoftwareLicence"].get(given.get("id", 0))
            if row is None or given.get("client_id") not in (None, row["client_id"]):
                return self.refuse(404, "the licence was not found")
            if isinstance(given.get("count"), Decimal) and given["count"] != int(given["count"]):
                return self.refuse(400, "the count must be a whole number")
            shown = {**row, "count": int(given.get("count", row["count"]))}
            if self.warning:
                saved.append({**row, "_warning": self.warning})
                self.warning = ""
                continue
            if not self.ignoring() and shown != row:
                self._note_licence(row, shown)
            saved.append(shown)
        return self.answered(saved)

    def _note_licence(self, before: Row, after: Row) -> None:
        number_ = self.fresh_id()
        self.tables["LicenceChange"][number_] = {
            "id": number_, "licence_id": after["id"], "old_value": str(before["count"]),
            "new_value": str(after["count"]), "who": API_AGENT, "datetime": f"{self.now():%Y-%m-%dT%H:%M:%S}",
        }  # fmt: skip
        self.tables["SoftwareLicence"][after["id"]] = after
        self.effect("change_licence", after["id"], count={"from": before["count"], "to": after["count"]})

    def _adjust(self, request: Request) -> Any:
        self.effect("adjust_seats", request.get_json().get("licence_id", ""))
        return {}


def _body(request: Request) -> Any:
    return json.loads(request.get_data(), parse_float=Decimal)


def _calculated(line: Row) -> bool:
    return any(line[name] for name in _RULES[:4]) or bool(line["_is_calculated_line"])


def _without_rules(line: Row) -> Row:
    return {name: value for name, value in line.items() if name not in (*_RULES, "_is_calculated_line")}
