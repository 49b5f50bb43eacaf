"""True-up lines: dated additions that sum to what was due, credits, new periods, the invoiced rest of a period.

What a customer would really pay is asked of the PSA's double: it makes the invoice by rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, CEDAR, ELM, PREMIUM, VISIO, Stage, rule

BILLED_BEFORE = Decimal(25)  # Alder's recurring addition at the start
PRICE = Decimal(28)


def line_rule(**keys: Any) -> str:
    return rule("Business Premium", PREMIUM, true_up="line", **keys)


@pytest.fixture
def alder(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder alone, with a true-up line: 27 used, 25 on the recurring addition, November invoiced."""
    stage = raise_stage(1)
    stage.map(line_rule())
    return stage


def dated(stage: Stage) -> list[dict[str, Any]]:
    """The PSA's additions that syncd made, oldest first."""
    made = [int(one.record) for one in stage.effects if one.what == "create_addition"]
    return [stage.psa.tables["additions"][number] for number in made if number in stage.psa.tables["additions"]]


def invoiced(stage: Stage, customer: str = ALDER) -> list[tuple[int, str, Decimal, Decimal]]:
    """(addition, first day of the period, quantity, amount) of the next invoice that the PSA makes."""
    number = stage.psa.invoice(stage.agreement(customer)["id"])
    return [
        (line["addition"], line["from"], line["quantity"], line["amount"])
        for line in stage.psa.invoice_contents[number]
    ]


def charged(lines: list[tuple[int, str, Decimal, Decimal]], additions: list[dict[str, Any]]) -> Decimal:
    """What an invoice charges for some additions."""
    wanted = {row["id"] for row in additions}
    return sum((amount for addition, _, _, amount in lines if addition in wanted), Decimal(0))


def test_the_difference_is_a_dated_line_beside_the_recurring_one(alder: Stage) -> None:
    done = alder.cycle()
    assert done.status == 0, done.err
    [row] = dated(alder)
    assert (row["effectiveDate"], row["cancelledDate"]) == ("2026-11-01T00:00:00Z", "2026-11-30T00:00:00Z")
    assert (row["quantity"], row["unitPrice"], row["unitCost"]) == (2, PRICE, Decimal(22))
    assert row["prorateCurrentPeriodFlag"] is False
    assert alder.quantity(ALDER) == BILLED_BEFORE  # the recurring addition is not touched
    [entry] = done.json["entries"]
    assert (entry["operation"], entry["from"], entry["to"], entry["amount"]) == ("post_line", "0", "2", "56.00")
    assert entry["remote_id"] == str(row["id"])

    after = alder.cycle().line(ALDER)
    assert (after["billed"], after["action"]) == ("27", "none")
    assert charged(invoiced(alder), [row]) == Decimal("56.00")


def test_a_later_rise_posts_only_the_increment(alder: Stage) -> None:
    alder.cycle()
    alder.hire(ALDER, 3)
    alder.cycle()
    alder.pass_time(days=4)
    alder.hire(ALDER, 1)
    alder.cycle()
    idle = alder.cycle()
    assert idle.json["entries"] == []
    assert [row["quantity"] for row in dated(alder)] == [2, 3, 1]
    assert [(one["from"], one["to"]) for one in alder.entries()] == [("0", "2"), ("2", "5"), ("5", "6")]
    assert {row["effectiveDate"] for row in dated(alder)} == {"2026-11-01T00:00:00Z"}
    assert idle.line(ALDER)["billed"] == "31"
    assert charged(invoiced(alder), dated(alder)) == 6 * PRICE


def test_a_fall_waits_for_a_person_unless_the_rule_says_otherwise(alder: Stage) -> None:
    alder.cycle()
    alder.dismiss(ALDER, 1)
    done = alder.cycle()
    assert done.status == 3
    assert done.line(ALDER)["reason"] == "decrease is hold"
    held = alder.entry("--state", "held")
    assert (held["operation"], held["from"], held["to"], held["amount"]) == ("post_credit", "2", "1", "-28.00")
    assert len(dated(alder)) == 1


