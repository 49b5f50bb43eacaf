"""What ConnectWise's own invoices of a period say, as far as they can be read.

The API lists no invoice lines. Product lines are found by their invoice; the additions of an agreement invoice may not
be among them (not documented). So every invoice's amount is compared with the lines that were found, and one that they
do not explain makes the reading unknown, never too small.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from connectors.connectwise import payloads
from connectors.connectwise.conditions import among, both, compare
from connectors.connectwise.dates import day
from connectors.connectwise.paging import whole
from connectors.connectwise.read import Reader, company_id
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, State
from syncd.money import plain
from syncd.periods import DAY

MEASURE = "invoiced"
_CENT = Decimal("0.01")


def booked(reader: Reader, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
    """One Reading for each customer and query: units on invoices dated in the moment's period, less credits."""
    for ask in asks:
        for query in ask.queries:
            try:
                if query.measure != MEASURE or query.where:
                    raise VendorError("unsupported", f"ConnectWise's invoices cannot be read as {query}")
                counts, proof = _counts(reader, company_id(ask.customer), moment)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
            else:
                yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)


def _counts(reader: Reader, company: int, moment: Moment) -> tuple[tuple[Count, ...], str]:
    period = moment.period
    found = whole(
        reader.api,
        "finance/invoices",
        payloads.Invoice,
        conditions=both(
            compare("company/id", "=", company),
            compare("date", ">=", period.first),
            compare("date", "<", period.last + DAY),
        ),
    )
    invoices: dict[int, payloads.Invoice] = {}
    for invoice in found.rows:
        if invoice.company.id != company:
            raise VendorError("wrong_tenant", f"ConnectWise answered with invoice #{invoice.id} of another company")
        if (dated := day(invoice.date)) is None:
            raise VendorError("malformed", f"the ConnectWise invoice #{invoice.id} has no readable date")
        if dated in period and invoice.type != "DownPayment":
            invoices[invoice.id] = invoice
    lines = _lines(reader, invoices)
    for invoice in invoices.values():
        _explained(reader, invoice, lines.get(invoice.id, []))
    sums: dict[str, tuple[Decimal, str]] = {}
    newest: dict[str, date] = {}
    for number, some in lines.items():
        sign = -1 if invoices[number].type == "CreditMemo" else 1
        for line in some:
            sku = line.catalog_item.identifier or str(line.catalog_item.id)
            units = abs(_units(line)) * sign if sign < 0 else _units(line)
            before = sums.get(sku, (Decimal(0), ""))[0]
            sums[sku] = (before + units, str(line.catalog_item.id or ""))
            newest[sku] = max(newest.get(sku, date.min), day(invoices[number].date) or date.min)
    counts = tuple(
        Count(sku=sku, name=sku, quantity=units, aliases=(alias,) if alias else (), dated=newest[sku])
        for sku, (units, alias) in sorted(sums.items())
    )
    return counts, f"{len(invoices)} invoices ({found.proof}), every amount explained by its product lines"


def _lines(reader: Reader, invoices: dict[int, payloads.Invoice]) -> dict[int, list[payloads.InvoicedProduct]]:
    lines: dict[int, list[payloads.InvoicedProduct]] = {}
    for portion in among("invoice/id", invoices):
        for line in whole(reader.api, "procurement/products", payloads.InvoicedProduct, conditions=portion).rows:
            number = line.invoice.id if line.invoice else None
            if number not in invoices:
                raise VendorError("malformed", f"ConnectWise answered with product line #{line.id} of another invoice")
            if line.billable_option != "DoNotBill":
                lines.setdefault(number, []).append(line)
    return lines


def _units(line: payloads.InvoicedProduct) -> Decimal:
    if line.quantity is None:
        raise VendorError("malformed", f"the ConnectWise product line #{line.id} shows no quantity")
    return line.quantity - (line.quantity_cancelled or 0)


def _explained(reader: Reader, invoice: payloads.Invoice, lines: Sequence[payloads.InvoicedProduct]) -> None:
    """Raises VendorError `unsupported` where the lines found do not add up to what the invoice charges for products."""
    name = f"the ConnectWise invoice {invoice.invoice_number or f'#{invoice.id}'}"
    if invoice.subtotal is None:
        if invoice.type in ("Agreement", "Consolidated", "CreditMemo"):
            raise VendorError("unsupported", f"{name} tells no subtotal, so its lines cannot be proved whole")
        return
    charged = invoice.subtotal - (invoice.service_total or 0) - (invoice.expense_total or 0)
    shown = sum((_amount(line) for line in lines), Decimal(0))
    rest = abs(charged) - abs(shown)
    fee = Decimal(0)
    if rest and invoice.agreement and invoice.agreement.id is not None:
        terms = reader.agreements.get().terms.get(invoice.agreement.id)
        fee = (terms and terms.row.bill_amount) or Decimal(0)
    if min(abs(rest), abs(rest - fee)) >= _CENT:
        raise VendorError(
            "unsupported",
            f"{name} ({invoice.type}) charges {plain(charged)} for products and agreements, its product lines show "
            f"{plain(shown)}: ConnectWise does not list the additions of an agreement invoice, so the invoiced "
            "quantities cannot be known",
        )


def _amount(line: payloads.InvoicedProduct) -> Decimal:
    if line.billable_option == "NoCharge":
        return Decimal(0)
    return line.ext_price if line.ext_price is not None else _units(line) * (line.price or Decimal(0))
