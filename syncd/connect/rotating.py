"""OAuth 2 refresh tokens that change at every use (RFC 6749, section 6; RFC 9700, 4.14): kept before they are used.

A vendor that rotates answers each refresh with a new refresh token and voids the old one. Whoever uses the new access
token before the new refresh token is durable loses the login with the next crash. So: one process at a time takes its
turn, looks for what another one kept meanwhile, refreshes, keeps, and only then signs. Where the tokens are kept is a
`Vault`'s matter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from syncd.clock import real_now
from syncd.connect.auth import BearerToken, signed_in
from syncd.connect.http import Reply, Request, Response
from syncd.errors import VendorError
from syncd.money import number

# A century: whatever a vendor tells beyond is no end.
_LONGEST = 100 * 366 * 86_400
# Renew this long before the vendor's own end of life, so that no request leaves with a token about to die.
EARLY = timedelta(minutes=2)
# How long an access token is taken to be good where nobody says; one that ends before is refused and renewed.
_USUAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one refresh brought. `good_until` is the access token's end by the real clock, UTC; `ends` that of the
    refresh token if it is not used before, None where nobody tells."""

    refresh: str = field(repr=False)
    access: str = field(repr=False)
    good_until: datetime
    ends: datetime | None = None


class Vault(Protocol):
    """Where one connection's tokens are kept. `seed` is the refresh token that the admin configured: tokens that grew
    out of another seed are not given, so that a new sign-in replaces what is kept."""

    def turn(self) -> AbstractContextManager[object]:
        """Held by one process and thread at a time, also over the request."""

    def newest(self, seed: str) -> Tokens | None:
        """What was kept last; None where nothing was, or it cannot be opened any more."""

    def keep(self, seed: str, tokens: Tokens) -> None:
        """Durable when it returns. Raises SyncdError where it cannot be; then the tokens are not used."""


class InMemory:
    """For `syncd` runs without a ledger, and tests: tokens last as long as the process."""

    def __init__(self) -> None:
        self._kept: dict[str, Tokens] = {}

    def turn(self) -> AbstractContextManager[object]:
        """Nobody else can see these."""
        return nullcontext()

    def newest(self, seed: str) -> Tokens | None:
        """What was kept last for this seed."""
        return self._kept.get(seed)

    def keep(self, seed: str, tokens: Tokens) -> None:
        """Remembers them."""
        self._kept[seed] = tokens


class RefreshAnswer(msgspec.Struct):
    """RFC 6749, 5.1: the fields used; unknown ones are ignored. Without a new refresh token the old one stays.

    The last two are Intuit's: seconds until the new refresh token is over if nobody uses it, and in any case. All three
    lifetimes may hold anything, for a token that was spent must not be lost over them.
    """

    access_token: str
    expires_in: Any = None
    refresh_token: str = ""
    x_refresh_token_expires_in: Any = None
    x_refresh_token_hard_expires_in: Any = None

    def lasts(self) -> timedelta:
        """How long the access token is good; an hour where the answer does not say."""
        return _seconds(self.expires_in) or _USUAL

    def ends(self, now: datetime, unused: timedelta | None) -> datetime | None:
        """When the refresh token is over if it is not used before: as the answer says, else after `unused`."""
        told = [_seconds(self.x_refresh_token_expires_in) or unused, _seconds(self.x_refresh_token_hard_expires_in)]
        return min((now + one for one in told if one is not None), default=None)


def _seconds(told: object) -> timedelta | None:
    """A number of seconds; None for what is none, or reaches further than a calendar does."""
    try:
        seconds = int(number(told))
    except ValueError:
        return None
    return timedelta(seconds=seconds) if 0 < seconds < _LONGEST else None


class RotatingToken(BearerToken):
    """Signs with an access token that is renewed by a rotating refresh token; one repeat on 401.

    `seed` gives the configured refresh token. `form` makes the token request's fields from the refresh token in force,
    `headers` its headers (client authentication). `refused` words the vendor's token errors. `unused`: after how long
    without use the vendor ends a refresh token, where its answers do not say. Thread-safe.
    """

    def __init__(
        self,
        token_url: str,
        vault: Vault,
        seed: Callable[[], str],
        form: Callable[[str], Mapping[str, str]],
        refused: Callable[[Reply], VendorError],
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        now: Callable[[], datetime] = real_now,
        unused: timedelta | None = None,
    ) -> None:
        self._token_url = token_url
        self._vault = vault
        self._seed = seed
        self._form = form
        self._refused = refused
        self._headers = headers
        self._now = now
        self._unused = unused
        self._lock = threading.Lock()
        self._tokens: Tokens | None = None

    def _current(self, refused: str) -> Generator[Request, Response, str]:
        with self._lock:
            if self._tokens is not None and self._usable(self._tokens, refused):
                return self._tokens.access
            with self._vault.turn():
                seed = self._seed()
                kept = self._vault.newest(seed)
                if kept is None or not self._usable(kept, refused):
                    answer = yield from self._renew(kept.refresh if kept else seed)
                    kept = Tokens(
                        answer.refresh_token or (kept.refresh if kept else seed),
                        answer.access_token,
                        self._now() + answer.lasts(),
                        answer.ends(self._now(), self._unused),
                    )
                    self._vault.keep(seed, kept)  # before it signs anything
                self._tokens = kept
                return kept.access

    def _usable(self, tokens: Tokens, refused: str) -> bool:
        return tokens.access != refused and self._now() < tokens.good_until - EARLY

    def _renew(self, refresh: str) -> Generator[Request, Response, RefreshAnswer]:
        response = yield Request(
            "POST",
            self._token_url,
            data=dict(self._form(refresh)),
            headers={"accept": "application/json", **self._headers()},
        )
        reply = signed_in(response)
        if reply.status != 200:
            raise self._refused(reply)
        return reply.parse(RefreshAnswer)
