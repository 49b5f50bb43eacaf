"""The period lock: what a billing system has invoiced is closed, and what is late goes into the first open period.

A late line keeps its own period: its identity, its sum and its words are the old period's; only its days are not. So
the lines of a period always sum to what was due, whenever they could be billed. Pure.

What counts as closed follows how the field's systems take a dated line (ConnectWise sheet, section 6 and recipe 2): a
period that is on an invoice takes no more lines, except the running one of an agreement that prorates, whose next
invoice brings what was dated into it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain

from syncd.core import keys, meters
from syncd.core.entries import DATED, Intent, LineHistory, Past
from syncd.model import Agreement, Operation, Posting
from syncd.periods import DAY, Period, following, parse_period, preceding

_NOTHING = LineHistory()
# What leaves a line of its own, which bears a mark.
_ON_A_LINE = (Operation.POST_LINE, Operation.POST_CREDIT)
# Words on the form of a line that hold only for days of its own period.
_OF_ITS_DAYS = frozenset({"prorate", "beside"})
# How many periods a line may be late and still be recognised on the billing system's list; an agreement that is
# invoiced further ahead than that is not believed.
_REACH = 24
# The same, of periods of which a restored ledger forgot lines; and how many changes of one it may have forgotten.
_FORGOTTEN = 3
_GENERATIONS = range(40)


def is_closed(agreement: Agreement, starts: date | None, ends: date | None, today: date) -> bool:
    """Whether days that begin so are invoiced and take no line any more. `ends`: None is open-ended."""
    through = agreement.invoiced_through
    if through is None or starts is None or starts > through:
        return False
    return not (agreement.prorates and (ends is None or ends >= today))


def too_far_ahead(agreement: Agreement, period: Period) -> str:
    """A sentence where an agreement says that it is invoiced further ahead than anything is sold: a mistyped year would
    have a line drafted for each month until then, or have what is due now billed in a period that nobody lives to see.

    `period`: the agreement's period that holds today.
    """
    through, last = agreement.invoiced_through, period
    if through is None:
        return ""
    for _ in range(_REACH):
        last = following(last)
    if through <= last.last:
        return ""
    return (
        f"{agreement.name!r} says that it is invoiced through {through}, more than {_REACH} periods ahead; "
        "correct the date in the billing system"
    )


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
    if over := meters.too_late(posting, intent.period, agreement):
        return None, over
    added = posting.operation is Operation.ADD_LINE
    if not (added or posting.operation in DATED):
        return None, ""
    if not is_closed(agreement, posting.starts, None if added else posting.ends, today):
        return None, ""
    part = posting.operation is Operation.POST_LINE and posting.options.get("beside") and not intent.undo_of
    if part and posting.ends is not None and posting.ends >= today:
        # Made for days that are invoiced, as long as they run: waiting for a person, or for a process that died, does
        # not make it late.
        return None, ""
    if unbelieved := too_far_ahead(agreement, period):
        return None, unbelieved
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


def known_periods(past: Past) -> Mapping[str, list[str]]:
    """Family of syncd's own dated lines -> the periods that the ledger knows of it, as texts."""
    found: dict[str, list[str]] = defaultdict(list)
    for identity in past.lines:
        if family := keys.family(identity):
            found[family].append(identity[len(family) + 1 :])
    return found


def true_period(
    period: Period, marker: str, starts: date, past: Past, identity: str, known: Iterable[str] = ()
) -> Period | None:
    """The period that a dated line of syncd's belongs to, by its mark; None where its days tell.

    `period`: any period of the agreement; `identity`: that of the rule's dated lines without the period; `known`: the
    periods that the ledger knows of them, in which no shape is guessed: a first period may be short, or the agreement
    may have been changed since. Marks are derived from keys and keys from periods, so that no list of them is needed.
    """
    while starts > period.last:
        period = following(period)
    while starts < period.first:
        period = preceding(period)
    before = [period]
    for _ in range(_REACH - 1):
        before.append(preceding(before[-1]))
    guessed = {str(one) for one in before}
    others = (parse_period(text) for text in known if text not in guessed)
    for one in chain(before, others):
        history = past.lines.get(f"{identity}{one}")
        # One more generation than ended may have been named.
        if history is not None and marker in _marks(past, identity, one, range(history.generation + 2)):
            return one
    # A restored ledger knows fewer generations of a period than were posted, or does not know the period at all.
    return next((one for one in before[:_FORGOTTEN] if marker in _marks(past, identity, one, _GENERATIONS)), None)


