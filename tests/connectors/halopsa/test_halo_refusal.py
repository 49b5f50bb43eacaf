"""Why Halo must not be asked: one clear sentence each, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from halo_kit import Bench

from syncd.model import Operation, Posting


def test_what_fits_is_not_refused(bench: Bench, postings: dict[str, Posting]) -> None:
    assert bench.refusal(postings["set"]) == ""
    assert bench.refusal(postings["draft"]) == ""
    assert bench.refusal(postings["add"]) == ""
    assert bench.refusal(postings["count"], 2) == ""


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("set", {"agreement_id": "-99"}, "no HaloPSA recurring invoice #-99"),
        ("set", {"line_id": "1"}, "no longer open"),
        ("set", {"before": Decimal(24)}, "shows 25 where the plan saw 24"),
        ("set", {"quantity": Decimal(-1)}, "never negative"),
        ("set", {"options": {"via": "licence"}}, "not calculated from the count of one licence"),
        ("set", {"options": {"via": "mail"}}, 'via = "mail" is unknown'),
        ("set", {"operation": Operation.POST_CREDIT}, "cannot take the operation post_credit"),
        ("add", {"product_id": "999"}, "no active item #999"),
        ("add", {"product_id": "401"}, "already has the line"),
        ("add", {"starts": date(2026, 11, 20)}, "invoiced through 2026-11-30"),
        ("add", {"starts": None}, "first billed day"),
        ("add", {"options": {"via": "licence"}}, "make licence and line in Halo"),
        ("add", {"marker": "x" * 51}, "the mark must be"),
        ("draft", {"quantity": Decimal(0)}, "more than none"),
        ("draft", {"ends": None}, "last billed day"),
        ("draft", {"unit_price": None}, "needs a price"),
        ("draft", {"ends": date(2026, 12, 3)}, "would be billed in both"),
        (
            "draft",
            {"options": {"prorate": "daily", "beside": "quantity"}, "starts": date(2026, 12, 1),
             "ends": date(2026, 12, 31)},
            "charged twice",
        ),
        ("draft", {"options": {"via": "licence", "prorate": "daily", "beside": "quantity"}}, "itself prorates"),
    ],
)  # fmt: skip
def test_each_reason(bench: Bench, postings: dict[str, Posting], name: str, changes: dict[str, Any], told: str) -> None:
    assert told in bench.refusal(replace(postings[name], **changes))


def test_a_part_of_an_invoiced_period_is_a_draft_beside_the_new_quantity(
    bench: Bench, postings: dict[str, Posting]
) -> None:
    part = replace(
        postings["draft"], starts=date(2026, 11, 20), options={"prorate": "daily", "beside": "quantity"},
        amount=Decimal("20.53"),
    )  # fmt: skip

    assert bench.refusal(part) == ""


def test_never_both_ways_of_a_part_of_a_period(bench: Bench, postings: dict[str, Posting]) -> None:
    """A pending row of Halo's raises the line itself: neither the quantity nor a draft goes beside it unseen."""
    bench.double.prorate(bench.row(), Decimal(2), by_hand=True)

    assert "adds them to its quantity on the next invoice" in bench.refusal(postings["set"])


def test_a_calculated_line_is_refused_with_the_way_out(bench: Bench, postings: dict[str, Posting]) -> None:
    by_line = replace(postings["count"], options={})
    assert 'set via = "licence"' in bench.refusal(by_line, 2)
    assert "whole units" in bench.refusal(replace(postings["count"], quantity=Decimal("2.5")), 2)

    bench.row(24_021)["quantity_licences"][0]["qty_free"] = 1
    wrong = replace(postings["count"], line_id="24021")
    assert "calculated by Halo itself" in bench.refusal(wrong, 2)


def test_two_lines_of_one_item_are_not_chosen_between(bench: Bench, postings: dict[str, Posting]) -> None:
    header = bench.double.tables["RecurringInvoice"][-91]
    header["lines"].append({**bench.row(), "id": 24_019_1})

    assert "2 open lines for M365-BP" in bench.refusal(postings["set"])


def test_nothing_goes_onto_a_disabled_one(bench: Bench, postings: dict[str, Posting]) -> None:
    bench.double.tables["RecurringInvoice"][-91]["disabled"] = True

    assert "is disabled; nothing is posted" in bench.refusal(postings["set"])


def test_tickets_are_judged_by_what_they_say(bench: Bench, postings: dict[str, Posting]) -> None:
    ticket = replace(
        postings["draft"], operation=Operation.OPEN_TICKET, options={"board": "Billing", "summary": "2 seats"}
    )

    assert bench.refusal(ticket) == ""
    for changes, told in (
        ({"customer_id": "x"}, "client by its number"),
        ({"options": {"summary": "2 seats"}}, "name of a team"),
        ({"options": {"board": "Billing"}}, "needs a summary"),
        ({"marker": ""}, "the mark of a ticket"),
        ({"operation": Operation.NOTE_TICKET}, "needs its number"),
        ({"operation": Operation.CLOSE_TICKET}, "needs its number"),
    ):
        assert told in bench.refusal(replace(ticket, **changes))  # type: ignore[arg-type]
