"""Repeating invoices as recurring lines: what Xero bills by itself, so that a true-up line posts only what is beyond.

Xero can make and delete such a template, never change one; syncd does neither. So every line has an obstacle, and what
is missing goes onto a draft of its own.

A quantity is taken as it stands on the template, whatever its rhythm: ten seats that are billed each quarter are ten
seats. A template stands for a period if it has begun by the period's end and did not end before it began: one that
was billed this month and then ended is billed this month. One that begins later is left out: it bills nothing of this
period, and a rule that waited for it would leave the period unbilled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from connectors.xero.dates import day
from connectors.xero.payloads import Invoice, Item, Line, Repeating, units
from syncd.errors import VendorError
from syncd.model import BilledLine, RemoteCustomer
from syncd.periods import Period

OBSTACLE = (
    "Xero's API cannot change a repeating invoice: change its quantity in Xero (Business › Invoices › Repeating), or "
    'let the rule post what is missing (true_up = "line")'
)

BILLED = "the repeating invoice behind it was deleted in Xero; what it billed this month stands"


def selling(template: Repeating) -> bool:
    """Whether it makes sales invoices. One that makes drafts is billed like one that approves them."""
    return template.kind == "ACCREC" and template.status in ("DRAFT", "AUTHORISED")


def stands(template: Repeating, period: Period) -> bool:
    """Whether a template bills this period. Raises VendorError `malformed`."""
    plan = template.schedule
    starts, following, ends = day(plan.starts), day(plan.following), day(plan.ends)
    if starts is None and following is None:
        raise VendorError("malformed", f"the Xero repeating invoice {template.repeating_id} has no dates")
    return (starts is None or starts <= period.last) and (ends is None or ends >= period.first)


def billed(
    template: Repeating, customer: RemoteCustomer, items: Mapping[str, Item], period: Period
) -> Iterator[BilledLine]:
    """The lines of a template that stands for this period. Raises VendorError where Xero shows none."""
    if template.lines is None:
        raise VendorError("incomplete", f"Xero shows no lines of the repeating invoice {template.repeating_id}")
    called = f"repeating invoice {template.reference or template.repeating_id}"
    ends = day(template.schedule.ends)
    last = max(ends, period.last) if ends is not None else None
    return _lines(template.repeating_id, called, template.lines, customer, items, last, OBSTACLE)


def left_over(
    invoice: Invoice, customer: RemoteCustomer, items: Mapping[str, Item], period: Period
) -> Iterator[BilledLine]:
    """The lines of an invoice that a template made in this period before somebody deleted it: whoever swaps a template
    for a new one that begins next month has billed this one. Raises VendorError where Xero shows none."""
    if invoice.lines is None:
        raise VendorError("incomplete", f"Xero shows no lines of the invoice {invoice.number}")
    called = f"invoice {invoice.number} of a repeating invoice that was deleted since"
    return _lines(invoice.invoice_id, called, invoice.lines, customer, items, period.last, BILLED)


def _lines(
    id_: str, called: str, lines: Sequence[Line], customer: RemoteCustomer, items: Mapping[str, Item],
    last: date | None, obstacle: str,
) -> Iterator[BilledLine]:  # fmt: skip
    for place, line in enumerate(lines, 1):
        item = item_of(line, items)
        if item is None and not line.code:
            continue  # bills no product that a rule could name
        yield BilledLine(
            id=line.line_id or f"{id_}/{place}",
            agreement_id=customer.id,
            customer_id=customer.id,
            product_id=item.item_id if item else "",
            product=item.code if item else line.code,
            name=f"{called}: {line.description or line.code}",
            quantity=units(line.quantity),
            unit_price=line.price,
            ends=last,
            once=False,
            obstacle=obstacle,
        )


def item_of(line: Line, items: Mapping[str, Item]) -> Item | None:
    """The catalogue's item of a line: by id, which a rename leaves as it was, else by code. `items`: by both."""
    told = line.item.item_id if line.item else None
    return items.get(told or "") or items.get(line.code.casefold())
