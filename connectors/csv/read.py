"""From files to counts: finds the files, reads them whole, adds up rows.

Owns which files are read and how their wholeness is known. Does not own what a row is (`table`). What always holds:
`read_export` returns only what every file said while none of them moved; anything else is one VendorError that tells
all faults of the set at once, up to twenty.
"""

from __future__ import annotations

import codecs
import glob
import os
import stat
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path
from types import MappingProxyType

from connectors.csv.config import CsvSettings
from connectors.csv.folders import fault, unseen
from connectors.csv.table import Columns, Row, rows
from syncd.errors import Fault, VendorError
from syncd.model import Count, Subject

MAX_FAULTS = 20
# A file of counts holds a line for each device or plan: beyond this it is another file, or a runaway export.
MAX_BYTES = 100 * 1024 * 1024

# What tells two states of a file apart: device, inode, size, time of the last change in nanoseconds.
Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Export:
    """What one set of files said, whole. `counts`: by customer, sorted by SKU. `newest_ns`: youngest file's time."""

    pattern: str
    files: int
    total_rows: int
    newest_ns: int
    counts: Mapping[str, tuple[Count, ...]]

    @property
    def proof(self) -> str:
        """How it is known that the read was whole."""
        return f"{_many(self.total_rows, 'row')} in {_many(self.files, 'file')}"


@dataclass(slots=True)
class _Faults:
    """Keeps the first faults and counts the rest."""

    code: str = ""
    kept: list[Fault] = field(default_factory=list)
    total: int = 0

    def add(self, fault: Fault, code: str = "malformed") -> None:
        # Damage outranks absence: "malformed" tells more than "incomplete" where a set has both.
        self.code = code if not self.code or code == "malformed" else self.code
        self.total += 1
        if len(self.kept) < MAX_FAULTS:
            self.kept.append(fault)

    def error(self) -> VendorError:
        told = [str(fault) for fault in self.kept]
        if self.total > len(told):
            told.append(f"and {self.total - len(told)} more")
        return VendorError(self.code, "\n".join(told))


@dataclass(slots=True)
class _Sum:
    """What the rows of one customer and SKU add up to. Subjects keep the order in which they came, each once."""

    quantity: Decimal = Decimal(0)
    subjects: dict[str, Subject] = field(default_factory=dict)


def read_export(settings: CsvSettings, folder: Path, connection: str) -> Export:
    """Read all files of `settings.path` under `folder`. `connection` is the name that messages use.

    Raises VendorError: `incomplete` where there is no file, an empty one, one without rows, or a set that changed while
    it was read; `malformed` where a file does not hold what was declared; `forbidden` and `unavailable` where the
    system refuses a file, or a folder that the glob goes through.
    """
    faults = _Faults()
    names = _matches(settings, folder)
    for place, error in unseen(settings.path, folder).items():
        if place not in names:  # a file is judged where it is read
            faults.add(*fault(place or str(folder), error))
    if not names:
        if not faults.total:
            faults.add(_nothing_found(settings, folder, connection), "incomplete")
        raise faults.error()
    columns = Columns(settings.customer, settings.sku, settings.quantity, settings.subject)
    stamps: dict[str, Stamp] = {}
    sums: dict[str, dict[str, _Sum]] = {}
    seen: dict[tuple[object, ...], tuple[str, Row]] = {}
    total = 0
    for name in names:
        before, before_total = faults.total, total
        text = _text(name, folder, stamps, faults)
        if text is None:
            continue
        if not text.strip():
            faults.add(Fault(name, "is empty.", "Let the export finish, or take the file away."), "incomplete")
            continue
        for row in rows(name, text, columns, settings.delimiter, faults.add):
            total += 1
            if _is_new(name, row, columns, seen, faults):
                _add(row, sums)
        if total == before_total and faults.total == before:
            what = "holds no rows, which is not the same as zero."
            faults.add(Fault(name, what, "Let the export finish, or take the file away."), "incomplete")
    moved = _moved(settings, folder, names, stamps)
    if moved is not None:
        raise VendorError("incomplete", str(moved))
    if faults.total:
        raise faults.error()
    newest = max(stamp[3] for stamp in stamps.values())
    return Export(settings.path, len(names), total, newest, _counts(sums, settings.subject is not None))


def _matches(settings: CsvSettings, folder: Path) -> list[str]:
    """The names that the glob finds, folders left out, in an order that does not depend on the disk."""
    found = glob.glob(settings.path, root_dir=folder, recursive=True)
    return sorted(name for name in set(found) if not (folder / name).is_dir())


def _nothing_found(settings: CsvSettings, folder: Path, connection: str) -> Fault:
    place = f"[connections.{connection}] path"
    if (folder / settings.path).is_dir():
        return Fault(place, f'"{settings.path}" is a folder.', f'Name its files: "{settings.path.rstrip("/")}/*.csv".')
    mend = "Put the export there or correct the path; it is relative to the folder of config.toml."
    return Fault(place, f'no file matches "{settings.path}" in {folder}.', mend)


