"""Lets the double stand in for a real account in a rehearsal (see `syncd.sandbox.fill`): its customers, and what syncd
invoiced there before. Other invoices are no part of a rehearsal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from syncd.model import BilledLine, Billing, Posting, RemoteCustomer

if TYPE_CHECKING:
    from connectors.alternative_payments.sandbox import PaymentsDouble

# What a line was sent as, where that is not its units: "… 2.5/1 20261101-20261130]".
_SENT = re.compile(r" \d+(?:\.\d+)?/(\d+(?:\.\d+)?) \d{8}-\d{8}\]")


def fill(double: PaymentsDouble, customers: Sequence[RemoteCustomer], billings: Iterable[Billing]) -> None:
    """Forgets all records and holds these, under their real ids."""
    with double.lock:
        double.customers[:] = [
            {
                "id": one.id,
                "name": one.name,
                "legal_name": one.name,
                "external_id": one.identifiers[0] if one.identifiers else None,
                "customer_integration_id": one.links[0] if one.links else None,
            }
            for one in customers
        ]
        double.invoices.clear()
        double.payments.clear()
        double.rate = None
        for billing in billings:
            for line in billing.lines:
                _keep(double, line)


def _keep(double: PaymentsDouble, line: BilledLine) -> None:
    """An invoice of one line, as it was read."""
    told = _SENT.search(line.name)
    sent = Decimal(told[1]) if told else line.quantity
    each = (line.unit_price or Decimal(0)) * line.quantity / sent if sent else Decimal(0)
    units = int(sent) if sent == int(sent) else 0
    made = double.now() - timedelta(days=1)
    row = double.make(line.customer_id, [(line.name, units, each)], made, status="open")
    row["id"] = line.id


def times(double: PaymentsDouble, posting: Posting) -> int:
    """How often an invoice with the posting's mark was made."""
    return sum(posting.marker in str(one.detail.get("text", "")) for one in double.effects)
