"""Syncd's own documents: what they are called, the note they bear, and which line stands for which charge. Pure.

The private note holds each posting's mark, in the order of the lines, and the items of those lines: so a line that a
person adds to the document is never taken for one of syncd's. No customer reads it on the document (it stands on
statements).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from connectors.quickbooks.payloads import Document, Line
from syncd.connect.documents import Charge, charge, charges, legible, note
from syncd.errors import VendorError
from syncd.model import Operation, Posting
from syncd.money import round_money

# Decimals of a unit price. QuickBooks takes up to seven, by hearsay; five are certain enough.
PLACES = 5
# Begins the numbers of syncd's documents, where the company numbers its forms itself.
PREFIX = "SD"
NUMBER_LENGTH = 21  # the most that QuickBooks takes

ESTIMATE, INVOICE, CREDIT = "Estimate", "Invoice", "CreditMemo"
ENTITIES = {"estimate": ESTIMATE, "invoice": INVOICE}
WORDS = {ESTIMATE: "estimate", INVOICE: "invoice", CREDIT: "credit memo"}
DEFAULT = "estimate"

_ITEMS = re.compile(r"\bfor items (\w+(?:, \w+)*)")


@dataclass(frozen=True, slots=True)
class Own:
    """One charge of a document and the line that stands for it; None where a person took it off."""

    charge: Charge
    line: Line | None

    @property
    def units(self) -> Decimal:
        """The units that stand there now."""
        sold = self.line.sales_item_line_detail if self.line else None
        if sold is None:
            return Decimal(0)
        return self.charge.shown(sold.qty if sold.qty is not None else Decimal(1))


def entity_of(posting: Posting) -> str:
    """What a posting becomes. Raises ValueError for another operation or document."""
    if posting.operation == Operation.POST_CREDIT:
        return CREDIT
    document = posting.options.get("document", DEFAULT)
    if posting.operation != Operation.POST_LINE or document not in ENTITIES:
        raise ValueError(f"QuickBooks has no {posting.operation} as {document}")
    return ENTITIES[document]


def note_of(postings: Sequence[Posting]) -> str:
    """What a document of these postings bears in its private note."""
    items = ", ".join(posting.product_id for posting in postings)
    return f"{note(charge(priced(posting), PLACES) for posting in postings)} for items {items}"


def priced(posting: Posting) -> Posting:
    """The posting with its amount: without one of the rule's it is units × price, rounded half-even (QuickBooks would
    round half up). Raises ValueError where no price is known."""
    if posting.amount is not None:
        return posting
    if posting.unit_price is None:
        raise ValueError("a document needs a price")
    return replace(posting, amount=round_money(posting.unit_price * posting.quantity, posting.currency))


def named(entity: str, document: Document) -> str:
    """A document in words: "estimate SD4F… (#145)"."""
    number = f"{document.doc_number} " if document.doc_number else ""
    return f"QuickBooks {WORDS.get(entity, entity)} {number}(#{document.id})"


def voided(document: Document) -> bool:
    """Whether it was voided: it stays, with its number, without its amounts."""
    amounts = [document.total_amt, *(line.amount for line in document.line)]
    return (document.private_note or "").lstrip().casefold().startswith("void") and not any(amounts)


def marks(document: Document) -> tuple[Charge, ...]:
    """The charges that a document's note names."""
    return charges(document.private_note or "")


def own(entity: str, document: Document) -> tuple[Own, ...]:
    """What a document charges for syncd, () for everybody else's.

    Raises VendorError `malformed` where it cannot be told which line stands for which charge, or for which units.
    """
    told = marks(document)
    if not told:
        return ()
    legible(told, f"the {named(entity, document)}", "memo")
    lines = [line for line in document.line if item_of(line)]
    found = _ITEMS.search(document.private_note or "")
    items = found[1].split(", ") if found else []
    paired: dict[int, Line | None] = {}
    if len(items) == len(told):
        wanted: dict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            wanted[item].append(index)
        for item, places in wanted.items():
            standing = [line for line in lines if item_of(line) == item]
            if standing and len(standing) != len(places):
                break
            paired.update(zip(places, standing or (None,) * len(places), strict=True))
    elif len(lines) == len(told):
        paired = dict(enumerate(lines))
    if len(paired) != len(told):
        raise VendorError(
            "malformed",
            f"the {named(entity, document)} bears marks of syncd ({told[0].mark}), and it cannot be told which of its "
            "lines they mean; put lines of your own for the same item onto another document",
        )
    return tuple(Own(one, paired[index]) for index, one in enumerate(told))


def unaccounted(entity: str, document: Document) -> list[Line]:
    """The lines with an item that no mark accounts for; all of them where there are fewer marks than lines and it
    cannot be told which are which. A mark that is quoted twice is one."""
    told = marks(document)
    lines = [line for line in document.line if item_of(line)]
    distinct = {one.mark for one in told}
    if len(distinct) >= len(lines):
        return []
    try:
        known = {id(one.line) for one in own(entity, document)} if len(distinct) == len(told) else set()
    except VendorError:
        known = set()
    return [line for line in lines if id(line) not in known]


def item_of(line: Line) -> str:
    """The id of a line's item, "" where it has none."""
    sold = line.sales_item_line_detail
    return sold.item_ref.value if sold is not None and sold.item_ref is not None else ""
