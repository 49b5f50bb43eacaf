"""How near a count is to where its price changes (`notify`): nobody is surprised by a bill. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from syncd.core.pricing import Price, bounds
from syncd.money import plain


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound of the price that `quantity` has come near to, or gone past. `percent`: the highest of the rule's
    `notify` that is reached."""

    quantity: Decimal
    bound: Decimal
    percent: Decimal

    @property
    def passed(self) -> bool:
        """Whether units beyond the bound are charged already."""
        return self.quantity > self.bound

    @property
    def finding(self) -> str:
        """`threshold 80% of 50`"""
        return f"threshold {plain(self.percent)}% of {plain(self.bound)}"

    def __str__(self) -> str:
        if self.passed:
            return f"{plain(self.quantity)}, past {plain(self.bound)}, after which the price changes"
        share = (self.quantity * 100 / self.bound).quantize(Decimal(1), rounding=ROUND_FLOOR)
        return f"{plain(self.quantity)}, {plain(share)}% of the {plain(self.bound)} after which the price changes"


def threshold(
    price: Price | None, notify: Sequence[Decimal], quantity: Decimal, before: Decimal | None
) -> Threshold | None:
    """The bound that is to be told of: the next one, where enough of it is reached; else the highest one that was
    passed since `before`, the quantity that was billed last. One that was passed long ago is no news."""
    if price is None or not notify:
        return None
    at = bounds(price.model)
    ahead = min((bound for bound in at if quantity <= bound), default=None)
    if ahead:
        reached = [percent for percent in notify if quantity * 100 >= percent * ahead]
        if reached:
            return Threshold(quantity, ahead, max(reached))
    behind = max((bound for bound in at if before is not None and before <= bound < quantity), default=None)
    told = [percent for percent in notify if behind and quantity * 100 >= percent * behind]
    return Threshold(quantity, behind, max(told)) if behind and told else None
