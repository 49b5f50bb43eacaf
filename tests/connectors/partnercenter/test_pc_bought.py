"""What one customer has bought: states, commitments, windows, trials, add-ons."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import TODAY
from pc_kit import NEW, SPB, Bench, moment

from syncd.model import Term

LEGACY: dict[str, Any] = {"offer": "195416c1-3447-423a-b37b-ee59a99a19c4", "productType": None}


def test_bought_is_what_the_other_systems_of_the_story_say(bench: Bench) -> None:
    for number, company in enumerate(bench.double.world.companies):
        bought = {one.name: one.quantity for one in bench.read(number).counts if one.quantity}
        held = [one for one in company.licences if not one.sku.free]
        assert bought == {one.sku.name: Decimal(one.bought) for one in held}


@pytest.mark.parametrize(
    ("status", "fields", "counts"),
    [
        ("active", {}, True),
        ("Active", {}, True),
        ("suspended", {}, True),  # new commerce is billed while suspended
        ("suspended", LEGACY, False),
        ("active", LEGACY, True),
        ("pending", {}, False),
        ("expired", {}, False),
        ("disabled", {}, False),
        ("deleted", {}, False),
        ("none", {}, False),
        ("active", {"effectiveStartDate": "2026-11-20T17:59:59"}, True),
        ("active", {"effectiveStartDate": "2026-11-20T18:00:01.1234567Z"}, False),
        ("active", {"effectiveStartDate": None}, True),
        ("active", {"effectiveStartDate": "0001-01-01T00:00:00"}, True),
    ],
)
def test_what_microsoft_bills_counts(bench: Bench, status: str, fields: dict[str, Any], counts: bool) -> None:
    row = bench.sell(4, status=status, **fields)
    sku = ":".join(row["offerId"].split(":")[:2])
    found = [one.quantity for one in bench.read().counts if one.sku == sku]
    assert found == ([Decimal(4)] if counts else [])


def test_a_state_that_nobody_knows_is_an_error_of_that_customer(bench: Bench) -> None:
    bench.sell(4, status="hibernating")
    reading = bench.read()
    assert (reading.state, reading.code, reading.counts) == ("unknown", "malformed", ())
    assert "'hibernating', a state that is not known" in reading.reason
    assert bench.read(1).state == "known"


def test_two_terms_of_one_product_are_one_count_with_two_terms(bench: Bench) -> None:
    spb = bench.count(SPB)
    soon, later = TODAY + timedelta(days=20), TODAY + timedelta(days=54)
    assert spb.quantity == 28
    # Three of the eight may still be given back: they are not committed.
    window = datetime(2026, 11, 24, 20, 39, 17, tzinfo=UTC)
    monthly = Term(
        Decimal(5), soon, Decimal("26.40"), "USD", 1, renews=True, lower_until=soon + timedelta(days=7)
    )  # fmt: skip
    assert spb.terms == (
        replace(monthly, quantity=Decimal(3), free_until=window),
        monthly,
        Term(Decimal(20), later, Decimal("22.00"), "USD", 1, renews=True, lower_until=later + timedelta(days=7)),
    )
    assert "2 subscriptions" in spb.note
    assert (
        f"20 bought for a year until {later}, billed monthly at 22 USD each, renews by itself on "
        f"{later + timedelta(days=1)}" in spb.note
    )
    assert f"then to be lowered until {later + timedelta(days=7)}" in spb.note
    assert "3 may be given back until 2026-11-24 20:39 UTC" in spb.note


def test_a_window_that_has_closed_frees_nothing(bench: Bench) -> None:
    spb = bench.count(SPB, at=moment(date(2026, 11, 25)))
    assert [(str(term.quantity), term.free_until) for term in spb.terms] == [("8", None), ("20", None)]
    assert "given back" not in spb.note


def test_windows_never_free_more_than_there_is(bench: Bench) -> None:
    window = {"quantity": 3, "allowedUntilDateTime": "2026-11-24T00:00:00Z"}
    bench.sell(4, refundableQuantity={"totalQuantity": 6, "details": [window, window]})
    terms = bench.count().terms
    assert [one.quantity for one in terms] == [1, 3]
    assert all(one.free_until for one in terms)


@pytest.mark.parametrize(
    ("last", "renews", "ends"),
    [
        ("2026-11-20T00:00:00Z", True, [TODAY]),  # its last day is the 20th, also in Chicago
        ("2026-11-20", True, [TODAY]),
        ("2026-11-19T00:00:00Z", True, []),  # its renewal is not shown yet
        ("2026-11-19T00:00:00Z", None, []),
        ("2026-11-19T00:00:00Z", False, [date(2026, 11, 19)]),  # paid grace
        ("9999-12-30T00:00:00Z", True, []),
        ("0001-01-01T00:00:00", True, []),
        (None, True, []),
    ],
)
def test_a_commitment_counts_up_to_its_last_day(
    bench: Bench, last: str | None, renews: bool | None, ends: list[date]
) -> None:
    bench.sell(4, commitmentEndDate=last, autoRenewEnabled=renews)
    count = bench.count()
    assert count.quantity == 4
    assert [(int(one.quantity), one.last, one.renews) for one in count.terms] == [(4, end, renews) for end in ends]


def test_old_subscriptions_have_no_commitment_and_no_grace(bench: Bench) -> None:
    row = bench.sell(4, **LEGACY, commitmentEndDate="2026-11-10", autoRenewEnabled=False)
    (count,) = [one for one in bench.read().counts if one.sku == row["offerId"]]
    assert (count.quantity, count.terms) == (Decimal(4), ())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"autoRenewEnabled": False}, "does not renew by itself: unless cancelled, paid grace follows on 2027-01-14"),
        ({"autoRenewEnabled": True, "commitmentEndDate": "2026-11-19"}, "its renewal is not shown yet"),
        ({"autoRenewEnabled": False, "commitmentEndDate": "2026-11-10"}, "Microsoft still bills them: paid grace"),
        ({"scheduledNextTermInstructions": {"quantity": 2}}, "2 from the next term on"),
        ({"status": "suspended"}, "4 suspended, still billed"),
        ({"billingType": "usage"}, "billed by usage"),
    ],
)
def test_what_comes_next_is_told(bench: Bench, fields: dict[str, Any], told: str) -> None:
    bench.sell(4, **fields)
    assert told in bench.count().note


def test_trials_are_left_out_and_told(bench: Bench) -> None:
    trial = bench.count("Visio Plan 2")
    assert (trial.quantity, trial.free, trial.terms) == (Decimal(0), True, ())
    assert trial.note == "25 on trial left out"
    bench.sell(3, offer="CFQ7TTC0HD32:0002:CFQ7TTC0SB77")
    bought = bench.count("CFQ7TTC0HD32:0002")
    assert (bought.quantity, bought.free) == (Decimal(3), False)


def test_an_add_on_is_no_seat_of_its_parent(bench: Bench) -> None:
    parent = bench.sell(10)
    bench.sell(10, parentSubscriptionId=parent["id"])
    bench.sell(7, parentSubscriptionId=parent["id"], offer="CFQ7TTC0ADD1:0001:X")
    assert bench.count(NEW).quantity == 10
    assert bench.count(f"{NEW}/add-on").quantity == 10
    assert (bench.count("CFQ7TTC0ADD1:0001").quantity, bench.count("CFQ7TTC0ADD1:0001").note[:6]) == (
        Decimal(7),
        "add-on",
    )


def test_the_partners_nickname_is_no_key_and_the_availability_no_part_of_the_sku(bench: Bench) -> None:
    bench.sell(4, friendlyName="Boss licences", name="Product N")
    count = bench.count()
    assert (count.sku, count.name) == (NEW, "Product N")
    assert count.aliases == ("Product N", f"{NEW}:CFQ7TTC0AV01")


@pytest.mark.parametrize(("sent", "meant"), [(2.9999999, "3"), ("7", "7"), (0, "0")])
def test_a_quantity_is_what_was_meant(bench: Bench, sent: Any, meant: str) -> None:
    bench.sell(sent)
    assert str(bench.count().quantity) == meant


@pytest.mark.parametrize(
    "fields",
    [{"quantity": 1e300}, {"commitmentEndDate": "13.01.2027"}, {"effectiveStartDate": "2026-02-30T00:00:00Z"}],
)
def test_what_cannot_be_read_spoils_that_customer_only(bench: Bench, fields: dict[str, Any]) -> None:
    bench.sell(**{"quantity": 4, **fields})
    assert (bench.read().state, bench.read().code) == ("unknown", "malformed")
    assert bench.read(1).state == "known"


def test_a_customer_without_subscriptions_has_known_zero(bench: Bench) -> None:
    bench.double.stock.subscriptions[bench.customer().id].clear()
    reading = bench.read()
    assert (reading.state, reading.counts) == ("known", ())
    assert reading.proof == "0 subscriptions in 1 page, to the last, as many as each page tells; 0 counted"


def test_windows_are_asked_only_where_they_can_be(bench: Bench) -> None:
    bench.sell(4, **LEGACY)
    bench.read()
    rows = bench.double.stock.subscriptions[bench.customer().id]
    single = {one.path.rsplit("/", 1)[1] for one in bench.double.requests if "/subscriptions/" in one.path}
    assert single == {row["id"] for row in rows if not row["isTrial"] and ":" in row["offerId"]}
