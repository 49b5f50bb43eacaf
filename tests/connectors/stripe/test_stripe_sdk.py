"""The vendor's own client drives the double: an independent implementation agrees with its encoding, paging, errors and
idempotency, and so does the connector with what that client does."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from stripe_kit import Bench

from syncd.model import Found, Receipt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    stripe: Any = pytest.importorskip(
        "stripe", reason="Stripe's own client is not installed (pip install stripe~=16.1)"
    )


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture
def client(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Stripe's client, speaking to the double and to nobody else."""
    monkeypatch.setattr(stripe, "enable_telemetry", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield stripe.StripeClient(
            bench.double.api_key, stripe_version="2026-10-28.endive", max_network_retries=0,
            base_addresses={"api": bench.url},
        )  # fmt: skip


def test_lists_are_paged_alike(bench: Bench, client: Any) -> None:
    bench.double.longest_page = 2
    theirs = [one.id for one in client.v1.customers.list({"limit": 2}).auto_paging_iter()]
    assert theirs == [one.id for one in bench.connect().customers()]


def test_subscriptions_prices_and_invoices_are_understood(bench: Bench, client: Any) -> None:
    [line] = bench.billing().lines
    one = client.v1.subscriptions.retrieve(line.agreement_id)
    assert one["items"]["data"][0].quantity == line.quantity
    price = client.v1.prices.retrieve("price_1SyncdM365BP", {"expand": ["product"]})
    assert (price.unit_amount, price.product.name) == (2800, "Microsoft 365 Business Premium")
    shown = client.v1.invoices.list({"customer": line.customer_id}).data
    assert [one.total for one in shown] == [70_000, 70_000]
    assert client.v1.invoices.line_items.list(shown[0].id).data[0].quantity == 25


def test_a_quantity_set_by_the_client_is_read_by_syncd(bench: Bench, client: Any) -> None:
    item = bench.item()["id"]
    told = client.v1.subscription_items.update(
        item, {"quantity": 27, "proration_behavior": "create_prorations", "metadata": {"team": "a b&c"}}
    )
    assert (told.quantity, told.metadata["team"]) == (27, "a b&c")
    assert bench.line().quantity == 27
    pending = client.v1.invoice_items.list({"customer": bench.double.customer(1), "pending": True}).data
    assert [one.proration for one in pending] == [True, True]


def test_what_syncd_posts_is_read_by_the_client(bench: Bench, client: Any) -> None:
    connection, posting = bench.connect(), bench.charge()
    outcome = connection.send(posting, connection.wire(posting))
    assert isinstance(outcome, Receipt)
    one = client.v1.invoice_items.retrieve(outcome.remote_id)
    assert (one.amount, one.currency, one.quantity) == (5600, "usd", 2)
    assert one.metadata["syncd_op"].startswith("sd-t1-line 2 ")
    assert one.parent.subscription_details.subscription == posting.agreement_id


def test_the_clients_own_request_is_the_one_that_syncd_sends(bench: Bench, client: Any) -> None:
    """The same bytes under the same key are one charge, whoever sends them: our encoding is theirs."""
    posting, connection = bench.charge(), bench.connect()
    outcome = connection.send(posting, connection.wire(posting))
    assert isinstance(outcome, Receipt)
    told = client.v1.invoice_items.create(
        {
            "customer": posting.customer_id,
            "subscription": posting.agreement_id,
            "price_data": {
                "currency": "usd", "product": "prod_SyncdM365BP", "tax_behavior": "exclusive",
                "unit_amount_decimal": Decimal(2800),
            },
            "quantity_decimal": Decimal(2),
            "discountable": False,
            "description": posting.description,
            "period": {"start": 1793509200, "end": 1796104799},
            "metadata": {
                "syncd_op": "sd-t1-line 2 20261101-20261130", "syncd_price": posting.product_id,
                "syncd_subscription": posting.agreement_id,
            },
        },
        {"idempotency_key": "syncd-k2"},
    )  # fmt: skip
    assert told.id == outcome.remote_id
    assert len(bench.double.tables["invoiceitem"]) == 1
    with pytest.raises(stripe.IdempotencyError):
        client.v1.invoice_items.create(
            {"customer": posting.customer_id, "amount": 1, "currency": "usd"}, {"idempotency_key": "syncd-k2"}
        )


def test_meters_are_understood(bench: Bench, client: Any) -> None:
    posting, connection = bench.usage(), bench.connect()
    connection.send(posting, connection.wire(posting))
    event = bench.double.events[0]
    client.v1.billing.meter_events.create(
        {
            "event_name": event["event_name"], "identifier": "theirs", "timestamp": event["timestamp"] + 60,
            "payload": {"stripe_customer_id": posting.customer_id, "value": "3"},
        }
    )  # fmt: skip
    assert isinstance(connection.find(posting), Found)
    start = event["timestamp"]
    rows = client.v1.billing.meters.event_summaries.list(
        "mtr_test_61Syncd", {"customer": posting.customer_id, "start_time": start, "end_time": start + 120}
    ).data
    assert [one.aggregated_value for one in rows] == [15.5]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.billing.meter_events.create(
            {
                "event_name": event["event_name"],
                "identifier": "theirs",
                "payload": {"stripe_customer_id": "c", "value": "3"},
            }
        )


def test_errors_are_the_clients_own(bench: Bench, client: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.subscription_items.retrieve("si_none")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    bench.double.fail("throttle")
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    bench.double.forbidden.add("customers")
    with pytest.raises(stripe.PermissionError):
        client.v1.customers.list()
    bench.double.api_key = "rk_test_other"
    with pytest.raises(stripe.AuthenticationError):
        client.v1.prices.list()
