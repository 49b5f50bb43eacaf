"""The vendor's published samples are understood as they stand; money and forms keep every digit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.stripe import amounts, payloads
from connectors.stripe.errors import explain, refused
from connectors.stripe.invoiced import _net
from syncd.connect.documents import arithmetic
from syncd.connect.http import Reply
from syncd.model import Operation, Posting

SPEC = Path(__file__).parents[4] / "shared" / "specs" / "stripe.json"


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("customer", payloads.Customer),
        ("price", payloads.Price),
        ("subscription", payloads.Subscription),
        ("subscription_item", payloads.Item),
        ("invoice", payloads.Invoice),
        ("line_item", payloads.Line),
        ("invoiceitem", payloads.InvoiceItem),
        ("billing.meter", payloads.Meter),
        ("billing.meter_event", payloads.MeterEvent),
        ("billing.meter_event_summary", payloads.Summary),
    ],
)
def test_published_samples_are_understood(name: str, shape: type[Any]) -> None:
    if not SPEC.exists():
        pytest.skip(f"the vendor's published samples are not here ({SPEC})")
    sample = json.loads(SPEC.read_text())["x-fixtures"][name]
    found = msgspec.json.decode(json.dumps(sample).encode(), type=shape)
    assert getattr(found, "id", sample.get("id")) == sample.get("id")


def test_a_line_after_discount_and_with_the_tax_inside() -> None:
    line = payloads.Line("il_1", 12_000, "usd", discount_amounts=[payloads.Discount(1_000)],
                         taxes=[payloads.Tax(1_000, "inclusive"), payloads.Tax(500, "exclusive")])  # fmt: skip
    assert _net(line) == 10_000


CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "BHD", "ISK", "MGA"])


@given(currency=CURRENCIES, steps=st.integers(0, 10**9), units=st.integers(1, 10**6), shift=st.integers(0, 4))
def test_whatever_the_amount_stripes_line_is_exactly_it(currency: str, steps: int, units: int, shift: int) -> None:
    """Quantities with up to four decimals, amounts of any usable size: what Stripe multiplies is what was meant."""
    amount = Decimal(steps).scaleb(-amounts.places(currency))
    posting = replace(
        Posting(Operation.POST_LINE, "k", "sd-t1-x", "cus_1", Decimal(units).scaleb(-shift)),
        amount=amount, currency=currency, starts=date(2026, 11, 1), ends=date(2026, 11, 30),
    )  # fmt: skip
    quantity, each = arithmetic(posting, amounts.places(currency))
    assert amounts.usable(amount, currency)
    assert amounts.charged(quantity, each, currency) == amounts.minor(amount, currency)
    assert amounts.major(amounts.charged(quantity, each, currency), currency) == amount


@pytest.mark.parametrize(
    ("amount", "currency", "fits"),
    [
        ("10.00", "USD", True),
        ("10.005", "USD", False),
        ("10", "JPY", True),
        ("10.5", "JPY", False),
        ("10.5", "ISK", False),  # two decimals that must be zero
        ("1.230", "BHD", True),
        ("1.234", "BHD", False),  # three decimals that end in 0
    ],
)
def test_amounts_that_stripe_can_hold(amount: str, currency: str, fits: bool) -> None:
    assert amounts.usable(Decimal(amount), currency) is fits


@pytest.mark.parametrize(
    ("status", "body", "code", "refuses"),
    [
        (400, {"type": "invalid_request_error", "message": "Bad"}, "invalid", True),
        (404, {"type": "invalid_request_error", "code": "resource_missing", "message": "No"}, "not_found", True),
        (401, {"type": "invalid_request_error", "message": "Invalid API Key provided: rk_live_****99"},
         "unauthorized", True),
        (403, {"type": "invalid_request_error", "message": "No permission"}, "forbidden", True),
        (400, {"type": "idempotency_error", "message": "Other parameters"}, "invalid", False),
        (409, {"type": "invalid_request_error", "code": "idempotency_key_in_use"}, "unavailable", False),
        (400, {"type": "invalid_request_error", "param": "identifier", "message": "Duplicate"}, "invalid", False),
    ],
)  # fmt: skip
def test_errors_in_words(status: int, body: dict[str, str], code: str, refuses: bool) -> None:
    reply = Reply(status, {"request-id": "req_1"}, json.dumps({"error": body}).encode(), "POST /v1/x")
    told, sentence = explain(reply)
    assert told == code
    assert "rk_live" not in sentence
    assert (refused(reply) is not None) is refuses


@pytest.mark.parametrize("body", [b"", b"<html><body>Forbidden by proxy</body></html>", b'{"message": "other shape"}'])
def test_another_ones_page_is_no_refusal(body: bytes) -> None:
    reply = Reply(403, {}, body, "POST /v1/x")
    assert refused(reply) is None
    assert "a proxy in between?" in explain(reply)[1]
