from __future__ import annotations

from pathlib import Path

import pytest
from config_kit import CUSTOMER, RULE, Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A valid house with one customer and one rule."""
    (tmp_path / "mappings").mkdir()
    made = Folder(tmp_path)
    made.config("")
    made.mapping(CUSTOMER + RULE)
    return made
