"""Opening: what is made, how durable it is, and what is refused in which words."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from ledger_kit import URL, Watch, intent, raw, without_triggers
from sqlalchemy import Engine, event

from syncd.core.entries import EntryState
from syncd.errors import LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import Ledger, files, sqlite


def test_a_new_ledger_is_private_and_alone_in_its_folder(tmp_path: Path, watch: Watch) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        assert ledger.head()[0] == 0
        assert ledger.verify() == []
        for name in ("syncd.db", "syncd.db-wal"):
            assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["syncd.db"]


def test_two_ledgers_have_two_names_and_one_keeps_its_own(tmp_path: Path, watch: Watch) -> None:
    with Ledger.open("sqlite:///a.db", watch, folder=tmp_path) as one:
        first = one.installation
    with (
        Ledger.open(f"sqlite:///{tmp_path}/a.db", watch, folder=Path("/nowhere")) as again,
        Ledger.open("sqlite:///b.db", watch, folder=tmp_path) as other,
    ):
        assert again.installation == first != other.installation


def test_every_commit_is_durable(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []

    def look(connection: sqlite3.Connection, *_: object) -> None:
        names = ("synchronous", "journal_mode", "foreign_keys", "busy_timeout")
        told.append({name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names})

    with Ledger.open(URL, watch, folder=tmp_path):
        pass
    event.listen(Engine, "checkout", look)
    try:
        with Ledger.open(URL, watch, folder=tmp_path) as ledger:
            ledger.write("c1", [], [intent()])
    finally:
        event.remove(Engine, "checkout", look)
    expected = {"synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 10_000}
    assert told
    assert all(one == expected for one in told)


def test_too_wide_permissions_are_taken_away(tmp_path: Path, watch: Watch) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    path = tmp_path / "state" / "syncd.db"
    path.chmod(0o644)
    Ledger.open(URL, watch, folder=tmp_path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_ledger_that_is_not_there(tmp_path: Path, watch: Watch) -> None:
    with pytest.raises(UserFault, match=r"there is no ledger at .*syncd\.db yet\. Run `syncd run --once` first\."):
        Ledger.open(URL, watch, folder=tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://syncd:hunter2@db/", r"postgresql://syncd@db/ does not name one database"),
        ("postgresql://syncd:hunter2@db/syncd?sslmode=a&sslmode=b", "does not name one database"),
        ("postgresql://syncd:hunter2@db/syncd?options=-c", r"unknown option 'options'\. Known: host, port, sslcert"),
        ("postgresql+asyncpg://syncd:hunter2@db/syncd", "is not a kind of database"),
        ("mysql://syncd:hunter2@db/syncd", "is not a kind of database"),
        ("state/syncd.db", "is not a database URL"),
        ("sqlite://", "does not name a file"),
        ("sqlite:///:memory:", "does not name a file"),
        ("sqlite:///a.db?mode=ro", "does not name a file"),
    ],
)  # fmt: skip
def test_urls_that_name_no_ledger(tmp_path: Path, watch: Watch, url: str, said: str) -> None:
    with pytest.raises(UserFault, match=said) as raised:
        Ledger.open(url, watch, folder=tmp_path)
    assert "hunter2" not in str(raised.value)
    assert str(raised.value).startswith("[syncd] database: ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "syncd.db"
    path.write_bytes(b"customer;sku;quantity\n" * 500)
    with pytest.raises(LedgerBroken, match=r"syncd\.db is not a database .*Correct `database` in config\.toml"):
        Ledger.open("sqlite:///syncd.db", watch, folder=tmp_path)
    assert path.read_bytes().startswith(b"customer;sku")


def test_another_programs_database(tmp_path: Path, watch: Watch) -> None:
    with closing(sqlite3.connect(tmp_path / "syncd.db")) as database:
        database.execute("CREATE TABLE meta (id INTEGER)")
    with pytest.raises(UserFault, match="is a database, but not a ledger of syncd"):
        Ledger.open("sqlite:///syncd.db", watch, folder=tmp_path)


def test_an_emptied_file_is_not_taken_for_a_new_ledger(tmp_path: Path, watch: Watch) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    os.truncate(tmp_path / "state" / "syncd.db", 0)
    with pytest.raises(LedgerBroken, match=r"syncd\.db is empty: move it away, and restore a backup"):
        Ledger.open(URL, watch, folder=tmp_path)


def test_a_ledger_that_is_gone_is_not_begun_anew_in_silence(tmp_path: Path, watch: Watch) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.write("c1", [], [intent()])
    (tmp_path / "state" / "syncd.db").unlink()
    with pytest.raises(LedgerBroken, match=r"there was one, with 1 events: .* or remove syncd.db.mark to begin"):
        Ledger.open(URL, watch, folder=tmp_path)
    assert not (tmp_path / "state" / "syncd.db").exists()
    (tmp_path / "state" / "syncd.db.mark").unlink()
    with Ledger.open(URL, watch, folder=tmp_path) as begun:
        assert begun.head()[0] == 0


def test_a_log_without_its_database_is_not_thrown_away(tmp_path: Path, watch: Watch) -> None:
    ledger = Ledger.open(URL, watch, folder=tmp_path)
    ledger.write("c1", [], [intent()])
    log = tmp_path / "state" / "syncd.db-wal"
    kept = log.read_bytes()
    ledger.close()
    (tmp_path / "state" / "syncd.db").unlink()
    log.write_bytes(kept)
    with pytest.raises(UserFault, match=r"is missing, but syncd\.db-wal is there and may hold its newest entries"):
        Ledger.open(URL, watch, folder=tmp_path)
    assert log.read_bytes() == kept


def test_a_ledger_of_a_newer_program(tmp_path: Path, watch: Watch) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    with raw(tmp_path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserFault, match=r"was written by a newer syncd \(schema 9999; this program knows \d+\)"):
        Ledger.open(URL, watch, folder=tmp_path)


@pytest.mark.parametrize("statement", ["DROP TABLE alembic_version", "DELETE FROM alembic_version"])
def test_a_ledger_that_lost_its_schema(tmp_path: Path, watch: Watch, statement: str) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    with raw(tmp_path) as database:
        database.execute(statement)
    with pytest.raises(LedgerBroken, match="does not say which schema it has"):
        Ledger.open(URL, watch, folder=tmp_path)


@pytest.mark.parametrize(
    ("table", "offset", "damage"),
    [
        ("entry", 0, b"\xff" * 64),  # no page at all any more
        ("line", 7, b"\x30"),  # still readable: only its own account of free bytes is wrong
    ],
)
def test_damaged_pages_are_found_at_start(tmp_path: Path, watch: Watch, table: str, offset: int, damage: bytes) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.write("c1", [], [intent(f"line-{number}") for number in range(200)])
    path = tmp_path / "state" / "syncd.db"
    with raw(tmp_path) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096 + offset)
        file.write(damage)
    with pytest.raises(LedgerBroken, match=r"the ledger .*syncd\.db is damaged .*restore a backup") as raised:
        Ledger.open(URL, watch, folder=tmp_path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM event WHERE seq = 3",
        "UPDATE event SET data = '{}' WHERE seq = 3",
        "UPDATE event SET hash = 'x' WHERE seq = 3",
        "UPDATE meta SET head = 'x'",
        "UPDATE meta SET events = 4",
        "UPDATE meta SET installation = 'zzzzzzzz'",
        "DELETE FROM meta",
    ],
)
def test_an_altered_end_of_the_record_is_found_at_start(tmp_path: Path, watch: Watch, statement: str) -> None:
    count = 1 if "installation" in statement else 3
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.write("c1", [], [intent(f"line-{number}") for number in range(count)])
    with raw(tmp_path) as database:
        without_triggers(database).execute(statement)
    with pytest.raises(LedgerBroken, match=r"`syncd ledger verify` says more"):
        Ledger.open(URL, watch, folder=tmp_path)
    if statement != "DELETE FROM meta":
        with Ledger.open(URL, watch, folder=tmp_path, check=False) as ledger:
            assert ledger.verify()
            with pytest.raises(LedgerBroken):
                ledger.claim("run")


def test_a_locked_database_says_so(
    ledger: Ledger, opened: Callable[[], Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 50)
    other = opened()
    (entry,) = ledger.write("c1", [], [intent(state=EntryState.HELD)])
    with raw(tmp_path) as database:
        database.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            LedgerBusy, match=r'locked by "syncd run" \(process \d+ on .*; nothing was posted\. Try again'
        ):
            other.approve([entry.id], "Ada")
        assert other.entries() == [entry]  # reading goes on
        database.execute("ROLLBACK")
    assert other.approve([entry.id], "Ada")


def test_a_full_disk_stops_sending_and_nothing_else(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.write("c1", [], [intent("first")])
        with raw(tmp_path) as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, f"max_page_count = {pages}"))
        full = Ledger.open(URL, watch, folder=tmp_path)
    with full:
        full.claim("run")
        before = full.head()
        many = [intent(f"line-{number}", body=b"x" * 2000) for number in range(50)]
        with pytest.raises(
            SyncdError, match=r"^the disk is full: .*syncd\.db could not grow; nothing was posted\. Free"
        ):
            full.write("c1", [], many)
        assert full.head() == before
        assert len(full.entries()) == 1
        assert full.verify() == []
        cycle = full.begin_cycle("post", watch.now)
        with pytest.raises(SyncdError, match="nothing of this step was written"):
            full.end_cycle(cycle, {"text": "y" * 900_000}, [], {}, {}, {}, [])
        with raw(tmp_path) as database:
            database.execute("VACUUM")  # space returns
        full.end_cycle(cycle, {}, [], {}, {}, {}, [])
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        assert len(ledger.write("c2", [], many)) == 50


def test_an_outcome_that_could_not_be_recorded_is_not_called_unposted(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 50)
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.claim("run")
        (entry,) = ledger.write("c1", [], [intent()])
        claimed = ledger.sending(entry)
        assert claimed is not None
        with raw(tmp_path) as database:
            database.execute("BEGIN IMMEDIATE")
            with pytest.raises(
                LedgerBusy, match="the outcome is not recorded yet, and will be looked up at the vendor"
            ):
                ledger.settle(claimed, EntryState.POSTED)
        assert ledger.entries(states={EntryState.SENDING}) == [claimed]  # rolled back whole
        assert ledger.settle(claimed, EntryState.POSTED).state is EntryState.POSTED


def test_a_step_that_fails_in_the_middle_leaves_nothing(ledger: Ledger, tmp_path: Path) -> None:
    before = ledger.head()
    with raw(tmp_path) as database:
        database.execute("CREATE TRIGGER stop BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'stopped here'); END")
        with pytest.raises(
            LedgerBroken, match=r"does not go together .*stopped here.*; nothing was posted"
        ):  # entry and event are inserted by then
            ledger.write("c1", [], [intent()])
        database.execute("DROP TRIGGER stop")
    assert ledger.head() == before
    assert ledger.entries() == []
    assert ledger.verify() == []
    assert len(ledger.write("c1", [], [intent()])) == 1


def test_text_that_a_flipped_bit_spoiled_is_damage(ledger: Ledger, tmp_path: Path) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    with raw(tmp_path) as database:
        without_triggers(database).execute("UPDATE event SET data = CAST(x'7bff7d' AS TEXT)")
    with pytest.raises(LedgerBroken, match="holds text that is none: it is damaged; nothing was posted"):
        ledger.sending(entry)
    assert len(ledger.verify()) == 1


def test_a_ledger_that_was_replaced_underneath(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "state" / "syncd.db"
    path.rename(tmp_path / "state" / "old.db")
    with pytest.raises(SyncdError, match="cannot be reached: No such file"):
        ledger.write("c1", [], [intent()])
    path.write_bytes(b"")
    with pytest.raises(SyncdError, match="was moved or replaced while syncd had it open"):
        ledger.write("c1", [], [intent()])


MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /srv rw - nfs4 nas:/srv rw
31 30 0:41 / /srv/local\\040disk rw shared:1 master:2 - xfs /dev/vdb rw
32 22 0:42 / /mnt/share rw - cifs //nas/share rw
33 22 0:43 / /mnt/over rw - nfs nas:/over rw
34 22 0:44 / /mnt/over rw - ext4 /dev/vdc rw
35 22 0:45 / /home/ssh rw - fuse.sshfs far:/ rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "refused"),
    [
        ("/var/lib/syncd.db", "ext4", False),
        ("/srv/state/syncd.db", "nfs4", True),
        ("/srv/local disk/state/syncd.db", "xfs", False),
        ("/srvx/syncd.db", "ext4", False),
        ("/mnt/share/syncd.db", "cifs", True),
        ("/mnt/over/syncd.db", "ext4", False),
        ("/home/ssh/a/b/syncd.db", "fuse.sshfs", True),
    ],
)
def test_network_file_systems_are_refused(tmp_path: Path, path: str, kind: str, refused: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert files.file_system(Path(path), mounts) == kind
    if refused:
        with pytest.raises(UserFault, match=rf"on a network file system \({kind}\), where locks do not hold"):
            files.refuse_network(Path(path), mounts)
    else:
        files.refuse_network(Path(path), mounts)
    assert files.file_system(Path(path), tmp_path / "none") == ""


def test_opening_asks_what_file_system_it_is(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_NETWORK", frozenset({files.file_system(tmp_path)}))
    with pytest.raises(UserFault, match="network file system"):
        Ledger.open(URL, watch, folder=tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(SyncdError, match=r"the folder .*state cannot be made: File exists"):
        Ledger.open(URL, watch, folder=tmp_path)


def test_the_single_writer_is_named(ledger: Ledger, opened: Callable[[], Ledger], watch: Watch) -> None:
    other = opened()
    with pytest.raises(
        LedgerBusy,
        match=rf'syncd\.db is held by "syncd run" \(process {os.getpid()} on .*, since 2026-11-20 16:00 UTC\): stop',
    ):
        other.claim("run --once", timedelta(milliseconds=10))
    ledger.claim("run")  # again: nothing happens
    ledger.close()
    ledger.close()
    other.claim("run --once", timedelta())


def test_a_writer_that_lost_the_ledger_cannot_write(
    ledger: Ledger, opened: Callable[[], Ledger], tmp_path: Path
) -> None:
    entry, second = ledger.write("c1", [], [intent("a"), intent("b")])
    claimed = ledger.sending(second)
    assert claimed is not None
    (tmp_path / "state" / "syncd.db.lock").unlink()  # what a careless clean-up does
    other = opened()
    other.claim("run")
    for attempt in (
        lambda: ledger.sending(entry),
        lambda: ledger.settle(claimed, EntryState.POSTED),
        lambda: ledger.write("c1", [], [intent("c")]),
        lambda: ledger.begin_cycle("post", entry.created_at),
    ):
        with pytest.raises(LedgerBusy, match="another syncd took over the ledger"):
            attempt()
    assert other.sending(entry) is not None


def test_a_ledger_is_opened_without_alembic(tmp_path: Path, watch: Watch) -> None:
    """Commands that only read must not pay for it."""
    Ledger.open(URL, watch, folder=tmp_path).close()
    program = (
        "import sys, pathlib; from syncd.ledger import Ledger; from syncd.clock import real_now; "
        f"Ledger.open({URL!r}, real_now, folder=pathlib.Path({str(tmp_path)!r})).verify(); "
        "sys.exit(any(name.split('.')[0] in ('alembic', 'mako') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
