"""From counts to the target: factor, sum, less included, round, minimum, maximum, in this order (INTERFACE 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal, localcontext

from syncd.core.globs import covering
from syncd.core.rules import CountRef, Rounding, Rule
from syncd.model import Count
from syncd.money import ZERO, plain

_ROUND = {Rounding.UP: ROUND_CEILING, Rounding.DOWN: ROUND_FLOOR, Rounding.NEAREST: ROUND_HALF_UP}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a derivation: what was done, in words, and the quantity after it."""

    text: str
    result: Decimal


@dataclass(frozen=True, slots=True)
class Counted:
    """The target and how it came about. `over_maximum`: the rule's maximum cut it, which is told."""

    target: Decimal
    steps: tuple[Step, ...]
    over_maximum: bool = False


def names(pattern: str, count: Count) -> bool:
    """Whether a mapping's `sku` names this count: its SKU or one of its other exact keys, or a glob over them."""
    return named_by((pattern,))(count)


def named_by(patterns: tuple[str, ...]) -> Callable[[Count], bool]:
    """`names` with any of several patterns."""
    covered = covering(patterns)

    def named(count: Count) -> bool:
        if covered(count.sku):
            return True
        for alias in count.aliases:  # noqa: SIM110 - asked for every count of every line: `any` costs as much again
            if covered(alias):
                return True
        return False

    return named


def matching(ref: CountRef, counts: Iterable[Count]) -> tuple[Count, ...]:
    """The counts that one `count` or `bought` table names, in SKU order; each once, however many patterns name it."""
    found = list(filter(named_by(ref.skus), counts))
    if len(found) > 1:
        found.sort(key=lambda count: (count.sku, count.aliases))
    return tuple(found)


def total(counts: Iterable[Count]) -> Decimal:
    """Their sum."""
    return sum((count.quantity for count in counts), ZERO)


def target(rule: Rule, used: Decimal) -> Counted:
    """What the rule bills for a summed count. Included units never take it below zero."""
    steps = [Step("used", used)]
    value = used
    if rule.included:
        value = max(value - rule.included, ZERO)
        steps.append(Step(f"less {plain(rule.included)} included", value))
    if rule.rounding is not Rounding.NONE:
        with localcontext(prec=60):
            value = (value / rule.to).to_integral_value(rounding=_ROUND[rule.rounding]) * rule.to
        steps.append(Step(f"rounded {rule.rounding} to a multiple of {plain(rule.to)}", value))
    if rule.minimum is not None and value < rule.minimum:
        value = rule.minimum
        steps.append(Step(f"minimum {plain(rule.minimum)}", value))
    over = rule.maximum is not None and value > rule.maximum
    if rule.maximum is not None and over:
        value = rule.maximum
        steps.append(Step(f"maximum {plain(rule.maximum)}", value))
    return Counted(value, tuple(steps), over)
