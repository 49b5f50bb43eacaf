"""Undo: what was posted is taken back by a compensation that waits like any other change."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, ELM, PREMIUM, VISIO, Done, Stage, rule


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone: its rise from 25 to 27 is posted."""
    stage = raise_stage(1)
    assert stage.cycle().status == 0
    assert stage.quantity(ALDER) == 27
    return stage


def held(stage: Stage) -> dict[str, Any]:
    return stage.entry("--state", "held")


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
    stage.map(rule("Visio", VISIO, create=True, prorate="daily"), only=(ELM,))
    stage.cycle()
    [made] = stage.effects
    back = stage.run("undo", stage.entry()["id"], "--why", "they pay it themselves", "--by", "Dana", "--json")
    assert [(one["operation"], one["from"], one["to"]) for one in back.json["entries"]] == [("end_line", "3", "0")]
    done = stage.run("approve", "--all", "--by", "Dana", "--now", "--json")
    assert done.status == 0, done.err
    row = stage.psa.tables["additions"][int(made.record)]
    assert row["cancelledDate"][:10] == "2026-11-20"
    stage.pass_time(days=1)
    for _ in range(2):
        assert stage.cycle().line(ELM)["action"] == "ignore"
    assert [one.what for one in stage.effects] == ["create_addition", "change_addition"]


def test_undo_of_a_line_that_has_not_begun_sets_it_to_nothing(raise_stage: Callable[..., Stage]) -> None:
    """An end before its first day is no date that a vendor must take, and an end on it may bill that day."""
    stage = raise_stage(5)
    stage.configure(safety={"max_step": 9})
    stage.map(rule("Visio", VISIO, create=True), only=(ELM,))
    stage.cycle()
    stage.run("undo", stage.entry()["id"], "--why", "they pay it themselves", "--by", "Dana")
    done = stage.run("approve", "--all", "--by", "Dana", "--now", "--json")
    assert done.status == 0, done.err
    row = stage.addition(ELM, "VISIO-P2")
    assert (row["quantity"], row["effectiveDate"][:10], row.get("cancelledDate")) == (0, "2026-12-01", None)
    for days in (1, 12):
        stage.pass_time(days=days)
        assert stage.cycle().line(ELM)["action"] == "ignore"
    stage.hire(ELM, 1, VISIO)
    assert stage.cycle().status == 0
    assert stage.quantity(ELM, "VISIO-P2") == 4
    assert [one.what for one in stage.effects] == ["create_addition", "change_addition", "change_addition"]


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


def test_a_first_and_a_later_posting_are_taken_back_together(alder: Stage) -> None:
    alder.hire(ALDER, 1)
    alder.cycle()
    first, second = alder.entries()
    done = undo(alder, first["id"], second["id"])
    [back] = done.json["entries"]
    assert (back["operation"], back["from"], back["to"]) == ("set_quantity", "28", "25")
    shown = alder.run("explain", back["id"], "--json").json["entry"]
    assert shown["undo_of"] == f"{second['id']} {first['id']}"
    alder.run("approve", "--all", "--by", "Dana", "--now")
    assert alder.quantity(ALDER) == 25
    for _ in range(2):
        assert alder.cycle().line(ALDER)["action"] == "ignore"
    alder.hire(ALDER, 1)
    alder.cycle()
    assert alder.quantity(ALDER) == 29


def test_an_undo_can_be_undone(alder: Stage) -> None:
    first = alder.entry()
    [back] = undo(alder, first["id"]).json["entries"]
    alder.run("approve", "--all", "--by", "Dana", "--now")
    refused = undo(alder, first["id"])
    assert refused.status == 2
    assert f"is undone already (entry {back['id']})" in refused.err

    [again] = undo(alder, back["id"]).json["entries"]
    assert (again["operation"], again["from"], again["to"]) == ("set_quantity", "25", "27")
    alder.run("approve", "--all", "--by", "Dana", "--now")
    assert alder.quantity(ALDER) == 27
    assert alder.cycle().line(ALDER)["action"] == "none"
    alder.psa.rival(1001, 30_100, 25, by="a colleague")
    alder.pass_time(hours=1)
    assert alder.cycle().line(ALDER)["action"] == "hold"  # nobody decided that 25 is right any more


def undo(stage: Stage, *what: str) -> Done:
    return stage.run("undo", *what, "--why", "wrong", "--by", "Dana", "--json")


