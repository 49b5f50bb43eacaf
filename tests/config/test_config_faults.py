"""What `check` says about config.toml: the exact line for each kind of mistake, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from config_kit import CONFIG, CUSTOMER, KINDS, RULE, Folder

from syncd.config.load import find_config, load_config
from syncd.connect.contract import Connector
from syncd.errors import UserFault

SYNCD, SAFETY = "config.toml › [syncd] › ", "config.toml › [safety] › "


def test_valid_config_has_no_fault(folder: Folder) -> None:
    assert folder.faults() == []


def test_misspelt_key_names_the_nearest_and_is_not_also_missing(folder: Folder) -> None:
    folder.config("", CONFIG.replace("client_id", "clint_id"))

    assert folder.faults() == [
        'config.toml › [connections.cloud] › clint_id: unknown key. Did you mean "client_id"?',
    ]


def test_missing_key_shows_how_it_is_written(folder: Folder) -> None:
    folder.config("", CONFIG.replace('company = "acme"', ""))

    assert folder.faults() == [
        'config.toml › [connections.psa] › company: is missing. Write it like company = "acme".',
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[syncd]\nconcurrency = "8"', SYNCD + "concurrency: must be a whole number, like concurrency = 8."),
        ("[syncd]\nconcurrency = true", SYNCD + "concurrency: must be a whole number, like concurrency = 8."),
        ("[syncd]\nconcurrency = 0", SYNCD + "concurrency: must be at least 1."),
        ("[syncd]\nperiod_anchor = 32", SYNCD + "period_anchor: must be at most 31."),
        ("[syncd]\nmode = 1", SYNCD + 'mode: must be "observe", "propose" or "post".'),
        ("[syncd]\nevery = 5", SYNCD + 'every: must be a duration like "30s", "15m", "1h", "2d" or "7y".'),
        ('[syncd]\nevery = "0s"', SYNCD + "every: must be longer than nothing."),
        (
            '[syncd]\ncron = "15 * *"',
            SYNCD + 'cron: must be minute, hour, day, month and weekday, like "15 * * * *".',
        ),
        ('[syncd]\nevery = "1h"\ncron = "15 * * * *"', SYNCD + "cron: is set beside every. Keep one of them."),
        (
            '[syncd]\ntimezone = "America/Chicgo"',
            SYNCD + 'timezone: "America/Chicgo" is no IANA time zone. Did you mean "America/Chicago"?',
        ),
        (
            '[syncd]\ntimezone = "America"',
            SYNCD + 'timezone: "America" is no IANA time zone. Add the city, like America/Chicago.',
        ),
        ('[syncd]\ncurrency = "EURO"', SYNCD + 'currency: must be the three letters of ISO 4217, like "USD".'),
        (
            '[syncd]\ndatabase = "postgresql+psycopg://syncd:hunter2@db/"',
            SYNCD + 'database: must name a database, like "postgresql+psycopg://user@host/name".',
        ),
        ('[syncd]\ndatabase = "sqlite://"', SYNCD + 'database: must name a file, like "sqlite:///state/syncd.db".'),
        (
            "[safety]\nsource_drop = 25",
            SAFETY + 'source_drop: must be a percentage in quotes, like source_drop = "25%".',
        ),
        ('[safety]\nmax_decrease = "120%"', SAFETY + "max_decrease: must be at most 100."),
        ("[safety]\nsmall_line = true", SAFETY + "small_line: must be a number, like small_line = 5."),
        ('[safety]\nmax_amount = "5000"', SAFETY + "max_amount: must be a number, like max_amount = 5000."),
        (
            "[safety]\nmax_amount = nan",
            SAFETY + "max_amount: must be a finite number below 10^15, like max_amount = 5000.",
        ),
        ("[safety]\nmax_step = -1", SAFETY + "max_step: must be at least 0."),
        ("[safety]\nsettle = 0", SAFETY + "settle: must be at least 1."),
        ('[safety]\nto_zero = "post"', SAFETY + 'to_zero: must be "hold" or "settle".'),
        ('[evidence]\nsubjects = "all"', 'config.toml › [evidence] › subjects: must be "names", "hashed" or "none".'),
        (
            '[web]\nlisten = "0.0.0.0:8730"',
            "config.toml › [web] › listen: the daemon does not listen beyond loopback without a sign-in, and sign-in "
            'is not available yet in this version; use "127.0.0.1:8730".',
        ),
        ('[web]\nlisten = "8730"', 'config.toml › [web] › listen: must be a host and a port, like "127.0.0.1:8730".'),
        ("web = 1", "config.toml › [web]: must be a table, not a number."),
        ('timezone = "UTC"', "config.toml › timezone: unknown key. It belongs under [syncd]."),
        ("[saftey]", "config.toml › [saftey]: unknown table. Did you mean [safety]?"),
        ("[[alert]]", "config.toml › [alert]: unknown table. Did you mean [[alerts]]?"),
        ('[m365]\nkind = "cloud"', "config.toml › [m365]: unknown table. Did you mean [connections.m365]?"),
        (
            "[zzz]",
            "config.toml › [zzz]: unknown table. "
            "Known: [syncd], [connections], [safety], [evidence], [[alerts]], [web].",
        ),
        ("[safety]\nsetle = 3", SAFETY + 'setle: unknown key. Did you mean "settle"?'),
    ],
)
def test_mistake_is_told_in_one_line(folder: Folder, text: str, fault: str) -> None:
    folder.config(text + "\n")

    assert folder.faults() == [fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[syncd\n",
            "config.toml › line 1: is not valid TOML: expected ']' at the end of a table declaration (column 7).",
        ),
        ('[syncd]\nmode = "post\n', "config.toml › line 2: is not valid TOML: illegal character '\\n' (column 13)."),
        ("a = 1\na = 2\n", "config.toml › line 2: is not valid TOML: cannot overwrite a value (column 6)."),
        ('a = """', "config.toml › line 1: is not valid TOML: unterminated string (end of the file)."),
    ],
)
def test_broken_toml_is_told_with_its_line(folder: Folder, text: str, fault: str) -> None:
    folder.config(text, connections="")

    assert folder.faults() == [fault]


