"""Counts what customers use and the PSA records: devices, approved hours, tickets. Reads one customer at a time.

A customer's list is read once for all queries about it; filters are applied here, so that a renamed type or a missing
flag never turns into a filter that silently matches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from connectors.connectwise import payloads
from connectors.connectwise.abilities import MEASURES
from connectors.connectwise.api import Api
from connectors.connectwise.conditions import both, compare
from connectors.connectwise.dates import bounds, instant
from connectors.connectwise.paging import R, Whole, whole
from connectors.connectwise.read import company_id
from syncd.connect.contract import Ask
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import Count, Moment, Query, Reading, State, Subject
from syncd.money import number, plain
from syncd.periods import Period

# Approved or further on the way to an invoice; what is open, rejected or written off is not counted.
_APPROVED = frozenset({"ApprovedByTierOne", "ApprovedByTierTwo", "ReadyToBill", "Billed", "BilledAgreement"})
_PENDING = frozenset({"Open", "PendingApproval", "PendingProjectApproval", "ErrorsCorrected"})


# What a row says to each filter: the names it goes by, or a flag.
_Facets = Mapping[str, tuple[str, ...] | bool]


@dataclass
class _Tally:
    """One SKU while it is counted."""

    aliases: tuple[str, ...]
    quantity: Decimal = Decimal(0)
    subjects: list[Subject] = field(default_factory=list)
    entries: int = 0
    pending: Decimal = Decimal(0)


def counts(api: Api, asks: Sequence[Ask], moment: Moment, zone: ZoneInfo) -> Iterator[Reading]:
    """One Reading for each customer and query; a failure of one customer's list leaves the others alone."""
    for ask in asks:
        for measure in sorted({query.measure for query in ask.queries}):
            queries = [query for query in ask.queries if query.measure == measure]
            try:
                yield from _READERS.get(measure, _unsupported)(api, ask, queries, moment.period, zone)
            except VendorError as error:
                if error.code in FATAL:
                    raise
                for query in queries:
                    yield Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))


def _unsupported(api: Api, ask: Ask, queries: list[Query], period: Period, zone: ZoneInfo) -> Iterator[Reading]:
    raise VendorError("unsupported", f"ConnectWise counts {', '.join(sorted(MEASURES))}; not {queries[0].measure}")


def _devices(api: Api, ask: Ask, queries: list[Query], period: Period, zone: ZoneInfo) -> Iterator[Reading]:
    company = company_id(ask.customer)
    found = whole(
        api,
        "company/configurations",
        payloads.Configuration,
        conditions=compare("company/id", "=", company),
        fields="id,name,type,company,status,site,serialNumber,activeFlag,billFlag",
    )
    for row in found.rows:
        _same_company(row.company, company, f"configuration #{row.id}")
    for query in queries:
        tallies: dict[str, _Tally] = {}
        for row in found.rows:
            facets: _Facets = {
                "type": _names(row.type),
                "status": _names(row.status),
                "site": _names(row.site),
                "bill_flag": bool(row.bill_flag),
            }
            if row.active_flag is False or not _passes(query, facets):
                continue
            tally = _tally(tallies, row.type, "(no type)")
            tally.quantity += 1
            serial = f" ({row.serial_number})" if row.serial_number else ""
            tally.subjects.append(Subject(str(row.id), f"{row.name}{serial}", (row.status and row.status.name) or ""))
        yield _reading(ask, query, tallies, found)


def _hours(api: Api, ask: Ask, queries: list[Query], period: Period, zone: ZoneInfo) -> Iterator[Reading]:
    company = company_id(ask.customer)
    first, after = bounds(period, zone)
    found = whole(
        api,
        "time/entries",
        payloads.TimeEntry,
        conditions=both(
            compare("company/id", "=", company), compare("timeStart", ">=", first), compare("timeStart", "<", after)
        ),
        fields="id,company,timeStart,actualHours,status,member,workType,workRole,ticketBoard,billableOption",
    )
    for row in found.rows:
        _same_company(row.company, company, f"time entry #{row.id}")
    for query in queries:
        tallies: dict[str, _Tally] = {}
        for row in found.rows:
            began = instant(row.time_start)
            if began is None:
                raise VendorError("malformed", f"the time entry #{row.id} has no readable start: {row.time_start!r}")
            facets: _Facets = {
                "work_type": _names(row.work_type),
                "work_role": _names(row.work_role),
                "member": _names(row.member),
                "board": (row.ticket_board or "",),
                "billable": row.billable_option == "Billable",
            }
            if not first <= began < after or not _passes(query, facets):
                continue
            if row.status in _APPROVED:
                tally = _tally(tallies, row.work_type, "(no work type)")
                tally.quantity += _hours_of(row)
                tally.entries += 1
            elif row.status in _PENDING:
                _tally(tallies, row.work_type, "(no work type)").pending += row.actual_hours or 0
        yield _reading(ask, query, tallies, found, subjects=False)


