from __future__ import annotations

import pytest
from cw_kit import EVERY, Bench

from syncd.model import Posting


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each operation that fits the story's first company."""
    return dict(EVERY)
