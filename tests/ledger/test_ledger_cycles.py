"""What a cycle leaves behind, and how little when nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ledger_kit import Watch, raw
from sqlalchemy import Engine, event

from syncd.core.entries import KnownCustomer, Observation, Sighting
from syncd.errors import LedgerBroken, SyncdError
from syncd.ledger import Ledger
from syncd.model import State

SUBJECTS = json.dumps([["1", "u1@contoso.example", "active"]]).encode()
NAMED = sha256(SUBJECTS).hexdigest()
LOCAL = timezone(timedelta(hours=-6))


def seen(customer: str = "t1", quantity: int = 27, **more: Any) -> Observation:
    body = json.dumps({"counts": quantity, "subjects": NAMED}).encode()
    made = Observation("m365", customer, "assigned", State.KNOWN, sha256(body).hexdigest(), body, {NAMED: SUBJECTS})
    return replace(made, **more)


def derived(used: int = 27) -> bytes:
    return json.dumps({"customer": "Contoso", "rule": "Premium", "used": str(used)}).encode()


def learnt(**more: Any) -> dict[str, Any]:
    return {
        "summary": {"lines": 1, "money": Decimal("12.50")},
        "observations": [seen()],
        "sightings": {"l1": Sighting("fp1", 1, date(2026, 11, 20)), "l2": Sighting("fp2", 2, date(2026, 11, 19))},
        "customers": {"m365": [KnownCustomer("t1", "Contoso", ("contoso.example",), {"assigned": Decimal("27.5")})]},
        "lines": {"l1": derived(), "l2": derived(3)},
        "fresh": ["m365", "cw"],
        **more,
    }


def run(ledger: Ledger, watch: Watch, **more: Any) -> str:
    cycle = ledger.begin_cycle("post", watch.now.astimezone(LOCAL))
    ledger.end_cycle(cycle, **learnt(**more))
    return cycle


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Commits, and rows that any statement wrote, of every engine of this process."""
    found = {"commits": 0, "rows": 0}

    def commit(connection: Any) -> None:
        found["commits"] += 1

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.split()[0] in ("INSERT", "UPDATE", "DELETE"):
            found["rows"] += max(cursor.rowcount, 0)

    event.listen(Engine, "commit", commit)
    event.listen(Engine, "after_cursor_execute", execute)
    try:
        yield found
    finally:
        event.remove(Engine, "commit", commit)
        event.remove(Engine, "after_cursor_execute", execute)


def test_what_a_cycle_learnt_comes_back(ledger: Ledger, watch: Watch) -> None:
    cycle = run(ledger, watch)
    assert cycle == "c000001"
    past = ledger.past()
    assert past.sightings == learnt()["sightings"]
    assert past.customers == {"m365": {"t1": learnt()["customers"]["m365"][0]}}
    assert ledger.line("l1") == derived()
    assert ledger.find_line("Contoso", "Premium") == [derived(), derived(3)]
    assert ledger.find_line("Contoso", "Other") == []
    assert ledger.observation("m365", "t1", "assigned") == replace(seen(), blobs={})
    assert ledger.blob(NAMED) == SUBJECTS
    assert (ledger.line("no"), ledger.blob("no"), ledger.observation("m365", "t1", "billed")) == (None, None, None)
    told = ledger.cycle()
    assert told == ledger.cycle(cycle)
    assert told is not None
    assert (told["id"], told["state"], told["mode"], told["as_of"]) == (cycle, "done", "post", watch.now)
    assert told["summary"] == {"lines": 1, "money": "12.5"}
    assert ledger.cycle("c000009") is ledger.cycle("nonsense") is None
    assert ledger.cycle("9" * 23) is ledger.cycle("c" + "9" * 5000) is None  # no number that a database keeps


def test_nothing_changed_writes_the_cycle_alone(ledger: Ledger, watch: Watch) -> None:
    run(ledger, watch)
    watch.move(hours=1)
    with counted() as found:
        cycle = ledger.begin_cycle("post", watch.now)
        ledger.end_cycle(cycle, **learnt())
    assert found == {"commits": 2, "rows": 2}  # the cycle's own row, begun and ended


def test_each_change_is_written_alone(ledger: Ledger, watch: Watch, tmp_path: Path) -> None:
    run(ledger, watch)
    changes: list[tuple[dict[str, Any], int]] = [
        ({"observations": [seen(quantity=28)]}, 2),  # itself, and which is the latest
        ({"observations": [seen(quantity=28)], "fresh": ["qbo"]}, 1),
        ({"observations": [seen("t2")]}, 2),  # its subjects are kept already
        ({"sightings": {"l1": Sighting("fp1", 2, date(2026, 11, 20))}}, 2),  # one renewed, one gone
        ({"lines": {"l1": derived(28)}, "sightings": {"l1": Sighting("fp1", 2, date(2026, 11, 20))}}, 1),
    ]
    for change, rows in changes:
        standing = ledger.past().sightings
        with counted() as found:
            run(ledger, watch, **{"observations": [], "sightings": standing, **change})
        assert found == {"commits": 2, "rows": 2 + rows}, change
    latest = ledger.observation("m365", "t1", "assigned")
    assert latest is not None
    assert json.loads(latest.body)["counts"] == 28
    with raw(tmp_path) as database:
        assert database.execute("SELECT count(*) FROM observation").fetchone() == (3,)
        assert database.execute("SELECT changed_cycle FROM line ORDER BY id").fetchall() == [
            ("c000006",),
            ("c000001",),
        ]


