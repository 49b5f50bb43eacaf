"""Answers as recorded or documented, byte for byte, and answers bent on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import connector_kit
import pytest
from connector_kit import MOMENT
from werkzeug.wrappers import Request, Response

from connectors.microsoft365 import connector
from connectors.microsoft365.activity import parse_report
from connectors.microsoft365.connection import Microsoft365Connection
from connectors.microsoft365.graph import explain, fault_code
from syncd.clock import real_now
from syncd.connect.contract import Ask
from syncd.connect.http import Reply
from syncd.errors import VendorError
from syncd.model import Count, Query, Reading, RemoteCustomer, State
from syncd.sandbox.kit import Double

TENANT = "84841066-274d-4ec0-a5c1-276be684bdd3"
ORGANIZATION = f'{{"value":[{{"id":"{TENANT.upper()}","displayName":"Contoso"}}]}}'
# Microsoft's documented sample of subscribedSkus, cut to the fields that are selected.
SKUS = """{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#subscribedSkus","value":[
 {"skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46","skuPartNumber":"SPB","appliesTo":"User","capabilityStatus":"Enabled",
  "consumedUnits":23,"prepaidUnits":{"enabled":25,"suspended":0,"warning":1,"lockedOut":0},
  "subscriptionIds":["43d26afe-cb98-48b9-acc4-ae3ef2ac6c51"],"id":"x_cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"}]}"""
PURCHASES = '{"value":[]}'


class Recorded(connector_kit.Bench[Double]):
    """A Graph from memory: path below /v1.0 -> answers as (status, headers, body), the last one for ever."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Double("recorded"))
        self.answers: dict[str, list[tuple[int, dict[str, str], str]]] = {}
        self.double.route("POST", "/<tenant>/oauth2/v2.0/token", lambda request, tenant: {"access_token": "t"})
        self.double.route("GET", "/v1.0/<path:path>", lambda request, path: self._answer(path))
        self.double.route("POST", "/v1.0/$batch", self._batch)
        self.say("organization", ORGANIZATION)
        self.say("subscribedSkus", SKUS)
        self.say("directory/subscriptions", PURCHASES)

    def say(self, path: str, body: str, status: int = 200, **headers: str) -> None:
        self.answers.setdefault(path, []).insert(0, (status, headers, body))

    def _batch(self, request: Request) -> Any:
        return self._answer("$batch") if "$batch" in self.answers else Response(status=405)

    def _answer(self, path: str) -> Response:
        if path not in self.answers:
            return Response("{}", 404)
        answers = self.answers[path]
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        return Response(body, status, headers=headers, mimetype="application/json")

    def clock(self) -> datetime:
        return real_now()

    def connect(self, **keys: Any) -> Microsoft365Connection:
        given = {"client_id": "c", "client_secret": "s", "retry_wait": timedelta(milliseconds=5), **keys}
        opened: Microsoft365Connection = self._open(
            connector,
            {"kind": "microsoft365", "tenant_id": "partner", "base_url": self.url, "token_url": self.url, **given},
        )
        return opened

    def customer(self) -> RemoteCustomer:
        return RemoteCustomer(TENANT, "Contoso")

    def ask(self, *measures: str) -> list[Reading]:
        ask = Ask(self.customer(), tuple(Query(measure) for measure in measures))
        return list(self.connect().counts([ask], MOMENT))

    def count(self, measure: str = "consumed") -> Count:
        (reading,) = self.ask(measure)
        assert reading.state == State.KNOWN, reading.reason
        return reading.counts[0]


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with Recorded(tmp_path) as graph:
        yield graph


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


def _users(*rows: str, count: int | None = None) -> str:
    declared = f'"@odata.count":{len(rows) if count is None else count},'
    return f'{{{declared}"value":[{",".join(rows)}]}}'


