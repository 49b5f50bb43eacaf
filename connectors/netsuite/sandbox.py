"""A double of NetSuite's REST services over real HTTP: machine-to-machine and token sign-in, the shared pool of
requests, records created once by external id, SuiteQL, approval routing, closed periods, the bill run, scripts that
change a record.

Shares no code with the connector. `build(world, …)` makes one; see there for what can be configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.netsuite.sandbox_books import Books, Refusal, Row
from connectors.netsuite.sandbox_fill import fill, times
from connectors.netsuite.sandbox_front import ACCOUNT, BASE, CERTIFICATE, CHARGE_TYPE, CLIENT, credentials, fault
from connectors.netsuite.sandbox_sql import BadQuery, run
from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.kit import json_response
from syncd.sandbox.world import World

KINDS = ("customer", "invoice", "creditMemo", "charge")
_REFS = frozenset({"entity", "billTo", "billingItem", "chargeType", "stage", "status", "approvalStatus", "invoice"})


def build(world: World, **options: Any) -> NetSuiteDouble:
    """The double of the world's books. Options, all with defaults:

    `routing` (invoices await approval), `charging` (charge-based billing is on), `shared_ids` (invoices and credit
    memos share one space of external ids), `tax` (rate), `euro` (numbers of the companies that are billed in euro),
    `more_customers`, `gap` (number of the company whose last invoice is short), `ledger_signs` (False: SuiteQL shows
    lines with a document's signs), `single_currency` (Multiple Currencies is off), `pool` (simultaneous requests of
    the account), `outside` (how many of them others use), `expired_certificate`, `token_life` (seconds), `admin`
    (governanceLimits may be read), `mixed_host` (Location names the host in another letter case).
    """
    return NetSuiteDouble(world, **options)


class NetSuiteDouble(Books):
    """State and routes. Tests reach in through `customers`, `items`, `records`, `hidden`, `blind`, `script`, and do
    what people do by `release`, `bill_run`, `close_periods`, `invoice_by_hand` and `refresh`."""

    def __init__(self, world: World, *, admin: bool = False, mixed_host: bool = True, **options: Any) -> None:
        super().__init__(world, **options)
        self.admin, self.mixed_host = admin, mixed_host
        self.largest_page = 1000  # rows of SuiteQL on a page; NetSuite's own most
        self.tells_totals = True  # every list has its totalResults: the contract suite holds the connector to it
        self.settings = {
            "account": ACCOUNT,
            "client_id": CLIENT,
            "certificate_id": CERTIFICATE,
            "private_key": credentials()[0].replace("\n", "\\n"),  # fits onto one line of a config file
            "charge_type": CHARGE_TYPE,
        }
        self.api("POST", "query/v1/suiteql", self._suiteql)
        self.api("GET", "system/v1/governanceLimits", self._limits)
        for kind in KINDS:
            self._record_routes(kind)

    def _record_routes(self, kind: str) -> None:
        path = f"record/v1/{kind}"
        self.api("GET", path, lambda request: self._list(request, kind))
        self.api("GET", f"{path}/<int:number>", lambda request, number: self._one(request, kind, number))
        self.api("GET", f"{path}/eid:<external>", lambda request, external: self._by_external(request, kind, external))
        if kind != "customer":
            self.api("POST", path, lambda request: self._create(request, kind))

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of a real account instead of its own (see `syncd.sandbox.fill`)."""
        fill(self, customers, products, billings)

    def times(self, posting: Posting) -> int:
        """How often the record that this posting asks for was made."""
        return times(self, posting)

    # --- records ----------------------------------------------------------------------------------------------------

    def _list(self, request: Request, kind: str) -> Any:
        if problem := self._switched_off(kind):
            return problem
        limit, offset = int(request.args.get("limit", 1000)), int(request.args.get("offset", 0))
        if not 0 < limit <= 1000 or offset % limit:
            return fault(400, "The offset must be a multiple of the limit.", "INVALID_PARAMETER")
        every = sorted(self.visible(kind))
        shown = every[offset : offset + limit]
        items = [{"id": str(number), "links": self._links(request, kind, number)} for number in shown]
        return {
            "links": [], "count": len(shown), "hasMore": offset + len(shown) < len(every), "offset": offset,
            "totalResults": len(every), "items": items,
        }  # fmt: skip

    def _one(self, request: Request, kind: str, number: int) -> Any:
        if problem := self._switched_off(kind):
            return problem
        row = self.visible(kind).get(number)
        if row is None:
            return fault(404, f"The record instance does not exist. Provide a valid record instance ID: {number}.",
                         "NONEXISTENT_ID")  # fmt: skip
        return json_response(self._shown(request, kind, row))

    def _by_external(self, request: Request, kind: str, external: str) -> Any:
        if problem := self._switched_off(kind):
            return problem
        found = [row for row in self.visible(kind).values() if row.get("externalId") == external]
        if not found:
            return fault(404, f"The record instance does not exist: eid:{external}.", "NONEXISTENT_ID")
        return json_response(self._shown(request, kind, found[0]))

    def _create(self, request: Request, kind: str) -> Any:
        if problem := self._switched_off(kind):
            return problem
        try:
            body = json.loads(request.get_data(), parse_float=Decimal)
        except ValueError:
            return fault(400, "The request body is not valid JSON.", "INVALID_CONTENT")
        try:
            row = self.created(kind, body, request.headers.get("X-NetSuite-PropertyNameValidation", "Warning"))
        except Refusal as refusal:
            return refusal.response()
        host = request.host_url.upper() if self.mixed_host else request.host_url
        return Response("", 204, headers={"Location": f"{host.rstrip('/')}{BASE}/record/v1/{kind}/{row['id']}"})

    def _switched_off(self, kind: str) -> Response | None:
        if kind == "charge" and not self.charging:
            return fault(400, "Record type charge is not available: the feature is disabled.", "INVALID_PARAMETER")
        return None

    def _links(self, request: Request, kind: str, number: int) -> list[Row]:
        return [{"rel": "self", "href": f"{request.host_url.rstrip('/')}{BASE}/record/v1/{kind}/{number}"}]

    def _shown(self, request: Request, kind: str, row: Row) -> Row:
        told: Row = {"links": self._links(request, kind, row["id"])}
        if kind == "customer":
            return told | {
                "id": str(row["id"]), "entityId": row["entityid"], "companyName": row["companyname"],
                "isInactive": row["isinactive"], "currency": {"id": str(row["currency"]), "refName": "currency"},
            }  # fmt: skip
        for name, value in row.items():
            if value is None or name in ("lines", "price"):
                continue
            told[name] = {"id": str(value), "refName": f"{name} {value}"} if name in _REFS else value
        told["id"] = str(row["id"])
        if not self.single_currency:
            customer = self.customers[row.get("entity") or row.get("billTo") or 0]
            told["currency"] = {"id": str(customer["currency"]), "refName": "currency"}
        if kind == "charge":
            return told
        before, tax = self.total(row)
        told |= {"subtotal": before, "taxTotal": tax, "total": before + tax}
        told["item"] = {"links": []}
        if request.args.get("expandSubResources") == "true":
            lines = [self._shown_line(line, place) for place, line in enumerate(row["lines"], start=1)]
            told["item"] |= {
                "items": lines, "count": len(lines), "totalResults": len(lines), "hasMore": False, "offset": 0,
            }  # fmt: skip
        return told

    def _shown_line(self, line: Row, place: int) -> Row:
        told: Row = {"line": place, "amount": line["amount"], "description": line["description"]}
        if line["item"]:
            told["item"] = {"id": str(line["item"]), "refName": self.items[line["item"]]["itemid"]}
        for name in ("quantity", "rate"):
            if line[name] is not None:
                told[name] = line[name]
        return told

    # --- the rest ---------------------------------------------------------------------------------------------------

    def _suiteql(self, request: Request) -> Any:
        if "transient" not in request.headers.get("Prefer", ""):
            return fault(400, "Required header Prefer: transient is missing.", "INVALID_HEADER")
        limit, offset = int(request.args.get("limit", 1000)), int(request.args.get("offset", 0))
        if not 0 < limit <= 1000 or offset % limit:
            return fault(400, "The offset must be a multiple of the limit.", "INVALID_PARAMETER")
        try:
            rows = run(self.tables(), str(request.get_json()["q"]))
        except BadQuery as problem:
            return fault(400, str(problem), "INVALID_PARAMETER")
        shown = rows[offset : offset + min(limit, self.largest_page)]
        return {
            "links": [], "count": len(shown), "hasMore": offset + len(shown) < len(rows), "offset": offset,
            "totalResults": len(rows), "items": shown,
        }  # fmt: skip

    def _limits(self, request: Request) -> Any:
        if not self.admin:
            return fault(403, "Only administrators may read the limits.", "INSUFFICIENT_PERMISSION")
        return {"accountConcurrencyLimit": self.pool, "accountUnallocatedConcurrencyLimit": self.pool - self.outside}
