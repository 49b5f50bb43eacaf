"""What a person asked for in one breath: each entry once, and all of it or nothing."""

from __future__ import annotations

import pytest
from ledger_kit import intent

from syncd.cycle.undoing import named
from syncd.errors import UserFault
from syncd.ledger import Ledger


def test_what_a_person_asked_for_is_written_whole_or_not_at_all(ledger: Ledger) -> None:
    with pytest.raises(UserFault, match="nothing was written"):
        ledger.write("c1", [], [intent("a"), intent("a")], whole=True)
    assert (ledger.entries(), ledger.head()[0]) == ([], 0)
    assert len(ledger.write("c1", [], [intent("a"), intent("b")], whole=True)) == 2


def test_an_id_that_is_named_twice_is_one_entry(ledger: Ledger) -> None:
    [one] = ledger.write("c1", [], [intent("a")])
    assert [entry.id for entry in named(ledger, [one.id, one.id, one.id[:4]])] == [one.id]
