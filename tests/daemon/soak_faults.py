"""What goes wrong in a soak, and how: requests that are struck at odds, processes that die with a change under way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Chaos, Double, Fault, Recorded

DEATH = Path(__file__).resolve().parents[1] / "death"
sys.path.insert(0, str(DEATH))
from death_stage import Alive, Zygote  # noqa: E402

# What may befall any request. "ignore" and "slow" are of writes, but a read that is slow is late, too.
FAULTS = (
    *("drop_before", "drop_after", "500_before", "500_after", "html", "throttle", "truncate", "slow", "ignore"),
    *("unauthorized", "unavailable", "redirect"),
)
SOURCE_FAULTS = ("absent", "empty", "cut", "half")
TIMEOUT, LATE = 0.8, 1.0  # seconds: what is slow lands after the client has given it up


class Forks(Zygote):
    """The process that forks commands, with the books' connector loaded, too."""

    def __init__(self) -> None:
        more = "connectors.quickbooks.connection"
        code = (
            f"import sys; sys.path.insert(0, {str(DEATH)!r}); import death_zygote; "
            f"death_zygote.NEEDED.append({more!r}); death_zygote.main()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sees_disk = self._answer()["disk"]


class Odds(Chaos):
    """Any request is struck at a rate, by any fault; what was struck is counted."""

    def __init__(self, dice: random.Random, rate: float, hits: Counter[str]) -> None:
        super().__init__(dice, rate)
        self.dice, self.rate, self.hits = dice, rate, hits

    def strike(self) -> Fault | None:
        if self.dice.random() >= self.rate:
            return None
        what = self.dice.choice(FAULTS)
        self.hits[what] += 1
        return Fault(what, seconds=LATE)


class Executioner:
    """Kills a process while a vendor has one of its writes in hand, before or after it acts."""

    def __init__(self, double: Double, hits: Counter[str]) -> None:
        self.hits = hits
        self.acts = ""  # "" is: nobody is to die
        self.victim: Alive | None = None
        self.known = threading.Event()
        self._answer = double._answer
        double._answer = self._struck  # type: ignore[method-assign]

    def await_(self, acts: str) -> None:
        self.acts, self.victim = acts, None
        self.known.clear()

    def aims(self, victim: Alive) -> None:
        self.victim = victim
        self.known.set()

    def _struck(self, request: Request, fault: str) -> Response:
        writes = request.method in ("POST", "PATCH") and not request.path.endswith(("/bearer", "/query", "/batch"))
        acts = self.acts if writes else ""
        if not acts:
            return self._answer(request, fault)
        self.acts = ""
        assert self.known.wait(30)
        request.get_data()  # with its body: a client that dies between head and body has asked for nothing
        response = self._answer(request, fault) if acts == "before" else None
        if self.victim is not None:
            self.victim.end(signal.SIGKILL)
        self.hits[f"killed, the vendor acts {acts}"] += 1
        if acts == "after":
            time.sleep(0.05)
            response = self._answer(request, fault)
        return response or Response("gone", 500)


class Forgetful(list[Recorded]):
    """A double's record of requests, which would fill the memory."""

    def append(self, one: Recorded) -> None:
        """Forgets it."""
