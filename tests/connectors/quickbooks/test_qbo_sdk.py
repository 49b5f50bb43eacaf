"""The community's own client, python-quickbooks, drives the double: both must see the same books."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from qbo_kit import ALDER, LINE, SECOND, Bench, invoice, token

from connectors.quickbooks import sandbox_state as state


class Bridge:
    """Stands where python-quickbooks expects its OAuth client, with time limits, which it has none of."""

    def __init__(self, access: str) -> None:
        self.access_token = access
        self._session = pytest.importorskip("requests").Session()
        self._session.trust_env = False

    def request(self, method: str, url: str, headers: Any = None, params: Any = None, data: Any = None) -> Any:
        content = data.encode() if isinstance(data, str) else None
        return self._session.request(method, url, headers=headers, params=params, data=content, timeout=10)


@pytest.fixture
def sdk(bench: Bench) -> Any:
    quickbooks = pytest.importorskip("quickbooks", reason="python-quickbooks is not installed (a development package)")
    client = quickbooks.QuickBooks(company_id=bench.double.realm, minorversion=75, use_decimal=True)
    client.api_url_v3 = f"{bench.url}/v3"
    client.session = Bridge(token(bench).get_json()["access_token"])
    return client


def test_the_sdk_reads_customers_and_items(sdk: Any, bench: Bench) -> None:
    from quickbooks.objects.customer import Customer  # type: ignore[import-untyped]
    from quickbooks.objects.item import Item  # type: ignore[import-untyped]

    bench.double.tables["Customer"]["700"] = state.customer(700, "O'Brien & Sons")
    assert Customer.count(qb=sdk) == 4
    assert [one.DisplayName for one in Customer.filter(DisplayName="O'Brien & Sons", qb=sdk)] == ["O'Brien & Sons"]
    assert [one.Id for one in Customer.all(max_results=2, qb=sdk)] == ["59", "60"]
    assert {one.Sku for one in Item.all(qb=sdk)} >= {"M365-BP", "LAPTOP"}
    assert Customer.get(59, qb=sdk).DisplayName == "Alder Dental Group"


def test_the_sdk_writes_changes_voids_and_deletes(sdk: Any, bench: Bench) -> None:
    from quickbooks.exceptions import QuickbooksException  # type: ignore[import-untyped]
    from quickbooks.objects.invoice import Invoice  # type: ignore[import-untyped]

    body = json.dumps(invoice(DocNumber="SDK-1"))
    made = sdk.create_object("Invoice", body, request_id="r1")["Invoice"]
    assert sdk.create_object("Invoice", body, request_id="r1")["Invoice"]["Id"] == made["Id"]
    assert (made["TotalAmt"], made["SyncToken"]) == (Decimal("30.31"), "0")

    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "PrivateNote": "changed"}
    assert sdk.update_object("Invoice", json.dumps(change))["Invoice"]["SyncToken"] == "1"
    with pytest.raises(QuickbooksException) as stale:
        sdk.update_object("Invoice", json.dumps(change))
    assert stale.value.error_code == 5010
    with pytest.raises(QuickbooksException) as taken:
        sdk.create_object("Invoice", json.dumps(invoice(DocNumber="SDK-1")))
    assert taken.value.error_code == 6140

    read = Invoice.get(made["Id"], qb=sdk)
    read.void(qb=sdk)
    voided = Invoice.get(made["Id"], qb=sdk)
    assert (voided.TotalAmt, voided.PrivateNote) == (0, "Voided - changed")
    voided.delete(qb=sdk)
    assert made["Id"] not in bench.double.tables["Invoice"]


def test_the_sdk_reads_what_syncd_posts(sdk: Any, bench: Bench) -> None:
    from quickbooks.objects.estimate import Estimate  # type: ignore[import-untyped]

    bench.post(LINE, SECOND)
    [found] = Estimate.query(f"SELECT * FROM Estimate WHERE CustomerRef = '{ALDER}'", qb=sdk)

    assert (found.TxnStatus, found.EmailStatus) == ("Pending", "NotSet")
    assert [line.Amount for line in found.Line] == [Decimal("56.00"), Decimal("49.50"), Decimal("105.50")]
    assert re.fullmatch(r"SD[0-9A-F]{19}", found.DocNumber)


def test_the_sdk_reads_changes_and_batches(sdk: Any, bench: Bench) -> None:
    bench.double.advance(60)
    since = bench.double.now().isoformat(timespec="seconds")
    bench.post(LINE)
    told = sdk.change_data_capture("Estimate", since)
    assert len(told["CDCResponse"][0]["QueryResponse"][0]["Estimate"]) == 1
    body = json.dumps({"BatchItemRequest": [{"bId": "1", "Query": "select * from CompanyInfo"}]})
    answer = sdk.batch_operation(body)["BatchItemResponse"][0]["QueryResponse"]
    assert answer["CompanyInfo"][0]["CompanyName"] == "Acme MSP"


def test_the_sdk_meets_the_same_refusals(sdk: Any, bench: Bench) -> None:
    from quickbooks.exceptions import AuthorizationException, ObjectNotFoundException

    bench.double.tables["Item"]["10"]["Active"] = False
    with pytest.raises(ObjectNotFoundException) as gone:
        sdk.create_object("Estimate", json.dumps(invoice()))
    assert gone.value.error_code == 610
    bench.double.withdraw()
    with pytest.raises(AuthorizationException):
        sdk.query("SELECT * FROM Customer")
