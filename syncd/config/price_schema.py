"""The price models of INTERFACE 3.3: every key with its type, its description and an example.

Owns their shape. Nothing in this version prices a count, so a rule with a price is told "not available yet"; it is
validated all the same, so that the day it is available no rule turns out to be wrong.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from pydantic import Field, model_validator

from syncd.config.mapping_schema import Positive
from syncd.config.values import Number, Percent, Quantity, Table, Text
from syncd.money import ZERO


class PriceTable(Table):
    """What every price model accepts."""

    model: str = Field(description="The price model.", examples=["graduated"])
    minimum_amount: Quantity | None = Field(None, description="Never charge less.", examples=[50])
    maximum_amount: Quantity | None = Field(None, description="Never charge more.", examples=[5000])
    markup: Percent | None = Field(None, description="On the vendor's cost.", examples=["15%"])


class UnitPrice(PriceTable):
    """`unit`"""

    unit: Quantity | None = Field(None, description="Price of one.", examples=[12])

    @model_validator(mode="after")
    def _priced(self) -> UnitPrice:
        if self.unit is None and self.markup is None:
            raise ValueError("needs unit = 12.00, or a markup on the vendor's cost")
        return self


class TierTable(Table):
    """One tier. `up_to` is inclusive."""

    up_to: Positive | None = Field(
        None, description="The last unit of this tier; none for the last one.", examples=[10]
    )
    unit: Quantity = Field(description="Price of one.", examples=[12])
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
        return self


class PackagePrice(PriceTable):
    """`package`"""

    size: Positive = Field(description="Units in a package.", examples=[10])
    unit: Quantity = Field(description="Price of each package begun.", examples=[99])


class CommitPrice(PriceTable):
    """`commit`"""

    commit: Quantity = Field(description="Units that are always charged.", examples=[50])
    unit: Quantity = Field(description="Price of one of them.", examples=[10])
    burst: Quantity = Field(description="Price of one above.", examples=[14])


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
