"""What a charge, an invoice or a credit memo is made of when syncd writes one, and how one that is shown differs from
what was meant. Pure.

NetSuite answers a creation without a body, and scripts of the account run on every write: so the record is read back
and held against the bytes that were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from connectors.netsuite import payloads
from connectors.netsuite.abilities import CHARGE, INVOICE, REQUEST_LIFE
from connectors.netsuite.api import create
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.own import HOLD
from connectors.netsuite.payloads import Document, Line, Record
from syncd.connect.documents import arithmetic, charge, charges, lost_marks, note, number
from syncd.connect.values import exact
from syncd.model import Operation, Posting, Wire
from syncd.money import plain, round_money

CREDIT_MEMO = "creditMemo"
# Prefixes of external ids: types of transactions may share one space of them. Lower case only, for they are compared by
# letter case in some places and not in others.
PREFIX = {CHARGE: "syncd-chg-", INVOICE: "syncd-inv-", CREDIT_MEMO: "syncd-crd-"}
_ID_LENGTH = 50
# Decimals of a rate that every account keeps.
PLACES = 2
_PENDING = "1"
# "Custom": the price is the one that is sent, not that of the customer's price level.
_CUSTOM_PRICE = "-1"


def record_of(posting: Posting) -> str:
    """The type of the record that a posting becomes. Raises ValueError for one that NetSuite does not take."""
    match posting.operation, posting.options.get("document", CHARGE):
        case Operation.POST_CREDIT, _:
            return CREDIT_MEMO
        case Operation.POST_LINE, "charge" | "invoice" as document:
            return document
    raise ValueError(f"NetSuite takes no {posting.operation}")


def external_id(postings: Sequence[Posting]) -> str:
    """The document's own id, for ever the same for the same postings."""
    return number(PREFIX[record_of(postings[0])], [one.marker for one in postings], _ID_LENGTH).lower()


def lost(record: str, external: str, memo: str) -> str:
    """What a document lost that `external_id` named, in words; "" for a whole one, also where a person quoted a mark
    once more, and for a person's."""
    return lost_marks(external, PREFIX[record], {one.mark for one in charges(memo)}, _ID_LENGTH)


def together(posting: Posting) -> str:
    """What names the document that a posting may share; "" for a charge, which is a record of its own."""
    if record_of(posting) == CHARGE:
        return ""
    parts = (posting.operation, posting.customer_id, posting.period, posting.ends, record_of(posting), posting.currency)
    return "|".join(map(str, parts))


def written(postings: Sequence[Posting], settings: NetSuiteSettings) -> Wire:
    """The request that creates the record. Pure. Raises ValueError for postings that lack a day or a price."""
    record = record_of(postings[0])
    memo = note(charge(one, PLACES) for one in postings)
    if record == CHARGE:
        (posting,) = postings
        quantity, rate = arithmetic(posting, PLACES)
        body: dict[str, Any] = {
            "externalId": external_id(postings),
            "billTo": {"id": posting.customer_id},
            "billingItem": {"id": posting.product_id},
            "chargeType": {"id": settings.charge_type},
            "chargeDate": _day(posting),
            "serviceStartDate": f"{posting.starts:%Y-%m-%d}",
            "serviceEndDate": _day(posting),
            "quantity": exact(quantity),
            "rate": exact(rate),
            "stage": {"id": HOLD},
            "description": described(posting),
            "memo": memo,
        }
        return create(record, body)
    body = {
        "externalId": external_id(postings),
        "entity": {"id": postings[0].customer_id},
        "tranDate": _day(postings[0]),
        "memo": memo,
        "toBeEmailed": False,
        "item": {"items": [_sent_line(one) for one in postings]},
    }
    if record == CREDIT_MEMO:
        body["apply"] = {"items": []}  # it is for the bookkeeper to say which invoice it is taken off
    elif settings.approval:
        body["approvalStatus"] = {"id": _PENDING}
    return create(record, body)


def _sent_line(posting: Posting) -> dict[str, Any]:
    quantity, rate = arithmetic(posting, PLACES)
    return {
        "item": {"id": posting.product_id},
        "quantity": exact(quantity),
        "rate": exact(rate),
        "price": {"id": _CUSTOM_PRICE},
        "description": described(posting),
    }


