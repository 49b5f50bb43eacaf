"""Who is meant by a mapping: one record, or none, or a question; never the first of two."""

from __future__ import annotations

from typing import Any

import pytest
from core_kit import ASSIGNED, bought_ref, customer, product, ref, rule, wheres

from syncd.core.entries import KnownCustomer
from syncd.core.resolve import (
    ReadError,
    Resolved,
    applies,
    concerns,
    find_products,
    narrowed,
    resolve,
    wanted_queries,
)
from syncd.core.rules import Customer, Mappings, RemoteKey
from syncd.model import Query, RemoteCustomer, State

TENANTS = (
    RemoteCustomer("t1", "Contoso", ("contoso.onmicrosoft.com", "contoso.com")),
    RemoteCustomer("t2", "Fabrikam", ("fabrikam.com", "t1")),  # its domain looks like another's id
    RemoteCustomer("t3", "Twin", ("twin-a.com", "shared.com")),
    RemoteCustomer("t4", "Twin", ("twin-b.com", "shared.com")),
    RemoteCustomer("t5", "contoso.com"),  # its name looks like another's domain
)


def found(
    value: str | RemoteKey,
    listed: tuple[RemoteCustomer, ...] | None = TENANTS,
    remembered: tuple[KnownCustomer, ...] = (),
    error: str = "",
) -> Resolved:
    errors = {"m365": ReadError("m365", "", "unavailable", error)} if error else {}
    past = {"m365": {one.id: one for one in remembered}}
    (one,) = resolve([customer(m365=value)], {"m365": listed}, past, errors)["Contoso", "m365"]
    return one


@pytest.mark.parametrize(
    ("value", "id_"),
    [
        ("t1", "t1"),  # an id, although t2 has it as a domain
        ("contoso.com", "t1"),  # an identifier, although t5 is called so
        ("CONTOSO.OnMicrosoft.com", "t1"),  # systems ignore the case of identifiers
        ("Fabrikam", "t2"),
        ("twin-b.com", "t4"),
    ],
)
def test_an_id_comes_before_an_identifier_before_an_exact_name(value: str, id_: str) -> None:
    assert (found(value).state, found(value).id) == (State.KNOWN, id_)


@pytest.mark.parametrize("value", ["Twin", "shared.com"])
def test_two_matches_are_unknown_and_name_the_ids(value: str) -> None:
    one = found(value)

    assert (one.state, one.id) == (State.UNKNOWN, "")
    assert "t3" in one.reason
    assert "t4" in one.reason


@pytest.mark.parametrize("value", ["fabrikam", "FABRIKAM", "Fabri*", "T3", "", "contoso"])
def test_a_name_or_id_is_exact(value: str) -> None:
    one = found(value)

    assert (one.state, one.id) == (State.UNKNOWN, "")
    assert repr(value) in one.reason


def test_who_was_there_and_is_no_longer_is_gone() -> None:
    before = KnownCustomer("t9", "Northwind", ("northwind.com",))

    for value in ("t9", "northwind.com", "Northwind"):
        one = found(value, remembered=(before,))
        assert (one.state, one.id) == (State.GONE, "t9")


def test_who_was_never_there_is_unknown() -> None:
    assert found("Northwind", remembered=(KnownCustomer("t8", "Adatum", ()),)).state is State.UNKNOWN


def test_two_that_were_there_under_one_name_are_unknown() -> None:
    one = found("Northwind", remembered=(KnownCustomer("t8", "Northwind", ()), KnownCustomer("t9", "Northwind", ())))

    assert (one.state, one.id) == (State.UNKNOWN, "")


def test_who_was_renamed_is_not_gone() -> None:
    one = found("Contoso Ltd", remembered=(KnownCustomer("t1", "Contoso Ltd", ()),))

    assert one.state is State.UNKNOWN
    assert "'Contoso'" in one.reason  # what it is called now
    assert "t1" in one.reason


def test_an_unreadable_list_makes_everybody_unknown_with_its_reason() -> None:
    one = found("t1", listed=None, error="the sign-in was refused")

    assert (one.state, one.reason) == (State.UNKNOWN, "the sign-in was refused")
    assert found("t1", listed=None).state is State.UNKNOWN
    assert found("t1", listed=None, remembered=(KnownCustomer("t1", "Contoso", ()),)).state is State.UNKNOWN


def test_an_empty_list_is_an_answer_and_only_memory_calls_anybody_gone() -> None:
    assert found("t1", listed=()).state is State.UNKNOWN
    assert found("t1", listed=(), remembered=(KnownCustomer("t1", "Contoso", ()),)).state is State.GONE


