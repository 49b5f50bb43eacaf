"""Reads that lie while looking right (RELIABILITY, "Reads that lie"): no lie becomes a number that may move money.

A vendor whose protocol tells how much there is (a count, a page that must follow) sets `tells_totals` on its double and
is held to seeing half a list. One that tells nothing cannot see it, and leaves it to the fall of its total, which the
core judges. A double with `longest_page` and `shift` has its rows moved between the pages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from contract_kit import ALL, KINDS, MOMENT, Stage, stage
from contract_lies import Stale, between, blank, changed, emptied, halved, is_read, mixed_up, nulled
from contract_postings import posting

from syncd.connect.contract import Ask, Connection
from syncd.errors import VendorError
from syncd.model import Absent, Billing, Found, Moved, Operation, Query, Reading, RemoteCustomer, State

BILLED = [kind for kind in KINDS if "billed" in ALL[kind].abilities.reads]
BOOKED = [kind for kind in KINDS if "invoiced" in ALL[kind].abilities.reads]
SETTING = [kind for kind in KINDS if Operation.SET_QUANTITY in ALL[kind].abilities.operations]


Numbers = dict[tuple[str, str], Reading]


def queries(kind: str) -> tuple[Query, ...]:
    """One plain query for each measure that the kind counts."""
    return tuple(Query(name) for name in sorted(ALL[kind].abilities.measures))


def numbers(kind: str, connection: Connection, customers: Sequence[RemoteCustomer]) -> Numbers:
    """Whatever is read of these customers, by customer and measure; what raises is unknown, as the cycle makes it."""
    found: Numbers = {}
    if asked := queries(kind):
        with contextlib.suppress(VendorError):
            for reading in connection.counts([Ask(customer, asked) for customer in customers], MOMENT):
                found[reading.customer_id, reading.query.measure] = reading
    return found


def known(readings: Numbers) -> dict[tuple[str, str], dict[str, str]]:
    """The numbers that may move money."""
    return {
        which: {count.sku: str(count.quantity) for count in reading.counts}
        for which, reading in readings.items()
        if reading.state is State.KNOWN
    }


def billed(one: Stage, customers: list[Any]) -> dict[str, Billing]:
    found: dict[str, Billing] = {}
    with contextlib.suppress(VendorError):
        for billing in one.connection.lines(customers, MOMENT):
            found[billing.customer_id] = billing
    return found


def lines(billings: dict[str, Billing]) -> dict[str, dict[str, str]]:
    """The lines of every customer that was read whole."""
    return {
        id_: {line.id: str(line.quantity) for line in billing.lines}
        for id_, billing in billings.items()
        if billing.state is State.KNOWN
    }


def tells_totals(one: Stage) -> None:
    if not getattr(one.double, "tells_totals", False):
        pytest.skip(f"{one.connector.kind} tells no totals: half a list shows only in its sum")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", [blank, changed(nulled)], ids=["blank", "null"])
def test_an_answer_without_its_list_is_an_error_and_never_an_empty_list(kind: str, lie: Callable[..., Any]) -> None:
    with stage(kind) as one:
        customers = one.customers()
        with between(one.double, lie):
            with pytest.raises(VendorError) as failed:
                one.connection_anew().customers()
            assert failed.value.code in ("malformed", "incomplete", "unavailable")
            readings = numbers(kind, one.connection_anew(), customers).values()
        assert all(reading.state is not State.KNOWN for reading in readings)
        assert all(reading.reason for reading in readings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", [halved, emptied])
def test_half_a_list_is_seen_where_the_vendor_tells_how_much_there_is(kind: str, lie: Callable[[Any], Any]) -> None:
    with stage(kind) as one:
        tells_totals(one)
        customers = one.customers()
        calm, billings = (
            known(numbers(kind, one.connection, customers)),
            lines(billed(one, customers)) if kind in BILLED else {},
        )
        assert calm or billings or kind in BOOKED
        with between(one.double, changed(lie)):
            again = one.connection_anew()
            try:
                shown = {customer.id for customer in again.customers()}
            except VendorError:
                shown = {customer.id for customer in customers}
            readings = numbers(kind, again, customers)
            one.connection = again
            standing = lines(billed(one, customers)) if billings else {}
        assert shown == {customer.id for customer in customers}
        assert all(told == calm[which] for which, told in known(readings).items())
        assert all(told == billings[id_] for id_, told in standing.items())


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_move_between_pages_are_neither_lost_nor_doubled(kind: str) -> None:
    with stage(kind) as one:
        shift: Callable[[], None] | None = getattr(one.double, "shift", None)
        if shift is None or not hasattr(one.double, "longest_page"):
            pytest.skip(f"the double of {kind} has no pages to shift")
        there = {customer.id for customer in one.customers()}
        one.double.longest_page = 1
        left = [True] * 4

        def shifting(request: Any, fault: str, honest: Any) -> Any:
            response = honest(request, fault)
            if is_read(request) and left:
                left.pop()
                shift()
            return response

        with between(one.double, shifting):
            shown = [customer.id for customer in one.connection_anew().customers()]
        assert left == []
        assert len(shown) == len(set(shown))
        assert there <= set(shown)


@pytest.mark.parametrize("kind", KINDS)
def test_another_tenants_answer_is_not_taken_for_this_ones(kind: str) -> None:
    with stage(kind) as one:
        customers = one.customers()
        calm, billings = (
            known(numbers(kind, one.connection, customers)),
            lines(billed(one, customers)) if kind in BILLED else {},
        )
        asked, served = customers[0], customers[1]
        with between(one.double, mixed_up(asked.id, served.id)):
            one.connection = one.connection_anew()
            readings = known(numbers(kind, one.connection, [asked]))
            standing = lines(billed(one, [asked])) if kind in BILLED else {}
        for which, told in readings.items():
            assert told == calm[which], "the other tenant's numbers were believed"
        assert all(told == billings[id_] for id_, told in standing.items())


@pytest.mark.parametrize("kind", SETTING)
def test_a_stale_read_after_an_own_write_is_never_taken_for_somebody_elses(kind: str) -> None:
    with stage(kind) as one:
        wanted = posting(one, Operation.SET_QUANTITY)
        wire = one.connection.wire(wanted)
        stale = Stale()
        with between(one.double, stale):
            assert isinstance(one.connection.find(wanted), Absent)
            one.connection.send(wanted, wire)
            assert isinstance(one.connection.find(wanted), Absent)  # as before; not Moved, not Found
            assert stale.served
            stale.over = True
            assert isinstance(one.connection.find(wanted), Found)
        assert not isinstance(one.connection.find(wanted), Moved)


@pytest.mark.parametrize("kind", BOOKED)
def test_what_was_invoiced_is_never_zero_because_it_could_not_be_read(kind: str) -> None:
    with stage(kind) as one:
        asks = [Ask(customer, (Query("invoiced"),)) for customer in one.customers()]
        with between(one.double, blank):
            try:
                readings = list(one.connection_anew().booked(asks, MOMENT))
            except VendorError:
                readings = []
        assert all(reading.state is not State.KNOWN for reading in readings)
