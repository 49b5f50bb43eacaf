"""Where the ledger is: a file, or a PostgreSQL whose password stands elsewhere and is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_kit import Folder

from syncd.errors import UserFault

URL = "postgresql+psycopg://syncd:hunter2@db.example/syncd"


def test_a_url_may_stand_in_the_environment_or_a_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_DATABASE", URL)
    folder.environ["SYNCD_DATABASE"] = URL
    folder.config('[syncd]\ndatabase = { env = "SYNCD_DATABASE" }\n')
    assert folder.load()[0].database == URL
    secret = folder.path / "url"
    secret.write_text(URL + "\n")
    secret.chmod(0o600)
    folder.config('[syncd]\ndatabase = { file = "url" }\n')
    config, _ = folder.load()
    assert config.database == URL
    assert config.warnings == ()
    assert "hunter2" not in repr(config)


def test_a_password_in_the_file_is_accepted_with_a_warning(folder: Folder) -> None:
    folder.config(f'[syncd]\ndatabase = "{URL}"\n')
    config, _ = folder.load()
    assert config.database == URL
    assert len(config.warnings) == 1
    assert "[syncd] › database: the secret stands in the file itself" in config.warnings[0]
    folder.config('[syncd]\ndatabase = "postgresql://syncd@db.example/syncd"\n')
    assert folder.load()[0].warnings == ()


def test_moving_the_secret_does_not_change_what_a_plan_stands_for(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for password in ("hunter2", "hunter3"):
        folder.config(f'[syncd]\ndatabase = "{URL.replace("hunter2", password)}"\n')
        digests.add(folder.load()[0].house.content)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{ env = "NONE" }', "the environment variable NONE is not set"),
        ('{ file = "none" }', "cannot be read"),
        ('{ file = "other" }', 'what it refers to must name a file, like "sqlite:///state/syncd.db".'),
        ("{ path = 1 }", "must be"),
        ('"postgresql://syncd:hunter2@db.example"', "must name a database"),
        ("5", "database: "),
    ],
)
def test_what_names_no_ledger_is_a_fault_and_shows_no_secret(folder: Folder, written: str, said: str) -> None:
    (folder.path / "other").write_text("mysql://u:hunter2@h/d")
    folder.config(f"[syncd]\ndatabase = {written}\n")
    with pytest.raises(UserFault) as raised:
        folder.load()
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_relative_file_from_a_secret_is_relative_to_the_config(folder: Folder, tmp_path: Path) -> None:
    (folder.path / "url").write_text("sqlite:///elsewhere/l.db")
    (folder.path / "url").chmod(0o600)
    folder.config('[syncd]\ndatabase = { file = "url" }\n')
    assert folder.load()[0].database == f"sqlite:///{folder.path}/elsewhere/l.db"
