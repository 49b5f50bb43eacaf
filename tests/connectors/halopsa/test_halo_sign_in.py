"""Where the tokens are, for which tenant, with which scopes; and what this client can never ask of Halo."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from halo_kit import Bench

import connectors.halopsa
from connectors.halopsa.api import permitted
from connectors.halopsa.config import HaloSettings
from syncd.errors import VendorError
from syncd.model import Posting, Refused, Wire

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "halopsa.json"


def asked(bench: Bench, path: str) -> list[Any]:
    return [one for one in bench.double.requests if one.path == path]


def test_host_and_tenant_are_asked_of_halo(bench: Bench) -> None:
    told = bench.connect(tenant=None).sign_in()

    assert told.identity.startswith("HaloPSA at 127.0.0.1")
    assert told.warnings == ()
    assert len(asked(bench, "/api/authinfo")) == 1
    assert asked(bench, "/auth/token")[0].query == {"tenant": "acme"}


def test_a_halo_without_that_page_signs_in_beside_the_api(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(authinfo=False)

    assert bench.connect().sign_in().identity.endswith("tenant acme")


def test_on_premise_has_no_tenant(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(tenant="")

    assert bench.connect(tenant=None).sign_in().identity
    assert asked(bench, "/auth/token")[0].query == {}


def test_the_secret_goes_to_no_host_that_the_config_does_not_name(make_bench: Callable[..., Bench]) -> None:
    thief = make_bench()
    bench = make_bench(auth_url=f"{thief.url}/auth")

    with pytest.raises(VendorError, match="another host") as refused:
        bench.connect().sign_in()
    assert refused.value.code == "unauthorized"
    assert thief.double.requests == []

    bench.double.auth_url = ""
    assert bench.connect(token_url=bench.url).sign_in().identity


@pytest.mark.parametrize("wrong", [{"client_secret": "no"}, {"client_id": "no"}, {"tenant": "other"}])
def test_wrong_credentials_are_said(make_bench: Callable[..., Bench], wrong: dict[str, str]) -> None:
    bench = make_bench(client_id="sandbox-client", client_secret="sandbox-secret")

    with pytest.raises(VendorError, match="Check client_id, client_secret and tenant") as refused:
        bench.connect(**wrong).sign_in()
    assert refused.value.code == "unauthorized"


def test_a_token_without_scope_is_refused_with_the_missing_ones_named(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(granted=())
    connection = bench.connect()

    for _ in range(2):  # the second one, too: nothing waits for the first
        with pytest.raises(VendorError) as refused:
            connection.sign_in()
        assert refused.value.code == "unauthorized"
        assert "without any scope" in str(refused.value)
        assert "read:customers, read:items, edit:invoices" in str(refused.value)
    assert asked(bench, "/api/Client") == []


def test_scopes_that_were_left_out_are_a_warning(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(granted=("edit:customers", "read:items", "read:invoices"))

    [warning] = bench.connect().sign_in().warnings
    assert "edit:invoices" in warning
    assert "read:customers" not in warning  # edit includes read


def test_an_unknown_scope_is_named_as_such(bench: Bench) -> None:
    with pytest.raises(VendorError, match="invalid_scope"):
        bench.connect(scopes=["read:actions"]).sign_in()


def test_an_agent_without_the_right_is_no_empty_company(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(hidden=("Client",))

    with pytest.raises(VendorError, match="lacks Customers") as failed:
        bench.connect().sign_in()
    assert failed.value.code == "incomplete"


def test_a_token_is_renewed_once_when_halo_forgets_it(bench: Bench) -> None:
    connection = bench.connect()
    connection.sign_in()
    bench.double.revoke()

    assert len(connection.customers()) == 3
    assert len(asked(bench, "/auth/token")) == 2


def test_a_short_token_is_renewed_before_its_end(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(token_life=60)
    connection = bench.connect()
    connection.sign_in()
    connection.customers()

    assert len(asked(bench, "/auth/token")) > 1


def test_a_sign_in_that_is_put_off_for_good_says_so(bench: Bench) -> None:
    bench.double.fail("unavailable", path="token", times=100)

    with pytest.raises(VendorError, match="503") as failed:
        bench.connect().sign_in()
    assert failed.value.code == "unavailable"


def test_the_budget_holds_for_real_hosts_only() -> None:
    keys = {"kind": "halopsa", "client_id": "a", "client_secret": "b"}

    assert HaloSettings.model_validate({**keys, "base_url": "https://a.halopsa.com"}).requests_per_minute == 100
    assert HaloSettings.model_validate({**keys, "base_url": "http://127.0.0.1:9"}).requests_per_minute is None
    assert HaloSettings.model_validate({**keys, "base_url": "https://a.halopsa.com/api"}).root.endswith(".com/api")


NEVER = [
    ("POST", "RecurringInvoice/process"),
    ("POST", "IntegrationData/AdjustQty/MicrosoftCSP"),
    ("POST", "RecurringInvoice"),
    ("POST", "Invoice/updatelines"),
    ("POST", "InvoicePayment"),
    ("DELETE", "RecurringInvoice/-91"),
    ("DELETE", "Invoice/5001"),
    ("PUT", "Invoice"),
    ("POST", "Invoice/../RecurringInvoice/process"),
    ("POST", "Invoice?x=1"),
    ("GET", "IntegrationData/Get/MicrosoftCSP"),
]


@pytest.mark.parametrize(("method", "path"), NEVER)
def test_the_client_cannot_make_invoices_run_change_seats_or_delete(
    bench: Bench, postings: dict[str, Posting], method: str, path: str
) -> None:
    connection = bench.connect()
    connection.sign_in()
    before = len(bench.double.requests)

    outcome = connection.send(postings["set"], Wire(method, path, b"[-91]"))

    assert isinstance(outcome, Refused)
    assert "never asks" in outcome.reason
    assert len(bench.double.requests) == before
    assert bench.double.effects == []


def test_of_all_published_writes_only_six_are_possible() -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published description is not here ({SPEC})")
    paths = json.loads(SPEC.read_text())["paths"]
    writes = {(method.upper(), path.strip("/")) for path, calls in paths.items() for method in calls if method != "get"}

    assert {path for method, path in writes if permitted(method, path)} == {
        "RecurringInvoice/updatelines", "RecurringInvoice/Lines", "Invoice", "SoftwareLicence", "Tickets", "Actions",
    }  # fmt: skip


def test_nothing_goes_around_the_list() -> None:
    """The way out is held by two modules only: the one with the list, and the one that asks `authinfo`."""
    folder = Path(connectors.halopsa.__file__).parent
    holders = {
        file.name
        for file in folder.glob("*.py")
        if not file.name.startswith("sandbox") and re.search(r"\.?_http\.|context\.http\(", file.read_text())
    }

    assert holders == {"api.py", "signing.py"}
    assert ".send(" not in (folder / "signing.py").read_text().replace("flow.send(", "")