def _user(number: int, **fields: str) -> str:
    shown = {
        "id": f'"{number}"',
        "userPrincipalName": f'"user{number}@contoso.example"',
        "accountEnabled": "true",
        "assignedLicenses": '[{"skuId":"CBDC14AB-d96c-4c30-b9f4-6ada7cdc1d46","disabledPlans":[]}]',
        **fields,
    }
    return "{" + ",".join(f'"{name}":{value}' for name, value in shown.items() if value) + "}"


def test_ids_differ_in_case_and_mean_the_same(recorded: Recorded) -> None:
    recorded.say("users", _users(_user(1), _user(2)))
    count = recorded.count("assigned")
    assert (count.quantity, count.note) == (Decimal(2), "consumedUnits says 23")


def test_one_product_shown_twice_on_one_person_is_one_seat(recorded: Recorded) -> None:
    twice = '[{"skuId":"cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"},{"skuId":"CBDC14AB-D96C-4C30-B9F4-6ADA7CDC1D46"}]'
    recorded.say("users", _users(_user(1, assignedLicenses=twice)))
    assert recorded.count("assigned").quantity == 1


def test_a_list_with_fewer_rows_than_declared_is_partial(recorded: Recorded) -> None:
    recorded.say("users", _users(_user(1), _user(2), count=3))
    (reading,) = recorded.ask("assigned")
    assert (reading.state, reading.code) == (State.PARTIAL, "incomplete")


@pytest.mark.parametrize(
    "fields",
    [{"id": ""}, {"userPrincipalName": "null"}, {"assignedLicenses": ""}, {"assignedLicenses": '[{"skuId":null}]'}],
)
def test_a_user_without_what_counts_is_malformed(recorded: Recorded, fields: dict[str, str]) -> None:
    recorded.say("users", _users(_user(1, **fields)))
    assert [one.code for one in recorded.ask("assigned")] == ["malformed"]


def test_an_account_whose_state_is_hidden_is_not_guessed(recorded: Recorded) -> None:
    seen = '{"lastSuccessfulSignInDateTime":"2026-11-19T08:00:00Z"}'
    recorded.say("users", _users(_user(1, accountEnabled="null", signInActivity=seen)))
    active, assigned = recorded.ask("active", "assigned")
    assert (active.state, active.code) == (State.UNKNOWN, "incomplete")
    assert assigned.counts[0].quantity == 1


@pytest.mark.parametrize(
    ("seen", "active"),
    [
        ('{"lastSuccessfulSignInDateTime":"2026-10-22T08:00:00Z"}', 1),
        ('{"lastSuccessfulSignInDateTime":"2026-10-20T08:00:00Z","lastSignInDateTime":"2026-11-19T08:00:00Z"}', 0),
        ('{"lastSignInDateTime":"2026-10-01T08:00:00Z","lastNonInteractiveSignInDateTime":"2026-11-19T08:00:00Z"}', 1),
        ('{"lastSignInDateTime":null,"lastNonInteractiveSignInDateTime":null}', 0),
        ('{"lastSuccessfulSignInDateTime":"0001-01-01T00:00:00Z"}', 0),
    ],
)
def test_which_sign_in_counts(recorded: Recorded, seen: str, active: int) -> None:
    recorded.say("users", _users(_user(1, signInActivity=seen)))
    assert recorded.count("active").quantity == active


def test_where_nobody_shows_a_sign_in_they_are_not_taken_for_absent(recorded: Recorded) -> None:
    recorded.say("users", _users(_user(1), _user(2)))
    (reading,) = recorded.ask("active")  # no sign-ins shown, and no report either
    assert (reading.state, reading.code) == (State.UNKNOWN, "not_found")


def test_each_answer_may_be_the_one_that_is_html(recorded: Recorded) -> None:
    page = "<html>proxy</html>"
    for path in ("organization", "subscribedSkus", "users"):
        recorded.answers.pop("users", None)
        recorded.say("users", _users(_user(1)))
        kept = recorded.answers[path]
        recorded.answers[path] = [(200, {}, page)]
        assert [one.code for one in recorded.ask("assigned")] == ["malformed"], path
        recorded.answers[path] = kept
