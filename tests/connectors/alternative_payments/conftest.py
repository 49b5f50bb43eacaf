from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from altpay_kit import Bench, benches


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with benches(tmp_path) as one:
        yield one
