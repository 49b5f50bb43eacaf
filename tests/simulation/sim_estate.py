"""What the model vendors of the simulation stand on: their records, their lies, the real time.

Owns the words (a row, an effect, what may be armed against a write or a list) and the estate: one real time for all,
and who is told of each call, delivery and effect. How a billing system acts is `sim_vendors`'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from syncd.model import Operation, Posting

if TYPE_CHECKING:
    from sim_vendors import BillingModel

CREATES = (Operation.ADD_LINE, Operation.POST_LINE, Operation.POST_CREDIT)
DATED = (Operation.POST_LINE, Operation.POST_CREDIT)
REQUEST_LIFE = timedelta(minutes=5)
KEY_LIFE = timedelta(hours=24)
# A request that outlives the life that its vendor declares: only a set of a quantity may, where the next read mends it.
VERY_LATE = timedelta(minutes=50)

# What may become of a write. "ok" is what happens where nothing is armed.
WRITE_FAULTS = (
    "lost",  # done, and the answer is dropped
    "error_after",  # done, and answered with 500
    "error_before",  # not done, and answered with 500
    "late",  # no answer; it lands minutes later
    "very_late",  # as late, after the declared life of a request (class S; others: as late)
    "ignored",  # answered 200, and nothing was done
    "refused",
    "throttled",  # the vendor documents that a throttled call does nothing
    "throttled_unclear",
    "unsent",  # no byte left
    "dies_on_line",  # not done, connection reset
)
# What may be wrong with the lists of a billing system, told by the connector where it can see it.
LINE_FAULTS = (
    "down",
    "cut",  # the read ends after some customers
    "half",  # half of the rows, and the total shows it: partial
    "double",  # a row twice: pages moved while they were read, unseen
    "gap",  # a row missing, unseen, in one reading only
    "stale",  # an older state, with a lag that goes up and down
    "list_down",
    "products_down",
)


@dataclass
class Row:
    """A line as the billing system keeps it. `units` is signed: a credit's are negative."""

    id: str
    customer: str
    product: str
    units: int
    starts: date | None = None
    ends: date | None = None
    once: bool = False
    marker: str = ""
    version: int = 1
    by: str = "a person"


@dataclass(frozen=True)
class Effect:
    """What one delivery changed. `units`: signed units of a created line, the new quantity of a set one."""

    key: str
    marker: str
    operation: str
    customer: str
    product: str
    line: str
    before: int
    units: int
    starts: date | None
    at: datetime


@dataclass
class Faults:
    """What is armed, and how often each was told."""

    writes: list[str] = field(default_factory=list)
    finds: int = 0
    reads: dict[str, int] = field(default_factory=dict)  # kind -> in how many cycles still
    victim: str = ""
    lags: list[int] = field(default_factory=list)

    def clear(self) -> None:
        self.writes.clear()
        self.finds = 0
        self.reads.clear()


class Estate:
    """What all vendors stand on: the real time, and who is told of each call.

    `process` tells the running process apart from others. `boundary` is called at every step of a connection, and may
    raise; `sent` for each delivery, before anything of it is done.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.hits: Counter[str] = Counter()
        self.process: Callable[[], object] = lambda: None
        self.boundary: Callable[[str], None] = lambda name: None
        self.sent: Callable[[BillingModel, Posting, bytes], None] = lambda vendor, posting, body: None
        self.done: Callable[[BillingModel, Effect], None] = lambda vendor, effect: None


def run_out(faults: Faults) -> None:
    for kind in list(faults.reads):
        faults.reads[kind] -= 1
        if faults.reads[kind] <= 0:
            del faults.reads[kind]


@dataclass
class Delivered:
    """A request that has reached the vendor's network and not yet the vendor."""

    lands: datetime
    body: bytes
