"""Stripe: reads customers, prices, subscriptions and invoices; keeps the quantities of subscription items, adds items,
posts invoice items and reports usage to meters. What it can do is declared here; the rest is imported when a connection
is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.stripe.abilities import ABILITIES
from connectors.stripe.config import StripeSettings
from syncd.connect.contract import Abilities, Context
from syncd.connect.settings import ConnectionSettings

if TYPE_CHECKING:
    from connectors.stripe.connection import Stripe


@dataclass(frozen=True)
class StripeConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "stripe"
    title: str = "Stripe"
    settings: type[ConnectionSettings] = StripeSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.stripe.sandbox:build"

    def open(self, settings: StripeSettings, context: Context) -> Stripe:
        """Builds the connection; no I/O yet."""
        from connectors.stripe.connection import Stripe

        return Stripe(settings, context)


connector = StripeConnector()
