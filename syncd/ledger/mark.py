"""How far the record once went, noted beside the ledger: shows that a ledger forgot what it had posted.

Somebody copies an old file back by hand, or a write-ahead log loses its end: the chain is whole and ends early, and
nothing inside can tell. The mark is written after each commit and never made durable on purpose, so it may be behind
the ledger, never ahead of it, unless the ledger went back. It proves nothing else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from syncd.ledger import files

SUFFIX = ".mark"


def note(path: Path, installation: str, events: int) -> None:
    """Writes the mark; where the disk refuses, it stays behind."""
    with suppress(OSError):
        file = os.open(files.side(path, SUFFIX), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # One write of fixed width: a reader sees the old one or the new one.
            os.pwrite(file, f"{installation} {events:020d}\n".encode(), 0)
        finally:
            os.close(file)


def noted(path: Path, installation: str) -> int:
    """How many events the ledger of this installation once had, as far as the mark knows; 0 where it does not."""
    whose, events = _read(path)
    return events if whose == installation else 0


def kept(path: Path) -> int:
    """As `noted`, of whichever ledger lay here last."""
    return _read(path)[1]


def _read(path: Path) -> tuple[str, int]:
    try:
        first, _, _ = files.side(path, SUFFIX).read_bytes().partition(b"\n")
        installation, events = first.decode("ascii").split()
        return installation, int(events)
    except (OSError, ValueError):
        return "", 0
