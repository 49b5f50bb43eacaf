"""Fills the double with the recurring invoices and lines of a real Halo, and counts what was changed in it since.

What syncd's nouns do not tell is chosen so that the records read back as they were given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from connectors.halopsa import sandbox_state as state
from connectors.halopsa.sandbox_billing import Billing as Books
from syncd.model import Agreement, BilledLine, Billing, Operation, Posting, Product, RemoteCustomer

Row = dict[str, Any]
_DAY = timedelta(days=1)
_CYCLES = {1: "Monthly", 3: "Quarterly", 6: "6 Monthly", 12: "Yearly"}


def fill(
    double: Books, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> dict[str, str]:
    """Replaces the double's records. Returns the settings that a connection needs to read them back as given."""
    with double.lock:
        teams = double.tables["Team"]
        for table in double.tables.values():
            table.clear()
        double.tables["Team"] = teams
        double.effects.clear()
        double.per_minute = 0
        arrears = False
        for customer in customers:
            double.tables["Client"][int(customer.id)] = {
                "id": int(customer.id), "name": customer.name, "inactive": not customer.active,
            }  # fmt: skip
        for product in products:
            double.tables["Item"][int(product.id)] = {
                "id": int(product.id), "name": product.name, "accountsid": product.identifier,
                "recurringprice": product.unit_price or Decimal(0), "recurringcost": product.unit_cost or Decimal(0),
                "dontinvoice": bool(product.obstacle),
            }  # fmt: skip
        for one in billings:
            for agreement in one.agreements:
                arrears |= agreement.in_advance is False
                mine = [line for line in one.lines if line.agreement_id == agreement.id and not line.once]
                double.tables["RecurringInvoice"][int(agreement.id)] = _recurring(double, agreement, mine)
            for line in one.lines:
                if line.once and line.marker and line.starts and line.ends:
                    _draft(double, line)
        double.next_id = max([90_000, *(line["id"] for row in _rows(double) for line in row["lines"])])
    return {"invoicing": "arrears" if arrears else "advance"}


def _rows(double: Books) -> Iterable[Row]:
    return [*double.tables["RecurringInvoice"].values(), *double.tables["Invoice"].values()]


def times(double: Books, posting: Posting) -> int:
    """How often the double made the change that a posting asks for."""
    with double.lock:
        return sum(_is(posting, effect.what, effect.record, effect.detail) for effect in double.effects)


def _is(posting: Posting, what: str, record: str, detail: Any) -> bool:
    match posting.operation:
        case Operation.SET_QUANTITY:
            line, _, licence = posting.line_id.partition("/")
            if licence:
                return bool(
                    what == "change_licence" and record == licence and detail["count"]["to"] == posting.quantity
                )
            return bool(
                what == "change_line" and record == line and detail.get("qty_order", {}).get("to") == posting.quantity
            )
        case _:
            return bool(what in ("add_line", "create_invoice") and detail.get("mark") == posting.marker)


def _recurring(double: Books, agreement: Agreement, lines: Sequence[BilledLine]) -> Row:
    number, client = int(agreement.id), int(agreement.customer_id)
    first = agreement.period.first if agreement.period else double.today().replace(day=1)
    last = agreement.period.last if agreement.period else state.month(first, 1) - _DAY
    months = (last + _DAY).year * 12 + (last + _DAY).month - first.year * 12 - first.month
    through = agreement.invoiced_through
    following = through + _DAY if through is not None else first
    if through is not None and agreement.in_advance is False:
        following = last + _DAY if following == first else _later(following, months)
    labels = [*agreement.labels, "", ""]
    row = state.recurring(number, client, "", agreement.name, labels[0], double.today(), [])
    row |= {
        "contract_ref": labels[1], "currency": agreement.currency, "disabled": bool(agreement.obstacle),
        "periodname": _CYCLES.get(months, "Custom"), "nextcreationdate": state.text(following),
        "startdate": state.text(date(first.year - 3, first.month, 1)) if through is not None else state.text(first),
        "lastcreated": state.text(first) if through is not None else state.NO_DATE,
    }  # fmt: skip
    row["lines"] = [_line(double, number, line) for line in lines]
    return row


def _later(day: date, months: int) -> date:
    at = day.year * 12 + day.month - 1 + months
    return date(at // 12, at % 12 + 1, min(day.day, 28))


def _line(double: Books, header: int, line: BilledLine) -> Row:
    number, _, licence = line.id.partition("/")
    item = double.tables["Item"].get(int(line.product_id or 0)) or {
        "id": 0, "accountsid": line.product, "name": line.name, "recurringprice": Decimal(0),
        "recurringcost": Decimal(0),
    }  # fmt: skip
    row = state.line(int(number), header, item, line.quantity)
    row |= {
        "item_code": line.product, "item_shortdescription": line.name, "comment_2": line.marker,
        "unit_price": line.unit_price or Decimal(0), "unit_cost": line.unit_cost or Decimal(0),
        "startdate": state.text(line.starts) if line.starts else state.NO_DATE,
        "enddate": state.text(line.ends) if line.ends else state.NO_DATE,
        "_is_calculated_line": bool(licence or line.obstacle),
    }  # fmt: skip
    if licence:
        client = double.tables["RecurringInvoice"].get(header, {}).get("client_id") or int(line.customer_id)
        held = state.licence(int(licence), client, line.name, line.product, int(line.quantity))
        double.tables["SoftwareLicence"][int(licence)] = held
        row["quantity_licences"] = [{"id": 1, "invoice_line_id": int(number), "licence_id": int(licence)}]
    return row


def _draft(double: Books, line: BilledLine) -> None:
    number, client = int(line.id.rpartition(" ")[2]), int(line.customer_id)
    item = double.tables["Item"].get(int(line.product_id or 0))
    if item is None or line.starts is None:
        return
    row = state.line(0, 0, item, line.quantity) | {
        "unit_price": line.unit_price or Decimal(0), "unit_cost": line.unit_cost or Decimal(0),
        "item_shortdescription": line.name, "item_code": line.product,
    }  # fmt: skip
    made = state.invoice(number, client, "", line.starts, [row])
    text = f"{line.quantity.normalize():f}"
    made |= {
        "reference": line.marker, "reviewrequired": True,
        "internal_note": f"syncd {line.marker}: {text} units, sent as {text}, for recurring invoice "
        f"{line.agreement_id}, {line.starts} to {line.ends}",
    }  # fmt: skip
    double.tables["Invoice"][number] = made
