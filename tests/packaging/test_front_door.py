"""Makefile, .ci/run, Dockerfile and compose.example.yml: what a newcomer and a machine start with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def instructions(stage: int) -> list[tuple[str, str]]:
    """The instructions of one stage of the Dockerfile (-1 the last), continuation lines joined, comments left out."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    stages: list[list[tuple[str, str]]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            if word.upper() == "FROM":
                stages.append([])
            stages[-1].append((word.upper(), rest.strip()))
    return stages[stage]


def values(word: str, stage: int = -1) -> list[str]:
    return [rest for name, rest in instructions(stage) if name == word]


# The image


def test_the_image_runs_as_a_numbered_user_without_rights() -> None:
    (user,) = values("USER")
    uid = re.match(r"\d+", user)

    assert uid is not None, "a name cannot be checked by runAsNonRoot; USER must be a number"
    assert int(uid[0]) == 10001
    words = [name for name, _ in instructions(-1)]
    assert "RUN" not in words[words.index("USER") :]


def test_the_image_tells_its_health_without_a_shell() -> None:
    (check,) = values("HEALTHCHECK")

    assert re.search(r"CMD \[", check)
    assert "/healthz" in check
    assert "8730" in check
    assert "curl" not in check
    compile(re.findall(r'"((?:[^"\\]|\\.)*)"', check)[-1], "HEALTHCHECK", "exec")


def test_the_image_starts_the_daemon_directly_and_keeps_the_ledger_outside() -> None:
    assert values("ENTRYPOINT") == ['["syncd"]']
    assert values("CMD") == ['["run"]']
    assert values("VOLUME") == ['["/app/state"]']


def test_nothing_is_fetched_but_through_the_hashed_locks() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert [rest for stage in (0, -1) for name, rest in instructions(stage) if name == "ADD"] == []
    assert "://" not in text
    for step in values("RUN", stage=0):
        for install in re.findall(r"pip (?:--python \S+ )?install[^&]*", step):
            assert "--require-hashes" in install or "--no-index" in install, install
    assert not any("pip install" in step for step in values("RUN"))


def test_the_builder_gets_only_what_the_image_is_made_of() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = {name for rest in values("COPY", stage=0) for name in rest.split()[:-1]}

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied - {"README.md"})


def test_the_compose_example_takes_all_rights_away() -> None:
    text = (ROOT / "compose.example.yml").read_text()

    for line in (
        "read_only: true",
        "- ALL",
        "- no-new-privileges:true",
        "restart: unless-stopped",
        'user: "10001:10001"',
    ):
        assert re.search(rf"^\s+{re.escape(line)}$", text, re.MULTILINE), line
    assert re.search(r"^\s+- state:/app/state$", text, re.MULTILINE)
    assert "privileged: true" not in text


# The commands


def test_ci_runs_what_a_newcomer_runs() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert re.search(r'^env -i "\$\{clean\[@\]\}" make test\b', text, re.MULTILINE)
    assert "set -euo pipefail" in text
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=30)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the Makefile alone, so that no target can find an environment."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def make(folder: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    environment = {"PATH": path or os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        ["make", "-C", str(folder), *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_target(bare: Path) -> None:
    told = make(bare, "--no-print-directory", "help").stdout

    for target in ("demo", "test", "slow", "lint", "types", "layers", "lock", "image", "bench", "clean"):
        assert re.search(rf"^make {target} +\S", told, re.MULTILINE), target


def test_an_old_python_is_refused_in_words(bare: Path) -> None:
    tools = bare / "bin"
    tools.mkdir()
    for name in ("make", "sh", "cat", "rm", "printf", "echo"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    for name in ("python3", "python3.11", "python"):
        old = tools / name
        old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
        old.chmod(0o755)

    answer = make(bare, "test", path=str(tools))

    assert answer.returncode != 0
    assert "syncd needs Python 3.11 or later; python3 is Python 3.9.2" in answer.stderr
    assert not (bare / ".venv").exists()


def test_a_python_that_was_named_is_not_replaced_by_another(bare: Path) -> None:
    answer = make(bare, "PYTHON=/nowhere/python3.12", "test")

    assert answer.returncode != 0
    assert "/nowhere/python3.12 is missing" in answer.stderr
    assert not (bare / ".venv").exists()


def test_the_environment_is_rebuilt_when_the_lock_changes_or_the_folder_moves(bare: Path) -> None:
    """By what `make --dry-run` would do, so nothing is installed."""
    stamp = bare / ".venv" / ".built-for"
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    stamp.write_text(str(bare))
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(bare / name, (1, 1))

    def would_build(folder: Path) -> bool:
        answer = make(folder, "--dry-run", "test")
        assert answer.returncode == 0, answer.stderr
        return "--require-hashes" in answer.stdout

    assert not would_build(bare)

    os.utime(bare / "requirements.lock", None)
    os.utime(stamp, (2, 2))
    assert would_build(bare)

    os.utime(bare / "requirements.lock", (1, 1))
    assert not would_build(bare)

    python.unlink()
    assert would_build(bare)

    python.touch()
    moved = bare.rename(bare.with_name(f"{bare.name}-moved"))
    assert would_build(moved)
