"""`verify`: whatever is altered beside the program is found, and said."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_kit import URL, Watch, intent, raw, url_of, without_triggers

from syncd.core.entries import EntryState, Observation
from syncd.ledger import Ledger, chain, tables
from syncd.ledger.engine import link_of
from syncd.model import Operation, State

COLUMNS = "seq, entry_id, at, from_state, to_state, data, hash"


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """Three entries, eight events: posted, rejected, planned."""
    one, two, _ = ledger.write(
        "c1",
        [],
        [
            intent("a"),
            intent("b", state=EntryState.HELD),
            intent("c", operation=Operation.POST_LINE, before="0", to="2"),
        ],
    )
    claimed = ledger.sending(one)
    assert claimed is not None
    unknown = ledger.settle(claimed, EntryState.UNKNOWN, note="time-out")
    ledger.settle(unknown, EntryState.POSTED, remote_id="r1")
    ledger.reject([two.id], "no", "Ada")
    (again,) = ledger.write("c2", [], [intent("b", generation=1)])
    assert ledger.head()[0] == 8
    assert ledger.verify() == []
    assert again.intent.identity == "b"
    return ledger


def rechain(database: sqlite3.Connection) -> None:
    """What a forger does who knows the method: every hash anew, and the head with them."""
    database.row_factory = sqlite3.Row
    (home,) = database.execute("SELECT installation FROM meta").fetchone()
    previous, last = chain.genesis(home), 0
    for row in database.execute(f"SELECT {COLUMNS} FROM event ORDER BY seq").fetchall():
        previous, last = chain.link_hash(previous, link_of(row)), row["seq"]
        database.execute("UPDATE event SET hash = ? WHERE seq = ?", (previous, last))
    database.execute("UPDATE meta SET events = ?, head = ?", (last, previous))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE event SET data = replace(data, 'time-out', 'all well') WHERE seq = 5", "event 5 "),
        ("UPDATE event SET data = replace(data, '\"27\"', '\"72\"') WHERE seq = 1", "event 1 "),
        ("UPDATE event SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 6", "event 6 "),
        ("UPDATE event SET to_state = 'failed' WHERE seq = 6", "event 6 "),
        ("DELETE FROM event WHERE seq = 5", "event 5 is missing"),
        ("DELETE FROM event WHERE seq > 6", "the last 2 are missing"),
        ("DELETE FROM event", "the last 8 are missing"),
        ("UPDATE event SET seq = 999 WHERE seq = 5", "event 5 is missing"),
        ("UPDATE event SET seq = CASE seq WHEN 4 THEN -5 ELSE -4 END WHERE seq IN (4, 5)", "event 1 is missing"),
        ("INSERT INTO event SELECT 9, entry_id, at, NULL, to_state, data, hash FROM event WHERE seq = 8", "event 9 "),
        ("UPDATE entry SET state = 'failed' WHERE state = 'posted'", "its state is 'failed', its events say 'posted'"),
        ("UPDATE entry SET after = '30' WHERE identity = 'a'", "its after is '30', its events say '27'"),
        ("UPDATE entry SET quantity = '9' WHERE identity = 'c'", "its quantity is '9', its events say '2'"),
        ("UPDATE entry SET decided_by = 'person:Bo' WHERE state = 'rejected'", "its decided_by is 'person:Bo'"),
        ("UPDATE entry SET attempts = 0 WHERE state = 'posted'", "its attempts is 0, its events say 1"),
        ("DELETE FROM entry WHERE identity = 'a'", "is missing, but it has events"),
        ("UPDATE meta SET installation = 'zzzzzzzz'", "event 1 "),
        ("UPDATE meta SET events = 7", "the ledger counted 7"),
        ("DELETE FROM meta", "where the record ends is missing"),
    ],
)  # fmt: skip
def test_every_alteration_is_found(full: Ledger, tmp_path: Path, statement: str, said: str) -> None:
    with raw(tmp_path) as database:
        without_triggers(database).execute(statement)
    found = full.verify()
    assert found
    assert any(said in one for one in found), found


def test_two_events_that_changed_places_are_found(full: Ledger, tmp_path: Path) -> None:
    with raw(tmp_path) as database:
        without_triggers(database)
        for old, new in ((4, 100), (5, 4), (100, 5)):
            database.execute("UPDATE event SET seq = ? WHERE seq = ?", (new, old))
    assert any(one.startswith("event 4 ") for one in full.verify())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE event SET to_state = 'failed' WHERE seq = 6", "its state is 'posted', its events say 'failed'"),
        ("UPDATE event SET from_state = 'held' WHERE seq = 6", "moves entry"),
        ("UPDATE event SET data = '{}' WHERE seq = 1", "is not as it was written"),
        ("UPDATE event SET data = '{' WHERE seq = 6", "cannot be read"),
        ("UPDATE event SET data = replace(data, 'eyJx', 'eyJy') WHERE seq = 1", "do not match their own SHA-256"),
        ("UPDATE event SET entry_id = (SELECT id FROM entry WHERE identity = 'c') WHERE seq = 1", "does not begin"),
    ],
)
def test_a_forger_with_new_hashes_still_meets_the_entries(
    full: Ledger, tmp_path: Path, statement: str, said: str
) -> None:
    witness = full.head()
    with raw(tmp_path) as database:
        without_triggers(database).execute(statement)
        rechain(database)
    found = full.verify()
    assert found
    assert not any("does not match its hash" in one for one in found)
    assert any(said in one for one in found) or "does not begin" in said, found
    assert full.head() != witness  # and whoever kept the head elsewhere sees it at once


def test_a_perfect_forgery_shows_only_against_a_head_kept_elsewhere(full: Ledger, tmp_path: Path) -> None:
    witness = full.head()
    with raw(tmp_path) as database:
        without_triggers(database)
        database.execute("UPDATE event SET data = replace(data, 'time-out', 'all well') WHERE seq = 5")
        rechain(database)
        database.execute(
            "UPDATE entry SET hash = (SELECT hash FROM event e WHERE e.entry_id = entry.id ORDER BY seq DESC LIMIT 1)"
        )
    assert full.verify() == []  # declared: an owner of the whole file can rewrite it
    assert full.head()[0] == witness[0]
    assert full.head() != witness


def test_an_entry_without_events_is_found(full: Ledger, tmp_path: Path) -> None:
    with raw(tmp_path) as database:
        names = [column.name for column in tables.entry.columns]
        fresh = {"seq": "999", "id": "'zzzzzzzzzz'", "key": "'other'", "identity": "'other'"}
        copied = ", ".join(fresh.get(name, name) for name in names)
        database.execute(f"INSERT INTO entry SELECT {copied} FROM entry WHERE identity = 'c'")
        copied = copied.replace("zzzzzzzzzz", "2222222222").replace("other", "another").replace("999", "998")
        database.execute(f"INSERT INTO entry SELECT {copied} FROM entry WHERE identity = 'c'")
    assert [one for one in full.verify() if "has no events" in one] == [
        "entry 2222222222 has no events: nobody can say how it came about.",
        "entry zzzzzzzzzz has no events: nobody can say how it came about.",
    ]


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
def test_damage_of_the_file_itself_ends_as_a_sentence(
    full: Ledger, opened: Callable[[], Ledger], tmp_path: Path, watch: Watch
) -> None:
    full.close()
    path = tmp_path / "state" / "syncd.db"
    with raw(tmp_path) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 64)
    with Ledger.open(URL, watch, folder=tmp_path, check=False) as broken:
        found = broken.verify()
    assert found
    assert "damaged" in found[0]
    assert all("\n" not in one for one in found)


def read(ledger: Ledger, watch: Watch, *what: str, subjects: bytes = b"[]") -> None:
    """A cycle that reads something new."""
    named = hashlib.sha256(subjects).hexdigest()
    body = f'{{"counts":[{{"quantity":"1","subjects":"{named}"}}]}}'.encode()
    cycle = ledger.begin_cycle("post", watch.now)
    seen = [Observation("m365", "t1", one, State.KNOWN, f"d{cycle}", body, {named: subjects}) for one in what]
    ledger.end_cycle(
        cycle, {}, seen, {}, {}, {"l1": b'{"customer":"C","rule":"R","subjects":"%s"}' % named.encode()}, []
    )


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM blob", "observation 1 names the subjects"),
        ("DELETE FROM blob", "line l1 names the subjects"),
        ("DELETE FROM observation WHERE seq = 3", "is observation 3, which is not in the ledger any more"),
        ("DELETE FROM observation WHERE seq = 3", "the newest reading 'users' of m365"),
        ("UPDATE latest SET seq = 1 WHERE what = 'users'", "but the ledger points to 1"),
        ("UPDATE latest SET digest = 'x' WHERE what = 'users'", "but the ledger points to"),
        ("DELETE FROM latest WHERE what = 'users'", "is the newest of its kind, but the ledger does not point to it"),
        ("DELETE FROM cycle WHERE number = 1", "cycle 1 is missing"),
        ("DELETE FROM cycle WHERE number = 2", "cycle c000002 is missing, but something was read in it"),
        ("UPDATE meta SET epoch = 0", "says that 0 writers had it, but event 2 was written by number 1"),
    ],
)
def test_what_one_row_names_is_there(ledger: Ledger, watch: Watch, tmp_path: Path, statement: str, said: str) -> None:
    (one,) = ledger.write("c1", [], [intent("a")])
    assert ledger.sending(one) is not None
    read(ledger, watch, "assigned", "users")
    read(ledger, watch, "users")
    assert ledger.verify() == []
    ledger.close()
    with raw(tmp_path) as database:
        without_triggers(database).execute(statement)
    found = ledger_of(tmp_path, watch)
    assert any(said in one for one in found), found


def test_the_subjects_behind_a_posting_are_missed(ledger: Ledger, watch: Watch, tmp_path: Path) -> None:
    how = {"counts": [{"subjects": hashlib.sha256(b"[]").hexdigest()}]}
    ledger.write("c1", [], [intent("a", derivation=how)])
    assert any("entry" in one and "names the subjects" in one for one in ledger.verify())
    read(ledger, watch, "assigned")
    assert ledger.verify() == []


def ledger_of(folder: Path, watch: Watch) -> list[str]:
    """What `ledger verify` says of a ledger that may not open otherwise."""
    with Ledger.open(url_of(folder), watch, folder=folder, check=False) as found:
        return found.verify()
