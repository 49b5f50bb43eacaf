"""An open connection to one company: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from connectors.quickbooks.api import Api
from connectors.quickbooks.config import QuickBooksSettings
from connectors.quickbooks.invoiced import booked
from connectors.quickbooks.post import Poster, together
from connectors.quickbooks.read import Reader
from connectors.quickbooks.refuse import refusal
from syncd.connect.contract import Ask, Context, SignIn
from syncd.errors import VendorError
from syncd.model import Billing, Moment, Outcome, Posting, Product, Reading, RemoteCustomer, Sight, Wire


class QuickBooks:
    """See `syncd.connect.contract.Connection`. Lists are read once while it is open."""

    def __init__(self, settings: QuickBooksSettings, context: Context) -> None:
        self._settings = settings
        self._api = Api(settings, context)
        self._reader = Reader(self._api)
        self._poster = Poster(self._reader, self._api)

    def sign_in(self) -> SignIn:
        """Proves app, token, company, and the right to read it. Raises VendorError."""
        facts = self._reader.facts.get()
        forms = facts.preferences.sales_forms_prefs
        warnings = []
        if not forms.allow_estimates:
            warnings.append('estimates are switched off in QuickBooks, so only document = "invoice" can be posted')
        if not forms.custom_txn_numbers:
            warnings.append(
                "QuickBooks numbers sales forms by itself (custom transaction numbers are off), so syncd's documents "
                "are found by their memo alone"
            )
        trial = ", a sandbox" if "sandbox" in (urlsplit(self._settings.root).hostname or "") else ""
        who = f"QuickBooks Online company {facts.company.company_name} (realm {self._settings.realm_id}{trial})"
        return SignIn(who, tuple(warnings))

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers and sub-customers, whole; inactive ones are marked. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """All items, whole; inactive and unsuitable ones with their obstacle. Raises VendorError."""
        return self._reader.products()

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """QuickBooks counts nothing. Raises VendorError."""
        raise VendorError("unsupported", "QuickBooks has no counts")

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Each customer's account with the lines of syncd's own documents. Raises VendorError."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Quantities and money on what was invoiced in the moment's period. Raises VendorError."""
        return booked(self._reader, asks, moment)

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        taxed = self._reader.has_tax_code(posting.product_id, posting.customer_id)
        return refusal(posting, billing, products, moment, self._reader.facts.known(), taxed)

    def wire(self, posting: Posting) -> Wire:
        """The document that holds this posting alone. Raises VendorError where the settings cannot be read."""
        return self._poster.wire((posting,))

    def together(self, posting: Posting) -> str:
        """Customer, period, date, form and currency."""
        return together(posting)

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """One document that holds these postings, in this order."""
        return self._poster.wire(tuple(postings))

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Sends exactly these bytes, once; what comes of it is judged by what they hold."""
        return self._poster.send(wire)

    def find(self, posting: Posting) -> Sight:
        """Looks for the posting's mark among the customer's documents. Raises VendorError."""
        return self._poster.find(posting)

    def close(self) -> None:
        """Closes the sockets."""
        self._api.close()
