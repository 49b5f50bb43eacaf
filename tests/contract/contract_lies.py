"""Answers that lie while looking right: half a list, nothing, another tenant's, yesterday's. For any kind of double.

They stand between the double and the wire, so that no vendor's double has to know them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.wrappers import Request, Response

from syncd.sandbox.kit import Double

Answer = Callable[[Request, str], Response]
READS = ("GET", "HEAD")


@contextmanager
def between(double: Double, instead: Callable[[Request, str, Answer], Response]) -> Iterator[None]:
    """Puts a function in the place of the double's answering; it is given the honest one."""
    honest: Answer = double._answer

    def answer(request: Request, fault: str) -> Response:
        if request.path.startswith("/_sandbox"):
            return honest(request, fault)
        return instead(request, fault, honest)

    double._answer = answer  # type: ignore[method-assign]
    try:
        yield
    finally:
        double._answer = honest  # type: ignore[method-assign]


def is_read(request: Request) -> bool:
    """Whether it asks for records: no sign-in, and no write. A batch of reads is a read."""
    return "token" not in request.path and (request.method in READS or request.path.endswith("$batch"))


def changed(change: Callable[[Any], Any], path: str = "") -> Callable[[Request, str, Answer], Response]:
    """Every successful JSON answer to a read (of a path that matches) with its content changed."""

    def instead(request: Request, fault: str, honest: Answer) -> Response:
        response = honest(request, fault)
        if response.status_code != 200 or not is_read(request) or not re.search(path, request.path):
            return response
        try:
            content = json.loads(response.get_data())
        except ValueError:
            return response
        response.set_data(json.dumps(change(content)))
        return response

    return instead


def halved(content: Any) -> Any:
    """Every list that holds records is cut to its first half; totals and links stay."""
    return _lists(content, lambda rows: rows[: len(rows) // 2])


def emptied(content: Any) -> Any:
    """Every list that holds records is empty; totals and links stay."""
    return _lists(content, lambda rows: [])


def nulled(content: Any) -> Any:
    """Every list that holds records is null, or the answer an empty object: what throttled gateways serve with 200."""
    if isinstance(content, list):
        return {}
    return {name: nulled_value(value) for name, value in content.items()} if isinstance(content, dict) else content


def nulled_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: nulled_value(one) for name, one in value.items()}
    return None if _records(value) else value


def _records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _lists(content: Any, cut: Callable[[list[Any]], list[Any]]) -> Any:
    if isinstance(content, list) and _records(content):
        return cut(content)
    if isinstance(content, dict):
        return {name: _lists(value, cut) for name, value in content.items()}
    return content


def blank(request: Request, fault: str, honest: Answer) -> Response:
    """200 with nothing in it, to every read."""
    if not is_read(request):
        return honest(request, fault)
    return Response(b"", 200, mimetype="application/json")


def mixed_up(asked: str, served: str) -> Callable[[Request, str, Answer], Response]:
    """Whoever asks for one tenant is given the other's answer, as a broken cache does."""
    pattern = re.compile(rf"(?<![\w-]){re.escape(asked)}(?![\w-])")

    def instead(request: Request, fault: str, honest: Answer) -> Response:
        environ = dict(request.environ)
        for name in ("PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI"):
            if isinstance(environ.get(name), str):
                environ[name] = pattern.sub(served, environ[name])
        for name in [one for one in environ if one.startswith("werkzeug.request")]:
            del environ[name]
        return honest(Request(environ), fault)

    return instead


class Stale:
    """Reads show what they showed before the first write, until `over`: a replica that lags."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[bytes, int, list[tuple[str, str]]]] = {}
        self._written = False
        self._lock = threading.Lock()
        self.over = False
        self.served = 0

    def __call__(self, request: Request, fault: str, honest: Answer) -> Response:
        response = honest(request, fault)
        if not is_read(request):
            self._written = self._written or ("token" not in request.path and response.status_code < 300)
            return response
        name = f"{request.method} {request.full_path} {request.headers.get('pagination-type', '')}"
        with self._lock:
            if not self._written:
                self._before[name] = (response.get_data(), response.status_code, list(response.headers))
            elif not self.over and name in self._before:
                body, status, headers = self._before[name]
                self.served += 1
                return Response(body, status, headers=headers)
        return response
