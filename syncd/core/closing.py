"""The period lock: what a billing system has invoiced is closed, and what is late goes into the first open period.

A late line keeps its own period: its identity, its sum and its words are the old period's; only its days are not. So
the lines of a period always sum to what was due, whenever they could be billed. Pure.

What counts as closed follows how the field's systems take a dated line (ConnectWise sheet, section 6 and recipe 2): a
period that is on an invoice takes no more lines, except the running one of an agreement that prorates, whose next
invoice brings what was dated into it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from syncd.core import keys
from syncd.core.entries import DATED, Intent, LineHistory, Past
from syncd.model import Agreement, Operation, Posting
from syncd.periods import DAY, Period, following, preceding

_NOTHING = LineHistory()
# Words on the form of a line that hold only for days of its own period.
_OF_ITS_DAYS = frozenset({"prorate", "beside"})
# How many periods a line may be late and still be recognised on the billing system's list.
_REACH = 24


def is_closed(agreement: Agreement, starts: date | None, ends: date | None, today: date) -> bool:
    """Whether days that begin so are invoiced and take no line any more. `ends`: None is open-ended."""
    through = agreement.invoiced_through
    if through is None or starts is None or starts > through:
        return False
    return not (agreement.prorates and (ends is None or ends >= today))


def first_open(agreement: Agreement, period: Period) -> Period:
    """The first days that are not invoiced yet: the rest of a period, mostly a whole one. `period`: any period of the
    agreement."""
    through = agreement.invoiced_through
    if through is None:
        return period
    day = through + DAY
    while day > period.last:
        period = following(period)
    while day < period.first:
        period = preceding(period)
    return Period(day, period.last)


def late_words(period: str, text: str) -> str:
    """What the customer reads on a line that stands in a later period than its own."""
    prefix = f"for {period}: "
    return prefix + text.removeprefix(prefix)


def whole_days(posting: Posting) -> dict[str, str]:
    """A posting's options without those that only hold for days of its own period."""
    return {name: value for name, value in posting.options.items() if name not in _OF_ITS_DAYS}


def postpone(
    intent: Intent, agreement: Agreement, period: Period, past: Past, *, today: date
) -> tuple[Posting | None, str]:
    """What an intent whose days are closed is to be posted as instead, or None; and why, in words for a person.

    `period`: the agreement's period that holds today. The posting has a key and a mark of its own, because the bytes
    under the old ones are frozen. "" and None where its days are open, or where it has none.
    """
    posting = intent.posting
    added = posting.operation is Operation.ADD_LINE
    if not (added or posting.operation in DATED):
        return None, ""
    if not is_closed(agreement, posting.starts, None if added else posting.ends, today):
        return None, ""
    days = first_open(agreement, period)
    closed = f"{intent.period} is closed: {agreement.name!r} is invoiced through {agreement.invoiced_through}"
    if posting.options.get("prorate") and posting.amount is None:
        return None, f"{closed}, and no price is known by which its part could be charged later; charge it by hand"
    history = past.lines.get(intent.identity, _NOTHING)
    key = keys.key(past.installation, posting.operation, intent.identity, intent.period, history.generation + 1)
    named = replace(posting, key=key, marker=keys.marker(past.installation, key), starts=days.first)
    if added:
        return named, f"{closed}; approve to let the line begin on {days.first} instead of {posting.starts}"
    late = replace(
        named,
        ends=days.last,
        description=late_words(intent.period, posting.description),
        options=whole_days(posting),
    )
    return late, f"{closed}; approve to post it into {days}, named as for {intent.period}"


def true_period(period: Period, marker: str, starts: date, past: Past, identity: str) -> Period | None:
    """The period that a dated line of syncd's belongs to, by its mark; None where its days tell.

    `period`: any period of the agreement; `identity`: that of the rule's dated lines without the period. Marks are
    derived from keys and keys from periods, so that no list of them is needed.
    """
    while starts > period.last:
        period = following(period)
    while starts < period.first:
        period = preceding(period)
    for _ in range(_REACH):
        if marker in _marks(past, f"{identity}{period}", str(period)):
            return period
        period = preceding(period)
    return None


def _marks(past: Past, identity: str, period: str) -> set[str]:
    """The marks that lines of an identity can bear: one more generation than ended may have been named."""
    known = past.lines.get(identity)
    if known is None:
        return set()
    return {
        keys.marker(past.installation, keys.key(past.installation, operation, identity, period, number))
        for number in range(known.generation + 2)
        for operation in DATED
    }
