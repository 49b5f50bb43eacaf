"""QuickBooks Online: reads customers, items and what was invoiced, and posts pending estimates, invoices and credit
memos. What it can do is declared here; the rest is imported when a connection is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.quickbooks.abilities import ABILITIES
from connectors.quickbooks.config import QuickBooksSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.quickbooks.connection import QuickBooks


@dataclass(frozen=True)
class QuickBooksConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "quickbooks"
    title: str = "QuickBooks Online"
    settings: type[ConnectionSettings] = QuickBooksSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.quickbooks.sandbox:build"

    def open(self, settings: QuickBooksSettings, context: Context) -> QuickBooks:
        """Builds the connection; no I/O yet."""
        from connectors.quickbooks.connection import QuickBooks

        return QuickBooks(settings, context)


connector = QuickBooksConnector()
