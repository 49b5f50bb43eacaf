"""The csv connector over real files in a scratch folder."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import connectors.csv.read as reading_files
from connectors.csv import CsvConnection, connector
from connectors.csv.config import CsvSettings
from syncd.connect.contract import Ask, Context
from syncd.errors import VendorError
from syncd.model import Moment, Query, Reading, RemoteCustomer, State, Subject
from syncd.periods import Period

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
MOMENT = Moment(NOW, date(2026, 11, 20), Period(date(2026, 11, 1), date(2026, 11, 30)))
QUANTITY = Query("quantity")

Open = Callable[..., CsvConnection]


def _no_http(*_: Any, **__: Any) -> Any:
    raise AssertionError("a csv connection must not open a network connection")


@pytest.fixture
def connect(tmp_path: Path) -> Open:
    """Opens a connection on the scratch folder; keyword arguments override the settings, None leaves one out."""

    def open_it(**changes: str | None) -> CsvConnection:
        keys: dict[str, str | None] = {
            "kind": "csv",
            "path": "*.csv",
            "customer": "customer",
            "sku": "sku",
            "quantity": "quantity",
            "subject": None,
        }
        keys.update(changes)
        values = CsvSettings.model_validate({key: value for key, value in keys.items() if value is not None})
        context = Context("backup", _no_http, lambda: NOW, ZoneInfo("America/Chicago"), tmp_path)
        connection = connector.open(values, context)
        assert isinstance(connection, CsvConnection)
        return connection

    return open_it


def write(folder: Path, text: str | bytes, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def ask(connection: CsvConnection, *customers: str, query: Query = QUANTITY) -> list[Reading]:
    asks = [Ask(RemoteCustomer(name, name), (query,)) for name in customers]
    return list(connection.counts(asks, MOMENT))


def numbers(connection: CsvConnection, customer: str = "Contoso") -> dict[str, Decimal]:
    (reading,) = ask(connection, customer)
    assert reading.state is State.KNOWN
    return {count.sku: count.quantity for count in reading.counts}


def failure(connection: CsvConnection) -> VendorError:
    with pytest.raises(VendorError) as caught:
        connection.customers()
    return caught.value


# What is read


def test_rows_of_one_customer_and_sku_are_added_over_all_files(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity\nContoso,GB,1.5\nContoso,SEAT,3\nFabrikam,GB,7\n", "a.csv")
    write(tmp_path, "note,quantity,customer,sku\nx,2.25,Contoso,GB\n", "b.csv")

    (reading,) = ask(connect(), "Contoso")

    assert reading.state is State.KNOWN
    assert [(count.sku, count.quantity) for count in reading.counts] == [("GB", Decimal("3.75")), ("SEAT", Decimal(3))]
    assert reading.counts[0].subjects is None
    assert reading.proof == "4 rows in 2 files"


def test_customers_are_the_distinct_values(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity\nFabrikam,GB,1\nContoso,GB,1\nContoso,SEAT,0\n")

    assert connect().customers() == [RemoteCustomer("Contoso", "Contoso"), RemoteCustomer("Fabrikam", "Fabrikam")]


def test_a_customer_that_no_row_names_is_unknown_and_never_zero(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity\nContoso,GB,0\n")

    known, absent = ask(connect(), "Contoso", "contoso")

    assert known.state is State.KNOWN
    assert known.counts[0].quantity == 0
    assert (absent.state, absent.code, absent.counts) == (State.UNKNOWN, "not_found", ())
    assert absent.reason


@pytest.mark.parametrize("query", [Query("gigabytes"), Query("quantity", (("domain", ("contoso.com",)),))])
def test_another_measure_or_a_filter_is_not_answered(connect: Open, tmp_path: Path, query: Query) -> None:
    write(tmp_path, "customer,sku,quantity\nContoso,GB,1\n")

    (reading,) = ask(connect(), "Contoso", query=query)

    assert (reading.state, reading.code) == (State.UNKNOWN, "unsupported")


def test_one_reading_for_each_customer_and_query(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity\nContoso,GB,1\n")
    asks = [Ask(RemoteCustomer(name, name), (QUANTITY, Query("other"))) for name in ("Contoso", "Fabrikam")]

    readings = list(connect().counts(asks, MOMENT))

    assert {(reading.customer_id, reading.query) for reading in readings} == {
        (name, query) for name in ("Contoso", "Fabrikam") for query in (QUANTITY, Query("other"))
    }
    assert len(readings) == 4


def test_without_a_quantity_column_each_row_counts_one(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,host\nContoso,AGENT,pc2\nContoso,AGENT,pc1\nContoso,OTHER,pc1\n")

    (reading,) = ask(connect(quantity=None, subject="host"), "Contoso")

    assert [(count.sku, count.quantity) for count in reading.counts] == [("AGENT", Decimal(2)), ("OTHER", Decimal(1))]
    assert reading.counts[0].subjects == (Subject("pc2", "pc2"), Subject("pc1", "pc1"))


def test_without_quantity_and_subject_rows_are_told_apart_by_all_columns(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,host\nContoso,AGENT,pc1\nContoso,AGENT,pc2\n")

    assert numbers(connect(quantity=None)) == {"AGENT": Decimal(2)}

    write(tmp_path, "customer,sku,host\nContoso,AGENT,pc1\nContoso,AGENT,pc1\n")

    assert "line 3: is the same row as line 2" in str(failure(connect(quantity=None)))


def test_a_subject_stands_once_and_not_for_nothing(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity,host\nContoso,GB,5,pc1\nContoso,GB,7,pc1\nContoso,GB,0,pc2\n")

    (reading,) = ask(connect(subject="host"), "Contoso")

    assert reading.counts[0].quantity == 12
    assert reading.counts[0].subjects == (Subject("pc1", "pc1"),)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiter_line_ending_and_byte_order_mark_are_found(
    connect: Open, tmp_path: Path, delimiter: str, ending: str, mark: bytes
) -> None:
    lines = [("customer", "sku", "quantity"), ("Zürich AG", "GB", "2.5"), ("", ""), ('"A ""B"" & Co"', "GB", "3")]
    text = ending.join(delimiter.join(cells) if any(cells) else "" for cells in lines)
    write(tmp_path, mark + text.encode())

    assert [customer.id for customer in connect().customers()] == ['A "B" & Co', "Zürich AG"]
    assert numbers(connect(), "Zürich AG") == {"GB": Decimal("2.5")}


def test_each_file_has_its_own_delimiter(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity\nContoso,GB,1\n", "a.csv")
    write(tmp_path, 'sep=;\r\n"customer"; "sku"; quantity \r\n" Contoso ";GB;2\r\n', "b.csv")

    assert numbers(connect()) == {"GB": Decimal(3)}


def test_a_declared_delimiter_is_obeyed(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer~sku~quantity\nContoso~GB~1\n")

    assert numbers(connect(delimiter="~")) == {"GB": Decimal(1)}
    assert "has none of the declared columns" in str(failure(connect()))


def test_an_ignored_column_may_hold_anything_and_stand_twice(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, 'customer,sku,quantity,note,note\nContoso,GB,1,"two\nlines, and, commas",\nContoso,SEAT,2,,\n')

    assert numbers(connect()) == {"GB": Decimal(1), "SEAT": Decimal(2)}


def test_the_path_may_be_absolute_or_go_into_folders(connect: Open, tmp_path: Path) -> None:
    deep = tmp_path / "2026" / "11"
    deep.mkdir(parents=True)
    write(deep, "customer,sku,quantity\nContoso,GB,1\n")

    assert numbers(connect(path="**/*.csv")) == {"GB": Decimal(1)}
    assert numbers(connect(path=f"{deep}/exp*")) == {"GB": Decimal(1)}


# What is an error of the source

HEADER = "customer,sku,quantity\n"
GOOD = "Contoso,GB,1\n"


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


def test_no_file_is_an_error(connect: Open, tmp_path: Path) -> None:
    error = failure(connect(path="exports/*.csv"))

    assert error.code == "incomplete"
    assert '[connections.backup] path: no file matches "exports/*.csv"' in str(error)


def test_a_folder_is_not_a_file(connect: Open, tmp_path: Path) -> None:
    (tmp_path / "exports.csv").mkdir()

    assert 'Name its files: "exports.csv/*.csv"' in str(failure(connect(path="exports.csv")))
    assert failure(connect()).code == "incomplete"


def test_a_pipe_is_refused_without_waiting_for_it(connect: Open, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "export.csv")

    error = failure(connect())

    assert (error.code, "not a plain file" in str(error)) == ("unavailable", True)


def test_a_dangling_link_is_an_error(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, HEADER + GOOD, "a.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")

    assert str(failure(connect())).startswith("b.csv: cannot be read")


def test_a_refused_file_is_forbidden(connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, HEADER + GOOD)

    def refuse(*_: Any) -> bytes:
        raise PermissionError(13, "Permission denied")

    # As root no file is refused, so the refusal is made.
    monkeypatch.setattr(reading_files, "_content", refuse)

    assert failure(connect()).code == "forbidden"


def test_a_runaway_file_is_refused(connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, HEADER + GOOD * 100)
    monkeypatch.setattr(reading_files, "MAX_BYTES", 64)

    assert "is larger than" in str(failure(connect()))


@pytest.mark.parametrize("event", ["grows", "vanishes", "comes", "is replaced"])
def test_files_that_change_while_they_are_read_are_incomplete(
    connect: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    first = write(tmp_path, HEADER + GOOD, "a.csv")
    write(tmp_path, HEADER + "Fabrikam,GB,1\n", "b.csv")
    real = reading_files._content

    def meanwhile(path: Path, name: str, stamps: dict[str, Any]) -> bytes | None:
        content = real(path, name, stamps)
        if name == "b.csv":
            if event == "grows":
                first.write_text(first.read_text() + "Contoso,SEAT,4\n")
            elif event == "vanishes":
                first.unlink()
            elif event == "comes":
                write(tmp_path, HEADER + "Northwind,GB,1\n", "c.csv")
            else:
                write(tmp_path, HEADER + "Contoso,GB,2\n", "new").replace(first)
        return content

    monkeypatch.setattr(reading_files, "_content", meanwhile)

    error = failure(connect())

    assert error.code == "incomplete"
    assert "while" in str(error)
    assert str(error).startswith("c.csv" if event == "comes" else "a.csv")


# Sign-in and settings


def test_sign_in_reads_the_files_and_tells_when_they_are_old(connect: Open, tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + GOOD)
    fresh = int(NOW.timestamp()) - 86_400
    os.utime(path, (fresh, fresh))

    assert connect().sign_in().identity == "1 row in 1 file"
    assert connect().sign_in().warnings == ()

    os.utime(path, (fresh - 40 * 86_400, fresh - 40 * 86_400))

    (warning,) = connect().sign_in().warnings
    assert "41 days ago (2026-10-10)" in warning


def test_what_the_connector_declares() -> None:
    abilities = connector.abilities

    assert connector.kind == "csv"
    assert abilities.reads == {"used", "bought"}
    assert abilities.default_measure in abilities.measures
    assert (abilities.per_customer, dict(abilities.operations), connector.sandbox) == (False, {}, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": ""}, "at least 1 character"),
        ({"customer": "  "}, "must name a column"),
        ({"sku": None}, "Field required"),
        ({"subject": "sku"}, 'names the column "sku" twice'),
        ({"delimiter": ",,"}, "must be one character"),
        ({"delimiter": "."}, "must be one character"),
        ({"base_url": "https://example.com"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(connect: Open, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        connect(**changes)

    assert words in str(caught.value)


# Whatever the rows are, they are either added exactly or refused

_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
).filter(lambda name: name == name.strip() and name != "" and unicodedata.is_normalized("NFC", name))
_ROWS = st.lists(
    st.tuples(_NAMES, _NAMES, st.decimals(0, 10**9, places=3, allow_nan=False), st.integers()), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, delimiter=st.sampled_from(",|\t"), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_what_is_counted(
    connect: Open, tmp_path: Path, rows: list[tuple[str, str, Decimal, int]], delimiter: str, ending: str
) -> None:
    distinct = {(customer, sku, quantity, str(mark)) for customer, sku, quantity, mark in rows}
    quoted = [
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in (customer, sku, f"{quantity:f}", mark))
        for customer, sku, quantity, mark in sorted(distinct)
    ]
    header = delimiter.join(("customer", "sku", "quantity", "mark"))
    write(tmp_path, ending.join([header, *quoted]))
    expected: dict[str, dict[str, Decimal]] = {}
    for customer, sku, quantity, _ in distinct:
        by_sku = expected.setdefault(customer, {})
        by_sku[sku] = by_sku.get(sku, Decimal(0)) + quantity

    connection = connect(subject="mark")

    assert {customer.id for customer in connection.customers()} == set(expected)
    assert {customer: numbers(connection, customer) for customer in expected} == expected
