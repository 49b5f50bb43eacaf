"""Documents: what is sent, what may be asked at all, and what the answer means."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from qbo_kit import ALDER, CREDIT, INVOICE, LINE, SECOND, Bench, MakeBench, body, sent

from syncd.connect.documents import charges, number
from syncd.model import Absent, Found, Moved, NotSent, Operation, Posting, Receipt, Refused, Unknown, Wire

REALM = "9341453000000007"


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_line_is_a_pending_estimate_that_nobody_is_mailed(bench: Bench) -> None:
    wire = bench.connect().wire(LINE)
    told = body(wire)

    assert wire.method == "POST"
    assert wire.path.startswith(f"company/{REALM}/estimate?minorversion=75&requestid=sd-")
    assert len(wire.path.rpartition("requestid=")[2]) <= 50
    assert (told["TxnStatus"], told["EmailStatus"], told["TxnDate"]) == ("Pending", "NotSet", "2026-11-30")
    assert told["DocNumber"] == number("SD", [LINE.marker], 21)
    assert len(told["DocNumber"]) == 21
    assert told["PrivateNote"] == "sd-t1-aaaa1111 2 20261101-20261130 for items 10"
    assert told["Line"] == [
        {
            "DetailType": "SalesItemLineDetail",
            "Amount": 56,
            "Description": "Microsoft 365 Business Premium, 2026-11: 2 seats more",
            "SalesItemLineDetail": {
                "ItemRef": {"value": "10"}, "Qty": 2, "UnitPrice": 28, "TaxCodeRef": {"value": "TAX"},
            },
        }
    ]  # fmt: skip
    assert not {"Id", "SyncToken", "CurrencyRef", "GlobalTaxCalculation", "TxnTaxDetail", "ExchangeRate"} & set(told)


@pytest.mark.parametrize(("posting", "entity"), [(LINE, "Estimate"), (INVOICE, "Invoice"), (CREDIT, "CreditMemo")])
def test_each_form_is_posted_and_found_again(bench: Bench, posting: Posting, entity: str) -> None:
    connection = bench.connect()
    assert isinstance(connection.find(posting), Absent)
    told = bench.post(posting, connection=connection)
    [row] = bench.documents(entity)

    words = {"CreditMemo": "credit memo"}.get(entity, entity.lower())
    assert isinstance(told, Receipt)
    assert told.remote_id == f"{words} {row['Id']}"
    assert connection.find(posting) == Found(told.remote_id, Decimal(2))
    assert (row["EmailStatus"], row["SyncToken"]) == ("NotSet", "0")
    assert len(bench.double.effects) == 1


def test_rules_of_one_customer_and_period_share_a_document(bench: Bench) -> None:
    connection = bench.connect()
    assert connection.together(LINE) == connection.together(SECOND)
    told = bench.post(LINE, SECOND, connection=connection)
    [row] = bench.documents("Estimate")

    assert isinstance(told, Receipt)
    assert [line["Amount"] for line in row["Line"]] == [Decimal("56.00"), Decimal("49.50"), Decimal("105.50")]
    assert [one.mark for one in charges(row["PrivateNote"])] == [LINE.marker, SECOND.marker]
    assert connection.find(LINE) == Found(told.remote_id, Decimal(2))
    assert connection.find(SECOND) == Found(told.remote_id, Decimal(3))


def test_what_does_not_belong_together_stays_apart(bench: Bench) -> None:
    connection = bench.connect()
    others = [
        replace(SECOND, customer_id="60"), replace(SECOND, period="2026-10"), replace(SECOND, currency="EUR"),
        replace(SECOND, ends=date(2026, 11, 29)), replace(SECOND, options={"document": "invoice"}),
        replace(SECOND, operation=Operation.POST_CREDIT),
    ]  # fmt: skip
    assert len({connection.together(one) for one in [LINE, *others]}) == 7
    for other in others:
        with pytest.raises(ValueError, match="one customer and one day"):
            connection.gather([LINE, other])


def test_one_alone_is_gathered_to_the_same_bytes(bench: Bench) -> None:
    connection = bench.connect()
    assert connection.gather([LINE]) == connection.wire(LINE)
    assert connection.gather([LINE, SECOND]) == bench.connect().gather([LINE, SECOND])
    alone, both = connection.wire(LINE), connection.gather([LINE, SECOND])
    assert alone.path != both.path
    assert body(alone)["DocNumber"] != body(both)["DocNumber"]


def test_quickbooks_numbers_where_the_company_wants_it_so(make_bench: MakeBench) -> None:
    bench = make_bench(custom_numbers=False)
    connection = bench.connect()
    assert "DocNumber" not in body(connection.wire(INVOICE))
    told = bench.post(INVOICE, connection=connection)
    [row] = bench.documents("Invoice")

    assert isinstance(told, Receipt)
    assert row["DocNumber"].isdigit()
    assert connection.find(INVOICE) == Found(told.remote_id, Decimal(2))


@pytest.mark.parametrize(("taxable", "code"), [(True, "TAX"), (False, "NON")])
def test_tax_codes_are_the_items(bench: Bench, taxable: bool, code: str) -> None:
    bench.double.tables["Item"]["10"]["Taxable"] = taxable
    told = body(bench.connect().wire(LINE))

    assert told["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": code}
    assert isinstance(bench.post(LINE), Receipt)  # the tax that QuickBooks adds is no difference


def test_elsewhere_tax_codes_are_the_items_else_the_customers(make_bench: MakeBench) -> None:
    bench = make_bench(american=False)
    told = body(bench.connect().wire(LINE))
    assert told["GlobalTaxCalculation"] == "TaxExcluded"
    assert told["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": "5"}
    assert isinstance(bench.post(LINE), Receipt)

    del bench.double.tables["Item"]["10"]["SalesTaxCodeRef"]
    bench.double.tables["Customer"][ALDER]["DefaultTaxCodeRef"] = {"value": "6"}
    assert body(bench.connect().wire(LINE))["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] == {"value": "6"}


def test_no_tax_code_where_no_tax_is_used(bench: Bench) -> None:
    bench.double.preferences["TaxPrefs"] = {"UsingSalesTax": False}

    assert "TaxCodeRef" not in body(bench.connect().wire(LINE))["Line"][0]["SalesItemLineDetail"]


def test_the_currency_is_the_customers_where_there_are_several(make_bench: MakeBench) -> None:
    bench = make_bench(multi_currency=True)
    bench.double.tables["Customer"][ALDER]["CurrencyRef"] = {"value": "EUR"}
    posting = replace(LINE, currency="EUR")

    assert body(bench.connect().wire(posting))["CurrencyRef"] == {"value": "EUR"}
    assert isinstance(bench.post(posting), Receipt)


@pytest.mark.parametrize(
    ("quantity", "price", "amount", "shown"),
    [
        ("2", None, "56.00", ("2", "28", "56.00")),
        ("3", None, "100.00", ("1", "100", "100.00")),  # no price of a unit gives exactly this
        ("1000", None, "12.50", ("1000", "0.0125", "12.50")),
        ("1", "10.005", None, ("1", "10", "10.00")),  # half-even, where QuickBooks would make it 10.01
        ("1", "10.015", None, ("1", "10.02", "10.02")),
        ("3", "3.335", None, ("1", "10", "10.00")),  # 10.005
        ("2.5", "4.00", None, ("2.5", "4", "10.00")),
        ("7", "0.00", "0.00", ("7", "0", "0.00")),
    ],
)
def test_quickbooks_own_multiplication_cannot_change_an_amount(
    bench: Bench, quantity: str, price: str | None, amount: str | None, shown: tuple[str, str, str]
) -> None:
    posting = replace(
        LINE,
        quantity=Decimal(quantity),
        unit_price=Decimal(price) if price else None,
        amount=Decimal(amount) if amount else None,
    )
    told = bench.post(posting)
    assert isinstance(told, Receipt), told
    [row] = bench.documents("Estimate")
    [line, _] = row["Line"]
    detail = line["SalesItemLineDetail"]

    assert (str(detail["Qty"]), str(detail["UnitPrice"]), str(line["Amount"])) == shown
    assert bench.connect().find(posting) == Found(told.remote_id, Decimal(quantity))


def test_names_with_anything_in_them_travel_whole(bench: Bench) -> None:
    text = "O'Brien & Söhne «100%» 株式会社: 2 × 28,00"
    sent(bench, replace(LINE, description=text))

    assert bench.documents("Estimate")[0]["Line"][0]["Description"] == text


# --- what may be asked at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", f"company/{REALM}/estimate?minorversion=75&requestid=sd-0123456789", b'{"Id":"901"}'),
        ("POST", f"company/{REALM}/invoice?operation=void&minorversion=75&requestid=sd-0123456789", b"{}"),
        ("POST", f"company/{REALM}/invoice?operation=delete", b"{}"),
        ("POST", f"company/{REALM}/invoice?minorversion=75&requestid=sd-012345&include=allowduplicatedocnum", b"{}"),
        ("POST", f"company/{REALM}/invoice/901/send", b"{}"),
        ("POST", f"company/{REALM}/salesreceipt?minorversion=75&requestid=sd-0123456789", b"{}"),
        ("POST", f"company/{REALM}/customer?minorversion=75&requestid=sd-0123456789", b"{}"),
        ("POST", f"company/{REALM}/batch", b"{}"),
        ("POST", f"company/{REALM}/invoice?minorversion=75", b"{}"),
        ("POST", "company/1111111111/invoice?minorversion=75&requestid=sd-0123456789", b"{}"),
        ("GET", f"company/{REALM}/invoice?minorversion=75&requestid=sd-0123456789", b"{}"),
        ("POST", f"company/{REALM}/invoice?minorversion=75&requestid=sd-0123456789", b"not json"),
    ],
)  # fmt: skip
def test_what_is_not_on_the_list_never_leaves(bench: Bench, method: str, path: str, content: bytes) -> None:
    told = bench.connect().send(LINE, Wire(method, path, content))

    assert isinstance(told, Refused)
    assert told.code == "unsupported"
    assert bench.double.requests == []


# --- what the answer means -------------------------------------------------------------------------------------------


def spoiled(name: str, value: object) -> Any:
    def spoil(row: dict[str, Any]) -> None:
        line = row["Line"][0]
        for place in (row, line, line["SalesItemLineDetail"]):
            if name in place:
                place[name] = value
                return

    return spoil


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TotalAmt", Decimal("55.99"), "total"),
        ("Amount", Decimal("56.01"), "amount 56.01 where 56 was sent"),
        ("Qty", Decimal(3), "quantity 3 where 2 was sent"),
        ("UnitPrice", Decimal("28.01"), "price 28.01 where 28 was sent"),
        ("ItemRef", {"value": "11"}, "item 11 where 10 was sent"),
        ("CustomerRef", {"value": "60"}, "customer 60 where 59 was sent"),
        ("DocNumber", "1099", "number 1099 where SD"),
        ("PrivateNote", "nothing", "memo nothing where sd-t1-aaaa1111"),
        ("TxnDate", "2026-12-01", "date 2026-12-01 where 2026-11-30 was sent"),
        ("EmailStatus", "NeedToSend", "e-mail status NeedToSend where NotSet was sent"),
        ("Line", [], "0 lines where 1 were sent"),
    ],
)
def test_what_quickbooks_shows_otherwise_is_no_success(bench: Bench, name: str, value: object, words: str) -> None:
    bench.double.spoil = spoiled(name, value)
    told = bench.post(LINE)

    assert isinstance(told, Unknown)
    assert words in told.reason


def test_a_warning_is_no_success(bench: Bench) -> None:
    bench.double.warning = {"Warning": [{"Message": "Tax could not be calculated", "code": "1"}]}
    told = bench.post(LINE)

    assert isinstance(told, Unknown)
    assert "Tax could not be calculated" in told.reason


def test_an_amount_that_quickbooks_changed_is_told_until_a_person_amends_it(bench: Bench) -> None:
    bench.double.spoil = spoiled("Amount", Decimal("56.01"))
    bench.post(LINE)
    [row] = bench.documents("Estimate")
    connection = bench.connect()
    told = connection.find(LINE)
    assert isinstance(told, Moved)
    assert "shows 56.01 for M365-BP, not the 56 that was sent" in told.what

    row["Line"][0]["Amount"] = Decimal("56.00")
    bench.double.rival("Estimate", row["Id"])
    assert isinstance(connection.find(LINE), Found)


@pytest.mark.parametrize("under_200", [False, True])
@pytest.mark.parametrize("posting", [LINE, INVOICE])
def test_an_inactive_item_is_refused_in_words(make_bench: MakeBench, under_200: bool, posting: Posting) -> None:
    bench = make_bench(faults_under_200=under_200)
    bench.double.tables["Item"]["10"]["Active"] = False
    told = bench.post(posting)

    assert isinstance(told, Refused)
    assert told.code == "not_found"
    assert "made inactive (code 610)" in told.reason
    assert "change the mapping" in told.reason
    assert "[intuit_tid 1-" in told.reason
    assert bench.double.effects == []


@pytest.mark.parametrize("under_200", [False, True])
def test_closed_books_are_told_in_words(make_bench: MakeBench, under_200: bool) -> None:
    bench = make_bench(faults_under_200=under_200, close_date=date(2026, 11, 30))
    told = bench.post(INVOICE)

    assert isinstance(told, Refused)
    assert "refuses it because the books are closed (code 6210): Account Period Closed" in told.reason
    assert "Reopen the period in QuickBooks" in told.reason


def faulty(bench: Bench, status: int, content: str, mimetype: str = "application/json") -> Any:
    """One answer to the next write, in these words."""
    from werkzeug.wrappers import Response

    honest = bench.double._answer

    def answer(request: Any, fault: str) -> Response:
        if request.method == "POST" and request.path.endswith("/estimate"):
            return Response(content, status, mimetype=mimetype)
        return honest(request, fault)

    bench.double._answer = answer  # type: ignore[method-assign]
    return bench.post(LINE)


def fault(code: str, message: str, kind: str = "ValidationFault", detail: str = "") -> str:
    return json.dumps({"Fault": {"Error": [{"Message": message, "Detail": detail, "code": code}], "type": kind}})


@pytest.mark.parametrize(
    ("status", "content", "outcome", "words"),
    [
        (400, fault("5010", "Stale Object Error"), Refused, "was changed meanwhile (SyncToken) (code 5010)"),
        (
            400,
            fault("6000", "A business validation error", detail="The account period has closed."),
            Refused,
            "because the books are closed (code 6000)",
        ),
        (
            400,
            fault("6000", "A business validation error", detail="Tax rate missing"),
            Refused,
            "by a rule of the books",
        ),
        (400, fault("6190", "Invalid Company Status"), Refused, "subscription has lapsed (code 6190)"),
        (400, fault("6070", "Amount calculation incorrect"), Refused, "amount and quantity × price differ (code 6070)"),
        (400, fault("2020", "Required param missing", detail="Line"), Refused, "Required param missing: Line"),
        (400, fault("8888", "Something new"), Refused, "status 400 (code 8888): Something new"),
        (403, fault("100", "General Authentication Error", "AuthorizationFault"), Refused, "connect again"),
        (200, fault("10000", "An application error", "SystemFault"), Unknown, "leaves it open: An application error"),
        (400, fault("", "no code at all"), Refused, "no code at all"),
        (400, '{"Fault":{"Error":null,"type":null}}', Refused, "status 400"),
        (400, "<html><body>proxy</body></html>", Unknown, "does not tell"),
        (500, fault("500", "Unsupported", "SystemFault"), Unknown, "does not tell"),
        (503, "<html>gone</html>", Unknown, "does not tell"),
        (200, "{}", Unknown, "does not show what was asked"),
        (200, '{"Estimate": null}', Unknown, "does not show what was asked"),
        (200, '{"Invoice": {"Id": "1"}}', Unknown, "does not show what was asked"),
        (429, fault("3001", "ThrottleExceeded; errorCode=003001", "SERVICE"), Unknown, "status 429"),
    ],
)
def test_every_answer_has_one_meaning(bench: Bench, status: int, content: str, outcome: type, words: str) -> None:
    told = faulty(bench, status, content)

    assert isinstance(told, outcome), told
    assert words in told.reason  # type: ignore[attr-defined]


def test_a_throttled_write_holds_everybody_for_a_minute(bench: Bench) -> None:
    faulty(bench, 429, fault("3001", "ThrottleExceeded", "SERVICE"))

    assert 50 < bench.gates[-1].remaining() <= 60


def test_a_sign_in_that_is_put_off_sends_nothing(bench: Bench) -> None:
    connection = bench.connect()
    wire = connection.wire(LINE)
    bench.double.access.clear()
    bench.double.fail("unavailable", path="tokens/bearer", times=9)
    told = connection.send(LINE, wire)

    assert isinstance(told, NotSent)
    assert bench.double.effects == []
