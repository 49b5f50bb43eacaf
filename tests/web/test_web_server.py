"""The pages over a real socket: the thread, the port, the end."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from web_kit import board_with, clock, cycle, line, plan

from syncd.errors import SyncdError
from syncd.ledger import Ledger
from syncd.web import Server


@pytest.fixture
def server(shared_ledger: Ledger) -> Iterator[Server]:
    running = Server("127.0.0.1", 0, board_with(cycle(plan(line()))), shared_ledger, clock)
    yield running
    running.stop()


def ask(port: int, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.body = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def test_it_serves_and_does_not_say_by_what(server: Server) -> None:
    answer = ask(server.port, "/readyz")

    assert answer.status == 200
    assert answer.getheader("server") is None
    assert answer.getheader("x-content-type-options") == "nosniff"
    assert server.url == f"http://127.0.0.1:{server.port}"


def test_many_readers_at_once_are_served(server: Server) -> None:
    statuses: list[int] = []
    readers = [threading.Thread(target=lambda: statuses.append(ask(server.port, "/ledger").status)) for _ in range(16)]
    for one in readers:
        one.start()
    for one in readers:
        one.join()

    assert statuses == [200] * 16


def test_a_taken_port_is_told_with_the_way_out(server: Server, shared_ledger: Ledger) -> None:
    with pytest.raises(SyncdError, match=rf"\[web\] › listen: 127.0.0.1:{server.port} cannot be listened on"):
        Server("127.0.0.1", server.port, board_with(None), shared_ledger, clock)


def test_after_the_end_nobody_listens(shared_ledger: Ledger) -> None:
    running = Server("127.0.0.1", 0, board_with(None), shared_ledger, clock)
    assert ask(running.port, "/healthz").status == 200
    running.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port), timeout=1)
    assert not [one for one in threading.enumerate() if one.name == "web"]
