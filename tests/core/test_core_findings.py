"""The four numbers, their states, and the names of their differences (INTERFACE 1)."""

from __future__ import annotations

from decimal import Decimal
from itertools import product as every

import pytest
from core_kit import ASSIGNED, customer, known, reading, reads, ref, rule, told, units, world
from core_kit import count as seats

from syncd.core.entries import KnownCustomer
from syncd.core.findings import name_differences
from syncd.model import Reading, RemoteCustomer, State

NOT_KNOWN = [State.UNKNOWN, State.PARTIAL, State.GONE]


@pytest.mark.parametrize(
    ("bought", "used", "billed", "invoiced", "names"),
    [
        (None, 25, 25, None, []),
        (None, 27, 25, None, ["leakage"]),
        (None, 23, 25, None, ["overbilling"]),
        (30, 25, 25, None, ["shelfware"]),
        (20, 25, 25, None, ["unlicensed"]),
        (25, 25, 25, 24, ["books gap"]),
        (25, 25, 25, 26, ["books gap"]),
        (30, 27, 25, None, ["leakage", "shelfware"]),  # the example of INTERFACE 4
        (20, 27, 25, 24, ["leakage", "unlicensed", "books gap"]),
        (30, 23, 25, 24, ["overbilling", "shelfware", "books gap"]),
        (0, 0, 0, 0, []),
        (1, 0, 0, 0, ["shelfware"]),
    ],
)
def test_every_difference_has_its_name(
    bought: int | None, used: int, billed: int, invoiced: int | None, names: list[str]
) -> None:
    made = world(used, billed, bought=bought, invoiced=invoiced).one_line()

    assert sorted(made.findings) == sorted(names)
    assert told(made.bought, made.used, made.billed, made.invoiced) == (bought, used, billed, invoiced)


@pytest.mark.parametrize(("bought", "used", "billed", "invoiced"), list(every([None, 1, 2], repeat=4)))
def test_what_is_not_known_differs_from_nothing(
    bought: int | None, used: int | None, billed: int | None, invoiced: int | None
) -> None:
    def wrap(value: int | None) -> Decimal | None:
        return None if value is None else units(value)

    names = set(
        name_differences(
            bought=wrap(bought), used=wrap(used), billed=wrap(billed), invoiced=wrap(invoiced), difference=None
        )
    )

    assert ("shelfware" in names) is (bought is not None and used is not None and bought > used)
    assert ("unlicensed" in names) is (bought is not None and used is not None and used > bought)
    assert ("books gap" in names) is (billed is not None and invoiced is not None and billed != invoiced)
    assert not names & {"leakage", "overbilling"}


def test_leakage_is_of_the_target_and_not_of_what_is_used() -> None:
    made = world(27, 17, included=10).one_line()

    assert told(made.target, made.difference, made.findings, made.action) == (17, 0, (), "none")


def test_what_the_tolerance_takes_is_no_drift() -> None:
    made = world(27, 25, tolerance=2).one_line()

    assert told(made.difference, made.findings, made.action) == (2, (), "none")


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PARTIAL])
@pytest.mark.parametrize("what", ["used", "billed"])
def test_what_is_not_known_blocks_its_line(what: str, state: State) -> None:
    made = (world(state) if what == "used" else world(billed=state)).one_line()

    assert made.states[what] is state
    assert getattr(made, what) is None
    assert (made.action, made.difference, made.amount, made.effects) == ("blocked", None, None, ())
    assert str(state) in made.reason


def test_a_customer_gone_from_the_psa_blocks_its_line() -> None:
    made = world(billed=State.GONE).one_line()

    assert (made.action, made.billed, made.effects) == ("blocked", None, ())


@pytest.mark.parametrize("state", NOT_KNOWN)
def test_a_cross_check_that_failed_blocks_nothing(state: State) -> None:
    made = world(bought=state, invoiced=state).one_line()

    assert (made.bought, made.invoiced) == (None, None)
    assert (made.states["bought"], made.states["invoiced"]) == (state, state)
    assert made.action == "post"


