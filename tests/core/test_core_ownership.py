"""Who owns the invoice: a rule does not bill into books that another system fills for the same customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from core_book import Book
from core_kit import DECEMBER, LINE, NOW, World, agreement, bill, billing, moment, world
from core_kit import line as line_of

from syncd.core.entries import EntryState
from syncd.core.intents import write_down
from syncd.core.ownership import fed_kinds
from syncd.core.plan import PlanLine, make_plan
from syncd.core.policy import Action
from syncd.model import Feed, Operation

SYNCED = Feed("xero", "invoice 1042 bears a Xero id")


def line(one: World, **of: Mapping[str, Any]) -> PlanLine:
    """The only line, with more said of the views: name -> fields."""
    views = {name: replace(view, **of.get(name, {})) for name, view in one.views.items()}
    (only,) = make_plan(one.mappings, one.house, views, one.resolution, one.past, moment(NOW)).lines
    return only


def fed(*feeds: Feed, whole: bool = True, **fields: Any) -> PlanLine:
    """Contoso is billed in `cw`, here books of the kind xero, and is also in `m365`, which may feed them."""
    one = world(used=27, billed=25, **fields)
    return line(
        one, cw={"kind": "xero"}, m365={"kind": "halopsa", "may_feed": frozenset({"xero"}),
                                       "feeds": feeds if whole else None},
    )  # fmt: skip


def test_a_rule_is_refused_where_another_system_invoices_the_customer_in_the_same_books() -> None:
    found = fed(SYNCED)

    assert found.action is Action.BLOCKED
    assert found.effects == ()
    assert "invoiced elsewhere" in found.findings
    assert "would be billed twice in cw" in found.reason
    assert "invoice 1042 bears a Xero id" in found.reason
    assert 'not_invoiced_by = "m365"' in found.reason


@pytest.mark.parametrize("back", [Operation.POST_CREDIT, Operation.POST_LINE, None])
def test_what_was_approved_for_an_earlier_month_stays_where_its_line_became_anothers(back: Operation | None) -> None:
    """The export was switched on after the approval. A credit that takes back what syncd billed may still leave."""
    base, book = world(used=27, billed=25, true_up=LINE), Book()
    (intent,) = write_down(base.plan(), (), base.views, base.past).intents
    if back is not None:
        intent = replace(intent, undo_of="e0", posting=replace(intent.posting, operation=back))
    book.add(intent)
    book.move("e1", EntryState.HELD)
    entry = book.approve("e1")
    december = billing(line_of(25), agreements=(agreement(period=DECEMBER),))
    base = base.but(billings=(december,), past=book.past(base.past))
    when = datetime.fromisoformat("2026-12-05T16:00:00+00:00")

    def left(*feeds: Feed) -> bool:
        views = dict(base.views)
        views["cw"] = replace(views["cw"], kind="xero")
        views["m365"] = replace(views["m365"], kind="halopsa", may_feed=frozenset({"xero"}), feeds=feeds)
        plan = make_plan(base.mappings, base.house, views, base.resolution, base.past, moment(when))
        made = write_down(plan, [entry], views, base.past)
        assert (made.supersede, made.hold, made.approve) == ((), (), ())
        return entry.intent.key in made.sendable

    assert left()
    assert left(SYNCED) is (back is Operation.POST_CREDIT)


def test_the_rule_may_say_otherwise_in_so_many_words() -> None:
    assert fed(SYNCED, bill=bill(not_invoiced_by="m365")).action is Action.POST
    assert fed(SYNCED, bill=bill(not_invoiced_by="halo, m365")).action is Action.POST
    assert fed(SYNCED, bill=bill(not_invoiced_by="m36")).action is Action.BLOCKED


def test_what_could_not_be_read_is_not_taken_for_nobody() -> None:
    found = fed(whole=False)

    assert found.action is Action.BLOCKED
    assert "could not be read" in found.reason
    assert fed(whole=False, bill=bill(not_invoiced_by="m365")).action is Action.POST


def test_it_is_told_also_on_a_day_on_which_nothing_differs() -> None:
    one = world(used=25, billed=25)
    found = line(one, cw={"kind": "xero"}, m365={"may_feed": frozenset({"xero"}), "feeds": (SYNCED,)})

    assert found.action is Action.BLOCKED


@pytest.mark.parametrize(
    "feed", [Feed("quickbooks", "other books"), Feed("xero", "another customer's", frozenset({"t2"}))]
)
def test_other_books_and_other_customers_are_no_reason(feed: Feed) -> None:
    assert fed(feed).action is Action.POST


def test_a_feed_of_this_very_customer_is_one() -> None:
    assert fed(Feed("xero", "its own", frozenset({"t1"}))).action is Action.BLOCKED


def test_a_customer_who_is_not_in_the_feeding_system_is_not_invoiced_there() -> None:
    one = world(used=27, billed=25)
    one = one.but(listed={**one.listed, "halo": ()})
    found = line(one, cw={"kind": "xero"}, halo={"may_feed": frozenset({"xero"}), "feeds": (SYNCED,)})

    assert found.action is Action.POST


def test_books_that_copy_invoices_by_themselves_own_them() -> None:
    """Alternative Payments takes the invoices of its primary integration: it feeds itself."""
    one = world(used=27, billed=25)
    kind = "alternative_payments"
    feed = Feed(kind, "12 of its customers bear the id of a primary integration", frozenset({"c1"}))
    found = line(one, cw={"kind": kind, "may_feed": frozenset({kind}), "feeds": (feed,)})

    assert found.action is Action.BLOCKED
    assert "its invoices come there by themselves" in found.reason


def test_a_rule_that_only_reports_bills_nobody_twice() -> None:
    assert fed(SYNCED, true_up="alert").action is Action.ALERT


def test_only_kinds_that_some_rule_posts_into_are_asked_about() -> None:
    rules = world(27, 25).rules
    kinds = {"cw": "xero", "m365": "microsoft365"}

    assert fed_kinds(rules, kinds) == {"xero"}
    assert fed_kinds(world(27, 25, true_up="alert").rules, kinds) == frozenset()
    assert fed_kinds(rules, {"m365": "microsoft365"}) == frozenset()


# What reaches the customer at once (Alternative Payments has no drafts)


def test_what_keeps_no_draft_waits_for_a_person_whatever_the_mode_and_the_limits_say() -> None:
    one = world(used=27, billed=25).safer(max_step=100, max_increase=1000)
    free = line(one)
    held = line(one, cw={"undrafted": frozenset({Operation.SET_QUANTITY})})

    assert free.action is Action.POST
    assert held.action is Action.HOLD
    assert held.guards == ("no_draft",)
    assert "the customer gets it as soon as it is posted" in held.reason
    assert held.effects


def test_other_operations_of_the_same_system_are_not_held() -> None:
    assert line(world(27, 25), cw={"undrafted": frozenset({Operation.POST_LINE})}).action is Action.POST


def test_where_a_lines_text_names_the_product_every_text_is_one() -> None:
    one = world(used=27, billed=None, bill=bill("Anything at all"), true_up="line").but(products=())

    assert "unknown product" in line(one).findings
    found = line(one, cw={"catalogue": False})
    assert [effect.posting.product_id for effect in found.effects] == ["Anything at all"]
