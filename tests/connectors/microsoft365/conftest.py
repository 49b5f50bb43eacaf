from __future__ import annotations

import pytest
from m365_kit import Bench


@pytest.fixture(scope="session")
def bench_kind() -> type[Bench]:
    return Bench
