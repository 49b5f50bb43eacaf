"""/healthz, /readyz and /metrics: what they say in each state, and that they name no customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from web_kit import NOW, Browser, board_with, config, cycle, intent, line, one_cycle, plan

from syncd.core.logins import Login
from syncd.core.policy import Action
from syncd.core.resolve import ReadError
from syncd.ledger import Ledger
from syncd.web.board import Board


def reasons(board: Board, ledger: Ledger) -> tuple[int, list[str]]:
    """Status of /readyz, and the first word of each reason."""
    answer = Browser(board, ledger).get("/readyz")
    return answer.status, [one.partition(":")[0] for one in answer.json["reasons"]]


def test_before_the_first_cycle_it_lives_and_is_not_ready(shared_ledger: Ledger) -> None:
    board = board_with(None)

    assert reasons(board, shared_ledger) == (503, ["starting"])
    assert Browser(board, shared_ledger).get("/healthz").json == {"ok": True, "reasons": []}


def test_after_a_cycle_it_is_ready_also_where_a_vendor_failed(shared_ledger: Ledger) -> None:
    failing = plan(line(), errors=(ReadError("m365", "", "unavailable", "m365 does not answer"),))

    assert reasons(board_with(cycle(failing)), shared_ledger) == (200, [])


def test_each_trouble_turns_it_red_until_it_is_over(shared_ledger: Ledger) -> None:
    board = board_with(cycle(plan(line())))
    seen: list[Any] = []
    board.faulty(("mappings/x.toml › [[rule]]: Contoso Dental", "two"))
    seen.append(reasons(board, shared_ledger))
    board.configured(config())
    board.failed("the disk is full")
    seen.append(reasons(board, shared_ledger))
    board.began()
    board.ended_well(cycle(plan(line())), NOW, (1, "ab"))
    board.doubted("the clock moved")
    seen.append(reasons(board, shared_ledger))
    board.doubted("")
    seen.append(reasons(board, shared_ledger))
    board.broke("the record was altered")
    seen.append(reasons(board, shared_ledger))
    board.stops()
    seen.append(reasons(board, shared_ledger))

    assert seen == [
        (503, ["config_invalid"]),
        (503, ["cycle_failed"]),
        (503, ["clock_doubted"]),
        (200, []),
        (503, ["ledger_broken"]),
        (503, ["stopping", "ledger_broken"]),
    ]


def test_readiness_repeats_nothing_that_names_a_customer(shared_ledger: Ledger) -> None:
    board = board_with(cycle(plan(line("Contoso Dental"))))
    board.faulty(('mappings/x.toml › customer "Contoso Dental": no',))
    board.failed("Contoso Dental broke it")
    board.broke("entry of Contoso Dental was altered")
    board.doubted("Contoso")

    assert "Contoso" not in Browser(board, shared_ledger).get("/readyz").text


def test_a_cycle_that_never_ends_is_stuck(shared_ledger: Ledger) -> None:
    passed = 0.0

    def monotonic() -> float:
        return passed

    board = Board(monotonic)
    board.configured(config())
    board.began()
    browser = Browser(board, shared_ledger)
    passed = 4 * 3600.0
    on_time = browser.get("/healthz")
    passed += 1
    stuck = browser.get("/healthz")

    assert (on_time.status, stuck.status) == (200, 503)
    assert stuck.json["reasons"] == ["cycle_stuck: the running cycle takes longer than 14400 s"]


def test_cycles_that_no_longer_come_are_told_unless_a_crontab_says_when(shared_ledger: Ledger) -> None:
    passed = 0.0

    def monotonic() -> float:
        return passed

    found = []
    for cron in ("", "0 6 1 * *"):
        passed = 0.0
        board = Board(monotonic)
        board.configured(config(cron=cron))
        board.failed("once")
        passed = 5 * 3600.0
        found.append(Browser(board, shared_ledger).get("/healthz").json["reasons"])

    assert found == [["cycle_overdue: no cycle began for more than 14400 s"], []]


def samples(text: str) -> dict[str, float]:
    """`name{label=value}` -> value, as a Prometheus server would read them."""
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_last_cycle_found(ledger: Ledger) -> None:
    one_cycle(ledger, intent(1))
    made = plan(
        line("Contoso Dental"),
        line("Fabrikam", action=Action.HOLD, findings=("overbilling", "rival writer: Gradient")),
        line("Northwind", action=Action.BLOCKED, used=None, findings=()),
        errors=(
            ReadError("m365", "", "unavailable", "m365 does not answer"),
            ReadError("cw", "Fabrikam", "not_found", "no Fabrikam"),
        ),
        suspects={"cw": "cw fell by 40%"},
    )
    board = board_with(None)
    browser = Browser(board, ledger)
    board.began()
    board.ended_well(cycle(made, waiting=3, in_doubt=1, entries=tuple(ledger.entries())), NOW, ledger.head())
    found = samples(browser.get("/metrics").text)

    assert {
        name: found[name]
        for name in (
            "syncd_cycles_total{result=incomplete}", "syncd_cycles_total{result=whole}", "syncd_lines{action=hold}",
            "syncd_lines{action=blocked}", "syncd_lines{action=defer}", "syncd_findings{finding=leakage}",
            "syncd_findings{finding=rival writer}", "syncd_findings{finding=shelfware}", "syncd_held",
            "syncd_unknown", "syncd_source_up{connection=m365}", "syncd_source_up{connection=cw}",
            "syncd_source_suspect{connection=cw}", "syncd_unmapped{what=product}", "syncd_requests_total",
            "syncd_entries_total{state=held}", "syncd_ledger_events", "syncd_last_cycle_timestamp_seconds",
            "syncd_source_last_good_timestamp_seconds{connection=cw}",
        )
    } == {
        "syncd_cycles_total{result=incomplete}": 1, "syncd_cycles_total{result=whole}": 0,
        "syncd_lines{action=hold}": 1, "syncd_lines{action=blocked}": 1, "syncd_lines{action=defer}": 0,
        "syncd_findings{finding=leakage}": 1, "syncd_findings{finding=rival writer}": 1,
        "syncd_findings{finding=shelfware}": 0, "syncd_held": 3, "syncd_unknown": 1,
        "syncd_source_up{connection=m365}": 0, "syncd_source_up{connection=cw}": 1,
        "syncd_source_suspect{connection=cw}": 1, "syncd_unmapped{what=product}": 1, "syncd_requests_total": 42,
        "syncd_entries_total{state=held}": 1, "syncd_ledger_events": 1,
        "syncd_last_cycle_timestamp_seconds": NOW.timestamp(),
        "syncd_source_last_good_timestamp_seconds{connection=cw}": NOW.timestamp(),
    }  # fmt: skip
    assert "syncd_source_last_good_timestamp_seconds{connection=m365}" not in found
    assert found["syncd_cycle_duration_seconds_count"] == 1
    assert found[f"syncd_ledger_head_info{{hash={ledger.head()[1]}}}"] == 1


def test_metrics_say_when_a_sign_in_ends(ledger: Ledger) -> None:
    board = board_with(None)
    board.began()
    ends = NOW + timedelta(days=90)
    made = replace(plan(line("Contoso Dental")), logins=(Login("qbo", ends, NOW),))
    board.ended_well(cycle(made), NOW, ledger.head())
    found = samples(Browser(board, ledger).get("/metrics").text)
    assert found["syncd_login_ends_timestamp_seconds{connection=qbo}"] == ends.timestamp()


def test_metrics_name_no_customer_and_no_product(ledger: Ledger) -> None:
    one_cycle(ledger, intent(1, "Contoso Dental"))
    made = plan(
        line("Contoso Dental", findings=("leakage", "rival writer: Contoso Sync")),
        errors=(ReadError("m365", "Contoso Dental", "consent", "Contoso Dental has not agreed"),),
        suspects={"m365": "m365 fell because of Contoso Dental"},
    )
    text = Browser(board_with(cycle(made, entries=tuple(ledger.entries()))), ledger).get("/metrics").text

    assert "Contoso" not in text
    assert "Visio" not in text
    assert "Business" not in text


@pytest.mark.parametrize("minutes", [0, 90])
def test_a_source_keeps_when_it_was_last_read_well(shared_ledger: Ledger, minutes: int) -> None:
    board = board_with(cycle(plan(line())))
    before = board.show().sources[0].last_good
    board.began()
    failing = plan(line(), errors=(ReadError("cw", "", "timeout", "slow"),))
    board.ended_well(cycle(failing), NOW + timedelta(minutes=minutes), (1, "ab"))
    source = {one.name: one for one in board.show().sources}["cw"]

    assert (source.up, source.last_good, source.message) == (False, before, "slow")
