"""An open connection: sign in, list the customers, count. Reads only; there is nothing that syncd could post here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.microsoft365.config import Microsoft365Settings
from connectors.microsoft365.graph import Graph, Service, explain, page_of, url
from connectors.microsoft365.names import Catalogue, read_names
from connectors.microsoft365.payloads import Contract, Organization, Page
from connectors.microsoft365.permissions import advice
from connectors.microsoft365.read import ORGANIZATION_PATH, Tenant
from connectors.microsoft365.tokens import Tokens, Witness
from syncd.connect.contract import Ask, Context, SignIn
from syncd.connect.http import Reply
from syncd.connect.once import Once
from syncd.errors import VendorError
from syncd.model import Moment, Reading, RemoteCustomer

VERSION = "v1.0"
# Between two tries of a token request, in first waits: 10 s as Microsoft's lag after a certificate rotation needs.
_TOKEN_WAITS = 10
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Microsoft365Connection:
    """Reads counts from the customers' tenants. Thread-safe: tenants are read side by side."""

    def __init__(self, settings: Microsoft365Settings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = context.http(
            f"{settings.graph_root}/{VERSION}",
            also=(settings.login_root,),
            # Background work: where Graph must choose, people at their screens come first (throttling guidance).
            headers={"accept": "application/json", "x-ms-throttle-priority": "Low"},
            explain=explain,
        )
        first_wait = settings.retry_wait.total_seconds()
        tokens = Tokens(settings, context.folder, wait=first_wait * _TOKEN_WAITS, pause=self._http.gate.pause)
        self._service = Service(self._http, tokens, first_wait)
        self._catalogue = Once(self._read_catalogue)

    def sign_in(self) -> SignIn:
        """Signs in to the partner's tenant. Raises VendorError; UserFault where a file of the settings is at fault."""
        self._catalogue.get()
        witness = Witness(self._service.tokens.tenant(self._settings.tenant_id))
        graph = self._service.tenant(self._settings.tenant_id, witness)
        shape: Callable[[Reply], Page[Organization]] = page_of(Organization)
        first = graph.read(ORGANIZATION_PATH)
        tenants = graph.rows(shape, first, key=lambda row: row.id, what="organization").rows
        if len(tenants) != 1:
            raise VendorError("malformed", f"GET /organization shows {len(tenants)} tenants where one is.")
        ours, wanted = tenants[0], self._settings.tenant_id.lower()
        names = (
            {ours.id.lower()}
            if _GUID.fullmatch(wanted)
            else {(one.name or "").lower() for one in ours.verified_domains}
        )
        if wanted not in names:
            raise VendorError("wrong_tenant", f"asked for tenant {wanted}, answered by {ours.id}. Check tenant_id.")
        identity = f"Microsoft Graph {VERSION}, {ours.display_name or 'tenant'} ({ours.id})"
        return SignIn(identity, advice(witness.roles) if witness.roles is not None else ())

    def customers(self) -> Sequence[RemoteCustomer]:
        """The partner's customers, from the contracts in its own tenant. Raises VendorError.

        No customers is an answer: a partner of today may have none. Two contracts with one tenant are one customer.
        """
        graph: Graph = self._service.tenant(self._settings.tenant_id)
        shape: Callable[[Reply], Page[Contract]] = page_of(Contract)
        first = graph.read(url("contracts", select="id,customerId,defaultDomainName,displayName"))
        # Keyed with the names: a syndication and a reseller contract with one tenant are two rows and no contradiction.
        contracts = graph.rows(shape, first, key=repr, what="contracts").rows
        customers: dict[str, RemoteCustomer] = {}
        for contract in contracts:
            domains = (contract.default_domain_name,) if contract.default_domain_name else ()
            name = contract.display_name or contract.default_domain_name or contract.customer_id
            first_seen = customers.get(contract.customer_id.lower())
            if first_seen is not None:
                domains = tuple(dict.fromkeys((*first_seen.identifiers, *domains)))
                name = first_seen.name
            customers[contract.customer_id.lower()] = RemoteCustomer(
                first_seen.id if first_seen else contract.customer_id, name, domains
            )
        return tuple(customers.values())

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a customer that fails spoils its own readings only."""
        catalogue = self._catalogue.get()
        for ask in asks:
            graph = self._service.tenant(ask.customer.id)
            yield from Tenant(graph, ask, moment, catalogue, self._context.http).readings()

    def close(self) -> None:
        """Gives back the sockets."""
        self._http.close()

    def _read_catalogue(self) -> Catalogue:
        if not self._settings.product_names:
            return Catalogue({})
        place = f"connection {self._context.name} › product_names"
        names: Mapping[str, str] = read_names(self._context.folder / self._settings.product_names, place)
        return Catalogue(names)
