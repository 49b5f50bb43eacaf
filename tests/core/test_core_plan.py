"""The plan as a value: whole, equal for equal input, silent about time; it never makes money of what is not known."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from core_kit import (
    LINE,
    NOW,
    World,
    agreement,
    bill,
    billing,
    bought_ref,
    count,
    customer,
    ignore,
    known,
    line,
    own_line,
    posts,
    product,
    reading,
    reads,
    ref,
    rule,
    units,
    wheres,
    world,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.entries import LineHistory, Settled, Sighting
from syncd.core.resolve import ReadError
from syncd.core.rules import Mode, RemoteKey
from syncd.model import Query, RemoteCustomer, State
from syncd.periods import DAY

SOON = NOW.date() + timedelta(days=3)
STATES = [State.UNKNOWN, State.PARTIAL, State.GONE]


def town(used: list[int], billed: list[int | None], states: list[State] | None = None) -> World:
    """Several customers, each with one tenant and one company, under three rules that bill different products."""
    numbers = range(len(used))
    states = states or [State.KNOWN] * len(used)
    companies = [
        billing(
            *(
                line(quantity, f"l{n}{p}", customer_id=f"c{n}", agreement_id=f"a{n}", product_id=p)
                for p in ("p1", "p2")
                if (quantity := billed[n]) is not None
            ),
            own_line(1, f"o{n}", customer_id=f"c{n}", agreement_id=f"a{n}", product_id="p2"),
            id_=f"c{n}",
            agreements=(agreement(f"a{n}", customer_id=f"c{n}"),),
        )
        for n in numbers
    ]
    return replace(
        world(),
        customers=tuple(customer(f"C{n}", m365=f"t{n}", cw=f"c{n}") for n in numbers),
        rules=(
            rule("Premium", create=True, decrease="now"),
            rule("Burst", count=ref("E5"), bill=bill("P2"), true_up=LINE),
            rule("Report", count=ref(("SPB", "E5")), bill=None),
        ),
        listed={
            "m365": tuple(RemoteCustomer(f"t{n}", f"T{n}") for n in numbers),
            "cw": tuple(RemoteCustomer(f"c{n}", f"K{n}") for n in numbers),
        },
        readings={
            "m365": tuple(
                reading(f"t{n}", count("SPB", used[n]), count("E5", used[n]), count("NEW", 1), state=states[n])
                for n in numbers
            )
        },
        billings=tuple(companies),
        products=(product(unit_price=units(20)), product("p2", "P2", "Burst", unit_price=units(3))),
        errors=tuple(ReadError("m365", f"C{n}", "timeout", "slow") for n in numbers if states[n] is not State.KNOWN),
    )


def shuffled(found: World, seed: int) -> World:
    """The same world, told in another order."""
    dice = random.Random(seed)

    def mixed(values: Any) -> Any:
        return tuple(dice.sample(list(values), len(values)))

    return found.but(
        customers=mixed(found.customers),
        rules=mixed(found.rules),
        listed={name: mixed(values or ()) for name, values in mixed(found.listed.items())},
        readings={name: mixed([_mixed(one, dice) for one in values]) for name, values in mixed(found.readings.items())},
        billings=mixed(
            [replace(one, lines=mixed(one.lines), agreements=mixed(one.agreements)) for one in found.billings]
        ),
        products=mixed(found.products or ()),
        errors=mixed(found.errors),
        ignores=mixed(found.ignores),
    )


def _mixed(one: Any, dice: random.Random) -> Any:
    return replace(one, counts=tuple(dice.sample(list(one.counts), len(one.counts))))


SIZES = st.lists(st.integers(0, 30), min_size=3, max_size=5)


@given(SIZES, st.data(), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_order_of_input_never_matters(used: list[int], data: st.DataObject, seed: int) -> None:
    size = len(used)
    billed = data.draw(st.lists(st.none() | st.integers(0, 30), min_size=size, max_size=size))
    states = data.draw(st.lists(st.sampled_from([State.KNOWN, State.KNOWN, *STATES]), min_size=size, max_size=size))
    found = town(used, billed, states).but(ignores=(ignore(skus=("NEW",)), ignore(skus=("OLD",))))

    assert shuffled(found, seed).plan() == found.plan()


@pytest.mark.parametrize("seed", range(6))
def test_the_order_of_input_never_shows_in_a_sentence(seed: int) -> None:
    lines = (line(20, "l2"), line(5, "l1"), line(1, "l3", agreement_id="a2"))
    agreements = (agreement("a1"), agreement("a2", "Cloud"))
    twins = (product("p1", "A", "Twin"), product("p2", "B", "Twin"), product())
    worlds = [
        world().but(billings=(billing(*lines, agreements=agreements),)),
        world(3, None, create=True).but(billings=(billing(agreements=agreements),)),
        world(bill=bill("Twin")).but(products=twins),
        world().but(billings=(billing(line(25, marker="sd-zzzz-2"), line(5, "l0", marker="sd-yyyy-1")),)),
        world().but(billings=(billing(line(25, starts=SOON), line(2, "l0", starts=SOON + DAY)),)),
    ]  # fmt: skip
    shared = world().but(customers=(customer(m365="Twin", cw="c1"),))
    worlds.append(
        shared.but(listed={**shared.listed, "m365": (RemoteCustomer("t1", "Twin"), RemoteCustomer("t2", "Twin"))})
    )

    for found in worlds:
        assert shuffled(found, seed).plan() == found.plan()


def test_one_line_for_each_customer_and_rule_in_order() -> None:
    plan = town([5, 5, 5], [5, 5, 5]).plan()

    names = [(one.customer, one.rule) for one in plan.lines]
    assert names == sorted((f"C{n}", name) for n in range(3) for name in ("Premium", "Burst", "Report"))
    assert len({one.id for one in plan.lines}) == 9


@given(SIZES, st.data())
@settings(max_examples=30, deadline=None)
def test_what_is_not_known_never_moves_money(used: list[int], data: st.DataObject) -> None:
    """Whichever readings fail: lines that rest on them post nothing, and every other line is as it was."""
    size = len(used)
    billed = data.draw(st.lists(st.none() | st.integers(0, 30), min_size=size, max_size=size))
    states = data.draw(st.lists(st.sampled_from([State.KNOWN, *STATES]), min_size=size, max_size=size))
    whole = {one.id: one for one in town(used, billed).plan().lines}

    for one in town(used, billed, states).plan().lines:
        state = states[int(one.customer[1:])]
        if state is State.KNOWN:
            assert one == whole[one.id]
        else:
            assert one.action != "post"
            assert one.used is None
            assert state is State.GONE or not one.effects


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("true_up", ["quantity", "line"])
@pytest.mark.parametrize("used", [0, 3, 25, 27, 90])
def test_a_failed_reading_of_either_side_never_posts(state: State, true_up: str, used: int) -> None:
    limits = {"max_decrease": units(10**6), "max_increase": units(10**6), "source_drop": units(100)}
    for found in (
        world(state, used, true_up=true_up, decrease="now", create=True, safety=limits),
        world(used, state, true_up=true_up, decrease="now", create=True, safety=limits),
    ):
        assert not posts(found.plan().lines)


@pytest.mark.parametrize("broken", ["customers", "products", "billing", "reading"])
def test_an_unreadable_list_blocks_and_is_an_error_and_not_an_empty_world(broken: str) -> None:
    found = world(27, 25)
    told = ReadError("m365" if broken == "reading" else "cw", "", "unavailable", "no answer from the vendor")
    match broken:
        case "customers":
            found = found.but(listed={**found.listed, "cw": None}, errors=(told,))
        case "products":
            found = found.but(products=None, errors=(told,))
        case "billing":
            found = found.but(billings=(), errors=(told,))
        case "reading":
            found = found.but(readings={}, errors=(told,))

    plan = found.plan()

    assert (plan.lines[0].action, plan.lines[0].effects) == ("blocked", ())
    assert "no answer from the vendor" in plan.lines[0].reason
    assert plan.errors == (told,)
    assert plan.failing


def test_an_empty_source_is_held_and_not_believed() -> None:
    """200 with an empty list: everybody gone at once."""
    found = town([9, 9, 9], [9, 9, 9]).remembering(customers=known(**{f"t{n}": {"assigned": 19} for n in range(3)}))

    plan = found.safer(to_zero="settle").but(listed={**found.listed, "m365": ()}, readings={}).plan()

    assert plan.suspects.keys() == {"m365"}
    assert {one.action for one in plan.lines if one.rule == "Premium"} == {"hold"}
    assert not posts(plan.lines)


# Two rules, one line.


def rivals(first: int, second: int, billed: int | None = 25, **fields: Any) -> World:
    found = world(billed=billed).but(
        rules=(
            rule("One", decrease="now", create=True),
            rule("Two", **{"count": ref("E5"), "decrease": "now", **fields}),
        ),
        readings=reads(reading("t1", count("SPB", first), count("E5", second))),
    )
    return found.safer(max_decrease=units(100))


@pytest.mark.parametrize(("first", "second"), [(27, 28), (27, 25), (25, 27), (20, 30)])
@pytest.mark.parametrize("true_up", ["quantity", "line"])
def test_two_rules_that_bill_one_line_are_both_blocked(first: int, second: int, true_up: str) -> None:
    """Also where one of them has nothing to change today: tomorrow it would take back what the other one did."""
    lines = rivals(first, second, true_up=true_up).plan().lines

    assert [str(one.action) for one in lines] == ["blocked", "blocked"]
    assert all("two rules, one line" in one.findings and not one.effects for one in lines)
    assert all("One" in one.reason and "Two" in one.reason for one in lines)


def test_two_rules_that_would_add_one_line_are_both_blocked() -> None:
    assert {one.action for one in rivals(2, 3, None, create=True).plan().lines} == {"blocked"}


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PARTIAL])
def test_a_rule_does_not_take_the_line_over_while_the_other_cannot_be_read(state: State) -> None:
    found = rivals(27, 28, count=ref("E5", measure="active"))
    found = found.but(readings={"m365": (*found.readings["m365"], reading(query=Query("active"), state=state))})

    assert {one.action for one in found.plan().lines} == {"blocked"}


def test_a_rule_that_only_reports_does_not_clash() -> None:
    lines = {one.rule: one for one in rivals(27, 27, true_up="alert").plan().lines}

    assert (lines["One"].action, lines["Two"].action) == ("post", "alert")


def test_rules_of_other_agreements_or_products_do_not_clash() -> None:
    agreements = (agreement("a1", "Managed"), agreement("a2", "Cloud"))
    company = billing(line(25), line(25, "l2", agreement_id="a2"), agreements=agreements)
    found = rivals(27, 27, bill=bill(agreement="Cloud")).but(billings=(company,))
    found = found.but(rules=(rule("One", bill=bill(agreement="Managed")), found.rules[1]))

    assert {one.action for one in found.plan().lines} == {"post"}


def test_two_customers_mapped_to_one_company_are_both_blocked() -> None:
    found = world().but(customers=(customer("A"), customer("B")))

    assert {one.action for one in found.plan().lines} == {"blocked"}


# Modes.


@pytest.mark.parametrize(
    ("own", "house", "ceiling", "expected"),
    [
        (None, Mode.POST, Mode.POST, Mode.POST),
        (None, Mode.OBSERVE, Mode.POST, Mode.OBSERVE),
        (Mode.POST, Mode.OBSERVE, Mode.POST, Mode.POST),
        (Mode.OBSERVE, Mode.POST, Mode.POST, Mode.OBSERVE),
        (Mode.POST, Mode.POST, Mode.OBSERVE, Mode.OBSERVE),
        (Mode.OBSERVE, Mode.POST, Mode.PROPOSE, Mode.OBSERVE),
        (None, Mode.POST, Mode.PROPOSE, Mode.PROPOSE),
    ],
)
def test_whose_mode_holds(own: Mode | None, house: Mode, ceiling: Mode, expected: Mode) -> None:
    found = world(mode=house)
    found = found.but(
        house=replace(found.house, ceiling=ceiling),
        customers=(customer(mode=own),),
    )
    made = found.plan()

    assert made.lines[0].mode is expected
    assert made.lines[0].action == "post"  # whatever the mode
    assert made.mode is min(house, ceiling, key=list(Mode).index)


def test_drift_and_failure_are_told() -> None:
    assert not world(25, 25).plan().drifting
    assert not world(27, 25, increase="ignore").plan().drifting
    assert world(27, 25).plan().drifting
    assert world(24, 25).plan().drifting
    assert not world(27, 25).plan().failing
    assert world(State.PARTIAL, 25).plan().failing


def test_a_shared_tenant_is_read_by_parts() -> None:
    east, west = (RemoteKey("t1", wheres(domain=f"{part}.com")) for part in ("east", "west"))
    found = world().but(
        customers=(customer("East", m365=east, cw="c1"), customer("West", m365=west, cw="c2")),
        readings=reads(
            reading("t1", count("SPB", 30)),
            reading("t1", count("SPB", 10), query=Query("assigned", east.where)),
            reading("t1", count("SPB", 20), query=Query("assigned", west.where)),
        ),
    )
    found = found.but(listed={**found.listed, "cw": (RemoteCustomer("c1", "East"), RemoteCustomer("c2", "West"))})

    assert {one.customer: one.used for one in found.plan().lines} == {"East": Decimal(10), "West": Decimal(20)}
    assert found.plan().unmapped_products == ()


def test_a_difference_is_target_less_billed_wherever_both_are_known() -> None:
    for found in (
        world(27, 25),
        world(20, 25),
        world(27, 25, tolerance=5),
        world(27, 25, increase="ignore"),
        world(0, 25),
    ):
        made = found.one_line()
        assert made.target is not None
        assert made.billed is not None
        assert made.difference == made.target - made.billed


def test_settled_history_does_not_disturb_a_line_that_is_right() -> None:
    found = world(27, 27)
    written = Settled("e1", units(25), units(27), NOW, "l1")
    name = f"quantity:cw:a1:{'l1'}"

    made = found.remembering(
        lines={name: LineHistory(generation=3, posted=written)}, sightings={"x": Sighting("f", 1, NOW.date())}
    ).one_line()

    assert (made.action, made.effects, made.sighting) == ("none", (), None)


def test_a_bought_source_alone_makes_no_line() -> None:
    found = world(bought=30)

    assert found.rules[0].bought == bought_ref()
    assert found.but(customers=(customer(pax8="x1", cw="c1"),)).plan().lines == ()
