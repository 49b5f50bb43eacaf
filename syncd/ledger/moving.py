"""The ledger as one plain file: how it moves from one database to another, and how PostgreSQL is backed up.

The file is gzip around JSON, one value a line: first what it holds (schema, installation, events, head, the columns and
number of rows of each table), then each row as [table, values], last the SHA-256 of all lines before. It is read
strictly: whatever is not exactly as `export` writes it is damage. Nothing is written before the whole file was proven,
and what was written is proven again inside the same transaction.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import secrets
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import structlog
from sqlalchemy import Column, Connection, Integer, LargeBinary, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from syncd.clock import Clock, real_now
from syncd.errors import Fault, LedgerBroken, LedgerBusy, SyncdError, UserFault
from syncd.ledger import chain, cycles, engine, files, tables, verify
from syncd.ledger.codec import instant_text
from syncd.ledger.engine import Place

_log = structlog.get_logger()

FORMAT = 1
MAGIC = b"\x1f\x8b"  # how every gzip file begins
_SQLITE = b"SQLite format 3\0"
_ROWS = 1000
_LEVEL = 6
Progress = Callable[[int, int, str], None]


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """The first line. `columns` and `rows` are by table, in the order in which the tables follow."""

    syncd: str
    format: int
    schema: str
    installation: str
    events: int
    head: str
    made_at: str
    columns: dict[str, list[str]]
    rows: dict[str, int]


class _End(msgspec.Struct, forbid_unknown_fields=True):
    sha256: str


def silent(done: int, total: int, what: str) -> None:
    """No progress to show."""


def kind_of(path: Path) -> str:
    """ "export" or "backup", by how a file begins; its content is proven later. Raises UserFault for anything else."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE))
    except OSError as error:
        raise UserFault(Fault(str(path), f"cannot be read ({error.strerror or error}).")) from None
    if start.startswith(MAGIC):
        return "export"
    if start == _SQLITE:
        return "backup"
    mend = "Name a file that `syncd backup` or `syncd ledger export` made."
    raise UserFault(Fault(str(path), "is neither a backup nor an export.", mend))


def export(
    url: str, target: Path, *, folder: Path, clock: Clock = real_now, progress: Progress = silent
) -> tuple[int, str]:
    """Writes the whole ledger, as of one moment, into a new file; returns its head. Others may write meanwhile.

    Raises UserFault where `target` exists or there is no ledger, LedgerBroken where the record does not verify,
    SyncdError where the disk refuses.
    """
    if os.path.lexists(target):
        raise UserFault(Fault(str(target), "exists already.", "Name a file that does not."))
    place = engine.open_place(url, folder, clock, create=False)
    try:
        with place.worded("no copy was made"), engine.reading(place.engine) as connection:
            return write_out(connection, place.damage, place.name, target, clock=clock, progress=progress)
    finally:
        place.close()


def write_out(
    connection: Connection,
    damage: Callable[[Connection], Iterator[str]],
    name: str,
    target: Path,
    *,
    clock: Clock,
    progress: Progress,
) -> tuple[int, str]:
    """`export` of the ledger called `name`, which the connection is reading."""
    wrong = next(verify.problems(connection, damage), None)
    if wrong is not None:
        raise LedgerBroken(f"the ledger in {name} is damaged: {wrong} It was not copied.")
    manifest = _manifest(connection, clock)
    made = files.side(target.absolute(), f".part-{os.getpid()}-{secrets.token_hex(4)}")
    files.make_private(made, wanted=target)
    try:
        _write(connection, manifest, made, progress)
        _read_all(made, progress)
        if not files.put_in_place(made, target.absolute()):
            raise UserFault(Fault(str(target), "exists already.", "Name a file that does not."))
    except OSError as error:
        raise SyncdError(f"{target} cannot be written: {error.strerror or error}.") from None
    finally:
        files.forget(made)
    _log.info("ledger_exported", target=str(target), events=manifest.events)
    return manifest.events, manifest.head


def _manifest(connection: Connection, clock: Clock) -> Manifest:
    told = connection.execute(select(tables.meta)).one()
    ordered = tables.metadata.sorted_tables  # a row comes after the one that it points to
    return Manifest(
        syncd="ledger",
        format=FORMAT,
        schema=tables.SCHEMA,
        installation=told.installation,
        events=told.events,
        head=told.head,
        made_at=instant_text(clock()),
        columns={str(table.name): [str(column.name) for column in table.columns] for table in ordered},
        rows={
            str(table.name): connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in ordered
        },
    )


