"""What a cycle leaves behind: its row, what was read where it changed, and what the next plan compares with.

Works inside the caller's transaction. Everything is compared before it is written: a cycle in which nothing changed
writes its own row and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, delete, func, insert, select, update

from syncd.core.entries import KnownCustomer, Observation, Sighting
from syncd.errors import LedgerBroken, SyncdError
from syncd.ledger import tables
from syncd.ledger.codec import canonical, day, digest, instant, instant_text, number, pack, parse, unpack
from syncd.ledger.lookup import chunks
from syncd.model import State

Row = dict[str, Any]
# What a cycle's summary may say under "clock"; under "restored" stands `true` where the ledger did not trust itself.
TRUSTED, UNMARKED = "trusted", "unmarked"
# Under this stands `true` in the last cycle that a ledger remembered when it was restored, imported or went back.
PUT_BACK = "put_back"


class _Line(msgspec.Struct):
    """What the ledger itself reads of a line's derivation: by what `find_line` finds it."""

    customer: str
    rule: str


def begin(connection: Connection, mode: str, as_of: datetime, now: datetime) -> str:
    """A new cycle's id. Cycles that never ended are aborted ones from here on."""
    cycle = tables.cycle
    connection.execute(
        update(cycle).where(cycle.c.state == "running").values(state="aborted", ended_at=instant_text(now))
    )
    number = (connection.execute(select(func.max(cycle.c.number))).scalar_one() or 0) + 1
    connection.execute(
        insert(cycle).values(
            number=number,
            state="running",
            mode=mode,
            as_of=instant_text(as_of),
            day=as_of.date().isoformat(),
            started_at=instant_text(now),
        )
    )
    return f"c{number:06d}"


def _number(cycle_id: str) -> int:
    """0, which no cycle has, where it is no number that a database keeps."""
    digits = cycle_id.removeprefix("c")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0


def end(connection: Connection, cycle_id: str, summary: Mapping[str, Any], now: datetime) -> str:
    """Closes the cycle's row; returns the MSP's day that it stands for. Raises SyncdError where it is not known."""
    cycle = tables.cycle
    number = _number(cycle_id)
    hit = connection.execute(
        update(cycle)
        .where(cycle.c.number == number, cycle.c.state != "done")
        .values(state="done", ended_at=instant_text(now), summary=canonical(summary))
    )
    if hit.rowcount != 1:
        raise SyncdError(f"there is no cycle {cycle_id} that could end.")
    of: str = connection.execute(select(cycle.c.day).where(cycle.c.number == number)).scalar_one()
    return of


def show(connection: Connection, cycle_id: str | None) -> dict[str, Any] | None:
    """The row of a cycle; without an id, of the newest that ended whole."""
    cycle = tables.cycle
    wanted = select(cycle).order_by(cycle.c.number.desc()).limit(1)
    wanted = wanted.where(cycle.c.state == "done" if cycle_id is None else cycle.c.number == _number(cycle_id))
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    name = f"c{row.number:06d}"
    return {
        "id": name,
        "state": row.state,
        "mode": row.mode,
        "as_of": instant(row.as_of),
        "started_at": instant(row.started_at),
        "ended_at": instant(row.ended_at) if row.ended_at else None,
        "summary": parse(row.summary, f"cycle {name}") if row.summary else {},
    }


def fresh_since(connection: Connection, source: str) -> date | None:
    """The newest day on which a source was read well."""
    table = tables.freshness
    told = connection.execute(select(func.max(table.c.day)).where(table.c.connection == source)).scalar_one()
    return None if told is None else day(told)


def latest_as_of(connection: Connection, after: datetime | None) -> datetime | None:
    """The latest instant that any cycle stood for, later than `after`; None where there is none.

    A cycle that could post nothing leaves no mark, because its instant may be a rehearsal's or that of a clock that was
    not believed. One in which a person trusted the clock takes all marks before it away. One that never ended counts:
    it may have posted.
    """
    cycle = tables.cycle
    wanted = (
        select(cycle.c.number, cycle.c.as_of).where(~_says("clock", UNMARKED)).order_by(cycle.c.as_of.desc()).limit(1)
    )
    if after is not None:
        wanted = wanted.where(cycle.c.as_of > instant_text(after))
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    trusted = connection.execute(select(func.max(cycle.c.number)).where(_says("clock", TRUSTED))).scalar_one()
    if trusted is not None:
        row = connection.execute(wanted.where(cycle.c.number >= trusted)).one_or_none()
    return instant(row.as_of) if row is not None else None


