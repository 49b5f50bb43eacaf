"""What a person mistyped is refused with 2 and the mend, before anything is read or written."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ledger"))
from ledger_kit import intent

from syncd.cli import planning
from syncd.cli.main import run
from syncd.clock import real_now
from syncd.core.entries import Entry, EntryState
from syncd.errors import LedgerBusy
from syncd.ledger import Ledger

CONFIG = """
[syncd]
database = "sqlite:///l.db"
mode = "post"
[connections.files]
kind = "csv"
path = "*.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
"""
MAPPING = """
[[customer]]
name = "Contoso Dental"
files = "Contoso"
[[customer]]
name = "Northwind"
files = "Northwind"
[[rule]]
name = "Seats"
count = { from = "files", sku = "SPB", measure = "quantity" }
true_up = "alert"
"""
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A change of Contoso Dental that waits for a person; the present folder holds it and its files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mappings").mkdir()
    (tmp_path / "mappings" / "all.toml").write_text(MAPPING)
    (tmp_path / "config.toml").write_text(CONFIG)
    with Ledger.open("sqlite:///l.db", real_now, folder=tmp_path) as ledger:
        ledger.begin_cycle("post", real_now())
        waits = intent(state=EntryState.HELD, customer="Contoso Dental", rule="Seats")
        return ledger.write("c000001", [], [waits])[0]


@pytest.mark.parametrize("command", ["reject", "undo"])
def test_a_decision_needs_a_reason_and_a_name(entry: Entry, capsys: Capture, command: str) -> None:
    assert run([command, entry.id, "--why", " ", "--by", ""]) == 2
    assert capsys.readouterr().err == (
        "syncd: --by: is empty. Give the name of the person who decides.\n"
        "syncd: --why: is empty. Give the reason; it is kept with the decision.\n"
    )
    assert run(["held"]) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--period", "2026-13"], "--period: '2026-13' is no period. Write 2026-11, or 2026-11-15/2026-12-14."),
        (
            ["--customer", "Contoso Dentl"],
            "--customer: no entry is of a customer 'Contoso Dentl'. Did you mean \"Contoso Dental\"?",
        ),
        (["--rule", "Saets"], "--rule: no entry is of a rule 'Saets'. Did you mean \"Seats\"?"),
    ],
)
def test_the_ledger_has_no_such_thing(entry: Entry, capsys: Capture, arguments: list[str], told: str) -> None:
    assert run(["ledger", *arguments]) == 2
    assert capsys.readouterr().err == f"syncd: {told}\n"


def test_what_is_mapped_and_was_never_billed_is_no_mistake(entry: Entry, capsys: Capture) -> None:
    assert run(["ledger", "--customer", "Northwind"]) == 0
    assert run(["ledger", "--customer", "Contoso Dental", "--state", "posted"]) == 0
    assert capsys.readouterr().out == "The ledger has no such entry.\n" * 2


def test_a_misspelt_name_is_told_where_the_mappings_have_faults(entry: Entry, capsys: Capture) -> None:
    Path("mappings/all.toml").write_text("[[rule]]\n")
    assert run(["ledger", "--customer", "Nobody"]) == 2
    assert capsys.readouterr().err == "syncd: --customer: no entry is of a customer 'Nobody'.\n"
    assert run(["ledger", "--customer", "Contoso Dental"]) == 0


@pytest.mark.parametrize("words", [["Contoso Dentl"], ["Contoso Dentl", "Seats"]])
def test_explain_says_which_customer_was_meant(entry: Entry, capsys: Capture, words: list[str]) -> None:
    assert run(["explain", *words]) == 2
    assert capsys.readouterr().err.endswith('Did you mean "Contoso Dental"?\n')


def test_a_cycle_that_no_database_can_count_is_unknown(entry: Entry, capsys: Capture) -> None:
    assert run(["undo", "--cycle", "9" * 23, "--why", "wrong", "--by", "Dana"]) == 2
    assert f"--cycle: there is no cycle '{'9' * 23}'." in capsys.readouterr().err


@pytest.mark.parametrize("lines", [[1], ["x"], [{}], [{"id": 3}], [{"id": ["a"]}], [{"id": "a"}, None], {}])
def test_a_plan_file_of_another_shape_is_none(entry: Entry, capsys: Capture, lines: Any) -> None:
    Path("p.json").write_text(json.dumps({"checksum": "x", "lines": lines}))
    assert run(["apply", "p.json"]) == 2
    assert capsys.readouterr().err == "syncd: p.json: is not a plan. Make one: syncd plan --out FILE\n"


def test_approve_now_while_the_daemon_runs_tells_what_was_approved(
    entry: Entry, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> int:
        raise LedgerBusy('the ledger l.db is held by "syncd run": stop that one, or wait until it is done.')

    monkeypatch.setattr(planning, "run", busy)
    assert run(["--json", "approve", entry.id, "--by", "Dana", "--now"]) == 0
    told = capsys.readouterr()
    [shown] = json.loads(told.out)["entries"]
    assert (shown["id"], shown["state"]) == (entry.id, "planned")
    assert told.err == "syncd: approved; another process holds the ledger, and the next cycle posts this.\n"
