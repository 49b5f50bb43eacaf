"""An open connection of declared requests: sign in, list the customers, count. It only ever asks with GET.

Without `each` one list holds everybody's records and the customers are those it names. With `each` the customers are a
list of their own, and each is asked by itself; what fails then spoils that customer alone.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from urllib.parse import quote, urlsplit

from connectors.http_json.config import Each, HttpJsonSettings, filled
from connectors.http_json.paging import Listing, Page, first_page, more_named, sweep
from connectors.http_json.read import Row, add_up, find, key_text, rows, seen_customers
from connectors.http_json.signing import signature
from syncd.connect.contract import Ask, Context, SignIn
from syncd.connect.http import Reply, explain_plainly
from syncd.errors import VendorError
from syncd.model import Count, Moment, Query, Reading, RemoteCustomer, State
from syncd.periods import local_date

MEASURE = "quantity"
# Customers asked side by side where the connection names no number; the connection's own budget still bounds it.
_THREADS = 8
_MENDS = {
    401: "check auth",
    403: "the key lacks a right, or it is another account's",
    404: "check base_url and the paths, and that the customer is still there",
}


class HttpJsonConnection:
    """Keeps nothing between two reads, so threads share it freely."""

    def __init__(self, settings: HttpJsonSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._http = context.http(
            settings.base_url,
            headers={"accept": "application/json"},
            auth=signature(settings, context, lambda seconds: self._http.gate.pause(seconds)),
            explain=_explain,
        )

    def sign_in(self) -> SignIn:
        """Reads the first page of each list and judges every selector on it. Raises VendorError."""
        settings, today = self._settings, self._today()
        each, warnings = settings.each, []
        host, looked = urlsplit(settings.base_url).netloc, []
        customer = ""
        if each is not None:
            listing = _customer_list(settings, each, today)
            page = first_page(self._http, listing)
            listed = _customers(each, page.rows)
            customer = listed[0].id if listed else ""
            looked.append(f"{len(listed)} customers")
        if each is None or customer:
            listing = _record_list(settings, customer, today)
            page = first_page(self._http, listing)
            _rows_of_page(settings, page)
            looked.append(f"{len(page.rows)} records")
            if not page.rows:
                raise VendorError("incomplete", f"{page.reply.where} holds no rows, which is not the same as zero")
            if (
                settings.total is None
                and settings.paging.kind in ("cursor", "next_url")
                and not more_named(listing, page)
            ):
                warnings.append(
                    "The first page names no further one, and there is no total to compare with. See that "
                    f"paginate.{settings.paging.kind} is written right: a slip in it would end every list here."
                )
        return SignIn(f"{host}: {', '.join(looked)} on the first page", tuple(warnings))

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers: those of `each`, else those that the records name. Raises VendorError."""
        settings, today = self._settings, self._today()
        if settings.each is not None:
            return _customers(settings.each, sweep(self._http, _customer_list(settings, settings.each, today)).rows)
        listing = _record_list(settings, "", today)
        return seen_customers(rows(settings, sweep(self._http, listing).rows, f"GET {listing.path}"))

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query. Raises VendorError where the one list of all could not be read.

        A customer that no record names is UNKNOWN, never a known zero: the core tells one that is gone from one that
        was never there (INTERFACE 3.5).
        """
        if self._settings.each is None:
            listing = _record_list(self._settings, "", moment.today)
            swept = sweep(self._http, listing)
            counted = add_up(rows(self._settings, swept.rows, f"GET {listing.path}"))
            for ask in asks:
                yield from _answers(ask, counted.get(ask.customer.id), swept.proof)
            return
        pool = ThreadPoolExecutor(self._settings.concurrency or _THREADS, thread_name_prefix=self._context.name)
        try:
            jobs = [pool.submit(contextvars.copy_context().run, self._count, ask, moment) for ask in asks]
            for job in jobs:
                yield from job.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        """Gives back the sockets."""
        self._http.close()

    def _count(self, ask: Ask, moment: Moment) -> list[Reading]:
        """One customer's own list."""
        try:
            listing = _record_list(self._settings, ask.customer.id, moment.today)
            swept = sweep(self._http, listing)
            read = rows(self._settings, swept.rows, f"GET {listing.path}")
            if self._settings.customer is not None:
                _only_of(ask.customer.id, read, listing.path)
            counted = add_up(Row(ask.customer.id, "", row.sku, row.quantity, row.subject) for row in read)
        except VendorError as error:
            return [
                Reading(ask.customer.id, query, State.UNKNOWN, code=error.code, reason=str(error))
                for query in ask.queries
            ]
        return list(_answers(ask, counted.get(ask.customer.id), swept.proof))

    def _today(self) -> date:
        return local_date(self._context.clock(), self._context.zone)


def _rows_of_page(settings: HttpJsonSettings, page: Page) -> None:
    """Judges the selectors on one page; that none of its records passes `where` says nothing of the whole list."""
    try:
        rows(settings, page.rows, page.reply.where)
    except VendorError as error:
        if error.code != "incomplete":
            raise


def _record_list(settings: HttpJsonSettings, customer: str, today: date) -> Listing:
    if customer in (".", ".."):
        raise VendorError("malformed", f'"{customer}" is an id that no path can name')
    return Listing(
        path=settings.request.path.replace("{id}", quote(customer, safe="")),
        params=filled(settings.request.params, id=customer, today=today.isoformat()),
        records=settings.records,
        total=settings.total,
        paging=settings.paging,
    )


def _customer_list(settings: HttpJsonSettings, each: Each, today: date) -> Listing:
    return Listing(
        path=each.path,
        params=filled(each.params, today=today.isoformat()),
        records=each.records,
        total=each.total,
        paging=each.paginate or settings.paging,
        key="each",
    )


def _customers(each: Each, records: Sequence[object]) -> list[RemoteCustomer]:
    listed: dict[str, RemoteCustomer] = {}
    for position, record in enumerate(records, start=1):
        where = f"GET {each.path}, record {position}"
        id_ = key_text(each.id.text, find(each.id, record, "each.id", where), "each.id", where)
        name = id_
        if each.name is not None:
            name = key_text(each.name.text, find(each.name, record, "each.name", where), "each.name", where)
        if id_ in listed:
            raise VendorError("malformed", f"{where}: each.id ({each.id.text}) is that of an earlier record")
        listed[id_] = RemoteCustomer(id_, name)
    return list(listed.values())


def _only_of(customer: str, read: Sequence[Row], path: str) -> None:
    for position, row in enumerate(read, start=1):
        if row.customer != customer:
            raise VendorError("wrong_tenant", f"GET {path}, record {position} is another customer's")


def _answers(ask: Ask, counts: tuple[Count, ...] | None, proof: str) -> Iterator[Reading]:
    for query in ask.queries:
        yield _reading(ask.customer.id, query, counts, proof)


def _reading(customer: str, query: Query, counts: tuple[Count, ...] | None, proof: str) -> Reading:
    if query.measure != MEASURE or query.where:
        reason = f'An http_json connection cannot tell "{query}". Ask for measure "{MEASURE}", without filters.'
        return Reading(customer, query, State.UNKNOWN, code="unsupported", reason=reason)
    if counts is None:
        reason = f'No record names the customer "{customer}" ({proof}).'
        return Reading(customer, query, State.UNKNOWN, code="not_found", reason=reason)
    return Reading(customer, query, State.KNOWN, counts=counts, proof=proof)


def _explain(reply: Reply) -> tuple[str, str]:
    code, words = explain_plainly(reply)
    mend = _MENDS.get(reply.status)
    return code, f"{words}; {mend}" if mend else words
