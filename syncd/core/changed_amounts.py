"""Money of syncd's own dated lines that somebody changed after it was posted: what each charges now against what was
sent. Pure.

Units that changed are a foreign edit, told elsewhere; here the units stand and the money does not. It is a finding and
nothing more: syncd writes no document anew and posts nothing to make up for it. Amounts are compared in whole minor
units, so that a vendor's other way to round a half is none. What was undone, or credited to nothing, is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from syncd.core import keys
from syncd.core.entries import LineHistory, Sent
from syncd.core.place import Desk, Place, home
from syncd.core.rules import Customer, Rule
from syncd.core.worth import Worth
from syncd.model import Agreement, BilledLine
from syncd.money import ZERO, minor_digits, plain, plain_money, round_money
from syncd.periods import Period, local_date, parse_period

FINDING = "changed amount"
# A line is looked at until so long after the last day of its period: the running one and the one before it.
WATCHED = timedelta(days=62)


@dataclass(frozen=True, slots=True)
class Changed:
    """One line whose money is not what syncd posted. `difference`: shown less sent, as the customer feels it."""

    line: BilledLine
    sent: Sent
    shown: Decimal
    period: str

    @property
    def difference(self) -> Decimal:
        """Negative where the customer pays less than was posted."""
        moved = self.shown - self.sent.amount
        return -moved if self.line.quantity < 0 else moved

    def told(self, zone: ZoneInfo, *, who: bool = True) -> str:
        """`estimate 145/1 of 2026-11 charges 200.00 USD for 27 instead of the 220.00 posted on 2026-11-03; last changed
        by erin on 2026-11-18`; without the name for those who read no names."""
        code = self.sent.currency
        text = (
            f"{self.line.id} of {self.period} charges {plain_money(self.shown, code)} {code} for "
            f"{plain(abs(self.line.quantity))} instead of the {plain_money(self.sent.amount, code)} that syncd posted "
            f"on {local_date(self.sent.settled_at, zone)}"
        )
        by = f" by {self.line.changed_by}" if who and self.line.changed_by else ""
        day = str(local_date(self.line.changed_at, zone)) if self.line.changed_at else "an unknown day" if by else ""
        return f"{text}; last changed{by} on {day}" if day else text


def is_watched(period: str, today: date) -> bool:
    """Whether lines of a period are still looked at."""
    return parse_period(period).last >= today - WATCHED


def changed_amounts(desk: Desk, customer: Customer, rule: Rule, place: Place) -> tuple[Changed, ...]:
    """The rule's lines whose money was changed; none where `foreign_edit` is accept."""
    if place.target is None or place.billing is None or not desk.past.sent:
        return ()
    if desk.house.safety.foreign_edit == "accept":
        return ()
    agreements = {one.id: one for one in place.target.agreements}
    found = []
    for line in place.billing.lines:
        sent = desk.past.sent.get(line.marker) if line.once and line.agreement_id in agreements else None
        if sent is None:
            continue
        name = keys.dated(home(rule), line.agreement_id, line.product_id, customer.name, rule.name, "")
        if not sent.identity.startswith(name) or abs(line.quantity) != sent.units:
            continue
        period = sent.identity.removeprefix(name)
        if not is_watched(period, desk.moment.today):
            continue
        if desk.past.lines.get(sent.identity, LineHistory()).own_quantity == ZERO:
            continue  # credited to the last unit: what was charged before matters no more
        shown = _shown(line, agreements[line.agreement_id], sent, parse_period(period))
        if shown is not None:
            found.append(Changed(line, sent, shown, period))
    return tuple(found)


def _shown(line: BilledLine, agreement: Agreement, sent: Sent, period: Period) -> Decimal | None:
    """What the line charges now, None where that is what was sent, or is not told."""
    half = Decimal(1).scaleb(-minor_digits(sent.currency)) / 2
    product = abs(line.quantity) * line.unit_price if line.unit_price is not None else None
    amount = product if line.amount is None else line.amount
    if amount is None:
        return None
    possible = [amount]
    if product is not None and abs(product - amount) <= half:
        possible.append(product)  # before the vendor rounded it, maybe half up
    if agreement.prorates and line.starts is not None and line.ends is not None:
        # A dated line there charges the share of its days, or all of it, as it was made.
        days = (line.ends - line.starts).days + 1
        possible += [amount * days / one.days for one in (period, agreement.period) if one is not None]
    nearest = min(possible, key=lambda one: abs(one - sent.amount))
    return None if abs(nearest - sent.amount) <= half else round_money(nearest, sent.currency)


def worth_of(found: Sequence[Changed], connection: str) -> Worth:
    """What they come to, never netted against each other; unknown for several currencies."""
    codes = {one.sent.currency for one in found}
    if len(codes) != 1:
        return Worth()
    return Worth(sum((abs(one.difference) for one in found), ZERO), codes.pop(), connection)


def changed_json(found: Sequence[Changed], zone: ZoneInfo) -> list[dict[str, Any]]:
    """For a line's derivation: what `explain` shows, and what alerts are made of."""
    return [
        {
            "line": one.line.id, "entry": one.sent.entry_id, "period": one.period,
            "posted": plain_money(one.sent.amount, one.sent.currency),
            "shown": plain_money(one.shown, one.sent.currency),
            "difference": plain_money(one.difference, one.sent.currency), "currency": one.sent.currency,
            "text": one.told(zone, who=False),
        }
        for one in found
    ]  # fmt: skip
