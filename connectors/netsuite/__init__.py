"""NetSuite: reads customers, items and what was invoiced, and posts true-up and usage lines as charges on hold,
invoices or credit memos. What it can do is declared here; the rest is imported when a connection is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.netsuite.abilities import ABILITIES
from connectors.netsuite.config import NetSuiteSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.netsuite.connection import NetSuite


@dataclass(frozen=True)
class NetSuiteConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "netsuite"
    title: str = "NetSuite"
    settings: type[ConnectionSettings] = NetSuiteSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.netsuite.sandbox:build"

    def open(self, settings: NetSuiteSettings, context: Context) -> NetSuite:
        """Builds the connection; no I/O yet."""
        from connectors.netsuite.connection import NetSuite

        return NetSuite(settings, context)


connector = NetSuiteConnector()
