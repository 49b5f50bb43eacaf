"""A vendor's wait and a write: short ones are kept, long ones leave the write to a later cycle, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from werkzeug.wrappers import Request, Response

from syncd.connect.http import Http, Reply
from syncd.connect.limits import LONGEST_HOLD, Gate
from syncd.connect.outcome import outcome
from syncd.errors import VendorError
from syncd.model import NotSent, Receipt, Refused, Unknown, Wire
from syncd.sandbox.kit import Double, Running, serve

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WIRE = Wire("PATCH", "lines/7", b"{}")


class Vendor:
    """A vendor of one route, a connection to it, and what it remembered."""

    def __init__(self) -> None:
        self.retry_after = "600"
        self.double = Double("vendor", throttled=lambda: Response("slow down", 429, {"Retry-After": self.retry_after}))
        self.double.route("PATCH", "/lines/7", self._change)
        self.double.route("GET", "/lines/7", lambda request: {"quantity": 27})
        self.running: Running = serve(self.double)
        self.remembered: list[tuple[str, datetime]] = []

    def _change(self, request: Request) -> dict[str, int]:
        self.double.effect("change", 7)
        return {"quantity": 27}

    def gate(self, waits: dict[str, datetime] | None = None) -> Gate:
        return Gate(
            concurrency=2,
            requests_per_minute=None,
            patience=timedelta(minutes=10),
            now=lambda: NOW,
            remember=lambda scope, until: self.remembered.append((scope, until)),
            waits=waits,
        )

    def http(self, gate: Gate | None = None, timeout: float = 1.0) -> Http:
        return Http(self.running.url, gate=gate or self.gate(), timeout=timeout, first_wait=0.01)

    def asked(self, method: str) -> int:
        return sum(1 for one in self.double.requests if one.method == method)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.running.stop()


def test_a_write_does_not_sleep_through_a_long_pause(vendor: Vendor) -> None:
    http = vendor.http()
    http.gate.hold(300)
    began = time.monotonic()
    answer = http.send(WIRE)
    assert time.monotonic() - began < 10
    assert isinstance(answer, NotSent)
    assert 299 <= answer.wait <= 300
    assert "longer than a cycle" in answer.reason
    assert vendor.double.requests == []


def test_a_short_pause_is_kept_and_then_the_write_leaves(vendor: Vendor) -> None:
    http = vendor.http()
    http.gate.hold(0.2)
    began = time.monotonic()
    answer = http.send(WIRE)
    assert time.monotonic() - began >= 0.2
    assert isinstance(answer, Reply)
    assert len(vendor.double.effects) == 1


def test_a_throttled_write_is_remembered_and_the_look_after_it_does_not_sleep(vendor: Vendor) -> None:
    http = vendor.http()
    http.gate.hasten(1.0)  # postings have begun
    vendor.double.fail("throttle", method="PATCH")
    answer = http.send(WIRE)
    assert isinstance(answer, Reply)
    assert vendor.remembered == [("", NOW + timedelta(seconds=600))]
    began = time.monotonic()
    with pytest.raises(VendorError) as deferred:
        http.read("lines/7")
    assert time.monotonic() - began < 10
    assert deferred.value.code == "deferred"
    assert vendor.asked("GET") == 0


def test_a_wait_of_an_earlier_process_holds_back_a_write(vendor: Vendor) -> None:
    http = vendor.http(vendor.gate({"": NOW + timedelta(minutes=4)}))
    answer = http.send(WIRE)
    assert isinstance(answer, NotSent)
    assert 239 <= answer.wait <= 240


@pytest.mark.parametrize("named", ["9" * 30, "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_senseless_wait_is_cut_and_breaks_nothing(vendor: Vendor, named: str) -> None:
    vendor.retry_after = named
    vendor.double.fail("throttle", method="PATCH")
    assert isinstance(vendor.http().send(WIRE), Reply)
    assert vendor.remembered == [("", NOW + timedelta(seconds=LONGEST_HOLD))]


@pytest.mark.parametrize(
    ("harmless", "retry_after", "expected"),
    [(True, "600", NotSent), (True, None, NotSent), (False, "600", Unknown)],
)
def test_what_a_throttled_write_means_is_the_vendors_word(
    harmless: bool, retry_after: str | None, expected: type[object]
) -> None:
    reply = Reply(429, {"retry-after": retry_after} if retry_after else {}, b"slow down", "PATCH /lines/7")
    nothing: Callable[[Reply], Receipt | Refused | None] = lambda reply: None  # noqa: E731
    meant = outcome(reply, receipt=nothing, refused=nothing, throttled_is_harmless=harmless)  # type: ignore[arg-type]
    assert isinstance(meant, expected)
    if isinstance(meant, NotSent):
        assert meant.wait == Decimal(retry_after or 0)
