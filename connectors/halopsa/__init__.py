"""HaloPSA: reads clients, items, recurring invoices, invoices, licences, devices, users, time and tickets, and keeps
the quantities of recurring invoice lines. What it can do is declared here; the rest is imported when a connection is
opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.halopsa.abilities import ABILITIES
from connectors.halopsa.config import HaloSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.halopsa.connection import Halo


@dataclass(frozen=True)
class HaloConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "halopsa"
    title: str = "HaloPSA"
    settings: type[ConnectionSettings] = HaloSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.halopsa.sandbox:build"

    def open(self, settings: HaloSettings, context: Context) -> Halo:
        """Builds the connection; no I/O yet."""
        from connectors.halopsa.connection import Halo

        return Halo(settings, context)


connector = HaloConnector()
