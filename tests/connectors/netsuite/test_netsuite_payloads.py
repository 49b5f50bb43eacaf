"""Answers as the vendor's pages print them, and the ways in which values are told."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from connectors.netsuite.amounts import natural, turned
from connectors.netsuite.errors import explain, is_duplicate, refused, words
from connectors.netsuite.payloads import Charge, CustomerRow, Document, LineRow, Page, flag, number
from connectors.netsuite.records import lines_of, marks_of
from syncd.connect.http import Reply
from syncd.errors import VendorError


def reply(body: Any, status: int = 200) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {}, content, where="POST /services/rest/record/v1/invoice")


def failed(detail: str, code: str = "USER_ERROR", status: int = 400, path: str = "") -> Reply:
    told = {"detail": detail, "o:errorCode": code} | ({"o:errorPath": path} if path else {})
    return reply(
        {"type": "https://www.w3.org/", "title": "Bad Request", "status": status, "o:errorDetails": [told]}, status
    )


def test_an_error_names_the_field_and_the_code() -> None:
    told = failed("Invalid reference key 9999 for item.", "INVALID_CONTENT", path="item.items[0].item")

    assert words(told) == "Invalid reference key 9999 for item at item.items[0].item (INVALID_CONTENT)"
    assert explain(told)[0] == "invalid"


def test_several_reasons_are_all_told() -> None:
    body = {
        "title": "Bad Request",
        "o:errorDetails": [{"detail": "One."}, {"detail": "Two.\nlines"}, {"detail": "One."}],
    }

    assert words(reply(body, 400)) == "One; Two. lines"


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>Bad gateway</body></html>", b"[]", b"null", {"error": "x"}, {"o:errorDetails": []}]
)
def test_what_is_not_netsuite_s_shape_refuses_nothing(body: Any) -> None:
    assert refused(reply(body, 400)) is None


@pytest.mark.parametrize(
    ("detail", "duplicate"),
    [
        ("This record already exists", True),
        ("Error: DUP_RCRD", True),
        ("A record with the duplicate external id was found", True),
        ("Invalid value 5 for the field rate", False),
    ],
)
def test_a_duplicate_is_told_from_other_refusals(detail: str, duplicate: bool) -> None:
    assert is_duplicate(failed(detail)) is duplicate


@pytest.mark.parametrize(
    "detail",
    [
        "The accounting period of this transaction is closed.",
        "The specified posting period Nov 2026 is locked",
        "You cannot post to a closed period",
    ],
)
def test_a_closed_period_is_told_with_its_mend(detail: str) -> None:
    assert "open it in NetSuite" in explain(failed(detail))[1]


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (429, "throttled"), (500, "unavailable"),
     (503, "unavailable"), (400, "invalid"), (422, "invalid")],
)  # fmt: skip
def test_each_status_has_its_code(status: int, code: str) -> None:
    assert explain(failed("x", status=status))[0] == code


@pytest.mark.parametrize("told", ["101", 101, 101.0])
def test_ids_are_taken_as_text_and_as_numbers(told: Any) -> None:
    page = {"count": 1, "hasMore": False, "totalResults": 1, "links": [], "offset": 0,
            "items": [{"links": [], "id": told, "entityid": "A", "isinactive": "F"}]}  # fmt: skip

    [row] = reply(page).parse(Page[CustomerRow]).items

    assert number(row.id) == "101"
    assert row.companyname is None  # a null column is left out


def test_an_id_that_is_none_is_an_error() -> None:
    with pytest.raises(VendorError):
        number(Decimal("1.5"))


@pytest.mark.parametrize(("told", "meant"), [("T", True), ("F", False), (None, False), ("true", True)])
def test_flags_are_letters(told: str | None, meant: bool) -> None:
    assert flag(told) is meant
    with pytest.raises(VendorError):
        flag("yes")


def test_an_invoice_as_the_record_service_shows_it() -> None:
    body = {
        "links": [], "id": "4711", "entity": {"id": 107, "refName": "Contoso"}, "tranDate": "2026-11-30",
        "memo": "checked by hand; sd-abcd-kq2 3 20261101-20261130; sd-abcd-zz9 27/1 20261101-20261130", "taxTotal": 3.1,
        "item": {"links": [], "count": 2, "totalResults": 2, "hasMore": False, "items": [
            {"line": 1, "item": {"id": "3456"}, "quantity": 3.0, "rate": 12.50, "amount": 37.5},
            {"line": 2, "item": {"id": "9"}, "quantity": 1, "rate": 318.5, "amount": 318.5},
        ]},
    }  # fmt: skip

    shown = reply(body).parse(Document)

    assert marks_of(shown) == ("sd-abcd-kq2", "sd-abcd-zz9")
    assert [str(line.item) for line in lines_of(shown) or []] == ["3456", "9"]


def test_lines_that_go_on_elsewhere_are_not_all() -> None:
    shown = msgspec.json.decode(
        b'{"id":"1","entity":{"id":"2"},"item":{"hasMore":true,"items":[{"quantity":1}]}}', type=Document
    )
    assert lines_of(shown) is None


def test_a_charge_without_its_customer_is_malformed() -> None:
    with pytest.raises(VendorError, match="billTo"):
        reply({"id": "1"}).parse(Charge)


def line(quantity: str | None, rate: str | None, amount: str | None) -> LineRow:
    made = [None if one is None else Decimal(one) for one in (quantity, rate, amount)]
    return LineRow(id=Decimal(1), document=Decimal(1), quantity=made[0], rate=made[1], foreignamount=made[2])


@pytest.mark.parametrize(
    ("shown", "total", "natural_units"),
    [
        (line("-3", "10", "-30"), "30", 3),  # as the ledger has it
        (line("3", "10", "30"), "30", 3),  # as the document has it
        (line("3", "10", "-30"), "30", 3),  # only the amount is the ledger's
        (line("-2", "-5", "10"), "-10", 2),  # a discount line on a document of its own
        (line("-4", "0", "0"), "0", 4),  # given away
        (line(None, None, "-30"), "30", 0),
    ],
)
def test_signs_are_proved_by_the_total(shown: LineRow, total: str, natural_units: int) -> None:
    turn = turned([shown], Decimal(total), "invoice 1")
    amount = turn * (shown.foreignamount or Decimal(0))

    assert amount == Decimal(total)
    assert natural(shown, amount, turn) == natural_units


def test_a_total_that_no_sign_explains_is_incomplete() -> None:
    with pytest.raises(VendorError, match="some are missing"):
        turned([line("-3", "10", "-30")], Decimal("30.02"), "invoice 1")
