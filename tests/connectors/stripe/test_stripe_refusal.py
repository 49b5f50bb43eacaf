"""What is said before Stripe is asked: one sentence, the record, the mend."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from connector_kit import TODAY
from stripe_kit import PREMIUM, Bench

from syncd.model import Operation


@pytest.mark.parametrize("which", ["set", "charge", "add", "usage"])
def test_what_fits_is_not_refused(bench: Bench, which: str) -> None:
    assert bench.refusal(getattr(bench, which)()) == ""


@pytest.mark.parametrize(
    ("which", "change", "words"),
    [
        ("set", {"quantity": Decimal("2.9999999")}, 'whole units, not 2.9999999; set round = "up"'),
        ("set", {"quantity": Decimal(-1)}, "never negative"),
        ("set", {"before": Decimal(24)}, "shows 25 where the plan saw 24"),
        ("set", {"line_id": "si_gone"}, "no longer open"),
        ("set", {"agreement_id": "sub_gone"}, "no Stripe subscription sub_gone"),
        ("set", {"options": {"prorate": "daily"}}, "needs the day from which it counts"),
        ("set", {"options": {"prorate": "daily"}, "starts": date(2026, 10, 31)}, "began on 2026-11-01"),
        ("set", {"options": {"prorate": "daily"}, "starts": date(2026, 12, 2)}, "ends before 2026-12-02"),
        ("add", {"quantity": Decimal("1.5")}, "whole units"),
        ("add", {"quantity": Decimal(0)}, "more than none"),
        ("add", {"product_id": PREMIUM}, "already has the item"),
        ("add", {"product_id": "price_1SyncdSetup/prod_SyncdSupport"}, "one-time price"),
        ("add", {"product_id": "price_1SyncdHours/prod_SyncdSupport"}, "is metered"),
        ("add", {"product_id": "price_none/prod_none"}, "Stripe has no active price price_none"),
        ("add", {"options": {"prorate": "daily"}, "starts": date(2026, 11, 1)}, "from the day after on"),
        ("charge", {"currency": "EUR"}, "the line is in EUR"),
        ("charge", {"currency": ""}, "no currency"),
        ("charge", {"amount": None, "unit_price": None}, "give the rule a price"),
        ("charge", {"amount": Decimal("10.005")}, "10.005 USD cannot be written"),
        ("charge", {"starts": None}, "the days that it covers"),
        ("charge", {"ends": date(2026, 10, 1)}, "the days that it covers"),
        ("charge", {"options": {"beside": "quantity"}}, "charge them twice"),
        ("charge", {"options": {"meter": "support_hours"}}, "take meter out"),
        ("charge", {"marker": ""}, "the mark must be"),
        ("charge", {"operation": Operation.POST_CREDIT}, "cannot take the operation post_credit"),
        ("charge", {"operation": Operation.END_LINE}, "cannot take the operation end_line"),
    ],
)
def test_what_does_not_is(bench: Bench, which: str, change: dict[str, Any], words: str) -> None:
    assert words in bench.refusal(getattr(bench, which)(**change))


def test_a_prorated_change_inside_the_period_is_fine(bench: Bench) -> None:
    for which in ("set", "add"):
        assert bench.refusal(getattr(bench, which)(options={"prorate": "daily"}, starts=TODAY)) == ""


def test_the_obstacle_of_a_subscription_or_an_item_is_the_reason(bench: Bench) -> None:
    bench.subscription()["schedule"] = "sub_sched_1"
    assert "follows the schedule" in bench.refusal(bench.set())
    bench.subscription()["status"] = "incomplete"
    assert "waits for its first payment" in bench.refusal(bench.charge())


def test_a_price_that_is_archived_or_of_another_currency(bench: Bench) -> None:
    price = bench.double.tables["price"]["price_1SyncdVISIOP2"]
    price["active"] = False
    assert "no active price" in bench.refusal(bench.add())
    bench.double.add_item(bench.subscription(2)["id"], price["id"], 1, (1793534400, 1796126400))
    assert "is archived" in bench.refusal(bench.add())
    price["currency"] = "eur"
    assert "is in EUR" in bench.refusal(bench.add())
    assert "is in EUR" in bench.refusal(bench.charge(product_id="price_1SyncdVISIOP2/prod_SyncdVISIOP2"))


def test_a_fraction_of_a_unit_may_stand_on_an_invoice_item(bench: Bench) -> None:
    assert bench.refusal(bench.charge(quantity=Decimal("2.5"), amount=Decimal("70.00"))) == ""
