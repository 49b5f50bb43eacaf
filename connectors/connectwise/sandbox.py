"""A double of ConnectWise PSA over real HTTP: discovery, sign-in, rights, both ways of paging, filters, PATCH with its
silent no-op, additions with their rules, tickets, invoicing, throttling, a rival who writes meanwhile.

Shares no code with the connector. `build(world, …)` makes one; see there for what can be configured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Request, Response

from connectors.connectwise import sandbox_billing as billing
from connectors.connectwise import sandbox_state as state
from connectors.connectwise.sandbox_desk import Desk
from connectors.connectwise.sandbox_fill import fill, times
from connectors.connectwise.sandbox_front import error, invalid, missing
from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.kit import json_response
from syncd.sandbox.world import World

Row = dict[str, Any]
LISTS = (
    "company/companies",
    "company/configurations",
    "company/managementItSolutions",
    "company/managedDevicesIntegrations",
    "finance/agreements",
    "finance/invoices",
    "procurement/catalog",
    "procurement/products",
    "service/tickets",
    "service/boards",
    "system/userDefinedFields",
    "time/entries",
    "time/workTypes",
)
# Lists that lie under a record of another list.
BELOW = ("managementProducts", "crossReferences", "statuses", "notes")
PATCHABLE = frozenset(
    "product quantity lessIncluded unitPrice unitCost billCustomer effectiveDate cancelledDate taxableFlag "
    "serialNumber invoiceDescription purchaseItemFlag specialOrderFlag description uom sequenceNumber "
    "prorateCurrentPeriodFlag customFields".split()
)


def build(world: World, **options: Any) -> ConnectWiseDouble:
    """The double of the world's PSA. Options, all with defaults:

    `company` ("acme"), `public_key`, `private_key` (None accepts any pair), `client_id` (None accepts any),
    `codebase` ("v2026_1"), `forward_only` (False: the header is ignored), `forbidden` and `absent` (resource paths
    that answer 403 and 404), `inclusive` (the cancelled day is billed), `invoice_lines` (additions of an invoice show
    as product lines), `per_minute` (requests before throttling), `cdn` (throttling without JSON), `retry_after`.
    """
    double = ConnectWiseDouble(world, **options)
    double.settings = {
        "company": double.company,
        "public_key": double.public_key or "sandbox-public",
        "private_key": double.private_key or "sandbox-private",
        "client_id": double.client_id or "sandbox-client",
    }
    return double


class ConnectWiseDouble(Desk):
    """State and routes. Tests reach in through `tables`, `codebase`, `rival`, `invoice` and `integrate`."""

    def __init__(self, world: World, **options: Any) -> None:
        super().__init__(world, **options)
        self.settings = {
            "company": options.get("company", "acme"),
            "public_key": options.get("public_key") or "sandbox-public",
            "private_key": options.get("private_key") or "sandbox-private",
            "client_id": options.get("client_id") or "sandbox-client",
        }
        self._routes()

    # --- what tests and the demo do to it -------------------------------------------------------------------------

    def rival(self, agreement: int, addition: int, quantity: Decimal | int, by: str = "RMM sync") -> Row:
        """Another writer changes a quantity."""
        with self.lock:
            row: Row = self.addition(agreement, addition)
            row["quantity"] = Decimal(quantity)
            self.computed(row)
            self.touch(row, by)
            return row

    def shift(self) -> None:
        """Somebody adds a company, and takes away the one that was added before."""
        with self.lock:
            companies = self.tables["company/companies"]
            sample = next(iter(companies.values()))
            added = [number for number in companies if number < state.FIRST_COMPANY]
            for number in added:
                del companies[number]
            number = (added[0] if added else 10) + 1
            companies[number] = {**sample, "id": number, "identifier": f"Shifted{number}", "name": f"Shifted {number}"}

    def invoice(self, agreement: int) -> int:
        """Makes the agreement's next invoice, its children's additions included, and moves the next invoice date."""
        with self.lock:
            return self.make_invoice(self.tables["finance/agreements"][agreement])

    def integrate(self, name: str, product: int) -> None:
        """Installs a management integration that maintains a product's additions."""
        with self.lock:
            self.tables["company/managementItSolutions"][1] = {
                "id": 1,
                "name": name[:30],
                "managementItSolutionType": "Custom",
            }
            self.sub_lists["company/managementItSolutions/1/managementProducts"] = {
                1: {"id": 1, "agreementType": state.AGREEMENT_TYPE, "workstationProduct": {"id": product}}
            }

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Holds these records of a real ConnectWise instead of its own (see `syncd.sandbox.fill`)."""
        self.settings |= fill(self, customers, products, billings)

    def times(self, posting: Posting) -> int:
        """How often the change that this posting asks for was made."""
        return times(self, posting)

    # --- routes -----------------------------------------------------------------------------------------------------

    def _routes(self) -> None:
        api = "/<codebase>/apis/3.0"
        self.route("GET", "/login/companyinfo/<company>", self._company_info)
        self.api("GET", f"{api}/system/info", "system/info", self._system_info)
        lists = f"{api}/<area>/<kind>"
        self.api("GET", lists, "", lambda request, area, kind: self.listed(request, self._all(f"{area}/{kind}")))
        self.api(
            "GET", f"{lists}/count", "", lambda request, area, kind: self.counted(request, self._all(f"{area}/{kind}"))
        )
        self.api("GET", f"{lists}/<int:number>", "", self._one_of)
        below = f"{lists}/<int:number>/<any({', '.join(BELOW)}):below>"
        self.api("GET", below, "", self._below)
        self.api("GET", f"{below}/count", "", self._count_below)
        self.desk_routes(api)
        recap = "finance/agreementrecap"
        self.api("GET", f"{api}/{recap}/", recap, lambda request: self.listed(request, self.recaps()))
        self.api(
            "GET",
            f"{api}/{recap}/<int:number>",
            recap,
            lambda request, number: self.one(request, self.recaps(), number),
        )
        additions, one = f"{api}/finance/agreements/<int:agreement>/additions", "<int:number>"
        right = "finance/agreements"
        self.api("GET", additions, right, self._additions)
        self.api("GET", f"{additions}/count", right, self._count_additions)
        self.api("GET", f"{additions}/{one}", right, self._get_addition)
        self.api("POST", additions, right, self._post_addition)
        self.api("PATCH", f"{additions}/{one}", right, self._patch_addition)
        self.api("PUT", f"{additions}/{one}", right, self._put_addition)
        self.api("DELETE", f"{additions}/{one}", right, self._delete_addition)
        self.api("POST", f"{api}/finance/agreements/<int:agreement>/invoice", right, self._post_invoice)
        self.route("POST", "/_sandbox/rival", self._rival_route)

    # --- single answers ---------------------------------------------------------------------------------------------

    def _company_info(self, request: Request, company: str) -> Any:
        if company.lower() != self.company.lower():
            return Response("null", 200, mimetype="application/json")
        return {
            "CompanyName": self.world.msp,
            "Codebase": f"{self.codebase}/",
            "VersionCode": "v2026.1",
            "VersionNumber": "v4.6.99999",
            "CompanyID": self.company,
            "IsCloud": "True",
        }

    def _system_info(self, request: Request) -> Any:
        return {
            "version": "v2026.1.99999",
            "isCloud": True,
            "serverTimeZone": "Central Standard Time",
            "cloudRegion": "NA",
            "licenseBits": [{"name": "api", "activeFlag": True}],
            "maxWorkFlowRecordsAllowed": 2000,
        }

    # --- lists ------------------------------------------------------------------------------------------------------

    def _all(self, path: str) -> Iterable[Row]:
        if path not in LISTS:
            raise NotFound
        if path == "finance/agreements":
            for row in self.tables[path].values():
                row["agreementStatus"] = self.status_of(row)
        return self.tables[path].values()

    def _one_of(self, request: Request, area: str, kind: str, number: int) -> Any:
        return self.one(request, self._all(f"{area}/{kind}"), number)

    def _below(self, request: Request, area: str, kind: str, number: int, below: str) -> Any:
        if number not in {row["id"] for row in self._all(f"{area}/{kind}")}:
            return missing()
        return self.listed(request, self.sub_lists.get(f"{area}/{kind}/{number}/{below}", {}).values())

    def _count_below(self, request: Request, area: str, kind: str, number: int, below: str) -> Any:
        return self.counted(request, self.sub_lists.get(f"{area}/{kind}/{number}/{below}", {}).values())

    # --- additions --------------------------------------------------------------------------------------------------

    def _additions(self, request: Request, agreement: int) -> Any:
        return self.listed(request, self.additions_of(agreement)) if agreement in self.agreements() else missing()

    def _count_additions(self, request: Request, agreement: int) -> Any:
        return self.counted(request, self.additions_of(agreement)) if agreement in self.agreements() else missing()

    def _get_addition(self, request: Request, agreement: int, number: int) -> Any:
        return self.one(request, self.additions_of(agreement), number)

    def _post_addition(self, request: Request, agreement: int) -> Any:
        body = json.loads(request.get_data(), parse_float=Decimal)
        owner = self.agreements().get(agreement)
        if owner is None:
            return missing()
        if not isinstance(body, dict):
            return error(400, "InvalidObject", "addition object is invalid")
        product = self.tables["procurement/catalog"].get((body.get("product") or {}).get("id") or 0)
        if faults := billing.refused(body, owner, self.dated(owner), product):
            return invalid("addition", faults)
        assert product is not None
        row = {name: value for name, value in body.items() if name in PATCHABLE}
        row |= {
            "product": {"id": product["id"], "identifier": product["identifier"]},
            "agreementId": agreement,
            "description": body.get("description") or product["description"],
            "invoiceDescription": " ".join(
                (body.get("invoiceDescription") or product["customerDescription"]).splitlines()
            ),
            "quantity": body.get("quantity", Decimal(1)),
            "lessIncluded": body.get("lessIncluded", Decimal(0)),
            "unitPrice": body.get("unitPrice", product["price"]),
            "unitCost": body.get("unitCost", product["cost"]),
            "effectiveDate": body.get("effectiveDate") or billing.as_text(self.today()),
            "customFields": _merged(body.get("customFields")),
        }
        with_id = {"id": self.next_id + 1, **row}
        self.computed(with_id)
        self.touch(with_id, "syncd API")
        if not self.ignoring():
            self.next_id += 1
            self.tables["additions"][with_id["id"]] = with_id
            self.effect(
                "create_addition",
                with_id["id"],
                agreement=agreement,
                product=product["identifier"],
                quantity=with_id["quantity"],
                price=with_id["unitPrice"],
                mark=with_id.get("serialNumber") or _mark(with_id),
            )
        return json_response(self.shown(with_id, request.args.get("fields", "")), 201)

    def _patch_addition(self, request: Request, agreement: int, number: int) -> Any:
        operations = json.loads(request.get_data(), parse_float=Decimal)
        row = self.addition(agreement, number)
        if row is None:
            return missing()
        if not isinstance(operations, list):
            return error(400, "InvalidObject", "patch operations must be an array")
        changed = dict(row)
        for operation in operations:
            field = str(operation.get("path", "")).removeprefix("/")
            if field not in PATCHABLE:
                continue  # a wrong path: 200, nothing changed
            value = operation.get("value")
            if field == "quantity" and (isinstance(value, bool) or not isinstance(value, int | Decimal)):
                text = f'Error converting value "{value}" to type System.Double. Path quantity'
                return error(400, "ConnectWiseApi", text)
            if operation.get("op") == "remove":
                changed.pop(field, None)
            else:
                changed[field] = value
        self.computed(changed)
        if changed != row:
            self.touch(changed, "syncd API")
            if not self.ignoring():
                self._record_change(row, changed)
                self.tables["additions"][number] = changed
        return self.shown(changed, "")

    def _put_addition(self, request: Request, agreement: int, number: int) -> Any:
        row = self.addition(agreement, number)
        if row is None:
            return missing()
        body = json.loads(request.get_data(), parse_float=Decimal)
        fresh = {name: value for name, value in body.items() if name in PATCHABLE}
        fresh = {
            "id": number,
            "agreementId": agreement,
            "product": row["product"],
            "quantity": Decimal(0),
            "lessIncluded": Decimal(0),
            "unitPrice": Decimal(0),
            "unitCost": Decimal(0),
            "customFields": _merged(None),
            **fresh,
        }
        self.computed(fresh)
        self.touch(fresh, "syncd API")
        self.effect("replace_addition", number, fields=sorted(body))
        self.tables["additions"][number] = fresh
        return self.shown(fresh, "")

    def _delete_addition(self, request: Request, agreement: int, number: int) -> Any:
        if self.addition(agreement, number) is None:
            return missing()
        self.effect("delete_addition", number)
        del self.tables["additions"][number]
        return Response("", 204)

    def _record_change(self, before: Row, after: Row) -> None:
        names = {name for name in PATCHABLE if before.get(name) != after.get(name)}
        detail = {name: {"from": before.get(name), "to": after.get(name)} for name in sorted(names)}
        self.effect("change_addition", after["id"], agreement=after["agreementId"], **detail)

    def _rival_route(self, request: Request) -> Any:
        asked = json.loads(request.get_data(), parse_float=Decimal)
        by = asked.get("by", "RMM sync")
        row = self.rival(asked["agreement"], asked["addition"], asked["quantity"], by)
        return self.shown(row, "id,quantity,_info")

    # --- billing ----------------------------------------------------------------------------------------------------

    def _post_invoice(self, request: Request, agreement: int) -> Any:
        row = self.agreements().get(agreement)
        if row is None:
            return missing()
        number = self.make_invoice(row)
        self.effect("create_invoice", number, agreement=agreement)
        return json_response(number, 201)


def _merged(sent: list[Row] | None) -> list[Row]:
    """Custom fields of a new addition: what was sent, by id; the rest at its default."""
    values = {entry.get("id"): entry.get("value") for entry in sent or ()}
    return [{**entry, "value": values.get(entry["id"])} for entry in state.custom_fields()]


def _mark(row: Row) -> str:
    caption = state.SYNC_FIELD["caption"]
    return next((entry["value"] or "" for entry in row["customFields"] if entry["caption"] == caption), "")


__all__ = ["ConnectWiseDouble", "build"]
