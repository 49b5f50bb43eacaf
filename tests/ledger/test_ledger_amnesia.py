"""Every backup of the last forty days is put back, one after the other: nothing is billed twice (RELIABILITY, T13).

Forty days of one MSP over a month's end, with something posted on most of them; the ledger of each evening is kept. For
each of them: the newest ledger is lost, that one is restored, syncd runs, and a person approves blindly whatever waits.
The PSA's double is the judge. What a restore meets in the middle of a posting is `tests/death`.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "death"))
from death_stage import (
    ALDER,
    BIRCHWOOD,
    CEDAR,
    CREDIT,
    LINE,
    SET,
    Stage,
    Zygote,
    keep,
    put_back,
)

DAYS = 40
MINUTES = timedelta(minutes=6)
# What each is used on a day: a quantity that rises, lines of the month that rise, lines that rise and fall again.
START = {(ALDER, "M365-BP"): 26, (BIRCHWOOD, "M365-BP"): 15, (CEDAR, "M365-BS"): 9}


def used(day: int) -> dict[tuple[str, str], int]:
    alder, birchwood, cedar = START
    return {
        alder: START[alder] + day // 3,
        birchwood: START[birchwood] + day % 20 // 2,
        cedar: START[cedar] + (day // 2) % 3,
    }


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    zygote = Zygote()
    made = Stage(tmp_path / "stage", zygote)
    made.clear()
    yield made
    made.close()
    zygote.close()


def live(stage: Stage) -> list[Path]:
    """Plays the days; the ledger of each evening."""
    evenings = []
    for day in range(DAYS + 1):
        stage.write(SET + LINE + CREDIT, used(min(day, DAYS - 1)))  # nothing happens on the last
        assert settle(stage) == 0, stage.said
        evenings.append(stage.folder.parent / f"evening-{day}.db")
        shutil.copy(stage.database, evenings[-1])  # nobody has it open, so it is whole without its log
        month = stage.now.month
        later(stage, timedelta(days=1))
        if stage.now.month != month:
            for agreement in list(stage.psa.tables["finance/agreements"].values()):
                if not agreement.get("parentAgreement"):
                    stage.psa.invoice(agreement["id"])
    return evenings


def later(stage: Stage, span: timedelta) -> None:
    stage.now += span
    stage.psa.advance(span.total_seconds())


def settle(stage: Stage, cycles: int = 4) -> int:
    """Cycles, and a person who approves whatever waits, until nothing is left to do; how the last one ended."""
    for _ in range(cycles):
        status = stage.run()
        if status == 0:
            return 0
        assert status == 3, stage.said
        assert stage.run("approve", "--all", "--by", "Dana") in (0, 2)  # 2: nothing waits
        later(stage, MINUTES)
    return 3


def billed(stage: Stage) -> Counter[Any]:
    """(agreement, product, month) -> units of the PSA's dated additions; (…, "") -> those of the open-ended one."""
    found: Counter[Any] = Counter()
    for row in stage.psa.tables["additions"].values():
        month = row["effectiveDate"][:7] if row.get("cancelledDate") else ""
        found[row["agreementId"], row["product"]["identifier"], month] += Decimal(row["quantity"])
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)  # ten times what it takes on idle cores
def test_every_backup_of_forty_days_is_restored_and_nothing_is_billed_twice(stage: Stage, tmp_path: Path) -> None:
    evenings = live(stage)
    last, present, effects = keep(stage, tmp_path), billed(stage), len(stage.psa.effects)
    assert effects > DAYS
    assert len({month for _, _, month in present if month >= "2026-11"}) == 2  # lines of two months
    last_used, whole = used(DAYS - 1), 0
    for age in range(1, DAYS + 1):
        put_back(stage, last)
        shutil.rmtree(stage.state)
        assert stage.run("restore", str(evenings[DAYS - age])) == 0, stage.said
        stage.write(SET + LINE + CREDIT, last_used)
        settle(stage, 2)
        assert billed(stage) == present, f"{age} days old"
        assert len(stage.psa.effects) == effects, f"{age} days old"
        if age % 8 != 1:
            continue

        # One more seat of each is one change of each; or none, where the ledger forgot lines of this month: then syncd
        # says what stands there and what it remembers, and the rest of the month is a person's.
        later(stage, MINUTES)  # what a restored ledger forgot may be on its way for so long
        stage.write(SET + LINE + CREDIT, {name: count + 1 for name, count in last_used.items()})
        settle(stage, 2)
        more = billed(stage) - present
        assert set(more.values()) == {1}, f"{age} days old: {more}"
        assert sum(month == "" for _, _, month in more) == 1  # the quantity, whatever was forgotten
        assert len(stage.psa.effects) == effects + len(more), f"{age} days old"
        assert stage.run("ledger", "verify") == 0, f"{age} days old"
        whole += len(more) == len(START)
    assert whole >= 1
