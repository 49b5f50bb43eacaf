"""What guards ask of the ledger: syncd's last two writes to a line, the latest instant that a cycle stood for, the day
before which a restored one may have forgotten what it posted."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ledger_kit import URL, Watch, intent
from sqlalchemy import update

from syncd.core.entries import EntryState
from syncd.ledger import Ledger, backup, export, import_, mark, restore
from syncd.ledger.tables import meta


def wrote(ledger: Ledger, number: int, identity: str, before: str, to: str, state: EntryState) -> None:
    """One entry, sent and settled so."""
    cycle = ledger.begin_cycle("post", datetime.fromisoformat("2026-11-20T10:00:00-06:00"))
    [entry] = ledger.write(cycle, [], [intent(identity, generation=number, before=before, to=to)])
    ledger.sending(entry)
    [now] = [one for one in ledger.entries(states={EntryState.SENDING}) if one.id == entry.id]
    ledger.settle(now, state, remote_id="7")


@pytest.mark.parametrize(
    ("steps", "recent"),
    [
        ([], []),
        ([("25", "27", "posted")], [(25, 27)]),
        ([("25", "27", "posted"), ("26", "27", "posted")], [(25, 27), (26, 27)]),
        ([("1", "2", "posted"), ("25", "27", "posted"), ("26", "28", "posted")], [(25, 27), (26, 28)]),
        ([("25", "27", "posted"), ("26", "28", "failed"), ("26", "29", "posted")], [(25, 27), (26, 29)]),
        ([("25", "27", "failed")], []),
    ],
)
def test_the_last_two_writes_of_a_line(
    ledger: Ledger, steps: list[tuple[str, str, str]], recent: list[tuple[int, int]]
) -> None:
    wrote(ledger, 0, "cw:line:8", "1", "2", EntryState.POSTED)  # another line's, before and after
    for number, (before, to, state) in enumerate(steps):
        wrote(ledger, number, "cw:line:7", before, to, EntryState(state))
    wrote(ledger, 1, "cw:line:8", "2", "3", EntryState.POSTED)
    history = ledger.past().lines.get("cw:line:7")

    found = history.recent if history else ()
    assert [(one.before, one.to) for one in found] == [(Decimal(a), Decimal(b)) for a, b in recent]
    assert (history.posted if history else None) == (found[-1] if found else None)


def cycle(ledger: Ledger, as_of: datetime, *, ends: bool = True, **summary: Any) -> None:
    begun = ledger.begin_cycle("post", as_of)
    if ends:
        ledger.end_cycle(begun, summary, observations=[], sightings={}, customers={}, lines={}, fresh=[])


def test_the_latest_instant_is_the_latest_ever_and_not_the_last(ledger: Ledger, watch: Watch) -> None:
    assert ledger.latest_as_of() is None
    now = watch.now
    for days in (0, 3, 1):
        cycle(ledger, now + timedelta(days=days))

    assert ledger.latest_as_of() == now + timedelta(days=3)
    assert ledger.latest_as_of(now + timedelta(days=3, seconds=-1)) == now + timedelta(days=3)
    assert ledger.latest_as_of(now + timedelta(days=3)) is None


def test_a_cycle_that_never_ended_may_have_posted_and_one_under_observe_cannot(ledger: Ledger, watch: Watch) -> None:
    now = watch.now
    cycle(ledger, now)
    cycle(ledger, now + timedelta(days=9), clock="unmarked", words='"clock":"trusted" is no word of this key')
    assert ledger.latest_as_of() == now
    cycle(ledger, now + timedelta(days=2), ends=False)
    assert ledger.latest_as_of() == now + timedelta(days=2)


def test_a_trusted_clock_takes_the_marks_before_it_away(ledger: Ledger, watch: Watch) -> None:
    now = watch.now
    cycle(ledger, now + timedelta(days=31))
    cycle(ledger, now, clock="trusted")
    assert ledger.latest_as_of() == now
    assert ledger.latest_as_of(now) is None
    cycle(ledger, now + timedelta(hours=1))
    assert ledger.latest_as_of(now) == now + timedelta(hours=1)


def test_the_day_before_which_a_restored_ledger_may_have_forgotten(ledger: Ledger, watch: Watch) -> None:
    """That of the last cycle in which it did not trust itself; while it does not, that of the newest."""
    assert ledger.past().forgot is None
    now = watch.now
    cycle(ledger, now, guards={"restored": 1}, words='"restored":true is no word of this key')
    assert ledger.past().forgot is None
    with ledger._write() as connection:
        connection.execute(update(meta).values(restored=meta.c.events))
    cycle(ledger, now + timedelta(days=1), ends=False)
    assert ledger.past().forgot == (now + timedelta(days=1)).date()
    cycle(ledger, now + timedelta(days=2), restored=True)
    ledger.trust()
    cycle(ledger, now + timedelta(days=40))
    assert ledger.past().forgot == (now + timedelta(days=2)).date()


@pytest.mark.parametrize("way", ["restore", "import", "by hand"])
def test_a_backup_that_was_made_before_the_ledger_trusted_itself_says_nothing_of_this_restore(
    ledger: Ledger, tmp_path: Path, watch: Watch, way: str
) -> None:
    """Its cycles looked for what an earlier restore had forgotten; what this one forgot may still be on its way."""
    cycle(ledger, watch.now)
    with ledger._write() as connection:
        connection.execute(update(meta).values(restored=meta.c.events))
    cycle(ledger, watch.now, restored=True)
    cycle(ledger, watch.now, restored=True)
    assert ledger.restored_for(watch.now) == timedelta()
    watch.now += timedelta(hours=3)
    assert ledger.restored_for(watch.now) == timedelta(hours=3)
    put_back(ledger, tmp_path, watch, way)

    with Ledger.open(URL, watch, folder=tmp_path / "new") as again:
        again.claim("test")
        assert again.restored_for(watch.now) == timedelta()
        cycle(again, watch.now, restored=True)
        watch.now += timedelta(hours=1)
        cycle(again, watch.now, restored=True)
        assert again.restored_for(watch.now) == timedelta(hours=1)
        again.trust()
        assert again.restored_for(watch.now) == timedelta(hours=1)
        assert again.verify() == []


def put_back(ledger: Ledger, folder: Path, watch: Watch, way: str) -> None:
    """The ledger's content as that of a new folder."""
    new = folder / "new"
    if way == "import":
        export(URL, folder / "l.gz", folder=folder, clock=watch)
        import_(folder / "l.gz", URL, folder=new, clock=watch)
        return
    backup(URL, folder / "b.db", folder=folder)
    if way == "restore":
        restore(folder / "b.db", URL, folder=new, clock=watch)
        return
    (new / "state").mkdir(parents=True)
    (folder / "b.db").rename(new / "state" / "syncd.db")
    with Ledger.open(URL, watch, folder=new) as trusting:
        trusting.claim("test")
        trusting.trust()
    mark.note(new / "state" / "syncd.db", ledger.installation, 1_000)