def test_several_keys_are_resolved_each_in_its_order() -> None:
    made = resolve([customer(m365=["t2", "Twin", "t1"])], {"m365": TENANTS}, {}, {})

    assert [one.state for one in made["Contoso", "m365"]] == [State.KNOWN, State.UNKNOWN, State.KNOWN]
    assert [one.id for one in made["Contoso", "m365"]] == ["t2", "", "t1"]


def test_one_tenant_named_twice_is_one_tenant() -> None:
    made = resolve([customer(m365=["t1", "contoso.com"])], {"m365": TENANTS}, {}, {})

    assert [one.id for one in made["Contoso", "m365"]] == ["t1"]


def test_two_parts_of_one_tenant_are_two() -> None:
    parts = [RemoteKey("t1", wheres(domain="east.com")), RemoteKey("t1", wheres(domain="west.com"))]

    made = resolve([customer(m365=parts)], {"m365": TENANTS}, {}, {})

    assert [one.key for one in made["Contoso", "m365"]] == parts


def part(value: str, **filters: Any) -> RemoteKey:
    return RemoteKey(value, wheres(**filters))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("t1", "contoso.com"),  # by its id and by its domain
        ("contoso.com", part("t1", domain="east.com")),  # whole and in part
        (part("t1", domain="east.com"), part("contoso.com", domain="@East.com")),  # the same part
        (part("t1", domain=("east.com", "west.com")), part("contoso.com", domain="west.com")),
        (part("t1", domain="east.com"), part("t1", domain="east.com", department="Sales")),
    ],
)
@pytest.mark.parametrize("whose", ["Fabrikam", "Contoso"])
def test_what_two_keys_claim_is_known_to_neither(one: str | RemoteKey, other: str | RemoteKey, whose: str) -> None:
    """Its units would be billed twice."""
    if whose == "Contoso":
        keys: list[str | RemoteKey] = [one, other]
        if keys == ["t1", "contoso.com"]:
            return  # of one customer they are one
        made = resolve([customer(m365=keys)], {"m365": TENANTS}, {}, {})["Contoso", "m365"]
    else:
        customers = [customer(m365=one), customer(whose, m365=other)]
        both = resolve(customers, {"m365": TENANTS}, {}, {})
        made = (*both["Contoso", "m365"], *both[whose, "m365"])
        assert f"(of {whose!r}) are one customer of m365 (id t1)" in made[0].reason
        assert "(of 'Contoso') are one customer of m365 (id t1)" in made[1].reason
    assert [(each.state, each.id, each.code) for each in made] == [(State.UNKNOWN, "t1", "ambiguous")] * 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (part("t1", domain="east.com"), part("contoso.com", domain="west.com")),
        (part("t1", domain="east.com"), part("t1", group="Sales")),  # they may have nobody in common
        (part("t1", domain="a.com", department="x"), part("t1", domain="a.com", department="y")),
        ("t1", "t2"),
    ],
)
def test_parts_of_their_own_are_each_known(one: str | RemoteKey, other: str | RemoteKey) -> None:
    made = resolve([customer(m365=one), customer("Fabrikam", m365=other)], {"m365": TENANTS}, {}, {})

    assert {each.state for found in made.values() for each in found} == {State.KNOWN}


def test_connections_that_are_not_open_are_left_out() -> None:
    assert resolve([customer(m365="t1", other="x")], {"m365": TENANTS}, {}, {}).keys() == {("Contoso", "m365")}


@pytest.mark.parametrize(
    ("patterns", "who", "tags", "taken"),
    [
        (("*",), "Contoso", (), True),
        (("contoso*",), "Contoso Dental", (), True),
        (("Contoso",), "Contoso Dental", (), False),
        (("*", "!Northwind"), "Northwind", (), False),
        (("*", "!Northwind"), "Contoso", (), True),
        (("!Northwind",), "Contoso", (), True),
        (("!Northwind",), "northwind", (), False),
        (("!Northwind", "*"), "Northwind", (), False),  # "!" takes away, wherever it stands
        (("tag:pilot",), "Contoso", ("pilot",), True),
        (("tag:pilot",), "Contoso", ("big",), False),
        (("tag:pilot",), "pilot", (), False),
        (("*", "!tag:Own-*"), "Contoso", ("own-it",), False),  # tags ignore case as names do
        (("tag:p*",), "Contoso", ("pilot",), True),
        (("*", "!tag:co-managed"), "Contoso", ("co-managed", "pilot"), False),
        (("*", "!tag:co-managed"), "Contoso", ("pilot",), True),
        (("tag:pilot", "!Contoso*"), "Contoso Dental", ("pilot",), False),
        (("Contoso", "Fabrikam"), "Fabrikam", (), True),
        (("Contoso [East]",), "Contoso [East]", (), True),  # a name is a name, whatever signs are in it
        (("!Contoso [East]",), "Contoso [East]", (), False),
        ((), "Contoso", (), False),
    ],
)
def test_whom_a_rule_applies_to(patterns: tuple[str, ...], who: str, tags: tuple[str, ...], taken: bool) -> None:
    assert applies(rule(customers=patterns), customer(who, tags=tags)) is taken


