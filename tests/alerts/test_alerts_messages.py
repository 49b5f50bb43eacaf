"""Messages: what is told once, what is grouped, what waits; a failing channel and a killed process lose nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from alerts_kit import HOOK, Killed, Room, drifting, stamp, unread

from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.core.unmapped import Unmapped
from syncd.cycle import alerting

MakeRoom = Callable[..., Room]


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_URL", "json://127.0.0.1:9/secret-path")


def test_new_grown_repeated_and_over_are_told_once_each(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    [fared] = room.cycle(drifting())
    assert (fared.sent, fared.failed, fared.problem) == (1, 0, "")
    assert room.post.titles == ["syncd: 1 drift; 56.00 USD a period"]
    room.cycle(drifting())
    assert len(room.post.letters) == 1
    room.cycle(drifting(used=28, amount="84.00"))
    assert "Grown or changed\n" in room.post.letters[1]["body"]
    assert "before: 2, 56.00 USD a period" in room.post.letters[1]["body"]
    room.cycle(drifting(used=28, amount="84.00"), after=timedelta(hours=24))
    room.cycle(drifting(used=28, amount="84.00"))
    assert "Still there\n" in room.post.letters[2]["body"]
    room.cycle()
    assert room.post.titles[3:] == ["syncd: 1 over"]
    room.cycle()
    assert len(room.post.letters) == 4
    assert room.own() == [("notify", "posted")] * 4
    assert room.ledger.verify() == []


def test_a_line_says_who_how_much_since_when_and_what_to_do(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.linked = True
    since = room.now
    room.cycle(drifting())
    assert room.post.letters[0]["body"] == (
        "1 new.\n\nNew\n"
        "- drift: Contoso Dental / M365 Business Premium: leakage, 25 billed and 27 due (+2, 56.00 USD a period); only "
        f'observed (since {stamp(since)}). Correct it by hand, or let syncd do it: mode = "propose" or "post".\n\n'
        "Dashboard: http://127.0.0.1:8730/\n"
    )


def test_one_message_tells_everything_the_most_money_first(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    lines = [drifting(f"Customer {number:02}", amount=f"{number}.00") for number in range(1, 31)]
    room.cycle(*lines, unmapped_products=(Unmapped("m365", "VISIO", "Visio"),))
    [letter] = room.post.letters
    assert letter["title"] == "syncd: 30 drift, 1 unmapped; 465.00 USD a period"
    told = [row for row in letter["body"].splitlines() if row.startswith("- ")]
    assert len(told) == 20
    assert [row.split(" /")[0] for row in told[:2]] == ["- drift: Customer 30", "- drift: Customer 29"]
    assert "… and 11 more." in letter["body"]
    assert "Dashboard" not in letter["body"]


def test_on_and_tags_choose(make_room: MakeRoom) -> None:
    room = make_room({**HOOK, "on": ["source"]}, {"to": {"env": "ALERT_URL"}, "tags": ["pilot"]})
    room.tags = {"Alder": ("pilot",)}
    first, second = room.cycle(drifting("Alder"), drifting("Birch"), errors=(ReadError("pax8", "", "timeout", "down"),))
    assert (first.sent, second.sent) == (1, 1)
    pilot, source = sorted(one["body"] for one in room.post.letters)
    assert pilot.startswith("1 new.\n\nNew\n- drift: Alder / M365 Business Premium: ")
    assert source.startswith("1 new.\n\nNew\n- source: pax8 could not be read: down (since ")
    assert "Birch" not in pilot + source


def test_what_a_failed_source_hides_is_not_over(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.cycle(drifting())
    room.cycle(unread())
    assert room.post.titles[1:] == ["syncd: 1 source"]
    room.cycle(drifting())
    assert room.post.titles[2:] == ["syncd: 1 over"]  # the source; the drift never was
    assert "could not be read" in room.post.letters[2]["body"]


def test_a_channel_that_fails_is_told_and_tried_again_with_all_its_news(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.post.refuses = "its server could not be reached"
    [fared] = room.cycle(drifting("Alder"))
    assert (fared.sent, fared.failed, fared.problem) == (0, 1, "its server could not be reached")
    [fared] = room.cycle(drifting("Alder"), drifting("Birch"))
    assert fared.failed == 1
    assert room.own() == [("notify", "superseded"), ("notify", "planned")]
    room.post.refuses = ""
    [fared] = room.cycle(drifting("Alder"), drifting("Birch"))
    assert (fared.sent, fared.problem) == (1, "")
    [letter] = room.post.letters
    assert letter["body"].startswith("2 new.\n")
    [fared] = room.cycle(drifting("Alder"), drifting("Birch"))
    assert (fared.sent, fared.failed, fared.problem) == (0, 0, "")


def test_a_missing_secret_is_told_without_a_value(make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    room = make_room(HOOK)
    monkeypatch.delenv("ALERT_URL")
    [fared] = room.cycle(drifting())
    assert fared.problem == "the environment variable ALERT_URL is not set."


def test_a_digest_is_one_message_a_day_and_carries_the_head(make_room: MakeRoom) -> None:
    room = make_room({**HOOK, "digest": "daily"})
    head = room.ledger.head()
    room.cycle(drifting("Alder"))
    assert f"The ledger's record has {head[0]} events and ends in {head[1]}." in room.post.letters[0]["body"]
    room.cycle(drifting("Alder"), drifting("Birch"))
    room.cycle(drifting("Alder"), drifting("Cedar"))
    assert len(room.post.letters) == 1
    room.cycle(drifting("Alder"), after=timedelta(hours=13))  # it is ten in the morning: 13:00, then 02:00
    room.cycle(drifting("Alder"))
    [_, second] = room.post.letters
    assert second["title"] == "syncd: 2 over"  # Birch and Cedar came and went
    assert "Birch" in second["body"]
    assert "Cedar" in second["body"]


def test_two_channels_remember_for_themselves(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.cycle(drifting())
    room.tables.append({"to": {"env": "OTHER_URL"}})
    first, second = room.cycle(drifting())
    assert (first.sent, second.problem) == (0, "the environment variable OTHER_URL is not set.")


def test_channels_are_told_side_by_side(make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    room = make_room(HOOK, HOOK, HOOK)
    together = threading.Barrier(3)

    def slowly(task: object, **_: object) -> str:
        together.wait(timeout=20)  # breaks unless all three are on their way at once
        return ""

    monkeypatch.setattr("syncd.alerts.messages.hand_over", slowly)
    assert [one.sent for one in room.cycle(drifting())] == [1, 1, 1]


def test_a_channel_that_is_taken_out_leaves_nothing_open(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.post.refuses = "down"
    room.cycle(drifting())
    room.tables.clear()
    assert room.cycle(drifting()) == ()
    assert room.own() == [("notify", "superseded")]
    room.post.refuses = ""
    assert room.cycle() == ()
    room.tables.append(HOOK)  # what it was not told of is over meanwhile, and said so once
    room.cycle()
    assert room.post.titles == ["syncd: 1 over"]


def test_nothing_is_told_while_syncd_stops(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    stop = threading.Event()
    stop.set()
    assert room.cycle(drifting(), stop=stop) == ()
    assert room.own() == []


def test_a_quiet_cycle_writes_nothing(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.cycle(drifting())
    before = room.ledger.head()
    room.cycle(drifting())
    assert room.ledger.head() == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_while_sending_loses_nothing(make_room: MakeRoom, moment: str) -> None:
    room = make_room(HOOK)
    room.post.dies = moment
    with pytest.raises(Killed):
        room.cycle(drifting())
    assert room.own() == [("notify", "sending")]
    room.dies()
    room.cycle(drifting())
    # At least once: what was sent and not recorded is sent again, the same bytes under the same key.
    assert len(room.post.letters) == (1 if moment == "before" else 2)
    assert len({str(one) for one in room.post.letters}) == 1
    assert room.own() == [("notify", "posted")]
    room.cycle(drifting())
    assert len(room.post.letters) <= 2


def test_a_process_that_dies_between_writing_and_sending_tells_it_once(
    make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make_room(HOOK)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(alerting, "_send", killed)
        with pytest.raises(Killed):
            room.cycle(drifting())
    assert room.own() == [("notify", "planned")]
    room.dies()
    room.cycle(drifting())
    assert room.post.titles == ["syncd: 1 drift; 56.00 USD a period"]


def test_a_process_that_dies_before_the_commit_tells_it_once(
    make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make_room(HOOK)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("syncd.ledger.episodes.keep", killed)  # after the intents, inside the transaction
        with pytest.raises(Killed):
            room.cycle(drifting())
    room.dies()
    assert (room.own(), room.ledger.episodes()) == ([], {})
    room.cycle(drifting())
    assert len(room.post.letters) == 1


def test_a_fault_of_ours_is_told_and_harms_no_cycle(make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    room = make_room(HOOK)

    def wrong(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(alerting, "conditions", wrong)
    [fared] = room.cycle(drifting())
    assert fared.problem == "a fault of syncd (ZeroDivisionError); see the log"


def test_own_actions_are_left_out_of_the_ledger_of_changes(make_room: MakeRoom) -> None:
    room = make_room(HOOK)
    room.post.refuses = "down"
    room.cycle(drifting())
    [own] = room.ledger.entries(own=True)
    assert room.ledger.entries() == []
    assert room.ledger.past().lines == {}
    shown = room.ledger.entry(own.id)
    assert shown is not None
    assert shown == own
    assert "secret-path" not in repr(own)


def test_text_of_others_is_one_printable_line_without_secrets(
    make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make_room(HOOK)
    nasty = replace(
        drifting("Evil\n- held: Fake\x1b[31m\u202ereversed"),
        action=Action.ALERT,
        reason="vendor said token=abcdef123456; the line was changed by Dana Doe to 30",
    )
    room.cycle(nasty)
    body = room.post.letters[0]["body"]
    assert body.count("\n- ") == 1
    assert not {"\x1b", "\u202e"} & set(body)
    assert "abcdef123456" not in body
    assert "Dana" not in body
