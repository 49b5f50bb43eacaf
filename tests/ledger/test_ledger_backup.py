"""Copies while the ledger is in use, and restoring without losing anything."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from ledger_kit import URL, Watch, intent, raw, without_triggers

from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBroken, LedgerBusy, UserFault
from syncd.ledger import Ledger, backup, mark, restore


def written(ledger: Ledger, count: int, start: int = 0) -> list[Entry]:
    return ledger.write("c1", [], [intent(f"line-{number}") for number in range(start, start + count)])


@pytest.fixture
def copy(ledger: Ledger, tmp_path: Path) -> Path:
    """A backup of three entries; the ledger itself is closed then."""
    written(ledger, 3)
    backup(URL, tmp_path / "b.db", folder=tmp_path)
    ledger.close()
    return tmp_path / "b.db"


def test_a_backup_is_one_private_file_with_everything_in_it(ledger: Ledger, tmp_path: Path, watch: Watch) -> None:
    written(ledger, 3)
    head = backup(URL, tmp_path / "b.db", folder=tmp_path)
    assert head == ledger.head()
    assert head == backup(tmp_path / "state" / "syncd.db", tmp_path / "c.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.db", "c.db", "state"]
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o600
    with Ledger.open("sqlite:///b.db", watch, folder=tmp_path) as there:
        assert (there.installation, there.entries()) == (ledger.installation, ledger.entries())
        assert there.verify() == []


def test_a_backup_while_the_daemon_writes_is_of_one_moment(ledger: Ledger, tmp_path: Path, watch: Watch) -> None:
    written(ledger, 200)
    stop, wrote = threading.Event(), threading.Semaphore(0)

    def write_on() -> None:
        number = 1000
        while not stop.is_set():
            number += 2
            ledger.write("c2", [], [intent(f"line-{number}"), intent(f"line-{number + 1}")])
            wrote.release()

    heads = []
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write_on)
        try:
            for number in range(3):
                assert wrote.acquire(timeout=30)
                heads.append(backup(URL, tmp_path / f"b{number}.db", folder=tmp_path))
        finally:
            stop.set()
        writer.result()
    assert 200 < heads[0][0] <= heads[1][0] <= heads[2][0] <= ledger.head()[0]
    assert heads[0][0] < ledger.head()[0]
    for number, head in enumerate(heads):
        with Ledger.open(f"sqlite:///b{number}.db", watch, folder=tmp_path) as there:
            assert there.head() == head
            assert len(there.entries()) % 2 == 0  # never half a transaction
            assert there.verify() == []


def test_a_backup_never_overwrites(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(UserFault, match=r"b\.db: exists already\. Name a file that does not"):
        backup(URL, tmp_path / "b.db", folder=tmp_path)
    assert (tmp_path / "b.db").read_text() == "mine"
    with pytest.raises(UserFault, match="there is no ledger to back up"):
        backup("sqlite:///none.db", tmp_path / "c.db", folder=tmp_path)


def test_a_backup_that_does_not_verify_is_no_backup(ledger: Ledger, tmp_path: Path) -> None:
    written(ledger, 3)
    with raw(tmp_path) as database:
        without_triggers(database).execute("UPDATE event SET at = 'x' WHERE seq = 2")
    with pytest.raises(LedgerBroken, match="is damaged: event 2 "):
        backup(URL, tmp_path / "b.db", folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_restoring_where_nothing_is(copy: Path, tmp_path: Path, watch: Watch) -> None:
    home = tmp_path / "new"
    with Ledger.open("sqlite:///b.db", watch, folder=tmp_path) as there:
        entries, head = there.entries(), there.head()
    assert restore(copy, URL, folder=home) == head
    assert sorted(path.name for path in (home / "state").iterdir()) == ["syncd.db", "syncd.db.lock"]
    with Ledger.open(URL, watch, folder=home) as ledger:
        assert stat.S_IMODE(ledger.place.path.stat().st_mode) == 0o600
        assert ledger.entries() == entries
        assert ledger.restored
        ledger.claim("run")
        ledger.trust()
        assert not ledger.restored
        assert ledger.verify() == []
        assert ledger.sending(entries[0]) is not None


def test_restoring_over_the_same_or_an_older_state(
    copy: Path, tmp_path: Path, opened: Callable[[], Ledger], watch: Watch
) -> None:
    early = tmp_path / "early"
    restore(copy, URL, folder=early)
    with Ledger.open(URL, watch, folder=early) as ledger:
        written(ledger, 2, start=10)
        head = backup(URL, tmp_path / "later.db", folder=early)
    reader = opened()  # a page that is open meanwhile sees the restored state, not a file without a name
    assert len(reader.entries()) == 3
    assert restore(tmp_path / "later.db", URL, folder=tmp_path) == head
    assert len(reader.entries()) == 5
    assert reader.restored
    assert restore(tmp_path / "later.db", URL, folder=tmp_path) == head
    assert reader.verify() == []
    assert written(reader, 1, start=20)


def test_restoring_fences_whoever_wrote_before(copy: Path, tmp_path: Path, opened: Callable[[], Ledger]) -> None:
    stale = opened()
    stale.claim("run")
    (tmp_path / "state" / "syncd.db.lock").unlink()
    restore(copy, URL, folder=tmp_path)
    opened().claim("run")
    with pytest.raises(LedgerBusy, match="another syncd took over"):
        written(stale, 1, start=50)


def test_a_newer_ledger_is_never_thrown_away(copy: Path, tmp_path: Path, opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    written(ledger, 2, start=10)
    ledger.reject([entry.id for entry in ledger.write("c1", [], [intent("h", state=EntryState.HELD)])], "no", "Ada")
    ledger.close()
    with pytest.raises(
        UserFault,
        match=r"is newer than the backup: 4 events would be lost, 3 of its entries whole\. Move it away first",
    ):
        restore(copy, URL, folder=tmp_path)
    assert len(opened().entries()) == 6


def test_an_empty_backup_of_this_ledger_is_older_too(ledger: Ledger, tmp_path: Path) -> None:
    backup(URL, tmp_path / "b.db", folder=tmp_path)
    written(ledger, 1)
    ledger.close()
    with pytest.raises(UserFault, match="1 events would be lost"):
        restore(tmp_path / "b.db", URL, folder=tmp_path)


def test_another_ledger_or_another_past_is_refused(copy: Path, tmp_path: Path, watch: Watch) -> None:
    with Ledger.open("sqlite:///other.db", watch, folder=tmp_path):
        pass
    with pytest.raises(UserFault, match="is another ledger than the backup, or went another way since"):
        restore(copy, "sqlite:///other.db", folder=tmp_path)
    for name, start in (("one", 10), ("two", 20)):
        restore(copy, URL, folder=tmp_path / name)
        with Ledger.open(URL, watch, folder=tmp_path / name) as ledger:
            written(ledger, 1 + (name == "two"), start=start)
            backup(URL, tmp_path / f"{name}.db", folder=tmp_path / name)
    for source, home in (("one.db", "two"), ("two.db", "one")):
        with pytest.raises(UserFault, match="went another way since"):
            restore(tmp_path / source, URL, folder=tmp_path / home)


def test_a_running_daemon_is_not_restored_under(copy: Path, tmp_path: Path, opened: Callable[[], Ledger]) -> None:
    opened().claim("run")
    with pytest.raises(LedgerBusy, match=r'is held by "syncd run" .*stop that one'):
        restore(copy, URL, folder=tmp_path)


def test_a_damaged_present_ledger_is_moved_away_by_the_admin(copy: Path, tmp_path: Path) -> None:
    os.truncate(tmp_path / "state" / "syncd.db", 5000)
    with pytest.raises(UserFault, match=r"the present ledger cannot be compared: .*Move it away first"):
        restore(copy, URL, folder=tmp_path)
    (tmp_path / "state" / "syncd.db").rename(tmp_path / "state" / "broken.db")
    assert restore(copy, URL, folder=tmp_path)[0] == 3


def test_a_log_left_behind_is_not_played_into_the_restored_one(copy: Path, tmp_path: Path, watch: Watch) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        written(ledger, 1, start=30)
        log = tmp_path / "state" / "syncd.db-wal"
        content = log.read_bytes()
    (tmp_path / "state" / "syncd.db").rename(tmp_path / "moved.db")
    log.write_bytes(content)
    with pytest.raises(UserFault, match=r"syncd\.db-wal is there and may hold its newest entries"):
        restore(copy, URL, folder=tmp_path)
    log.rename(tmp_path / "moved.db-wal")
    assert restore(copy, URL, folder=tmp_path)[0] == 3


def no_ledger(path: Path) -> str:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE notes (text)")
    return "is a database, but not a ledger of syncd"


def no_database(path: Path) -> str:
    path.write_text("hello " * 100)
    return "is neither a backup nor an export"


def nothing(path: Path) -> str:
    path.unlink()
    return r"is not there\. Name a file that `syncd backup` made"


def newer(path: Path) -> str:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    return "was written by a newer syncd"


def altered(path: Path) -> str:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        without_triggers(database).execute("UPDATE event SET data = '{}' WHERE seq = 1")
    return r"b\.db is damaged: event 1 .*It was not used"


def cut_off(path: Path) -> str:
    os.truncate(path, path.stat().st_size - 8192)
    return "is damaged"


@pytest.mark.parametrize("spoil", [no_ledger, no_database, nothing, newer, altered, cut_off])
def test_what_is_not_a_sound_backup_changes_nothing(
    copy: Path, tmp_path: Path, opened: Callable[[], Ledger], spoil: Callable[[Path], str]
) -> None:
    said = spoil(copy)
    for home in (tmp_path, tmp_path / "new"):
        with pytest.raises((UserFault, LedgerBroken), match=said):
            restore(copy, URL, folder=home)
    assert len(opened().entries()) == 3
    assert [path.name for path in (tmp_path / "new").rglob("*.db*")] in ([], ["syncd.db.lock"])


def test_a_restore_that_is_interrupted_leaves_the_old_one(
    copy: Path, tmp_path: Path, opened: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = opened().entries()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(import_module("syncd.ledger.backup"), "_overwrite", die)
    with pytest.raises(KeyboardInterrupt):
        restore(copy, URL, folder=tmp_path)
    assert opened().entries() == before
    assert not opened().restored
    assert not list((tmp_path / "state").glob("*.part*"))


def test_an_old_copy_put_back_by_hand_is_noticed(ledger: Ledger, tmp_path: Path, opened: Callable[[], Ledger]) -> None:
    """The chain of an old file is whole; only the mark beside it knows that there was more."""
    written(ledger, 2)
    ledger.close()
    path = tmp_path / "state" / "syncd.db"
    old = path.read_bytes()
    later = opened()
    assert not later.restored
    written(later, 2, start=10)
    later.close()
    path.write_bytes(old)
    with Ledger.open(URL, Watch(), folder=tmp_path, check=False) as unseen:
        assert unseen.verify() == [
            "the record once had 4 events and ends at event 2: it went back, and has forgotten what was posted since."
        ]
    again = opened()
    assert again.verify() == []  # it says of itself that it went back
    assert again.restored
    again.claim("run")
    written(again, 1, start=20)
    assert opened().restored  # until every line was looked at
    again.trust()
    assert not opened().restored


def test_a_write_ahead_log_that_lost_its_end_is_noticed(
    ledger: Ledger, tmp_path: Path, opened: Callable[[], Ledger]
) -> None:
    home, torn = tmp_path / "state", tmp_path / "torn" / "state"
    written(ledger, 1)
    size = (home / "syncd.db-wal").stat().st_size
    written(ledger, 1, start=10)
    torn.mkdir(parents=True)
    for name in ("syncd.db", "syncd.db-wal", "syncd.db.mark"):
        (torn / name).write_bytes((home / name).read_bytes())
    os.truncate(torn / "syncd.db-wal", size + 100)
    with Ledger.open(URL, Watch(), folder=tmp_path / "torn") as forgetful:
        assert len(forgetful.entries()) == 1
        assert forgetful.verify() == []
        assert forgetful.restored


@pytest.mark.parametrize("content", ["", "nonsense", "another1 99999999999999999999", "\xff" * 90])
def test_a_mark_that_says_nothing_is_no_alarm(
    ledger: Ledger, tmp_path: Path, opened: Callable[[], Ledger], content: str
) -> None:
    written(ledger, 1)
    noted = tmp_path / "state" / "syncd.db.mark"
    noted.write_bytes(content.encode("latin-1"))
    assert not opened().restored
    written(ledger, 1, start=5)
    assert not opened().restored
    assert noted.read_bytes().startswith(f"{ledger.installation} 00000000000000000002\n".encode())
    assert mark.noted(ledger.place.path, ledger.installation) == 2


@pytest.mark.slow
def test_a_write_ahead_log_that_ends_anywhere_leaves_a_whole_ledger(ledger: Ledger, tmp_path: Path) -> None:
    """A power loss keeps some first frames of the log: what was promised before is there, or the ledger says so."""
    home = tmp_path / "state"
    with closing(sqlite3.connect(home / "syncd.db")) as reader:  # keeps the log from being emptied
        reader.execute("BEGIN").execute("SELECT count(*) FROM event").fetchone()
        for number in range(4):
            (entry,) = written(ledger, 1, start=number)
            claimed = ledger.sending(entry)
            assert claimed is not None
            ledger.settle(claimed, EntryState.POSTED)
        base, log = (home / "syncd.db").read_bytes(), (home / "syncd.db-wal").read_bytes()
        mark_there = (home / "syncd.db.mark").read_bytes()
    frame = 24 + 4096
    ends = [32 + frame * number for number in range((len(log) - 32) // frame + 1)]
    heads = []
    for number, end in enumerate([*ends, *(end + 100 for end in ends[:-1:5])]):
        torn = tmp_path / f"torn{number}" / "state"
        torn.mkdir(parents=True)
        (torn / "syncd.db").write_bytes(base)
        (torn / "syncd.db-wal").write_bytes(log[:end])
        (torn / "syncd.db.mark").write_bytes(mark_there)
        with Ledger.open(URL, Watch(), folder=torn.parent) as found:
            assert found.verify() == []
            heads.append(found.head()[0])
            assert found.restored is (heads[-1] < 12)  # whoever lost something may not post unasked
            found.claim("run")
            states = [one.state for one in found.entries()]
            assert all(state is EntryState.POSTED for state in states[:-1])
            again = written(found, 4)
            assert len(again) == 4 - len(states)  # and no line is planned twice
    assert set(heads) == set(range(13))
