"""`ledger export`, `import`, `verify`, `backup` and `restore` as an admin types them."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ledger"))
from ledger_kit import intent, without_triggers

from syncd.cli.main import hoist, run
from syncd.clock import real_now
from syncd.ledger import Ledger

CONFIG = """
[syncd]
database = "sqlite:///NAME.db"
[connections.files]
kind = "csv"
path = "*.csv"
customer = "customer"
sku = "sku"
quantity = "quantity"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two configurations beside each other, and a ledger behind the first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mappings").mkdir()
    for name in ("old", "new"):
        (tmp_path / f"{name}.toml").write_text(CONFIG.replace("NAME", name))
    with Ledger.open("sqlite:///old.db", real_now, folder=tmp_path) as ledger:
        ledger.begin_cycle("post", real_now())
    return tmp_path


def test_the_ledger_moves_to_another_database(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(hoist(["ledger", "export", "l.gz", "--config", "old.toml"])) == 0
    assert "0 events are in l.gz, proven; head " in capsys.readouterr().out
    assert run(["--config", "new.toml", "ledger", "import", "l.gz"]) == 0
    assert "every change waits for a person" in capsys.readouterr().out
    assert run(["--config", "new.toml", "ledger", "import", "l.gz"]) == 2
    assert "holds this ledger already" in capsys.readouterr().err
    assert run(["--config", "new.toml", "--json", "ledger", "verify"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["problems"], len(told["warnings"])) == (True, [], 1)
    assert run(["--config", "new.toml", "ledger", "verify"]) == 0
    assert "syncd: warning: the ledger was restored or went back" in capsys.readouterr().err


def test_a_damaged_file_ends_with_4(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "l.gz").write_bytes(gzip.compress(b"{}\n"))
    assert run(["--config", "new.toml", "ledger", "import", "l.gz"]) == 4
    assert "l.gz is damaged" in capsys.readouterr().err
    assert not (home / "new.db").exists()


def test_a_ledger_that_went_back_unseen_ends_with_4(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger.open("sqlite:///old.db", real_now, folder=home) as ledger:
        (home / "old.db.mark").write_text(f"{ledger.installation} {7:020d}\n")
    assert run(["--config", "old.toml", "ledger", "verify"]) == 4
    assert "the record once had 7 events and ends at event 0: it went back" in capsys.readouterr().err


def test_a_backup_comes_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "old.toml", "backup", "b.db"]) == 0
    assert run(["--config", "new.toml", "restore", "b.db"]) == 0
    assert "Restored. Run `syncd ledger verify`" in capsys.readouterr().out
    assert run(["--config", "new.toml", "ledger", "verify"]) == 0


def test_check_sees_that_the_record_was_altered(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Ledger.open("sqlite:///old.db", real_now, folder=home) as ledger:
        ledger.write("c1", [], [intent()])
    with closing(sqlite3.connect(home / "old.db")) as raw, raw:
        without_triggers(raw).execute("update entry set state = 'rejected'")
    assert run(["--config", "old.toml", "check"]) == 4
    told = capsys.readouterr()
    assert "the record is broken, nothing is posted" in told.err
    assert "nothing to mend" not in told.out


@pytest.mark.parametrize("command", [["restore"], ["ledger", "import"]])
@pytest.mark.parametrize("content", [b"", b"id,name\n1,x\n" * 100])
def test_a_file_that_is_no_ledger_at_all_is_said_to_be_none(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str], content: bytes
) -> None:
    (home / "x.csv").write_bytes(content)

    for config in ("old", "new"):
        assert run(["--config", f"{config}.toml", *command, "x.csv"]) == 2
        assert capsys.readouterr().err == (
            "syncd: x.csv: is neither a backup nor an export. "
            "Name a file that `syncd backup` or `syncd ledger export` made.\n"
        )
    assert not (home / "new.db").exists()


def test_a_backup_is_not_imported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "old.toml", "backup", "b.db"]) == 0
    assert run(["--config", "new.toml", "ledger", "import", "b.db"]) == 2
    assert "b.db: is a backup, not an export. Put it back with: syncd restore FILE" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["backup"], ["ledger", "export"]])
@pytest.mark.parametrize(("folder", "why"), [("nowhere", "No such file or directory"), ("old.toml", "Not a directory")])
def test_a_copy_that_cannot_be_written_there_names_the_file_that_was_asked_for(
    home: Path, capsys: pytest.CaptureFixture[str], command: list[str], folder: str, why: str
) -> None:
    assert run(["--config", "old.toml", *command, f"{folder}/x.db"]) == 2
    assert capsys.readouterr().err == (
        f"syncd: {folder}/x.db: cannot be written ({why}). "
        "Name a file in a folder that is there and that syncd may write to.\n"
    )


def test_debug_adds_the_trace_and_changes_nothing_else(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for more in ([], ["--debug"]):
        assert run([*more, "--config", "old.toml", "backup", "old.toml"]) == 2
        said[len(more)] = capsys.readouterr().err
    assert said[1].startswith("Traceback (most recent call last):\n")
    assert said[1].endswith(said[0])