def forgot(connection: Connection) -> date | None:
    """The MSP's day before which a restored ledger may have forgotten what it posted: that of the last cycle in which
    it did not trust itself; None where there was none."""
    cycle = tables.cycle
    newest = select(cycle.c.day).order_by(cycle.c.number.desc()).limit(1)
    trusted = connection.execute(select(tables.meta.c.restored)).scalar_one() is None
    told = connection.execute(newest.where(_says("restored", True)) if trusted else newest).scalar_one_or_none()
    return None if told is None else day(told)


def restored_for(connection: Connection, now: datetime) -> timedelta | None:
    """How long ago a restored ledger looked at the billing systems for the first time since, as the clock of then told;
    nothing where it has yet to do so, None where it never was restored. Cycles whose clock was not believed tell
    nothing."""
    cycle = tables.cycle
    amnesic, ended = _says("restored", True), cycle.c.state == "done"

    def newest(*where: ColumnElement[bool]) -> int:
        return connection.execute(select(func.max(cycle.c.number)).where(ended, *where)).scalar_one() or 0

    last = newest(amnesic)
    restored = connection.execute(select(tables.meta.c.restored)).scalar_one() is not None
    if not last or (restored and newest(~amnesic) > last):
        return timedelta() if restored else None
    kept = connection.execute(select(func.max(cycle.c.number)).where(_says(PUT_BACK, True))).scalar_one() or 0
    if restored and last <= kept:
        return timedelta()
    since = max(newest(~amnesic, cycle.c.number < last), kept if last > kept else 0)
    first = select(func.min(cycle.c.as_of)).where(ended, amnesic, ~_says("clock", UNMARKED), cycle.c.number > since)
    told = connection.execute(first.where(cycle.c.number <= last)).scalar_one()
    return now - instant(told) if told is not None else timedelta()


def put_back(connection: Connection) -> None:
    """Notes on the newest cycle that it was the last one before the ledger was put back. The backup may have been made
    while the ledger did not trust itself either: those cycles say nothing of what was forgotten this time."""
    cycle = tables.cycle
    row = connection.execute(select(cycle).order_by(cycle.c.number.desc()).limit(1)).one_or_none()
    if row is not None:
        said = parse(row.summary, f"cycle c{row.number:06d}") if row.summary else {}
        told = canonical({**said, PUT_BACK: True})
        connection.execute(update(cycle).where(cycle.c.number == row.number).values(summary=told))


def _says(name: str, value: object) -> ColumnElement[bool]:
    """Whether a cycle's summary says so; its JSON is canonical, so that its text can be searched."""
    return func.coalesce(tables.cycle.c.summary, "").contains(canonical({name: value})[1:-1], autoescape=True)


def observe(connection: Connection, cycle_id: str, now: datetime, seen: Sequence[Observation]) -> int:
    """Keeps the observations that differ from the latest of their kind, and the blobs they brought; how many."""
    latest = tables.latest
    known = {
        (row.connection, row.customer_id, row.what): (row.digest, row.state)
        for row in connection.execute(select(latest))
    }
    changed: dict[tuple[str, str, str], Observation] = {}
    for one in seen:
        of = (one.connection, one.customer_id, one.what)
        if known.get(of) != (one.digest, one.state.value):
            changed[of] = one
    if not changed:
        return 0
    last = connection.execute(select(func.max(tables.observation.c.seq))).scalar_one() or 0
    rows = [
        {
            "seq": seq,
            "connection": one.connection,
            "customer_id": one.customer_id,
            "what": one.what,
            "state": one.state.value,
            "digest": one.digest,
            "cycle": cycle_id,
            "at": instant_text(now),
            "body": pack(one.body),
        }
        for seq, one in enumerate(changed.values(), last + 1)
    ]
    connection.execute(insert(tables.observation), rows)
    names = ("connection", "customer_id", "what", "state", "digest", "seq")
    _renew(connection, latest, ("connection", "customer_id", "what"), _only(rows, names), known)
    keep_blobs(connection, changed.values())
    return len(changed)


