"""What became of an invoice: paid, open, failed, charged back. For notes beside the numbers; no number rests on it.

A payment does not say for which invoice it is, so invoices that are not plainly paid are asked about one by one; so are
those of customers one of whose payments went wrong, because a bank returns money days after "paid".
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.alternative_payments.api import Api
from connectors.alternative_payments.payloads import Invoice, Payment
from syncd.connect.once import FATAL, Once
from syncd.errors import VendorError

PAID = "paid"
# Statuses are not published. What holds one of these went wrong after it was made.
_WRONG = ("fail", "return", "charge", "refund", "dispute", "cancel")


class Paid:
    """Payment status by invoice. Thread-safe. `since`: the first instant that matters, as text."""

    def __init__(self, api: Api, since: Callable[[], str]) -> None:
        self._api = api
        self._all = Once(lambda: api.whole("payments", Payment, {"created_at_start": since()}).rows)

    def status(self, invoice: Invoice) -> str:
        """One phrase ("paid", "open, 1 payment failed"). Raises VendorError only where asking on is useless."""
        told = (invoice.status or "of unknown status").strip().casefold()
        try:
            payments = self._all.get()
            mine = {one.status.strip().casefold() for one in payments if one.customer_id == invoice.customer_id}
            if not mine or (told == PAID and not any(map(went_wrong, mine))):
                return told
            found = self._api.whole("payments", Payment, {"invoice_id": invoice.id})
        except VendorError as error:
            if error.code in FATAL:
                raise
            return f"{told}, its payments could not be read ({error.code})"
        if any(one.customer_id != invoice.customer_id for one in found.rows):
            return f"{told}, its payments could not be read (wrong_tenant)"
        seen = sorted({one.status.strip().casefold() for one in found.rows} - {told})
        return f"{told}, payment {' and '.join(seen)}" if seen else told


def went_wrong(status: str) -> bool:
    """Whether a payment's status says that the money did not stay."""
    return any(part in status for part in _WRONG)
