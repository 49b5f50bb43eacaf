"""What a cycle remembers of its sources, so that the next one can tell a fall from a customer who left."""

from __future__ import annotations

from core_kit import World, agreement, count, customer, known, line, reading, reads, units, world
from core_kit import billing as bills

from syncd.core.entries import KnownCustomer
from syncd.core.memory import known_customers
from syncd.model import RemoteCustomer, State


def remembered(found: World) -> dict[str, dict[str, KnownCustomer]]:
    made = known_customers(found.views, found.resolution, found.past, found.plan())
    return {name: {one.id: one for one in customers} for name, customers in made.items()}


def after(found: World) -> World:
    return found.remembering(customers=remembered(found))


def test_everybody_that_is_shown_is_remembered_with_what_was_counted() -> None:
    found = world(27).but(readings=reads(reading("t1", count("SPB", 27), count("E5", 3), count("FREE", 99, free=True))))

    made = remembered(found)

    assert made["m365"]["t1"].totals == {"assigned": 30}
    assert (made["m365"]["t1"].name, made["m365"]["t1"].identifiers) == ("Contoso Tenant", ("contoso.onmicrosoft.com",))
    assert made["cw"]["c1"].totals == {}


def test_what_was_not_read_leaves_the_last_good_number() -> None:
    for state in (State.UNKNOWN, State.PARTIAL):
        found = world(state).remembering(customers=known(t1={"assigned": 25, "other": 7}))
        assert remembered(found)["m365"]["t1"].totals == {"assigned": 25, "other": 7}


def test_who_is_no_longer_shown_and_a_list_that_could_not_be_read_are_not_forgotten() -> None:
    for listed in ((), None):
        found = world().remembering(customers=known(t1={"assigned": 25}))
        found = found.but(listed={**found.listed, "m365": listed}, readings={})
        assert remembered(found)["m365"]["t1"].totals == {"assigned": 25}


def test_a_suspect_source_is_not_believed_however_often_it_says_so() -> None:
    found = world(5, 25, decrease="now").remembering(customers=known(t1={"assigned": 25}))

    for _ in range(5):
        made = found.one_line()
        assert (made.action, "source_drop" in made.reason) == ("hold", True)
        found = after(found)
    assert found.past.customers["m365"]["t1"].totals == {"assigned": 25}


def test_a_fall_that_people_brought_into_agreement_is_the_new_normal() -> None:
    found = world(5, 25, decrease="now").remembering(customers=known(t1={"assigned": 25}))
    agreed = after(found.but(billings=(bills(line(5)),)))

    assert agreed.past.customers["m365"]["t1"].totals == {"assigned": 5}
    assert agreed.plan().suspects == {}


def test_one_customers_agreement_says_nothing_of_the_others() -> None:
    found = world().but(
        customers=(customer("A", m365="t1", cw="c1"), customer("B", m365="t2", cw="c2")),
        readings=reads(reading("t1", count("SPB", 5)), reading("t2", count("SPB", 5))),
        billings=(bills(line(5)), bills(line(25, "l2", agreement_id="a2"), id_="c2", agreements=(agreement("a2"),))),
    )
    found = found.but(
        listed={
            "m365": (RemoteCustomer("t1", "A"), RemoteCustomer("t2", "B")),
            "cw": (RemoteCustomer("c1", "A"), RemoteCustomer("c2", "B")),
        }
    ).remembering(customers=known(t1={"assigned": 25}, t2={"assigned": 25}))

    made = remembered(found)["m365"]

    assert made["t1"].totals == {"assigned": 5}
    assert made["t2"].totals == {"assigned": 25}


def test_small_falls_are_each_judged_against_the_last_good_cycle() -> None:
    found = world(100, 100, decrease="now", safety={"max_decrease": units(100)})
    for used in (80, 64, 52):
        found = after(found).but(readings=reads(reading("t1", count("SPB", used))))
        assert found.one_line().action == "post"
        found = found.but(billings=(bills(line(used)),))