def _write(connection: Connection, manifest: Manifest, made: Path, progress: Progress) -> None:
    total = 2 * sum(manifest.rows.values())
    content = hashlib.sha256()
    encode = msgspec.json.encode
    with (
        made.open("wb") as bare,
        gzip.GzipFile(filename="", mode="wb", fileobj=bare, compresslevel=_LEVEL, mtime=0) as to,
    ):

        def put(line: bytes) -> None:
            content.update(line + b"\n")
            to.write(line + b"\n")

        put(encode(manifest))
        done = 0
        for table in tables.metadata.sorted_tables:
            binary = [isinstance(column.type, LargeBinary) for column in table.columns]
            for row in connection.execute(select(table).order_by(*table.primary_key.columns)).yield_per(_ROWS):
                values = [
                    base64.b64encode(value).decode("ascii") if is_binary else value
                    for value, is_binary in zip(row, binary, strict=True)
                ]
                put(encode([str(table.name), values]))
                done += 1
                if done % _ROWS == 0:
                    progress(done, total, table.name)
        to.write(encode(_End(content.hexdigest())) + b"\n")


def _damaged(path: Path, why: str) -> NoReturn:
    raise LedgerBroken(f"{path} is damaged: {why}. Nothing of it was used; take another copy.")


def rows_of(path: Path) -> Iterator[Manifest | tuple[Table, dict[str, Any]]]:
    """The manifest, then every row with its table; proven to the end when it ends. Raises LedgerBroken, UserFault."""
    content = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as lines:
            first = lines.readline()
            content.update(first)
            manifest = _understood(path, first)
            yield manifest
            by_name = {table.name: _Reader(table) for table in tables.metadata.sorted_tables}
            for name, count in manifest.rows.items():
                for _ in range(count):
                    line = lines.readline()
                    content.update(line)
                    told = msgspec.json.decode(line, type=tuple[str, list[Any]], strict=True)
                    if told[0] != name:
                        _damaged(path, f"a row of {told[0]!r} stands where one of {name!r} belongs")
                    yield by_name[name].table, by_name[name].row(told[1])
            end = msgspec.json.decode(lines.readline(), type=_End)
            if end.sha256 != content.hexdigest():
                _damaged(path, "its content does not match its SHA-256")
            if lines.read(1):
                _damaged(path, "something follows its last line")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        _damaged(path, f"it cannot be unpacked ({error})")
    except (ValueError, msgspec.DecodeError) as error:  # msgspec's errors are ValueErrors; said for the reader
        _damaged(path, f"it is not as it was written ({error})")
    except OSError as error:
        raise SyncdError(f"{path} cannot be read: {error.strerror or error}.") from None


def _understood(path: Path, line: bytes) -> Manifest:
    """The manifest, if this program can keep what it names."""
    manifest = msgspec.json.decode(line, type=Manifest)
    if manifest.syncd != "ledger" or manifest.format != FORMAT or manifest.schema > tables.SCHEMA:
        raise UserFault(
            Fault(
                str(path),
                f"was written by a newer syncd (format {manifest.format}, schema {manifest.schema}; this program knows "
                f"{FORMAT} and {tables.SCHEMA}).",
                "Use the newer program.",
            )
        )
    known = {table.name: [column.name for column in table.columns] for table in tables.metadata.sorted_tables}
    # An older program knew fewer tables; a migration that changes one has to be taught here.
    wanted = {name: columns for name, columns in known.items() if name in manifest.columns}
    if manifest.columns != wanted or manifest.rows.keys() != wanted.keys() or "meta" not in wanted:
        _damaged(path, "it does not hold the tables of a ledger")
    if manifest.schema == tables.SCHEMA and wanted != known:
        _damaged(path, "a table is missing")
    if manifest.rows["meta"] != 1 or any(count < 0 for count in manifest.rows.values()):
        _damaged(path, "its numbers of rows cannot be")
    return manifest


class _Reader:
    """Values from JSON as one table wants them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._columns: list[Column[Any]] = list(table.columns)

    def row(self, values: list[Any]) -> dict[str, Any]:
        """Raises ValueError where a value is not of its column's kind."""
        if len(values) != len(self._columns):
            raise ValueError(f"a row of {self.table.name} has {len(values)} values")
        return {column.name: self._value(column, value) for column, value in zip(self._columns, values, strict=True)}

    def _value(self, column: Column[Any], value: Any) -> Any:
        if value is None and column.nullable:
            return None
        if isinstance(value, str) and isinstance(column.type, LargeBinary):
            return base64.b64decode(value, validate=True)
        if type(value) is not (int if isinstance(column.type, Integer) else str):
            raise ValueError(f"{self.table.name}.{column.name} holds {value!r}")
        return value


