"""The contract between syncd and a vendor's connector.

A connector is an object found by entry point (group `syncd.connectors`). It declares what it can do in `Abilities` and
opens a `Connection` for each `[connections.NAME]`. The contract suite in `tests/contract` runs on every connector
against its sandbox; `docs/connectors.md` walks through writing one.

Rules that hold for all of them:

- A read either says how it knows that it was whole (`proof`) or is not KNOWN. Raising VendorError makes UNKNOWN of
  everything that was asked. No connector turns an error into a zero.
- Reads may be repeated at will. `send` is called at most once for each attempt that the ledger wrote down, retries
  nothing and returns one of the four outcomes; it never raises for what happened on the wire.
- `wire` and `refusal` are pure. `find` only reads.
- Connections are used from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from syncd.clock import Clock
from syncd.connect.http import Http
from syncd.connect.rotating import InMemory, Vault
from syncd.connect.settings import ConnectionSettings
from syncd.model import (
    Billing,
    Moment,
    Operation,
    Outcome,
    Posting,
    Product,
    Query,
    Reading,
    RemoteCustomer,
    Sight,
    Wire,
)
from syncd.model import Feed as Feed  # a connector finds all that it needs for a connection here

# Which of the four numbers (INTERFACE 1).
Number = Literal["bought", "used", "billed", "invoiced"]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that `where` may name. `kind`: "flag" (true/false), "texts" (one or several), "globs"."""

    kind: Literal["flag", "texts", "globs"]
    help: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure that `count` or `bought` may name. `filters`: names of the filters that it obeys. `of_period`: it
    counts what happened in `moment.period` (hours, tickets) instead of what is there, also for a period that is over.
    """

    number: Literal["used", "bought"]
    help: str
    filters: frozenset[str] = frozenset()
    of_period: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an operation reaches the vendor, and how its outcome is learnt (RELIABILITY, "Vendor classes").

    `vendor_class`: S absolute value on a known object; K create with the vendor's own key; U upsert by our id; M create
    with our marker in a searchable field; D a bare delta, never automatic. `marker` names the field that carries the
    mark (empty for S), `marker_length` its limit. `request_life`: how long a request may still land after the
    connection is lost; an unknown outcome is "absent" only after it. `throttled_is_harmless`: the vendor documents that
    a throttled call did nothing. `asks_a_person`: the vendor has no draft, so what is posted reaches the customer at
    once: every one waits for a person, whatever the mode and the limits say, and waits again where it did not arrive.
    """

    vendor_class: Literal["S", "K", "U", "M", "D"]
    marker: str = ""
    marker_length: int = 0
    key_life: timedelta = timedelta(0)
    request_life: timedelta = timedelta(minutes=5)
    throttled_is_harmless: bool = False
    asks_a_person: bool = False


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a connector can read and post. A mapping that asks for more is an error of `syncd check`.

    `per_customer`: reads can be split by customer and run side by side; else every read covers all at once.
    `bill_keys`: the selectors that `bill` needs here, `bill_options` those it may have.
    `keeps_quantity`: lines recur with a quantity; False for systems that only take one-off lines (the books).
    `description_length`: characters that fit onto a line.
    `documents`: the most postings that one document of this system can hold (see `Connection.together`).
    `feeds`: the kinds of books to which this system may push its invoices by itself (see `Connection.feeds`).
    `catalogue`: False where a line's text is all that names a product, so that every `item` is one.
    `switch`: the key of its settings that must be true before it posts anything; "" where there is none.
    """

    reads: frozenset[Number]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    default_measure: str = ""
    filters: Mapping[str, Filter] = field(default_factory=dict)
    operations: Mapping[Operation, Delivery] = field(default_factory=dict)
    per_customer: bool = True
    bill_keys: tuple[str, ...] = ()
    bill_options: tuple[str, ...] = ()
    keeps_quantity: bool = True
    description_length: int = 250
    documents: int = 1
    feeds: frozenset[str] = frozenset()
    catalogue: bool = True
    switch: str = ""

    def under(self, settings: ConnectionSettings) -> Abilities:
        """What one connection of the kind can do: nothing is posted where its switch is off."""
        off = bool(self.switch) and getattr(settings, self.switch) is not True
        return replace(self, operations={}) if off else self


@dataclass(frozen=True, slots=True)
class Ask:
    """One customer and the queries wanted of it."""

    customer: RemoteCustomer
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class SignIn:
    """A successful sign-in: who answered (product, version, account), and what an admin should know."""

    identity: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What syncd lends a connection while it is open.

    `http` makes the connection's only way out: `context.http(base_url, **options)`, see `connect.http.Http`.
    `folder`: relative paths in the settings are relative to it. `own_marker`: the prefix of this installation's marks.
    `vault` keeps tokens that rotate.
    """

    name: str
    http: Callable[..., Http]
    clock: Clock
    zone: ZoneInfo
    folder: Path
    own_marker: str = "sd-"
    vault: Vault = field(default_factory=InMemory)


