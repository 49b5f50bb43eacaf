"""What the books say was invoiced: by item, with money, credits taken off, drafts left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from xero_kit import Bench

from connectors.xero.sandbox_state import total
from syncd.connect.contract import Ask
from syncd.errors import VendorError
from syncd.model import Moment, Query, State
from syncd.periods import Period

NOW = date(2026, 11, 9)
ONE = [{"ItemCode": "VISIO-P2", "Quantity": 3}]


def add(bench: Bench, resource: str = "Invoices", number: int = 1, lines: Any = ONE, **more: Any) -> dict[str, Any]:
    return bench.double.books.document(resource, bench.contact(number), more.pop("Date", NOW), lines, **more)


def test_the_story_agrees_with_the_psa_but_for_one_customer(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(customers=12)
    gaps = []
    for company in bench.world.companies:
        billed = dict(company.billed)
        found = {sku: count.quantity for sku, count in bench.counts(company.number).items()}
        if found != billed:
            gaps.append((company.name, found, billed))
    assert gaps == [("Dogwood Veterinary", {"M365-BP": Decimal(10)}, {"M365-BP": Decimal(12)})]


def test_quantity_and_money_with_every_name_of_the_item(bench: Bench) -> None:
    add(bench)
    count = bench.counts()["VISIO-P2"]

    assert (count.quantity, count.amount, count.currency) == (Decimal(3), Decimal("60.00"), "USD")
    assert count.name == "Visio Plan 2"
    assert bench.product("VISIO-P2").id in count.aliases


def test_credits_are_taken_off(bench: Bench) -> None:
    add(bench)
    add(bench, "CreditNotes", lines=[{"ItemCode": "VISIO-P2", "Quantity": 1}])

    count = bench.counts()["VISIO-P2"]
    assert (count.quantity, count.amount) == (Decimal(2), Decimal("40.00"))


@pytest.mark.parametrize("operation", ["line", "credit"])
def test_syncds_own_line_counts_in_units_though_it_stands_there_as_one(bench: Bench, operation: str) -> None:
    """3 units for 100.00 have no price of one: they are written as one at the whole amount."""
    fields: dict[str, Any] = {"product": "VISIO-P2", "quantity": Decimal(3), "unit_price": None}
    make, resource, sign = (bench.line, "Invoices", 1) if operation == "line" else (bench.credit, "CreditNotes", -1)
    bench.post(make(**fields, amount=Decimal("100.00")))
    [made] = bench.documents(resource)
    made["Status"] = "AUTHORISED"
    assert [line["Quantity"] for line in made["LineItems"]] == [1]
    count = bench.counts()["VISIO-P2"]
    assert (count.quantity, count.amount) == (sign * 3, sign * 100)

    made["LineItems"] = [*made["LineItems"], bench.double.books.line({"ItemCode": "VISIO-P2", "Quantity": 2})]
    total(made)  # a person put a line onto it: which one is syncd's cannot be told, and what it shows counts
    assert bench.counts()["VISIO-P2"].quantity == sign * 3  # 1 and 2


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "VOIDED", "DELETED"])
def test_what_is_not_in_the_books_is_left_out(bench: Bench, status: str) -> None:
    add(bench, Status=status)
    add(bench, "CreditNotes", Status=status)
    assert "VISIO-P2" not in bench.counts()


def test_only_the_asked_period_counts(bench: Bench) -> None:
    add(bench, Date=date(2026, 12, 1))
    add(bench, Date=date(2026, 10, 31))
    assert "VISIO-P2" not in bench.counts()
    bench.moment = Moment(bench.moment.now, bench.moment.today, Period(date(2026, 10, 1), date(2026, 10, 31)))
    assert bench.counts()["VISIO-P2"].quantity == 3


def test_money_is_without_tax_however_the_document_shows_it(bench: Bench) -> None:
    lines = [{"ItemCode": "VISIO-P2", "Quantity": 3, "UnitAmount": Decimal("22.00")}]  # 10 % inside
    add(bench, lines=lines, LineAmountTypes="Inclusive")
    add(bench, lines=[{**lines[0], "TaxType": "NONE"}], LineAmountTypes="NoTax")

    assert bench.counts()["VISIO-P2"].amount == Decimal("60.00") + Decimal("66.00")


def test_a_discount_is_in_the_money(bench: Bench) -> None:
    add(bench, lines=[{"ItemCode": "VISIO-P2", "Quantity": 3, "DiscountRate": 10}])
    assert bench.counts()["VISIO-P2"].amount == Decimal("54.00")


def test_a_line_without_an_item_is_not_dropped(bench: Bench) -> None:
    lines = [
        {"Description": "Cabling", "Quantity": 2, "UnitAmount": Decimal("75.00"), "AccountCode": "260"},
        {"Description": "Goodwill", "Quantity": 1, "UnitAmount": Decimal("-10.00"), "AccountCode": "200"},
    ]
    add(bench, lines=lines)
    counts = bench.counts()

    assert (counts["account 260"].sku, counts["account 260"].quantity) == ("", Decimal(2))
    assert counts["account 260"].amount == Decimal("150.00")
    assert counts["account 200"].amount == Decimal("-10.00")


def test_an_item_that_was_deleted_since_keeps_its_code(bench: Bench) -> None:
    add(bench)
    item = bench.double.books.by_code("VISIO-P2")
    assert item is not None
    del bench.double.books.tables["Items"][item["ItemID"]]
    assert bench.counts()["VISIO-P2"].quantity == 3


def test_an_item_that_was_renamed_since_goes_by_its_new_code(bench: Bench) -> None:
    add(bench)
    item = bench.double.books.by_code("VISIO-P2")
    assert item is not None
    bench.double.edit("Items", item["ItemID"], Code="VISIO")
    assert "VISIO-P2" in bench.counts()["VISIO"].aliases


def test_two_currencies_are_never_added(bench: Bench) -> None:
    add(bench)
    add(bench, CurrencyCode="EUR")
    found = [one for one in bench.booked().counts if one.sku == "VISIO-P2"]
    assert [(one.currency, one.amount) for one in found] == [("EUR", Decimal(60)), ("USD", Decimal(60))]


def test_a_merged_contacts_invoices_are_the_others(bench: Bench) -> None:
    old = bench.double.books.contact("Alder before")
    bench.double.books.document("Invoices", old, NOW, ONE)
    bench.double.edit("Contacts", old["ContactID"], ContactStatus="ARCHIVED", MergedToContactID=bench.customer().id)
    assert bench.counts()["VISIO-P2"].quantity == 3


def test_lines_that_do_not_add_up_make_that_customer_unknown_and_nobody_else(bench: Bench) -> None:
    document = add(bench)
    document["SubTotal"] = Decimal("80.00")
    connection = bench.connect()

    reading = bench.booked(1, connection)
    assert (reading.state, reading.code) == (State.UNKNOWN, "incomplete")
    assert document["InvoiceNumber"] in reading.reason
    assert bench.booked(2, connection).state is State.KNOWN


def test_an_invoice_of_another_month_than_asked_for_is_not_believed(bench: Bench) -> None:
    add(bench, Date=date(2026, 6, 1))
    everything: Any = lambda request, resource, books: list(books.tables[resource].values())  # noqa: E731
    bench.double._filtered = everything  # type: ignore[method-assign]
    reading = bench.booked()
    assert (reading.state, reading.code) == (State.UNKNOWN, "malformed")


def test_one_that_leaves_the_period_and_one_that_enters_it_lose_none_between(bench: Bench) -> None:
    """The count stays as it was: only a second reading tells."""
    bench.double.longest_page = 3
    rows = [add(bench, number=2) for _ in range(3)]
    honest, left = bench.double._listed, [True]

    def meddled(request: Any, resource: str, found: list[Any]) -> Any:
        answer = honest(request, resource, found)
        if resource == "Invoices" and left:
            left.pop()
            bench.double.edit("Invoices", found[0]["InvoiceID"], Date=date(2026, 10, 30))
            add(bench, number=2)
        return answer

    bench.double._listed = meddled  # type: ignore[method-assign]
    reading = bench.booked(2)
    visio = next(one for one in reading.counts if one.sku == "VISIO-P2")
    assert visio.quantity == 3 * (len(rows) + 1)
    assert not left


def test_only_invoiced_can_be_asked_for(bench: Bench) -> None:
    ask = Ask(bench.customer(), (Query("hours"), Query("invoiced", (("board", ("x",)),))))
    readings = list(bench.connect().booked([ask], bench.moment))

    assert [one.code for one in readings] == ["unsupported", "unsupported"]
    with pytest.raises(VendorError, match="counts nothing"):
        list(bench.connect().counts([ask], bench.moment))


def test_a_document_is_read_once_for_all_customers(bench: Bench) -> None:
    connection = bench.connect()
    asks = [Ask(bench.customer(number), (Query("invoiced"),)) for number in (1, 2, 3)]
    assert len(list(connection.booked(asks, bench.moment))) == 3
    list(connection.booked(asks, replace(bench.moment)))

    assert len(bench.asked("/Invoices")) == 1
    assert bench.asked("/Invoices")[0].query["page"] == "1"
    assert bench.asked("/Invoices")[0].query["unitdp"] == "4"
