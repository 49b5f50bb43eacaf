"""Where one customer is billed by one rule: the line, the agreement, the period, or why it cannot be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from syncd.core import keys
from syncd.core.charge import NO_COST, Cost
from syncd.core.closing import true_period
from syncd.core.entries import Past
from syncd.core.resolve import NO_METER, Resolution, Resolved, Target, View, find_target
from syncd.core.rules import Customer, House, Rule, TrueUp
from syncd.model import BilledLine, Billing, Moment, Product, State
from syncd.money import ZERO
from syncd.periods import Period, month_of


@dataclass(frozen=True, slots=True)
class Desk:
    """What every line is drawn from. `products`: rule name -> the products that its `bill` names. `latest`: family of
    syncd's own dated lines (their identity without the period) -> the latest period that anything was posted for;
    `known`: the same -> all periods that the ledger knows of it."""

    house: House
    views: Mapping[str, View]
    resolution: Resolution
    past: Past
    moment: Moment
    suspects: Mapping[str, str]
    counting: bool
    prefix: str
    products: Mapping[str, Sequence[Product]]
    latest: Mapping[str, str]
    known: Mapping[str, Sequence[str]]
    kin: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a customer is billed, as far as it could be found. `problem` and `reason` as in resolve.Target. `begins`:
    the first day of a line of syncd's that does not bill yet. `running`: the period that holds today, where `period` is
    one that is over. `cost`: what the vendor takes for one unit, for prices of the rule's own."""

    state: State
    billed: Decimal | None = None
    target: Target | None = None
    billing: Billing | None = None
    resolved: Resolved | None = None
    period: Period | None = None
    problem: str = ""
    reason: str = ""
    begins: date | None = None
    running: Period | None = None
    cost: Cost = NO_COST


def home(rule: Rule) -> str:
    """The connection a line belongs to: where it is billed, else where it is counted."""
    return rule.bill.connection if rule.bill else rule.count[0].connection


def locate(desk: Desk, customer: Customer, rule: Rule) -> Place:
    """The customer's line in the billing system, or why it cannot be told."""
    if rule.bill is None:
        return Place(State.KNOWN)
    view = desk.views[rule.bill.connection]
    found = desk.resolution.get((customer.name, rule.bill.connection), ())
    if len(found) != 1:
        reason = f"{customer.name} has {len(found)} keys in {view.name}; a rule can bill one company only"
        return Place(State.UNKNOWN, reason=reason)
    (resolved,) = found
    if resolved.state is not State.KNOWN:
        return Place(resolved.state, resolved=resolved, reason=resolved.reason)
    billing = view.billings.get(resolved.id)
    if billing is None or billing.state is not State.KNOWN or view.products is None:
        state = billing.state if billing and billing.state is not State.KNOWN else State.UNKNOWN
        why = (billing.reason if billing else "") or (view.error.message if view.error else "")
        return Place(state, billing=billing, resolved=resolved, reason=why or f"{view.name} could not be read")
    target = find_target(rule.bill, billing, desk.products[rule.name], desk.prefix, desk.moment.today)
    period = _period(desk, target)
    begins: date | None = None
    if rule.true_up is TrueUp.LINE:
        target = replace(target, own=tuple(_in_its_period(desk, customer, rule, one, period) for one in target.own))
    elif rule.true_up is TrueUp.QUANTITY and not target.lines and len(target.scheduled) == 1:
        # What syncd added and what has not begun yet is what will be billed: its quantity follows the count.
        target = replace(target, lines=tuple(one for one in target.scheduled if one.marker.startswith(desk.prefix)))
        begins = target.lines[0].starts if target.lines else None
    if target.problem in ("ambiguous product", "unknown product", NO_METER):
        return Place(State.UNKNOWN, None, target, billing, resolved, period, target.problem, target.reason)
    billed = sum((line.quantity for line in target.lines), ZERO)
    if rule.true_up is TrueUp.LINE or rule.bill.meter:
        billed += own_in(target, period)
    return Place(State.KNOWN, billed, target, billing, resolved, period, target.problem, target.reason, begins)


def _in_its_period(desk: Desk, customer: Customer, rule: Rule, line: BilledLine, period: Period) -> BilledLine:
    """A late line stands in the days of a later period, and the agreement's periods may have been moved since: a line
    is counted in the one that it was posted for. In any other it is there, and none of it counts."""
    if line.starts is None or line.meter:
        return line
    name = keys.dated(home(rule), line.agreement_id, line.product_id, customer.name, rule.name, "")
    own = true_period(period, line.marker, line.starts, desk.past, name, desk.known.get(keys.family(name), ()))
    if own is None:
        return line
    return replace(line, starts=own.first, ends=own.last) if own == period else replace(line, quantity=ZERO)


def own_in(target: Target, period: Period) -> Decimal:
    """What syncd's dated lines of a period sum to, as the billing system shows them."""
    return sum((line.quantity for line in target.own if _overlaps(line.starts, line.ends, period)), ZERO)


def _overlaps(starts: date | None, ends: date | None, period: Period) -> bool:
    return (starts is None or starts <= period.last) and (ends is None or ends >= period.first)


def _period(desk: Desk, target: Target) -> Period:
    """The agreement's billing period around today, else the MSP's own."""
    wanted = {line.agreement_id for line in target.lines}
    for agreement in target.agreements:
        if agreement.period is not None and (not wanted or agreement.id in wanted):
            return agreement.period
    return month_of(desk.moment.today, desk.house.period_anchor)
