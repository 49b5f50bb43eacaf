"""An open connection: sign in, list the customers, count. Reads only; there is nothing that syncd could post here."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from connectors.partnercenter import bought
from connectors.partnercenter.api import Api, Whole
from connectors.partnercenter.config import PartnerCenterSettings
from connectors.partnercenter.costs import Costs, read_costs, unread
from connectors.partnercenter.payloads import Collection, Customer, Subscription
from syncd.connect.contract import Ask, Context, SignIn
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Moment, Reading, RemoteCustomer, State

_PAGE_SIZE = 500
_OWNER = re.compile(r"/customers/([^/?]+)/subscriptions", re.IGNORECASE)


class PartnerCenterConnection:
    """Reads customers and their subscriptions. Thread-safe: customers are read side by side."""

    def __init__(self, settings: PartnerCenterSettings, context: Context) -> None:
        self._settings = settings
        self._api = Api(settings, context)
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}  # subscription -> the customer whose list showed it
        self._costs = Once(self._read_costs)

    def sign_in(self) -> SignIn:
        """Proves that the refresh token works and may read customers. Raises VendorError."""
        self._api.read("customers", params={"size": 1}).parse(Collection[Customer])
        return SignIn(f"Partner Center v1, partner tenant {self._settings.tenant_id}")

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers of the partner, whole. Raises VendorError."""
        found = self._api.whole(
            "customers", Customer, what="customers", key=lambda row: row.id.lower(), params={"size": _PAGE_SIZE}
        )
        return tuple(_customer(row) for row in found.rows)

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a customer that fails spoils its own readings only."""
        for ask in asks:
            known: Reading | None = None
            for query in ask.queries:
                try:
                    if query.measure != "quantity":
                        raise VendorError("unsupported", f"Partner Center counts quantity; not {query.measure}")
                    known = known or self._read(ask, moment)
                    yield Reading(ask.customer.id, query, State.KNOWN, known.counts, known.proof)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))

    def close(self) -> None:
        """Gives back the sockets."""
        self._api.close()

    def _read(self, ask: Ask, moment: Moment) -> Reading:
        customer = ask.customer.id
        path = f"customers/{quote(customer, safe='')}/subscriptions"
        found = self._api.whole(
            path, Subscription, what="subscriptions", key=lambda row: row.id.lower(), scope=customer
        )
        self._same_customer(customer, found)
        held = []
        known = Costs()
        for row in found.rows:
            if not bought.counts_today(row, moment):
                continue
            if bought.new_commerce(row) and not row.is_trial:
                known = self._costs.get()
            cost = known.of(customer, row, found.rows)
            held.append(bought.hold(self._with_windows(row, path, customer), moment, cost))
        counted = bought.counts(held, found.rows, moment)
        proof = f"{found.proof}; {len(held)} counted{f'; {known.told}' if known.told else ''}"
        return Reading(customer, ask.queries[0], State.KNOWN, counted, proof)

    def _read_costs(self) -> Costs:
        """What the newest invoice tells of costs; nothing where it may not be read: they only price the findings."""
        try:
            return read_costs(self._api)
        except VendorError as error:
            if error.code in FATAL:
                raise
            return unread(error)

    def _with_windows(self, row: Subscription, path: str, customer: str) -> Subscription:
        """The subscription with the seats that may still be given back, which lists do not show. Raises VendorError."""
        if row.refundable_quantity is not None or row.is_trial or not bought.new_commerce(row):
            return row
        one = self._api.read(f"{path}/{quote(row.id, safe='')}", scope=customer).parse(Subscription)
        if one.id.lower() != row.id.lower():
            raise VendorError("malformed", f"subscription {row.id} was asked for, {one.id} came")
        if (one.quantity, one.status) != (row.quantity, row.status):
            raise VendorError("incomplete", f"subscription {row.id} changed while it was read")
        return one

    def _same_customer(self, customer: str, found: Whole[Subscription]) -> None:
        """Raises VendorError where the answer is another customer's: by its links, and because no subscription has
        two owners."""
        own = (row.links.this.uri for row in found.rows if row.links and row.links.this and row.links.this.uri)
        for owner in _named((*found.addresses, *own)):
            if owner.lower() != customer.lower():
                raise VendorError("wrong_tenant", f"subscriptions of {customer} were asked for, those of {owner} came")
        with self._lock:
            for row in found.rows:
                owner = self._owners.setdefault(row.id.lower(), customer)
                if owner != customer:
                    raise VendorError(
                        "wrong_tenant", f"subscription {row.id} was shown for customer {owner} and for {customer}"
                    )


def _named(addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        found = _OWNER.search(address)
        if found:
            yield found[1]


def _customer(row: Customer) -> RemoteCustomer:
    profile = row.company_profile
    domain = (profile.domain or "") if profile else ""
    name = (profile.company_name or "") if profile else ""
    domains = tuple(dict.fromkeys(one for one in (domain, *(row.custom_domains or ())) if one))
    return RemoteCustomer(row.id, name or domain or row.id, domains, row.relationship_to_partner != "none")
