from __future__ import annotations

import pytest
from pc_kit import Bench


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench
