"""Reads what ConnectWise bills: companies, catalogue, agreements, additions; and who else writes additions.

Lists that concern no single customer are read once for each open connection (one cycle) and shared by its threads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from connectors.connectwise import payloads
from connectors.connectwise.agreements import Terms, terms
from connectors.connectwise.api import Api
from connectors.connectwise.config import SERIAL_NUMBER, ConnectWiseSettings
from connectors.connectwise.lines import billed_line
from connectors.connectwise.paging import R, whole
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Agreement, BilledLine, Billing, Moment, Product, RemoteCustomer, State

T = TypeVar("T")

# A tenant's id or a domain, as an admin keeps them in a custom field.
_LINK = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?:https?://)?(?:[\w-]+\.)+[A-Za-z]{2,}/?")


@dataclass(frozen=True, slots=True)
class Agreements:
    """All agreements, by id and by company, with how they were read."""

    terms: Mapping[int, Terms]
    by_company: Mapping[int, tuple[Terms, ...]]
    proof: str


@dataclass(frozen=True, slots=True)
class Rivals:
    """Integrations that write additions by themselves: product id -> who. `warnings`: what could not be seen."""

    products: Mapping[int, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recaps:
    """The PSA's own summaries of invoicing, by agreement; `warning` where they could not be read."""

    rows: Mapping[int, payloads.Recap]
    warning: str = ""


class Reader:
    """The billing side of one connection's reads. Thread-safe."""

    def __init__(self, api: Api, settings: ConnectWiseSettings, own_marker: str) -> None:
        self.api = api
        self.settings = settings
        self.own_marker = own_marker
        self.recaps = Once(self._recaps)
        self.agreements = Once(self._agreements)
        self.catalog = Once(self._catalog)
        self.rivals = Once(self._rivals)
        self._defined_field = Once(self._look_up_field)
        self._seen_field: int | None = None

    def customers(self) -> tuple[RemoteCustomer, ...]:
        """All companies that are not deleted. Raises VendorError; a list without any is `incomplete`, not empty."""
        fields = "id,identifier,name,deletedFlag,website,customFields"
        found = whole(self.api, "company/companies", payloads.Company, fields=fields)
        if not found.rows:
            raise VendorError(
                "incomplete",
                "ConnectWise shows not a single company; the API member's role probably lacks Companies (inquire, all)",
            )
        return tuple(
            RemoteCustomer(str(row.id), row.name, (row.identifier,), links=_links(row))
            for row in found.rows
            if not row.deleted_flag
        )

    def products(self) -> tuple[Product, ...]:
        """The whole catalogue, with the integrations that also write a product's quantities."""
        rivals = self.rivals.get().products
        return tuple(_product(row, rivals.get(row.id, "")) for row in self.catalog.get())

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each customer; a failure of one customer's additions leaves the others alone."""
        agreements = self.agreements.get()
        self._find_field()
        for customer in customers:
            mine = agreements.by_company.get(company_id(customer), ())
            try:
                yield self._billing(customer, mine, agreements.proof, moment)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                yield Billing(customer.id, State.UNKNOWN, code=error.code, reason=str(error))

    def additions(self, agreement_id: str) -> tuple[payloads.Addition, ...]:
        """All additions of an agreement, also ended ones, read whole and fresh."""
        found = whole(self.api, f"finance/agreements/{agreement_id}/additions", payloads.Addition).rows
        if foreign := next((row for row in found if str(row.agreement_id or agreement_id) != agreement_id), None):
            raise VendorError(
                "malformed",
                f"ConnectWise answered with addition #{foreign.id} of agreement #{foreign.agreement_id} when asked "
                f"for those of #{agreement_id}",
            )
        self._see_field(found)
        return found

    def _billing(self, customer: RemoteCustomer, mine: tuple[Terms, ...], proof: str, moment: Moment) -> Billing:
        shown: list[Agreement] = []
        lines: list[BilledLine] = []
        count = 0
        lives = any(one.living(moment.today) for one in mine)
        for one in mine:
            if one.living(moment.today):
                additions = self.additions(one.id)
                count += len(additions)
                for addition in additions:
                    line = billed_line(
                        addition,
                        one,
                        moment,
                        field=self.settings.marker,
                        own=self.own_marker,
                        cancelled_day_billed=self.settings.cancelled_day == "billed",
                    )
                    if line is not None:
                        lines.append(line)
            elif one.over(moment.today) and (lives or one.over_before(moment.period.first)):
                continue  # a renewed agreement often bears the name of the one it follows: only one can be meant
            shown.append(one.agreement(moment.today, self.settings.invoicing))
        warning = self.recaps.get().warning
        return Billing(
            customer.id,
            State.KNOWN,
            tuple(shown),
            tuple(lines),
            proof=f"{len(mine)} agreements ({proof}), {count} additions, each list read to its end"
            + (f"; {warning}" if warning else ""),
        )

    def _agreements(self) -> Agreements:
        found = whole(self.api, "finance/agreements", payloads.Agreement)
        if not found.rows:
            raise VendorError(
                "incomplete",
                "ConnectWise shows not a single agreement; the API member's role probably lacks Finance › Agreements "
                "(inquire, all)",
            )
        rows = {row.id: row for row in found.rows}
        recaps = self.recaps.get().rows
        every = {row.id: terms(row, rows, recaps) for row in found.rows}
        by_company: dict[int, list[Terms]] = {}
        for one in every.values():
            if one.row.company.id is None:
                raise VendorError("malformed", f"the ConnectWise agreement #{one.id} names no company")
            by_company.setdefault(one.row.company.id, []).append(one)
        return Agreements(every, {company: tuple(some) for company, some in by_company.items()}, found.proof)

    def _recaps(self) -> Recaps:
        try:
            found = whole(self.api, "finance/agreementrecap/", payloads.Recap, countable=False, optional=True)
        except VendorError as error:
            if error.code in FATAL:
                raise
            return Recaps({}, f"agreement recaps could not be read ({error.code}), invoice dates are the agreements'")
        return Recaps({row.id: row for row in found.rows})

    def _catalog(self) -> tuple[payloads.CatalogItem, ...]:
        fields = "id,identifier,description,inactiveFlag,productClass,price,cost"
        found = whole(self.api, "procurement/catalog", payloads.CatalogItem, fields=fields)
        if not found.rows:
            raise VendorError(
                "incomplete",
                "ConnectWise shows an empty catalogue; the API member's role probably lacks Procurement › Product "
                "Catalog (inquire, all)",
            )
        return found.rows

    def _rivals(self) -> Rivals:
        """The integrations that maintain additions by themselves (sheet of the vendor's resources: managed devices)."""
        writers: dict[int, list[str]] = {}
        warnings: list[str] = []
        try:
            for solution in self._optional("company/managementItSolutions", payloads.Integration):
                path = f"company/managementItSolutions/{solution.id}/managementProducts"
                for one in self._optional(path, payloads.ManagementProduct):
                    for product in (one.server_product, one.workstation_product, one.spam_stats_product):
                        _claim(writers, product, solution.name, one.agreement_type)
            for integration in self._optional("company/managedDevicesIntegrations", payloads.Integration):
                path = f"company/managedDevicesIntegrations/{integration.id}/crossReferences"
                for reference in self._optional(path, payloads.CrossReference):
                    if not reference.inactive_flag:
                        _claim(writers, reference.product, integration.name, reference.agreement_type)
        except VendorError as error:
            if error.code in FATAL:
                raise
            warnings.append(
                f"management integrations could not be read ({error.code}), so syncd cannot see whether one of them "
                "writes the same additions"
            )
        return Rivals({one: " and ".join(dict.fromkeys(names)) for one, names in writers.items()}, tuple(warnings))

    def _optional(self, path: str, shape: type[R]) -> tuple[R, ...]:
        return whole(self.api, path, shape, optional=True, countable=False).rows

    def _find_field(self) -> None:
        """Looks the marker's field up early, so that a missing one is a reason in the plan and not at sending."""
        if self.settings.marker == SERIAL_NUMBER:
            return
        try:
            self.marker_field()
        except VendorError as error:  # `field_problem` tells it; reading goes on without
            if error.code in FATAL:
                raise

    def _see_field(self, additions: Sequence[payloads.Addition]) -> None:
        if self.settings.marker == SERIAL_NUMBER or self._seen_field is not None:
            return
        ids = {
            one.id
            for addition in additions
            for one in addition.custom_fields or ()
            if one.caption == self.settings.marker and one.id is not None
        }
        if len(ids) == 1:
            self._seen_field = ids.pop()

    def marker_field(self) -> int:
        """The id of the custom field that bears the mark: seen on an addition, else among the PSA's own fields.

        Raises VendorError where there is none or more than one.
        """
        return self._seen_field if self._seen_field is not None else self._defined_field.get()

    def field_problem(self) -> str:
        """Why marks cannot be written, where this connection has tried to find the field; "" otherwise. No I/O."""
        return "" if self._seen_field is not None else self._defined_field.problem()

    def _look_up_field(self) -> int:
        caption = self.settings.marker
        fields = whole(self.api, "system/userDefinedFields", payloads.UserDefinedField, optional=True).rows
        ids = [one.id for one in fields if one.caption == caption]
        if len(ids) == 1:
            return ids[0]
        found = "no custom field" if not ids else f"{len(ids)} custom fields"
        raise VendorError(
            "invalid",
            f'ConnectWise has {found} called "{caption}", and no addition shows one; make one text field of that name '
            'on the agreement additions screen, or set marker = "serialNumber"',
        )


