"""Runs the judges of a defect in a copy of the tree: the same tests, another program.

The copy stands first on the path of a process of its own, so that the program, its connectors and its entry points are
those of the copy.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from defect import ROOT, Defect, Seeded

# What a test needs beside itself.
PARTS = ("syncd", "connectors", "tests", "mappings")
FILES = ("pyproject.toml", "config.example.toml", "README.md")
LONGEST = 60.0  # seconds that the judges of one defect may take
# A defect that cannot even run says nothing about the tests.
_HOLLOW = re.compile(r"\b(NameError|SyntaxError|UnboundLocalError|IndentationError|ImportError): .*")
_OUTCOME = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Verdict:
    """`by`: the test that failed, "" where none did. `why`: what else went wrong, in words."""

    name: str
    by: str
    seconds: float
    why: str = ""

    @property
    def caught(self) -> bool:
        return bool(self.by) and not self.why


def copy_tree(into: Path) -> Path:
    """The program and its tests, without the defects."""
    skipped = shutil.ignore_patterns("__pycache__", "defects", ".*", "*.egg-info")
    for part in PARTS:
        if (ROOT / part).exists():
            shutil.copytree(ROOT / part, into / part, ignore=skipped)
    for file in FILES:
        if (ROOT / file).exists():
            shutil.copy2(ROOT / file, into / file)
    return into


def run_tests(
    tree: Path, judges: Sequence[str], *options: str, timeout: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """These tests in this tree, slow ones too."""
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "--tb=line", "-rfE"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCD_", "PYTEST_"))}
    return subprocess.run(
        [*command, *options, *judges],
        cwd=tree,
        env={**environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def program_of(tree: Path) -> Path:
    """The folder from which a process takes the program that runs in this tree."""
    told = subprocess.run(
        [sys.executable, "-c", "import syncd, connectors; print(syncd.__path__[0])"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(told.stdout.strip()).parent


def judge(one: Defect, tree: Path) -> Verdict:
    """Whether its judges see it. A test that cannot even start is no proof."""
    began = time.monotonic()
    try:
        with Seeded(one, tree):
            done = run_tests(tree, one.judges, "-x", timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return Verdict(one.name, "", time.monotonic() - began, f"its judges took longer than {LONGEST:.0f} s")
    seconds = time.monotonic() - began
    told = _OUTCOME.findall(done.stdout)
    failed = [test for word, test in told if word == "FAILED"]
    if hollow := _HOLLOW.search(done.stdout):
        return Verdict(one.name, "", seconds, f"the defect itself does not run: {hollow[0]}")
    if done.returncode == 1 and failed and len(failed) == len(told):
        return Verdict(one.name, failed[0].rpartition("/")[2], seconds)
    if done.returncode == 0:
        return Verdict(one.name, "", seconds, "all its judges pass")
    last = (done.stdout + done.stderr).strip().splitlines()[-8:]
    return Verdict(one.name, "", seconds, f"pytest ended with {done.returncode}: " + " | ".join(last))
