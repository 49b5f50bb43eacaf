"""What a quantity costs under a rule's price (INTERFACE 3.3), with every step. Pure; exact until the last cent.

Each model is a small function from a quantity to steps. Steps sum to the amount: floors, caps and the one rounding at
the end are steps too, so that whoever adds them up arrives at what was charged. Quantities may be fractions: a tier
holds what lies above the bound before it, up to and including its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from itertools import chain

from syncd.money import ZERO, minor_digits, plain, round_money

# Exact for every product and sum of numbers that `money.number` lets in.
_DIGITS = 120


class Unpriced(Exception):
    """The quantity has no price under this rule; the text says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Units up to and including `up_to` (None: without end). `unit` None: the vendor's cost with the markup."""

    up_to: Decimal | None
    unit: Decimal | None
    flat: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Unit:
    """Each unit at one price."""

    unit: Decimal | None


@dataclass(frozen=True, slots=True)
class Graduated:
    """Each unit at its own tier's price; a tier's flat fee once it is entered, the first tier's always."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    """All units at the price of the tier reached, plus that tier's flat fee; at zero, the first tier's."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """`unit` for each package of `size` units that was begun."""

    size: Decimal
    unit: Decimal


@dataclass(frozen=True, slots=True)
class Commit:
    """`commit` units at `unit`, always; what goes beyond at `burst`."""

    commit: Decimal
    unit: Decimal | None
    burst: Decimal | None


Model = Unit | Graduated | Volume | Package | Commit


@dataclass(frozen=True, slots=True)
class Price:
    """A rule's price. `minimum`, `maximum`: money. `markup`: percent on the vendor's cost, where no unit price is.
    `currency`: "" is the house's."""

    model: Model
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    markup: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One addend of an amount, in words ("10 × 12.00")."""

    text: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Priced:
    """`amount` in whole minor units of `currency`; `steps` sum to it exactly."""

    amount: Decimal
    currency: str
    steps: tuple[PriceStep, ...]


def amount_of(price: Price, quantity: Decimal, currency: str, cost: Decimal | None = None) -> Priced:
    """What `quantity` units cost. `cost`: what the MSP pays for one, for prices with a markup.

    Raises Unpriced for a negative quantity, one beyond the last tier, and a markup on a cost that is not known.
    """
    if quantity < 0:
        raise Unpriced(f"{plain(quantity)} units have no price: a credit is priced by what it takes back")
    with localcontext(prec=_DIGITS):
        steps = list(_steps(price, quantity, currency, cost))
        exact = sum((step.amount for step in steps), ZERO)
        bounded = exact
        if price.minimum is not None and bounded < price.minimum:
            bounded = price.minimum
            steps.append(PriceStep(f"at least {shown(price.minimum, currency)}", bounded - exact))
        if price.maximum is not None and bounded > price.maximum:
            steps.append(PriceStep(f"at most {shown(price.maximum, currency)}", price.maximum - bounded))
            bounded = price.maximum
        amount = round_money(bounded, currency)
        if amount != bounded:
            steps.append(PriceStep("rounded half-even", amount - bounded))
    return Priced(amount, currency, tuple(steps))


def shown(amount: Decimal, currency: str) -> str:
    """Money as people write it, with all digits it has and at least its minor units: "12.00", "0.0008"."""
    text = plain(amount)
    whole, _, part = text.partition(".")
    digits = minor_digits(currency)
    return f"{whole}.{part.ljust(digits, '0')}" if digits or part else whole


def bounds(model: Model) -> tuple[Decimal, ...]:
    """The quantities at which the price of the next unit changes: what `notify` warns of."""
    match model:
        case Graduated(tiers) | Volume(tiers):
            return tuple(tier.up_to for tier in tiers if tier.up_to is not None)
        case Commit(commit=commit):
            return (commit,) if commit else ()
        case Unit() | Package():
            return ()


def _steps(price: Price, quantity: Decimal, currency: str, cost: Decimal | None) -> Iterator[PriceStep]:
    def times(units: Decimal, unit: Decimal | None, what: str = "") -> Iterator[PriceStep]:
        rate, how = _rate(price, unit, currency, cost)
        if units or not what:
            yield PriceStep(f"{plain(units)} × {how}{what}", units * rate)

    def flat(tier: Tier, number: int) -> Iterator[PriceStep]:
        if tier.flat:
            yield PriceStep(f"flat fee of tier {number}", tier.flat)

    match price.model:
        case Unit(unit):
            yield from times(quantity, unit)
        case Graduated(tiers):
            _reached(tiers, quantity)
            below = ZERO
            for number, tier in enumerate(tiers, 1):
                if number > 1 and quantity <= below:
                    break
                upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
                yield from chain(times(upper - below, tier.unit), flat(tier, number))
                below = upper if tier.up_to is None else tier.up_to
        case Volume(tiers):
            number, tier = _reached(tiers, quantity)
            yield from chain(times(quantity, tier.unit), flat(tier, number))
        case Package(size, unit):
            packages = (quantity / size).to_integral_value(rounding=ROUND_CEILING)
            yield PriceStep(f"{plain(packages)} × {shown(unit, currency)}, packages of {plain(size)}", packages * unit)
        case Commit(commit, unit, burst):
            yield from times(commit, unit)
            yield from times(max(quantity - commit, ZERO), burst, " beyond the commitment")


def _reached(tiers: tuple[Tier, ...], quantity: Decimal) -> tuple[int, Tier]:
    """The tier that a quantity falls into, counted from 1. Raises Unpriced beyond the last one."""
    for number, tier in enumerate(tiers, 1):
        if tier.up_to is None or quantity <= tier.up_to:
            return number, tier
    last = tiers[-1].up_to
    raise Unpriced(f"{plain(quantity)} units are beyond the last tier (up_to {plain(last or ZERO)}): add a tier")


def _rate(price: Price, unit: Decimal | None, currency: str, cost: Decimal | None) -> tuple[Decimal, str]:
    """The price of one unit, and how it came about."""
    if unit is not None:
        return unit, shown(unit, currency)
    if price.markup is None or cost is None:
        raise Unpriced("the price is a markup on the vendor's cost, and the cost is not known")
    with localcontext(prec=_DIGITS):
        return (
            cost * (100 + price.markup) / 100,
            f"({shown(cost, currency)} + {plain(price.markup)}%)",
        )
