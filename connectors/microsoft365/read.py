"""One tenant, one cycle: from Graph's answers to Readings. Each list is read once, however many queries rest on it.

Always holds: nothing is counted before `/organization` showed the tenant that was asked for; a Reading is KNOWN only
when every list behind it was read to its end; what fails spoils the queries that needed it and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from connectors.microsoft365 import activity, people
from connectors.microsoft365.batch import Part, fetch
from connectors.microsoft365.graph import CutShort, Graph, Refused, Rows, page_of, url
from connectors.microsoft365.names import Catalogue
from connectors.microsoft365.payloads import Organization, Page, Purchase, SubscribedSku, User
from syncd.connect.contract import Ask, Measure
from syncd.connect.http import Http, Reply
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer, State, Subject

T = TypeVar("T")

_ALL = frozenset(people.FILTERS)
MEASURES: Mapping[str, Measure] = {
    "consumed": Measure("used", "licences that Microsoft counts as assigned (consumedUnits)"),
    "assigned": Measure("used", "people who hold the licence, counted one by one", _ALL),
    "active": Measure("used", f"of those, enabled accounts used in the last {activity.DAYS} days", _ALL),
    "users": Measure("used", 'distinct people with any paid licence (sku = "users")', _ALL),
    "purchased": Measure("bought", "seats bought and usable, those in their grace period too, trials left out"),
}
USERS_SKU = "users"

ORGANIZATION_PATH = url("/organization", select="id,displayName,verifiedDomains")
SKUS_PATH = url(
    "/subscribedSkus",
    select="skuId,skuPartNumber,appliesTo,capabilityStatus,consumedUnits,prepaidUnits,subscriptionIds",
)
_PATHS = {
    "organization": ORGANIZATION_PATH,
    "subscribedSkus": SKUS_PATH,
    "subscriptions": "/directory/subscriptions",
}
# Microsoft hands free and viral products out by the ten thousand; nobody buys that many seats unnamed.
UNLIMITED = 10_000
# How far the holders may stay behind `consumedUnits`, beside one person: by more, the list of users is not whole.
TOLERANCE_PERCENT = 5
_USABLE = frozenset({"Enabled", "Warning"})
_NOT_USABLE = frozenset({"Suspended", "LockedOut", "Deleted"})


@dataclass(frozen=True, slots=True)
class Base:
    """What every query rests on.

    `purchases` is None where trials are not known, and `trouble` says why. Where it is `lasting`, the tenant does not
    show its purchases; where it is not, reading them failed this time, which would make numbers jump.
    """

    skus: tuple[SubscribedSku, ...]
    purchases: tuple[Purchase, ...] | None
    trouble: VendorError | None
    proof: str

    @property
    def lasting(self) -> bool:
        """Whether the trouble is a state of things: a right or a call that the tenant does not have."""
        return isinstance(self.trouble, Refused) or (
            self.trouble is not None and self.trouble.status in (404, 405, 501)
        )


class Tenant:
    """The readings of one customer. Used by one thread."""

    def __init__(
        self, graph: Graph, ask: Ask, moment: Moment, catalogue: Catalogue, open_http: Callable[..., Http]
    ) -> None:
        self._graph = graph
        self._ask = ask
        self._moment = moment
        self._catalogue = catalogue
        self._open_http = open_http
        self._parts = Once(lambda: fetch(graph, _PATHS))
        self._base = Once(self._read_base)
        self._users = Once(self._read_users)
        self._activity = Once(self._find_activity)
        self._groups: dict[str, Once[frozenset[str]]] = {}
        self._with_sign_ins = False

    def readings(self) -> Iterator[Reading]:
        """One for each query. Raises VendorError only where syncd itself is stopping."""
        for query in self._ask.queries:
            customer = self._ask.customer.id
            try:
                counts, proof = self._counts(query)
            except VendorError as error:
                if error.code == "stopped":
                    raise
                state = State.PARTIAL if isinstance(error, CutShort) else State.UNKNOWN
                yield Reading(customer, query, state, code=error.code, reason=str(error))
            else:
                yield Reading(customer, query, State.KNOWN, tuple(counts), proof)

    def _counts(self, query: Query) -> tuple[list[Count], str]:
        if query.measure not in MEASURES:
            raise VendorError("unsupported", f"Microsoft 365 has no measure {query.measure}.")
        if query.where and not MEASURES[query.measure].filters:
            raise VendorError("unsupported", f"the measure {query.measure} takes no filter; use assigned.")
        base = self._base.get()
        match query.measure:
            case "consumed":
                return [self._count(sku, sku.consumed_units) for sku in base.skus], base.proof
            case "purchased":
                return [self._purchased(sku) for sku in base.skus], base.proof
            case "users":
                counts = [self._paid_people(self._chosen(query))]
            case measure:
                counts = self._holders(query, active=measure == "active")
        return counts, f"{base.proof}; {self._users.get().proof}"

    # What the counts rest on

    def _read_base(self) -> Base:
        parts = self._parts.get()
        tenants = self._rows(Organization, "organization", parts["organization"], lambda row: row.id).rows
        confirm_tenant(tenants, self._ask.customer)
        skus = self._rows(SubscribedSku, "products", parts["subscribedSkus"], lambda row: row.sku_id.lower())
        purchases, trouble = self._purchases(parts["subscriptions"])
        return Base(skus.rows, purchases, trouble, f"tenant confirmed; {skus.proof}")

    def _purchases(self, part: Part) -> tuple[tuple[Purchase, ...] | None, VendorError | None]:
        """Only trials are learnt here, so a refusal spoils what needs them and nothing else."""
        try:
            return self._rows(Purchase, "purchases", part, lambda row: row.id).rows, None
        except VendorError as error:
            if error.code == "stopped":
                raise
            return None, error

    def _rows(self, row: type[T], what: str, part: Part, key: Callable[[T], str]) -> Rows[T]:
        if isinstance(part, VendorError):
            raise part
        shape: Callable[[Reply], Page[T]] = page_of(row)
        return self._graph.rows(shape, part, key=key, what=what)

    def _read_users(self) -> Rows[User]:
        """The licensed users, between two equal readings of Microsoft's own count, which they must nearly reach.

        The list and `consumedUnits` come from different machinery and disagree for minutes after a bulk change.
        """
        before = {sku.sku_id.lower(): sku.consumed_units for sku in self._base.get().skus}
        users = None
        if any(query.measure == "active" for query in self._ask.queries):
            users = people.users_with_sign_ins(self._graph)
            self._with_sign_ins = users is not None and any(user.sign_in_activity for user in users.rows)
        if users is None:
            users = people.licensed_users(self._graph)
        shape: Callable[[Reply], Page[SubscribedSku]] = page_of(SubscribedSku)
        again = self._graph.rows(
            shape, self._graph.read(SKUS_PATH), key=lambda sku: sku.sku_id.lower(), what="products"
        )
        if {sku.sku_id.lower(): sku.consumed_units for sku in again.rows} != before:
            raise VendorError("incomplete", "licences were being assigned while they were counted; read again later.")
        self._need_holders(users.rows)
        return users

    def _need_holders(self, users: Iterable[User]) -> None:
        """Raises VendorError where far fewer people, or none, hold what Microsoft counts: the index lacks people."""
        holders = _holders_of(users)
        for sku in self._base.get().skus:
            held = len(holders.get(sku.sku_id.lower(), ()))
            missing = sku.consumed_units - held
            slight = held and (missing <= 1 or missing * 100 <= sku.consumed_units * TOLERANCE_PERCENT)
            if sku.applies_to != "Company" and missing > 0 and not slight:
                raise VendorError(
                    "incomplete",
                    f"{held} people hold {sku.sku_part_number or sku.sku_id.lower()} by the list of users, "
                    f"{sku.consumed_units} by consumedUnits; read again later. Where this lasts, use consumed.",
                )

    def _find_activity(self) -> activity.Activity:
        users = self._users.get()
        if self._with_sign_ins or not users.rows:
            return activity.from_sign_ins(self._moment.now)
        return activity.from_report(activity.fetch_report(self._graph, self._open_http), self._moment.today)

    def _members(self, group: str) -> frozenset[str]:
        return self._groups.setdefault(group, Once(lambda: people.group_members(self._graph, group))).get()

    # From lists to counts

    def _chosen(self, query: Query) -> list[User]:
        passes = people.passes(query.where, self._members)
        return [user for user in self._users.get().rows if passes(user)]

    def _holders(self, query: Query, *, active: bool) -> list[Count]:
        chosen = self._chosen(query)
        note = ""
        if active:
            judge = self._activity.get()
            note = judge.source
            chosen = _active(chosen, judge)
        holders = _holders_of(chosen)
        counts = []
        for sku in self._base.get().skus:
            held = holders.pop(sku.sku_id.lower(), [])
            differs = not active and not query.where and sku.applies_to != "Company" and len(held) != sku.consumed_units
            told = f"consumedUnits says {sku.consumed_units}" if differs else note
            counts.append(self._count(sku, len(held), held, told))
        for sku_id, held in sorted(holders.items()):
            counts.append(
                Count(
                    sku=self._catalogue.part(sku_id),
                    name=self._catalogue.name(sku_id, ""),
                    quantity=Decimal(len(held)),
                    aliases=(sku_id,),
                    subjects=_subjects(held),
                    free=self._catalogue.free(sku_id),
                    note="held by people, but not among the tenant's products",
                )
            )
        return counts

    def _paid_people(self, chosen: Iterable[User]) -> Count:
        base = self._base.get()
        if base.trouble is not None and not base.lasting:
            raise base.trouble
        free = {sku.sku_id.lower() for sku in base.skus if self._free(sku)}
        paying = [
            user
            for user in chosen
            if any(
                licence.sku_id.lower() not in free and not self._catalogue.free(licence.sku_id)
                for licence in user.assigned_licenses
            )
        ]
        return Count(
            USERS_SKU,
            "People with a paid licence",
            Decimal(len(paying)),
            subjects=_subjects(paying),
            note=_TRIALS_UNKNOWN if base.trouble is not None else "",
        )

    def _purchased(self, sku: SubscribedSku) -> Count:
        """Enabled and in grace: what Partner Center calls totalUnits. `bought` leaves out trials.

        Raises VendorError where trials cannot be told from purchases: they would be billed as bought.
        """
        trouble = self._base.get().trouble
        if trouble is not None:
            raise trouble
        if sku.capability_status in _NOT_USABLE:
            return self._count(sku, 0)
        seats = sku.prepaid_units.enabled + sku.prepaid_units.warning
        purchases = self._purchases_of(sku)
        if seats and not self._whole(sku) and not self._free(sku):
            raise VendorError(
                "incomplete",
                f"{len(purchases)} of {_named(sku)} purchases of "
                f"{sku.sku_part_number or sku.sku_id.lower()} are shown, so its trials are not known.",
            )
        trials = sum(
            purchase.total_licenses or 0 for purchase in purchases if purchase.is_trial and purchase.status in _USABLE
        )
        return self._count(sku, max(seats - trials, 0), note=f"{trials} trial seats left out" if trials else "")

    def _purchases_of(self, sku: SubscribedSku) -> Sequence[Purchase]:
        named = set(sku.subscription_ids or ())
        return [
            purchase
            for purchase in self._base.get().purchases or ()
            if (purchase.id in named if named else (purchase.sku_id or "").lower() == sku.sku_id.lower())
        ]

    def _whole(self, sku: SubscribedSku) -> bool:
        """Whether every purchase of the product is shown."""
        return len(self._purchases_of(sku)) >= _named(sku)

    def _free(self, sku: SubscribedSku) -> bool:
        only_trials = self._whole(sku) and all(purchase.is_trial for purchase in self._purchases_of(sku))
        return only_trials or self._catalogue.free(sku.sku_id) or sku.prepaid_units.enabled >= UNLIMITED

    def _count(self, sku: SubscribedSku, quantity: int, held: list[User] | None = None, note: str = "") -> Count:
        sku_id, part = sku.sku_id.lower(), sku.sku_part_number or ""
        notes = [note] if note else []
        if sku.applies_to == "Company":
            notes.append("applies to the whole company, these are no seats")
        if sku.capability_status not in ("Enabled", None):
            notes.append(f"Microsoft calls it {sku.capability_status}")
        return Count(
            sku=part or sku_id,
            name=self._catalogue.name(sku_id, part),
            quantity=Decimal(quantity),
            aliases=(sku_id,),
            subjects=None if held is None else _subjects(held),
            free=self._free(sku),
            note="; ".join(notes),
        )


_TRIALS_UNKNOWN = "trials are not known: the tenant does not show its purchases (Organization.Read.All)"


def confirm_tenant(tenants: Sequence[Organization], customer: RemoteCustomer) -> None:
    """Raises VendorError where the token belongs to another tenant: that would bill one customer for another."""
    if len(tenants) != 1:
        raise VendorError("malformed", f"GET /organization shows {len(tenants)} tenants where one is.")
    if tenants[0].id.lower() != customer.id.lower():
        raise VendorError(
            "wrong_tenant",
            f"asked for tenant {customer.id}, answered by {tenants[0].id}. Nothing of it is used.",
            customer=customer.id,
        )


def _active(chosen: list[User], judge: activity.Activity) -> list[User]:
    verdicts = [(user, judge.used(user)) for user in chosen if people.may_sign_in(user)]
    unknown = sum(verdict is None for _, verdict in verdicts)
    if unknown:
        raise VendorError(
            "incomplete", f"of {unknown} licensed users it is not known whether they are active ({judge.source})."
        )
    return [user for user, verdict in verdicts if verdict]


def _named(sku: SubscribedSku) -> int:
    """How many purchases a product must have: those it names, one at least."""
    return max(len(set(sku.subscription_ids or ())), 1)


def _holders_of(users: Iterable[User]) -> dict[str, list[User]]:
    """SKU id -> who holds it. Held directly and through a group is one seat: distinct SKUs per user."""
    holders: dict[str, list[User]] = {}
    for user in users:
        for sku_id in {licence.sku_id.lower() for licence in user.assigned_licenses}:
            holders.setdefault(sku_id, []).append(user)
    return holders


def _subjects(held: Iterable[User]) -> tuple[Subject, ...]:
    return tuple(sorted((people.subject(user) for user in held), key=lambda one: (one.name.casefold(), one.id)))
