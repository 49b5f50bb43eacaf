"""The double's SuiteQL: real SQL over tables that are made from the records for each query, told as NetSuite tells it
(text for every value, nothing for null, flags as T and F).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

COLUMNS = {
    "customer": "id entityid companyname altname externalid isinactive currency",
    "item": "id itemid displayname externalid itemtype subtype isinactive",
    "currency": "id symbol name currencyprecision",
    "pricing": "item pricelevel quantity currency unitprice",
    "accountingperiod": "id periodname startdate enddate closed arlocked alllocked isyear isquarter isadjust",
    "transaction": "id type entity trandate tranid externalid memo status voided currency foreigntotal",
    "transactionline": "uniquekey transaction linesequencenumber mainline taxline iscogs item memo quantity rate "
    "foreignamount",
    "charge": "id externalid billto billingitem chargedate stage quantity rate invoice memo",
}
_TEXT = frozenset(
    "entityid companyname altname externalid isinactive itemid displayname itemtype subtype symbol name periodname "
    "startdate enddate closed arlocked alllocked isyear isquarter isadjust type trandate tranid memo status voided "
    "mainline taxline iscogs chargedate stage".split()
)


class BadQuery(Exception):
    """What NetSuite answers with INVALID_PARAMETER."""


def run(tables: Mapping[str, Iterable[Mapping[str, Any]]], query: str) -> list[dict[str, str]]:
    """The rows of a query over these tables; a table that is left out does not exist. Raises BadQuery."""
    if not re.match(r"\s*SELECT\b", query, re.IGNORECASE):
        raise BadQuery("only SELECT is allowed")
    named = {one.lower() for one in re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", query, re.IGNORECASE)}
    for table in named - set(tables):
        raise BadQuery(f"Invalid or unsupported search: Record '{table}' was not found.")
    book = sqlite3.connect(":memory:")
    try:
        book.create_function("TO_DATE", 2, lambda text, _: text)
        book.create_function("TO_CHAR", 2, lambda value, _: value)
        for table in named:
            _load(book, table, tables[table])
        cursor = book.execute(re.sub(r"\btransaction\b", '"transaction"', query))
        names = [one[0].lower() for one in cursor.description]
        return [_shown(names, row) for row in cursor.fetchall()]
    except sqlite3.Error as error:
        raise BadQuery(f"Search error occurred: {error}") from None
    finally:
        book.close()


def _load(book: sqlite3.Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    names = COLUMNS[table].split()
    columns = ", ".join(f'"{name}" {"TEXT" if name in _TEXT else "NUMERIC"}' for name in names)
    book.execute(f'CREATE TABLE "{table}" ({columns})')
    marks = ", ".join("?" * len(names))
    book.executemany(
        f'INSERT INTO "{table}" VALUES ({marks})',  # noqa: S608 - names of the double's own tables
        ([_kept(row.get(name)) for name in names] for row in rows),
    )


def _kept(value: Any) -> Any:
    if isinstance(value, bool):
        return "T" if value else "F"
    return str(value) if isinstance(value, Decimal) else value


def _shown(names: Sequence[str], row: Sequence[Any]) -> dict[str, str]:
    told: dict[str, Any] = {"links": []}
    for name, value in zip(names, row, strict=True):
        if value is not None:
            told[name] = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
    return told
