"""What must hold of documents in the model books, beside what `sim_judge` holds of their lines.

A document is made once, by one request, for one customer, day and kind; its number stands for its lines and for no
others; its money is what its units cost. What was refused together is not asked for together again, before each line
had its chance alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from sim_books import Books
from sim_wrong import Wrong

from syncd.model import Posting

if TYPE_CHECKING:
    from sim_judge import Judge

PRICE = Decimal(10)


def sent_in_a_document(judge: Judge, model: Books, carried: Sequence[Posting], body: bytes) -> None:
    """A document that is about to reach the books."""
    asked = json.loads(body)
    if asked["document"]:
        raise Wrong(f"document edited: {asked['document']} was made already, and {len(carried)} lines are added to it")
    keys = " ".join(sorted(one.key for one in carried))
    if judge.numbers.setdefault(asked["number"], keys) != keys:
        raise Wrong(f"one number: {asked['number']} stands for two documents with other lines")
    if len({one.marker for one in carried}) < len(carried):
        raise Wrong("twice in one document: two lines bear one mark")
    entries = [judge.world.entry_row(one.key) for one in carried]
    kinds = {(row["customer"].lower(), row["operation"], row["period"]) for row in entries if row is not None}
    if len(kinds) > 1 or any(who != asked["customer"] for who, _, _ in kinds):
        raise Wrong(f"mixed document: {sorted(kinds)} share one of {asked['customer']}")
    if len(carried) > model.abilities.documents:
        raise Wrong(f"too many lines: {len(carried)} in one document")
    for line in asked["lines"]:
        if (
            not Decimal(line["units"]) * PRICE
            == Decimal(line["units"]) * Decimal(line["price"])
            == Decimal(line["amount"])
        ):
            raise Wrong(
                f"other money: {line['units']} of {line['product']} at {line['price']} come to {line['amount']}"
            )
    if len(carried) > 1 and model.refused.get(keys, "") is model.estate.process():
        raise Wrong("refused together: the same lines are asked for together again, and none was alone since")


def taken_off(model: Books, key: str) -> bool:
    """Whether a document bears the mark of a change, and not its line."""
    marks = {effect.marker for effect in model.effects if effect.key == key}
    return any(
        (row is None or document.voided) and charge.mark in marks
        for document in model.documents.values()
        for charge, row in model.charged(document)
    )
