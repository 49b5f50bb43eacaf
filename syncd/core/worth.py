"""What the findings of one line come to in money, for one billing period. Pure.

Leakage and overbilling are worth the price of what differs; shelfware, unlicensed and the paid grace the cost of a
unit, as the place where it was bought tells it, else as the billing system keeps it. A cost or price that is not known,
is not the same for all units, or is zero in the billing system leaves the finding without money: never zero, never a
guess. Nothing here adds two currencies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from syncd.core.commitments import in_grace
from syncd.core.findings import Number
from syncd.core.place import Place
from syncd.core.rules import Rule
from syncd.money import ZERO, round_money

# The findings that have a worth, in the order in which they are told. The first two are the line's own difference.
DRIFT = ("leakage", "overbilling")
PRICED = (*DRIFT, "shelfware", "unlicensed", "paid grace")


@dataclass(frozen=True, slots=True)
class Worth:
    """One finding in money, never negative. `amount` is None where it is not known; `source`: the connection that told
    the price or cost."""

    amount: Decimal | None = None
    currency: str = ""
    source: str = ""


UNKNOWN = Worth()


@dataclass(frozen=True, slots=True)
class Differing:
    """What differs on a line: target less billed, and what the postings for it would move, None where none would."""

    units: Decimal | None
    amount: Decimal | None
    currency: str


def worths(
    findings: Collection[str], rule: Rule, bought: Number | None, used: Number, differing: Differing, place: Place,
    house_currency: str, today: date,
) -> Mapping[str, Worth]:  # fmt: skip
    """Finding -> what it comes to, for each that has a worth."""
    found = {}
    for name in PRICED:
        if name not in findings:
            continue
        if name in DRIFT:
            found[name] = _drift(rule, differing, place, house_currency)
        elif bought is None:
            found[name] = UNKNOWN
        elif name == "paid grace":
            found[name] = _grace(rule, bought, today)
        else:
            units = abs(bought.quantity - used.quantity)
            cost = _unit_cost(rule, bought) or _kept_cost(rule, place, house_currency) or UNKNOWN
            found[name] = _times(cost, units)
    return found


def _drift(rule: Rule, differing: Differing, place: Place, house_currency: str) -> Worth:
    """What differs, at the price of its postings; where none can be made now (it waits for a commitment, or for a
    person), at the price of the line, unless the rule owns the price."""
    assert rule.bill is not None  # without it nothing is billed, so that nothing differs
    if differing.amount is not None:
        return Worth(abs(differing.amount), differing.currency, rule.bill.connection)
    target = place.target
    if rule.price is not None or target is None or len(target.lines) != 1 or differing.units is None:
        return UNKNOWN
    line, currency = target.lines[0], _currency(place, house_currency)
    if line.unit_price is None or not currency:
        return UNKNOWN
    return Worth(round_money(line.unit_price * abs(differing.units), currency), currency, rule.bill.connection)


def _currency(place: Place, house_currency: str) -> str:
    """The currency in which the line is billed, or would be; "" where agreements of several could bill it."""
    assert place.target is not None
    lines = place.target.lines
    at = {one.currency for one in place.target.agreements if not lines or one.id == lines[0].agreement_id}
    return at.pop() or house_currency if len(at) == 1 else ""


def _times(cost: Worth, units: Decimal) -> Worth:
    if cost.amount is None:
        return UNKNOWN
    return Worth(round_money(cost.amount * units, cost.currency), cost.currency, cost.source)


def _unit_cost(rule: Rule, bought: Number) -> Worth | None:
    """What one unit costs where it is bought; None where that is not one known number for all of them."""
    costs = {
        (part.count.unit_cost, part.count.currency) if part.factor == 1 else (None, "")
        for part in bought.parts
        if part.count.quantity
    }
    if len(costs) != 1 or rule.bought is None:
        return None
    ((amount, currency),) = costs
    return Worth(amount, currency, rule.bought.connection) if amount is not None and currency else None


def _kept_cost(rule: Rule, place: Place, house_currency: str) -> Worth | None:
    """What one unit costs by the billing system's own line, else by its catalogue. Zero stands there for "never
    entered"."""
    if place.target is None or rule.bill is None:
        return None
    lines, product = place.target.lines, place.target.product
    cost = lines[0].unit_cost if len(lines) == 1 else product.unit_cost if product and not lines else None
    currency = _currency(place, house_currency)
    return Worth(cost, currency, rule.bill.connection) if cost is not None and cost > ZERO and currency else None


def _grace(rule: Rule, bought: Number, today: date) -> Worth:
    """What the seats whose commitment is over cost a month."""
    terms = in_grace(bought.terms, today)
    costs = {one.currency if one.unit_cost is not None and one.months == 1 else "" for one in terms}
    if len(costs) != 1 or rule.bought is None or not (currency := costs.pop()):
        return UNKNOWN
    amount = sum((one.quantity * one.unit_cost for one in terms if one.unit_cost is not None), ZERO)
    return Worth(round_money(amount, currency), currency, rule.bought.connection)
