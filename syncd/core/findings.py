"""The four numbers of one customer and rule, each with its state, and the names of their differences (INTERFACE 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from syncd.core.counting import matching, total
from syncd.core.resolve import Resolution, Resolved, View, narrowed
from syncd.core.rules import CountRef, Customer, InvoicedRef
from syncd.model import Count, Query, State, Term
from syncd.money import ZERO

_NEVER = date(2999, 12, 31)

# The most serious state of the parts is the state of the sum.
_WORST = (State.UNKNOWN, State.PARTIAL, State.GONE, State.KNOWN)


@dataclass(frozen=True, slots=True)
class Part:
    """One count that went into a number, and how it is known that it was read whole."""

    connection: str
    customer_id: str
    query: Query
    count: Count
    factor: Decimal
    proof: str


@dataclass(frozen=True, slots=True)
class Number:
    """A sum of counts. `quantity` counts what is gone as zero; it may be used only as `state` allows. `amount`: what
    the books invoiced for them, in `currency`, None where that is not known."""

    state: State
    quantity: Decimal = ZERO
    parts: tuple[Part, ...] = ()
    reason: str = ""
    amount: Decimal | None = None
    currency: str = ""

    @property
    def shown(self) -> Decimal | None:
        """The number where it is known, else None."""
        return self.quantity if self.state is State.KNOWN else None

    @property
    def terms(self) -> tuple[Term, ...]:
        """Commitments behind the number, earliest end first. What systems write for "never" (9999-12-31) is brought
        back to where the calendar still has days after it."""
        terms = (term for part in self.parts for term in part.count.terms)
        bounded = (term if term.last < _NEVER else replace(term, last=_NEVER) for term in terms)
        return tuple(sorted(bounded, key=lambda term: term.last))


def gather(
    refs: Iterable[CountRef], customer: Customer, resolution: Resolution, views: Mapping[str, View]
) -> Number | None:
    """Adds up what the refs name for one customer; None where the customer is in none of their systems."""
    parts: list[Part] = []
    troubles: list[tuple[State, str]] = []
    asked = False
    for ref in refs:
        for resolved in resolution.get((customer.name, ref.connection), ()):
            asked = True
            found, trouble = _read(ref, resolved, views[ref.connection])
            parts += found
            if trouble:
                troubles.append(trouble)
    if not asked:
        return None
    state = min((trouble for trouble, _ in troubles), key=_WORST.index, default=State.KNOWN)
    return Number(
        state,
        sum((part.count.quantity * part.factor for part in parts), ZERO),
        tuple(parts),
        "; ".join(dict.fromkeys(reason for trouble, reason in troubles if trouble is state)),
    )


def _read(ref: CountRef, resolved: Resolved, view: View) -> tuple[list[Part], tuple[State, str] | None]:
    if resolved.state is not State.KNOWN:
        return [], (resolved.state, resolved.reason)
    query = Query(ref.measure, narrowed(ref.where, resolved.key))
    reading = view.readings.get((resolved.id, query))
    if reading is None:
        why = view.error.message if view.error else f"{ref.connection} was asked for {query} and gave no answer"
        return [], (State.UNKNOWN, why)
    if reading.state is not State.KNOWN:
        return [], (reading.state, reading.reason or f"{ref.connection} could not be read")
    found = [
        Part(ref.connection, resolved.id, query, count, ref.factor, reading.proof)
        for count in matching(ref, reading.counts)
    ]
    return found, None


def invoiced(ref: InvoicedRef, customer: Customer, resolution: Resolution, views: Mapping[str, View]) -> Number | None:
    """What the books say was invoiced of one item in the current period; None where the customer is not in them."""
    keys = resolution.get((customer.name, ref.connection), ())
    if not keys:
        return None
    view = views[ref.connection]
    wanted = CountRef(ref.connection, (ref.item,), "invoiced")
    counts: list[Count] = []
    troubles: list[tuple[State, str]] = []
    for resolved in keys:
        reading = view.invoiced.get(resolved.id)
        if resolved.state is not State.KNOWN:
            troubles.append((resolved.state, resolved.reason))
        elif reading is None or reading.state is not State.KNOWN:
            state = reading.state if reading else State.UNKNOWN
            troubles.append((state, (reading.reason if reading else "") or f"{ref.connection} could not be read"))
        else:
            counts += matching(wanted, reading.counts)
    if troubles:
        return Number(troubles[0][0], reason=troubles[0][1])
    amounts = [one.amount for one in counts if one.amount is not None]
    currencies = {one.currency for one in counts}
    known = len(amounts) == len(counts) and len(currencies) == 1
    amount = sum(amounts, ZERO) if known else None
    return Number(State.KNOWN, total(counts), amount=amount, currency=currencies.pop() if known else "")


def name_differences(
    *,
    bought: Decimal | None,
    used: Decimal | None,
    billed: Decimal | None,
    invoiced: Decimal | None,
    difference: Decimal | None,
) -> Sequence[str]:
    """The standing names of what differs. `difference` is target less billed, zero where the tolerance takes it."""
    found = []
    if difference is not None and difference > 0:
        found.append("leakage")
    if difference is not None and difference < 0:
        found.append("overbilling")
    if bought is not None and used is not None and bought > used:
        found.append("shelfware")
    if bought is not None and used is not None and used > bought:
        found.append("unlicensed")
    if billed is not None and invoiced is not None and billed != invoiced:
        found.append("books gap")
    return found


def name_states(states: Mapping[str, State]) -> Sequence[str]:
    """What could not be compared: "bought unknown", "invoiced partial". These two are cross-checks, so that the line
    goes on without them; `used` and `billed` block it by themselves."""
    return [
        f"{number} {states[number]}"
        for number in ("bought", "invoiced")
        if states.get(number, State.KNOWN) is not State.KNOWN
    ]