def test_a_fall_is_credited_where_the_rule_allows_it(alder: Stage) -> None:
    alder.map(line_rule(decrease="now"))
    alder.hire(ALDER, 3)
    alder.cycle()  # 5 more
    alder.dismiss(ALDER, 4)
    done = alder.cycle()
    assert done.status == 0, done.err
    line, credit = dated(alder)
    assert (line["quantity"], credit["quantity"], credit["unitPrice"]) == (5, 1, Decimal(-112))
    assert credit["unitCost"] == 0
    [entry] = done.json["entries"]
    assert (entry["operation"], entry["from"], entry["to"], entry["amount"]) == ("post_credit", "5", "1", "-112.00")
    idle = alder.cycle()
    assert (idle.line(ALDER)["billed"], idle.line(ALDER)["action"]) == ("26", "none")
    assert len(dated(alder)) == 2
    assert charged(invoiced(alder), [line, credit]) == 1 * PRICE


def test_what_is_due_never_falls_below_the_recurring_line(alder: Stage) -> None:
    alder.map(line_rule(decrease="now"))
    alder.dismiss(ALDER, 7)
    seen = alder.cycle().line(ALDER)
    assert seen["action"] == "alert"
    assert "only adds" in seen["reason"]
    assert alder.writes() == []


def test_up_down_and_up_again_are_three_lines_with_three_keys(alder: Stage) -> None:
    alder.map(line_rule(decrease="now"))
    alder.cycle()
    alder.dismiss(ALDER, 1)
    alder.cycle()
    alder.hire(ALDER, 1)
    alder.cycle()
    entries = alder.entries()
    assert [(one["operation"], one["from"], one["to"]) for one in entries] == [
        ("post_line", "0", "2"),
        ("post_credit", "2", "1"),
        ("post_line", "1", "2"),
    ]
    assert len({one["key"] for one in entries}) == 3
    assert len({row["serialNumber"] for row in dated(alder)}) == 3
    assert charged(invoiced(alder), dated(alder)) == 2 * PRICE


def test_the_next_period_starts_anew(alder: Stage) -> None:
    alder.cycle()
    alder.pass_time(days=12)  # 2 December
    december = invoiced(alder)
    done = alder.cycle()
    [entry] = done.json["entries"]
    assert (entry["period"], entry["from"], entry["to"]) == ("2026-12", "0", "2")
    november, december_line = dated(alder)
    assert (december_line["effectiveDate"], december_line["cancelledDate"]) == (
        "2026-12-01T00:00:00Z",
        "2026-12-31T00:00:00Z",
    )
    assert alder.cycle().json["entries"] == []
    assert charged(december, dated(alder)) == 2 * PRICE  # November's, on December's invoice
    assert charged(invoiced(alder), dated(alder)) == 2 * PRICE  # December's, and November's not again
    assert november["id"] != december_line["id"]


def test_the_month_turns_at_the_msps_midnight(alder: Stage) -> None:
    alder.pass_time(days=10, hours=13, minutes=59)  # 30 November, 23:59 in Chicago; December in UTC
    assert alder.cycle().json["entries"][0]["period"] == "2026-11"
    alder.pass_time(minutes=2)
    assert alder.cycle().json["entries"][0]["period"] == "2026-12"


def test_increments_are_prorated_from_the_day_they_are_seen(alder: Stage) -> None:
    alder.map(line_rule(prorate="daily"))
    alder.cycle()
    alder.pass_time(days=5)
    alder.hire(ALDER, 3)
    alder.cycle()
    first, second = dated(alder)
    assert [row["effectiveDate"][:10] for row in (first, second)] == ["2026-11-20", "2026-11-25"]
    assert [row["cancelledDate"][:10] for row in (first, second)] == ["2026-11-30", "2026-11-30"]
    assert [row["prorateCurrentPeriodFlag"] for row in (first, second)] == [True, True]
    # 2 seats for 11 of 30 days, 3 seats for 6 of 30 days: by the PSA's own arithmetic, and as syncd foretold it.
    amounts = [Decimal("20.53"), Decimal("16.80")]
    assert [Decimal(one["amount"]) for one in alder.entries()] == amounts
    assert charged(invoiced(alder), [first, second]) == sum(amounts)
    assert alder.cycle().line(ALDER)["billed"] == "30"


