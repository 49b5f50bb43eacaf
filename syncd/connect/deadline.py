"""A time limit for a whole request, whatever comes of it: connecting, signing in, sending, headers and body.

httpx limits the silence between two bytes. A vendor, or a proxy before it, that sends one byte now and then keeps no
silence, and would hold a cycle for ever. So what is read from or written to a socket is given no more time than the
request has left. The moment is the thread's own; whoever set none is not limited.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

# A peer that takes little at a time is looked at after so many bytes.
_PIECE = 16 * 1024
_until: ContextVar[float] = ContextVar("_until", default=math.inf)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """What the body sends and receives ends within so many seconds, or raises httpx's TimeoutException of that step."""
    before = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(before)


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """The time that one step may take. Raises `late` where the request has none left."""
    left = _until.get() - time.monotonic()
    if left <= 0:
        raise late("the request took too long")
    if math.isinf(left):
        return timeout
    return left if timeout is None else min(timeout, left)


class Transport(httpx.HTTPTransport):
    """httpx's own, over sockets that know of the limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # httpcore takes a backend, httpx passes none on; tests/connect/test_slow_vendors.py fails where this moves.
        self._pool._network_backend = _Backend()


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _left(timeout, httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
