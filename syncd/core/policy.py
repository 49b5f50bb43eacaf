"""What may happen to a difference, and why. The difference is complete before this looks at it; nothing is dropped.

Order: what is decided already, what the rule says of the direction, what the safety limits say, whether it was seen
often enough. Every verdict carries its reason in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from syncd.core import commitments, guards
from syncd.core.entries import Closed, EntryState, Sighting
from syncd.core.guards import Guard, Hold
from syncd.core.rules import Direction, Rule, Safety, TrueUp
from syncd.model import Term
from syncd.money import ZERO
from syncd.periods import DAY, Period


class Action(StrEnum):
    """INTERFACE 4, JSON of `plan`: what the rule and the safety limits would do, whatever the mode."""

    NONE = "none"
    POST = "post"
    HOLD = "hold"
    SETTLE = "settle"
    DEFER = "defer"
    IGNORE = "ignore"
    ALERT = "alert"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens, and why; `guards` are those that tripped, where the action is HOLD. `by_hand`: a person mends it in
    the billing system, so that there is nothing to approve."""

    action: Action
    reason: str
    guards: tuple[Guard, ...] = ()
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One difference before its judges. Quantities are the line's.

    `step` is what the percentages judge, before and after: the recurring quantity, or a true-up line's total against
    that of its last closed period; None where there is nothing to compare with (a first period). `suspect`, `gone`,
    `edited`, `contested`, `earlier`, `forgotten` and `no_draft` are sentences, empty where they do not apply.
    `sighting` is the one that counts for this cycle. `period` holds today.
    """

    rule: Rule
    billed: Decimal
    target: Decimal
    step: tuple[Decimal, Decimal] | None
    fingerprint: str
    today: date
    period: Period
    closed: Closed | None = None
    sighting: Sighting | None = None
    suspect: str = ""
    gone: str = ""
    edited: str = ""
    contested: str = ""
    earlier: str = ""
    forgotten: str = ""
    no_draft: str = ""

    @property
    def difference(self) -> Decimal:
        """Target less billed."""
        return self.target - self.billed


def within_tolerance(rule: Rule, target: Decimal, billed: Decimal) -> bool:
    """Whether a difference is no drift; a percentage is taken of what is billed."""
    return abs(target - billed) <= rule.tolerance.of(billed)


def judge(case: Case, safety: Safety) -> Verdict:
    """The verdict on a difference that is not within tolerance."""
    rule, rising = case.rule, case.difference > 0
    if rule.true_up is TrueUp.ALERT:
        return Verdict(Action.ALERT, "the rule only reports")
    if decided := _already_decided(case):
        return decided
    direction = rule.increase if rising else rule.decrease
    word = "increase" if rising else "decrease"
    if direction is Direction.IGNORE:
        return Verdict(Action.IGNORE, f"{word} is ignore")
    holds = tuple(_holds(case, safety))
    if holds or direction is Direction.HOLD:
        asked = (f"{word} is hold",) if direction is Direction.HOLD else ()
        return Verdict(Action.HOLD, "; ".join((*asked, *(one.reason for one in holds))), guards.of(holds))
    if direction is Direction.NEXT_PERIOD and is_fresh(case.sighting, case.period) and not _repeats(case):
        return Verdict(Action.DEFER, f"{word} is next-period: not before {case.period.last + DAY}")
    times = case.sighting.times if case.sighting else 0
    if times < safety.settle and safety.settle > 1:  # with 1, the cycle that posts is the one that sees it
        return Verdict(Action.SETTLE, f"seen in {times} of {safety.settle} cycles")
    return Verdict(Action.POST, f"{word} is {direction}")


def is_fresh(sighting: Sighting | None, period: Period) -> bool:
    """Whether a difference was not seen before this period."""
    return sighting is None or sighting.since >= period.first


def _repeats(case: Case) -> bool:
    """A true-up that comes to no more than the last period's: it is owed anew, and nothing has increased."""
    return case.difference > 0 and case.step is not None and case.step[1] <= case.step[0]


def _already_decided(case: Case) -> Verdict | None:
    """A rejected, refused or undone change stays away until count, line or rule moves."""
    closed = case.closed
    if closed is None or closed.fingerprint != case.fingerprint:
        return None
    if closed.state is EntryState.REJECTED:
        return Verdict(Action.IGNORE, f"rejected by {_who(closed)}: {closed.note}")
    if closed.state is EntryState.FAILED:
        return Verdict(Action.BLOCKED, f"refused: {closed.note} (entry {closed.id})")
    if closed.state is EntryState.POSTED and closed.undo_of:
        return Verdict(Action.IGNORE, f"undone by {_who(closed)} (entry {closed.id})")
    return None


def _who(closed: Closed) -> str:
    return closed.decided_by.removeprefix("person:")


def _holds(case: Case, safety: Safety) -> Iterable[Hold]:
    """Why a person must look first, most serious first."""
    if case.gone and safety.to_zero == "hold":
        yield Hold(Guard.GONE, case.gone)
    if case.suspect:
        yield Hold(Guard.SOURCE_DROP, case.suspect)
    if case.earlier:
        yield Hold(Guard.EARLIER_PERIOD, case.earlier)
    if case.forgotten:
        yield Hold(Guard.RESTORED, case.forgotten)
    if case.contested:
        yield Hold(Guard.OSCILLATION, case.contested)
    elif case.edited and safety.foreign_edit == "hold":
        yield Hold(Guard.FOREIGN_EDIT, case.edited)
    if not case.gone:
        yield from guards.to_zero(case.target, case.billed, safety)
    yield from guards.step_holds(case.step, safety)
    if case.no_draft:
        yield Hold(Guard.NO_DRAFT, case.no_draft)


def held_back(target: Decimal, billed: Decimal, terms: Sequence[Term], today: date) -> tuple[Decimal, date | None]:
    """`decrease = "term"`: (what may be billed now, the first day on which more may fall).

    Only seats still bought under a commitment are held back; a commitment counts up to and including its last day.
    Seats that may still be given back are not committed yet.
    """
    waiting = commitments.waits(target, billed, terms, today)
    if not waiting:
        return target, None
    return target + sum((one.seats for one in waiting), ZERO), waiting[0].term.last + DAY


def sight(before: Sighting | None, fingerprint: str, today: date, settle: int) -> Sighting:
    """The sighting after one more cycle that shows this situation."""
    if before is None or before.fingerprint != fingerprint:
        return Sighting(fingerprint, 1, today)
    return Sighting(fingerprint, min(before.times + 1, max(settle, before.times)), before.since)