def _read_all(path: Path, progress: Progress) -> Manifest:
    """Reads a file to its end and proves its chain. Raises LedgerBroken, UserFault, SyncdError."""
    rows = rows_of(path)
    manifest = next(rows)
    assert isinstance(manifest, Manifest)
    total = sum(manifest.rows.values())
    told: dict[str, Any] = {}

    def links() -> Iterator[chain.Link]:
        for done, one in enumerate(rows, start=1):
            assert not isinstance(one, Manifest)
            table, row = one
            if done % _ROWS == 0:
                progress(total + done, 2 * total, f"proving {table.name}")
            if table is tables.meta:
                told.update(row)
            if table is tables.event:
                yield engine.link_of(row)

    wrong = list(chain.faults(manifest.installation, links(), manifest.events, manifest.head))
    named = {"installation": manifest.installation, "events": manifest.events, "head": manifest.head}
    if not wrong and {name: told.get(name) for name in named} != named:
        wrong = ["its first line names another ledger than the one in it"]
    if wrong:
        _damaged(path, wrong[0].removesuffix("."))
    return manifest


def import_(
    source: Path, url: str, *, folder: Path, clock: Clock = real_now, progress: Progress = silent
) -> tuple[int, str]:
    """Makes an exported ledger the ledger at `url`, which must be new or empty; returns its head.

    It says of itself that it was restored (`Ledger.restored`): nobody can prove that the old one posted nothing since.
    Raises UserFault where there is a ledger with anything in it, LedgerBroken where the file is damaged, LedgerBusy
    where a daemon runs.
    """
    if not source.is_file():
        raise UserFault(Fault(str(source), "is not there.", "Name a file that `syncd ledger export` made."))
    if kind_of(source) == "backup":
        raise UserFault(Fault(str(source), "is a backup, not an export.", "Put it back with: syncd restore FILE"))
    manifest = _read_all(source, lambda done, total, what: progress(done - total // 2, total, what))
    place = engine.open_place(url, folder, clock, create=True)
    try:
        writer = place.claim("import", clock(), timedelta())
        try:
            with place.worded("nothing was written"), engine.writing(place.engine) as connection:
                if not writer.holds(connection):
                    raise LedgerBusy(f"the claim on the ledger {place.name} was lost: nothing was written. Try again.")
                _refuse_full(connection, place, manifest)
                try:
                    _fill(connection, source, manifest, progress)
                except IntegrityError:  # a forger's seal was right, but its rows do not go together
                    raise LedgerBroken(
                        f"{source} is damaged: its rows do not go together. Nothing was written; take another copy."
                    ) from None
                wrong = next(verify.problems(connection, place.damage), None)
                if wrong is not None:
                    raise LedgerBroken(f"{source} is damaged: {wrong} Nothing was written; take another copy.")
            place.note(manifest.installation, manifest.events)
        finally:
            writer.release()
    finally:
        place.close()
    _log.warning("ledger_imported", source=str(source), ledger=place.name, events=manifest.events)
    return manifest.events, manifest.head


def _refuse_full(connection: Connection, place: Place, manifest: Manifest) -> None:
    told = connection.execute(select(tables.meta)).one()
    others = [table for table in tables.metadata.sorted_tables if table is not tables.meta]
    if not any(connection.execute(select(table).limit(1)).first() for table in others):
        return
    what = "holds another ledger than the file."
    if told.installation == manifest.installation:
        what = "holds this ledger already."
        if told.events > manifest.events:
            what = f"is newer than the file: {told.events - manifest.events} events would be lost."
    raise UserFault(Fault(place.name, what, "Name a new database in config.toml, or move this one away and keep it."))


def _fill(connection: Connection, source: Path, manifest: Manifest, progress: Progress) -> None:
    total = 2 * sum(manifest.rows.values())
    waiting: list[dict[str, Any]] = []
    into: Table | None = None

    def flush() -> None:
        if waiting and into is not None:
            connection.execute(insert(into), waiting)
            waiting.clear()

    rows = rows_of(source)
    next(rows)
    for done, one in enumerate(rows, start=1):
        assert not isinstance(one, Manifest)
        table, row = one
        if table is tables.meta:
            here: int = connection.execute(select(tables.meta.c.epoch)).scalar_one()
            kept = {name: value for name, value in row.items() if name != "id"}
            fenced = {"epoch": max(here, row["epoch"]) + 1, "restored": row["events"]}
            connection.execute(update(tables.meta).values({**kept, **fenced}))
            continue
        if table is not into or len(waiting) >= _ROWS:
            flush()
            progress(total // 2 + done, total, table.name)
        into = table
        waiting.append(row)
    flush()
    cycles.put_back(connection)
