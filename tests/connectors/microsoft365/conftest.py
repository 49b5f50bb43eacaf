from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from m365_kit import Bench
from m365_recorded import Recorded


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    with Recorded(tmp_path) as graph:
        yield graph
