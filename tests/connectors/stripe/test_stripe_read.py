"""What is read: key and mode, customers, prices, subscriptions with all their items, periods, syncd's own lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import MOMENT, NOVEMBER
from stripe_kit import PREMIUM, Bench

from syncd.errors import VendorError
from syncd.model import Receipt, State

# --- the key ----------------------------------------------------------------------------------------------------------


def test_the_test_mode_is_said_loudly(bench: Bench) -> None:
    told = bench.connect().sign_in()
    assert "TEST MODE" in told.identity
    assert told.warnings == ("TEST MODE: nothing that is posted here is charged to anybody",)


def test_a_live_key_says_so_and_a_full_one_is_warned_of(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(api_key="sk_live_51Full", live=True)
    told = bench.connect().sign_in()
    assert "live mode" in told.identity
    assert len(told.warnings) == 1
    assert "make a restricted one" in told.warnings[0]


@pytest.mark.parametrize(
    ("key", "why"),
    [("pk_live_abc", "publishable key"), ("whsec_abc", "signing secret"), ("hunter2", "does not begin with")],
)
def test_other_keys_are_refused_without_being_shown(bench: Bench, key: str, why: str) -> None:
    with pytest.raises(VendorError, match=why) as refused:
        bench.connect(api_key=key).sign_in()
    assert refused.value.code == "unauthorized"
    assert key not in str(refused.value)
    assert bench.double.requests == []


def test_a_key_that_stripe_refuses_is_not_shown_in_part_either(bench: Bench) -> None:
    with pytest.raises(VendorError) as refused:
        bench.connect(api_key="rk_test_51Revoked0000001234").sign_in()
    assert refused.value.code == "unauthorized"
    assert "1234" not in str(refused.value)
    assert "Developers › API keys" in str(refused.value)


def test_rights_that_lack_are_named(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(forbidden=["invoices", "prices"])
    warnings = bench.connect().sign_in().warnings
    assert "the key lacks Prices: Read" in warnings
    assert "the key lacks Invoices: Read" in warnings
    with pytest.raises(VendorError) as lacking:
        bench.connect().products()
    assert lacking.value.code == "forbidden"


def test_records_of_the_other_mode_are_refused(make_bench: Callable[..., Bench]) -> None:
    """A gateway that is wired to the live account answers a test key."""
    bench = make_bench(live=True)
    for read in (bench.connect().sign_in, bench.connect().customers, bench.connect().products):
        with pytest.raises(VendorError, match="TEST MODE") as mixed:
            read()
        assert mixed.value.code == "wrong_tenant"
    assert bench.booked().code == "wrong_tenant"


def test_every_request_names_its_version_and_only_stripe_is_asked(bench: Bench) -> None:
    bench.connect().customers()
    assert {one.headers["stripe-version"] for one in bench.double.requests} == {"2026-10-28.endive"}


# --- customers and prices ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fifteen_hundred_customers_over_many_pages(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=1500)
    listed = bench.connect().customers()
    assert len(listed) == 1501  # and the MSP itself
    assert len({one.id for one in listed}) == 1501
    assert len(bench.double.requests) == 16


def test_names_that_are_odd_or_lacking(bench: Bench) -> None:
    first, second = bench.double.tables["customer"][bench.double.customer(1)], bench.double.customer(2)
    first["name"] = 'O\'Brien & "Söhne" 株式会社'
    bench.double.tables["customer"][second] |= {"name": None, "email": None}
    listed = {one.id: one for one in bench.connect().customers()}
    assert listed[first["id"]].name == 'O\'Brien & "Söhne" 株式会社'
    assert listed[first["id"]].identifiers == (first["email"],)
    assert listed[second].name == second


def test_a_deleted_customer_is_none(bench: Bench) -> None:
    number = bench.double.customer(1)
    bench.double.tables["customer"][number] = {"id": number, "object": "customer", "deleted": True}
    assert number not in {one.id for one in bench.connect().customers()}


def test_a_list_that_promises_more_and_gives_none_is_incomplete(bench: Bench) -> None:
    honest = bench.double.listed
    bench.double.listed = lambda *given: {**honest(*given), "data": [], "has_more": True}  # type: ignore[method-assign]
    with pytest.raises(VendorError, match="a page is empty though more is promised") as failed:
        bench.connect().customers()
    assert failed.value.code == "incomplete"


def test_prices_and_which_of_them_have_a_price_for_one(bench: Bench) -> None:
    products = {one.identifier: one for one in bench.connect().products()}
    assert products["price_1SyncdM365BP"].id == PREMIUM
    assert products["price_1SyncdM365BP"].name == "Microsoft 365 Business Premium"
    assert products["price_1SyncdM365BP"].unit_price == Decimal("28.00")
    assert products["price_1SyncdTiers"].unit_price is None
    assert products["price_1SyncdTiers"].name == "Support (Tiered)"


def test_archived_prices_are_listed_only_where_a_subscription_bills_them(bench: Bench) -> None:
    """Stripe makes an archived price of every amount that is posted without one: there may be thousands."""
    table = bench.double.tables["price"]
    table["price_inline"] = {**table["price_1SyncdM365BP"], "id": "price_inline", "active": False}
    table["price_1SyncdM365BS"]["active"] = False  # what the third customer has
    products = {one.identifier: one.name for one in bench.connect().products()}
    assert "price_inline" not in products
    assert products["price_1SyncdM365BS"] == "Microsoft 365 Business Standard"
    assert {line.product for line in bench.billing(who=3).lines} == {"price_1SyncdM365BS"}


def test_prices_with_tax_inside_or_of_packages_have_none(bench: Bench) -> None:
    bench.double.tables["price"]["price_1SyncdM365BP"]["tax_behavior"] = "inclusive"
    bench.double.tables["price"]["price_1SyncdM365BS"]["transform_quantity"] = {"divide_by": 5, "round": "up"}
    bench.double.tables["price"]["price_1SyncdVISIOP2"]["unit_amount_decimal"] = "0.05"
    products = {one.identifier: one.unit_price for one in bench.connect().products()}
    assert products["price_1SyncdM365BP"] is None
    assert products["price_1SyncdM365BS"] is None
    assert products["price_1SyncdVISIOP2"] == Decimal("0.0005")


# --- subscriptions ----------------------------------------------------------------------------------------------------


def test_a_subscription_and_its_items(bench: Bench) -> None:
    billing = bench.billing()
    [agreement] = billing.agreements
    assert agreement.name == "Managed Services"
    assert agreement.labels == (agreement.id,)
    assert agreement.currency == "USD"
    assert agreement.period == NOVEMBER
    assert agreement.invoiced_through == date(2026, 10, 31)
    [line] = billing.lines
    assert (line.quantity, line.unit_price, line.product_id) == (Decimal(25), Decimal("28.00"), PREMIUM)
    assert (line.obstacle, line.marker, line.once) == ("", "", False)
    assert "to the end" in billing.proof


def test_all_items_beyond_the_ten_of_the_inner_list(bench: Bench) -> None:
    subscription = bench.subscription()["id"]
    for number in range(14):
        price = {**bench.double.tables["price"]["price_1SyncdM365BP"], "id": f"price_{number}", "created": number}
        bench.double.tables["price"][price["id"]] = price
        bench.double.add_item(subscription, price["id"], number, (1793534400, 1796126400))
    lines = bench.billing().lines
    assert len(lines) == 15
    assert sum(line.quantity for line in lines) == 25 + sum(range(14))


def test_a_cancelled_subscription_is_not_there(bench: Bench) -> None:
    bench.subscription()["status"] = "canceled"
    assert bench.billing().agreements == ()
    assert bench.billing().lines == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "incomplete"}, "waits for its first payment"),
        ({"status": "paused"}, "is paused"),
        ({"pause_collection": {"behavior": "void", "resumes_at": None}}, "collection paused"),
    ],
)
def test_subscriptions_that_take_nothing_say_why(bench: Bench, change: dict[str, Any], words: str) -> None:
    bench.subscription().update(change)
    assert words in bench.billing().agreements[0].obstacle


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "sub_sched_1"}, "follows the schedule sub_sched_1"),
        ({"pending_update": {"expires_at": 1}}, "waits for its payment"),
    ],
)
def test_items_whose_quantity_is_not_syncds_say_why(bench: Bench, change: dict[str, Any], words: str) -> None:
    bench.subscription().update(change)
    assert words in bench.line().obstacle


def test_a_metered_item_has_no_quantity(bench: Bench) -> None:
    bench.double.add_item(bench.subscription()["id"], "price_1SyncdHours", None, (1793534400, 1796126400))
    line = bench.billing().lines[1]
    assert line.quantity == 0
    assert "is metered" in line.obstacle


def test_what_ends_has_a_last_day(bench: Bench) -> None:
    bench.subscription()["cancel_at"] = int(datetime(2026, 12, 15, 12, tzinfo=UTC).timestamp())
    assert bench.line().ends == date(2026, 12, 14)


def test_a_next_invoice_that_is_full_takes_no_more(bench: Bench) -> None:
    subscription = bench.subscription()
    for number in range(249):
        bench.double.pend(
            subscription["customer"], subscription["id"], quantity=Decimal(1), cents=Decimal(100), currency="usd",
            price="price_x", product="prod_x", period=(1, 2), description=f"by hand {number}",
        )  # fmt: skip
    assert "249 lines wait for it already" in bench.billing().agreements[0].obstacle


@pytest.mark.parametrize(
    ("starts", "ends", "today", "period"),
    [
        # Midnight in London is the evening before in Chicago; the next period begins on the day on which this one ends.
        ("2026-11-01T00:00+00:00", "2026-12-01T00:00+00:00", "2026-11-20", ("2026-10-31", "2026-11-29")),
        ("2026-11-01T00:00+00:00", "2026-12-01T00:00+00:00", "2026-11-30", ("2026-11-30", "2026-12-30")),
        ("2026-11-15T20:00+00:00", "2026-12-15T20:00+00:00", "2026-12-15", ("2026-12-15", "2027-01-14")),
        ("2026-01-31T12:00+00:00", "2026-02-28T12:00+00:00", "2026-02-27", ("2026-01-31", "2026-02-27")),
    ],
)
def test_periods_follow_each_other_without_gap_or_overlap(
    bench: Bench, starts: str, ends: str, today: str, period: tuple[str, str]
) -> None:
    for row in bench.double.tables["item"].values():
        row["current_period_start"] = int(datetime.fromisoformat(starts).timestamp())
        row["current_period_end"] = int(datetime.fromisoformat(ends).timestamp())
    bench.moment = replace(MOMENT, today=date.fromisoformat(today))
    found = bench.billing().agreements[0].period
    assert found is not None
    assert (str(found.first), str(found.last)) == period


@pytest.mark.parametrize(
    ("anchor", "starts", "ends", "period"),
    [
        # The hours of the last day between midnight and Stripe's rollover: the next period is told already.
        ("2026-10-31T22:00+00:00", "2026-10-31T22:00+00:00", "2026-11-30T22:00+00:00", ("2026-11-30", "2026-12-30")),
        ("2026-01-30T22:00+00:00", "2026-01-30T22:00+00:00", "2026-02-28T22:00+00:00", ("2026-02-28", "2026-03-29")),
        ("2026-10-30T22:00+00:00", "2026-10-30T22:00+00:00", "2026-11-30T22:00+00:00", ("2026-11-30", "2026-12-29")),
        # In Chicago it is the 30th, in the calendar that Stripe counts in the 31st.
        ("2026-10-31T03:00+00:00", "2026-10-31T03:00+00:00", "2026-11-30T03:00+00:00", ("2026-11-29", "2026-12-29")),
        # Anchors that the periods do not follow, and none at all.
        ("2026-10-31T22:00+00:00", "2026-10-15T22:00+00:00", "2026-11-15T22:00+00:00", ("2026-11-15", "2026-12-14")),
        ("2026-10-10T22:00+00:00", "2026-10-30T22:00+00:00", "2026-11-30T22:00+00:00", ("2026-11-30", "2026-12-29")),
        (None, "2026-10-31T22:00+00:00", "2026-11-30T22:00+00:00", ("2026-11-30", "2026-12-29")),
    ],
)
def test_a_period_after_a_short_month_ends_on_the_anchors_day(
    bench: Bench, anchor: str | None, starts: str, ends: str, period: tuple[str, str]
) -> None:
    bench.subscription()["billing_cycle_anchor"] = anchor and int(datetime.fromisoformat(anchor).timestamp())
    bench.item()["current_period_start"] = int(datetime.fromisoformat(starts).timestamp())
    bench.item()["current_period_end"] = int(datetime.fromisoformat(ends).timestamp())
    bench.moment = replace(MOMENT, today=date.fromisoformat(period[0]))
    found = bench.billing().agreements[0].period
    assert found is not None
    assert (str(found.first), str(found.last)) == period
    if anchor is None:
        return
    bench.double.roll(bench.subscription()["id"])  # what Stripe itself makes of it some hours later
    assert bench.billing().agreements[0].period == found


def test_items_with_several_periods_leave_the_msps_own(bench: Bench) -> None:
    bench.double.add_item(bench.subscription()["id"], "price_1SyncdVISIOP2", 1, (1793534400, 1825070400))
    [agreement] = bench.billing().agreements
    assert (agreement.period, agreement.invoiced_through) == (None, None)


# --- own lines --------------------------------------------------------------------------------------------------------


def test_own_lines_are_read_back_with_units_and_days(bench: Bench) -> None:
    connection = bench.connect()
    posting = bench.charge(amount=Decimal("100.00"), unit_price=None, quantity=Decimal(3))  # one unit at the whole
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    own = bench.billing().lines[-1]
    assert (own.once, own.marker, own.quantity) == (True, "sd-t1-line", Decimal(3))
    assert (own.starts, own.ends) == (date(2026, 11, 1), date(2026, 11, 30))
    assert (own.product_id, own.agreement_id) == (PREMIUM, posting.agreement_id)


def test_own_lines_on_voided_invoices_no_longer_count_and_taken_ones_do(bench: Bench) -> None:
    connection = bench.connect()
    posting = bench.charge()
    connection.send(posting, connection.wire(posting))
    row = bench.double.roll(posting.agreement_id)
    assert [line.quantity for line in bench.billing().lines] == [Decimal(25), Decimal(2)]
    bench.double.void(row["id"])
    assert [line.quantity for line in bench.billing().lines] == [Decimal(25)]


@pytest.mark.parametrize(
    "change",
    [
        {"syncd_op": "sd-t1-line and something else"},
        {"syncd_op": "sd-t1-line 2/0 20261101-20261130"},  # nothing can be divided by what it was sent as
        {"syncd_op": "see sd-t1-line 2/0 20261101-20261130"},
        {"syncd_op": "sd-t1-line 2 20261301-20261130"},
        {"syncd_op": "see Dana"},
        {"syncd_op": None},
        {"syncd_op": None, "syncd_price": None},
        {"syncd_op": "see Dana", "syncd_price": None, "syncd_subscription": None},
        {"syncd_price": None},
        {"syncd_subscription": None},
    ],
)
def test_an_own_line_whose_note_was_changed_is_said_of_its_customer_alone(
    bench: Bench, change: dict[str, str | None]
) -> None:
    connection = bench.connect()
    posting = bench.charge()
    connection.send(posting, connection.wire(posting))
    [row] = bench.double.tables["invoiceitem"].values()
    changed = {**row["metadata"], **change}
    row["metadata"] = {name: text for name, text in changed.items() if text is not None}

    [broken, whole] = bench.connect().lines([bench.customer(1), bench.customer(2)], MOMENT)
    assert (broken.state, broken.code) == (State.UNKNOWN, "malformed")
    assert f"{row['id']} bears syncd's mark" in broken.reason
    assert "no longer says what it charges" in broken.reason
    assert "put the metadata back: syncd_op as the mark" in broken.reason
    assert (whole.state, len(whole.lines)) == (State.KNOWN, 2)

    taken = bench.double.roll(posting.agreement_id)["id"]
    assert bench.billing().state is State.UNKNOWN
    bench.double.void(taken)  # what charges nobody need not be understood
    assert [line.quantity for line in bench.billing().lines] == [Decimal(25)]


def test_invoice_items_of_others_are_none_of_ours(bench: Bench) -> None:
    subscription = bench.subscription()
    bench.double.pend(
        subscription["customer"], subscription["id"], quantity=Decimal(1), cents=Decimal(100), currency="usd",
        price="price_x", product="prod_x", period=(1, 2), metadata={"note": "a person's own, about sd-t1-line"},
    )  # fmt: skip
    assert len(bench.billing().lines) == 1
