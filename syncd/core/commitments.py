"""What bought commitments mean for a fall: which seats wait for which day, at what cost, what may still be given back.

Owns the arithmetic and the words of `decrease = "term"` and of the paid grace. Does not decide what happens to a line.
Costs are told only where the vendor tells them, each commitment in its own currency; what is not known is said to be
not known. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal

from syncd.model import Term
from syncd.money import ZERO, minor_digits, plain, plain_money
from syncd.periods import DAY, add_months

# What `Term.months` reads as.
_EACH = {1: "a month", 12: "a year", 24: "two years", 36: "three years"}


@dataclass(frozen=True, slots=True)
class Wait:
    """So many seats can fall no earlier than on the day after the commitment's last one."""

    seats: Decimal
    term: Term


def running(terms: Sequence[Term], today: date) -> list[Term]:
    """The commitments that bind today, the first to end first; a last day counts. Seats that may still be given back
    are not committed yet."""
    return sorted((one for one in terms if one.last >= today and one.free_until is None), key=lambda one: one.last)


def in_grace(terms: Sequence[Term], today: date) -> list[Term]:
    """Commitments that are over, do not renew, and are billed all the same."""
    return [one for one in terms if one.last < today and one.renews is False and one.quantity > 0]


def waits(target: Decimal, billed: Decimal, terms: Sequence[Term], today: date) -> list[Wait]:
    """Which of the seats above `target` wait for which commitment, the first to fall first; [] where none waits.

    As long as more is bought under commitments than is billed, the end of one of them lets nothing fall.
    """
    bound = running(terms, today)
    committed = sum((one.quantity for one in bound), ZERO)
    floor = max(target, min(billed, committed))
    found = []
    for term in bound:
        committed -= term.quantity
        lower = max(target, min(floor, committed))
        if lower < floor:
            found.append(Wait(floor - lower, term))
        floor = lower
    return found


def told(target: Decimal, billed: Decimal, terms: Sequence[Term], today: date) -> str:
    """Until when so many seats wait and at what cost, and what may be given back until when; "" where neither."""
    sentences = [_waiting(one, today) for one in waits(target, billed, terms, today)]
    for term in sorted((one for one in terms if one.free_until and one.last >= today), key=lambda one: one.last):
        assert term.free_until is not None
        until = f"{term.free_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        sentences.append(
            f"{plain(term.quantity)} of the bought may be given back free until {until}, then they are committed until "
            f"{term.last}"
        )
    return "; ".join(sentences)


def _waiting(one: Wait, today: date) -> str:
    """`3 wait until 2027-01-13 at 22.00 USD each a month, 132.00 USD in all; renews by itself …`"""
    term = one.term
    sentence = f"{plain(one.seats)} wait until {term.last}, {_cost(one, today)}"
    if term.renews:
        sentence += f", and renew by themselves on {term.last + DAY}"
        if term.lower_until is not None:
            sentence += f", free to be lowered until {term.lower_until}"
    elif term.renews is False:
        sentence += ", and do not renew by themselves"
    return sentence


def _cost(one: Wait, today: date) -> str:
    """What they cost until then: each period from the one that runs to the one that ends with the commitment."""
    term = one.term
    if term.unit_cost is None or not term.currency:
        return "cost unknown"
    each = f"{price(term.unit_cost, term.currency)} each"
    if term.months < 1:
        return f"{each} a billing period"
    each = f"{each} {_EACH.get(term.months, f'every {term.months} months')}"
    number = periods_left(term, today)
    whole = plain_money(term.unit_cost * one.seats * number, term.currency)
    return f"{each}, {whole} {term.currency} for {number} period{'s' if number > 1 else ''}"


def periods_left(term: Term, today: date) -> int:
    """Billing periods of a running commitment that end today or later, the running one too; counted back from its end,
    because its first day is not known after a renewal."""
    number = 1
    while add_months(term.last + DAY, -number * term.months) - DAY >= today:
        number += 1
    return number


def price(amount: Decimal, currency: str) -> str:
    """A price of one with all its digits: `22.00 USD`, `0.0385 USD`."""
    shown = plain(amount)
    if len(shown.partition(".")[2]) <= minor_digits(currency):
        shown = plain_money(amount, currency)
    return f"{shown} {currency}"
