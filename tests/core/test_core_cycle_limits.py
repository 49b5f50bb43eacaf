"""What one cycle may do at most: `max_postings` and `max_amount`, at their edges."""

from __future__ import annotations

from typing import Any

import pytest
from core_kit import (
    World,
    agreement,
    billing,
    count,
    customer,
    line,
    product,
    reading,
    units,
    world,
)

from syncd.model import RemoteCustomer

D = units


def many(customers: int, **safety: Any) -> World:
    found = world(27, 25, safety=safety)
    numbers = range(1, customers + 1)
    return found.but(
        customers=tuple(customer(f"C{n}", m365=f"t{n}", cw=f"c{n}") for n in numbers),
        listed={
            "m365": tuple(RemoteCustomer(f"t{n}", f"T{n}") for n in numbers),
            "cw": tuple(RemoteCustomer(f"c{n}", f"K{n}") for n in numbers),
        },
        readings={"m365": tuple(reading(f"t{n}", count("SPB", 27)) for n in numbers)},
        billings=tuple(
            billing(line(25, f"l{n}", customer_id=f"c{n}", agreement_id=f"a{n}"), id_=f"c{n}",
                    agreements=(agreement(f"a{n}", customer_id=f"c{n}"),))
            for n in numbers
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "posted", "rest"),
    [
        ({"max_postings": 0}, 0, ("defer", ("max_postings",))),
        ({"max_postings": 2}, 2, ("defer", ("max_postings",))),
        ({"max_postings": 3}, 3, None),
        ({"max_postings": 4}, 3, None),
        ({"max_amount": D(0)}, 0, ("hold", ("max_amount",))),
        ({"max_amount": D("79.99")}, 1, ("hold", ("max_amount",))),
        ({"max_amount": D(80)}, 2, ("hold", ("max_amount",))),
        ({"max_amount": D("80.01")}, 2, ("hold", ("max_amount",))),
        ({"max_amount": D(120)}, 3, None),
    ],
)
def test_a_cycles_limits(limits: dict[str, Any], posted: int, rest: tuple[str, tuple[str, ...]] | None) -> None:
    """Each of three customers moves 40.00."""
    made = many(3, **limits).plan()

    assert [(one.action, one.guards) for one in made.lines] == [("post", ())] * posted + [rest] * (3 - posted)
    assert made.guarded is (rest is not None)


def test_max_amount_counts_only_known_prices_and_only_what_is_posted() -> None:
    found = world(27, 25, safety={"max_amount": D(1)}).but(
        billings=(billing(line(25, unit_price=None)),), products=(product(),)
    )

    assert found.one_line().action == "post"
    assert world(27, 25, increase="ignore", safety={"max_amount": D(1)}).one_line().action == "ignore"
