"""Signing in: each kind against the double, refused, expiring in the middle, rotating; and where secrets go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from json_kit import BASE, EACH, Serve, quantities, read
from test_json_paging import expected

from connectors.http_json.sandbox import KEY, SECRET
from syncd.errors import UserFault, VendorError


def oauth2(**changes: Any) -> dict[str, Any]:
    keys = {
        "kind": "oauth2",
        "token_url": "https://login.example/oauth/token",
        "client_id": KEY,
        "client_secret": SECRET,
    }
    return {name: value for name, value in {**keys, **changes}.items() if value is not None}


SIGN_INS: dict[str, tuple[str, Any]] = {
    "bearer": ("bearer", {"kind": "bearer", "token": "sandbox-token"}),
    "bearer alone": ("bearer", "sandbox-token"),
    "basic": ("basic", {"kind": "basic", "username": KEY, "password": SECRET}),
    "header": ("header", {"kind": "header", "name": "X-Api-Key", "value": SECRET}),
    "oauth2": ("oauth2", oauth2()),
    "password grant": ("oauth2", oauth2(username=KEY, password=SECRET)),
    "rotating": ("oauth2", oauth2(refresh_token="refresh-1")),
}


@pytest.mark.parametrize("name", SIGN_INS)
def test_every_way_of_signing_in(served: Serve, name: str) -> None:
    kind, auth = SIGN_INS[name]
    _, bench = served(sign_in=kind)
    connection = bench.open(BASE, auth=auth)

    assert bench.url.removeprefix("http://") in connection.sign_in().identity
    assert quantities(read(connection)) == expected()
    for request in bench.double.requests:
        assert SECRET not in f"{request.path} {request.query}"


@pytest.mark.parametrize("name", SIGN_INS)
def test_refused_credentials_are_said_and_never_shown(served: Serve, name: str) -> None:
    kind, auth = SIGN_INS[name]
    _, bench = served(sign_in=kind)
    if isinstance(auth, dict):
        slot = next(one for one in ("refresh_token", "client_secret", "password", "token", "value") if one in auth)
        auth = {**auth, slot: "forgotten"}
    else:
        auth = "forgotten"
    with pytest.raises(VendorError) as refused:
        bench.open(BASE, auth=auth).sign_in()
    assert refused.value.code == "unauthorized"
    assert "auth" in str(refused.value)
    assert "forgotten" not in str(refused.value)


def test_no_sign_in_at_all_is_refused_by_a_vendor_that_wants_one(served: Serve) -> None:
    _, bench = served()
    with pytest.raises(VendorError, match="status 401; check auth"):
        bench.open(BASE, auth=None).customers()


def test_the_clients_secret_goes_where_the_vendor_wants_it(served: Serve) -> None:
    vendor, bench = served(sign_in="oauth2")
    vendor.client_auth, vendor.scope = "basic", "monitoring"

    assert bench.open(BASE, auth=oauth2(client_auth="basic", scope="monitoring")).sign_in()
    with pytest.raises(VendorError, match=r"status 401 \(invalid_client\)"):
        bench.open(BASE, auth=oauth2(scope="monitoring")).sign_in()
    with pytest.raises(VendorError, match=r"status 400 \(invalid_scope\)"):
        bench.open(BASE, auth=oauth2(client_auth="basic")).sign_in()


@pytest.mark.parametrize("grant", ["oauth2", "password grant", "rotating"])
def test_a_token_that_ends_in_the_middle_of_a_list_is_renewed(served: Serve, grant: str) -> None:
    vendor, bench = served(sign_in="oauth2", longest_page=7)
    vendor.uses = 3

    assert quantities(read(bench.open(BASE, auth=SIGN_INS[grant][1]))) == expected()
    assert sum(request.path == "/oauth/token" for request in bench.double.requests) >= 5


def test_a_rotating_token_is_kept_and_a_spent_one_is_refused(served: Serve) -> None:
    vendor, bench = served(sign_in="oauth2")
    auth = oauth2(refresh_token="refresh-1")
    bench.open(BASE, auth=auth).sign_in()
    bench.open(BASE, auth=auth).sign_in()  # what was kept serves on, though the configured one is spent

    kept = bench.vault.newest("refresh-1")
    assert kept is not None
    assert kept.refresh == vendor.refresh
    vendor.refresh = "used-elsewhere"
    vendor.tokens.clear()
    with pytest.raises(VendorError, match=r"status 400 \(invalid_grant\)") as refused:
        bench.open(BASE, auth=auth).sign_in()
    assert refused.value.code == "unauthorized"


@pytest.mark.parametrize("fault", ["500_before", "throttle", "unavailable"])
def test_a_sign_in_host_that_cannot_now_is_asked_again(served: Serve, fault: str) -> None:
    _, bench = served(sign_in="oauth2")
    bench.double.fail(fault, path="token", times=2)
    assert bench.open(BASE, auth=oauth2()).sign_in()

    bench.double.fail(fault, path="token", times=100)
    with pytest.raises(VendorError) as failed:
        bench.open(BASE, auth=oauth2()).sign_in()
    assert failed.value.code == "unavailable"


def test_a_sign_in_that_answers_with_a_page_is_malformed(served: Serve) -> None:
    _, bench = served(sign_in="oauth2")
    bench.double.fail("html", path="token", times=100)
    with pytest.raises(VendorError, match="the sign-in answered a web page instead of data"):
        bench.open(BASE, auth=oauth2()).sign_in()


def test_further_headers_go_to_the_api_and_not_to_the_sign_in_host(served: Serve) -> None:
    _, bench = served(sign_in="oauth2")
    bench.open(BASE, auth=oauth2(), headers={"Subscription-Key": "k1", "Accept-Language": "en"}).sign_in()

    told = {request.path: request.headers for request in bench.double.requests}
    assert "subscription-key" not in told["/oauth/token"]
    assert (told["/v2/devices"]["subscription-key"], told["/v2/devices"]["accept-language"]) == ("k1", "en")


def test_a_secret_is_read_anew_for_each_request(served: Serve, tmp_path: Path) -> None:
    _, bench = served()
    secret = tmp_path / "token"
    secret.write_text("sandbox-token\n")
    connection = bench.open(BASE, auth={"file": "token"})
    assert connection.sign_in()

    secret.write_text("rotated")
    with pytest.raises(VendorError, match="status 401"):
        connection.sign_in()
    secret.unlink()
    with pytest.raises(UserFault, match="token cannot be read"):
        connection.sign_in()


@pytest.mark.parametrize("value", ["line\nbreak: x", "naïve"])
def test_a_secret_that_no_header_can_carry_is_told_without_showing_it(served: Serve, value: str) -> None:
    _, bench = served(sign_in="header")
    with pytest.raises(VendorError, match="the header X-Api-Key should say holds a line break") as refused:
        bench.open(BASE, auth={"kind": "header", "name": "X-Api-Key", "value": value}).sign_in()
    assert value not in str(refused.value)
    assert bench.double.requests == []


def test_token_url_moves_the_sign_in_to_another_root() -> None:
    from connectors.http_json.config import HttpJsonSettings

    keys = {**BASE, "base_url": "https://api.example", "auth": oauth2()}
    assert HttpJsonSettings.model_validate(keys).sign_in_url == "https://login.example/oauth/token"
    moved = HttpJsonSettings.model_validate({**keys, "token_url": "https://login.eu.example"})
    assert moved.sign_in_url == "https://login.eu.example/oauth/token"


@pytest.mark.parametrize("retry_after", ["0", ""])
def test_throttling_with_and_without_a_named_wait_is_waited_out(served: Serve, retry_after: str) -> None:
    vendor, bench = served()
    vendor.double.retry_after = retry_after
    connection = bench.open(EACH)
    customers = read(connection)
    bench.double.fail("throttle", times=3)

    assert quantities(read(connection)) == quantities(customers)
    bench.double.fail("throttle", times=1000)
    with pytest.raises(VendorError) as failed:
        connection.customers()
    assert failed.value.code == "throttled"
