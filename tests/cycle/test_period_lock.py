"""The period lock: what the PSA has invoiced takes no more lines; what is late names the period that it belongs to.

What a customer would really pay is asked of the PSA's double, by the invoices that it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, ELM, PREMIUM, VISIO, Stage, rule

PRICE = Decimal(28)


def line_rule(**keys: Any) -> str:
    return rule("Business Premium", PREMIUM, true_up="line", **keys)


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: 27 used, 25 on the recurring addition, November invoiced in advance; every change waits."""
    stage = raise_stage(1)
    stage.configure(mode="propose")
    stage.map(line_rule())
    return stage


def dated(stage: Stage) -> list[tuple[str, str, Decimal, str]]:
    """(first day, last day, quantity, words) of the dated additions that syncd made, oldest first."""
    made = [stage.psa.tables["additions"][int(one.record)] for one in stage.effects if one.what == "create_addition"]
    return [
        (row["effectiveDate"][:10], row["cancelledDate"][:10], row["quantity"], row.get("invoiceDescription", ""))
        for row in made
        if row.get("cancelledDate")
    ]


def own_charges(stage: Stage) -> Decimal:
    """What the next invoice charges for what syncd made."""
    made = {int(one.record) for one in stage.effects if one.what == "create_addition"}
    contents = stage.psa.invoice_contents[stage.psa.invoice(stage.agreement(ALDER)["id"])]
    return sum((one["amount"] for one in contents if one["addition"] in made), Decimal(0))


def story(stage: Stage, *filters: str) -> list[tuple[str, str, str, str]]:
    return [(one["period"], one["from"], one["to"], one["state"]) for one in stage.entries(*filters)]


def test_the_close_of_a_period_that_is_over_names_what_waits_of_it(alder: Stage) -> None:
    alder.configure(mode="propose", cw={"invoicing": "arrears"})
    alder.cycle()
    alder.pass_time(days=12)
    [waiting] = alder.entries("--state", "held")
    told = alder.run("report", "close", "--period", "2026-11", "--json")
    [check] = [one for one in told.json["checks"] if one["name"] == "every line is settled"]

    assert (told.status, told.json["green"], check["green"]) == (3, False, False)
    assert check["open"] == [f"{ALDER} / Business Premium: entry {waiting['id']} is held"]
    alder.run("reject", waiting["id"], "--why", "billed by hand", "--by", "Dana")
    assert alder.run("report", "close", "--period", "2026-11", "--json").status == 0


def test_an_old_period_that_is_still_open_is_posted_as_it_stands(alder: Stage) -> None:
    """In arrears November is invoiced in December: on the second it is still open."""
    alder.configure(mode="propose", cw={"invoicing": "arrears"})
    alder.cycle()
    alder.run("approve", "--all", "--by", "Dana")
    alder.pass_time(days=12)
    alder.cycle()
    assert story(alder) == [("2026-11", "0", "2", "posted"), ("2026-12", "0", "2", "held")]
    assert [row[:3] for row in dated(alder)] == [("2026-11-01", "2026-11-30", 2)]


@pytest.mark.parametrize("approved", [True, False])
def test_what_waited_until_its_period_was_closed_is_held_for_the_next_one(alder: Stage, approved: bool) -> None:
    alder.cycle()
    [old] = alder.entries()
    if approved:
        alder.run("approve", "--all", "--by", "Dana")
    alder.pass_time(days=12)
    done = alder.cycle()
    assert done.status == 3
    assert alder.writes() == []
    assert story(alder) == [
        ("2026-11", "0", "2", "superseded"),
        ("2026-11", "0", "2", "held"),
        ("2026-12", "0", "2", "held"),
    ]
    late = alder.entries("--state", "held", "--period", "2026-11")[0]
    assert late["key"] != old["key"]
    assert late["id"] in alder.run("held").out
    assert alder.run("explain", late["id"], "--json").json["entry"]["why"] == (
        "2026-11 is closed: 'Managed Services' is invoiced through 2026-11-30; approve to post it into 2026-12, named "
        "as for 2026-11"
    )

    for _ in range(2):  # it stands, and the new period's plan does not take it away
        assert alder.cycle().json["entries"] == []
    alder.run("approve", late["id"], "--by", "Dana", "--now")
    [line] = dated(alder)
    assert line[:3] == ("2026-12-01", "2026-12-31", 2)
    assert line[3].startswith("for 2026-11: ")
    assert alder.entries("--state", "posted")[0]["period"] == "2026-11"


