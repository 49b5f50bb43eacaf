"""Usage that is reported to a meter: the vendor adds up what is reported in a period and charges it when that ends.

A meter that adds up is brought to what is due by parts, like dated lines, and each part is dated into the period that
it is for: on a day that is over, because no vendor takes usage of days to come, and not on the period's first day,
which may belong to two periods. What is too much is reported as less than nothing while the period runs; once it is
invoiced, nothing can be reported into it or taken off it any more. Pure.
"""

from __future__ import annotations

from datetime import date, timedelta

from syncd.core import keys
from syncd.model import Agreement, Operation, Posting
from syncd.periods import DAY, Period, parse_period

# The option that tells which part of a period's usage a posting is.
PART = "part"
# Days between the days under which usage of a long period is reported; vendors take none that is older than 35.
_APART = 33


def reporting_day(period: Period, today: date, since: date | None = None) -> date:
    """The day under which usage of a period is reported today: its second, in long periods a later one. The same for
    a month on end, so that a part that was reported and forgotten is found where it stands. `since`: the day on which
    the metered line was added, where that is later: what came before might not be charged."""
    second = max(period.first, since or period.first) + DAY
    behind = max((today - second - DAY).days, 0)
    return second + timedelta(days=behind // _APART * _APART)


def part(identity: str, generation: int) -> str:
    """Which part of a period's usage this is: no two of them have one name, so that each can be told from the others
    where the vendor shows sums only. The name and the number are separated by a slash."""
    return f"{keys.short('part', identity)}/{generation}"


def too_early(posting: Posting, period: Period, today: date) -> str:
    """A sentence where usage of the running period can be reported in the next days only; "" where it can."""
    if posting.operation is not Operation.REPORT_USAGE or posting.starts is None or posting.starts < today:
        return ""
    return f"usage of {period} can be reported from {posting.starts + DAY} on"


def no_day_left(posting: Posting, period: Period) -> str:
    """A sentence where no day of the period will be over while it runs: it is too short, or its line was added at its
    end."""
    if posting.starts is None or posting.starts < period.last:
        return ""
    return f"{period} has no day left under which usage could be reported while it runs; charge it by hand"


def too_late(posting: Posting, period: str, agreement: Agreement) -> str:
    """A sentence where the period of an amount that waited is over: what is reported now would be charged with
    another period's usage, or not at all."""
    through = agreement.invoiced_through
    if posting.operation is not Operation.REPORT_USAGE or through is None or parse_period(period).first > through:
        return ""
    return (
        f"{period} is over and its usage is invoiced: nothing can be reported into it any more; reject this, and "
        "charge or credit it by hand"
    )
