"""The guards of `[safety]` and those that always stand: what makes a person look before anything is sent.

A guard has a name, so that alerts, metrics and pages tell guards apart without reading sentences, and a sentence for
people. A guard that trips holds its line; nothing here drops a difference or makes one smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from syncd.core.entries import Settled
from syncd.core.rules import Safety
from syncd.money import ZERO, plain


class Guard(StrEnum):
    """What holds a line back. The first ones are keys of `[safety]`; the last ones stand whatever it says."""

    SOURCE_DROP = "source_drop"
    MAX_DECREASE = "max_decrease"
    MAX_INCREASE = "max_increase"
    MAX_STEP = "max_step"
    TO_ZERO = "to_zero"
    FOREIGN_EDIT = "foreign_edit"
    MAX_POSTINGS = "max_postings"
    MAX_AMOUNT = "max_amount"
    GONE = "gone"  # the customer is gone from a source; `to_zero` says what happens then
    OSCILLATION = "oscillation"  # another writer puts back what syncd writes
    EARLIER_PERIOD = "earlier_period"  # a later period was posted for already, or one that shares days with it
    RESTORED = "restored"  # the ledger may have forgotten what it billed for a period that is over
    SKU_NOT_SEEN = "sku_not_seen"  # no customer of the source has what the rule counts
    UNREAD_DAYS = "unread_days"  # too many days of a closed period were not read whole
    NO_DRAFT = "no_draft"  # what is posted reaches the customer at once


@dataclass(frozen=True, slots=True)
class Hold:
    """One guard that tripped, and why, as a sentence."""

    guard: Guard
    reason: str


# A writer that comes once a month still fights; one that came back after longer had let the line stay.
ROUND = timedelta(days=35)
# So many writes of syncd may be put back before a person must look.
ROUNDS = 2


def step_holds(step: tuple[Decimal, Decimal] | None, safety: Safety) -> Iterable[Hold]:
    """`max_increase` and `max_decrease` of (before, after), or `max_step` where before is a small line; exactly at the
    limit is inside. None: nothing to compare with."""
    if step is None:
        return
    before, after = step
    size, rising = abs(after - before), after > before
    if after <= 0 and safety.to_zero == "settle":
        return  # a fall to zero was allowed in so many words
    if before < safety.small_line or before <= 0:  # a percentage of nothing says nothing
        if size > safety.max_step:
            limit = f"more than max_step {plain(safety.max_step)}"
            yield Hold(Guard.MAX_STEP, f"a step of {plain(size)} on a line of {plain(before)}: {limit}")
        return
    limit_of = safety.max_increase if rising else safety.max_decrease
    if size * 100 > limit_of * before:
        share = (size * 100 / before).quantize(Decimal("0.1"))
        guard = Guard.MAX_INCREASE if rising else Guard.MAX_DECREASE
        yield Hold(guard, f"{'+' if rising else '-'}{plain(share)}%: more than {guard} {plain(limit_of)}%")


def edited_by_hand(billed: Decimal, posted: Settled | None, changed_by: str) -> str:
    """A sentence where the line no longer shows what syncd last wrote; "" where it does or syncd never wrote it."""
    if posted is None or billed == posted.to:
        return ""
    return f"syncd wrote {plain(posted.to)}, {_changed(changed_by)} {plain(billed)}"


def contested(
    recent: Sequence[Settled], wanted: Decimal, billed: Decimal, now: datetime, *, changed_by: str = "", rival: str = ""
) -> str:
    """A sentence where another writer has put back what syncd wrote as often as it may: the next write waits for a
    person, whatever `foreign_edit` says. "" where the line stayed.

    `recent`: syncd's last writes to the line, newest last. A write was put back where the one after it found something
    else, or the line shows something else now. Only a fight over the same number counts: syncd's, or the other's. A
    count that truly goes up and down is none, because each write finds what the one before left.
    """
    rounds: list[Settled] = []
    found, at = billed, now
    for write in reversed(recent):
        if found == write.to or at - write.settled_at > ROUND or (write.to != wanted and found != billed):
            break
        rounds.append(write)
        found, at = write.before, write.settled_at
    if len(rounds) < ROUNDS:
        return ""
    written = " and ".join(dict.fromkeys(plain(write.to) for write in reversed(rounds)))
    also = f" ({rival} also writes this product)" if rival else ""
    return (
        f"syncd wrote {written} in {len(rounds)} rounds and each time {_changed(changed_by)} {plain(billed)}{also}; "
        "stop the other writer, or approve one more round"
    )


def _changed(changed_by: str) -> str:
    return f"the line was changed{f' by {changed_by}' if changed_by else ''} to"


def of(holds: Iterable[Hold]) -> tuple[Guard, ...]:
    """The guards that tripped, each once, in the order of the sentences."""
    return tuple(dict.fromkeys(hold.guard for hold in holds))


def to_zero(target: Decimal, billed: Decimal, safety: Safety) -> Iterable[Hold]:
    """`to_zero = "hold"`: a line that falls to nothing."""
    if target <= ZERO < billed and safety.to_zero == "hold":
        yield Hold(Guard.TO_ZERO, "the line falls to zero")
