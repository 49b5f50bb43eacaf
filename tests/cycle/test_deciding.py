"""What a person decides: held, approve, reject, undo, retry, apply; and what one can ask afterwards."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, DOGWOOD, PREMIUM, VISIO, Stage, rule


@pytest.fixture
def dogwood(raise_stage: Callable[..., Stage]) -> Stage:
    """Dogwood alone: 9 of 12 billed seats in use, and its fall written down as held."""
    stage = raise_stage(4)
    stage.map(rule("Business Premium", PREMIUM), only=(DOGWOOD,))
    assert stage.cycle().status == 3
    return stage


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def held(stage: Stage) -> dict[str, Any]:
    return stage.entry("--state", "held")


def states(stage: Stage) -> list[tuple[str, str, str]]:
    return [(one["from"], one["to"], one["state"]) for one in stage.entries()]


# Approve and reject


def test_a_held_change_is_shown_with_its_reason(dogwood: Stage) -> None:
    shown = dogwood.run("held")
    assert shown.status == 3
    assert "decrease is hold; -25%: more than max_decrease 20%" in shown.out
    assert held(dogwood)["id"] in shown.out
    assert dogwood.writes() == []


def test_standing_changes_are_held_once(dogwood: Stage) -> None:
    first = held(dogwood)
    again = dogwood.cycle()
    assert (again.status, again.json["entries"], again.json["waiting"]) == (3, [], 1)
    assert held(dogwood) == first


def test_what_was_approved_is_posted_by_the_next_cycle(dogwood: Stage) -> None:
    entry = held(dogwood)
    approved = dogwood.run("approve", entry["id"], "--by", "Dana", "--json")
    assert approved.status == 0
    [shown] = approved.json["entries"]
    assert (shown["state"], shown["decided_by"]) == ("planned", "person:Dana")
    assert dogwood.writes() == []
    assert dogwood.run("held").status == 0

    done = dogwood.cycle()
    assert done.status == 0, done.err
    [posted] = done.json["entries"]
    assert (posted["id"], posted["key"], posted["state"]) == (entry["id"], entry["key"], "posted")
    assert posted["decided_by"] == "person:Dana"
    assert dogwood.quantity(DOGWOOD) == 9
    assert len(dogwood.effects) == 1
    assert dogwood.cycle().status == 0
    assert dogwood.verified()


def test_approve_now_posts_at_once_after_looking_again(dogwood: Stage) -> None:
    done = dogwood.run("approve", "--all", "--by", "Dana", "--now", "--json")
    assert done.status == 0, done.err
    assert [one["state"] for one in done.json["entries"]] == ["posted"]
    assert dogwood.quantity(DOGWOOD) == 9


def test_an_approved_change_that_the_world_overtook_is_not_posted(dogwood: Stage) -> None:
    dogwood.run("approve", "--all", "--by", "Dana")
    dogwood.hire(DOGWOOD, 3)
    done = dogwood.cycle()
    assert done.status == 0
    assert states(dogwood) == [("12", "9", "superseded")]
    assert dogwood.writes() == []


def test_an_approval_is_for_the_number_that_was_seen(dogwood: Stage) -> None:
    """9 was approved; 8 is another question."""
    dogwood.run("approve", "--all", "--by", "Dana")
    dogwood.dismiss(DOGWOOD, 1)
    done = dogwood.cycle()
    assert done.status == 3
    assert states(dogwood) == [("12", "9", "superseded"), ("12", "8", "held")]
    assert dogwood.writes() == []


def test_a_rejected_change_stays_away_until_the_count_moves(dogwood: Stage) -> None:
    done = dogwood.run("reject", held(dogwood)["id"], "--why", "seats end on Friday", "--by", "Dana")
    assert done.status == 0
    for _ in range(2):
        quiet = dogwood.cycle()
        assert quiet.status == 0
        assert quiet.line(DOGWOOD)["action"] == "ignore"
        assert quiet.line(DOGWOOD)["reason"] == "rejected by Dana: seats end on Friday"
    assert states(dogwood) == [("12", "9", "rejected")]

    dogwood.dismiss(DOGWOOD, 1)
    assert dogwood.cycle().status == 3
    assert states(dogwood) == [("12", "9", "rejected"), ("12", "8", "held")]
    assert dogwood.writes() == []


def test_a_rejected_change_comes_back_when_the_rule_moves(dogwood: Stage) -> None:
    dogwood.run("reject", held(dogwood)["id"], "--why", "not yet", "--by", "Dana")
    dogwood.map(rule("Business Premium", PREMIUM, minimum=1), only=(DOGWOOD,))
    assert dogwood.cycle().status == 3
    assert states(dogwood) == [("12", "9", "rejected"), ("12", "9", "held")]


def test_a_rejected_change_comes_back_when_the_line_moves(dogwood: Stage) -> None:
    dogwood.run("reject", held(dogwood)["id"], "--why", "not yet", "--by", "Dana")
    row = dogwood.addition(DOGWOOD)
    dogwood.psa.rival(row["agreementId"], row["id"], 13, by="a colleague")
    assert dogwood.cycle().status == 3
    assert states(dogwood) == [("12", "9", "rejected"), ("13", "9", "held")]


def test_decisions_need_a_name_and_something_that_waits(dogwood: Stage) -> None:
    entry = held(dogwood)["id"]
    nameless = dogwood.run("approve", entry, "--by", " ")
    assert nameless.status == 2
    assert "--by" in nameless.err
    assert dogwood.run("approve", "--by", "Dana").status == 2
    assert dogwood.run("approve", entry, "--all", "--by", "Dana").status == 2
    assert dogwood.run("approve", "zzzz", "--by", "Dana").status == 2
    assert held(dogwood)["id"] == entry
    dogwood.run("reject", entry, "--why", "no", "--by", "Dana")
    late = dogwood.run("approve", entry, "--by", "Dana")
    assert late.status == 2
    assert "is rejected, not held" in late.err


# Undo and retry


def test_undo_is_planned_held_approved_posted_and_stays_away(alder: Stage) -> None:
    first = alder.entry()
    done = alder.run("undo", first["id"], "--why", "wrong customer", "--by", "Dana", "--json")
    assert done.status == 0, done.err
    [back] = done.json["entries"]
    assert (back["operation"], back["from"], back["to"], back["state"]) == ("set_quantity", "27", "25", "held")
    assert back["key"] != first["key"]
    assert alder.quantity(ALDER) == 27

    waiting = alder.cycle()
    assert waiting.status == 3
    assert held(alder)["id"] == back["id"]
    alder.run("approve", back["id"], "--by", "Robin")
    posted = alder.cycle()
    assert posted.status == 0, posted.err
    assert alder.quantity(ALDER) == 25
    for _ in range(2):
        quiet = alder.cycle()
        assert quiet.status == 0
        assert quiet.line(ALDER)["action"] == "ignore"
        assert "undone by Robin" in quiet.line(ALDER)["reason"]
    assert [Decimal(one.detail["quantity"]["to"]) for one in alder.effects] == [27, 25]

    alder.hire(ALDER, 1)
    alder.cycle()
    assert alder.quantity(ALDER) == 28
    assert alder.verified()


def test_undo_of_a_true_up_line_is_a_credit_over_the_same_days(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, true_up="line"))
    stage.cycle()
    stage.run("undo", stage.entry()["id"], "--why", "agreed otherwise", "--by", "Dana")
    stage.run("approve", "--all", "--by", "Dana", "--now")
    line, credit = stage.effects
    assert (line.detail["quantity"], line.detail["price"]) == (2, 28)
    assert (credit.detail["quantity"], credit.detail["price"]) == (1, -56)
    quiet = stage.cycle()
    assert quiet.line(ALDER)["action"] == "ignore"
    assert len(stage.effects) == 2
    number = stage.psa.invoice(1001)
    made = {int(one.record) for one in stage.effects}
    assert sum(one["amount"] for one in stage.psa.invoice_contents[number] if one["addition"] in made) == 0


def test_undo_of_an_added_line_ends_it(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(5)
    elm = "Elm Street Accounting"
    stage.map(rule("Visio", VISIO, create=True), only=(elm,))
    stage.cycle()
    [made] = stage.effects
    stage.run("undo", stage.entry()["id"], "--why", "they pay it themselves", "--by", "Dana")
    done = stage.run("approve", "--all", "--by", "Dana", "--now", "--json")
    assert done.status == 0, done.err
    row = stage.psa.tables["additions"][int(made.record)]
    assert row["cancelledDate"][:10] == "2026-11-20"
    stage.pass_time(days=1)
    for _ in range(2):
        assert stage.cycle().line(elm)["action"] == "ignore"
    assert [one.what for one in stage.effects] == ["create_addition", "change_addition"]


def test_only_the_last_posting_of_a_line_can_be_undone(alder: Stage) -> None:
    alder.hire(ALDER, 1)
    alder.cycle()
    first, second = alder.entries()
    refused = alder.run("undo", first["id"], "--why", "x", "--by", "Dana")
    assert refused.status == 2
    assert f"entry {second['id']} changed the line since. Undo that one first." in refused.err
    assert len(alder.entries()) == 2


def test_undo_when_somebody_else_changed_the_line_meanwhile_is_not_sent(alder: Stage) -> None:
    alder.run("undo", alder.entry()["id"], "--why", "wrong", "--by", "Dana")
    alder.run("approve", "--all", "--by", "Dana")
    row = alder.addition(ALDER)
    alder.psa.rival(row["agreementId"], row["id"], 40, by="a colleague")
    alder.cycle()
    assert alder.quantity(ALDER) == 40
    assert [one["state"] for one in alder.entries()][:2] == ["posted", "superseded"]


def test_a_refused_posting_is_told_and_tried_again_only_when_asked(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.psa.fail("unauthorized", method="PATCH")
    done = stage.cycle()
    assert done.status == 1
    [entry] = done.json["entries"]
    assert (entry["state"], entry["attempts"]) == ("failed", 1)
    assert "The login credentials or client id are not valid" in entry["note"]  # the vendor's own words

    for _ in range(2):
        standing = stage.cycle()
        assert standing.status == 1
        assert standing.line(ALDER)["action"] == "blocked"
        assert entry["id"] in standing.line(ALDER)["reason"]
    assert len(stage.writes()) == 1

    again = stage.run("retry", entry["id"], "--by", "Dana", "--json")
    assert again.status == 0, again.err
    [second] = again.json["entries"]
    assert (second["state"], second["to"], second["decided_by"]) == ("planned", "27", "person:Dana")
    assert second["key"] != entry["key"]
    posted = stage.cycle()
    assert posted.status == 0, posted.err
    assert stage.quantity(ALDER) == 27
    assert states(stage) == [("25", "27", "failed"), ("25", "27", "posted")]
    assert stage.cycle().status == 0
    assert stage.verified()


def test_a_refused_posting_is_planned_anew_when_the_count_moves(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.psa.fail("unauthorized", method="PATCH")
    stage.cycle()
    stage.hire(ALDER, 1)
    assert stage.cycle().status == 0
    assert states(stage) == [("25", "27", "failed"), ("25", "28", "posted")]
    failed, posted = stage.entries()
    late = stage.run("retry", failed["id"], "--by", "Dana")
    assert late.status == 2
    assert f"its line went on since: entry {posted['id']} is posted" in late.err
    assert len(stage.entries()) == 2


def test_retry_is_for_failed_postings_only(alder: Stage) -> None:
    done = alder.run("retry", alder.entry()["id"], "--by", "Dana")
    assert done.status == 2
    assert "is posted; only a failed posting can be retried" in done.err


# Somebody changed by hand what syncd last wrote


@pytest.mark.parametrize(("policy", "action"), [("hold", "hold"), ("overwrite", "post"), ("accept", "ignore")])
def test_a_change_by_hand_is_told_and_treated_as_the_admin_chose(alder: Stage, policy: str, action: str) -> None:
    alder.configure(safety={"foreign_edit": policy})
    alder.psa.rival(1001, 30_100, 26, by="a colleague")
    alder.pass_time(hours=1)
    done = alder.cycle()
    line = done.line(ALDER)
    assert line["action"] == action
    assert "foreign edit" in line["findings"]
    assert alder.quantity(ALDER) == (27 if policy == "overwrite" else 26)
    assert done.status == (3 if policy == "hold" else 0)
    if policy == "hold":
        assert "syncd wrote 27, the line was changed by a colleague to 26" in line["reason"]
        assert alder.run("approve", "--all", "--by", "Dana", "--now").status == 0
        assert alder.quantity(ALDER) == 27
    assert alder.cycle().status == 0


# Apply


@pytest.fixture
def two(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder drifts, Birchwood does not; every change waits for a person, and a plan lies in plan.json."""
    stage = raise_stage(2)
    stage.configure(mode="propose")
    assert stage.cycle().status == 3
    assert stage.run("plan", "--out", stage.folder / "plan.json").status == 3
    return stage


