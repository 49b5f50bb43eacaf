"""One ledger for each test, claimed and with a clock of its own: in a scratch folder, or in a scratch PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_kit import ELSEWHERE, Watch, fresh, url_of
from postgres_kit import Cluster, cluster

from syncd.ledger import Ledger

# What these modules prove must hold on both kinds of database.
BOTH = frozenset(
    {"test_ledger_cycles", "test_ledger_damage", "test_ledger_entries", "test_ledger_record", "test_ledger_tracks"}
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    chosen = [mark for mark in metafunc.definition.iter_markers("parametrize") if mark.args[0] == "kind"]
    if "kind" in metafunc.fixturenames and metafunc.module.__name__ in BOTH and not chosen:
        metafunc.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A private PostgreSQL, with a ledger that others are copied from; skips where there is none."""
    with cluster() as made:
        made.make_template()
        yield made


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture
def opened(tmp_path: Path, watch: Watch, kind: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], Ledger]]:
    """Opens the ledger of this test; as often as wanted, closed at the end."""
    made: list[Ledger] = []
    if kind == "sqlite":
        fresh(tmp_path)
    else:
        postgres: Cluster = request.getfixturevalue("postgres")
        (tmp_path / ELSEWHERE).write_text(postgres.copy())

    def open_one() -> Ledger:
        made.append(Ledger.open(url_of(tmp_path), watch, folder=tmp_path))
        return made[-1]

    yield open_one
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(opened: Callable[[], Ledger]) -> Ledger:
    one = opened()
    one.claim("run")
    return one
