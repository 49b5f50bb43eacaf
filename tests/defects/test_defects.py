"""The proof of the proof: whoever breaks the program in one of these ways meets a test that fails.

The quick part says that every defect still fits the program: what it replaces stands there exactly once, so that a
change of the program which takes a defect's ground away is heard of. The slow part puts each one into a copy of the
tree and runs its judges there.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest
from defect import Defect, misfits
from defect_run import Verdict, copy_tree, judge, program_of, run_tests
from seeded_core import CORE_DEFECTS
from seeded_ledger import LEDGER_DEFECTS
from seeded_posting import POSTING_DEFECTS

DEFECTS: tuple[Defect, ...] = (*POSTING_DEFECTS, *LEDGER_DEFECTS, *CORE_DEFECTS)
AT_ONCE = 2


def test_every_defect_fits_the_program() -> None:
    names = [one.name for one in DEFECTS]
    assert len(names) == len(set(names))
    assert [why for one in DEFECTS for why in misfits(one)] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_defect_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees = [copy_tree(tmp_path / f"tree{number}") for number in range(AT_ONCE)]
    assert [program_of(tree) for tree in trees] == trees
    judges = sorted({test for one in DEFECTS for test in one.judges})
    for _, of_one_folder in groupby(judges, lambda test: test.partition("::")[0].rpartition("/")[0]):
        sound = run_tests(trees[0], list(of_one_folder))  # a folder for itself: each has a conftest
        assert sound.returncode == 0, "without a defect all judges must pass: " + sound.stdout[-3000:]

    verdicts = judged(DEFECTS, trees)
    with capsys.disabled():
        print(f"\n{shown(verdicts)}")
    assert [f"{one.name}: {one.why}" for one in verdicts if not one.caught] == []


def judged(defects: Sequence[Defect], trees: Sequence[Path]) -> list[Verdict]:
    """A verdict on each, in their order; each tree holds one defect at a time."""
    free: queue.Queue[Path] = queue.Queue()
    for tree in trees:
        free.put(tree)

    def one_verdict(one: Defect) -> Verdict:
        tree = free.get()
        try:
            return judge(one, tree)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        return list(pool.map(one_verdict, defects))


def shown(verdicts: Sequence[Verdict]) -> str:
    """Defect, caught by, seconds: one row each, and how many were caught."""
    width = max(len(one.name) for one in verdicts)
    rows = [f"{one.name:{width}}  {one.seconds:5.1f} s  {one.by or 'NOT CAUGHT: ' + one.why}" for one in verdicts]
    return "\n".join([*rows, f"{sum(one.caught for one in verdicts)} of {len(verdicts)} defects caught"])
