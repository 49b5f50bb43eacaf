"""One posting for each operation that a connector declares, made from what was read through it.

A double may amend it: `sample(posting) -> Posting` returns the posting with what only this vendor needs (an option, a
meter's name). Tickets go onto the board "Billing", which every double that takes tickets has.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from contract_kit import MOMENT, TODAY, Stage, declared

from syncd.core import keys
from syncd.model import OWN_ACTIONS, BilledLine, Operation, Posting, Product, Receipt

INSTALLATION = "TESTTEST"
BOARD = "Billing"
ON_A_LINE = frozenset({Operation.SET_QUANTITY, Operation.END_LINE, Operation.CHANGE_PLAN})


def postings(one: Stage) -> dict[Operation, Posting]:
    """One of each, side by side: no two move the same record. What it takes to make them is not counted."""
    made = {operation: posting(one, operation) for operation in sorted(one.connector.abilities.operations)}
    one.settled()
    return made


def posting(one: Stage, operation: Operation, generation: int = 0) -> Posting:
    """A posting of this operation that the double accepts."""
    if operation not in one.connector.abilities.operations:
        raise ValueError(f"{one.connector.kind} does not offer {operation}")
    made = _ticket(one, operation, generation) if operation in OWN_ACTIONS else _billing(one, operation, generation)
    amend = declared(one.double, "sample")
    amended: Posting = amend(made) if amend else made
    one.settled()
    return amended


def _named(operation: Operation, what: str, generation: int, customer_id: str) -> Posting:
    key = keys.key(INSTALLATION, operation, f"test:{what}", str(MOMENT.period), generation)
    return Posting(
        operation=operation,
        key=key,
        marker=keys.marker(INSTALLATION, key),
        customer_id=customer_id,
        quantity=Decimal(2),
        currency="USD",
        starts=TODAY,
        ends=MOMENT.period.last,
        period=str(MOMENT.period),
        description="2 seats added",
    )


def _ticket(one: Stage, operation: Operation, generation: int) -> Posting:
    customer = one.customers()[0]
    made = replace(
        _named(operation, "ticket", generation, customer.id),
        quantity=Decimal(0),
        starts=None,
        ends=None,
        description="2 seats leak.\nApprove them, or change the rule.",
        options={"board": BOARD, "summary": "2 seats are not billed"},
    )
    if operation == Operation.OPEN_TICKET:
        return made
    opening = posting(one, Operation.OPEN_TICKET, generation + (100 if operation == Operation.NOTE_TICKET else 200))
    opened = one.connection.send(opening, one.connection.wire(opening))
    assert isinstance(opened, Receipt), opened
    return replace(made, line_id=opened.remote_id)


def _billing(one: Stage, operation: Operation, generation: int) -> Posting:
    products = [product for product in one.connection.products() if not product.obstacle]
    if "billed" not in one.connector.abilities.reads:
        return _booked(one, operation, generation, products)
    lines = [line for found in one.connection.lines(one.customers(), MOMENT) for line in found.lines]
    recurring = [line for line in lines if not line.once and not line.obstacle and line.unit_price]
    # Operations on a standing line each take one of their own.
    line = recurring[-1 if operation == Operation.END_LINE else 0]
    free = next(one for one in products if one.id not in {other.product_id for other in _beside(lines, line)})
    made = replace(
        _named(operation, line.id, generation, line.customer_id),
        agreement_id=line.agreement_id,
        product_id=line.product_id,
        product=line.product,
        unit_price=line.unit_price,
        unit_cost=line.unit_cost,
    )
    assert line.unit_price is not None
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
            return replace(made, product_id=free.id, product=free.identifier, ends=None)
        case Operation.CHANGE_PLAN:
            return replace(
                made, line_id=line.id, product_id=free.id, product=free.identifier, before=line.quantity,
                version=line.version,
            )  # fmt: skip
        case _:
            return replace(made, amount=line.unit_price * 2)


def _beside(lines: list[BilledLine], line: BilledLine) -> list[BilledLine]:
    return [other for other in lines if other.agreement_id == line.agreement_id]


def _booked(one: Stage, operation: Operation, generation: int, products: list[Product]) -> Posting:
    """A document in the books: the customer and the product are all that there is."""
    product = products[0]
    price = product.unit_price or Decimal("14.00")
    return replace(
        _named(operation, product.id, generation, one.customers()[0].id),
        product_id=product.id,
        product=product.identifier,
        unit_price=price,
        amount=price * 2,
    )
