"""What keeps cycles from running is told, too: a cycle that ends early, files that became faulty. Once, as episodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from alerts_kit import Mailbox, Post, Webhook
from daemon_kit import BROKEN, MAPPING, World
from stage import Stage, empty_ledger, table
from structlog.testing import capture_logs

from syncd.core.entries import EntryState
from syncd.cycle import run_cycle
from syncd.errors import LedgerBroken, SyncdError
from syncd.ledger import Ledger

HOOK = '\n[[alerts]]\nto = { env = "ALERT_URL" }\n'


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A daemon whose cycles are real ones, unless the test lets them fail."""
    structlog.reset_defaults()
    for name in ("SYNCD_NOW", "SYNCD_MODE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "syncd.db").touch(0o600)
    (tmp_path / "syncd.db").write_bytes(empty_ledger())  # quicker than migrating one for each test
    made = World(tmp_path)
    tell(made, HOOK)

    def cycle(*given: Any, **options: Any) -> Any:
        if made.trouble is not None:
            raise made.trouble
        return run_cycle(*given, **options)

    made._run = cycle  # type: ignore[method-assign]
    made.daemon = made.make_daemon()
    with capture_logs():  # a traceback drawn for people costs more than the cycles
        yield made
    made.ledger.close()
    structlog.reset_defaults()


@pytest.fixture
def post(world: World, monkeypatch: pytest.MonkeyPatch) -> Post:
    """Messages go here instead of to a process of their own."""
    made = Post()
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1:9")
    monkeypatch.setattr("syncd.alerts.messages.hand_over", made.take)
    return made


def tell(world: World, text: str) -> None:
    with world.path.open("a", encoding="utf-8") as file:
        file.write(text)


def edit(world: World, text: str) -> None:
    draft = world.folder / "mappings" / "draft"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, world.folder / "mappings" / "all.toml")


def after(world: World, **span: float) -> None:
    """Time passes, and one cycle."""
    world.pass_time(**span)
    world.daemon.tick()


def test_a_cycle_that_fails_by_itself_is_told_once_again_and_over_once(world: World, post: Post) -> None:
    world.daemon.tick()
    assert post.titles == []
    world.trouble = KeyError("bob@contoso.example")
    for _ in range(3):
        after(world, hours=1)
    assert post.titles == ["syncd: 1 failed"]
    assert post.letters[0]["body"].startswith(
        "1 new.\n\nNew\n- failed: a cycle ended early: a fault of syncd (KeyError); see the log "
        "(since 2026-11-20 11:00)."
        " Nothing more is read or billed until one runs through, and the next one tries."
    )
    assert "bob@contoso.example" not in post.letters[0]["body"]

    after(world, hours=24)
    assert post.letters[-1]["body"].startswith("1 still there.")
    world.trouble = None
    after(world, hours=1)
    after(world, hours=1)
    assert post.letters[-1]["body"].startswith("1 over.")
    assert len(post.letters) == 3
    assert {one.state for one in world.ledger.entries(own=True)} == {EntryState.POSTED}
    assert world.ledger.verify() == []


def test_files_that_became_faulty_are_told_and_say_nothing_of_the_rest(world: World, post: Post) -> None:
    (world.folder / "export.csv").unlink()
    world.daemon.tick()
    assert post.titles == ["syncd: 1 source"]
    edit(world, BROKEN)
    after(world, hours=1)
    after(world, hours=1)
    assert post.titles == ["syncd: 1 source", "syncd: 1 failed"]  # and that the source failed is not over
    told = post.letters[-1]["body"]
    assert "the files have faults, and nothing is read or billed until they are mended: " in told
    assert "bakcup" in told
    assert "`syncd check` names each" in told

    edit(world, MAPPING)
    world.trouble = SyncdError("the disk is full: nothing was written")
    after(world, hours=1)  # the files were read; the rest was not looked at
    told = post.letters[-1]["body"]
    assert told.startswith("1 new, 1 over.")
    assert "failed: a cycle ended early: the disk is full: nothing was written" in told
    world.trouble = None
    (world.folder / "export.csv").write_text("Account,Plan,Seats\nContoso Dental,SERVER,12\n")
    after(world, hours=1)
    assert post.letters[-1]["body"].startswith("2 over.")


def test_more_faults_than_were_told_are_news(world: World, post: Post) -> None:
    world.daemon.tick()
    edit(world, BROKEN)
    after(world, hours=1)
    edit(world, BROKEN + BROKEN.replace("Contoso", "Fabrikam"))
    after(world, hours=1)
    assert [one["body"].partition(".")[0] for one in post.letters] == ["1 new", "1 grown or changed"]


