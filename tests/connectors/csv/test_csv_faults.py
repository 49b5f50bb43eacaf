"""What in a file is an error of the source: told with its place, all at once, and never a number."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from csv_kit import GOOD, HEADER, Open, ask, failure, numbers, write

from syncd.errors import VendorError


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "incomplete", "export.csv: is empty."),
        ("\n \r\n", "incomplete", "export.csv: is empty."),
        (b"\xef\xbb\xbf", "incomplete", "export.csv: is empty."),
        (HEADER, "incomplete", "export.csv: holds no rows, which is not the same as zero."),
        (HEADER + "\n\n", "incomplete", "export.csv: holds no rows"),
        ("customer,sku,Quantty\n" + GOOD, "malformed", 'line 1: has no column "quantity". The nearest is "Quantty".'),
        ("customer,sku,x\n" + GOOD, "malformed", 'no column "quantity". It has "customer", "sku", "x".'),
        (
            "Contoso,GB,4\nFabrikam,GB,1\n",
            "malformed",
            "none of the declared columns; split at each comma it has 3 fields.",
        ),
        (HEADER.replace("\n", ",sku\n") + GOOD, "malformed", 'has 2 columns named "sku"'),
        (HEADER + GOOD + "Contoso,GB\n", "malformed", "line 3: has 2 fields where the header has 3."),
        (HEADER + GOOD + "Contoso,GB,1,500\n", "malformed", "line 3: has 4 fields where the header has 3."),
        (HEADER + GOOD + ",,\n", "malformed", "line 3: is a row of empty cells."),
        (HEADER + "Contoso,,1\n", "malformed", 'line 2 column "sku": is empty.'),
        (HEADER + "Contoso,GB,\n", "malformed", 'line 2 column "quantity": is empty. Fill it in or delete the row. W'),
        (HEADER + '"Con\ntoso",GB,1\n', "malformed", 'line 2 column "customer": holds a line break'),
        (HEADER + GOOD + '"Contoso,GB,1\nFabrikam,GB,1\n', "malformed", "line 3: a quote is opened and never closed."),
        (HEADER + '"Con"toso,GB,1\n', "malformed", "line 2: cannot be read"),
        ('"cust"omer,sku,quantity\n', "malformed", "line 1: has quotes that do not match."),
        (HEADER + GOOD + "\n" + GOOD, "malformed", "line 4: is the same row as line 2 in every declared column."),
        (HEADER + GOOD + " Contoso , GB ,1.0\n", "malformed", "line 3: is the same row as line 2"),
        ((HEADER + GOOD).encode() + b"Z\xfcrich,GB,1\n", "malformed", "line 3: the byte 0xfc is not UTF-8"),
        (b"\xef\xbb\xbf" + HEADER.encode() + b"Z\xfcrich,GB,1\n", "malformed", "line 2: the byte 0xfc is not UTF-8"),
        ((HEADER + GOOD).encode("utf-16"), "malformed", "is UTF-16 text."),
        (b"PK\x03\x04\x14\x00", "malformed", "is a workbook or a zip archive"),
        (HEADER + "Con\0toso,GB,1\n", "malformed", "holds bytes of zero"),
        (HEADER + GOOD + "Total,,1\n", "malformed", 'line 3 column "sku": is empty. Fill it in or delete the row.'),
        (HEADER + "Con\u200btoso,GB,1\n", "malformed", 'line 2 column "customer": holds a line break or another char'),
        ("\ufeff\ufeff" + HEADER + GOOD, "malformed", 'line 1: has no column "customer". The nearest is "?customer".'),
    ],
)
def test_a_damaged_file_is_an_error_that_says_where(
    connect: Open, tmp_path: Path, text: str | bytes, code: str, words: str
) -> None:
    write(tmp_path, text)

    error = failure(connect())

    assert words in str(error)
    assert error.code == code
    assert "\n" not in str(error)
    with pytest.raises(VendorError):
        ask(connect(), "Contoso")
    with pytest.raises(VendorError):
        connect().sign_in()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('"1,500"', '"1,500" has a comma'),
        ('"1,5"', '"1,5" has a comma'),
        ('"1.234,50"', '"1.234,50" has a comma'),
        ("1 500", '"1 500" groups its thousands.'),
        ("1'500.5", "groups its thousands."),
        ("1_500", "groups its thousands."),
        ("-3", '"-3" is negative'),
        ("−3", '"−3" is negative'),
        ("(3)", '"(3)" is negative'),
        ("NaN", '"NaN" is not a number.'),
        ("inf", '"inf" is not a number.'),
        ("1e3", '"1e3" is in scientific notation'),
        ("1.2E+15", "is in scientific notation"),
        ("٣", "is not a number."),
        ("#N/A", '"#N/A" is not a number.'),
        ("5 GB", '"5 GB" is not a number.'),
        ("1.2.3", '"1.2.3" is not a number.'),
        (".", '"." is not a number.'),
        ("9" * 16, "is too large to be a count."),
    ],
)
def test_a_quantity_that_is_no_plain_decimal_is_an_error(connect: Open, tmp_path: Path, cell: str, words: str) -> None:
    write(tmp_path, HEADER + f"Contoso,GB,{cell}\n")

    message = str(failure(connect()))

    assert message.startswith('export.csv line 2 column "quantity": ')
    assert words in message


@pytest.mark.parametrize(
    ("cell", "value"),
    [("0", "0"), ("12.50", "12.5"), (".5", "0.5"), ("7.", "7"), ("007", "7"), ("2.9999999", "2.9999999")],
)
def test_plain_decimals_are_quantities(connect: Open, tmp_path: Path, cell: str, value: str) -> None:
    write(tmp_path, HEADER + f"Contoso,GB,{cell}\n")

    assert numbers(connect()) == {"GB": Decimal(value)}


def test_one_name_written_with_composed_and_decomposed_letters_is_one_customer(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + "L\u00e4rche,GB,1\nLa\u0308rche,GB,2\n")

    assert [customer.id for customer in connect().customers()] == ["L\u00e4rche"]
    assert numbers(connect(), "L\u00e4rche") == {"GB": Decimal(3)}


def test_a_grouped_looking_decimal_is_refused_only_beside_semicolons(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + "Contoso,GB,1.500\n")

    assert numbers(connect()) == {"GB": Decimal("1.5")}

    write(tmp_path, "customer;sku;quantity\nContoso;GB;1.500\n")

    assert '"1.500" may be thousands or decimals' in str(failure(connect()))


def test_no_message_names_a_person(connect: Open, tmp_path: Path) -> None:
    write(
        tmp_path,
        "customer,sku,quantity,user\nContoso,SEAT,Ada Sample,1\nContoso,SEAT,ada@contoso.com,1\n"
        "Contoso,SEAT,1,Ada Sample\nContoso,SEAT,1,Ada Sample\n",
    )

    message = str(failure(connect(subject="user")))

    assert "Ada" not in message
    assert "ada" not in message
    assert message.count("\n") == 2


def test_the_same_row_in_two_files_names_both(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + "Fabrikam,GB,1\n" + GOOD, "a.csv")
    write(tmp_path, HEADER + GOOD, "b.csv")

    assert "b.csv line 2: is the same row as a.csv line 3" in str(failure(connect()))


def test_rows_that_differ_in_a_declared_column_are_added(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity,order\nContoso,SEAT,5,A1\nContoso,SEAT,5,A2\n")

    assert numbers(connect(subject="order")) == {"SEAT": Decimal(10)}
    assert "declare as subject" in str(failure(connect()))


def test_one_host_in_two_daily_exports_is_not_added(connect: Open, tmp_path: Path) -> None:
    header = "customer,sku,quantity,host\n"
    write(tmp_path, header + "Contoso,GB,100,srv1\n", "backup-19.csv")
    write(tmp_path, header + "Contoso,GB,101,srv1\nContoso,SEAT,100,srv1\nFabrikam,GB,100,srv1\n", "backup-20.csv")

    error = failure(connect(subject="host"))

    assert error.code == "malformed"
    assert str(error).startswith("backup-20.csv line 2: names the same subject as backup-19.csv line 2, for the same c")
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("quantity", [None, "quantity"])
@pytest.mark.parametrize("second", ["SRV1", "Srv1"])
def test_a_subject_in_another_case_is_the_same(
    connect: Open, tmp_path: Path, quantity: str | None, second: str
) -> None:
    write(tmp_path, f"customer,sku,quantity,host\nContoso,EDR,1,srv1\nContoso,EDR,1,{second}\n")

    assert "line 3: names the same subject as line 2" in str(failure(connect(quantity=quantity, subject="host")))


_UNSEEN = [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]


@pytest.mark.parametrize("code", _UNSEEN, ids=hex)
def test_a_character_that_nobody_sees_makes_no_second_name(connect: Open, tmp_path: Path, code: int) -> None:
    write(tmp_path, f"customer,sku,host\nContoso,EDR,srv1\nContoso,EDR,sr{chr(code)}v1\n")

    message = str(failure(connect(quantity=None, subject="host")))

    assert 'line 3 column "host": holds a line break or another character that nobody sees' in message


def test_all_faults_of_all_files_are_told_at_once_and_then_counted(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER, "a.csv")
    write(tmp_path, HEADER + "".join(f"C{row},GB,x\n" for row in range(25)), "b.csv")

    error = failure(connect())
    told = str(error).splitlines()

    assert error.code == "malformed"
    assert len(told) == 21
    assert told[0].startswith("a.csv: holds no rows")
    assert told[1].startswith("b.csv line 2 ")
    assert told[-1] == "and 6 more"


def test_a_header_in_the_middle_of_joined_exports_is_told(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + GOOD + HEADER + GOOD)

    message = str(failure(connect()))

    assert 'line 3 column "quantity": "quantity" is not a number.' in message
    assert "line 4: is the same row as line 2" in message


def test_both_faults_of_one_row_are_told(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + ",GB,x\n")

    assert len(str(failure(connect())).splitlines()) == 2
