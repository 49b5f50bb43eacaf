"""What is read of the books: contacts and their merges, items, repeating invoices, syncd's own documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from werkzeug.wrappers import Response
from xero_kit import Bench

from connectors.xero.dates import day
from syncd.errors import VendorError
from syncd.model import BilledLine, State

Make = Callable[..., Bench]


def between(bench: Bench, change: Callable[[str, dict[str, Any]], None]) -> None:
    """Changes what the double answers to reads, by path."""
    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Response:
        response = honest(request, fault)
        if request.method == "GET" and response.status_code == 200:
            told = json.loads(response.get_data())
            if isinstance(told, dict):
                change(request.path.rpartition("/")[2], told)
            response.set_data(json.dumps(told))
        return response

    bench.double._answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/Date(1518685950940+0000)/", date(2018, 2, 15)),
        ("/Date(1796083200000+1300)/", date(2026, 12, 1)),  # the offset moves nothing
        ("/Date(-2208988800000+0000)/", None),  # 1900: none
        ("/Date(-62135596800000)/", None),
        ("2026-11-30T00:00:00", date(2026, 11, 30)),
        ("2026-11-30", date(2026, 11, 30)),
        ("", None),
        (None, None),
    ],
)
def test_dates_in_every_dress(text: str | None, wanted: date | None) -> None:
    assert day(text) == wanted


@pytest.mark.parametrize("text", ["30.11.2026", "2026-13-01", "/Date(99999999999999999)/", "/Date(999999999999999)/"])
def test_a_date_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(VendorError, match="a date that is none") as failed:
        day(text)
    assert failed.value.code == "malformed"


# --- contacts ---------------------------------------------------------------------------------------------------------


def test_contacts_with_their_keys_without_the_archived(bench: Bench) -> None:
    customers = bench.connect().customers()

    assert {one.name for one in customers} == {company.name for company in bench.world.companies}
    first = next(one for one in customers if one.name == "Alder Dental Group")
    assert first.identifiers[:2] == ("AlderDental", "C-0001")
    assert first.links == ("https://alderdental.example",)


def test_a_merged_contact_is_the_one_that_it_went_into(bench: Bench) -> None:
    middle = bench.double.books.contact("Alder (middle)")
    oldest = bench.double.books.contact("Alder (oldest)")
    bench.double.books.merge(oldest["ContactID"], middle["ContactID"])
    bench.double.books.merge(middle["ContactID"], bench.contact()["ContactID"])
    customers = bench.connect().customers()

    first = next(one for one in customers if one.name == "Alder Dental Group")
    assert {middle["ContactID"], oldest["ContactID"]} < set(first.identifiers)


def test_a_renamed_contact_keeps_its_id_and_an_archived_one_is_gone(bench: Bench) -> None:
    first, second = bench.customer(1), bench.customer(2)
    bench.double.edit("Contacts", first.id, Name='Ålder "Dental" & Co ÅÄÖ 歯科')
    bench.double.edit("Contacts", second.id, ContactStatus="ARCHIVED")
    connection = bench.connect()
    named = {one.id: one.name for one in connection.customers()}

    assert named[first.id] == 'Ålder "Dental" & Co ÅÄÖ 歯科'
    assert second.id not in named
    [billing] = connection.lines([second], bench.moment)
    assert "is archived" in billing.agreements[0].obstacle


@pytest.mark.slow
@pytest.mark.parametrize("longest", [1000, 100])
def test_fifteen_hundred_customers_over_many_pages(make_bench: Make, longest: int) -> None:
    bench = make_bench(customers=1500)
    bench.double.longest_page = longest
    customers = bench.connect().customers()

    assert len({one.id for one in customers}) == 1500
    assert len(bench.asked("/Contacts")) == -(-1502 // longest)  # with the two that are archived


def test_pages_without_a_count_are_read_to_the_empty_one(bench: Bench) -> None:
    bench.double.paged_totals = False
    bench.double.longest_page = 2

    assert len(bench.connect().customers()) == 3


def test_a_contact_that_moves_between_pages_is_not_lost(bench: Bench) -> None:
    bench.double.longest_page = 2
    left = [True]

    def once(path: str, told: dict[str, Any]) -> None:
        if path == "Contacts" and left:
            left.pop()
            first = next(iter(bench.double.books.tables["Contacts"]))
            bench.double.edit("Contacts", first)

    between(bench, once)
    assert len(bench.connect().customers()) == 3


def test_rows_without_an_id_are_no_rows(bench: Bench) -> None:
    def blank(path: str, told: dict[str, Any]) -> None:
        if path == "Contacts":
            told["Contacts"][0]["ContactID"] = "00000000-0000-0000-0000-000000000000"

    between(bench, blank)
    with pytest.raises(VendorError, match="without an id"):
        bench.connect().customers()


# --- items ------------------------------------------------------------------------------------------------------------


def test_items_with_what_forbids_to_bill_them(bench: Bench) -> None:
    bench.double.books.item("NO-ACCOUNT", "Nobody set it up", Decimal(1), SalesDetails={"UnitPrice": 1})
    bench.double.books.item("FINE", "Four decimals", Decimal("0.0125"))
    products = {one.identifier: one for one in bench.connect().products()}

    assert products["M365-BP"].obstacle == ""
    assert products["M365-BP"].unit_price == Decimal(28)
    assert products["FINE"].unit_price == Decimal("0.0125")
    assert "inventory" in products["SWITCH-24"].obstacle
    assert "not sold" in products["OLD-AV"].obstacle
    assert "no sales account" in products["NO-ACCOUNT"].obstacle


# --- repeating invoices -----------------------------------------------------------------------------------------------


def recurring(bench: Bench, number: int = 1) -> list[BilledLine]:
    """Lines of repeating invoices other than the flat fee."""
    return [one for one in bench.billing(number).lines if not one.once and one.product != "MS-BASE"]


def template(bench: Bench, quantity: Any = 10, starts: date = date(2026, 3, 1), **more: Any) -> dict[str, Any]:
    return bench.double.books.template(
        bench.contact(), [{"ItemCode": "M365-BP", "Quantity": quantity}], starts, **more
    )  # fmt: skip


def test_a_repeating_invoice_is_a_line_that_nobody_can_change_by_api(bench: Bench) -> None:
    template(bench, Reference="Seats")
    [line] = recurring(bench)

    assert (line.product, line.quantity, line.unit_price) == ("M365-BP", Decimal(10), Decimal(28))
    assert line.product_id == bench.product().id
    assert line.obstacle.startswith("Xero's API cannot change a repeating invoice: ")
    assert not line.once
    assert line.marker == ""
    assert line.agreement_id == bench.customer().id
    assert "Seats" in line.name


@pytest.mark.parametrize(
    ("starts", "schedule", "fields", "stands"),
    [
        (date(2026, 11, 30), {}, {}, True),  # begins within the period
        (date(2026, 12, 1), {}, {}, False),  # begins later
        (date(2026, 3, 1), {"EndDate": date(2026, 10, 31)}, {}, False),  # ended before
        (date(2026, 3, 1), {"EndDate": date(2026, 11, 3)}, {}, True),  # billed this month, and ended since
        (date(2026, 3, 1), {"EndDate": date(2027, 3, 1)}, {}, True),
        (date(2026, 3, 1), {"Period": 3}, {}, True),  # ten seats, billed each quarter
        (date(2026, 3, 1), {}, {"Status": "DRAFT"}, True),  # makes drafts: billed all the same
        (date(2026, 3, 1), {}, {"Status": "DELETED"}, False),
        (date(2026, 3, 1), {}, {"Type": "ACCPAY"}, False),
    ],
)
def test_which_repeating_invoices_stand_for_this_period(
    bench: Bench, starts: date, schedule: dict[str, Any], fields: dict[str, Any], stands: bool
) -> None:
    template(bench, starts=starts, Schedule=schedule, **fields)
    lines = recurring(bench)

    assert [line.quantity for line in lines] == ([Decimal(10)] if stands else [])
    assert all(line.ends is None or line.ends >= bench.moment.period.last for line in lines)


def test_what_a_template_billed_before_it_was_deleted_stands_for_the_period(bench: Bench) -> None:
    made = template(bench)
    bench.double.books.generate(made, date(2026, 10, 1))
    bench.double.books.generate(made, date(2026, 11, 1))
    assert [line.quantity for line in recurring(bench)] == [Decimal(10)]  # the template itself, once

    made["Status"] = "DELETED"
    [line] = recurring(bench)
    assert (line.quantity, line.ends, line.once) == (Decimal(10), bench.moment.period.last, False)
    assert "was deleted in Xero" in line.obstacle

    made["Schedule"]["StartDate"] = None
    made["Schedule"]["NextScheduledDate"] = None
    made["Status"] = "AUTHORISED"
    assert bench.billing().code == "malformed"


def test_a_list_that_leaves_the_lines_out_is_completed(bench: Bench) -> None:
    template(bench)

    def without(path: str, told: dict[str, Any]) -> None:
        if path == "RepeatingInvoices":
            for one in told["RepeatingInvoices"]:
                del one["LineItems"]

    between(bench, without)
    assert [line.quantity for line in recurring(bench)] == [Decimal(10)]


def test_a_repeating_invoice_of_a_merged_contact_is_the_others(bench: Bench) -> None:
    old = bench.double.books.contact("Alder before")
    bench.double.books.template(old, [{"ItemCode": "M365-BP", "Quantity": 4}], date(2026, 1, 1))
    bench.double.edit("Contacts", old["ContactID"], ContactStatus="ARCHIVED", MergedToContactID=bench.customer().id)

    assert [line.quantity for line in recurring(bench)] == [Decimal(4)]


# --- the account, and syncd's own documents ---------------------------------------------------------------------------


def own(bench: Bench, number: int = 1) -> list[BilledLine]:
    billing = bench.billing(number)
    assert billing.state is State.KNOWN, billing.reason
    assert billing.proof
    return [line for line in billing.lines if line.once]


def test_the_account_with_its_currency_and_the_lock_date(bench: Bench) -> None:
    bench.double.books.organisation |= {"PeriodLockDate": date(2026, 9, 30), "EndOfYearLockDate": date(2026, 10, 31)}
    bench.double.edit("Contacts", bench.customer(2).id, DefaultCurrency="EUR")
    [first], [second] = bench.billing(1).agreements, bench.billing(2).agreements

    assert (first.id, first.name, first.currency) == (bench.customer().id, "Alder Dental Group", "USD")
    assert first.invoiced_through == date(2026, 10, 31)
    assert second.currency == "EUR"


def test_an_own_draft_is_a_dated_line_until_it_is_deleted(bench: Bench) -> None:
    posting = bench.line()
    bench.post(posting)
    [line] = own(bench)

    assert (line.quantity, line.unit_price, line.marker) == (Decimal(2), Decimal(28), "sd-t1-aaaa")
    assert (line.starts, line.ends) == (posting.starts, posting.ends)
    assert line.product_id == posting.product_id
    assert own(bench, 2) == []

    [document] = bench.documents()
    bench.double.edit("Invoices", document["InvoiceID"], Status="AUTHORISED")
    assert [one.quantity for one in own(bench)] == [Decimal(2)]
    bench.double.edit("Invoices", document["InvoiceID"], Status="VOIDED")
    assert own(bench) == []


def test_an_own_credit_note_is_negative(bench: Bench) -> None:
    bench.post(bench.credit())
    assert [line.quantity for line in own(bench)] == [Decimal(-1)]


def test_an_amount_that_went_as_one_unit_is_read_as_its_units(bench: Bench) -> None:
    bench.post(bench.line(quantity=Decimal(3), unit_price=None, amount=Decimal("10.00")))
    [line] = own(bench)
    assert (line.quantity, line.unit_price) == (Decimal(3), Decimal(10))


def test_what_a_person_does_to_a_draft_is_seen(bench: Bench) -> None:
    bench.post(bench.line())
    [document] = bench.documents()
    document["LineItems"][0]["Quantity"] = Decimal("2.9999999")  # a double that means three
    remark = {"Description": "As agreed by telephone", "LineItemID": "x"}
    bench.double.edit(
        "Invoices", document["InvoiceID"], Reference=f"PO 4711; {document['Reference']}",
        LineItems=[*document["LineItems"], remark],
    )  # fmt: skip
    assert [line.quantity for line in own(bench)] == [Decimal(3)]


def test_a_line_that_a_person_added_makes_that_customer_unknown_and_nobody_else(bench: Bench) -> None:
    bench.post(bench.line())
    [document] = bench.documents()
    more = bench.double.books.line({"ItemCode": "EXO-P1", "Quantity": 1})
    bench.double.edit("Invoices", document["InvoiceID"], LineItems=[*document["LineItems"], more])
    first, second = bench.connect().lines([bench.customer(1), bench.customer(2)], bench.moment)

    assert (first.state, first.code) == (State.UNKNOWN, "malformed")
    assert document["InvoiceNumber"] in first.reason
    assert second.state is State.KNOWN


def test_a_typo_in_a_reference_makes_that_customer_unknown_and_nobody_else(bench: Bench) -> None:
    bench.post(bench.line())
    [document] = bench.documents()
    reference = document["Reference"].replace("20261130", "20261131")
    bench.double.edit("Invoices", document["InvoiceID"], Reference=reference)
    first, second = bench.connect().lines([bench.customer(1), bench.customer(2)], bench.moment)

    assert (first.state, first.code) == (State.UNKNOWN, "malformed")
    assert f"{document['InvoiceNumber']} bears syncd's mark sd-t1-aaaa" in first.reason
    assert "put the reference back as it was" in first.reason
    assert second.state is State.KNOWN


def test_documents_of_the_last_months_are_read_and_older_ones_are_not(bench: Bench) -> None:
    for number, first in enumerate((date(2026, 7, 1), date(2026, 4, 1))):
        posting = bench.line(key=f"k{number}", marker=f"sd-t1-old{number}", starts=first, ends=first.replace(day=28))
        bench.post(posting)
    assert [line.marker for line in own(bench)] == ["sd-t1-old0"]


def test_another_installations_mark_is_shown_as_it_stands(bench: Bench) -> None:
    bench.post(bench.line(marker="sd-other-zzzz"))
    assert [line.marker for line in own(bench)] == ["sd-other-zzzz"]


def test_words_that_nobody_knew_yet_harm_nothing(bench: Bench) -> None:
    bench.post(bench.line())

    def strange(path: str, told: dict[str, Any]) -> None:
        for one in told.get("Invoices", []):
            one |= {"Status": "PARKED", "CurrencyCode": "XTS", "Payments": None, "CreditNotes": None, "New": [1]}

    between(bench, strange)
    assert [line.quantity for line in own(bench)] == [Decimal(2)]


@pytest.mark.parametrize("broken", [None, "gone"])
def test_documents_without_lines_are_never_documents_without_amounts(bench: Bench, broken: str | None) -> None:
    bench.post(bench.line())

    def without(path: str, told: dict[str, Any]) -> None:
        for one in told.get("Invoices", []):
            if broken is None:
                one["LineItems"] = None
            else:
                del one["LineItems"]

    between(bench, without)
    billing = bench.billing()
    assert (billing.state, billing.code) == (State.UNKNOWN, "incomplete")
    assert bench.booked().state is State.UNKNOWN


def test_a_contact_that_is_not_there_is_unknown(bench: Bench) -> None:
    gone = replace(bench.customer(), id="11111111-1111-4111-8111-111111111111")
    [billing] = bench.connect().lines([gone], bench.moment)
    assert (billing.state, billing.code) == (State.UNKNOWN, "not_found")
