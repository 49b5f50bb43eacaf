"""What the double of ConnectWise holds at the start, made from the small MSP. Ids are stable for a given World.

Each company has the agreement "Managed Services" (monthly, in advance, prorating, the current month invoiced); the
first company also has a child agreement with devices on it.
"""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.connectwise.sandbox_billing import as_text
from syncd.sandbox.world import Company, World

Row = dict[str, Any]
Tables = dict[str, dict[int, Row]]

FIRST_COMPANY = 250
WORK_TYPES = ((1, "Remote Support"), (2, "Onsite Support"), (3, "Project Work"))
DEVICE_TYPES = ((4, "Managed Workstation"), (5, "Managed Server"))
BOARDS = ((1, "Service Desk"), (2, "Billing"), (3, "Old Board"))
# Board -> (id, name, default for new tickets, closes a ticket): how MSPs set them up, one way or several to be closed.
STATUSES = {
    1: ((11, "New", True, False), (12, "Completed", False, True), (13, "Cancelled", False, True)),
    2: ((21, "New", True, False), (22, "In Progress", False, False), (23, "Closed", False, True)),
    3: ((31, "New", True, False), (32, "Closed", False, True)),
}
AGREEMENT_TYPE = {"id": 1, "name": "Managed Services"}
SYNC_FIELD = {"id": 12, "caption": "Sync Ref", "type": "Text", "entryMethod": "EntryField", "numberOfDecimals": 0}


def tables(world: World) -> Tables:
    """All tables, keyed by resource path."""
    dice = random.Random(world.seed)  # noqa: S311 - repeatable sample data, no secret
    made: Tables = {
        path: {}
        for path in (
            "company/companies",
            "company/configurations",
            "company/managementItSolutions",
            "company/managedDevicesIntegrations",
            "finance/agreements",
            "finance/agreementrecap",
            "finance/invoices",
            "procurement/catalog",
            "procurement/products",
            "service/tickets",
            "service/boards",
            "system/userDefinedFields",
            "time/entries",
            "time/workTypes",
            "additions",
        )
    }
    _catalog(made, world)
    by_identifier = {row["identifier"]: row for row in made["procurement/catalog"].values()}
    for company in world.companies:
        _company(made, company)
        _agreement(made, world, company, by_identifier)
        _devices(made, company)
        _work(made, world, company, dice)
    _put(made, "service/boards", *(_board(number, name) for number, name in BOARDS))
    _put(made, "time/workTypes", *({"id": number, "name": name} for number, name in WORK_TYPES))
    _put(
        made,
        "system/userDefinedFields",
        {"id": SYNC_FIELD["id"], "podId": 31, "caption": SYNC_FIELD["caption"], "sequenceNumber": 1}
        | {"fieldTypeIdentifier": "Text", "entryTypeIdentifier": "EntryField"},
    )
    return made


def custom_fields(marker: str | None = None) -> list[Row]:
    """The custom fields that every addition shows."""
    return [{**SYNC_FIELD, "value": marker}, {**SYNC_FIELD, "id": 13, "caption": "Cost Centre", "value": "IT"}]


def _board(number: int, name: str) -> Row:
    return {
        "id": number,
        "name": name,
        "location": {"id": 11, "name": "Main"},
        "department": {"id": 10, "name": "Services"},
        "inactiveFlag": name.startswith("Old"),
    }


def statuses(number: int, name: str) -> dict[int, Row]:
    """The statuses of a board."""
    return {
        id_: {
            "id": id_,
            "name": status,
            "board": {"id": number, "name": name},
            "sortOrder": order,
            "displayOnBoard": True,
            "inactive": False,
            "closedStatus": closed,
            "defaultFlag": default,
        }
        for order, (id_, status, default, closed) in enumerate(STATUSES[number])
    }


def _put(made: Tables, path: str, *rows: Row) -> None:
    for row in rows:
        made[path][row["id"]] = row


def _catalog(made: Tables, world: World) -> None:
    sold = [(sku.product, sku.name, sku.price, sku.cost) for sku in world.skus if sku.product]
    sold.append(("MANAGED-WS", "Managed workstation", Decimal("45.00"), Decimal("12.50")))
    for number, (identifier, name, price, cost) in enumerate(sold, start=400):
        _put(made, "procurement/catalog", _product(number, identifier, name, price, cost))
    bundle = _product(490, "M365-BUNDLE", "Microsoft 365 bundle", Decimal("50.00"), Decimal("40.00"))
    retired = _product(491, "OLD-AV", "Retired antivirus", Decimal("3.00"), Decimal("1.00"))
    _put(made, "procurement/catalog", bundle | {"productClass": "Bundle"}, retired | {"inactiveFlag": True})


def _product(number: int, identifier: str, name: str, price: Decimal, cost: Decimal) -> Row:
    return {
        "id": number,
        "identifier": identifier,
        "description": name[:60],
        "customerDescription": name,
        "inactiveFlag": False,
        "subcategory": {"id": 1, "name": "Cloud"},
        "type": {"id": 1, "name": "Recurring"},
        "productClass": "Agreement",
        "price": price,
        "cost": cost,
        "taxableFlag": True,
    }


def _company(made: Tables, company: Company) -> None:
    row = {
        "id": FIRST_COMPANY + company.number,
        "identifier": company.identifier,
        "name": company.name,
        "status": {"id": 1, "name": "Active"},
        "deletedFlag": False,
        "types": [{"id": 1, "name": "Customer"}],
    }
    _put(made, "company/companies", row)


def reference(company: Company) -> Row:
    """A company as other records name it."""
    return {"id": FIRST_COMPANY + company.number, "identifier": company.identifier, "name": company.name}


