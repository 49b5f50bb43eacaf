"""Signing in: two ways, which organisation, tokens that rotate and are kept before they are used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from xero_kit import Bench

from syncd.connect.rotating import Tokens
from syncd.errors import SyncdError, VendorError
from syncd.model import NotSent

Make = Callable[..., Bench]


@dataclass
class Safe:
    """A vault that notes how many requests had been answered when a token became durable, and can be full."""

    bench: Bench
    full: bool = False
    kept: list[tuple[Tokens, int]] = field(default_factory=list)

    def turn(self) -> AbstractContextManager[object]:
        return nullcontext()

    def newest(self, seed: str) -> Tokens | None:
        return self.kept[-1][0] if self.kept else None

    def keep(self, seed: str, tokens: Tokens) -> None:
        if self.full:
            raise SyncdError("the disk is full")
        self.kept.append((tokens, len([one for one in self.bench.double.requests if "token" not in one.path])))


def refused(bench: Bench, **keys: Any) -> str:
    """The sentence of a sign-in that fails, which never shows a secret."""
    with pytest.raises(VendorError) as failed:
        bench.connect(**keys).sign_in()
    assert failed.value.code in ("unauthorized", "forbidden")
    told = str(failed.value)
    assert "sandbox-secret" not in told
    assert "sandbox-refresh" not in told
    return told


def test_a_custom_connection_needs_id_and_secret_alone(bench: Bench) -> None:
    told = bench.connect().sign_in()

    assert told.identity == 'Xero organisation "Acme MSP" (US, USD)'
    assert told.warnings == ()
    assert all(one.headers["xero-tenant-id"] == bench.double.books.tenant for one in bench.asked("/Organisation"))
    assert bench.vault.newest("anything") is None


def test_a_web_app_signs_in_with_its_refresh_token(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    bench.connect().sign_in()
    bench.connect().sign_in()

    assert len(bench.asked("/connect/token")) == 1  # the second one found the kept token


def test_a_new_refresh_token_is_durable_before_anything_is_signed_with_it(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    bench.vault = safe = Safe(bench)
    bench.connect().sign_in()

    [(tokens, answered)] = safe.kept
    assert answered == 0
    assert tokens.refresh == bench.double.logins[0].newest


def test_a_crash_between_the_token_and_its_storage_loses_nothing_for_half_an_hour(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    bench.vault = safe = Safe(bench, full=True)
    with pytest.raises(SyncdError, match="disk"):
        bench.connect().sign_in()
    assert [one.path for one in bench.double.requests] == ["/connect/token"]  # nothing was signed

    bench.double.advance(29 * 60)
    safe.full = False
    assert bench.connect().sign_in().identity
    assert safe.kept[0][0].refresh == bench.double.logins[0].newest


def test_after_that_half_hour_a_person_must_connect_anew(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    bench.vault = Safe(bench, full=True)
    with pytest.raises(SyncdError):
        bench.connect().sign_in()
    bench.double.advance(timedelta(minutes=31).total_seconds())
    bench.vault = Safe(bench)

    told = refused(bench)
    assert "invalid_grant" in told
    assert "offline_access" in told
    assert "refresh_token" in told


def test_a_lost_token_answer_is_asked_for_again_with_the_same_token(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    bench.double.fail("drop_after", path="/connect/token")

    assert bench.connect().sign_in().identity
    assert len(bench.asked("/connect/token")) == 2


@pytest.mark.parametrize("fault", ["unavailable", "500_before", "throttle"])
def test_a_sign_in_that_is_put_off_is_repeated(make_bench: Make, fault: str) -> None:
    bench = make_bench(code_flow=True, retry_after="0")
    bench.double.fail(fault, path="/connect/token")

    assert bench.connect().sign_in().identity


def test_a_write_whose_sign_in_is_put_off_was_not_sent(make_bench: Make) -> None:
    bench = make_bench(code_flow=True, token_life=1)  # a token for each request
    connection = bench.connect()
    connection.sign_in()
    bench.double.fail("unavailable", path="/connect/token")
    posting = bench.line()

    assert isinstance(connection.send(posting, connection.wire(posting)), NotSent)
    assert bench.writes() == []


def test_a_token_that_another_program_used_ends_in_words(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    first = bench.double.logins[0].newest
    for used in (first, bench.double.logins[0].newest):  # the rival refreshes twice
        bench.double._refreshed(used)
        bench.double._refreshed(bench.double.logins[0].newest)

    assert "used by one program only" in refused(bench)


def test_consent_that_was_withdrawn_ends_in_words(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    connection = bench.connect()
    connection.sign_in()
    bench.double.withdrawn = True
    bench.double.revoke()

    with pytest.raises(VendorError, match="onnect the app to the organisation anew") as failed:
        connection.customers()
    assert failed.value.code == "unauthorized"


def test_the_token_answer_may_hold_more_than_was_asked_for(make_bench: Make) -> None:
    bench = make_bench(code_flow=True, extra_fields=True)
    assert bench.connect().sign_in().identity


def test_an_access_token_that_ended_is_renewed_once(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    connection = bench.connect()
    connection.sign_in()
    bench.double.revoke()

    assert connection.customers()
    assert len(bench.asked("/connect/token")) == 2


@pytest.mark.parametrize(
    ("options", "keys", "words"),
    [
        ({}, {"client_secret": "wrong"}, "invalid_client"),
        ({}, {"scopes": ["accounting.journals.read"]}, "list those that it has as scopes"),
        ({"code_flow": True}, {"refresh_token": None}, "a web app needs a refresh_token"),
        ({"scopes": ["accounting.invoices"]}, {"scopes": ["accounting.invoices"]}, "accounting.settings.read"),
    ],
)
def test_a_refused_sign_in_says_how_to_mend_it(
    make_bench: Make, options: dict[str, Any], keys: dict[str, Any], words: str
) -> None:
    assert words in refused(make_bench(**options), **keys)


def test_only_the_organisation_of_tenant_id_is_meant(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    demo = bench.connect(tenant_id=bench.double.other.tenant.upper())
    told = demo.sign_in()

    assert "Demo Company (US)" in told.identity
    assert "nothing that is posted there is billed" in told.warnings[0]
    assert list(demo.customers()) == []  # the demo company is empty, and says so
    assert len(bench.connect().customers()) == 3


def test_an_organisation_that_is_not_connected_is_refused_with_those_that_are(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    told = refused(bench, tenant_id="00000000-0000-4000-8000-000000000001")

    assert f'"Acme MSP" ({bench.double.books.tenant})' in told
    assert f'"Demo Company (US)" ({bench.double.other.tenant})' in told
    assert not bench.asked("/Organisation")


def test_an_organisation_that_was_disconnected_meanwhile_is_told(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.connected = []

    with pytest.raises(VendorError, match="not connected to this organisation") as failed:
        connection.customers()
    assert failed.value.code == "forbidden"


def test_an_organisation_that_is_no_longer_active_is_said(bench: Bench) -> None:
    bench.double.books.organisation["OrganisationStatus"] = "INACTIVE"
    assert "inactive" in bench.connect().sign_in().warnings[0]
