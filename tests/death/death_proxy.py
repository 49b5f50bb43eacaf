"""A bad network: a proxy between syncd and the PSA that spoils one request, and lets all others through.

It works on bytes and knows nothing of what they mean, except where a request ends.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# What becomes of the struck request: whether the vendor receives it, and how often.
DELIVERED = {
    "reset before": 0,  # broken off before a byte was read
    "reset during": 0,  # broken off in the middle of the request
    "reset after": 1,  # delivered, and broken off
    "silence before": 0,  # read, never delivered, never answered
    "silence after": 1,  # delivered, never answered
    "half open": 0,  # the connection stands, nobody reads
    "slow loris": 1,  # the body comes byte by byte, each just in time
    "garbage": 1,  # the answer is no HTTP
    "too long": 1,  # the answer announces more than it brings
    "too short": 1,  # the answer announces less than it brings
    "not TLS": 0,  # the other side speaks TLS
    "twice": 2,  # the request is delivered twice
    "late": 0,  # broken off; delivered when `deliver` is called
}


@dataclass
class Strike:
    """The `nth` request of this method and path is struck."""

    kind: str
    method: str
    path: str
    nth: int = 1


@dataclass
class Proxy:
    """Listens until `close`. `kept`: requests that are under way for longer. `struck`: whether it came to that."""

    upstream: str
    strike: Strike | None = None
    struck: int = 0
    kept: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._seen = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        parts = urlsplit(self.upstream)
        self._to = (parts.hostname or "", parts.port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._listening.close()

    def aim(self, strike: Strike | None) -> None:
        """The next request to be struck; those seen so far do not count."""
        with self._lock:
            self.strike, self._seen, self.struck = strike, 0, 0

    def deliver(self) -> None:
        """What was under way arrives now."""
        for request in self.kept:
            self._ask(request)
        self.kept = []

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(65536)
                if not more:
                    return
                head += more
            kind = self._kind(head)
            if kind == "reset before":
                _reset(client)
                return
            if kind == "half open":
                self._closing.wait(20)
                return
            request = _whole(client, head)
            if kind == "reset during":
                with socket.create_connection(self._to, 5) as vendor:
                    vendor.sendall(request[: len(request) - max(8, len(request) // 8)])
                _reset(client)
            elif kind == "late":
                self.kept.append(request)
                _reset(client)
            elif kind == "silence before":
                self._closing.wait(20)
            elif kind == "not TLS":
                client.sendall(b"\x15\x03\x03\x00\x02\x02\x46")
            elif kind == "twice":
                self._ask(request)
                client.sendall(self._ask(request))
            else:
                self._answer(client, kind, self._ask(request))

    def _answer(self, client: socket.socket, kind: str, answer: bytes) -> None:
        if kind == "reset after":
            _reset(client)
        elif kind == "silence after":
            self._closing.wait(20)
        elif kind == "slow loris":
            head = answer.index(b"\r\n\r\n") + 4
            client.sendall(answer[:head])
            for number in range(head, len(answer)):
                client.sendall(answer[number : number + 1])
                if self._closing.wait(0.2):
                    return
        elif kind == "garbage":
            client.sendall(b"\x00\xff\x13garbage" * 20)
        elif kind == "too long":
            client.sendall(re.sub(rb"(?i)content-length: (\d+)", lambda one: _longer(one[1], 40), answer))
        elif kind == "too short":
            client.sendall(re.sub(rb"(?i)content-length: (\d+)", lambda one: _longer(one[1], -20), answer))
        else:
            client.sendall(answer)

    def _kind(self, head: bytes) -> str:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        with self._lock:
            aim = self.strike
            if aim is None or method != aim.method or not re.search(aim.path, path.partition("?")[0]):
                return ""
            self._seen += 1
            if self._seen != aim.nth:
                return ""
            self.struck += 1
            return aim.kind

    def _ask(self, request: bytes) -> bytes:
        """The vendor's answer to these bytes, on a connection of its own that ends with it."""
        ended = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request, count=1)
        ended = ended.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        with socket.create_connection(self._to, 10) as vendor:
            vendor.sendall(ended)
            answer = b""
            while more := vendor.recv(65536):
                answer += more
        return answer


def _whole(client: socket.socket, head: bytes) -> bytes:
    """The request to its last byte."""
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    wanted = head.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
    while len(head) < wanted:
        more = client.recv(65536)
        if not more:
            break
        head += more
    return head


def _longer(length: bytes, by: int) -> bytes:
    return b"Content-Length: %d" % max(0, int(length) + by)


def _reset(client: socket.socket) -> None:
    """Ends a connection with RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
