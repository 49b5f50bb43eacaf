"""Xero's limits: by the minute, by the day, at once. Nothing sleeps for hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from xero_kit import Bench

from syncd.clock import real_now
from syncd.connect.limits import Gate
from syncd.errors import VendorError
from syncd.model import Absent, NotSent, Receipt, Unknown

Make = Callable[..., Bench]


def gate(**fields: Any) -> Gate:
    return Gate(concurrency=4, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now, **fields)


@pytest.mark.parametrize("retry_after", [None, ""], ids=["named", "not named"])
def test_a_day_that_is_used_up_defers_the_connection_and_is_remembered(
    make_bench: Make, retry_after: str | None
) -> None:
    held: list[Any] = []
    bench = make_bench(retry_after=retry_after)
    bench.gate = gate(remember=lambda scope, until: held.append(until))
    bench.double.per_day = 2
    began = time.monotonic()
    connection = bench.connect()
    for _ in range(2):
        connection._api.read("Items", urgent=True)
    with pytest.raises(VendorError) as failed:
        connection._api.read("Items", urgent=True)

    assert failed.value.code == "deferred"
    assert time.monotonic() - began < 30
    assert bench.gate.remaining() > 3000
    assert held
    seen = len(bench.double.requests)
    with pytest.raises(VendorError, match="later one takes it up"):
        bench.connect().customers()
    assert len(bench.double.requests) == seen  # nobody asks before the vendor's time is over


def test_the_last_calls_of_a_day_are_kept_for_postings(make_bench: Make) -> None:
    bench = make_bench(per_day=90)
    connection = bench.connect()
    connection.sign_in()

    with pytest.raises(VendorError, match="kept for postings") as failed:
        connection.products()
    assert failed.value.code == "deferred"
    assert isinstance(connection.find(bench.line()), Absent)
    assert isinstance(bench.post(bench.line(), connection), Receipt)


def test_a_full_minute_is_waited_for_as_long_as_xero_says(make_bench: Make) -> None:
    bench = make_bench(retry_after="1")
    bench.double.fail("throttle", path="/Organisation")
    began = time.monotonic()
    bench.connect().sign_in()

    assert 0.9 < time.monotonic() - began < 30
    assert len(bench.asked("/Organisation")) == 2


def test_a_refusal_that_names_no_wait_is_repeated_soon(make_bench: Make) -> None:
    bench = make_bench(at_once=0)
    connection = bench.connect()
    with pytest.raises(VendorError, match="concurrent limit") as failed:
        connection.sign_in()
    assert failed.value.code == "throttled"
    assert len(bench.asked("/Organisation")) == 6
    bench.double.at_once = 5
    assert bench.connect().sign_in().identity


def test_the_minutes_last_call_is_not_spent_on_a_refusal(make_bench: Make) -> None:
    bench = make_bench(per_minute=1)
    bench.patience = timedelta(0)
    connection = bench.connect()
    connection.sign_in()

    assert bench.gates[0].remaining() > 50
    with pytest.raises(VendorError) as failed:
        connection.products()
    assert failed.value.code == "deferred"
    assert [one.status for one in bench.double.requests].count(429) == 0


def test_a_throttled_write_is_looked_for_and_its_wait_obeyed(make_bench: Make) -> None:
    bench = make_bench(retry_after="66975")
    connection = bench.connect()
    posting = bench.line()
    connection.find(posting)
    bench.double.fail("throttle", method="PUT")

    assert isinstance(connection.send(posting, connection.wire(posting)), Unknown)
    again = connection.send(posting, connection.wire(posting))
    assert isinstance(again, NotSent)
    assert again.wait > 60_000
    assert len([one for one in bench.double.requests if one.method == "PUT"]) == 1


def test_five_at_once_are_never_exceeded(make_bench: Make) -> None:
    bench = make_bench(at_once=3)
    bench.double.latency = 0.05
    bench.gate = Gate(concurrency=3, requests_per_minute=None, patience=timedelta(seconds=5), now=real_now)
    connection = bench.connect()
    connection.sign_in()
    with ThreadPoolExecutor(9) as threads:
        list(threads.map(lambda _: connection._api.read("Items"), range(9)))
    assert [one.status for one in bench.double.requests if one.status == 429] == []

    with pytest.raises(ValidationError, match="less than or equal to 5"):
        bench.connect(concurrency=6)
