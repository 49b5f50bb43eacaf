"""The nouns that travel from a connector to the core and back. Immutable, standard library only.

Ids are the vendor's own, as text. Quantities and money are Decimal. Dates are the MSP's calendar days, instants are
aware. A connector builds these from payloads; nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from syncd.periods import Period


class State(StrEnum):
    """How far a number can be trusted (INTERFACE 1). Only `known` moves money; zero is a known number."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # the read failed
    PARTIAL = "partial"  # the read ended early: a page or rows are missing
    GONE = "gone"  # the customer or tenant that was there no longer is


class Operation(StrEnum):
    """What syncd can ask of a billing system."""

    SET_QUANTITY = "set_quantity"
    ADD_LINE = "add_line"
    END_LINE = "end_line"
    POST_LINE = "post_line"
    POST_CREDIT = "post_credit"
    REPORT_USAGE = "report_usage"
    CHANGE_PLAN = "change_plan"
    # syncd's own actions: they move no money and leave by the same rules (RELIABILITY, rule 10).
    OPEN_TICKET = "open_ticket"
    NOTE_TICKET = "note_ticket"
    CLOSE_TICKET = "close_ticket"
    NOTIFY = "notify"


OWN_ACTIONS = frozenset({Operation.OPEN_TICKET, Operation.NOTE_TICKET, Operation.CLOSE_TICKET, Operation.NOTIFY})