def _text(name: str, folder: Path, stamps: dict[str, Stamp], faults: _Faults) -> str | None:
    """One file's text, its stamp noted; None after a fault."""
    try:
        content = _content(folder / name, name, stamps)
    except PermissionError:
        faults.add(
            Fault(name, "may not be read by the user that runs syncd.", "Grant it the right to read."), "forbidden"
        )
        return None
    except OSError as error:
        mend = "See that it is a plain file on a disk that answers."
        faults.add(Fault(name, f"cannot be read ({error.strerror or error}).", mend), "unavailable")
        return None
    if content is None:
        mend = "Split it, or point path at the export itself."
        faults.add(Fault(name, f"is larger than {MAX_BYTES // 1024 // 1024} MiB.", mend))
        return None
    if foreign := _foreign(content):
        faults.add(Fault(name, foreign, 'Save it as "CSV UTF-8".'))
        return None
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        # One letter may be written in two ways (ä, or a and two dots): to a person, and here, that is one name.
        return unicodedata.normalize("NFC", content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = len((content[: error.start] + b"?").splitlines())
        what = f"the byte 0x{content[error.start]:02x} is not UTF-8; it may be Latin-1 or a Windows code page."
        faults.add(Fault(f"{name} line {line}", what, 'Save it as "CSV UTF-8".'))
        return None


def _content(path: Path, name: str, stamps: dict[str, Stamp]) -> bytes | None:
    """The bytes of a plain file; None where there are too many. Raises OSError."""
    # A pipe would block for ever, so the kind is looked at before it is opened.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "not a plain file")
    with path.open("rb") as stream:
        stamps[name] = _stamp(os.fstat(stream.fileno()))
        content = stream.read(MAX_BYTES + 1)
    return content if len(content) <= MAX_BYTES else None


def _foreign(content: bytes) -> str:
    """What the first bytes betray, in words; "" for text."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "is UTF-16 text."
    if content.startswith(b"PK\x03\x04"):
        return "is a workbook or a zip archive, not CSV."
    return "holds bytes of zero, so it is not text." if b"\0" in content else ""


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _moved(settings: CsvSettings, folder: Path, names: list[str], stamps: Mapping[str, Stamp]) -> Fault | None:
    """What changed since the first file was opened: a set that moves is no set."""
    mend = "It is read again in the next cycle. Write under another name and rename it when it is whole."
    if (now := _matches(settings, folder)) != names:
        name = sorted(set(now) ^ set(names))[0]
        what = "came while the files were read." if name in now else "vanished while the files were read."
        return Fault(name, what, mend)
    for name, stamp in stamps.items():
        try:
            same = _stamp((folder / name).stat()) == stamp
        except OSError:
            same = False
        if not same:
            return Fault(name, "changed while it was read.", mend)
    return None


def _is_new(
    name: str, row: Row, columns: Columns, seen: dict[tuple[object, ...], tuple[str, Row]], faults: _Faults
) -> bool:
    """Whether no earlier row counts the same; else a fault that names both.

    Where a subject is declared, one customer has it once of each SKU, in whatever case it is written: two quantities of
    it are two exports of one thing, and their sum would bill it twice. Without a subject, rows are the same where all
    declared columns are equal, in one file or two. Where only customer and SKU are declared, rows are counted and alike
    by nature; there they are the same only where every column is.
    """
    counted = columns.quantity is None and columns.subject is None
    if row.subject is not None:
        key: tuple[object, ...] = (row.customer, row.sku, row.subject.casefold())
    else:
        key = row.cells if counted else (row.customer, row.sku, row.quantity)
    first_name, first = seen.setdefault(key, (name, row))
    if first is row:
        return True
    other = f"line {first.line}" if first_name == name else f"{first_name} line {first.line}"
    if (first.quantity, first.subject) != (row.quantity, row.subject):
        what = f"names the same subject as {other}, for the same customer and SKU."
        mend = "Delete one; an older export beside the present one would be counted too."
    else:
        what = f"is the same row as {other}" + ("." if counted else " in every declared column.")
        mend = "Delete one" + ("." if columns.subject else ", or declare as subject the column that tells them apart.")
    faults.add(Fault(f"{name} line {row.line}", what, mend))
    return False


def _add(row: Row, sums: dict[str, dict[str, _Sum]]) -> None:
    entry = sums.setdefault(row.customer, {}).setdefault(row.sku, _Sum())
    # A cell has at most 15 digits before the point and 30 after it: 60 hold the sum of more rows than fit in a file.
    with localcontext(prec=60):
        entry.quantity += row.quantity
    if row.subject is not None and row.quantity:
        entry.subjects.setdefault(row.subject, Subject(row.subject, row.subject))


def _counts(sums: Mapping[str, Mapping[str, _Sum]], with_subjects: bool) -> Mapping[str, tuple[Count, ...]]:
    return MappingProxyType(
        {
            customer: tuple(
                Count(sku, sku, entry.quantity, subjects=tuple(entry.subjects.values()) if with_subjects else None)
                for sku, entry in sorted(by_sku.items())
            )
            for customer, by_sku in sums.items()
        }
    )


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