def test_a_late_line_does_not_pay_for_the_period_that_it_stands_in(alder: Stage) -> None:
    """December owes its own line beside November's late one, and neither is posted twice."""
    alder.cycle()
    alder.pass_time(days=12)
    alder.cycle()
    alder.run("approve", "--all", "--by", "Dana")
    alder.configure()
    alder.cycle()
    idle = alder.cycle()
    assert idle.json["entries"] == []
    assert (idle.line(ALDER)["billed"], idle.line(ALDER)["action"]) == ("27", "none")
    assert [row[:3] for row in dated(alder)] == [("2026-12-01", "2026-12-31", 2)] * 2
    assert own_charges(alder) == 4 * PRICE
    assert own_charges(alder) == 0
    assert alder.verified()


def test_what_is_closed_twice_moves_twice_and_keeps_its_name(alder: Stage) -> None:
    alder.cycle()
    alder.pass_time(days=12)
    alder.cycle()
    alder.psa.invoice(alder.agreement(ALDER)["id"])  # December's
    alder.psa.invoice(alder.agreement(ALDER)["id"])  # January's
    alder.pass_time(days=40)
    alder.cycle()
    late = [one for one in alder.entries("--period", "2026-11") if one["state"] == "held"]
    assert len(late) == 1
    alder.run("approve", late[0]["id"], "--by", "Dana", "--now")
    [line] = dated(alder)
    assert line[0] == "2027-02-01"
    assert line[3].count("for 2026-11: ") == 1


