"""An open connection to one NetSuite account: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.netsuite.api import Api
from connectors.netsuite.config import NetSuiteSettings
from connectors.netsuite.invoiced import Invoiced
from connectors.netsuite.post import Poster
from connectors.netsuite.read import Reader
from connectors.netsuite.records import together
from connectors.netsuite.refuse import refusal
from connectors.netsuite.signing import clock, notices
from syncd.connect.contract import Ask, Context, SignIn
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire


class NetSuite:
    """See `syncd.connect.contract.Connection`. Lists are read once while it is open."""

    def __init__(self, settings: NetSuiteSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context)
        self._reader = Reader(self._api, settings)
        self._invoiced = Invoiced(self._reader)
        self._poster = Poster(self._reader, settings)

    def sign_in(self) -> SignIn:
        """Proves the credentials and the right to read customers, by REST and by SuiteQL. Raises VendorError."""
        told = notices(self._settings, self._context.folder)
        told += clock(self._reader.look().headers)
        way = "by certificate" if self._settings.by_certificate else "by token"
        return SignIn(f"NetSuite account {self._settings.account}, {way}", told)

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """All items that sell, whole. Raises VendorError."""
        return self._reader.products()

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Each customer's account, and syncd's own charges, invoices and credit memos. Raises VendorError."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """What invoices and credit memos dated in the moment's period say. Raises VendorError."""
        return self._invoiced.booked(asks, moment)

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        return refusal(posting, billing, products, self._settings)

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes."""
        return self._poster.gather((posting,))

    def together(self, posting: Posting) -> str:
        """What names the invoice or credit memo that postings share; "" for a charge."""
        return together(posting)

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The request for one invoice or credit memo with these lines."""
        return self._poster.gather(postings)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once, and reads the new record back."""
        return self._poster.send(posting, wire)

    def find(self, posting: Posting) -> Sight:
        """Looks whether the posting is there. Raises VendorError."""
        return self._poster.find(posting)

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
