"""What the rows of good files come to: added exactly, told apart, however they are written down."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from pathlib import Path

import pytest
from csv_kit import MOMENT, QUANTITY, Open, ask, failure, numbers, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.connect.contract import Ask
from syncd.model import Query, RemoteCustomer, State, Subject


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


def test_a_subject_is_not_listed_for_nothing(connect: Open, tmp_path: Path) -> None:
    write(tmp_path, "customer,sku,quantity,host\nContoso,GB,12,pc1\nContoso,SEAT,1,pc1\nContoso,GB,0,pc2\n")

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


# Whatever the rows are, they are either added exactly or refused

_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=8
).filter(lambda name: name == name.strip() and name != "" and unicodedata.is_normalized("NFC", name))
_ROWS = st.lists(
    st.tuples(_NAMES, _NAMES, st.decimals(0, 10**9, places=3, allow_nan=False), st.integers()), min_size=1, max_size=20
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, delimiter=st.sampled_from(",|\t"), ending=st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_what_is_counted(
    connect: Open, tmp_path: Path, rows: list[tuple[str, str, Decimal, int]], delimiter: str, ending: str
) -> None:
    by_mark = {(customer, sku, mark): quantity for customer, sku, quantity, mark in rows}
    distinct = {(customer, sku, quantity, str(mark)) for (customer, sku, mark), quantity in by_mark.items()}
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
