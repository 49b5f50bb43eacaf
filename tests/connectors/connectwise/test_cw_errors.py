"""Every shape of an error becomes a sentence; hosts and code bases are found; throttling is obeyed in both shapes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from cw_kit import Bench
from pydantic import ValidationError

from connectors.connectwise.config import ConnectWiseSettings, api_root
from connectors.connectwise.errors import explain, refused
from syncd.connect.http import Reply
from syncd.errors import VendorError

ADDITION = (
    b'{"code":"InvalidObject","message":"addition object is invalid","errors":[{"code":"InvalidField",'
    b'"message":"effectiveDate cannot be less than the agreement billing start date","resource":"addition",'
    b'"field":"effectiveDate"}]}'
)
TWO = (
    b'{"code":"InvalidObject","message":"company object is invalid","errors":[{"code":"MissingRequired",'
    b'"message":"is required","resource":"company","field":"identifier","details":null},{"code":"Odd"}]}'
)
CONVERT = (
    b'{"code":"ConnectWiseApi","message":"Error converting value \\"x\\" to type \'System.Double\'.","errors":null}'
)
TIMEOUT = b'{"code":"ConnectWiseApi","message":"A timeout has occured. Please try again.","errors":null}'
BUSY = b'{"error":"ConnectWiseAPI","message":"Too many requests. Please try again in 30 seconds."}'
SSL = b'{"code":"Security","message":"SSL is required","errors":null}'
WHERE = "POST /v4_6_release/apis/3.0/finance/agreements/1/additions"


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (400, ADDITION, "invalid", "addition object is invalid; effectiveDate cannot be less than the agreement"),
        (400, TWO, "invalid", "company object is invalid: is required (field identifier); Odd"),
        (400, CONVERT, "invalid", 'Error converting value "x"'),
        (401, b'{"code":"Unauthorized","message":"no","errors":null}', "unauthorized", "refused the sign-in: no"),
        (403, SSL, "forbidden", "https://api-"),
        (403, b'{"code":"Forbidden","message":"no","errors":null}', "forbidden", "security role"),
        (404, b"", "not_found", "wrong sign-in"),
        (405, b"", "invalid", "status 405"),
        (409, b'{"code":"Conflict","message":"in use","errors":[]}', "invalid", "in use or changed"),
        (429, BUSY, "throttled", "Too many requests"),
        (429, b"error code: 1015", "throttled", "throttles"),
        (500, TIMEOUT, "unavailable", "A timeout has occured"),
        (500, CONVERT, "invalid", "could not read a value"),
        (502, b"<html><body>Bad Gateway</body></html>", "unavailable", "a proxy answered"),
        (415, b"[]", "invalid", "status 415"),
    ],
)
def test_error_shapes(status: int, body: bytes, code: str, words: str) -> None:
    found, sentence = explain(Reply(status, {}, body, where=WHERE))
    assert found == code
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.startswith("ConnectWise")


@pytest.mark.parametrize(
    ("body", "is_refusal"),
    [
        (ADDITION, True),
        (b"<html>blocked</html>", False),
        (b"", False),
        (b"{}", False),
        (b'{"message":"from some proxy"}', False),
    ],
)
def test_only_the_vendors_own_shape_is_a_refusal(body: bytes, is_refusal: bool) -> None:
    assert (refused(Reply(400, {}, body, where=WHERE)) is not None) is is_refusal


@pytest.mark.parametrize(
    ("site", "root"),
    [
        ("na.myconnectwise.net", "https://api-na.myconnectwise.net"),
        ("eu.myconnectwise.net", "https://api-eu.myconnectwise.net"),
        ("https://aus.myconnectwise.net/", "https://api-aus.myconnectwise.net"),
        ("api-za.myconnectwise.net", "https://api-za.myconnectwise.net"),
        ("staging.connectwisedev.com", "https://api-staging.connectwisedev.com"),
        ("psa.example-msp.com:8443", "https://psa.example-msp.com:8443"),
    ],
)
def test_regional_hosts(site: str, root: str) -> None:
    keys = {"kind": "connectwise", "company": "a", "public_key": "p", "private_key": "q", "client_id": "c"}
    settings = ConnectWiseSettings.model_validate({**keys, "site": site})
    assert api_root(settings.site) == root
    assert settings.requests_per_minute == 300
    assert settings.concurrency == 4


@pytest.mark.parametrize("site", ["http://na.myconnectwise.net", "na.myconnectwise.net/login", "user@host", "", 5])
def test_sites_that_are_none(site: Any) -> None:
    keys = {"kind": "connectwise", "company": "a", "public_key": "p", "private_key": "q", "client_id": "c"}
    with pytest.raises(ValidationError):
        ConnectWiseSettings.model_validate({**keys, "site": site})


def test_the_code_base_is_found_without_credentials(bench: Bench) -> None:
    connection = bench.connect(base_url=None, site=bench.url)
    assert bench.double.requests == []  # opening does no I/O
    assert connection.customers()
    first, second = bench.double.requests[:2]
    assert first.path == "/login/companyinfo/acme"
    assert second.path == "/v2026_1/apis/3.0/company/companies"
    assert sum(1 for one in bench.double.requests if "companyinfo" in one.path) == 1


def test_an_unknown_company_is_said(bench: Bench) -> None:
    with pytest.raises(VendorError, match='knows no company "nobody"') as raised:
        bench.connect(base_url=None, site=bench.url, company="nobody").customers()
    assert raised.value.code == "unauthorized"


def test_a_code_base_that_moves_in_the_middle_is_found_again_once(bench: Bench) -> None:
    connection = bench.connect(base_url=None, site=bench.url)
    connection.customers()
    bench.double.codebase = "v2026_2"
    assert connection.products()
    assert bench.double.requests[-1].path.startswith("/v2026_2/")
    bench.double.codebase = "v2026_3"
    with pytest.raises(VendorError) as raised:
        connection.customers()
    assert raised.value.code == "not_found"
    assert sum(1 for one in bench.double.requests if "companyinfo" in one.path) == 2


def test_a_wrong_sign_in_is_said_whichever_way_the_vendor_shows_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(private_key="the real one")
    for keys in ({}, {"base_url": None, "site": bench.url}):
        with pytest.raises(VendorError) as raised:
            bench.connect(**keys).sign_in()
        assert raised.value.code == "unauthorized"
        assert "company, public_key, private_key" in str(raised.value)
        assert "private-secret" not in str(raised.value)


def test_a_plain_404_to_everything_is_told_as_a_sign_in(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(absent={"system/info", "company/companies"})
    with pytest.raises(VendorError, match="404 to everything") as raised:
        bench.connect().sign_in()
    assert raised.value.code == "unauthorized"


def test_an_unreadable_key_is_no_crash_of_a_send(bench: Bench, postings: dict[str, Any]) -> None:
    from syncd.model import NotSent

    connection = bench.connect(private_key={"file": "nowhere"})
    answer = connection.send(postings["set"], connection.wire(postings["set"]))
    assert isinstance(answer, NotSent)
    assert "nowhere" in answer.reason
    with pytest.raises(VendorError):
        connection.customers()


@pytest.mark.parametrize("cdn", [False, True])
def test_reading_waits_as_long_as_the_vendor_says(make_bench: Callable[..., Bench], cdn: bool) -> None:
    bench = make_bench(cdn=cdn, retry_after="0.2")
    bench.double.fail("throttle", path="company/companies$")
    began = time.monotonic()
    assert bench.connect().customers()
    assert time.monotonic() - began >= 0.2


def test_the_doubles_own_bucket_throttles_and_is_lived_with(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(per_minute=600, retry_after="0.1")
    bench.double._tokens = 3.0
    connection = bench.connect()
    assert connection.customers()
    assert bench.billing(connection=connection).lines
    assert any(one.status == 429 for one in bench.double.requests)
