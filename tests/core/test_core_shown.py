"""The JSON of `plan` and `ledger`, key by key (INTERFACE 4), and the words on a customer's line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from core_book import Book, Psa, step
from core_kit import (
    LINE,
    NOW,
    ZONE,
    World,
    billing,
    count,
    customer,
    line,
    reading,
    reads,
    units,
    world,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from syncd.core.effects import describe
from syncd.core.entries import Entry, EntryState
from syncd.core.resolve import ReadError
from syncd.core.rules import Mode
from syncd.core.shown import derivation_json, entry_json, line_json, money_text, plan_json, quantity_text
from syncd.model import RemoteCustomer, State, Subject

LINE_KEYS = (
    "id customer rule connection bought used billed invoiced states target difference amount currency findings action "
    "reason guards worth"
).split()
ENTRY_KEYS = (
    "id key cycle customer rule connection operation period from to amount currency state remote_id attempts "
    "decided_by created_at settled_at hash"
).split()


def shown(found: World) -> dict[str, Any]:
    return plan_json(found.plan(), "cycle-1", ZONE)


def test_the_keys_of_a_plan() -> None:
    made = shown(world())

    assert list(made) == ["cycle", "as_of", "mode", "checksum", "lines", "unmapped", "tie_out", "errors"]
    assert list(made["lines"][0]) == LINE_KEYS
    assert list(made["unmapped"]) == ["customers", "products"]
    assert json.loads(json.dumps(made)) == made


def test_the_example_of_the_interface() -> None:
    found = world(27, 25, bought=30).but(billings=(billing(line(25, unit_price=None)),), products=None)
    found = found.but(products=world().products, customers=(customer("Contoso Dental", m365="t1", cw="c1", pax8="x1"),))
    made = shown(replace(found, house=replace(found.house, mode=Mode.OBSERVE)))

    assert made["as_of"] == "2026-11-20T10:00:00-06:00"
    assert (made["cycle"], made["mode"]) == ("cycle-1", "observe")
    only = made["lines"][0]
    assert {name: only[name] for name in LINE_KEYS if name not in ("id", "rule")} == {
        "customer": "Contoso Dental", "connection": "cw",
        "bought": "30", "used": "27", "billed": "25", "invoiced": None,
        "states": {"bought": "known", "used": "known", "billed": "known"},
        "target": "27", "difference": "2", "amount": None, "currency": None,
        "findings": ["leakage", "shelfware"], "action": "post", "reason": "increase is now", "guards": [],
        "worth": {name: dict.fromkeys(("amount", "currency", "from")) for name in ("leakage", "shelfware")},
    }  # fmt: skip


@pytest.mark.parametrize("state", [State.UNKNOWN, State.PARTIAL, State.GONE])
def test_numbers_that_are_not_known_are_null(state: State) -> None:
    made = shown(world(state, 25, bought=state, invoiced=state))["lines"][0]

    assert (made["used"], made["bought"], made["invoiced"]) == (None, None, None)
    assert {made["states"][name] for name in ("used", "bought", "invoiced")} == {str(state)}
    unread = shown(world(27, state))["lines"][0]
    assert [unread[name] for name in ("billed", "difference", "amount", "currency")] == [None] * 4


def test_quantities_are_plain_and_money_has_its_minor_units() -> None:
    made = shown(world("27.50", "25.10", count=world().rules[0].count))["lines"][0]

    assert (made["used"], made["billed"], made["difference"]) == ("27.5", "25.1", "2.4")
    assert (made["amount"], made["currency"]) == ("48.00", "USD")
    falling = shown(world(24, 25))["lines"][0]
    assert (falling["difference"], falling["amount"]) == ("-1", "-20.00")
    assert (quantity_text(None), quantity_text(Decimal("100")), quantity_text(Decimal("1E+2"))) == (None, "100", "100")
    assert (money_text(None, "USD"), money_text(Decimal("3"), "JPY"), money_text(Decimal("3"), "KWD")) == (
        None,
        "3",
        "3.000",
    )


def test_unmapped_and_errors() -> None:
    found = world().but(readings=reads(reading("t1", count("SPB", 27), count("E5", "3.0", name="Microsoft 365 E5"))))
    tenants = (*(found.listed["m365"] or ()), RemoteCustomer("t2", "Adatum"))
    errors = (ReadError("m365", "Fabrikam", "unauthorized", "sign in again"), ReadError("cw", "", "timeout", "slow"))
    made = shown(found.but(listed={**found.listed, "m365": tenants}, errors=errors))

    assert made["unmapped"] == {
        "customers": [{"connection": "m365", "id": "t2", "name": "Adatum"}],
        "products": [
            {"connection": "m365", "sku": "E5", "name": "Microsoft 365 E5", "quantity": "3", "customers": ["Contoso"]}
        ],
    }
    assert made["errors"] == [
        {"connection": "cw", "customer": None, "code": "timeout", "message": "slow"},
        {"connection": "m365", "customer": "Fabrikam", "code": "unauthorized", "message": "sign in again"},
    ]


def test_periods_are_months_or_spans() -> None:
    assert world().one_line().effects[0].period == "2026-11"


def test_the_keys_of_an_entry() -> None:
    book, psa = Book(), Psa({"l1": line(25)})
    step(world(), book, psa)
    made = entry_json(book.entries["e1"])

    assert [name for name in made if name in ENTRY_KEYS] == ENTRY_KEYS
    assert {name: made[name] for name in ENTRY_KEYS if name not in ("key", "hash")} == {
        "id": "e1", "cycle": "cycle", "customer": "Contoso", "rule": "Premium", "connection": "cw",
        "operation": "set_quantity", "period": "2026-11", "from": "25", "to": "27", "amount": "40.00",
        "currency": "USD", "state": "posted", "remote_id": "l1", "attempts": 1, "decided_by": "policy",
        "created_at": "2026-11-20T16:00:00+00:00", "settled_at": "2026-11-20T16:00:00+00:00",
    }  # fmt: skip
    assert json.loads(json.dumps(made)) == made


def waiting(**fields: Any) -> Entry:
    book, psa = Book(), Psa({"l1": line(25, unit_price=None)})
    step(world(increase="hold", **fields), book, psa)
    return book.entries["e1"]


def test_what_an_entry_does_not_have_is_null() -> None:
    made = entry_json(waiting())

    assert [made[name] for name in ("amount", "currency", "remote_id", "settled_at")] == [None] * 4
    assert (made["state"], made["attempts"]) == ("held", 0)


@pytest.mark.parametrize("state", list(EntryState))
def test_states_and_operations_are_the_interfaces_words(state: EntryState) -> None:
    made = entry_json(replace(waiting(), state=state))

    words = "held rejected planned sending posted failed unknown superseded".split()
    assert made["state"] in words
    assert made["operation"] == "set_quantity"


def test_from_and_to_of_a_true_up_are_cumulative() -> None:
    book, psa = Book(), Psa({"l1": line(25)})
    for used in (27, 30):
        found = world(true_up=LINE).but(readings=reads(reading("t1", count("SPB", used))))
        step(found, book, psa)

    made = [
        (entry_json(one)["from"], entry_json(one)["to"], entry_json(one)["operation"]) for one in book.entries.values()
    ]
    assert made == [("0", "2", "post_line"), ("2", "5", "post_line")]


def test_a_derivation_tells_the_line_and_how_it_came_about_without_a_time() -> None:
    found = world(included=10)
    first = derivation_json(found.one_line())
    later = derivation_json(found.one_line(datetime(2026, 11, 21, 9, tzinfo=UTC)))

    assert first == later
    assert {name: first[name] for name in LINE_KEYS} == line_json(found.one_line())
    assert [one["result"] for one in first["derivation"]["steps"]] == ["27", "17"]
    assert first["derivation"]["rule"] == found.rules[0].content
    assert json.loads(json.dumps(first)) == first


# What the customer reads on the line.


def words(template: str, *subjects: str, limit: int = 250, **fields: Any) -> str:
    given_ = {
        "product": "Business Premium", "period": "2026-11", "used": units(27), "quantity": units(2), "before": units(0),
        "to": units(2), "customer": "Contoso", "rule": "Premium",
    }  # fmt: skip
    return describe(template, subjects=subjects, limit=limit, **{**given_, **fields})


def test_a_description_is_filled_in() -> None:
    template = "{product}, {period}: {used} seats ({subjects})"  # the example of INTERFACE 3.2

    assert words(template, "Zoe", "adam") == "Business Premium, 2026-11: 27 seats (adam, Zoe)"
    assert words(template) == "Business Premium, 2026-11: 27 seats ()"
    assert words("{customer} {rule} {quantity} {from} {to}", used=units("27.50")) == "Contoso Premium 2 0 2"


def test_without_a_template_it_says_what_was_added() -> None:
    text = words("")

    assert "Business Premium" in text
    assert "2026-11" in text


PEOPLE = st.lists(st.text("abcdefgh ", min_size=1, max_size=12).map(str.strip).filter(bool), max_size=12, unique=True)


@given(PEOPLE, st.integers(30, 120))
@settings(max_examples=80)
def test_a_description_is_cut_at_the_limit_and_never_inside_a_name(people: list[str], limit: int) -> None:
    text = words("{used} seats: {subjects}", *people, limit=limit)

    assert len(text) <= limit
    body = text.removeprefix("27 seats: ")
    for name in (one for one in body.split(", ") if one):
        more = name.removeprefix("and ").removesuffix(" more")
        assert name in people or more.isdigit()


def test_subjects_come_from_the_counts_each_once() -> None:
    people = tuple(Subject(str(n), name) for n, name in enumerate(["Bea", "Ada", "Bea"]))
    found = world(3, 2, true_up=LINE, description="{subjects}").but(
        readings=reads(reading("t1", count("SPB", 3, subjects=people)))
    )

    assert found.one_line().effects[0].posting.description == "Ada, Bea"


def test_dates_are_told_in_the_zone_of_the_msp() -> None:
    assert plan_json(world().plan(NOW), "c", ZONE)["as_of"].endswith("-06:00")
    summer = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert plan_json(world().plan(summer), "c", ZONE)["as_of"] == "2026-07-01T07:00:00-05:00"
