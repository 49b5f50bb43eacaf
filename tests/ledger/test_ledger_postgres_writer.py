"""The single writer on PostgreSQL: one session's lock, lost, stopped, killed, taken over; many that write at once."""

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

import pytest
from ledger_kit import ELSEWHERE, Watch, database, intent
from postgres_kit import Cluster
from sqlalchemy import event

from syncd.core.entries import EntryState
from syncd.errors import LedgerBusy, SyncdError
from syncd.ledger import Ledger, session

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the server is stopped and started
HERE = str(Path(__file__).parent)


@pytest.fixture
def kind() -> str:
    return "postgresql"


def end_claim(postgres: Cluster, folder: Path) -> None:
    """What a failing network or an admin does to the session that holds the lock. Waits until the session is gone."""
    name = database(folder)
    postgres.sql(
        name,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
    )


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
