"""An open connection to one partner account: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from connectors.alternative_payments.api import Api
from connectors.alternative_payments.config import NOBODY, PaymentsSettings
from connectors.alternative_payments.payloads import Customer, Invoice, Payment
from connectors.alternative_payments.post import Poster
from connectors.alternative_payments.read import Reader
from syncd.connect.contract import Ask, Context, Feed, SignIn
from syncd.errors import VendorError
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire

HERE = "alternative_payments"


class Payments:
    """See `syncd.connect.contract.Connection`. Lists are read once while it is open; looks are always fresh."""

    def __init__(self, settings: PaymentsSettings, context: Context) -> None:
        self._settings = settings
        self._api = Api(settings, context)
        self._reader = Reader(self._api, settings, context)
        self._poster = Poster(self._reader, self._api, settings, context.own_marker)

    def sign_in(self) -> SignIn:
        """Proves the key and its right to read customers and invoices. Raises VendorError."""
        self._api.look("customers", Customer)
        self._api.look("invoices", Invoice)
        warnings = []
        try:
            self._api.look("payments", Payment)
        except VendorError as error:
            if error.code != "forbidden":
                raise
            warnings.append("the API key cannot read payments: whether invoices are paid is not told")
        if not self._settings.primary_integration:
            warnings.append(
                'primary_integration is not set: name the system whose invoices are copied here, or "none", so that '
                "none is billed twice"
            )
        host = urlsplit(self._settings.root).netloc
        posts = ", posting" if self._settings.posting else ", only read"
        return SignIn(f"Alternative Payments at {host}{posts}", tuple(warnings))

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """The texts on the invoices of the last months; there is no catalogue. Raises VendorError."""
        return self._reader.products()

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Each customer's account and syncd's own charges. Raises VendorError."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """What the invoices made in the period say, line by line, and whether they are paid. Raises VendorError."""
        return self._reader.booked(asks, moment)

    def feeds(self) -> Sequence[Feed]:
        """A primary integration sends its invoices here; from ConnectWise they may go on into QuickBooks. Raises
        VendorError."""
        named = self._settings.primary_integration
        if named not in ("", NOBODY):
            into = [Feed(HERE, f'primary_integration is "{named}", whose invoices it copies')]
            if named == "connectwise":
                into.append(Feed("quickbooks", 'its "Sync Invoices" can copy closed ConnectWise invoices there'))
            return tuple(into)
        kept = self._reader.integrated()
        if not kept:
            return ()
        who = f"{len(kept)} of its customers bear the id of a primary integration (customer_integration_id)"
        return (Feed(HERE, f"{who}: their invoices come from there", frozenset(row.id for row in kept)),)

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        return self._poster.refusal(posting)

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes."""
        return self._poster.wire(posting)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once."""
        return self._poster.send(posting, wire)

    def find(self, posting: Posting) -> Sight:
        """Looks for the mark among all invoices of the customer. Raises VendorError."""
        return self._poster.find(posting)

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
