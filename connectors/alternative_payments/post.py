"""Creates invoices: what is sent, what its answer means, the look whether it is there, and what must not be asked.

The vendor has no idempotency key, no draft and no field for a foreign key. The mark stands in the line's text and is
found by listing the customer's invoices; nothing is ever sent twice by itself.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec

from connectors.alternative_payments.amounts import CURRENCY, Amounts, due, sent, shown
from connectors.alternative_payments.api import Api, refused
from connectors.alternative_payments.config import NOBODY, PaymentsSettings
from connectors.alternative_payments.payloads import Invoice, Written
from connectors.alternative_payments.read import Reader, charges_somebody
from connectors.alternative_payments.text import SEPARATOR, description, on_one_line, own_line
from syncd.connect.http import Reply, json_bytes
from syncd.connect.outcome import outcome
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Outcome, Posting, Receipt, Refused, Sight, Wire
from syncd.money import plain

_HEADERS = (("content-type", "application/json"),)
_LONGEST_ITEM = 120


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, api: Api, settings: PaymentsSettings, own_marker: str) -> None:
        self._reader = reader
        self._api = api
        self._settings = settings
        self._own = own_marker
        self._amounts = Amounts.of(settings)

    def refusal(self, posting: Posting) -> str:
        """Why this must not be asked, in words; "" where it may. Pure."""
        item = on_one_line(posting.product_id)
        if problem := self._closed():
            return problem
        if posting.operation is not Operation.POST_LINE:
            return (
                "Alternative Payments takes invoices only; archive the invoice that is too high by hand in its "
                "dashboard, and post the right one"
            )
        if posting.product_id != posting.product or not item:
            return f"{posting.product_id!r} is not what the line would say ({posting.product!r}); name it as `item`"
        if SEPARATOR.strip() in item or "[" in item or len(item) > _LONGEST_ITEM:
            return f"{item[:60]!r} cannot name a line here: at most {_LONGEST_ITEM} characters, without | and ["
        if posting.amount is None and posting.unit_price is None:
            return (
                f"no price is known for {item!r}: Alternative Payments keeps none, so the rule must (price = {{ … }})"
            )
        if posting.currency != CURRENCY:
            return f"Alternative Payments takes {CURRENCY} only, and this is in {posting.currency or 'no currency'}"
        if posting.starts is None or posting.ends is None:
            return "an invoice needs the days that it covers"
        if due(posting) < 0 or posting.quantity <= 0:
            return f"an invoice of {shown(due(posting))} for {plain(posting.quantity)} units cannot be posted"
        return ""

    def wire(self, posting: Posting) -> Wire:
        """The request for a posting. Pure. Raises ValueError for one that lacks what `refusal` names before."""
        if posting.operation is not Operation.POST_LINE:
            raise ValueError(f"Alternative Payments has no {posting.operation}")
        if posting.ends is None:
            raise ValueError("an invoice needs the days that it covers")
        quantity, each = sent(posting)
        return Wire(
            "POST",
            "invoices",
            json_bytes(
                {
                    "customer_id": posting.customer_id,
                    "currency": CURRENCY,
                    "due_date": (posting.ends + timedelta(days=self._settings.due_days)).isoformat(),
                    "line_items": [
                        {
                            "description": description(posting),
                            "quantity": int(quantity),
                            "amount": self._amounts.written(quantity, each),
                        }
                    ],
                }
            ),
            _HEADERS,
        )

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the answer strictly."""
        if problem := self._closed():  # it was switched off since this was approved
            return Refused("unsupported", problem)
        if problem := self._outdated(posting, wire):
            return Refused("invalid", problem)
        try:
            reply = self._api.send(wire)
        except VendorError as error:  # not on the list of what may be asked: nothing left
            return Refused(error.code, str(error))
        return outcome(
            reply,
            receipt=lambda told: self._receipt(posting, told),
            refused=refused,
            throttled_is_harmless=True,
        )

    def find(self, posting: Posting) -> Sight:
        """Lists the customer's invoices, all of them, and looks for the mark. Raises VendorError where it cannot."""
        rows = self._reader.invoices_of(posting.customer_id).rows
        bearing = [row for row in rows if any(posting.marker in (line.description or "") for line in row.line_items)]
        if not bearing:
            return Absent()
        standing = [row for row in bearing if charges_somebody(row)]
        if not standing:
            gone = bearing[0]
            return Moved(f"the invoice {gone.called} was made and is {gone.status} now", arrived=gone.id)
        if len(standing) > 1:
            names = ", ".join(row.called for row in standing)
            return Moved(f"{len(standing)} invoices bear the mark {posting.marker} ({names}); archive all but one")
        (invoice,) = standing
        if lie := self._differs(posting, invoice):
            return Moved(f"the invoice {invoice.called} bears the mark and {lie}; archive it by hand if that is wrong")
        mine = [own for line in invoice.line_items if (own := own_line(invoice, line, self._own)) is not None]
        return Found(invoice.id, sum((one.units for one in mine), Decimal(0)))

    def _receipt(self, posting: Posting, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the invoice that was meant, to the cent."""
        invoice = reply.try_parse(Invoice)
        if invoice is None or not invoice.id or invoice.customer_id != posting.customer_id:
            return None
        if self._differs(posting, invoice):
            return None
        return Receipt(invoice.id, reply.body[:4000].decode(errors="replace"))

    def _differs(self, posting: Posting, invoice: Invoice) -> str:
        """What an invoice shows otherwise than it was meant, in words; "" where nothing. Fees are in totals, so the sum
        before them is compared."""
        lines = invoice.line_items
        quantity, each = sent(posting)
        if len(lines) != 1:
            return f"holds {len(lines)} lines instead of one"
        (line,) = lines
        if line.quantity != quantity or line.amount != self._amounts.written(quantity, each):
            wanted = f"{plain(quantity)} × {plain(self._amounts.written(quantity, each))}"
            return f"shows {plain(line.quantity)} × {plain(line.amount)} instead of {wanted}"
        if on_one_line(line.description) != description(posting):
            return "its text was changed"
        if invoice.currency.upper() != CURRENCY:
            return f"is in {invoice.currency}"
        if not self._amounts.agrees(invoice.sub_total, due(posting)):
            told = plain(invoice.sub_total) if invoice.sub_total is not None else "no sum"
            return f"shows {told} before tax instead of {shown(due(posting))}"
        return ""

    def _outdated(self, posting: Posting, wire: Wire) -> str:
        """Why frozen bytes mean other money than the posting under the keys in force, in words; "" where they mean the
        same. What waited for its approval may have been planned under others."""
        frozen, now = _charged(wire), _charged(self.wire(posting))
        if frozen == now:
            return ""
        return (
            f"amount_unit or amount_basis changed since this was planned: it would be sent as {_told(frozen)}, and "
            f"{shown(due(posting))} is {_told(now)} now; nothing was sent, `syncd retry` plans it anew"
        )

    def _closed(self) -> str:
        """Why nothing at all may be posted through this connection; "" where something may. The config is refused
        before, so this is the last door."""
        settings = self._settings
        if not settings.posting:
            return "Alternative Payments is only read here: posting is not true"
        if not self._amounts.proved:
            return "what an amount means was not proved: set amount_unit and amount_basis after the set-up proof"
        if settings.primary_integration != NOBODY:
            return f"invoices come from {settings.primary_integration or 'a primary integration'} by themselves"
        return ""


def _charged(wire: Wire) -> list[tuple[Decimal, Decimal]]:
    """(quantity, amount) of each line that a request asks for; none where it is no invoice."""
    try:
        return [(line.quantity, line.amount) for line in msgspec.json.decode(wire.body, type=Written).line_items]
    except msgspec.DecodeError:
        return []


def _told(lines: list[tuple[Decimal, Decimal]]) -> str:
    return ", ".join(f"{plain(quantity)} × {plain(amount)}" for quantity, amount in lines) or "no line"
