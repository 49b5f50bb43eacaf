"""Into which books Halo pushes its own invoices: told by the ids that its accounting sync leaves on them.

A rule that posts the same charge there would bill it twice. Only the newest invoices are asked, because a sync that was
given up leaves its ids on the old ones for ever. Where no invoice tells yet, the clients do: the sync links them first.
"""

from __future__ import annotations

from connectors.halopsa.api import Api
from connectors.halopsa.paging import newest
from connectors.halopsa.payloads import Record
from syncd.connect.contract import Feed

XERO, QUICKBOOKS = "xero", "quickbooks"
FEEDS = frozenset({XERO, QUICKBOOKS})
# One page of 100: a month's invoices of most MSPs.
_PAGES = 1
_NAMES = {XERO: "Xero", QUICKBOOKS: "QuickBooks"}
_NONE = frozenset({"", "0", "-1", "00000000-0000-0000-0000-000000000000"})


Ids = dict[str, list[tuple[str, str | int | None]]]


class Pushed(Record):
    """What the sync leaves on an invoice."""

    invoicenumber: str | None = None
    posted: bool | None = None
    voided: bool | None = None
    xeroid: str | int | None = None
    qboid: str | int | None = None


class Linked(Record):
    """What the sync leaves on a client."""

    xeroid: str | int | None = None
    qbo_company_id: str | int | None = None


def feeds(api: Api) -> tuple[Feed, ...]:
    """The books that hold some of the newest posted invoices, or Halo's clients. Raises VendorError."""
    posted: dict[str, str | int] = {"postedonly": "true", "includecredits": "true"}
    rows = newest(api, "Invoice", Pushed, lambda row: True, posted, _PAGES)
    invoices = [row for row in rows if row.posted and not row.voided]
    if not invoices:
        clients = newest(api, "Client", Linked, lambda row: True, {}, _PAGES)
        ids: Ids = {XERO: [(str(row.id), row.xeroid) for row in clients]}
        ids[QUICKBOOKS] = [(str(row.id), row.qbo_company_id) for row in clients]
        return _feeds(ids, "the Halo client #{} is linked with {}")
    ids = {XERO: [(row.invoicenumber or str(row.id), row.xeroid) for row in invoices]}
    ids[QUICKBOOKS] = [(row.invoicenumber or str(row.id), row.qboid) for row in invoices]
    return _feeds(ids, "the Halo invoice {} bears a {} id")


def _feeds(ids: Ids, sentence: str) -> tuple[Feed, ...]:
    """One feed for each kind of which some record bears an id; the first one is named."""
    found = {kind: [called for called, id_ in pairs if _told(id_)] for kind, pairs in ids.items()}
    return tuple(Feed(kind, sentence.format(some[0], _NAMES[kind])) for kind, some in found.items() if some)


def _told(value: str | int | None) -> bool:
    """Whether an id is one; "none" comes as null, nothing, zero or a GUID of zeros."""
    return value is not None and str(value).strip() not in _NONE
