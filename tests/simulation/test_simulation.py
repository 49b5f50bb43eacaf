"""Thousands of seeded schedules of all that can go wrong, each played to rest and judged (RELIABILITY T4, T10-T13).

A failure prints its seed, its setup and its steps; keep the shrunk ones in `test_simulated_regressions.py`.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from sim_draw import DEATHS
from sim_estate import LINE_FAULTS, WRITE_FAULTS
from sim_run import Total, simulate, simulate_many, table
from sim_sources import COUNT_FAULTS
from sim_steps import STEPS

QUICK = 200
# Half an hour of two idle cores, and longer where other tests run beside them: those go first, because they wait for
# real processes. A slower machine plays what fits into `WITHIN` seconds; others: `bench_simulation.py`.
FIRST, MANY, LEAST, WITHIN = 1_001_200, 10_000, 5_000, 65 * 60.0
# Met one to five times in a thousand schedules, because several things must come together: a request that outlives its
# declared life is only told of quantities, a gap only where two looks are asked for, a version only where the vendor
# has one, a period is closed only between a plan and its sending, a change is planned again only where it surely did
# not leave, and overtaken only between the list and the look.
SELDOM = {
    *(f"ledger.settle({state}){part}" for state in ("planned", "superseded") for part in ("", ".commit", ".after")),
    *("write very_late", "lines gap", "a version refused", "a closed period refused"),
}
# What must have been reached, by the name under which it is counted.
HITS = (
    *(f"write {kind}" for kind in (*WRITE_FAULTS, "ok")),
    *(f"lines {kind}" for kind in LINE_FAULTS),
    *(f"counts {kind}" for kind in COUNT_FAULTS),
    *(f"rival {what}" for what in ("edit", "touch", "remove", "twin")),
    *("find down", "a late request landed", "a version refused", "a closed period refused", "keys forgotten"),
    *("a take-over", "a stale writer was stopped", "a second writer was refused", "clock doubted"),
    *("clock +25 h", "clock +744 h", "clock -2 h", "restored by tool", "restored by hand"),
    *("approved", "rejected", "retried", "undone"),
    *("a shared document", "refused together", "a line refused", "closed books refused", "write unlisted"),
    *("bookkeeper send on", "bookkeeper void", "bookkeeper delete"),
)


def unmet(total: Total) -> set[str]:
    """The kinds of death and of trouble that were never reached."""
    return {name for name in DEATHS if not total.kills[name]} | {name for name in HITS if not total.hits[name]}


def failures(total: Total) -> str:
    """What a person reads: the first failing schedules."""
    return "\n\n".join(str(one) for one in total.wrong[:3])


@pytest.mark.timeout(600)  # ten times what it takes on two idle cores
def test_two_hundred_schedules_hold() -> None:
    total = simulate_many(range(QUICK), processes=2, shrinks=False)
    assert total.schedules == QUICK
    assert not total.wrong, failures(total)
    # What holds was at stake: each kind of thing really happened, and most lines came to rest at their target.
    assert sum(total.kills.values()) > QUICK / 4
    assert {f"write {kind}" for kind in ("lost", "error_after", "late", "ignored", "refused")} <= total.hits.keys()
    assert {"restored by tool", "restored by hand", "clock +25 h", "a take-over"} <= total.hits.keys()
    assert total.ended["none"] > sum(total.ended.values()) / 2


def test_a_schedule_is_played_alike_every_time() -> None:
    first, again = simulate(11, shrinks=False), simulate(11, shrinks=False)
    assert first.steps == again.steps
    assert (first.kills, first.hits, first.did, first.ended) == (again.kills, again.hits, again.did, again.ended)
    assert first.hits


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_thousands_of_schedules_hold_and_reach_everything() -> None:
    total = simulate_many(range(FIRST, FIRST + MANY), processes=os.cpu_count() or 1, within=WITHIN, yields=10)
    print(table(total))
    told = {name: dict(getattr(total, name)) for name in ("kills", "hits", "did", "ended")}
    report = Path(tempfile.gettempdir(), "syncd-simulation.json")
    report.write_text(json.dumps({"schedules": total.schedules, "seconds": round(total.seconds), **told}, indent=1))
    assert LEAST <= total.schedules <= MANY
    assert not total.wrong, f"{len(total.wrong)} of {total.schedules}:\n{failures(total)}"
    assert [name for name in STEPS if not total.did[name]] == []
    assert unmet(total) <= SELDOM
