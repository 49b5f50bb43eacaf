"""Reads the world once: every connection side by side, customer by customer where the vendor allows it.

One failure is one failure: it spoils what was asked of that customer or connection and nothing else. Subjects are put
into evidence as readings arrive, so that memory does not grow with the number of people.
"""

from __future__ import annotations

import contextvars
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from syncd.connect.contract import Ask
from syncd.core.entries import Observation, Past
from syncd.core.evidence import keep_billing, keep_reading
from syncd.core.resolve import ReadError, Resolution, View, resolve, wanted_queries
from syncd.core.rules import Mappings
from syncd.cycle.connections import Opened
from syncd.errors import VendorError
from syncd.model import Billing, Moment, Product, Query, Reading, RemoteCustomer, State

T = TypeVar("T")
log = structlog.get_logger()
# (done, total, what): called from several threads.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Readings:
    """What one look at the world brought."""

    views: Mapping[str, View]
    resolution: Resolution
    errors: tuple[ReadError, ...]
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How subjects are kept (`[evidence]`)."""

    subjects: str = "names"
    salt: str = ""


@dataclass
class _Desk:
    """What the threads bring together; guarded by one lock."""

    total: int = 0
    done: int = 0
    readings: dict[str, dict[tuple[str, Query], Reading]] = field(default_factory=lambda: defaultdict(dict))
    invoiced: dict[str, dict[str, Reading]] = field(default_factory=lambda: defaultdict(dict))
    billings: dict[str, dict[str, Billing]] = field(default_factory=lambda: defaultdict(dict))
    errors: list[ReadError] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def read_world(
    opened: Mapping[str, Opened],
    mappings: Mappings,
    past: Past,
    moment: Moment,
    *,
    evidence: Evidence | None = None,
    progress: Progress | None = None,
) -> Readings:
    """Everything that the mappings need, as whole as it could be had."""
    desk = _Desk()
    evidence = evidence or Evidence(salt=past.installation)
    names = any("{subjects}" in rule.description for rule in mappings.rules)
    with _pools(opened) as submit:
        customers, products, failed = _lists(opened, submit)
        desk.errors += failed.values()
        resolution = resolve(mappings.customers, customers, past.customers, failed)
        asks = wanted_queries(mappings, resolution, {name: one.default_query for name, one in opened.items()})
        jobs: list[Future[None]] = []
        tell = _teller(desk, progress)

        def take(name: str, reading: Reading) -> None:
            slim, kept = keep_reading(name, reading, subjects=evidence.subjects, salt=evidence.salt, names=names)
            with desk.lock:
                desk.readings[name][reading.customer_id, reading.query] = slim
                desk.observations.append(kept)

        for name, one in opened.items():
            listed = {customer.id: customer for customer in customers[name] or ()}
            for batch in _batches(one, [Ask(listed[id_], queries) for id_, queries in asks.get(name, {}).items()]):
                jobs.append(submit(name, _count, desk, name, one, batch, moment, take, tell))
            if products.get(name) is not None:
                wanted = [listed[id_] for id_ in _billed_here(name, mappings, resolution)]
                for group in _batches(one, wanted):
                    jobs.append(submit(name, _bill, desk, name, one, group, moment, tell))
            booked = [Ask(listed[id_], (INVOICED,)) for id_ in _invoiced_here(name, mappings, resolution)]
            for batch in _batches(one, booked):
                jobs.append(submit(name, _book, desk, name, one, batch, moment, tell))
        desk.total = len(jobs)
        for job in jobs:
            job.result()
    views = {
        name: View(
            name=name,
            customers=customers[name],
            products=products.get(name, ()),
            readings=desk.readings[name],
            invoiced=desk.invoiced[name],
            billings=desk.billings[name],
            default_query=one.default_query,
            operations=frozenset(one.abilities.operations),
            keeps_quantity=one.abilities.keeps_quantity,
            description_length=one.abilities.description_length,
            error=failed.get(name),
            refusal=one.connection.refusal,
            wire=one.connection.wire,
        )
        for name, one in opened.items()
    }
    mapped = {(name, one.id): customer for (customer, name), found in resolution.items() for one in found}
    errors = [
        *(
            ReadError(e.connection, mapped.get((e.connection, e.customer), e.customer), e.code, e.message)
            for e in desk.errors
        ),
        *_unresolved(resolution, failed),
    ]
    return Readings(views, resolution, tuple(dict.fromkeys(errors)), tuple(desk.observations))


INVOICED = Query("invoiced")


def _lists(
    opened: Mapping[str, Opened], submit: Callable[..., Future[Any]]
) -> tuple[dict[str, tuple[RemoteCustomer, ...] | None], dict[str, tuple[Product, ...] | None], dict[str, ReadError]]:
    """The customer and product lists of every connection; None and an error where one could not be read whole."""
    failed: dict[str, ReadError] = {}

    def listed(name: str, read: Callable[[], Sequence[T]]) -> tuple[T, ...] | None:
        try:
            return tuple(read())
        except VendorError as error:
            failed.setdefault(name, ReadError(name, "", error.code, str(error)))
            log.warning("list_unreadable", connection=name, code=error.code, reason=str(error))
            return None

    customers = {name: submit(name, listed, name, one.connection.customers) for name, one in opened.items()}
    products = {
        name: submit(name, listed, name, one.connection.products)
        for name, one in opened.items()
        if "billed" in one.abilities.reads
    }
    return (
        {name: job.result() for name, job in customers.items()},
        {name: job.result() for name, job in products.items()},
        failed,
    )


def _count(
    desk: _Desk, name: str, one: Opened, asks: Sequence[Ask], moment: Moment, take: Any, tell: Callable[[str], None]
) -> None:
    missing = {(ask.customer.id, query) for ask in asks for query in ask.queries}
    try:
        for reading in one.connection.counts(asks, moment):
            missing.discard((reading.customer_id, reading.query))
            if reading.state is not State.KNOWN:
                _note(desk, name, reading.customer_id, reading.code or "unavailable", reading.reason)
            take(name, reading)
    except VendorError as error:
        for customer_id, query in sorted(missing):
            take(name, Reading(customer_id, query, State.UNKNOWN, code=error.code, reason=str(error)))
        for customer_id in sorted({customer_id for customer_id, _ in missing}):
            _note(desk, name, customer_id, error.code, str(error))
    tell(f"{name}: counts of {asks[0].customer.name if len(asks) == 1 else f'{len(asks)} customers'}")


def _bill(
    desk: _Desk,
    name: str,
    one: Opened,
    customers: Sequence[RemoteCustomer],
    moment: Moment,
    tell: Callable[[str], None],
) -> None:
    missing = {customer.id for customer in customers}

    def take(billing: Billing) -> None:
        with desk.lock:
            desk.billings[name][billing.customer_id] = billing
            desk.observations.append(keep_billing(name, billing))

    try:
        for billing in one.connection.lines(customers, moment):
            missing.discard(billing.customer_id)
            if billing.state is not State.KNOWN:
                _note(desk, name, billing.customer_id, billing.code or "unavailable", billing.reason)
            take(billing)
    except VendorError as error:
        for customer_id in sorted(missing):
            take(Billing(customer_id, State.UNKNOWN, code=error.code, reason=str(error)))
            _note(desk, name, customer_id, error.code, str(error))
    tell(f"{name}: lines of {customers[0].name if len(customers) == 1 else f'{len(customers)} customers'}")


def _book(
    desk: _Desk, name: str, one: Opened, asks: Sequence[Ask], moment: Moment, tell: Callable[[str], None]
) -> None:
    missing = {ask.customer.id for ask in asks}

    def take(reading: Reading) -> None:
        slim, kept = keep_reading(name, reading, subjects="none", salt="", names=False)
        with desk.lock:
            desk.invoiced[name][reading.customer_id] = slim
            desk.observations.append(kept)

    try:
        for reading in one.connection.booked(asks, moment):
            missing.discard(reading.customer_id)
            take(reading)
    except VendorError as error:
        for customer_id in sorted(missing):
            take(Reading(customer_id, INVOICED, State.UNKNOWN, code=error.code, reason=str(error)))
            _note(desk, name, customer_id, error.code, str(error))
    tell(f"{name}: invoices")


def _note(desk: _Desk, connection: str, customer_id: str, code: str, message: str) -> None:
    with desk.lock:
        desk.errors.append(ReadError(connection, customer_id, code, message))


def _billed_here(name: str, mappings: Mappings, resolution: Resolution) -> list[str]:
    if not any(rule.bill is not None and rule.bill.connection == name for rule in mappings.rules):
        return []
    return _known_ids(name, resolution)


def _invoiced_here(name: str, mappings: Mappings, resolution: Resolution) -> list[str]:
    if not any(rule.invoiced is not None and rule.invoiced.connection == name for rule in mappings.rules):
        return []
    return _known_ids(name, resolution)


def _known_ids(name: str, resolution: Resolution) -> list[str]:
    found = {
        one.id for (_, connection), keys in resolution.items() if connection == name
        for one in keys if one.state is State.KNOWN
    }  # fmt: skip
    return sorted(found)


def _batches(one: Opened, asks: list[T]) -> Iterable[list[T]]:
    if not asks:
        return []
    return [[ask] for ask in asks] if one.abilities.per_customer else [asks]


def _unresolved(resolution: Resolution, failed: Mapping[str, ReadError]) -> Iterator[ReadError]:
    """Mapped customers that a source does not show: an error of their lines, told once each."""
    for (customer, connection), found in sorted(resolution.items()):
        for one in found:
            if one.state is not State.KNOWN and connection not in failed:
                yield ReadError(connection, customer, "gone" if one.state is State.GONE else "not_found", one.reason)


def _teller(desk: _Desk, progress: Progress | None) -> Callable[[str], None]:
    def tell(what: str) -> None:
        with desk.lock:
            desk.done += 1
            done = desk.done
        if progress:
            progress(done, max(desk.total, done), what)

    return tell


class _pools:
    """One pool for each connection, so that a slow vendor does not take the threads of the others. Context variables
    (the cycle's log context) travel into the threads."""

    def __init__(self, opened: Mapping[str, Opened]) -> None:
        self._pools = {
            name: ThreadPoolExecutor(max_workers=one.threads, thread_name_prefix=name) for name, one in opened.items()
        }

    def __enter__(self) -> Callable[..., Future[Any]]:
        return lambda name, function, *args: self._pools[name].submit(contextvars.copy_context().run, function, *args)

    def __exit__(self, *failure: object) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
