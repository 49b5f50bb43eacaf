"""Reads the world once: every connection side by side, customer by customer where the vendor allows it.

One failure is one failure: it spoils what was asked of that customer or connection and nothing else. Subjects are put
into evidence as readings arrive, so that memory does not grow with the number of people.
"""

from __future__ import annotations

import contextvars
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from syncd.connect.contract import Ask
from syncd.core.entries import Observation, Past
from syncd.core.evidence import keep_billing, keep_reading
from syncd.core.ownership import fed_kinds
from syncd.core.resolve import ReadError, Resolution, Resolved, View, resolve, wanted_queries
from syncd.core.rules import BillRef, InvoicedRef, Mappings
from syncd.cycle.connections import Opened
from syncd.errors import UserFault, VendorError
from syncd.model import Billing, Feed, Moment, Product, Query, Reading, RemoteCustomer, State

T = TypeVar("T")
K = TypeVar("K", str, tuple[str, Query])
R = TypeVar("R", Reading, Billing)
Tell = Callable[[str], None]
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
    """Everything that the mappings need, as whole as it could be had.

    A connection's customers are read as soon as its own lists are there: one that is slow to tell its customers delays
    no other.
    """
    desk = _Desk()
    evidence = evidence or Evidence(salt=past.installation)
    names = any("{subjects}" in rule.description for rule in mappings.rules)
    defaults = {name: one.default_query(mappings) for name, one in opened.items()}
    resolution: dict[tuple[str, str], tuple[Resolved, ...]] = {}
    failed: dict[str, ReadError] = {}
    customers: dict[str, tuple[RemoteCustomer, ...] | None] = {}
    products: dict[str, tuple[Product, ...] | None] = {}
    feeds: dict[str, tuple[Feed, ...] | None] = {}
    fed = fed_kinds(mappings.rules, {name: one.connector.kind for name, one in opened.items()})
    tell = _teller(desk, progress)
    with _pools(opened) as submit:
        jobs: list[Future[None]] = []

        def read_customers(name: str) -> None:
            one = opened[name]
            found = resolve(mappings.customers, {name: customers[name]}, past.customers, failed)
            resolution.update(found)
            listed = {customer.id: customer for customer in customers[name] or ()}
            asks = wanted_queries(mappings, found, defaults).get(name, {})
            for batch in _batches(one, [Ask(listed[id_], queries) for id_, queries in asks.items()]):
                jobs.append(submit(name, _counts, desk, one, batch, moment, evidence, names, tell))
            if _is_asked(name, (rule.invoiced for rule in mappings.rules)):
                for batch in _batches(one, [Ask(listed[id_], (INVOICED,)) for id_ in _known_ids(name, found)]):
                    jobs.append(submit(name, _booked, desk, one, batch, moment, tell))

        def read_lines(name: str) -> None:
            if products[name] is None or not _is_asked(name, (rule.bill for rule in mappings.rules)):
                return
            listed = {customer.id: customer for customer in customers[name] or ()}
            for group in _batches(opened[name], [listed[id_] for id_ in _known_ids(name, resolution)]):
                jobs.append(submit(name, _lines, desk, opened[name], group, moment, tell))

        lists = _lists(opened, submit, failed, fed)
        for job in as_completed(lists):
            name, what = lists[job]
            if what == "feeds":
                feeds[name] = job.result()
                continue
            if what == "customers":
                customers[name] = job.result()
                read_customers(name)
            else:
                products[name] = job.result()
            if name in customers and name in products:
                read_lines(name)
        desk.total = len(jobs)
        for done in jobs:
            done.result()
    resolution = dict(sorted(resolution.items()))
    desk.errors += failed.values()
    views = {
        name: View(
            name=name,
            customers=customers[name],
            products=products.get(name, ()),
            readings=desk.readings[name],
            invoiced=desk.invoiced[name],
            billings=desk.billings[name],
            default_query=defaults[name],
            operations=frozenset(one.abilities.operations),
            undrafted=frozenset(name for name, one_way in one.abilities.operations.items() if one_way.asks_a_person),
            catalogue=one.abilities.catalogue,
            kind=one.connector.kind,
            may_feed=one.abilities.feeds & fed,
            feeds=feeds.get(name, ()),
            of_period=frozenset(measure for measure, told in one.abilities.measures.items() if told.of_period),
            keeps_quantity=one.abilities.keeps_quantity,
            description_length=one.abilities.description_length,
            error=failed.get(name),
            **_posting_functions(one),
        )
        for name, one in opened.items()
    }
    mapped = {(name, one.id): customer for (customer, name), found in resolution.items() for one in found if one.id}
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
    opened: Mapping[str, Opened],
    submit: Callable[..., Future[Any]],
    failed: dict[str, ReadError],
    fed: frozenset[str],
) -> dict[Future[Any], tuple[str, str]]:
    """The customer and product lists of every connection, being read: job -> (connection, "customers", "products" or
    "feeds"). Whom a system feeds is asked only where a rule bills into such books (`fed`).

    A list that could not be read whole comes as None, with its error in `failed`.
    """

    def listed(name: str, read: Callable[[], Sequence[T]]) -> tuple[T, ...] | None:
        try:
            return tuple(read())
        except Exception as failure:
            error = _of_vendor(name, failure)
            failed.setdefault(name, ReadError(name, "", error.code, str(error)))
            log.info("list_unreadable", connection=name, code=error.code, reason=str(error))
            return None

    jobs: dict[Future[Any], tuple[str, str]] = {}
    for name, one in opened.items():
        jobs[submit(name, listed, name, one.connection.customers)] = name, "customers"
    for name, one in opened.items():
        if one.abilities.bill_keys:
            jobs[submit(name, listed, name, one.connection.products)] = name, "products"
        if one.abilities.feeds & fed:
            jobs[submit(name, listed, name, one.connection.feeds)] = name, "feeds"
    return jobs


