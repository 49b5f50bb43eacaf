"""The refresh token that rotates: kept before its access token is used, and refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from qbo_kit import Bench, MakeBench

from syncd.clock import real_now
from syncd.connect.rotating import InMemory, Tokens
from syncd.errors import VendorError
from syncd.ledger import Ledger, LedgerVault

DAY = 86_400.0


class Killed(BaseException):
    """The process dies here."""


class Torn(InMemory):
    """A vault whose process dies while it keeps."""

    def keep(self, seed: str, tokens: Tokens) -> None:
        raise Killed


class Watched(InMemory):
    """Notes what the vendor had been asked for when tokens were kept."""

    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench
        self.at: list[list[str]] = []

    def keep(self, seed: str, tokens: Tokens) -> None:
        self.at.append([one.path for one in self._bench.double.requests])
        super().keep(seed, tokens)


def refusal(bench: Bench, **keys: str) -> VendorError:
    with pytest.raises(VendorError) as refused:
        bench.connect(**keys).sign_in()
    assert not any(secret in str(refused.value) for secret in ("sandbox-secret", bench.double.current, "AB11"))
    return refused.value


def test_it_tells_which_company_answered(bench: Bench) -> None:
    told = bench.connect().sign_in()

    assert told.identity == "QuickBooks Online company Acme MSP (realm 9341453000000007)"
    assert told.warnings == ()
    assert [one.path.rpartition("/")[2] for one in bench.double.requests] == ["bearer", "batch"]


def test_settings_of_the_company_that_matter_are_told(make_bench: MakeBench) -> None:
    bench = make_bench(custom_numbers=False)
    bench.double.preferences["SalesFormsPrefs"]["AllowEstimates"] = False
    told = bench.connect().sign_in()

    assert len(told.warnings) == 2
    assert 'only document = "invoice"' in told.warnings[0]
    assert "found by their memo alone" in told.warnings[1]


def test_tokens_are_kept_before_they_sign_anything(bench: Bench) -> None:
    bench.vault = vault = Watched(bench)
    bench.connect().sign_in()

    assert vault.at == [["/oauth2/v1/tokens/bearer"]]


def test_the_next_process_goes_on_with_the_newest_token(bench: Bench) -> None:
    bench.double.advance(1.5 * DAY)
    bench.connect().sign_in()
    newest = bench.double.current
    assert newest != bench.double.settings["refresh_token"]
    bench.double.advance(3 * DAY)  # the configured one has died meanwhile

    bench.connect().sign_in()

    assert bench.double.current != newest


def test_a_kill_right_after_the_token_answer_loses_nothing(bench: Bench) -> None:
    bench.double.advance(1.5 * DAY)
    whole, bench.vault = bench.vault, Torn()
    with pytest.raises(Killed):
        bench.connect().sign_in()
    assert bench.double.current != bench.double.settings["refresh_token"]  # rotated, and nobody kept it
    bench.vault = whole
    bench.double.advance(0.5 * DAY)

    bench.connect().sign_in()

    assert whole.newest(bench.double.settings["refresh_token"]).refresh == bench.double.current  # type: ignore[union-attr]


def test_a_kill_is_only_fatal_where_nobody_starts_again_for_a_day(bench: Bench) -> None:
    bench.double.advance(1.5 * DAY)
    whole, bench.vault = bench.vault, Torn()
    with pytest.raises(Killed):
        bench.connect().sign_in()
    bench.vault = whole
    bench.double.advance(1.1 * DAY)

    error = refusal(bench)

    assert error.code == "unauthorized"
    assert "no longer good" in str(error)
    assert "put the new refresh token where refresh_token points" in str(error)


@pytest.mark.slow
def test_a_real_process_killed_while_keeping_loses_nothing(bench: Bench, tmp_path: Path) -> None:
    """With the ledger's own vault: a process that ends without a word between the answer and the commit."""
    bench.double.advance(1.5 * DAY)
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        f"sys.path[:0] = {[str(one) for one in Path(__file__).parents[:2]]}\n"
        "from qbo_kit import Bench\n"
        "from syncd.clock import real_now\n"
        "from syncd.ledger import Ledger, LedgerVault\n"
        "Ledger.keep_sealed = lambda *told: os._exit(9)\n"
        "bench = Bench(Path(sys.argv[1]))\n"
        "bench.url = sys.argv[2]\n"
        "with Ledger.open('sqlite:///syncd.db', real_now, folder=Path(sys.argv[1])) as ledger:\n"
        "    bench.vault = LedgerVault(ledger, 'qbo')\n"
        "    bench.connect().sign_in()\n"
    )
    before = bench.double.current
    folder = Path(__file__).parents[3]
    died = subprocess.run(
        [sys.executable, str(script), str(tmp_path), bench.url],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert died.returncode == 9, died.stderr.decode()
    assert bench.double.current != before

    with Ledger.open("sqlite:///syncd.db", real_now, folder=tmp_path) as ledger:
        bench.vault = LedgerVault(ledger, "qbo")
        bench.connect().sign_in()
        kept = bench.vault.newest(before)
    assert kept is not None
    assert kept.refresh == bench.double.current


def test_a_lost_token_answer_is_asked_for_again(bench: Bench) -> None:
    bench.double.advance(1.5 * DAY)
    bench.double.fail("drop_after", path="tokens/bearer")

    bench.connect().sign_in()


def test_another_program_that_renews_is_survived_for_a_day(bench: Bench) -> None:
    bench.connect().sign_in()
    bench.double.rotate()
    bench.double.advance(0.9 * DAY)
    bench.connect().sign_in()  # the older token is still good, and brings the newest
    bench.double.advance(0.9 * DAY)

    bench.connect().sign_in()


def test_another_program_that_renews_wins_after_a_day(bench: Bench) -> None:
    bench.double.rotate()
    bench.double.advance(1.1 * DAY)

    assert "renewed by another program" in str(refusal(bench))


@pytest.mark.parametrize("days", [101, 5 * 365 + 1])
def test_a_token_that_is_too_old_is_told(bench: Bench, days: int) -> None:
    bench.double.advance(days * DAY)

    assert refusal(bench).code == "unauthorized"


def test_a_withdrawn_token_is_told_and_a_new_one_takes_its_place(bench: Bench) -> None:
    bench.connect().sign_in()
    fresh = bench.double.reconnect()
    assert refusal(bench).code == "unauthorized"

    bench.connect(refresh_token=fresh).sign_in()


def test_an_access_token_that_ended_is_renewed_once(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.advance(2 * 3600)

    assert connection.customers()


def test_a_wrong_app_is_told(bench: Bench) -> None:
    error = refusal(bench, client_id="production-client")

    assert error.code == "unauthorized"
    assert "sandbox and production have different ones" in str(error)


def test_the_token_of_another_company_is_told(bench: Bench) -> None:
    error = refusal(bench, realm_id="1111111111")

    assert error.code == "forbidden"
    assert "Check realm_id" in str(error)
    assert "intuit_tid 1-" in str(error)


@pytest.mark.parametrize("xml", [False, True])
def test_a_refusal_of_the_gate_is_read_in_each_of_its_shapes(make_bench: MakeBench, xml: bool) -> None:
    bench = make_bench(xml_401=xml)
    bench.double.fail("unauthorized", path="batch", times=2)

    error = refusal(bench)

    assert error.code == "unauthorized"
    assert "code 3200" in str(error)
    assert "AuthenticationFailed" in str(error)


def test_a_sign_in_that_is_put_off_is_asked_for_again(bench: Bench) -> None:
    bench.double.retry_after = "0"
    bench.double.fail("throttle", path="tokens/bearer")
    bench.double.fail("unavailable", path="tokens/bearer")

    bench.connect().sign_in()


def test_the_budget_leaves_room_for_other_apps(bench: Bench) -> None:
    from connectors.quickbooks.config import QuickBooksSettings

    given = {"kind": "quickbooks", **bench.double.settings}
    real = QuickBooksSettings.model_validate(given)
    assert (real.requests_per_minute, real.concurrency, real.timeout) == (400, 4, timedelta(seconds=130))
    assert real.root == "https://quickbooks.api.intuit.com/v3"
    assert real.login_root == "https://oauth.platform.intuit.com"
    local = QuickBooksSettings.model_validate({**given, "base_url": "http://127.0.0.1:1/v3"})
    assert (local.requests_per_minute, local.root) == (None, "http://127.0.0.1:1/v3")
