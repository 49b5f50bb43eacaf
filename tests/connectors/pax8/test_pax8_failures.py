"""What may go wrong while reading: nothing of it becomes a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pax8_kit import Bench, moment

from syncd.connect.contract import Ask
from syncd.core.resolve import resolve
from syncd.core.rules import Mappings
from syncd.core.suggest_customers import suggest_customers
from syncd.errors import VendorError
from syncd.model import Query, RemoteCustomer


def _many(bench: Bench, count: int) -> None:
    first = bench.double.stock.companies[0]
    bench.double.stock.companies += [
        {**first, "id": f"c{n}", "name": f"Company {n:03}", "externalId": ""} for n in range(count)
    ]


def test_a_server_that_caps_pages_at_100_is_read_whole(bench: Bench) -> None:
    bench.double.longest_page = 100
    _many(bench, 250)
    assert len(bench.connect().customers()) == 253
    pages = [one.query["page"] for one in bench.double.requests if one.path == "/v1/companies"]
    assert pages == ["0", "1", "2"] * 2  # twice alike
    assert {one.query["size"] for one in bench.double.requests if one.path == "/v1/companies"} == {"200"}


def test_a_list_that_never_holds_still_is_incomplete(bench: Bench) -> None:
    bench.double.longest_page = 1

    def shift(body: dict[str, Any]) -> None:
        bench.double.shift()

    bench.lie("/v1/companies", shift)
    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body["content"].pop(), "incomplete"),
        (lambda body: body["content"].clear(), "incomplete"),
        (lambda body: body["page"].update(number=3), "incomplete"),
        (lambda body: body["content"].append(body["content"][0]) or body["page"].update(totalElements=4), "incomplete"),
        (lambda body: body.pop("page"), "malformed"),
        (lambda body: body.pop("content"), "malformed"),
        (lambda body: body.update(content=None), "malformed"),
        (lambda body: body["page"].update(totalElements=-1), "malformed"),
        (lambda body: body["content"][0].pop("id"), "malformed"),
        (lambda body: body["content"][0].update(name=""), "malformed"),
    ],
)
def test_a_list_that_contradicts_itself_is_no_list(bench: Bench, change: Callable[[Any], None], code: str) -> None:
    bench.lie("/v1/companies", change)
    with pytest.raises(VendorError) as failed:
        bench.connect().customers()
    assert failed.value.code == code


def test_half_of_the_subscriptions_is_an_error_of_everybody(bench: Bench) -> None:
    bench.lie("/v1/subscriptions", lambda body: body["content"].pop())
    with pytest.raises(VendorError) as failed:
        bench.read()
    assert (failed.value.code, "rows came" in str(failed.value)) == ("incomplete", True)


def test_a_subscription_without_quantity_is_malformed_with_its_path(bench: Bench) -> None:
    bench.lie("/v1/subscriptions", lambda body: body["content"][0].pop("quantity"))
    with pytest.raises(VendorError, match=r"quantity.*\$\.content") as failed:
        bench.read()
    assert failed.value.code == "malformed"


def test_no_companies_at_all_is_an_answer(bench: Bench) -> None:
    bench.double.stock.companies.clear()
    assert bench.connect().customers() == ()


def test_a_company_that_was_merged_away_is_no_longer_listed_and_not_counted(bench: Bench) -> None:
    kept, merged = bench.customer(0), bench.customer(1)
    bench.control("change", id=merged.id, status="Deleted")
    bench.control("change", id=kept.id, name="Alder & Birchwood")
    connection = bench.connect()
    assert {one.id: one.name for one in connection.customers()}[kept.id] == "Alder & Birchwood"
    assert merged.id not in {one.id for one in connection.customers()}
    first, second = connection.counts([Ask(merged, (Query("quantity"),)), Ask(kept, (Query("quantity"),))], moment())
    assert (first.state, first.code, first.counts) == ("unknown", "not_found", ())
    assert second.state == "known"


def test_an_inactive_company_is_still_a_customer(bench: Bench) -> None:
    """Inactive only says that contacts are missing; its subscriptions are billed on."""
    bench.control("change", id=bench.customer().id, status="Inactive")
    listed = {one.id: one for one in bench.connect().customers()}
    assert listed[bench.customer().id].active
    assert bench.count("MST-SPB").quantity == 28


def test_the_psa_id_in_external_id_is_an_identifier(bench: Bench) -> None:
    assert bench.connect().customers()[0].identifiers == ("AlderDental",)


def test_throttling_without_a_named_wait_is_waited_out(bench: Bench) -> None:
    bench.double.fail("throttle", path="/v1/subscriptions", times=2)
    assert bench.count("MST-SPB").quantity == 28
    assert [one.status for one in bench.double.requests if one.path == "/v1/subscriptions"] == [429, 429, 200]


def test_a_proxys_page_is_said_to_be_one(bench: Bench) -> None:
    bench.double.fail("html", path="/v1/subscriptions", times=100)
    with pytest.raises(VendorError, match="a web page instead of data") as failed:
        bench.read()
    assert failed.value.code == "malformed"


@pytest.mark.parametrize(
    ("keys", "told"),
    [({"client_secret": "wrong-secret"}, "access_denied"), ({"client_id": "another"}, "API credentials")],
)
def test_wrong_credentials_are_said_without_showing_them(bench: Bench, keys: dict[str, str], told: str) -> None:
    with pytest.raises(VendorError, match=told) as failed:
        bench.connect(**keys).sign_in()
    assert failed.value.code == "unauthorized"
    assert "wrong-secret" not in str(failed.value)


def test_a_token_for_another_audience_is_refused_in_words(bench: Bench) -> None:
    """Usage-only credentials sign in, and may not read subscriptions."""
    connection = bench.connect()
    connection.sign_in()
    for token, (until, _) in bench.double.tokens.items():
        bench.double.tokens[token] = (until, "api://usage")
    with pytest.raises(VendorError, match="lack the right") as failed:
        connection.customers()
    assert failed.value.code == "forbidden"


def test_a_token_that_dies_early_is_renewed_once(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.tokens.clear()
    assert len(connection.customers()) == 3
    assert len([one for one in bench.double.requests if one.path == "/v1/token"]) == 2


def test_a_sign_in_host_that_is_away_is_asked_three_times(bench: Bench) -> None:
    bench.double.fail("unavailable", path="/v1/token", times=2)
    assert bench.connect().sign_in().identity == "Pax8, 3 companies"


def test_a_measure_that_is_unknown_is_said(bench: Bench) -> None:
    reading = bench.read("seats")
    assert (reading.state, reading.code) == ("unknown", "unsupported")


def test_only_reads_leave(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    asks = [Ask(bench.customer(number), (Query("quantity"), Query("usage"))) for number in range(3)]
    assert all(one.state == "known" for one in connection.counts(asks, moment()))
    others = {(one.method, one.path) for one in bench.double.requests if one.method != "GET"}
    assert others == {("POST", "/v1/token")}
    assert bench.double.effects == []


def test_the_external_id_and_the_web_site_propose_a_customer_with_that_reason(bench: Bench) -> None:
    company = bench.double.stock.companies[0]
    company |= {"externalId": "CW-250", "name": "Quite Another Name"}
    (one, *_) = [found for found in bench.connect().customers() if found.id == company["id"]]
    assert (one.identifiers, one.links) == (("CW-250",), ("https://alderdental.example",))

    def proposed(psa: RemoteCustomer) -> str:
        listed = {"cw": [psa], "pax8": [one]}
        found, _ = suggest_customers(Mappings(), listed, resolve((), listed, {}, {}), ["cw"], moment())
        return "; ".join(f"{suggestion.score}: {suggestion.reason}" for suggestion in found)

    assert "it keeps the id cw-250 of cw" in proposed(RemoteCustomer("CW-250", "Alder"))
    assert "cw has the same key cw-250" in proposed(RemoteCustomer("7", "Alder", ("CW-250",)))
    assert "cw has the same domain" in proposed(RemoteCustomer("7", "Alder", ("www.alderdental.example",)))
    assert proposed(RemoteCustomer("7", "Beech")) == ""
