"""Messages over real HTTP and SMTP, by the fenced process: delivered, refused, redirected, hanging, forbidden hosts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import web_kit
from alerts_kit import HOOK, Mailbox, Room, Webhook, drifting

from syncd import daemon
from syncd.alerts import messages, sender
from syncd.alerts.messages import address_problem, hand_over
from syncd.config.schema import AlertTable
from syncd.connect.settings import Secret

MakeRoom = Callable[..., Room]
LETTER = {"title": "syncd: 1 drift", "body": "One thing.\n"}


def test_a_whole_cycle_reaches_a_webhook(
    make_room: MakeRoom, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_URL", webhook.url)
    room = make_room(HOOK, real=True)
    [fared] = room.cycle(drifting())
    assert (fared.sent, fared.problem) == (1, "")
    [received] = webhook.received
    assert received["title"] == "syncd: 1 drift; 56.00 USD a period"
    assert received["message"].startswith("1 new.")
    assert room.own() == [("notify", "posted")]


def test_a_mail_reaches_its_reader(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    url = f"mailto://127.0.0.1:{port}?from=syncd@msp.example&to=dana@msp.example&mode=insecure"
    assert hand_over({"url": url, **LETTER}) == ""
    [(to, mail)] = box.mails
    assert to == ["dana@msp.example"]
    assert mail["subject"] == "syncd: 1 drift"
    assert "One thing." in mail.get_body(("plain", "html")).get_content()


def test_a_redirect_is_not_followed_and_takes_no_credentials_along(webhook: Webhook) -> None:
    with Webhook() as other:
        webhook.answer, webhook.location = 307, f"http://localhost:{other.server.server_port}/elsewhere"
        url = f"{webhook.url}?redirect=yes"
        assert hand_over({"url": url, **LETTER}) == "its server answered with a redirect, which is not followed"
        assert other.paths == []
    assert ["Authorization" in headers for headers in webhook.headers] == [True]


@pytest.mark.slow
def test_a_refusal_is_told_by_its_status_alone(webhook: Webhook) -> None:
    webhook.answer = 403
    assert hand_over({"url": webhook.url, **LETTER}) == "its server answered with status 403"


def test_a_server_that_hangs_holds_nobody_for_long(webhook: Webhook) -> None:
    webhook.hang = 60
    began = time.monotonic()
    assert hand_over({"url": webhook.url, **LETTER}, seconds=1.5) == "its server did not answer within 2 s"
    assert time.monotonic() - began < 30
    assert messages.SECONDS <= 15


def test_a_stopping_syncd_does_not_wait(webhook: Webhook) -> None:
    webhook.hang = 60
    stop = threading.Event()
    stop.set()
    assert hand_over({"url": webhook.url, **LETTER}, stop=stop) == "syncd was stopping"


@pytest.mark.slow
def test_nobody_answers(webhook: Webhook) -> None:
    url = "json://127.0.0.1:9/secret-path"
    assert hand_over({"url": url, **LETTER}) == "its server could not be reached"


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        "json://169.254.169.254/latest/meta-data",
        "json://[::ffff:169.254.169.254]/",
        "json://[fe80::1]/",
        "json://2852039166/",  # 169.254.169.254 as one number
        "mailto://169.254.169.254:25?from=syncd@msp.example&to=dana@msp.example&mode=insecure",
    ],
)
def test_metadata_services_are_never_spoken_to(url: str) -> None:
    assert hand_over({"url": url, **LETTER}) == sender.REFUSED


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("168.63.129.16", True),
        ("127.0.0.1", False),
        ("192.168.1.20", False),
        ("10.0.0.7", False),
        ("::1", False),
        ("hooks.example.com", False),
    ],
)
def test_which_addresses_are_refused(address: str, refused: bool) -> None:
    assert sender.is_refused(address) is refused


def test_a_name_is_judged_by_the_address_that_is_used() -> None:
    """A name that resolves to something harmless when it is looked at, and to metadata when it is used."""
    script = """
import socket, sys
sys.path.insert(0, sys.argv[1])
import sender
fence = sender.Fence()
fence.raise_up()
socket.getaddrinfo = lambda *a, **k: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))]
import requests
try:
    requests.post("http://hooks.example.com/", timeout=2)
except requests.RequestException:
    print(fence.problem)
"""
    folder = os.path.dirname(sender.__file__)
    done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == sender.REFUSED


@pytest.mark.slow
def test_check_tells_an_address_that_apprise_does_not_know(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_URL", "slakc://hunter2secret")
    told = address_problem(Secret(env="ALERT_URL"), tmp_path)
    assert told == "Apprise does not understand its address"
    monkeypatch.setenv("ALERT_URL", "json://169.254.169.254/")
    assert address_problem(Secret(env="ALERT_URL"), tmp_path) == sender.REFUSED
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1:9/")
    assert address_problem(Secret(env="ALERT_URL"), tmp_path) == ""


def test_the_process_gets_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CW_PRIVATE_KEY", "hunter2secret")
    spy = tmp_path / "spy.py"
    spy.write_text("import json, os, sys\nprint(json.dumps({'problem': repr([os.environ, sys.argv])}))")
    monkeypatch.setattr(sender, "__file__", str(spy))
    told = hand_over({"url": "json://user:alsosecret@127.0.0.1/"})
    assert "environ" in told
    assert "secret" not in told


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text("raise SystemExit(1)")
    monkeypatch.setattr(sender, "__file__", str(spy))
    assert hand_over({"url": "json://127.0.0.1/"}) == "the process that sends it died"


def test_the_daemon_hides_addresses_in_its_log(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_URL", "slack://hunter2secret/token")
    made = replace(web_kit.config(), folder=tmp_path, alerts=(AlertTable.model_validate(HOOK),))
    assert "slack://hunter2secret/token" in set(daemon._secrets(made))
