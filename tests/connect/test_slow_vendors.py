"""A vendor that drips: it is never silent, and never done. The whole request has a limit, reading and writing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest

from syncd.connect.http import PATIENCE_FACTOR, Auth, Http, Reply, Request, Response
from syncd.connect.limits import Gate
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SILENCE = 0.1
LONGEST = SILENCE * PATIENCE_FACTOR
DRIP = SILENCE / 10
# Without a limit the answer would be whole after so many seconds, and good.
WHOLE = LONGEST * 4
HEADERS = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
Way = Callable[[socket.socket], None]


def _drip(sock: socket.socket, told: bytes) -> None:
    """One byte now and then, so that all of it takes WHOLE."""
    size = max(len(told) * DRIP / WHOLE, 1)
    for start in range(0, len(told), int(size)):
        sock.sendall(told[start : start + int(size)])
        time.sleep(DRIP)


def headers(sock: socket.socket) -> None:
    _drip(sock, HEADERS + b"x-slow: " + b"a" * 240 + b"\r\ncontent-length: 2\r\n\r\n{}")


def body(sock: socket.socket) -> None:
    sock.sendall(HEADERS + b"content-length: 240\r\n\r\n")
    _drip(sock, b" " * 238 + b"{}")


def chunks(sock: socket.socket) -> None:
    sock.sendall(HEADERS + b"transfer-encoding: chunked\r\n\r\n")
    for _ in range(240):
        sock.sendall(b"1\r\n \r\n")
        time.sleep(DRIP)
    sock.sendall(b"2\r\n{}\r\n0\r\n\r\n")


@contextmanager
def vendor(way: Way) -> Iterator[tuple[str, list[bytes]]]:
    """Its address, and what it was asked, one for each connection."""
    asked: list[bytes] = []
    over = threading.Event()

    def answer(sock: socket.socket) -> None:
        with sock:
            sock.settimeout(WHOLE)
            with suppress(OSError):  # whoever asked goes away: that is what is tested
                asked.append(sock.recv(65_536))
                way(sock)

    def serve(listening: socket.socket) -> None:
        while not over.is_set():
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        over.set()


@contextmanager
def way_out(url: str, auth: Auth | None = None) -> Iterator[Http]:
    gate = Gate(concurrency=2, requests_per_minute=None, patience=timedelta(minutes=1), now=lambda: NOW)
    http = Http(url, gate=gate, timeout=SILENCE, first_wait=0.001, auth=auth)
    yield http
    http.close()


@pytest.mark.parametrize("way", [headers, body, chunks])
def test_a_write_that_is_answered_drop_by_drop_is_unknown_at_its_limit(way: Way) -> None:
    with vendor(way) as (url, asked), way_out(url) as http:
        began = time.monotonic()
        told = http.send(Wire("POST", "lines", b"{}"))
        took = time.monotonic() - began

    assert isinstance(told, Unknown)
    assert "did not answer in time (limit 1 s in all)" in told.reason
    assert took < WHOLE / 2
    assert len(asked) == 1  # and it left once


@pytest.mark.parametrize("way", [headers, pytest.param(body, marks=pytest.mark.slow)])
def test_a_read_ends_at_its_limit_and_is_not_repeated(way: Way) -> None:
    with vendor(way) as (url, asked), way_out(url) as http:
        began = time.monotonic()
        with pytest.raises(VendorError, match=r"did not answer in time \(limit 1 s in all\)") as told:
            http.read("lines")
        assert time.monotonic() - began < WHOLE / 2
    assert told.value.code == "timeout"
    assert len(asked) == 1


def test_the_limit_is_the_requests_own_and_not_the_connections() -> None:
    """Of the pool's kept sockets, one that was slow once is not late for the next request."""

    def two(sock: socket.socket) -> None:
        for _ in range(2):
            time.sleep(SILENCE / 2)
            sock.sendall(HEADERS + b"content-length: 2\r\n\r\n{}")
            sock.recv(65_536)

    with vendor(two) as (url, asked), way_out(url) as http:
        assert isinstance(http.read("lines"), Reply)
        time.sleep(LONGEST)
        assert isinstance(http.read("lines"), Reply)
        assert len(asked) == 1


def test_a_vendor_that_takes_a_request_drop_by_drop_is_given_up() -> None:
    """The peer's window opens a little at a time: no step of the write is ever silent."""

    def sip(sock: socket.socket) -> None:
        for _ in range(240):
            sock.recv(16_384)
            time.sleep(DRIP)

    with vendor(sip) as (url, asked), way_out(url) as http:
        began = time.monotonic()
        told = http.send(Wire("POST", "lines", b" " * 64_000_000))
        took = time.monotonic() - began

    assert isinstance(told, Unknown)  # part of it left
    assert took < WHOLE / 2
    assert len(asked) == 1


def test_a_sign_in_that_drips_ends_with_the_request_that_needs_it() -> None:
    class SignIn(Auth):
        requires_response_body = True

        def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
            yield Request("POST", f"{url}/token")
            yield request

    with vendor(body) as (url, asked), way_out(url, SignIn()) as http:
        began = time.monotonic()
        told = http.send(Wire("POST", "lines", b"{}"))
        assert time.monotonic() - began < WHOLE / 2

    assert isinstance(told, Unknown | NotSent)
    assert [one.split(b" ")[1] for one in asked] == [b"/token"]  # the write itself never left


def test_a_greeting_that_never_ends_is_no_request() -> None:
    """TLS: the peer takes our hello and says its own byte by byte."""

    def hello(sock: socket.socket) -> None:
        _drip(sock, b"\x16\x03\x03\x0f\xff" + b"\x02" * 240)

    with vendor(hello) as (url, _), way_out(url.replace("http:", "https:")) as http:
        began = time.monotonic()
        told = http.send(Wire("POST", "lines", b"{}"))
        assert time.monotonic() - began < WHOLE / 2

    assert isinstance(told, NotSent)


def test_a_vendor_that_answers_is_waited_for() -> None:
    """So that the tests above are about slowness, and not about servers that are never understood."""

    def plain(sock: socket.socket) -> None:
        sock.sendall(HEADERS + b"content-length: 2\r\n\r\n{}")

    with vendor(plain) as (url, _), way_out(url) as http:
        told = http.send(Wire("POST", "lines", b"{}"))
    assert isinstance(told, Reply)
    assert told.body == b"{}"
