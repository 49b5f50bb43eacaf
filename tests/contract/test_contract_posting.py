"""What every billing connector promises of its writes: one effect for one posting, whatever happens to the request."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from contract_kit import BILLING, MOMENT, TODAY, Stage, stage

from syncd.core import keys
from syncd.model import Absent, Found, Moved, NotSent, Operation, Posting, Receipt, Refused, Unknown
from syncd.sandbox.kit import FAULTS

CASES = [(kind, operation) for kind in BILLING for operation in Operation]


def posting(one: Stage, operation: Operation) -> Posting:
    """A posting of this operation that the double accepts, made from what was read."""
    if operation not in one.connector.abilities.operations:
        pytest.skip(f"{one.connector.kind} does not offer {operation}")
    customers = {customer.id: customer for customer in one.connection.customers()}
    products = {product.id: product for product in one.connection.products() if not product.obstacle}
    billings = [billing for billing in one.connection.lines(list(customers.values()), MOMENT) if billing.lines]
    line = next(line for line in billings[0].lines if not line.once and not line.obstacle and line.unit_price)
    key = keys.key("TESTTEST", operation, f"test:{line.id}", str(MOMENT.period), 0)
    free = next(id_ for id_ in products if id_ not in {line.product_id for line in billings[0].lines})
    made = Posting(
        operation=operation,
        key=key,
        marker=keys.marker("TESTTEST", key),
        customer_id=line.customer_id,
        quantity=Decimal(2),
        agreement_id=line.agreement_id,
        product_id=line.product_id,
        product=line.product,
        unit_price=line.unit_price,
        unit_cost=line.unit_cost,
        currency="USD",
        starts=TODAY,
        ends=MOMENT.period.last,
        period=str(MOMENT.period),
        description="2 seats added",
    )
    match operation:
        case Operation.SET_QUANTITY:
            return replace(
                made, line_id=line.id, quantity=line.quantity + 1, before=line.quantity, version=line.version
            )
        case Operation.END_LINE:
            return replace(
                made, line_id=line.id, quantity=Decimal(0), before=line.quantity, ends=TODAY, version=line.version
            )
        case Operation.ADD_LINE:
            return replace(made, product_id=free, product=products[free].identifier, ends=None)
        case _:
            assert line.unit_price is not None
            return replace(made, amount=line.unit_price * 2)


def wait_until(there: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for what another thread is about to do."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_a_posting_is_there_afterwards_and_was_not_before(kind: str, operation: Operation) -> None:
    with stage(kind) as one:
        wanted = posting(one, operation)

        assert isinstance(one.connection.find(wanted), Absent)
        outcome = one.connection.send(wanted, one.connection.wire(wanted))
        assert isinstance(outcome, Receipt), outcome
        assert isinstance(one.connection.find(wanted), Found)
        assert one.writes() == 1


@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_equal_postings_give_equal_bytes(kind: str, operation: Operation) -> None:
    with stage(kind) as one:
        wanted = posting(one, operation)
        again = replace(wanted, quantity=Decimal(f"{wanted.quantity}.00"))

        assert one.connection.wire(wanted) == one.connection.wire(again)


@pytest.mark.parametrize(("kind", "operation"), CASES)
@pytest.mark.parametrize("fault", FAULTS)
def test_an_outcome_never_lies(kind: str, operation: Operation, fault: str) -> None:
    """Receipt: done. Refused, NotSent: surely not. Unknown: either; and the look afterwards tells which."""
    with stage(kind) as one:
        wanted = posting(one, operation)
        wire = one.connection.wire(wanted)
        one.double.fail(fault, method=wire.method, seconds=1.3)

        outcome = one.connection.send(wanted, wire)
        if fault == "slow":  # it lands after the client gave up: what a lost answer looks like
            assert isinstance(outcome, Unknown)
            wait_until(lambda: one.writes() == 1)
        done = one.writes()

        assert isinstance(outcome, Receipt | Refused | NotSent | Unknown)
        assert done <= 1
        if isinstance(outcome, Receipt) and fault != "ignore":  # a vendor may answer as if it had; the look tells
            assert done == 1
        if isinstance(outcome, Refused | NotSent):
            assert done == 0
        sight = one.connection.find(wanted)
        assert isinstance(sight, Found) == (done == 1)


@pytest.mark.parametrize(("kind", "operation"), CASES)
def test_a_server_that_is_not_there_was_not_reached(kind: str, operation: Operation) -> None:
    with stage(kind) as one:
        wanted = posting(one, operation)
        wire = one.connection.wire(wanted)
        one.running.stop()

        assert isinstance(one.connection.send(wanted, wire), NotSent)


@pytest.mark.parametrize("kind", BILLING)
def test_a_quantity_that_somebody_else_changed_is_seen(kind: str) -> None:
    with stage(kind) as one:
        wanted = posting(one, Operation.SET_QUANTITY)
        rival = replace(wanted, quantity=wanted.quantity + 5)
        one.connection.send(rival, one.connection.wire(rival))

        assert isinstance(one.connection.find(wanted), Moved)


@pytest.mark.parametrize("kind", BILLING)
def test_what_cannot_be_posted_is_refused_before_it_is_tried(kind: str) -> None:
    with stage(kind) as one:
        wanted = replace(posting(one, Operation.SET_QUANTITY), agreement_id="999999")
        customers = one.connection.customers()
        products = one.connection.products()
        billing = next(
            found for found in one.connection.lines(customers, MOMENT) if found.customer_id == wanted.customer_id
        )

        reason = one.connection.refusal(wanted, billing, products, MOMENT)

        assert "999999" in reason
