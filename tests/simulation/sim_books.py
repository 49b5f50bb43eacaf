"""Model books in memory: documents with lines, which are made once and which people go on with.

As `sim_vendors`, for class M with documents: several postings of one customer and day stand in one document, which
bears their marks in a note. A document's number is remembered as long as the vendor cares to. A draft bills nobody
until a person sends it on; people also change a quantity, take a line off, void a document or delete it. Where the
request names a document that stands, lines are added to it: the vendor would do that, and syncd must never ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sim_estate import KEY_LIFE, REQUEST_LIFE, Effect, Estate, Row
from sim_session import BillingSession
from sim_vendors import BillingModel

from syncd.connect.contract import Abilities, Context, Delivery
from syncd.connect.documents import Charge, arithmetic, charge, charges, note, number
from syncd.errors import VendorError
from syncd.model import (
    Absent,
    Agreement,
    BilledLine,
    Billing,
    Found,
    Moment,
    Moved,
    Operation,
    Outcome,
    Posting,
    Product,
    Refused,
    RemoteCustomer,
    Sight,
    Wire,
)
from syncd.periods import Period

PLACES = 5
# What was made may be missing on lists for so long: less than a request lives.
LIST_LAG = timedelta(minutes=4)
# Faults of writes that only books have: "unlisted" is done and told, and no list shows it for a while.
BOOKS_FAULTS = ("unlisted",)


@dataclass
class Document:
    """A document; its lines are rows whose ids begin with its own. `entity`: "draft", "invoice" or "credit"."""

    id: str
    customer: str
    entity: str
    note: str
    listed: datetime
    voided: bool = False


class Books(BillingModel):
    """The documents of all customers. `drafts`: what is posted is a draft. `keyed`: a number is remembered."""

    title = "Model books"

    def __init__(
        self, name: str, estate: Estate, customers: Sequence[str], products: Sequence[str], *,
        keyed: bool, drafts: bool, most: int,
    ) -> None:  # fmt: skip
        super().__init__(name, estate, customers, products, keyed=keyed, tells_period=False, versions=False)
        self.kind, self.drafts = "books", drafts
        self.abilities = books_abilities(most)
        self.documents: dict[str, Document] = {}
        self.stopped: set[str] = set()  # products that no new document takes
        self.lists_late = False
        self.refused: dict[str, Any] = {}  # a group's keys -> in which process it was refused, until one went alone

    def open(self, settings: Any, context: Context) -> Any:
        return BooksSession(self, context)

    def clear(self) -> None:
        super().clear()
        self.stopped.clear()

    def invoice(self, customers: Sequence[str], period: Period, today: date, *, locks: bool) -> None:
        """The bookkeeper closes the books: up to today, or with the month before."""
        self.invoiced_through = dict.fromkeys(customers, period.first - timedelta(days=1) if locks else today)

    def carried(self, posting: Posting, body: bytes) -> list[Posting]:
        return [
            replace(posting, key=one["key"], marker=one["marker"], product_id=one["product"])
            for one in json.loads(body)["lines"]
        ]

    def home(self, line: str) -> str:
        return line.partition("/")[0]

    def charged(self, document: Document) -> list[tuple[Charge, Row | None]]:
        """The charges of a document, each with its line, None where a person took that off."""
        return [
            (one, self.rows.get(f"{document.id}/{index}")) for index, one in enumerate(charges(document.note), start=1)
        ]

    def receive(self, body: bytes) -> tuple[str, str]:
        asked = json.loads(body)
        if self.keyed and asked["number"] in self.keys:
            since, first, remote = self.keys[asked["number"]]
            if self.now - since < KEY_LIFE:
                self.estate.hits["a number replayed"] += 1
                return (remote, "") if first == body else ("", "the number was used for another document")
            self.estate.hits["a number expired"] += 1
        through = self.invoiced_through.get(asked["customer"])
        if through is not None and date.fromisoformat(asked["date"]) <= through:
            self.estate.hits["closed books refused"] += 1
            return "", f"the books are closed through {through}"
        for one in asked["lines"]:
            if one["product"] in self.stopped:
                self.estate.hits["a line refused"] += 1
                return "", f"{one['product']} is not sold any more"
        standing = self.documents.get(asked["document"])
        if standing is None:
            self.number += 1
            listed = self.now + (LIST_LAG if self.lists_late else timedelta())
            standing = Document(f"d{self.number}", asked["customer"], asked["entity"], asked["note"], listed)
            self.documents[standing.id] = standing
            before = 0
        else:
            before = len(charges(standing.note))
            standing.note += f"; {asked['note']}"
        self.lists_late = False
        if len(asked["lines"]) > 1:
            self.estate.hits["a shared document"] += 1
        for index, one in enumerate(asked["lines"], start=before + 1):
            units = int(one["units"]) * (-1 if asked["entity"] == "credit" else 1)
            row = Row(
                f"{standing.id}/{index}", standing.customer, one["product"], units, date.fromisoformat(one["starts"]),
                date.fromisoformat(one["ends"]), once=True, marker=one["marker"], by="syncd",
            )  # fmt: skip
            self.rows[row.id] = row
            self.history[row.id] = [(units, row.by)]
            operation = Operation.POST_CREDIT if asked["entity"] == "credit" else Operation.POST_LINE
            self._note(
                Effect(
                    one["key"], row.marker, operation, row.customer, row.product, row.id, 0, units, row.starts, self.now
                )
            )
        if self.keyed:
            self.keys[asked["number"]] = (self.now, body, standing.id)
        return standing.id, ""


def books_abilities(most: int) -> Abilities:
    """What a mapping may ask of model books: documents of up to `most` lines."""
    document = Delivery("M", "note", 40, request_life=REQUEST_LIFE, throttled_is_harmless=True)
    return Abilities(
        reads=frozenset({"invoiced"}),
        operations=MappingProxyType({Operation.POST_LINE: document, Operation.POST_CREDIT: document}),
        bill_keys=("item",),
        keeps_quantity=False,
        documents=most,
    )


class BooksSession(BillingSession):
    """An open connection to model books. Lists are held against a count, so that a torn one is told."""

    model: Books
    counted = True

    def together(self, posting: Posting) -> str:
        parts = (posting.operation, posting.customer_id, posting.period, posting.ends, posting.currency)
        return "|".join(map(str, parts))

    def wire(self, posting: Posting) -> Wire:
        return self.gather((posting,))

    def gather(self, postings: Sequence[Posting]) -> Wire:
        first = postings[0]
        if first.operation not in self.model.abilities.operations or first.ends is None:
            raise ValueError(f"the books take no {first.operation}")
        asked = {
            "entity": self._entity(first),
            "number": number("SD", (one.marker for one in postings), 21),
            "document": "",
            "customer": first.customer_id,
            "date": first.ends.isoformat(),
            "note": note(charge(posting, PLACES) for posting in postings),
            "lines": [_asked(posting) for posting in postings],
        }
        return Wire("POST", f"/{asked['entity']}", json.dumps(asked, sort_keys=True).encode())

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        through = self.model.invoiced_through.get(posting.customer_id)
        if through is not None and posting.ends is not None and posting.ends <= through:
            return f"the books are closed through {through}, and the document would be dated {posting.ends}"
        if posting.operation is Operation.POST_CREDIT:
            for line in billing.lines:
                if line.id.startswith("draft ") and line.product_id == posting.product_id and _meet(line, posting):
                    return f"the charge is still a draft: take {posting.quantity} off in the {line.id}"
        return ""

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        model = self.model
        keys = sorted(one.key for one in model.carried(posting, wire.body))
        if len(keys) == 1:
            for name in [name for name in model.refused if keys[0] in name.split()]:
                del model.refused[name]
        answer = super().send(posting, wire)
        if isinstance(answer, Refused) and len(keys) > 1:
            self.estate.hits["refused together"] += 1
            model.refused[" ".join(keys)] = self.estate.process()
        return answer

    def _answer(self, fault: str, posting: Posting, body: bytes) -> Outcome:
        self.model.lists_late = fault == "unlisted"
        return super()._answer(fault, posting, body)

    def _entity(self, posting: Posting) -> str:
        if posting.operation is Operation.POST_CREDIT:
            return "credit"
        return "draft" if self.model.drafts else "invoice"

    def _look(self, posting: Posting) -> Sight:
        model, credit = self.model, posting.operation is Operation.POST_CREDIT
        bearing = [
            document
            for document in model.documents.values()
            if (document.customer, document.entity == "credit") == (posting.customer_id, credit)
            and document.listed <= model.now
            and any(one.mark == posting.marker for one in charges(document.note))
        ]
        if len(bearing) > 1:
            return Moved(f"{len(bearing)} documents bear the mark {posting.marker}")
        if not bearing:
            return Absent()
        (document,) = bearing
        if document.voided:
            return Moved(f"the document {document.id} was voided", arrived=document.id)
        made, row = next(one for one in model.charged(document) if one[0].mark == posting.marker)
        if row is None:
            return Moved(
                f"the document {document.id} no longer holds the line for {posting.product}", arrived=document.id
            )
        return Found(document.id, made.shown(Decimal(abs(row.units))))

    def _agreement(self, customer: RemoteCustomer, moment: Moment) -> Agreement:
        through = self.model.invoiced_through.get(customer.id)
        return Agreement(customer.id, customer.id, customer.name, invoiced_through=through, currency="USD")

    def _standing(self, row: Row, moment: Moment) -> bool:
        document = self.model.documents.get(self.model.home(row.id))
        return document is not None and not document.voided and document.listed <= self.model.now

    def _line(self, row: Row) -> BilledLine:
        document = self.model.documents[self.model.home(row.id)]
        made = charges(document.note)[int(row.id.partition("/")[2]) - 1]
        return replace(
            super()._line(row),
            id=f"draft {row.id}" if document.entity == "draft" else row.id,
            agreement_id=row.customer,
            quantity=made.shown(Decimal(row.units)),
            starts=made.days.first,
            ends=made.days.last,
            marker=made.mark,
        )


def _asked(posting: Posting) -> dict[str, str]:
    """A line, as the request names it. Raises VendorError where the product has no price."""
    if posting.amount is None or posting.starts is None or posting.ends is None:
        raise VendorError("invalid", f"{posting.product} has no price, or no days")
    quantity, price = arithmetic(posting, PLACES)
    return {
        "key": posting.key,
        "marker": posting.marker,
        "product": posting.product_id,
        "units": str(quantity),
        "price": str(price),
        "amount": str(posting.amount),
        "starts": posting.starts.isoformat(),
        "ends": posting.ends.isoformat(),
    }


def _meet(line: BilledLine, posting: Posting) -> bool:
    before = posting.ends is not None and line.starts is not None and line.starts > posting.ends
    after = posting.starts is not None and line.ends is not None and line.ends < posting.starts
    return not (before or after)
