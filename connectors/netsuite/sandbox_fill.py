"""Fills the double with the customers, items and own lines of a real account, and counts what was posted into it since.

What syncd's nouns do not tell (the rate of a line that was sent as one unit at the whole amount, the other lines that
people made) is chosen so that the records read back as they were given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.netsuite.sandbox_books import Books
from syncd.model import BilledLine, Billing, Posting, Product, RemoteCustomer

Row = dict[str, Any]
_DAY = timedelta(days=1)


def fill(
    double: Books, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> None:
    """Replaces the double's records, and takes off the limit of its pool."""
    known = list(billings)
    accounts = [account for one in known for account in one.agreements]
    with double.lock:
        for table in (double.customers, double.items, *double.records.values()):
            table.clear()
        double.effects.clear()
        double.pool, double.outside = 1000, 0
        codes = sorted({one.currency for one in accounts if one.currency}) or ["USD"]
        double.currencies = dict(enumerate(codes, start=1))
        number_of = {code: number for number, code in double.currencies.items()}
        for one in customers:
            double.customers[int(one.id)] = {
                "id": int(one.id), "entityid": one.identifiers[0] if one.identifiers else one.name,
                "companyname": one.name, "altname": one.name, "isinactive": not one.active, "currency": 1,
                "externalid": one.identifiers[1] if len(one.identifiers) > 1 else None,
            }  # fmt: skip
        for account in accounts:
            double.customers[int(account.customer_id)]["currency"] = number_of.get(account.currency, 1)
        for product in products:
            double.items[int(product.id)] = _item(product)
        double.periods = _periods(next((one.invoiced_through for one in accounts if one.invoiced_through), None))
        documents: dict[str, list[BilledLine]] = defaultdict(list)
        for billing in known:
            for line in billing.lines:
                name, _, _place = line.id.partition("/")
                documents[name].append(line)
        for name, lines in documents.items():
            kind, _, number = name.partition(" ")
            if kind == "charge":
                double.records[kind][int(number)] = _charge(int(number), lines[0])
            else:
                double.records[kind][int(number)] = _document(kind, int(number), lines)
        double.next_id = max([90_000, *(number for table in double.records.values() for number in table)])


def times(double: Books, posting: Posting) -> int:
    """How often the double made the record that a posting asks for."""
    with double.lock:
        return sum(f"{posting.marker} " in f"{effect.detail['memo']} " for effect in double.effects)


def _item(product: Product) -> Row:
    kind = "InvtPart" if product.obstacle and "inactive" not in product.obstacle else "Service"
    return {
        "id": int(product.id), "itemid": product.identifier, "displayname": product.name, "externalid": None,
        "itemtype": kind, "subtype": "Sale", "isinactive": "inactive" in product.obstacle,
        "price": product.unit_price,
    }  # fmt: skip


def _periods(closed_through: date | None) -> list[Row]:
    """Two long ones: what is closed, and what is open."""
    through = closed_through or date(2000, 1, 1)
    spans = [(date(1999, 1, 1), through, closed_through is not None), (through + _DAY, date(2099, 12, 31), False)]
    return [
        {
            "id": number, "periodname": f"{first} - {last}", "startdate": first.isoformat(),
            "enddate": last.isoformat(), "closed": closed, "arlocked": closed, "alllocked": False, "isyear": False,
            "isquarter": False, "isadjust": False,
        }
        for number, (first, last, closed) in enumerate(spans, start=1)
    ]  # fmt: skip


def _sent(line: BilledLine) -> tuple[Decimal, Decimal, str]:
    """(quantity, rate, note) of a record that reads back as this line; without a rate it was one unit at its amount."""
    units = abs(line.quantity)
    assert line.starts is not None
    assert line.ends is not None
    shown = f"{units.normalize():f}"
    folded = line.unit_price is None and units != 1
    days = f"{line.starts:%Y%m%d}-{line.ends:%Y%m%d}"
    sent = Decimal(1) if folded else units
    rate = line.unit_price if line.unit_price is not None else line.amount
    return sent, rate or Decimal(0), f"{line.marker} {shown}{'/1' if folded else ''} {days}"


def _charge(number: int, line: BilledLine) -> Row:
    quantity, rate, note = _sent(line)
    day = line.ends.isoformat() if line.ends else None
    return {
        "id": number, "externalId": None, "billTo": int(line.customer_id), "billingItem": int(line.product_id or 0),
        "chargeDate": day, "quantity": quantity, "rate": rate, "amount": quantity * rate,
        "stage": "READY_FOR_BILLING" if line.obstacle else "HOLD_FOR_BILLING", "memo": note,
        "invoice": 1 if line.obstacle else None,
    }  # fmt: skip


def _document(kind: str, number: int, lines: Sequence[BilledLine]) -> Row:
    ordered = sorted(lines, key=lambda one: int(one.id.partition("/")[2]))
    sent = [_sent(one) for one in ordered]
    rows = [
        {
            "item": int(line.product_id or 0), "quantity": quantity, "rate": rate, "amount": quantity * rate,
            "description": "",
        }
        for line, (quantity, rate, _) in zip(ordered, sent, strict=True)
    ]  # fmt: skip
    first = ordered[0]
    return {
        "id": number, "externalId": None, "entity": int(first.customer_id), "approvalStatus": None,
        "tranDate": first.ends.isoformat() if first.ends else "", "tranId": f"#{number}",
        "memo": "; ".join(note for _, _, note in sent), "status": "A" if first.obstacle else "D", "lines": rows,
    }  # fmt: skip
