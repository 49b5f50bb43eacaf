"""A sign-in that the vendor puts off: short waits are waited, a long one is left to a later cycle: nothing sleeps."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from werkzeug.wrappers import Response as Answer

from syncd.connect.auth import BearerToken, signed_in
from syncd.connect.http import Http, Request, Response
from syncd.connect.limits import Gate
from syncd.connect.retry import Again, retry_after
from syncd.errors import VendorError
from syncd.sandbox.kit import Double, Running, serve

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Renewed(BearerToken):
    """Asks for a token with each request, as a rotating one does when it is over."""

    def __init__(self, url: str) -> None:
        self.url = url

    def _current(self, refused: str) -> Generator[Request, Response, str]:
        reply = signed_in((yield Request("POST", self.url)))
        if reply.status != 200:
            put_off = VendorError("throttled", "the sign-in was put off", status=reply.status)
            raise Again(put_off, retry_after(reply.headers.get("retry-after"), NOON))
        return "good"


class House:
    """A vendor whose sign-in says "later" `times` times, and the way there."""

    def __init__(self, wait: str, times: int) -> None:
        self.asked, self.kept = 0, dict[str, datetime]()
        self.stop = threading.Event()
        double = Double("house")

        def token(_: object) -> Answer:
            self.asked += 1
            late = self.asked <= times
            return Answer("later", 429, headers={"Retry-After": wait}) if late else Answer("{}", 200)

        double.route("POST", "/token", token)
        double.route("GET", "/rows", lambda _: [1])
        self.running: Running = serve(double)
        gate = Gate(
            concurrency=2, requests_per_minute=None, patience=timedelta(seconds=5), now=lambda: NOON, stop=self.stop,
            remember=self.kept.__setitem__,
        )  # fmt: skip
        self.gate = gate
        self.http = Http(self.running.url, gate=gate, first_wait=0.01, auth=Renewed(f"{self.running.url}/token"))


@pytest.fixture
def made() -> Iterator[list[House]]:
    houses: list[House] = []
    yield houses
    for one in houses:
        one.http.close()
        one.running.stop()


def test_a_days_wait_defers_the_connection(made: list[House]) -> None:
    made.append(house := House("86000", times=99))
    # Should it sleep after all, the test ends all the same.
    waker = threading.Timer(3, house.stop.set)
    waker.start()
    with pytest.raises(VendorError) as caught:
        house.http.read("rows")
    waker.cancel()
    assert caught.value.code == "deferred"
    assert house.asked == 1
    assert house.kept == {"": NOON + timedelta(seconds=86000)}  # a later process does not ask before
    with pytest.raises(VendorError, match="pause"):
        house.http.read("rows")
    assert house.asked == 1


def test_a_short_wait_is_waited(made: list[House]) -> None:
    made.append(house := House("0.05", times=2))
    assert house.http.read("rows").parse(list[int]) == [1]
    assert house.asked == 3
