"""A double of Xero's accounting API over real HTTP: two ways to sign in, organisations, limits, idempotency keys that
end, PUT that creates and POST that overwrites, drafts and what becomes of them, repeating invoices, a bookkeeper.

Shares no code with the connector. `build(world, …)` makes one; see there for what can be configured.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

from werkzeug.wrappers import Request

from connectors.xero import sandbox_fill
from connectors.xero.sandbox_desk import Desk, body_of, contact_of, contact_problems, day_of
from connectors.xero.sandbox_front import modified_since, wrong
from connectors.xero.sandbox_state import IDS, KINDS, NO_ID, NUMBERS, Books, fill, shown, total
from connectors.xero.sandbox_where import where
from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.kit import json_response
from syncd.sandbox.world import World

Row = dict[str, Any]
_NEXT = {
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}


def build(world: World, **options: Any) -> XeroDouble:
    """The double of the MSP's Xero. Options, all with defaults:

    `client_id`, `client_secret`, `code_flow` (True: a web app with a refresh token and two organisations; else a custom
    connection with one), `scopes`, `token_life` (seconds), `extra_fields` (of the token answer), `per_minute`,
    `per_day` (0 is no limit), `at_once`, `retry_after` (None: what is true; "" leaves it out), `keeps_keys` (how long
    idempotency keys last).
    """
    return XeroDouble(world, **options)


class XeroDouble(Desk):
    """State and routes. Tests reach in through `books`, `other`, `longest_page`, `paged_totals` and `warning`."""

    tells_totals = True

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, **options)
        self.longest_page = 1000
        self.paged_totals = True
        self.warning = ""
        fill(self.books, world)
        for resource in IDS:
            self._lists(resource)
        self.api("GET", "Organisation", lambda request, books: {"Organisations": [shown(books.organisation, 2)]})
        for resource in ("Invoices", "CreditNotes"):
            self._documents(resource)
        self.api("PUT", "Contacts", self.new_contacts)
        self.api("PUT", "RepeatingInvoices", self.new_templates)
        self.api("POST", "RepeatingInvoices/<id_>", self.end_template)

    # --- what tests and the demo do to it -------------------------------------------------------------------------

    def edit(self, resource: str, id_: str, **changes: Any) -> Row:
        """A bookkeeper changes a record in Xero's own pages."""
        with self.lock:
            one = self.books.tables[resource][id_]
            one |= changes
            one["UpdatedDateUTC"] = self.now()
            if "LineItems" in one:
                total(one)
            return one

    def contact(self, name: str) -> Row:
        """A contact by its name."""
        return next(one for one in self.books.tables["Contacts"].values() if one["Name"] == name)

    def shift(self) -> None:
        """Somebody adds a contact, and edits another one, which moves it to the end."""
        with self.lock:
            contacts = self.books.tables["Contacts"]
            first = next(iter(contacts.values()))
            first["UpdatedDateUTC"] = self.now()
            self.books.contact(f"Shifted {len(contacts)}")

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of real books instead of its own (see `syncd.sandbox.fill`)."""
        with self.lock:
            self.per_minute = self.per_day = 0
            self.effects.clear()
            sandbox_fill.fill(self.books, customers, products, billings)

    def times(self, posting: Posting) -> int:
        """How often the change that this posting asks for was made."""
        with self.lock:
            return sum(posting.marker in str(one.detail.get("reference", "")) for one in self.effects)

    # --- lists ------------------------------------------------------------------------------------------------------

    def _lists(self, resource: str) -> None:
        def rows(request: Request, books: Books) -> Any:
            try:
                found = self._filtered(request, resource, books)
            except ValueError as problem:
                return json_response({"ErrorNumber": 16, "Type": "QueryParseException", "Message": str(problem)}, 400)
            return self._listed(request, resource, found)

        def one(request: Request, books: Books, id_: str) -> Any:
            found = _single(books, resource, id_)
            if found is None:
                return json_response({"Title": "Not Found", "Status": 404, "Detail": f"{resource} {id_}"}, 404)
            return {"Id": str(uuid.uuid4()), "Status": "OK", resource: [shown(found, _places(request))]}

        self.api("GET", resource, rows)
        self.api("GET", f"{resource}/<id_>", one)

    def _filtered(self, request: Request, resource: str, books: Books) -> list[Row]:
        args = request.args
        found = list(books.tables[resource].values())
        if resource == "Contacts" and args.get("includeArchived", "").lower() != "true":
            found = [one for one in found if one["ContactStatus"] == "ACTIVE"]
        for name, field in (("IDs", IDS[resource]), ("InvoiceNumbers", "InvoiceNumber"), ("Statuses", "Status")):
            if args.get(name):
                wanted = args[name].lower().split(",")
                found = [one for one in found if str(one.get(field, "")).lower() in wanted]
        if args.get("ContactIDs"):
            found = [one for one in found if one["Contact"]["ContactID"] in args["ContactIDs"].split(",")]
        if args.get("searchTerm"):
            term = args["searchTerm"].lower()
            found = [one for one in found if any(term in str(one.get(name, "")).lower() for name in _SEARCHED)]
        if args.get("where"):
            passes = where(args["where"])
            found = [one for one in found if passes(one)]
        if since := modified_since(request):
            found = [one for one in found if one.get("UpdatedDateUTC", since) >= since]
        order, _, way = args.get("order", "UpdatedDateUTC").partition(" ")
        return sorted(found, key=lambda one: _sortable(one.get(order)), reverse=way.upper() == "DESC")

    def _listed(self, request: Request, resource: str, found: list[Row]) -> Any:
        paged = "page" in request.args and resource not in ("Items", "RepeatingInvoices")
        answer: Row = {
            "Id": str(uuid.uuid4()), "Status": "OK", "ProviderName": "syncd sandbox",
            "DateTimeUTC": shown(self.now(), 2),
        }  # fmt: skip
        if paged:
            size = min(max(int(request.args.get("pageSize", 100)), 1), 1000, self.longest_page)
            number = max(int(request.args["page"]), 1)
            if self.paged_totals:
                answer["pagination"] = {
                    "page": number, "pageSize": size, "pageCount": -(-len(found) // size), "itemCount": len(found),
                }  # fmt: skip
            found = found[(number - 1) * size : number * size]
        lines = paged or resource == "RepeatingInvoices"
        return answer | {resource: [shown(one, _places(request), lines) for one in found]}

    # --- documents --------------------------------------------------------------------------------------------------

    def _documents(self, resource: str) -> None:
        def put(request: Request, books: Books) -> Any:
            return self._written(request, resource, books, "")

        def post(request: Request, books: Books) -> Any:
            return self._written(request, resource, books, "upsert")

        def change(request: Request, books: Books, id_: str) -> Any:
            return self._written(request, resource, books, id_)

        self.api("PUT", resource, put)
        self.api("POST", resource, post)
        self.api("POST", f"{resource}/<id_>", change)

    def _written(self, request: Request, resource: str, books: Books, how: str) -> Any:
        """Several documents: each made, changed or refused. `how`: "" creates, "upsert" may overwrite, else an id."""
        body = body_of(request)
        given = body.get(resource) if isinstance(body, dict) else None
        given = given if isinstance(given, list) else [body]
        places, answers, bad = _places(request), [], False
        for one in given:
            standing = self._standing(resource, books, one, how)
            problems = self._problems(resource, books, one, standing, how)
            if problems:
                bad = True
                answers.append(_refused(resource, one, problems))
                continue
            answers.append(self._kept_or_shown(resource, books, one, standing, places))
        if bad and request.args.get("summarizeErrors", "true").lower() != "false":
            return wrong("", elements=[one for one in answers if one.get("HasErrors")])
        told = [shown(one, places) for one in answers]
        return {"Id": str(uuid.uuid4()), "Status": "OK", "DateTimeUTC": shown(self.now(), 2), resource: told}

    def _standing(self, resource: str, books: Books, given: Row, how: str) -> Row | None:
        table = books.tables[resource]
        if how not in ("", "upsert"):
            return _single(books, resource, how)
        if how == "":
            return None
        if given.get(IDS[resource]):
            return table.get(given[IDS[resource]])
        number = given.get(NUMBERS[resource])
        return next((one for one in table.values() if number and one[NUMBERS[resource]] == number), None)

    def _problems(self, resource: str, books: Books, given: Row, standing: Row | None, how: str) -> list[str]:
        if how not in ("", "upsert") and standing is None:
            return ["The document was not found"]
        if standing is not None:
            after = given.get("Status", standing["Status"])
            if after not in _NEXT.get(standing["Status"], set()):
                return [f"{resource[:-1]} not of valid status for modification"]
        said = [] if standing is not None else self._number_taken(resource, books, given)
        if standing is None and given.get("Type") not in (KINDS[resource], "ACCPAY", "ACCPAYCREDIT"):
            said.append("The Type field is mandatory")
        said += contact_problems(books, given, standing) + self.line_problems(books, given, standing)
        currency = given.get("CurrencyCode")
        if currency and currency not in books.currencies:
            said.append(f"Organisation is not subscribed to currency {currency}")
        dated = day_of(given.get("Date")) or (standing or {}).get("Date")
        closed = books.locked()
        if closed is not None and dated is not None and dated <= closed:
            said.append("The document date cannot be before the period lock date")
        due = resource == "CreditNotes" or given.get("DueDate") or (standing or {}).get("DueDate")
        if given.get("Status") == "AUTHORISED" and not (dated and due):
            said.append("The Date and DueDate are needed to approve a document")
        return said

    def _number_taken(self, resource: str, books: Books, given: Row) -> list[str]:
        number = given.get(NUMBERS[resource])
        if number and any(one[NUMBERS[resource]] == number for one in books.tables[resource].values()):
            return ["Invoice # must be unique." if resource == "Invoices" else "Credit note number must be unique"]
        return []

    def _kept_or_shown(self, resource: str, books: Books, given: Row, standing: Row | None, places: int) -> Row:
        """Makes or changes the document, unless this request is to be ignored; gives what Xero shows of it."""
        contact = contact_of(books, given, standing, make=not self.ignoring())
        fields = {
            name: value for name, value in given.items() if name not in ("Contact", "LineItems", "Date", "DueDate")
        }
        fields |= {name: day_of(given[name]) for name in ("Date", "DueDate") if given.get(name)}
        one: Row = {**(standing or {}), **fields, "Contact": contact}
        one.setdefault("Status", "DRAFT")
        one.setdefault("LineAmountTypes", "Exclusive")
        one.setdefault("CurrencyCode", contact.get("DefaultCurrency") or books.organisation["BaseCurrency"])
        one.setdefault("Date", self.now().date())
        if "LineItems" in given:
            kept = {line["LineItemID"]: line for line in (standing or {}).get("LineItems", ())}
            one["LineItems"] = [
                books.line({**kept.get(line.get("LineItemID", ""), {}), **line}, places) for line in given["LineItems"]
            ]  # fmt: skip
        said = {"StatusAttributeString": "OK", "HasErrors": False}
        if self.warning:
            said = {"StatusAttributeString": "WARNING", "HasErrors": False, "Warnings": [{"Message": self.warning}]}
            self.warning = ""
        if self.ignoring():
            total(one)
            return {IDS[resource]: str(uuid.uuid4())} | one | said
        if standing is not None:
            standing |= one | {"UpdatedDateUTC": self.now()}
            total(standing)
            self.effect("overwrite", standing[IDS[resource]], number=standing[NUMBERS[resource]])
            return standing | said
        books.add(resource, one)
        self.effect(
            "create_invoice" if resource == "Invoices" else "create_credit", one[IDS[resource]],
            number=one[NUMBERS[resource]], reference=one.get("Reference", ""), total=one["SubTotal"],
            contact=contact["ContactID"],
        )  # fmt: skip
        return one | said


_SEARCHED = ("InvoiceNumber", "CreditNoteNumber", "Reference", "Name", "ContactNumber")


def _single(books: Books, resource: str, id_: str) -> Row | None:
    """A record by id, number or code; a merged contact is the one that it went into."""
    table = books.tables[resource]
    keys = {
        "Invoices": "InvoiceNumber",
        "CreditNotes": "CreditNoteNumber",
        "Items": "Code",
        "Contacts": "ContactNumber",
    }
    found = table.get(id_) or next(
        (one for one in table.values() if resource in keys and one.get(keys[resource]) == id_), None
    )
    while found is not None and found.get("MergedToContactID"):
        found = table.get(found["MergedToContactID"])
    return found


def _refused(resource: str, given: Row, problems: Iterable[str]) -> Row:
    said = [{"Message": one} for one in problems]
    return {
        **given, IDS[resource]: NO_ID, "HasErrors": True, "StatusAttributeString": "ERROR", "ValidationErrors": said,
    }  # fmt: skip


def _places(request: Request) -> int:
    return 4 if request.args.get("unitdp") == "4" else 2


def _sortable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.timestamp()
    return value.toordinal() if isinstance(value, date) else str(value or "")
