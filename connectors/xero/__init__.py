"""Xero: reads contacts, items, repeating invoices and what was invoiced; posts true-up and usage lines as draft
invoices and draft credit notes. What it can do is declared here; the rest is imported when a connection is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.xero.abilities import ABILITIES
from connectors.xero.config import XeroSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.xero.connection import Xero


@dataclass(frozen=True)
class XeroConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "xero"
    title: str = "Xero"
    settings: type[ConnectionSettings] = XeroSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.xero.sandbox:build"

    def open(self, settings: XeroSettings, context: Context) -> Xero:
        """Builds the connection; no I/O yet."""
        from connectors.xero.connection import Xero

        return Xero(settings, context)


connector = XeroConnector()
