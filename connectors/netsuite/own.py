"""Reads syncd's own charges, invoices and credit memos by the marks in their memos, and what people made of them since.

Knows the types, stages and statuses of documents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

from connectors.netsuite.api import Api
from connectors.netsuite.payloads import ChargeRow, DocumentRow, ItemRow, LineRow, flag, number
from connectors.netsuite.suiteql import Select, Whole, day, holding, shown_number, whole, witnessed
from syncd.connect.documents import FAMILY, Charge, charges, legible
from syncd.errors import VendorError
from syncd.model import BilledLine

INVOICE, CREDIT = "CustInvc", "CustCred"
# Letters of a transaction's status (API Browser; meanings partly unconfirmed).
PENDING, REJECTED, VOIDED = "D", "E", "V"
_STATUSES = frozenset({"A", "B", PENDING, REJECTED, VOIDED})
HOLD, NON_BILLABLE = "HOLD_FOR_BILLING", "NON_BILLABLE"


class Own:
    """Syncd's own lines by customer, what is wrong with some, and how they are known to be all."""

    def __init__(self) -> None:
        self.lines: dict[str, list[BilledLine]] = defaultdict(list)
        self.problems: dict[str, VendorError] = {}
        self.proof = ""


def read_own(api: Api, since: date, items: Mapping[str, ItemRow], *, charging: bool) -> Own:
    """All of syncd's own lines dated on a day or later, of all customers. `charging`: whether the account has charges.

    Raises VendorError; what is wrong with one record is the problem of its customer alone.
    """
    made = Own()
    where = f"t.type IN ('{INVOICE}', '{CREDIT}') AND t.memo LIKE {holding(FAMILY)} AND t.trandate >= {day(since)}"
    documents = whole(
        api,
        DocumentRow,
        Select(
            "t.type, t.entity, TO_CHAR(t.trandate, 'YYYY-MM-DD') AS trandate, t.tranid, t.memo, t.status, t.voided",
            "transaction t",
            where,
            "t.id",
        ),
    )
    lines = whole(
        api,
        LineRow,
        Select(
            "tl.transaction AS document, tl.linesequencenumber AS place, tl.item, tl.memo, tl.quantity, tl.rate, "
            "tl.foreignamount",
            "transactionline tl INNER JOIN transaction t ON t.id = tl.transaction",
            f"{where} AND tl.mainline = 'F' AND tl.taxline = 'F' AND tl.iscogs = 'F'",
            "tl.uniquekey",
        ),
    )
    held: dict[str, list[LineRow]] = defaultdict(list)
    for line in lines.rows:
        held[number(line.document)].append(line)
    for row in documents.rows:
        customer = number(row.entity)
        try:
            made.lines[customer] += _of_document(row, held[number(row.id)], items)
        except VendorError as error:
            made.problems[customer] = error
    counted = f"{len(documents.rows)} own documents with {len(lines.rows)} lines"
    if charging:
        found = _own_charges(api, since)
        for one in found.rows:
            customer = number(one.billto)
            try:
                made.lines[customer] += _of_charge(one, items)
            except VendorError as error:
                made.problems[customer] = error
        witnessed(api, {"charge": ("charge", "")})
        counted += f", {len(found.rows)} own charges"
    made.proof = f"{counted} since {since}"
    return made


def _own_charges(api: Api, since: date) -> Whole[ChargeRow]:
    columns = (
        "billto, billingitem, quantity, rate, TO_CHAR(chargedate, 'YYYY-MM-DD') AS chargedate, stage, invoice, memo"
    )
    where = f"memo LIKE {holding(FAMILY)} AND chargedate >= {day(since)}"
    return whole(api, ChargeRow, Select(columns, "charge", where))


def status_of(row: DocumentRow) -> str:
    """The letter of a document's status, also where it stands as "CustInvc:A". Raises VendorError for another one."""
    letter = (row.status or "").rpartition(":")[2].strip()
    if flag(row.voided):
        return VOIDED
    if letter not in _STATUSES:
        raise VendorError("malformed", f"NetSuite shows the status {row.status!r} of {document_name(row)}")
    return letter


def document_name(row: DocumentRow) -> str:
    """What people call a document."""
    what = "credit memo" if row.type == CREDIT else "invoice"
    return f"the NetSuite {what} {row.tranid or '#' + number(row.id)}"


