"""The books of one organisation in the double: contacts, items, documents, templates. Owns what they look like inside
and on the wire, and how the small MSP fills them. Dates are days inside, `/Date(…)/` outside.
"""

from __future__ import annotations

import uuid
from calendar import monthrange
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from syncd.sandbox.world import Company, World

Row = dict[str, Any]
NO_ID = "00000000-0000-0000-0000-000000000000"
CENT = Decimal("0.01")
ACCOUNTS = {"200": "Sales", "260": "Other revenue"}
TAXES = {"OUTPUT": Decimal("0.10"), "NONE": Decimal(0)}
# The hand-made invoice of this company shows two seats less than the PSA bills: the books gap of the story.
GAP_COMPANY, GAP = 4, Decimal(2)
FLAT = "MS-BASE"
NUMBERS = {"Invoices": "InvoiceNumber", "CreditNotes": "CreditNoteNumber"}
IDS = {
    "Invoices": "InvoiceID", "CreditNotes": "CreditNoteID", "Contacts": "ContactID", "Items": "ItemID",
    "RepeatingInvoices": "RepeatingInvoiceID",
}  # fmt: skip
KINDS = {"Invoices": "ACCREC", "CreditNotes": "ACCRECCREDIT"}


def made_id(*parts: object) -> str:
    """The same id for the same parts."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(map(str, parts))))


class Books:
    """One organisation."""

    def __init__(self, tenant: str, name: str, now: Callable[[], datetime], currency: str = "USD") -> None:
        self.tenant, self.now = tenant, now
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in IDS}
        self.currencies = {currency}
        self.next_number = 1
        self.organisation: Row = {
            "OrganisationID": made_id(tenant, "organisation"), "Name": name, "LegalName": name, "PaysTax": True,
            "BaseCurrency": currency, "CountryCode": "US", "IsDemoCompany": False, "OrganisationStatus": "ACTIVE",
            "OrganisationType": "COMPANY", "Version": "US", "Timezone": "CENTRALSTANDARDTIME",
            "ShortCode": "!acme1", "Edition": "BUSINESS", "PeriodLockDate": None, "EndOfYearLockDate": None,
        }  # fmt: skip

    # --- what is in them --------------------------------------------------------------------------------------------

    def contact(self, name: str, *, contact_id: str = "", **more: Any) -> Row:
        """Adds a contact."""
        one: Row = {
            "ContactID": contact_id or made_id(self.tenant, "contact", name), "ContactStatus": "ACTIVE", "Name": name,
            "IsSupplier": False, "IsCustomer": True, "UpdatedDateUTC": self.now(), "HasAttachments": False,
            "HasValidationErrors": False, "Addresses": [], "Phones": [], "ContactGroups": [], "ContactPersons": [],
        } | more  # fmt: skip
        self.tables["Contacts"][one["ContactID"]] = one
        return one

    def item(self, code: str, name: str, price: Decimal, *, item_id: str = "", **more: Any) -> Row:
        """Adds an item."""
        one: Row = {
            "ItemID": item_id or made_id(self.tenant, "item", code), "Code": code, "Name": name[:50],
            "Description": name, "IsSold": True, "IsPurchased": False, "IsTrackedAsInventory": False,
            "SalesDetails": {"UnitPrice": price, "AccountCode": "200", "TaxType": "OUTPUT"}, "PurchaseDetails": {},
            "UpdatedDateUTC": self.now(),
        } | more  # fmt: skip
        self.tables["Items"][one["ItemID"]] = one
        return one

    def by_code(self, code: object) -> Row | None:
        """An item by its code, which Xero takes in any case."""
        return next((one for one in self.tables["Items"].values() if one["Code"].lower() == str(code).lower()), None)

    def document(self, resource: str, contact: Row, dated: date, lines: Iterable[Row], **more: Any) -> Row:
        """Adds an invoice or a credit note, as a person makes it."""
        one: Row = {
            "Type": KINDS[resource], "Status": "AUTHORISED", "Contact": contact, "Date": dated,
            "DueDate": dated + timedelta(days=14), "LineAmountTypes": "Exclusive", "Reference": "",
            "CurrencyCode": self.organisation["BaseCurrency"], "LineItems": [self.line(line) for line in lines],
        } | more  # fmt: skip
        self.add(resource, one)
        return one

    def add(self, resource: str, one: Row) -> None:
        """Takes a document into the books, with an id, a number and totals."""
        one.setdefault(IDS[resource], str(uuid.uuid4()))
        if not one.get(NUMBERS[resource]):
            one[NUMBERS[resource]] = f"{'INV' if resource == 'Invoices' else 'CN'}-{self.next_number:04d}"
            self.next_number += 1
        one |= {"UpdatedDateUTC": self.now(), "HasAttachments": False, "CurrencyRate": Decimal(1)}
        total(one)
        self.tables[resource][one[IDS[resource]]] = one

    def line(self, given: Row, places: int = 4) -> Row:
        """A line with what its item fills in: description, price, account, tax."""
        item = self.by_code(given["ItemCode"]) if given.get("ItemCode") else None
        sales = item["SalesDetails"] if item else {}
        one: Row = {
            "LineItemID": given.get("LineItemID") or str(uuid.uuid4()),
            "Description": given.get("Description") or (item["Description"] if item else ""),
            "Tracking": given.get("Tracking") or [],
        }  # fmt: skip
        if item is None and not {"Quantity", "UnitAmount", "LineAmount"} & set(given):
            return one  # a remark
        one |= {
            "Quantity": rounded(given.get("Quantity", 1), 4),
            "UnitAmount": rounded(given.get("UnitAmount", sales.get("UnitPrice", 0)), places),
            "AccountCode": given.get("AccountCode") or sales.get("AccountCode"),
            "TaxType": given.get("TaxType") or sales.get("TaxType"),
        }
        if item is not None:
            one |= {"ItemCode": item["Code"], "Item": {name: item[name] for name in ("ItemID", "Name", "Code")}}
        less = Decimal(1) - Decimal(str(given.get("DiscountRate", 0))) / 100
        one["LineAmount"] = (one["Quantity"] * one["UnitAmount"] * less).quantize(CENT, ROUND_HALF_UP)
        return one

    def template(self, contact: Row, lines: Iterable[Row], starts: date, **more: Any) -> Row:
        """Adds a repeating invoice: monthly, approved, unless `more` says otherwise."""
        one: Row = {
            "RepeatingInvoiceID": str(uuid.uuid4()), "Type": "ACCREC", "Status": "AUTHORISED", "Contact": contact,
            "LineAmountTypes": "Exclusive", "Reference": "", "CurrencyCode": self.organisation["BaseCurrency"],
            "LineItems": [self.line(line) for line in lines], "HasAttachments": False, "ApprovedForSending": False,
            "Schedule": {
                "Period": 1, "Unit": "MONTHLY", "DueDate": 14, "DueDateType": "DAYSAFTERBILLDATE", "StartDate": starts,
                "NextScheduledDate": later(starts, self.now().date()),
            },
        }  # fmt: skip
        one["Schedule"] |= more.pop("Schedule", {})
        one |= more
        one["ID"] = one["RepeatingInvoiceID"]
        total(one)
        self.tables["RepeatingInvoices"][one["RepeatingInvoiceID"]] = one
        return one

    def generate(self, template: Row, dated: date) -> Row:
        """What Xero does on a template's day: an invoice, a draft where the template makes drafts."""
        lines = [{**line, "LineItemID": str(uuid.uuid4())} for line in template["LineItems"]]
        return self.document(
            "Invoices", template["Contact"], dated, lines, Reference=template["Reference"], Status=template["Status"],
            RepeatingInvoiceID=template["RepeatingInvoiceID"],
        )  # fmt: skip

    def merge(self, old: str, into: str) -> None:
        """What a bookkeeper does to duplicates: the old contact is archived, its documents move."""
        one, other = self.tables["Contacts"][old], self.tables["Contacts"][into]
        one |= {"ContactStatus": "ARCHIVED", "MergedToContactID": into, "UpdatedDateUTC": self.now()}
        for resource in ("Invoices", "CreditNotes", "RepeatingInvoices"):
            for document in self.tables[resource].values():
                if document["Contact"]["ContactID"] == old:
                    document["Contact"] = other

    def locked(self) -> date | None:
        """The last day that is closed."""
        dates = [self.organisation["PeriodLockDate"], self.organisation["EndOfYearLockDate"]]
        return max((one for one in dates if one), default=None)


