"""What the double holds at first, from the World: the MSP's books, kept by hand. Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from syncd.periods import add_months
from syncd.sandbox.world import Company, World

Row = dict[str, Any]

CENT = Decimal("0.01")
FIRST_CUSTOMER, FORMER_CUSTOMER = 58, 40_000
# The company whose last invoice somebody wrote from memory: less than the PSA bills.
FORGETFUL, FORGOTTEN = 6, Decimal(2)
# The company that was invoiced one too many, and credited.
CREDITED = 2


def preferences(*, custom_numbers: bool, american: bool, multi_currency: bool, close_date: date | None) -> Row:
    """The company's settings."""
    taxes: Row = {"UsingSalesTax": True, "TaxGroupCodeRef": {"value": "2"}}
    return {
        "Id": "1", "SyncToken": "4", "domain": "QBO", "sparse": False,
        "AccountingInfoPrefs": {"FirstMonthOfFiscalYear": "January", "CustomerTerminology": "Customers"}
        | ({"BookCloseDate": close_date.isoformat()} if close_date else {}),
        "SalesFormsPrefs": {
            "CustomTxnNumbers": custom_numbers, "AllowEstimates": True, "AutoApplyCredit": True,
            "AllowServiceDate": False, "CustomField": [],
        },
        "CurrencyPrefs": {"MultiCurrencyEnabled": multi_currency, "HomeCurrency": {"value": "USD"}},
        "TaxPrefs": taxes | ({"PartnerTaxEnabled": True} if american else {}),
    }  # fmt: skip


def company_info(world: World, *, american: bool) -> Row:
    """Who the company is."""
    return {
        "Id": "1", "SyncToken": "0", "CompanyName": world.msp, "LegalName": world.msp,
        "Country": "US" if american else "CA", "NameValue": [{"Name": "NeoEnabled", "Value": "true"}],
    }  # fmt: skip


def customer(number: int, name: str, *, currency: str = "USD", active: bool = True, parent: Row | None = None) -> Row:
    """A customer, or a sub-customer of `parent`."""
    row = {
        "Id": str(number), "SyncToken": "0", "DisplayName": name, "CompanyName": name, "PrintOnCheckName": name,
        "FullyQualifiedName": name, "Active": active, "Taxable": True, "Job": False, "BillWithParent": False,
        "Balance": Decimal(0), "CurrencyRef": {"value": currency, "name": currency}, "domain": "QBO", "sparse": False,
    }  # fmt: skip
    if parent is None:
        return row
    full = f"{parent['FullyQualifiedName']}:{name}"
    return row | {"Job": True, "ParentRef": {"value": parent["Id"]}, "FullyQualifiedName": full, "BillWithParent": True}


def item(
    number: int, name: str, *, sku: str = "", price: Decimal | None = None, cost: Decimal | None = None,
    kind: str = "Service", active: bool = True,
) -> Row:  # fmt: skip
    """A product or service; American items are taxable or not, others name a tax code."""
    row = {
        "Id": str(number), "SyncToken": "0", "Name": name, "FullyQualifiedName": name, "Active": active, "Type": kind,
        "Taxable": True, "SalesTaxIncluded": False, "SalesTaxCodeRef": {"value": "5"}, "domain": "QBO", "sparse": False,
    }  # fmt: skip
    if sku:
        row["Sku"] = sku
    if kind == "Category":
        return row
    return row | {
        "UnitPrice": price or Decimal(0), "PurchaseCost": cost or Decimal(0), "IncomeAccountRef": {"value": "79"},
    }  # fmt: skip


def customers(world: World) -> dict[str, Row]:
    """The MSP's customers, and one who left."""
    rows = [customer(FIRST_CUSTOMER + one.number, one.name) for one in world.companies]
    rows.append(customer(FORMER_CUSTOMER, "Zelkova Press (deleted)", active=False))
    return {row["Id"]: row for row in rows}


def items(world: World) -> dict[str, Row]:
    """What the MSP sells, with the kinds that no true-up can stand on."""
    rows = [item(1, "Licences", kind="Category")]
    sold = [sku for sku in world.skus if sku.product]
    rows += [
        item(10 + index, sku.name, sku=sku.product, price=sku.price, cost=sku.cost) for index, sku in enumerate(sold)
    ]
    rows += [
        item(29, "Backup of one device", sku="BACKUP", price=Decimal("6.00"), cost=Decimal("2.10")),
        item(30, "Business laptop", sku="LAPTOP", price=Decimal("1190.00"), kind="Inventory"),
        item(31, "Starter bundle", kind="Group"),
        item(32, "Fax line (deleted)", price=Decimal("9.00"), active=False),
    ]
    return {row["Id"]: row for row in rows}


def sale(row: Row, quantity: Decimal, price: Decimal | None = None, tax: str = "TAX") -> Row:
    """A line of a document as it is sent."""
    price = price if price is not None else row["UnitPrice"]
    detail = {"ItemRef": {"value": row["Id"]}, "Qty": quantity, "UnitPrice": price, "TaxCodeRef": {"value": tax}}
    amount = (quantity * price).quantize(CENT, ROUND_HALF_UP)
    return {
        "DetailType": "SalesItemLineDetail", "Amount": amount, "Description": row["Name"],
        "SalesItemLineDetail": detail,
    }  # fmt: skip


def by_hand(world: World, known: dict[str, Row], tax: str) -> list[tuple[str, Row]]:
    """(entity, body) of what the bookkeeper wrote for the last and the running month."""
    by_sku = {row["Sku"]: row for row in known.values() if row.get("Sku")}
    this = world.today.replace(day=1)
    return [
        one for first in (add_months(this, -1), this) for company in world.companies
        for one in _billed(company, first, by_sku, tax, running=first == this)
    ]  # fmt: skip


def _billed(company: Company, first: date, by_sku: dict[str, Row], tax: str, *, running: bool) -> list[tuple[str, Row]]:
    held = dict(company.billed)
    if not any(held.values()):
        return []
    top = next(iter(held))
    credit: list[Row] = []
    if running and company.number == FORGETFUL:
        held[top] -= FORGOTTEN
    if running and company.number == CREDITED:
        held[top] += 1
        credit.append(sale(by_sku[top], Decimal(1), tax=tax))
    head = {"CustomerRef": {"value": str(FIRST_CUSTOMER + company.number)}, "TxnDate": first.isoformat()}
    lines = [sale(by_sku[product], quantity, tax=tax) for product, quantity in held.items() if quantity]
    made = [("Invoice", {**head, "Line": lines})]
    return [*made, ("CreditMemo", {**head, "Line": credit})] if credit else made


def metadata(now: datetime) -> Row:
    """When a record was made and changed."""
    text = now.isoformat(timespec="seconds")
    return {"CreateTime": text, "LastUpdatedTime": text}
