"""Whether ConnectWise hands its own invoices on to accounting: told by the batch that an exported invoice names.

A rule that posts the same charge into those books would bill it twice. The batch does not say into which books it went
(the exporter is a product of its own), so it is taken for any of them. Only the newest invoices are asked: an export
that was given up stays on the old ones for ever.
"""

from __future__ import annotations

from connectors.connectwise.api import Api
from connectors.connectwise.payloads import Record, Ref
from syncd.connect.contract import Feed

# The books for which ConnectWise's accounting interface and its usual exporters write.
FEEDS = frozenset({"quickbooks", "xero", "netsuite"})
_NEWEST = 100


class Exported(Record):
    """What the export leaves on an invoice."""

    invoice_number: str | None = None
    gl_batch: Ref | None = None


def feeds(api: Api) -> tuple[Feed, ...]:
    """Every kind of books, where one of the newest invoices is in an accounting batch. Raises VendorError."""
    params: dict[str, str | int] = {
        "orderBy": "id desc", "pageSize": _NEWEST, "page": 1, "fields": "id,invoiceNumber,glBatch",
    }  # fmt: skip
    rows = api.read("finance/invoices", params=params).parse(list[Exported])
    bearing = [(row, row.gl_batch) for row in rows if row.gl_batch is not None]
    if not bearing:
        return ()
    invoice, batch = bearing[0]
    named = batch.name or batch.id or ""
    how = (
        f"the ConnectWise invoice {invoice.invoice_number or invoice.id} is in the accounting batch {named}".rstrip()
        + ", which does not say for which books"
    )
    return tuple(Feed(kind, how) for kind in sorted(FEEDS))
