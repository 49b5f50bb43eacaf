"""From a difference to a posting: found, settled, posted once, and then silence. Modes and exit statuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, event
from stage import ALDER, BIRCHWOOD, CEDAR, DOGWOOD, PREMIUM, Stage, rule

from syncd.sandbox.kit import Effect


@contextmanager
def written() -> Iterator[list[str]]:
    """The writing transactions that were committed meanwhile, in any ledger of this process."""
    seen: list[str] = []

    def commit(connection: Connection) -> None:
        if connection.get_execution_options().get("immediate"):
            seen.append(str(connection.engine.url))

    event.listen(Engine, "commit", commit)
    try:
        yield seen
    finally:
        event.remove(Engine, "commit", commit)


def set_to(stage: Stage, customer: str, before: int, after: int) -> Effect:
    """The PSA's own note of a quantity that was changed."""
    row = stage.addition(customer)
    detail = {"agreement": row["agreementId"], "quantity": {"from": Decimal(before), "to": Decimal(after)}}
    return Effect("change_addition", str(row["id"]), detail)


def test_leakage_is_found_settled_and_posted_once(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(3, ledger=False)
    stage.configure(settle=2)
    first = stage.cycle()
    assert first.status == 0, first.err
    seen = first.line(ALDER)
    assert (seen["used"], seen["billed"], seen["target"], seen["difference"]) == ("27", "25", "27", "2")
    assert (seen["amount"], seen["currency"], seen["findings"]) == ("56.00", "USD", ["leakage"])
    assert (seen["action"], seen["reason"]) == ("settle", "seen in 1 of 2 cycles")
    assert stage.writes() == []

    second = stage.cycle()
    assert second.status == 0, second.err
    assert second.actions() == {ALDER: "post", BIRCHWOOD: "none", CEDAR: "none"}
    assert stage.effects == [set_to(stage, ALDER, 25, 27)]
    [entry] = second.json["entries"]
    assert (entry["operation"], entry["from"], entry["to"], entry["state"]) == ("set_quantity", "25", "27", "posted")
    assert (entry["period"], entry["amount"], entry["attempts"]) == ("2026-11", "56.00", 1)
    assert entry["decided_by"] == "policy"
    assert entry["remote_id"] == str(stage.addition(ALDER)["id"])
    assert stage.entries() == [entry]
    [request] = stage.writes()
    assert request.method == "PATCH"
    assert json.loads(request.body) == [{"op": "replace", "path": "quantity", "value": 27}]

    third = stage.cycle()
    assert third.status == 0
    assert third.line(ALDER)["action"] == "none"
    assert stage.effects == [set_to(stage, ALDER, 25, 27)]
    assert stage.verified()


def test_a_cycle_without_change_sends_nothing_and_hardly_writes(stage: Stage) -> None:
    stage.cycle()
    stage.cycle()  # what the last posting changed is seen
    requests = len(stage.writes())
    with written() as commits:
        idle = stage.cycle()
    assert idle.status == 0
    assert idle.json["entries"] == []
    assert len(stage.writes()) == requests == 1
    assert 1 <= len(commits) <= 3, commits  # claimed, begun, ended


def test_plan_posts_nothing_and_does_not_count_as_a_cycle(stage: Stage) -> None:
    stage.configure(settle=2)
    stage.cycle()
    before = stage.database.stat().st_mtime_ns
    for _ in range(2):
        seen = stage.plan()
        assert seen.line(ALDER)["reason"] == "seen in 1 of 2 cycles"
    assert stage.database.stat().st_mtime_ns == before
    assert stage.foreign_writes() == []
    assert stage.cycle().line(ALDER)["action"] == "post"


def test_a_difference_that_moves_is_seen_anew(stage: Stage) -> None:
    stage.configure(settle=2)
    stage.cycle()
    stage.hire(ALDER, 1)
    assert stage.cycle().line(ALDER)["reason"] == "seen in 1 of 2 cycles"
    assert stage.effects == []
    stage.cycle()
    assert stage.effects == [set_to(stage, ALDER, 25, 28)]


def test_one_tenant_may_be_two_billed_companies(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    tenant = stage.company(ALDER).domain
    stage.map(
        rule("Business Premium", PREMIUM, decrease="now"),
        AlderDental={"m365": {"id": tenant, "where": {"department": "Finance"}}},
        Birchwood={"m365": {"id": tenant, "where": {"department": ["Operations", "Field"]}}},
    )
    stage.configure(safety={"max_decrease": "100%"})
    held = [stage.company(ALDER).people[index].department for index in range(27)]
    done = stage.cycle()
    assert done.status == 0, done.err
    assert stage.quantity(ALDER) == held.count("Finance") > 0
    assert stage.quantity(BIRCHWOOD) == held.count("Operations") + held.count("Field") > 0
    assert done.json["unmapped"]["customers"] == [
        {"connection": "m365", "id": stage.company(BIRCHWOOD).tenant_id, "name": BIRCHWOOD}
    ]


def test_the_rest_of_too_many_postings_waits_for_the_next_cycle(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 1)
    stage.configure(safety={"max_postings": 1})
    first = stage.cycle()
    assert first.actions() == {ALDER: "post", BIRCHWOOD: "defer"}
    assert first.line(BIRCHWOOD)["reason"] == "max_postings 1 is reached: waits for the next cycle"
    assert len(stage.effects) == 1
    assert stage.cycle().actions() == {ALDER: "none", BIRCHWOOD: "post"}
    assert len(stage.effects) == 2


def test_too_much_money_in_one_cycle_waits_for_a_person(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 1)
    stage.configure(safety={"max_amount": 60})
    done = stage.cycle()
    assert done.status == 3
    assert done.actions() == {ALDER: "post", BIRCHWOOD: "hold"}
    assert done.line(BIRCHWOOD)["reason"] == "more than max_amount 60.00 would move in this cycle"
    assert stage.effects == [set_to(stage, ALDER, 25, 27)]


def test_a_line_of_nothing_is_judged_by_its_step(raise_stage: Callable[..., Stage]) -> None:
    """A percentage of nothing says nothing, also where no line is called small."""
    stage = raise_stage(1)
    stage.psa.rival(1001, 30_100, 0)
    stage.configure(safety={"small_line": 0})
    done = stage.cycle()
    assert done.status == 3, done.err
    assert done.line(ALDER)["reason"] == "a step of 27 on a line of 0: more than max_step 3"
    assert stage.writes() == []


def test_an_increase_may_wait_for_the_next_period(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, increase="next-period"))
    waiting = stage.cycle().line(ALDER)
    assert (waiting["action"], waiting["reason"]) == ("defer", "increase is next-period: not before 2026-12-01")
    stage.pass_time(days=10, hours=13)  # 30 November, 23:00
    assert stage.cycle().line(ALDER)["action"] == "defer"
    assert stage.effects == []
    stage.pass_time(hours=2)
    assert stage.cycle().line(ALDER)["action"] == "post"
    assert stage.effects == [set_to(stage, ALDER, 25, 27)]


# Modes


def test_observe_writes_to_no_outside_system(stage: Stage) -> None:
    stage.configure(mode="observe")
    for _ in range(2):
        done = stage.cycle()
        assert done.status == 0
        assert done.line(ALDER)["action"] == "post"  # what the rule says, whatever the mode
        assert done.json["mode"] == "observe"
    assert stage.foreign_writes() == []
    assert len(stage.graph.double.requests) > 0
    assert stage.entries() == []


def test_propose_lets_every_change_wait(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(4)
    stage.configure(mode="propose")
    for _ in range(2):
        assert stage.cycle().status == 3
    waiting = stage.run("held", "--json")
    assert waiting.status == 3
    assert {(one["customer"], one["from"], one["to"]) for one in waiting.json["entries"]} == {
        (ALDER, "25", "27"),
        (DOGWOOD, "12", "9"),
    }
    assert stage.foreign_writes() == []


@pytest.mark.parametrize("house", ["observe", "propose"])
def test_a_pilot_posts_while_the_rest_does_not(raise_stage: Callable[..., Stage], house: str) -> None:
    stage = raise_stage(2)
    stage.configure(mode=house)
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"mode": "post"})
    stage.hire(BIRCHWOOD, 1)
    stage.cycle()
    assert stage.effects == [set_to(stage, ALDER, 25, 27)]
    held = [one["customer"] for one in stage.entries("--state", "held")]
    assert held == ([BIRCHWOOD] if house == "propose" else [])


