from __future__ import annotations

import pytest
from netsuite_kit import CHARGE, CREDIT, INVOICE, SECOND, Bench, Read

from syncd.model import Posting


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench


@pytest.fixture
def postings() -> dict[str, Posting]:
    """One posting of each kind that fits the story; `second` shares `invoice`'s document."""
    return {"charge": CHARGE, "invoice": INVOICE, "second": SECOND, "credit": CREDIT}


@pytest.fixture(scope="module")
def read_once(shared_bench: Bench) -> Read:
    """What was read once for all tests of a file."""
    return Read(shared_bench)