def test_apply_posts_exactly_the_plan(two: Stage) -> None:
    done = two.run("apply", two.folder / "plan.json", "--json")
    assert done.status == 0, done.err
    assert [one.detail["quantity"]["to"] for one in two.effects] == [27]
    entry = two.entry()
    assert (entry["state"], entry["to"], entry["decided_by"]) == ("posted", "27", "person:apply")
    assert two.cycle().status == 0

    late = two.run("apply", two.folder / "plan.json")
    assert late.status == 2
    assert len(two.effects) == 1


def test_apply_takes_later_instants_of_the_same_world(two: Stage) -> None:
    two.pass_time(hours=5)
    assert two.run("apply", two.folder / "plan.json").status == 0
    assert two.quantity(ALDER) == 27


def test_apply_refuses_when_the_world_moved(two: Stage) -> None:
    two.hire(BIRCHWOOD, 1)
    two.psa.rival(1001, 30_100, 26)
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert "the world or the files moved; nothing was posted" in done.err
    assert f"{BIRCHWOOD} / Business Premium: used was 14, is 15" in done.err
    assert "action was none, is post" in done.err
    assert f"{ALDER} / Business Premium: billed was 25, is 26" in done.err
    assert two.writes() == []
    assert [one["state"] for one in two.entries()] == ["held"]


