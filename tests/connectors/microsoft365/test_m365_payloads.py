"""Answers as recorded or documented, byte for byte, and answers bent on purpose."""

from __future__ import annotations

from datetime import date

import pytest
from m365_recorded import ORGANIZATION, PURCHASES, SKUS, TENANT, Recorded, units, user, users

from connectors.microsoft365.activity import parse_report
from connectors.microsoft365.graph import explain, fault_code
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import State


def test_the_documented_sample(recorded: Recorded) -> None:
    assert recorded.count().quantity == 23
    assert recorded.count("purchased").quantity == 26


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"consumedUnits":23,', ""),
        ('"consumedUnits":23', '"consumedUnits":null'),
        ('"consumedUnits":23', '"consumedUnits":"23"'),
        ('"consumedUnits":23', '"consumedUnits":23.5'),
        ('"consumedUnits":23', '"consumedUnits":-1'),
        ('"consumedUnits":23', '"consumedUnits":9999999999'),
        ('"consumedUnits":23', '"consumedUnits":true'),
        ('"enabled":25', '"enabled":null'),
        ('"prepaidUnits":{"enabled":25,"suspended":0,"warning":1,"lockedOut":0},', '"prepaidUnits":null,'),
        ('"prepaidUnits":{"enabled":25,"suspended":0,"warning":1,"lockedOut":0},', ""),
        ('"skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"', '"skuId":null'),
        (SKUS, '{"value":null}'),
        (SKUS, "{}"),
        (SKUS, "[]"),
        (SKUS, ""),
        (SKUS, "<!DOCTYPE html><html>Sign in</html>"),
    ],
)
def test_a_bent_product_is_no_number(recorded: Recorded, old: str, new: str) -> None:
    assert old in SKUS
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", SKUS.replace(old, new))
    readings = recorded.ask("consumed", "purchased")
    assert {(one.state, one.code, one.counts) for one in readings} == {(State.UNKNOWN, "malformed", ())}


@pytest.mark.parametrize("missing", ['"enabled":25,', '"suspended":0,', '"warning":1,'])
def test_old_records_may_lack_single_counters(recorded: Recorded, missing: str) -> None:
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", SKUS.replace(missing, ""))
    expected = {'"enabled":25,': 1, '"warning":1,': 25}.get(missing, 26)
    assert recorded.count("purchased").quantity == expected


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, '{"value":[]}', "incomplete"),
        (403, '{"error":{"code":"Authorization_RequestDenied","message":""}}', "forbidden"),
        (404, '{"error":{"code":"UnknownError","message":""}}', "not_found"),
        (501, '{"error":{"code":"NotImplemented","message":""}}', "unsupported"),
    ],
)
def test_without_its_purchases_nothing_is_called_bought(recorded: Recorded, status: int, body: str, code: str) -> None:
    recorded.answers["directory/subscriptions"] = []
    recorded.say("directory/subscriptions", body, status)
    consumed, purchased = recorded.ask("consumed", "purchased")
    assert (purchased.state, purchased.code, purchased.counts) == (State.UNKNOWN, code, ())
    assert consumed.counts[0].quantity == 23


def test_a_product_without_part_number_goes_by_its_id(recorded: Recorded) -> None:
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", SKUS.replace('"skuPartNumber":"SPB",', ""))
    count = recorded.count()
    assert (count.sku, count.name) == ("cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46", "Microsoft 365 Business Premium")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"value":[]}', "malformed"),
        (ORGANIZATION.replace("}]", f'}},{{"id":"{TENANT[:-1]}4"}}]'), "malformed"),
        ('{"value":[{"id":"84841066-0000-4ec0-a5c1-276be684bdd3"}]}', "wrong_tenant"),
        ('{"value":[{}]}', "malformed"),
    ],
)
def test_only_the_tenant_that_was_asked_for_is_counted(recorded: Recorded, body: str, code: str) -> None:
    recorded.answers["organization"] = []
    recorded.say("organization", body)
    assert [one.code for one in recorded.ask("consumed")] == [code]


def test_the_same_record_twice_differently_is_partial(recorded: Recorded) -> None:
    row = SKUS[SKUS.index('{"skuId"') : -2]
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", f"{SKUS[:-2]},{row.replace(':23,', ':24,')}]}}")
    (reading,) = recorded.ask("consumed")
    assert (reading.state, reading.code) == (State.PARTIAL, "incomplete")


def test_pages_that_go_round_in_circles_end(recorded: Recorded) -> None:
    circle = f"{recorded.url}/v1.0/subscribedSkus?$skiptoken=a"
    recorded.answers["subscribedSkus"] = []
    recorded.say("subscribedSkus", SKUS.replace('"value"', f'"@odata.nextLink":"{circle}","value"', 1))
    (reading,) = recorded.ask("consumed")
    assert (reading.state, reading.code) == (State.PARTIAL, "incomplete")
    assert "in circles after page 2" in reading.reason


def _batch(*parts: str) -> str:
    return f'{{"responses":[{",".join(parts)}]}}'


def _part(name: str, body: str, status: int = 200, headers: str = "{}") -> str:
    return f'{{"id":"{name}","status":{status},"headers":{headers},"body":{body}}}'


def test_a_batch_in_any_order_with_a_part_put_off(recorded: Recorded) -> None:
    put_off = '{"error":{"code":"TooManyRequests","message":"Please retry after"}}'
    recorded.say("$batch", _batch(_part("subscribedSkus", SKUS)))
    recorded.say(
        "$batch",
        _batch(
            _part("subscriptions", PURCHASES),
            _part("subscribedSkus", put_off, 429, '{"Retry-After":"0.05"}'),
            _part("organization", ORGANIZATION),
        ),
    )
    assert recorded.count().quantity == 23