@pytest.mark.parametrize(
    ("keys", "fields", "expected"),
    [
        ({"m365": "t1", "cw": "c1"}, {}, True),
        ({"m365": "t1"}, {}, False),  # billed elsewhere, or not at all
        ({"cw": "c1"}, {}, False),  # nothing is counted of it
        ({"m365": "t1"}, {"bill": None}, True),
        ({"rmm": "r1", "cw": "c1"}, {"count": (ref(), ref("DEVICE", "rmm"))}, True),
        ({"m365": "t1", "cw": "c1"}, {"customers": ("!Contoso",)}, False),
        ({"pax8": "x1", "cw": "c1"}, {"bought": bought_ref()}, False),  # a cross-check alone makes no line
    ],
)
def test_which_customers_have_a_line_of_a_rule(keys: dict[str, Any], fields: dict[str, Any], expected: bool) -> None:
    assert concerns(rule(**fields), customer(**keys)) is expected


def test_a_customers_part_narrows_the_rules_filters() -> None:
    part = RemoteKey("t1", wheres(domain=("east.com", "west.com")))

    assert narrowed((), part) == part.where
    assert narrowed(wheres(enabled=True), RemoteKey("t1")) == wheres(enabled=True)
    assert narrowed(wheres(enabled=True), part) == (*part.where, *wheres(enabled=True))


@pytest.mark.parametrize("name", ["domain", "group", "exclude_users"])
def test_a_filter_that_rule_and_part_both_name_must_pass_twice(name: str) -> None:
    """Intersecting the values would lift exclusions, and lose whoever is in two groups."""
    part = RemoteKey("t1", ((name, ("a", "b")),))

    assert narrowed(((name, ("b", "c")),), part) == ((name, ("a", "b")), (name, ("b", "c")))
    assert narrowed(((name, ("a", "b")),), part) == part.where


def test_what_is_asked_of_a_source() -> None:
    contoso: Customer = customer(m365=RemoteKey("t1", wheres(domain="east.com")), pax8="x1", cw="c1")
    gone = customer("Gone", m365="t9", cw="c1")
    rules = (
        rule("Premium", bought=bought_ref()),
        rule("Active", count=ref("SPB", measure="active", where=wheres(enabled=True))),
        rule("Not theirs", customers=("Nobody",), count=ref("F1", measure="users")),
    )
    resolution = resolve(
        [contoso, gone], {"m365": TENANTS, "pax8": (RemoteCustomer("x1", "Contoso"),), "cw": ()}, {}, {}
    )

    wanted = wanted_queries(Mappings((contoso, gone), rules), resolution, {"m365": ASSIGNED, "pax8": Query("quantity")})

    assert wanted.keys() == {"m365", "pax8"}
    assert wanted["pax8"] == {"x1": (Query("quantity"),)}
    assert wanted["m365"].keys() == {"t1"}  # nothing is asked of whom nobody finds
    assert set(wanted["m365"]["t1"]) == {
        ASSIGNED,  # the whole tenant, to find what nobody mapped
        Query("assigned", wheres(domain="east.com")),
        Query("active", wheres(domain="east.com", enabled=True)),
    }


def test_products_are_found_by_identifier_before_id_before_exact_name() -> None:
    catalogue = (
        product("p1", "M365-BP", "Business Premium"),
        product("p2", "p1", "Odd one"),
        product("p3", "E3", "Twin"),
        product("p4", "E5", "Twin"),
        product("p5", "e5", "Other"),
    )

    assert [one.id for one in find_products("m365-bp", catalogue)] == ["p1"]
    assert [one.id for one in find_products("p1", catalogue)] == ["p2"]
    assert [one.id for one in find_products("p3", catalogue)] == ["p3"]
    assert [one.id for one in find_products("Business Premium", catalogue)] == ["p1"]
    assert [one.id for one in find_products("Twin", catalogue)] == ["p3", "p4"]
    assert [one.id for one in find_products("E5", catalogue)] == ["p4", "p5"]
    assert find_products("business premium", catalogue) == ()
    assert find_products("E*", catalogue) == ()