def test_a_customer_may_be_left_alone(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"mode": "observe"})
    stage.hire(BIRCHWOOD, 1)
    stage.cycle()
    assert stage.effects == [set_to(stage, BIRCHWOOD, 14, 15)]
    assert [one["customer"] for one in stage.entries()] == [BIRCHWOOD]


def test_the_environment_overrides_downwards_only(stage: Stage) -> None:
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"mode": "post"})
    assert stage.cycle(SYNCD_MODE="observe").line(ALDER)["action"] == "post"
    assert stage.foreign_writes() == []
    assert stage.entries() == []

    assert stage.cycle(SYNCD_MODE="propose").status == 3
    assert stage.foreign_writes() == []
    assert stage.entry()["state"] == "held"


def test_the_environment_never_posts_more_than_the_files_say(stage: Stage) -> None:
    stage.configure(mode="observe")
    stage.cycle(SYNCD_MODE="post")
    assert stage.foreign_writes() == []
    assert stage.entries() == []


def test_what_was_planned_does_not_leave_once_the_mode_is_observe(stage: Stage) -> None:
    stage.configure(mode="propose")
    stage.cycle()
    stage.run("approve", "--all", "--by", "Dana")
    stage.configure(mode="observe")
    stage.cycle()
    assert stage.foreign_writes() == []
    assert stage.entry()["state"] == "planned"


# Exit statuses


def test_plan_ends_with_what_is_most_serious(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    assert stage.plan().status == 3  # drift
    stage.break_tenant(BIRCHWOOD, "consent")
    assert stage.plan().status == 1  # something was not read, and there is drift besides
    stage.mend()
    stage.map(rule("Business Premium", PREMIUM), only=(BIRCHWOOD,))
    assert stage.plan().status == 0
    stage.map(rule("Business Premium", PREMIUM, agrement="x"), only=(BIRCHWOOD,))
    wrong = stage.plan()
    assert wrong.status == 2
    assert "agrement" in wrong.err
    assert wrong.out == ""


def test_a_cycle_ends_with_what_is_most_serious(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(4)
    assert stage.cycle().status == 3  # Dogwood's fall waits for a person
    stage.break_tenant(BIRCHWOOD, "consent")
    assert stage.cycle().status == 1
    stage.mend()
    stage.run("reject", stage.entry("--state", "held")["id"], "--why", "seasonal", "--by", "Dana")
    assert stage.cycle().status == 0
    stage.configure(safety={"max_amount": "much"})
    assert stage.cycle().status == 2


def test_wrong_arguments_are_the_users(stage: Stage) -> None:
    assert stage.run("plan", "--colour").status == 2
    assert stage.run("ledger", "--state", "lost").status == 2
    assert stage.run("explain", "nobody").status == 2
    missing = stage.run("plan", "--config", str(stage.folder / "none.toml"))
    assert missing.status == 2
    assert "none.toml" in missing.err