def test_file_in_another_encoding(folder: Folder) -> None:
    (folder.path / "config.toml").write_bytes("[syncd]\n# für\n".encode("latin-1"))

    assert folder.faults() == ["config.toml › line 2: is not UTF-8. Save the file as UTF-8."]


def test_kind_of_a_later_version_and_kind_that_nobody_knows(folder: Folder) -> None:
    folder.config("", CONFIG + '[connections.a]\nkind = "halopsa"\n[connections.b]\nkind = "clowd"\n[connections.c]\n')

    assert folder.faults() == [
        'config.toml › [connections.a] › kind: "halopsa" is not available yet in this version. '
        "This version has books, cloud, psa.",
        'config.toml › [connections.b] › kind: there is no kind "clowd". Did you mean "cloud"?',
        "config.toml › [connections.c] › kind: is missing. This version has books, cloud, psa.",
    ]


def test_connector_that_cannot_be_imported(folder: Folder) -> None:
    class Broken(Mapping[str, Connector]):
        def __getitem__(self, kind: str) -> Connector:
            if kind == "cloud":
                raise ModuleNotFoundError("No module named 'acme'")
            return KINDS[kind]

        def __iter__(self) -> Iterator[str]:
            return iter(KINDS)

        def __len__(self) -> int:
            return len(KINDS)

        def __contains__(self, kind: object) -> bool:
            return kind in KINDS

    folder.kinds = Broken()

    assert folder.faults() == [
        'config.toml › [connections.cloud] › kind: the connector "cloud" cannot be loaded '
        "(ModuleNotFoundError: No module named 'acme'). Reinstall its package.",
    ]


def test_no_connection_is_told_once_and_not_by_every_mapping(folder: Folder) -> None:
    folder.config("", connections="")

    assert folder.faults() == [
        "config.toml › [connections]: there is no connection at all. "
        'Add one, like [connections.m365] with kind = "microsoft365".',
    ]


