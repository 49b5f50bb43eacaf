"""What a count would cost under a rule, step by step, from included units to the last cent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from syncd.core.counting import target
from syncd.core.pricing import Priced, PriceStep, Unpriced, amount_of, shown
from syncd.core.rules import Rule
from syncd.money import ZERO, plain, plain_money


@dataclass(frozen=True, slots=True)
class Quote:
    """`quantity` as it was asked; the steps of the count move no money, those of the price sum to the amount."""

    rule: str
    quantity: Decimal
    priced: Priced
    steps: tuple[PriceStep, ...]


def quote(rule: Rule, quantity: Decimal, house: str, cost: Decimal | None = None) -> Quote:
    """The price of a count. `house`: what a price without a currency is in; `cost`: what the vendor takes for one unit.

    Raises Unpriced where the rule has no price, or none for this quantity.
    """
    if rule.price is None:
        raise Unpriced("the rule has no price: the billing system owns it")
    counted = target(rule, quantity)
    priced = amount_of(rule.price, counted.target, rule.price.currency or house, cost)
    made = tuple(PriceStep(f"{step.text}: {plain(step.result)}", ZERO) for step in counted.steps[1:])
    return Quote(rule.name, quantity, priced, (*made, *priced.steps))


def quote_json(found: Quote) -> dict[str, Any]:
    """INTERFACE 4, JSON of `price`."""
    told = priced_json(Priced(found.priced.amount, found.priced.currency, found.steps))
    return {"rule": found.rule, "quantity": plain(found.quantity), **told}


def priced_json(found: Priced) -> dict[str, Any]:
    """An amount with its steps. A step keeps all digits that it has, so that the steps sum to the amount."""
    return {
        "amount": plain_money(found.amount, found.currency),
        "currency": found.currency,
        "steps": [{"text": step.text, "amount": shown(step.amount, found.currency)} for step in found.steps],
    }
