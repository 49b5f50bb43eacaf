"""The double's records, made from the small world: one MSP's clients, items, recurring invoices and desk."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from syncd.sandbox.world import Company, World

Row = dict[str, Any]
FIRST_CLIENT = 101
NO_DATE = "1901-01-01T00:00:00"
TEAMS = ((1, "Billing", False), (2, "Service Desk", False), (3, "Old Team", True))
KEYS = {
    "Client": "clients",
    "AreaAzureTenant": "areaazuretenants",
    "Item": "items",
    "RecurringInvoice": "invoices",
    "Invoice": "invoices",
    "InvoiceChange": "invoicechanges",
    "SoftwareLicence": "licences",
    "LicenceChange": "licencechanges",
    "Asset": "assets",
    "Users": "users",
    "Tickets": "tickets",
    "Actions": "actions",
    "Team": "teams",
}


def text(of: date) -> str:
    """A day as Halo shows it: no zone."""
    return f"{of:%Y-%m-%d}T00:00:00"


def client_of(company: Company) -> int:
    """The client's id."""
    return FIRST_CLIENT - 1 + company.number


def month(today: date, steps: int) -> date:
    """The first day of a month, so many months away."""
    at = today.year * 12 + today.month - 1 + steps
    return date(at // 12, at % 12 + 1, 1)


def tables(world: World) -> dict[str, dict[int, Row]]:
    """All records by resource and id. Actions are numbered through here and carry their ticket's own number as `id`."""
    made: dict[str, dict[int, Row]] = {name: {} for name in KEYS}
    for number, (id_, name, inactive) in enumerate(TEAMS):
        made["Team"][id_] = {"id": id_, "name": name, "inactive": inactive, "sequence": number}
    items = {}
    for number, sku in enumerate((one for one in world.skus if one.product), start=401):
        items[sku.product] = number
        made["Item"][number] = {
            "id": number, "name": sku.name, "accountsid": sku.product, "internalreference": sku.part,
            "baseprice": sku.price, "costprice": sku.cost, "recurringprice": sku.price, "recurringcost": sku.cost,
            "isrecurringitem": True, "dontinvoice": False, "status": 0,
        }  # fmt: skip
    for company in world.companies:
        _company(world, company, made, items)
    return made


def line(number: int, header: int, item: Row, quantity: Decimal) -> Row:
    """A manual line of a recurring invoice."""
    return {
        "id": number, "ihid": header, "_itemid": item["id"], "item_code": item["accountsid"],
        "item_shortdescription": item["name"], "item_longdescription": "", "qty_order": quantity,
        "unit_price": item["recurringprice"], "unit_cost": item["recurringcost"],
        "net_amount": quantity * item["recurringprice"], "comment_1": "", "comment_2": "", "isinactive": False,
        "isgroupdesc": False, "onetimecharge": False, "startdate": NO_DATE, "enddate": NO_DATE,
        "_is_calculated_line": False, "is_meter": False, "recurring_invoice_quantity_type": 0, "quantity_licences": [],
        "quantity_subscriptions": [], "quantity_users": [], "quantity_assets": [], "prorata_data": [],
        "prorata_next_invoice": False,
    }  # fmt: skip


def _company(world: World, company: Company, made: dict[str, dict[int, Row]], items: dict[str, int]) -> None:
    client = client_of(company)
    today = world.today
    made["Client"][client] = {
        "id": client, "name": company.name, "inactive": False, "toplevel_id": 1, "toplevel_name": world.msp,
        "main_site_id": client * 10, "stopped": 0, "dontinvoice": False,
    }  # fmt: skip
    made["AreaAzureTenant"][700 + company.number] = {
        "id": 700 + company.number, "client_id": client, "client_name": company.name,
        "azure_tenant_id": company.tenant_id, "azure_tenant_name": company.name,
        "azure_tenant_domain": company.domain, "details_id": 1, "licence_import_type": 0, "relationship_type": 0,
    }  # fmt: skip
    licences = _licences(company, client, made)
    header = -(90 + company.number)
    lines = []
    for place, (product, quantity) in enumerate(company.billed):
        lines.append(line(24_000 + company.number * 10 + place, header, made["Item"][items[product]], quantity))
    if company.number == 2 and len(lines) > 1:  # its second product is calculated from a distributor's licence
        lines[1]["_is_calculated_line"] = True
        lines[1]["recurring_invoice_quantity_type"] = 1
        rule = {"id": 900 + company.number, "invoice_line_id": lines[1]["id"], "licence_id": licences["EXO-P1"]}
        rule |= {"assigned_licences": False, "qty_free": 0, "minimum_qty": 0, "pro_rata": 1, "criteria": []}
        lines[1]["quantity_licences"] = [rule]
    heading = line(24_000 + company.number * 10 + 8, header, made["Item"][401], Decimal(0))
    old = line(24_000 + company.number * 10 + 9, header, made["Item"][405], Decimal(1))
    lines += [heading | {"isgroupdesc": True, "_itemid": 0}, old | {"isinactive": True}]
    made["RecurringInvoice"][header] = recurring(
        header, client, company.name, "Managed Services", f"MS-{company.identifier}", today, lines
    )
    _invoice(company, client, header, lines, made, today)
    _desk(world, company, client, made)


def recurring(
    number: int, client: int, client_name: str, name: str, reference: str, today: date, lines: list[Row]
) -> Row:
    """A monthly recurring invoice in advance, invoiced through this month."""
    return {
        "id": number, "client_id": client, "client_name": client_name, "name": name, "reference": reference,
        "contract_ref": "", "disabled": False, "period": 2, "periodname": "Monthly",
        "startdate": text(month(today, -20)), "enddate": NO_DATE, "lastcreated": text(month(today, 0)),
        "nextcreationdate": text(month(today, 1)), "currency": "USD", "is_recurring_invoice": True,
        "invoice_prorata_periods_ahead": 0, "minimum_price_active": False, "reviewrequired": False,
        "last_modified": text(month(today, 0)), "lines": lines,
    }  # fmt: skip


def _licences(company: Company, client: int, made: dict[str, dict[int, Row]]) -> dict[str, int]:
    found = {}
    for place, held in enumerate(one for one in company.licences if not one.sku.free):
        number = 3000 + company.number * 10 + place
        distributed = held.sku.part == "EXCHANGESTANDARD"
        made["SoftwareLicence"][number] = licence(number, client, held.sku.name, held.sku.part, held.bought) | {
            "vendor": "Contoso Distribution" if distributed else "Microsoft",
            "distributor": "Contoso Distribution" if distributed else "",
            "tenant_id": "" if distributed else company.tenant_id,
            "licences_in_use": len(held.holders),
        }
        found[held.sku.product] = number
    made["SoftwareLicence"][3000 + company.number * 10 + 9] = licence(
        3000 + company.number * 10 + 9, client, "Retired Backup", "BACKUP-OLD", 7
    ) | {"status": "Cancelled", "is_active": False, "end_date": "2025-01-31T00:00:00"}
    return found


def licence(number: int, client: int, name: str, sku: str, count: int) -> Row:
    """An active monthly licence of nobody's import."""
    return {
        "id": number, "type": 1, "name": name, "count": count, "client_id": client, "site_id": -1,
        "start_date": "2025-01-01T00:00:00", "end_date": NO_DATE, "status": "Active", "is_active": True,
        "billing_cycle": "Monthly", "term_duration": "P1Y", "vendor": "", "manufacturer": "", "distributor": "",
        "product_sku": sku, "vendor_product_sku": "", "tenant_id": "", "azure_connection_id": 0, "deleted": False,
        "licences_in_use": 0, "notes": "",
    }  # fmt: skip


def _invoice(
    company: Company, client: int, header: int, lines: list[Row], made: dict[str, dict[int, Row]], today: date
) -> None:
    """This month's invoice of the recurring one, sent to the accounts."""
    number = 5000 + company.number
    billed = [one for one in lines if not one["isinactive"] and not one["isgroupdesc"]]
    made["Invoice"][number] = invoice(number, client, company.name, month(today, 0), billed, header) | {"posted": True}


def invoice(number: int, client: int, client_name: str, day: date, lines: list[Row], header: int = 0) -> Row:
    """An invoice whose lines name the template lines that they came from."""
    rows = []
    for place, one in enumerate(lines):
        amount = one["qty_order"] * one["unit_price"]
        rows.append(
            {
                **one, "id": number * 100 + place, "ihid": number, "net_amount": amount, "prorata_data": [],
                "recurring_invoice_id": header, "recurring_invoice_line_id": one["id"] if header else 0,
            }
        )  # fmt: skip
    net = sum((row["net_amount"] for row in rows), Decimal(0))
    tax = (net * Decimal("0.1")).quantize(Decimal("0.01"))
    return {
        "id": number, "client_id": client, "client_name": client_name, "invoice_date": text(day),
        "invoicenumber": f"INV-{number}", "reference": "", "internal_note": "", "posted": False, "voided": False,
        "reviewrequired": False, "datesent": NO_DATE, "creditlinkedtoinvoiceid": 0, "tax_total": tax,
        "total": net + tax, "recurring_invoice_id": header, "lines": rows,
    }  # fmt: skip


def _desk(world: World, company: Company, client: int, made: dict[str, dict[int, Row]]) -> None:
    for place in range(company.devices):
        number = client * 1000 + place
        server = place < 2
        made["Asset"][number] = {
            "id": number, "inventory_number": f"{company.identifier[:4].upper()}-{place:03}", "client_id": client,
            "client_name": company.name, "site_id": client * 10, "site_name": "Main",
            "assettype_id": 6 if server else 5, "assettype_name": "Server" if server else "Workstation",
            "inactive": place == company.devices - 1, "status_id": 1, "status_name": "In use",
        }  # fmt: skip
    people = [(one.name, one.sign_in, not one.enabled, False, False) for one in company.people]
    people += [
        ("General User", "", False, False, False),
        ("Scanner", f"scanner@{company.domain}", False, True, False),
        ("Shared Kiosk", f"kiosk@{company.domain}", False, False, True),
    ]
    for place, (name, mail, inactive, service, ignored) in enumerate(people):
        number = client * 1000 + place
        made["Users"][number] = {
            "id": number, "name": name, "client_id": client, "client_name": company.name,
            "site_id": Decimal(f"{client * 10}.0"), "site_name": "Main", "emailaddress": mail, "inactive": inactive,
            "isserviceaccount": service, "ignoreautomatedbilling": ignored,
        }  # fmt: skip
    for place, (days, hours, kind) in enumerate(
        ((2, "1.50", "actionchargehours"), (5, "0.75", "actionprepayhours"), (40, "3.00", "actionchargehours"))
    ):
        number = client * 100 + place
        at = f"{world.today - timedelta(days=days):%Y-%m-%d}T15:00:00"
        made["Tickets"][number] = {
            "id": number, "client_id": client, "client_name": company.name, "summary": f"Request {place + 1}",
            "dateoccurred": at, "tickettype_id": 1, "tickettype_name": "Incident", "team": "Service Desk",
            "status_id": 1, "hasbeenclosed": False, "site_id": client * 10, "user_id": client * 1000,
        }  # fmt: skip
        made["Actions"][number] = {
            "id": 1, "ticket_id": number, "who": "Technician 1", "who_agentid": 4, "datetime": at,
            "timetaken": Decimal(hours), kind: Decimal(hours), "chargerate": 1, "actisbillable": True, "note": "",
            "outcome_id": 1,
        }  # fmt: skip