@pytest.fixture
def three(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder's quantity and Elm's new line are posted in the first cycle, Birchwood's rise in the second."""
    stage = raise_stage(5)
    stage.map(
        rule("Business Premium", PREMIUM, customers=[ALDER, BIRCHWOOD]),
        rule("Visio", VISIO, customers=[ELM], create=True, prorate="daily"),
    )
    stage.cycle()
    stage.hire(BIRCHWOOD, 1)
    stage.cycle()
    assert [one["cycle"] for one in stage.entries()] == ["c000001", "c000001", "c000002"]
    return stage


@pytest.mark.slow
def test_a_whole_cycle_is_taken_back(three: Stage) -> None:
    done = undo(three, "--cycle", "c000001")
    assert done.status == 0, done.err
    made = {one["customer"]: (one["operation"], one["from"], one["to"]) for one in done.json["entries"]}
    assert made == {ALDER: ("set_quantity", "27", "25"), ELM: ("end_line", "3", "0")}
    assert {one["cycle"] for one in done.json["entries"]} == {"c000002"}  # after which they were written
    assert {one["state"] for one in done.json["entries"]} == {"held"}
    three.run("approve", "--all", "--by", "Dana", "--now")
    assert (three.quantity(ALDER), three.quantity(BIRCHWOOD)) == (25, 15)

    again = undo(three, "--cycle", "c000001")  # all of it is undone: told, and nothing is written
    assert (again.status, again.json["entries"], len(again.json["left"])) == (0, [], 2)
    assert again.err.count("is undone already") == 2
    later = undo(three, "--cycle", "c000002")  # what was written after it is not of it
    assert [one["customer"] for one in later.json["entries"]] == [BIRCHWOOD]


@pytest.mark.slow
def test_a_whole_period_is_taken_back_for_one_customer_or_rule(three: Stage) -> None:
    [one] = undo(three, "--period", "2026-11", "--customer", BIRCHWOOD).json["entries"]
    assert (one["customer"], one["from"], one["to"]) == (BIRCHWOOD, "15", "14")
    [other] = undo(three, "--period", "2026-11", "--rule", "Visio").json["entries"]
    assert other["customer"] == ELM
    nothing = undo(three, "--period", "2026-10")
    assert nothing.json == {"entries": [], "left": []}
    assert "nothing was posted there" in nothing.err


@pytest.mark.slow
def test_what_cannot_be_taken_back_is_told_and_the_rest_is_written(three: Stage) -> None:
    three.hire(ALDER, 1)
    three.cycle()  # Alder's first change is not the newest any more
    newest = three.entries("--customer", ALDER)[-1]
    done = undo(three, "--cycle", "c000001")
    assert done.status == 3
    assert [one["customer"] for one in done.json["entries"]] == [ELM]
    assert f"entry {newest['id']} changed the line since. Undo that one first." in done.err
    waiting = undo(three, "--period", "2026-11")
    assert [one["customer"] for one in waiting.json["entries"]] == [ALDER, BIRCHWOOD]
    assert waiting.json["entries"][0]["to"] == "25"
    assert "open" in waiting.json["left"][0]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "name ids, or --cycle or --period"),
        (("--customer", ALDER), "name ids, or --cycle or --period"),
        (("abcd", "--cycle", "c000001"), "name ids, or --cycle or --period"),
        (("--cycle", "c000099"), "there is no cycle 'c000099'"),
        (("--period", "November"), "'November' is no period"),
        (("--period", "2026-11", "--customer", "Alder"), "no entry is of a customer 'Alder'"),
        (("--period", "2026-11", "--rule", "Premum"), "no entry is of a rule 'Premum'"),
        (("zzzzzz",), "no entry has this id"),
    ],
)
def test_a_wrong_name_writes_nothing(three: Stage, arguments: tuple[str, ...], sentence: str) -> None:
    done = undo(three, *arguments)
    assert (done.status, sentence in done.err) == (2, True), done.err
    one = undo(three, three.entries()[0]["id"], "zzzzzz")
    assert one.status == 2
    assert len(three.entries()) == 3


@pytest.mark.slow
def test_every_wrong_name_is_told_at_once(three: Stage) -> None:
    done = undo(three, "zzzzzz", "yyyyyy")
    assert "zzzzzz" in done.err
    assert "yyyyyy" in done.err


# What was charged for parts of periods, and what was invoiced


