"""Writes additions: what is sent, what its answer means, and the look whether it is there. Tickets go to `tickets`.

A quantity is set by PATCH on a known addition (an absolute value: class S). New additions carry syncd's mark, because
ConnectWise has no idempotency key: they are looked for in the whole list of their agreement (class M). PUT is never
used (it resets what it does not name), nothing is deleted, and no custom field of a standing addition is patched
(the array is replaced as a whole).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.connectwise.abilities import CREATES, OPERATIONS, TICKETS
from connectors.connectwise.config import SERIAL_NUMBER, ConnectWiseSettings
from connectors.connectwise.dates import day, instant, written
from connectors.connectwise.errors import refused
from connectors.connectwise.lines import changed_by, last_billed_day, never_bills, version
from connectors.connectwise.marks import bears, described, marked, tail, text_of, units
from connectors.connectwise.payloads import Addition
from connectors.connectwise.read import Reader
from connectors.connectwise.tickets import Tickets
from syncd.connect.http import Reply, json_bytes
from syncd.connect.outcome import outcome
from syncd.connect.values import exact
from syncd.errors import VendorError
from syncd.model import Absent, Found, Moved, Operation, Outcome, Posting, Receipt, Sight, Wire
from syncd.money import plain
from syncd.periods import DAY

_HEADERS = (("content-type", "application/json; charset=utf-8"),)
_CENT = Decimal("0.01")


class Poster:
    """Postings of one connection. Thread-safe."""

    def __init__(self, reader: Reader, settings: ConnectWiseSettings) -> None:
        self._reader = reader
        self.tickets = Tickets(reader.api, settings)
        self._field = settings.marker
        self._last_day_billed = settings.cancelled_day == "billed"

    def wire(self, posting: Posting) -> Wire:
        """The request for a posting; equal postings give equal bytes.

        Pure, except that a custom marker field is looked up where this connection has not seen its id yet, and the
        status that closes a ticket on its board; that raises VendorError. Raises ValueError for a posting that lacks
        what its operation needs (`refusal` names it before).
        """
        if posting.operation in TICKETS:
            return self.tickets.wire(posting)
        if posting.operation not in OPERATIONS:
            raise ValueError(f"ConnectWise has no {posting.operation}")
        agreement = f"finance/agreements/{int(posting.agreement_id)}/additions"
        match posting.operation:
            case Operation.SET_QUANTITY:
                return _patch(agreement, posting, "quantity", exact(posting.quantity))
            case Operation.END_LINE:
                return _patch(agreement, posting, "cancelledDate", written(self._cancelled(posting)))
        return Wire("POST", agreement, json_bytes(self._body(posting)), _HEADERS)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the answer strictly."""
        return outcome(
            self._reader.api.send(wire),
            receipt=lambda reply: self._receipt(posting, wire, reply),
            refused=refused,
            throttled_is_harmless=OPERATIONS[posting.operation].throttled_is_harmless,
        )

    def find(self, posting: Posting, today: date) -> Sight:
        """Looks whether the change is there. Raises VendorError where it cannot tell."""
        if posting.operation in TICKETS:
            return self.tickets.find(posting)
        if posting.operation in CREATES:
            return self._find_mark(posting)
        found = self._standing(posting)
        if isinstance(found, Moved):
            return found
        ends = last_billed_day(found, self._last_day_billed)
        by = _writer(found)
        shown = plain(found.quantity) if found.quantity is not None else "no quantity"
        if posting.operation == Operation.SET_QUANTITY:
            if found.quantity == posting.quantity:
                return Found(str(found.id), found.quantity)
            if ends is not None and ends < today:
                return Moved(f"the addition #{found.id} was ended on {ends} at quantity {shown}{by}")
            if found.quantity == posting.before:
                return Absent()
            return Moved(f"the addition #{found.id} shows {shown}{by}")
        if day(found.cancelled_date) == self._cancelled(posting):
            return Found(str(found.id), found.quantity)
        unchanged = bool(posting.version) and posting.version == version(found)
        if ends is not None and not unchanged:
            return Moved(f"the addition #{found.id} already ends on {ends}{by}")
        if posting.before is not None and found.quantity != posting.before:
            return Moved(f"the addition #{found.id} shows {shown}{by}")
        return Absent()

    def _find_mark(self, posting: Posting) -> Sight:
        every = self._reader.additions(posting.agreement_id)
        bearing = [one for one in every if bears(one, self._field, posting.marker)]
        standing = [one for one in bearing if not never_bills(one, self._last_day_billed)]
        if len(standing) > 1:
            raise VendorError(
                "invalid",
                f"{len(standing)} additions of the ConnectWise agreement #{posting.agreement_id} bear the mark "
                f"{posting.marker} ({_numbers(standing)}); end the surplus ones by hand",
            )
        if standing:
            return Found(str(standing[0].id), abs(units(standing[0], posting.marker)))
        if bearing:
            what = f"what bears the mark {posting.marker} was ended before it began: {_numbers(bearing)}"
            return Moved(what, arrived=str(min(one.id for one in bearing)))
        return self._find_unmarked(posting, every)

    def _find_unmarked(self, posting: Posting, every: Sequence[Addition]) -> Absent | Moved:
        """A person can type over the mark, and a PSA can drop it: then the charge stands there all the same, and
        without this look it would be taken for one that never arrived."""
        alike = [
            one
            for one in every
            if not marked(one, self._field, self._reader.own_marker)
            and not never_bills(one, self._last_day_billed)
            and self._charges(posting, one)
        ]
        if not alike:
            return Absent()
        return Moved(
            f"the addition {_numbers(alike)} of the agreement #{posting.agreement_id} shows this charge's product, "
            f"days, quantity and price, and no mark of syncd's: put its {self._field} back to {posting.marker}, or "
            "end it before its first day",
            perhaps=True,
        )

    def _standing(self, posting: Posting) -> Addition | Moved:
        api = self._reader.api
        path = f"finance/agreements/{posting.agreement_id}"
        try:
            found = api.read(f"{path}/additions/{posting.line_id}").parse(Addition)
        except VendorError as error:
            if error.status != 404:
                raise
            api.read(path)  # raises where the agreement cannot be read either: then a 404 says nothing of the addition
            return Moved(f"the addition #{posting.line_id} of the agreement #{posting.agreement_id} no longer exists")
        if str(found.id) != posting.line_id:
            raise VendorError("malformed", f"ConnectWise answered with addition #{found.id}, not #{posting.line_id}")
        return found

    def _body(self, posting: Posting) -> dict[str, Any]:
        if posting.starts is None:
            raise ValueError("an addition needs a first billed day")
        quantity, price = charge(posting)
        end = ""
        if posting.operation == Operation.POST_CREDIT or quantity != posting.quantity:
            end = tail(posting.marker, posting.quantity, credit=posting.operation == Operation.POST_CREDIT)
        body: dict[str, Any] = {
            "product": {"id": int(posting.product_id)},
            "quantity": exact(quantity),
            "lessIncluded": 0,
            "billCustomer": "Billable",
            "effectiveDate": written(posting.starts),
        }
        if price is not None:
            body["unitPrice"] = exact(price)
        if posting.operation == Operation.POST_CREDIT:
            body["unitCost"] = 0  # the vendor behind the product gives nothing back; the catalogue's cost is not it
        elif posting.unit_cost is not None:
            body["unitCost"] = exact(posting.unit_cost * posting.quantity / quantity)
        if posting.operation != Operation.ADD_LINE:
            body["cancelledDate"] = written(self._cancelled(posting))
            # Only where the rule wants the vendor's own daily share; a price made by syncd is not divided again.
            body["prorateCurrentPeriodFlag"] = _prorates(posting)
        if text := described(posting.description, end):
            body["invoiceDescription"] = text
        if self._field == SERIAL_NUMBER:
            body["serialNumber"] = posting.marker
        else:
            body["customFields"] = [
                {"id": self._reader.marker_field(), "caption": self._field, "value": posting.marker}
            ]
        return body

    def _cancelled(self, posting: Posting) -> date:
        """The date that makes `ends` the last billed day."""
        if posting.ends is None:
            raise ValueError("a line that ends needs a last billed day")
        return posting.ends if self._last_day_billed else posting.ends + DAY

    def _receipt(self, posting: Posting, wire: Wire, reply: Reply) -> Receipt | None:
        """The answer as a receipt, where it shows the record that was meant with everything that was asked."""
        if posting.operation in TICKETS:
            return self.tickets.receipt(posting, wire, reply)
        try:
            shown = reply.parse(Addition)
        except VendorError:
            return None
        match posting.operation:
            case Operation.SET_QUANTITY:
                done = str(shown.id) == posting.line_id and shown.quantity == posting.quantity
            case Operation.END_LINE:
                done = str(shown.id) == posting.line_id and day(shown.cancelled_date) == self._cancelled(posting)
            case _:
                done = shown.id > 0 and self._shows(posting, shown)
        return Receipt(str(shown.id), echo=reply.body[:4000].decode(errors="replace")) if done else None

    def _shows(self, posting: Posting, shown: Addition) -> bool:
        return (
            self._charges(posting, shown)
            and shown.bill_customer == "Billable"
            and text_of(shown, self._field) == posting.marker
        )

    def _charges(self, posting: Posting, shown: Addition) -> bool:
        """Whether an addition has the product, days, quantity and price that are sent for a posting, whatever mark it
        bears and whether a person let the customer off since."""
        quantity, price = charge(posting)
        return (
            _same(shown.quantity, quantity)
            and (price is None or _same(shown.unit_price, price))
            and str(shown.product.id) == str(int(posting.product_id))
            and day(shown.effective_date) == posting.starts
            and (posting.operation == Operation.ADD_LINE or day(shown.cancelled_date) == self._cancelled(posting))
        )


