"""What every connector promises of its writes: one effect for one posting, whatever happens to the request.

The cases are the operations that the connectors declare: one that is declared is tested, or this suite fails.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from contract_kit import ALL, BILLING, MOMENT, OFFERED, SLOW, Stage, stage
from contract_postings import posting, postings

from syncd.model import OWN_ACTIONS, Absent, Found, Moved, NotSent, Operation, Outcome, Receipt, Refused, Sight, Unknown
from syncd.sandbox.kit import FAULTS

# What the quick run leaves out: these differ from their neighbours by little.
NIGHTLY = ("slow", "redirect", "unavailable", "drop_before", "500_before")
SETTING = [kind for kind in BILLING if Operation.SET_QUANTITY in ALL[kind].abilities.operations]


def under_faults(*faults: str) -> list[object]:
    """(kind, fault, operation), for every operation that any kind declares."""
    return [
        pytest.param(kind, fault, operation, marks=[pytest.mark.slow] if fault in NIGHTLY else [])
        for fault in faults
        for kind, operation in OFFERED
    ]


@dataclass(frozen=True)
class Told:
    """What came of one posting. `done`: how often the double did it."""

    before: Sight
    outcome: Outcome
    done: int
    after: Sight


def wait_until(there: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for what another thread is about to do."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def aim(one: Stage, fault: str, method: str, path: str) -> None:
    """The fault strikes the next write of this address and nothing else."""
    one.double.fail(fault, method=method, path=re.escape(path.partition("?")[0].strip("/")) + "$", seconds=SLOW)


@functools.cache
def told(kind: str, fault: str) -> dict[Operation, Told]:
    """Every operation of a kind, sent once under one fault ("" is none)."""
    found = {}
    with stage(kind) as one:
        for operation, wanted in postings(one).items():
            wire = one.connection.wire(wanted)
            before = one.connection.find(wanted)
            one.settled()
            if fault:
                aim(one, fault, wire.method, wire.path)
            outcome = one.connection.send(wanted, wire)
            if fault == "slow":  # it lands after the client gave up: what a lost answer looks like
                wait_until(lambda: one.writes() == 1)
            found[operation] = Told(before, outcome, one.writes(), one.connection.find(wanted))
    return found


@pytest.mark.parametrize(("kind", "fault", "operation"), under_faults(""))
def test_a_posting_is_there_afterwards_and_was_not_before(kind: str, fault: str, operation: Operation) -> None:
    one = told(kind, fault)[operation]
    assert isinstance(one.before, Absent)
    assert isinstance(one.outcome, Receipt), one.outcome
    assert one.outcome.remote_id
    assert isinstance(one.after, Found)
    assert one.done == 1


@pytest.mark.parametrize(("kind", "fault", "operation"), under_faults(*FAULTS))
def test_an_outcome_never_lies(kind: str, fault: str, operation: Operation) -> None:
    """Receipt: done. Refused, NotSent: surely not. Unknown: either; and the look afterwards tells which."""
    one = told(kind, fault)[operation]
    assert isinstance(one.outcome, Receipt | Refused | NotSent | Unknown)
    assert one.done <= 1
    if isinstance(one.outcome, Receipt) and fault != "ignore":  # a vendor may answer as if it had; the look tells
        assert one.done == 1
    if isinstance(one.outcome, Refused | NotSent):
        assert one.done == 0
    if fault in ("drop_before", "drop_after", "500_before", "500_after", "html", "redirect", "truncate", "slow"):
        assert isinstance(one.outcome, Unknown), one.outcome
    assert isinstance(one.after, Found) == (one.done == 1)


@pytest.mark.parametrize(("kind", "fault", "operation"), under_faults("throttle"))
def test_a_throttled_write_is_not_sent_only_where_the_vendor_documents_it(
    kind: str, fault: str, operation: Operation
) -> None:
    harmless = ALL[kind].abilities.operations[operation].throttled_is_harmless
    assert isinstance(told(kind, fault)[operation].outcome, NotSent if harmless else Unknown)


@pytest.mark.parametrize("kind", BILLING)
def test_equal_postings_give_equal_bytes_and_no_other_connection_s(kind: str) -> None:
    with stage(kind) as one:
        made = postings(one)
        bytes_ = {operation: one.connection.wire(wanted) for operation, wanted in made.items()}
        for operation, wanted in made.items():
            again = replace(wanted, quantity=Decimal(f"{wanted.quantity}.00"))
            assert one.connection.wire(again) == bytes_[operation], operation
        assert one.writes() == 0


@pytest.mark.parametrize("kind", BILLING)
def test_a_server_that_is_not_there_was_not_reached(kind: str) -> None:
    with stage(kind) as one:
        ready = [(wanted, one.connection.wire(wanted)) for wanted in postings(one).values()]
        one.running.stop()
        for wanted, wire in ready:
            assert isinstance(one.connection.send(wanted, wire), NotSent), wanted.operation


@pytest.mark.parametrize(("kind", "operation"), OFFERED)
def test_the_mark_fits_where_it_is_declared_to_go(kind: str, operation: Operation) -> None:
    delivery = ALL[kind].abilities.operations[operation]
    assert bool(delivery.marker) == (delivery.vendor_class in ("M", "K", "U"))
    if not delivery.marker:
        return
    with stage(kind) as one:
        wanted = posting(one, operation)
        assert len(wanted.marker) <= delivery.marker_length
        assert wanted.marker.encode() in one.connection.wire(wanted).body + one.connection.wire(wanted).path.encode()


@pytest.mark.parametrize("kind", SETTING)
def test_a_quantity_that_somebody_else_changed_is_seen(kind: str) -> None:
    with stage(kind) as one:
        wanted = posting(one, Operation.SET_QUANTITY)
        rival = replace(wanted, quantity=wanted.quantity + 5)
        one.connection.send(rival, one.connection.wire(rival))

        assert isinstance(one.connection.find(wanted), Moved)


@pytest.mark.parametrize(
    ("kind", "operation"), [(kind, operation) for kind, operation in OFFERED if operation not in OWN_ACTIONS]
)
def test_what_cannot_be_posted_is_refused_before_it_is_tried(kind: str, operation: Operation) -> None:
    with stage(kind) as one:
        wanted = posting(one, operation)
        customers, products = one.customers(), one.connection.products()
        if "billed" in one.connector.abilities.reads:
            billings = list(one.connection.lines(customers, MOMENT))
            billing = next(found for found in billings if found.customer_id == wanted.customer_id)
            wrong = replace(wanted, agreement_id="999999")
        else:
            from syncd.model import Billing, State

            billing = Billing(wanted.customer_id, State.KNOWN)
            wrong = replace(wanted, product_id="999999")

        assert one.connection.refusal(wanted, billing, products, MOMENT) == ""
        assert "999999" in one.connection.refusal(wrong, billing, products, MOMENT)
        assert one.writes() == 0