@pytest.fixture
def pair(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder's quantity is raised on 20 November, and the rest of November, which is invoiced, is charged."""
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    stage.cycle()
    assert [one["operation"] for one in stage.entries()] == ["set_quantity", "post_line"]
    return stage


def charged(stage: Stage) -> Decimal:
    """What the next invoice charges for what syncd made."""
    made = {int(one.record) for one in stage.effects if one.what == "create_addition"}
    contents = stage.psa.invoice_contents[stage.psa.invoice(1001)]
    return sum((one["amount"] for one in contents if one["addition"] in made), Decimal(0))


@pytest.mark.slow
def test_a_quantity_and_its_part_of_the_period_are_taken_back_together(pair: Stage) -> None:
    done = undo(pair, pair.entries()[0]["id"])
    assert [(one["operation"], one["from"], one["to"], one["amount"]) for one in done.json["entries"]] == [
        ("set_quantity", "27", "25", "-56.00"),
        ("post_credit", "2", "0", "-20.53"),
    ]
    back = done.json["entries"][0]
    pair.run("approve", back["id"], "--by", "Dana", "--now")  # the part goes with it
    assert pair.quantity(ALDER) == 25
    assert charged(pair) == 0
    assert pair.cycle().line(ALDER)["action"] == "ignore"


@pytest.mark.slow
def test_the_part_alone_can_be_taken_back(pair: Stage) -> None:
    done = undo(pair, pair.entries()[1]["id"])
    assert [one["operation"] for one in done.json["entries"]] == ["post_credit"]
    pair.run("approve", "--all", "--by", "Dana", "--now")
    assert (pair.quantity(ALDER), charged(pair)) == (27, 0)
    assert pair.cycle().json["entries"] == []


@pytest.mark.slow
def test_what_was_invoiced_since_is_credited_in_the_open_period(pair: Stage) -> None:
    pair.psa.invoice(1001)  # December, in advance, at 27
    pair.pass_time(days=12)
    done = undo(pair, "--period", "2026-11")
    made = [(one["operation"], one["period"], one["from"], one["to"], one["amount"]) for one in done.json["entries"]]
    assert made == [
        ("set_quantity", "2026-11", "27", "25", "-56.00"),
        ("post_credit", "2026-12", "0", "-2", "-56.00"),
        ("post_credit", "2026-11", "2", "0", "-20.53"),
    ]
    pair.run("approve", "--all", "--by", "Dana", "--now")
    credits = [pair.psa.tables["additions"][int(one.record)] for one in pair.effects if one.what == "create_addition"]
    words = [row["invoiceDescription"] for row in credits[1:]]
    assert any(one.startswith("for 2026-11: takes back ") for one in words)
    assert pair.quantity(ALDER) == 25
    assert charged(pair) == Decimal("-76.53")  # on January's invoice: December's two seats, and November's part
    for _ in range(2):
        assert pair.cycle().line(ALDER)["action"] == "ignore"
    assert pair.verified()


@pytest.mark.slow
def test_without_proration_what_was_invoiced_stays(alder: Stage) -> None:
    alder.psa.invoice(1001)
    alder.pass_time(days=12)
    done = undo(alder, alder.entry()["id"])
    assert [one["operation"] for one in done.json["entries"]] == ["set_quantity"]


@pytest.mark.slow
def test_a_line_of_a_closed_period_is_credited_in_the_first_open_one(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, true_up="line"))
    stage.cycle()
    stage.psa.invoice(1001)
    stage.pass_time(days=12)
    done = undo(stage, stage.entry()["id"])
    [back] = done.json["entries"]
    assert (back["operation"], back["period"], back["from"], back["to"]) == ("post_credit", "2026-11", "2", "0")
    stage.cycle()
    stage.run("approve", back["id"], "--by", "Dana", "--now")
    credit = next(
        row
        for row in stage.psa.tables["additions"].values()
        if row.get("unitPrice") == -56 and row.get("cancelledDate")
    )
    assert credit["effectiveDate"][:10] == "2027-01-01"
    assert credit["invoiceDescription"].startswith("for 2026-11: takes back ")
    assert stage.cycle().line(ALDER)["billed"] == "27"  # December's own line is another one


@pytest.mark.slow
def test_a_vendor_that_does_not_answer_writes_nothing(alder: Stage) -> None:
    alder.psa.fail("unavailable", method="GET", times=99)
    done = undo(alder, alder.entry()["id"])
    assert done.status == 1
    assert len(alder.entries()) == 1
