"""Contacts and repeating invoices of the double, and what every document's parts are judged by."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request

from connectors.xero.sandbox_front import Front, wrong
from connectors.xero.sandbox_state import ACCOUNTS, NO_ID, TAXES, Books, shown

Row = dict[str, Any]


class Desk(Front):
    """Routes of contacts and templates."""

    def new_contacts(self, request: Request, books: Books) -> Any:
        """Makes contacts; a name is taken once."""
        made = []
        for one in many(body_of(request), "Contacts"):
            name = one.get("Name", "")
            taken = any(
                other["Name"] == name and other["ContactStatus"] == "ACTIVE"
                for other in books.tables["Contacts"].values()
            )
            if not name or taken:
                return wrong(f"The contact name {name} is already assigned to another contact")
            made.append(books.contact(name, contact_id=str(uuid.uuid4())))
            self.effect("create_contact", made[-1]["ContactID"], name=name)
        return {"Status": "OK", "Contacts": [shown(one, 2) for one in made]}

    def new_templates(self, request: Request, books: Books) -> Any:
        """Makes repeating invoices."""
        made = []
        for one in many(body_of(request), "RepeatingInvoices"):
            problems = contact_problems(books, one, None) + self.line_problems(books, one, None)
            plan = one.get("Schedule") or {}
            if problems or plan.get("Unit") not in ("WEEKLY", "MONTHLY"):
                return wrong("; ".join(problems) or "The Schedule's Unit is not valid")
            schedule = {
                name: day_of(value) if name.endswith("Date") and name != "DueDate" else value
                for name, value in plan.items()
            }
            contact = contact_of(books, one, None, make=True)
            starts = schedule.get("StartDate") or self.now().date()
            made.append(
                books.template(
                    contact, one["LineItems"], starts, Status=one.get("Status", "DRAFT"), Schedule=schedule,
                    Reference=one.get("Reference", ""),
                )
            )  # fmt: skip
            self.effect("create_template", made[-1]["RepeatingInvoiceID"])
        return {"Status": "OK", "RepeatingInvoices": [shown(one, 4) for one in made]}

    def end_template(self, request: Request, books: Books, id_: str) -> Any:
        """Templates can be deleted and not changed."""
        standing = books.tables["RepeatingInvoices"].get(id_)
        [given] = many(body_of(request), "RepeatingInvoices")
        if standing is None or given.get("Status") != "DELETED":
            return wrong("A repeating invoice can only be deleted")
        standing["Status"] = "DELETED"
        self.effect("delete_template", id_)
        return {"Status": "OK", "RepeatingInvoices": [shown(standing, 4)]}

    def line_problems(self, books: Books, given: Row, standing: Row | None) -> list[str]:
        """What Xero says against the lines of a document."""
        lines = given.get("LineItems")
        if not isinstance(lines, list) or not lines:
            return [] if standing is not None else ["One or more line items must be specified"]
        said = []
        for line in lines:
            code, account, tax = line.get("ItemCode"), line.get("AccountCode"), line.get("TaxType")
            item = books.by_code(code) if code else None
            if code and item is None:
                said.append(f"Item code '{code}' is not valid")
            if account and account not in ACCOUNTS:
                said.append(f"Account code '{account}' is not a valid code for this document")
            if tax and tax not in TAXES:
                said.append(f"The TaxType code '{tax}' does not exist or cannot be used for this type of transaction")
            if not line.get("Description") and item is None:
                said.append("Description must not be empty")
        return said


def contact_problems(books: Books, given: Row, standing: Row | None) -> list[str]:
    """What Xero says against the contact of a document."""
    named = given.get("Contact")
    if not isinstance(named, dict):
        return [] if standing is not None else ["A Contact must be specified for this type of transaction"]
    if not named.get("ContactID"):
        return [] if named.get("Name") else ["A Contact must be specified for this type of transaction"]
    found = books.tables["Contacts"].get(named["ContactID"])
    if found is None:
        return ["The contact ID does not exist"]
    if found["ContactStatus"] != "ACTIVE":
        return ["The contact must be active: it is archived"]
    return []


def contact_of(books: Books, given: Row, standing: Row | None, *, make: bool) -> Row:
    """The contact that a document names; one that is named by a new name is made, without a word."""
    named = given.get("Contact")
    if not isinstance(named, dict):
        assert standing is not None
        kept: Row = standing["Contact"]
        return kept
    contacts = books.tables["Contacts"]
    if named.get("ContactID"):
        return contacts[named["ContactID"]]
    for one in contacts.values():
        if one["Name"] == named["Name"] and one["ContactStatus"] == "ACTIVE":
            return one
    return books.contact(named["Name"]) if make else {"ContactID": NO_ID, "Name": named["Name"]}


def body_of(request: Request) -> Any:
    """The JSON of a request, numbers as they were written."""
    return json.loads(request.get_data(), parse_float=Decimal)


def many(body: Any, resource: str) -> list[Row]:
    """The records of a request: under the name of the resource, or the body itself."""
    found = body.get(resource) if isinstance(body, dict) else None
    return found if isinstance(found, list) else [body]


def day_of(value: Any) -> date | None:
    """A day as it is sent: plain, with a time, or as the SDK writes it."""
    if not value:
        return None
    text = str(value)
    if text.startswith("/Date("):
        return datetime.fromtimestamp(int(text[6:].split("+")[0].split(")")[0]) / 1000, tz=UTC).date()
    return date.fromisoformat(text[:10])
