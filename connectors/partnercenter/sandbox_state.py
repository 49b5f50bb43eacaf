"""What the double of Partner Center holds: customers and their subscriptions. Made from the World."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from syncd.sandbox.world import Company, World

Row = dict[str, Any]
_SPACE = uuid.UUID("b0c3cf0c-52d6-49a0-9a0d-6f51f2f2a7d4")
# What a monthly commitment costs more than a yearly one.
_MONTHLY_FACTOR = Decimal("1.2")
# Part number -> productId:skuId:availabilityId. The products are Microsoft's; availabilities are invented.
OFFERS = {
    "SPB": "CFQ7TTC0LCHC:0002:CFQ7TTC0SB01",
    "O365_BUSINESS_PREMIUM": "CFQ7TTC0LDPB:0001:CFQ7TTC0SB02",
    "EXCHANGESTANDARD": "CFQ7TTC0LH16:0001:CFQ7TTC0SB03",
    "ENTERPRISEPACK": "CFQ7TTC0LF8R:0001:CFQ7TTC0SB04",
    "VISIOCLIENT": "CFQ7TTC0HD32:0002:CFQ7TTC0SB05",
}


@dataclass
class Stock:
    """Everything there is; rows are as the wire shows them. `left`: customers without a relationship any more.
    `prices`: what a seat of a subscription costs in its billing period; `split`: subscriptions whose charge stands on
    two lines; `charges`: further lines of every invoice."""

    world: World
    customers: list[Row] = field(default_factory=list)
    subscriptions: dict[str, list[Row]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    prices: dict[str, Decimal] = field(default_factory=dict)
    split: set[str] = field(default_factory=set)
    charges: list[Row] = field(default_factory=list)

    def find(self, named: str) -> str | None:
        """The id of a customer by id, domain or name."""
        for row in self.customers:
            if named in (row["id"], row["companyProfile"]["domain"], row["companyProfile"]["companyName"]):
                return str(row["id"])
        return None

    def sell(self, customer: str, offer: str, name: str, price: Decimal | None = None, **fields: Any) -> Row:
        """A new-commerce subscription for a year, billed monthly, unless `fields` say otherwise; None takes a field
        away."""
        rows = self.subscriptions[customer]
        id_ = str(uuid.uuid5(_SPACE, f"{customer}/{offer}/{len(rows)}"))
        start, last = self.world.today - timedelta(days=310), self.world.today + timedelta(days=54)
        row: Row = {
            "id": id_,
            "offerId": offer,
            "offerName": name,
            "friendlyName": f"{name} (nickname)",
            "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
            "quantity": 1,
            "unitType": "Licenses",
            "status": "active",
            "creationDate": f"{start}T16:57:14.498252Z",
            "effectiveStartDate": f"{start}T16:57:14.4982521Z",
            "commitmentEndDate": f"{last}T00:00:00Z",
            "commitmentEndDateTime": f"{last}T23:59:59Z",
            "autoRenewEnabled": True,
            "isTrial": False,
            "billingType": "license",
            "billingCycle": "monthly",
            "termDuration": "P1Y",
            "renewalTermDuration": "",
            "refundOptions": [{"type": "Full", "expiresAt": f"{start + timedelta(days=1)}T00:00:00Z"}],
            "refundableQuantity": {"totalQuantity": 0, "details": []},
            "orderId": id_[:12].replace("-", ""),
            "attributes": {"objectType": "Subscription"},
            "somethingNew": {"since": "yesterday"},  # the vendor adds fields at any time
            **fields,
        }
        row = {key: value for key, value in row.items() if value is not None}
        rows.append(row)
        if price is not None:
            self.prices[id_] = price
        return row


def term(last: date, duration: str) -> Row:
    """The fields of a commitment that ends with this day."""
    return {
        "commitmentEndDate": f"{last}T00:00:00Z",
        "commitmentEndDateTime": f"{last}T23:59:59Z",
        "termDuration": duration,
    }


def stock_of(world: World) -> Stock:
    """Microsoft's side of the World: what was bought comes to the World's seats. Expired, pending and trial
    subscriptions lie around it, as they do."""
    stock = Stock(world)
    for company in world.companies:
        _add(stock, company)
    today, customers = world.today, [row["id"] for row in stock.customers]
    visio = OFFERS["VISIOCLIENT"]
    stock.sell(
        customers[0],
        visio,
        "Visio Plan 2",
        quantity=25,
        isTrial=True,
        termDuration="P1M",
        commitmentEndDate=f"{today + timedelta(days=21)}T00:00:00Z",
    )
    second = customers[1 % len(customers)]
    exchange = OFFERS["EXCHANGESTANDARD"]
    past = term(today - timedelta(days=40), "P1Y")
    stock.sell(
        second, exchange, "Exchange Online (Plan 1)", quantity=9, status="expired", autoRenewEnabled=False, **past
    )
    stock.sell(second, exchange, "Exchange Online (Plan 1)", quantity=3, status="pending")
    return stock


def _add(stock: Stock, company: Company) -> None:
    today, id_ = stock.world.today, company.tenant_id
    stock.customers.append(
        {
            "id": id_,
            "commerceId": str(uuid.uuid5(_SPACE, id_)),
            "companyProfile": {"tenantId": id_, "domain": company.domain, "companyName": company.name},
            "relationshipToPartner": "reseller",
            "attributes": {"objectType": "Customer"},
        }
    )
    stock.subscriptions[id_] = []
    for order, licence in enumerate(one for one in company.licences if not one.sku.free):
        offer = OFFERS[licence.sku.part]
        monthly = min(8, licence.bought) if (company.number, order) == (1, 0) else 0
        stock.sell(id_, offer, licence.sku.name, licence.sku.cost, quantity=licence.bought - monthly)
        if monthly:
            soon = term(today + timedelta(days=20), "P1M")
            elsewhere = f"{offer.rpartition(':')[0]}:CFQ7TTC0SB99"  # another term is another availability
            window = f"{today + timedelta(days=4)}T20:39:17.182697Z"
            stock.sell(
                id_,
                elsewhere,
                licence.sku.name,
                (licence.sku.cost * _MONTHLY_FACTOR).quantize(Decimal("0.01")),
                quantity=monthly,
                refundableQuantity={
                    "totalQuantity": 3,
                    "details": [{"quantity": 3, "allowedUntilDateTime": window}],
                },
                **soon,
            )