def _only(rows: Iterable[Row], names: Sequence[str]) -> list[Row]:
    return [{name: row[name] for name in names} for row in rows]


def keep_blobs(connection: Connection, seen: Iterable[Observation]) -> None:
    """The contents that these observations brought, where they are not kept yet."""
    blobs = {name: content for one in seen for name, content in one.blobs.items()}
    for name, content in blobs.items():
        if digest(content) != name:
            raise ValueError(f"a blob is named {name}, but its SHA-256 is {digest(content)}")
    known: set[str] = set()
    for portion in chunks(blobs):
        known.update(
            connection.execute(select(tables.blob.c.digest).where(tables.blob.c.digest.in_(portion))).scalars()
        )
    fresh = [{"digest": name, "body": pack(content)} for name, content in blobs.items() if name not in known]
    if fresh:
        connection.execute(insert(tables.blob), fresh)


def keep_sightings(connection: Connection, sightings: Mapping[str, Sighting]) -> None:
    """Makes the table say exactly this."""
    known = load_sightings(connection)
    rows = [
        {"line": name, "fingerprint": one.fingerprint, "times": one.times, "since": one.since.isoformat()}
        for name, one in sightings.items()
        if known.get(name) != one
    ]
    _renew(connection, tables.sighting, ("line",), rows, {(name,) for name in known})
    for portion in chunks([name for name in known if name not in sightings]):
        connection.execute(delete(tables.sighting).where(tables.sighting.c.line.in_(portion)))


def load_sightings(connection: Connection) -> dict[str, Sighting]:
    """By plan line id."""
    found = connection.execute(select(tables.sighting))
    return {row.line: Sighting(row.fingerprint, row.times, day(row.since)) for row in found}


def keep_customers(connection: Connection, customers: Mapping[str, Sequence[KnownCustomer]]) -> None:
    """Adds and renews; a customer that is not named any more stays known, so that it can be called gone."""
    known = load_customers(connection)
    rows = {
        (name, one.id): {
            "connection": name,
            "id": one.id,
            "name": one.name.replace("\0", "?"),  # PostgreSQL keeps no NUL
            "identifiers": canonical(one.identifiers),
            "totals": canonical(one.totals),
        }
        for name, shown in customers.items()
        for one in shown
        if known.get(name, {}).get(one.id) != one
    }
    there = {(name, one) for name, shown in known.items() for one in shown}
    _renew(connection, tables.customer, ("connection", "id"), list(rows.values()), there)


def load_customers(connection: Connection) -> dict[str, dict[str, KnownCustomer]]:
    """Connection -> id -> customer."""
    found: dict[str, dict[str, KnownCustomer]] = {}
    for row in connection.execute(select(tables.customer)):
        identifiers = tuple(parse(row.identifiers, f"customer {row.id}"))
        totals = {
            query: number(total, f"customer {row.id}")
            for query, total in parse(row.totals, f"customer {row.id}").items()
        }
        found.setdefault(row.connection, {})[row.id] = KnownCustomer(row.id, row.name, identifiers, totals)
    return found


def keep_lines(connection: Connection, cycle_id: str, lines: Mapping[str, bytes]) -> int:
    """Keeps the derivations that changed; how many. Raises ValueError for one without `customer` and `rule`."""
    line = tables.line
    known: dict[str, str] = {row.id: row.digest for row in connection.execute(select(line.c.id, line.c.digest))}
    rows = []
    for name, body in lines.items():
        named = digest(body)
        if known.get(name) == named:
            continue
        about = msgspec.json.decode(body, type=_Line)
        rows.append(
            {
                "id": name,
                "customer": about.customer,
                "rule": about.rule,
                "digest": named,
                "changed_cycle": cycle_id,
                "body": pack(body),
            }
        )
    _renew(connection, line, ("id",), rows, {(name,) for name in known})
    return len(rows)


