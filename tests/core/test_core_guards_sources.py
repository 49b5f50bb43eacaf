"""What a source no longer shows, or never did, lowers nothing by itself; and a fight over a line, cycle by cycle."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import (
    NOW,
    World,
    agreement,
    bill,
    billing,
    bought_ref,
    count,
    customer,
    known,
    line,
    product,
    reading,
    reads,
    ref,
    rule,
    told,
    units,
    world,
)

from syncd.core.entries import EntryState, KnownCustomer
from syncd.core.guards import Guard
from syncd.core.memory import known_customers
from syncd.model import Query, RemoteCustomer, State

SPB = "sku:assigned:SPB"


def several(*used: int | None, billed: int = 4, **fields: Any) -> World:
    """Customers with so many seats of SPB each, None without any row of it; all have a seat of E5 besides."""
    safety = {"to_zero": "settle", "source_drop": units(100), **fields.pop("safety", {})}
    found = world(1, 1, safety=safety, **{"decrease": "now", **fields})
    numbers = range(1, len(used) + 1)
    return found.but(
        customers=tuple(customer(f"C{n}", m365=f"t{n}", cw=f"c{n}") for n in numbers),
        listed={
            "m365": tuple(RemoteCustomer(f"t{n}", f"T{n}") for n in numbers),
            "cw": tuple(RemoteCustomer(f"c{n}", f"K{n}") for n in numbers),
        },
        readings=reads(
            *(
                reading(f"t{n}", count("E5", 1), *([] if seats is None else [count("SPB", seats)]))
                for n, seats in zip(numbers, used, strict=True)
            )
        ),
        billings=tuple(
            billing(line(billed, f"l{n}", customer_id=f"c{n}", agreement_id=f"a{n}"), id_=f"c{n}",
                    agreements=(agreement(f"a{n}", customer_id=f"c{n}"),))
            for n in numbers
        ),
    )  # fmt: skip


def had(*traces: int) -> Any:
    """What the ledger remembers: whether each customer had SPB (1), once had it (0)."""
    return known(**{f"t{n}": {SPB: trace} for n, trace in enumerate(traces, 1)})


def remembered(found: World) -> World:
    """The same world one cycle later, without anything posted."""
    made = known_customers(found.views, found.resolution, found.past, found.plan(), found.mappings.rules)
    return found.remembering(customers={name: {one.id: one for one in all_} for name, all_ in made.items()})


def traces(found: World) -> dict[str, int]:
    """Remote customer -> its trace of SPB."""
    believed: dict[str, KnownCustomer] = dict(found.past.customers["m365"])
    return {id_: int(one.totals[SPB]) for id_, one in sorted(believed.items()) if SPB in one.totals}


@pytest.mark.parametrize(
    ("used", "past", "action", "tells"),
    [
        ((None, None), had(1, 1), "hold", False),  # it vanished from everybody at once
        ((None, None), had(1, 0), "post", False),  # the last one who had it gave it up
        ((None, None), had(0, 0), "post", False),
        ((None, None), {}, "hold", True),  # it was never seen: a misspelt SKU lowers nothing
        ((None,), {}, "hold", True),
        ((None,), had(1), "post", False),
        ((3, None), had(1, 1), "post", False),  # somebody still has it
        ((0, None), had(1, 1), "post", False),  # and a row that says zero is a row
        ((3, None), {}, "post", False),
    ],
)
def test_what_no_customer_has(used: Any, past: Any, action: str, tells: bool) -> None:
    made = several(*used).remembering(customers=past).plan()

    assert {one.action for one in made.lines} == {action}
    assert all((one.guards == (Guard.SKU_NOT_SEEN,)) is (action == "hold") for one in made.lines)
    assert all(("sku not seen" in one.findings) is tells for one in made.lines)
    assert made.guarded is (action == "hold")


def test_what_another_measure_shows_is_not_what_a_rule_counts() -> None:
    """`users` has one SKU of its own: a product counted by it is a zero that no customer can be free of."""
    world_ = several(None, None, count=ref("SPB", measure="users"))
    tenants = [reading(id_, count("users", 9), query=Query("users")) for id_ in ("t1", "t2")]
    shown = [reading(id_, count("SPB", 3)) for id_ in ("t1", "t2")]
    made = world_.but(readings={"m365": (*tenants, *shown)}).plan()

    assert {one.action for one in made.lines} == {"hold"}
    assert all(one.guards == (Guard.SKU_NOT_SEEN,) for one in made.lines)
    assert made.unseen == (("rule 'Premium'", "no customer of m365 has 'SPB'; it shows users"),)


def test_a_rise_does_not_rest_on_what_is_not_there() -> None:
    made = several(None, None, billed=4, minimum=5).plan()

    assert [(one.action, one.guards) for one in made.lines] == [("post", ())] * 2
    assert all("sku not seen" in one.findings for one in made.lines)  # told all the same


def test_the_reason_names_the_nearest_that_is_there() -> None:
    made = several(3, 3, count=ref("SBP")).plan()

    assert "no customer of m365 has 'SBP'; the nearest that one has is 'SPB'" in made.lines[0].reason
    assert made.unseen == (("rule 'Premium'", "no customer of m365 has 'SBP'; the nearest that one has is 'SPB'"),)
    assert "it shows E5, SPB" in several(3, 3, count=ref("Acrobat Pro DC")).plan().lines[0].reason
    assert several(3, 3).plan().unseen == ()


def test_each_sku_of_a_list_is_looked_for_and_the_rule_counts_with_those_that_are_there() -> None:
    made = several(3, 3, count=ref(("SPB", "SPBX", "E*", "F*"))).plan()

    assert [sentence.split(";")[0] for _, sentence in made.unseen] == [
        "no customer of m365 has 'SPBX'", "no customer of m365 has 'F*'",
    ]  # fmt: skip
    assert all("sku not seen" not in one.findings for one in made.lines)


def test_another_name_of_a_sku_is_seen() -> None:
    found = several(3, 3, count=ref("guid-of-spb"))
    found = found.but(readings=reads(reading("t1", count("SPB", 3, aliases=("guid-of-spb",))), reading("t2")))

    assert found.plan().unseen == ()


def test_where_nothing_could_be_read_nothing_is_missed() -> None:
    found = several(3, 3)
    found = found.but(readings=reads(*(reading(id_, state=State.UNKNOWN) for id_ in ("t1", "t2"))))
    made = found.plan()

    assert (made.unseen, made.blind, {one.action for one in made.lines}) == ((), {}, {"blocked"})


@pytest.mark.parametrize(("decrease", "action"), [("now", "post"), ("term", "hold")])
def test_commitments_that_were_never_seen_matter_where_a_fall_rests_on_them(decrease: str, action: str) -> None:
    found = world(22, 25, bought=30, decrease=decrease)
    found = found.but(rules=(replace(found.rules[0], bought=bought_ref("SPX")),))

    assert found.one_line().action == action
    assert "sku not seen" in found.one_line().findings


def test_customers_who_are_not_in_that_source_are_left_alone() -> None:
    two = (ref("SPB"), ref("G-SUITE", "pax8", "quantity"))
    found = world(22, 25, bought=30, decrease="now").but(rules=(rule(count=two, decrease="now"),))
    alone = found.but(customers=(customer("Contoso"),), rules=found.rules)

    assert found.one_line().guards == (Guard.SKU_NOT_SEEN,)
    assert (alone.one_line().action, alone.one_line().findings) == ("post", ("overbilling",))


# What the ledger remembers of it.


def test_who_had_what_a_rule_counts_is_remembered() -> None:
    assert traces(remembered(several(3, 0, None))) == {"t1": 1}
    assert traces(remembered(several(3, 0, None).remembering(customers=had(0, 1, 1)))) == {"t1": 1, "t2": 0, "t3": 0}


def test_what_everybody_lost_stays_remembered_for_as_long_as_it_is_a_question() -> None:
    found = several(None, None, None).remembering(customers=had(1, 1, 1))
    for _ in range(3):
        found = remembered(found)
    assert traces(found) == {"t1": 1, "t2": 1, "t3": 1}

    answered = found.but(billings=(_ended(1), _ended(2), found.billings[2]))  # a person let two of three fall
    later = remembered(answered)
    assert traces(later) == {"t1": 0, "t2": 0, "t3": 1}
    assert [one.action for one in later.plan().lines] == ["none", "none", "post"]  # one is judged by itself


def _ended(n: int) -> Any:
    shown = line(0, f"l{n}", customer_id=f"c{n}", agreement_id=f"a{n}")
    return billing(shown, id_=f"c{n}", agreements=(agreement(f"a{n}", customer_id=f"c{n}"),))


def test_what_could_not_be_read_is_remembered_as_it_was() -> None:
    found = several(3, 3).remembering(customers=had(1, 1))
    found = found.but(readings=reads(reading("t1", state=State.UNKNOWN), reading("t2", count("SPB", 3))))

    assert traces(remembered(found)) == {"t1": 1, "t2": 1}


def test_what_is_remembered_of_skus_is_no_part_of_a_sources_total() -> None:
    found = several(3, 3, safety={"source_drop": units(0)})
    gone = found.but(
        listed={**found.listed, "m365": (RemoteCustomer("t1", "T1"),)}, readings=reads(reading("t1", count("SPB", 3)))
    )

    assert gone.remembering(customers=had(1, 1)).plan().suspects == {}


# A fight, cycle by cycle.


def put_back(psa: Psa, quantity: int) -> None:
    """Another integration writes its own number."""
    psa.lines["l1"] = replace(psa.lines["l1"], quantity=units(quantity), changed_by="pax8-sync")


def test_two_rounds_then_a_person_and_one_more_for_each_approval() -> None:
    found = world(27, 25, decrease="now", safety={"foreign_edit": "overwrite"})
    book, psa = Book(), Psa({"l1": line(25)})
    actions = []
    now = NOW
    for _ in range(5):
        actions.append(str(step(found, book, psa, now).lines[0].action))
        put_back(psa, 25)
        now += timedelta(hours=6)

    assert actions == ["post", "post", "hold", "hold", "hold"]
    assert len(psa.done) == 2
    [held] = book.open(EntryState.HELD)
    assert "pax8-sync" in held.intent.why

    book.approve(held.id)
    assert step(found, book, psa, now).lines[0].guards == ("oscillation",)
    assert told(len(psa.done), psa.lines["l1"].quantity) == (3, 27)
    put_back(psa, 25)
    now += timedelta(hours=6)
    assert step(found, book, psa, now).lines[0].action == "hold"
    assert len(psa.done) == 3


def test_a_fight_ends_when_the_line_stays() -> None:
    found = world(27, 25, decrease="now", safety={"foreign_edit": "overwrite"})
    book, psa = Book(), Psa({"l1": line(25)})
    now = NOW
    for _ in range(3):
        step(found, book, psa, now)
        put_back(psa, 25)
        now += timedelta(hours=6)
    [held] = book.open(EntryState.HELD)
    book.approve(held.id)
    step(found, book, psa, now)

    stays = step(found, book, psa, now + timedelta(hours=6)).lines[0]
    assert (stays.action, stays.findings) == ("none", ())
    moved = found.but(readings=reads(reading("t1", count("SPB", 28))))
    assert step(moved, book, psa, now + timedelta(hours=7)).lines[0].action == "post"
    assert psa.lines["l1"].quantity == 28


def test_a_count_that_flaps_is_no_fight() -> None:
    found = world(27, 25, decrease="now")
    book, psa = Book(), Psa({"l1": line(25)})
    for day, seats in enumerate((27, 25, 27, 25, 27, 25)):
        now = NOW + timedelta(days=day)
        seen = step(found.but(readings=reads(reading("t1", count("SPB", seats)))), book, psa, now).lines[0]
        assert (seen.action, seen.guards) == ("post", ())

    assert len(psa.done) == 6


def test_one_of_several_rules_is_judged_by_itself() -> None:
    """Another rule's SKU that is there holds nothing of this one, and the other way round."""
    found = several(3, 3)
    there = rule("Here", count=ref("SPB"), bill=bill("P-2"), decrease="now")
    found = found.but(
        rules=(there, rule("Typo", count=ref("ZZZ"), decrease="now")), products=(product(), product("p2", "P-2"))
    )
    made = found.plan().lines

    assert {one.rule for one in made if "sku not seen" in one.findings} == {"Typo"}
    assert {one.rule for one in made if Guard.SKU_NOT_SEEN in one.guards} == {"Typo"}
