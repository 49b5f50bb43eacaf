"""Every guard once, end to end: what it holds stays unposted, and exit status, plan, summary and metrics say so.

The edges of each are in tests/core/test_core_guards.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, CEDAR, DOGWOOD, ELM, PREMIUM, Done, Stage, environment, guid, rule

from syncd.clock import make_clock
from syncd.config import load
from syncd.connect.registry import Kinds
from syncd.core.entries import EntryState
from syncd.core.policy import Action
from syncd.cycle import Cycle, run_cycle
from syncd.ledger import Ledger
from syncd.web.board import Board
from syncd.web.metrics import Metrics

FREELY = {"decrease": "now"}
WIDE = {"max_decrease": "100%", "max_increase": "1000%", "max_step": 1000, "source_drop": "100%"}


def cycle_of(stage: Stage) -> Cycle:
    """One cycle in this process, as the daemon runs it."""
    with environment(stage.variables()):
        config, mappings = load(stage.config_path, Kinds(), stage.variables())
        with Ledger.open(config.database, make_clock(), folder=config.folder) as ledger:
            ledger.claim("test")
            return run_cycle(config, mappings, Kinds(), ledger, make_clock())


def metrics(stage: Stage, cycle: Cycle) -> str:
    """What a scrape says after it."""
    with environment(stage.variables()):
        config, _ = load(stage.config_path, Kinds(), stage.variables())
    board = Board()
    scraped = Metrics(board)
    board.configured(config)
    board.began()
    board.ended_well(cycle, stage.now, (1, "00"))
    return scraped.text().decode()


def guards_of(done: Done, customer: str) -> list[str]:
    found: list[str] = done.line(customer)["guards"]
    return found


def believe(stage: Stage) -> None:
    """One cycle that posts nothing and believes what it reads."""
    stage.configure(mode="observe")
    stage.cycle()


# guard -> (safety, what happens in the world, the customer that it holds)
WORLDS: dict[str, tuple[dict[str, Any], Callable[[Stage], object], str]] = {
    "source_drop": ({**WIDE, "source_drop": "25%"}, lambda stage: stage.dismiss(ALDER, 15), ALDER),
    "max_decrease": ({**WIDE, "max_decrease": "20%"}, lambda stage: stage.dismiss(ALDER, 8), ALDER),  # 25 to 19
    "max_increase": ({**WIDE, "max_increase": "7%"}, lambda stage: None, ALDER),  # 25 to 27
    "max_step": ({**WIDE, "small_line": 26, "max_step": 1}, lambda stage: None, ALDER),
    "to_zero": (WIDE, lambda stage: stage.dismiss(ALDER, 27), ALDER),
    "max_amount": ({**WIDE, "max_amount": 1}, lambda stage: None, ALDER),
}


@pytest.mark.parametrize("mode", ["post", pytest.param("observe", marks=pytest.mark.slow)])
@pytest.mark.parametrize("guard", WORLDS)
def test_a_tripped_guard_is_never_a_success(raise_stage: Callable[..., Stage], guard: str, mode: str) -> None:
    safety, happens, customer = WORLDS[guard]
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    believe(stage)
    happens(stage)
    stage.configure(mode=mode, safety=safety)
    done = stage.cycle()

    assert done.status == 3, done.err
    assert (done.line(customer)["action"], guards_of(done, customer)) == ("hold", [guard])
    assert stage.writes() == []
    held = [one["state"] for one in stage.entries()]
    assert held == ([] if mode == "observe" else ["held"])
    explained = stage.run("explain", customer, "Business Premium")
    assert f"Guards: {guard}" in explained.out


def test_what_a_guard_holds_is_in_metrics_and_summary(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    believe(stage)
    stage.dismiss(ALDER, 15)
    stage.configure(safety=WIDE | {"source_drop": "25%"})
    cycle = cycle_of(stage)
    said = metrics(stage, cycle)

    assert cycle.exit_status == 3
    assert cycle.summary()["guards"] == {"source_drop": 1}
    assert cycle.summary()["suspect"] == ["m365"]
    assert 'syncd_guarded_lines{guard="source_drop"} 1.0' in said
    assert 'syncd_guarded_lines{guard="gone"} 0.0' in said
    assert 'syncd_source_suspect{connection="m365"} 1.0' in said
    assert "syncd_held 1.0" in said


def test_what_a_person_let_through_is_done(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.configure(safety={**WIDE, "max_increase": "7%"})
    assert stage.cycle().status == 3
    assert stage.run("approve", "--all", "--by", "Dana").status == 0
    done = stage.cycle()

    assert (done.status, guards_of(done, ALDER)) == (0, ["max_increase"])
    assert stage.quantity(ALDER) == 27


def test_to_zero_may_settle(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    stage.configure(settle=2, safety={"to_zero": "settle", "source_drop": "100%"})
    stage.dismiss(ALDER, 27)

    assert stage.cycle().actions() == {ALDER: "settle"}
    assert stage.effects == []
    assert stage.cycle().actions() == {ALDER: "post"}
    assert stage.quantity(ALDER) == 0


@pytest.mark.parametrize(("word", "action", "status"), [("hold", "hold", 1), ("settle", "post", 1)])
def test_a_customer_gone(raise_stage: Callable[..., Stage], word: str, action: str, status: int) -> None:
    """Its fall waits for a person, or was allowed; that it is gone is an error either way until the mapping says so."""
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    believe(stage)
    stage.configure(safety={**WIDE, "to_zero": word})
    stage.graph.world = replace(stage.graph.world, companies=stage.graph.world.companies[1:])
    done = stage.cycle()

    assert (done.status, done.line(ALDER)["action"]) == (status, action)
    assert guards_of(done, ALDER) == (["gone"] if word == "hold" else [])
    assert stage.quantity(ALDER) == (25 if word == "hold" else 0)


def test_a_gone_customer_in_a_source_that_fell_too_far_says_how_that_ends(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    believe(stage)
    stage.configure()
    stage.hire(BIRCHWOOD, 1)
    stage.graph.world = replace(stage.graph.world, companies=stage.graph.world.companies[1:])
    for _ in range(2):
        done = stage.cycle()
        assert guards_of(done, ALDER) == ["gone", "source_drop", "max_decrease"]
        assert guards_of(done, BIRCHWOOD) == ["source_drop"]
        assert "correct `m365` there, or take the customer out of the mappings" in done.line(BIRCHWOOD)["reason"]
    stage.map(rule("Business Premium", PREMIUM, **FREELY), only=(BIRCHWOOD,))
    after = stage.cycle()
    assert (after.line(BIRCHWOOD)["action"], guards_of(after, BIRCHWOOD)) == ("post", [])
    assert [one["state"] for one in stage.entries("--customer", BIRCHWOOD)] == ["held"]  # what was asked is answered
    assert stage.run("approve", "--all", "--by", "Dana").status == 0
    assert stage.cycle().status == 0
    assert stage.quantity(BIRCHWOOD) == 15


@pytest.mark.parametrize(
    ("word", "action", "guards", "status"),
    [("hold", "hold", ["foreign_edit"], 3), ("overwrite", "post", [], 0), ("accept", "ignore", [], 0)],
)
def test_foreign_edit(
    raise_stage: Callable[..., Stage], word: str, action: str, guards: list[str], status: int
) -> None:
    stage = raise_stage(1)
    stage.configure(safety={**WIDE, "foreign_edit": word})
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    stage.cycle()
    stage.pass_time(hours=1)
    stage.psa.rival(1001, 30_100, 26)
    done = stage.cycle()

    assert (done.status, done.line(ALDER)["action"], guards_of(done, ALDER)) == (status, action, guards)
    assert stage.quantity(ALDER) == (27 if word == "overwrite" else 26)


def test_max_postings(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 1)
    stage.configure(safety={"max_postings": 1})
    done = stage.cycle()

    assert (done.status, guards_of(done, BIRCHWOOD), len(stage.effects)) == (3, ["max_postings"], 1)
    assert stage.cycle().status == 0
    assert len(stage.effects) == 2


def test_two_writers_that_fight_are_stopped_after_two_rounds(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, **FREELY))
    stage.configure(safety={**WIDE, "foreign_edit": "overwrite"})
    for _ in range(2):
        assert stage.cycle().status == 0
        assert stage.quantity(ALDER) == 27
        stage.pass_time(hours=6)
        stage.psa.rival(1001, 30_100, 25, by="RMM sync")
    done = stage.cycle()

    assert (done.status, guards_of(done, ALDER)) == (3, ["oscillation"])
    assert "oscillation" in done.line(ALDER)["findings"]
    assert (
        "syncd wrote 27 in 2 rounds and each time the line was changed by RMM sync to 25" in done.line(ALDER)["reason"]
    )
    assert len(stage.effects_of(ALDER)) == 2

    assert stage.run("approve", "--all", "--by", "Dana").status == 0
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    stage.pass_time(hours=6)
    stage.psa.rival(1001, 30_100, 25, by="RMM sync")
    assert stage.cycle().status == 3
    assert stage.quantity(ALDER) == 25
    stage.psa.rival(1001, 30_100, 27, by="a colleague")
    assert stage.cycle().actions() == {ALDER: "none"}


# What a source never showed


def test_a_misspelt_sku_lowers_nothing_and_is_named(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.map(rule("Business Premium", "SPB", **FREELY).replace('"SPB"', '"SPBB"'))
    stage.configure(safety={**WIDE, "to_zero": "settle"})
    done = stage.cycle()

    assert done.status == 3
    assert done.actions() == {ALDER: "hold", BIRCHWOOD: "hold"}
    assert guards_of(done, ALDER) == ["sku_not_seen"]
    assert "sku not seen" in done.line(ALDER)["findings"]
    assert stage.effects == []
    checked = stage.run("check", "--json")
    assert (checked.status, checked.json["faults"]) == (0, [])
    [warning] = checked.json["warnings"]
    assert 'rule "Business Premium"' in warning
    assert "no customer of m365 has 'SPBB'; the nearest that one has is 'SPB'" in warning
    assert "the nearest that one has is 'SPB'" in stage.run("check").out


def test_a_sku_that_everybody_loses_at_once_lowers_nothing(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(4)
    stage.map(rule("Business Premium", PREMIUM, **FREELY), only=(ALDER, BIRCHWOOD, DOGWOOD))
    believe(stage)
    stage.configure(safety={**WIDE, "to_zero": "settle"})
    for customer in (ALDER, BIRCHWOOD, DOGWOOD):
        tenant = stage.graph.tenants[stage.company(customer).tenant_id]
        stage.dismiss(customer, 99)
        tenant.bought = [one for one in tenant.bought if one.sku != guid(PREMIUM)]
    for _ in range(3):
        done = stage.cycle()
        assert done.status == 3, done.json
        assert done.actions() == {ALDER: "hold", BIRCHWOOD: "hold", DOGWOOD: "hold"}
        assert guards_of(done, ALDER) == ["sku_not_seen"]
        assert "no customer of m365 has 'SPB' any more, and 3 had it" in done.line(ALDER)["reason"]
    assert stage.effects == []


# The clock


def test_a_fallen_clock_is_not_believed_in_later_cycles_either(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, true_up="line"))
    assert stage.cycle().status == 0
    effects = len(stage.effects)
    stage.hire(ALDER, 1)
    stage.now -= timedelta(days=31)
    for _ in range(3):
        done = stage.cycle()
        assert done.status == 1
        assert [one["code"] for one in done.json["errors"]] == ["clock"]
        assert "syncd run --once --trust-clock" in done.json["errors"][0]["message"]
        assert len(stage.effects) == effects
        stage.now += timedelta(hours=1)
    stage.now += timedelta(days=31)
    assert stage.cycle().status == 0
    assert len(stage.effects) == effects + 1


def test_a_person_may_say_that_the_clock_is_right_now(raise_stage: Callable[..., Stage]) -> None:
    """It once ran ahead: what it posted then holds the lines of earlier periods, and nothing else is held."""
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, true_up="line"))
    true_now = stage.now
    stage.now += timedelta(days=31)
    assert stage.cycle().status == 0
    stage.now = true_now
    assert stage.cycle().status == 1
    done = stage.run("run", "--once", "--json", "--trust-clock")

    assert (done.status, guards_of(done, ALDER)) == (3, ["earlier_period"])
    assert "a line was posted for 2026-12 already" in done.line(ALDER)["reason"]
    assert stage.cycle().json["errors"] == []
    assert stage.run("run", "--trust-clock").status == 2


def test_a_rehearsal_ahead_of_time_leaves_no_mark(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.now += timedelta(days=365)
    stage.cycle(SYNCD_MODE="observe")
    stage.now -= timedelta(days=365)

    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27


# Names that fit two


def test_a_key_that_fits_two_is_ambiguous(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(2)
    stage.psa.tables["company/companies"][900] = stage.psa.tables["company/companies"][251] | {
        "id": 900, "identifier": "AlderTwo",
    }  # fmt: skip
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"cw": ALDER})
    done = stage.cycle()

    assert [one["code"] for one in done.json["errors"]] == ["ambiguous"]
    assert stage.run("check").status == 2


def test_a_quantity_below_zero_in_the_psa_blocks(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.psa.rival(1001, 30_100, -3)
    done = stage.cycle()

    assert (done.status, done.line(ALDER)["action"], done.line(ALDER)["billed"]) == (1, "blocked", "-3")
    assert "line 30100 shows -3: less than nothing is not billed" in done.line(ALDER)["reason"]
    assert stage.writes() == []


def test_the_worst_of_a_cycle_wins(raise_stage: Callable[..., Stage]) -> None:
    """A guard and a tenant that could not be read: 1 before 3."""
    stage = raise_stage(5)
    stage.map(rule("Business Premium", PREMIUM, **FREELY), only=(ALDER, CEDAR, ELM))
    stage.configure(safety={**WIDE, "max_increase": "7%"})
    stage.break_tenant(ELM, "forbidden")
    cycle = cycle_of(stage)

    assert (cycle.failed, cycle.guarded, cycle.exit_status) == (True, True, 1)
    assert {one.state for one in cycle.entries} == {EntryState.HELD}


def test_what_a_person_must_mend_in_the_billing_system_is_no_success(raise_stage: Callable[..., Stage]) -> None:
    """There is nothing to approve and no guard to name; it waits for a person all the same."""
    stage = raise_stage(1)
    settled = cycle_of(stage)
    asked = [replace(line, action=Action.HOLD, effects=()) for line in settled.plan.lines]

    assert settled.exit_status == 0
    assert replace(settled, plan=replace(settled.plan, lines=tuple(asked))).exit_status == 3
