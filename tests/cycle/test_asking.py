"""What one can ask afterwards: explain, ledger, verify, backup, restore."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

import pytest
from stage import ALDER, DOGWOOD, PREMIUM, Stage, rule


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def test_explain_tells_the_whole_way_of_a_number(alder: Stage) -> None:
    entry = alder.entry()
    told = alder.run("explain", entry["id"]).out
    for part in (
        "Alder Dental Group · Business Premium · cw",
        "Counted: 27 × Microsoft 365 Business Premium [SPB] in m365",
        "27 of 27 licensed users",
        "Target 27, billed 25: differs by 2",
        "PATCH finance/agreements/1001/additions/30100",
        '"value":27}',
        entry["key"],
    ):
        assert part in told
    for person in alder.company(ALDER).people:
        assert person.sign_in in told
    assert [one for one in told.split() if one in ("planned", "sending", "posted")] == ["planned", "sending", "posted"]
    assert alder.run("ledger", "show", entry["id"][:5]).out == told


def test_explain_of_a_customer_and_rule_shows_the_line_as_it_stands(alder: Stage) -> None:
    alder.cycle()
    done = alder.run("explain", ALDER, "Business Premium", "--json")
    assert done.status == 0
    shown = done.json
    assert (shown["line"]["used"], shown["line"]["billed"], shown["line"]["action"]) == ("27", "27", "none")
    assert shown["rule"]["name"] == "Business Premium"
    [people] = shown["subjects"].values()
    assert {one[1] for one in people} == {one.sign_in for one in alder.company(ALDER).people}
    posted = alder.entry()
    assert shown["entries"] == [posted]
    told = alder.run("explain", ALDER, "Business Premium").out
    assert f"one in full: syncd explain {posted['id']}" in told
    assert "set quantity" in told
    nobody = alder.run("explain", "Contoso", "Business Premium")
    assert nobody.status == 2
    assert "no cycle has seen 'Contoso'" in nobody.err


def test_explain_keeps_to_the_rule_as_it_stood(alder: Stage) -> None:
    alder.map(rule("Business Premium", PREMIUM, minimum=40))
    alder.cycle()
    first, second = (alder.run("explain", one["id"], "--json").json for one in alder.entries())
    assert (first["rule"]["minimum"], second["rule"]["minimum"]) == (None, "40")
    assert [step["text"] for step in second["line"]["derivation"]["steps"]] == ["used", "minimum 40"]
    assert (first["entry"]["to"], second["entry"]["to"]) == ("27", "40")


@pytest.mark.parametrize("kept", ["hashed", "none"])
def test_names_are_not_kept_where_they_must_not_be(raise_stage: Callable[..., Stage], kept: str) -> None:
    stage = raise_stage(1)
    with stage.config_path.open("a") as config:
        config.write(f'\n[evidence]\nsubjects = "{kept}"\n')
    stage.cycle()
    shown = stage.run("explain", ALDER, "Business Premium", "--json").json
    assert len([one for people in shown["subjects"].values() for one in people]) == (27 if kept == "hashed" else 0)
    held_back = stage.database.read_bytes() + json.dumps(shown).encode()
    for person in stage.company(ALDER).people:
        assert person.sign_in.encode() not in held_back
        assert person.id.encode() not in held_back


def test_the_ledger_can_be_asked_by_customer_rule_period_and_state(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(4)
    stage.cycle()
    assert {one["customer"] for one in stage.entries()} == {ALDER, DOGWOOD}
    assert [one["customer"] for one in stage.entries("--customer", DOGWOOD)] == [DOGWOOD]
    assert [one["customer"] for one in stage.entries("--state", "posted")] == [ALDER]
    misspelt = stage.run("ledger", "--rule", "Visio")
    assert misspelt.status == 2
    assert "no entry is of a rule 'Visio'" in misspelt.err
    assert len(stage.entries("--period", "2026-11")) == 2
    assert stage.entries("--period", "2026-10") == []


def test_verify_finds_what_was_altered(alder: Stage) -> None:
    sound = alder.run("ledger", "verify")
    assert (sound.status, "3 events, unbroken" in sound.out) == (0, True)
    with sqlite3.connect(alder.database) as opened:
        for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            opened.execute(f"DROP TRIGGER {name}")
        opened.execute("UPDATE event SET at = '2026-11-19T10:00:00.000000+00:00' WHERE seq = 1")
    opened.close()
    broken = alder.run("ledger", "verify")
    assert broken.status == 4
    assert "event 1" in broken.err
    found = alder.run("ledger", "verify", "--json")
    assert (found.status, found.json["ok"]) == (4, False)


def test_a_broken_record_posts_nothing(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.cycle()
    with sqlite3.connect(stage.database) as opened:
        for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            opened.execute(f"DROP TRIGGER {name}")
        opened.execute("UPDATE event SET at = '2026-11-19T10:00:00.000000+00:00' WHERE seq = 3")
    opened.close()
    stage.hire(ALDER, 1)
    done = stage.cycle()
    assert done.status == 4
    assert "was altered" in done.err
    assert len(stage.effects) == 1


def test_a_backup_comes_back_whole(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    assert alder.run("backup", copy).status == 0
    before = alder.entries()
    assert alder.run("backup", copy).status == 2  # never over an existing file

    for path in alder.database.parent.glob("syncd.db*"):
        path.rename(path.with_name(f"away-{path.name}"))
    assert alder.run("restore", copy).status == 0
    assert alder.entries() == before
    assert alder.verified()
    idle = alder.cycle()
    assert (idle.status, idle.json["entries"]) == (0, [])
    assert len(alder.effects) == 1


def test_a_backup_does_not_replace_what_is_younger(alder: Stage) -> None:
    copy = alder.folder / "copy.db"
    alder.run("backup", copy)
    alder.hire(ALDER, 1)
    alder.cycle()
    refused = alder.run("restore", copy)
    assert refused.status == 2
    assert "is newer than the backup: 3 events would be lost" in refused.err
    assert len(alder.entries()) == 2


def test_a_line_that_somebody_ended_is_not_made_anew_without_a_person(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, create=True))
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    before = len(stage.effects)
    stage.psa.tables["additions"][30_100]["cancelledDate"] = "2026-11-10T00:00:00Z"

    done = stage.cycle()

    assert done.status == 3
    assert done.line(ALDER)["action"] == "hold"
    assert "which syncd last set to 27, is no longer open; somebody ended it" in done.line(ALDER)["reason"]
    assert len(stage.effects) == before


def test_a_record_altered_in_the_middle_ends_with_4(alder: Stage) -> None:
    with sqlite3.connect(alder.database) as opened:
        for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            opened.execute(f"DROP TRIGGER {name}")
        opened.execute("UPDATE event SET hash = 'zz' WHERE seq = 2")
        opened.execute("UPDATE blob SET body = 'text instead of bytes'")
    opened.close()
    alder.hire(ALDER, 1)
    before = len(alder.effects)

    done = alder.cycle()

    assert done.status == 4
    assert "ledger verify" in done.err
    assert len(alder.effects) == before
    assert alder.run("ledger", "verify").status == 4


def test_an_agreement_that_nobody_has_is_a_fault_of_the_rule(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, bill={"to": "cw", "agreement": "Managd*", "product": "M365-BP"}))

    checked = stage.run("check")

    assert checked.status == 2
    assert "no open agreement matches `agreement`; correct the rule, or make the agreement" in checked.out
