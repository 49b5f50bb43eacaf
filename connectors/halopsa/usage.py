"""Counts what customers use and Halo records: devices, users, licences, hours, tickets.

A customer's list is read once for all queries about it; filters are applied here, so that a renamed type or a missing
flag never turns into a filter that silently matches nothing. What Halo leaves out of its own per-user billing
(inactive, service accounts, "ignore automated billing", the client's general user) is left out here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from connectors.halopsa import payloads
from connectors.halopsa.abilities import MEASURES
from connectors.halopsa.dates import bounds, day, instant
from connectors.halopsa.lines import counted
from connectors.halopsa.paging import Whole, whole
from connectors.halopsa.payloads import units
from connectors.halopsa.read import Each, Reader, client_id, lacking, same_client
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError
from syncd.model import Count, Moment, Query, Reading, State, Subject
from syncd.money import plain
from syncd.periods import DAY, Period

# What a row says to each filter: the names it goes by, or a flag.
_Facets = Mapping[str, tuple[str, ...] | bool]
_GENERAL_USER = "general user"
# Time entries are asked for in spans no shorter than this.
_SHORTEST = timedelta(hours=12)


@dataclass
class _Tally:
    """One SKU while it is counted."""

    name: str
    quantity: Decimal = Decimal(0)
    aliases: tuple[str, ...] = ()
    subjects: list[Subject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Usage:
    """The counting side of one connection. Thread-safe."""

    def __init__(self, reader: Reader, zone: ZoneInfo) -> None:
        self._reader = reader
        self._api = reader.api
        self._zone = zone
        self._tickets = Each(self._tickets_of)
        self._actions: dict[Period, Once[Whole[payloads.Action]]] = {}
        self._any_asset = Once(lambda: self._exists("Asset"))
        self._any_user = Once(lambda: self._exists("Users"))
        self._measures: dict[str, Callable[[Ask, list[Query], Moment], Iterator[Reading]]] = {
            "devices": self._devices,
            "users": self._users,
            "licences": self._licences,
            "hours": self._hours,
            "tickets": self._ticket_counts,
        }

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query; a failure of one customer's list leaves the others alone."""
        for ask in asks:
            for measure in sorted({query.measure for query in ask.queries}):
                queries = [query for query in ask.queries if query.measure == measure]
                try:
                    if measure not in self._measures:
                        raise VendorError("unsupported", f"Halo counts {', '.join(sorted(MEASURES))}; not {measure}")
                    yield from list(self._measures[measure](ask, queries, moment))
                except VendorError as error:
                    if error.code in FATAL:
                        raise
                    for query in queries:
                        yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))

    def _devices(self, ask: Ask, queries: list[Query], moment: Moment) -> Iterator[Reading]:
        client = client_id(ask.customer)
        found = whole(self._api, "Asset", payloads.Asset, params={"client_id": client})
        for row in found.rows:
            same_client(row.client_id, client, f"asset #{row.id}")
        if not found.rows and not self._any_asset.get():
            raise lacking("asset", "Assets")
        for query in queries:
            tallies: dict[str, _Tally] = {}
            for row in found.rows:
                facets: _Facets = {
                    "type": _names(row.assettype_name, row.assettype_id),
                    "status": _names(row.status_name, row.status_id),
                    "site": _names(row.site_name, _whole(row.site_id)),
                }
                if row.inactive or not _passes(query, facets):
                    continue
                sku = row.assettype_name or str(row.assettype_id or "(no type)")
                tally = tallies.setdefault(sku, _Tally(sku, aliases=_names(row.assettype_id)))
                tally.quantity += 1
                tally.subjects.append(Subject(str(row.id), row.inventory_number or f"#{row.id}", row.status_name or ""))
            yield _reading(ask, query, tallies, found.proof)

    def _users(self, ask: Ask, queries: list[Query], moment: Moment) -> Iterator[Reading]:
        client = client_id(ask.customer)
        params: dict[str, str | int] = {
            "client_id": client, "exclude_generaluser": "true", "includebillinginfo": "true",
        }  # fmt: skip
        found = whole(self._api, "Users", payloads.User, params=params)
        for row in found.rows:
            same_client(row.client_id, client, f"user #{row.id}")
        if not found.rows and not self._any_user.get():
            raise lacking("user", "Users")
        present = [row for row in found.rows if not row.inactive and row.name.strip().casefold() != _GENERAL_USER]
        told = [self._with_billing(row) for row in present]
        counted_ = [row for row in told if not row.isserviceaccount and not row.ignoreautomatedbilling]
        left_out = len(found.rows) - len(counted_)
        for query in queries:
            tally = _Tally("Users", notes=[f"{left_out} left out of automated billing"] if left_out else [])
            for row in counted_:
                if _passes(query, {"site": _names(row.site_name, _whole(row.site_id))}):
                    tally.quantity += 1
                    tally.subjects.append(Subject(str(row.id), row.emailaddress or row.name, "active"))
            yield _reading(ask, query, {"users": tally}, found.proof)

    def _with_billing(self, row: payloads.User) -> payloads.User:
        """The user with the two flags that keep people out of per-user billing; lists may leave them out."""
        if row.isserviceaccount is not None and row.ignoreautomatedbilling is not None:
            return row
        params = {"includedetails": "true", "includebillinginfo": "true"}
        full = self._api.read(f"Users/{row.id}", params=params).parse(payloads.User)
        if full.id != row.id or full.client_id != row.client_id:
            raise VendorError("wrong_tenant", f"Halo answered with user #{full.id} when asked for #{row.id}")
        if full.isserviceaccount is None or full.ignoreautomatedbilling is None:
            raise VendorError(
                "incomplete", f"Halo does not tell whether the user #{row.id} is left out of automated billing"
            )
        return full

    def _licences(self, ask: Ask, queries: list[Query], moment: Moment) -> Iterator[Reading]:
        client = client_id(ask.customer)
        found = self._reader.licences.get()
        if not found.rows:
            raise lacking("software licence", "Software Licensing")
        for query in queries:
            tallies: dict[str, _Tally] = {}
            for row in found.rows:
                if row.client_id != client or not _runs(row, moment.today):
                    continue
                facets: _Facets = {
                    "term": _names(row.billing_cycle, row.term_duration),
                    "vendor": _names(row.vendor, row.manufacturer, row.distributor),
                }
                if not _passes(query, facets):
                    continue
                sku = row.product_sku or row.vendor_product_sku or row.name
                tally = tallies.setdefault(sku, _Tally(row.name))
                amount = counted(row)
                tally.quantity += amount
                also = (row.vendor_product_sku, row.name, str(row.id))
                tally.aliases = tuple(dict.fromkeys((*tally.aliases, *(one for one in also if one and one != sku))))
                cycle = ", ".join(one for one in (row.billing_cycle, row.term_duration, row.distributor) if one)
                tally.notes.append(f"licence #{row.id}: {plain(amount)}" + (f" ({cycle})" if cycle else ""))
            yield _reading(ask, query, tallies, found.proof, subjects=False)

    def _hours(self, ask: Ask, queries: list[Query], moment: Moment) -> Iterator[Reading]:
        client = client_id(ask.customer)
        tickets = self._tickets.get(client)
        mine = {row.id for row in tickets.rows}
        actions = self._entries(moment.period)
        first, after = bounds(moment.period, self._zone)
        for query in queries:
            tallies: dict[str, _Tally] = {}
            for row in actions.rows:
                at = instant(row.datetime)
                if row.ticket_id not in mine:
                    continue
                if at is None:
                    raise VendorError("malformed", f"the time entry {row.ticket_id}/{row.id} does not tell its time")
                facets: _Facets = {
                    "charge_rate": _names(row.chargerate),
                    "agent": _names(row.who, row.who_agentid),
                    "billable": bool(row.actisbillable),
                }
                if not first <= at < after or not _passes(query, facets):
                    continue
                for sku, hours in _split(row):
                    tallies.setdefault(sku, _Tally(f"Hours, {sku}")).quantity += hours
            proof = f"time entries: {actions.proof}; tickets: {tickets.proof}"
            yield _reading(ask, query, tallies, proof, subjects=False)

    def _ticket_counts(self, ask: Ask, queries: list[Query], moment: Moment) -> Iterator[Reading]:
        found = self._tickets.get(client_id(ask.customer))
        first, after = bounds(moment.period, self._zone)
        for query in queries:
            for name, wanted in query.where:
                if name == "when" and set(wanted) != {"occurred"}:
                    raise VendorError("unsupported", 'Halo\'s tickets are counted when "occurred" only')
            tallies: dict[str, _Tally] = {}
            for row in found.rows:
                at = instant(row.dateoccurred)
                if at is None:
                    raise VendorError("malformed", f"the ticket #{row.id} does not tell when it occurred")
                facets: _Facets = {
                    "type": _names(row.tickettype_name, row.tickettype_id),
                    "team": _names(row.team),
                    "when": ("occurred",),
                }
                if not first <= at < after or not _passes(query, facets):
                    continue
                sku = row.tickettype_name or str(row.tickettype_id or "(no type)")
                tally = tallies.setdefault(sku, _Tally(sku, aliases=_names(row.tickettype_id)))
                tally.quantity += 1
                tally.subjects.append(Subject(str(row.id), f"#{row.id}", "closed" if row.hasbeenclosed else "open"))
            yield _reading(ask, query, tallies, found.proof)

    def _tickets_of(self, client: int) -> Whole[payloads.Ticket]:
        found = whole(self._api, "Tickets", payloads.Ticket, params={"client_id": client})
        for row in found.rows:
            same_client(row.client_id, client, f"ticket #{row.id}")
        return found

    def _entries(self, period: Period) -> Whole[payloads.Action]:
        """The time entries of a period, of all clients: Halo cannot be asked for those of one.

        A day more is asked for on both sides: in which zone Halo cuts is not documented.
        """
        first, after = bounds(period, self._zone)
        return self._actions.setdefault(period, Once(lambda: self._between(first - DAY, after + DAY))).get()

    def _between(self, first: datetime, after: datetime) -> Whole[payloads.Action]:
        """Time entries of a span. The list has no pages: one that is cut short is asked for in halves."""
        params: dict[str, str | int] = {
            "startdate": f"{first:%Y-%m-%dT%H:%M:%SZ}",
            "enddate": f"{after:%Y-%m-%dT%H:%M:%SZ}",
            "timeentriesonly": "true",
        }
        try:
            return whole(self._api, "Actions", payloads.Action, params=params, pages=False)
        except VendorError as error:
            if error.code != "incomplete" or after - first <= _SHORTEST:
                raise
        middle = first + (after - first) / 2
        halves = [self._between(first, middle), self._between(middle, after)]
        rows = {(row.ticket_id, row.id): row for half in halves for row in half.rows}
        return Whole(tuple(rows.values()), "; ".join(half.proof for half in halves))

    def _exists(self, path: str) -> bool:
        """Whether there is any such record at all: agents without a right are shown nothing instead of an error."""
        return bool(whole(self._api, path, payloads.Record).rows)


