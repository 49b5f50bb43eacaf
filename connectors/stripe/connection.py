"""An open connection to one Stripe account: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from connectors.stripe.api import Api
from connectors.stripe.config import StripeSettings
from connectors.stripe.invoiced import Invoiced
from connectors.stripe.post import Poster
from connectors.stripe.read import Reader
from connectors.stripe.refuse import refusal
from syncd.connect.contract import Ask, Context, SignIn
from syncd.errors import VendorError
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire

# What else the key must be able to read, and what it is called where its permissions are set.
_RIGHTS = (
    ("v1/prices", "Prices: Read"),
    ("v1/subscriptions", "Subscriptions: Read"),
    ("v1/invoiceitems", "Invoices: Read"),
    ("v1/invoices", "Invoices: Read"),
)


class Stripe:
    """See `syncd.connect.contract.Connection`. The account's lists are read once while it is open."""

    def __init__(self, settings: StripeSettings, context: Context) -> None:
        self._zone = context.zone
        self._host = urlsplit(settings.root).netloc
        self._api = Api(settings, context)
        self._reader = Reader(self._api, context.own_marker, context.clock, context.zone)
        self._poster = Poster(self._reader, self._api)
        self._invoiced = Invoiced(self._api, self._reader)

    def sign_in(self) -> SignIn:
        """Proves that the key works and may read customers, and says loudly whether it is of the test mode. Raises
        VendorError."""
        key = self._api.key()
        self._api.look("v1/customers")
        warnings = [] if key.live else ["TEST MODE: nothing that is posted here is charged to anybody"]
        if not key.restricted:
            warnings.append("api_key is a full secret key, which may do everything; make a restricted one (rk_…)")
        for path, right in _RIGHTS:
            try:
                self._api.look(path)
            except VendorError as error:
                if error.code != "forbidden":
                    raise
                warnings.append(f"the key lacks {right}")
        sort = "restricted key" if key.restricted else "secret key"
        return SignIn(f"Stripe at {self._host}, {key.mode}, {sort}", tuple(dict.fromkeys(warnings)))

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers that are not deleted, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """All prices, whole. Raises VendorError."""
        return self._reader.products()

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Nothing: Stripe counts nothing that is not billed."""
        return iter(())

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Subscriptions, their items, and syncd's own invoice items. Raises VendorError where one of the account's
        lists cannot be read."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Units and money on invoices dated in the moment's period."""
        return self._invoiced.booked(asks, moment)

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        known = self._reader.catalogue.known()
        prices = known.prices if known else {}
        return refusal(posting, billing, products, moment, zone=self._zone, prices=prices)

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes."""
        return self._poster.wire(posting)

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once."""
        return self._poster.send(posting, wire)

    def find(self, posting: Posting) -> Sight:
        """Looks whether the change is there. Raises VendorError."""
        return self._poster.find(posting)

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