def billed_beside(period: Period, past: Past, identity: str, known: Iterable[str]) -> str:
    """A sentence where another period of the same lines is billed and has days in common with this one: somebody moved
    the agreement's periods, or they are no months. `identity` and `known` as in `true_period`."""
    for one in map(parse_period, known):
        shared = one != period and one.first <= period.last and period.first <= one.last
        if shared and past.lines.get(f"{identity}{one}", _NOTHING).own_quantity:
            return (
                f"{period} has days in common with {one}, which is billed: look, then approve this, or reject it and "
                "bill by hand what is missing"
            )
    return ""


def kin(known: Iterable[str]) -> Mapping[str, list[str]]:
    """Families of dated lines by what they share with others: where they stand (connection, agreement, product), and
    whose they are (connection, customer and rule). A rule that was renamed shares the first, an agreement that was
    renewed the second."""
    found: dict[str, list[str]] = defaultdict(list)
    for family in known:
        for shared in _shared(family):
            found[shared].append(family)
    return found


def _shared(family: str) -> tuple[str, str]:
    place, _, whose = family.rpartition(":")
    return place, f"{place.split(':', 2)[1]}:{whose}"


def billed_elsewhere(
    period: Period, past: Past, family: str, kin: Mapping[str, Sequence[str]], known: Mapping[str, Iterable[str]],
    *, listed: bool,
) -> str:  # fmt: skip
    """A sentence where the days of a period, for which nothing was posted under this identity, are billed under another
    one: the rule or the customer was renamed, the agreement renewed, or another product named.

    `listed`: the billing system's list shows lines of the same place, whatever the rule was called then.
    """
    place, whose = _shared(family)
    for other in chain(kin.get(whose, ()), () if listed else kin.get(place, ())):
        if other == family:
            continue
        for one in map(parse_period, known[other]):
            shared = one.first <= period.last and period.first <= one.last
            if shared and past.lines.get(f"{other}:{one}", _NOTHING).own_quantity:
                which = f"{one} is" if one == period else f"days of {period} are (with {one})"
                return (
                    f"{which} billed already, before the rule, customer, product or agreement changed: look, then "
                    "approve this, or reject it"
                )
    return ""


def is_forgotten(marker: str, period: Period, past: Past, identity: str) -> bool:
    """Whether a line of a period bears a mark that the ledger has yet to give: it was restored, and forgot the line.
    `identity`: that of the rule's dated lines without the period."""
    known = past.lines.get(f"{identity}{period}", _NOTHING)
    if known.open is not None and known.open.intent.posting.marker == marker:
        return False
    later = range(known.generation, known.generation + len(_GENERATIONS))
    return marker in _marks(past, identity, period, later)


def may_be_forgotten(operation: Operation, period: str, forgot: date | None) -> bool:
    """Whether a dated line is for a period that was over when the ledger was restored (`Past.forgot`): the like may be
    billed there under a mark that it forgot, where no list shows that period any more."""
    return forgot is not None and operation in DATED and parse_period(period).last < forgot


def _marks(past: Past, identity: str, period: Period, generations: range) -> Iterator[str]:
    """The marks that lines of a period can bear."""
    name = f"{identity}{period}"
    for number in generations:
        for operation in _ON_A_LINE:
            yield keys.marker(past.installation, keys.key(past.installation, operation, name, str(period), number))
