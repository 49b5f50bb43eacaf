"""What the makers of conditions share: one cycle's plan, what waits and ended in it, and how a list, a count and a sum
are told. Pure.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from syncd.core.entries import Entry, EntryState
from syncd.core.episodes import Condition
from syncd.core.plan import Plan, PlanLine
from syncd.core.policy import Action
from syncd.model import State
from syncd.money import ZERO, plain_money

# So many names stand in one sentence.
NAMES = 5
_EDITOR = re.compile(r"the line was changed by .+? to (?=-?\d)")
_AUTHOR = re.compile(r"last changed by .+? on (?=\d{4}-|an unknown)")
_UNREAD = frozenset({State.UNKNOWN, State.PARTIAL})
_UNDECIDED = frozenset({Action.SETTLE, Action.DEFER, Action.POST})


@dataclass
class Desk:
    """What the makers of conditions share. `folded`: lines that are told with their customer or source."""

    plan: Plan
    tags: Mapping[str, Sequence[str]]
    entries: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    folded: set[str] = field(default_factory=set)
    lines: Mapping[str, PlanLine] = field(default_factory=dict)
    said: dict[str, list[str]] | None = None

    def messages(self, customer: str) -> Sequence[str]:
        """What was said about reads that failed for a customer, or for everybody."""
        if self.said is None:
            self.said = defaultdict(list)
            for error in self.plan.errors:
                self.said[error.customer].append(error.message)
        return (*self.said.get("", ()), *self.said.get(customer, ()))

    def tags_of(self, customers: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted({tag for name in customers for tag in self.tags.get(name, ())}))

    def blind(self, said: Condition) -> bool:
        """Whether a condition that was not found may be there all the same: a line whose numbers were not read, or that
        is told with its source; a source's trouble while another one hides it."""
        what, _, line_id = said.key.partition(":")
        if what == "amount":
            unread = self.lines.get(line_id)
            return unread is not None and not _UNREAD.isdisjoint(unread.states.values())
        if what in ("line", "threshold"):
            line = self.lines.get(line_id)
            return line is not None and self._hidden(line)
        errors = [error for error in self.plan.errors if error.connection in said.connections]
        if what in ("source", "grace"):
            return any(not error.customer or error.customer in said.customers for error in errors)
        if what == "gone":
            return any(not error.customer for error in errors)
        return bool(errors)

    def _hidden(self, line: PlanLine) -> bool:
        if line.id in self.folded or _UNREAD & set(line.states.values()):
            return True
        # The difference stands: it moved a moment ago, waits for its date, or could not be sent yet.
        return line.action in _UNDECIDED and not self.done(line.id)

    def done(self, line_id: str) -> bool:
        """Whether a change of the line was posted in this cycle."""
        return any(entry.state is EntryState.POSTED for entry in self.entries.get(line_id, ()))


def condition(desk: Desk, line: PlanLine, kind: str, what: str, mend: str) -> Condition:
    """One line's condition. Who changed it is for the pages, behind their sign-in."""
    what = _EDITOR.sub("the line was changed to ", _AUTHOR.sub("last changed on ", what))
    size = abs(line.difference) if line.difference is not None else Decimal(1)
    money = abs(line.amount) if line.amount is not None else None
    return Condition(
        f"line:{line.id}", (kind,), what, mend, size, money, line.currency if money is not None else "",
        (line.customer,), (line.connection,), desk.tags_of([line.customer]),
    )  # fmt: skip


def money_of(lines: Iterable[PlanLine]) -> tuple[Decimal | None, str]:
    """What the lines come to in one period, where all that are priced have one currency."""
    priced = [(abs(line.amount), line.currency) for line in lines if line.amount is not None]
    if len({currency for _, currency in priced}) != 1:
        return None, ""
    return sum((amount for amount, _ in priced), ZERO), priced[0][1]


def worth_told(lines: Iterable[PlanLine]) -> str:
    money, currency = money_of(lines)
    return f", {plain_money(money, currency)} {currency} a period" if money else ""


def listed(names: Sequence[str]) -> str:
    """`A, B and C`; more than NAMES end in `and 4 more`."""
    if len(names) > NAMES:
        return f"{', '.join(names[:NAMES])} and {len(names) - NAMES} more"
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
