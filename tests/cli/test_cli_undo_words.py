"""What `undo` and `approve` say where nothing is written: sentences, and no table without rows."""

from __future__ import annotations

import pytest

from syncd.cli import deciding


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("is undone already (entry e2).", "is left as it is: it is undone already (entry e2)."),
        ("its line has entry e2 open. Settle that first.", "is left as it is: its line has entry e2 open."),
        ("entry e2 changed the line since.", "is left as it is: entry e2 changed the line since."),
        ("qbo does not take this back: amend it there.", "is left as it is: qbo does not take this back"),
        ("goes with what e2 belongs to, which stays.", "is left as it is: it goes with what e2 belongs to"),
        ("and those before it do not sum to anything.", "is left as it is: it and those before it do not sum"),
    ],
)
def test_what_stays_is_told_in_a_sentence(reason: str, told: str) -> None:
    assert told in deciding.stays({"id": "e1", "reason": reason})
