"""Books keep no recurring quantity: a line owes the whole target each period, and what it was posted on is read back.

Contoso is customer `q1` in `qbo`, whose only agreement is its account. The item there is `i1`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from core_kit import (
    DECEMBER,
    NOVEMBER,
    World,
    agreement,
    customer,
    own_line,
    product,
    units,
    world,
)

from syncd.core import keys
from syncd.core.entries import LineHistory, Settled
from syncd.core.plan import PlanLine, make_plan
from syncd.core.rules import BillRef
from syncd.model import BilledLine, Billing, Moment, Operation, State

ITEM = product("i1", "M365-BP", unit_price=units(20))
BOTH = frozenset({Operation.POST_LINE, Operation.POST_CREDIT})


def books(used: int = 27, **rule: Any) -> World:
    """A rule that bills Contoso's seats in the books."""
    bill = BillRef("cw", {"item": "M365-BP"}, {"document": "estimate"})
    found = world(used, None, bill=bill, true_up="line", **rule)
    return found.but(customers=(customer(m365="t1", cw="c1"),), products=(ITEM,), operations=BOTH)


def account(*lines: BilledLine, **fields: Any) -> Billing:
    """What the books hold of Contoso: its account, and syncd's documents."""
    one = agreement("c1", "Contoso", period=None, currency="USD", **fields)
    return Billing("c1", State.KNOWN, (one,), lines, proof="whole")


def posted(quantity: int, **fields: Any) -> BilledLine:
    """A line of an own document."""
    return own_line(quantity, agreement_id="c1", product_id="i1", **fields)


NOW = Moment(datetime(2026, 11, 20, 16, 0, tzinfo=UTC), date(2026, 11, 20), NOVEMBER)


def only(found: World, billing: Billing, moment: Moment = NOW) -> PlanLine:
    """The only line of the plan, where `cw` are books."""
    views = {
        name: replace(one, keeps_quantity=False, billings={"c1": billing}) if name == "cw" else one
        for name, one in found.views.items()
    }
    (line,) = make_plan(found.mappings, found.house, views, found.resolution, found.past, moment).lines
    return line


def wrote(found: World, quantity: int) -> World:
    """The ledger knows that so many were posted for November."""
    name = keys.dated("cw", "c1", "i1", "Contoso", "Premium", str(NOVEMBER))
    sent = Settled("e1", units(0), units(quantity), datetime(2026, 11, 2, tzinfo=UTC), "estimate 7")
    return found.remembering(lines={name: LineHistory(1, posted=sent, own_quantity=units(quantity))})


def test_the_whole_target_is_owed_each_period() -> None:
    line = only(books(27), account())

    assert (line.billed, line.difference, line.action) == (0, 27, "post")
    (effect,) = line.effects
    assert effect.posting.operation is Operation.POST_LINE
    assert effect.posting.product_id == "i1"
    assert (effect.posting.quantity, effect.posting.amount) == (27, units("540.00"))
    assert (effect.posting.starts, effect.posting.ends) == (NOVEMBER.first, NOVEMBER.last)
    assert effect.posting.options == {"document": "estimate"}
    assert effect.posting.currency == "USD"


def test_a_later_rise_posts_only_the_increment() -> None:
    line = only(wrote(books(29), 27), account(posted(27)))

    (effect,) = line.effects
    assert (line.billed, effect.posting.quantity, effect.before, effect.to) == (27, 2, 27, 29)


def test_the_same_target_owes_nothing_more() -> None:
    line = only(wrote(books(27), 27), account(posted(27)))

    assert (line.billed, line.action, line.effects) == (27, "none", ())


def test_the_next_period_owes_the_whole_target_again() -> None:
    found = wrote(books(27), 27)
    december = Moment(datetime(2026, 12, 2, 16, 0, tzinfo=UTC), date(2026, 12, 2), DECEMBER)
    line = only(found, account(posted(27)), december)

    (effect,) = line.effects
    assert (line.billed, effect.posting.quantity, effect.posting.period) == (0, 27, str(DECEMBER))


def test_a_fall_of_what_stands_on_an_estimate_is_amended_by_hand() -> None:
    sentence = "estimate 7 is not an invoice yet: lower it there"
    found = wrote(books(25, decrease="now"), 27).but(refusal=lambda *_: sentence)
    line = only(found, account(posted(27)))

    assert (line.action, line.reason, line.effects) == ("hold", sentence, ())


def test_what_a_person_amended_there_is_as_it_should_be() -> None:
    line = only(wrote(books(25, decrease="now"), 27), account(posted(25)))

    assert (line.billed, line.action) == (25, "none")


def test_a_fall_of_what_is_an_invoice_becomes_a_credit() -> None:
    line = only(wrote(books(25, decrease="now"), 27).safer(max_decrease=units(50)), account(posted(27)))

    (effect,) = line.effects
    assert effect.posting.operation is Operation.POST_CREDIT
    assert (effect.posting.quantity, effect.posting.amount, effect.to) == (2, units("40.00"), 25)


def test_closed_books_take_the_line_in_the_first_open_period_under_its_own_name() -> None:
    line = only(books(27), account(invoiced_through=NOVEMBER.last))

    (effect,) = line.effects
    assert (effect.posting.starts, effect.posting.ends) == (DECEMBER.first, DECEMBER.last)
    assert effect.posting.period == str(NOVEMBER)
    assert effect.posting.description.startswith("for 2026-11: ")


def test_the_accounts_currency_is_that_of_the_line() -> None:
    found = books(27)
    one = agreement("c1", "Contoso", period=None, currency="EUR")
    line = only(found, replace(account(), agreements=(one,)))

    assert line.effects[0].posting.currency == "EUR"


def test_a_catalogue_in_another_currency_tells_no_price() -> None:
    """The same number in another currency would be another amount."""
    found = books(27).but(products=(replace(ITEM, currency="USD"),))
    one = agreement("c1", "Contoso", period=None, currency="EUR")
    (effect,) = only(found, replace(account(), agreements=(one,))).effects

    assert (effect.posting.unit_price, effect.posting.amount, effect.amount) == (None, None, None)
    assert only(found, account()).effects[0].posting.amount == units("540.00")
