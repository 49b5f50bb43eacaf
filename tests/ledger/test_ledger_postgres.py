"""What only PostgreSQL has: the server's settings, roles and poolers, one writer by a session's lock, its errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ledger_kit import ELSEWHERE, Watch, database, intent, raw, without_triggers
from postgres_kit import Cluster, pooler
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url

from syncd.errors import LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import Ledger, session
from syncd.ledger.postgres import conninfo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the server is stopped and started
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def kind() -> str:
    return "postgresql"


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
