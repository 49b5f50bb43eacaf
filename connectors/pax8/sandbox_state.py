"""What the double of Pax8 holds: companies, a catalogue, subscriptions, metered usage. Made from the World."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from syncd.sandbox.world import Company, World

Row = dict[str, Any]
_SPACE = uuid.UUID("6f1c2a6e-1d0b-4a5e-9c55-0a8d0f6f7a11")
# What the monthly commitment costs more than the yearly one.
_MONTHLY_FACTOR = Decimal("1.2")
METERED = "Offsite Backup Storage"
_METERED_COST, _METERED_PRICE = Decimal("0.05"), Decimal("0.08")


def made_id(*parts: object) -> str:
    """An id that is the same whenever the same thing is made."""
    return str(uuid.uuid5(_SPACE, "/".join(map(str, parts))))


@dataclass
class Stock:
    """Everything there is; rows are as the wire shows them. `posts`: summary id -> day -> lines; a new posting of a day
    replaces the older one."""

    world: World
    companies: list[Row] = field(default_factory=list)
    products: dict[str, Row] = field(default_factory=dict)
    subscriptions: list[Row] = field(default_factory=list)
    summaries: dict[str, Row] = field(default_factory=dict)
    posts: dict[str, dict[date, list[Row]]] = field(default_factory=dict)

    def product(self, part: str, name: str, vendor: str = "Microsoft") -> Row:
        """The product of a part number, made where it is not there."""
        row: Row = {
            "id": made_id("product", part),
            "name": name,
            "vendorName": vendor,
            "shortDescription": name,
            "sku": f"MST-{part}",
            "vendorSku": f"{part}:0001",
            "requiresCommitment": vendor == "Microsoft",
        }
        return self.products.setdefault(row["id"], row)

    def company(self, named: str) -> Row:
        """A company by id, name or external id. Raises KeyError."""
        for row in self.companies:
            if named in (row["id"], row["name"], row.get("externalId")):
                return row
        raise KeyError(named)

    def sell(self, company: Row, product: Row, quantity: Any, cost: Decimal, **fields: Any) -> Row:
        """A subscription, monthly and without commitment unless `fields` say otherwise; None takes a field away."""
        today = self.world.today
        start = today - timedelta(days=300)
        row: Row = {
            "id": made_id("subscription", company["id"], product["id"], len(self.subscriptions)),
            "companyId": company["id"],
            "productId": product["id"],
            "vendorSkuId": product["vendorSku"],
            "productName": product["name"],
            "quantity": quantity,
            "startDate": f"{start}T08:30:00Z",
            "createdDate": str(start - timedelta(days=1)),
            "updatedDate": f"{start}T11:33:12.314-0600",
            "billingStart": str(start),
            "status": "Active",
            "price": (cost * Decimal("1.3")).quantize(Decimal("0.01")),
            "partnerCost": cost,
            "currencyCode": "USD",
            "billingTerm": "Monthly",
            **fields,
        }
        row = {name: value for name, value in row.items() if value is not None}
        self.subscriptions.append(row)
        return row

    def commitment(self, product: Row, term: str, last: date) -> Row:
        """A commitment as subscriptions show it."""
        return {"id": made_id("commitment", product["id"], term), "term": term, "endDate": f"{last}T00:00:00Z"}

    def meter(self, subscription: Row, product: Row, day: date, quantity: Decimal) -> Row:
        """The vendor posts a month's total: it replaces the day's, and the newest day is the total."""
        id_ = made_id("summary", subscription["id"])
        line: Row = {
            "usageSummaryId": id_,
            "usageDate": str(day),
            "productName": product["name"],
            "productId": product["id"],
            "unitOfMeasure": "GB",
            "quantity": quantity,
            "unitPrice": _METERED_PRICE,
            "currentCharges": quantity * _METERED_PRICE,
            "currentProfit": quantity * (_METERED_PRICE - _METERED_COST),
            "partnerTotal": quantity * _METERED_COST,
            "currencyCode": "USD",
            "isTrial": False,
        }
        lines = self.posts.setdefault(id_, {})
        lines[day] = [*(one for one in lines.get(day, []) if one["productId"] != product["id"]), line]
        newest = lines[max(lines)]
        self.summaries[id_] = {
            "id": id_,
            "companyId": subscription["companyId"],
            "productId": subscription["productId"],
            "subscriptionId": subscription["id"],
            "resourceGroup": "Backup",
            "vendorName": "Vaultline",
            "currentCharges": sum(one["currentCharges"] for one in newest),
            "partnerTotal": sum(one["partnerTotal"] for one in newest),
            "currencyCode": "USD",
            "isTrial": False,
        }
        return line


def stock_of(world: World) -> Stock:
    """The distributor's side of the World: what was bought there comes to the World's seats; free products are not
    bought. Ended, future and trial subscriptions lie around it, as they do."""
    stock = Stock(world)
    for company in world.companies:
        _add(stock, company)
    first, today = stock.companies[0], world.today
    visio = stock.product("VISIOCLIENT", "Visio Plan 2")
    stock.sell(
        first,
        visio,
        25,
        Decimal(0),
        status="Trial",
        billingTerm="Trial",
        startDate=str(today - timedelta(days=9)),
        endDate=str(today + timedelta(days=21)),
    )
    second = stock.companies[1 % len(stock.companies)]
    exchange = stock.product("EXCHANGESTANDARD", "Exchange Online (Plan 1)")
    past = str(today - timedelta(days=40))
    stock.sell(second, exchange, 9, Decimal("4.00"), status="Active", endDate=past)  # ended, though it says Active
    soon = today + timedelta(days=11)
    stock.sell(second, exchange, 3, Decimal("4.00"), status="Active", startDate=f"{soon}T00:00:00Z")
    return stock


def _add(stock: Stock, company: Company) -> None:
    today = stock.world.today
    row: Row = {
        "id": made_id("company", company.tenant_id),
        "name": company.name,
        "address": {
            "street": f"{company.number} Sample Street",
            "city": "Centennial",
            "stateOrProvince": "CO",
            "postalCode": "80111",
            "country": "US",
        },
        "phone": "555-555-5555",
        "website": f"https://{company.domain}",
        "externalId": company.identifier,
        "billOnBehalfOfEnabled": False,
        "selfServiceAllowed": False,
        "orderApprovalRequired": False,
        "status": "Active",
        "updatedDate": "2026-08-11T11:33:12.314-0600",
    }
    stock.companies.append(row)
    for order, licence in enumerate(one for one in company.licences if not one.sku.free):
        product = stock.product(licence.sku.part, licence.sku.name)
        monthly = min(8, licence.bought) if (company.number, order) == (1, 0) else 0
        yearly = licence.bought - monthly
        stock.sell(
            row,
            product,
            yearly,
            licence.sku.cost,
            status="PendingAutomated" if company.number == 2 else "Active",
            commitmentTerm=stock.commitment(product, "1-Year", today + timedelta(days=54)),
        )
        if monthly:
            cost = (licence.sku.cost * _MONTHLY_FACTOR).quantize(Decimal("0.01"))
            term = stock.commitment(product, "Monthly", today + timedelta(days=20))
            stock.sell(row, product, monthly, cost, commitmentTerm=term)
    backup = stock.product("VAULT-METERED", METERED, vendor="Vaultline")
    metered = stock.sell(row, backup, 0, Decimal(0))
    before = today.replace(day=1) - timedelta(days=1)
    stock.meter(metered, backup, before, Decimal(company.devices * 10 + 7))
    for day in range(max(1, today.day - 3), today.day):
        stock.meter(metered, backup, today.replace(day=day), Decimal(company.devices * 10 + day))