def test_a_count_that_returns_is_kept_again(ledger: Ledger, watch: Watch, tmp_path: Path) -> None:
    for quantity in (5, 6, 5, 5):
        run(ledger, watch, observations=[seen(quantity=quantity)])
    with raw(tmp_path) as database:
        assert database.execute("SELECT count(*) FROM observation").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM blob").fetchone() == (1,)


def test_a_reading_that_fails_is_kept_even_if_its_digest_is_the_same(ledger: Ledger, watch: Watch) -> None:
    run(ledger, watch)
    run(ledger, watch, observations=[seen(state=State.UNKNOWN)])
    latest = ledger.observation("m365", "t1", "assigned")
    assert latest is not None
    assert latest.state is State.UNKNOWN


def test_customers_stay_known(ledger: Ledger, watch: Watch) -> None:
    run(ledger, watch)
    renamed = KnownCustomer("t1", "Contoso Ltd", ())
    run(ledger, watch, customers={"m365": [renamed], "cw": []})
    run(ledger, watch, customers={})
    assert ledger.past().customers == {"m365": {"t1": renamed}}


def test_one_freshness_mark_per_source_and_day_of_the_msp(ledger: Ledger, watch: Watch, tmp_path: Path) -> None:
    for _ in range(4):  # 10:00, 16:00, 22:00 and 04:00 in Chicago
        run(ledger, watch)
        watch.move(hours=6)
    with raw(tmp_path) as database:
        marks = database.execute("SELECT connection, day, cycle FROM freshness ORDER BY day, connection").fetchall()
    assert marks == [
        ("cw", "2026-11-20", "c000001"),
        ("m365", "2026-11-20", "c000001"),
        ("cw", "2026-11-21", "c000004"),
        ("m365", "2026-11-21", "c000004"),
    ]


def test_a_cycle_that_never_ended_is_aborted_by_the_next(ledger: Ledger, opened: Callable[[], Ledger]) -> None:
    first = ledger.begin_cycle("observe", datetime(2026, 11, 20, tzinfo=LOCAL))
    ledger.close()
    again = opened()
    assert again.cycle() is None
    with counted() as found:
        second = again.begin_cycle("observe", datetime(2026, 11, 20, tzinfo=LOCAL))
    assert found["commits"] == 1
    told, now = again.cycle(first), again.cycle(second)
    assert told is not None
    assert now is not None
    assert (told["state"], now["state"]) == ("aborted", "running")
    assert told["summary"] == {}


def test_a_cycle_ends_once(ledger: Ledger, watch: Watch) -> None:
    cycle = run(ledger, watch)
    for wrong in (cycle, "c000009", "x"):
        with pytest.raises(SyncdError, match=f"there is no cycle {wrong} that could end"):
            ledger.end_cycle(wrong, **learnt())


def test_an_end_that_fails_leaves_nothing(ledger: Ledger, watch: Watch) -> None:
    cycle = ledger.begin_cycle("post", watch.now)
    lying = seen(blobs={"0" * 64: b"something else"})
    with pytest.raises(ValueError, match="a blob is named"):
        ledger.end_cycle(cycle, **learnt(observations=[lying]))
    with pytest.raises(ValueError, match="rule"):
        ledger.end_cycle(cycle, **learnt(lines={"l1": b'{"customer":"Contoso"}'}))
    assert ledger.past().sightings == {}
    assert ledger.observation("m365", "t1", "assigned") is None
    ledger.end_cycle(cycle, **learnt())


def test_waits_survive_a_restart_and_end(ledger: Ledger, watch: Watch, opened: Callable[[], Ledger]) -> None:
    ledger.remember_wait("m365", "tenant-1", watch.now + timedelta(minutes=5))
    ledger.remember_wait("m365", "", watch.now + timedelta(hours=2))
    ledger.remember_wait("m365", "", watch.now + timedelta(hours=1))
    ledger.remember_wait("cw", "", watch.now + timedelta(hours=1))
    other = opened()
    assert other.waits("m365") == {
        "tenant-1": watch.now + timedelta(minutes=5),
        "": watch.now + timedelta(hours=1),
    }
    watch.move(minutes=5)
    assert set(other.waits("m365")) == {""}
    watch.move(hours=1)
    assert other.waits("m365") == {}


def test_damaged_content_is_told_and_not_used(ledger: Ledger, watch: Watch, tmp_path: Path) -> None:
    run(ledger, watch)
    with raw(tmp_path) as database:
        database.execute("UPDATE line SET body = (SELECT body FROM line WHERE id = 'l2') WHERE id = 'l1'")
        (body,) = database.execute("SELECT body FROM blob").fetchone()
        database.execute("UPDATE blob SET body = ?", (body[:-4] + bytes(4),))
        database.execute("UPDATE observation SET body = ?", (b"\0",))
    with pytest.raises(LedgerBroken, match="line l1 in the ledger is not what it was"):
        ledger.line("l1")
    with pytest.raises(LedgerBroken, match=r"blob .* is damaged"):
        ledger.blob(NAMED)
    with pytest.raises(LedgerBroken, match="the observation assigned of m365 in the ledger is damaged"):
        ledger.observation("m365", "t1", "assigned")
    found = ledger.verify()
    assert len(found) == 3
    assert any("line l1 was altered" in one for one in found)
