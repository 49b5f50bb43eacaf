"""A ledger for the tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_kit import clock

from syncd.ledger import Ledger


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """An empty ledger for tests that write nothing."""
    with Ledger.open("sqlite:///syncd.db", clock, folder=tmp_path_factory.mktemp("ledger")) as ledger:
        yield ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A claimed, empty ledger of the test's own."""
    with Ledger.open("sqlite:///syncd.db", clock, folder=tmp_path) as ledger:
        ledger.claim("test")
        yield ledger
