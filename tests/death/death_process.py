"""Commands of their own process: forked from one that has imported everything, watched, waited for, killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Step(NamedTuple):
    """A place at which a process can die: the name, the how-manieth time, and before, half-way or after."""

    name: str
    nth: int
    phase: str

    def __str__(self) -> str:
        return f"{self.phase} {self.name}" + (f" #{self.nth}" if self.nth > 1 else "")


class Zygote:
    """The process that forks commands (see death_zygote)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "death_zygote.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.sees_disk: bool = self._answer()["disk"]

    def ask(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return dict(json.loads(line))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass(frozen=True)
class Alive:
    """A command that runs."""

    pid: int
    zygote: Zygote
    out: Path
    err: Path

    def wait(self, seconds: float = 90) -> int | None:
        """Its exit status, negative for a signal; None where it still runs."""
        status: int | None = self.zygote.ask(do="wait", pid=self.pid, seconds=seconds)["status"]
        return status

    def end(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    @property
    def said(self) -> str:
        return self.err.read_text(encoding="utf-8", errors="replace")
