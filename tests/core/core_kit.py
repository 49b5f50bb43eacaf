"""Small makers for the core's tests: an MSP with few words, and the one look at it that a plan is made from.

Everything has a default: one customer (Contoso) who is tenant `t1` in `m365` and company `c1` in `cw`, one agreement
`a1`, one recurring line `l1` of product `p1` (M365-BP). A test says only what it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from syncd.core.entries import KnownCustomer, Past
from syncd.core.keys import digest, mark_prefix
from syncd.core.plan import Plan, PlanLine, make_plan
from syncd.core.resolve import ReadError, Refusal, Resolution, View, resolve
from syncd.core.rules import (
    BillRef,
    Bound,
    CountRef,
    Customer,
    Direction,
    House,
    Ignore,
    InvoicedRef,
    Mappings,
    Mode,
    RemoteKey,
    Rounding,
    Rule,
    Safety,
    TrueUp,
)
from syncd.model import (
    Agreement,
    BilledLine,
    Billing,
    Count,
    Filters,
    Moment,
    Operation,
    Posting,
    Product,
    Query,
    Reading,
    RemoteCustomer,
    State,
    Wire,
)
from syncd.periods import Period, local_date, month_of

ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)  # 10:00 in Chicago
TODAY = date(2026, 11, 20)
NOVEMBER = Period(date(2026, 11, 1), date(2026, 11, 30))
DECEMBER = Period(date(2026, 12, 1), date(2026, 12, 31))
INSTALLATION = "acmehome"
PREFIX = mark_prefix(INSTALLATION)
EMPTY = Past(INSTALLATION)  # a ledger in which nothing is written yet
ASSIGNED = Query("assigned")
QUANTITY = Query("quantity")
INVOICED = Query("invoiced")
DEFAULTS: Mapping[str, Query | None] = {"m365": ASSIGNED, "pax8": QUANTITY, "cw": None, "qbo": None}
ALL_OPERATIONS = frozenset({Operation.SET_QUANTITY, Operation.ADD_LINE, Operation.POST_LINE, Operation.POST_CREDIT})

Amount = int | str | Decimal


def units(value: Amount) -> Decimal:
    """A quantity, from how a test likes to write it."""
    return Decimal(value)


def moment(now: datetime = NOW, anchor: int = 1) -> Moment:
    """The MSP's day and month around an instant."""
    today = local_date(now, ZONE)
    return Moment(now, today, month_of(today, anchor))


def remote_key(value: str | RemoteKey) -> RemoteKey:
    return value if isinstance(value, RemoteKey) else RemoteKey(value)


def customer(
    name: str = "Contoso",
    *,
    tags: tuple[str, ...] = (),
    mode: Mode | None = None,
    **keys: str | RemoteKey | Sequence[Any],
) -> Customer:
    """A mapped customer; without keys it is tenant `t1` and company `c1`."""
    keys = keys or {"m365": "t1", "cw": "c1"}
    several = {
        system: tuple(remote_key(one) for one in ([value] if isinstance(value, str | RemoteKey) else value))
        for system, value in keys.items()
    }
    return Customer(name, several, tags, mode)


def ref(sku: str | tuple[str, ...] = "SPB", source: str = "m365", measure: str = "assigned", **fields: Any) -> CountRef:
    """What a rule counts."""
    return CountRef(source, (sku,) if isinstance(sku, str) else sku, measure, **fields)


def bought_ref(sku: str = "SPB") -> CountRef:
    return ref(sku, "pax8", "quantity")


def bill(product: str = "M365-BP", agreement: str = "*", **options: str) -> BillRef:
    return BillRef("cw", {"product": product, "agreement": agreement}, options)


def bound(value: Amount | Bound) -> Bound:
    """A tolerance: 2, or "5%"."""
    if isinstance(value, Bound):
        return value
    return Bound(units(str(value).removesuffix("%")), str(value).endswith("%"))


def refs(value: CountRef | tuple[CountRef, ...]) -> tuple[CountRef, ...]:
    return (value,) if isinstance(value, CountRef) else value


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("included", "minimum", "maximum", "to"), units),
    **dict.fromkeys(("increase", "decrease"), Direction),
    "count": refs,
    "true_up": TrueUp,
    "rounding": Rounding,
    "tolerance": bound,
}


def rule(name: str = "Premium", **fields: Any) -> Rule:
    """A rule, its words as the mapping writes them; `content` changes with its fields, as the config's digest does."""
    fields = {"customers": ("*",), "count": (ref(),), "bill": bill(), **fields}
    for key, kind in _KINDS.items():
        if fields.get(key) is not None:
            fields[key] = kind(fields[key])
    return Rule(name=name, content=digest(repr(sorted(fields.items())))[:12], **fields)


