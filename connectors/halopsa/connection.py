"""An open connection to one Halo: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.halopsa.abilities import TICKETS
from connectors.halopsa.api import Api
from connectors.halopsa.config import HaloSettings
from connectors.halopsa.feeds import feeds
from connectors.halopsa.invoiced import booked
from connectors.halopsa.post import Poster
from connectors.halopsa.read import Reader
from connectors.halopsa.refuse import refusal
from connectors.halopsa.signing import lacking
from connectors.halopsa.usage import Usage
from syncd.connect.contract import Ask, Context, Feed, SignIn
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire
from syncd.periods import local_date


class Halo:
    """See `syncd.connect.contract.Connection`. Lists without a client are read once while it is open."""

    def __init__(self, settings: HaloSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context)
        self._reader = Reader(self._api, settings, context.own_marker, context.clock)
        self._poster = Poster(self._reader, self._api, settings)
        self._usage = Usage(self._reader, context.zone)

    def sign_in(self) -> SignIn:
        """Proves host, tenant, credentials, scopes, and the right to read clients. Raises VendorError."""
        self._reader.look()
        missing = lacking(self._settings.scopes, self._api.scopes())
        warnings = (f"the API application was not given {', '.join(missing)}",) if missing else ()
        tenant = f", tenant {self._settings.tenant}" if self._settings.tenant else ""
        return SignIn(f"HaloPSA at {self._api.host}{tenant}", warnings)

    def customers(self) -> Sequence[RemoteCustomer]:
        """All active clients, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """All active items, whole. Raises VendorError."""
        return self._reader.products()

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Devices, users, licences; hours and tickets of the moment's period in the MSP's zone."""
        return self._usage.counts(asks, moment)

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Recurring invoices, their open lines, and syncd's own drafts. Raises VendorError where the recurring
        invoices cannot be read."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Quantities on invoices dated in the moment's period."""
        return booked(self._reader, asks, moment)

    def feeds(self) -> Sequence[Feed]:
        """The books into which Halo's accounting sync pushes its invoices. Raises VendorError."""
        return feeds(self._api)

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        if posting.operation in TICKETS:
            return self._poster.tickets.refusal(posting)
        return refusal(posting, billing, products, moment)

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes."""
        return self._poster.wire(posting)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once."""
        return self._poster.send(posting, wire)

    def find(self, posting: Posting) -> Sight:
        """Looks whether the change is there, on the clock's day in the MSP's zone. Raises VendorError."""
        return self._poster.find(posting, local_date(self._context.clock(), self._context.zone))

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
