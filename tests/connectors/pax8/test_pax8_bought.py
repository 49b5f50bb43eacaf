"""What one company has bought: by dates, without trials, with costs and commitments."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import TODAY
from pax8_kit import Bench, moment

from syncd.model import Term


def test_bought_is_what_the_other_systems_of_the_story_say(bench: Bench) -> None:
    for number, company in enumerate(bench.double.world.companies):
        reading = bench.read(number=number)
        bought = {one.sku: one.quantity for one in reading.counts if one.quantity}
        names = {one.name for one in reading.counts if one.quantity}
        held = [one for one in company.licences if not one.sku.free]
        assert sorted(bought.values()) == sorted(Decimal(one.bought) for one in held)
        assert names == {one.sku.name for one in held}


@pytest.mark.parametrize("name", ["MST-SPB", "SPB:0001", "Microsoft 365 Business Premium"])
def test_a_product_goes_by_its_id_its_skus_and_its_name(bench: Bench, name: str) -> None:
    assert bench.count(name).quantity == 28


@pytest.mark.parametrize(
    ("first", "last", "counts"),
    [
        ("2026-11-20", None, True),  # its first day
        ("2026-11-21", None, False),
        ("2026-11-21T00:00:00Z", None, False),
        ("2020-01-01", "2026-11-20", True),  # its last day counts
        ("2020-01-01", "2026-11-20T00:00:00Z", True),  # the day as written, not moved into Chicago
        ("2020-01-01", "2026-11-20T00:00:00.000-0600", True),
        ("2020-01-01", "2026-11-20T23:59:59", True),  # without zone
        ("2020-01-01", "2026-11-19T23:59:59Z", False),
        ("2020-01-01", "9999-12-31T23:59:59Z", True),  # a sentinel is no last day
        ("2020-01-01", "0001-01-01T00:00:00", True),
        ("2020-01-01", "", True),
    ],
)
@pytest.mark.parametrize("status", ["Active", "Cancelled", "PendingManual"])
def test_a_subscription_counts_by_its_days_and_never_by_its_status(
    bench: Bench, first: str, last: str | None, counts: bool, status: str
) -> None:
    bench.sell("X1", 4, startDate=first, endDate=last, status=status)
    found = [one for one in bench.read().counts if "MST-X1" in one.aliases]
    assert [one.quantity for one in found] == ([Decimal(4)] if counts else [])


def test_a_status_that_contradicts_the_dates_is_told(bench: Bench) -> None:
    bench.sell("X1", 4, status="Cancelled")
    bench.sell("X1", 1, status="PendingAutomated")
    note = bench.count("MST-X1").note
    assert "1 marked as ended, but billed by its dates" in note
    assert "1 still being provisioned" in note


def test_trials_are_left_out_and_told(bench: Bench) -> None:
    visio = bench.count("MST-VISIOCLIENT")
    assert (visio.quantity, visio.free) == (Decimal(0), True)
    assert visio.note == "25 on trial left out, until 2026-12-11"
    bench.sell("VISIOCLIENT", 3)
    visio = bench.count("MST-VISIOCLIENT")
    assert (visio.quantity, visio.free) == (Decimal(3), False)


def test_two_commitments_of_one_product_are_one_count_with_two_terms(bench: Bench) -> None:
    spb = bench.count("MST-SPB")
    monthly, yearly = TODAY + timedelta(days=20), TODAY + timedelta(days=54)
    assert spb.quantity == 28
    assert spb.terms == (
        Term(Decimal(8), monthly, Decimal("26.40"), "USD", renews=True, lower_until=monthly + timedelta(days=7)),
        Term(Decimal(20), yearly, Decimal("22.00"), "USD", renews=True, lower_until=yearly + timedelta(days=7)),
    )
    # (20 × 22.00 + 8 × 26.40) / 28 has no end: the parts are told instead of a rounded cost.
    assert (spb.unit_cost, spb.currency) == (None, "")
    assert "costs: 20 at 22.00 USD Monthly, 8 at 26.40 USD Monthly" in spb.note
    assert f"20 committed for 1-Year until {yearly} at 22.00 USD each Monthly, renews by itself" in spb.note
    assert f"may be changed from {yearly - timedelta(days=7)} to {yearly + timedelta(days=7)}" in spb.note
    assert "not to be lowered before" in spb.note
    assert "early end costs a fee" in spb.note


def test_a_mean_cost_is_told_where_it_is_exact(bench: Bench) -> None:
    bench.sell("X1", 3, cost="10.00")
    bench.sell("X1", 1, cost="12.00")
    count = bench.count("MST-X1")
    assert (count.unit_cost, count.currency, count.note) == (Decimal("10.5"), "USD", "2 subscriptions")


@pytest.mark.parametrize(
    "fields",
    [{"billingTerm": "Annual"}, {"currencyCode": "CAD"}, {"partnerCost": None}],
    ids=["another rhythm", "another currency", "not told"],
)
def test_costs_that_cannot_be_added_are_no_number(bench: Bench, fields: dict[str, Any]) -> None:
    bench.sell("X1", 3, cost="10.00")
    bench.sell("X1", 1, **{"cost": "10.00", **fields})
    count = bench.count("MST-X1")
    assert (count.quantity, count.unit_cost, count.currency) == (Decimal(4), None, "")
    assert "costs: 3 at 10.0" in count.note


def test_a_yearly_price_is_not_told_as_a_monthly_one(bench: Bench) -> None:
    bench.sell("X1", 3, cost="120.00", billingTerm="Annual")
    assert bench.count("MST-X1").unit_cost is None


def test_a_commitment_ends_with_its_subscription_at_the_latest(bench: Bench) -> None:
    term = {"id": "c1", "term": "1-Year", "endDate": "2027-06-30"}
    bench.sell("X1", 3, endDate="2026-12-31", commitmentTerm=term)
    bench.sell("X2", 3, commitmentTerm={"id": "c1", "term": "1-Year"})
    (bound,) = bench.count("MST-X1").terms
    assert (str(bound.quantity), bound.last, bound.renews) == ("3", date(2026, 12, 31), False)  # its end is arranged
    assert bench.count("MST-X2").terms == ()
    assert "3 committed for 1-Year, its end is not told" in bench.count("MST-X2").note


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"cost": "22.00"}, ("22.00", "USD", 1)),
        ({"cost": "264.00", "billingTerm": "Annual"}, ("264.00", "USD", 12)),
        ({"cost": "700.00", "billingTerm": "3-Year"}, ("700.00", "USD", 36)),
        ({"cost": "22.00", "billingTerm": "Activation"}, ("22.00", "USD", 0)),  # in no rhythm that is known
        ({"cost": "22.00", "currencyCode": None}, (None, "", 1)),
        ({"partnerCost": None}, (None, "", 1)),
    ],
)
def test_a_commitment_tells_its_own_cost_and_rhythm(
    bench: Bench, fields: dict[str, Any], cost: tuple[str | None, str, int]
) -> None:
    bench.sell("X1", 3, commitmentTerm={"id": "c1", "endDate": "2027-06-30"}, **fields)
    (term,) = bench.count("MST-X1").terms
    assert (str(term.unit_cost) if term.unit_cost is not None else None, term.currency, term.months) == cost
    assert (term.renews, term.free_until, term.lower_until) == (None, None, None)  # the catalogue knows no "c1"


@pytest.mark.parametrize(("renews", "expected"), [(True, True), (False, False), (None, None)])
def test_whether_it_renews_is_what_the_catalogue_says(bench: Bench, renews: bool | None, expected: bool | None) -> None:
    row = bench.sell("SPB", 3)
    past = {"id": "c1", "term": "1-Year", "endDate": "2026-11-10"}
    bench.control("change", id=row["id"], commitmentTerm=past)
    path = f"/v1/products/{row['productId']}/dependencies"
    bench.lie(path, lambda body: body.update(commitmentDependencies=[{"id": "c1", "autoRenew": renews}]))
    over = [one for one in bench.count("MST-SPB").terms if one.last == date(2026, 11, 10)]
    assert [(str(one.quantity), one.renews) for one in over] == [("3", expected)]


def test_an_end_that_is_arranged_is_told(bench: Bench) -> None:
    bench.sell("X1", 3, endDate="2026-12-31", status="PendingCancel")
    assert bench.count("MST-X1").note == "3 end on 2026-12-31"


def test_an_add_on_is_no_seat_of_its_parent(bench: Bench) -> None:
    parent = bench.sell("X1", 10)
    bench.sell("X1", 10, parentSubscriptionId=parent["id"])  # an add-on under the parent's own product
    bench.sell("X2", 10, parentSubscriptionId=parent["id"], vendorSkuId="X1:0001")  # sold under the parent's vendor SKU
    assert bench.count("MST-X1").quantity == 10
    assert bench.count("X1:0001").quantity == 10
    assert bench.count(parent["productId"]).quantity == 10
    assert bench.count(f"{parent['productId']}/add-on").quantity == 10
    assert bench.count("MST-X2").note.startswith("add-on")


def test_customers_that_pax8_invoices_itself_are_marked(bench: Bench) -> None:
    bench.control("change", id=bench.customer().id, billOnBehalfOfEnabled=True)
    assert "Pax8 invoices this customer directly" in bench.count("MST-SPB").note


@pytest.mark.parametrize(("sent", "meant"), [(2.9999999, "3"), (2.5, "2.5"), (0, "0"), ("7", "7"), (3.0000001, "3")])
def test_a_quantity_is_what_was_meant(bench: Bench, sent: Any, meant: str) -> None:
    bench.sell("X1", sent)
    assert str(bench.count("MST-X1").quantity) == meant


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"quantity": 1e300}, "which is no count"),
        ({"startDate": "20/11/2026"}, "no date"),
        ({"endDate": "2026-02-30"}, "no date"),
        ({"startDate": None, "billingStart": None}, "neither startDate nor billingStart"),
    ],
)
def test_what_cannot_be_read_spoils_that_company_only(bench: Bench, fields: dict[str, Any], told: str) -> None:
    bench.sell("X1", **{"quantity": 4, **fields})
    broken = bench.read()
    assert (broken.state, broken.code, broken.counts) == ("unknown", "malformed", ())
    assert told in broken.reason
    assert bench.read(number=1).state == "known"


def test_a_subscription_that_waits_for_its_details_has_not_begun(bench: Bench) -> None:
    bench.sell("X1", 4, status="WaitingForDetails", startDate=None, billingStart=None)
    assert all("MST-X1" not in one.aliases for one in bench.read().counts)


def test_a_missing_first_day_falls_back_to_the_first_billed_one(bench: Bench) -> None:
    bench.sell("X1", 4, startDate=None, billingStart="2026-11-21")
    assert all("MST-X1" not in one.aliases for one in bench.read().counts)
    assert bench.count("MST-X1", at=moment(date(2026, 11, 21))).quantity == 4


def test_a_company_without_subscriptions_has_known_zero(bench: Bench) -> None:
    bench.double.stock.subscriptions.clear()
    reading = bench.read()
    assert (reading.state, reading.counts) == ("known", ())
    assert reading.proof == "0 of 0 subscriptions in 1 page; 0 in force here"


def test_a_product_that_left_the_catalogue_is_found_by_its_id_and_said(bench: Bench) -> None:
    row = bench.sell("X1", 4)
    bench.double.hidden.add(row["productId"])
    count = bench.count(row["productId"])
    assert (count.quantity, count.name) == (Decimal(4), "X1")
    assert "no longer in Pax8's catalogue" in count.note


def test_a_product_that_could_not_be_read_is_no_reason_for_a_zero(bench: Bench) -> None:
    bench.double.fail("unavailable", path="/v1/products/[^/]+$", times=1000)
    reading = bench.read()
    assert (reading.state, reading.code) == ("unknown", "unavailable")


def test_what_a_commitment_allows_may_stay_untold(bench: Bench) -> None:
    for row in bench.double.stock.subscriptions:
        if "commitmentTerm" in row:
            row["commitmentTerm"]["id"] = "another"
    assert "renews" not in bench.count("MST-SPB").note
    assert len(bench.count("MST-SPB").terms) == 2
