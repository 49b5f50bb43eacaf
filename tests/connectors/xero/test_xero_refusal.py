"""What is never asked of Xero, and what is refused before anything leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from xero_kit import Bench

from connectors.xero.api import permitted
from syncd.errors import VendorError
from syncd.model import NotSent, Operation, Refused, Wire

Make = Callable[..., Bench]


# --- what is never asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "Invoices"), ("POST", "Invoices/1"), ("POST", "Invoices/1/Email"), ("PUT", "Invoices/1/History"),
        ("POST", "CreditNotes"), ("PUT", "CreditNotes/1/Allocations"), ("PUT", "Contacts"), ("POST", "Contacts"),
        ("PUT", "Items"), ("DELETE", "Items/1"), ("PUT", "RepeatingInvoices"), ("POST", "RepeatingInvoices/1"),
        ("PUT", "Payments"), ("GET", "Journals"), ("DELETE", "connections/1"), ("PUT", "../connect/token"),
    ],
)  # fmt: skip
def test_what_overwrites_approves_mails_or_deletes_is_not_on_the_list(bench: Bench, method: str, path: str) -> None:
    assert not permitted(method, path)
    connection, posting = bench.connect(), bench.line()
    seen = len(bench.double.requests)
    wire = replace(connection.wire(posting), method=method, path=f"api.xro/2.0/{path}")
    if method == "GET":
        with pytest.raises(VendorError, match="never asks"):
            connection._api.read(path)
    else:
        assert isinstance(connection.send(posting, wire), Refused)
    assert len(bench.double.requests) == seen


def test_the_forbidden_call_would_really_overwrite(bench: Bench) -> None:
    """Or the proof that the client cannot reach it would prove nothing."""
    theirs = next(iter(bench.double.books.tables["Invoices"].values()))
    theirs["Status"] = "DRAFT"
    body = {"Invoices": [{"InvoiceNumber": theirs["InvoiceNumber"], "Reference": "overwritten"}]}
    api = bench.connect()._api
    api.read("Items")
    api._http.send(
        Wire("POST", "api.xro/2.0/Invoices", json.dumps(body).encode(), (("xero-tenant-id", api.tenant),))
    )  # fmt: skip
    assert theirs["Reference"] == "overwritten"


@pytest.mark.parametrize("header", ["idempotency-key", "xero-tenant-id"])
def test_nothing_leaves_without_a_key_and_an_organisation(bench: Bench, header: str) -> None:
    connection, posting = bench.connect(), bench.line()
    wire = connection.wire(posting)
    bare = replace(wire, headers=tuple((name, value) for name, value in wire.headers if name != header))
    assert isinstance(connection.send(posting, bare), Refused)
    assert bench.double.requests == []


def test_what_was_planned_for_one_organisation_never_reaches_another(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    posting = bench.line()
    wire = bench.connect().wire(posting)
    outcome = bench.connect(tenant_id=bench.double.other.tenant).send(posting, wire)

    assert isinstance(outcome, Refused)
    assert bench.double.books.tenant in outcome.reason
    assert bench.writes() == []


def test_an_organisation_that_is_not_connected_gets_nothing(make_bench: Make) -> None:
    bench = make_bench(code_flow=True)
    connection = bench.connect(tenant_id="00000000-0000-4000-8000-000000000001")
    assert isinstance(bench.post(bench.line(), connection), NotSent)


# --- refusals before anything leaves ----------------------------------------------------------------------------------


def test_what_fits_is_not_refused(bench: Bench) -> None:
    assert bench.refusal(bench.line()) == ""
    assert bench.refusal(bench.credit()) == ""
    assert bench.refusal(bench.line(unit_price=None, amount=Decimal("0.00"))) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"operation": Operation.SET_QUANTITY}, "post_line, post_credit"),
        ({"options": {"document": "estimate"}}, "always takes a draft"),
        ({"product_id": "nope", "product": "NOPE"}, "no item #nope NOPE"),
        ({"currency": "EUR"}, "billed in USD, and this is priced in EUR"),
        ({"marker": "mine"}, "must begin with sd-"),
        ({"marker": "sd-t1"}, "the mark and its days"),
        ({"quantity": Decimal(0)}, "0 units cannot be posted"),
        ({"starts": None}, "first and last day"),
        ({"ends": date(2026, 10, 1)}, "first and last day"),
        ({"unit_price": None, "amount": None}, "needs a price"),
        ({"amount": Decimal(-1)}, "a credit is positive too"),
        ({"amount": Decimal("10.005")}, "not in whole cents"),
        ({"quantity": Decimal("0.33333"), "amount": None}, "four decimals"),
    ],
)
def test_what_cannot_be_posted_is_told_before(bench: Bench, change: dict[str, Any], words: str) -> None:
    assert words in bench.refusal(bench.line(**change))
    assert bench.writes() == []


def test_an_item_that_was_renamed_since_is_planned_anew(bench: Bench) -> None:
    posting = bench.line()
    bench.double.edit("Items", posting.product_id, Code="M365")
    assert "M365-BP is called M365 now" in bench.refusal(posting)


def test_obstacles_of_item_contact_and_books_are_told_before(bench: Bench) -> None:
    item = bench.product("SWITCH-24")
    assert "inventory" in bench.refusal(bench.line(product="SWITCH-24", product_id=item.id))
    bench.double.books.organisation["PeriodLockDate"] = date(2026, 11, 30)
    assert "closed through 2026-11-30" in bench.refusal(bench.line())
    assert bench.refusal(bench.line(starts=date(2026, 12, 1), ends=date(2026, 12, 31))) == ""
    bench.double.edit("Contacts", bench.customer().id, ContactStatus="ARCHIVED")
    assert "is archived; restore it in Xero" in bench.refusal(bench.line())
