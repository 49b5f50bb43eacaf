"""The double's books: customers, items, periods, invoices, credit memos and charges; what NetSuite makes of a record
that is created, and the tables that SuiteQL sees of it. Speaks no HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from werkzeug.wrappers import Response

from connectors.netsuite.sandbox_front import CHARGE_TYPE, Front, fault
from syncd.sandbox.world import World

Row = dict[str, Any]
# Property names of the record types, as the API Browser lists them (those that could be sent).
NAMES: dict[str, frozenset[str]] = {
    "invoice": frozenset(
        "externalId tranId entity subsidiary currency exchangeRate tranDate dueDate startDate endDate postingPeriod "
        "terms otherRefNum memo message approvalStatus createdFrom billingAccount asOfDate whichChargesToAdd taxItem "
        "taxRate class department location customForm toBeEmailed email item".split()
    ),
    "creditMemo": frozenset(
        "externalId tranId entity subsidiary currency exchangeRate tranDate memo createdFrom item apply "
        "toBeEmailed".split()
    ),
    "charge": frozenset(
        "externalId billTo billingItem billingAccount billingSchedule billingMode chargeType chargeDate billDate "
        "serviceStartDate serviceEndDate stage use currency quantity rate amount discountAmount description memo "
        "salesOrder salesOrderLine subscriptionLine subsidiary class department location projectTask".split()
    ),
    "line": frozenset(
        "line item description quantity rate amount price taxCode isTaxable units class department location job".split()
    ),
}
STAGES = ("NON_BILLABLE", "HOLD_FOR_BILLING", "READY_FOR_BILLING")
USD, EUR = 1, 2
FIRST_CUSTOMER, FIRST_ITEM = 101, 501
_TYPES = {"invoice": "CustInvc", "creditMemo": "CustCred"}
_CENT = Decimal("0.01")


class Refusal(Exception):
    """What the record service answers with status 400."""

    def __init__(self, detail: str, code: str = "INVALID_CONTENT", path: str = "") -> None:
        super().__init__(detail)
        self.detail, self.code, self.path = detail, code, path

    def response(self) -> Response:
        """As an answer."""
        return fault(400, self.detail, self.code, self.path)


class Books(Front):
    """Records of one account. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        routing: bool = True,
        charging: bool = True,
        shared_ids: bool = False,
        tax: Decimal = Decimal("0.0825"),
        euro: Iterable[int] = (),
        more_customers: int = 0,
        gap: int = 8,
        ledger_signs: bool = True,
        single_currency: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(world, **options)
        self.routing, self.charging, self.shared_ids, self.tax = routing, charging, shared_ids, tax
        self.ledger_signs, self.single_currency = ledger_signs, single_currency
        self.currencies = {USD: "USD", EUR: "EUR"}
        self.customers: dict[int, Row] = {}
        self.items: dict[int, Row] = {}
        self.periods: list[Row] = []
        self.records: dict[str, dict[int, Row]] = {"invoice": {}, "creditMemo": {}, "charge": {}}
        self.hidden: dict[str, set[int]] = {"customer": set(), "invoice": set(), "creditMemo": set(), "charge": set()}
        self.blind: set[str] = set()  # record types that SuiteQL shows none of, as to a role without the permission
        self.script: Callable[[str, Row], None] | None = None  # a user event script: runs after each creation
        self.next_id = 9000
        self._story(world, frozenset(euro), more_customers, gap)

    # --- the story --------------------------------------------------------------------------------------------------

    def _story(self, world: World, euro: frozenset[int], more: int, gap: int) -> None:
        for number, sku in enumerate((one for one in world.skus if one.product), start=FIRST_ITEM):
            self.items[number] = _item(number, sku.product, sku.name, "Service", sku.price)
        self.items[590] = _item(590, "BACKUP", "Backup of one device", "Service", Decimal("6.00"))
        self.items[591] = _item(591, "SETUP-OLD", "Set-up (no longer sold)", "Service", Decimal(150), inactive=True)
        self.items[592] = _item(592, "FW-60F", "Firewall 60F", "InvtPart", Decimal(600))
        self.items[593] = _item(593, "DESK-KIT", "Workplace kit", "Kit", Decimal(900))
        self.items[594] = _item(594, "SPLA-COST", "Licences bought", "Service", Decimal(5), subtype="Purchase")
        for company in world.companies:
            number = FIRST_CUSTOMER - 1 + company.number
            currency = EUR if company.number in euro else USD
            self.customers[number] = _customer(number, company.identifier, company.name, currency)
        for index in range(more):
            number = 20_001 + index
            self.customers[number] = _customer(number, f"C{number}", f"Further {number}", USD)
        first = world.today.replace(day=1)
        for back in range(14, -4, -1):
            begin = _month(first, -back)
            closed = back >= 2
            self.periods.append(
                {
                    "id": 400 - back, "periodname": f"{begin:%b %Y}", "startdate": begin.isoformat(),
                    "enddate": (_month(begin, 1) - timedelta(days=1)).isoformat(), "closed": closed,
                    "arlocked": closed, "alllocked": False, "isyear": False, "isquarter": False, "isadjust": False,
                }
            )  # fmt: skip
        by_code = {row["itemid"]: number for number, row in self.items.items()}
        for company in world.companies:
            for back in (1, 0):
                lines = []
                for product, quantity in company.billed:
                    short = company.number == gap and not back and product == "EXO-P1"
                    lines.append((by_code[product], quantity - 2 if short else quantity))
                if lines:
                    self.invoice_by_hand(FIRST_CUSTOMER - 1 + company.number, _month(first, -back), lines)
        self.effects.clear()

    def invoice_by_hand(
        self,
        customer: int,
        on: date,
        lines: Iterable[tuple[int | None, Decimal]],
        kind: str = "invoice",
        status: str = "A",
    ) -> Row:
        """A document that a person makes in the UI, at the items' base prices; a line without item is one of 10.00."""
        rows = [
            {
                "item": item, "quantity": quantity if item else None, "description": "" if item else "Travel",
                "rate": self.items[item]["price"] if item else None,
                "amount": _money(quantity * self.items[item]["price"]) if item else Decimal(10),
            }
            for item, quantity in lines
        ]  # fmt: skip
        return self._keep_document(kind, {"entity": customer, "tranDate": on.isoformat(), "status": status}, rows)

    # --- creating ---------------------------------------------------------------------------------------------------

    def created(self, kind: str, body: Mapping[str, Any], validation: str) -> Row:
        """Makes a record of a request's body. Raises Refusal."""
        body = self._named(kind, body, validation)
        if external := body.get("externalId"):
            self._unique(kind, external)
        if kind == "charge":
            return self._charge(body)
        entity = self._customer(body.get("entity"), "entity")
        day = str(body.get("tranDate") or self.now().date())
        if any(
            one["startdate"] <= day <= one["enddate"] and (one["closed"] or one["arlocked"]) for one in self.periods
        ):
            raise Refusal("The accounting period of this transaction is closed or locked.", "USER_ERROR", "tranDate")
        if "approvalStatus" in body and not (self.routing and kind == "invoice"):
            raise Refusal("Field approvalStatus is not available.", "INVALID_CONTENT", "approvalStatus")
        given = (body.get("item") or {}).get("items") or []
        if not given:
            raise Refusal("You must enter at least one line item for this transaction.", "USER_ERROR")
        lines = [self._line(one, place, validation) for place, one in enumerate(given)]
        pending = kind == "invoice" and self.routing and _id(body.get("approvalStatus", {"id": "1"})) == "1"
        head = {
            "externalId": external, "entity": entity, "tranDate": day, "memo": body.get("memo"),
            "status": "D" if pending else "A", "toBeEmailed": body.get("toBeEmailed", True),
            "approvalStatus": ("1" if pending else "2") if self.routing and kind == "invoice" else None,
        }  # fmt: skip
        return self._keep_document(kind, head, lines)

    def _named(self, kind: str, body: Mapping[str, Any], validation: str) -> dict[str, Any]:
        """Unknown names are dropped with a warning nobody reads, unless validation is asked for."""
        unknown = [name for name in body if name not in NAMES[kind]]
        if unknown and validation == "Error":
            raise Refusal(f"Unknown reference or field {unknown[0]}.", "INVALID_CONTENT", unknown[0])
        return {name: value for name, value in body.items() if name in NAMES[kind]}

    def _unique(self, kind: str, external: str) -> None:
        kinds = ("invoice", "creditMemo") if self.shared_ids and kind != "charge" else (kind,)
        if any(row.get("externalId") == external for one in kinds for row in self.records[one].values()):
            raise Refusal("This record already exists", "USER_ERROR")

    def _customer(self, given: Any, path: str) -> int:
        number = int(_id(given) or 0)
        if number not in self.customers or number in self.hidden["customer"]:
            raise Refusal(f"Invalid reference key {number} for {path}.", "INVALID_KEY_OR_REF", path)
        if self.customers[number]["isinactive"]:
            raise Refusal(f"The record {number} is inactive.", "USER_ERROR", path)
        return number

    def _item(self, given: Any, path: str) -> int:
        number = int(_id(given) or 0)
        if number not in self.items or self.items[number]["isinactive"]:
            raise Refusal(f"Invalid reference key {number} for item.", "INVALID_KEY_OR_REF", path)
        return number

    def _line(self, given: Mapping[str, Any], place: int, validation: str) -> Row:
        given = self._named("line", given, validation)
        item = self._item(given.get("item"), f"item.items[{place}].item")
        quantity = number(given.get("quantity", 1))
        rate = number(given["rate"]) if "rate" in given else self.items[item]["price"]
        return {
            "item": item, "quantity": quantity, "rate": rate, "amount": _money(quantity * rate),
            "description": given.get("description") or "",
        }  # fmt: skip

    def _charge(self, body: Mapping[str, Any]) -> Row:
        if _id(body.get("chargeType")) != CHARGE_TYPE:
            raise Refusal("Please enter a value for: Charge Type", "USER_ERROR", "chargeType")
        stage = _id(body.get("stage")) or "READY_FOR_BILLING"
        if stage not in STAGES:
            raise Refusal(f"Invalid value {stage} for the field stage.", "INVALID_CONTENT", "stage")
        quantity, rate = number(body.get("quantity", 1)), number(body.get("rate", 0))
        row = {
            "externalId": body.get("externalId"), "billTo": self._customer(body.get("billTo"), "billTo"),
            "billingItem": self._item(body.get("billingItem"), "billingItem"), "chargeType": CHARGE_TYPE,
            "chargeDate": body.get("chargeDate"), "serviceStartDate": body.get("serviceStartDate"),
            "serviceEndDate": body.get("serviceEndDate"), "quantity": quantity, "rate": rate,
            "amount": _money(quantity * rate), "stage": stage, "description": body.get("description"),
            "memo": body.get("memo"), "invoice": None,
        }  # fmt: skip
        return self._keep("charge", row)

    def _keep_document(self, kind: str, head: Mapping[str, Any], lines: list[Row]) -> Row:
        row = {"externalId": None, "memo": None, "approvalStatus": None, **head, "lines": lines}
        made = self._keep(kind, row)
        made["tranId"] = f"{'CM' if kind == 'creditMemo' else 'INV'}{made['id']}"
        return made

    def _keep(self, kind: str, row: Row) -> Row:
        row["id"] = self.next_id + 1
        if self.ignoring():
            return row
        self.next_id += 1
        self._change(row)
        if kind != "creditMemo":  # the API Browser shows none there
            row["createdDate"] = row["lastModifiedDate"]
        self.records[kind][row["id"]] = row
        if self.script:
            self.script(kind, row)
        customer = row.get("entity") or row.get("billTo")
        for note in (row["memo"] or "").split("; "):  # one charge each, where syncd wrote it
            self.effect("create", f"{kind} {row['id']}", memo=note, customer=customer)
        return row

    def _change(self, row: Row, **fields: Any) -> None:
        row.update(fields, lastModifiedDate=f"{self.now():%Y-%m-%dT%H:%M:%SZ}")

    # --- what people and NetSuite itself do ---------------------------------------------------------------------------

    def release(self, charge: int) -> None:
        """The bookkeeper takes a charge off hold."""
        with self.lock:
            self._change(self.records["charge"][charge], stage="READY_FOR_BILLING")

    def bill_run(self, on: date) -> list[Row]:
        """Makes one invoice for each customer with ready charges, and writes it onto them."""
        with self.lock:
            made = []
            ready = [
                one for one in self.records["charge"].values()
                if one["stage"] == "READY_FOR_BILLING" and not one["invoice"]
            ]  # fmt: skip
            for customer in sorted({one["billTo"] for one in ready}):
                mine = [one for one in ready if one["billTo"] == customer]
                lines = [
                    {
                        "item": one["billingItem"], "quantity": one["quantity"], "rate": one["rate"],
                        "amount": one["amount"], "description": one["description"],
                    }
                    for one in mine
                ]  # fmt: skip
                head = {"entity": customer, "tranDate": on.isoformat(), "status": "A"}
                invoice = self._keep_document("invoice", head, lines)
                for charge in mine:
                    self._change(charge, invoice=invoice["id"])
                made.append(invoice)
            return made

    def close_periods(self, through: date) -> None:
        """Closes all periods that end by a day."""
        with self.lock:
            for one in self.periods:
                one["closed"] = one["closed"] or one["enddate"] <= through.isoformat()

    # --- what is shown ----------------------------------------------------------------------------------------------

    def visible(self, kind: str) -> dict[int, Row]:
        """The records of a type that the role sees."""
        every = self.customers if kind == "customer" else self.records[kind]
        return {number: row for number, row in every.items() if number not in self.hidden[kind]}

    def total(self, row: Row) -> tuple[Decimal, Decimal]:
        """(before tax, tax)."""
        before = sum((one["amount"] for one in row["lines"]), Decimal(0))
        return before, _money(before * self.tax)

    def tables(self) -> dict[str, list[Row]]:
        """What SuiteQL sees."""
        made: dict[str, list[Row]] = {
            "customer": [] if "customer" in self.blind else list(self.visible("customer").values()),
            "item": list(self.items.values()),
            "accountingperiod": self.periods,
            "pricing": [
                {"item": number, "pricelevel": 1, "quantity": 0, "currency": USD, "unitprice": row["price"]}
                for number, row in self.items.items()
                if row["price"] is not None
            ],
            "transaction": [],
            "transactionline": [],
        }
        if not self.single_currency:
            made["currency"] = [
                {"id": number, "symbol": code, "name": code, "currencyprecision": 2}
                for number, code in self.currencies.items()
            ]
        for kind in ("invoice", "creditMemo"):
            for row in self.visible(kind).values() if kind not in self.blind else ():
                made["transaction"].append(self._transaction(kind, row))
                made["transactionline"] += self._ledger_lines(kind, row)
        if self.charging:
            shown = self.visible("charge").values() if "charge" not in self.blind else ()
            made["charge"] = [{name.lower(): value for name, value in row.items()} for row in shown]
        return made

    def _transaction(self, kind: str, row: Row) -> Row:
        total = sum(self.total(row))
        return {
            "id": row["id"], "type": _TYPES[kind], "entity": row["entity"], "trandate": row["tranDate"],
            "tranid": row["tranId"], "externalid": row["externalId"], "memo": row["memo"], "status": row["status"],
            "voided": row["status"] == "V", "foreigntotal": -total if kind == "creditMemo" else total,
            "currency": None if self.single_currency else self.customers[row["entity"]]["currency"],
        }  # fmt: skip

    def _ledger_lines(self, kind: str, row: Row) -> Iterator[Row]:
        """As the ledger has them: what is sold is negative on an invoice."""
        sign = (1 if kind == "creditMemo" else -1) if self.ledger_signs else 1
        before, tax = self.total(row)
        base = {"transaction": row["id"], "mainline": False, "taxline": False, "iscogs": False}
        unique = row["id"] * 100
        yield {**base, "uniquekey": unique, "linesequencenumber": 0, "mainline": True, "foreignamount": before + tax}
        for place, line in enumerate(row["lines"], start=1):
            quantity = None if line["quantity"] is None else sign * line["quantity"]
            yield {
                **base, "uniquekey": unique + place, "linesequencenumber": place, "item": line["item"],
                "memo": line["description"], "quantity": quantity, "rate": line["rate"],
                "foreignamount": sign * line["amount"],
            }  # fmt: skip
        last = len(row["lines"]) + 1
        yield {
            **base, "uniquekey": unique + last, "linesequencenumber": last, "taxline": True, "item": -7,
            "foreignamount": sign * tax,
        }  # fmt: skip
        for place in (last + 1, last + 2):  # cost of goods: two lines that take each other off
            cost = Decimal(7) * (1 if place == last + 1 else -1)
            yield {**base, "uniquekey": unique + place, "linesequencenumber": place, "iscogs": True,
                   "foreignamount": cost}  # fmt: skip


def number(value: Any) -> Decimal:
    """A double as it was written."""
    return Decimal(str(value))


def _money(value: Decimal) -> Decimal:
    return value.quantize(_CENT, rounding=ROUND_HALF_UP)


def _id(given: Any) -> str:
    return str(given.get("id", "")) if isinstance(given, dict) else str(given or "")


def _month(first: date, months: int) -> date:
    at = first.year * 12 + first.month - 1 + months
    return date(at // 12, at % 12 + 1, 1)


def _item(
    number_: int, code: str, name: str, kind: str, price: Decimal, *, inactive: bool = False, subtype: str = "Sale"
) -> Row:
    return {
        "id": number_, "itemid": code, "displayname": name, "externalid": None, "itemtype": kind, "subtype": subtype,
        "isinactive": inactive, "price": price,
    }  # fmt: skip


def _customer(number_: int, code: str, name: str, currency: int) -> Row:
    return {
        "id": number_, "entityid": code, "companyname": name, "altname": name, "externalid": None, "isinactive": False,
        "currency": currency,
    }  # fmt: skip