def _counts(
    desk: _Desk, one: Opened, asks: Sequence[Ask], moment: Moment, evidence: Evidence, names: bool, tell: Tell
) -> None:
    def take(reading: Reading) -> None:
        slim, kept = keep_reading(one.name, reading, subjects=evidence.subjects, salt=evidence.salt, names=names)
        with desk.lock:
            desk.readings[one.name][reading.customer_id, reading.query] = slim
            desk.observations.append(kept)

    _ask(
        desk,
        one.name,
        {(ask.customer.id, query) for ask in asks for query in ask.queries},
        lambda: one.connection.counts(asks, moment),
        lambda reading: (reading.customer_id, reading.query),
        lambda key, error: Reading(*key, State.UNKNOWN, code=error.code, reason=str(error)),
        take,
    )
    tell(f"{one.name}: {_whom([ask.customer for ask in asks])}")


def _lines(desk: _Desk, one: Opened, customers: Sequence[RemoteCustomer], moment: Moment, tell: Tell) -> None:
    def take(billing: Billing) -> None:
        with desk.lock:
            desk.billings[one.name][billing.customer_id] = billing
            desk.observations.append(keep_billing(one.name, billing))

    _ask(
        desk,
        one.name,
        {customer.id for customer in customers},
        lambda: one.connection.lines(customers, moment),
        lambda billing: billing.customer_id,
        lambda id_, error: Billing(id_, State.UNKNOWN, code=error.code, reason=str(error)),
        take,
    )
    tell(f"{one.name}: lines of {_whom(customers)}")


def _booked(desk: _Desk, one: Opened, asks: Sequence[Ask], moment: Moment, tell: Tell) -> None:
    def take(reading: Reading) -> None:
        slim, kept = keep_reading(one.name, reading, subjects="none", salt="", names=False)
        with desk.lock:
            desk.invoiced[one.name][reading.customer_id] = slim
            desk.observations.append(kept)

    _ask(
        desk,
        one.name,
        {ask.customer.id for ask in asks},
        lambda: one.connection.booked(asks, moment),
        lambda reading: reading.customer_id,
        lambda id_, error: Reading(id_, INVOICED, State.UNKNOWN, code=error.code, reason=str(error)),
        take,
    )
    tell(f"{one.name}: invoices of {_whom([ask.customer for ask in asks])}")


def _whom(customers: Sequence[RemoteCustomer]) -> str:
    return customers[0].name if len(customers) == 1 else f"{len(customers)} customers"


def _ask(
    desk: _Desk,
    name: str,
    missing: set[K],
    read: Callable[[], Iterator[R]],
    key: Callable[[R], K],
    spoiled: Callable[[K, VendorError], R],
    take: Callable[[R], None],
) -> None:
    """Takes every answer of one read; what was asked and not answered when it failed is spoiled, and nothing else."""
    try:
        for answer in read():
            missing.discard(key(answer))
            if answer.state is not State.KNOWN:
                _note(desk, name, answer.customer_id, answer.code or "unavailable", answer.reason)
            take(answer)
        return
    except Exception as failure:
        error = _of_vendor(name, failure)
    for one in sorted(missing):
        answer = spoiled(one, error)
        take(answer)
        _note(desk, name, answer.customer_id, error.code, str(error))


def _of_vendor(name: str, failure: Exception) -> VendorError:
    """A bulkhead, for an except clause: one connector's fault is an error of its lines, not the end of the others."""
    match failure:
        case VendorError():
            return failure
        case UserFault():  # a secret that can no longer be read, say
            return VendorError("unauthorized", str(failure))
        case _:
            log.exception("connector_failed", connection=name)
            told = f"the connector failed on an answer ({type(failure).__name__}); see the log"
            return VendorError("malformed", told)


def _note(desk: _Desk, connection: str, customer_id: str, code: str, message: str) -> None:
    with desk.lock:
        desk.errors.append(ReadError(connection, customer_id, code, message))


def _is_asked(name: str, refs: Iterable[BillRef | InvoicedRef | None]) -> bool:
    return any(ref is not None and ref.connection == name for ref in refs)


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
                yield ReadError(connection, customer, one.code, one.reason)


def _teller(desk: _Desk, progress: Progress | None) -> Tell:
    def tell(what: str) -> None:
        with desk.lock:
            desk.done += 1
            done = desk.done
        if progress:
            progress(done, max(desk.total, done), what)

    return tell


def _posting_functions(one: Opened) -> dict[str, Any]:
    """The pure functions of a connector that can post; one that only counts has none."""
    if not one.abilities.operations:
        return {}
    return {"refusal": one.connection.refusal, "wire": one.connection.wire}


@contextmanager
def _pools(opened: Mapping[str, Opened]) -> Iterator[Callable[..., Future[Any]]]:
    """One pool for each connection, so that a slow vendor does not take the threads of the others. Context variables
    (the cycle's log context) travel into the threads."""
    pools = {name: ThreadPoolExecutor(one.threads, thread_name_prefix=name) for name, one in opened.items()}
    try:
        yield lambda name, function, *args: pools[name].submit(contextvars.copy_context().run, function, *args)
    finally:
        for pool in pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
