"""Answers in the shapes that Intuit's own examples and people's logs show, with everything that nobody needs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from connector_kit import NOVEMBER

from connectors.quickbooks.documents import voided
from connectors.quickbooks.errors import explain, fault
from connectors.quickbooks.invoiced import _amount, _called, _lines, _quantity
from connectors.quickbooks.payloads import Customer, Document, Item, Listed, Preferences
from syncd.connect.http import Reply

INVOICE = b"""{
 "AllowIPNPayment": false, "AllowOnlinePayment": false, "domain": "QBO", "sparse": false, "Id": "207", "SyncToken": "2",
 "MetaData": {"CreateTime": "2026-11-07T12:15:17-08:00", "LastModifiedByRef": {"value": "91"}},
 "CustomField": [{"DefinitionId": "1", "Name": "Crew #", "Type": "StringType"}], "DocNumber": "1067",
 "TxnDate": "2026-11-07", "CurrencyRef": {"value": "USD", "name": "United States Dollar"}, "LinkedTxn": [],
 "Line": [
  {"Id": "1", "LineNum": 1, "Description": "Rock fountain", "Amount": "275.00", "DetailType": "SalesItemLineDetail",
   "SalesItemLineDetail": {"ItemRef": {"value": "5", "name": "Rock Fountain"}, "UnitPrice": 137.5, "Qty": "2",
    "ItemAccountRef": {"value": "79", "name": "Sales"}, "TaxCodeRef": {"value": "TAX"}}},
  {"Id": "2", "LineNum": 2, "Amount": 35.0, "DetailType": "GroupLineDetail", "GroupLineDetail": {
   "GroupItemRef": {"value": "19", "name": "Starter"}, "Quantity": 1, "Line": [
    {"Id": "3", "Amount": 35.00, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
     "ItemRef": {"value": "11", "name": "Pump"}, "UnitPrice": 35, "Qty": 1, "TaxCodeRef": {"value": "NON"}}}]}},
  {"Id": "4", "Amount": 12.5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
   "ItemRef": {"value": "SHIPPING_ITEM_ID"}, "TaxCodeRef": {"value": "NON"}}},
  {"Amount": 322.5, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}],
 "TxnTaxDetail": {"TxnTaxCodeRef": {"value": "2"}, "TotalTax": 22.00, "TaxLine": [{"Amount": 22.0,
  "DetailType": "TaxLineDetail", "TaxLineDetail": {"TaxRateRef": {"value": "3"}, "PercentBased": true}}]},
 "CustomerRef": {"value": "1", "name": "Wren's Bird House"}, "BillAddr": {"Id": "2", "Line1": "1 Nest Lane"},
 "DueDate": "2026-12-07", "TotalAmt": 344.50, "ApplyTaxAfterDiscount": false, "PrintStatus": "NeedToPrint",
 "EmailStatus": "NotSet", "Balance": 344.50, "Deposit": 0, "AllowOnlineCreditCardPayment": false
}"""
VOIDED = b"""{
 "domain": "QBO", "Id": "207", "SyncToken": "3", "DocNumber": "1067", "TxnDate": "2026-11-07", "PrivateNote":
 "Voided - sd-t1-aaaa1111 2 20261101-20261130 for items 10", "TotalAmt": 0, "Balance": 0,
 "TxnTaxDetail": {"TotalTax": 0}, "CustomerRef": {"value": "1"}, "Line": [
  {"Id": "1", "LineNum": 1, "Amount": 0, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
   "ItemRef": {"value": "10"}, "TaxCodeRef": {"value": "NON"}}},
  {"Amount": 0, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}]
}"""


def read(body: bytes) -> Document:
    return Reply(200, {}, body).parse(Document)


def test_an_invoice_as_it_comes() -> None:
    found = read(INVOICE)

    assert (found.customer, found.txn_date in NOVEMBER, found.total_amt) == ("1", True, Decimal("344.50"))
    assert [(_called(line, {})[0], _quantity(line), _amount(line)) for line in _lines(found.line)] == [
        ("5", Decimal(2), Decimal("275.00")),
        ("11", Decimal(1), Decimal("35.00")),
        ("SHIPPING_ITEM_ID", Decimal(1), Decimal("12.5")),
    ]
    assert not voided(found)


def test_a_voided_invoice_as_it_comes() -> None:
    found = read(VOIDED)

    assert voided(found)
    assert not voided(read(VOIDED.replace(b'"Voided - ', b'"Not ')))  # zero, and not voided


def test_a_receipt_for_nobody() -> None:
    body = b'{"Id": "11", "TxnDate": "2026-11-02", "TotalAmt": 5, "Line": []}'

    assert read(body).customer == ""


@pytest.mark.parametrize("missing", [b'"TxnDate": "2026-11-07", ', b'"Id": "207", '])
def test_what_must_be_there_and_is_not_is_named(missing: bytes) -> None:
    from syncd.errors import VendorError

    with pytest.raises(VendorError, match="missing required field") as failed:
        read(INVOICE.replace(missing, b""))
    assert failed.value.code == "malformed"


def test_customers_items_and_settings_as_they_come() -> None:
    customer = Reply(200, {}, b"""{"Taxable": true, "Job": false, "Balance": 239.0, "BalanceWithJobs": 239.0, "Id": "1",
     "CurrencyRef": {"value": "USD", "name": "United States Dollar"}, "PreferredDeliveryMethod": "Print", "SyncToken":
     "0", "GivenName": "Wren", "FullyQualifiedName": "Wren's Bird House", "DisplayName": "Wren's Bird House",
     "PrintOnCheckName": "Wren's Bird House", "Active": true, "V4IDPseudonym": "0012345", "PrimaryPhone":
     {"FreeFormNumber": "(555) 010-0100"}}""").parse(Customer)  # fmt: skip
    item = Reply(
        200,
        {},
        b"""{"Name": "Pump", "Active": true, "FullyQualifiedName": "Fountains:Pump", "Taxable": false,
     "UnitPrice": 20, "Type": "NonInventory", "IncomeAccountRef": {"value": "79"}, "PurchaseCost": 15.25, "SubItem":
     true, "ParentRef": {"value": "9", "name": "Fountains"}, "Level": 1, "Id": "11", "SyncToken": "3"}""",
    ).parse(Item)
    settings = Reply(
        200,
        {},
        b"""{"AccountingInfoPrefs": {"UseAccountNumbers": false, "BookCloseDate": "2026-09-30"},
     "SalesFormsPrefs": {"CustomTxnNumbers": true, "ETransactionPaymentEnabled": false, "CustomField": [{"x": 1}]},
     "CurrencyPrefs": {"HomeCurrency": {"value": "USD"}}, "TaxPrefs": {"UsingSalesTax": true},
     "ReportPrefs": {"ReportBasis": "Accrual"}, "OtherPrefs": {"NameValue": []}, "Id": "1", "SyncToken": "8"}""",
    )

    assert (customer.display_name, customer.active) == ("Wren's Bird House", True)
    assert (item.fully_qualified_name, item.unit_price, item.purchase_cost) == ("Fountains:Pump", 20, Decimal("15.25"))
    told = settings.parse(Preferences)
    assert str(told.accounting_info_prefs.book_close_date) == "2026-09-30"
    assert told.sales_forms_prefs.custom_txn_numbers
    assert not told.currency_prefs.multi_currency_enabled


def test_a_query_that_finds_nothing() -> None:
    body = b'{"QueryResponse": {}, "time": "2026-11-20T09:00:00.000-08:00"}'

    assert Reply(200, {}, body).parse(Listed).query_response == {}


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (401, b'{"warnings":null,"intuitObject":null,"fault":{"error":[{"message":"message=AuthenticationFailed; '
              b'errorCode=003200; statusCode=401","detail":null,"code":"3200","element":null}],"type":"AUTHENTICATION"'
              b'},"queryResponse":null,"batchItemResponse":[],"status":null}', "unauthorized", "code 3200"),
        (429, b'{"fault":{"error":[{"message":"message=ThrottleExceeded; errorCode=003001; statusCode=429","detail":'
              b'"The request limit was reached.","code":"3001"}],"type":"SERVICE"}}', "throttled", "throttles"),
        (400, b'{"Fault":{"Error":[{"Message":"Duplicate Document Number Error","Detail":"Duplicate Document Number '
              b'Error : You must specify a different number.","code":"6140","element":"DocNumber"}],"type":'
              b'"ValidationFault"},"time":"2026-11-20T09:00:00.000-08:00"}', "invalid",
              "has that document number already (code 6140): Duplicate Document Number Error : You must specify a "
              "different number (field DocNumber)"),
        (400, b'{"Fault":{"Error":[{"Message":"Closed","code":6210}],"type":"ValidationFault"}}', "invalid",
              "because the books are closed (code 6210)"),
        (500, b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?><IntuitResponse xmlns="http://schema.intuit.com/'
              b'finance/v3"><Fault type="SystemFault"><Error code="10000"><Message>An application error has occurred'
              b'</Message><Detail>Try again</Detail></Error></Fault></IntuitResponse>', "unavailable",
              "status 500 (code 10000): An application error has occurred: Try again"),
        (502, b"<html><body>Bad gateway</body></html>", "unavailable", "status 502"),
        (404, b"", "not_found", "does not find GET /x"),
    ],
)  # fmt: skip
def test_faults_as_they_come(status: int, body: bytes, code: str, words: str) -> None:
    told = explain(Reply(status, {"intuit_tid": "1-5f3e-77aa"}, body, where="GET /x"))

    assert told[0] == code
    assert words in told[1]
    assert told[1].endswith("[intuit_tid 1-5f3e-77aa]")


def test_several_faults_are_all_told() -> None:
    body = b'{"Fault":{"Error":[{"Message":"A","code":"2020"},{"Message":"B","code":"6000"}],"type":"ValidationFault"}}'
    found = fault(Reply(400, {}, body))

    assert found is not None
    assert (found.codes, found.words, found.passing) == (("2020", "6000"), "A; B", False)
