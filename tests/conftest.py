"""What every process of the tests does once instead of for each test. Nothing here changes what is tested.

A process of syncd opens one ledger and runs one command; one that tests opens thousands.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The schedules of the simulation go first. They take a minute in processes of their own, which stand back for all
    others: at the end one processor would wait for them."""
    items.sort(key=lambda item: item.path.name != "test_simulation.py")


@pytest.fixture(autouse=True, scope="session")
def _made_once() -> Iterator[None]:
    """The tree of commands, the look for connectors, the ledger's statements, the tables of an empty ledger."""
    with pytest.MonkeyPatch.context() as patch:
        # Modules that no test of this run has imported are left alone: their imports take longer than they would save.
        if typer := sys.modules.get("typer.main"):
            patch.setattr(typer, "get_command", functools.cache(typer.get_command))
        if registry := sys.modules.get("syncd.connect.registry"):
            patch.setattr(registry, "entry_points", functools.cache(importlib.metadata.entry_points))
        if "syncd.ledger" in sys.modules:
            sqlite, migrations = map(importlib.import_module, ("syncd.ledger.sqlite", "syncd.ledger.migrations"))
            patch.setattr(sqlite, "create_engine", _one_compiler(sqlite.create_engine))
            patch.setattr(migrations, "upgrade", _Upgrade(migrations.upgrade))
        yield


def _one_compiler(create_engine: Any) -> Any:
    """Engines that share what the first of them made of each statement: every engine would compile all of them anew."""
    known = create_engine("sqlite://")
    known.connect().close()  # the dialect learns what SQLite this is
    known.dispose()
    compiled: dict[Any, Any] = {}

    def create(*arguments: Any, **options: Any) -> Any:
        engine = create_engine(*arguments, **options).execution_options(compiled_cache=compiled)
        engine.dialect = known.dialect
        return engine

    return create


class _Upgrade:
    """The migrations; what they made of the first empty SQLite database is repeated in the next ones."""

    def __init__(self, really: Any) -> None:
        self._really = really
        self._statements: list[str] = []

    def __call__(self, connection: Any) -> None:
        if connection.dialect.name != "sqlite" or _tables(connection):
            self._really(connection)
            return
        if not self._statements:
            self._really(connection)
            [[newest]] = connection.exec_driver_sql("SELECT version_num FROM alembic_version")
            self._statements = [*_tables(connection), f"INSERT INTO alembic_version VALUES ('{newest}')"]
            return
        for one in self._statements:
            connection.exec_driver_sql(one)


def _tables(connection: Any) -> list[str]:
    """The statements that make a database's tables, indexes and triggers as they are, in order."""
    found = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid"
    )
    return [sql for (sql,) in found]


# What is logged where nobody configured it: structlog's own look shows the locals of every frame, and while it goes
# through them another thread changes one.
_look = [one for one in structlog.get_config()["processors"] if not isinstance(one, structlog.dev.ConsoleRenderer)]
structlog.configure(
    processors=[*_look, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
)
