"""The double itself: faithful where a reader can go wrong, and in the shape of the published documentation."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from connector_kit import TODAY
from werkzeug.test import Client, TestResponse

from connectors.partnercenter import connector, sandbox
from connectors.partnercenter.sandbox import SEED, PartnerCenterDouble, build
from syncd.sandbox.kit import Double
from syncd.sandbox.world import small_msp

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "partnercenter.json"
READERS = {"api", "bought", "connection", "costs", "config", "payloads", "signing", "values"}
SCOPE = "https://api.partnercenter.microsoft.com/user_impersonation offline_access"


class Api:
    """A plain client of a double, signed in."""

    def __init__(self) -> None:
        self.double = PartnerCenterDouble(small_msp(customers=3, today=TODAY))
        self.client = Client(self.double)
        self.first = self.sign_in()
        self.headers = {"Authorization": f"Bearer {(self.first.json or {})['access_token']}"}

    def sign_in(self, refresh: str = SEED, **fields: str) -> TestResponse:
        keys = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": refresh}
        form = {"grant_type": "refresh_token", "scope": SCOPE, **keys, **fields}
        return self.client.post(f"/{self.double.world.partner_tenant}/oauth2/v2.0/token", data=form)

    def get(self, path: str, headers: dict[str, str] | None = None, **query: Any) -> TestResponse:
        return self.client.get(f"/v1/{path}", query_string=query, headers={**self.headers, **(headers or {})})


@pytest.fixture
def api() -> Api:
    return Api()


def test_the_entry_point_names_a_double() -> None:
    assert connector.sandbox == "connectors.partnercenter.sandbox:build"
    assert isinstance(build(small_msp()), Double)


def test_refresh_tokens_rotate_and_the_older_one_lives_on_unless_told_otherwise(api: Api) -> None:
    following = (api.first.json or {})["refresh_token"]
    assert following != SEED
    assert api.sign_in(following).status_code == api.sign_in().status_code == 200
    api.double.single_use = True
    assert [api.sign_in().status_code for _ in range(2)] == [200, 400]


def test_tokens_are_for_partner_center_only_and_end(api: Api) -> None:
    refused = api.sign_in(scope="https://graph.microsoft.com/.default").json or {}
    assert refused["error"] == "invalid_scope"
    assert (api.sign_in(grant_type="client_credentials").json or {})["error"] == "unsupported_grant_type"
    api.double.advance(3600)
    assert api.get("customers").status_code == 401


def test_page_two_needs_the_token_and_the_seek(api: Api) -> None:
    first = api.get("customers", size=2).json or {}
    assert (first["totalCount"], len(first["items"])) == (2, 2)
    (header,) = first["links"]["next"]["headers"]
    given = {header["key"]: header["value"]}
    assert (api.get("customers", size=2, seekOperation="Next").json or {})["items"] == first["items"]
    assert (api.get("customers", given, size=2).json or {})["items"] == first["items"]
    last = api.get("customers", given, size=2, seekOperation="Next").json or {}
    assert (last["totalCount"], "next" in last["links"]) == (1, False)
    assert api.get("customers", {header["key"]: "made-up"}, seekOperation="Next").status_code == 400


def test_refundable_seats_are_shown_by_the_single_read_only(api: Api) -> None:
    path = f"customers/{api.double.world.companies[0].tenant_id}/subscriptions"
    rows = (api.get(path).json or {})["items"]
    assert all("refundableQuantity" not in row for row in rows)
    single = [api.get(f"{path}/{row['id']}").json or {} for row in rows]
    assert [row["refundableQuantity"]["totalQuantity"] for row in single] == [0, 3, 0]


def test_lines_of_an_invoice_need_their_provider_and_kind(api: Api) -> None:
    newest = (api.get("invoices").json or {})["items"][2]["id"]
    assert api.get(f"invoices/{newest}/lineitems").status_code == 400
    assert api.get("invoices/G0/lineitems", provider="onetime").status_code == 404
    credit = (api.get("invoices").json or {})["items"][3]["id"]
    lines = api.get(f"invoices/{credit}/lineitems", provider="onetime", invoicelineitemtype="billinglineitems")
    assert (lines.json or {})["items"] == []


def test_controls_refuse_what_they_do_not_know(api: Api) -> None:
    for what in ("subscription", "customer"):
        assert api.client.post(f"/_sandbox/{what}", json={"customer": "Nobody"}).status_code == 404
    assert api.client.post("/_sandbox/change", json={"id": "nothing"}).status_code == 404


def test_the_double_shares_no_code_with_what_reads() -> None:
    for path in Path(sandbox.__file__).parent.glob("sandbox*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("connectors.partnercenter"):
                assert (node.module or "").rpartition(".")[2] not in READERS, f"{path.name} imports {node.module}"
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("syncd.connect"))


def test_answers_have_the_published_shape(api: Api) -> None:
    if not SPEC.exists():
        pytest.skip("Partner Center's description is not beside the project (../shared/specs/partnercenter.json)")
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped, unused-ignore]

    components = json.loads(SPEC.read_text(encoding="utf-8"))["components"]

    def check(name: str, answer: TestResponse) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        faults = [f"{list(one.path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(answer.json)]
        assert faults == [], name

    customer = api.double.world.companies[0].tenant_id
    rows = api.get(f"customers/{customer}/subscriptions")
    check("CustomerCollection", api.get("customers", size=1))
    check("SubscriptionCollection", rows)
    check("Subscription", api.get(f"customers/{customer}/subscriptions/{(rows.json or {})['items'][0]['id']}"))
    invoices = api.get("invoices")
    check("InvoiceCollection", invoices)
    newest = next(row["id"] for row in reversed((invoices.json or {})["items"]) if row["id"].startswith("G"))
    lines = api.get(f"invoices/{newest}/lineitems", provider="OneTime", invoicelineitemtype="BillingLineItems", size=3)
    check("InvoiceLineItemCollection", lines)
    assert len((lines.json or {})["items"]) == 3
    for refused in (api.get("customers/nobody/subscriptions"), api.client.get("/v1/customers")):
        check("Error", refused)
        assert {"MS-RequestId", "MS-CorrelationId", "MS-CV", "MS-ServerId"} <= set(refused.headers.keys())
    api.double.fail("throttle")
    throttled = api.get("customers")
    check("ThrottleError", throttled)
    assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "1")