def in_order(lines: Iterable[LineRow]) -> list[LineRow]:
    """Lines as they stand on their document, which is the order of syncd's marks."""
    return sorted(lines, key=lambda one: (one.place is None, one.place or one.id))


def own_charges(row: DocumentRow, lines: Iterable[LineRow]) -> dict[int, Charge]:
    """What the lines of a document, by `id()`, stand for where they are syncd's own; {} for everybody else's, and where
    a person worked on it so that it cannot be told."""
    marks = charges(row.memo or "")
    ordered = in_order(one for one in lines if not flag(one.taxline))
    if len(ordered) != len(marks) or not all(one.readable for one in marks):
        return {}
    return {id(line): mark for line, mark in zip(ordered, marks, strict=True)}


def _of_document(row: DocumentRow, held: Sequence[LineRow], items: Mapping[str, ItemRow]) -> list[BilledLine]:
    """The lines of one of syncd's own invoices or credit memos; none where it bills nothing any more.

    Raises VendorError where its lines or its memo are no longer those that syncd wrote.
    """
    marks = charges(row.memo or "")
    status = status_of(row)
    if not marks or status in (VOIDED, REJECTED):
        return []
    legible(marks, document_name(row), "memo")
    ordered = in_order(held)
    if len(ordered) != len(marks):
        raise VendorError(
            "malformed",
            f"{document_name(row)} bears {len(marks)} of syncd's marks and has {len(ordered)} lines; put additions of "
            "your own onto another one",
        )
    name = f"{'creditMemo' if row.type == CREDIT else 'invoice'} {number(row.id)}"
    posted = "" if status == PENDING else f"{document_name(row)} is posted"
    lines = []
    for place, (line, mark) in enumerate(zip(ordered, marks, strict=True), start=1):
        units = mark.shown(abs(shown_number(line.quantity)))
        lines.append(
            _line(
                f"{name}/{place}", number(row.entity), line.item, mark, items,
                quantity=-units if row.type == CREDIT else units, rate=line.rate, amount=_amount(line), obstacle=posted,
            )
        )  # fmt: skip
    return lines


def _of_charge(row: ChargeRow, items: Mapping[str, ItemRow]) -> list[BilledLine]:
    marks = charges(row.memo or "")
    if not marks or row.stage == NON_BILLABLE:
        return []
    legible(marks, f"the NetSuite charge #{number(row.id)}", "memo")
    if len(marks) != 1:
        raise VendorError("malformed", f"the memo of the NetSuite charge #{number(row.id)} names {len(marks)} charges")
    if row.quantity is None:
        raise VendorError("malformed", f"the NetSuite charge #{number(row.id)} shows no quantity")
    billed = f"the NetSuite charge #{number(row.id)} is on invoice #{number(row.invoice)}" if row.invoice else ""
    return [
        _line(
            f"charge {number(row.id)}", number(row.billto), row.billingitem, marks[0], items,
            quantity=marks[0].shown(row.quantity), rate=row.rate,
            amount=row.quantity * row.rate if row.rate is not None else None, obstacle=billed,
        )
    ]  # fmt: skip


def _line(
    name: str,
    customer: str,
    item: Decimal | None,
    mark: Charge,
    items: Mapping[str, ItemRow],
    *,
    quantity: Decimal,
    rate: Decimal | None,
    amount: Decimal | None,
    obstacle: str,
) -> BilledLine:
    key = number(item) if item is not None else ""
    row = items.get(key)
    return BilledLine(
        id=name,
        agreement_id=customer,
        customer_id=customer,
        product_id=key,
        product=row.itemid if row else "",
        name=(row.displayname or row.itemid) if row else "",
        quantity=quantity,
        unit_price=rate if mark.sent == mark.units else None,  # else it is that of all units together
        starts=mark.days.first,
        ends=mark.days.last,
        once=True,
        marker=mark.mark,
        obstacle=obstacle,
        amount=amount,
    )


def _amount(line: LineRow) -> Decimal | None:
    """What a line of a document charges, whatever signs the ledger keeps: it is below zero where its rate is."""
    if line.foreignamount is None:
        return None
    return -abs(line.foreignamount) if line.rate is not None and line.rate < 0 else abs(line.foreignamount)
