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

from syncd.core.entries import Closed, EntryState, Settled, Sighting
from syncd.core.rules import Direction, Rule, Safety, TrueUp
from syncd.model import Term
from syncd.money import ZERO, plain
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
    """What happens, and why."""

    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """One difference before its judges. Quantities are the line's.

    `step` is what the percentages judge, before and after: the recurring quantity, or a true-up line's total against
    that of its last closed period; None where there is nothing to compare with (a first period). `suspect`, `gone`
    and `edited` are sentences, empty where they do not apply. `sighting` is the one that counts for this cycle.
    `period` holds today.
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
    holds = list(_holds(case, safety))
    if direction is Direction.HOLD:
        holds.insert(0, f"{word} is hold")
    if holds:
        return Verdict(Action.HOLD, "; ".join(holds))
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


def _holds(case: Case, safety: Safety) -> Iterable[str]:
    """Why a person must look first, most serious first."""
    if case.gone and safety.to_zero == "hold":
        yield case.gone
    if case.suspect:
        yield case.suspect
    if case.edited and safety.foreign_edit == "hold":
        yield case.edited
    if case.target <= 0 < case.billed and safety.to_zero == "hold" and not case.gone:
        yield "the line falls to zero"
    yield from _step_holds(case, safety)


def _step_holds(case: Case, safety: Safety) -> Iterable[str]:
    if case.step is None:
        return
    before, after = case.step
    size, rising = abs(after - before), after > before
    if after <= 0 and safety.to_zero == "settle":
        return  # a fall to zero was allowed in so many words
    if before < safety.small_line or before <= 0:  # a percentage of nothing says nothing
        if size > safety.max_step:
            yield f"a step of {plain(size)} on a line of {plain(before)}: more than max_step {plain(safety.max_step)}"
        return
    limit = safety.max_increase if rising else safety.max_decrease
    if size * 100 > limit * before:
        share = (size * 100 / before).quantize(Decimal("0.1"))
        name = "max_increase" if rising else "max_decrease"
        yield f"{'+' if rising else '-'}{plain(share)}%: more than {name} {plain(limit)}%"


def held_back(target: Decimal, billed: Decimal, terms: Sequence[Term], today: date) -> tuple[Decimal, date | None]:
    """`decrease = "term"`: (what may be billed now, the first day on which more may fall).

    Only seats still bought under a commitment are held back; a commitment counts up to and including its last day.
    """
    running = [term for term in terms if term.last >= today]
    committed = sum((term.quantity for term in running), ZERO)
    floor = max(target, min(billed, committed))
    return floor, min(term.last for term in running) + DAY if floor > target else None


def edited_by_hand(billed: Decimal, posted: Settled | None, changed_by: str) -> str:
    """A sentence where the line no longer shows what syncd last wrote; "" where it does or syncd never wrote it."""
    if posted is None or billed == posted.to:
        return ""
    who = f" by {changed_by}" if changed_by else ""
    return f"syncd wrote {plain(posted.to)}, the line was changed{who} to {plain(billed)}"


def sight(before: Sighting | None, fingerprint: str, today: date, settle: int) -> Sighting:
    """The sighting after one more cycle that shows this situation."""
    if before is None or before.fingerprint != fingerprint:
        return Sighting(fingerprint, 1, today)
    return Sighting(fingerprint, min(before.times + 1, max(settle, before.times)), before.since)
