"""An open connection to one Xero organisation: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.xero.api import Api
from connectors.xero.config import XeroSettings
from connectors.xero.invoiced import Booked
from connectors.xero.post import Poster, together
from connectors.xero.read import Reader
from connectors.xero.refuse import refusal
from syncd.connect.contract import Ask, Context, Feed, SignIn
from syncd.errors import VendorError
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire


class Xero:
    """See `syncd.connect.contract.Connection`. Lists without a contact are read once while it is open."""

    def __init__(self, settings: XeroSettings, context: Context) -> None:
        self._api = Api(settings, context)
        self._reader = Reader(self._api)
        self._booked = Booked(self._reader)
        self._poster = Poster(self._reader, self._api)

    def sign_in(self) -> SignIn:
        """Proves credentials, organisation and the right to read it. Raises VendorError."""
        told = self._reader.organisation.get()
        warnings = []
        if told.demo:
            warnings.append(f'"{told.name}" is a demo company: nothing that is posted there is billed to anybody')
        if told.status not in (None, "ACTIVE"):
            warnings.append(f'the organisation "{told.name}" is {told.status.lower()} in Xero')
        demo = ", demo company" if told.demo else ""
        return SignIn(
            f'Xero organisation "{told.name}" ({told.country or "?"}, {told.currency}{demo})', tuple(warnings)
        )

    def customers(self) -> Sequence[RemoteCustomer]:
        """All active contacts, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """All items, whole. Raises VendorError."""
        return self._reader.products()

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Nothing is counted in the books."""
        raise VendorError("unsupported", "Xero counts nothing; it knows what was invoiced")

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Repeating invoices, and the lines of syncd's own documents."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Quantities and money on invoices and credit notes dated in the moment's period."""
        return self._booked.readings(asks, moment)

    def feeds(self) -> Sequence[Feed]:
        """Xero pushes its invoices to no other books."""
        return ()

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        return refusal(posting, billing, products, moment)

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes."""
        return self._poster.gather((posting,))

    def together(self, posting: Posting) -> str:
        """What names the document that this posting may share with others."""
        return together(posting)

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The request for one document that holds these postings."""
        return self._poster.gather(postings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once."""
        return self._poster.send(posting, wire)

    def find(self, posting: Posting) -> Sight:
        """Looks whether the change is there. Raises VendorError."""
        return self._poster.find(posting)

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
