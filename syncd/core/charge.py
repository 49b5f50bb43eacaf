"""What a dated line costs where the rule owns the price: the difference between two whole prices, with its steps.

So the increments of a period sum to the price of the whole, whatever the tiers. What cannot be charged is told as a
sentence and never guessed. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from syncd.core.counting import Counted, Step
from syncd.core.findings import Number
from syncd.core.pricing import Commit, Price, Priced, PriceStep, Unpriced, amount_of, shown
from syncd.model import Product
from syncd.money import ZERO, plain, plain_money, round_money


@dataclass(frozen=True, slots=True)
class Cost:
    """What the vendor takes for one unit. `problem`: why it is not known, as a sentence."""

    unit: Decimal | None = None
    currency: str = ""
    problem: str = ""


NO_COST = Cost()


@dataclass(frozen=True, slots=True)
class Charge:
    """The money between two quantities of one period. `amount` is signed, in whole minor units of the currency;
    `whole` is the price of the second quantity, `before` the money of the first."""

    amount: Decimal
    before: Decimal
    whole: Priced

    def unit(self, quantity: Decimal) -> Decimal | None:
        """The price of one of `quantity` units where it is in whole minor units; else None: then it is one unit at the
        whole amount."""
        if quantity <= 0:
            return None
        each = round_money(abs(self.amount) / quantity, self.whole.currency)
        return each if each * quantity == abs(self.amount) else None

    @property
    def text(self) -> str:
        """`10 × 12.00, flat fee of tier 1 20.00, 17 × 10.50: 318.50; 120.00 of it charged before`"""
        return f"{', '.join(_step(step, self.whole.currency) for step in self.whole.steps)}: {self.brief}"

    @property
    def brief(self) -> str:
        """`318.50; 120.00 of it charged before`"""
        told = plain_money(self.whole.amount, self.whole.currency)
        return f"{told}; {plain_money(self.before, self.whole.currency)} of it charged before" if self.before else told


def charge(
    price: Price, before: Decimal, to: Decimal, *, currency: str, house: str, cost: Cost, started: bool, used: Decimal,
    paid: Decimal | None = None,
) -> Charge:  # fmt: skip
    """From `before` to `to` units. `started`: something of the period is charged already, so that its fees are, too.
    `currency`: what the agreement bills in; `house`: what a price without a currency is in. `used`: what `to` stands
    for, before `least` lifted it. `paid`: what was charged for all of `before`, where that is known: a fee that was due
    without any use stands as a unit, and is not the price of one; and where the price moved since, a fall takes back
    what was charged for those units, not what they would cost today.

    Raises Unpriced, with a sentence, also where more units would cost less money: such a line cannot be written.
    """
    told = price.currency or house
    if told != currency:
        raise Unpriced(f"the rule's price is in {told}, and the agreement bills in {currency}: set `currency` in it")
    unit = unit_cost(price, told, cost)
    whole = amount_of(price, used if to == least(price, used, told, unit) else to, told, unit)
    stood = amount_of(price, before, told, unit).amount if started else ZERO
    if (
        started
        and before == least(price, ZERO, told, unit)
        and paid == (fee := amount_of(price, ZERO, told, unit).amount)
    ):
        stood = fee
    if paid and to < before and paid != stood:
        return _returned(before, to, paid, told)
    moved = whole.amount - stood
    if moved and (moved > 0) != (to > before):
        raise Unpriced(
            f"{plain(to)} units cost {plain_money(whole.amount, told)} and {plain(before)} cost "
            f"{plain_money(stood, told)}: one line cannot say both; charge the difference by hand"
        )
    return Charge(moved, stood, whole)


def _returned(before: Decimal, to: Decimal, paid: Decimal, currency: str) -> Charge:
    """A fall after the price moved: the same share of the money as of the units."""
    back = round_money(paid * (before - to) / before, currency)
    step = PriceStep(f"{plain(to)} of the {plain(before)} units that were charged", paid - back)
    return Charge(-back, paid, Priced(paid - back, currency, (step,)))


def unit_cost(price: Price, currency: str, cost: Cost) -> Decimal | None:
    """What one unit costs the MSP, for prices with a markup. Raises Unpriced where it is needed and not known."""
    if price.markup is None:
        return None
    if cost.problem:
        raise Unpriced(f"the price is a markup on the vendor's cost, and {cost.problem}")
    if cost.unit is not None and cost.currency and cost.currency != currency:
        raise Unpriced(f"the vendor's cost is in {cost.currency} and the price in {currency}: no rate is guessed")
    return cost.unit


def least(price: Price, used: Decimal, currency: str, cost: Decimal | None) -> Decimal:
    """The units that a period is charged for: the commitment, one where a fee is due without any use, else what is
    used. Raises Unpriced."""
    if isinstance(price.model, Commit):
        return max(used, price.model.commit)
    if used > 0 or amount_of(price, ZERO, currency, cost).amount == 0:
        return used
    return Decimal(1)


def only_fee(price: Price, units: Decimal, paid: Decimal | None, currency: str) -> str:
    """A sentence where as many units stand as are used, and all that was `paid` for them is the fee that was due before
    anything was used: no line of no units could say the rest."""
    if price.markup is not None or not units or not paid:
        return ""
    try:
        fee, due = (amount_of(price, one, currency).amount for one in (ZERO, units))
    except Unpriced:
        return ""  # told when it is priced
    if fee != paid or fee == due:
        return ""
    return (
        f"{plain_money(fee, currency)} was charged before anything was used, and {plain(units)} cost "
        f"{plain_money(due, currency)}: charge the difference by hand"
    )


def lifted(price: Price | None, counted: Counted, house: str) -> Counted:
    """The target with the units that are charged without any use: a commitment, or one for a fee."""
    if price is None:
        return counted
    try:
        units = least(price, counted.target, price.currency or house, ZERO)
    except Unpriced:
        return counted  # told when it is priced
    if units <= counted.target:
        return counted
    return replace(counted, target=units, steps=(*counted.steps, Step("always charged", units)))


def vendor_cost(bought: Number | None, used: Number, product: Product | None) -> Cost:
    """What the vendor takes for one unit: as the place where it was bought tells it, else where it was counted, else as
    the billing system's catalogue keeps it. Several costs are none."""
    for number in (bought, used):
        costs = {
            (part.count.unit_cost, part.count.currency)
            for part in (number.parts if number else ())
            if part.count.quantity and part.count.unit_cost is not None
        }
        if len(costs) > 1:
            told = " and ".join(sorted(f"{plain(cost)} {currency}".strip() for cost, currency in costs if cost))
            return Cost(problem=f"the vendor tells several for it: {told}")
        for cost, currency in costs:
            return Cost(cost, currency)
    return Cost(product.unit_cost or None if product else None)  # zero stands there for "never entered"


def _step(step: PriceStep, currency: str) -> str:
    telling = " × " in step.text or step.text.startswith(("at least", "at most"))
    return step.text if telling else f"{step.text} {shown(step.amount, currency)}"
