from __future__ import annotations

import pytest
from xero_kit import Bench


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench
