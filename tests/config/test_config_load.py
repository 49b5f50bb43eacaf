"""What a valid config.toml becomes."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from config_kit import CONFIG, Folder

from syncd.config.cron import check_cron
from syncd.config.load import EvidenceConfig, WebConfig, load
from syncd.core.rules import House, Mode, Safety
from syncd.errors import UserFault

FULL = """
[syncd]
every = "15m"
timezone = "America/Chicago"
mode = "propose"
mappings = "mappings"
database = "sqlite:///state/syncd.db"
concurrency = 4
period_anchor = 15
currency = "eur"
[safety]
source_drop = "12.5%"
max_decrease = "10%"
max_increase = "150%"
small_line = 6
max_step = 2.5
to_zero = "settle"
foreign_edit = "accept"
max_postings = 10
max_amount = 1234.56
settle = 3
[evidence]
subjects = "hashed"
keep = "2y"
[web]
listen = "[::1]:9000"
"""


def test_every_key_arrives(folder: Folder) -> None:
    folder.config(FULL)
    config, _ = folder.load()
    expected = House(
        mode=Mode.PROPOSE,
        zone=ZoneInfo("America/Chicago"),
        period_anchor=15,
        currency="EUR",
        safety=Safety(
            source_drop=Decimal("12.5"),
            max_decrease=Decimal(10),
            max_increase=Decimal(150),
            small_line=Decimal(6),
            max_step=Decimal("2.5"),
            to_zero="settle",
            foreign_edit="accept",
            max_postings=10,
            max_amount=Decimal("1234.56"),
            settle=3,
        ),
    )

    assert replace(config.house, content="") == expected
    assert (config.every, config.cron, config.concurrency) == (timedelta(minutes=15), "", 4)
    assert config.evidence == EvidenceConfig("hashed", timedelta(days=730))
    assert config.web == WebConfig("[::1]:9000", "::1", 9000)
    assert config.warnings == ()


def test_defaults_are_those_of_the_core(folder: Folder) -> None:
    config, _ = folder.load()

    assert replace(config.house, content="") == House(Mode.OBSERVE, ZoneInfo("UTC"))
    assert (config.every, config.cron, config.concurrency) == (timedelta(hours=1), "", 8)
    assert config.evidence == EvidenceConfig("names", timedelta(days=7 * 365))
    assert config.web == WebConfig("127.0.0.1:8730", "127.0.0.1", 8730)


def test_paths_are_relative_to_the_file(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    config, _ = folder.load()

    assert config.path == folder.path / "config.toml"
    assert config.mappings_folder == folder.path / "mappings"
    assert config.database == f"sqlite:///{folder.path}/state/syncd.db"


def test_absolute_database_stays(folder: Folder) -> None:
    folder.config('[syncd]\ndatabase = "sqlite:////var/lib/syncd.db"\n')

    assert folder.load()[0].database == "sqlite:////var/lib/syncd.db"


def test_connections_have_their_kinds_own_settings(folder: Folder) -> None:
    config, _ = folder.load()
    cloud = config.connections["cloud"]

    assert (cloud.name, cloud.kind, type(cloud.settings).__name__) == ("cloud", "cloud", "CloudSettings")


def test_environment_lowers_the_mode(folder: Folder) -> None:
    folder.environ["SYNCD_MODE"] = "observe"

    assert folder.load()[0].house.ceiling is Mode.OBSERVE


def test_secrets_need_not_be_there_where_nothing_is_read(folder: Folder) -> None:
    folder.environ = {}
    config, _ = folder.load(secrets=False)

    assert config.warnings == ()


def test_literal_secret_is_accepted_with_a_warning(folder: Folder) -> None:
    folder.config("", CONFIG.replace('{ env = "CLOUD_SECRET" }', '"hunter2"'))
    config, _ = folder.load()

    assert config.warnings == (
        "config.toml › [connections.cloud] › client_secret: the secret stands in the file itself. "
        'Use { env = "NAME" } or { file = "/path" }.',
    )
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(("rights", "warned"), [(0o600, False), (0o640, False), (0o644, True)])
def test_secret_file_that_everybody_can_read(folder: Folder, rights: int, warned: bool) -> None:
    secret = folder.path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(rights)
    folder.config("", CONFIG.replace('{ env = "CLOUD_SECRET" }', '{ file = "secret" }'))
    expected = (
        f"config.toml › [connections.cloud] › client_secret: every user of this machine can read {secret}. "
        "Run chmod o-r on it."
    )

    assert folder.load()[0].warnings == ((expected,) if warned else ())


def test_an_empty_mappings_folder_is_a_fault_because_a_missing_mount_looks_like_that(folder: Folder) -> None:
    (folder.path / "mappings" / "m.toml").unlink()
    (folder.path / "mappings" / "m.toml.orig").write_text("")

    assert folder.faults() == [
        f"config.toml › [syncd] › mappings: the folder {folder.path / 'mappings'} holds no *.toml file. "
        "Mount the folder that has them, or put a mapping file there; `syncd suggest --write` writes one with "
        "proposals.",
    ]


def test_an_empty_mappings_folder_is_a_warning_for_who_sets_syncd_up(folder: Folder) -> None:
    (folder.path / "mappings" / "m.toml").unlink()
    config, mappings = load(folder.path / "config.toml", folder.kinds, folder.environ, may_be_empty=True)

    assert mappings.rules == ()
    assert config.warnings == (
        f"config.toml › [syncd] › mappings: the folder {folder.path / 'mappings'} holds no *.toml file, "
        "so nothing can be planned or billed. `syncd suggest --write` writes one with proposals.",
    )


@pytest.mark.parametrize("may_be_empty", [False, True])
def test_a_mappings_folder_that_cannot_be_listed_is_no_empty_one(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, may_be_empty: bool
) -> None:
    def refuse(path: object) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("syncd.config.mapping_build.os.listdir", refuse)

    with pytest.raises(UserFault) as caught:
        load(folder.path / "config.toml", folder.kinds, folder.environ, may_be_empty=may_be_empty)

    assert str(caught.value) == (
        f"config.toml › [syncd] › mappings: the folder {folder.path / 'mappings'} cannot be read (Permission denied). "
        "Let the user that syncd runs as list it."
    )


def test_content_follows_the_settings_and_not_their_spelling(folder: Folder) -> None:
    def content(text: str, connections: str = CONFIG) -> str:
        folder.config(text, connections)
        return folder.load()[0].house.content

    plain = content("")

    assert content('# a comment\n[syncd]\nmode = "observe"\n[safety]\nmax_amount = 5000.00\n') == plain
    assert content("[safety]\nmax_amount = 5001\n") != plain
    assert content("", CONFIG.replace("acme", "other")) != plain
    folder.environ["OTHER"] = "x"
    assert content("", CONFIG.replace('env = "CLOUD_SECRET"', 'env = "OTHER"')) != plain


def test_content_does_not_follow_a_secrets_value(folder: Folder) -> None:
    before = folder.load()[0].house.content
    folder.environ["CLOUD_SECRET"] = "rotated"
    assert folder.load()[0].house.content == before

    contents = set()
    for literal in ("one", "two"):
        folder.config("", CONFIG.replace('{ env = "CLOUD_SECRET" }', f'"{literal}"'))
        contents.add(folder.load()[0].house.content)
    assert len(contents) == 1


def test_byte_order_mark_is_read_over(folder: Folder) -> None:
    path = folder.path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert folder.faults() == []


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("15 * * * *", "15 * * * *"),
        ("0 6 * * 1-5", "0 6 * * mon,tue,wed,thu,fri"),
        ("0 6 * * 0", "0 6 * * sun"),
        ("0 6 * * 7", "0 6 * * sun"),
        ("0 6 * * 5-7", "0 6 * * sun,fri,sat"),
        ("0 6 * * MON-wed", "0 6 * * mon,tue,wed"),
        ("0 6 * * sat-sun", "0 6 * * sun,sat"),
        ("*/20 6-18 1,15 * */2", "*/20 6-18 1,15 * sun,tue,thu,sat"),
    ],
)
def test_weekdays_of_cron_become_names(line: str, named: str) -> None:
    assert check_cron(line) == named


@pytest.mark.parametrize("line", ["60 * * * *", "* * * *", "0 0 * * 8", "0 0 * * fri-mon", "0 0 * * 1/0", "a b c d e"])
def test_cron_lines_that_are_none(line: str) -> None:
    with pytest.raises(ValueError, match="must be minute, hour, day, month and weekday"):
        check_cron(line)


def test_cron_arrives(folder: Folder) -> None:
    folder.config('[syncd]\ncron = "0 6 * * 1"\n')

    assert folder.load()[0].cron == "0 6 * * mon"


def test_loading_does_not_depend_on_where_it_is_called_from(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute, _ = folder.load()
    monkeypatch.chdir(folder.path)
    folder.path = Path()
    relative, _ = folder.load()

    assert relative.path == absolute.path
    assert relative.house == absolute.house