@pytest.fixture
def strict(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder again, whose agreement does not prorate: the PSA refuses a line in November, which is invoiced."""
    stage = raise_stage(1)
    stage.map(line_rule(decrease="now"))
    stage.agreement(ALDER)["prorateFlag"] = False
    return stage


def test_a_closed_current_period_is_billed_in_the_next_under_its_own_name(strict: Stage) -> None:
    done = strict.cycle()
    assert done.status == 0, done.err
    assert dated(strict) == [
        ("2026-12-01", "2026-12-31", 2, "for 2026-11: Microsoft 365 Business Premium, 2026-11: 2 more, 0 to 2")
    ]
    assert story(strict) == [("2026-11", "0", "2", "posted")]
    for _ in range(2):
        idle = strict.cycle()
        assert (idle.json["entries"], idle.line(ALDER)["billed"]) == ([], "27")

    strict.hire(ALDER, 1)
    strict.cycle()
    strict.dismiss(ALDER, 2)
    strict.cycle()
    assert story(strict) == [
        ("2026-11", "0", "2", "posted"), ("2026-11", "2", "3", "posted"), ("2026-11", "3", "1", "posted")
    ]  # fmt: skip
    assert dated(strict)[-1][:3] == ("2026-12-01", "2026-12-31", 1)
    assert dated(strict)[-1][3].startswith("for 2026-11: ")
    assert own_charges(strict) == 1 * PRICE

    strict.pass_time(days=12)  # December is invoiced by now: what it owes goes to January
    strict.cycle()
    assert story(strict)[-1] == ("2026-12", "0", "1", "posted")
    assert dated(strict)[-1][:3] == ("2027-01-01", "2027-01-31", 1)
    assert strict.cycle().json["entries"] == []
    assert own_charges(strict) == 1 * PRICE


def test_a_period_that_is_invoiced_while_a_change_waits_is_closed_for_it(raise_stage: Callable[..., Stage]) -> None:
    """Approved for November in November, and the PSA's invoice was quicker."""
    stage = raise_stage(1)
    stage.configure(mode="propose")
    stage.map(line_rule())
    agreement = stage.agreement(ALDER)
    agreement["prorateFlag"] = False
    agreement["nextInvoiceDate"] = "2026-11-01T00:00:00Z"
    stage.psa.billed.discard((stage.addition(ALDER)["id"], stage.now.date().replace(day=1)))
    stage.cycle()
    stage.run("approve", "--all", "--by", "Dana")
    stage.psa.invoice(agreement["id"])
    stage.cycle()
    assert stage.writes() == []
    assert story(stage) == [("2026-11", "0", "2", "superseded"), ("2026-11", "0", "2", "held")]
    stage.run("approve", "--all", "--by", "Dana", "--now")
    assert [row[:3] for row in dated(stage)] == [("2026-12-01", "2026-12-31", 2)]


def test_the_part_of_a_closed_period_is_charged_later_at_the_amount_of_its_days(
    raise_stage: Callable[..., Stage],
) -> None:
    stage = raise_stage(1)
    stage.configure(mode="propose")
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    stage.cycle()
    stage.pass_time(days=12)
    stage.cycle()
    late = [one for one in stage.entries("--state", "held") if one["operation"] == "post_line"]
    assert [(one["period"], one["amount"]) for one in late] == [("2026-11", "20.53")]
    stage.run("approve", "--all", "--by", "Dana", "--now")
    stage.cycle()
    [line] = dated(stage)
    assert line[:3] == ("2026-12-01", "2026-12-31", 1)
    assert stage.quantity(ALDER) == 27
    assert own_charges(stage) == Decimal("20.53")


def test_what_could_not_leave_over_the_end_of_the_month_is_not_lost(raise_stage: Callable[..., Stage]) -> None:
    """The vendor was down: the entry is the memory of what November owed."""
    stage = raise_stage(1)
    stage.map(line_rule())
    stage.psa.fail("drop_before", method="POST", times=99)
    stage.cycle()
    [first] = stage.entries()
    assert first["state"] in ("planned", "unknown")
    stage.pass_time(days=12)
    stage.mend()
    stage.dismiss(ALDER, 2)  # nothing is due in December
    stage.cycle()
    stage.cycle()
    waiting = stage.entries("--state", "held")
    assert [(one["period"], one["to"]) for one in waiting] == [("2026-11", "2")]


def test_a_refused_line_of_a_closed_period_is_retried_into_an_open_one(alder: Stage) -> None:
    alder.configure()
    alder.psa.fail("unauthorized", method="POST")
    alder.cycle()
    alder.pass_time(days=12)
    [failed] = alder.entries("--state", "failed")
    alder.run("retry", failed["id"], "--by", "Dana")
    alder.cycle()
    [late] = alder.entries("--state", "held")
    assert (late["period"], late["to"]) == ("2026-11", "2")


def test_observe_leaves_what_waits_as_it_is(alder: Stage) -> None:
    alder.cycle()
    before = alder.entries()
    alder.pass_time(days=12)
    alder.cycle(SYNCD_MODE="observe")
    assert alder.entries() == before


# A line that has not begun yet


@pytest.fixture
def elm(raise_stage: Callable[..., Stage]) -> Stage:
    """Elm Street: 3 seats of Visio, and the line that syncd added for them begins on 1 December."""
    stage = raise_stage(5)
    stage.map(rule("Visio", VISIO, create=True, decrease="now"), only=(ELM,))
    stage.configure(safety={"to_zero": "settle", "max_decrease": "100%", "max_step": 99})
    stage.cycle()
    return stage


def test_a_line_that_waits_for_its_first_day_follows_the_count(elm: Stage) -> None:
    assert elm.cycle().line(ELM)["action"] == "defer"
    for change, quantity in ((1, 4), (-2, 2), (-2, 0), (1, 1)):
        (elm.hire if change > 0 else elm.dismiss)(ELM, abs(change), VISIO)
        elm.pass_time(hours=1)
        assert elm.cycle().status == 0
        assert elm.quantity(ELM, "VISIO-P2") == quantity
        assert elm.cycle().line(ELM)["action"] == "defer"
    assert [one["operation"] for one in elm.entries()] == ["add_line"] + ["set_quantity"] * 4
    assert len([one for one in elm.effects if one.what == "create_addition"]) == 1
    elm.pass_time(days=11)
    assert elm.cycle().line(ELM)["action"] == "none"


def test_a_line_that_was_not_sent_is_planned_anew(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(5)
    stage.configure(mode="propose")
    stage.map(rule("Visio", VISIO, create=True), only=(ELM,))
    stage.cycle()
    stage.hire(ELM, 1, VISIO)
    stage.cycle()
    assert [(one["to"], one["state"]) for one in stage.entries()] == [("3", "superseded"), ("4", "held")]


def test_a_line_whose_first_day_was_invoiced_meanwhile_begins_later(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(5)
    stage.configure(mode="propose")
    stage.map(rule("Visio", VISIO, create=True), only=(ELM,))
    stage.agreement(ELM)["prorateFlag"] = False
    stage.cycle()
    stage.run("approve", "--all", "--by", "Dana")
    stage.psa.invoice(stage.agreement(ELM)["id"])
    stage.pass_time(days=12)
    stage.cycle()
    assert stage.writes() == []
    assert [one["state"] for one in stage.entries()] == ["superseded", "held"]
    stage.run("approve", "--all", "--by", "Dana", "--now")
    assert stage.addition(ELM, "VISIO-P2")["effectiveDate"][:10] == "2027-01-01"