def _agreement(made: Tables, world: World, company: Company, products: dict[str, Row]) -> None:
    month = world.today.replace(day=1)
    following = (month + timedelta(days=32)).replace(day=1)
    start = date(world.today.year - 1, 1, 1)
    row: Row = {
        "id": 1000 + company.number,
        "name": "Managed Services",
        "type": AGREEMENT_TYPE,
        "company": reference(company),
        "contact": {"id": 7000 + company.number, "name": "Accounts"},
        "startDate": as_text(start),
        "noEndingDateFlag": True,
        "cancelledFlag": False,
        "billingCycle": {"id": 2, "name": "Monthly"},
        "invoicingCycle": "CalendarYear",
        "periodType": "Current",
        "billStartDate": as_text(start),
        "nextInvoiceDate": as_text(following),
        "billAmount": Decimal(0),
        "prorateFlag": True,
        "invoiceProratedAdditionsFlag": False,
        "employeeCompRate": "Actual",
        "billTime": "Billable",
        "billExpenses": "Billable",
        "billProducts": "Billable",
        "currency": {"id": 1, "currencyCode": world_currency(world), "symbol": "$", "name": "US Dollars"},
    }
    _put(made, "finance/agreements", row)
    for index, (identifier, quantity) in enumerate(company.billed):
        number = company.number * 100 + 30_000 + index
        made["additions"][number] = _addition(number, row["id"], products[identifier], quantity, start)
    if company.number == 1:
        child = row | {
            "id": 2001,
            "name": "Co-managed Devices",
            "parentAgreement": {"id": row["id"], "name": row["name"]},
            "nextInvoiceDate": as_text(start),  # stale, as the vendor leaves it on children
        }
        _put(made, "finance/agreements", child)
        made["additions"][39_001] = _addition(39_001, 2001, products["MANAGED-WS"], Decimal(company.devices - 2), start)


def world_currency(world: World) -> str:
    """The MSP's currency; the World tells none, and its prices are dollars."""
    return "USD"


def _addition(number: int, agreement: int, product: Row, quantity: Decimal, start: date) -> Row:
    return {
        "id": number,
        "agreementId": agreement,
        "product": {"id": product["id"], "identifier": product["identifier"]},
        "description": product["description"],
        "invoiceDescription": product["customerDescription"],
        "quantity": quantity,
        "lessIncluded": Decimal(0),
        "unitPrice": product["price"],
        "unitCost": product["cost"],
        "billCustomer": "Billable",
        "effectiveDate": as_text(start),
        "taxableFlag": True,
        "customFields": custom_fields(),
    }


def _devices(made: Tables, company: Company) -> None:
    for index in range(company.devices + 1):
        number = company.number * 1000 + index
        kind = DEVICE_TYPES[1] if index < 2 else DEVICE_TYPES[0]
        retired = index == company.devices
        row = {
            "id": number,
            "name": f"{company.identifier[:5].upper()}-{'SRV' if index < 2 else 'WS'}-{index + 1:02}",
            "type": {"id": kind[0], "name": kind[1]},
            "status": {"id": 2, "name": "Retired"} if retired else {"id": 1, "name": "Active"},
            "company": reference(company),
            "site": {"id": 1, "name": "Main"},
            "serialNumber": f"SN{number:06}",
            "activeFlag": not retired,
            "billFlag": index % 10 != 9,
        }
        _put(made, "company/configurations", row)


def _work(made: Tables, world: World, company: Company, dice: random.Random) -> None:
    """Time entries and tickets of this month and the one before."""
    month = world.today.replace(day=1)
    for index in range(8):
        day = month + timedelta(days=dice.randint(0, 15)) - timedelta(days=30 if index == 7 else 0)
        at = datetime(day.year, day.month, day.day, 15, 0)  # noqa: DTZ001 - written as UTC below
        status = ("ApprovedByTierTwo", "ReadyToBill", "Billed", "PendingApproval")[index % 4]
        kind = WORK_TYPES[index % 3]
        number = company.number * 100 + index + 50_000
        ticket = {
            "id": number + 10_000,
            "summary": f"Request {index + 1}",
            "externalXRef": "",
            "recordType": "ServiceTicket",
            "board": {"id": BOARDS[0][0], "name": BOARDS[0][1]},
            "type": {"id": 1, "name": "Incident" if index % 2 else "Request"},
            "company": reference(company),
            "status": {"id": 12, "name": "Completed"} if index % 2 == 0 else {"id": 11, "name": "New"},
            "closedFlag": index % 2 == 0,
            "_info": {"dateEntered": f"{at:%Y-%m-%dT%H:%M:%SZ}", "lastUpdated": f"{at:%Y-%m-%dT%H:%M:%SZ}"},
        }
        if ticket["closedFlag"]:
            ticket["closedDate"] = f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}"
        entry = {
            "id": number,
            "company": reference(company),
            "chargeToType": "ServiceTicket",
            "chargeToId": ticket["id"],
            "member": {
                "id": 1 + index % 2,
                "identifier": f"tech{1 + index % 2}",
                "name": f"Technician {1 + index % 2}",
            },
            "workType": {"id": kind[0], "name": kind[1]},
            "workRole": {"id": 1, "name": "Engineer"},
            "timeStart": f"{at:%Y-%m-%dT%H:%M:%SZ}",
            "timeEnd": f"{at + timedelta(minutes=90):%Y-%m-%dT%H:%M:%SZ}",
            "actualHours": Decimal("1.5") if index % 2 else Decimal("0.75"),
            "billableOption": "Billable" if index % 4 < 2 else "DoNotBill",
            "status": status,
            "ticketBoard": BOARDS[0][1],
        }
        _put(made, "service/tickets", ticket)
        _put(made, "time/entries", entry)
