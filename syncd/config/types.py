"""What loading gives: the config as frozen types, and a connection as mappings see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from syncd.config.schema import AlertTable
from syncd.connect.contract import Abilities
from syncd.connect.settings import ConnectionSettings
from syncd.core.rules import House


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """One `[connections.NAME]`; `settings` is the kind's own model."""

    name: str
    kind: str
    settings: ConnectionSettings


@dataclass(frozen=True, slots=True)
class EvidenceConfig:
    """`[evidence]`"""

    subjects: Literal["names", "hashed", "none"]
    keep: timedelta


@dataclass(frozen=True, slots=True)
class WebConfig:
    """`[web]`; `host` and `port` are the two parts of `listen`. `linked`: the admin wrote it, so messages name it."""

    listen: str
    host: str
    port: int
    linked: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole and valid config.toml.

    `path` and `folder` are absolute. `cron` is "" where `every` counts; its weekdays are names, its fields are in the
    zone of `house`. `database` is a URL with an absolute path; it may
    hold a password. `warnings` are sentences with their place.
    """

    path: Path
    folder: Path
    house: House
    every: timedelta
    cron: str
    database: str = field(repr=False)
    concurrency: int
    connections: Mapping[str, ConnectionConfig]
    mappings_folder: Path
    evidence: EvidenceConfig
    alerts: tuple[AlertTable, ...]
    web: WebConfig
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A connection as mappings see it. `abilities` is None where its kind is itself at fault: then nothing that
    names it is judged further."""

    name: str
    kind: str
    abilities: Abilities | None


Links = Mapping[str, Link]
