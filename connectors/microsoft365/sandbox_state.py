"""The tenants behind the double of Microsoft Graph: people, purchases, groups, and what Graph would show of them.

Products are computed from purchases and assignments, never stored, so that every list tells the same story. Shares no
code with what reads.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

from syncd.sandbox.world import Company, World

# What can be wrong with a tenant; each stays until it is used up or cleared. Named in `POST /_sandbox/tenant`.
TENANT_FAULTS = (
    "consent",  # AADSTS65001
    "gone",  # AADSTS5000224
    "expired_secret",  # AADSTS7000222
    "lagging_certificate",  # AADSTS700027
    "sign_in_unavailable",  # 503 from the sign-in host
    "stale_token",  # 401 although the token is fresh
    "forbidden",  # 403 for everything
    "no_purchases",  # 403 for /directory/subscriptions
    "no_premium",  # no Entra ID P1: 403 for sign-ins
    "concealed",  # reports without names
    "wrong_tenant",  # /organization shows another tenant
    "empty",  # no products at all
    "no_value",  # an answer without `value`
    "throttle",  # 429 with a fractional Retry-After, in batches for each part
    "cut",  # the first page of users has no next link
    "repeat",  # the second page repeats a user and lacks another
    "foreign_link",  # the next link leads to another host
    "moving",  # licences are being assigned all the time
    "lag",  # the list of users is behind consumedUnits
    "drop_part",  # a batch's answer lacks one part
    "foreign_report",  # the report's address is on a strange host
)


@dataclass
class Account:
    """A user. `skus` are held directly, `by_group` through a group; both may name the same SKU."""

    id: str
    name: str
    sign_in: str
    department: str
    enabled: bool
    guest: bool
    created: datetime
    signed_in: datetime | None
    skus: set[str] = field(default_factory=set)
    by_group: set[str] = field(default_factory=set)

    @property
    def held(self) -> set[str]:
        """SKU ids held in any way."""
        return self.skus | self.by_group


@dataclass
class Bought:
    """One purchase of a SKU."""

    id: str
    sku: str
    quantity: int
    status: str = "Enabled"
    trial: bool = False
    owner: str | None = None
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class GroupState:
    """A group: accounts, and groups inside it."""

    id: str
    name: str
    accounts: list[str]
    groups: list[str] = field(default_factory=list)


@dataclass
class TenantState:
    """One tenant. `parts`: SKU id -> part number of everything ever bought here."""

    id: str
    name: str
    domain: str
    accounts: list[Account] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    groups: list[GroupState] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    company_wide: set[str] = field(default_factory=set)
    faults: dict[str, int] = field(default_factory=dict)

    def struck(self, fault: str) -> bool:
        """Whether this fault is in force; counts it down where it was given a number of times."""
        left = self.faults.get(fault, 0)
        if left > 0:
            self.faults[fault] = left - 1
        return left != 0

    def sku_id(self, part: str) -> str:
        """The SKU id of a part number. Raises KeyError."""
        return next((sku for sku, its in self.parts.items() if part in (its, sku)), "") or _missing(part)

    def hire(self, sku: str, number: int, created: datetime) -> None:
        """Gives a licence to `number` more people: those without it first, then new ones."""
        free = [account for account in self.accounts if sku not in account.held][:number]
        for account in free:
            account.skus.add(sku)
        for _ in range(number - len(free)):
            order = len(self.accounts)
            newcomer = Account(
                str(uuid.uuid5(uuid.UUID(self.id), f"person {order}")),
                f"New Person {order}",
                f"new.person{order}@{self.domain}",
                "Front Office",
                True,
                False,
                created,
                created,
                {sku},
            )
            self.accounts.append(newcomer)

    def dismiss(self, sku: str, number: int) -> None:
        """Takes a licence from the last `number` holders."""
        holders = [account for account in self.accounts if sku in account.held]
        for account in holders[len(holders) - number :]:
            account.skus.discard(sku)
            account.by_group.discard(sku)

    def products(self) -> list[dict[str, Any]]:
        """`/subscribedSkus`."""
        return [self._product(sku) for sku in dict.fromkeys(one.sku for one in self.bought)]

    def _product(self, sku: str) -> dict[str, Any]:
        purchases = [one for one in self.bought if one.sku == sku]

        def units(status: str) -> int:
            return sum(one.quantity for one in purchases if one.status == status)

        order = ("Enabled", "Warning", "Suspended", "LockedOut", "Deleted")
        company = sku in self.company_wide
        consumed = 0 if company else sum(sku in account.held for account in self.accounts)
        return {
            "id": f"{self.id}_{sku}",
            "accountId": self.id,
            "accountName": self.name,
            "skuId": sku,
            "skuPartNumber": self.parts[sku],
            "appliesTo": "Company" if company else "User",
            "capabilityStatus": next(one for one in order if any(bought.status == one for bought in purchases)),
            "consumedUnits": consumed,
            "prepaidUnits": {
                "enabled": units("Enabled"),
                "warning": units("Warning"),
                "suspended": units("Suspended"),
                "lockedOut": units("LockedOut"),
            },
            "servicePlans": [],
            "subscriptionIds": [one.id for one in purchases],
            "futureField": {"unknown": True},
        }

    def purchases(self) -> list[dict[str, Any]]:
        """`/directory/subscriptions`."""
        return [
            {
                "id": one.id,
                "commerceSubscriptionId": str(uuid.uuid5(uuid.UUID(one.id), "commerce")),
                "skuId": one.sku,
                "skuPartNumber": self.parts[one.sku],
                "status": one.status,
                "totalLicenses": one.quantity,
                "isTrial": one.trial,
                "createdDateTime": zulu(one.created),
                "nextLifecycleDateTime": zulu(one.created + timedelta(days=365)),
                "ownerId": None,
                "ownerTenantId": one.owner,
                "ownerType": "User",
                "serviceStatus": [],
            }
            for one in self.bought
        ]

    def people(self) -> list[dict[str, Any]]:
        """Everybody, with every field that can be selected."""
        behind = self.faults.get("lag", 0) != 0
        shown = []
        for account in self.accounts:
            held = set() if behind and account is self._last_holder() else account.held
            shown.append(
                {
                    "id": account.id,
                    "userPrincipalName": account.sign_in,
                    "displayName": account.name,
                    "accountEnabled": account.enabled,
                    "userType": "Guest" if account.guest else "Member",
                    "department": account.department,
                    "usageLocation": "US",
                    "createdDateTime": zulu(account.created),
                    "assignedLicenses": [{"skuId": sku, "disabledPlans": []} for sku in sorted(held)],
                    "signInActivity": _sign_ins(account),
                }
            )
        return shown

    def _last_holder(self) -> Account | None:
        return next((account for account in reversed(self.accounts) if account.held), None)

    def inside(self, group: GroupState, *, nested: bool) -> list[dict[str, Any]]:
        """Members of a group; with `nested`, also what is in the groups inside it."""
        members = [{"@odata.type": "#microsoft.graph.user", "id": one} for one in group.accounts]
        for inner in group.groups:
            members.append({"@odata.type": "#microsoft.graph.group", "id": inner})
            if nested:
                members += self.inside(next(one for one in self.groups if one.id == inner), nested=True)
        return list({one["id"]: one for one in members}.values())

    def report(self, today: datetime) -> str:
        """The usage report of active users as CSV, with a mark of byte order and a column that nobody knows."""
        services = ("Exchange", "OneDrive", "SharePoint", "Skype For Business", "Yammer", "Teams")
        columns = ["Report Refresh Date", "User Principal Name", "Display Name", "Is Deleted", "Deleted Date"]
        columns += [f"Has {service} License" for service in services]
        columns += [f"{service} Last Activity Date" for service in services]
        columns += ["Some New Column", "Assigned Products"]
        refreshed = (today - timedelta(days=2)).date()
        text = io.StringIO()
        rows = csv.DictWriter(text, columns, restval="")
        rows.writeheader()
        hidden = self.faults.get("concealed", 0) != 0
        for account in self.accounts:
            if not account.held or account.created.date() >= refreshed:
                continue
            rows.writerow(
                {
                    "Report Refresh Date": refreshed.isoformat(),
                    "User Principal Name": uuid.uuid5(uuid.NAMESPACE_DNS, account.id).hex
                    if hidden
                    else account.sign_in,
                    "Display Name": "" if hidden else account.name,
                    "Is Deleted": "False",
                    "Exchange Last Activity Date": account.signed_in.date().isoformat() if account.signed_in else "",
                    "Assigned Products": "+".join(self.parts[sku] for sku in sorted(account.held)),
                }
            )
        return "\ufeff" + text.getvalue()


def _missing(part: str) -> str:
    raise KeyError(part)


def zulu(instant: datetime) -> str:
    """An instant as Graph writes it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _sign_ins(account: Account) -> dict[str, str | None] | None:
    if account.signed_in is None:
        return None
    return {
        "lastSignInDateTime": zulu(account.signed_in + timedelta(hours=1)),  # a failed attempt counts here
        "lastNonInteractiveSignInDateTime": zulu(account.signed_in),
        "lastSuccessfulSignInDateTime": zulu(account.signed_in),
        "lastSignInRequestId": None,
    }