def test_connection_that_a_customer_could_not_name(folder: Folder) -> None:
    folder.config("", CONFIG + '[connections.tags]\nkind = "books"\n')

    assert folder.faults() == [
        "config.toml › [connections.tags]: a customer could not name it. Give the connection another name.",
    ]


def test_env_secret_that_is_missing(folder: Folder) -> None:
    folder.environ = {}

    assert folder.faults() == [
        "config.toml › [connections.cloud] › client_secret: the environment variable CLOUD_SECRET is not set. "
        "Set it where syncd is started.",
    ]


def test_secret_file_that_is_missing(folder: Folder) -> None:
    folder.config("", CONFIG.replace('{ env = "CLOUD_SECRET" }', '{ file = "secret" }'))

    assert folder.faults() == [
        f"config.toml › [connections.cloud] › client_secret: the file {folder.path / 'secret'} cannot be read "
        "(No such file or directory).",
    ]


def test_both_forms_of_a_secret_at_once(folder: Folder) -> None:
    folder.config("", CONFIG.replace('{ env = "CLOUD_SECRET" }', '{ env = "CLOUD_SECRET", file = "secret" }'))

    assert folder.faults() == [
        'config.toml › [connections.cloud] › client_secret: must be { env = "NAME" } or { file = "/path" }.',
    ]


def test_a_secret_in_the_wrong_place_is_never_repeated(folder: Folder) -> None:
    folder.config('[web]\nlisten = "hunter2"\n', CONFIG.replace('client_id = "c"', 'client_id = ["hunter2"]'))

    faults = folder.faults()

    assert len(faults) == 2
    assert "hunter2" not in "\n".join(faults)


def test_alerts_are_judged_one_by_one(folder: Folder) -> None:
    folder.config('[[alerts]]\nto = { env = "X" }\non = ["drft"]\n[[alerts]]\nrepeat = "1d"\n')

    assert folder.faults() == [
        'config.toml › [[alerts]] 1 › on: "drft" is no reason for an alert. Did you mean "drift"?',
        'config.toml › [[alerts]] 2: needs either to = { env = "ALERT_URL" } or '
        'ticket = { in = "cw", board = "Billing" }.',
    ]


def test_mode_of_the_environment(folder: Folder) -> None:
    folder.environ["SYNCD_MODE"] = "obsrve"

    assert folder.faults() == ['SYNCD_MODE: "obsrve" is no mode. Did you mean "observe"?']


def test_faults_of_config_and_mappings_come_together(folder: Folder) -> None:
    folder.config("[syncd]\nperiod_anchor = 0\n", CONFIG.replace("tenant_id", "tenant"))
    folder.mapping(CUSTOMER + RULE.replace('"cloud"', '"clod"'))
    folder.mapping("[[rule]\n", "z.toml")

    assert folder.faults() == [
        "config.toml › [syncd] › period_anchor: must be at least 1.",
        'config.toml › [connections.cloud] › tenant: unknown key. Did you mean "tenant_id"?',
        "mappings/z.toml › line 1: is not valid TOML: expected ']]' at the end of an array declaration (column 7).",
        'mappings/m.toml › rule "Premium" › count.from: no connection is called "clod". Did you mean "cloud"?',
    ]


def test_config_alone_tells_only_its_own_faults(folder: Folder) -> None:
    folder.mapping("[[rule]\n")
    config = load_config(folder.path / "config.toml", KINDS, folder.environ)

    assert config.connections.keys() == {"cloud", "psa", "qbo"}


def test_find_config_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "other.toml", "given.toml"):
        (tmp_path / name).touch()
    environ = {"SYNCD_CONFIG": "other.toml"}

    assert find_config(Path("given.toml"), environ) == Path("given.toml")
    assert find_config(None, environ) == Path("other.toml")
    assert find_config(None, {}) == Path("config.toml")


def test_config_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserFault) as raised:
        find_config(None, {})

    assert str(raised.value) == (
        "config.toml: there is no such file. Run `syncd init` to write one, or name yours with --config."
    )
