"""An open connection: sign in, list the companies, count. Reads only; there is nothing that syncd could post here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from connectors.pax8 import bought, usage
from connectors.pax8.api import Api, Whole
from connectors.pax8.config import Pax8Settings
from connectors.pax8.payloads import CommitmentRules, Company, Dependencies, Page, Product, Subscription
from syncd.connect.contract import Ask, Context, SignIn
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Moment, Query, Reading, RemoteCustomer, State

# Answers that are definite: the catalogue shows this no more, or not to us.
_NOT_SHOWN = frozenset({"not_found", "forbidden", "invalid"})
_DELETED = "Deleted"


class Pax8Connection:
    """Reads subscriptions and usage. Products are read once while it is open."""

    def __init__(self, settings: Pax8Settings, context: Context) -> None:
        self._api = Api(settings, context)
        self._zone = context.zone
        self._products: dict[str, Product | None] = {}
        self._rules: dict[str, tuple[CommitmentRules, ...]] = {}

    def sign_in(self) -> SignIn:
        """Proves that the credentials work and may read companies. Raises VendorError."""
        page = self._api.read("companies", {"page": 0, "size": 1}).parse(Page[Company])
        return SignIn(f"Pax8, {page.page.total_elements} companies")

    def customers(self) -> Sequence[RemoteCustomer]:
        """All companies that are not deleted, whole. Raises VendorError.

        A company that was merged into another one is deleted by Pax8, so a mapping that names it finds it gone.
        """
        return tuple(
            RemoteCustomer(
                company.id,
                company.name,
                (company.external_id,) if company.external_id else (),
                links=(company.website,) if company.website else (),
            )
            for company in self._companies().rows
            if company.status != _DELETED
        )

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each company and query; what fails for one company spoils its own readings only."""
        companies = {company.id: company for company in self._companies().rows if company.status != _DELETED}
        found = self._api.whole(
            "subscriptions", Subscription, what="subscriptions", params={"sort": "createdDate,asc"}, key=_id
        )
        of_company: dict[str, list[Subscription]] = {}
        for row in found.rows:
            of_company.setdefault(row.company_id, []).append(row)
        product_of = {row.id: row.product_id for row in found.rows}
        for ask in asks:
            rows = of_company.get(ask.customer.id, [])
            for query in ask.queries:
                try:
                    company = companies.get(ask.customer.id)
                    if company is None:
                        raise VendorError("not_found", f"Pax8 shows no company {ask.customer.id} any more")
                    yield self._reading(company, query, rows, found.proof, product_of, moment)
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))

    def close(self) -> None:
        """Gives back the sockets."""
        self._api.close()

    def _companies(self) -> Whole[Company]:
        return self._api.whole("companies", Company, what="companies", params={"sort": "name,asc"}, key=_id)

    def _reading(
        self,
        company: Company,
        query: Query,
        rows: Sequence[Subscription],
        proof: str,
        product_of: dict[str, str],
        moment: Moment,
    ) -> Reading:
        if query.measure == "usage":
            try:
                counted, seen = usage.counts(self._api, company.id, rows, moment, self._zone)
            except usage.Unsettled as part:
                return Reading(company.id, query, State.PARTIAL, code=part.code, reason=str(part))
            return Reading(company.id, query, State.KNOWN, counted, f"{proof}; {seen}")
        if query.measure != "quantity":
            raise VendorError("unsupported", f"Pax8 counts quantity and usage; not {query.measure}")
        held = bought.in_force(rows, moment.today)
        catalogue = self._catalogue(held, product_of)
        counted = bought.counts(held, product_of, catalogue, company.bill_on_behalf_of_enabled is True)
        return Reading(company.id, query, State.KNOWN, counted, f"{proof}; {len(held)} in force here")

    def _catalogue(self, held: Iterable[bought.Held], product_of: dict[str, str]) -> bought.Catalogue:
        products: dict[str, Product | None] = {}
        rules: dict[str, CommitmentRules] = {}
        for one in held:
            parent = product_of.get(one.row.parent_subscription_id or "")
            for product_id in (one.row.product_id, parent):
                if product_id:
                    products[product_id] = self._product(product_id)
            if one.row.commitment_term is not None:
                rules |= {rule.id: rule for rule in self._commitments(one.row.product_id) if rule.id}
        return bought.Catalogue(products, rules)

    def _product(self, product_id: str) -> Product | None:
        """A product; None where the catalogue shows it no more. Raises VendorError: without its SKUs a mapping might
        not find it, and a failure would look like no seats."""
        if product_id not in self._products:
            try:
                product = self._api.read(f"products/{product_id}").parse(Product)
            except VendorError as error:
                if error.code != "not_found":
                    raise
                product = None
            if product is not None and product.id != product_id:
                raise VendorError("malformed", f"product {product_id} was asked for, {product.id} came")
            self._products[product_id] = product
        return self._products[product_id]

    def _commitments(self, product_id: str) -> tuple[CommitmentRules, ...]:
        """What the commitments of a product allow; nothing where Pax8 does not show it: it only words a note."""
        if product_id not in self._rules:
            try:
                told = self._api.read(f"products/{product_id}/dependencies").parse(Dependencies)
                self._rules[product_id] = tuple(told.commitment_dependencies or ())
            except VendorError as error:
                if error.code not in _NOT_SHOWN:
                    raise
                self._rules[product_id] = ()
        return self._rules[product_id]


def _id(row: Company | Subscription) -> str:
    return row.id