class Connection(Protocol):
    """An open connection. A connector implements the functions that its abilities promise."""

    def sign_in(self) -> SignIn:
        """Prove that the credentials work. Raises VendorError."""

    def customers(self) -> Sequence[RemoteCustomer]:
        """All customers, whole. Raises VendorError where that cannot be proved."""

    def products(self) -> Sequence[Product]:
        """All products that lines can name, whole; for systems that read `billed`. Raises VendorError."""

    def counts(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """One Reading for each customer and query asked, in any order. Raising spoils all that was not yielded."""

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        """One Billing for each customer: its agreements and open lines today.

        Books keep no agreements: there it is one Agreement, the customer's account (its id, name and currency; invoiced
        through the day on which the books are closed), with the lines of syncd's own documents, found by their marks.
        Of syncd's own dated lines the money is given too (`BilledLine.amount`), so that a later change of it is told.
        """

    def booked(self, asks: Sequence[Ask], moment: Moment) -> Iterator[Reading]:
        """What invoices dated in the customer's current period say, one Reading for each ask (measure `invoiced`), with
        the money of each product in `Count.amount` and the day of its newest invoice in `Count.dated`."""

    def feeds(self) -> Sequence[Feed]:
        """The books to which this system pushes its invoices by itself; for those that declare `feeds`. Raises
        VendorError."""

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        """Why the vendor would refuse this, or must not be asked, judged from what was read; "" where it may be sent.

        Pure. The plan shows the sentence, so it names the record and the mend.
        """

    def wire(self, posting: Posting) -> Wire:
        """The request for this posting. Pure: equal postings give equal bytes.

        CLOSE_TICKET may first read what the vendor calls closed where the ticket stands, and raises VendorError where
        that cannot be told; the bytes that come of it are frozen like all others.
        """

    def together(self, posting: Posting) -> str:
        """What names the document that this posting may share with others, "" where it stands alone; for connectors
        that declare `documents`. Pure. Of equal names up to `documents` postings become one request."""

    def gather(self, postings: Sequence[Posting]) -> Wire:
        """The request for one document that holds these postings, in this order. Pure: its number and keys are derived
        from theirs. That of a single posting is `wire`'s."""

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        """Send exactly these bytes, once. For a document of several, `posting` is the first: the receipt is judged by
        what the wire holds."""

    def find(self, posting: Posting) -> Sight:
        """Look whether the change is there: before sending, after it, and when the outcome is not known.

        Tickets are Found by their mark, notes by the mark in their text, a closing by a ticket that is closed, whoever
        closed it. Raises VendorError where it cannot tell, and before an OPEN_TICKET that its board cannot take.
        """

    def close(self) -> None:
        """Give back sockets and files."""


class Connector(Protocol):
    """What the entry point names."""

    kind: str
    title: str
    settings: type[ConnectionSettings]
    abilities: Abilities
    sandbox: str  # "package.module:function", imported only when a sandbox is wanted; "" where there is none

    def open(self, settings: Any, context: Context) -> Connection:
        """Build the connection; no I/O yet."""
