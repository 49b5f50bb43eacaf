"""The end of QuickBooks' refresh token is told ahead: by `syncd check` and by alerts, never with a secret."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from qbo_kit import Bench

from syncd.cli.main import run
from syncd.clock import real_now
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.episodes_found import conditions
from syncd.cycle import run_cycle
from syncd.demo import connection_toml
from syncd.ledger import Ledger

MAPPINGS = '[[customer]]\nname = "Alder Dental Group"\nqbo = "Alder Dental Group"\n'


@pytest.fixture
def folder(bench: Bench, tmp_path: Path) -> Path:
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "first.toml").write_text(MAPPINGS)
    table = connection_toml("quickbooks", bench.url, bench.double.settings, "qbo")
    (tmp_path / "config.toml").write_text(f'[syncd]\ntimezone = "America/Chicago"\n{table}\n')
    return tmp_path


def cycle(folder: Path) -> tuple[dict[str, str], str]:
    """(told by condition, everything that is told) of one cycle."""
    config, mappings = load(folder / "config.toml", Kinds())
    with Ledger.open(config.database, real_now, folder=folder) as ledger:
        ledger.claim("test")
        done = run_cycle(config, mappings, Kinds(), ledger, real_now)
    found = conditions(done.plan, (), done.entries, {}).found
    return {one.key: one.what for one in found}, repr(found) + repr(done.plan.logins)


def test_a_token_that_ends_soon_is_told_and_one_that_does_not_is_not(
    bench: Bench, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, _ = cycle(folder)
    assert "login:qbo" not in told

    # The five years are nearly over: use does not move that end. A restart asks for a token anew an hour later.
    bench.double._first -= timedelta(days=5 * 365 - 9)
    (folder / "state" / "syncd.db").unlink()
    told, everything = cycle(folder)
    assert told["login:qbo"].startswith("the sign-in of qbo ends on ")
    assert told["login:qbo"].endswith("; nothing is read or posted there after it")
    assert "in 8 days" in told["login:qbo"] or "in 9 days" in told["login:qbo"]
    assert bench.double.current not in everything

    # What was kept is enough: nobody asks QuickBooks for it again.
    asked = sum(one.path.endswith("/bearer") for one in bench.double.requests)
    again, _ = cycle(folder)
    assert "login:qbo" in again
    assert sum(one.path.endswith("/bearer") for one in bench.double.requests) == asked

    capsys.readouterr()
    assert run(["--config", str(folder / "config.toml"), "--json", "check"]) == 0
    shown = capsys.readouterr().out
    [note] = [one for one in json.loads(shown)["warnings"] if "sign-in" in one]
    assert note.startswith("the sign-in of qbo ends on ")
    assert "put the new refresh token where refresh_token points" in note
    assert bench.double.current not in shown