def _day(posting: Posting) -> str:
    if posting.ends is None:
        raise ValueError("a document needs the days that it covers")
    return f"{posting.ends:%Y-%m-%d}"


def described(posting: Posting) -> str:
    """What the customer reads, on one line."""
    return " ".join((posting.description or posting.product).split())


def shape_of(record: str) -> type[Document] | type[payloads.Charge]:
    """The shape of a type of record."""
    return payloads.Charge if record == CHARGE else Document


def sent(wire: Wire) -> Record:
    """What a request's bytes ask for."""
    shape = shape_of(wire.path.rpartition("/")[2])
    return msgspec.json.decode(wire.body, type=shape)


def lines_of(record: Record) -> list[Line] | None:
    """The lines of a record, a charge being one; None where they are not shown or not all of them."""
    if isinstance(record, payloads.Charge):
        return [Line(record.billing_item, record.quantity, record.rate, record.amount)]
    return None if record.item.has_more else record.item.items


def customer_of(record: Record) -> str:
    """The customer's id."""
    return str(record.bill_to if isinstance(record, payloads.Charge) else record.entity)


def marks_of(record: Record) -> tuple[str, ...]:
    """The marks that a record bears, in the order of its lines."""
    return tuple(one.mark for one in charges(record.memo or ""))


def touched(record: Record) -> bool:
    """Whether NetSuite shows that a record was changed after the request that made it, and the scripts that run with
    it, had ended. False where it does not tell."""
    try:
        made = datetime.fromisoformat(record.created_date or "")
        changed = datetime.fromisoformat(record.last_modified_date or "")
        return changed - made > REQUEST_LIFE
    except (ValueError, TypeError):  # not shown; or only one of them names its zone
        return False


def difference(meant: Record, shown: Record, currency: str) -> str:
    """How a record differs from what was sent: customer, day, number of lines, each line, their sum. "" where it does
    not. `currency`: the ISO code of the amounts."""
    if customer_of(meant) != customer_of(shown):
        return f"is for customer #{customer_of(shown)} instead of #{customer_of(meant)}"
    before, now = _dated(meant), _dated(shown)
    if before != now:
        return f"is dated {now} instead of {before}"
    wanted, there = lines_of(meant) or [], lines_of(shown)
    if there is None:
        return "does not show its lines"
    if len(there) != len(wanted):
        return f"has {len(there)} lines instead of {len(wanted)}"
    for place, (one, other) in enumerate(zip(wanted, there, strict=True), start=1):
        if told := line_difference(one, other, currency):
            return f"{told}{f' in line {place}' if len(wanted) > 1 else ''}"
    if isinstance(shown, Document) and shown.subtotal is not None:
        total = sum((one.amount or Decimal(0) for one in there), Decimal(0))
        if shown.subtotal != total:
            return f"amounts to {plain(shown.subtotal)} before tax instead of {plain(total)}"
    return ""


def line_difference(meant: Line, shown: Line, currency: str) -> str:
    """How one line differs: item, quantity, rate, amount; "" where it does not."""
    if str(meant.item) != str(shown.item):
        return f"shows item #{shown.item or 'none'} instead of #{meant.item}"
    if meant.quantity is None or meant.rate is None:
        return "was sent without quantity or rate"
    for name, wanted, there in (("quantity", meant.quantity, shown.quantity), ("rate", meant.rate, shown.rate)):
        if there != wanted:
            return f"shows the {name} {plain(there) if there is not None else 'nothing'} instead of {plain(wanted)}"
    exactly = meant.quantity * meant.rate
    amount = round_money(exactly, currency)
    if shown.amount is None or (shown.amount != amount and abs(shown.amount - exactly) > abs(amount - exactly)):
        told = plain(shown.amount) if shown.amount is not None else "nothing"
        return f"shows the amount {told} instead of {plain(amount)}"
    return ""


def _dated(record: Record) -> str:
    told = record.charge_date if isinstance(record, payloads.Charge) else record.tran_date
    return (told or "no day")[:10]
