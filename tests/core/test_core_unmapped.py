"""What sources show and nobody named: told until it is mapped or ignored (INTERFACE 3.2, 4)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from core_kit import (
    NOW,
    TODAY,
    World,
    bought_ref,
    count,
    customer,
    ignore,
    reading,
    reads,
    ref,
    rule,
    wheres,
    world,
)

from syncd.core.rules import RemoteKey
from syncd.core.unmapped import idle_patterns
from syncd.model import Count, RemoteCustomer, State


def shows(*counts: Count, **fields: Any) -> World:
    return world().but(readings=reads(reading("t1", *counts)), **fields)


def products(found: World) -> dict[str, object]:
    return {one.id: one.quantity for one in found.plan().unmapped_products}


def strangers(found: World) -> list[tuple[str, str, str]]:
    return [(one.connection, one.id, one.name) for one in found.plan().unmapped_customers]


def test_products_that_no_rule_counts_are_told_with_their_quantity() -> None:
    found = shows(count("SPB", 27), count("E5", 3), count("F1", 2))

    assert products(found) == {"E5": 3, "F1": 2}
    assert [one.connection for one in found.plan().unmapped_products] == ["m365", "m365"]


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (count("E5", 3), True),
        (count("E5", 0), False),  # nothing of it
        (count("E5", -1), False),
        (count("FLOW_FREE", 900, free=True), False),
        (count("E5-guid", 3, aliases=("SPB",)), False),  # named under its other key
    ],
)
def test_only_paid_products_with_a_quantity_are_told(seen: Count, told: bool) -> None:
    assert (seen.sku in products(shows(count("SPB", 27), seen))) is told


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, {"E5": 3}),
        ({"count": (ref("SPB"), ref("E5"))}, {}),
        ({"count": ref("*")}, {}),
        ({"count": ref("e?")}, {"SPB": 27}),
        (
            {"customers": ("!Contoso",)},
            {"SPB": 27, "E5": 3},
        ),  # a rule that leaves this customer out names nothing of it
        ({"bill": None, "count": ref(("SPB", "E5"))}, {}),
    ],
)
def test_what_a_rule_names(fields: dict[str, Any], told: dict[str, object]) -> None:
    assert products(shows(count("SPB", 27), count("E5", 3), rules=(rule(**fields),))) == told


def test_a_product_is_named_for_its_connection_only() -> None:
    found = world(bought=30)
    found = found.but(rules=(rule(count=ref("E5"), bought=bought_ref("E5")),))

    assert sorted((one.connection, one.id) for one in found.plan().unmapped_products) == [
        ("m365", "SPB"),
        ("pax8", "SPB"),
    ]


def test_quantities_of_several_customers_are_added() -> None:
    found = world().but(
        customers=(customer("A", m365="t1", cw="c1"), customer("B", m365="t2", cw="c2")),
        readings=reads(
            reading("t1", count("E5", 3)), reading("t2", count("E5", 4)), reading("t3", state=State.UNKNOWN)
        ),
    )
    found = found.but(listed={**found.listed, "m365": (RemoteCustomer("t1", "A"), RemoteCustomer("t2", "B"))})

    assert products(found) == {"E5": 7}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"skus": ("E5",)}, False),
        ({"skus": ("e*",)}, False),
        ({"skus": ("F1", "E5")}, False),
        ({"skus": ("F1",)}, True),
        ({"skus": ("E5",), "customers": ("Contoso",)}, False),
        ({"skus": ("E5",), "customers": ("Contoso*",)}, False),
        ({"skus": ("E5",), "customers": ("Fabrikam",)}, True),
        ({"customers": ("Contoso",)}, False),
        ({"skus": ("E5",), "connection": "pax8"}, True),
        ({"skus": ("E5",), "until": TODAY}, False),  # its last day
        ({"skus": ("E5",), "until": TODAY - timedelta(days=1)}, True),  # then it is told again
        ({"skus": ("E5",), "until": date(2027, 6, 30)}, False),
    ],
)
def test_what_was_seen_and_decided_is_not_told(fields: dict[str, Any], told: bool) -> None:
    found = shows(count("SPB", 27), count("E5", 3), ignores=(ignore(**fields),))

    assert ("E5" in products(found)) is told


def test_an_ignore_ends_at_midnight_of_the_msp() -> None:
    found = shows(count("E5", 3), ignores=(ignore(skus=("E5",), until=TODAY),))

    assert not found.plan(NOW + timedelta(hours=13)).unmapped_products
    assert found.plan(NOW + timedelta(hours=14)).unmapped_products


def test_what_could_not_be_read_is_no_product() -> None:
    assert products(world(State.UNKNOWN)) == {}


def with_tenants(*names: str, **fields: Any) -> World:
    found = world()
    tenants = (
        *(found.listed["m365"] or ()),
        *(RemoteCustomer(f"s{n}", name, (f"{n}.com",)) for n, name in enumerate(names)),
    )
    return found.but(listed={**found.listed, "m365": tenants}, **fields)


def test_customers_that_nobody_mapped_are_told() -> None:
    assert strangers(with_tenants("Adatum", "Fabrikam")) == [("m365", "s0", "Adatum"), ("m365", "s1", "Fabrikam")]
    assert strangers(world()) == []


def test_a_source_in_which_nobody_is_mapped_yet_shows_everybody() -> None:
    found = with_tenants("Adatum").but(customers=())

    assert {id_ for _, id_, _ in strangers(found)} == {"t1", "s0"}


def test_inactive_customers_and_systems_that_count_nothing_are_left_out() -> None:
    found = world()
    closed = RemoteCustomer("t2", "Closed", active=False)
    found = found.but(
        listed={
            "m365": (*(found.listed["m365"] or ()), closed),
            "cw": (RemoteCustomer("c1", "A"), RemoteCustomer("c2", "B")),
        }
    )

    assert strangers(found) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"customers": ("Adatum",)}, False),
        ({"customers": ("ada*",)}, False),
        ({"customers": ("s0",)}, False),
        ({"customers": ("0.com",)}, False),
        ({"customers": ("Adatum",), "until": TODAY - timedelta(days=1)}, True),
        ({"customers": ("Adatum",), "skus": ("E5",)}, True),  # only a product of theirs
        ({"skus": ("E5",)}, True),
        ({"customers": ("Adatum",), "connection": "pax8"}, True),
    ],
)
def test_customers_that_were_decided_are_not_told(fields: dict[str, Any], told: bool) -> None:
    assert bool(strangers(with_tenants("Adatum", ignores=(ignore(**fields),)))) is told


def test_a_part_of_a_tenant_owns_the_tenant() -> None:
    part = RemoteKey("t1", wheres(domain="east.com"))
    found = shows(count("SPB", 1), count("E5", 2)).but(customers=(customer(m365=part, cw="c1"),))

    assert strangers(found) == []
    assert products(found) == {"E5": 2}  # found by the look at the whole tenant


def test_an_ambiguous_key_maps_nobody() -> None:
    found = with_tenants("Twin", "Twin").but(customers=(customer(m365="Twin", cw="c1"),))

    assert {id_ for _, id_, _ in strangers(found)} == {"t1", "s0", "s1"}


def test_an_unmapped_product_names_the_customers_that_have_it() -> None:
    others = (customer("Adatum", m365="t2", cw="c2"), customer("Wingtip", m365="t3", cw="c3"))
    found = world()
    found = found.but(
        customers=(*found.customers, *others),
        listed={**found.listed, "m365": tuple(RemoteCustomer(f"t{one}", f"Tenant {one}") for one in (1, 2, 3))},
        readings=reads(
            reading("t1", count("SPB", 27), count("E5", 3)),
            reading("t2", count("E5", 2)),
            reading("t3", count("SPB", 1)),
        ),
    )

    (product,) = found.plan().unmapped_products
    assert (product.id, product.quantity, product.customers) == ("E5", 5, ("Adatum", "Contoso"))


def idle(*rules: Any) -> list[tuple[str, str]]:
    return list(idle_patterns(world().but(rules=rules).mappings))


def test_patterns_that_cover_nobody_are_told_with_their_rule() -> None:
    assert idle(rule(customers=("*",)), rule("Tagged", customers=("Con*", "!North*"), place="all.toml › Tagged")) == [
        ("all.toml › Tagged", "customers: '!North*' covers no customer")
    ]


def test_a_rule_that_makes_no_line_is_told() -> None:
    assert idle(rule("Pilots", customers=("tag:p*",))) == [
        ("rule 'Pilots'", "customers: 'tag:p*' covers no customer"),
        ("rule 'Pilots'", "makes no line: no customer that it means is in the systems it names"),
    ]
    assert idle(rule("Elsewhere", count=(ref(source="pax8"),))) == [
        ("rule 'Elsewhere'", "makes no line: no customer that it means is in the systems it names"),
    ]
