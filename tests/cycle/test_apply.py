"""Plan and apply: exactly the plan that a person read is posted, or nothing, with the difference."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from stage import ALDER, BIRCHWOOD, DOGWOOD, PREMIUM, Stage, rule


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
    assert done.err.rstrip().endswith("plan.json: the mappings changed")
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
        ({**plan, "checksum": "0" * 64}, "the plan file itself was altered"),
        ({**plan, "checksum": "0" * 64, "parts": None}, "the plan file itself changed"),
        ({**plan, "lines": [{**alder, "currency": "EUR"}, *plan["lines"][1:]]}, "currency was EUR, is USD"),
        ({**plan, "lines": [{**alder, "action": "none"}, *plan["lines"][1:]]}, "action was none, is post"),
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


def test_apply_refuses_when_only_the_version_of_a_line_moved(two: Stage) -> None:
    """Somebody touched it and left the quantity: what they did is not known."""
    two.psa.rival(1001, 30_100, 25, by="a colleague")
    two.psa.tables["additions"][30_100]["_info"]["lastUpdated"] = "2026-11-20T15:59:00Z"
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert f"{ALDER} / Business Premium: its line in cw was touched since" in done.err
    assert BIRCHWOOD not in done.err
    assert two.writes() == []


def test_apply_refuses_when_the_config_changed(two: Stage) -> None:
    two.configure(mode="propose", safety={"max_amount": 4999})
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert done.err.rstrip().endswith("plan.json: the config changed")
    assert two.writes() == []


def test_apply_refuses_when_the_currency_is_another(two: Stage) -> None:
    two.agreement(ALDER)["currency"] = {"id": 9, "currencyCode": "EUR"}
    two.agreement(BIRCHWOOD)["currency"] = {"id": 9, "currencyCode": "EUR"}
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert "currency was USD, is EUR" in done.err
    assert two.writes() == []


def test_apply_refuses_when_there_is_a_new_customer(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM), only=(ALDER,))
    stage.run("plan", "--out", stage.folder / "plan.json")
    stage.map(rule("Business Premium", PREMIUM))
    done = stage.run("apply", stage.folder / "plan.json")
    assert done.status == 2
    assert f"{BIRCHWOOD} / Business Premium: is new" in done.err
    assert "the mappings changed" in done.err
    assert stage.writes() == []


def test_apply_refuses_when_a_person_decided_meanwhile(two: Stage) -> None:
    two.run("reject", two.entry()["id"], "--why", "no", "--by", "Dana")
    done = two.run("apply", two.folder / "plan.json")
    assert done.status == 2
    assert f"{ALDER} / Business Premium: action was post, is ignore" in done.err
    assert two.writes() == []


def test_apply_says_what_it_does_not_post(raise_stage: Callable[..., Stage]) -> None:
    """Alder posts, Dogwood only observes."""
    stage = raise_stage(4)
    stage.configure(safety={"max_decrease": "100%"})
    identifier = stage.company(DOGWOOD).identifier
    stage.map(rule("Business Premium", PREMIUM, decrease="now"), **{identifier: {"mode": "observe"}})
    stage.run("plan", "--out", stage.folder / "plan.json")
    done = stage.run("apply", stage.folder / "plan.json", "--json")
    assert f"not posted: {DOGWOOD} / Business Premium: the customer's mode is observe" in done.err
    assert ALDER not in done.err
    assert [one["customer"] for one in done.json["entries"]] == [ALDER]
    assert stage.effects_of(DOGWOOD) == []


def test_a_plan_names_the_cycle_after_which_it_was_made(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    assert stage.plan().json["cycle"] == "c000000"
    assert stage.cycle().json["cycle"] == "c000001"
    assert stage.plan().json["cycle"] == "c000001"