def in_books(item: str = "M365-BP") -> InvoicedRef:
    return InvoicedRef("qbo", item)


def count(sku: str, quantity: Amount, **fields: Any) -> Count:
    return Count(sku, fields.pop("name", sku.title()), units(quantity), **fields)


def reading(
    id_: str = "t1", *counts: Count, query: Query = ASSIGNED, state: State = State.KNOWN, reason: str = ""
) -> Reading:
    """What a source says of one of its customers; anything but KNOWN carries its reason."""
    if state is State.KNOWN:
        return Reading(id_, query, state, counts, proof=f"{len(counts)} of {len(counts)} rows")
    return Reading(id_, query, state, code="unavailable", reason=reason or f"the tenant answered {state}")


def line(quantity: Amount, id_: str = "l1", **fields: Any) -> BilledLine:
    """A recurring line that a person made."""
    fields = {"agreement_id": "a1", "customer_id": "c1", "product_id": "p1", "unit_price": units(20), **fields}
    return BilledLine(id=id_, product="M365-BP", name="Business Premium", quantity=units(quantity), **fields)


def own_line(quantity: Amount, id_: str = "o1", period: Period = NOVEMBER, **fields: Any) -> BilledLine:
    """A dated line that this installation made."""
    fields = {"marker": f"{PREFIX}{id_}", "starts": period.first, "ends": period.last, **fields}
    return line(quantity, id_, once=True, **fields)


def agreement(id_: str = "a1", name: str = "Managed Services", **fields: Any) -> Agreement:
    fields = {"customer_id": "c1", "period": NOVEMBER, **fields}
    return Agreement(id_, name=name, **fields)


def product(id_: str = "p1", identifier: str = "M365-BP", name: str = "Business Premium", **fields: Any) -> Product:
    return Product(id_, identifier, name, **fields)


def billing(
    *lines: BilledLine, id_: str = "c1", agreements: tuple[Agreement, ...] | None = None, state: State = State.KNOWN
) -> Billing:
    """All that a billing system has open for one customer."""
    if state is not State.KNOWN:
        return Billing(id_, state, code="unavailable", reason=f"the company answered {state}")
    return Billing(
        id_, state, (agreement(customer_id=id_),) if agreements is None else agreements, lines, proof="whole"
    )


def ignore(connection: str = "m365", **fields: Any) -> Ignore:
    return Ignore(connection, **fields)


def wire(posting: Posting) -> Wire:
    """The bytes that a vendor would get; equal postings give equal bytes."""
    return Wire("POST", f"/{posting.operation}", repr(posting).encode())


def no_refusal(posting: Posting, found: Billing, products: Sequence[Product], when: Moment) -> str:
    return ""


@dataclass(frozen=True)
class World:
    """One state of everything outside, and of what syncd remembers. `plan()` looks at it."""

    house: House
    customers: tuple[Customer, ...]
    rules: tuple[Rule, ...]
    listed: Mapping[str, tuple[RemoteCustomer, ...] | None]
    readings: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    booked: Mapping[str, tuple[Reading, ...]] = field(default_factory=dict)
    billings: tuple[Billing, ...] = ()
    products: tuple[Product, ...] | None = ()
    ignores: tuple[Ignore, ...] = ()
    errors: tuple[ReadError, ...] = ()
    past: Past = EMPTY
    operations: frozenset[Operation] = ALL_OPERATIONS
    refusal: Refusal = no_refusal

    def but(self, **fields: Any) -> World:
        """The same world with something else in it."""
        return replace(self, **fields)

    def safer(self, **limits: Any) -> World:
        """The same world under other `[safety]`."""
        return replace(self, house=replace(self.house, safety=replace(self.house.safety, **limits)))

    def remembering(self, **fields: Any) -> World:
        """The same world with something else in the ledger."""
        return replace(self, past=replace(self.past, **fields))

    @property
    def mappings(self) -> Mappings:
        names = sorted(repr(one) for one in (*self.customers, *self.rules, *self.ignores))
        return Mappings(self.customers, self.rules, self.ignores, content=digest(*names))

    @property
    def views(self) -> dict[str, View]:
        return {
            name: View(
                name=name,
                customers=customers,
                products=self.products if name == "cw" else (),
                readings={(one.customer_id, one.query): one for one in self.readings.get(name, ())},
                invoiced={one.customer_id: one for one in self.booked.get(name, ())},
                billings={one.customer_id: one for one in self.billings} if name == "cw" else {},
                default_query=DEFAULTS.get(name),
                operations=self.operations if name == "cw" else frozenset(),
                error=next((one for one in self.errors if one.connection == name and not one.customer), None),
                refusal=self.refusal,
                wire=wire,
            )
            for name, customers in self.listed.items()
        }

    @property
    def resolution(self) -> Resolution:
        whole = {one.connection: one for one in self.errors if not one.customer}
        return resolve(self.customers, self.listed, self.past.customers, whole)

    def plan(self, now: datetime = NOW, *, counting: bool = True) -> Plan:
        return make_plan(
            self.mappings, self.house, self.views, self.resolution, self.past, moment(now),
            errors=self.errors, counting=counting,
        )  # fmt: skip

    def one_line(self, now: datetime = NOW, *, counting: bool = True) -> PlanLine:
        """The only line of the plan."""
        (only,) = self.plan(now, counting=counting).lines
        return only


