"""The command line as a person meets it: help, wrong words, first files, tables."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from syncd.cli.main import NOT_YET, hoist, run
from syncd.cli.tables import print_plan
from syncd.clock import make_clock
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.cycle import run_cycle
from syncd.demo import Stage, start_doubles, write_files
from syncd.ledger import Ledger
from syncd.sandbox.world import small_msp

COMMANDS = (
    "init check plan suggest apply run held approve reject undo retry ledger explain backup restore sandbox demo"
).split()
GOLDEN = Path(__file__).parent / "golden"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0

    told = capsys.readouterr().out
    assert all(re.search(rf"^  {command}\b", told, re.MULTILINE) for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0

    assert re.search(r"Examples?:", capsys.readouterr().out)


@pytest.mark.parametrize("command", sorted(NOT_YET))
def test_what_is_promised_and_not_there_yet_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command]) == 2

    assert capsys.readouterr().err == f"syncd: syncd {command}: is not available yet in this version.\n"


@pytest.mark.parametrize("arguments", [["frobnicate"], ["plan", "--nope"], ["ledger", "--state", "lost"], ["approve"]])
def test_wrong_arguments_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2

    assert capsys.readouterr().err


def test_the_common_options_may_stand_anywhere() -> None:
    assert hoist(["plan", "--json", "--all", "--config", "x.toml"]) == ["--json", "--config", "x.toml", "plan", "--all"]
    assert hoist(["plan", "--config=x.toml", "--", "--json"]) == ["--config=x.toml", "plan", "--", "--json"]


def test_a_missing_config_names_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(["plan"]) == 2

    assert capsys.readouterr().err == (
        "syncd: config.toml: there is no such file. Run `syncd init` to write one, or name yours with --config.\n"
    )


def test_a_wrong_fixed_clock_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SYNCD_NOW", "yesterday")

    assert run(["held"]) == 2

    assert "SYNCD_NOW: 'yesterday' is not an instant with a zone." in capsys.readouterr().err


def test_init_writes_files_that_are_right_and_never_over_existing_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = ["Europe/Berlin", "eur", "acme", "guid-1", "tenant-1", "app-1", 'Contoso "Dental"', "contoso.com", "Co"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))

    assert run(["init"]) == 0
    written = (tmp_path / "config.toml").read_text(), (tmp_path / "mappings" / "first.toml").read_text()
    assert run(["check", "--offline"]) == 0
    assert "the files are right" in capsys.readouterr().out
    assert run(["init"]) == 2

    assert "config.toml: exists already; it is not written over." in capsys.readouterr().err
    assert written == ((tmp_path / "config.toml").read_text(), (tmp_path / "mappings" / "first.toml").read_text())
    config, mappings = load(tmp_path / "config.toml", Kinds(), {}, secrets=False)
    assert (config.house.zone.key, config.house.currency) == ("Europe/Berlin", "EUR")
    assert mappings.customers[0].name == 'Contoso "Dental"'


def test_the_drift_table_as_plain_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_NOW", "2026-11-20T12:00:00-06:00")
    world = small_msp(today=date(2026, 11, 20))
    kinds = Kinds()
    stage = Stage(world, start_doubles(["connectwise", "microsoft365"], world=world))
    try:
        stage.breaks("Koa Property Management", "consent")
        config, mappings = load(write_files(tmp_path, stage, every=60, port=8730), kinds)
        with Ledger.open(config.database, make_clock(), folder=config.folder) as ledger:
            ledger.claim("test")
            done = run_cycle(config, mappings, kinds, ledger, make_clock())
    finally:
        for one in stage.running.values():
            one.stop()
    out = Console(width=160, file=io.StringIO(), no_color=True, highlight=False)
    print_plan(out, done.plan)
    assert isinstance(out.file, io.StringIO)
    shown = "\n".join(line.rstrip() for line in out.file.getvalue().splitlines()) + "\n"

    assert (GOLDEN / "drift.txt").read_text(encoding="utf-8") == shown


def test_the_sandboxes_tell_how_to_reach_them_and_end_with_ctrl_c() -> None:
    command = [sys.executable, "-m", "syncd", "sandbox", "connectwise", "--port", "0", "--customers", "2"]
    # A shell starts its background jobs with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert url is not None, first
        assert "[connections.connectwise]" in process.stdout.readline()
        with urllib.request.urlopen(f"{url[0]}/_sandbox/effects", timeout=5) as answer:
            assert answer.read() == b"[]"
        process.send_signal(signal.SIGINT)

    assert process.returncode == 0


SAID = (
    "leakage",
    "25 → 27",
    "overbilling",
    "blocked used is unknown",
    "(VISIOCLIENT) is billed by no rule",
    "syncd wrote 27, the line was changed by RMM sync to 24",
    "nothing from it is posted",
)


@pytest.mark.slow
def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "COLUMNS": "260"}
    began = time.monotonic()
    told = []
    first_table = None
    command = [sys.executable, "-m", "syncd", "demo", "--seconds", "80", "--every", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told.append(line)
            if first_table is None and "Alder Dental Group" in line:
                first_table = time.monotonic() - began
    text = " ".join("".join(told).split())

    assert process.returncode == 0
    assert first_table is not None
    assert first_table < 30
    for sentence in SAID:
        assert sentence in text
    assert [path for path in tmp_path.iterdir() if path.name.startswith("syncd-demo")] == []
