"""Fills the double with the agreements and additions of a real ConnectWise, and counts what was changed in it since.

What syncd's nouns do not tell is chosen so that the records read back as they were given: marks stand in the serial
number, the cancelled day is billed, and an agreement's cycle and dates are those that give its present period.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.connectwise import sandbox_billing as billing
from connectors.connectwise import sandbox_state as state
from connectors.connectwise.sandbox_books import Books
from syncd.model import Agreement, BilledLine, Billing, Operation, Posting, Product, RemoteCustomer

Row = dict[str, Any]
_DAY = timedelta(days=1)
_CYCLES = (("Monthly", 1), ("Quarterly", 3), ("Semi-Annual", 6), ("Annual", 12))
_YEARS_BACK = 3


def fill(
    double: Books, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> dict[str, str]:
    """Replaces the double's records. Returns the settings that a connection needs to read them back as given."""
    with double.lock:
        for table in double.tables.values():
            table.clear()
        for kept in (double.sub_lists, double.billed, double.invoice_contents, double.effects):
            kept.clear()
        double.inclusive, double.per_minute = True, 0
        companies = {one.id: _company(one) for one in customers}
        _put(double, "company/companies", companies.values())
        _put(double, "procurement/catalog", map(_product, products))
        arrears = False
        for one in billings:
            lines: dict[str, list[BilledLine]] = {}
            for line in one.lines:
                lines.setdefault(line.agreement_id, []).append(line)
            for agreement in one.agreements:
                arrears |= agreement.in_advance is False
                mine = lines.get(agreement.id, [])
                _put(double, "finance/agreements", [_agreement(double, agreement, companies, mine)])
                _put(double, "additions", [_addition(line) for line in mine])
        for row in double.tables["additions"].values():
            told = dict(row["_info"])
            double.computed(row)
            double.touch(row, told.get("updatedBy") or "Admin1")
            row["_info"].update(told)
        double.next_id = max([90_000, *double.tables["additions"]])
    return {"marker": "serialNumber", "cancelled_day": "billed", "invoicing": "arrears" if arrears else "advance"}


def times(double: Books, posting: Posting) -> int:
    """How often the double made the change that a posting asks for."""
    with double.lock:
        return sum(_is(posting, effect.what, effect.record, effect.detail) for effect in double.effects)


def _is(posting: Posting, what: str, record: str, detail: Any) -> bool:
    match posting.operation:
        case Operation.SET_QUANTITY:
            return bool(
                what == "change_addition"
                and record == posting.line_id
                and detail.get("quantity", {}).get("to") == posting.quantity
            )
        case Operation.END_LINE:
            return what == "change_addition" and record == posting.line_id and "cancelledDate" in detail
        case _:
            return bool(what == "create_addition" and detail.get("mark") == posting.marker)


def _put(double: Books, path: str, rows: Iterable[Row]) -> None:
    for row in rows:
        double.tables[path][row["id"]] = row


def _company(customer: RemoteCustomer) -> Row:
    identifier = customer.identifiers[0] if customer.identifiers else customer.name
    return {
        "id": int(customer.id), "identifier": identifier, "name": customer.name,
        "status": {"id": 1, "name": "Active"}, "deletedFlag": False, "types": [{"id": 1, "name": "Customer"}],
    }  # fmt: skip


def _product(product: Product) -> Row:
    return {
        "id": int(product.id), "identifier": product.identifier, "description": product.name[:60],
        "customerDescription": product.name, "inactiveFlag": bool(product.obstacle),
        "subcategory": {"id": 1, "name": "Cloud"}, "type": {"id": 1, "name": "Recurring"},
        "productClass": "Agreement", "price": product.unit_price or Decimal(0), "cost": product.unit_cost or Decimal(0),
        "taxableFlag": True,
    }  # fmt: skip


