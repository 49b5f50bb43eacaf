"""What a cycle remembers of its sources, by which the next one tells a fall from a customer who left. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from syncd.core.entries import KnownCustomer, Past
from syncd.core.plan import Plan
from syncd.core.policy import Action
from syncd.core.resolve import Resolution, View
from syncd.core.rules import Rule
from syncd.core.sources import paid_total, renewed_traces, tracer
from syncd.model import State


def known_customers(
    views: Mapping[str, View], resolution: Resolution, past: Past, plan: Plan, rules: Sequence[Rule] = ()
) -> dict[str, Sequence[KnownCustomer]]:
    """Who each connection showed, what each customer came to where that can be believed, and what of the `rules`'
    SKUs it had.

    Totals of a suspect source are not believed, except those of customers about whom no question is open: their lines
    agree, a person rejected the change, or they have no line. That is how a true fall becomes the new normal. The same
    holds of a SKU that no customer has any more.
    """
    asking = [
        line
        for line in plan.lines
        if line.action is not Action.NONE and not (line.action is Action.IGNORE and line.reason.startswith("rejected"))
    ]
    open_questions = {line.customer for line in asking}
    of_blind_rules = {line.customer for line in asking if line.rule in plan.blind}
    owners: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (customer, connection), found in resolution.items():
        for one in found:
            owners[connection, one.id].add(customer)
    result: dict[str, Sequence[KnownCustomer]] = {}
    for connection, view in views.items():
        before = past.customers.get(connection, {})
        totals: dict[str, dict[str, Decimal]] = defaultdict(dict)
        had: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        traces = tracer(rules, connection)
        for (customer_id, query), reading in view.readings.items():
            if reading.state is not State.KNOWN:
                continue
            had[customer_id][query.measure].update(
                trace for count in reading.counts if count.quantity > 0 for trace in traces(query.measure, count)
            )
            if connection not in plan.suspects or not owners[connection, customer_id] & open_questions:
                totals[customer_id][str(query)] = paid_total(reading.counts)
        for customer_id, measures in had.items():
            totals[customer_id] |= renewed_traces(
                before.get(customer_id),
                (trace for found in measures.values() for trace in found),
                measures,
                open_question=bool(owners[connection, customer_id] & of_blind_rules),
            )
        known = {
            customer.id: KnownCustomer(
                customer.id,
                customer.name,
                customer.identifiers,
                {**(before[customer.id].totals if customer.id in before else {}), **totals[customer.id]},
            )
            for customer in view.customers or ()
        }
        result[connection] = [*known.values(), *(one for id_, one in before.items() if id_ not in known)]
    return result
