"""Usage that was reported to a meter, as the ledger keeps it: its sum, an older ledger's, in every database."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from ledger_kit import URL, Shell, Watch, fresh, intent, raw
from postgres_kit import Cluster

from syncd.core.entries import Entry, EntryState
from syncd.ledger import Ledger, backup, export, import_, migrations, restore, tables
from syncd.model import Operation

USAGE = "lines:stripe:sub_1:price_1:support:2026-11"
OLD_INDEX = "operation IN ('post_line', 'post_credit')"


def report(ledger: Ledger, *steps: tuple[str, str], state: EntryState | None = EntryState.POSTED) -> list[Entry]:
    """Parts of one period's usage, each brought to this state; None leaves it planned."""
    done = []
    for number, (before, to) in enumerate(steps):
        units = Decimal(to) - Decimal(before)
        made = intent(USAGE, generation=number, before=before, to=to, operation=Operation.REPORT_USAGE)
        assert made.posting.quantity == units
        [entry] = ledger.write("c1", [], [made])
        if state is not None:
            claimed = ledger.sending(entry)
            assert claimed is not None
            entry = ledger.settle(claimed, state)
        done.append(entry)
    return done


def own(ledger: Ledger) -> Decimal:
    return ledger.past().lines[USAGE].own_quantity


STEPS = (("0", "12.5"), ("12.5", "20"), ("20", "15"))


def test_parts_bear_their_own_sign_and_sum_up(ledger: Ledger) -> None:
    entries = report(ledger, *STEPS)
    assert [one.intent.posting.quantity for one in entries] == [Decimal("12.5"), Decimal("7.5"), Decimal(-5)]
    assert own(ledger) == 15
    assert ledger.verify() == []
    history = ledger.past().lines[USAGE]
    assert (history.generation, history.posted and history.posted.to) == (3, 15)


@pytest.mark.parametrize(
    ("state", "counts"),
    [(None, 12), (EntryState.UNKNOWN, 12), (EntryState.POSTED, 12), (EntryState.FAILED, 0)],
)
def test_what_may_be_there_counts(ledger: Ledger, state: EntryState | None, counts: int) -> None:
    report(ledger, ("0", "12"), state=state)
    assert own(ledger) == counts


def test_a_part_is_written_only_from_the_sum_that_stands_there_now(ledger: Ledger) -> None:
    report(ledger, ("0", "12"))
    late = intent(USAGE, generation=1, before="0", to="12", operation=Operation.REPORT_USAGE)
    assert ledger.write("c2", [], [late]) == []
    assert own(ledger) == 12


def before_meters(folder: Path, watch: Watch) -> None:
    """A ledger as the program before this one left it."""
    fresh(folder)
    with Ledger.open(URL, watch, folder=folder) as ledger:
        ledger.claim("test")
        [line] = ledger.write("c1", [], [intent("l", before="0", to="3", operation=Operation.POST_LINE)])
        claimed = ledger.sending(line)
        assert claimed is not None
        ledger.settle(claimed, EntryState.POSTED)
    with raw(folder) as database:
        database.execute("DROP INDEX entry_dated")
        database.execute(f"CREATE INDEX entry_dated ON entry (identity, operation, state, quantity) WHERE {OLD_INDEX}")
        database.execute("UPDATE alembic_version SET version_num = '0003'")


def test_an_older_ledger_learns_it_without_a_row_being_touched(tmp_path: Path, watch: Watch) -> None:
    before_meters(tmp_path, watch)
    with raw(tmp_path) as database:
        rows = database.execute("SELECT * FROM entry").fetchall()
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        assert ledger.verify() == []
        ledger.claim("test")
        report(ledger, *STEPS)
        assert (own(ledger), ledger.past().lines["l"].own_quantity) == (15, 3)
    with raw(tmp_path) as database:
        assert database.execute("SELECT * FROM entry WHERE identity = 'l'").fetchall() == rows
        [found] = database.execute("SELECT sql FROM sqlite_master WHERE name = 'entry_dated'").fetchall()
        assert found[0].endswith(str(tables.IS_DATED))
        plan = database.execute(
            f"EXPLAIN QUERY PLAN SELECT identity, operation, state, quantity FROM entry WHERE {tables.IS_DATED}"
        ).fetchall()
        assert "COVERING INDEX entry_dated" in str(plan)


@pytest.mark.slow
def test_a_migration_that_is_interrupted_leaves_the_older_ledger(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_meters(tmp_path, watch)
    real: Callable[[object], None] = migrations.upgrade  # type: ignore[assignment]

    def dies(connection: object) -> None:
        real(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "upgrade", dies)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(URL, watch, folder=tmp_path)
    with raw(tmp_path) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0003",)]
        [found] = database.execute("SELECT sql FROM sqlite_master WHERE name = 'entry_dated'").fetchall()
        assert found[0].endswith(OLD_INDEX)
    Ledger.open(URL, watch, folder=tmp_path).close()


@pytest.mark.slow
def test_an_export_of_the_older_program_comes_in(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    before_meters(tmp_path, watch)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "SCHEMA", "0003")
        export(URL, tmp_path / "old.gz", folder=tmp_path, clock=watch)
    home = tmp_path / "new"
    import_(tmp_path / "old.gz", URL, folder=home, clock=watch)
    with Ledger.open(URL, watch, folder=home) as ledger:
        assert ledger.verify() == []
        assert ledger.past().lines["l"].own_quantity == 3


@pytest.mark.slow
def test_usage_moves_between_the_databases(tmp_path: Path, watch: Watch, postgres: Cluster) -> None:
    fresh(tmp_path)
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        ledger.claim("test")
        report(ledger, *STEPS)
    export(URL, tmp_path / "l.gz", folder=tmp_path, clock=watch)
    url = postgres.fresh()
    import_(tmp_path / "l.gz", url, folder=tmp_path, clock=watch)
    with Ledger.open(url, watch, folder=tmp_path) as ledger:
        assert (own(ledger), ledger.verify()) == (15, [])
        ledger.claim("test")
        [more] = ledger.write(
            "c2", [], [intent(USAGE, generation=3, before="15", to="11", operation=Operation.REPORT_USAGE)]
        )
        assert more.intent.posting.quantity == -4
        assert own(ledger) == 11
    backup(url, tmp_path / "b.gz", folder=tmp_path)
    home = tmp_path / "home"
    restore(tmp_path / "b.gz", URL, folder=home, clock=watch)
    with Ledger.open(URL, watch, folder=home) as ledger:
        assert (own(ledger), ledger.verify()) == (11, [])


@pytest.mark.slow
def test_an_older_ledger_in_postgresql_learns_it(tmp_path: Path, watch: Watch, postgres: Cluster) -> None:
    url = postgres.fresh()
    Ledger.open(url, watch, folder=tmp_path).close()
    with closing(Shell(url)) as database:
        database.execute("DROP INDEX entry_dated")
        database.execute(f"CREATE INDEX entry_dated ON entry (identity, operation, state, quantity) WHERE {OLD_INDEX}")
        database.execute("UPDATE alembic_version SET version_num = '0003'")
    with Ledger.open(url, watch, folder=tmp_path) as ledger:
        ledger.claim("test")
        report(ledger, *STEPS)
        assert (own(ledger), ledger.verify()) == (15, [])
    with closing(Shell(url)) as database:
        [found] = database.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'entry_dated'").fetchall()
    assert "report_usage" in found[0]
