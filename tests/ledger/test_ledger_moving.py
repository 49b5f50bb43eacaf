"""One file that holds the whole ledger: from one database to the other, nothing lost, nothing damaged let in."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import random
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_kit import URL, Watch, intent, raw
from postgres_kit import Cluster
from sqlalchemy import select

from syncd.core.entries import EntryState, KnownCustomer, Observation, Sighting
from syncd.errors import LedgerBroken, LedgerBusy, UserFault
from syncd.ledger import Ledger, backup, cycles, engine, export, import_, restore, tables
from syncd.model import State

SUBJECTS = b'[["a","Ada","enabled"]]'
NAMED = hashlib.sha256(SUBJECTS).hexdigest()


def filled(ledger: Ledger, watch: Watch) -> None:
    """Something in every table."""
    cycle = ledger.begin_cycle("post", watch.now)
    one, held = ledger.write(cycle, [], [intent("a"), intent("b", state=EntryState.HELD)])
    claimed = ledger.sending(one)
    assert claimed is not None
    ledger.settle(claimed, EntryState.POSTED, note="nul \0 and ✓", remote_id="r1")
    ledger.reject([held.id], "no", "Ada")
    reading = json.dumps({"counts": [{"quantity": "1", "subjects": NAMED}]}, separators=(",", ":")).encode()
    ledger.end_cycle(
        cycle,
        {"lines": 1},
        [Observation("m365", "t1", "assigned", State.KNOWN, "d1", reading, {NAMED: SUBJECTS})],
        {"l1": Sighting("f", 1, watch.now.date())},
        {"m365": [KnownCustomer("t1", "Contoso", ("contoso.com",), {})]},
        {"l1": b'{"customer":"Contoso","rule":"BP"}'},
        ["m365"],
    )
    ledger.remember_wait("m365", "", watch.now + timedelta(hours=1))
    ledger.tell(cycle, [], [], {"log": {}})


def unmarked(value: Any) -> dict[str, Any]:
    """A cycle's summary without the word that it was the last one before a move; nothing for any other column."""
    told = json.loads(value) if isinstance(value, str) and value.startswith("{") else {}
    return {name: one for name, one in told.items() if name != cycles.PUT_BACK}


def content(url: str, folder: Path, watch: Watch) -> dict[str, list[Any]]:
    """Every row of every table but what a move sets: two columns of `meta`, and a word in its last cycle's summary."""
    place = engine.open_place(url, folder, watch, create=False)
    with engine.reading(place.engine) as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in tables.metadata.sorted_tables
        }
        found["cycle"] = [
            tuple(json.dumps(kept) if (kept := unmarked(value)) else value for value in row) for row in found["cycle"]
        ]
        found["meta"] = [tuple(connection.execute(select(tables.meta.c.installation, tables.meta.c.head)).one())]
    place.close()
    return found


@pytest.fixture
def moved(ledger: Ledger, watch: Watch, tmp_path: Path) -> Path:
    """An export of a ledger with something in every table; the ledger is closed."""
    filled(ledger, watch)
    ledger.keep_sealed("qbo", "the sign-in", b"sealed")
    ledger.close()
    export(URL, tmp_path / "l.gz", folder=tmp_path, clock=watch)
    return tmp_path / "l.gz"


def test_the_ledger_comes_back_row_for_row(moved: Path, tmp_path: Path, watch: Watch) -> None:
    home = tmp_path / "new"
    with Ledger.open(URL, watch, folder=tmp_path) as old:
        assert import_(moved, URL, folder=home, clock=watch) == old.head()
    assert stat.S_IMODE(moved.stat().st_mode) == 0o600
    there = content(URL, home, watch)
    assert there == content(URL, tmp_path, watch)
    assert all(there[name] for name in there if name != "episode")
    with Ledger.open(URL, watch, folder=home) as ledger:
        assert ledger.restored  # nobody can know what the old one posted since
        ledger.claim("run")
        assert ledger.verify() == []
        assert len(ledger.write("c2", [], [intent("c")])) == 1