def world(
    used: Amount | State | None = 27,
    billed: Amount | State | None = 25,
    *,
    bought: Amount | State | None = None,
    invoiced: Amount | State | None = None,
    bought_terms: tuple[Any, ...] = (),
    safety: Mapping[str, Any] | None = None,
    mode: Mode = Mode.POST,
    **rule_fields: Any,
) -> World:
    """Contoso with so many seats used and billed; `settle` is 1, so that one look is enough unless a test asks for
    more. A State instead of a number is a reading that failed so; None is no line, or no reading at all."""
    keys: dict[str, Any] = {"m365": "t1", "cw": "c1"}
    readings = {"m365": _read("t1", "SPB", used, ASSIGNED)}
    booked: dict[str, tuple[Reading, ...]] = {}
    listed: dict[str, tuple[RemoteCustomer, ...] | None] = {
        "m365": (RemoteCustomer("t1", "Contoso Tenant", ("contoso.onmicrosoft.com",)),),
        "cw": (RemoteCustomer("c1", "Contoso Inc", ("ContosoInc",)),),
    }
    if bought is not None:
        keys["pax8"] = "x1"
        rule_fields = {"bought": bought_ref(), **rule_fields}
        listed["pax8"] = (RemoteCustomer("x1", "Contoso Pax"),)
        readings["pax8"] = _read("x1", "SPB", bought, QUANTITY, terms=bought_terms)
    if invoiced is not None:
        keys["qbo"] = "q1"
        rule_fields = {"invoiced": in_books(), **rule_fields}
        listed["qbo"] = (RemoteCustomer("q1", "Contoso Books"),)
        booked["qbo"] = _read("q1", "M365-BP", invoiced, INVOICED)
    company = (
        billing(state=billed) if isinstance(billed, State) else billing(*([] if billed is None else [line(billed)]))
    )
    return World(
        house=House(mode, ZONE, safety=Safety(**{"settle": 1, **(safety or {})})),
        customers=(customer(**keys),),
        rules=(rule(**rule_fields),),
        listed=listed,
        readings=readings,
        booked=booked,
        billings=(company,),
        products=(product(unit_price=units(20)),),
    )


def _read(id_: str, sku: str, value: Amount | State | None, query: Query, **fields: Any) -> tuple[Reading, ...]:
    if value is None:
        return ()
    if isinstance(value, State):
        return (reading(id_, query=query, state=value),)
    return (reading(id_, count(sku, value, **fields), query=query),)


def reads(*found: Reading, source: str = "m365") -> Mapping[str, tuple[Reading, ...]]:
    return {source: found}


def known(connection: str = "m365", /, **totals: Mapping[str, Amount]) -> Mapping[str, Mapping[str, KnownCustomer]]:
    """What a connection once showed: remote id -> query text -> the total that was believed."""
    return {
        connection: {
            id_: KnownCustomer(id_, f"name of {id_}", (), {text: units(value) for text, value in sums.items()})
            for id_, sums in totals.items()
        }
    }


def wheres(**filters: str | bool | tuple[str, ...]) -> Filters:
    return tuple(sorted((name, value if isinstance(value, tuple) else (value,)) for name, value in filters.items()))


def identity(found: World, **fields: Any) -> str:
    """The identity that the first effect of the only line has."""
    return found.one_line(**fields).effects[0].identity


def posts(lines: Iterable[PlanLine]) -> list[PlanLine]:
    return [one for one in lines if one.action == "post"]


LINE = TrueUp.LINE


FREE: Mapping[str, Any] = {name: units(10**6) for name in ("max_increase", "max_decrease", "max_step", "max_amount")}


def using(base: World, used: Any) -> World:
    return base.but(readings=reads(reading("t1", count("SPB", used))))


def free(used: Any = 27, **fields: Any) -> World:
    """A world in which only the rule holds back."""
    safety = {**FREE, "to_zero": "settle", **fields.pop("safety", {})}
    return world(used, 25, safety=safety, **{"decrease": "now", **fields})


def told(*values: Any) -> tuple[Any, ...]:
    """Several values side by side, to be compared with plain ones: Decimal("2") is 2, and an action is its word."""
    return values
