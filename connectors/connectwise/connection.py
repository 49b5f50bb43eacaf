"""An open connection to one company's ConnectWise: binds reading and posting to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.connectwise.abilities import CREATES, TICKETS
from connectors.connectwise.api import Api
from connectors.connectwise.config import SERIAL_NUMBER, ConnectWiseSettings
from connectors.connectwise.feeds import feeds
from connectors.connectwise.invoiced import booked
from connectors.connectwise.payloads import SystemInfo
from connectors.connectwise.post import Poster
from connectors.connectwise.read import Reader
from connectors.connectwise.refuse import refusal
from connectors.connectwise.usage import counts
from syncd.connect.contract import Ask, Context, Feed, SignIn
from syncd.connect.once import FATAL
from syncd.errors import VendorError
from syncd.model import (
    Billing,
    Moment,
    Outcome,
    Posting,
    Product,
    Reading,
    RemoteCustomer,
    Sight,
    Wire,
)
from syncd.periods import local_date


class ConnectWise:
    """See `syncd.connect.contract.Connection`. Lists without a customer are read once while it is open."""

    def __init__(self, settings: ConnectWiseSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context)
        self._reader = Reader(self._api, settings, context.own_marker)
        self._poster = Poster(self._reader, settings)

    def sign_in(self) -> SignIn:
        """Proves company, keys, client id and the right to read companies. Raises VendorError."""
        warnings: list[str] = []
        identity = f"ConnectWise PSA of {self._settings.company}"
        try:
            told = self._api.read("system/info").parse(SystemInfo)
            zone = f", server time zone {told.server_time_zone}" if told.server_time_zone else ""
            identity = f"{identity}, release {told.version}{zone}"
        except VendorError as error:
            if error.code not in ("not_found", "forbidden", "malformed"):
                raise
            warnings.append(f"system/info could not be read ({error.code}), so the release is not known")
        self._read_one_company()
        recaps = self._reader.recaps.get()
        rivals = self._reader.rivals.get()
        warnings += [recaps.warning] if recaps.warning else []
        warnings += rivals.warnings
        names = sorted(set(rivals.products.values()))
        warnings += [f"{name} also writes additions; syncd posts no quantity of its products" for name in names]
        return SignIn(f"{identity}, API {self._settings.api_version}", tuple(warnings))

    def customers(self) -> Sequence[RemoteCustomer]:
        """All companies that are not deleted, whole. Raises VendorError."""
        return self._reader.customers()

    def products(self) -> Sequence[Product]:
        """The whole catalogue. Raises VendorError."""
        return self._reader.products()

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Devices, approved hours and tickets; hours and tickets of the moment's period in the MSP's zone."""
        return counts(self._api, asks, moment, self._context.zone)

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """Agreements and the additions open on the moment's day. Raises VendorError where agreements cannot be read."""
        return self._reader.lines(customers, moment)

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """Invoiced quantities of the moment's period; UNKNOWN where an invoice's lines are not all readable."""
        return booked(self._reader, asks, moment)

    def feeds(self) -> Sequence[Feed]:
        """Every kind of books, where invoices are handed on to accounting. Raises VendorError."""
        return feeds(self._api, local_date(self._context.clock(), self._context.zone))

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why this must not be sent, judged from what was read; "" where it may. No I/O."""
        if posting.operation in TICKETS:
            return self._poster.tickets.refusal(posting)
        agreements = self._reader.agreements.known()
        terms = agreements.terms.get(int(posting.agreement_id or 0)) if agreements else None
        if reason := refusal(posting, billing, products, moment, terms):
            return reason
        if posting.operation in CREATES and self._settings.marker != SERIAL_NUMBER:
            return self._reader.field_problem()
        return ""

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting; equal postings give equal bytes.

        Closing a ticket reads its board for the status that closes it, where this connection has not yet: VendorError.
        """
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

    def _read_one_company(self) -> None:
        try:
            self._api.read("company/companies", params={"pageSize": 1, "page": 1, "fields": "id"})
        except VendorError as error:
            if error.code in FATAL or error.status != 404:
                raise
            raise VendorError(
                "unauthorized",
                "ConnectWise answers 404 to everything, which is its answer to a wrong sign-in: check company, "
                "public_key, private_key, client_id and the address",
                status=404,
            ) from None