def test_a_part_whose_token_is_refused_is_asked_alone(recorded: Recorded) -> None:
    stale = '{"error":{"code":"InvalidAuthenticationToken","message":"Access token has expired."}}'
    recorded.say(
        "$batch",
        _batch(
            _part("subscribedSkus", stale, 401), _part("organization", ORGANIZATION), _part("subscriptions", PURCHASES)
        ),
    )
    assert recorded.count().quantity == 23
    assert [one.path for one in recorded.double.requests].count("/v1.0/subscribedSkus") == 1


@pytest.mark.parametrize(
    ("status", "code"), [(403, "forbidden"), (404, "not_found"), (400, "invalid"), (503, "unavailable")]
)
def test_a_refused_part_is_an_error_although_the_batch_says_200(recorded: Recorded, status: int, code: str) -> None:
    fault = '{"error":{"code":"SomethingElse","message":"x"}}'
    refused = (_part("subscribedSkus", fault, status), _part("subscriptions", fault, status))
    recorded.say("$batch", _batch(*refused))  # only these are asked again where the status allows it
    recorded.say("$batch", _batch(_part("organization", ORGANIZATION), *refused))
    assert [one.code for one in recorded.ask("consumed")] == [code]


@pytest.mark.parametrize("extra", ["unasked", "organization"])
def test_a_batch_with_parts_that_were_not_asked_for_is_refused(recorded: Recorded, extra: str) -> None:
    parts = (_part("organization", ORGANIZATION), _part("subscribedSkus", SKUS), _part("subscriptions", PURCHASES))
    recorded.say("$batch", _batch(*parts, _part(extra, ORGANIZATION)))
    assert [one.code for one in recorded.ask("consumed")] == ["incomplete"]


def test_the_innermost_code_is_told_and_the_prose_is_not() -> None:
    body = (
        b'{"error":{"code":"UnknownError","message":"About maria@contoso.example","innererror":'
        b'{"code":"Authentication_RequestFromNonPremiumTenantOrB2CTenant","request-id":"r-1","date":"2026-11-20"}}}'
    )
    reply = Reply(403, {}, body, where="GET /v1.0/users")
    assert fault_code(reply) == ("Authentication_RequestFromNonPremiumTenantOrB2CTenant", "r-1")
    code, words = explain(reply)
    assert code == "forbidden"
    assert "no Entra ID P1 or P2" in words
    assert "maria" not in words


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (429, b'{"error":{"code":"TooManyRequests","message":"","innerError":{"code":"429"}}}', "throttled", "TooMany"),
        (401, b'{"error":{"code":"InvalidAuthenticationToken","message":""}}', "unauthorized", "both of one cloud"),
        (501, b'{"error":{"code":"NotImplemented","message":""}}', "unsupported", "NotImplemented"),
        (400, b'{"error":{"code":"Request_UnsupportedQuery","message":""}}', "invalid", "UnsupportedQuery"),
        (403, b"<html>blocked</html>", "forbidden", "a proxy in between?"),
        (502, b"", "unavailable", "status 502"),
    ],
)
def test_errors_in_words(status: int, body: bytes, code: str, words: str) -> None:
    told_code, told = explain(Reply(status, {}, body, where="GET /v1.0/users"))
    assert (told_code, words in told) == (code, True)


HEADINGS = "Report Refresh Date,User Principal Name,Is Deleted,Exchange Last Activity Date,Teams Last Activity Date"


def test_the_report_is_read_by_its_headings() -> None:
    text = f"\ufeffNew,{HEADINGS}\r\nx,2026-11-18,Ann@contoso.example,False,2026-11-01,2026-11-12\r\n"
    text += "x,2026-11-18,bob@contoso.example,False,,\r\nx,2026-11-18,gone@contoso.example,True,2026-11-12,\r\n"
    report = parse_report(text.encode())
    assert report.refreshed == date(2026, 11, 18)
    assert report.last_used == {"ann@contoso.example": date(2026, 11, 12), "bob@contoso.example": None}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<html>Sign in</html>", "malformed"),
        ("", "malformed"),
        ("Report Refresh Date,User Principal Name\n2026-11-18,a@b\n", "malformed"),
        (HEADINGS + "\n", "incomplete"),
        (HEADINGS + "\n2026-11-18,a@b,False,2026-11\n", "incomplete"),
        (HEADINGS + "\n2026-11-18,a@b,False,yesterday,\n", "malformed"),
        (HEADINGS + "\n2026-11-18,0123456789ABCDEF,False,2026-11-17,\n", "forbidden"),
    ],
)
def test_a_report_that_does_not_tell_is_an_error(text: str, code: str) -> None:
    with pytest.raises(VendorError) as refused:
        parse_report(text.encode())
    assert refused.value.code == code


def test_each_answer_may_be_the_one_that_is_html(recorded: Recorded) -> None:
    page = "<html>proxy</html>"
    for path in ("organization", "subscribedSkus", "users"):
        recorded.answers.pop("users", None)
        recorded.say("users", users(user(1)))
        units(recorded, 1)
        kept = recorded.answers[path]
        recorded.answers[path] = [(200, {}, page)]
        assert [one.code for one in recorded.ask("assigned")] == ["malformed"], path
        recorded.answers[path] = kept
