"""Alerts from the command line on: real doubles, a real webhook, the process that dies, what the admin is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts_kit import Webhook
from stage import ALDER, PREMIUM, PYTHON, Stage, rule, table

from connectors.connectwise.sandbox import ConnectWiseDouble

MakeStage = Callable[..., Stage]


@pytest.fixture
def raise_stage(tmp_path: Path) -> Iterator[MakeStage]:
    """Stages whose config has these `[[alerts]]` tables."""
    raised: list[Stage] = []

    def make(*alerts: dict[str, Any], **options: Any) -> Stage:
        mode = options.pop("mode", "post")
        raised.append(Stage(tmp_path / f"stage{len(raised)}", 1, **options))
        raised[-1].configure(mode=mode)
        add(raised[-1], *alerts)
        return raised[-1]

    yield make
    for one in raised:
        one.close()


def add(stage: Stage, *alerts: dict[str, Any]) -> None:
    with stage.config_path.open("a", encoding="utf-8") as file:
        for one in alerts:
            file.write("\n" + table("[alerts]", one))


HOOK = {"to": {"env": "ALERT_URL"}}


def test_a_cycle_tells_what_is_wrong_and_plan_tells_nobody(raise_stage: MakeStage, webhook: Webhook) -> None:
    stage = raise_stage(HOOK, mode="observe")
    stage.environ["ALERT_URL"] = webhook.url
    assert stage.plan().status == 3
    assert webhook.received == []
    done = stage.cycle()
    assert done.status == 0  # observe: nothing failed, nothing waits
    assert done.json["alerts"] == [{"channel": 1, "kind": "message", "sent": 1, "failed": 0, "problem": None}]
    [letter] = webhook.received
    assert letter["title"].startswith("syncd: 1 drift; ")
    assert f"{ALDER} / Business Premium: leakage, 25 billed and 27 due" in letter["message"]
    assert stage.cycle().json["alerts"][0]["sent"] == 0
    assert stage.entries() == []
    assert stage.verified()
    assert "apprise" not in sys.modules
    own = own_entries(stage)
    shown = stage.run("ledger", "show", own[0])
    assert (shown.status, "NOTIFY" in shown.out) == (0, True)
    assert "hunter2secret" not in shown.out + done.out + done.err
    assert stage.run("retry", own[0], "--by", "Dana").status == 2


def own_entries(stage: Stage) -> list[str]:
    from syncd.ledger import Ledger

    with Ledger.open(f"sqlite:///{stage.database}", lambda: stage.now, folder=stage.folder) as ledger:
        return [one.id for one in ledger.entries(own=True)]


@pytest.mark.slow
def test_a_failing_channel_is_told_and_changes_no_exit_status(raise_stage: MakeStage) -> None:
    stage = raise_stage({**HOOK, "on": ["unmapped"]})
    stage.environ["ALERT_URL"] = "json://user:hunter2secret@127.0.0.1:9/"
    stage.map(only=())
    stage.map(rule("Business Premium", PREMIUM, customers=["Nobody*"]))
    done = stage.run("run", "--once")
    assert done.status == 0
    assert "[[alerts]] 1 (message) did not reach anybody: its server could not be reached." in done.out
    checked = stage.run("check", "--json")
    assert checked.status == 1
    assert (
        "config.toml › [[alerts]] 1: the last message did not leave: its server could not be reached."
        in (checked.json["errors"])
    )
    assert "hunter2secret" not in done.out + done.err + checked.out + checked.err


@pytest.mark.slow
def test_check_names_a_channel_that_cannot_be(raise_stage: MakeStage) -> None:
    stage = raise_stage(
        {**HOOK, "tags": ["pilto"]},
        {"ticket": {"in": "cw", "board": "Billing", "company": "Nobody Inc"}},
        mode="observe",
    )
    stage.environ["ALERT_URL"] = "slakc://hunter2secret"
    checked = stage.run("check", "--json")
    assert checked.status == 2
    assert [one for one in checked.json["faults"] if "alerts" in one] == [
        "config.toml › [[alerts]] 1 › to: Apprise does not understand its address.",
        'config.toml › [[alerts]] 2 › ticket.company: cw has no company "Nobody Inc"; name one by its id.',
    ]
    told = "\n".join(checked.json["warnings"])
    assert "config.toml › [[alerts]] 1 › tags: no customer has pilto." in told
    assert "config.toml › [[alerts]] 2: in observe no ticket is written" in told
    assert "hunter2secret" not in checked.out + checked.err


def tickets(psa: ConnectWiseDouble) -> list[dict[str, Any]]:
    return [one for one in psa.tables["service/tickets"].values() if str(one.get("externalXRef", "")).startswith("sd-")]


def test_a_ticket_in_the_psa_is_opened_once_and_closed(raise_stage: MakeStage) -> None:
    stage = raise_stage(mode="propose")
    company = stage.world.companies[0].identifier
    add(stage, {"ticket": {"in": "cw", "board": "Billing", "company": company}, "on": ["held"]})
    done = stage.cycle()
    assert done.status == 3
    assert done.json["alerts"] == [{"channel": 1, "kind": "ticket", "sent": 1, "failed": 0, "problem": None}]
    [ticket] = tickets(stage.psa)
    assert ticket["summary"].startswith(f"syncd: held: {ALDER}")
    stage.cycle()
    stage.dismiss(ALDER, 2)
    stage.pass_time(hours=1)
    assert stage.cycle().json["alerts"][0]["problem"] is None
    [ticket] = tickets(stage.psa)
    assert ticket["closedFlag"] is True
    assert stage.verified()


@pytest.mark.slow
def test_a_killed_process_has_told_it_once_it_runs_again(raise_stage: MakeStage, webhook: Webhook) -> None:
    stage = raise_stage(HOOK, mode="observe")
    webhook.hang = 30
    command = [PYTHON, "-m", "syncd", "--config", str(stage.config_path), "run", "--once"]
    environ = {**os.environ, **stage.variables(), "ALERT_URL": webhook.url}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not webhook.paths and time.monotonic() < end:
            time.sleep(0.05)
        assert len(webhook.paths) == 1
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    webhook.hang = 0
    stage.environ["ALERT_URL"] = webhook.url
    done = stage.cycle()
    assert done.json["alerts"][0]["sent"] == 1
    [letter] = [one for one in webhook.received if one["title"].startswith("syncd: 1 drift")][-1:]
    assert ALDER in letter["message"]
    assert stage.verified()
    assert json.loads(stage.run("ledger", "verify", "--json").out)["ok"]