def test_the_same_ledger_makes_the_same_file(moved: Path, tmp_path: Path, watch: Watch) -> None:
    export(URL, tmp_path / "again.gz", folder=tmp_path, clock=watch)
    assert (tmp_path / "again.gz").read_bytes() == moved.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["again.gz", "l.gz", "state"]


@pytest.mark.slow
def test_there_and_back_between_the_databases(moved: Path, tmp_path: Path, watch: Watch, postgres: Cluster) -> None:
    url = postgres.fresh()
    told: list[tuple[int, int, str]] = []
    import_(moved, url, folder=tmp_path, clock=watch, progress=lambda *one: told.append(one))
    assert content(url, tmp_path, watch) == content(URL, tmp_path, watch)
    with Ledger.open(url, watch, folder=tmp_path) as ledger:
        assert ledger.verify() == []
        assert ledger.restored
    backup(url, tmp_path / "b.gz", folder=tmp_path)
    home = tmp_path / "home"
    restore(tmp_path / "b.gz", URL, folder=home, clock=watch)
    assert content(URL, home, watch) == content(URL, tmp_path, watch)
    # A copy of a file goes into a database, too.
    backup(URL, tmp_path / "b.db", folder=tmp_path)
    other = postgres.fresh()
    restore(tmp_path / "b.db", other, folder=tmp_path, clock=watch)
    assert content(other, tmp_path, watch) == content(URL, tmp_path, watch)
    with pytest.raises(UserFault, match="holds this ledger already"):
        restore(tmp_path / "b.gz", other, folder=tmp_path, clock=watch)


def test_only_an_empty_ledger_is_filled(moved: Path, tmp_path: Path, watch: Watch) -> None:
    before = content(URL, tmp_path, watch)
    with pytest.raises(UserFault, match="holds this ledger already"):
        import_(moved, URL, folder=tmp_path, clock=watch)
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.write("c9", [], [intent("later")])
        before = content(URL, tmp_path, watch)
    with pytest.raises(UserFault, match="is newer than the file: 1 events would be lost"):
        restore(moved, URL, folder=tmp_path, clock=watch)
    assert content(URL, tmp_path, watch) == before
    with Ledger.open("sqlite:///other.db", watch, folder=tmp_path) as other:
        other.begin_cycle("post", watch.now)
    with pytest.raises(UserFault, match="holds another ledger than the file"):
        import_(moved, "sqlite:///other.db", folder=tmp_path, clock=watch)


def test_a_running_daemon_is_not_imported_under(moved: Path, tmp_path: Path, watch: Watch) -> None:
    with Ledger.open("sqlite:///new.db", watch, folder=tmp_path) as running:
        running.claim("run")
        with pytest.raises(LedgerBusy, match='is held by "syncd run"'):
            import_(moved, "sqlite:///new.db", folder=tmp_path, clock=watch)


def test_what_is_there_or_missing_is_said(moved: Path, tmp_path: Path, watch: Watch) -> None:
    with pytest.raises(UserFault, match=r"l\.gz: exists already"):
        export(URL, moved, folder=tmp_path, clock=watch)
    with pytest.raises(UserFault, match="is not there"):
        import_(tmp_path / "none.gz", URL, folder=tmp_path / "new", clock=watch)
    with pytest.raises(UserFault, match="there is no ledger"):
        export("sqlite:///none.db", tmp_path / "x.gz", folder=tmp_path, clock=watch)
    assert not (tmp_path / "new").exists()


def test_a_damaged_ledger_is_not_copied(moved: Path, tmp_path: Path, watch: Watch) -> None:
    with raw(tmp_path) as database:
        database.execute("DELETE FROM blob")
    with pytest.raises(LedgerBroken, match=r"names the subjects .* which are not in the ledger any more"):
        export(URL, tmp_path / "x.gz", folder=tmp_path, clock=watch)
    assert not list(tmp_path.glob("x.gz*"))