def test_no_reading_at_all_is_unknown() -> None:
    made = world(None).one_line()

    assert (made.states["used"], made.action) == (State.UNKNOWN, "blocked")


@pytest.mark.parametrize("state", NOT_KNOWN)
def test_states_told_are_those_of_the_numbers_the_rule_asks_for(state: State) -> None:
    assert world().one_line().states.keys() == {"used", "billed"}
    assert world(bought=1, invoiced=1).one_line().states.keys() == {"used", "billed", "bought", "invoiced"}
    assert world(state, bill=None).one_line().states == {"used": state}


@pytest.mark.parametrize(
    ("first", "second", "sum_"),
    [
        (State.KNOWN, State.KNOWN, State.KNOWN),
        (State.KNOWN, State.GONE, State.GONE),
        (State.GONE, State.PARTIAL, State.PARTIAL),
        (State.PARTIAL, State.UNKNOWN, State.UNKNOWN),
        (State.GONE, State.UNKNOWN, State.UNKNOWN),
        (State.UNKNOWN, State.KNOWN, State.UNKNOWN),
        (State.PARTIAL, State.KNOWN, State.PARTIAL),
    ],
)
def test_the_worst_state_of_the_parts_is_the_state_of_the_sum(first: State, second: State, sum_: State) -> None:
    def part(id_: str, state: State) -> Reading:
        return reading(id_, *([seats("SPB", 5)] if state is State.KNOWN else []), state=state)

    tenants = (RemoteCustomer("t1", "East"), RemoteCustomer("t2", "West"))
    found = world().but(customers=(customer(m365=["t1", "t2"], cw="c1"),))
    found = found.but(
        listed={**found.listed, "m365": tenants},
        readings={"m365": (part("t1", first), part("t2", second))},
    )

    made = found.one_line()

    assert made.states["used"] is sum_
    assert made.used == (10 if sum_ is State.KNOWN else None)
    assert made.action != "post" or sum_ is State.KNOWN


def test_two_tenants_of_which_one_is_gone_hold_what_is_left() -> None:
    found = world(6, 10, decrease="now").but(customers=(customer(m365=["t1", "t2"], cw="c1"),))
    found = found.remembering(customers={"m365": {"t2": KnownCustomer("t2", "West", ())}})

    made = found.one_line()

    assert told(made.states["used"], made.used, made.target) == (State.GONE, None, 6)
    assert told(made.action, made.difference) == ("hold", -4)
    assert {"gone", "overbilling"} <= set(made.findings)


def test_a_tenant_that_is_gone_is_held_and_named() -> None:
    found = world(decrease="now").but(readings={})
    found = found.but(listed={**found.listed, "m365": ()}, past=world().past)
    found = found.remembering(customers=known(t1={"assigned": 25}))

    made = found.one_line()

    assert told(made.states["used"], made.target, made.difference, made.action) == (State.GONE, 0, -25, "hold")
    assert {"gone", "overbilling"} <= set(made.findings)
    assert "gone" in made.reason


def test_a_number_is_taken_only_from_the_query_that_was_asked() -> None:
    found = world(count=ref(measure="active"))

    assert found.one_line().states["used"] is State.UNKNOWN
    assert found.but(rules=(rule(count=ref()),)).one_line().used == 27
    assert reads(reading("t1", seats("SPB", 1)))["m365"][0].query == ASSIGNED


def test_invoiced_adds_only_the_item_that_is_named() -> None:
    found = world(invoiced=25)
    books = (reading("q1", seats("M365-BP", 20), seats("OTHER", 99), query=found.booked["qbo"][0].query),)

    made = found.but(booked={"qbo": books}).one_line()

    assert made.invoiced == 20
    assert "books gap" in made.findings


def test_a_rule_without_bill_only_reports() -> None:
    made = world(27, bill=None, bought=30).one_line()

    assert (made.connection, made.billed, made.action) == ("m365", None, "none")
    assert made.findings == ("shelfware",)
    assert world(501, bill=None, maximum=500).one_line().action == "alert"
