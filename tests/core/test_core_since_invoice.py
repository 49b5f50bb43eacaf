"""Seats that syncd raised after the period's invoice are told apart in the tie-out; nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from core_kit import EMPTY, INVOICED, ZONE, World, billing, count, line, own_line, reading, units, world
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core import keys
from syncd.core.close import agreed
from syncd.core.entries import LineHistory, Sent, Settled
from syncd.core.episodes_found import conditions
from syncd.core.tie_out import TieOut
from syncd.core.tie_out_shown import tie_out_json, tie_out_rows
from syncd.model import BilledLine, Count

FIRST = date(2026, 11, 1)
LINE = "quantity:cw:a1:l1"


def raised(was: int, to: int, day: int, hour: int = 9, entry: str = "e1") -> Settled:
    return Settled(entry, Decimal(was), Decimal(to), datetime(2026, 11, day, hour, tzinfo=ZONE), "l1")


def invoice(quantity: int, amount: str | None = None, day: date | None = FIRST) -> Count:
    money = Decimal(20 * quantity) if amount is None else Decimal(amount)
    return count("M365-BP", quantity, amount=money, currency="USD", dated=day)


def tied(
    *written: Settled, invoiced: tuple[Count, ...], lines: tuple[BilledLine, ...] = (), more: Mapping[str, Any] = {}
) -> TieOut:
    """27 at 20.00 billed today, what syncd wrote onto the line, and the books."""
    one: World = world(used=27, billed=27, invoiced=27)
    one = one.but(
        booked={"qbo": (reading("q1", *invoiced, query=INVOICED),)},
        billings=(billing(line(27), *lines),),
        past=replace(EMPTY, lines={LINE: LineHistory(posted=written[-1], recent=written), **more} if written else more),
    )
    (only,) = one.plan().tie_outs
    return only


def test_a_raise_after_the_invoice_is_no_difference_until_the_next_one() -> None:
    found = tied(raised(25, 27, 4), invoiced=(invoice(25),))
    (row,) = found.rows

    assert found.agrees is True
    assert str(row.since) == "raised by 2 since the invoice of 2026-11-01 (entry e1)"
    assert found.reason == "M365-BP raised by 2 since the invoice of 2026-11-01 (entry e1)"
    assert (found.billed, found.invoiced, found.difference) == (Decimal(540), Decimal(500), Decimal(-40))
    assert tie_out_json(found)["lines"][0]["since_invoice"] == str(row.since)
    [shown] = tie_out_rows([found])
    assert shown[4:6] == ("since the invoice", "M365-BP")
    assert shown[-1].startswith("raised by 2 since the invoice of 2026-11-01 (entry e1); ")
    assert agreed([found]).green


@pytest.mark.parametrize(
    ("why", "written", "invoiced"),
    [
        ("nothing was written", (), (invoice(25),)),
        ("before the invoice", (raised(25, 27, 4),), (invoice(25, day=date(2026, 11, 5)),)),
        ("on the day of the invoice", (raised(25, 27, 1),), (invoice(25),)),
        ("no day is told", (raised(25, 27, 4),), (invoice(25, day=None),)),
        ("the invoice shows another number", (raised(25, 27, 4),), (invoice(24),)),
        ("the invoice shows another price", (raised(25, 27, 4),), (invoice(25, "475.00"),)),
        ("somebody else wrote in between", (raised(24, 25, 4), raised(26, 27, 6, entry="e2")), (invoice(24),)),
        ("somebody else wrote since", (raised(25, 26, 4),), (invoice(25),)),
        ("nothing was invoiced at all", (raised(25, 27, 4),), ()),
        ("a later credit", (raised(25, 27, 4),), (invoice(26), replace(invoice(-1), dated=date(2026, 11, 9)))),
    ],
)  # fmt: skip
def test_what_the_ledger_does_not_explain_stays_a_difference(
    why: str, written: tuple[Settled, ...], invoiced: tuple[Count, ...]
) -> None:
    found = tied(*written, invoiced=invoiced)
    assert found.agrees is False, why
    assert found.rows[0].since is None


def test_several_changes_and_a_fall_lead_back_to_what_was_invoiced() -> None:
    twice = tied(raised(24, 25, 4), raised(25, 27, 6, entry="e2"), invoiced=(invoice(24),))
    assert str(twice.rows[0].since) == "raised by 3 since the invoice of 2026-11-01 (entries e2, e1)"
    between = tied(raised(24, 25, 4), raised(25, 27, 6, entry="e2"), invoiced=(invoice(25, day=date(2026, 11, 5)),))
    assert str(between.rows[0].since) == "raised by 2 since the invoice of 2026-11-05 (entry e2)"
    fell = tied(raised(30, 27, 4), invoiced=(invoice(30),))
    assert str(fell.rows[0].since) == "lowered by 3 since the invoice of 2026-11-01 (entry e1)"


def test_a_line_that_was_added_since_is_on_no_invoice_yet() -> None:
    visio = replace(line(3, "l2", product_id="p2", unit_price=units(10)), product="VISIO")
    name = keys.added("cw", "a1", "p2", "Contoso", world().rules[0].name)
    made = Settled("e9", Decimal(0), Decimal(3), datetime(2026, 11, 4, 9, tzinfo=ZONE), "l2")
    more = {name: LineHistory(posted=made, recent=(made,))}
    added = tied(invoiced=(invoice(27),), lines=(visio,), more=more)
    assert added.agrees is True
    assert str(added.rows[0].since) == "raised by 3 since the invoice of 2026-11-01 (entry e9)"

    other = {name: LineHistory(posted=replace(made, remote_id="l3"), recent=(made,))}
    assert tied(invoiced=(invoice(27),), lines=(visio,), more=other).agrees is False


def test_one_true_difference_beside_it_is_told_alone() -> None:
    setup = count("Setup", 1, amount=Decimal(90), currency="USD", dated=FIRST)
    found = tied(raised(25, 27, 4), invoiced=(invoice(25), setup))
    assert found.agrees is False
    assert [row.product for row in found.rows if row.since is None] == ["Setup"]
    assert found.reason.startswith("Setup: none billed, 1 invoiced (")


def test_a_line_of_syncds_own_beside_it_counts_as_it_stands() -> None:
    part = own_line(2, unit_price=units(20))
    assert tied(raised(25, 27, 4), invoiced=(invoice(25),), lines=(part,)).agrees is False
    assert tied(raised(25, 27, 4), invoiced=(invoice(27),), lines=(part,)).agrees is True


OCTOBER = keys.dated("cw", "a1", "p1", "Contoso", world().rules[0].name, "2026-10")


def part(units: int, own: int | None = None, amount: str = "25.81") -> Mapping[str, Any]:
    """What `prorate = "daily"` posted in October, when October was invoiced: so many units for the rest of it."""
    at = datetime(2026, 10, 12, 9, tzinfo=ZONE)
    made = Settled("p1", Decimal(0), Decimal(units), at, "o1")
    history = LineHistory(posted=made, recent=(made,), own_quantity=Decimal(units if own is None else own))
    return {"lines": {OCTOBER: history}, "sent": Sent("p1", OCTOBER, Decimal(units), Decimal(amount), "USD", at)}


@pytest.mark.parametrize(
    ("quantity", "amount", "posted", "told"),
    [
        (29, "565.81", part(2), "2 more on the invoice for the rest of 2026-10 (entry p1)"),
        (29, "565.82", part(2), None),  # a cent that syncd did not post
        (28, "552.90", part(2), None),
        (27, "540.00", part(2, own=0), ""),  # credited since: nothing of it is due, and nothing differs
        (29, "565.81", part(2, own=1), None),  # half of it was credited: not known to the cent
    ],
)
def test_a_part_of_the_month_before_stands_on_this_months_invoice(
    quantity: int, amount: str, posted: Mapping[str, Any], told: str | None
) -> None:
    one: World = world(used=27, billed=27, invoiced=27)
    one = one.but(
        booked={"qbo": (reading("q1", invoice(quantity, amount), query=INVOICED),)},
        past=replace(EMPTY, lines=posted["lines"], sent={"sd-test-o1": posted["sent"]}),
    )
    (found,) = one.plan().tie_outs
    assert [str(row.since) if row.since else None for row in found.rows] == ([] if told == "" else [told])
    assert found.agrees is (told is not None)


def test_it_is_no_alert() -> None:
    one = world(used=27, billed=27, invoiced=27)
    one = one.but(
        booked={"qbo": (reading("q1", invoice(25), query=INVOICED),)},
        past=replace(EMPTY, lines={LINE: LineHistory(posted=raised(25, 27, 4), recent=(raised(25, 27, 4),))}),
    )
    assert [one.key for one in conditions(one.plan(), (), (), {}).found if one.key.startswith("books:")] == []


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=3, unique=True), st.integers(1, 40), st.integers(1, 29))
def test_only_what_stood_there_is_ever_explained(steps: list[int], shown: int, day: int) -> None:
    """Whatever was written when: an invoice is explained only where it shows what the line showed on its day."""
    steps = [*steps[:-1], 27]
    if len(set(steps)) < len(steps):
        return
    written = tuple(
        raised(was, to, 5 + 10 * place, entry=f"e{place}") for place, (was, to) in enumerate(pairwise(steps))
    )
    stood = steps[sum(one.settled_at.day <= day for one in written)]
    found = tied(*written, invoiced=(invoice(shown, day=date(2026, 11, day)),))
    if shown == 27:
        assert (found.agrees, found.rows) == (True, ())
    else:
        assert (found.agrees is True) == (shown == stood)