def _agreement(double: Books, agreement: Agreement, companies: dict[str, Row], lines: Sequence[BilledLine]) -> Row:
    first = agreement.period.first if agreement.period else double.today().replace(day=1)
    last = agreement.period.last if agreement.period else billing.span_from(first, _cycle("Monthly", first)).last
    cycle, start, calendar = _dates(first, last, lines)
    through, advance = agreement.invoiced_through, agreement.in_advance is not False
    following = start if through is None else through + _DAY
    if through is not None and not advance:  # in arrears the next invoice bills the period that begins then
        following = billing.span_from(following, _cycle(cycle, start)).last + _DAY
    company = companies[agreement.customer_id]
    return {
        "id": int(agreement.id), "name": agreement.name, "type": state.AGREEMENT_TYPE,
        "company": {name: company[name] for name in ("id", "identifier", "name")},
        "startDate": billing.as_text(start), "noEndingDateFlag": True, "cancelledFlag": False,
        "billingCycle": {"id": 2, "name": cycle}, "invoicingCycle": "CalendarYear" if calendar else "ContractYear",
        "periodType": "Future" if agreement.in_advance else "Current", "billStartDate": billing.as_text(start),
        "nextInvoiceDate": billing.as_text(following), "billAmount": Decimal(0), "prorateFlag": agreement.prorates,
        "invoiceProratedAdditionsFlag": False, "billTime": "Billable", "billExpenses": "Billable",
        "billProducts": "Billable",
        "currency": {"id": 1, "currencyCode": agreement.currency, "name": agreement.currency},
    }  # fmt: skip


def _cycle(name: str, start: date) -> Row:
    return {"billingCycle": {"name": name}, "billStartDate": billing.as_text(start)}


def _dates(first: date, last: date, lines: Sequence[BilledLine]) -> tuple[str, date, bool]:
    """(billing cycle, billing start, whether periods follow the calendar) that give this present period.

    A period that is no whole cycle is the first one of an agreement that bills by the calendar. The start lies so far
    back that every line begins after it.
    """
    for name, _ in _CYCLES:
        if billing.span_from(first, _cycle(name, first)).last == last:
            earliest = min([first, *(line.starts for line in lines if line.starts)])
            years = max(first.year - earliest.year + 1, _YEARS_BACK)
            return name, date(first.year - years, first.month, min(first.day, 28 if first.month == 2 else 31)), False
    for name, months in _CYCLES:
        opens = date(first.year, (first.month - 1) // months * months + 1, 1)
        if billing.span_from(opens, _cycle(name, opens)).last == last:
            return name, first, True
    return "Monthly", first, False


def _addition(line: BilledLine) -> Row:
    price, quantity = line.unit_price or Decimal(0), line.quantity
    text = line.name
    if line.marker and quantity < 0:  # one of syncd's own credits: its price is negative, not its quantity
        price, quantity = -(abs(price) or Decimal(1)), -quantity
    elif line.marker and price < 0:  # it stands for a rise all the same: its units are told in the text
        text = f"{line.name} (ref {line.marker}, {quantity:f} units)"
        quantity = Decimal(1)
    told = {"updatedBy": line.changed_by} if line.changed_by else {}
    if line.version.endswith("Z"):
        told["lastUpdated"] = line.version
    row = {
        "id": int(line.id), "agreementId": int(line.agreement_id),
        "product": {"id": int(line.product_id or 0), "identifier": line.product}, "description": line.name,
        "invoiceDescription": text, "quantity": quantity, "lessIncluded": Decimal(0), "unitPrice": price,
        "unitCost": line.unit_cost or Decimal(0), "billCustomer": "DoNotBill" if line.obstacle else "Billable",
        "taxableFlag": True, "customFields": state.custom_fields(), "_info": told,
    }  # fmt: skip
    if line.marker:
        row["serialNumber"] = line.marker
    if line.starts:
        row["effectiveDate"] = billing.as_text(line.starts)
    if line.ends:
        row["cancelledDate"] = billing.as_text(line.ends)
    return row
