"""Two and a half years of billing with everything failing now and then: four books agree to the cent (T16).

A small MSP here; `benchmarks/bench_soak.py` plays one of 200 customers.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import Soak, soak
from soak_judge import BACKUP, CENT


@pytest.mark.slow
@pytest.mark.timeout(1800)  # many times what it takes on idle cores
def test_thirty_months_of_faults_and_deaths_end_with_books_that_agree_to_the_cent(tmp_path: Path) -> None:
    found = soak(tmp_path / "soak", customers=3, months=30, seed=7, deaths=0.15, visits=2)

    assert found.differences == []
    assert found.months == 30
    assert found.money["backup: expected"] > 1000
    assert all(money == money.quantize(CENT) for money in found.money.values())
    assert set(found.entries) <= {"posted", "superseded", "rejected", "failed"}
    # What held was at stake: answers were lost, requests came late, processes died in the middle of a change.
    lost = {name: found.hits[name] for name in ("drop_after", "500_after", "truncate", "slow", "ignore", "html")}
    assert sum(lost.values()) >= 10, found.hits
    assert sum(found.kills.values()) >= 4, found.kills
    assert found.hits["lines made"] > 200
    assert found.hits["quantities set"] > 30


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_judge_sees_a_cent_a_double_and_a_line_that_is_gone(tmp_path: Path) -> None:
    world = Soak(tmp_path / "soak", customers=1, seed=2, rate=0, deaths=0, visits=2)
    try:
        month = f"{world.now:%Y-%m}"
        world.count[1, BACKUP] += 5
        world.month()
        world.judge.whole()
        assert world.figures.differences == []

        [document, *_] = [row for row in world.books.tables["Invoice"].values() if "sd-" in row.get("PrivateNote", "")]
        document["Line"][0]["Amount"] += CENT
        world.judge.month(month)
        assert len(world.figures.differences) == 1
        assert f"{month}, customer 1" in world.figures.differences[0]
        document["Line"][0]["Amount"] -= CENT

        world.figures.differences.clear()
        [made, *_] = [one for one in world.psa.effects if one.what == "create_addition"]
        world.psa.effects.append(made)
        world.judge.whole()
        assert any(told.startswith(f"{made.detail['mark']} was made 2 times") for told in world.figures.differences)

        world.figures.differences.clear()
        del world.psa.tables["additions"][int(made.record)]
        world.judge.month(month)
        assert any("backup" in told for told in world.figures.differences)
    finally:
        world.close()