def tenants_of(world: World) -> dict[str, TenantState]:
    """The partner's own tenant and one for each customer, by id."""
    partner = TenantState(world.partner_tenant, world.msp, "partner.example")
    return {partner.id: partner, **{company.tenant_id: _tenant(world, company) for company in world.companies}}


def _tenant(world: World, company: Company) -> TenantState:
    noon = datetime.combine(world.today, time(12), UTC)
    state = TenantState(company.tenant_id, company.name, company.domain)
    for order, person in enumerate(company.people):
        # Most people were there yesterday; some not for weeks, a few never.
        days = None if order % 11 == 5 else 45 if order % 7 == 3 else order % 5
        local = person.sign_in.partition("@")[0]
        state.accounts.append(
            Account(
                person.id,
                person.name,
                f"{local}_elsewhere.example#EXT#@{company.domain}" if person.guest else person.sign_in,
                person.department,
                person.enabled,
                person.guest,
                noon - timedelta(days=200 + order),
                None if days is None else noon - timedelta(days=days),
            )
        )
    for number, licence in enumerate(company.licences):
        sku = licence.sku.guid
        state.parts[sku] = licence.sku.part
        # The first purchase is the partner's own, a second one came from somebody else.
        state.bought.append(Bought(_id(company, f"purchase {number}"), sku, licence.bought, owner=world.partner_tenant))
        for holder in licence.holders:
            state.accounts[holder].skus.add(sku)
    state.groups = list(_groups(company, state.accounts))
    return state


def _groups(company: Company, accounts: Iterable[Account]) -> Iterable[GroupState]:
    by_department: dict[str, list[str]] = {}
    for account in accounts:
        by_department.setdefault(account.department, []).append(account.id)
    departments = [GroupState(_id(company, name), name, ids) for name, ids in sorted(by_department.items())]
    yield from departments
    yield GroupState(_id(company, "everybody"), "All Staff", [], [group.id for group in departments])


def _id(company: Company, what: str) -> str:
    return str(uuid.uuid5(uuid.UUID(company.tenant_id), what))


def find_tenant(tenants: Mapping[str, TenantState], name: str) -> TenantState | None:
    """A tenant by id, domain or name."""
    wanted = name.lower()
    return next((one for one in tenants.values() if wanted in (one.id, one.domain.lower(), one.name.lower())), None)