def test_the_invoiced_rest_of_a_period_is_a_line_of_its_own(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    done = stage.cycle()
    assert done.status == 0, done.err
    assert [one.what for one in stage.effects] == ["change_addition", "create_addition"]
    assert stage.quantity(ALDER) == 27
    [part] = dated(stage)
    assert (part["effectiveDate"][:10], part["cancelledDate"][:10]) == ("2026-11-20", "2026-11-30")
    assert (part["quantity"], part["prorateCurrentPeriodFlag"]) == (2, True)
    assert [(one["operation"], one["from"], one["to"], one["amount"]) for one in stage.entries()] == [
        ("set_quantity", "25", "27", "56.00"),
        ("post_line", "0", "2", "20.53"),
    ]
    idle = stage.cycle()
    assert (idle.json["entries"], idle.line(ALDER)["billed"]) == ([], "27")
    lines = invoiced(stage)  # December's
    assert charged(lines, dated(stage)) == Decimal("20.53")
    assert charged(lines, [stage.addition(ALDER)]) == 27 * PRICE


def test_a_period_that_is_not_invoiced_needs_no_line_of_its_own(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    stage.agreement(ALDER)["nextInvoiceDate"] = "2026-11-01T00:00:00Z"
    stage.psa.billed.discard((stage.addition(ALDER)["id"], stage.now.date().replace(day=1)))
    stage.cycle()
    stage.cycle()
    assert [one.what for one in stage.effects] == ["change_addition"]
    assert charged(invoiced(stage), [stage.addition(ALDER)]) == 27 * PRICE  # November's, whole


def test_the_part_follows_the_quantity_or_stays_away(raise_stage: Callable[..., Stage]) -> None:
    """A part of the period without the quantity it belongs to would be asked for again with the quantity."""
    stage = raise_stage(1)
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    stage.psa.fail("unauthorized", method="PATCH")
    done = stage.cycle()
    assert done.status == 1
    assert stage.effects == []
    assert [(one["operation"], one["state"]) for one in stage.entries()] == [
        ("set_quantity", "failed"),
        ("post_line", "superseded"),
    ]


def test_a_child_agreement_is_billed_by_its_parents_dates(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    devices = {"from": "cw", "sku": "*", "measure": "devices"}
    bill = {"to": "cw", "agreement": "Co-managed*", "product": "MANAGED-WS"}
    stage.map(rule("Workstations", PREMIUM, count=devices, bill=bill, prorate="daily"))
    child = stage.psa.tables["finance/agreements"][2001]
    assert child["nextInvoiceDate"] < stage.agreement(ALDER)["nextInvoiceDate"]  # stale, as the vendor leaves it
    done = stage.cycle()
    assert done.status == 0, done.err
    changed, made = stage.effects
    assert changed.detail == {"agreement": 2001, "quantity": {"from": Decimal(27), "to": Decimal(29)}}
    assert (made.what, made.detail["agreement"], made.detail["quantity"]) == ("create_addition", 2001, 2)
    [part] = dated(stage)
    assert (part["effectiveDate"][:10], part["cancelledDate"][:10]) == ("2026-11-20", "2026-11-30")
    assert charged(invoiced(stage), [part]) == Decimal("33.00")  # 2 × 45.00 × 11/30, on the parent's invoice


def test_in_arrears_the_current_period_is_not_invoiced(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    stage.configure(cw={"invoicing": "arrears"})
    stage.map(rule("Business Premium", PREMIUM, prorate="daily"))
    stage.cycle()
    assert [one.what for one in stage.effects] == ["change_addition"]
    stage.cycle()
    assert len(stage.effects) == 1


def test_in_arrears_lines_of_the_period_are_posted_all_the_same(alder: Stage) -> None:
    alder.configure(cw={"invoicing": "arrears"})
    alder.cycle()
    [row] = dated(alder)
    assert (row["effectiveDate"][:10], row["cancelledDate"][:10], row["quantity"]) == ("2026-11-01", "2026-11-30", 2)


# A line that is not there yet


@pytest.fixture
def elm(raise_stage: Callable[..., Stage]) -> Stage:
    """Elm Street: 3 seats of Visio in use, no addition that bills them, and a rule that charges parts of periods."""
    stage = raise_stage(5)
    stage.map(rule("Visio", VISIO, create=True, prorate="daily"), only=(ELM,))
    return stage


def test_a_missing_line_is_a_finding_unless_the_rule_may_add_it(elm: Stage) -> None:
    elm.map(rule("Visio", VISIO), only=(ELM,))
    done = elm.cycle()
    seen = done.line(ELM)
    assert seen["action"] == "alert"
    assert seen["findings"] == ["leakage", "missing line"]
    assert "`create = true`" in seen["reason"]
    assert elm.writes() == []


def test_a_missing_line_is_added_once(elm: Stage) -> None:
    done = elm.cycle()
    assert done.status == 0, done.err
    [row] = dated(elm)
    assert (row["quantity"], row["unitPrice"], row["effectiveDate"][:10]) == (3, Decimal(20), "2026-11-20")
    assert row.get("cancelledDate") is None
    [entry] = done.json["entries"]
    assert (entry["operation"], entry["from"], entry["to"], entry["state"]) == ("add_line", "0", "3", "posted")
    for _ in range(2):
        idle = elm.cycle()
        assert (idle.json["entries"], idle.line(ELM)["action"]) == ([], "none")
    elm.hire(ELM, 1, VISIO)
    elm.cycle()
    assert [one["operation"] for one in elm.entries()] == ["add_line", "set_quantity", "post_line"]
    assert elm.quantity(ELM, "VISIO-P2") == 4


def test_an_added_line_costs_its_part_of_the_period(elm: Stage) -> None:
    elm.cycle()
    [row] = dated(elm)
    lines = invoiced(elm, ELM)
    assert [(first, amount) for number, first, _, amount in lines if number == row["id"]] == [
        ("2026-11-01", Decimal("22.00")),  # 3 × 20.00 for 11 of 30 days
        ("2026-12-01", Decimal("60.00")),
    ]


def test_without_proration_an_added_line_begins_after_what_is_invoiced(elm: Stage) -> None:
    elm.map(rule("Visio", VISIO, create=True), only=(ELM,))
    elm.cycle()
    [row] = dated(elm)
    assert row["effectiveDate"][:10] == "2026-12-01"
    waiting = elm.cycle().line(ELM)
    assert (waiting["action"], waiting["reason"]) == ("defer", f"line {row['id']} begins on 2026-12-01")
    elm.pass_time(days=11)
    assert elm.cycle().line(ELM)["action"] == "none"
    assert len(elm.effects) == 1
    assert charged(invoiced(elm, ELM), [row]) == Decimal("60.00")


def test_an_added_line_that_somebody_removed_waits_for_a_person(elm: Stage) -> None:
    elm.cycle()
    [row] = dated(elm)
    del elm.psa.tables["additions"][row["id"]]
    elm.pass_time(hours=1)
    for _ in range(2):
        done = elm.cycle()
        assert done.status == 3
        assert done.line(ELM)["action"] == "hold"
        assert "foreign edit" in done.line(ELM)["findings"]
        assert f"syncd added line {row['id']}, and it is no longer there" in done.line(ELM)["reason"]
    assert [one.what for one in elm.effects] == ["create_addition"]
    elm.run("approve", "--all", "--by", "Dana", "--now")
    assert [one["state"] for one in elm.entries()] == ["posted", "posted"]
    assert elm.quantity(ELM, "VISIO-P2") == 3


def test_an_added_line_that_the_list_does_not_show_yet_is_not_added_again(elm: Stage) -> None:
    """The list may lag behind what was read back a moment ago."""
    elm.cycle()
    [row] = dated(elm)
    number = row["id"]
    del elm.psa.tables["additions"][number]
    elm.pass_time(minutes=2)
    done = elm.cycle()
    assert done.line(ELM)["action"] == "settle"
    elm.psa.tables["additions"][number] = row
    assert elm.cycle().line(ELM)["action"] == "none"
    assert [one.what for one in elm.effects] == ["create_addition"]


def test_a_dated_line_that_the_list_does_not_show_yet_is_not_posted_again(alder: Stage) -> None:
    alder.cycle()
    [row] = dated(alder)
    del alder.psa.tables["additions"][row["id"]]
    alder.pass_time(minutes=2)
    assert alder.cycle().line(ALDER)["action"] == "settle"
    assert len(alder.effects) == 1


def test_a_dated_line_that_somebody_removed_is_told_and_not_posted_again(alder: Stage) -> None:
    alder.cycle()
    [row] = dated(alder)
    del alder.psa.tables["additions"][row["id"]]
    alder.pass_time(hours=1)
    done = alder.cycle()
    assert "foreign edit" in done.line(ALDER)["findings"]
    assert len(alder.effects) == 1


def test_a_description_names_everybody_behind_the_number(alder: Stage) -> None:
    alder.map(line_rule(description="{product}, {period}: {used} seats ({subjects})"))
    alder.cycle()
    [row] = dated(alder)
    people = sorted(one.sign_in for one in alder.company(ALDER).people)
    assert len(people) == 27
    assert row["invoiceDescription"] == f"Microsoft 365 Business Premium, 2026-11: 27 seats ({', '.join(people)})"


def test_customers_without_the_product_get_no_line(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(3)
    stage.map(line_rule(), only=(CEDAR,))
    assert stage.cycle().line(CEDAR)["action"] == "none"
    assert stage.writes() == []
