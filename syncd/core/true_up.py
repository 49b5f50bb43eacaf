"""What the ways to reach a target have in common: each way (`true_up_quantity`, `true_up_line`) is a module that
offers what `Way` names, and knows nothing of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from syncd.core.effects import Effect, Site, describe
from syncd.core.entries import LineHistory
from syncd.core.findings import Number
from syncd.core.place import Desk, Place
from syncd.periods import Period

NOTHING = LineHistory()


@dataclass(frozen=True, slots=True)
class Proposal:
    """The postings that would reach the target. `step`: what percentages judge, before and after, None in a first
    period. `obstacle`: why nothing can be done, as a sentence; then nothing is proposed."""

    effects: tuple[Effect, ...] = ()
    step: tuple[Decimal, Decimal] | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Meddling:
    """What somebody else did to what syncd wrote, as sentences, empty where nobody did. `stands`: the number that
    syncd last wrote, None where it wrote none. `edited`: it is no longer there. `contested`: it was put back again and
    again."""

    stands: Decimal | None = None
    edited: str = ""
    contested: str = ""


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


def text_of(desk: Desk, site: Site, used: Number, *, quantity: Decimal, before: Decimal, to: Decimal) -> str:
    """What the customer reads on the line, cut at the vendor's limit."""
    subjects = (one.name for part in used.parts for one in part.count.subjects or ())
    return describe(
        site.rule.description, product=site.product.name, period=str(site.period), used=used.quantity,
        quantity=quantity, before=before, to=to, customer=site.customer, rule=site.rule.name,
        subjects=dict.fromkeys(subjects), limit=desk.views[site.connection].description_length,
    )  # fmt: skip
