"""Rotating refresh tokens: kept before use, one turn at a time, a new sign-in replaces what was kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from syncd.connect.http import Reply, Request
from syncd.connect.rotating import RotatingToken, Tokens
from syncd.errors import SyncdError, VendorError

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Kept:
    """A vault that tells in which order things happened, and can refuse to keep."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.rows, self.full = log, {}, False

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.log.append("turn")
        yield
        self.log.append("over")

    def newest(self, seed: str) -> Tokens | None:
        return self.rows.get(seed)

    def keep(self, seed: str, tokens: Tokens) -> None:
        if self.full:
            raise SyncdError("the disk is full")
        self.log.append(f"keep {tokens.refresh}")
        self.rows = {seed: tokens}


class Vendor:
    """Rotates strictly: each refresh token works once."""

    def __init__(self, log: list[str], first: str = "seed") -> None:
        self.log, self.valid, self.count, self.access = log, first, 0, ""

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/token":
            signed = request.headers["authorization"] == f"Bearer {self.access}"
            self.log.append("call" if signed else "call refused")
            return httpx.Response(200 if signed else 401)
        given = dict(pair.split("=") for pair in request.content.decode().split("&"))["refresh_token"]
        if given != self.valid:
            return httpx.Response(400, json={"error": "invalid_grant"})
        self.count += 1
        self.valid, self.access = f"r{self.count}", f"a{self.count}"
        self.log.append(f"refresh to {self.valid}")
        body = {"access_token": self.access, "refresh_token": self.valid, "expires_in": "1800", "x_new_field": [1]}
        return httpx.Response(200, content=json.dumps(body).encode())


def go(signer: RotatingToken, vendor: Vendor) -> int:
    """One request through the sign-in flow, as `Http` drives it."""
    flow = signer.sync_auth_flow(Request("GET", "https://vendor.test/api"))
    asked = next(flow)
    while True:
        response = vendor.answer(asked)
        response.request = asked
        try:
            asked = flow.send(response)
        except StopIteration:
            return response.status_code


def refused(reply: Reply) -> VendorError:
    return VendorError("unauthorized", "sign in again", status=reply.status)


@pytest.fixture
def log() -> list[str]:
    return []


def signer(vault: Kept, seed: str = "seed", now: datetime = NOON) -> RotatingToken:
    return RotatingToken(
        "https://vendor.test/token", vault, lambda: seed, lambda token: {"refresh_token": token}, refused,
        now=lambda: now,
    )  # fmt: skip


def test_the_new_refresh_token_is_kept_before_the_access_token_signs_anything(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    assert go(signer(vault), vendor) == 200
    assert log == ["turn", "refresh to r1", "keep r1", "over", "call"]


def test_tokens_that_cannot_be_kept_are_not_used(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    vault.full = True
    with pytest.raises(SyncdError, match="disk is full"):
        go(signer(vault), vendor)
    assert "call" not in log


def test_a_restarted_process_goes_on_with_what_was_kept(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    go(signer(vault), vendor)
    log.clear()
    assert go(signer(vault, now=NOON + timedelta(minutes=5)), vendor) == 200
    assert log == ["turn", "over", "call"], "the access token is still good: nothing is refreshed"
    assert go(signer(vault, now=NOON + timedelta(hours=5)), vendor) == 200
    assert vendor.count == 2


def test_what_another_process_refreshed_meanwhile_is_taken_over(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    mine, other = signer(vault), signer(vault)
    go(mine, vendor)
    vendor.access = "revoked"  # the vendor ends the session early: both see 401
    go(other, vendor)
    assert vendor.count == 2
    log.clear()
    assert go(mine, vendor) == 200
    assert log == ["call refused", "turn", "over", "call"]
    assert vendor.count == 2, "the second process' tokens were used, the refresh token was not spent again"


def test_a_second_401_is_the_answer_and_not_a_loop(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    one = signer(vault)
    go(one, vendor)
    answer = vendor.answer

    def never(request: httpx.Request) -> httpx.Response:
        return answer(request) if request.url.path == "/token" else httpx.Response(401)

    vendor.answer = never  # type: ignore[method-assign]
    assert go(one, vendor) == 401
    assert vendor.count == 2


def test_a_new_seed_replaces_what_grew_out_of_the_old_one(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log)
    go(signer(vault), vendor)
    vendor.valid = "fresh"  # the admin signed in again: the old chain is void
    assert go(signer(vault, seed="fresh", now=NOON + timedelta(hours=1)), vendor) == 200


def test_a_token_spent_elsewhere_is_told_in_words(log: list[str]) -> None:
    vault, vendor = Kept(log), Vendor(log, first="spent elsewhere")
    with pytest.raises(VendorError, match="sign in again"):
        go(signer(vault), vendor)
    assert vault.rows == {}


def test_tokens_do_not_show_when_printed() -> None:
    assert "secret" not in repr(Tokens("secret-refresh", "secret-access", NOON))


def tells(vendor: Vendor, more: dict[str, object]) -> None:
    """Its token answers hold these fields, too."""
    plain = vendor.answer

    def answer(request: httpx.Request) -> httpx.Response:
        response = plain(request)
        if request.url.path != "/token":
            return response
        return httpx.Response(200, content=json.dumps({**response.json(), **more}).encode())

    vendor.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize("odd", [None, 10**12, "NaN", "Infinity", -5, {"in": "words"}, 10**400])
def test_a_spent_token_is_not_lost_over_an_odd_lifetime(log: list[str], odd: object) -> None:
    """The new refresh token is kept all the same; how long the access token is good is then taken to be an hour."""
    vault, vendor = Kept(log), Vendor(log)
    tells(vendor, {"expires_in": odd})
    assert go(signer(vault), vendor) == 200
    assert (vault.rows["seed"].refresh, vault.rows["seed"].good_until) == ("r1", NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("answer", "unused", "ends"),
    [
        ({}, None, None),
        ({}, timedelta(days=60), timedelta(days=60)),
        ({"x_refresh_token_expires_in": 8_640_000}, timedelta(days=60), timedelta(days=100)),
        ({"x_refresh_token_expires_in": "8640000"}, None, timedelta(days=100)),
        (
            {"x_refresh_token_expires_in": 8_640_000, "x_refresh_token_hard_expires_in": 86_400},
            None,
            timedelta(days=1),
        ),
        ({"x_refresh_token_expires_in": {"in": "words"}}, timedelta(days=60), timedelta(days=60)),
        ({"x_refresh_token_expires_in": -5, "x_refresh_token_hard_expires_in": 10**18}, None, None),
    ],
)
def test_the_end_of_the_refresh_token_is_kept_with_it(
    log: list[str], answer: dict[str, object], unused: timedelta | None, ends: timedelta | None
) -> None:
    """Whatever stands in the vendor's fields, the token that was spent is replaced."""
    vault, vendor = Kept(log), Vendor(log)
    tells(vendor, answer)
    one = RotatingToken(
        "https://vendor.test/token", vault, lambda: "seed", lambda token: {"refresh_token": token}, refused,
        now=lambda: NOON, unused=unused,
    )  # fmt: skip
    assert go(one, vendor) == 200
    assert vault.rows["seed"].ends == (None if ends is None else NOON + ends)
