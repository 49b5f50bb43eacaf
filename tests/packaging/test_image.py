"""The image itself, where a builder is at hand: it builds, starts as its user and holds no tools."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAG = "syncd:test"
BUILDER = os.environ.get("SYNCD_BUILD_IMAGE", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not BUILDER, reason="SYNCD_BUILD_IMAGE names no builder (see CONTRIBUTING.md)"),
]

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Run:
    """Builds the image once; the result runs a command in it and gives its output."""
    built = subprocess.run([BUILDER, str(ROOT), TAG], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-4000:]

    def inside(*command: str) -> str:
        answer = subprocess.run(
            [BUILDER, "run", TAG, "--", *command], capture_output=True, text=True, timeout=300, check=False
        )
        assert answer.returncode == 0, answer.stderr[-4000:]
        return answer.stdout.strip()

    return inside


def test_it_runs_as_its_user_and_imports_syncd_and_its_connectors(run: Run) -> None:
    code = "import os, syncd, connectors.csv; print(os.getuid(), syncd.__version__)"

    assert run("python", "-I", "-c", code).split()[0] == "10001"


def test_it_holds_no_tools_and_no_tests(run: Run) -> None:
    code = (
        "import importlib.util as u; "
        "print([m for m in ('pip', 'setuptools', 'pytest', 'mypy', 'tests', 'hypothesis') if u.find_spec(m)])"
    )

    assert run("python", "-I", "-c", code) == "[]"


def test_its_user_can_write_the_ledger_and_nothing_of_the_program(run: Run) -> None:
    code = "import os; print(*(os.access(p, os.W_OK) for p in ('/app/state', '/app', '/opt/syncd', '/usr/local/lib')))"

    assert run("python", "-I", "-c", code) == "True False False False"


def test_no_file_raises_rights(run: Run) -> None:
    found = run("sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null || true")

    assert found == ""
