from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from stage import BIRCHWOOD, Stage


@pytest.fixture(autouse=True, scope="module")
def _own_logging() -> Iterator[None]:
    """Commands set up the logging of their process; the tests after these keep theirs."""
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def raise_stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Stages with options of their own (see Stage)."""
    raised: list[Stage] = []

    def make(customers: int = 3, **options: Any) -> Stage:
        raised.append(Stage(tmp_path / f"stage{len(raised)}", customers, **options))
        return raised[-1]

    yield make
    for one in raised:
        one.close()


@pytest.fixture
def stage(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder, Birchwood and Cedar; one rule that keeps the quantity of Business Premium; settled at first sight."""
    return raise_stage()


@pytest.fixture
def pair(raise_stage: Callable[..., Stage]) -> Stage:
    """Alder with 2 seats unbilled, and Birchwood with 1, who must not suffer for what happens to Alder."""
    stage = raise_stage(2)
    stage.hire(BIRCHWOOD, 1)
    return stage
