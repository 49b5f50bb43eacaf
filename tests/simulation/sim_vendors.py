"""Model vendors of the simulation: billing systems in memory, with every lie that they can tell.

They know nothing of syncd's ledger. A billing system acts on the bytes that it is sent, as the real one does, and keeps
a record of its own: each delivery (key and bytes) and each effect (what changed, by which key and mark, when). The
faults are armed from outside; every one that is told counts a hit. Class S sets a quantity, class M creates a line with
our mark, class K creates one under the vendor's own key, which it may forget.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from syncd.connect.contract import Abilities, Context, Delivery, SignIn
from syncd.connect.settings import ConnectionSettings
from syncd.errors import VendorError
from syncd.model import (
    Absent,
    Agreement,
    BilledLine,
    Billing,
    Found,
    Moment,
    Moved,
    NotSent,
    Operation,
    Outcome,
    Posting,
    Product,
    Receipt,
    Refused,
    RemoteCustomer,
    Sight,
    State,
    Unknown,
    Wire,
)
from syncd.periods import month_of

CREATES = (Operation.ADD_LINE, Operation.POST_LINE, Operation.POST_CREDIT)
DATED = (Operation.POST_LINE, Operation.POST_CREDIT)
REQUEST_LIFE = timedelta(minutes=5)
KEY_LIFE = timedelta(hours=24)
# A request that outlives the life that its vendor declares: only a set of a quantity may, where the next read mends it.
VERY_LATE = timedelta(minutes=50)

# What may become of a write. "ok" is what happens where nothing is armed.
WRITE_FAULTS = (
    "lost",  # done, and the answer is dropped
    "error_after",  # done, and answered with 500
    "error_before",  # not done, and answered with 500
    "late",  # no answer; it lands minutes later
    "very_late",  # as late, after the declared life of a request (class S; others: as late)
    "ignored",  # answered 200, and nothing was done
    "refused",
    "throttled",  # the vendor documents that a throttled call does nothing
    "throttled_unclear",
    "unsent",  # no byte left
    "dies_on_line",  # not done, connection reset
)
# What may be wrong with the lists of a billing system, told by the connector where it can see it.
LINE_FAULTS = (
    "down",
    "cut",  # the read ends after some customers
    "half",  # half of the rows, and the total shows it: partial
    "double",  # a row twice: pages moved while they were read, unseen
    "gap",  # a row missing, unseen, in one reading only
    "stale",  # an older state, with a lag that goes up and down
    "list_down",
    "products_down",
)


@dataclass
class Row:
    """A line as the billing system keeps it. `units` is signed: a credit's are negative."""

    id: str
    customer: str
    product: str
    units: int
    starts: date | None = None
    ends: date | None = None
    once: bool = False
    marker: str = ""
    version: int = 1
    by: str = "a person"


@dataclass(frozen=True)
class Effect:
    """What one delivery changed. `units`: signed units of a created line, the new quantity of a set one."""

    key: str
    marker: str
    operation: str
    customer: str
    product: str
    line: str
    before: int
    units: int
    starts: date | None
    at: datetime


@dataclass
class Faults:
    """What is armed, and how often each was told."""

    writes: list[str] = field(default_factory=list)
    finds: int = 0
    reads: dict[str, int] = field(default_factory=dict)  # kind -> in how many cycles still
    victim: str = ""
    lags: list[int] = field(default_factory=list)

    def clear(self) -> None:
        self.writes.clear()
        self.finds = 0
        self.reads.clear()


class Estate:
    """What both kinds of vendors stand on: the real time, and who is told of each call.

    `boundary` is called at every step of a connection, and may raise; `sent` for each delivery, before anything of it
    is done.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.hits: Counter[str] = Counter()
        self.boundary: Callable[[str], None] = lambda name: None
        self.sent: Callable[[BillingModel, Posting, bytes], None] = lambda vendor, posting, body: None
        self.done: Callable[[BillingModel, Effect], None] = lambda vendor, effect: None


def run_out(faults: Faults) -> None:
    for kind in list(faults.reads):
        faults.reads[kind] -= 1
        if faults.reads[kind] <= 0:
            del faults.reads[kind]


@dataclass
class Delivered:
    """A request that has reached the vendor's network and not yet the vendor."""

    lands: datetime
    body: bytes


