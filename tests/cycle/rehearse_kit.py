"""Rehearsals on a stage."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from stage import Stage, environment

from syncd.clock import make_clock
from syncd.config import load
from syncd.connect.contract import Connector
from syncd.connect.registry import Kinds
from syncd.rehearse import Rehearsal, rehearse


def play(stage: Stage, kinds: Mapping[str, Connector] | None = None, **options: Any) -> Rehearsal:
    """`rehearse`, without the command line around it."""
    with environment(stage.variables()):
        kinds = kinds or Kinds()
        config, mappings = load(stage.config_path, kinds, os.environ)
        return rehearse(config, mappings, kinds, make_clock(), **options)


def untouched(stage: Stage) -> bool:
    """Whether no real system was written to, and the real ledger holds nothing."""
    return not stage.foreign_writes() and not stage.effects and not stage.entries()
