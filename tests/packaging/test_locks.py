"""The lock files: hashed, free of addresses, complete, and of one mind with pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements.runtime.lock", "requirements.build.lock", "requirements.sdk.lock")


@dataclass(frozen=True, slots=True)
class Pin:
    """One requirement of a lock."""

    name: str
    version: str
    hashes: tuple[str, ...]


def pins(lock: str) -> dict[str, Pin]:
    """The requirements of a lock file by canonical name."""
    text = re.sub(r"\\\n", " ", (ROOT / lock).read_text())
    found: dict[str, Pin] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)((?:\s+--hash=\S+)*)\s*", line)
        assert match, f"{lock}: {line[:80]!r} is not a pinned requirement"
        name = canonicalize_name(match[1])
        assert name not in found, f"{lock}: {name} stands twice"
        found[name] = Pin(name, match[2], tuple(re.findall(r"--hash=(\S+)", match[3])))
    return found


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_path(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--[a-gi-z]|-e)\b", text, re.MULTILINE)
    assert not re.search(r"(^|[\s\"'])/\w+/", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_and_hashed(lock: str) -> None:
    found = pins(lock)

    assert found
    assert [pin.name for pin in found.values() if not pin.hashes] == []
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for pin in found.values() for digest in pin.hashes)


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.runtime.lock", project()["project"]["dependencies"]),
        (
            "requirements.lock",
            project()["project"]["dependencies"]
            + project()["project"]["optional-dependencies"]["dev"]
            + project()["build-system"]["requires"],
        ),
        ("requirements.build.lock", project()["build-system"]["requires"]),
        ("requirements.sdk.lock", project()["project"]["optional-dependencies"]["sdk"]),
    ],
)
def test_a_lock_holds_what_pyproject_asks_for(lock: str, wanted: list[str]) -> None:
    found = pins(lock)

    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in found, f"{lock} lacks {name}: run `make lock`"
        assert requirement.specifier.contains(found[name].version), (
            f"{lock} has {name} {found[name].version}, pyproject.toml wants {requirement.specifier}: run `make lock`"
        )


def test_the_locks_agree() -> None:
    everything = pins("requirements.lock")

    for lock in LOCKS[1:]:
        for name, pin in pins(lock).items():
            # What only the vendors' clients bring stands in their lock alone.
            assert everything.get(name, pin if "sdk" in lock else None) == pin, (
                f"{lock} and requirements.lock differ in {name}: run `make lock`"
            )


def test_no_tool_of_development_is_in_the_runtime_lock() -> None:
    runtime = pins("requirements.runtime.lock")
    tools = {canonicalize_name(Requirement(line).name) for line in project()["project"]["optional-dependencies"]["dev"]}

    assert not tools & set(runtime)
    assert not {"pip", "setuptools", "wheel"} & set(runtime)
