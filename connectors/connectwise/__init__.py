"""ConnectWise PSA (formerly Manage): reads companies, agreements, additions, devices, time, tickets and invoices, and
keeps the quantities of additions. What it can do is declared here; the rest is imported when a connection is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.connectwise.abilities import ABILITIES
from connectors.connectwise.config import ConnectWiseSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.connectwise.connection import ConnectWise


@dataclass(frozen=True)
class ConnectWiseConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "connectwise"
    title: str = "ConnectWise PSA"
    settings: type[ConnectionSettings] = ConnectWiseSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.connectwise.sandbox:build"

    def open(self, settings: ConnectWiseSettings, context: Context) -> ConnectWise:
        """Builds the connection; no I/O yet."""
        from connectors.connectwise.connection import ConnectWise

        return ConnectWise(settings, context)


connector = ConnectWiseConnector()
