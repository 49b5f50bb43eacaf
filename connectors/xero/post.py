"""Writes draft invoices and draft credit notes: what is sent, what its answer means, and the look whether it is there.

Always `PUT`, which creates and never overwrites; always our own number, which Xero takes once; always a key of our own
against a second time. A document is never written again. An answer counts only where it shows each line as it was
sent: item, quantity, price, amount, and the document's customer, currency, number and status.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from connectors.xero.abilities import DESCRIPTION_LENGTH, OPERATIONS, REFERENCE_LENGTH
from connectors.xero.api import ROOT, TENANT, Api
from connectors.xero.dates import day, since
from connectors.xero.errors import duplicate, mend, one_line, refused, words
from connectors.xero.figures import charge, figures, line_amount
from connectors.xero.own import marked, name, own, unaccounted
from connectors.xero.payloads import NO_ID, CreditNote, Document, Invoice, Line, units
from connectors.xero.read import Reader
from syncd.connect.documents import Paper, charges, note, number, the_one
from syncd.connect.http import Reply, json_bytes
from syncd.connect.outcome import outcome
from syncd.connect.values import exact, shortened
from syncd.errors import VendorError
from syncd.model import Found, Moved, Operation, Outcome, Posting, Receipt, Refused, Sight, Unknown, Wire
from syncd.money import plain
from syncd.periods import add_months

_QUERY = "summarizeErrors=false&unitdp=4"
_PREFIX, _NUMBER_LENGTH = "SD-", 27
# A bookkeeper may date a draft anew. Beyond so many months back its number, which Xero takes once, is the guard.
_FOUND_WITHIN = 12


class _Sent(msgspec.Struct):
    """What a wire of ours holds, read back from its bytes."""

    invoices: list[Invoice] | None = msgspec.field(name="Invoices", default=None)
    notes: list[CreditNote] | None = msgspec.field(name="CreditNotes", default=None)

    @property
    def documents(self) -> Sequence[Document]:
        """The one list that is there."""
        return [*(self.invoices or ()), *(self.notes or ())]


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, api: Api) -> None:
        self._reader = reader
        self._api = api

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The request for one document that holds these postings. Pure: equal postings give equal bytes. Raises
        ValueError for postings that do not go together or lack what a document needs (`refusal` names it before)."""
        if len({together(one) for one in postings}) != 1:
            raise ValueError("these postings do not belong into one document")
        first = postings[0]
        if first.operation not in OPERATIONS or first.ends is None:
            raise ValueError(f"Xero has no document for {first.operation}")
        credit = first.operation == Operation.POST_CREDIT
        reference = note([charge(one) for one in postings])
        if len(reference) > REFERENCE_LENGTH:
            raise ValueError("more charges than a reference can name")
        kind, path = ("CreditNote", "CreditNotes") if credit else ("Invoice", "Invoices")
        marks = [one.marker for one in postings]
        record: dict[str, Any] = {
            "Type": "ACCRECCREDIT" if credit else "ACCREC",
            "Status": "DRAFT",
            "Contact": {"ContactID": first.customer_id},
            f"{kind}Number": number(_PREFIX, marks, _NUMBER_LENGTH),
            "Reference": reference,
            "Date": first.ends.isoformat(),
            "LineAmountTypes": "Exclusive",
            "LineItems": [_line(one) for one in postings],
        }
        if first.currency:
            record["CurrencyCode"] = first.currency
        headers = (
            ("content-type", "application/json; charset=utf-8"),
            ("idempotency-key", number("syncd-", marks, 70).lower()),
            (TENANT, self._api.tenant),
        )
        return Wire("PUT", f"{ROOT}{path}?{_QUERY}", json_bytes({path: [record]}), headers)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the answer strictly."""
        reply = self._api.send(wire)
        if isinstance(reply, Refused):
            return reply
        [sent] = msgspec.json.decode(wire.body, type=_Sent).documents
        said = _failed(reply) if isinstance(reply, Reply) else ""
        if said and duplicate(said):
            return self._taken(sent, said)
        if said and isinstance(reply, Reply) and reply.status < 300:
            return Refused("invalid", f"Xero rejected {_called(sent)}: {said}{mend(said)}")
        if isinstance(reply, Reply) and (differs := _shows_otherwise(reply, sent)):
            return Unknown(differs)
        return outcome(
            reply,
            receipt=lambda told: _receipt(told, sent),
            refused=refused,
            throttled_is_harmless=OPERATIONS[posting.operation].throttled_is_harmless,
        )

    def find(self, posting: Posting) -> Sight:
        """Looks for the posting's mark among all documents of its contact, fresh. Raises VendorError."""
        found = self._documents_of(posting)
        papers = {_paper(one, posting): one for one in found}
        told = the_one(
            posting, list(papers), prefix=_PREFIX, length=_NUMBER_LENGTH, field="reference", remedy="delete or void"
        )
        if not isinstance(told, Paper):
            return told
        document = papers[told]
        if posting.currency and document.currency and document.currency != posting.currency:
            # Xero shows no day on which a document was made: whether it was made so, or changed later, is not told.
            return Moved(f"{told.name} is in {document.currency}, not in {posting.currency}")
        return Found(told.record, _shown(document, posting.marker))

    def _documents_of(self, posting: Posting) -> Sequence[Document]:
        """The contact's documents of a year and later, also deleted ones; of both contacts where it was merged."""
        contacts = {posting.customer_id, self._reader.destination(posting.customer_id)}
        either = " OR ".join(f'Contact.ContactID==Guid("{one}")' for one in sorted(contacts))
        which = f"({either})" if len(contacts) > 1 else either
        if posting.ends is not None:
            which += f" AND Date>={since(add_months(posting.ends, -_FOUND_WITHIN))}"
        found: Sequence[Document]
        if posting.operation == Operation.POST_CREDIT:
            found = self._reader.sales("CreditNotes", CreditNote, which, urgent=True).rows
        else:
            found = self._reader.sales("Invoices", Invoice, which, urgent=True).rows
        for one in found:
            if one.contact.contact_id not in contacts:
                raise VendorError("wrong_tenant", f"Xero answered with {name(one)} of another contact")
        return found

    def _taken(self, sent: Document, said: str) -> Outcome:
        """Xero has a document of this number already: ours, from an attempt whose answer was lost, or another
        customer's. The number is made of the postings' keys: the same customer's is ours, whatever became of its
        reference, and to say otherwise would have each posting sent again under a number of its own."""
        credit = isinstance(sent, CreditNote)
        field = "CreditNoteNumber" if credit else "InvoiceNumber"
        try:
            which = f'{field}=="{sent.number}"'
            found: Sequence[Document]
            if credit:
                found = self._reader.sales("CreditNotes", CreditNote, which, urgent=True).rows
            else:
                found = self._reader.sales("Invoices", Invoice, which, urgent=True).rows
            whose = self._contact(sent)
            mine = [one for one in found if self._contact(one) == whose]
        except VendorError as error:
            return Unknown(f"Xero says: {said}; who has the number {sent.number} could not be read: {error}")
        ours = {one.mark for one in charges(sent.reference or "")}
        for one in found:
            if one.live and ours == {other.mark for other in marked(one)} and not _differs(one, sent):
                return Receipt(one.key, f"{one.number} was there already")
            if not one.live and ours & {other.mark for other in marked(one)}:
                return Refused(
                    "invalid", f"{name(one)} is syncd's own and was {one.status.lower()}; its number is used"
                )
            if ours & {other.mark for other in marked(one)}:
                return Unknown(f"{name(one)} is there already and differs: {_differs(one, sent)}")
        if not found:
            return Unknown(f"Xero says: {said}; it shows no document with the number {sent.number} (yet)")
        if mine:
            one = min(mine, key=lambda one: not one.live)
            if not one.live:
                return Refused("invalid", f"{name(one)} was syncd's and was {one.status.lower()}; its number is used")
            return Unknown(
                f"{name(one)} bears syncd's number and no mark of it any more: put its reference back, or delete or "
                "void it"
            )
        return Refused(
            "invalid", f"Xero has a document with the number {sent.number} already, and it is not syncd's: {said}. "
            "It was not touched",
        )  # fmt: skip

    def _contact(self, document: Document) -> str:
        """Whose a document is, also where its contact was merged. Raises VendorError."""
        return self._reader.destination(document.contact.contact_id).lower()


