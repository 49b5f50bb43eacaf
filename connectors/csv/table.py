"""One file's text as rows of declared cells. Pure: no files, no settings beyond the column names.

Owns delimiter, header, quoting, and what a number may look like. Does not own which files there are or what is added
up (`read`). What always holds: a `Row` has every declared cell, filled and free of control characters; whatever does
not comes back as a Fault with its line.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from syncd.errors import Fault
from syncd.money import number

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_PLAIN = re.compile(r"[0-9]+(\.[0-9]{0,30})?|\.[0-9]{1,30}")
_GROUPED = re.compile(r"[0-9]{1,3}(\.[0-9]{3})+")
# With the characters that nobody sees (soft hyphen, zero-width space and joiners, marks and turns of direction, a byte
# order mark in the middle): they would make two customers of one.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
# A person's name or address that slid into a wrong column; messages name no person.
_PERSONAL = re.compile(r"@|[^\W\d_]\s+[^\W\d_]")

_QUOTES = "Write each quote inside a quoted field twice."

Report = Callable[[Fault], None]


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the declared columns; None for those that were not declared."""

    customer: str
    sku: str
    quantity: str | None
    subject: str | None

    def named(self) -> tuple[str, ...]:
        """Those that every file must have."""
        return tuple(name for name in (self.customer, self.sku, self.quantity, self.subject) if name is not None)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `line` is the line on which it begins, from 1. `cells`: all of them, the ignored ones too."""

    line: int
    customer: str
    sku: str
    quantity: Decimal
    subject: str | None
    cells: tuple[str, ...]


class _Damaged(Exception):
    """The quoting broke on the record that begins at `line`; nothing after it can be read."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def rows(name: str, text: str, columns: Columns, delimiter: str | None, report: Report) -> Iterator[Row]:
    """The whole rows of one file; what is wrong goes to `report`, and reading goes on where it can.

    `name` is the file as messages call it. Blank lines are skipped. Yields nothing for a text without rows: the
    caller tells that from what was reported.
    """
    separator, first_line, text = _declared_separator(text, delimiter)
    header = _find_header(text, columns, separator, first_line)
    if header is None:
        return
    if not header.names:
        report(Fault(f"{name} line {header.line}", "has quotes that do not match.", _QUOTES))
        return
    places = _places(name, header, columns, report)
    if places is None:
        return
    try:
        for line, cells in _records(text, header.delimiter, first_line):
            if line <= header.line:
                continue
            if len(cells) != len(header.names):
                report(_ragged(name, line, len(cells), header))
                continue
            row = _row(name, line, cells, columns, places, header.delimiter, report)
            if row is not None:
                yield row
    except _Damaged as damage:
        report(Fault(f"{name} line {damage.line}", damage.what, _QUOTES))


@dataclass(frozen=True, slots=True)
class _Header:
    line: int
    names: tuple[str, ...]
    delimiter: str


def _declared_separator(text: str, delimiter: str | None) -> tuple[str | None, int, str]:
    """Spreadsheets accept a first line `sep=;`: it names the delimiter and is no header."""
    match = re.match(r"sep=(.)(?:\r\n|\r|\n)", text)
    if match is None:
        return delimiter, 1, text
    return delimiter or match[1], 2, text[match.end() :]


def _records(text: str, delimiter: str, first_line: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins. Raises _Damaged."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True
    )
    line = first_line
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = "a quote is opened and never closed." if "end of data" in str(error) else f"cannot be read: {error}."
            raise _Damaged(line, what) from None
        if any(cells) or len(cells) > 1:
            yield line, [cell.strip() for cell in cells]
        line = first_line + reader.line_num


def _find_header(text: str, columns: Columns, delimiter: str | None, first_line: int) -> _Header | None:
    """The first record, split by the delimiter under which most of the declared columns appear.

    At most one delimiter can set free two different column names, so this finds it and never has to guess; where no
    delimiter shows them all, the best one serves the message. None where there is no record.
    """
    best: tuple[tuple[int, int], _Header] | None = None
    for candidate in (delimiter,) if delimiter else tuple(DELIMITERS):
        try:
            line, cells = next(_records(text, candidate, first_line))
        except StopIteration:
            return None
        except _Damaged:
            continue
        rank = (len(set(columns.named()) & set(cells)), len(cells))
        if best is None or rank > best[0]:
            best = rank, _Header(line, tuple(cells), candidate)
    # No names: every delimiter broke on the quoting.
    return best[1] if best else _Header(first_line, (), delimiter or ",")


