"""Whether ConnectWise hands its own invoices on to accounting: told by the batch that an exported invoice names.

A rule that posts the same charge into those books would bill it twice. The batch does not say into which books it went
(the exporter is a product of its own), so it is taken for any of them. An export that was given up stays on the old
invoices for ever, so only the newest are asked; but an invoice run makes hundreds in a day that wait for their batch,
so that nobody is fed counts only where a whole list of the last weeks shows no batch either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from connectors.connectwise.api import Api
from connectors.connectwise.conditions import compare
from connectors.connectwise.paging import whole
from connectors.connectwise.payloads import Record, Ref
from syncd.connect.contract import Feed

# The books for which ConnectWise's accounting interface and its usual exporters write.
FEEDS = frozenset({"quickbooks", "xero", "netsuite"})
_NEWEST = 100
# Long enough for the batch of a month that is closed late.
_LATELY = timedelta(days=60)
_FIELDS = "id,invoiceNumber,glBatch"


class Exported(Record):
    """What the export leaves on an invoice."""

    invoice_number: str | None = None
    gl_batch: Ref | None = None


def feeds(api: Api, today: date) -> tuple[Feed, ...]:
    """Every kind of books, where one of the newest invoices is in an accounting batch. Raises VendorError, also where
    the invoices of the last weeks cannot be read whole."""
    params: dict[str, str | int] = {"orderBy": "id desc", "pageSize": _NEWEST, "page": 1, "fields": _FIELDS}
    found = _batched(api.read("finance/invoices", params=params).parse(list[Exported]))
    if found is None:
        since = compare("date", ">=", today - _LATELY)
        found = _batched(whole(api, "finance/invoices", Exported, conditions=since, fields=_FIELDS).rows)
    if found is None:
        return ()
    invoice, batch = found
    named = batch.name or batch.id or ""
    how = (
        f"the ConnectWise invoice {invoice.invoice_number or invoice.id} is in the accounting batch {named}".rstrip()
        + ", which does not say for which books"
    )
    return tuple(Feed(kind, how) for kind in sorted(FEEDS))


def _batched(rows: Sequence[Exported]) -> tuple[Exported, Ref] | None:
    """The newest invoice that is in a batch, and the batch."""
    bearing = [(row, row.gl_batch) for row in rows if row.gl_batch is not None]
    return max(bearing, key=lambda one: one[0].id, default=None)
