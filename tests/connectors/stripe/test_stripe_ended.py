"""The look at what a person ended: twins of which one was voided, and items of a subscription that was cancelled."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from stripe_kit import ENDS, STARTS, VISIO, Bench

from syncd.errors import VendorError
from syncd.model import Found, Moved, Posting, Receipt


def sent(bench: Bench, posting: Posting) -> str:
    """Sends a posting; the record that it made."""
    connection = bench.connect()
    outcome = connection.send(posting, connection.wire(posting))
    assert isinstance(outcome, Receipt)
    return outcome.remote_id


def moved(bench: Bench, posting: Posting) -> Moved:
    sight = bench.connect().find(posting)
    assert isinstance(sight, Moved)
    return sight


def test_a_twin_on_a_voided_invoice_no_longer_counts(bench: Bench) -> None:
    posting = bench.charge()
    first = sent(bench, posting)
    invoice = bench.double.roll(posting.agreement_id)["id"]
    second = sent(bench, replace(posting, key="another"))

    told = moved(bench, posting).what
    assert f"{first} on {invoice}" in told
    assert f"{second} pending" in told
    assert "delete the pending ones, void the invoices of the others" in told

    bench.double.void(invoice)
    assert bench.connect().find(posting) == Found(second, Decimal(2))


def test_of_twins_the_pending_one_may_be_deleted_too(bench: Bench) -> None:
    posting = bench.charge()
    first = sent(bench, posting)
    bench.double.roll(posting.agreement_id)
    del bench.double.tables["invoiceitem"][sent(bench, replace(posting, key="another"))]
    assert bench.connect().find(posting) == Found(first, Decimal(2))


def test_only_twins_that_still_charge_are_named(bench: Bench) -> None:
    posting = bench.charge()
    ended = sent(bench, posting)
    bench.double.void(bench.double.roll(posting.agreement_id)["id"])
    others = [sent(bench, replace(posting, key=key)) for key in ("second", "third")]

    told = moved(bench, posting).what
    assert told.startswith("2 Stripe invoice items")
    assert all(number in told for number in others)
    assert ended not in told


def test_twins_that_were_both_voided_were_there(bench: Bench) -> None:
    posting = bench.charge()
    made = {sent(bench, replace(posting, key=key)) for key in ("k2", "another")}
    bench.double.void(bench.double.roll(posting.agreement_id)["id"])

    sight = moved(bench, posting)
    assert sight.arrived in made
    assert "was voided" in sight.what


@pytest.mark.parametrize("status", ["canceled", "incomplete_expired"])
def test_an_item_that_arrived_is_known_also_once_its_subscription_is_over(bench: Bench, status: str) -> None:
    posting = bench.add()
    made = sent(bench, posting)
    bench.subscription()["status"] = status

    sight = moved(bench, posting)
    assert sight.arrived == made
    assert f"is {status}" in sight.what


def test_an_item_that_is_not_on_a_cancelled_subscription_leaves_it_open_whether_it_arrived(bench: Bench) -> None:
    posting = bench.add()
    bench.double.add_item(posting.agreement_id, VISIO.partition("/")[0], 3, (STARTS, ENDS))
    bench.subscription()["status"] = "canceled"
    sight = moved(bench, posting)
    assert (sight.arrived, "is canceled" in sight.what) == ("", True)


def test_a_subscription_that_is_gone_has_no_items_to_look_at(bench: Bench) -> None:
    posting = bench.add()
    bench.double.tables["subscription"].clear()
    honest = bench.double.listed

    def without(url: str, rows: Any, params: Any) -> Any:
        from connectors.stripe.sandbox_front import missing

        if url == "/v1/subscription_items":
            raise missing("subscription", params["subscription"], "subscription")
        return honest(url, rows, params)

    bench.double.listed = without  # type: ignore[method-assign]
    sight = moved(bench, posting)
    assert (sight.arrived, "no longer exists" in sight.what) == ("", True)


def test_items_of_a_running_subscription_that_cannot_be_read_are_no_answer(bench: Bench) -> None:
    posting = bench.add()
    bench.double.forbidden.add("subscription_items")
    with pytest.raises(VendorError):
        bench.connect().find(posting)