def _runs(row: payloads.Licence, today: date) -> bool:
    """Whether a licence counts on a day: one that was entered ahead has its first day still before it."""
    starts, ends = day(row.start_date), day(row.end_date)
    begun = starts is None or starts <= today
    return begun and not (row.deleted or row.is_active is False or (ends is not None and ends < today))


def _split(row: payloads.Action) -> Iterator[tuple[str, Decimal]]:
    """A time entry's hours by how they are billed; what Halo has not decided yet is "open". They sum to what was
    worked, or to more where Halo charges a minimum."""
    taken = units(row.timetaken)
    if taken is None:
        raise VendorError("malformed", f"the time entry {row.ticket_id}/{row.id} shows no hours")
    parts = {
        "chargeable": row.actionchargehours,
        "contract": row.actionprepayhours,
        "non-chargeable": row.actionnonchargehours,
    }
    rest = taken
    for sku, told in parts.items():
        hours = units(told) or Decimal(0)
        rest -= hours
        if hours:
            yield sku, hours
    if rest > 0:
        yield "open", rest


def _reading(ask: Ask, query: Query, tallies: dict[str, _Tally], proof: str, *, subjects: bool = True) -> Reading:
    every = tuple(
        Count(
            sku=sku,
            name=tally.name,
            quantity=tally.quantity,
            aliases=tuple(one for one in tally.aliases if one != sku),
            subjects=tuple(tally.subjects) if subjects else None,
            note="; ".join(tally.notes),
        )
        for sku, tally in sorted(tallies.items())
    )
    return Reading(ask.customer.id, query, State.KNOWN, every, proof=proof)


def _names(*told: str | int | None) -> tuple[str, ...]:
    return tuple(str(one) for one in told if one not in (None, ""))


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)


def _passes(query: Query, facets: _Facets) -> bool:
    for name, wanted in query.where:
        told = facets.get(name)
        if told is None:
            raise VendorError("unsupported", f"Halo {query.measure} cannot be filtered by {name}")
        if not (told in wanted if isinstance(told, bool) else _matches(wanted, told)):
            return False
    return True


def _matches(wanted: Iterable[str | bool], names: tuple[str, ...]) -> bool:
    """Whether one of the names is, or fits the glob of, one of the wanted texts; capitals do not matter."""
    lower = [name.casefold() for name in names]
    globs = [str(one).casefold() for one in wanted]
    return any(name == glob or fnmatchcase(name, glob) for glob in globs for name in lower)
