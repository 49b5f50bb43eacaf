"""What a person decides: held, approve, reject; and what somebody else changed by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from stage import ALDER, DOGWOOD, PREMIUM, Stage, rule


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


def test_approve_in_observe_says_that_nothing_is_posted(dogwood: Stage) -> None:
    done = dogwood.run("approve", "--all", "--by", "Dana", "--now", "--json", SYNCD_MODE="observe")
    assert done.status == 0
    assert "is approved, and nothing is posted: the mode of Dogwood Veterinary is observe" in done.err
    assert [one["state"] for one in done.json["entries"]] == ["planned"]
    assert dogwood.cycle(SYNCD_MODE="observe").json["entries"] == []
    assert dogwood.writes() == []
    dogwood.cycle()
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
