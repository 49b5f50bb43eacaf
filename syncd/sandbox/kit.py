"""What every vendor's double is built from: routes, faults on demand, a record of what happened, a server.

A double owns its state and is guarded by one lock. Its admin interface lies under `/_sandbox`: `GET requests` is the
record, `GET effects` what was changed, `POST faults` plans a failure, `POST clock` moves its time.
"""

from __future__ import annotations

import contextlib
import functools
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from werkzeug.exceptions import ClientDisconnected, HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

FAULTS = (
    "drop_before",  # the connection breaks, nothing was done
    "drop_after",  # it was done, the connection breaks before the answer
    "500_before",
    "500_after",  # it was done, the answer is a server error
    "html",  # a proxy's page with status 200, nothing was done
    "throttle",  # the vendor's own 429
    "truncate",  # it was done, the answer ends in the middle
    "slow",  # answers after `seconds`
    "ignore",  # answers as if done, changes nothing (writes only; the vendor's double decides how)
    "unauthorized",
    "unavailable",  # 503 with a proxy's page
    "redirect",  # to another host, nothing was done
)


@dataclass
class Fault:
    """A failure to come: the next `times` requests that match `method` and the regular expression `path`."""

    what: str
    path: str = ".*"
    method: str = ".*"
    times: int = 1
    seconds: float = 2.0
    after: int = 0  # let this many matching requests pass first

    def hits(self, method: str, path: str) -> bool:
        """Whether this request is struck; counts it down."""
        if self.times <= 0 or not re.fullmatch(self.method, method) or not re.search(self.path, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class Chaos:
    """Strikes some requests at random, repeatably: what a vendor's bad day looks like."""

    KINDS = ("drop_before", "500_before", "throttle", "unavailable", "drop_after", "500_after")

    def __init__(self, dice: random.Random, rate: float = 0.02) -> None:
        self._dice = dice
        self._rate = rate

    def strike(self) -> Fault | None:
        """A fault for this request, or None."""
        return Fault(self._dice.choice(self.KINDS)) if self._dice.random() < self._rate else None


@dataclass(frozen=True)
class Recorded:
    """One request as it came; header values that carry credentials are left out."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    status: int


@dataclass(frozen=True)
class Effect:
    """One change of the double's state that a request made: what the vendor would bill."""

    what: str
    record: str
    detail: Mapping[str, Any]


Handler = Callable[..., Any]


class Double:
    """One vendor's double: routes, state lock, faults, record. `throttled` makes the vendor's own 429.

    Handlers take the werkzeug Request and the route's arguments and return a Response or something JSON can hold
    (Decimals are written as JSON numbers). They run under `lock`, one at a time, as a database would serialise them.
    """

    def __init__(
        self,
        kind: str,
        *,
        now: Callable[[], datetime] | None = None,
        throttled: Callable[[], Response] | None = None,
        unauthorized: Callable[[], Response] | None = None,
    ) -> None:
        self.kind = kind
        self.lock = threading.RLock()
        self.faults: list[Fault] = []
        self.requests: list[Recorded] = []
        self.effects: list[Effect] = []
        self.latency = 0.0
        self.chaos: Chaos | None = None
        self.settings: dict[str, Any] = {}  # the keys of a connection that signs in here
        self._shift = 0.0
        self._now = now or (lambda: datetime.now(UTC))
        self._throttled = throttled or (lambda: Response("slow down", 429, headers={"Retry-After": "1"}))
        self._unauthorized = unauthorized or (lambda: Response("who are you", 401))
        self._handlers: dict[str, Handler] = {}  # by "METHOD rule"
        self.route("GET", "/_sandbox/requests", lambda request: [asdict(one) for one in self.requests])
        self.route("GET", "/_sandbox/effects", lambda request: [asdict(one) for one in self.effects])
        self.route("POST", "/_sandbox/faults", self._plan_fault)
        self.route("POST", "/_sandbox/clock", self._move_clock)

    def route(self, method: str, rule: str, handler: Handler) -> None:
        """Adds a route (werkzeug rule syntax)."""
        self._handlers[f"{method} {rule}"] = handler

    def now(self) -> datetime:
        """The double's own time, aware, UTC."""
        with self.lock:
            return datetime.fromtimestamp(self._now().timestamp() + self._shift, UTC)

    def advance(self, seconds: float) -> None:
        """Moves the double's time."""
        with self.lock:
            self._shift += seconds

    def fail(self, what: str, **where: Any) -> None:
        """Plans a fault (see FAULTS and Fault)."""
        if what not in FAULTS:
            raise ValueError(f"no fault is called {what!r}; there are {', '.join(FAULTS)}")
        with self.lock:
            self.faults.append(Fault(what, **where))

    def effect(self, what: str, record: object, **detail: Any) -> None:
        """Handlers note here what they changed."""
        self.effects.append(Effect(what, str(record), detail))

    def ignoring(self) -> bool:
        """Whether the request being handled is to be answered as if done, without doing it."""
        return getattr(_present, "fault", None) == "ignore"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        fault = self._struck(request)
        if self.latency or (fault and fault.what == "slow"):
            time.sleep(self.latency + (fault.seconds if fault and fault.what == "slow" else 0))
        what = fault.what if fault else ""
        early = {
            "500_before": lambda: Response('{"message":"internal error"}', 500, mimetype="application/json"),
            "html": lambda: Response(
                "<!DOCTYPE html><html><body>Sign in to continue</body></html>", 200, mimetype="text/html"
            ),
            "unavailable": lambda: Response(
                "<html><body>503 Service Unavailable</body></html>", 503, mimetype="text/html"
            ),
            "redirect": lambda: Response("", 302, headers={"Location": "https://sign-in.example/"}),
            "throttle": self._throttled,
            "unauthorized": self._unauthorized,
        }.get(what)
        if what == "drop_before":
            self._record(request, 0)
            return _hang_up(environ)
        response = early() if early else self._answer(request, what)
        self._record(request, response.status_code)
        if what == "drop_after":
            return _hang_up(environ)
        if what == "500_after":
            response = Response('{"message":"internal error"}', 500, mimetype="application/json")
        if what == "truncate":
            body = response.get_data()
            response.set_data(body[: len(body) // 2])
            response.headers["Content-Length"] = str(len(body))
            response.automatically_set_content_length = False
            chunks = list(response(environ, start_response))
            return _then_hang_up(chunks, environ)
        return response(environ, start_response)

    def _answer(self, request: Request, fault: str) -> Response:
        try:
            endpoint, values = _mapped(tuple(self._handlers)).bind_to_environ(request.environ).match()
            with self.lock:
                _present.fault = fault
                result = self._handlers[endpoint](request, **values)
        except HTTPException as error:
            return error.get_response(request.environ)
        return result if isinstance(result, Response) else json_response(result)

    def _struck(self, request: Request) -> Fault | None:
        if request.path.startswith("/_sandbox"):
            return None
        with self.lock:
            planned = next((fault for fault in self.faults if fault.hits(request.method, request.path)), None)
            return planned or (self.chaos.strike() if self.chaos else None)

    def _record(self, request: Request, status: int) -> None:
        if request.path.startswith("/_sandbox"):
            return
        headers = {name.lower(): value for name, value in request.headers if name.lower() not in _CREDENTIALS}
        try:
            body = "" if "token" in request.path else request.get_data(as_text=True)
        except ClientDisconnected:  # the client died in the middle of its request
            body = ""
        recorded = Recorded(request.method, request.path, dict(request.args), headers, body, status)
        with self.lock:
            self.requests.append(recorded)

    def _plan_fault(self, request: Request) -> Any:
        self.fail(**request.get_json())
        return {"planned": len(self.faults)}

    def _move_clock(self, request: Request) -> Any:
        self.advance(float(request.get_json()["seconds"]))
        return {"now": self.now().isoformat()}


@functools.lru_cache(maxsize=64)
def _mapped(endpoints: tuple[str, ...]) -> Map:
    """The map of these routes, one for all doubles that have the same: werkzeug works a millisecond on each rule."""
    routes = (one.split(" ", 1) for one in endpoints)
    return Map([Rule(rule, methods=[method], endpoint=f"{method} {rule}") for method, rule in routes])


_CREDENTIALS = frozenset({"authorization", "cookie", "clientid", "x-api-key"})
_present = threading.local()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with Decimals as numbers and their digits kept."""
    return Response(dumps(value), status, headers=dict(headers or {}), mimetype="application/json")


_encoder = msgspec.json.Encoder(decimal_format="number")


def dumps(value: Any) -> bytes:
    """JSON; Decimals become numbers with exactly their digits."""
    return _encoder.encode(value)


def _hang_up(environ: Mapping[str, Any]) -> Iterable[bytes]:
    wire: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):  # the client may have hung up first
        wire.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("fault: the sandbox breaks the connection")


def _then_hang_up(chunks: list[bytes], environ: Mapping[str, Any]) -> Iterable[bytes]:
    yield from chunks
    wire: socket.socket = environ["werkzeug.socket"]
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """A sandbox keeps its own record and prints nothing."""

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except (ConnectionError, TimeoutError):
            self.close_connection = True


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    multithread = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is none of ours to report."""


@dataclass
class Running:
    """A double that listens. `url` has no trailing slash."""

    double: Double
    url: str
    _server: _Server = field(repr=False)
    _thread: threading.Thread = field(repr=False)

    def stop(self) -> None:
        """Ends the server; the state stays readable."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def serve(double: Double, port: int = 0) -> Running:
    """Starts the double on 127.0.0.1; port 0 takes a free one. Raises OSError where the port is taken."""
    server = _Server("127.0.0.1", port, double, _Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    return Running(double, f"http://127.0.0.1:{server.server_port}", server, thread)