class BillingModel:
    """Agreements and lines, one agreement for each customer. `keyed`: creates carry the vendor's own key (class K)."""

    title, sandbox = "Model billing", ""
    settings = ConnectionSettings

    def __init__(
        self, name: str, estate: Estate, customers: Sequence[str], products: Sequence[str], *,
        keyed: bool, tells_period: bool, versions: bool,
    ) -> None:  # fmt: skip
        self.name, self.estate, self.kind = name, estate, "keyed" if keyed else "marked"
        self.customers, self.products = list(customers), list(products)
        self.keyed, self.tells_period, self.versions = keyed, tells_period, versions
        self.rows: dict[str, Row] = {}
        self.invoiced_through: dict[str, date] = {}
        self.locked_through: date | None = None
        self.keys: dict[str, tuple[datetime, bytes, str]] = {}
        self.faults = Faults()
        self.past: list[dict[str, Row]] = []
        self.pending: list[Delivered] = []
        self.deliveries: list[tuple[str, bytes]] = []
        self.effects: list[Effect] = []
        self.history: dict[str, list[tuple[int, str]]] = {}  # line -> (quantity, by whom), oldest first
        self.abilities = billing_abilities(keyed)
        self.number = 100

    def open(self, settings: Any, context: Context) -> Any:
        return BillingSession(self, context)

    def add(self, customer: str, product: str, units: int, **more: Any) -> Row:
        """A line of a person's, or of a request's."""
        self.number += 1
        row = Row(f"{self.name}{self.number}", customer, product, units, **more)
        self.rows[row.id] = row
        self.history[row.id] = [(units, row.by)]
        return row

    def cycle_begins(self) -> None:
        self.past = [*self.past[-3:], copy.deepcopy(self.rows)]

    def cycle_ends(self) -> None:
        run_out(self.faults)

    # What happens there

    def rival(self, line: str, units: int | None) -> None:
        """Somebody sets a line's quantity, or touches it without changing it (None)."""
        row = self.rows.get(line)
        if row is None:
            return
        row.version += 1
        row.by = "a colleague"
        if units is not None:
            row.units = units
            self.history[line].append((units, row.by))

    def recurring(self, customer: str, product: str, today: date) -> list[Row]:
        """The lines that bill every period."""
        return [
            row
            for row in self.rows.values()
            if (row.customer, row.product, row.once) == (customer, product, False)
            and (row.ends is None or row.ends >= today)
        ]

    def arrive(self, *, everything: bool = False) -> None:
        """What was on its way for long enough lands."""
        due = [one for one in self.pending if everything or one.lands <= self.estate.now]
        for one in due:
            self.pending.remove(one)
            self.estate.hits["a late request landed"] += 1
            self.receive(one.body)

    def receive(self, body: bytes) -> tuple[str, str]:
        """Acts on a request: (remote id, "") or ("", why it is refused)."""
        asked = json.loads(body)
        key, operation, units = asked["key"], asked["operation"], int(asked["quantity"])
        starts = date.fromisoformat(asked["starts"]) if asked["starts"] else None
        ends = date.fromisoformat(asked["ends"]) if asked["ends"] else None
        if operation in (Operation.SET_QUANTITY, Operation.END_LINE):
            row = self.rows.get(asked["line"])
            if row is None:
                return "", "the line does not exist"
            if self.versions and asked["version"] and asked["version"] != str(row.version):
                self.estate.hits["a version refused"] += 1
                return "", "the line was changed meanwhile"
            before = row.units
            row.version += 1
            row.by = "syncd"
            if operation == Operation.SET_QUANTITY:
                row.units = units
            else:
                row.ends = ends
            self.history[row.id].append((row.units, "syncd"))
            self._note(Effect(key, "", operation, row.customer, row.product, row.id, before, units, None, self.now))
            return row.id, ""
        if self.keyed and key in self.keys:
            since, first, remote = self.keys[key]
            if self.now - since < KEY_LIFE:
                self.estate.hits["a key replayed"] += 1
                return (remote, "") if first == body else ("", "the key was used for another request")
            self.estate.hits["a key expired"] += 1
        if operation in DATED and self.locked_through is not None and starts and starts <= self.locked_through:
            self.estate.hits["a closed period refused"] += 1
            return "", f"the period up to {self.locked_through} is closed"
        signed = -units if operation == Operation.POST_CREDIT else units
        row = self.add(
            asked["customer"], asked["product"], signed, starts=starts,
            ends=ends if operation in DATED else None, once=operation in DATED, marker=asked["marker"], by="syncd",
        )  # fmt: skip
        if self.keyed:
            self.keys[key] = (self.now, body, row.id)
        self._note(
            Effect(key, row.marker, operation, row.customer, row.product, row.id, 0, signed, row.starts, self.now)
        )
        return row.id, ""

    @property
    def now(self) -> datetime:
        return self.estate.now

    def _note(self, effect: Effect) -> None:
        self.effects.append(effect)
        self.estate.done(self, effect)


