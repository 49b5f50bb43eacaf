"""One cycle after the other: files that change, errors that must not end it, clocks, and the stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import structlog
from daemon_kit import BROKEN, MAPPING, World
from structlog.testing import capture_logs

from syncd.core.rules import Mode
from syncd.errors import Fault, LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.logs import hide
from syncd.web.health import unready


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.delenv("SYNCD_NOW", raising=False)
    monkeypatch.delenv("SYNCD_MODE", raising=False)
    made = World(tmp_path)
    yield made
    made.ledger.close()


def reasons(world: World) -> list[str]:
    """The first word of each reason why it is not ready."""
    return [one.partition(":")[0] for one in unready(world.board.show(), world.board.monotonic())]


def edit(world: World, text: str) -> None:
    """Writes the mapping as an editor does: a new file under the old name."""
    draft = world.folder / "mappings" / "draft"
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, world.folder / "mappings" / "all.toml")


def test_unchanged_files_are_read_once(world: World) -> None:
    before = world.files.current()

    assert world.files.current() is before


@pytest.mark.parametrize("what", ["edit", "new file", "removed file", "config"])
def test_a_change_of_any_file_is_found(world: World, what: str) -> None:
    folder = world.folder / "mappings"
    extra = folder / "more.toml"
    if what == "removed file":
        extra.write_text('[[customer]]\nname = "Fabrikam"\nbackup = "Fabrikam"\n', encoding="utf-8")
    before = world.files.current()
    if what == "edit":
        edit(world, MAPPING.replace("Backup seats", "Backup places"))
    elif what == "new file":
        extra.write_text('[[customer]]\nname = "Fabrikam"\nbackup = "Fabrikam"\n', encoding="utf-8")
    elif what == "removed file":
        extra.unlink()
    else:
        world.path.write_text(world.path.read_text().replace('mode = "post"', 'mode = "observe"'))
    after = world.files.current()

    assert after != before
    assert world.files.current() is after


def test_a_broken_edit_skips_cycles_until_it_is_mended(world: World) -> None:
    world.daemon.tick()
    assert (reasons(world), len(world.ran)) == ([], 1)
    edit(world, BROKEN)
    with capture_logs() as logs:
        world.daemon.tick()
        world.daemon.tick()
    told = [line["event"] for line in logs]

    assert (reasons(world), len(world.ran)) == (["config_invalid"], 1)
    assert "bakcup" in world.board.show().faults[0]
    # The fault itself once, that cycles are skipped each time.
    assert told == ["config_fault", "cycle_skipped", "cycle_skipped"]
    edit(world, MAPPING)
    with capture_logs() as logs:
        world.daemon.tick()

    assert (reasons(world), len(world.ran)) == ([], 2)
    assert [line["event"] for line in logs] == ["config_mended"]


def test_mappings_that_vanish_all_at_once_are_a_fault_and_no_empty_plan(world: World) -> None:
    world.daemon.tick()
    mapping = world.folder / "mappings" / "all.toml"
    kept = mapping.rename(world.folder / "kept")

    world.daemon.tick()
    assert (reasons(world), len(world.ran)) == (["config_invalid"], 1)
    assert "holds no *.toml file" in world.board.show().faults[0]

    kept.rename(mapping)
    world.daemon.tick()
    assert (reasons(world), len(world.ran)) == ([], 2)


def test_a_config_that_vanishes_is_a_fault_like_any_other(world: World) -> None:
    world.daemon.tick()
    text = world.path.read_text()
    world.path.unlink()
    world.daemon.tick()
    assert (reasons(world), len(world.ran)) == (["config_invalid"], 1)
    world.path.write_text(text)
    world.daemon.tick()

    assert (reasons(world), len(world.ran)) == ([], 2)


def test_another_ledger_needs_a_new_start(world: World) -> None:
    world.daemon.tick()
    world.path.write_text(world.path.read_text().replace("[syncd]", '[syncd]\ndatabase = "sqlite:///other.db"'))
    world.daemon.tick()

    assert (reasons(world), len(world.ran)) == (["config_invalid"], 1)
    assert "Start the daemon again" in world.board.show().faults[0]
    assert not (world.folder / "other.db").exists()


@pytest.mark.parametrize(
    "trouble",
    [
        SyncdError("the disk is full: syncd.db could not grow"),
        LedgerBusy("the ledger is locked by another process"),
        OSError(28, "No space left on device"),
        KeyError("a fault of ours"),
    ],
)
def test_a_failed_cycle_is_one_line_and_the_next_one_tries_again(world: World, trouble: Exception) -> None:
    world.trouble = trouble
    with capture_logs() as logs:
        world.daemon.tick()
    assert reasons(world) == ["cycle_failed"]
    assert [line["event"] for line in logs] == ["cycle_failed"]
    assert str(trouble) in logs[0]["why"]
    world.trouble = None
    world.daemon.tick()

    assert (reasons(world), len(world.ran)) == ([], 1)
    assert dict(world.board.show().results) == {"error": 1, "whole": 1}


def test_a_secret_that_vanished_is_told_as_a_fault_and_tried_again(world: World) -> None:
    world.trouble = UserFault(Fault("secret", "the file /run/secrets/x cannot be read (No such file)."))
    world.daemon.tick()
    assert reasons(world) == ["config_invalid"]
    world.trouble = None
    world.daemon.tick()

    assert reasons(world) == []


def test_a_broken_ledger_ends_all_cycles_but_not_the_daemon(world: World) -> None:
    world.trouble = LedgerBroken("event 7 was altered")
    world.daemon.tick()
    world.trouble = None
    with capture_logs() as logs:
        world.daemon.tick()

    assert (reasons(world), world.ran) == (["ledger_broken"], [])
    assert [(line["event"], line["log_level"]) for line in logs] == [("ledger_broken", "critical")]


def test_a_clock_that_jumped_is_a_cycle_in_observe_mode(world: World) -> None:
    world.daemon.tick()
    world.pass_time(hours=1)
    world.now += timedelta(days=31)
    with capture_logs() as logs:
        world.daemon.tick()
    doubting = reasons(world)
    world.pass_time(hours=1)
    world.daemon.tick()

    assert world.ran == [Mode.POST, Mode.OBSERVE, Mode.POST]
    assert (doubting, reasons(world)) == (["clock_doubted"], [])
    assert [line["event"] for line in logs] == ["clock_doubted"]


def test_a_clock_behind_the_ledgers_last_cycle_posts_nothing(world: World) -> None:
    number = world.ledger.begin_cycle("post", (world.now + timedelta(days=1)).astimezone(ZoneInfo("America/Chicago")))
    world.ledger.end_cycle(number, {}, [], {}, {}, {}, [])
    world.daemon = world.make_daemon()
    world.daemon.tick()

    assert (world.ran, reasons(world)) == ([Mode.OBSERVE], ["clock_doubted"])


def test_a_fixed_clock_is_not_doubted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_NOW", "2026-11-20T10:00:00-06:00")
    world.daemon = world.make_daemon()
    world.daemon.tick()
    world.passed += 86_400 * 40
    world.daemon.tick()

    assert (world.ran, reasons(world)) == ([Mode.POST, Mode.POST], [])


def test_one_cycle_at_a_time_and_what_was_asked_meanwhile_is_one_more(world: World) -> None:
    running, most, entered, go = 0, 0, threading.Event(), threading.Event()

    def inside(stop: threading.Event) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        entered.set()
        go.wait(30)
        running -= 1

    world.inside = inside
    threads = [threading.Thread(target=world.daemon.tick)]
    threads[0].start()
    assert entered.wait(30)
    assert world.daemon.idle_seconds() == 0
    for _ in range(3):  # three signals while a cycle runs
        world.daemon.ask()
        threads.append(threading.Thread(target=world.daemon.answer))
        threads[-1].start()
    go.set()
    for one in threads:
        one.join(30)

    assert (most, len(world.ran)) == (1, 2)


def test_what_was_asked_is_answered_by_a_cycle_that_began_later_anyway(world: World) -> None:
    world.daemon.ask()
    world.daemon.tick()
    world.daemon.answer()

    assert len(world.ran) == 1


def test_after_the_stop_nothing_begins_and_a_stopped_cycle_is_no_failure(world: World) -> None:
    def inside(stop: threading.Event) -> None:
        stop.set()

    world.inside = inside
    world.trouble = SyncdError("stopped in the middle")
    with capture_logs() as logs:
        world.daemon.tick()
        world.daemon.tick()

    assert [(line["event"], line["log_level"]) for line in logs] == [("cycle_stopped", "info")]


def test_secrets_of_the_config_are_hidden_from_the_logs(world: World) -> None:
    secret = "pr1vate/key-of-acme"
    table = (
        '[connections.cw]\nkind = "connectwise"\ncompany = "acme"\npublic_key = "pub-key-of-acme"\n'
        f'private_key = "{secret}"\nclient_id = "x"\nbase_url = "http://127.0.0.1:9"\n'
    )
    world.path.write_text(world.path.read_text() + table)
    world.daemon.tick()

    assert hide(f"the vendor said {secret} to pub-key-of-acme") == "the vendor said *** to ***"
