"""Sign-in flows as small state machines: they yield requests and receive responses, and do no I/O of their own.

Token lifetimes follow the real clock (monotonic), because the vendor measures them by its own. No connector builds an
Authorization header by hand.
"""

from __future__ import annotations

import base64
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from syncd.connect.http import Auth, Reply, Request, Response
from syncd.errors import VendorError

# Renew this long before the vendor's own end of life, so that no request leaves with a token about to die.
EARLY = 120.0


class Basic(Auth):
    """HTTP Basic. User and password are asked for at every request: a rotated secret file needs no restart."""

    def __init__(self, credentials: Callable[[], tuple[str, str]]) -> None:
        self._credentials = credentials

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Signs the request; there is nothing to refresh."""
        user, password = self._credentials()
        request.headers["authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        yield request


class TokenAnswer(msgspec.Struct):
    """RFC 6749, 5.1: the fields used."""

    access_token: str
    expires_in: Decimal = Decimal(3600)  # msgspec takes a number or its text, as vendors send both


class BearerToken(Auth):
    """Signs with a token; where the vendor refuses it, with another one, once. `_current` says which is in force."""

    requires_response_body = True

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Signs, and on 401 repeats the same request with a fresh token."""
        token = yield from self._current("")
        request.headers["authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            token = yield from self._current(token)
            request.headers["authorization"] = f"Bearer {token}"
            yield request

    @abstractmethod
    def _current(self, refused: str) -> Generator[Request, Response, str]:
        """The token in force; a fresh one where there is none, it is about to end, or it is the one refused."""


def signed_in(response: Response) -> Reply:
    """The answer to a token request, read whole."""
    response.read()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, response.content, where="the sign-in")


class ClientCredentials(BearerToken):
    """OAuth 2 client credentials (RFC 6749, 4.4). One token, fetched once however many threads ask; one repeat on 401.

    `form` gives the token request's fields, made anew for each fetch (assertions carry the time). `refused` words the
    vendor's token errors; it returns the VendorError to raise, or None to repeat after `wait` seconds (Entra's nodes
    lag behind a certificate rotation), at most twice. `headers` gives the token request's headers, for vendors that
    want the client's secret there (RFC 6749, 2.3.1). `as_json`: the fields go as a JSON object instead of a form, where
    a vendor departs from the RFC.
    """

    def __init__(
        self,
        token_url: str,
        form: Callable[[], Mapping[str, str]],
        refused: Callable[[Reply], VendorError | None],
        *,
        wait: float = 10.0,
        pause: Callable[[float], None] = time.sleep,
        headers: Callable[[], Mapping[str, str]] = dict,
        as_json: bool = False,
    ) -> None:
        self._token_url = token_url
        self._as_json = as_json
        self._form = form
        self._refused = refused
        self._wait = wait
        self._pause = pause
        self._headers = headers
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def _current(self, refused: str) -> Generator[Request, Response, str]:
        with self._lock:
            if self._token and self._token != refused and time.monotonic() < self._good_until:
                return self._token
            for last in (False, False, True):
                fields = dict(self._form())
                sent: Mapping[str, Any] = {"json": fields} if self._as_json else {"data": fields}
                response = yield Request("POST", self._token_url, headers=self._headers(), **sent)
                reply = signed_in(response)
                if reply.status == 200:
                    break
                error = self._refused(reply)
                if error is not None or last:
                    code = "unavailable" if reply.status == 429 or reply.status >= 500 else "unauthorized"
                    raise error or VendorError(code, "the sign-in was refused three times", status=reply.status)
                self._pause(self._wait)
            answer = reply.parse(TokenAnswer)
            lifetime = float(answer.expires_in)
            self._token = answer.access_token
            self._good_until = time.monotonic() + max(lifetime - EARLY, 0.0)
            return self._token