def charge(posting: Posting) -> tuple[Decimal, Decimal | None]:
    """(quantity, unit price) as sent for a new addition; a price of None leaves it to the catalogue.

    An amount that syncd priced is sent so that the vendor's multiplication gives exactly it: as its units where the
    price of one has whole cents, else as one unit at the whole amount. A credit is always one unit at the negative
    amount. Where the vendor is to compute a daily share, the full price goes out and any amount is only an expectation.
    """
    if posting.operation == Operation.POST_CREDIT:
        amount = posting.amount
        if amount is None:
            if posting.unit_price is None:
                raise ValueError("a credit needs an amount or a unit price")
            amount = posting.unit_price * posting.quantity
        return Decimal(1), -abs(amount)
    if posting.operation == Operation.ADD_LINE or posting.amount is None or _prorates(posting):
        return posting.quantity, posting.unit_price
    if posting.unit_price is not None and posting.unit_price * posting.quantity == posting.amount:
        return posting.quantity, posting.unit_price
    if posting.quantity > 0:
        each = (posting.amount / posting.quantity).quantize(_CENT)
        if each * posting.quantity == posting.amount:
            return posting.quantity, each
    return Decimal(1), posting.amount


def _prorates(posting: Posting) -> bool:
    return posting.operation == Operation.POST_LINE and posting.options.get("prorate") == "daily"


def _same(shown: Decimal | None, sent: Decimal) -> bool:
    """Whether a number is the one that was sent; one that is none ("NaN") is not, and raises nothing after a write."""
    return shown is not None and shown.is_finite() and shown == sent


def _numbers(some: Sequence[Addition]) -> str:
    return ", ".join(f"#{one.id}" for one in some)


def _patch(agreement: str, posting: Posting, field: str, value: object) -> Wire:
    body = [{"op": "replace", "path": field, "value": value}]
    return Wire("PATCH", f"{agreement}/{int(posting.line_id)}", json_bytes(body), _HEADERS)


def _writer(addition: Addition) -> str:
    """Who wrote it last and when, as the vendor tells: another integration shows by its login, and by its hour."""
    if not changed_by(addition):
        return ""
    at = instant(addition.info.last_updated if addition.info else None)
    return f", last written by {changed_by(addition)}" + (f" on {at:%Y-%m-%d at %H:%M} UTC" if at else "")
