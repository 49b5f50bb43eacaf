"""What goes wrong on purpose in `rehearse --faults`: the double misbehaves, and the process dies between steps.

Repeatable from the seed. Whatever is struck is counted, so that a rehearsal without interruptions cannot pass for one
with them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from syncd.core.entries import Entry
from syncd.ledger import Ledger
from syncd.sandbox.kit import Chaos, Double, Fault

P = ParamSpec("P")
R = TypeVar("R")

# A request that is answered later than the client waits lands after the client has given it up.
LATE_SECONDS = 1.2
WRITES = "POST|PATCH|PUT|DELETE"
# How often which fault befalls a write; answers lost after the change was made are what double posts are made of.
_WRITE_FAULTS = (
    *("drop_after",) * 4, *("500_after",) * 4, *("truncate",) * 2, *("drop_before",) * 2, "500_before", "html",
    "ignore", "unavailable", "throttle",
)  # fmt: skip
_READ_FAULTS = ("drop_before", "500_before", "unavailable", "drop_after")
_MOST_LATE = 3
# A fault strikes one of the next so many writes: most processes do not live to see more.
_SPREAD = 3


class Killed(BaseException):
    """The process would be dead here. No handler of errors catches it."""


class Bad(Chaos):
    """Reads fail now and then; what it struck is counted."""

    def __init__(self, dice: random.Random, rate: float) -> None:
        super().__init__(dice, rate)
        self.struck = 0

    def strike(self) -> Fault | None:
        """A fault for this request, or None."""
        if self._dice.random() >= self._rate:
            return None
        self.struck += 1
        return Fault(self._dice.choice(_READ_FAULTS))


class Mischief:
    """Plans the faults of every double for a cycle, and decides where the process dies.

    Begins calm; `storm` starts it, `calm` ends it. The more changes there are, the more of them a process survives, so
    that a rehearsal of many ends in sensible time.
    """

    def __init__(self, seed: int, doubles: Mapping[str, Double], changes: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - repeatable faults, no secret
        self._doubles = doubles
        self._late = 0
        self._odds = min(0.1, max(0.01, 2.5 / max(changes, 1)))
        self._planned: list[Fault] = []
        self._raging = False
        self._reads = {name: Bad(random.Random(seed + 1), 0.01) for name in doubles}  # noqa: S311
        self.struck: Counter[str] = Counter()
        self.died: Counter[str] = Counter()

    def storm(self) -> None:
        """From now on things go wrong."""
        self._raging = True
        for name, double in self._doubles.items():
            double.chaos = self._reads[name]

    def calm(self) -> None:
        """From now on everything works."""
        self._raging = False
        for double in self._doubles.values():
            double.chaos = None

    def before_cycle(self, changes: int) -> None:
        """Plans what befalls the next writes, while it storms; `changes` may still be made."""
        if not self._raging:
            return
        for double in self._doubles.values():
            for _ in range(max(1, changes)):
                self._plan(double, self._dice.choice(_WRITE_FAULTS))
            if self._late < _MOST_LATE and self._dice.random() < 0.3:
                self._late += 1
                self._plan(double, "slow")

    def after_cycle(self) -> bool:
        """Counts what was struck and takes back the rest. True where a late request may still be on its way."""
        late = False
        for fault in self._planned:
            if fault.times <= 0:
                self.struck[fault.what] += 1
                late |= fault.what == "slow"
        self._planned.clear()
        for name, double in self._doubles.items():
            with double.lock:
                double.faults.clear()
            if self._reads[name].struck:
                self.struck["read"] += self._reads[name].struck
                self._reads[name].struck = 0
        return late

    def may_die(self, where: str) -> None:
        """The process may die here. Raises Killed."""
        if self._raging and self._dice.random() < self._odds:
            self.died[where] += 1
            raise Killed(where)

    def _plan(self, double: Double, what: str) -> None:
        fault = Fault(what, method=WRITES, seconds=LATE_SECONDS, after=self._dice.randrange(_SPREAD))
        self._planned.append(fault)
        with double.lock:
            double.faults.append(fault)


class Mortal(Ledger):
    """A scratch ledger whose process may die before and after each of its commits. Waits that a real vendor imposed do
    not bind a sandbox."""

    fate: Callable[[str], None]

    def write(self, *args: Any, **kwargs: Any) -> list[Entry]:
        """As the ledger's."""
        return self._around("writing the intentions down", super().write, *args, **kwargs)

    def sending(self, *args: Any, **kwargs: Any) -> Entry | None:
        """As the ledger's."""
        return self._around("claiming for sending", super().sending, *args, **kwargs)

    def settle(self, *args: Any, **kwargs: Any) -> Entry:
        """As the ledger's."""
        return self._around("noting the outcome", super().settle, *args, **kwargs)

    def end_cycle(self, *args: Any, **kwargs: Any) -> None:
        """As the ledger's."""
        self._around("ending the cycle", super().end_cycle, *args, **kwargs)

    def waits(self, connection: str) -> dict[str, Any]:
        """None."""
        return {}

    def remember_wait(self, connection: str, scope: str, until: Any) -> None:
        """Nothing to remember."""

    def _around(self, step: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self.fate(f"before {step}")
        result = function(*args, **kwargs)
        self.fate(f"after {step}")
        return result