@pytest.mark.slow
@pytest.mark.parametrize("table", ['tags = ["pilot"]\n', 'on = ["held"]\n'])
def test_a_channel_hears_what_it_wants(world: World, post: Post, table: str) -> None:
    """Whoever follows any customer hears that nobody is billed; whoever wants other things does not."""
    tell(world, table)
    edit(world, MAPPING.replace('backup = "Contoso Dental"', 'backup = "Contoso Dental"\ntags = ["pilot"]'))
    world.daemon.tick()
    world.trouble = OSError(28, "No space left on device")
    after(world, hours=1)
    assert post.titles == (["syncd: 1 failed"] if "tags" in table else [])


@pytest.mark.parametrize("trouble", [SyncdError("the ledger cannot be written"), RuntimeError("a fault of ours")])
def test_what_spoils_the_telling_harms_nothing(
    world: World, post: Post, trouble: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk that stopped the cycle may stop the message; the next cycle tells it."""
    world.daemon.tick()
    world.trouble = SyncdError("the disk is full")

    def full(*_: Any, **__: Any) -> Any:
        raise trouble

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(Ledger, "tell", full)
        after(world, hours=1)
    assert logs[0]["event"] == "cycle_failed"
    assert "alert" in logs[-1]["event"]
    assert post.titles == []
    after(world, hours=1)
    assert post.titles == ["syncd: 1 failed"]
    world.trouble = None
    after(world, hours=1)
    assert post.letters[-1]["body"].startswith("1 over.")


def test_nothing_is_told_by_a_broken_ledger_or_a_stopping_daemon(world: World, post: Post) -> None:
    world.daemon.tick()
    world.daemon.stop.set()
    world.trouble = SyncdError("cut off")
    world.daemon._cycle = lambda: (_ for _ in ()).throw(SyncdError("cut off"))  # type: ignore[method-assign]
    world.daemon._failed("cut off", world.trouble)
    world.daemon.stop.clear()
    world.daemon._cycle = lambda: (_ for _ in ()).throw(LedgerBroken("event 7 was altered"))  # type: ignore[method-assign]
    after(world, hours=1)
    assert post.titles == []


# Over real HTTP and SMTP


@pytest.mark.slow
def test_a_failing_cycle_reaches_a_webhook(world: World, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_URL", webhook.url)
    world.daemon.tick()
    world.trouble = RuntimeError("a fault of ours")
    after(world, hours=1)
    [received] = webhook.received
    assert received["title"] == "syncd: 1 failed"
    assert "a cycle ended early: a fault of syncd (RuntimeError); see the log" in received["message"]


@pytest.mark.slow
def test_faulty_files_reach_a_reader_of_mail_while_another_channel_fails(
    world: World, mailbox: tuple[Mailbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, port = mailbox
    tell(world, '[[alerts]]\nto = { env = "MAIL_URL" }\n')
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1:9/")
    url = f"mailto://127.0.0.1:{port}?from=syncd@msp.example&to=dana@msp.example&mode=insecure"
    monkeypatch.setenv("MAIL_URL", url)
    world.daemon.tick()
    edit(world, BROKEN)
    with capture_logs() as logs:
        after(world, hours=1)
    [(_, mail)] = box.mails
    assert mail["subject"] == "syncd: 1 failed"
    assert "bakcup" in mail.get_body(("plain", "html")).get_content()
    assert [(line["channel"], line["why"]) for line in logs if line["event"] == "alert_failing"] == [
        (1, "its server could not be reached")
    ]


@pytest.mark.slow
def test_a_run_once_that_fails_tells_it_and_opens_a_ticket_that_the_next_one_closes(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path / "stage", 1)
    try:
        company = stage.world.companies[0].identifier
        with stage.config_path.open("a", encoding="utf-8") as file:
            file.write("\n" + table("[alerts]", {"to": {"env": "ALERT_URL"}, "on": ["failed"]}))
            ticket = {"in": "cw", "board": "Billing", "company": company}
            file.write("\n" + table("[alerts]", {"ticket": ticket, "on": ["failed"]}))
        stage.environ["ALERT_URL"] = webhook.url
        with monkeypatch.context() as patched:
            patched.setattr("syncd.cycle.make_plan", lambda *_, **__: {}["no such line"])
            for _ in range(2):
                with pytest.raises(KeyError):
                    stage.run("run", "--once")
        opened = [one for one in stage.psa.tables["service/tickets"].values() if one.get("externalXRef")]
        assert [one["summary"] for one in opened] == [
            "syncd: failed: a cycle ended early: a fault of syncd (KeyError); see the log"
        ]
        assert [one["title"] for one in webhook.received] == ["syncd: 1 failed"]
        assert stage.cycle().json["alerts"] == [
            {"channel": number, "kind": kind, "sent": 1, "failed": 0, "problem": None}
            for number, kind in ((1, "message"), (2, "ticket"))
        ]
        [closed] = [one for one in stage.psa.tables["service/tickets"].values() if one.get("externalXRef")]
        assert closed["closedFlag"] is True
        assert stage.verified()
    finally:
        stage.close()
