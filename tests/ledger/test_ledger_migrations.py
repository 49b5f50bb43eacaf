"""The migrations make exactly what `tables` says, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from ledger_kit import URL, Watch, raw

from syncd.errors import LedgerBusy
from syncd.ledger import Ledger, engine, migrations, sqlite, tables


def test_tables_and_migrations_agree(tmp_path: Path, watch: Watch) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    opened = sqlite.connect(tmp_path / "state" / "syncd.db")
    with engine.reading(opened) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
        there = {
            row.name: row.sql
            for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        }
    opened.dispose()
    for table in tables.metadata.tables.values():
        for index in table.indexes:  # Alembic does not compare the conditions of partial indexes
            where = index.dialect_options["sqlite"]["where"]
            assert str(where if where is not None else "") == there[str(index.name)].partition(" WHERE ")[2]


def test_the_program_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [tables.SCHEMA]


def test_an_interrupted_first_start_leaves_no_ledger(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(connection: Any) -> None:
        connection.exec_driver_sql("CREATE TABLE meta (id INTEGER)")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "upgrade", half)
        with pytest.raises(KeyboardInterrupt):
            Ledger.open(URL, watch, folder=tmp_path)
    assert list((tmp_path / "state").iterdir()) == []
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        assert ledger.verify() == []


def test_two_that_start_at_once_share_one_ledger(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    real = migrations.upgrade
    others: list[str] = []

    def overtaken(connection: Any) -> None:
        real(connection)
        if not others:
            others.append("")
            with Ledger.open(URL, watch, folder=tmp_path) as other:
                others[0] = other.installation

    monkeypatch.setattr(migrations, "upgrade", overtaken)
    with Ledger.open(URL, watch, folder=tmp_path) as ledger:
        assert ledger.installation == others[0]
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["syncd.db"]


def older(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older ledger, seen by a program with one more migration than there is today."""

    def upgrade(connection: Any) -> None:
        connection.exec_driver_sql("ALTER TABLE wait ADD COLUMN why TEXT")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        if (folder / "fail").exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "upgrade", upgrade)
    monkeypatch.setattr(tables, "SCHEMA", "9999")


def columns(folder: Path) -> list[str]:
    with raw(folder) as database:
        return [row[1] for row in database.execute("PRAGMA table_info(wait)")]


def test_a_migration_is_there_whole_or_not_at_all(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger.open(URL, watch, folder=tmp_path).close()
    older(tmp_path, monkeypatch)
    (tmp_path / "fail").touch()
    with pytest.raises(KeyboardInterrupt):
        Ledger.open(URL, watch, folder=tmp_path)
    assert "why" not in columns(tmp_path)
    (tmp_path / "fail").unlink()
    Ledger.open(URL, watch, folder=tmp_path).close()
    assert "why" in columns(tmp_path)


def test_nothing_is_migrated_under_a_running_daemon(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(URL, watch, folder=tmp_path) as running:
        running.claim("run")
        older(tmp_path, monkeypatch)
        monkeypatch.setattr(engine, "MIGRATION_WAIT", timedelta())
        with pytest.raises(LedgerBusy, match='is held by "syncd run"'):
            Ledger.open(URL, watch, folder=tmp_path)
    assert "why" not in columns(tmp_path)


def test_the_ledger_is_told_from_other_databases_by_its_header(tmp_path: Path, watch: Watch) -> None:
    Ledger.open("sqlite:///a.db", watch, folder=tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (tables.APPLICATION_ID,)
    assert (tmp_path / "a.db").read_bytes()[68:72] == b"sync"
