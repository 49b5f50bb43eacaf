"""The double: what it promises of itself, and that it can stand in for a real account."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from altpay_kit import Bench
from connector_kit import MOMENT
from werkzeug.test import Client

from syncd.model import Billing, Found, Receipt
from syncd.sandbox.fill import is_stand_in


def token(bench: Bench) -> str:
    answer = Client(bench.double).post(
        "/oauth/token", auth=("sandbox-client", "sandbox-secret"), data={"grant_type": "client_credentials"}
    )
    assert answer.status_code == 200
    return f"Bearer {answer.get_json()['access_token']}"


def told(billings: list[Billing]) -> list[list[Any]]:
    return [[(one.id, one.quantity, one.unit_price, one.marker, one.starts) for one in each.lines] for each in billings]


def create(bench: Bench, **fields: Any) -> Any:
    line = {"description": "Proof", "quantity": 2, "amount": 3}
    body = {"customer_id": bench.customer().id, "currency": "USD", "due_date": "2026-12-01", "line_items": [line]}
    return Client(bench.double).post("/invoices", json=body | fields, headers={"authorization": token(bench)})


@pytest.mark.parametrize(
    ("unit", "basis", "sum_"),
    [("major", "per_unit", 6), ("major", "line", 3), ("minor", "per_unit", 6), ("minor", "line", 3)],
)
def test_the_set_up_proof_shows_what_an_amount_is_of(tmp_path: Path, unit: str, basis: str, sum_: int) -> None:
    with Bench(tmp_path, amount_unit=unit, amount_basis=basis) as bench:
        assert create(bench).get_json()["sub_total"] == sum_


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"currency": "EUR"}, "currency"),
        ({"due_date": "soon"}, "due_date"),
        ({"line_items": []}, "line_items"),
        ({"customer_id": "nobody"}, "customer_id"),
        ({"line_items": [{"description": "x", "quantity": 2.5, "amount": 3}]}, "body"),
    ],
)
def test_what_the_vendor_does_not_take_is_said_field_by_field(bench: Bench, fields: dict[str, Any], field: str) -> None:
    answer = create(bench, **fields)

    assert answer.status_code == 422
    assert list(answer.get_json()["validation_errors"]) == [field]
    assert bench.double.effects == []


@pytest.mark.parametrize("keeps", [True, False])
def test_a_memo_may_vanish(bench: Bench, keeps: bool) -> None:
    """So it is no place for a mark, before somebody proved that it stays."""
    bench.double.keeps_memo = keeps
    assert ("memo" in create(bench, memo="sd-test").get_json()) is keeps


def test_a_token_ends(bench: Bench) -> None:
    bench.double.token_life = 60
    headers = {"authorization": token(bench)}
    assert Client(bench.double).get("/customers", headers=headers).status_code == 200
    bench.double.advance(61)
    assert Client(bench.double).get("/customers", headers=headers).status_code == 401


def test_it_can_stand_in_for_a_real_account(bench: Bench, tmp_path: Path) -> None:
    """What was read of one account is read alike of the double that was filled with it."""
    for marker, fields in (
        ("sd-test-aaaa", {}),
        ("sd-test-bbbb", {"quantity": Decimal("2.5"), "amount": Decimal("70.00")}),
    ):
        wanted, connection = bench.posting(marker=marker, key=marker, **fields), bench.connect()
        assert isinstance(connection.send(wanted, connection.wire(wanted)), Receipt)
        assert bench.double.times(wanted) == 1
    real = bench.connect()
    customers, read = real.customers(), list(real.lines(real.customers(), MOMENT))

    with Bench(tmp_path) as other:
        assert is_stand_in(other.double)
        other.double.fill(customers, real.products(), read)
        again = other.connect()
        shown = list(again.lines(again.customers(), MOMENT))
        # What names a record's version may differ.
        assert told(shown) == told(read)
        assert [one.name for one in again.customers()] == [one.name for one in customers]
        posting = other.posting(marker="sd-test-cccc", key="c")
        assert isinstance(again.send(posting, again.wire(posting)), Receipt)
        assert isinstance(again.find(posting), Found)
        assert other.double.times(posting) == 1