def billing_abilities(keyed: bool) -> Abilities:
    """What a mapping may ask of a billing model."""
    made = (
        Delivery("K", "note", 40, key_life=KEY_LIFE, request_life=REQUEST_LIFE, throttled_is_harmless=True)
        if keyed
        else Delivery("M", "note", 40, request_life=REQUEST_LIFE, throttled_is_harmless=True)
    )
    put = Delivery("S", request_life=REQUEST_LIFE, throttled_is_harmless=True)
    return Abilities(
        reads=frozenset({"billed"}),
        operations=MappingProxyType(
            {
                Operation.SET_QUANTITY: put,
                Operation.END_LINE: put,
                Operation.ADD_LINE: made,
                Operation.POST_LINE: made,
                Operation.POST_CREDIT: made,
            }
        ),
        bill_keys=("agreement", "product"),
    )


class BillingSession:
    """An open connection to a billing system."""

    def __init__(self, model: BillingModel, context: Context) -> None:
        self.model, self.estate, self.context = model, model.estate, context
        self.faults = model.faults

    def sign_in(self) -> SignIn:
        return SignIn("model")

    def _told(self, kind: str) -> bool:
        if kind not in self.faults.reads:
            return False
        self.estate.hits[f"lines {kind}"] += 1
        return True

    def customers(self) -> Sequence[RemoteCustomer]:
        self.estate.boundary(f"{self.model.name}.customers")
        if self._told("list_down"):
            raise VendorError("unavailable", "the customer list did not come")
        return [RemoteCustomer(one, one.title()) for one in self.model.customers]

    def products(self) -> Sequence[Product]:
        self.estate.boundary(f"{self.model.name}.products")
        if self._told("products_down"):
            raise VendorError("incomplete", "the products ended early")
        return [Product(one, one, one, unit_price=Decimal(10)) for one in self.model.products]

    def lines(self, customers: Sequence[RemoteCustomer], moment: Moment) -> Iterator[Billing]:
        model = self.model
        self.estate.boundary(f"{model.name}.lines")
        if self._told("down"):
            raise VendorError("timeout", "no answer")
        model.arrive()
        rows = model.rows
        if model.past and self._told("stale"):
            lag = self.faults.lags[0]
            self.faults.lags.append(self.faults.lags.pop(0))
            rows = model.past[-min(lag + 1, len(model.past))]
        for customer in customers:
            self.estate.boundary(f"{model.name}.lines.row")
            if customer.id == self.faults.victim and self._told("cut"):
                raise VendorError("incomplete", "the pages ended early")
            shown = [
                _line(row)
                for row in rows.values()
                if row.customer == customer.id and (row.ends is None or row.ends >= moment.today)
            ]
            if customer.id == self.faults.victim and shown:
                if self._told("half"):
                    reason = f"{len(shown) // 2} of {len(shown)} rows came"
                    yield Billing(customer.id, State.PARTIAL, code="incomplete", reason=reason)
                    continue
                if self._told("double"):
                    shown.append(shown[len(shown) // 2])
                if self._told("gap"):
                    shown.pop(len(shown) // 2)
            agreement = Agreement(
                f"a-{customer.id}",
                customer.id,
                "Managed Services",
                period=month_of(moment.today) if model.tells_period else None,
                invoiced_through=model.invoiced_through.get(customer.id),
                currency="USD",
            )
            yield Billing(customer.id, State.KNOWN, (agreement,), tuple(shown), proof=f"{len(shown)} rows")

    def refusal(self, posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
        return ""

    def wire(self, posting: Posting) -> Wire:
        asked = {
            "operation": str(posting.operation),
            "key": posting.key,
            "marker": posting.marker,
            "customer": posting.customer_id,
            "line": posting.line_id,
            "product": posting.product_id,
            "quantity": str(posting.quantity),
            "starts": posting.starts.isoformat() if posting.starts else "",
            "ends": posting.ends.isoformat() if posting.ends else "",
            "version": posting.version,
        }
        return Wire("POST", f"/{posting.operation}", json.dumps(asked, sort_keys=True).encode())

    def send(self, posting: Posting, wire: Wire) -> Outcome:
        model = self.model
        self.estate.boundary(f"{model.name}.send")
        fault = self.faults.writes.pop(0) if self.faults.writes else "ok"
        if fault == "very_late" and posting.operation is not Operation.SET_QUANTITY:
            fault = "late"
        self.estate.hits[f"write {fault}"] += 1
        if fault != "unsent":
            model.deliveries.append((posting.key, wire.body))
            self.estate.sent(model, posting, wire.body)
        answer = self._answer(fault, posting, wire.body)
        self.estate.boundary(f"{model.name}.send.after")
        return answer

    def _answer(self, fault: str, posting: Posting, body: bytes) -> Outcome:
        model = self.model
        match fault:
            case "unsent":
                return NotSent("the connection was refused")
            case "throttled":
                return NotSent("the vendor throttles")
            case "throttled_unclear":
                return Unknown("answered with 429 by something before the vendor")
            case "refused":
                return Refused("invalid", "the vendor does not want it")
            case "error_before" | "dies_on_line":
                return Unknown("answered with 500")
            case "ignored":
                return Receipt(posting.line_id)
            case "late" | "very_late":
                wait = VERY_LATE if fault == "very_late" else REQUEST_LIFE - timedelta(seconds=1)
                # A request on its way lands by the real time, whatever any clock shows.
                model.pending.append(Delivered(model.now + wait, body))
                return Unknown("no answer in time")
        remote, why = model.receive(body)
        if fault in ("lost", "error_after"):
            return Unknown("the answer was lost" if fault == "lost" else "answered with 500")
        return Refused("conflict", why) if why else Receipt(remote)

    def find(self, posting: Posting) -> Sight:
        model = self.model
        self.estate.boundary(f"{model.name}.find")
        if self.faults.finds > 0:
            self.faults.finds -= 1
            self.estate.hits["find down"] += 1
            raise VendorError("timeout", "no answer")
        model.arrive()
        sight = self._look(posting)
        self.estate.boundary(f"{model.name}.find.after")
        return sight

    def _look(self, posting: Posting) -> Sight:
        if posting.operation in CREATES:
            bearing = [row for row in self.model.rows.values() if row.marker == posting.marker]
            if len(bearing) > 1:
                raise VendorError("invalid", f"{len(bearing)} lines bear the mark {posting.marker}")
            return Found(bearing[0].id, Decimal(abs(bearing[0].units))) if bearing else Absent()
        row = self.model.rows.get(posting.line_id)
        if row is None:
            return Moved(f"the line {posting.line_id} no longer exists")
        if posting.operation is Operation.END_LINE:
            if row.ends is not None:
                return Found(row.id) if row.ends == posting.ends else Moved(f"the line {row.id} ends on {row.ends}")
            return Absent() if row.units == posting.before else Moved(f"the line {row.id} shows {row.units}")
        if row.units == posting.quantity:
            return Found(row.id, Decimal(row.units))
        if row.units == posting.before:
            return Absent()
        return Moved(f"the line {row.id} shows {row.units}, last written by {row.by}")

    def close(self) -> None:
        """Nothing is held."""


def _line(row: Row) -> BilledLine:
    return BilledLine(
        row.id,
        f"a-{row.customer}",
        row.customer,
        row.product,
        row.product,
        row.product,
        Decimal(row.units),
        unit_price=Decimal(10),
        starts=row.starts,
        ends=row.ends,
        once=row.once,
        marker=row.marker,
        version=str(row.version),
        changed_by=row.by,
    )
