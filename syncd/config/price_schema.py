"""The price models of INTERFACE 3.3: every key with its type, its description and an example, and the way to the core.

Owns their shape. `plan` and `outcome` are validated and told "not available yet", so that the day they are available no
rule turns out to be wrong. A unit price may be left out where a markup on the vendor's cost stands in for it; a price
never has both for one unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import pairwise
from typing import Self

from pydantic import Field, model_validator

from syncd.config.mapping_schema import Positive
from syncd.config.schema import Currency
from syncd.config.values import Number, Percent, Quantity, Table, Text
from syncd.core.pricing import Commit, Graduated, Model, Package, Price, Tier, Unit, Volume
from syncd.money import ZERO, plain


class PriceTable(Table):
    """What every price model accepts."""

    model: str = Field(description="The price model.", examples=["graduated"])
    minimum_amount: Quantity | None = Field(None, description="Never charge less.", examples=[50])
    maximum_amount: Quantity | None = Field(None, description="Never charge more.", examples=[5000])
    markup: Percent | None = Field(
        None, description="On the vendor's cost, where a unit price is left out.", examples=["15%"]
    )
    currency: Currency | None = Field(
        None, description="What the numbers are in; the house's currency where left out.", examples=["USD"]
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        low, high = self.minimum_amount, self.maximum_amount
        if low is not None and high is not None and low > high:
            raise ValueError(f"has a minimum_amount of {plain(low)}, above its maximum_amount of {plain(high)}")
        return self

    def _one_of(self, units: Iterable[Decimal | None], example: str) -> None:
        """Raises ValueError unless each unit has a price or a markup, and none has both."""
        given = [unit is not None for unit in units]
        if self.markup is None and not all(given):
            raise ValueError(f"needs {example}, or a markup on the vendor's cost")
        if self.markup is not None and all(given):
            raise ValueError("has a markup and unit prices: the markup is used where a unit price is left out")

    def model_of(self) -> Model | None:
        """The core's model; None for those that this version does not price with."""
        return None

    def price(self) -> Price | None:
        """The core's price; None for models that this version does not have."""
        model = self.model_of()
        if model is None:
            return None
        return Price(model, self.minimum_amount, self.maximum_amount, self.markup, self.currency or "")


class UnitPrice(PriceTable):
    """`unit`"""

    unit: Quantity | None = Field(None, description="Price of one.", examples=[12])

    @model_validator(mode="after")
    def _priced(self) -> UnitPrice:
        self._one_of([self.unit], "unit = 12.00")
        return self

    def model_of(self) -> Model:
        """Each unit at one price."""
        return Unit(self.unit)


class TierTable(Table):
    """One tier. `up_to` is inclusive."""

    up_to: Positive | None = Field(
        None, description="The last unit of this tier; none for the last one.", examples=[10]
    )
    unit: Quantity | None = Field(
        None, description="Price of one; the vendor's cost with the price's markup where left out.", examples=[12]
    )
    flat: Quantity = Field(ZERO, description="Charged once the tier is entered.", examples=[0])


def rising(bounds: list[Decimal | None]) -> None:
    """Raises ValueError unless the bounds rise and only the last is open."""
    closed = [bound for bound in bounds[:-1] if bound is not None]
    if len(closed) < len(bounds) - 1:
        raise ValueError("leaves up_to out before the last one")
    known = [*closed, *(bound for bound in bounds[-1:] if bound is not None)]
    if any(later <= earlier for earlier, later in pairwise(known)):
        raise ValueError("has bounds (up_to) that do not rise")


class TieredPrice(PriceTable):
    """`graduated` and `volume`"""

    tiers: list[TierTable] = Field(
        min_length=1, description="From the first unit up.", examples=[[{"up_to": 10, "unit": 12}, {"unit": 9}]]
    )

    @model_validator(mode="after")
    def _rising(self) -> TieredPrice:
        rising([tier.up_to for tier in self.tiers])
        self._one_of([tier.unit for tier in self.tiers], "a unit in every tier, like { up_to = 10, unit = 12.00 }")
        return self

    def model_of(self) -> Model:
        """All units at one tier's price, or each at its own."""
        tiers = tuple(Tier(tier.up_to, tier.unit, tier.flat) for tier in self.tiers)
        return Volume(tiers) if self.model == "volume" else Graduated(tiers)


class PackagePrice(PriceTable):
    """`package`"""

    size: Positive = Field(description="Units in a package.", examples=[10])
    unit: Quantity = Field(description="Price of each package begun.", examples=[99])

    @model_validator(mode="after")
    def _priced(self) -> PackagePrice:
        if self.markup is not None:
            raise ValueError("has a markup: a package has a price of its own, unit")
        return self

    def model_of(self) -> Model:
        """So much for each package."""
        return Package(self.size, self.unit)


class CommitPrice(PriceTable):
    """`commit`"""

    commit: Quantity = Field(description="Units that are always charged.", examples=[50])
    unit: Quantity | None = Field(
        None, description="Price of one of them; the vendor's cost with the markup where left out.", examples=[10]
    )
    burst: Quantity | None = Field(
        None, description="Price of one above; the vendor's cost with the markup where left out.", examples=[14]
    )

    @model_validator(mode="after")
    def _priced(self) -> CommitPrice:
        self._one_of([self.unit, self.burst], "unit = 10.00 and burst = 14.00")
        return self

    def model_of(self) -> Model:
        """So many always, the rest at the burst price."""
        return Commit(self.commit, self.unit, self.burst)


class PlanStep(Table):
    """One plan that a count can pick."""

    up_to: Positive | None = Field(None, description="The last count of this plan; none for the last.", examples=[10])
    product: Text | None = Field(None, description="The plan's product.", examples=["PLAN-S"])
    agreement: Text | None = Field(None, description="The plan's agreement.", examples=["Plan S"])


class PlanPrice(PriceTable):
    """`plan`"""

    plans: list[PlanStep] = Field(
        min_length=1,
        description="From the smallest plan up.",
        examples=[[{"up_to": 10, "product": "PLAN-S"}, {"product": "PLAN-L"}]],
    )
    dwell: int | None = Field(None, ge=1, description="Periods before a plan changes.", examples=[2])
    band: Percent | None = Field(None, description="How far a bound must be passed.", examples=["5%"])

    @model_validator(mode="after")
    def _rising(self) -> PlanPrice:
        rising([plan.up_to for plan in self.plans])
        return self


class OutcomeStep(Table):
    """One step of an outcome."""

    at_least: Number | None = Field(None, description="The metric; none for the last step.", examples=[99])
    amount: Number = Field(description="What is charged, or credited where negative.", examples=[500])


class OutcomePrice(PriceTable):
    """`outcome`"""

    steps: list[OutcomeStep] = Field(
        min_length=1, description="From the best down.", examples=[[{"at_least": 99, "amount": 500}, {"amount": 0}]]
    )


PRICE_MODELS: dict[str, type[PriceTable]] = {
    "unit": UnitPrice,
    "graduated": TieredPrice,
    "volume": TieredPrice,
    "package": PackagePrice,
    "commit": CommitPrice,
    "plan": PlanPrice,
    "outcome": OutcomePrice,
}
# Their shape is judged; nothing prices by them in this version.
LATER_MODELS = ("plan", "outcome")
