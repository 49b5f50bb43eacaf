"""What may go wrong while reading or signing in: nothing of it becomes a number, and no refresh token is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from pc_kit import QUANTITY, Bench, moment

from connectors.partnercenter import connector
from syncd.connect.contract import Ask
from syncd.connect.rotating import InMemory, Tokens
from syncd.errors import VendorError
from syncd.model import Query


def _many(bench: Bench, count: int) -> None:
    first = bench.double.stock.customers[0]
    bench.double.stock.customers += [{**first, "id": f"c{number:04}"} for number in range(count)]


@pytest.mark.parametrize("option", ["", "prefixed", "broken_links", "bom"])
def test_pages_follow_by_continuation_to_the_last(bench: Bench, option: str) -> None:
    bench.double.longest_page = 100
    if option:
        setattr(bench.double, option, True)
    _many(bench, 250)
    assert len(bench.connect().customers()) == 253
    asked = [one for one in bench.double.requests if one.path == "/v1/customers"]
    assert [one.query.get("seekOperation") for one in asked] == [None, "Next", "Next"]
    assert ["ms-continuationtoken" in one.headers for one in asked] == [False, True, True]
    assert len({one.headers["ms-requestid"] for one in asked}) == 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body["items"].pop(), "incomplete"),
        (lambda body: body["items"].clear(), "incomplete"),
        (lambda body: body["links"].update(next={"uri": "/customers?seekOperation=Next", "headers": []}), "incomplete"),
        (
            lambda body: body["links"].update(
                next={"uri": "", "headers": [{"key": "MS-ContinuationToken", "value": "x"}]}
            ),
            "invalid",
        ),
        (lambda body: body.pop("items"), "malformed"),
        (lambda body: body.update(items=None), "malformed"),
        (lambda body: body["items"][0].pop("id"), "malformed"),
    ],
)
def test_a_list_that_contradicts_itself_is_no_list(bench: Bench, change: Callable[[Any], None], code: str) -> None:
    bench.lie("/customers", change)
    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == code


def test_pages_that_go_round_in_circles_end(bench: Bench) -> None:
    bench.double._cursors["x"] = ""
    link = {"uri": "/customers?size=500", "headers": [{"key": "MS-ContinuationToken", "value": "x"}]}
    bench.lie("/customers", lambda body: body["links"].update(next=link))
    with pytest.raises(VendorError, match="round in circles"):
        bench.connect().customers()


def test_a_next_page_sets_no_headers_but_the_vendors_own(bench: Bench) -> None:
    bench.double.longest_page = 2
    header = {"key": "X-Elsewhere", "value": "anything"}

    def inject(body: dict[str, Any]) -> None:
        if "next" in body["links"]:
            body["links"]["next"]["headers"].append(header)

    bench.lie("/customers", inject)
    assert len(bench.connect().customers()) == 3
    asked = [one.headers for one in bench.double.requests if one.path == "/v1/customers"]
    assert ["ms-continuationtoken" in headers for headers in asked] == [False, True]
    assert all("x-elsewhere" not in headers for headers in asked)


def test_an_answer_that_names_another_customer_is_not_taken(bench: Bench) -> None:
    first, second = bench.customer(0), bench.customer(1)
    other = f"/v1/customers/{first.id}/subscriptions"
    bench.lie(f"/customers/{second.id}/subscriptions", lambda body: body["links"]["self"].update(uri=other))
    assert (bench.read(1).state, bench.read(1).code) == ("unknown", "wrong_tenant")


def test_a_subscription_has_one_owner_also_where_answers_name_nobody(bench: Bench) -> None:
    bench.double.links = False
    stock, first, second = bench.double.stock, bench.customer(0), bench.customer(1)
    stock.subscriptions[second.id] = stock.subscriptions[first.id]
    one, other = bench.connect().counts([Ask(first, (QUANTITY,)), Ask(second, (QUANTITY,))], moment())
    assert one.state == "known"
    assert (other.state, other.code) == ("unknown", "wrong_tenant")


def test_a_subscription_that_changes_while_it_is_read_gives_no_number(bench: Bench) -> None:
    row = bench.double.stock.subscriptions[bench.customer().id][0]
    bench.lie(f"/subscriptions/{row['id']}", lambda body: body.update(quantity=99))
    assert (bench.read().state, bench.read().code) == ("unknown", "incomplete")
    bench.lie(f"/subscriptions/{row['id']}", lambda body: body.update(id="another"))
    assert bench.read().code == "malformed"


def test_a_customer_who_left_is_neither_listed_nor_zero(bench: Bench) -> None:
    connection = bench.connect()
    bench.control("customer", customer=bench.customer().id, left=True)
    assert bench.customer().id not in {one.id for one in connection.customers()}
    reading = bench.read()
    assert (reading.state, reading.code, reading.counts) == ("unknown", "not_found", ())
    assert "no commerce relationship with this customer any more (code 20002)" in reading.reason


def test_a_renamed_customer_keeps_id_and_domain(bench: Bench) -> None:
    bench.control("customer", customer=bench.customer().id, name="Alder & Birchwood")
    found = {one.id: one for one in bench.connect().customers()}[bench.customer().id]
    assert (found.name, found.identifiers) == ("Alder & Birchwood", ("alderdental.example",))


def test_throttling_without_a_named_wait_is_waited_out(bench: Bench) -> None:
    bench.double.fail("throttle", path="subscriptions$", times=2)
    assert bench.read().state == "known"


@pytest.mark.parametrize(
    ("fault", "code"), [("html", "malformed"), ("unavailable", "unavailable"), ("throttle", "throttled")]
)
def test_one_customers_failure_spoils_no_other(bench: Bench, fault: str, code: str) -> None:
    bench.double.fail(fault, path=f"{bench.customer(1).id}/subscriptions$", times=100)
    asks = [Ask(bench.customer(number), (QUANTITY,)) for number in range(3)]
    readings = list(bench.connect().counts(asks, moment()))
    assert [one.code for one in readings] == ["", code, ""]


def test_a_refused_token_asks_for_a_sign_in_with_mfa(bench: Bench) -> None:
    bench.control("sign_in", mfa=False)
    with pytest.raises(VendorError, match="Sign in again as the partner's service user, with MFA") as failed:
        bench.connect().sign_in()
    assert failed.value.code == "unauthorized"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"client_secret": "wrong-secret"}, "the client secret is wrong (AADSTS7000215)"),
        ({"client_id": "another"}, "the app is not known in this tenant"),
        ({"tenant_id": "nowhere.example"}, "there is no such tenant"),
        ({"refresh_token": "spent-token"}, "used elsewhere (AADSTS70000). Sign in again"),
    ],
)
def test_refused_sign_ins_are_said_without_showing_anything(bench: Bench, keys: dict[str, str], told: str) -> None:
    with pytest.raises(VendorError) as failed:
        bench.connect(**keys).sign_in()
    assert told in str(failed.value)
    assert not any(value in str(failed.value) for value in keys.values() if "-" in value)
    assert "names" not in str(failed.value)  # the sign-in host's prose


def test_a_refresh_token_that_rests_90_days_has_ended(bench: Bench) -> None:
    bench.double.advance(91 * 86_400)
    with pytest.raises(VendorError, match="not been used for 90 days"):
        bench.connect().sign_in()


def test_the_newest_refresh_token_survives_a_restart(bench: Bench) -> None:
    bench.double.single_use = True
    bench.connect().sign_in()
    bench.double.tokens.clear()  # the access token has ended
    assert len(bench.connect().customers()) == 3  # a new process, with the seed in its config and the same vault
    bench.double.tokens.clear()
    bench.vault = InMemory()
    with pytest.raises(VendorError, match="used elsewhere"):
        bench.connect().customers()


def test_nothing_is_signed_with_tokens_that_could_not_be_kept(bench: Bench) -> None:
    class Full(InMemory):
        def keep(self, seed: str, tokens: Tokens) -> None:
            raise VendorError("unavailable", "the disk is full")

    bench.vault = Full()
    with pytest.raises(VendorError, match="the disk is full"):
        bench.connect().customers()
    assert [one.path for one in bench.double.requests if one.path == "/v1/customers"] == []


def test_a_sign_in_host_that_is_away_for_a_moment_is_asked_again(bench: Bench) -> None:
    bench.double.fail("unavailable", path="/token$", times=2)
    bench.double.fail("drop_after", path="/token$")
    assert bench.connect().sign_in().identity.startswith("Partner Center v1, partner tenant ")


@pytest.mark.parametrize(
    ("keys", "login", "scope"),
    [
        ({}, "https://login.microsoftonline.com", "https://api.partnercenter.microsoft.com"),
        (
            {"base_url": "https://partner.partnercenterapi.microsoftonline.cn"},
            "https://login.chinacloudapi.cn",
            "https://partner.partnercenterapi.microsoftonline.cn",
        ),
        (
            {"token_url": "https://login.microsoftonline.us"},
            "https://login.microsoftonline.us",
            "https://api.partnercenter.microsoft.com",
        ),
        (
            {"base_url": "http://127.0.0.1:1", "token_url": "https://login.chinacloudapi.cn"},
            "https://login.chinacloudapi.cn",
            "https://partner.partnercenterapi.microsoftonline.cn",
        ),
    ],
)
def test_each_cloud_has_its_own_hosts(keys: dict[str, str], login: str, scope: str) -> None:
    own = {"tenant_id": "t", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    settings: Any = connector.settings.model_validate({"kind": "partnercenter", **own, **keys})
    assert (settings.login_root, settings.token_scope) == (login, f"{scope}/user_impersonation offline_access")


def test_a_measure_that_is_unknown_is_said(bench: Bench) -> None:
    (reading,) = bench.connect().counts([Ask(bench.customer(), (Query("seats"),))], moment())
    assert (reading.state, reading.code) == ("unknown", "unsupported")


def test_only_reads_leave_and_no_token_is_in_an_address(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    asks = [Ask(bench.customer(number), (QUANTITY,)) for number in range(3)]
    assert all(one.state == "known" for one in connection.counts(asks, moment()))
    requests = bench.double.requests
    assert {one.path.rsplit("/", 1)[1] for one in requests if one.method != "GET"} == {"token"}
    told = os.linesep.join(f"{one.path} {one.query} {one.headers} {one.body}" for one in requests)
    assert not any(token in told for token in (*bench.double.tokens, *bench.double.refresh, "sandbox-secret"))
    assert bench.double.effects == []
