"""A write leaves once, whatever comes back: no answer, half an answer, "not now", or an order to go elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from werkzeug.wrappers import Request, Response

from syncd.connect.http import Http, Reply
from syncd.connect.limits import Gate
from syncd.connect.outcome import outcome
from syncd.connect.retry import ATTEMPTS
from syncd.errors import VendorError
from syncd.model import NotSent, Outcome, Receipt, Refused, Unknown, Wire
from syncd.sandbox.kit import Double, Running, serve

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WIRE = Wire("PATCH", "lines/7", b"{}")


class Vendor:
    """Two lines, of which one answers as it is told; counts what was changed."""

    def __init__(self) -> None:
        self.answer: Response | None = None
        self.double = Double("vendor")
        for method in ("PATCH", "GET"):
            self.double.route(method, "/lines/<int:number>", self._line)
        self.running: Running = serve(self.double)
        gate = Gate(concurrency=2, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)
        self.http = Http(self.running.url, gate=gate, timeout=1.0, first_wait=0.001)

    def _line(self, request: Request, number: int) -> Response | dict[str, int]:
        if request.method == "PATCH":
            self.double.effect("change", number)
        return self.answer if self.answer and number == 7 else {"quantity": 27}

    def send(self) -> Outcome:
        """Sends, and reads the answer as a connector does: it must show the quantity."""
        return outcome(
            self.http.send(WIRE),
            receipt=lambda reply: Receipt("7") if reply.try_parse(dict[str, int]) == {"quantity": 27} else None,
            refused=lambda reply: Refused("invalid", "no") if reply.try_parse(dict[str, str]) else None,
            throttled_is_harmless=False,
        )

    def asked(self, method: str) -> list[str]:
        return [one.path for one in self.double.requests if one.method == method]


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.http.close()
    made.running.stop()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 527])
def test_a_write_is_not_repeated_on_not_now(vendor: Vendor, status: int) -> None:
    vendor.answer = Response('{"message": "busy"}', status, headers={"Retry-After": "0"})
    assert isinstance(vendor.send(), Unknown)
    assert vendor.asked("PATCH") == ["/lines/7"]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "truncate", "500_after"])
def test_a_write_without_a_whole_answer_is_unknown_and_leaves_once(vendor: Vendor, fault: str) -> None:
    vendor.double.fail(fault)
    assert isinstance(vendor.send(), Unknown)
    assert vendor.asked("PATCH") == ["/lines/7"]


def test_the_same_troubles_are_read_over(vendor: Vendor) -> None:
    """So that the tests above are about writing, and not about a way out that repeats nothing at all."""
    vendor.double.fail("drop_after")
    vendor.double.fail("500_before")
    assert isinstance(vendor.http.read("lines/7"), Reply)
    assert len(vendor.asked("GET")) == 3
    vendor.answer = Response("busy", 502)
    with pytest.raises(VendorError):
        vendor.http.read("lines/7")
    assert len(vendor.asked("GET")) == 3 + ATTEMPTS


def test_an_answer_that_cannot_be_unpacked_is_read_again_and_never_written_again(vendor: Vendor) -> None:
    """A middlebox that breaks the encoding: the write may have been done, and one read's trouble is its own."""
    vendor.answer = Response("not gzip at all", 200, headers={"Content-Encoding": "gzip"})
    told = vendor.http.send(WIRE)
    assert isinstance(told, Unknown)
    assert "an encoding that cannot be undone" in told.reason
    assert vendor.asked("PATCH") == ["/lines/7"]
    with pytest.raises(VendorError, match="cannot be undone") as failed:
        vendor.http.read("lines/7")
    assert failed.value.code == "malformed"
    assert len(vendor.asked("GET")) == ATTEMPTS


@pytest.mark.parametrize("link", ["https://vendor.test:99999/next", "http://[/next", "https://vendor.test:port/next"])
def test_a_link_that_is_no_address_is_an_answer_of_another_shape(vendor: Vendor, link: str) -> None:
    with pytest.raises(VendorError, match="is no address") as failed:
        vendor.http.read(link)
    assert failed.value.code == "malformed"
    assert vendor.double.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(vendor: Vendor, status: int) -> None:
    vendor.answer = Response("", status, headers={"Location": "/lines/8"})
    assert isinstance(vendor.send(), Unknown)
    with pytest.raises(VendorError, match="redirect"):
        vendor.http.read("lines/7")
    assert {one.path for one in vendor.double.requests} == {"/lines/7"}


@pytest.mark.parametrize("body", ["{}", '{"quantity": 26}', "", "<html>sign in</html>", '{"quantity": 2'])
def test_a_success_that_does_not_show_what_was_asked_is_unknown(vendor: Vendor, body: str) -> None:
    vendor.answer = Response(body, 200, mimetype="application/json")
    assert isinstance(vendor.send(), Unknown)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422])
def test_only_the_vendors_own_words_are_a_refusal(vendor: Vendor, status: int) -> None:
    vendor.answer = Response('{"message": "no"}', status)
    assert isinstance(vendor.send(), Refused)
    vendor.answer = Response("<html>a proxy says no</html>", status)
    assert isinstance(vendor.send(), Unknown)


def test_a_write_takes_a_connection_of_its_own(vendor: Vendor) -> None:
    """A kept one may be dead, and then nobody knows whether the request arrived."""
    asked: list[tuple[str, tuple[str, int]]] = []

    class Keeping(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections, unlike the doubles

        def _answer(self) -> None:
            asked.append((self.command, self.client_address))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_PATCH = _answer  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Keeping) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        http = Http(f"http://127.0.0.1:{server.server_port}", gate=vendor.http.gate, timeout=1.0, first_wait=0.001)
        for _ in range(2):
            assert isinstance(http.send(WIRE), Reply)
            http.read("lines/7")
        http.close()
        server.shutdown()
    ways = {method: {address for name, address in asked if name == method} for method, _ in asked}
    assert {method: len(addresses) for method, addresses in ways.items()} == {"PATCH": 2, "GET": 1}


def test_a_host_that_is_not_there_was_not_reached(vendor: Vendor) -> None:
    vendor.running.stop()
    assert isinstance(vendor.http.send(WIRE), NotSent)
