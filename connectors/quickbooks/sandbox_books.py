"""The double's documents: what QuickBooks checks before it keeps one, numbers, tax, versions, voiding. No routes.

It answers as the service does where the sheet is sure, and leans to the strict side elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.quickbooks import sandbox_state as state
from connectors.quickbooks.sandbox_front import Front
from connectors.quickbooks.sandbox_query import Refusal
from syncd.sandbox.world import World

Row = dict[str, Any]

SALES = ("Estimate", "Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")
POSTING = frozenset(SALES) - {"Estimate"}
TAX_RATE = Decimal("0.0825")
_FIELDS = frozenset(
    "Id SyncToken sparse domain CustomerRef TxnDate DueDate DocNumber PrivateNote CustomerMemo EmailStatus PrintStatus "
    "BillEmail TxnStatus CurrencyRef ExchangeRate GlobalTaxCalculation Line LinkedTxn TxnTaxDetail TotalAmt "
    "ApplyTaxAfterDiscount Balance HomeTotalAmt AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment "
    "AllowOnlineACHPayment ExpirationDate AcceptedBy AcceptedDate BillAddr ShipAddr CustomField Deposit DeliveryInfo "
    "RemainingCredit DepartmentRef ShipDate TrackingNum ClassRef PaymentRefNum EInvoiceStatus DepositToAccountRef "
    "SalesTermRef ARAccountRef MetaData TotalTax InvoiceLink".split()
)


class Books(Front):
    """Records and what may be done to them. See `sandbox.build` for the options."""

    def __init__(
        self,
        world: World,
        *,
        custom_numbers: bool = True,
        american: bool = True,
        multi_currency: bool = False,
        close_date: date | None = None,
        void_keeps_note: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(world, **options)
        self.void_keeps_note = void_keeps_note
        self.american = american
        self.preferences = state.preferences(
            custom_numbers=custom_numbers, american=american, multi_currency=multi_currency, close_date=None
        )
        self.tables: dict[str, dict[str, Row]] = {
            "Customer": state.customers(world),
            "Item": state.items(world),
            "TaxCode": {one: {"Id": one, "Name": name, "Active": True, "Taxable": True, "SyncToken": "0"}
                        for one, name in (("5", "HST ON"), ("6", "Exempt"))},
            **{entity: {} for entity in SALES},
        }  # fmt: skip
        self.next_id = 900
        self.next_number = 1000
        # What tests do to the next documents: change what is kept, or say something beside it.
        self.spoil: Callable[[Row], None] | None = None
        self.warning: Any = None
        for entity, body in state.by_hand(world, self.tables["Item"], "TAX" if american else "5"):
            self.create(entity, {**body, "DocNumber": self._numbered()} if custom_numbers else body, by_hand=True)
        if close_date:
            self.preferences["AccountingInfoPrefs"]["BookCloseDate"] = close_date.isoformat()

    # --- documents --------------------------------------------------------------------------------------------------

    def create(self, entity: str, body: Row, *, by_hand: bool = False, allow_duplicates: bool = False) -> Row:
        """A new document. `by_hand`: by a person in the browser. Raises Refusal."""
        self._check(entity, body)
        row = self._made(entity, str(self.next_id + 1), "0", body)
        if "DocNumber" in row and not allow_duplicates:
            self._unique(entity, row)
        if self.ignoring():
            return row
        self.next_id += 1
        if self.spoil and not by_hand:
            self.spoil(row)
        self.tables[entity][row["Id"]] = row
        if not by_hand:
            self._note(entity, row)
        return row

    def _note(self, entity: str, row: Row) -> None:
        """One effect for each line that charges something: each would be billed."""
        note = row.get("PrivateNote") or ""
        sold = [line for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"] or [{}]
        told = note.partition(" for items ")[0].split("; ")
        for index, line in enumerate(sold):
            self.effect(
                f"create_{entity.lower()}", row["Id"], customer=account_of(row), number=row.get("DocNumber"),
                note=told[index] if len(told) == len(sold) else note, amount=line.get("Amount"), date=row["TxnDate"],
            )  # fmt: skip

    def update(self, entity: str, body: Row) -> Row:
        """A full or sparse update; `Line` is replaced as a whole either way. Raises Refusal."""
        row = self._current(entity, body)
        base = row if body.get("sparse") else {"Id": row["Id"], "DocNumber": row.get("DocNumber")}
        merged = {**base, **{name: value for name, value in body.items() if name not in ("sparse", "SyncToken")}}
        self._check(entity, merged)
        merged["Line"] = [line for line in merged["Line"] if line.get("DetailType") != "SubTotalLineDetail"]
        made = self._made(entity, row["Id"], str(int(row["SyncToken"]) + 1), merged)
        made["MetaData"] = {**row["MetaData"], "LastUpdatedTime": self.now().isoformat(timespec="seconds")}
        self.tables[entity][row["Id"]] = made
        self.effect(f"update_{entity.lower()}", row["Id"])
        return made

    def void(self, entity: str, body: Row) -> Row:
        """It stays with its number, without its amounts. Raises Refusal."""
        row = self._current(entity, body)
        note = row.get("PrivateNote") if self.void_keeps_note else None
        row |= {
            "PrivateNote": f"Voided - {note}" if note else "Voided", "TotalAmt": Decimal(0), "Balance": Decimal(0),
            "TxnTaxDetail": {"TotalTax": Decimal(0)}, "SyncToken": str(int(row["SyncToken"]) + 1),
        }  # fmt: skip
        for line in row["Line"]:
            line["Amount"] = Decimal(0)
            for name in ("Qty", "UnitPrice"):
                if name in line.get("SalesItemLineDetail", {}):
                    line["SalesItemLineDetail"][name] = Decimal(0)
        self.effect(f"void_{entity.lower()}", row["Id"])
        return row

    def delete(self, entity: str, body: Row) -> Row:
        """Without a trace. Raises Refusal."""
        row = self._current(entity, body)
        del self.tables[entity][row["Id"]]
        self.effect(f"delete_{entity.lower()}", row["Id"])
        return {"Id": row["Id"], "status": "Deleted", "domain": "QBO"}

    def _current(self, entity: str, body: Row) -> Row:
        row = self.tables[entity].get(str(body.get("Id")))
        if row is None:
            raise Refusal("610", "Object Not Found", f"Object Not Found : {entity} {body.get('Id')}")
        if str(body.get("SyncToken")) != row["SyncToken"]:
            raise Refusal(
                "5010", "Stale Object Error",
                "You and another user were working on this at the same time, and the other user finished first",
            )  # fmt: skip
        return row

    # --- what is checked --------------------------------------------------------------------------------------------

    def _check(self, entity: str, body: Row) -> None:
        for name in body:
            if name not in _FIELDS:
                raise Refusal("2010", "Request has invalid or unsupported property", f"Property Name:{name}")
        forms = self.preferences["SalesFormsPrefs"]
        if entity == "Estimate" and not forms["AllowEstimates"]:
            raise Refusal("6000", "A business validation error has occurred", "Estimates are switched off")
        for needed in ("CustomerRef", "Line"):
            if not body.get(needed):
                raise Refusal("2020", "Required param missing", f"Required parameter {needed} is missing")
        account = self._active("Customer", body["CustomerRef"])
        for line in body["Line"]:
            self._check_line(line)
        if len(str(body.get("DocNumber") or "")) > 21:
            raise Refusal("2050", "String length is either shorter or longer than supported", "DocNumber, max 21")
        given = (body.get("CurrencyRef") or {}).get("value")
        if given not in (None, account["CurrencyRef"]["value"]):
            raise Refusal("6000", "A business validation error has occurred", "The currency is not the customer's")
        closed = self.preferences["AccountingInfoPrefs"].get("BookCloseDate", "")
        if entity in POSTING and closed and self._date(body) <= closed:
            raise Refusal(
                "6210", "Account Period Closed, Cannot Update Through Services API",
                "The account period has closed and the account books cannot be updated through the QBO Services API.",
            )  # fmt: skip

    def _check_line(self, line: Row) -> None:
        kind = line.get("DetailType")
        if kind in ("SubTotalLineDetail", "DescriptionOnly", "DiscountLineDetail", "GroupLineDetail"):
            return
        if kind != "SalesItemLineDetail":
            raise Refusal("2020", "Required param missing", "Line.DetailType")
        detail = line.get("SalesItemLineDetail") or {}
        if "ItemRef" in detail:
            self._active("Item", detail["ItemRef"])
        quantity, price = number(detail.get("Qty")), number(detail.get("UnitPrice"))
        amount = number(line.get("Amount"))
        if amount is None:
            raise Refusal("2020", "Required param missing", "Line.Amount")
        if quantity is not None and price is not None and cents(quantity * price) != amount:
            raise Refusal("6070", "Amount calculation incorrect in the request",
                          "Amount is not equal to UnitPrice * Qty. Supplied value:" + str(amount))  # fmt: skip
        code = (detail.get("TaxCodeRef") or {}).get("value")
        if self.american:
            if code not in (None, "TAX", "NON"):
                raise Refusal("2500", "Invalid Reference Id", f"TaxCode {code}")
        elif self.preferences["TaxPrefs"]["UsingSalesTax"] and code not in self.tables["TaxCode"]:
            raise Refusal(
                "6000", "A business validation error has occurred",
                "Make sure all your transactions have a GST/HST rate before you save.",
            )  # fmt: skip

    def _active(self, entity: str, ref: Row) -> Row:
        row = self.tables[entity].get(str(ref.get("value")))
        if row is None:
            raise Refusal("2500", "Invalid Reference Id", f"Invalid Reference Id : {entity} {ref.get('value')}")
        if not row["Active"]:
            raise Refusal(
                "610", "Object Not Found",
                "Object Not Found : Something you're trying to use has been made inactive. Check the fields with "
                "accounts, customers, items, vendors or employees.",
            )  # fmt: skip
        return row

    def _unique(self, entity: str, row: Row) -> None:
        for other in self.tables[entity].values():
            if other.get("DocNumber") == row["DocNumber"] and other["Id"] != row["Id"]:
                raise Refusal(
                    "6140", "Duplicate Document Number Error",
                    f"You must specify a different number. This number has already been used. DocNumber="
                    f"{row['DocNumber']} is assigned to TxnType={entity} with TxnId={other['Id']}",
                    element="DocNumber",
                )  # fmt: skip

    # --- what is made of it -----------------------------------------------------------------------------------------

    def _made(self, entity: str, id_: str, version: str, body: Row) -> Row:
        account = self.tables["Customer"][body["CustomerRef"]["value"]]
        lines, net, taxable = [], Decimal(0), Decimal(0)
        for index, given in enumerate(body["Line"], start=1):
            line = {**given, "Id": str(index), "LineNum": index}
            detail = dict(given.get("SalesItemLineDetail") or {})
            for name in ("Qty", "UnitPrice"):
                if name in detail:
                    detail[name] = number(detail[name])
            if "ItemRef" in detail:
                named = self.tables["Item"][detail["ItemRef"]["value"]]["Name"]
                detail["ItemRef"] = {"value": detail["ItemRef"]["value"], "name": named}
            if detail:
                line["SalesItemLineDetail"] = detail
            amount = number(given.get("Amount")) or Decimal(0)
            line["Amount"] = cents(amount)
            net += -amount if given.get("DetailType") == "DiscountLineDetail" else amount
            if (detail.get("TaxCodeRef") or {}).get("value") not in (None, "NON", "6"):
                taxable += amount
            lines.append(line)
        lines.append({"DetailType": "SubTotalLineDetail", "Amount": cents(net), "SubTotalLineDetail": {}})
        tax = cents(taxable * TAX_RATE) if self.preferences["TaxPrefs"]["UsingSalesTax"] else Decimal(0)
        automatic = not self.preferences["SalesFormsPrefs"]["CustomTxnNumbers"]
        doc_number = body.get("DocNumber") or (self._numbered() if automatic else None)
        row = {
            "Id": id_, "SyncToken": version, "domain": "QBO", "sparse": False, "MetaData": state.metadata(self.now()),
            "CustomerRef": {"value": account["Id"], "name": account["DisplayName"]}, "TxnDate": self._date(body),
            "DocNumber": doc_number, "PrivateNote": body.get("PrivateNote"), "CurrencyRef": account["CurrencyRef"],
            "EmailStatus": body.get("EmailStatus") or "NotSet", "PrintStatus": body.get("PrintStatus") or "NotSet",
            "LinkedTxn": body.get("LinkedTxn", []), "Line": lines, "TxnTaxDetail": {"TotalTax": tax},
            "TotalAmt": cents(net) + tax, "Balance": cents(net) + tax, "CustomField": [],
        }  # fmt: skip
        if entity == "Estimate":
            row["TxnStatus"] = body.get("TxnStatus") or "Pending"
        return {name: value for name, value in row.items() if value is not None}

    def _date(self, body: Row) -> str:
        return str(body.get("TxnDate") or self.now().date().isoformat())

    def _numbered(self) -> str:
        self.next_number += 1
        return str(self.next_number)


def account_of(row: Row) -> str:
    """Whose document it is."""
    return str(row["CustomerRef"]["value"])


def number(value: Any) -> Decimal | None:
    """A number, also as text, as the service takes it."""
    if value in (None, ""):
        return None
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise Refusal("2010", "Request has invalid or unsupported property", f"{value!r} is not a number") from None


def cents(value: Decimal) -> Decimal:
    """Half up, as the service rounds."""
    return value.quantize(state.CENT, ROUND_HALF_UP)
