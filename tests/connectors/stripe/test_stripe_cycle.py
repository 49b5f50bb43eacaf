"""Whole cycles against the double: counts from a file, postings in every way that Stripe takes them, then rest."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from connector_kit import House, customers, told
from stripe_kit import Bench

CONFIG = """
[connections.stripe]
kind = "stripe"
base_url = "{url}"
api_key = {{ env = "STRIPE_API_KEY" }}
"""
COUNTS = (
    ("Alder Dental Group", "SPB", 27),
    ("Birchwood Legal LLP", "SPB", 16),
    ("Cedar & Sons Joinery", "VISIO", 2),
)
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "stripe", subscription = "Managed*", price = "{price}" }}
invoiced = {{ from = "stripe", item = "{price}" }}
"""
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", price="price_1SyncdM365BP")
    + 'true_up = "quantity"\nprorate = "daily"\n'
    + RULE.format(name="Burst", customer="Birch", sku="SPB", price="price_1SyncdM365BP")
    + 'true_up = "line"\n'
    + RULE.format(name="Visio", customer="Cedar", sku="VISIO", price="price_1SyncdVISIOP2")
    + 'true_up = "quantity"\ncreate = true\n'
)


def test_every_way_of_posting_once_and_then_rest(bench: Bench, make_house: Callable[..., House]) -> None:
    names = [company.name for company in bench.world.companies]
    house = make_house(
        CONFIG.format(url=bench.url), customers("stripe", *names) + RULES, STRIPE_API_KEY=bench.double.api_key
    )
    house.count(*COUNTS)

    first = house.cycle()
    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    effects = [(one.what, one.record) for one in bench.double.effects]
    assert sorted(what for what, _ in effects) == ["add_item", "invoice_item", "set_quantity"]
    pending = list(bench.double.tables["invoiceitem"].values())
    assert [one["proration"] for one in pending].count(True) == 2  # the vendor's own part, for the next invoice
    assert [one["amount"] for one in pending if not one["proration"]] == [5600]
    assert bench.item()["quantity"] == 27
    [gap] = [line for line in first.plan.lines if line.rule == "Burst"]
    assert (gap.billed, gap.invoiced) == (Decimal(14), Decimal(13))

    second = house.cycle()
    assert {action for action, _ in told(second).values()} == {"none"}, told(second)
    assert [(one.what, one.record) for one in bench.double.effects] == effects

    bench.double.rival(bench.item()["id"], 30)
    action, reason = told(house.cycle())["Premium"]
    assert action == "hold"
    assert "30" in reason
