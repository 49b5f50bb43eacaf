"""Writes lines, licence counts and draft invoices: what is sent, what its answer means, and the look whether it is
there. Tickets go to `tickets`.

A quantity is an absolute value on a known record (class S). Halo has no idempotency key, so new lines bear syncd's mark
in `comment_2` and drafts in `reference`; both are found by listing (class M). Bodies are arrays. A recurring invoice is
never written as a whole: lines that such a body leaves out may be deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from connectors.halopsa.abilities import DESCRIPTION_LENGTH, OPERATIONS, TICKETS
from connectors.halopsa.answers import saved, upsert
from connectors.halopsa.api import Api
from connectors.halopsa.config import HaloSettings
from connectors.halopsa.dates import day, instant, written
from connectors.halopsa.drafts import Charge, charge_of, note, noted_mark
from connectors.halopsa.errors import refused
from connectors.halopsa.lines import Standing, calculated, counted, fixed, line_id, pending, quantity, standing
from connectors.halopsa.marks import alike, invoice_ended, line_ended, marked, numbers, the_one, unmarked
from connectors.halopsa.paging import newest
from connectors.halopsa.payloads import Change, Invoice, Licence, Line, units
from connectors.halopsa.read import Reader
from connectors.halopsa.tickets import Tickets
from syncd.connect.documents import arithmetic
from syncd.connect.http import Reply
from syncd.connect.outcome import outcome
from syncd.connect.values import exact, shortened
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Outcome, Posting, Receipt, Refused, Sight, Wire
from syncd.money import plain
from syncd.periods import Period


class Saved(msgspec.Struct):
    """An answer to a new line may be the line, or the recurring invoice with its lines."""

    id: int
    lines: list[Line] | None = None


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, api: Api, settings: HaloSettings) -> None:
        self._reader = reader
        self._api = api
        self._sent: set[str] = set()  # keys of what left through this connection: read back strictly
        self.tickets = Tickets(api, settings)

    def wire(self, posting: Posting) -> Wire:
        """The request for a posting. Pure: equal postings give equal bytes. Raises ValueError for a posting that lacks
        what its operation needs (`refusal` names it before)."""
        if posting.operation in TICKETS:
            return self.tickets.wire(posting)
        match posting.operation:
            case Operation.SET_QUANTITY:
                one = line_id(posting.line_id)
                if one.licence is not None:
                    body: dict[str, Any] = {
                        "id": one.licence, "client_id": int(posting.customer_id), "count": int(posting.quantity),
                    }  # fmt: skip
                    return upsert("SoftwareLicence", body)
                body = {"id": one.line, "ihid": int(posting.agreement_id), "qty_order": exact(posting.quantity)}
                return upsert("RecurringInvoice/updatelines", body)
            case Operation.ADD_LINE:
                return upsert("RecurringInvoice/Lines", _new_line(posting))
            case Operation.POST_LINE:
                return upsert("Invoice", _draft(posting))
        raise ValueError(f"Halo has no {posting.operation}")

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the answer strictly."""
        try:
            reply = self._api.send(wire)
        except VendorError as error:  # not on the list of what may be asked: nothing left
            return Refused(error.code, str(error))
        self._sent.add(posting.key)
        return outcome(
            reply,
            receipt=lambda told: self._receipt(posting, told),
            refused=refused,
            throttled_is_harmless=OPERATIONS[posting.operation].throttled_is_harmless,
        )

    def find(self, posting: Posting, today: date) -> Sight:
        """Looks whether the change is there, on a day in the MSP's zone. Raises VendorError where it cannot tell."""
        if posting.operation in TICKETS:
            return self.tickets.find(posting)
        match posting.operation:
            case Operation.POST_LINE:
                return self._find_draft(posting)
            case Operation.ADD_LINE:
                return self._find_line(posting)
        if line_id(posting.line_id).licence is not None:
            return self._find_count(posting, today)
        return self._find_quantity(posting)

    def _find_quantity(self, posting: Posting) -> Sight:
        name = f"the Halo line #{posting.line_id}"
        lines = self._lines(posting)
        if lines is None:
            return Moved(f"the Halo recurring invoice #{posting.agreement_id} no longer exists")
        found = next((one for one in lines if str(one.id) == posting.line_id), None)
        if found is None:
            return Moved(f"{name} is no longer on the recurring invoice #{posting.agreement_id}")
        shown, planned = quantity(found), standing(posting.version)
        if other := _beside(planned, units(found.unit_price), len(lines)):
            return Moved(f"{name} shows {plain(shown)}, and {other}{self._writer(posting)}")
        if shown == posting.quantity:
            return Found(posting.line_id, shown)
        if found.isinactive:
            return Moved(f"{name} was made inactive at {plain(shown)}{self._writer(posting)}")
        if calculated(found):
            return Moved(f"{name} is calculated by Halo now{self._writer(posting)}")
        if shown != posting.before:
            return Moved(f"{name} shows {plain(shown)}{self._writer(posting)}")
        if pending(found):
            return Moved(f"{name} has a pending pro-rata row now{self._writer(posting)}")
        return Absent()

    def _find_count(self, posting: Posting, today: date) -> Sight:
        number = line_id(posting.line_id).licence
        name = f"the Halo licence #{number}"
        try:
            reply = self._api.read(f"SoftwareLicence/{number}", params={"includedetails": "true"})
        except VendorError as error:
            if error.status != 404:
                raise
            self._standing()
            return Moved(f"{name} no longer exists")
        found = reply.parse(Licence)
        if found.id != number or str(found.client_id) != posting.customer_id:
            raise VendorError("wrong_tenant", f"Halo answered with licence #{found.id} of another client")
        shown = counted(found)
        if other := _beside(Standing(standing(posting.version).price), units(found.price), 0):
            return Moved(f"{name} shows {plain(shown)}, and {other}")
        if shown == posting.quantity:
            return Found(posting.line_id, shown)
        if problem := fixed(found, today):
            return Moved(problem)
        return Absent() if shown == posting.before else Moved(f"{name} shows {plain(shown)}")

    def _find_line(self, posting: Posting) -> Sight:
        lines = self._lines(posting)
        if lines is None:
            return Moved(f"the Halo recurring invoice #{posting.agreement_id} no longer exists")
        bearing = [one for one in lines if (one.comment_2 or "").strip() == posting.marker]
        found = the_one(posting.marker, bearing, line_ended, kind="line", record="", remedy="end the surplus ones")
        if isinstance(found, Moved):
            return found
        if found is None:
            meant = (posting.quantity, posting.unit_price)
            lost = [
                one
                for one in lines
                if not marked(one.comment_2, self._reader.own_marker)
                and alike(one, posting, meant)
                and day(one.startdate) == posting.starts
                and not line_ended(one)
            ]
            return unmarked(posting, lost, kind="line", field="comment_2", remedy="end") if lost else Absent()
        if wrong := self._not_as_sent(posting, found, (posting.quantity, posting.unit_price)):
            return Moved(f"the new Halo line #{found.id} {wrong}")
        return Found(str(found.id), quantity(found))

    def _find_draft(self, posting: Posting) -> Sight:
        client = int(posting.customer_id)
        rows = self._reader.fresh_invoices(client).rows
        bearing = [row for row in rows if (row.reference or "").strip() == posting.marker]
        found = the_one(
            posting.marker, bearing, invoice_ended, kind="invoice", record="invoice ", remedy="void all but one"
        )
        if isinstance(found, Moved):
            return found
        if found is None:
            return self._find_unmarked(posting, client, rows)
        made = charge_of(found, posting.marker)
        if posting.key in self._sent:
            detailed = self._reader.invoice(found.id, client)
            if detailed.posted or not detailed.reviewrequired:
                return Moved(f"the Halo invoice #{detailed.id} is no draft: it does not wait for a review")
            on_it = [line for line in detailed.lines or () if not line.isgroupdesc]
            wrong = f"has {len(on_it)} lines where one was meant"
            if len(on_it) == 1:
                wrong = self._not_as_sent(posting, on_it[0], charge(posting))
            if wrong:
                return Moved(f"the Halo invoice #{detailed.id} {wrong}")
        return Found(f"invoice {found.id}", made.units if made else None)

    def _find_unmarked(self, posting: Posting, client: int, rows: Sequence[Invoice]) -> Absent | Moved:
        """Where no reference bears the mark: the draft whose note still names it, else one that says the same. Only
        invoices of the posting's first day are opened for that."""
        noted = [row for row in rows if noted_mark(row) == posting.marker]
        if standing := [row for row in noted if not invoice_ended(row)]:
            return Moved(
                f"the Halo invoice {numbers(standing)} bears the mark {posting.marker} in its internal note alone: put "
                "its reference back to it, or void it"
            )
        if noted:
            return Moved(
                f"the Halo invoice {numbers(noted)} was voided", arrived=f"invoice {min(row.id for row in noted)}"
            )
        first = str(posting.starts)
        lost = [
            row
            for row in rows
            if not invoice_ended(row)
            and (row.invoice_date or "").startswith(first)
            and not (marked(row.reference, self._reader.own_marker) or noted_mark(row))
            and any(alike(line, posting, charge(posting)) for line in self._reader.invoice(row.id, client).lines or ())
        ]
        return unmarked(posting, lost, kind="invoice", field="reference", remedy="void") if lost else Absent()

    def _not_as_sent(self, posting: Posting, line: Line, meant: tuple[Decimal, Decimal | None]) -> str:
        """How a record that this connection just made differs from what it sent, "" where it does not. Of one that was
        made earlier only the mark is asked: somebody may have changed it since, and that is another matter."""
        wanted, price = meant
        if posting.key not in self._sent:
            return ""
        if quantity(line) != wanted:
            return f"shows {plain(quantity(line))} where {plain(wanted)} was meant"
        shown = units(line.unit_price)
        if price is not None and shown != price:
            return f"costs {plain(shown) if shown is not None else 'nothing'} each where {plain(price)} was meant"
        return ""

    def _lines(self, posting: Posting) -> list[Line] | None:
        """All lines of a recurring invoice, fresh; None where it is gone. Raises VendorError."""
        try:
            found = self._reader.detailed(int(posting.agreement_id))
        except VendorError as error:
            if error.status != 404:
                raise
            self._standing()
            return None
        if str(found.client_id) != posting.customer_id:
            raise VendorError("wrong_tenant", f"the Halo recurring invoice #{found.id} is another client's now")
        return found.lines

    def _standing(self) -> None:
        """Raises where Halo cannot be read at all: then a 404 says nothing."""
        self._api.read("RecurringInvoice", params={"pageinate": "true", "page_size": 1, "page_no": 1})

    def _writer(self, posting: Posting) -> str:
        """Who changed the line last and when, as the audit tells; "" where it cannot be read."""
        params = {"invoice_id": posting.agreement_id, "line_id": posting.line_id}
        try:
            rows = newest(self._api, "InvoiceChange", Change, lambda row: True, params, 1)
        except VendorError:
            return ""
        mine = [row for row in rows if str(row.invoice_line_id) == posting.line_id and row.who]
        if not mine:
            return ""
        at = instant(mine[0].datetime)
        return f", last changed by {mine[0].who}" + (f" on {at:%Y-%m-%d at %H:%M} UTC" if at else "")

    def _receipt(self, posting: Posting, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the record that was meant with what was asked, and no warning."""
        if posting.operation in TICKETS:
            return self.tickets.receipt(posting, reply)
        echo = reply.body[:4000].decode(errors="replace")
        match posting.operation:
            case Operation.SET_QUANTITY if line_id(posting.line_id).licence is not None:
                licence = saved(reply, Licence)
                done = (
                    licence is not None
                    and not licence.warning
                    and licence.id == line_id(posting.line_id).licence
                    and units(licence.count) == posting.quantity
                )
                return Receipt(posting.line_id, echo) if done else None
            case Operation.SET_QUANTITY:
                line = saved(reply, Line)
                done = line is not None and not line.warning and str(line.id) == posting.line_id
                return Receipt(posting.line_id, echo) if done and _shows(line, posting.quantity) else None
            case Operation.ADD_LINE:
                line = _new(reply, posting.marker)
                done = line is not None and not line.warning and str(line.item_id) == posting.product_id
                return Receipt(str(line.id), echo) if line and done and _shows(line, posting.quantity) else None
        invoice = saved(reply, Invoice)
        if invoice is None or invoice.warning or invoice.posted or str(invoice.client_id) != posting.customer_id:
            return None
        done = invoice.id > 0 and (invoice.reference or "").strip() == posting.marker and bool(invoice.reviewrequired)
        sent = charge(posting)
        lines = [line for line in invoice.lines or () if str(line.item_id) == posting.product_id]
        done = done and len(lines) == 1 and _shows(lines[0], sent[0]) and units(lines[0].unit_price) == sent[1]
        return Receipt(f"invoice {invoice.id}", echo) if done else None


def _beside(planned: Standing, price: Decimal | None, lines: int) -> str:
    """What else is not as it was when the quantity was planned, "" where nothing: a quantity is written alone, so that
    a price that moved or a line that vanished is nobody's wish."""
    if planned.price is not None and price is not None and price != planned.price:
        return f"the price of one is {plain(price)} where it was {plain(planned.price)}"
    if planned.lines is not None and lines < planned.lines:
        return f"its recurring invoice has {lines} lines where it had {planned.lines}"
    return ""


def _shows(line: Line | None, wanted: Decimal) -> bool:
    return line is not None and units(line.qty_order) == wanted


def _new(reply: Reply, marker: str) -> Line | None:
    """The new line in an answer, which may be it or the recurring invoice that it stands on."""
    whole_answer = saved(reply, Saved)
    if whole_answer is not None and whole_answer.lines is not None:
        rows = whole_answer.lines
    else:
        line = saved(reply, Line)
        rows = [line] if line is not None else []
    bearing = [row for row in rows if (row.comment_2 or "").strip() == marker]
    return bearing[0] if len(bearing) == 1 else None


def charge(posting: Posting) -> tuple[Decimal, Decimal]:
    """(quantity, unit price) of a draft, so that Halo's multiplication gives exactly the amount; prices have whole
    cents. Raises ValueError where no price is known."""
    return arithmetic(posting, 2)


def _new_line(posting: Posting) -> dict[str, Any]:
    if posting.starts is None:
        raise ValueError("a new line needs a first billed day")
    body: dict[str, Any] = {
        "ihid": int(posting.agreement_id),
        "_itemid": int(posting.product_id),
        "qty_order": exact(posting.quantity),
        "startdate": written(posting.starts),
        "comment_2": posting.marker,
    }
    if posting.unit_price is not None:
        body["unit_price"] = exact(posting.unit_price)
    if posting.unit_cost is not None:
        body["unit_cost"] = exact(posting.unit_cost)
    if text := described(posting.description or posting.product):
        body["item_shortdescription"] = text
    return body


def _draft(posting: Posting) -> dict[str, Any]:
    if posting.starts is None or posting.ends is None:
        raise ValueError("a draft invoice needs the days that it covers")
    sent, price = charge(posting)
    days = Period(posting.starts, posting.ends)
    line: dict[str, Any] = {
        "_itemid": int(posting.product_id),
        "qty_order": exact(sent),
        "unit_price": exact(price),
        "item_shortdescription": described(posting.description or posting.product),
    }
    if posting.unit_cost is not None:
        line["unit_cost"] = exact(posting.unit_cost * posting.quantity / sent)
    return {
        "client_id": int(posting.customer_id),
        "invoice_date": written(posting.starts),
        "reference": posting.marker,
        "reviewrequired": True,
        "internal_note": note(Charge(posting.marker, posting.agreement_id, posting.quantity, sent, days)),
        "lines": [line],
    }


def described(text: str) -> str:
    """A description on one line, cut between words at the vendor's limit."""
    return shortened(text, DESCRIPTION_LENGTH)
