"""What the ways to reach a target have in common: each way (`true_up_quantity`, `true_up_line`) is a module that
offers what `Way` names, and knows nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from syncd.core.charge import Charge, charge
from syncd.core.counting import target
from syncd.core.effects import Effect, Site, describe
from syncd.core.entries import LineHistory
from syncd.core.findings import Number
from syncd.core.place import Desk, Place
from syncd.money import plain
from syncd.periods import Period

NOTHING = LineHistory()


@dataclass(frozen=True, slots=True)
class Proposal:
    """The postings that would reach the target. `step`: what percentages judge, before and after, None in a first
    period. `obstacle`: why nothing can be done, as a sentence; then nothing is proposed. `unpriced`: it is a price that
    cannot be told, so that the line is blocked."""

    effects: tuple[Effect, ...] = ()
    step: tuple[Decimal, Decimal] | None = None
    obstacle: str = ""
    unpriced: bool = False


@dataclass(frozen=True, slots=True)
class Meddling:
    """What somebody else did to what syncd wrote, as sentences, empty where nobody did. `stands`: the number that
    syncd last wrote, None where it wrote none. `edited`: it is no longer there. `contested`: it was put back again and
    again. `forgotten`: it looks so because a restored ledger forgot what syncd wrote itself."""

    stands: Decimal | None = None
    edited: str = ""
    contested: str = ""
    forgotten: bool = False


class Way(Protocol):
    """One value of `true_up`."""

    def identity(self, site: Site) -> str:
        """What the rule changes for this customer, as the ledger names it."""

    def propose(
        self, desk: Desk, site: Site, used: Number, wanted: Decimal, billed: Decimal, *, fresh: bool
    ) -> Proposal:
        """How `wanted` would be reached. `fresh`: the difference was not seen before this period."""

    def situation(self, site: Site, wanted: Decimal, billed: Decimal) -> str:
        """The fingerprint by which a difference is recognised in the next cycle, for `settle`."""

    def listed(self, place: Place, period: Period) -> Decimal | None:
        """What the list shows of what syncd writes."""

    def meddling(self, desk: Desk, site: Site, place: Place, wanted: Decimal) -> Meddling:
        """What somebody else did to what syncd wrote."""


# What `closing.late_words` may put before a text.
_LATE = len("for 2026-11-15/2026-12-14: ")


def charged(
    site: Site, before: Decimal, to: Decimal, used: Number, *, started: bool, paid: Decimal | None = None
) -> Charge | None:
    """What it costs to go from `before` to `to` units of the period, None where the billing system owns the price.
    `started`: some of the period is charged already; `paid`: how much by syncd. Raises Unpriced."""
    if site.rule.price is None:
        return None
    return charge(
        site.rule.price, before, to, currency=site.currency, house=site.house, cost=site.cost, started=started,
        used=target(site.rule, used.quantity).target, paid=paid,
    )  # fmt: skip


def text_of(
    desk: Desk, site: Site, used: Number, *, quantity: Decimal, before: Decimal, to: Decimal,
    template: str = "", priced: Charge | None = None,
) -> str:  # fmt: skip
    """What the customer reads on the line, cut at the vendor's limit. `template`: where the rule has none. `priced`:
    quantity and steps come with it, and are shortened before anything else is."""
    subjects = [one.name for part in used.parts for one in part.count.subjects or ()]
    limit = desk.views[site.connection].description_length
    template = site.rule.description or template

    def told(room: int) -> str:
        return describe(
            template, product=site.product.name, period=str(site.period),
            used=used.quantity, quantity=quantity, before=before, to=to,
            customer=site.customer, rule=site.rule.name, subjects=dict.fromkeys(subjects), limit=room,
        )  # fmt: skip

    if priced is None:
        return told(limit)
    whole = told(max(limit, 1))
    for steps in (f"{plain(quantity)} units; {priced.text}", f"{plain(quantity)} units; {priced.brief}"):
        if len(whole) + len(steps) + 2 + _LATE <= limit:
            return f"{whole}; {steps}"
    return f"{told(max(limit - len(steps) - 2 - _LATE, 1))}; {steps}"[:limit]