def _links(row: payloads.Company) -> tuple[str, ...]:
    """What the PSA keeps of a company elsewhere: its web site, and custom fields that hold a tenant's id or domain.

    ConnectWise has no field of its own for a Microsoft tenant. Other custom fields ("Gold", "yes") name nobody.
    """
    kept = [str(one.value).strip() for one in row.custom_fields or () if isinstance(one.value, str)]
    found = (row.website or "", *(text for text in kept if _LINK.fullmatch(text)))
    return tuple(dict.fromkeys(text for text in found if text))


def company_id(customer: RemoteCustomer) -> int:
    """The company's number. Raises VendorError where the customer is not one of ConnectWise."""
    if not customer.id.isdigit():
        raise VendorError("invalid", f"{customer.id!r} is not a ConnectWise company id", customer=customer.id)
    return int(customer.id)


def _product(row: payloads.CatalogItem, rival: str) -> Product:
    obstacle = ""
    if row.inactive_flag:
        obstacle = f"the ConnectWise product {row.identifier} is inactive"
    elif row.product_class == "Bundle":
        obstacle = f"the ConnectWise product {row.identifier} is a bundle, which an addition cannot be"
    return Product(
        id=str(row.id),
        identifier=row.identifier,
        name=row.description or row.identifier,
        obstacle=obstacle,
        unit_price=row.price,
        unit_cost=row.cost,
        rival=rival,
    )


def _claim(
    writers: dict[int, list[str]], product: payloads.Ref | None, name: str, agreement_type: payloads.Ref | None
) -> None:
    if product is None or product.id is None:
        return
    kind = f" (on agreements of type {agreement_type.name})" if agreement_type and agreement_type.name else ""
    writers.setdefault(product.id, []).append(f'the integration "{name}"{kind}')
