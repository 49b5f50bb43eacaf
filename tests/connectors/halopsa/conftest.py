from __future__ import annotations

import pytest
from halo_kit import ADD, COUNT, DRAFT, SET, Bench

from syncd.model import Posting


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each kind that fits the story."""
    return {"set": SET, "count": COUNT, "draft": DRAFT, "add": ADD}
