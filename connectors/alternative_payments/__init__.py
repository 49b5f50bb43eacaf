"""Alternative Payments: reads customers, invoices and their payment status, and creates invoices where the admin said
in so many words that nothing else does. What it can do is declared here; the rest is imported when a connection is
opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from connectors.alternative_payments.config import PaymentsSettings
from syncd.connect.contract import Abilities, Context, Delivery
from syncd.connect.settings import ConnectionSettings
from syncd.model import Operation

if TYPE_CHECKING:
    from connectors.alternative_payments.connection import Payments

# The vendor names no limit of a line's description; what syncd adds to it (the name, the mark, the days) has 80 more.
DESCRIPTION_LENGTH = 250

ABILITIES = Abilities(
    reads=frozenset({"invoiced"}),
    operations={
        # No key, no draft, no reference: at most once, the mark in the text, a person before every sending.
        Operation.POST_LINE: Delivery(
            "M",
            marker="line_items[0].description",
            marker_length=DESCRIPTION_LENGTH,
            request_life=timedelta(minutes=15),
            throttled_is_harmless=True,
            asks_a_person=True,
        )
    },
    # One sweep over the newest invoices costs a call for a hundred; asking customer by customer, one for each.
    per_customer=False,
    bill_keys=("item",),
    keeps_quantity=False,
    description_length=DESCRIPTION_LENGTH - 80,
    catalogue=False,
    switch="posting",
    feeds=frozenset({"alternative_payments", "quickbooks"}),
)


@dataclass(frozen=True)
class PaymentsConnector:
    """See `syncd.connect.contract.Connector`."""

    kind: str = "alternative_payments"
    title: str = "Alternative Payments"
    settings: type[ConnectionSettings] = PaymentsSettings
    abilities: Abilities = ABILITIES
    sandbox: str = "connectors.alternative_payments.sandbox:build"

    def open(self, settings: Any, context: Context) -> Payments:
        """Builds the connection; no I/O yet."""
        from connectors.alternative_payments.connection import Payments

        return Payments(settings, context)


connector = PaymentsConnector()
