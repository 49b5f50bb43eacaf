"""Rotating tokens in the ledger: sealed, bound to their connection and sign-in, one turn at a time."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from ledger_kit import Watch

from syncd.connect.rotating import Tokens
from syncd.errors import LedgerBusy
from syncd.ledger import Ledger, LedgerVault

KEPT = Tokens("canary-refresh-8d1f", "canary-access-77ab", datetime(2026, 11, 20, 13, tzinfo=UTC))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open("sqlite:///syncd.db", Watch(), folder=tmp_path)


def vault(ledger: Ledger, name: str = "qbo") -> LedgerVault:
    return LedgerVault(ledger, name)


def test_what_was_kept_comes_back_after_a_restart(ledger: Ledger, tmp_path: Path) -> None:
    assert vault(ledger).newest("seed") is None
    vault(ledger).keep("seed", KEPT)
    ledger.close()
    with Ledger.open("sqlite:///syncd.db", Watch(), folder=tmp_path) as again:
        assert vault(again).newest("seed") == KEPT


def test_the_newest_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    later = Tokens("r2", "a2", KEPT.good_until + timedelta(hours=1))
    for tokens in (KEPT, later):
        vault(ledger).keep("seed", tokens)
    assert vault(ledger).newest("seed") == later


def test_another_sign_in_or_another_connection_opens_nothing(ledger: Ledger) -> None:
    vault(ledger).keep("seed", KEPT)
    assert vault(ledger).newest("a new sign-in") is None
    named, body = ledger.sealed("qbo") or ("", b"")
    ledger.keep_sealed("xero", named, body)  # somebody moves the row to another connection
    assert vault(ledger, "xero").newest("seed") is None
    with_the_name_of_another = vault(ledger, "xero")._named("seed")
    ledger.keep_sealed("xero", with_the_name_of_another, body)
    assert vault(ledger, "xero").newest("seed") is None
    assert vault(ledger).newest("seed") == KEPT


def test_an_altered_seal_counts_as_not_kept(ledger: Ledger) -> None:
    vault(ledger).keep("seed", KEPT)
    named, body = ledger.sealed("qbo") or ("", b"")
    for place in range(len(body)):
        ledger.keep_sealed("qbo", named, body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        assert vault(ledger).newest("seed") is None


def test_no_file_of_the_ledger_shows_a_token(ledger: Ledger, tmp_path: Path) -> None:
    vault(ledger).keep("canary-seed-91", KEPT)
    ledger.close()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(everything) > 4096
    assert b"canary" not in everything


def test_threads_take_turns(ledger: Ledger) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with vault(ledger).turn():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == [1]


def _hold(folder: Path, holds: object, end: object) -> None:
    with Ledger.open("sqlite:///syncd.db", Watch(), folder=folder) as other, vault(other).turn():
        holds.set()  # type: ignore[attr-defined]
        end.wait(20)  # type: ignore[attr-defined]


def test_processes_take_turns_and_a_killed_one_lets_go(ledger: Ledger, tmp_path: Path) -> None:
    fresh = multiprocessing.get_context("spawn")
    holds, end = fresh.Event(), fresh.Event()
    other = fresh.Process(target=_hold, args=(tmp_path, holds, end))
    other.start()
    try:
        assert holds.wait(20)
        with pytest.raises(LedgerBusy, match="another process has used the tokens of qbo"):
            ledger.turn("tokens of qbo", timedelta(seconds=0.2)).__enter__()
        with ledger.turn("tokens of xero", timedelta(seconds=0.2)):
            pass  # another connection is another turn
        other.kill()
        other.join()
        with vault(ledger).turn():
            pass
    finally:
        other.kill()


def test_the_end_of_the_refresh_token_is_kept_sealed_beside_it(ledger: Ledger) -> None:
    ends = datetime(2031, 1, 2, tzinfo=UTC)
    mine = vault(ledger)
    assert mine.ends is None
    mine.keep("seed", replace(KEPT, ends=ends))
    assert mine.ends == ends
    again = vault(ledger)
    assert again.newest("seed") == replace(KEPT, ends=ends)
    assert again.ends == ends
    assert b"2031" not in (ledger.sealed("qbo") or ("", b""))[1]


def test_what_an_older_syncd_kept_opens_without_an_end(ledger: Ledger) -> None:
    kept = vault(ledger)
    named, nonce = kept._named("seed"), b"0" * 12
    body = msgspec.json.encode({"refresh": KEPT.refresh, "access": KEPT.access, "good_until": KEPT.good_until})
    ledger.keep_sealed("qbo", named, nonce + kept._cipher("seed").encrypt(nonce, body, kept._bound(named)))
    assert vault(ledger).newest("seed") == KEPT