def _tickets(api: Api, ask: Ask, queries: list[Query], period: Period, zone: ZoneInfo) -> Iterator[Reading]:
    company = company_id(ask.customer)
    first, after = bounds(period, zone)
    found = _tickets_touched(api, company, both(compare("lastUpdated", ">=", first)))
    for row in found.rows:
        _same_company(row.company, company, f"ticket #{row.id}")
    for query in queries:
        tallies: dict[str, _Tally] = {}
        when = {str(one) for name, wanted in query.where if name == "when" for one in wanted} or {"entered"}
        if not when <= {"entered", "closed"}:
            raise VendorError("unsupported", f'tickets are counted when "entered" or "closed", not {sorted(when)}')
        for row in found.rows:
            entered = instant(row.info.date_entered if row.info else None)
            closed = instant(row.closed_date) if row.closed_flag else None
            if entered is None and "entered" in when:
                raise VendorError("malformed", f"the ticket #{row.id} does not tell when it was entered")
            stamps = (entered if "entered" in when else None, closed if "closed" in when else None)
            facets: _Facets = {"type": _names(row.type), "board": _names(row.board), "when": tuple(when)}
            inside = any(stamp is not None and first <= stamp < after for stamp in stamps)
            if not inside or not _passes(query, facets):
                continue
            tally = _tally(tallies, row.board, "(no board)")
            tally.quantity += 1
            tally.subjects.append(Subject(str(row.id), f"#{row.id}", "closed" if row.closed_flag else "open"))
        yield _reading(ask, query, tallies, found)


def _tickets_touched(api: Api, company: int, since: str) -> Whole[payloads.Ticket]:
    """A company's tickets touched since the period began (whatever was entered or closed in it was touched in it).

    That filter is documented for many records, not for each; where it is refused, all tickets are read.
    """
    mine = compare("company/id", "=", company)
    fields = "id,company,board,type,closedFlag,closedDate,_info"
    try:
        return whole(api, "service/tickets", payloads.Ticket, conditions=both(mine, since), fields=fields)
    except VendorError as error:
        if error.status != 400:
            raise
        return whole(api, "service/tickets", payloads.Ticket, conditions=mine, fields=fields)


_READERS: dict[str, Callable[[Api, Ask, list[Query], Period, ZoneInfo], Iterator[Reading]]] = {
    "devices": _devices,
    "hours": _hours,
    "tickets": _tickets,
}


def _reading(ask: Ask, query: Query, tallies: dict[str, _Tally], found: Whole[R], *, subjects: bool = True) -> Reading:
    every = tuple(
        Count(
            sku=sku,
            name=sku,
            quantity=tally.quantity,
            aliases=tally.aliases,
            subjects=tuple(tally.subjects) if subjects else None,
            note=_note(tally),
        )
        for sku, tally in sorted(tallies.items())
    )
    return Reading(ask.customer.id, query, State.KNOWN, every, proof=found.proof)


def _note(tally: _Tally) -> str:
    parts = [f"{tally.entries} time entries"] if tally.entries else []
    if tally.pending:
        parts.append(f"{plain(tally.pending)} hours are not approved yet and not counted")
    return ", ".join(parts)


def _tally(tallies: dict[str, _Tally], kind: payloads.Ref | None, nameless: str) -> _Tally:
    name = (kind and (kind.name or kind.identifier)) or nameless
    alias = (str(kind.id),) if kind and kind.id is not None else ()
    tally = tallies.setdefault(name, _Tally(alias))
    tally.aliases = tuple(dict.fromkeys(tally.aliases + alias))
    return tally


def _hours_of(row: payloads.TimeEntry) -> Decimal:
    try:
        return number(row.actual_hours)
    except ValueError as error:
        raise VendorError("malformed", f"the time entry #{row.id} shows no usable hours: {error}") from None


def _same_company(told: payloads.Ref | None, asked: int, what: str) -> None:
    if told is None or told.id != asked:
        raise VendorError(
            "wrong_tenant", f"ConnectWise answered with {what} of another company when asked for company #{asked}"
        )


def _passes(query: Query, facets: _Facets) -> bool:
    for name, wanted in query.where:
        told = facets.get(name)
        if told is None:
            raise VendorError("unsupported", f"ConnectWise {query.measure} cannot be filtered by {name}")
        if not (told in wanted if isinstance(told, bool) else _matches(wanted, told)):
            return False
    return True


def _names(told: payloads.Ref | None) -> tuple[str, ...]:
    return (told.name or "", told.identifier or "", str(told.id or "")) if told else ()


def _matches(wanted: Iterable[str | bool], names: tuple[str, ...]) -> bool:
    """Whether one of the names is, or fits the glob of, one of the wanted texts; capitals do not matter."""
    lower = [name.casefold() for name in names if name]
    globs = [str(one).casefold() for one in wanted]
    return any(name == glob or fnmatchcase(name, glob) for glob in globs for name in lower)
