"""What a double must know beside its vendor's ways so that a rehearsal can post into it: be filled, and be counted.

`syncd rehearse` fills the double with what was really read, and afterwards asks it how often each change was made. A
vendor's double that has both functions is a stand-in; one that has not is for demos and tests alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeGuard

from syncd.model import Billing, Posting, Product, RemoteCustomer
from syncd.sandbox.kit import Double


class StandIn(Protocol):
    """A double that can take the place of one real account."""

    settings: Mapping[str, str]

    def fill(
        self, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
    ) -> None:
        """Forgets all records and holds these, under their real ids, as if they had always been there.

        `billings` were read whole. `settings` says afterwards how the connection must be set to read the records back
        as they were given (where marks stand, how periods are invoiced); whatever cannot be kept reads back otherwise,
        and the rehearsal leaves such customers out and says so. Takes off every limit of requests.
        """

    def times(self, posting: Posting) -> int:
        """How often the change that this posting asks for was made since `fill`: the double's own count of effects."""


def is_stand_in(double: Double) -> TypeGuard[StandIn]:
    """Whether a double can be filled and counted."""
    return callable(getattr(double, "fill", None)) and callable(getattr(double, "times", None))


def fill(
    double: Double, customers: Sequence[RemoteCustomer], products: Sequence[Product], billings: Iterable[Billing]
) -> None:
    """Fills a stand-in, and lets its record begin anew."""
    assert is_stand_in(double), f"the double of {double.kind} cannot be filled"
    double.fill(customers, products, billings)


def times(double: Double, posting: Posting) -> int:
    """How often a stand-in made the change of this posting."""
    assert is_stand_in(double), f"the double of {double.kind} cannot be counted"
    return double.times(posting)
