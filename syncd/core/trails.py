"""Which readings a rule that bills in arrears follows, since when, and what it asks for again when a period is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from syncd.core.globs import covering
from syncd.core.place import home
from syncd.core.resolve import Resolution, View, concerns, narrowed
from syncd.core.rules import BillRef, CountRef, Customer, House, Mappings, Rule, TrueUp
from syncd.model import Moment, Query, State
from syncd.periods import DAY, Period, preceding

# How many closed periods are looked at: syncd may have been down for one.
REACH = 3
# (connection, customer's id there, query): whose readings are followed.
Trail = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Again:
    """A count of what happened in a closed period (hours, tickets), which is asked for again now that it is over: what
    was entered late belongs to it."""

    connection: str
    customer_id: str
    query: Query
    period: Period

    @property
    def what(self) -> str:
        """Under which name the ledger keeps the reading."""
        return f"{self.query} of {self.period}"


def due(house: House, moment: Moment, rule: Rule, current: Period) -> Period:
    """The newest period that is over and whose grace has passed."""
    period = preceding(current)
    while moment.now < ends(house, period) + rule.grace:
        period = preceding(period)
    return period


def ends(house: House, period: Period) -> datetime:
    return datetime.combine(period.last + DAY, time(0), tzinfo=house.zone)


def trails(customer: Customer, rule: Rule, resolution: Resolution) -> Iterator[tuple[CountRef, Trail | None]]:
    for ref in rule.count:
        for resolved in resolution.get((customer.name, ref.connection), ()):
            query = Query(ref.measure, narrowed(ref.where, resolved.key))
            yield ref, (ref.connection, resolved.id, str(query)) if resolved.id else None


def followed(
    mappings: Mappings, resolution: Resolution, views: Mapping[str, View], moment: Moment
) -> dict[Trail, date]:
    """Whose readings the ledger must tell for a plan, and since which day."""
    wanted: dict[Trail, date] = {}
    rules = [rule for rule in mappings.rules if rule.true_up is TrueUp.USAGE and rule.bill is not None]
    for rule in rules:
        for customer in mappings.customers:
            if not concerns(rule, customer):
                continue
            since = _since(customer, rule, resolution, views, moment)
            for _, trail in trails(customer, rule, resolution):
                if trail is not None:
                    wanted[trail] = min(since, wanted.get(trail, since))
    return wanted


def asked_again(
    mappings: Mappings,
    resolution: Resolution,
    views: Mapping[str, View],
    house: House,
    moment: Moment,
    of_period: Callable[[CountRef], bool],
) -> tuple[Again, ...]:
    """What to ask for again, in order: for each rule that bills what happened in a period, the newest one that is due.

    `of_period`: whether a count is of what happened in the period, instead of what is there.
    """
    wanted: dict[Again, None] = {}
    for rule in mappings.rules:
        refs = [ref for ref in rule.count if of_period(ref)]
        if rule.true_up is not TrueUp.USAGE or rule.bill is None or not refs:
            continue
        for customer in mappings.customers:
            if not concerns(rule, customer):
                continue
            periods = {
                due(house, moment, rule, one) for one in _current(customer, rule.bill, resolution, views, moment)
            }
            for ref in refs:
                for resolved in resolution.get((customer.name, ref.connection), ()):
                    if resolved.state is State.KNOWN:
                        query = Query(ref.measure, narrowed(ref.where, resolved.key))
                        wanted |= dict.fromkeys(Again(ref.connection, resolved.id, query, one) for one in periods)
    return tuple(sorted(wanted))


def _current(
    customer: Customer, bill: BillRef, resolution: Resolution, views: Mapping[str, View], moment: Moment
) -> set[Period]:
    """The periods that hold today where the rule may bill the customer."""
    view, covered = views.get(bill.connection), covering((bill.agreement,))
    found: set[Period] = set()
    for resolved in resolution.get((customer.name, bill.connection), ()):
        billing = view.billings.get(resolved.id) if view else None
        for one in billing.agreements if billing else ():
            if covered(one.name) or any(map(covered, one.labels)):
                found.add(one.period or moment.period)
    return found


def _since(customer: Customer, rule: Rule, resolution: Resolution, views: Mapping[str, View], moment: Moment) -> date:
    """The first day of the oldest period that the customer's line may be about."""
    periods = [moment.period]
    view = views.get(home(rule))
    for resolved in resolution.get((customer.name, home(rule)), ()):
        billing = view.billings.get(resolved.id) if view else None
        periods += [one.period for one in (billing.agreements if billing else ()) if one.period is not None]
    days = []
    for period in periods:
        for _ in range(REACH + 1):
            period = preceding(period)
        days.append(period.first)
    return min(days)