def test_apply_refuses_when_a_mapping_changed(two: Stage) -> None:
    two.map(rule("Business Premium", PREMIUM, maximum=1000))  # nothing differs in the lines
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert "the mappings, the config or the plan file itself changed" in done.err
    assert two.writes() == []


def test_apply_refuses_a_file_that_was_altered(two: Stage) -> None:
    """Who read the altered file approved something that would not be done."""
    path = two.folder / "plan.json"
    plan = json.loads(path.read_text())
    alder = next(one for one in plan["lines"] if one["customer"] == ALDER)
    for altered, sentence in (
        ({**plan, "lines": [{**alder, "target": "26"}, *plan["lines"][1:]]}, "target was 26, is 27"),
        ({**plan, "lines": [{**alder, "customer": "Somebody"}, *plan["lines"][1:]]}, f"is {ALDER}"),
        ({**plan, "lines": plan["lines"][1:]}, f"{ALDER} / Business Premium: is new"),
        ({**plan, "checksum": "0" * 64}, "the plan file itself changed"),
        ([], "is not a plan"),
    ):
        path.write_text(json.dumps(altered))
        done = two.run("apply", path)
        assert done.status == 2
        assert sentence in done.err
    assert two.writes() == []
    assert [one["state"] for one in two.entries()] == ["held"]


def test_apply_does_not_post_in_observe_and_plans_are_not_written_over(two: Stage) -> None:
    path = two.folder / "plan.json"
    before = path.read_bytes()
    done = two.run("apply", path, SYNCD_MODE="observe")
    assert done.status == 2
    assert "observe" in done.err
    assert two.writes() == []
    assert two.run("plan", "--out", path).status == 2
    assert path.read_bytes() == before


# What one can ask


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
    assert stage.entries("--rule", "Visio") == []
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
