"""What programs read: the JSON of each command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from stage import ALDER, BIRCHWOOD, CEDAR, PREMIUM, STANDARD, Stage, rule

# INTERFACE 4, in its order.
PLAN_KEYS = ["cycle", "as_of", "mode", "checksum", "lines", "unmapped", "tie_out", "errors"]
LINE_KEYS = (
    "id customer rule connection bought used billed invoiced states target difference amount currency findings "
    "action reason guards worth"
).split()
ENTRY_KEYS = (
    "id key cycle customer rule connection operation period from to amount currency state remote_id attempts "
    "decided_by created_at settled_at hash"
).split()
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?")


def numbers(value: Any) -> Iterator[Any]:
    """Every number of a JSON document."""
    if isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_the_json_of_a_plan_is_what_is_promised(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(3)
    stage.map(
        rule("Business Premium", PREMIUM, bought={"from": "m365", "sku": PREMIUM, "measure": "purchased"}),
        only=(ALDER, BIRCHWOOD),
    )
    stage.break_tenant(BIRCHWOOD, "forbidden")
    plan = stage.plan().json
    assert list(plan) == PLAN_KEYS
    assert plan["as_of"] == "2026-11-20T10:00:00-06:00"
    assert plan["mode"] == "post"
    assert re.fullmatch("[0-9a-f]{64}", plan["checksum"])
    assert list(numbers(plan)) == []  # decimals are text
    assert [list(line) for line in plan["lines"]] == [LINE_KEYS] * 2
    alder, birchwood = plan["lines"]
    assert (alder["bought"], alder["used"], alder["invoiced"]) == ("28", "27", None)
    assert alder["states"] == {"bought": "known", "used": "known", "billed": "known"}
    assert alder["findings"] == ["leakage", "shelfware"]
    assert (birchwood["used"], birchwood["target"], birchwood["amount"]) == (None, None, None)
    assert birchwood["states"]["used"] == "unknown"
    assert birchwood["action"] == "blocked"
    assert plan["unmapped"] == {
        "customers": [{"connection": "m365", "id": stage.company(CEDAR).tenant_id, "name": CEDAR}],
        "products": [],
    }
    assert [sorted(error) for error in plan["errors"]] == [["code", "connection", "customer", "message"]]
    assert (plan["errors"][0]["customer"], plan["errors"][0]["code"]) == (BIRCHWOOD, "forbidden")


def test_unmapped_products_are_told_with_their_quantity(stage: Stage) -> None:
    [product] = [one for one in stage.plan().json["unmapped"]["products"] if one["sku"] == STANDARD]
    assert product == {
        "connection": "m365",
        "sku": STANDARD,
        "name": "Microsoft 365 Business Standard",
        "quantity": "8",
        "customers": [CEDAR],
    }


def test_the_json_of_the_ledger_is_what_is_promised(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(4)
    stage.cycle()
    for shown in (stage.run("ledger", "--json").json, stage.run("held", "--json").json):
        assert list(shown) == ["entries"]
        for entry in shown["entries"]:
            assert list(entry)[: len(ENTRY_KEYS)] == ENTRY_KEYS
            assert list(numbers(entry)) == [entry["attempts"]]
            assert NUMBER.fullmatch(entry["from"])
            assert NUMBER.fullmatch(entry["to"])
            assert re.fullmatch(r"-?\d+\.\d\d", entry["amount"])
    posted = stage.entry("--state", "posted")
    assert posted["settled_at"] is not None
    held = stage.entry("--state", "held")
    assert (held["attempts"], held["settled_at"], held["remote_id"]) == (0, None, None)


def test_fractions_stay_exact_from_count_to_posting(stage: Stage) -> None:
    stage.map(
        rule("Business Premium", PREMIUM, count={"from": "m365", "sku": PREMIUM, "measure": "assigned", "factor": 1.1}),
        only=(ALDER,),
    )
    done = stage.cycle()
    line = done.line(ALDER)
    assert (line["used"], line["target"], line["difference"], line["amount"]) == ("29.7", "29.7", "4.7", "131.60")
    [request] = stage.writes()
    assert '"value":29.7}' in request.body
    assert stage.quantity(ALDER) == Decimal("29.7")
    assert stage.cycle().line(ALDER)["action"] == "none"


def test_a_fixed_clock_says_so_on_standard_error(stage: Stage) -> None:
    done = stage.plan()
    assert "SYNCD_NOW" in done.err
    assert "2026-11-20T10:00:00-06:00" in done.err
    wrong = stage.plan(SYNCD_NOW="yesterday")
    assert wrong.status == 2
    assert "SYNCD_NOW" in wrong.err
    assert wrong.out == ""


def test_tables_show_what_others_wrote_as_plain_text(raise_stage: Callable[..., Stage]) -> None:
    stage = raise_stage(1)
    name = "Smith [bold]& Co[/] \x1b[31m"
    stage.map(rule("Business Premium", PREMIUM), AlderDental={"name": name})
    shown = stage.run("plan")
    assert shown.status == 3
    assert "Smith [bold]& Co[/]" in shown.out
    assert "\x1b" not in shown.out
    assert "1 leaking (56.00 USD a period)" in shown.out
    done = stage.run("run", "--once")
    assert done.status == 0
    assert "25 → 27" in done.out
    assert "Smith [bold]& Co[/]" in stage.run("ledger").out


def test_check_signs_in_and_posts_nothing(stage: Stage) -> None:
    done = stage.run("check", "--json")
    assert done.status == 0, done.out
    assert {(one["name"], one["ok"]) for one in done.json["connections"]} == {("cw", True), ("m365", True)}
    assert (done.json["faults"], done.json["errors"]) == ([], [])
    assert stage.foreign_writes() == []


@pytest.mark.slow
def test_check_waits_for_a_vendor_that_is_down_once_and_not_long(stage: Stage) -> None:
    stage.configure(cw={"retry_wait": "1s"})
    stage.psa_serving.stop()
    began = time.monotonic()
    done = stage.run("check", "--json")
    assert time.monotonic() - began < 30  # a cycle waits longer than this before it gives one reading up
    assert done.status == 1
    assert [(one["name"], one["ok"]) for one in done.json["connections"]] == [("cw", False), ("m365", True)]
    assert len(done.json["errors"]) == 1
    assert "cannot be reached" in done.json["errors"][0]


def test_check_offline_asks_nobody(stage: Stage) -> None:
    done = stage.run("check", "--offline", M365_CLIENT_SECRET="")
    assert done.status == 0, done.err
    assert stage.psa.requests == stage.graph.double.requests == []
