"""Who owns the invoice: whether a system pushes its own invoices into the books that a rule would bill into. Pure.

The same charge in both is the classic double bill, and nobody sees it before the customer does. So a rule bills into
books only for customers whom no connection already invoices there, unless the rule names that connection in so many
words: `not_invoiced_by = "cw"` (the push is off, or leaves out what this rule bills). What could not be read is
not taken for "nobody".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from syncd.core.policy import Action
from syncd.core.resolve import Resolution, View
from syncd.core.rules import BillRef, Customer, Mappings, Rule, TrueUp

if TYPE_CHECKING:
    from syncd.core.plan import PlanLine

FINDING = "invoiced elsewhere"
# The key of `bill` that names connections, and what stands between several.
WORDS = "not_invoiced_by"
BETWEEN = ", "


def fed_kinds(rules: Iterable[Rule], kinds: Mapping[str, str]) -> frozenset[str]:
    """The kinds that some rule posts into. `kinds`: connection -> kind."""
    posted = (rule.bill.connection for rule in rules if rule.bill is not None and _posts(rule))
    return frozenset(kinds[name] for name in posted if name in kinds)


def disowned(bill: BillRef) -> frozenset[str]:
    """The connections of which the rule says that they do not invoice what it bills."""
    return frozenset(filter(None, bill.options.get(WORDS, "").split(BETWEEN)))


def owner(rule: Rule, customer: Customer, resolution: Resolution, views: Mapping[str, View]) -> str:
    """A sentence where another system invoices this customer in the books that the rule bills into, or where that
    could not be read; "" where nobody does, or the rule says so."""
    if rule.bill is None or not _posts(rule):
        return ""
    into, books = views[rule.bill.connection], rule.bill.connection
    for name, view in sorted(views.items()):
        found = resolution.get((customer.name, name), ())
        if not found or into.kind not in view.may_feed or name in disowned(rule.bill):
            continue
        mend = f'if it does not invoice what this rule bills, say so: bill = {{ …, {WORDS} = "{name}" }}'
        if view.feeds is None:
            return f"whether {name} sends its own invoices to {books} could not be read; {mend}"
        ids = {one.id for one in found}
        for feed in view.feeds:
            if feed.kind == into.kind and (not feed.customers or ids & feed.customers):
                own = "its invoices come there by themselves" if name == books else f"{name} invoices it there already"
                return f"{customer.name} would be billed twice in {books}: {own} ({feed.how}); {mend}"
    return ""


def blocked(
    lines: Sequence[PlanLine], mappings: Mappings, resolution: Resolution, views: Mapping[str, View]
) -> list[PlanLine]:
    """The lines, blocked where another system owns the invoice, whatever else is said of them: what differs today may
    be nothing, and the next change would be billed twice."""
    if not any(view.may_feed for view in views.values()):
        return list(lines)
    customers = {one.name: one for one in mappings.customers}
    rules = {one.name: one for one in mappings.rules}
    told = ((line, owner(rules[line.rule], customers[line.customer], resolution, views)) for line in lines)
    return [
        replace(
            line,
            action=Action.BLOCKED,
            reason=reason,
            findings=(*line.findings, FINDING),
            effects=(),
            guards=(),
        )
        if reason
        else line
        for line, reason in told
    ]


def _posts(rule: Rule) -> bool:
    return rule.true_up is not TrueUp.ALERT
