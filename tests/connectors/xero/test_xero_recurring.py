"""What a repeating invoice bills already is not posted again: the true-up line is what is wanted beyond it.

The plan is the core's own, made of what was read from the double.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from xero_kit import Bench

from syncd.core.entries import Past
from syncd.core.plan import PlanLine, make_plan
from syncd.core.resolve import View, resolve
from syncd.core.rules import BillRef, CountRef, Customer, House, Mappings, Mode, RemoteKey, Rule, Safety, TrueUp
from syncd.model import Count, Moment, Operation, Query, Reading, Receipt, RemoteCustomer, State
from syncd.periods import Period

ASSIGNED = Query("assigned")
DECEMBER = Moment(
    datetime(2026, 12, 2, 18, tzinfo=UTC), date(2026, 12, 2), Period(date(2026, 12, 1), date(2026, 12, 31))
)


def template(bench: Bench, quantity: int = 10, **more: Any) -> dict[str, Any]:
    line = {"ItemCode": "M365-BP", "Quantity": quantity, "UnitAmount": Decimal("25.00")}
    return bench.double.books.template(bench.contact(), [line], more.pop("starts", date(2026, 3, 1)), **more)


def plan(bench: Bench, used: int, past: Past | None = None) -> PlanLine:
    """The only line of the plan: Alder's seats, billed in Xero."""
    connection = bench.connect()
    alder = bench.customer()
    counts = (Count("SPB", "Business Premium", Decimal(used)),)
    m365 = View(
        "m365", (RemoteCustomer("t1", "Alder"),), (),
        {("t1", ASSIGNED): Reading("t1", ASSIGNED, State.KNOWN, counts, proof="whole")}, default_query=ASSIGNED,
    )  # fmt: skip
    books = View(
        "books", tuple(connection.customers()), tuple(connection.products()),
        billings={one.customer_id: one for one in connection.lines([alder], bench.moment)},
        operations=frozenset({Operation.POST_LINE, Operation.POST_CREDIT}), keeps_quantity=False,
        refusal=connection.refusal, wire=connection.wire,
    )  # fmt: skip
    customer = Customer("Alder", {"m365": (RemoteKey("t1"),), "books": (RemoteKey(alder.id),)}, (), None)
    rule = Rule(
        name="Premium", customers=("*",), count=(CountRef("m365", ("SPB",), "assigned"),),
        bill=BillRef("books", {"item": "M365-BP"}, {}), true_up=TrueUp.LINE, content="c1",
    )  # fmt: skip
    mappings = Mappings((customer,), (rule,), (), content="c1")
    house = House(Mode.POST, ZoneInfo("America/Chicago"), safety=Safety(settle=1))
    views = {"m365": m365, "books": books}
    past = past or Past("t1")
    resolution = resolve((customer,), {name: view.customers for name, view in views.items()}, past.customers, {})
    (line,) = make_plan(mappings, house, views, resolution, past, bench.moment).lines
    return line


def test_only_what_is_wanted_beyond_the_repeating_invoice_is_posted(bench: Bench) -> None:
    template(bench)
    line = plan(bench, 27)

    assert [line.billed, line.target, line.difference, line.action] == [10, 27, 17, "post"]
    (effect,) = line.effects
    posting = effect.posting
    assert (posting.operation, posting.quantity) == (Operation.POST_LINE, Decimal(17))
    assert (posting.unit_price, posting.amount) == (Decimal(25), Decimal("425.00"))  # the template's own price
    connection = bench.connect()
    assert isinstance(connection.send(posting, connection.wire(posting)), Receipt)
    assert bench.documents()[0]["SubTotal"] == Decimal("425.00")


def test_without_a_repeating_invoice_the_whole_is_owed_at_the_items_price(bench: Bench) -> None:
    (effect,) = plan(bench, 27).effects
    assert (effect.posting.quantity, effect.posting.amount) == (Decimal(27), Decimal("756.00"))


@pytest.mark.parametrize(
    ("change", "owed"),
    [
        ({"Status": "DELETED"}, 27),
        ({"Schedule": {"EndDate": date(2026, 10, 31)}}, 27),
        ({"Schedule": {"EndDate": date(2026, 11, 15)}}, 17),  # billed on the first, ended since
        ({"starts": date(2026, 12, 1)}, 27),  # begins next month
        ({"starts": date(2026, 11, 28)}, 17),  # is yet to bill this month
    ],
)
def test_templates_that_do_not_bill_this_month_take_nothing_off(
    bench: Bench, change: dict[str, Any], owed: int
) -> None:
    template(bench, **change)
    (effect,) = plan(bench, 27).effects
    assert effect.posting.quantity == owed


def test_what_the_repeating_invoice_bills_exactly_needs_nothing(bench: Bench) -> None:
    template(bench, 27)
    line = plan(bench, 27)
    assert [line.billed, line.action, line.effects] == [27, "none", ()]


def test_more_on_the_repeating_invoice_than_is_due_is_told_and_not_credited(bench: Bench) -> None:
    template(bench, 30)
    line = plan(bench, 27)
    assert [line.billed, line.action, line.effects] == [30, "alert", ()]
    assert "the recurring line bills 30" in line.reason
    assert "overbilling" in line.findings


def test_a_template_that_was_swapped_is_not_billed_twice(bench: Bench) -> None:
    """Deleted and made anew, as Xero's API has it: the new one begins next month, the old one has billed this one."""
    old = template(bench)
    bench.double.books.generate(old, date(2026, 11, 1))
    old["Status"] = "DELETED"
    template(bench, 27, starts=date(2026, 12, 1))
    line = plan(bench, 27)

    (effect,) = line.effects
    assert [line.billed, effect.posting.quantity] == [10, 17]
    bench.moment = DECEMBER
    assert plan(bench, 27).billed == 27


def test_two_templates_for_one_item_are_a_duplicate_line(bench: Bench) -> None:
    template(bench, 10)
    template(bench, 5)
    line = plan(bench, 27)
    assert str(line.action) == "blocked"
    assert "2 open lines bill 'M365-BP'" in line.reason


def test_the_next_month_owes_what_is_beyond_the_template_again(bench: Bench) -> None:
    template(bench)
    (effect,) = plan(bench, 27).effects
    bench.post(effect.posting)
    bench.moment = DECEMBER
    line = plan(bench, 27)

    assert line.billed == 10
    (again,) = line.effects
    assert (again.posting.quantity, again.posting.starts) == (Decimal(17), date(2026, 12, 1))
    assert replace(again.posting).key != effect.posting.key


def test_a_template_that_was_lowered_is_made_up_for_beside_what_syncd_posted(
    bench: Bench, make_bench: Callable[..., Bench]
) -> None:
    made = template(bench)
    (effect,) = plan(bench, 27).effects
    bench.post(effect.posting)
    made["LineItems"][0]["Quantity"] = Decimal(8)
    line = plan(bench, 27)
    assert line.billed == Decimal(8 + 17)
    assert line.difference == Decimal(2)