def together(posting: Posting) -> str:
    """What names the document that a posting may share: the same customer, period, day, currency and direction."""
    if posting.ends is None:
        return ""
    return "|".join(
        (posting.operation, posting.customer_id, posting.period, posting.ends.isoformat(), posting.currency)
    )


def described(text: str) -> str:
    """A description on one line, cut between words at its length."""
    return shortened(text, DESCRIPTION_LENGTH)


def _line(posting: Posting) -> dict[str, Any]:
    """One line. Account and tax are the item's in Xero: they are left out, and never made up here."""
    quantity, price = figures(posting)
    return {
        "ItemCode": posting.product,
        "Description": _words(posting),
        "Quantity": exact(quantity),
        "UnitAmount": exact(price),
    }


def _words(posting: Posting) -> str:
    return described(posting.description or posting.product)


def _failed(reply: Reply) -> str:
    """What Xero says against the document, "" where nothing: in a 400, or inside a 200 (`summarizeErrors=false`)."""
    if reply.status == 400:
        return words(reply)
    told = reply.try_parse(_Sent) if 200 <= reply.status < 300 else None
    for one in told.documents if told else ():
        if one.attribute == "ERROR" or one.failed or one.errors or one.key == NO_ID:
            said = one_line([error.message for error in one.errors or ()])
            return said or "it shows the document without an id and names no reason"
    return ""


