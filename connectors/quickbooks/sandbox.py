"""A double of QuickBooks Online over real HTTP: tokens that rotate, queries, batches, documents with their checks, tax,
numbers and versions. Shares no code with the connector. `build(world, …)` makes one; see there for what can be set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from werkzeug.wrappers import Request

from connectors.quickbooks import sandbox_state as state
from connectors.quickbooks.sandbox_books import SALES, Books
from connectors.quickbooks.sandbox_front import body_of, fault
from connectors.quickbooks.sandbox_query import Refusal, Row, parse, run
from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.world import World

_ENTITIES = {one.lower(): one for one in (*SALES, "Customer", "Item", "TaxCode")}


def build(world: World, **options: Any) -> QuickBooksDouble:
    """The double of the MSP's books. Options, all with defaults:

    `client_id`, `client_secret`, `realm`; `per_minute`, `batches_per_minute`, `monthly_reads` (0 is no limit),
    `retry_after` ("" leaves it out); `faults_under_200` (faults come with status 200), `xml_401`; `request_life` (how
    long a `requestid` is known); `custom_numbers` (False: QuickBooks numbers by itself), `american` (False: lines need
    tax codes), `multi_currency`, `close_date`, `void_keeps_note`; `longest_page`, `text_ids` (ids sort as text).
    """
    return QuickBooksDouble(world, **options)


class QuickBooksDouble(Books):
    """State and routes. Tests reach in through `tables`, `preferences`, `rival`, `spoil`, `warning`, `convert`."""

    def __init__(self, world: World, *, longest_page: int = 1000, text_ids: bool = False, **options: Any) -> None:
        super().__init__(world, **options)
        self.longest_page, self.text_ids = longest_page, text_ids
        self._company = state.company_info(world, american=self.american)
        self.api("GET", "query", lambda request: self._asked(request.args.get("query", "")))
        self.api("POST", "query", lambda request: self._asked(request.get_data(as_text=True)))
        self.api("POST", "batch", self._batch)
        self.api("GET", "preferences", lambda request: {"Preferences": self.preferences})
        self.api("GET", "companyinfo/<id_>", lambda request, id_: {"CompanyInfo": self._company})
        self.api("GET", "cdc", self._changes)
        self.api("POST", "<entity>", self._write)
        self.api("GET", "<entity>/<id_>", self._read)
        self.route("POST", "/_sandbox/rival", self._rival_route)

    # --- what tests and the demo do to it -------------------------------------------------------------------------

    def rival(self, entity: str, id_: str, **changes: Any) -> Row:
        """A person changes a document in the browser."""
        with self.lock:
            row = self.tables[entity][id_]
            row |= changes
            row["SyncToken"] = str(int(row["SyncToken"]) + 1)
            return row

    def convert(self, estimate: str) -> Row:
        """A person makes an invoice of an estimate: the memo goes along, the estimate is closed."""
        with self.lock:
            row = self.tables["Estimate"][estimate]
            lines = [line for line in row["Line"] if line["DetailType"] != "SubTotalLineDetail"]
            body = {
                "CustomerRef": row["CustomerRef"], "TxnDate": row["TxnDate"], "PrivateNote": row.get("PrivateNote"),
                "Line": lines, "LinkedTxn": [{"TxnId": estimate, "TxnType": "Estimate"}],
                "DocNumber": self._numbered(),
            }  # fmt: skip
            made = self.create("Invoice", body, by_hand=True)
            self.rival(
                "Estimate", estimate, TxnStatus="Closed", LinkedTxn=[{"TxnId": made["Id"], "TxnType": "Invoice"}]
            )
            return made

    def shift(self) -> None:
        """A customer comes at the head of the list, or goes again."""
        with self.lock:
            rows = self.tables["Customer"]
            if "1" in rows:
                del rows["1"]
            else:
                rows["1"] = state.customer(1, "Passing by")

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of a real company instead of its own (see `syncd.sandbox.fill`)."""
        with self.lock:
            for table in self.tables.values():
                table.clear()
            self.effects.clear()
            self.answered.clear()
            self.per_minute = self.batches_per_minute = self.monthly_reads = 0
            for one in customers:
                self.tables["Customer"][one.id] = state.customer(0, one.name, active=one.active) | {"Id": one.id}
            for product in products:
                row = state.item(
                    0, product.name, sku=product.identifier, price=product.unit_price, cost=product.unit_cost,
                    active=not product.obstacle,
                ) | {"Id": product.id}  # fmt: skip
                self.tables["Item"][product.id] = row
            for billing in billings:
                self._fill(billing)
            self.next_id = max([9_000_000, *(int(one) for name in SALES for one in self.tables[name])])

    def _fill(self, billing: Billing) -> None:
        for account in billing.agreements:
            row = self.tables["Customer"].get(account.customer_id)
            if row is not None and account.currency:
                row["CurrencyRef"] = {"value": account.currency}
                self.preferences["CurrencyPrefs"]["MultiCurrencyEnabled"] |= account.currency != "USD"
            if account.invoiced_through:
                self.preferences["AccountingInfoPrefs"]["BookCloseDate"] = account.invoiced_through.isoformat()
        for line in billing.lines:
            name, _, rest = line.id.removeprefix("closed ").partition(" ")
            entity, id_ = _ENTITIES[name], rest.partition("/")[0]
            item = self.tables["Item"].get(line.product_id)
            if item is None or line.starts is None or line.ends is None:
                continue
            units = abs(line.quantity)
            known = self.tables[entity].get(id_)
            sold = state.sale(item, units, line.unit_price or Decimal(0))
            note = f"{line.marker} {units.normalize():f} {line.starts:%Y%m%d}-{line.ends:%Y%m%d}"
            if known is not None:
                note = f"{known['PrivateNote'].partition(' for items ')[0]}; {note}"
                lines = [one for one in known["Line"] if one["DetailType"] != "SubTotalLineDetail"] + [sold]
            else:
                lines = [sold]
            ids = ", ".join(one["SalesItemLineDetail"]["ItemRef"]["value"] for one in lines)
            body = {
                "CustomerRef": {"value": line.customer_id}, "TxnDate": line.ends.isoformat(), "Line": lines,
                "PrivateNote": f"{note} for items {ids}",
                "TxnStatus": "Closed" if line.id.startswith("closed ") else "Pending",
            }  # fmt: skip
            self.tables[entity][id_] = self._made(entity, id_, line.version or "0", body)

    def times(self, posting: Posting) -> int:
        """How often a document with this posting's mark was created."""
        with self.lock:
            return sum(
                one.what.startswith("create_") and f"{posting.marker} " in (one.detail.get("note") or "")
                for one in self.effects
            )

    def _rival_route(self, request: Request) -> Any:
        body = request.get_json()
        return self.rival(body["entity"], body["id"], **body["changes"])

    # --- reading ----------------------------------------------------------------------------------------------------

    def _asked(self, statement: str) -> Row:
        query = parse(statement)
        tables = {
            **self.tables, "Preferences": {"1": self.preferences}, "CompanyInfo": {"1": self._company},
        }  # fmt: skip
        if query.entity not in tables:
            raise Refusal("4001", "Invalid query", f"QueryValidationError: no entity {query.entity!r}")
        rows, total = run(query, tables[query.entity].values(), longest_page=self.longest_page, text_ids=self.text_ids)
        if not query.fields:
            return {"QueryResponse": {"totalCount": total}}
        if not rows:
            return {"QueryResponse": {}}
        return {"QueryResponse": {query.entity: rows, "startPosition": query.first, "maxResults": len(rows)}}

    def _read(self, request: Request, entity: str, id_: str) -> Row:
        name = self._entity(entity)
        row = self.tables[name].get(id_)
        if row is None:
            raise Refusal("610", "Object Not Found", f"Object Not Found : {name} {id_}")
        return {name: row}

    def _changes(self, request: Request) -> Row:
        since = datetime.fromisoformat(request.args["changedSince"])
        found = []
        for name in request.args["entities"].split(","):
            rows = [
                row for row in self.tables[self._entity(name.lower())].values()
                if "MetaData" in row and datetime.fromisoformat(row["MetaData"]["LastUpdatedTime"]) >= since
            ]  # fmt: skip
            found.append({name: rows} if rows else {})
        return {"CDCResponse": [{"QueryResponse": found}]}

    # --- writing ----------------------------------------------------------------------------------------------------

    def _write(self, request: Request, entity: str) -> Any:
        name = self._entity(entity)
        if name not in SALES:
            raise Refusal("500", "Unsupported Operation", f"{name} cannot be written here", status=400)
        body = body_of(request)
        operation = request.args.get("operation", "update" if body.get("Id") else "create")
        return self.writing(request, lambda: self._done(name, operation, body, request.args.get("include", "")))

    def _done(self, name: str, operation: str, body: Row, include: str) -> Row:
        if operation == "create":
            row = self.create(name, body, allow_duplicates="allowduplicatedocnum" in include)
            answer: Row = {name: row}
            if self.warning is not None:
                answer["Warnings"], self.warning = self.warning, None
            return answer
        if operation == "void" or "void" in include:
            return {name: self.void(name, body)}
        return {name: self.delete(name, body) if operation == "delete" else self.update(name, body)}

    def _batch(self, request: Request) -> Row:
        asked = body_of(request).get("BatchItemRequest") or []
        if len(asked) > 30 or any(len(one.get("bId", "")) > 10 for one in asked):
            raise Refusal("1040", "Batch operation is not supported", "at most 30 items, bId of at most 10")
        if len(request.args.get("requestid", "")) > 36:
            raise Refusal("2010", "Request has invalid or unsupported property", "requestid of a batch, max 36")
        return {"BatchItemResponse": [{"bId": one["bId"], **self._one(one)} for one in asked]}

    def _one(self, one: Row) -> Row:
        try:
            if "Query" in one:
                return self._asked(one["Query"])
            name = next(key for key in one if key in SALES)
            return self._done(name, one["operation"], one[name], one.get("optionsData", ""))
        except Refusal as told:
            return {"Fault": fault(told)}

    def _entity(self, name: str) -> str:
        if name not in _ENTITIES:
            raise Refusal("2010", "Request has invalid or unsupported property", f"no entity {name}")
        return _ENTITIES[name]
