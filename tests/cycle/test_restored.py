"""A restored ledger has forgotten what it posted since: a person lets each change through, nothing is billed twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from stage import ALDER, PREMIUM, ZONE, Done, Stage, rule


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def lose_and_restore(stage: Stage, copy: Path) -> None:
    """The ledger is gone, an older copy takes its place."""
    for path in stage.database.parent.glob("syncd.db*"):
        path.rename(path.with_name(f"lost-{path.name}"))
    assert stage.run("restore", copy).status == 0


def test_after_a_restore_every_change_waits_for_a_person_until_all_was_read(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    assert alder.run("backup", copy).status == 0
    lose_and_restore(alder, copy)
    before = len(alder.effects)
    alder.hire(ALDER, 1)

    first = alder.cycle()

    assert first.status == 3
    assert first.line(ALDER)["action"] == "post"
    assert len(alder.effects) == before
    assert alder.entry("--state", "held")["decided_by"] == "policy"

    alder.run("approve", "--all", "--by", "Dana")
    kept = alder.run("run", "--once")
    assert kept.status == 3
    assert "1 change is kept back for 5 min: the restored ledger may have forgotten a request" in kept.out
    assert len(alder.effects) == before  # what it forgot to have sent may still be on its way
    alder.pass_time(minutes=5)
    assert alder.cycle().status == 0
    assert len(alder.effects) == before + 1


def test_a_source_that_cannot_be_read_keeps_the_restored_ledger_careful(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    alder.run("backup", copy)
    lose_and_restore(alder, copy)
    before = len(alder.effects)
    alder.break_tenant(ALDER, "consent")
    assert alder.cycle().status == 1
    alder.mend()
    alder.hire(ALDER, 1)

    assert alder.cycle().status == 3
    assert alder.entry("--state", "held")["decided_by"] == "policy"
    assert len(alder.effects) == before


@pytest.mark.parametrize("again", [1, 2])
def test_what_was_posted_after_the_backup_is_not_posted_again(alder: Stage, again: int) -> None:
    copy = alder.folder / "copy.db"
    alder.run("backup", copy)
    alder.hire(ALDER, again)
    alder.cycle()
    effects = len(alder.effects)
    lose_and_restore(alder, copy)

    for _ in range(3):
        alder.cycle()

    assert len(alder.effects) == effects
    assert alder.verified()


# In arrears: what has ended is on no list, so that the ledger alone knows what was billed


def in_arrears(stage: Stage, aggregate: str) -> None:
    stage.map(rule("Seats in arrears", PREMIUM, true_up="usage", aggregate=aggregate))


def december(stage: Stage, number: int) -> Done:
    """A cycle on that day."""
    stage.pass_time(seconds=(datetime(2026, 12, number, 10, tzinfo=ZONE) - stage.now).total_seconds())
    return stage.cycle()


def of_november(stage: Stage) -> list[Decimal]:
    """What syncd billed for November, by the PSA's own record."""
    rows = stage.psa.tables["additions"].values()
    return [row["quantity"] for row in rows if row["effectiveDate"].startswith("2026-11")]


@pytest.fixture
def forgetful(raise_stage: Callable[..., Stage]) -> Stage:
    """November's peak of 30 seats waited for a person when the backup was made. Since then it was turned down, and the
    average was billed instead; it ended with November, so that the PSA lists it no more. The ledger is back where it
    was."""
    stage = raise_stage(1)
    stage.configure(safety={"max_amount": 100_000}, cw={"invoicing": "arrears"})
    stage.agreement(ALDER)["nextInvoiceDate"] = "2026-12-01T00:00:00Z"
    in_arrears(stage, "peak")
    stage.cycle()
    stage.hire(ALDER, 3)
    stage.pass_time(days=5)
    stage.cycle()
    assert december(stage, 3).line(ALDER)["target"] == "30"
    copy = stage.folder / "copy.db"
    assert stage.run("backup", copy).status == 0

    held = stage.entry("--state", "held")
    assert stage.run("reject", held["id"], "--why", "by the average", "--by", "Ada").status == 0
    in_arrears(stage, "average")
    stage.cycle()
    assert stage.run("approve", "--all", "--by", "Ada", "--now").status == 0
    assert of_november(stage) == [Decimal("28.5")]

    in_arrears(stage, "peak")
    lose_and_restore(stage, copy)
    return stage


def test_what_waited_in_arrears_is_not_approved_before_somebody_looked(forgetful: Stage) -> None:
    line = december(forgetful, 4).line(ALDER)
    assert (line["action"], line["guards"]) == ("hold", ["restored", "unread_days"])
    assert "2026-11 was over when the ledger was restored, and may be billed already: look in cw" in line["reason"]
    held = forgetful.entry("--state", "held")["id"]

    for words in ([held], ["--all"], [held, "--now"]):
        refused = forgetful.run("approve", *words, "--by", "Ada")
        assert refused.status == 2
        assert f"entry {held}: is for 2026-11, which was over when the ledger was restored" in refused.err
        assert "Look in cw. If it is not there: the same command with --looked; if it is: syncd reject." in refused.err
    assert december(forgetful, 5).line(ALDER)["action"] == "hold"  # the ledger trusts itself again; this stays

    assert forgetful.run("reject", held, "--why", "28.5 were billed", "--by", "Ada").status == 0
    assert december(forgetful, 6).line(ALDER)["action"] == "ignore"
    assert of_november(forgetful) == [Decimal("28.5")]


@pytest.mark.slow
def test_who_looked_and_did_not_find_it_lets_it_leave(forgetful: Stage) -> None:
    rows = forgetful.psa.tables["additions"]
    del rows[next(id_ for id_, row in rows.items() if row["quantity"] == Decimal("28.5"))]  # somebody took it off again
    held = forgetful.entry("--state", "held")["id"]
    assert forgetful.run("approve", held, "--by", "Ada").status == 2

    assert forgetful.run("approve", held, "--looked", "--by", "Ada").status == 0
    december(forgetful, 4)  # a request that the ledger forgot may be on its way for a while
    assert december(forgetful, 5).status == 0
    assert of_november(forgetful) == [Decimal(30)]
    entry = forgetful.entry("--state", "posted")
    assert (entry["id"], entry["to"], entry["decided_by"]) == (held, "30", "person:Ada")
    assert forgetful.verified()
