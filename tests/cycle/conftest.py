from __future__ import annotations

import functools
import importlib.metadata
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer.main
from stage import Stage


@pytest.fixture(autouse=True, scope="session")
def _made_once() -> Iterator[None]:
    """What a process does once: the tree of commands, the look for connectors. Hundreds of commands run in this one."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        patched.setattr("syncd.connect.registry.entry_points", functools.cache(importlib.metadata.entry_points))
        yield


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