@dataclass(frozen=True, slots=True)
class RemoteCustomer:
    """A customer as one system knows it. `identifiers`: its other exact keys (CW identifier, tenant domains).

    `links`: what the system keeps of the customer elsewhere (ids of mapped tenants, a custom field, the web site). They
    feed `syncd suggest` and never resolve a mapping.
    """

    id: str
    name: str
    identifiers: tuple[str, ...] = ()
    active: bool = True
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A product that a billing system can put on a line.

    `obstacle` says in words why it cannot be billed (inactive, a bundle); empty where it can.
    `unit_price` and `unit_cost` are the catalogue's, where it tells them, in `currency`; "" is the customer's own,
    whoever it is. `rival` names another integration that also
    writes this product's quantities; empty where none is known.
    """

    id: str
    identifier: str
    name: str
    obstacle: str = ""
    unit_price: Decimal | None = None
    unit_cost: Decimal | None = None
    rival: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """One user or device behind a count. `state`: "active", "disabled", "guest"… as the vendor tells."""

    id: str
    name: str
    state: str = ""


# Filters of a rule, sorted by name: (("domain", ("contoso.com",)), ("enabled", (True,))). Always tuples:
# hashable. A name may stand there twice (the rule's and the customer's own); both must pass.
Filters = tuple[tuple[str, tuple[str | bool, ...]], ...]


@dataclass(frozen=True, slots=True, order=True)
class Query:
    """What a rule asks of a source: a measure, over the units that pass the filters."""

    measure: str
    where: Filters = ()

    def __str__(self) -> str:
        filters = ", ".join(f"{name} {'/'.join(map(str, values))}" for name, values in self.where)
        return f"{self.measure} where {filters}" if filters else self.measure


@dataclass(frozen=True, slots=True)
class Term:
    """Units bought under a commitment that ends after `last` (the last day, inclusive).

    `unit_cost`, in `currency`, is what one of them costs every `months` months; None where it is not known. `renews`:
    whether it renews by itself, None where that is not told. `free_until`: these units may still be given back at no
    cost before that instant, so they are not committed yet. `lower_until`: the last day of the window that a renewal
    opens, in which the new term may be lowered. One whose last day is over while it does not renew and is billed all
    the same is paid grace.
    """

    quantity: Decimal
    last: date
    unit_cost: Decimal | None = None
    currency: str = ""
    months: int = 1
    renews: bool | None = None
    free_until: datetime | None = None
    lower_until: date | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """One customer's quantity of one SKU.

    `sku` is what mappings name; `aliases` are its other exact keys (a GUID, an id). `subjects` is who or what was
    counted, None where the vendor gives only a number; `evidence` is the digest under which the ledger keeps them.
    `dated`: for `invoiced`, the day of the newest invoice or credit that it stands on, None where that is not told.
    `free`: a free or trial product, left out of "unmapped" and of the source's total. `unit_cost` is what the MSP pays
    for one, in `currency`. `amount`: what was invoiced for all of them, without tax, credits taken off, in `currency`;
    for the measure `invoiced`.
    """

    sku: str
    name: str
    quantity: Decimal
    aliases: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] | None = None
    evidence: str = ""
    free: bool = False
    note: str = ""
    unit_cost: Decimal | None = None
    currency: str = ""
    terms: tuple[Term, ...] = ()
    amount: Decimal | None = None
    dated: date | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to one query for one customer.

    KNOWN means read whole, and `proof` says how that is known ("57 of 57 rows in 3 pages"). Anything else carries
    no counts that may be used; `code` (see VendorError) and `reason` say why.
    """

    customer_id: str
    query: Query
    state: State
    counts: tuple[Count, ...] = ()
    proof: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What gathers lines and has a billing period: a ConnectWise agreement, a recurring invoice, a subscription.

    `period`: the billing period that holds today; None where the vendor does not tell (the MSP's anchor is used).
    `invoiced_through`: last day already on an invoice, None where nothing was invoiced yet.
    `prorates`: the vendor itself computes a part of a period for dated lines, and takes them for days of the running
    period that are on an invoice already (its next invoice brings them). Invoiced days of other agreements, and of a
    period that is over, take no line any more.
    `labels`: other names by which a mapping may name it. `obstacle`: why nothing can be posted to it, in words.
    """

    id: str
    customer_id: str
    name: str
    period: Period | None = None
    invoiced_through: date | None = None
    in_advance: bool | None = None
    prorates: bool = False
    currency: str = ""
    labels: tuple[str, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line that the billing system bills: a recurring quantity, or a dated one-time line.

    Cancelled, disabled and ended lines are never given; a line that begins later is. `quantity` is in units, negative
    for a credit that syncd made. `starts`/`ends`: first and last billed day; None is open.
    `once`: it begins and ends inside one period, so it is a charge and not a recurring quantity.
    `amount`: what a dated line charges in all, without tax, as its document shows it (a credit's is positive); None
    where that is not told. `changed_at`: when its record was last written, where the vendor tells.
    `marker`: syncd's mark on the line, "" where a person made it. `version`: changes whenever the line changes.
    `changed_by`: who last wrote it, for "foreign edit" (a login or integration name, never shown with secrets).
    `obstacle`: why its quantity cannot be changed, in words.
    `meter`: it is what this meter counted so far in the days from `starts` to `ends`, of whoever reported it, and is
    charged when they are over; its `obstacle` says why that is not known, or why nothing can be reported.
    """

    id: str
    agreement_id: str
    customer_id: str
    product_id: str
    product: str
    name: str
    quantity: Decimal
    unit_price: Decimal | None = None
    unit_cost: Decimal | None = None
    starts: date | None = None
    ends: date | None = None
    once: bool = False
    marker: str = ""
    version: str = ""
    changed_by: str = ""
    obstacle: str = ""
    amount: Decimal | None = None
    changed_at: datetime | None = None
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Billing:
    """Everything a billing system has open for one customer; KNOWN only when read whole."""

    customer_id: str
    state: State
    agreements: tuple[Agreement, ...] = ()
    lines: tuple[BilledLine, ...] = ()
    proof: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """A kind of books to which a system pushes its own invoices, so that the same charge posted there is billed twice.
    `how` is the evidence, in words that name the record ("invoice 1042 bears a Xero id"). `customers`: the ids, in this
    system, of those whom it concerns; empty for all."""

    kind: str
    how: str
    customers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Posting:
    """One change to be made in a billing system. Self-contained: a restarted process sends the same thing.

    `key` names the operation for ever; `marker` (short, ASCII, one line) goes onto the remote record where the vendor
    leaves room. `quantity`: SET_QUANTITY the new quantity of the line; ADD_LINE its first quantity; POST_LINE and
    POST_CREDIT the units of this line alone (always positive; a credit's `amount` is positive too); REPORT_USAGE the
    units that this adds to its meter, negative where it takes some off; END_LINE 0.
    `before`: what the line showed when the change was planned (SET_QUANTITY, END_LINE). `starts`/`ends`: the days that
    a dated line covers, inclusive; END_LINE: `ends` is the line's last billed day; REPORT_USAGE: the day under which
    it is reported, inside the period that is to be charged with it.
    `options`: what the rule says about the form (`document`, `via`, `prorate`), as text.

    Tickets: `customer_id` is the company that the ticket stands under, `line_id` the ticket (NOTE_TICKET,
    CLOSE_TICKET), `description` the whole text, `options` holds `board` and `summary` (one line); `quantity` is 0.
    """

    operation: Operation
    key: str
    marker: str
    customer_id: str
    quantity: Decimal
    agreement_id: str = ""
    line_id: str = ""
    product_id: str = ""
    product: str = ""
    before: Decimal | None = None
    version: str = ""
    unit_price: Decimal | None = None
    unit_cost: Decimal | None = None
    amount: Decimal | None = None
    currency: str = ""
    starts: date | None = None
    ends: date | None = None
    period: str = ""
    description: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wire:
    """A request as it will be sent, frozen before the first attempt: every attempt under a key sends these bytes."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


# What a write can answer. Closed: whatever is none of the first three is Unknown.


@dataclass(frozen=True, slots=True)
class Receipt:
    """The vendor says that it did it; `remote_id` is the record. Settled only by the read-back."""

    remote_id: str
    echo: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The vendor surely did nothing, and says why."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Surely not received: no byte left, or the vendor documents that this answer does nothing. Try again after."""

    reason: str
    wait: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been received. Nobody repeats it before somebody has looked."""

    reason: str


Outcome = Receipt | Refused | NotSent | Unknown

# What a look at the remote record can show, before a sending and after one.


@dataclass(frozen=True, slots=True)
class Found:
    """The change is there: the marker was found, or the line shows the wanted quantity. One look is enough.

    `quantity` is what the record shows; None where the vendor shows none.
    """

    remote_id: str
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The change is not there, and the line is as it was when it was planned (`before`)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Neither: somebody else changed the record, or it is gone. `what` says what stands there now, and who.

    `arrived`: the record that syncd's own change made, by its mark, and that somebody took away or altered since: the
    outcome is known. "" where it is not. `perhaps`: a record that lost its marks may be the one; that matters only
    where something was sent and its answer lost.
    """

    what: str
    arrived: str = ""
    perhaps: bool = False


Sight = Found | Absent | Moved


@dataclass(frozen=True, slots=True)
class Moment:
    """When a cycle looks: the instant, the MSP's day, and its own monthly billing period around that day."""

    now: datetime
    today: date
    period: Period
