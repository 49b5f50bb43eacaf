"""Whole cycles against the double: counts from a file, postings in every way that Halo takes them, then rest."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from connector_kit import House, customers, told
from halo_kit import LINE, Bench

CONFIG = """
[connections.halo]
kind = "halopsa"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = {{ env = "HALO_CLIENT_SECRET" }}
"""
COUNTS = (
    ("Alder Dental Group", "SPB", 27),
    ("Birchwood Legal LLP", "EXO", 3),
    ("Birchwood Legal LLP", "SPB", 16),
    ("Cedar & Sons Joinery", "VISIO", 2),
)
RULE = """
[[rule]]
name = "{name}"
customers = ["{customer}*"]
count = {{ from = "files", sku = "{sku}" }}
bill = {{ to = "halo", agreement = "{agreement}", product = "{product}"{via} }}
"""
RULES = (
    RULE.format(name="Premium", customer="Alder", sku="SPB", agreement="MS-*", product="M365-BP", via="")
    + 'true_up = "quantity"\nprorate = "daily"\n'
    + RULE.format(name="Burst", customer="Birch", sku="SPB", agreement="Managed*", product="M365-BP", via="")
    + 'true_up = "line"\n'
    + RULE.format(
        name="Exchange", customer="Birch", sku="EXO", agreement="Managed*", product="EXO-P1", via=', via = "licence"'
    )
    + 'true_up = "quantity"\n'
    + RULE.format(name="Visio", customer="Cedar", sku="VISIO", agreement="Managed*", product="VISIO-P2", via="")
    + 'true_up = "quantity"\ncreate = true\n'
)


def test_every_way_of_posting_once_and_then_rest(bench: Bench, make_house: Callable[..., House]) -> None:
    names = [company.name for company in bench.world.companies]
    house = make_house(
        CONFIG.format(url=bench.url), customers("halo", *names) + RULES, HALO_CLIENT_SECRET="sandbox-secret"
    )
    house.count(*COUNTS)

    first = house.cycle()
    assert {action for action, _ in told(first).values()} == {"post"}, told(first)
    effects = [(one.what, one.record) for one in bench.double.effects]
    assert sorted(what for what, _ in effects) == [
        "add_line", "change_licence", "change_line", "create_invoice", "create_invoice",
    ]  # fmt: skip
    drafts = [row for row in bench.double.tables["Invoice"].values() if row["reviewrequired"]]
    assert sorted(row["total"] - row["tax_total"] for row in drafts) == [Decimal("20.53"), Decimal("56.00")]

    second = house.cycle()
    assert {rule: action for rule, (action, _) in told(second).items()} == {
        "Premium": "none", "Burst": "none", "Exchange": "none", "Visio": "defer",
    }  # fmt: skip
    assert [(one.what, one.record) for one in bench.double.effects] == effects

    bench.double.rival(LINE, 30, by="Dana Admin")
    action, reason = told(house.cycle())["Premium"]
    assert action == "hold"
    assert "the line was changed by Dana Admin to 30" in reason
