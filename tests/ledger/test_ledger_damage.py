"""A ledger that was altered or damaged beside the record: nothing is posted from it, and a sentence says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_kit import intent, raw, without_triggers

from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBroken
from syncd.ledger import Ledger
from syncd.model import Operation

HELD, PLANNED, POSTED = EntryState.HELD, EntryState.PLANNED, EntryState.POSTED


def post(ledger: Ledger, entry: Entry) -> Entry:
    claimed = ledger.sending(entry)
    assert claimed is not None
    return ledger.settle(claimed, POSTED)


def test_an_entry_altered_beside_the_record_is_never_sent(ledger: Ledger, tmp_path: Path) -> None:
    (held,) = ledger.write("c1", [], [intent(state=HELD)])
    with raw(tmp_path) as database:
        database.execute("UPDATE entry SET state = 'planned'")
    (entry,) = ledger.entries(states={PLANNED})
    with pytest.raises(LedgerBroken, match=f"entry {held.id} is not what its events say"):
        ledger.sending(entry)


def test_an_event_altered_in_the_record_stops_its_entry(ledger: Ledger, tmp_path: Path) -> None:
    """Where the projection is the same before and after, only the hash tells."""
    entry, other = ledger.write("c1", [], [intent(), intent("other")])
    with raw(tmp_path) as database:
        without_triggers(database).execute(
            "UPDATE event SET data = replace(data, 'increase is now', 'a person said so') WHERE seq = 1"
        )
    with pytest.raises(LedgerBroken, match=rf"event 1 of entry {entry.id} was altered\. Nothing was done"):
        ledger.sending(entry)
    with pytest.raises(LedgerBroken, match="was altered"):
        ledger.entry(entry.id)
    assert ledger.entry(other.id) is not None


def test_an_altered_quantity_is_never_made_up_for(ledger: Ledger, tmp_path: Path) -> None:
    """Planning would see 1 instead of 3, and post 2 more."""
    (line,) = ledger.write("c1", [], [intent("l", before="0", to="3", operation=Operation.POST_LINE)])
    post(ledger, line)
    with raw(tmp_path) as database:
        without_triggers(database).execute("UPDATE entry SET quantity = '1'")
    assert ledger.past().lines["l"].own_quantity == 1
    again = intent("l", generation=1, before="1", to="3", operation=Operation.POST_LINE)
    with pytest.raises(LedgerBroken, match=f"entry {line.id} is not what its events say"):
        ledger.write("c2", [], [again])


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entry SET quantity = 'x1'", "holds 'x1' where a number belongs"),
        ("UPDATE entry SET settled_at = 'x'", "'x' in the ledger is not an instant"),
        ("INSERT INTO sighting VALUES ('l', 'f', 1, '2026-13-01')", "'2026-13-01' in the ledger is not a day"),
        ("UPDATE entry SET state = 'pasted'", "a state that does not exist"),
        (
            "ALTER TABLE sighting RENAME COLUMN times TO tymes",
            r"has lost its shape \((no such column|column .*does not exist)",
        ),
    ],
)
def test_planning_on_a_damaged_ledger_ends_as_a_sentence(
    ledger: Ledger, tmp_path: Path, statement: str, said: str
) -> None:
    (line,) = ledger.write("c1", [], [intent("l", before="0", to="3", operation=Operation.POST_LINE)])
    post(ledger, line)
    with raw(tmp_path) as database:
        without_triggers(database).execute(statement)
    with pytest.raises(LedgerBroken, match=said):
        ledger.entries() if "pasted" in statement else dict(ledger.past().lines)  # each is read when it is looked at


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("column", ["data", "hash", "at", "to_state"])
def test_text_that_a_flipped_bit_made_bytes_matches_no_hash(
    ledger: Ledger, tmp_path: Path, column: str, kind: str
) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    with raw(tmp_path) as database:
        without_triggers(database).execute(f"UPDATE event SET {column} = CAST({column} AS BLOB)")
    with pytest.raises(LedgerBroken, match="event 1 of entry"):
        ledger.sending(entry)
    assert "event 1 " in ledger.verify()[0]
