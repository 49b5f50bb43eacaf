"""Channels that fail on the overview and in the metrics; messages and tickets left out of lists, shown one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from alerts_kit import HOOK, TICKETS, Room, drifting
from web_kit import NOW, Browser, board_with, cycle, line, plan

from syncd.alerts.channels import Fared

MakeRoom = Callable[..., Room]
FAILING = Fared(1, "message", sent=0, failed=1, problem="its server answered with status 403")
WELL = Fared(2, "ticket", sent=3)


def test_the_overview_names_a_channel_that_reaches_nobody(make_room: MakeRoom) -> None:
    room = make_room()
    board = board_with(replace(cycle(plan(line())), alerts=(FAILING, WELL)))
    page = Browser(board, room.ledger).get("/").text
    assert "Alerts that reach nobody" in page
    assert "(message): its server answered with status 403" in page
    assert "(ticket)" not in page
    well = board_with(replace(cycle(plan(line())), alerts=(WELL,)))
    assert "Alerts that reach nobody" not in Browser(well, room.ledger).get("/").text


def test_metrics_count_what_left_and_what_did_not(make_room: MakeRoom) -> None:
    room = make_room()
    board = board_with(replace(cycle(plan(line())), alerts=(FAILING, WELL)))
    board.began()
    board.ended_well(replace(cycle(plan(line())), alerts=(FAILING, WELL)), NOW, (1, "f00d"))
    text = Browser(board, room.ledger).get("/metrics").text
    assert 'syncd_alerts_sent_total{channel="2",kind="ticket"} 6.0' in text
    assert 'syncd_alerts_failed_total{channel="1",kind="message"} 2.0' in text
    assert 'syncd_alerts_failing{channel="1",kind="message"} 1.0' in text
    assert 'syncd_alerts_failing{channel="2",kind="ticket"} 0.0' in text


@pytest.mark.parametrize(("table", "words"), [(HOOK, "Tell people, on 2026-11-20"), (TICKETS, "Open a ticket, on")])
def test_a_message_has_a_page_and_stands_in_no_list(
    make_room: MakeRoom, monkeypatch: pytest.MonkeyPatch, table: dict[str, object], words: str
) -> None:
    monkeypatch.setenv("ALERT_URL", "json://user:hunter2secret@127.0.0.1:9/")
    room = make_room(table)
    room.cycle(drifting())
    [own] = room.ledger.entries(own=True)
    browser = Browser(board_with(cycle(plan(line()))), room.ledger)
    page = browser.get(f"/ledger/{own.id}").text
    assert words in page
    assert "Contoso Dental / M365 Business Premium: leakage" in page
    assert "hunter2secret" not in page
    for url in ("/", "/ledger", "/held", "/ledger?state=posted"):
        assert own.id not in browser.get(url).text
