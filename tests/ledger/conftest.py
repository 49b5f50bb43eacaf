"""One ledger in a scratch folder, claimed and with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_kit import URL, Watch, fresh

from syncd.ledger import Ledger


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def opened(tmp_path: Path, watch: Watch) -> Iterator[Callable[[], Ledger]]:
    """Opens the ledger of this test; as often as wanted, closed at the end."""
    made: list[Ledger] = []
    fresh(tmp_path)

    def open_one() -> Ledger:
        made.append(Ledger.open(URL, watch, folder=tmp_path))
        return made[-1]

    yield open_one
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(opened: Callable[[], Ledger]) -> Ledger:
    one = opened()
    one.claim("run")
    return one
