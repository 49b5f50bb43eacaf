"""What syncd posted, in money, for those of its lines that the billing systems show, and for products that recur there:
a plan holds documents and invoices against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from syncd.core.changed_amounts import is_watched
from syncd.core.entries import Past
from syncd.core.keys import family, mark_prefix
from syncd.core.resolve import View
from syncd.core.rules import Rule, TrueUp
from syncd.ledger import Ledger

# True-ups that post dated lines of their own.
_DATED = frozenset({TrueUp.LINE, TrueUp.USAGE})


def with_sent(past: Past, views: Mapping[str, View], rules: Iterable[Rule], ledger: Ledger, today: date) -> Past:
    """The past with what was sent for syncd's own dated lines, of products that were read; as it was where none was."""
    if not any(rule.prorate or rule.true_up in _DATED for rule in rules):
        return past
    prefix = mark_prefix(past.installation)
    shown = {
        f"lines:{name}:{line.agreement_id}:{line.product_id}"
        for name, view in views.items()
        for billing in view.billings.values()
        for line in billing.lines
        if not line.once
        or (line.marker.startswith(prefix) and (line.amount is not None or line.unit_price is not None))
    }
    if not shown:
        return past
    wanted = [
        identity
        for identity in past.lines
        if (of_rule := family(identity)) and of_rule.rpartition(":")[0] in shown
        if is_watched(identity.removeprefix(f"{of_rule}:"), today)
    ]
    return replace(past, sent=ledger.sent(wanted)) if wanted else past
