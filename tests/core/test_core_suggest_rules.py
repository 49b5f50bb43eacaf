"""Proposals for rules: which product bills what a source counts, and what stays a person's question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from syncd.core import suggest_names as names
from syncd.core.resolve import View
from syncd.core.rules import BillRef, CountRef, Mappings, Rule
from syncd.core.suggest import Open, Suggestion
from syncd.core.suggest_rules import NO_CATALOGUE, Biller, Catalogue, suggest_rules
from syncd.core.unmapped import Unmapped
from syncd.cycle.suggesting import microsoft_names
from syncd.model import Agreement, BilledLine, Billing, Count, Product, Query, Reading, State

SEATS = Query("assigned")
NUMBERS = {"m365": "used", "pax8": "bought"}
CW = Biller("cw", ("agreement", "product"))


def seen(sku: str, name: str = "", source: str = "m365", quantity: int = 27) -> Unmapped:
    return Unmapped(source, sku, name or sku, Decimal(quantity), ("Contoso",))


def item(id_: str, identifier: str, name: str = "", obstacle: str = "") -> Product:
    return Product(id_, identifier, name or identifier, obstacle)


def proposed(
    unmapped: Sequence[Unmapped],
    products: Sequence[Product],
    *,
    rules: Sequence[Rule] = (),
    billings: Sequence[Billing] = (),
    catalogue: Catalogue = NO_CATALOGUE,
    aliases: tuple[str, ...] = (),
    billers: Sequence[Biller] = (CW,),
) -> tuple[tuple[Suggestion, ...], tuple[Open, ...]]:
    reading = Reading("t1", SEATS, State.KNOWN, tuple(Count(o.id, o.name, Decimal(1), aliases) for o in unmapped))
    views = {
        "m365": View("m365", readings={("t1", SEATS): reading}),
        "pax8": View("pax8"),
        **{
            one.connection: View(
                one.connection, products=tuple(products), billings={str(n): b for n, b in enumerate(billings)}
            )
            for one in billers
        },
    }
    return suggest_rules(Mappings(rules=tuple(rules)), views, unmapped, billers, NUMBERS, catalogue)


def rule(product: str, **fields: Any) -> Rule:
    count = (CountRef("m365", ("OTHER",), "assigned"),)
    return Rule("Premium", ("*",), count, BillRef("cw", {"agreement": "*", "product": product}), **fields)


@pytest.mark.parametrize(
    ("sku", "product", "score", "why"),
    [
        (seen("SPB"), item("1", "spb"), 98, "bears the part number SPB"),
        (seen("SPB", "Microsoft 365 Business Premium"), item("1", "BP", "M365 Business Premium (NCE)"), 93, "called"),
        (seen("SPB"), item("1", "M365-SPB", "Premium"), 84, "names the part number"),
        (seen("X1", "Acme Backup Server"), item("1", "BK", "Acme Backup Servers"), 72, "alike"),
    ],
)
def test_evidence_and_its_worth(sku: Unmapped, product: Product, score: int, why: str) -> None:
    (found,), left = proposed([sku], [product])

    assert (found.kind, found.score, left) == ("rule", score, ())
    assert why in found.reason
    assert found.reason.startswith(f"27 of m365 {sku.id} at Contoso: ")
    assert found.block["count"] == {"from": "m365", "sku": sku.id}
    assert found.block["bill"] == {"to": "cw", "agreement": "*", "product": product.identifier}


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Office 365 E3", "Office 365 E5"),
        ("Exchange Online (Plan 1)", "Exchange Online (Plan 2)"),
        ("Office 365 A1 for Faculty", "Office 365 A1 for Students"),
        ("Microsoft 365 Business Standard", "Microsoft 365 Business Standard (no Teams)"),
        ("Visio Plan 2", "Project Plan 3"),
    ],
)
def test_what_differs_in_a_figure_or_an_edition_is_another_product(name: str, other: str) -> None:
    found, left = proposed([seen("S-1", name)], [item("1", "P", other)])

    assert found == ()
    assert [(one.id, one.near) for one in left] == [("S-1", False)]


def test_two_products_that_fit_are_told_and_none_is_proposed() -> None:
    found, left = proposed([seen("SPB", "Backup")], [item("1", "A", "Backup"), item("2", "B", "backup")])

    assert found == ()
    assert left[0].near
    assert "cw 'A' (93) or cw 'B' (93)" in left[0].reason


def test_two_skus_for_one_product_are_told_and_none_is_proposed() -> None:
    found, left = proposed([seen("ONE", "Backup"), seen("TWO", "Backup")], [item("1", "A", "Backup")])

    assert found == ()
    assert [(one.id, one.near) for one in left] == [("ONE", True), ("TWO", True)]


def test_what_is_used_is_counted_and_what_is_bought_is_the_cross_check() -> None:
    unmapped = [seen("SPB", "Microsoft 365 Business Premium"), seen("CFQ7", "M365 Business Premium", "pax8")]
    (found,), _ = proposed(unmapped, [item("1", "BP", "Microsoft 365 Business Premium")])

    assert found.block["count"] == {"from": "m365", "sku": "SPB"}
    assert found.block["bought"] == {"from": "pax8", "sku": "CFQ7"}
    assert found.ids == (("m365", "SPB"), ("pax8", "CFQ7"), ("cw", "product 1"))


def test_a_product_that_is_billed_already_gets_no_second_rule_but_a_missing_cross_check() -> None:
    unmapped = [seen("SPB", "Premium"), seen("CFQ7", "Premium", "pax8")]
    (found,), (left,) = proposed(unmapped, [item("1", "BP", "Premium")], rules=[rule("bp")])

    assert (found.extends, dict(found.block)) == ("Premium", {"bought": {"from": "pax8", "sku": "CFQ7"}})
    assert (left.id, left.near) == ("SPB", True)
    assert "is billed by 'Premium' already" in left.reason


def test_the_agreement_is_where_the_product_stands_today() -> None:
    def billing(name: str) -> Billing:
        line = BilledLine("l", "a", "c", "1", "BP", "Premium", Decimal(3))
        return Billing("c", State.KNOWN, (Agreement("a", "c", name),), (line,))

    products = [item("1", "BP", "Premium")]
    (one,), _ = proposed([seen("SPB", "Premium")], products, billings=[billing("Managed"), billing("Managed")])
    (two,), _ = proposed([seen("SPB", "Premium")], products, billings=[billing("Managed"), billing("Cloud")])

    assert one.block["bill"]["agreement"] == "Managed"
    assert two.block["bill"]["agreement"] == "*"
    assert "2 kinds of agreement (Cloud, Managed)" in two.reason


def test_published_names_help_where_the_source_tells_only_a_part_number() -> None:
    """By the product's id first: part numbers are shared by several products."""
    catalogue = Catalogue({"guid-1": "Visio Plan 2"}, {"visioclient": "Another Name"})
    (found,), _ = proposed(
        [seen("VISIOCLIENT")], [item("1", "V2", "Visio Plan 2")], catalogue=catalogue, aliases=("GUID-1",)
    )

    assert (found.name, found.score) == ("Visio Plan 2", 93)


