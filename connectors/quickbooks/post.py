"""Writes estimates, invoices and credit memos: what is sent, what its answer means, and the look whether it is there.

A document is created once and never touched again. Its private note bears the marks, by which it is found in the list
of the customer's documents; its number and the `requestid` are derived from the same keys. What was sent is compared
with what QuickBooks shows, line by line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from connectors.quickbooks.abilities import DESCRIPTION_LENGTH
from connectors.quickbooks.api import MINOR_VERSION, Api
from connectors.quickbooks.documents import (
    CREDIT,
    DEFAULT,
    ESTIMATE,
    INVOICE,
    NUMBER_LENGTH,
    PLACES,
    PREFIX,
    WORDS,
    Own,
    entity_of,
    item_of,
    marks,
    named,
    note_of,
    own,
    priced,
    unaccounted,
    voided,
)
from connectors.quickbooks.errors import DUPLICATE_NUMBER, explain, fault, refused
from connectors.quickbooks.payloads import Document, Form, Line, Ref
from connectors.quickbooks.query import Where, page, whole
from connectors.quickbooks.read import Reader
from syncd.connect.documents import Paper, arithmetic, charges, number, the_one
from syncd.connect.http import Reply, json_bytes
from syncd.connect.outcome import outcome
from syncd.connect.values import exact, shortened
from syncd.errors import VendorError
from syncd.model import Found, Moved, Outcome, Posting, Receipt, Refused, Sight, Unknown, Wire
from syncd.money import ZERO, plain

# A document is looked for from so long before the days that it is for: a person may have dated it back.
_LOOK_BACK = timedelta(days=366)
_HEADERS = (("content-type", "application/json"),)


class Answer(msgspec.Struct):
    """The answer to a write, under the entity's name; warnings make it less than a success."""

    estimate: Document | None = msgspec.field(default=None, name="Estimate")
    invoice: Document | None = msgspec.field(default=None, name="Invoice")
    credit: Document | None = msgspec.field(default=None, name="CreditMemo")
    warnings: Any = msgspec.field(default=None, name="Warnings")

    def of(self, entity: str) -> Document | None:
        """The one of an entity."""
        return {ESTIMATE: self.estimate, INVOICE: self.invoice, CREDIT: self.credit}[entity]


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, api: Api) -> None:
        self._reader = reader
        self._api = api

    def wire(self, postings: Sequence[Posting]) -> Wire:
        """One document for these postings. Equal postings give equal bytes as long as the company's settings, items and
        customers stay as they are; those are read once. Raises ValueError for what `refusal` names, VendorError where
        the settings cannot be read."""
        first = postings[0]
        entity = entity_of(first)
        if first.ends is None or any(together(one) != together(first) for one in postings):
            raise ValueError("a document is for one customer and one day")
        facts = self._reader.facts.get()
        preferences = facts.preferences
        body: dict[str, Any] = {
            "CustomerRef": {"value": first.customer_id},
            "TxnDate": first.ends.isoformat(),
            "PrivateNote": note_of(postings),
            "EmailStatus": "NotSet",
            "PrintStatus": "NotSet",
            "Line": [self._line(posting) for posting in postings],
        }
        if entity == ESTIMATE:
            body["TxnStatus"] = "Pending"
        if preferences.sales_forms_prefs.custom_txn_numbers:
            body["DocNumber"] = number(PREFIX, (one.marker for one in postings), NUMBER_LENGTH)
        if preferences.currency_prefs.multi_currency_enabled:
            body["CurrencyRef"] = {"value": self._reader.currency(first.customer_id)}
        if preferences.tax_prefs.using_sales_tax and not facts.american:
            body["GlobalTaxCalculation"] = "TaxExcluded"
        keys = "\n".join([self._api.realm, entity, *sorted(posting.key for posting in postings)])
        request = f"sd-{hashlib.sha256(keys.encode()).hexdigest()[:40]}"
        path = f"company/{self._api.realm}/{entity.lower()}?minorversion={MINOR_VERSION}&requestid={request}"
        return Wire("POST", path, json_bytes(body), _HEADERS)

    def send(self, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and holds what QuickBooks shows against them."""
        try:
            reply = self._api.send(wire)
        except VendorError as error:  # not on the list of what may be asked: nothing left
            return Refused(error.code, str(error))
        found = fault(reply) if isinstance(reply, Reply) else None
        if isinstance(reply, Reply) and found is not None:
            if DUPLICATE_NUMBER & set(found.codes):
                return self._bears_number(wire, reply)
            if 200 <= reply.status < 300:
                says = Unknown(f"QuickBooks answered with an error that leaves it open: {found.words}")
                return refused(reply) or says
        differs = _difference(wire, reply) if isinstance(reply, Reply) and 200 <= reply.status < 300 else ""
        if differs:
            return Unknown(differs)
        return outcome(
            reply,
            receipt=lambda told: _receipt(wire, told),
            refused=refused,
            throttled_is_harmless=False,
        )

    def find(self, posting: Posting) -> Sight:
        """Looks through the customer's documents for the posting's mark. Raises VendorError where it cannot tell."""
        entity = entity_of(posting)
        since = (posting.starts or posting.ends or self._no_day()) - _LOOK_BACK
        where = (Where("CustomerRef", "=", posting.customer_id), Where("TxnDate", ">=", since))
        rows = whole(self._api, entity, Document, where).rows
        for row in rows:
            if row.customer != posting.customer_id:
                raise VendorError(
                    "wrong_tenant",
                    f"QuickBooks answered with the {named(entity, row)} of another customer when asked for those of "
                    f"#{posting.customer_id}",
                )
        papers = {_paper(entity, row, posting): row for row in rows}
        found = the_one(
            posting, list(papers), prefix=PREFIX, length=NUMBER_LENGTH, field="memo", remedy="delete or void"
        )
        return _seen(entity, papers[found], posting) if isinstance(found, Paper) else found

    def _line(self, posting: Posting) -> dict[str, Any]:
        quantity, price, amount = sums(posting)
        detail: dict[str, Any] = {
            "ItemRef": {"value": posting.product_id},
            "Qty": exact(quantity),
            "UnitPrice": exact(price),
        }
        if tax := self._reader.tax_code(posting.product_id, posting.customer_id):
            detail["TaxCodeRef"] = {"value": tax}
        return {
            "DetailType": "SalesItemLineDetail",
            "Amount": exact(amount),
            "Description": _words(posting),
            "SalesItemLineDetail": detail,
        }

    def _bears_number(self, wire: Wire, reply: Reply) -> Outcome:
        """QuickBooks has the number: whose document is it? One metered read looks at all three kinds.

        The number is made of the postings' keys: the same customer's is ours, whatever became of its memo, and to say
        otherwise would have each posting sent again under a number of its own.
        """
        form = _form(wire)
        text = form.doc_number or ""
        mine = {one.mark for one in charges(form.private_note)}
        entities = (ESTIMATE, INVOICE, CREDIT)
        where = (Where("DocNumber", "=", text),)
        try:
            answers = self._api.batch([page(entity, where, most=10) for entity in entities])
            found = [
                (entity, row)
                for entity, (answer, told) in zip(entities, answers, strict=True)
                if entity in told
                for row in replace(answer, body=bytes(told[entity])).parse(list[Document])
            ]
        except VendorError as error:
            return Unknown(f"QuickBooks has the number {text} already, and whose it is cannot be read: {error}")
        if any(mine & {one.mark for one in marks(row)} for _, row in found):
            return Unknown(f"QuickBooks has the number {text} already, from an earlier sending of the same")
        if not found:
            return Unknown(f"QuickBooks has the number {text} already, and shows no document that bears it (yet)")
        code, sentence = explain(reply)
        if ours := [one for one in found if one[1].customer == form.customer_ref.value]:
            entity, row = min(ours, key=lambda one: bool(_ended(*one)))
            if ended := _ended(entity, row):
                return Refused(code, f"{sentence}: the {named(entity, row)} was syncd's and {ended}")
            return Unknown(
                f"the {named(entity, row)} bears syncd's number and no mark of it any more: put its memo back, or "
                "delete or void it"
            )
        which = ", ".join(f"{named(entity, row)} of customer #{row.customer}" for entity, row in found)
        whose = f"it stands on the {which}, which is not syncd's: give that another number"
        return Refused(code, f"{sentence}: {text}; {whose}")

    def _no_day(self) -> Any:
        raise ValueError("a document needs the days that it covers")


def _words(posting: Posting) -> str:
    return shortened(posting.description or posting.product, DESCRIPTION_LENGTH)


def together(posting: Posting) -> str:
    """What names the document that a posting may share: customer, period, date, form and currency."""
    document = posting.options.get("document", DEFAULT)
    parts = (posting.operation, posting.customer_id, posting.period, posting.ends, document, posting.currency)
    return "|".join(map(str, parts))


def sums(posting: Posting) -> tuple[Decimal, Decimal, Decimal]:
    """(quantity, unit price, amount) of a posting's line, so that QuickBooks' own multiplication gives the amount.
    Raises ValueError where no price is known."""
    posting = priced(posting)
    assert posting.amount is not None
    return *arithmetic(posting, PLACES), posting.amount


def _seen(entity: str, row: Document, posting: Posting) -> Sight:
    """What the one document that bears the mark, and stands, shows."""
    name = f"the {named(entity, row)}"
    if not all(one.readable for one in marks(row)):
        return Found(_remote(entity, row))  # it bears the mark; for how much, only its memo said
    told = row.currency_ref.value if row.currency_ref is not None else ""
    if told and posting.currency and told != posting.currency:
        made_so = row.sync_token == "0"  # noqa: S105 - QuickBooks' word for "never changed"
        arrived = "" if made_so else _remote(entity, row)
        return Moved(f"{name} is in {told}, not in {posting.currency}", arrived=arrived)
    mine: Own = next(one for one in own(entity, row) if one.charge.mark == posting.marker)
    if mine.line is None:
        gone = f"{name} no longer holds the line for {posting.product or posting.product_id}"
        return Moved(gone, arrived=_remote(entity, row))
    amount = sums(posting)[2]
    if row.sync_token == "0" and mine.line.amount != amount:  # noqa: S105 - QuickBooks' word for "never changed"
        shown = plain(mine.line.amount) if mine.line.amount is not None else "no amount"
        return Moved(f"{name} shows {shown} for {posting.product}, not the {plain(amount)} that was sent; amend it")
    return Found(_remote(entity, row), mine.units)


def _remote(entity: str, row: Document) -> str:
    """What the ledger calls a document."""
    return f"{WORDS[entity]} {row.id}"


def _paper(entity: str, row: Document, posting: Posting) -> Paper:
    meant = (posting.product_id, sums(posting)[2], _words(posting).strip())
    return Paper(
        name=f"the {named(entity, row)}",
        record=_remote(entity, row),
        number=row.doc_number or "",
        marks=frozenset(one.mark for one in marks(row)),
        ended=_ended(entity, row),
        may_hold=any(item_of(line) == posting.product_id for line in row.line),
        alike=any((item_of(line), line.amount, line.description.strip()) == meant for line in unaccounted(entity, row)),
    )


def _ended(entity: str, row: Document) -> str:
    """What became of a document, in words; "" while it stands."""
    rejected = entity == ESTIMATE and row.txn_status.casefold() == "rejected"
    return "was voided" if voided(row) else "was rejected" if rejected else ""


def _form(wire: Wire) -> Form:
    """What a wire says."""
    return Reply(200, {}, wire.body, where="the request").parse(Form)


def _entity(wire: Wire) -> str:
    kind = wire.path.partition("?")[0].rpartition("/")[2]
    return next(entity for entity in (ESTIMATE, INVOICE, CREDIT) if entity.lower() == kind)


def _receipt(wire: Wire, reply: Reply) -> Receipt | None:
    answer = reply.try_parse(Answer)
    found = answer.of(_entity(wire)) if answer else None
    if found is None:
        return None
    return Receipt(_remote(_entity(wire), found), reply.body[:4000].decode(errors="replace"))


def _difference(wire: Wire, reply: Reply) -> str:
    """How what QuickBooks shows differs from what was sent, in words; "" where it does not, or shows no document."""
    answer, form = reply.try_parse(Answer), _form(wire)
    entity = _entity(wire)
    found = answer.of(entity) if answer else None
    if answer is None or found is None:
        return ""
    name = f"the {named(entity, found)}"
    if answer.warnings:
        return f"{name} came with a warning: {str(answer.warnings)[:300]}"
    headers: tuple[tuple[str, object, object], ...] = (
        ("customer", form.customer_ref.value, found.customer),
        ("date", form.txn_date, found.txn_date),
        ("memo", form.private_note, found.private_note),
        ("number", form.doc_number or found.doc_number, found.doc_number),
        ("currency", form.currency_ref or found.currency_ref, found.currency_ref),
        ("e-mail status", "NotSet", found.email_status or "NotSet"),
    )
    for what, sent, shown in headers:
        if _value(sent) != _value(shown):
            return f"{name} shows the {what} {_value(shown)} where {_value(sent)} was sent"
    sold = [line for line in found.line if item_of(line)]
    if len(sold) != len(form.line):
        return f"{name} has {len(sold)} lines where {len(form.line)} were sent"
    for wanted, line in zip(form.line, sold, strict=True):
        for (what, sent), (_, shown) in zip(_figures(wanted), _figures(line), strict=True):
            if sent != shown:
                return f"{name} shows the {what} {shown} where {sent} was sent"
    tax = (found.txn_tax_detail.total_tax if found.txn_tax_detail else None) or ZERO
    total = sum((line.amount or ZERO for line in form.line), ZERO)
    if found.total_amt is None or found.total_amt - tax != total:
        return f"{name} shows the total {found.total_amt} with {tax} of tax where {total} before tax was sent"
    return ""


def _value(told: object) -> object:
    return told.value if isinstance(told, Ref) else told


def _figures(line: Line) -> tuple[tuple[str, object], ...]:
    detail = line.sales_item_line_detail
    return (
        ("item", item_of(line)),
        ("quantity", detail.qty if detail else None),
        ("price", detail.unit_price if detail else None),
        ("amount", line.amount),
    )
