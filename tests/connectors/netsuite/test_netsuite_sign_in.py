"""How requests are signed, by certificate and by token; what the credentials' end and a wrong clock are told as; and
what this client can never ask of NetSuite.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from netsuite_kit import Bench
from pydantic import ValidationError
from werkzeug.test import Client

import connectors.netsuite
from connectors.netsuite.api import permitted
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.sandbox_front import credentials
from connectors.netsuite.signing import assertion, authorization, clock, life
from syncd.connect.http import Http
from syncd.errors import UserFault, VendorError
from syncd.model import Posting, Receipt, Refused, Wire

TOKEN = "/services/rest/auth/oauth2/v1/token"


def asked(bench: Bench, path: str) -> list[Any]:
    return [one for one in bench.double.requests if one.path == path]


def pem(key: Any) -> str:
    kind = serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return text.decode()


def test_it_signs_in_by_certificate_and_says_to_which_account(bench: Bench) -> None:
    told = bench.connect().sign_in()

    assert told.identity == "NetSuite account 1234567_SB1, by certificate"
    assert told.warnings == ()


def test_one_token_serves_all_requests_of_a_connection(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    connection.customers()

    assert len(asked(bench, TOKEN)) == 1


def test_a_token_that_was_revoked_is_fetched_once_more(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.revoke()

    assert connection.customers()
    assert len(asked(bench, TOKEN)) == 2


# Made where they are used: an RSA key takes a second.
KEYS: dict[str, Callable[[], Any]] = {
    "RSA 3072": lambda: rsa.generate_private_key(65537, 3072),
    "RSA 2048": lambda: rsa.generate_private_key(65537, 2048),
    "EC 256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EC 384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EC 521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EC 256K1": lambda: ec.generate_private_key(ec.SECP256K1()),
}


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA 3072", "PS256"), ("EC 256", "ES256"), ("EC 384", "ES384"), ("EC 521", "ES512")]
)
def test_the_assertion_is_what_netsuite_asks_for(kind: str, algorithm: str) -> None:
    key = KEYS[kind]()
    text = assertion(pem(key), "our-client", "our-certificate", "https://a.example/token")

    header = jwt.get_unverified_header(text)
    assert (header["alg"], header["kid"], header["typ"]) == (algorithm, "our-certificate", "JWT")
    claims = jwt.decode(text, key.public_key(), algorithms=[algorithm], audience="https://a.example/token")
    assert claims["iss"] == "our-client"
    assert claims["scope"] == ["rest_webservices"]
    assert 0 < claims["exp"] - claims["iat"] < 3600


@pytest.mark.parametrize("kind", ["RSA 2048", "EC 256K1", "none"])
def test_a_key_that_netsuite_refuses_is_told_before_it_is_used(kind: str) -> None:
    text = pem(KEYS[kind]()) if kind in KEYS else "no PEM"
    with pytest.raises(UserFault, match="private_key") as refused:
        assertion(text, "c", "k", "https://a.example")
    assert text not in str(refused.value)


def test_a_refused_assertion_tells_where_to_look(bench: Bench) -> None:
    bench.double.refresh()

    with pytest.raises(VendorError, match="sandbox refresh erases the mapping") as refused:
        bench.connect().sign_in()

    assert refused.value.code == "unauthorized"
    assert "BEGIN" not in str(refused.value)


def test_an_expired_certificate_is_told(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(expired_certificate=True)

    with pytest.raises(VendorError, match="two years") as refused:
        bench.connect().sign_in()
    assert refused.value.code == "unauthorized"


def test_a_clock_that_is_off_is_told_with_the_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.netsuite.signing.real_now", lambda: datetime.now(UTC) + timedelta(minutes=15))

    for connection in (bench.connect(), bench.by_token()):
        with pytest.raises(VendorError, match=r"clock is \d+ s ahead"):
            connection.sign_in()


def test_a_clock_that_is_a_little_off_is_told_before_it_breaks_something(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.netsuite.signing.real_now", lambda: datetime.now(UTC) - timedelta(minutes=2))

    assert any("behind NetSuite's" in one for one in bench.by_token().sign_in().warnings)


def test_a_minute_is_near_enough() -> None:
    now = datetime.now(UTC)
    assert clock({"date": f"{now + timedelta(seconds=30):%a, %d %b %Y %H:%M:%S} GMT"}) == ()
    assert clock({"date": f"{now + timedelta(seconds=90):%a, %d %b %Y %H:%M:%S} GMT"})
    assert clock({}) == clock({"date": "soon"}) == ()


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (90, ""),
        (60, ""),
        (59, "60 days"),
        (29, "30 days"),
        (13, "14 days"),
        (6, "7 days"),
        (0, "7 days"),
        (-1, "ended"),
    ],
)
def test_a_certificate_s_end_is_told_in_time(days: int, words: str) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    told = life(now + timedelta(days=days, hours=1 if days >= 0 else 0), now)

    assert bool(told) == bool(words)
    assert all(words in one for one in told)


def test_a_key_without_its_certificate_is_taken_and_told(bench: Bench) -> None:
    alone = credentials()[0].partition("-----BEGIN CERTIFICATE")[0]

    told = bench.connect(private_key=alone).sign_in()

    assert "holds no certificate" in told.warnings[0]


def test_the_key_may_stand_in_a_file(bench: Bench) -> None:
    (bench.folder / "netsuite.pem").write_text(credentials()[0])

    assert bench.connect(private_key={"file": "netsuite.pem"}).sign_in().warnings == ()


# --- token-based authentication --------------------------------------------------------------------------------------


def test_it_signs_in_by_token_and_says_that_this_ends(bench: Bench, postings: dict[str, Posting]) -> None:
    connection = bench.by_token()

    told = connection.sign_in()

    assert told.identity.endswith("by token")
    assert "2027.1" in told.warnings[0]
    assert connection.customers()
    assert isinstance(connection.send(postings["charge"], connection.wire(postings["charge"])), Receipt)
    assert asked(bench, TOKEN) == []


def test_every_attempt_has_a_nonce_of_its_own(bench: Bench) -> None:
    """The double refuses a nonce that it has seen; the first answers are lost."""
    bench.double.fail("500_after", times=2)

    assert bench.by_token().customers()


@pytest.mark.parametrize("wrong", ["consumer_secret", "token_secret", "token_id", "consumer_key"])
def test_a_wrong_token_is_told_and_not_shown(bench: Bench, wrong: str) -> None:
    without = dict.fromkeys(("client_id", "certificate_id", "private_key"))
    keys = {**bench.double.tokens, wrong: "quite-wrong"}

    with pytest.raises(VendorError, match="Login Audit Trail") as refused:
        bench.connect(**without, **keys).sign_in()

    assert refused.value.code == "unauthorized"
    assert not any(value in str(refused.value) for value in keys.values())


def test_the_realm_is_the_account_as_it_is_shown_and_the_host_another_spelling() -> None:
    settings = NetSuiteSettings.model_validate(
        {"kind": "netsuite", "account": "1234567-sb1", "consumer_key": "a", "consumer_secret": "b", "token_id": "c",
         "token_secret": "d"}
    )  # fmt: skip

    assert settings.account == "1234567_SB1"
    assert settings.host == "https://1234567-sb1.suitetalk.api.netsuite.com"


def test_every_query_parameter_is_signed() -> None:
    def signed(url: str) -> str:
        header = authorization(
            "GET", url, realm="1", keys=("ck", "tk"), hidden=("cs", "ts"), nonce="n", timestamp=1_700_000_000
        )
        found = re.search(r'oauth_signature="([^"]+)"', header)
        assert found is not None
        return found[1]

    plain = signed("https://a.example/x?limit=1")
    assert plain == signed("HTTPS://A.example/x?limit=1".replace("HTTPS", "https"))
    assert len({plain, signed("https://a.example/x?limit=2"), signed("https://a.example/x"),
                signed("https://a.example/x?limit=1&q="), signed("https://a.example/y?limit=1")}) == 5  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "https://123.suitetalk.api.netsuite.com/services/rest/record/v1/customer?limit=1",
        "https://123.suitetalk.api.netsuite.com/services/rest/record/v1/charge/eid:syncd-chg-1?expandSubResources=true",
        "https://123.suitetalk.api.netsuite.com/x?q=name%20IS%20%22M%C3%BCller%20%26%20S%C3%B6hne%22&a=&a=1",
    ],
)
def test_the_signature_is_the_one_that_oauthlib_makes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oauth1 = pytest.importorskip("oauthlib.oauth1", reason="oauthlib is not installed")
    monkeypatch.setattr("oauthlib.oauth1.rfc5849.generate_nonce", lambda: "abc123")
    monkeypatch.setattr("oauthlib.oauth1.rfc5849.generate_timestamp", lambda: "1700000000")
    client = oauth1.Client(
        "ck", "c&s", "tk", "t=s", realm="1234567_SB1", signature_method=oauth1.SIGNATURE_HMAC_SHA256
    )  # fmt: skip
    theirs = client.sign(url, "GET")[1]["Authorization"]

    ours = authorization(
        "GET", url, realm="1234567_SB1", keys=("ck", "tk"), hidden=("c&s", "t=s"), nonce="abc123",
        timestamp=1_700_000_000,
    )  # fmt: skip

    def parts(header: str) -> set[str]:
        return set(header.removeprefix("OAuth ").split(", "))

    assert parts(ours) == parts(theirs)


# --- keys and limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"client_id": "a"},
        {"client_id": "a", "certificate_id": "b"},
        {"consumer_key": "a", "consumer_secret": "b", "token_id": "c"},
        {"client_id": "a", "certificate_id": "b", "private_key": "c", "consumer_key": "d", "consumer_secret": "e",
         "token_id": "f", "token_secret": "g"},
    ],
)  # fmt: skip
def test_exactly_one_way_of_signing_in_is_asked_for(keys: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="needs"):
        NetSuiteSettings.model_validate({"kind": "netsuite", "account": "1", **keys})


@pytest.mark.parametrize("account", ["", "a b", "https://1.example", "1_2_3", "1/2"])
def test_an_account_that_is_none_is_refused(account: str) -> None:
    with pytest.raises(ValidationError, match="account"):
        NetSuiteSettings.model_validate(
            {"kind": "netsuite", "account": account, "client_id": "a", "certificate_id": "b", "private_key": "c"}
        )


def test_one_request_at_a_time_and_two_at_most() -> None:
    keys = {"kind": "netsuite", "account": "1", "client_id": "a", "certificate_id": "b", "private_key": "c"}

    assert NetSuiteSettings.model_validate(keys).concurrency == 1
    assert NetSuiteSettings.model_validate({**keys, "concurrency": 2}).concurrency == 2
    with pytest.raises(ValidationError, match="at most 2"):
        NetSuiteSettings.model_validate({**keys, "concurrency": 3})
    rehearsed = {**keys, "concurrency": 8, "base_url": "http://127.0.0.1:8801"}
    assert NetSuiteSettings.model_validate(rehearsed).concurrency == 8


def test_a_full_pool_is_waited_for_and_others_leave_it(bench: Bench) -> None:
    bench.double.outside = 5
    honest = bench.double._crowded
    left = [2]

    def crowded() -> Any:
        left[0] -= 1
        if not left[0]:
            bench.double.outside = 0
        return honest()

    bench.double._crowded = crowded  # type: ignore[method-assign]

    assert bench.connect().customers()
    assert left == [0]


def test_a_full_pool_that_stays_full_is_told(bench: Bench) -> None:
    bench.double.outside = 5

    with pytest.raises(VendorError, match="pool") as failed:
        bench.connect().customers()
    assert failed.value.code == "throttled"


# --- what is never asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "record/v1/invoice/eid:syncd-inv-1"),
        ("PATCH", "record/v1/charge/12"),
        ("DELETE", "record/v1/invoice/12"),
        ("POST", "record/v1/invoice/12/!transform/creditMemo"),
        ("POST", "record/v1/customer"),
        ("POST", "record/v1/charge/12"),
        ("GET", "record/v1/employee"),
        ("GET", "record/v1/invoice/../employee"),
    ],
)
def test_nothing_else_can_be_asked(bench: Bench, postings: dict[str, Posting], method: str, path: str) -> None:
    assert not permitted(method, path)
    if method == "GET":
        return
    told = bench.connect().send(postings["charge"], Wire(method, path, b"{}"))

    assert isinstance(told, Refused)
    assert bench.double.requests == []


def test_no_source_of_the_connector_names_a_put_or_an_idempotency_key() -> None:
    folder = Path(connectors.netsuite.__file__).parent
    for source in folder.glob("*.py"):
        if source.name.startswith("sandbox"):
            continue
        text = source.read_text()
        assert '"PUT"' not in text, source.name
        assert "idempotency-key" not in text.lower(), source.name


def test_the_double_refuses_a_signature_that_leaves_a_parameter_out(bench: Bench) -> None:
    tokens = bench.double.tokens
    client, path = Client(bench.double), "/services/rest/record/v1/customer"

    def status(signed: dict[str, str], sent: dict[str, str], realm: str = "1234567_SB1") -> int:
        header = authorization(
            "GET", f"http://localhost{path}?{urlencode(signed)}", realm=realm,
            keys=(tokens["consumer_key"], tokens["token_id"]),
            hidden=(tokens["consumer_secret"], tokens["token_secret"]), nonce=str(time.time_ns()),
            timestamp=int(time.time()),
        )  # fmt: skip
        assert dict(parse_qsl(urlencode(sent))) == sent
        return client.get(path, query_string=sent, headers={"Authorization": header}).status_code

    assert status({"limit": "1"}, {"limit": "1"}) == 200
    assert status({}, {"limit": "1"}) == 401
    assert status({"limit": "1"}, {"limit": "1"}, realm="1234567-sb1") == 401


def test_reading_spends_no_secret_in_an_address(bench: Bench) -> None:
    assert isinstance(bench.connect()._api._http, Http)
    bench.by_token().customers()

    shown = " ".join(f"{one.path} {one.query} {one.headers}" for one in bench.double.requests)
    assert not any(value in shown for value in bench.double.tokens.values())