def _places(name: str, header: _Header, columns: Columns, report: Report) -> dict[str, int] | None:
    """Where each declared column stands; None, after a report for each fault, where one is missing or double."""
    whole = True
    if not any(column in header.names or _close(column, header) for column in columns.named()):
        # Perhaps the header is missing and this is a row of people: it is described, not quoted.
        width = f"{len(header.names)} {'field' if len(header.names) == 1 else 'fields'}"
        what = f"has none of the declared columns; split at each {_spoken(header.delimiter)} it has {width}."
        report(Fault(f"{name} line {header.line}", what, "Correct the names of the columns, or add the header."))
        return None
    for column in columns.named():
        found = header.names.count(column)
        if found == 0:
            whole = False
            report(Fault(f"{name} line {header.line}", f'has no column "{column}".', _nearest(column, header)))
        elif found > 1:
            whole = False
            what = f'has {found} columns named "{column}", so it cannot be known which one counts.'
            report(Fault(f"{name} line {header.line}", what, "Rename all but one."))
    return {column: header.names.index(column) for column in columns.named()} if whole else None


def _close(column: str, header: _Header) -> str:
    """The title most like a column's name; "" where none is."""
    by_fold = {title.casefold(): title for title in header.names if title}
    close = difflib.get_close_matches(column.casefold(), list(by_fold), n=1, cutoff=0.6)
    return by_fold[close[0]] if close else ""


def _nearest(column: str, header: _Header) -> str:
    if close := _close(column, header):
        return f'The nearest is "{_shown_title(close)}".'
    titles = [f'"{_shown_title(title)}"' for title in header.names if title]
    return f"It has {', '.join(titles[:8])}" + (f" and {len(titles) - 8} more." if len(titles) > 8 else ".")


def _shown_title(title: str) -> str:
    title = _CONTROL.sub("?", title)
    return title if len(title) <= 40 else f"{title[:40]}…"


def _spoken(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, f'"{delimiter}"')


def _ragged(name: str, line: int, width: int, header: _Header) -> Fault:
    what = f"has {width} {'field' if width == 1 else 'fields'} where the header has {len(header.names)}."
    delimiter = _spoken(header.delimiter)
    mend = (
        f"Complete or delete the row; a {delimiter} inside a field needs quotes around the field."
        if width > len(header.names)
        else "Complete or delete the row; the file may have been cut off."
    )
    return Fault(f"{name} line {line}", what, mend)


def _row(
    name: str,
    line: int,
    cells: Sequence[str],
    columns: Columns,
    places: dict[str, int],
    delimiter: str,
    report: Report,
) -> Row | None:
    whole = True
    if not any(cells):
        report(Fault(f"{name} line {line}", "is a row of empty cells.", "Delete it."))
        return None
    for column in columns.named():
        if problem := _cell_problem(cells[places[column]], column == columns.quantity, delimiter):
            whole = False
            report(Fault(f'{name} line {line} column "{column}"', *problem))
    if not whole:
        return None
    quantity = number(cells[places[columns.quantity]]) if columns.quantity is not None else Decimal(1)
    subject = cells[places[columns.subject]] if columns.subject is not None else None
    return Row(line, cells[places[columns.customer]], cells[places[columns.sku]], quantity, subject, tuple(cells))


def _cell_problem(cell: str, is_quantity: bool, delimiter: str) -> tuple[str, str] | None:
    if not cell:
        return "is empty.", "Fill it in or delete the row." + (" Write 0 where there is none." if is_quantity else "")
    if _CONTROL.search(cell):
        return "holds a line break or another character that nobody sees.", "Take it out."
    if is_quantity and (problem := quantity_problem(cell, delimiter)):
        return f"{shown(cell)} {problem[0]}", problem[1]
    return None


def quantity_problem(cell: str, delimiter: str) -> tuple[str, str] | None:
    """Why a cell is not a usable quantity, and how to mend it; None where it is one.

    Stricter than `syncd.money.number`: `1,500` is 1500 to one reader and 1.5 to another, `1e3` has lost digits in a
    spreadsheet. Where fields are separated by semicolons, the comma is usually the decimal mark and the point groups
    thousands, so `1.500` is refused there too: the two readings differ by a factor of a thousand.
    """
    plain = "Write plain decimals, such as 1500 or 1.5."
    if re.fullmatch(r"[-−–]\s*[0-9.,]+|\([0-9.,]+\)|[0-9.,]+-", cell):
        return "is negative, and a count cannot be below zero.", "Correct the export."
    if "," in cell and re.fullmatch(r"[0-9.,]+", cell):
        return "has a comma, which may be a decimal mark or group thousands.", plain
    if delimiter == ";" and _GROUPED.fullmatch(cell):
        return "may be thousands or decimals in a file whose fields are separated by semicolons.", plain
    if re.fullmatch(r"[0-9]{1,3}([\s'’_][0-9]{3})+([.,][0-9]+)?", cell):
        return "groups its thousands.", plain
    if re.fullmatch(r"[0-9.,]+[eE][+-]?[0-9]+", cell):
        return "is in scientific notation and may have lost digits.", "Write all digits: format the column as a number."
    if not _PLAIN.fullmatch(cell):
        return "is not a number.", plain
    try:
        number(cell)
    except ValueError:
        return "is too large to be a count.", "Correct the export."
    return None


def shown(cell: str) -> str:
    """A cell as a message may quote it: short, and never what looks like a person."""
    if _PERSONAL.search(cell):
        return "the text there"
    return f'"{cell}"' if len(cell) <= 40 else f'"{cell[:40]}…"'
