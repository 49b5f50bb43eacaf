"""What Halo's own invoices of a period say: units by item, credits taken off, drafts and voided ones left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

from connectors.halopsa import payloads
from connectors.halopsa.dates import day
from connectors.halopsa.lines import quantity
from connectors.halopsa.read import Reader, client_id, item_code
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Reading, State
from syncd.money import plain

MEASURE = "invoiced"
# Halo rounds each line's amount; the header's total may differ from their sum by that.
_ROUNDING = Decimal("0.01")


def booked(reader: Reader, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
    """One Reading for each customer and query; a failure of one customer's invoices leaves the others alone."""
    for ask in asks:
        for query in ask.queries:
            try:
                if query.measure != MEASURE or query.where:
                    raise VendorError("unsupported", f"Halo's invoices cannot be read as {query}")
                counts, proof = _counts(reader, client_id(ask.customer), moment)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
            else:
                yield Reading(ask.customer.id, query, State.KNOWN, counts, proof=proof)


def is_draft(invoice: payloads.Invoice) -> bool:
    """Whether a person must still release it. An invoice that waits only for the accounts is none."""
    return bool(invoice.reviewrequired) and not invoice.posted and day(invoice.datesent) is None


def _counts(reader: Reader, client: int, moment: Moment) -> tuple[tuple[Count, ...], str]:
    found = reader.invoices.get(client)
    items = reader.items.get()
    sums: dict[str, tuple[Decimal, str, tuple[str, ...]]] = {}
    newest: dict[str, date] = {}
    number = 0
    for header in found.rows:
        dated = day(header.invoice_date)
        if dated is None:
            raise VendorError("malformed", f"the Halo invoice #{header.id} has no readable date")
        if dated not in moment.period or header.voided or is_draft(header):
            continue
        number += 1
        invoice = reader.invoice(header.id, client)
        _explained(invoice)
        credit = (invoice.creditlinkedtoinvoiceid or 0) > 0
        for line in invoice.lines or ():
            if line.isgroupdesc:
                continue
            item = items.get(str(line.item_id))
            sku = item_code(item) if item else line.item_code or str(line.item_id or "") or "(no item)"
            name = item.name if item else line.short or sku
            units = -abs(quantity(line)) if credit else quantity(line)
            also = tuple(one for one in (str(line.item_id or ""), line.item_code or "", name) if one and one != sku)
            before, first, aliases = sums.get(sku, (Decimal(0), name, ()))
            sums[sku] = (before + units, first, tuple(dict.fromkeys(aliases + also)))
            newest[sku] = max(newest.get(sku, dated), dated)
    counts = tuple(
        Count(sku=sku, name=name, quantity=units, aliases=aliases, dated=newest[sku])
        for sku, (units, name, aliases) in sorted(sums.items())
    )
    return counts, f"{number} invoices of the period ({found.proof}), every amount explained by its lines"


def _explained(invoice: payloads.Invoice) -> None:
    """Raises VendorError `incomplete` where the lines do not add up to what the header charges."""
    amounts = [line.net_amount for line in invoice.lines or () if not line.isgroupdesc]
    if invoice.total is None or any(amount is None for amount in amounts):
        if not amounts:
            raise VendorError("incomplete", f"the Halo invoice #{invoice.id} shows neither lines nor a total")
        return
    charged = invoice.total - (invoice.tax_total or 0)
    shown = sum((amount for amount in amounts if amount is not None), Decimal(0))
    if abs(abs(charged) - abs(shown)) > _ROUNDING * max(len(amounts), 1):
        raise VendorError(
            "incomplete",
            f"the Halo invoice #{invoice.id} charges {plain(charged)} before tax, its lines show {plain(shown)}: some "
            "are missing",
        )