def fill(books: Books, world: World) -> None:
    """The MSP's books: its customers, its products, invoices made by hand for this month and the last one."""
    for sku in world.skus:
        if not sku.free:
            books.item(sku.product, sku.name, sku.price)
    books.item(FLAT, "Managed services, flat fee", Decimal("450.00"))
    books.item("SWITCH-24", "Switch, 24 ports", Decimal("310.00"), IsTrackedAsInventory=True, QuantityOnHand=7)
    books.item("OLD-AV", "Antivirus, no longer sold", Decimal("2.50"), IsSold=False)
    this = world.today.replace(day=1)
    last = (this - timedelta(days=1)).replace(day=1)
    for company in world.companies:
        contact = books.contact(
            company.name, ContactNumber=company.identifier, AccountNumber=f"C-{company.number:04d}",
            Website=f"https://{company.domain}",
        )  # fmt: skip
        if company.billed:
            books.document("Invoices", contact, last, _sold(company), Status="PAID")
            books.document("Invoices", contact, this, _sold(company, gap=company.number == GAP_COMPANY))
    if world.companies:
        first = next(one for one in books.tables["Contacts"].values() if one["Name"] == world.companies[0].name)
        flat = [{"ItemCode": FLAT, "Quantity": 1}]
        books.template(first, flat, last, Reference="Managed services")
        old = books.contact(f"{first['Name']} (old)")
        books.merge(old["ContactID"], first["ContactID"])
    books.contact("Sold Practice", ContactStatus="ARCHIVED")


