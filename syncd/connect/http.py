"""The only way out, and with `deadline` the only import of httpx.

One `Http` serves one connection: one pool, one budget (`limits.Gate`), one place for retries. It speaks to the origins
it was given and to no other; redirects are never followed, because httpx would pass `clientId`-like headers on to
another host. Reading repeats what may be repeated; sending happens once, on a connection of its own, so that a stale
keep-alive socket never turns into an unknown outcome.

httpx's transport is used without its client: the client keeps cookies, one jar for all tenants, leaves the requests of
a sign-in flow without a time limit, and takes a third of the time that a request costs.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from syncd.connect.deadline import Transport, limited
from syncd.connect.limits import Gate
from syncd.connect.retry import NOT_NOW, Again, reading, retry_after
from syncd.errors import VendorError
from syncd.model import NotSent, Unknown, Wire

Auth = httpx.Auth
Request = httpx.Request
Response = httpx.Response
T = TypeVar("T")

# A page of 1,000 rows is a few MB; anything beyond this is not an answer to what was asked.
MAX_BODY = 64 * 1024 * 1024
# Whole-request limit in multiples of the silence limit, with the sign-in that it may need.
PATIENCE_FACTOR = 6
# An exchange that broke off, or whose answer cannot be unpacked: what became of the request is not told.
_BROKEN = (httpx.TransportError, httpx.DecodingError)


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    where: str = ""  # method and path, without query: fit for logs and messages
    links: Mapping[str, str] = field(default_factory=dict)  # RFC 8288 rel -> URL

    def parse(self, shape: type[T]) -> T:
        """The body as `shape` (msgspec types; numbers as Decimal). Raises VendorError `malformed` with the path."""
        try:
            return _decoder(shape).decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VendorError(
                "malformed", f"{self.where} answered {_unreadable(self, error)}", status=self.status
            ) from None

    def try_parse(self, shape: type[T]) -> T | None:
        """As `parse`, None where the body has another shape: for error bodies."""
        try:
            return _decoder(shape).decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()


def _decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    """The one decoder of a shape, made by one thread.

    msgspec works a type out when it first meets it and shows it to other threads half done: two threads that decode the
    same new shape at once crash the process (seen with 0.22.0, about one start in six).
    """
    decoder = _decoders.get(shape)
    if decoder is None:
        with _making:
            decoder = _decoders.setdefault(shape, msgspec.json.Decoder(shape))
    return decoder


def _unreadable(reply: Reply, error: Exception) -> str:
    start = reply.body.lstrip()[:200].lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")) or "html" in reply.headers.get("content-type", ""):
        return "a web page instead of data (a proxy, a sign-in page or a wrong base_url?)"
    if not start:
        return "nothing where data was expected"
    return f"data of another shape than declared: {error}"


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what must be equal for two addresses to be one party."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)


# Turns an unsuccessful reply into (code, message); the connector knows the vendor's error shapes.
Explain = Callable[[Reply], tuple[str, str]]


def explain_plainly(reply: Reply) -> tuple[str, str]:
    """(code, message) from the status alone, for vendors and bodies without an error shape."""
    code = {401: "unauthorized", 403: "forbidden", 404: "not_found", 429: "throttled"}.get(reply.status)
    if code is None:
        code = "unavailable" if reply.status >= 500 or reply.status in (408, 425) else "invalid"
    return code, f"{reply.where} answered with status {reply.status}"


class Http:
    """The way out of one connection. Thread-safe.

    `base_url` is the API's root; `also` are further roots it may speak to (the sign-in host). `headers` go onto every
    request. `explain` words the vendor's errors. `auth` signs; a call may bring its own.
    """

    def __init__(
        self,
        base_url: str,
        *,
        gate: Gate,
        timeout: float = 30.0,
        first_wait: float = 1.0,
        also: Collection[str] = (),
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        explain: Explain = explain_plainly,
        ca_bundle: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/") + "/"
        self.gate = gate
        self._origins = {origin(self.base_url), *(origin(root) for root in also if root)}
        self._auth = auth
        self._explain = explain
        self._first_wait = first_wait
        self._silence = timeout
        self._longest = timeout * PATIENCE_FACTOR
        secure = any(scheme == "https" for scheme, _, _ in self._origins)
        # Loading the public authorities takes 26 ms: only where TLS is spoken.
        verify = ssl.create_default_context(cafile=ca_bundle) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._timeout = httpx.Timeout(timeout).as_dict()
        self._headers = {"accept": "*/*", "accept-encoding": "gzip, deflate", "user-agent": "syncd", **_lower(headers)}
        options: dict[str, Any] = {"verify": verify, "proxy": proxy, "trust_env": False}
        self._reading = Transport(**options)
        self._sending = Transport(**options, limits=httpx.Limits(max_keepalive_connections=0))

    def address(self, path: str) -> str:
        """The full address of a path, or of an absolute link that the vendor gave.

        Raises VendorError where it leads to another origin, for credentials go nowhere else, or is no address at all.
        """
        try:
            url = urljoin(self.base_url, path.lstrip("/") if "://" not in path else path)
            foreign = "@" in urlsplit(url).netloc or origin(url) not in self._origins
        except ValueError as error:  # a port that is none, a bracket that is not closed
            raise VendorError("malformed", f"a link is no address ({error}); it is not followed") from None
        if foreign:
            raise VendorError(
                "malformed", f"a link leads to another host ({urlsplit(url).hostname}); it is not followed"
            )
        return url

    def read(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        scope: str = "",
        accept: Collection[int] = (200,),
    ) -> Reply:
        """A request that changes nothing, repeated while the vendor says "not now". Raises VendorError.

        One that used up the whole time of a request is not repeated: the vendor is slow, and every page of it would be.
        Statuses in `accept` are returned, all others are explained and raised.
        """
        url = self.address(path)
        content = msgspec.json.encode(json) if json is not None else None
        extra = {**({"content-type": "application/json"} if content is not None else {}), **_lower(headers)}

        def attempt() -> Reply:
            try:
                with self.gate.slot(scope):
                    request = httpx.Request(
                        method, url, params=params, headers={**self._headers, **extra}, content=content, data=form
                    )
                    began = time.monotonic()
                    reply = self._exchange(self._reading, request, auth or self._auth)
            except _BROKEN as error:
                failure = _transport(error, url, self._longest)
                if isinstance(error, httpx.TimeoutException) and time.monotonic() - began >= self._longest:
                    raise failure from None
                raise Again(failure) from None
            except Again as put_off:  # the sign-in was put off
                if put_off.wait is None:
                    raise
                self.gate.hold(put_off.wait, scope)
                raise Again(put_off.error, 0.0) from None
            if reply.status in accept:
                return reply
            failure = self._failure(reply)
            if reply.status not in NOT_NOW:
                raise failure
            wait = retry_after(reply.headers.get("retry-after"), datetime.now(UTC))
            if wait is not None and reply.status in (429, 503):
                self.gate.hold(wait, scope)
                wait = 0.0  # the gate keeps everybody waiting, this request too
            raise Again(failure, wait)

        return reading(attempt, first_wait=self._first_wait, pause=self.gate.pause)

    def send(
        self, wire: Wire, *, auth: Auth | None = None, headers: Mapping[str, str] | None = None, scope: str = ""
    ) -> Reply | NotSent | Unknown:
        """Sends exactly these bytes once. Never raises for what happens on the wire (RELIABILITY, outcome table).

        A wait that the vendor imposed before is slept through up to `timeout`; for a longer one nothing leaves, and
        NotSent names the seconds. The gate remembers it for later cycles.
        """
        try:
            url = self.address(wire.path)
            with self.gate.slot(scope, patience=self._silence):
                extra = {**_lower(headers), **_lower(dict(wire.headers))}
                request = httpx.Request(wire.method, url, headers={**self._headers, **extra}, content=wire.body or None)
                reply = self._exchange(self._sending, request, auth or self._auth)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return NotSent(str(_transport(error, url, self._longest)))
        except _BROKEN as error:
            return Unknown(str(_transport(error, url, self._longest)))
        except VendorError as error:  # the budget said no, or the sign-in failed: nothing of ours left
            wait = self.gate.remaining(scope) if error.code == "deferred" else 0
            return NotSent(str(error), Decimal(math.ceil(wait)))
        if reply.status == 429:
            named = retry_after(reply.headers.get("retry-after"), datetime.now(UTC))
            self.gate.hold(named if named is not None else self._first_wait, scope)
        return reply

    def explain(self, reply: Reply) -> tuple[str, str]:
        """(code, message) of an unsuccessful reply, in the vendor's words."""
        if 300 <= reply.status < 400:
            return "malformed", f"{reply.where} answered with a redirect; syncd does not follow those"
        return self._explain(reply)

    def close(self) -> None:
        """Closes the sockets."""
        self._reading.close()
        self._sending.close()

    def _failure(self, reply: Reply) -> VendorError:
        code, message = self.explain(reply)
        return VendorError(code, message, status=reply.status)

    def _exchange(self, way: httpx.HTTPTransport, request: httpx.Request, auth: Auth | None) -> Reply:
        with limited(self._longest):
            response = self._answer(way, request, auth or Auth())
            try:
                body = bytearray()
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise httpx.ReadError(f"more than {MAX_BODY} bytes", request=request)
            finally:
                response.close()
        return Reply(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=bytes(body),
            where=f"{request.method} {request.url.path}",
            links={rel: link["url"] for rel, link in response.links.items() if rel and "url" in link},
        )

    def _answer(self, way: httpx.HTTPTransport, request: httpx.Request, auth: Auth) -> httpx.Response:
        """The answer at the end of the sign-in flow, its body still to be read."""
        with closing(auth.sync_auth_flow(request)) as flow:
            asked = next(flow)
            while True:
                asked.extensions["timeout"] = self._timeout
                response = way.handle_request(asked)
                response.request = asked
                try:
                    asked = flow.send(response)
                    response.read()
                except StopIteration:
                    return response
                except BaseException:
                    response.close()
                    raise


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _transport(error: httpx.RequestError, url: str, longest: float) -> VendorError:
    host = urlsplit(url).netloc
    match error:
        case httpx.ConnectError() if "CERTIFICATE" in str(error).upper():
            return VendorError("unavailable", f"{host} has a certificate that cannot be trusted: {error}")
        case httpx.ConnectError():
            return VendorError("unavailable", f"{host} cannot be reached (connection refused or unknown host)")
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return VendorError("timeout", f"{host} did not accept a connection in time")
        case httpx.DecodingError():
            return VendorError("malformed", f"{host} answered in an encoding that cannot be undone: {error}")
        case httpx.TimeoutException():
            return VendorError("timeout", f"{host} did not answer in time (limit {round(longest)} s in all)")
        case _:
            return VendorError("unavailable", f"{host} broke the connection off ({type(error).__name__})")


def json_bytes(value: object) -> bytes:
    """Canonical JSON for a request body: equal values give equal bytes; a Decimal is written as a JSON number."""
    return msgspec.json.Encoder(decimal_format="number", order="sorted").encode(value)


__all__ = ["Auth", "Decimal", "Http", "Reply", "Request", "Response", "explain_plainly", "json_bytes", "origin"]