def mark_fresh(connection: Connection, cycle_id: str, today: str, names: Sequence[str]) -> None:
    """One mark for each source and day, by the first cycle of the day that read it well."""
    table = tables.freshness
    marked = set(connection.execute(select(table.c.connection).where(table.c.day == today)).scalars())
    rows = [
        {"connection": name, "day": today, "cycle": cycle_id} for name in dict.fromkeys(names) if name not in marked
    ]
    if rows:
        connection.execute(insert(table), rows)


def _renew(
    connection: Connection, table: Table, keys: Sequence[str], rows: Sequence[Row], known: Collection[tuple[str, ...]]
) -> None:
    """Inserts the rows whose key is not `known`, updates the others; each as one statement over many rows."""
    there = [tuple(row[name] for name in keys) in known for row in rows]
    fresh = [row for row, is_there in zip(rows, there, strict=True) if not is_there]
    stale = [row for row, is_there in zip(rows, there, strict=True) if is_there]
    if fresh:
        connection.execute(insert(table), fresh)
    if stale:
        # A bind may not bear a column's own name beside `values`.
        renamed = [{f"new_{name}": value for name, value in row.items()} for row in stale]
        same = and_(*(table.c[name] == bindparam(f"new_{name}") for name in keys))
        changes: dict[str, Any] = {name: bindparam(f"new_{name}") for name in stale[0] if name not in keys}
        connection.execute(update(table).where(same).values(changes), renamed)


def load_line(connection: Connection, line_id: str) -> bytes | None:
    """A derivation as it last was. Raises LedgerBroken where it is damaged."""
    line = tables.line
    row = connection.execute(select(line).where(line.c.id == line_id)).one_or_none()
    return None if row is None else _proven(row.body, row.digest, f"line {row.id}")


def find_line(connection: Connection, customer: str, rule: str) -> list[bytes]:
    """The derivations of a customer's lines under a rule, by line id."""
    line = tables.line
    wanted = select(line).where(line.c.customer == customer, line.c.rule == rule).order_by(line.c.id)
    return [_proven(row.body, row.digest, f"line {row.id}") for row in connection.execute(wanted)]


def load_blob(connection: Connection, name: str) -> bytes | None:
    """Content by its SHA-256. Raises LedgerBroken where it is damaged."""
    body = connection.execute(select(tables.blob.c.body).where(tables.blob.c.digest == name)).scalar_one_or_none()
    return None if body is None else _proven(body, name, f"blob {name}")


def _proven(packed: bytes, named: str, what: str) -> bytes:
    content = unpack(packed, what)
    if digest(content) != named:
        raise LedgerBroken(f"{what} in the ledger is not what it was: its SHA-256 differs.")
    return content


def load_observation(connection: Connection, source: str, customer_id: str, what: str) -> Observation | None:
    """The newest of its kind; its blobs are fetched one by one with `blob`."""
    latest, observation = tables.latest, tables.observation
    row = connection.execute(
        select(observation)
        .join_from(latest, observation, observation.c.seq == latest.c.seq)
        .where(latest.c.connection == source, latest.c.customer_id == customer_id, latest.c.what == what)
    ).one_or_none()
    if row is None:
        return None
    body = unpack(row.body, f"the observation {what} of {source}")
    return Observation(source, customer_id, what, State(row.state), row.digest, body)


def remember_wait(connection: Connection, source: str, scope: str, until: datetime, now: datetime) -> None:
    """Keeps until when a vendor asked not to be asked; forgets waits that are over."""
    wait = tables.wait
    connection.execute(
        delete(wait).where(
            (wait.c.until <= instant_text(now)) | and_(wait.c.connection == source, wait.c.scope == scope)
        )
    )
    connection.execute(insert(wait).values(connection=source, scope=scope, until=instant_text(until)))


def load_waits(connection: Connection, source: str, now: datetime) -> dict[str, datetime]:
    """Scope -> until when, of the waits that are not over."""
    wait = tables.wait
    wanted = select(wait).where(wait.c.connection == source, wait.c.until > instant_text(now))
    return {row.scope: instant(row.until) for row in connection.execute(wanted)}
