"""The 28 crash points of the ledger's design, and which of a process's own steps belong to which.

The steps are recorded from a run, so a step that nobody thought of here belongs to the point that the run was at. What
no step can reach with the connectors that there are is listed with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from death_stage import Step

POINTS = {
    1: "before the cycle row",
    2: "after the cycle row, before the first read",
    3: "in the middle of a reading",
    4: "all read, the plan not written down",
    5: "inside the transaction of the plan",
    6: "planned, not yet sending",
    7: "inside the commit of sending",
    8: "sending is durable, no connection yet",
    9: "connected, no byte sent",
    10: "part of the request sent",
    11: "request complete, the vendor has not acted",
    12: "the vendor acted, no answer yet",
    13: "part of the answer received",
    14: "answer complete, posted not written",
    15: "inside the commit of posted",
    16: "posted without its event: the same transaction",
    17: "posted, nothing told yet",
    18: "ticket or message sent, not recorded",
    19: "during a probe",
    20: "probe answered, not recorded",
    21: "a second death during recovery",
    22: "in the refresh of a rotating token",
    23: "in the making of the ledger's tables",
    24: "in checkpoint, backup, restore",
    25: "SIGTERM, and killed before it had drained",
    26: "in an approval",
    27: "restored from an older backup",
    28: "stopped, another one took over, awake again",
}
# Where a run comes to a point; until the next of these it is at that point.
ARRIVALS = (
    (r"before ledger\.open$", 1),
    (r"before ledger\.open/.*disk\.", 23),
    (r"after ledger\.open$", 1),
    (r"after ledger\.begin_cycle$", 2),
    (r"before posting\.recover/posting\.probe$", 19),
    (r"after posting\.recover/posting\.probe/posting\._look/\w+\.find$", 20),
    (r"after posting\.recover$", 2),
    (r"before \w+\.(customers|products|counts|lines|booked)$", 3),
    (r"before (\w+\.refusal|\w+\.wire|ledger\.entries)$", 4),
    (r"before ledger\.write/commit$", 5),
    (r"after ledger\.write$", 6),
    (r"before (.*/)?posting\._post$", 6),
    (r"before (.*/)?posting\._post/posting\._send/ledger\.sending(_together)?/commit$", 7),
    (r"after (.*/)?posting\._post/posting\._send/ledger\.sending(_together)?$", 8),
    (r"after .*/\w+\.send/.* connect$", 9),
    (r"half .*/\w+\.send/.* write$", 10),
    (r"before .*/\w+\.send/.* read$", 11),
    (r"half .*/\w+\.send/.* read$", 13),
    (r"after .*/\w+\.send/.* read$", 14),
    (r"before .*/ledger\.settle:posted/commit$", 15),
    (r"after .*/ledger\.settle:posted$", 17),
    (r"before ledger\.close$", 24),
)
# Reached by tests of their own, which say so: the vendor holds the request, a command is not `run`, a signal is not
# SIGKILL.
ELSEWHERE = frozenset({11, 12, 16, 18, 21, 22, 23, 24, 25, 26, 27, 28})
# The reason why no death happens there.
OUT_OF_REACH: dict[int, str] = {}


def located(steps: Sequence[Step]) -> list[tuple[Step, int]]:
    """Each step with the crash point that the run is at."""
    point, found = 1, []
    for step in steps:
        said = f"{step.phase} {step.name}"
        # A name tells the place the first time only: the ledger is asked for entries at the end, too.
        arrived = [to for pattern, to in ARRIVALS if re.match(pattern, said) and (to != 4 or step.nth == 1)]
        point = arrived[0] if arrived else point
        found.append((step, point))
    return found


MOVES_BYTES = re.compile(r" (connect|write|read)$|/disk\.\w+\.(write|sync)$")


def instants(steps: Sequence[Step], *, every_write: bool = False) -> list[tuple[Step, int]]:
    """One step for each state in which the world and the disk can be left, in order.

    Two steps between which no byte moved are one instant. Of the writes of one commit, the first and the last are
    taken unless `every_write`; of connections, those that carry a posting: reads share theirs, as it happens.
    """
    last = {step.name: step.nth for step in steps if step.phase == "half"}
    found: list[tuple[Step, int]] = []
    for step, point in located(steps):
        if " connect" in step.name and ".send/" not in step.name:
            continue
        if "/disk." in step.name and not every_write and step.nth not in (1, last.get(step.name, step.nth)):
            continue
        moved = step.phase != "before" and MOVES_BYTES.search(step.name)
        if moved or not found or found[-1][1] != point:
            found.append((step, point))
    return found
