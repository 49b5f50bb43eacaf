"""What only PostgreSQL has: the server's settings, roles and poolers, one writer by a session's lock, its errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ledger_kit import ELSEWHERE, Watch, intent, raw, without_triggers
from postgres_kit import Cluster, pooler
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from syncd.core.entries import EntryState
from syncd.errors import LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import Ledger, session
from syncd.ledger.postgres import conninfo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the server is stopped and started
HERE = str(Path(__file__).parent)
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def kind() -> str:
    return "postgresql"


def database(folder: Path) -> str:
    return (folder / ELSEWHERE).read_text().rpartition("/")[2]


def end_claim(postgres: Cluster, folder: Path) -> None:
    """What a failing network or an admin does to the session that holds the lock. Waits until the session is gone."""
    name = database(folder)
    postgres.sql(
        name,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
    )


def test_a_new_database_becomes_a_ledger_and_says_so_without_the_password(
    postgres: Cluster, tmp_path: Path, watch: Watch
) -> None:
    url = postgres.fresh()
    with pytest.raises(UserFault, match="there is no ledger in postgresql://syncd@127") as missing:
        Ledger.open(url, watch, folder=tmp_path, create=False)
    assert "hunter2" not in str(missing.value)
    with Ledger.open(url, watch, folder=tmp_path) as ledger:
        assert ledger.head()[0] == 0
        assert "hunter2" not in ledger.place.name
        first = ledger.installation
    with Ledger.open(url, watch, folder=tmp_path, create=False) as again:
        assert again.installation == first


def test_several_first_starts_at_once_make_one_ledger(postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    url = postgres.fresh()

    def start(_: int) -> str:
        with Ledger.open(url, watch, folder=tmp_path) as one:
            return one.installation

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(start, range(6)))) == 1


def test_every_commit_waits_for_the_disk(postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    url = postgres.fresh()
    postgres.sql("postgres", f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    told = []

    def look(connection: psycopg.Connection[Any], *_: object) -> None:
        told.append(connection.execute("SHOW synchronous_commit").fetchone())
        connection.rollback()

    event.listen(Engine, "checkout", look)
    try:
        with Ledger.open(url, watch, folder=tmp_path) as ledger:
            ledger.write("c1", [], [intent()])
    finally:
        event.remove(Engine, "checkout", look)
    assert set(told) == {("on",)}


def test_a_server_that_does_not_write_through_is_refused(postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    url = postgres.fresh()
    postgres.sql("postgres", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        time.sleep(0.5)
        with pytest.raises(UserFault, match=r"does not write through to its disk \(fsync"):
            Ledger.open(url, watch, folder=tmp_path)
    finally:
        postgres.sql("postgres", "ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")
        time.sleep(0.5)


def test_a_database_of_another_program_is_left_alone(postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    url = postgres.fresh()
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("CREATE TABLE meta (id int)")
    with pytest.raises(UserFault, match="holds tables, but no ledger of syncd"):
        Ledger.open(url, watch, folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("hunter2", "wrong"), r"does not let this user in \("),
        (("/ledger", "/none"), r"database .* does not exist\. Make it first: createdb"),
        (("127.0.0.1:", "127.0.0.1:1"), r"did not answer \(.*; nothing was read\. syncd goes on when it is back"),
    ],
)
def test_what_cannot_be_reached_is_a_sentence(
    postgres: Cluster, tmp_path: Path, watch: Watch, change: tuple[str, str], said: str
) -> None:
    url = postgres.url("ledger0")
    if "1:1" in change[1]:
        change = (f":{postgres.port}", ":1")
    with pytest.raises(SyncdError, match=said) as raised:
        Ledger.open(url.replace(*change), watch, folder=tmp_path)
    assert "hunter2" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "wanted", "absent"),
    [
        ("postgresql://u@db.example/l", ["sslmode=verify-full"], []),
        ("postgresql://u@db.example/l?sslmode=require", ["sslmode=require"], ["verify-full"]),
        ("postgresql://u@127.0.0.1/l", [], ["sslmode"]),
        ("postgresql://u@/l?host=/run/postgresql", ["host=/run/postgresql"], ["sslmode"]),
    ],
)
def test_beyond_this_machine_the_certificate_is_proven(url: str, wanted: list[str], absent: list[str]) -> None:
    made = conninfo(make_url(url))
    assert all(one in made for one in wanted)
    assert not any(one in made for one in absent)


def test_the_single_writer_is_named(ledger: Ledger, opened: Callable[[], Ledger]) -> None:
    other = opened()
    with pytest.raises(LedgerBusy, match=rf'is held by "syncd run \(process {os.getpid()} on .*, since 20.* UTC: stop'):
        other.claim("run", timedelta())
    ledger.claim("run")  # again: nothing happens
    ledger.close()
    ledger.close()
    other.claim("run", timedelta(seconds=20))


def test_who_lost_the_session_sends_nothing_and_may_come_back(
    ledger: Ledger, opened: Callable[[], Ledger], postgres: Cluster, tmp_path: Path
) -> None:
    entry, second, _ = ledger.write("c1", [], [intent("a"), intent("b"), intent("c")])
    claimed = ledger.sending(second)
    assert claimed is not None
    end_claim(postgres, tmp_path)
    for attempt in (lambda: ledger.sending(entry), lambda: ledger.settle(claimed, EntryState.POSTED)):
        with pytest.raises(LedgerBusy, match="lost its claim on the ledger"):
            attempt()
    other = opened()
    other.claim("run", timedelta(seconds=20))
    with pytest.raises(LedgerBusy, match="another syncd took over"):
        ledger.sending(entry)
    with pytest.raises(LedgerBusy, match="is held by"):
        ledger.claim("run", timedelta())
    other.close()
    ledger.claim("run", timedelta(seconds=20))
    assert ledger.sending(entry) is not None
    assert ledger.verify() == []


def test_a_server_that_was_away_is_found_again(ledger: Ledger, postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    (entry,) = ledger.write("c1", [], [intent()])
    postgres.stop("immediate")
    try:
        with pytest.raises(SyncdError, match=r"did not answer .*nothing was posted"):
            ledger.sending(entry)
    finally:
        postgres.start()
    with pytest.raises(LedgerBusy, match="lost its claim"):
        ledger.sending(entry)
    ledger.claim("run", timedelta(seconds=20))  # what the daemon does before each cycle
    assert ledger.sending(entry) is not None
    assert ledger.verify() == []


def test_a_claim_in_the_middle_of_a_sending_waits_for_it(
    ledger: Ledger, opened: Callable[[], Ledger], postgres: Cluster, tmp_path: Path
) -> None:
    """The lock falls while `sending` is being committed: the next writer sees that entry as sent, never as planned."""
    (entry,) = ledger.write("c1", [], [intent()])
    other = opened()
    reached, go = threading.Event(), threading.Event()

    def pause(connection: Any, *_: Any) -> None:
        if threading.current_thread().name.startswith("sender"):
            reached.set()
            go.wait(30)

    event.listen(ledger.place.engine, "commit", pause)
    with ThreadPoolExecutor(2, thread_name_prefix="sender") as pool:
        sent = pool.submit(ledger.sending, entry)
        assert reached.wait(30)
        end_claim(postgres, tmp_path)
        taken = threading.Thread(target=other.claim, args=("run", timedelta(seconds=20)))
        taken.start()
        time.sleep(0.5)
        assert taken.is_alive()
        go.set()
        assert sent.result() is not None
        taken.join(30)
    assert [one.state for one in other.entries()] == [EntryState.SENDING]


SENDER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from ledger_kit import intent
from syncd.ledger import Ledger

ledger = Ledger.open(sys.argv[1], lambda: datetime(2026, 11, 20, tzinfo=UTC), folder=Path(sys.argv[3]))
ledger.claim("run", timedelta(seconds=float(sys.argv[4])))
print("claimed", flush=True)
for line in sys.stdin:
    entry = ledger.by_key(line.strip())
    try:
        print("sent" if ledger.sending(entry) else "not its turn", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


@contextmanager
def sender(folder: Path, wait: float = 0) -> Iterator[subprocess.Popen[str]]:
    url = (folder / ELSEWHERE).read_text()
    process = subprocess.Popen(
        [sys.executable, "-c", SENDER, url, HERE, str(folder), str(wait)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], line: str = "") -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_a_leader_that_stands_still_is_followed_and_sends_nothing_when_it_wakes(
    opened: Callable[[], Ledger], tmp_path: Path
) -> None:
    with opened() as ledger:
        one, two = ledger.write("c1", [], [intent("a"), intent("b")])
        with sender(tmp_path) as leader:
            assert said(leader) == "claimed"
            os.kill(leader.pid, signal.SIGSTOP)
            stopped = time.monotonic()
            ledger.claim("run", timedelta(seconds=30))
            assert 1 < time.monotonic() - stopped < 30
            assert ledger.sending(one) is not None
            os.kill(leader.pid, signal.SIGCONT)
            for entry in (one, two):
                while "ledger_claim_lost" in (told := said(leader, entry.intent.key)):
                    pass  # its log
                assert told.startswith("LedgerBusy another syncd took over")
            assert ledger.sending(two) is not None
            assert ledger.verify() == []


def test_a_killed_leader_is_followed_at_once(opened: Callable[[], Ledger], tmp_path: Path) -> None:
    with opened() as ledger, sender(tmp_path) as leader:
        assert said(leader) == "claimed"
        os.kill(leader.pid, signal.SIGKILL)
        killed = time.monotonic()
        ledger.claim("run", timedelta(seconds=30))
        assert time.monotonic() - killed < session.IDLE_SECONDS


def test_of_many_that_claim_at_once_one_does(opened: Callable[[], Ledger]) -> None:
    ledgers = [opened() for _ in range(5)]
    for number in range(10):
        start = threading.Barrier(len(ledgers))

        def claim(one: Ledger, start: threading.Barrier = start) -> bool:
            start.wait(30)
            try:
                one.claim("run", timedelta())
            except LedgerBusy:
                return False
            return True

        with ThreadPoolExecutor(len(ledgers)) as pool:
            won = list(pool.map(claim, ledgers))
        assert won.count(True) == 1, (number, won)
        winner = ledgers[won.index(True)]
        ledgers[won.index(True)] = opened()
        winner.close()


def test_many_writers_leave_one_whole_chain(opened: Callable[[], Ledger]) -> None:
    """Every process may write intents: each sees what the others wrote, and one of each line is open."""
    ledgers = [opened() for _ in range(6)]
    wrote: Counter[str] = Counter()

    def write(one: Ledger) -> None:
        for number in range(25):
            for entry in one.write("c1", [], [intent(f"line-{number}")]):
                wrote[entry.intent.identity] += 1

    with ThreadPoolExecutor(len(ledgers)) as pool:
        list(pool.map(write, ledgers))
    assert wrote == {f"line-{number}": 1 for number in range(25)}
    assert ledgers[0].verify() == []
    assert ledgers[0].head()[0] == 25


def test_a_pooler_is_refused(postgres: Cluster, tmp_path: Path, watch: Watch) -> None:
    url = postgres.copy()
    with pooler(postgres, tmp_path) as port:
        through = url.replace(f":{postgres.port}/", f":{port}/")
        with Ledger.open(through, watch, folder=tmp_path) as ledger:
            assert ledger.entries() == []  # reading is right through it
            with pytest.raises(UserFault, match="is reached through a connection pooler"):
                ledger.claim("run", timedelta())


def test_a_pooler_that_tells_the_servers_own_number_is_seen_by_its_answers(
    postgres: Cluster, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = iter([7, 7])
    monkeypatch.setattr(session, "_answers", lambda one: next(answered, one.info.backend_pid))
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 7)
    with (
        Ledger.open(postgres.copy(), watch, folder=tmp_path) as ledger,
        pytest.raises(UserFault, match="connection pooler"),
    ):
        ledger.claim("run", timedelta())


def test_a_locked_ledger_says_so(ledger: Ledger, opened: Callable[[], Ledger], tmp_path: Path) -> None:
    other = opened()
    with raw(tmp_path) as shell:
        shell.execute("SELECT set_config('idle_in_transaction_session_timeout', '0', false)")
        with psycopg.connect((tmp_path / ELSEWHERE).read_text().replace("+psycopg", "")) as holder:
            holder.execute("SELECT id FROM meta FOR UPDATE")
            began = time.monotonic()
            with pytest.raises(LedgerBusy, match="is locked by another process; nothing was posted"):
                other.write("c1", [], [intent()])
            assert time.monotonic() - began < 30
            assert other.entries() == []  # reading goes on


def test_an_altered_end_or_a_lost_guard_is_found_at_start(
    ledger: Ledger, opened: Callable[[], Ledger], tmp_path: Path
) -> None:
    ledger.write("c1", [], [intent()])
    ledger.close()
    with raw(tmp_path) as shell:
        without_triggers(shell)
    with pytest.raises(LedgerBroken, match="has lost what keeps its record unaltered"):
        opened()
    with raw(tmp_path) as shell:
        for table in ("event", "entry", "meta"):
            shell.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        shell.execute("UPDATE meta SET head = 'x'")
    with pytest.raises(LedgerBroken, match="was altered"):
        opened()


def test_the_record_is_not_emptied(ledger: Ledger, tmp_path: Path) -> None:
    with raw(tmp_path) as shell:
        for table in ("event", "entry, event", "meta"):
            with pytest.raises(psycopg.errors.RaiseException, match="never altered"):
                shell.execute(f"TRUNCATE {table}")


def test_a_damaged_page_is_told(
    ledger: Ledger, opened: Callable[[], Ledger], postgres: Cluster, tmp_path: Path
) -> None:
    ledger.write("c1", [], [intent(f"line-{number}") for number in range(50)])
    name = database(tmp_path)
    ((path,),) = postgres.sql(name, "SELECT pg_relation_filepath('event')")
    ledger.close()
    postgres.stop()
    file = postgres.folder / "cluster" / path
    content = bytearray(file.read_bytes())
    content[5000] ^= 0xFF
    file.write_bytes(bytes(content))
    postgres.start()
    with Ledger.open((tmp_path / ELSEWHERE).read_text(), Watch(), folder=tmp_path, check=False) as broken:
        with pytest.raises(LedgerBroken, match="is damaged"):
            broken.claim("run", timedelta())
        assert any("is damaged" in one for one in broken.verify())


def test_a_database_that_went_back_is_noticed(
    ledger: Ledger, opened: Callable[[], Ledger], postgres: Cluster, tmp_path: Path
) -> None:
    """A snapshot put back, a standby that was behind: the chain is whole, only the mark beside syncd knows."""
    (tmp_path / "state").mkdir(exist_ok=True)
    ledger.write("c1", [], [intent("a")])
    ledger.close()
    old = postgres.fresh(database(tmp_path))
    with opened() as later:
        later.write("c1", [], [intent("b")])
    (tmp_path / ELSEWHERE).write_text(old)
    with Ledger.open(old, Watch(), folder=tmp_path, check=False) as found:
        assert any("it went back" in one for one in found.verify())
    again = opened()
    assert again.restored
    assert again.verify() == []
    again.claim("run")
    again.trust()
    assert not opened().restored