def test_microsofts_own_names_are_there_and_shared_part_numbers_name_nothing() -> None:
    known = microsoft_names()

    assert known.by_id["cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"] == "Microsoft 365 Business Premium"
    assert known.by_part["o365_business_premium"] == "Microsoft 365 Business Standard"
    assert len(known.by_id) > 600
    assert all(key == key.casefold() and names.is_guid(key) for key in known.by_id)


def test_a_price_is_the_product_where_the_biller_knows_no_agreement() -> None:
    stripe, odd = Biller("stripe", ("price",)), Biller("odd", ("site", "product"))
    (found,), _ = proposed([seen("SPB", "Premium")], [item("price_1", "price_1", "Premium")], billers=[stripe, odd])

    assert found.block["bill"] == {"to": "stripe", "price": "price_1"}


def test_an_identifier_that_two_share_is_written_as_the_id_and_an_obstacle_is_no_candidate() -> None:
    products = [item("1", "BP", "Premium"), item("2", "bp", "Unlike"), item("3", "X", "Premium", "it is inactive")]
    (found,), _ = proposed([seen("SPB", "Premium")], products)

    assert found.block["bill"]["product"] == "1"


def test_a_name_that_a_rule_has_already_is_told_apart() -> None:
    (found,), _ = proposed(
        [seen("SPB", "Premium")], [item("1", "A", "Premium"), item("2", "B", "Other")], rules=[rule("B")]
    )

    assert found.name == found.block["name"] == "Premium (cw)"


def test_order_changes_nothing() -> None:
    unmapped = [seen(f"S{n}", f"Backup {n % 4} Pro") for n in range(8)] + [seen("P1", "Backup 1 Pro", "pax8")]
    products = [item(str(n), f"B-{n}", f"Backup {n} Pro") for n in range(6)]
    dice = random.Random(3)

    expected = proposed(unmapped, products)
    for _ in range(5):
        assert proposed(dice.sample(unmapped, 9), dice.sample(products, 6)) == expected
    assert {one.kind for one in expected[1]} == {"product"}