def lines(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def sealed(path: Path, kept: list[bytes]) -> None:
    """A forged file with a right seal."""
    body = b"".join(kept)
    seal = json.dumps({"sha256": hashlib.sha256(body).hexdigest()}, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(gzip.compress(body + seal))


def no_seal(path: Path) -> None:
    path.write_bytes(gzip.compress(b"".join(lines(path)[:-1])))


def a_row_less(path: Path) -> None:
    sealed(path, [line for line in lines(path)[:-1] if not line.startswith(b'["blob"')])


def a_row_twice(path: Path) -> None:
    kept = lines(path)[:-1]
    sealed(path, [*kept, kept[-1]])


def another_amount(path: Path) -> None:
    sealed(path, [line.replace(b'\\"27\\"', b'\\"72\\"') for line in lines(path)[:-1]])


def another_head(path: Path) -> None:
    first, *rest = lines(path)[:-1]
    sealed(path, [json.dumps({**json.loads(first), "events": 3}).encode() + b"\n", *rest])


def a_number_for_a_text(path: Path) -> None:
    sealed(path, [line.replace(b'["sighting",["l1"', b'["sighting",[1') for line in lines(path)[:-1]])


def a_word_more(path: Path) -> None:
    first, *rest = lines(path)[:-1]
    sealed(path, [json.dumps({**json.loads(first), "note": "x"}).encode() + b"\n", *rest])


def something_after(path: Path) -> None:
    path.write_bytes(path.read_bytes() + gzip.compress(b"more"))


def an_entry_less(path: Path) -> None:
    """The chain is whole; only the entries do not belong to it."""
    first, *rest = lines(path)[:-1]
    told = json.loads(first)
    told["rows"]["entry"] -= 1
    entries = [line for line in rest if line.startswith(b'["entry"')]
    sealed(path, [json.dumps(told).encode() + b"\n", *(line for line in rest if line != entries[-1])])


SPOILT = [
    no_seal, a_row_less, a_row_twice, another_amount, another_head, a_number_for_a_text, a_word_more, something_after,
    an_entry_less,
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_is_not_as_it_was_written_is_refused(
    moved: Path, tmp_path: Path, watch: Watch, spoil: Callable[[Path], None]
) -> None:
    spoil(moved)
    home = tmp_path / "new"
    with pytest.raises(LedgerBroken, match=r"l\.gz is damaged: .*(Nothing of it was used|Nothing was written)"):
        import_(moved, URL, folder=home, clock=watch)
    if home.exists():  # a whole and empty ledger at most
        with Ledger.open(URL, watch, folder=home) as ledger:
            assert (ledger.head()[0], ledger.entries(), ledger.verify()) == (0, [], [])


def test_a_file_of_a_newer_program(moved: Path, tmp_path: Path, watch: Watch) -> None:
    first, *rest = lines(moved)[:-1]
    sealed(moved, [json.dumps({**json.loads(first), "schema": "9999"}).encode() + b"\n", *rest])
    with pytest.raises(UserFault, match=r"was written by a newer syncd \(format 1, schema 9999"):
        import_(moved, URL, folder=tmp_path / "new", clock=watch)


def damage(path: Path, watch: Watch, home: Path, spoilt: bytes) -> None:
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(spoilt)
    try:
        import_(path, URL, folder=home, clock=watch)
    except (LedgerBroken, UserFault):
        assert not home.exists() or not list(home.rglob("syncd.db"))
    else:
        assert gzip.decompress(spoilt) == whole  # a byte that says nothing: the clock in gzip's head


def test_bytes_that_changed_and_ends_that_are_missing(moved: Path, tmp_path: Path, watch: Watch) -> None:
    good, chance = moved.read_bytes(), random.Random(5)
    for number in range(60):
        spoilt = bytearray(good)
        place = number if number < 10 else chance.randrange(len(good))
        spoilt[place] ^= 1 << chance.randrange(8)
        damage(moved, watch, tmp_path / f"flip{number}", bytes(spoilt))
        moved.write_bytes(good)
    for number in itertools.chain(range(20), (chance.randrange(len(good)) for _ in range(20))):
        moved.write_bytes(good[:number])
        with pytest.raises((LedgerBroken, UserFault)):
            restore(moved, URL, folder=tmp_path / "cut", clock=watch)
        assert not list((tmp_path / "cut").rglob("syncd.db"))
