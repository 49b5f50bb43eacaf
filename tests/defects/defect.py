"""What a seeded defect is: a few words of the program replaced by what somebody could have written instead.

A defect is data: where it goes, what stands there, what is put in its place, and the tests that must fail then. Nothing
here runs a test; see `defect_run`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Edit:
    """`old` stands exactly once in `file`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Defect:
    """One fault. `fault`: what goes wrong in the world, in one sentence. `judges`: tests as `file::function`, the
    fastest first; at least one of them must fail."""

    name: str
    fault: str
    edits: tuple[Edit, ...]
    judges: tuple[str, ...]


def defect(name: str, fault: str, file: str, old: str, new: str, *judges: str) -> Defect:
    """A defect of one place."""
    return Defect(name, fault, (Edit(file, old, new),), judges)


def misfits(one: Defect, root: Path = ROOT) -> list[str]:
    """Why it cannot be put in, in words; nothing where it can."""
    found = []
    for edit in one.edits:
        path = root / edit.file
        times = path.read_text(encoding="utf-8").count(edit.old) if path.exists() else 0
        if times != 1:
            found.append(f"{one.name}: what it replaces stands {times} times in {edit.file}, not once: {edit.old!r}")
        if edit.old == edit.new:
            found.append(f"{one.name}: changes nothing in {edit.file}")
    for judge in one.judges:
        file, _, function = judge.partition("::")
        path = root / file
        if not path.exists() or f"\ndef {function}(" not in path.read_text(encoding="utf-8"):
            found.append(f"{one.name}: there is no test {judge}")
    if not one.judges:
        found.append(f"{one.name}: has no judge")
    return found


class Seeded:
    """Puts a defect into a copy of the tree, and takes it out again."""

    def __init__(self, one: Defect, tree: Path) -> None:
        self._one = one
        self._tree = tree
        self._before: dict[Path, tuple[str, int]] = {}

    def __enter__(self) -> None:
        for edit in self._one.edits:
            path = self._tree / edit.file
            text = path.read_text(encoding="utf-8")
            assert text.count(edit.old) == 1, misfits(self._one, self._tree)
            self._before.setdefault(path, (text, path.stat().st_mtime_ns))
            path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
            # Compiled files are told apart by second and size, and a defect may have the size of what it replaces.
            _date(path, self._before[path][1] + 5_000_000_000)

    def __exit__(self, *error: object) -> None:
        for path, (text, modified) in self._before.items():
            path.write_text(text, encoding="utf-8")
            _date(path, modified)


def _date(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds))