def _sold(company: Company, gap: bool = False) -> list[Row]:
    lines: list[Row] = [{"ItemCode": product, "Quantity": quantity} for product, quantity in company.billed]
    if gap:
        lines[0]["Quantity"] -= GAP
    return [*lines, {"Description": "Thank you"}]


def total(one: Row) -> None:
    """Works out what a document charges."""
    net = tax = Decimal(0)
    inclusive = one.get("LineAmountTypes") == "Inclusive"
    for line in one["LineItems"]:
        if "LineAmount" not in line:
            continue
        rate = Decimal(0) if one.get("LineAmountTypes") == "NoTax" else TAXES.get(line.get("TaxType") or "", Decimal(0))
        share = line["LineAmount"] * rate / (1 + rate if inclusive else 1)
        line["TaxAmount"] = share.quantize(CENT, ROUND_HALF_UP)
        net += line["LineAmount"] - (line["TaxAmount"] if inclusive else 0)
        tax += line["TaxAmount"]
    one |= {"SubTotal": net, "TotalTax": tax, "Total": net + tax}
    if one.get("Type") == "ACCREC" and "Schedule" not in one:
        one |= {"AmountDue": net + tax, "AmountPaid": Decimal(0)}


def later(starts: date, today: date) -> date:
    """The next monthly day after today."""
    months = max((today.year - starts.year) * 12 + today.month - starts.month + (today.day >= starts.day), 0)
    year, month = divmod(starts.year * 12 + starts.month - 1 + months, 12)
    return date(year, month + 1, min(starts.day, monthrange(year, month + 1)[1]))


def rounded(value: Any, places: int) -> Decimal:
    """A number to so many digits after the point."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP).normalize() + Decimal(0)


def shown(value: Any, places: int, lines: bool = True) -> Any:
    """A record as it goes onto the wire."""
    if isinstance(value, datetime):
        return f"/Date({int(value.timestamp() * 1000)}+0000)/"
    if isinstance(value, date):
        return f"/Date({int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp() * 1000)}+0000)/"
    if isinstance(value, list):
        return [shown(one, places) for one in value]
    if not isinstance(value, dict):
        return value
    told: Row = {}
    for name, one in value.items():
        if one is None or (name == "LineItems" and not lines):
            continue
        told[name] = rounded(one, places) if name in ("UnitAmount", "UnitPrice") else shown(one, places)
        if name in ("Date", "DueDate") and isinstance(one, date):
            told[f"{name}String"] = f"{one}T00:00:00"
    return told
