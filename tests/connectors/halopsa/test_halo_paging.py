"""Lists are read to their end by what came back, or not believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import Bench
from werkzeug.wrappers import Response

from syncd.errors import VendorError
from syncd.model import Absent, Operation, Posting, State


def pages(bench: Bench, path: str = "/api/Client") -> list[tuple[str, str]]:
    return [(one.query["page_no"], one.query["page_size"]) for one in bench.double.requests if one.path == path]


def test_a_hundred_and_some_rows_are_all_there(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=130)

    assert len(bench.connect().customers()) == 130
    assert pages(bench) == [("1", "100"), ("2", "100")] * 2  # read twice: several pages can hide a row that slid


@pytest.mark.parametrize("skips", [False, True], ids=["after what came", "after what was asked"])
@pytest.mark.parametrize("cap", [1, 3, 50])
def test_a_cap_below_the_size_asked_loses_nothing(make_bench: Callable[..., Bench], cap: int, skips: bool) -> None:
    bench = make_bench(customers=8 if cap < 50 else 60, longest_page=cap, skips_what_was_asked=skips)

    assert len(bench.connect().customers()) == (8 if cap < 50 else 60)


def test_one_page_is_one_request(bench: Bench) -> None:
    bench.connect().customers()

    assert pages(bench) == [("1", "100")]


def test_a_bare_list_is_read_too(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(bare=("Client",))

    assert len(bench.connect().customers()) == 3


@contextmanager
def answering(bench: Bench, path: str, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """Answers of one path with their content changed."""
    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Response:
        response = honest(request, fault)
        if request.path == path and response.status_code == 200:
            response.set_data(json.dumps(change(json.loads(response.get_data()))))
        return response

    bench.double._answer = answer  # type: ignore[method-assign]
    try:
        yield
    finally:
        bench.double._answer = honest  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda told: {**told, "clients": told["clients"][1:]}, "incomplete"),
        (lambda told: {**told, "record_count": 2}, "incomplete"),
        (lambda told: {**told, "record_count": 4}, "incomplete"),
        (lambda told: {**told, "clients": None}, "malformed"),
        (lambda told: {"record_count": 3}, "malformed"),
        (lambda told: {**told, "others": []}, "malformed"),
        (lambda told: {**told, "clients": [{"name": "no id"}]}, "malformed"),
        (lambda told: {**told, "clients": [], "record_count": 0}, "incomplete"),
        (lambda told: "soon", "malformed"),
    ],
)
def test_a_list_that_does_not_add_up_is_no_list(bench: Bench, change: Callable[[Any], Any], code: str) -> None:
    with answering(bench, "/api/Client", change), pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == code


def test_lines_that_were_asked_for_and_left_out_are_no_empty_invoice(bench: Bench) -> None:
    def without(told: dict[str, Any]) -> dict[str, Any]:
        return {**told, "invoices": [{k: v for k, v in row.items() if k != "lines"} for row in told["invoices"]]}

    with answering(bench, "/api/RecurringInvoice", without), pytest.raises(VendorError, match="lines") as failed:
        list(bench.connect().lines([bench.customer()], bench.moment))
    assert failed.value.code == "malformed"


def test_time_entries_that_come_cut_short_are_asked_for_in_halves(make_bench: Callable[..., Bench]) -> None:
    calm = make_bench().reading("hours")
    cut = make_bench(longest_list=4).reading("hours")

    assert cut.state is State.KNOWN
    assert cut.counts == calm.counts
    assert make_bench(longest_list=1).reading("hours").state is State.UNKNOWN  # several in one half day: not provable


@pytest.mark.parametrize("cap", [0, 3])
def test_a_single_answer_without_a_count_proves_nothing(make_bench: Callable[..., Bench], cap: int) -> None:
    """Cut short it would look the same: hours would be lost in silence."""
    reading = make_bench(bare=("Actions",), longest_list=cap).reading("hours")

    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert "no record_count" in reading.reason


def test_a_bare_list_of_teams_is_believed(make_bench: Callable[..., Bench]) -> None:
    """It is short, and one that lacks a team only refuses a ticket."""
    posting = Posting(
        operation=Operation.OPEN_TICKET, key="t1", marker="sd-t1-ticket", customer_id="101", quantity=Decimal(0),
        description="2 seats", options={"board": "billing", "summary": "2 seats are not billed"},
    )  # fmt: skip

    assert isinstance(make_bench(bare=("Team",)).connect().find(posting), Absent)


def test_throttling_without_a_wait_is_waited_out(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(retry_after="")
    bench.double.fail("throttle", path="/api/Client", times=2)

    assert len(bench.connect().customers()) == 3