def _made(reply: Reply) -> Document | None:
    """The one document that an answer shows; None where it shows none or several."""
    told = reply.try_parse(_Sent)
    return told.documents[0] if told is not None and len(told.documents) == 1 else None


def _shows_otherwise(reply: Reply, sent: Document) -> str:
    """How the document that a success shows differs from what was sent, in words; "" where it does not, or none is
    shown."""
    made = _made(reply) if 200 <= reply.status < 300 else None
    differs = _differs(made, sent) if made else ""
    return f"{name(made)} is there and differs from what was sent: {differs}" if made and differs else ""


def _receipt(reply: Reply, sent: Document) -> Receipt | None:
    made = _made(reply)
    if made is None or made.warnings or made.attribute not in (None, "OK"):
        return None
    return Receipt(made.key, made.number)


def _differs(made: Document, sent: Document) -> str:
    """In what a document is not the one that was sent; "" where it is. Account, tax and totals with tax are Xero's."""
    if made.contact.contact_id.lower() != sent.contact.contact_id.lower():
        return "its contact"
    if made.kind != sent.kind or made.number != sent.number or made.reference != sent.reference:
        return "its type, number or reference"
    if made.status != sent.status or made.amounts not in (None, sent.amounts):
        return f"its status, {made.status}"
    if sent.currency and made.currency != sent.currency:
        return f"its currency, {made.currency}"
    if day(made.dated) != day(sent.dated):
        return "its date"
    lines, wanted = made.lines or [], sent.lines or []
    if len(lines) != len(wanted):
        return f"its lines, {len(lines)} instead of {len(wanted)}"
    for place, (line, meant) in enumerate(zip(lines, wanted, strict=True), 1):
        if _line_differs(line, meant):
            return f"line {place}"
    whole = sum((_amount(one) for one in wanted), Decimal(0))
    return "" if made.subtotal == whole else f"its subtotal, {made.subtotal} instead of {plain(whole)}"


def _line_differs(line: Line, meant: Line) -> bool:
    return (
        line.code.casefold() != meant.code.casefold()
        or line.quantity != meant.quantity
        or line.price != meant.price
        or line.amount != _amount(meant)
    )


def _amount(line: Line) -> Decimal:
    return line_amount(units(line.quantity), line.price or Decimal(0))


def _shown(document: Document, mark: str) -> Decimal | None:
    """The units that a mark's line shows; None where the lines cannot be told apart any more."""
    try:
        return next((one.units for one in own(document) if one.charge.mark == mark), None)
    except VendorError:
        return None


def _paper(document: Document, posting: Posting) -> Paper:
    codes = {line.code.casefold() for line in document.lines or ()}
    meant = (posting.product.casefold(), line_amount(*figures(posting)), _words(posting))
    return Paper(
        name=name(document),
        record=document.key,
        number=document.number,
        marks=frozenset(one.mark for one in marked(document)),
        ended="" if document.live else f"was {document.status.lower()}",
        may_hold=posting.product.casefold() in codes,
        alike=any(
            (line.code.casefold(), line.amount, (line.description or "").strip()) == meant
            for line in unaccounted(document)
        ),
    )


def _called(sent: Document) -> str:
    return f"the draft {'credit note' if isinstance(sent, CreditNote) else 'invoice'} {sent.number}"
