"""What a cycle must remember for rules that bill in arrears, and what it must recall.

A reading is kept when it changes, so that a day without a change looks like the day before. That holds only where the
source was asked: what it was not asked for (a customer that is gone, a rule that was taken out) is written down as no
longer known. What happened in a period (hours, tickets) is asked for again when the period is over: people enter it
late.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import structlog

from syncd.connect.contract import Ask
from syncd.core.entries import Observation, Past
from syncd.core.evidence import keep_reading, keep_silence
from syncd.core.resolve import ReadError
from syncd.core.rules import CountRef, House, Mappings
from syncd.core.sources import TRACE
from syncd.core.trails import Again, asked_again, followed
from syncd.cycle.connections import Opened
from syncd.cycle.reading import Evidence, Readings
from syncd.errors import UserFault, VendorError
from syncd.ledger import Ledger
from syncd.model import Moment, Query, Reading, RemoteCustomer, State
from syncd.periods import Period

log = structlog.get_logger()


def recalled(
    past: Past,
    seen: Readings,
    ledger: Ledger,
    opened: Mapping[str, Opened],
    mappings: Mappings,
    house: House,
    moment: Moment,
    evidence: Evidence,
) -> tuple[Past, Readings]:
    """The past with the days that the plan needs, and what was seen with what was read again for closed periods; both
    the same where no rule bills in arrears."""
    wanted = followed(mappings, seen.resolution, seen.views, moment)
    if not wanted:
        return past, seen

    def of_period(ref: CountRef) -> bool:
        one = opened.get(ref.connection)
        measure = one.abilities.measures.get(ref.measure) if one else None
        return measure is not None and measure.of_period

    again: dict[tuple[str, str, str], Reading] = {}
    kept: list[Observation] = []
    errors: list[ReadError] = []
    whom = {(name, one.id): customer for (customer, name), found in seen.resolution.items() for one in found}
    for (name, period), asks in _asks(asked_again(mappings, seen.resolution, seen.views, house, moment, of_period)):
        listed = {one.id: one for one in seen.views[name].customers or ()}
        for reading in _read(opened[name], asks, listed, replace(moment, today=period.last, period=period)):
            what = f"{reading.query} of {period}"
            slim, one = keep_reading(name, reading, subjects=evidence.subjects, salt=evidence.salt, names=False)
            again[name, reading.customer_id, what] = slim
            kept.append(replace(one, what=what))
            if reading.state is not State.KNOWN:
                customer = whom.get((name, reading.customer_id), reading.customer_id)
                errors.append(ReadError(name, customer, reading.code or "unavailable", f"{period}: {reading.reason}"))
    past = replace(past, tracks=ledger.tracks(wanted), again=again)
    return past, replace(seen, errors=(*seen.errors, *errors), observations=(*seen.observations, *kept))


def _asks(wanted: Collection[Again]) -> Iterator[tuple[tuple[str, Period], dict[str, tuple[Query, ...]]]]:
    """By connection and period: customer's id -> its queries."""
    grouped: dict[tuple[str, Period], dict[str, list[Query]]] = defaultdict(lambda: defaultdict(list))
    for one in wanted:
        grouped[one.connection, one.period][one.customer_id].append(one.query)
    for key, asks in grouped.items():
        yield key, {customer: tuple(queries) for customer, queries in asks.items()}


def _read(
    one: Opened, asks: Mapping[str, tuple[Query, ...]], listed: Mapping[str, RemoteCustomer], moment: Moment
) -> Iterator[Reading]:
    """Every answer; what failed is UNKNOWN with its reason. One customer spoils no other where the source can be asked
    customer by customer."""
    alone = [[customer] for customer in asks]
    for batch in alone if one.abilities.per_customer else [list(asks)]:
        missing = {(customer, query): None for customer in batch for query in asks[customer]}
        error = VendorError("unavailable", f"{one.name} gave no answer")
        try:
            wanted = [Ask(listed[customer], asks[customer]) for customer in batch]
            for reading in one.connection.counts(wanted, moment):
                if (reading.customer_id, reading.query) in missing:
                    del missing[reading.customer_id, reading.query]
                    yield reading
        except VendorError as failure:
            error = failure
        except UserFault as fault:  # a secret that can no longer be read, say
            error = VendorError("unauthorized", str(fault))
        except Exception as bug:  # a bulkhead: one connector's fault is not the end of the others
            log.exception("connector_failed", connection=one.name)
            error = VendorError("malformed", f"the connector failed on an answer ({type(bug).__name__}); see the log")
        for customer, query in missing:
            yield Reading(customer, query, State.UNKNOWN, code=error.code, reason=str(error))


def silent(seen: Readings, past: Past, fresh: Collection[str]) -> Iterator[Observation]:
    """For every reading that was once whole and was not asked for now, of sources that were read well."""
    for connection in fresh:
        view = seen.views.get(connection)
        if view is None:
            continue
        asked = {(customer_id, str(query)) for customer_id, query in view.readings}
        for customer_id, known in past.customers.get(connection, {}).items():
            for query in known.totals:
                if not query.startswith(TRACE) and (customer_id, query) not in asked:
                    yield keep_silence(connection, customer_id, query)
