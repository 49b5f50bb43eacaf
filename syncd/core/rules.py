"""What an admin decided, as frozen types: customers, rules, what is ignored, what is safe. `config` builds these.

`place` says where a thing was written (`mappings/m365.toml › rule "Business Premium"`), for messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from syncd.core.pricing import Price
from syncd.model import Filters
from syncd.money import ZERO


class Mode(StrEnum):
    """observe writes to no outside system; propose lets every change wait for a person; post posts what is safe."""

    OBSERVE = "observe"
    PROPOSE = "propose"
    POST = "post"


_ORDER = tuple(Mode)  # from the most careful to the least


class TrueUp(StrEnum):
    """How the target is reached (INTERFACE 3.2)."""

    QUANTITY = "quantity"
    LINE = "line"
    USAGE = "usage"
    ALERT = "alert"


class Aggregate(StrEnum):
    """What of a period's days `true_up = "usage"` bills; `core.aggregate` defines each."""

    PEAK = "peak"
    AVERAGE = "average"
    LAST = "last"
    SUM = "sum"
    P95 = "p95"


class Direction(StrEnum):
    """What an increase or a decrease may do. `term` is for decreases: not before the commitment ends."""

    NOW = "now"
    NEXT_PERIOD = "next-period"
    HOLD = "hold"
    IGNORE = "ignore"
    TERM = "term"


class Rounding(StrEnum):
    """To a multiple of the rule's `to`."""

    NONE = "none"
    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class Bound:
    """A plain number or a percentage of something."""

    value: Decimal
    percent: bool = False

    def of(self, base: Decimal) -> Decimal:
        """The bound in units: the number itself, or its share of |base|."""
        return abs(base) * self.value / 100 if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value:f}{'%' if self.percent else ''}"


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """How one system knows a customer: id, else identifier, else exact name; optionally only a part of it."""

    value: str
    where: Filters = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """A mapped customer. `keys`: connection name -> its keys there (several tenants may be one customer)."""

    name: str
    keys: Mapping[str, tuple[RemoteKey, ...]]
    tags: tuple[str, ...] = ()
    mode: Mode | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class CountRef:
    """`count` or `bought`: which SKUs (exact or globs) of which connection, measured how, over which units."""

    connection: str
    skus: tuple[str, ...]
    measure: str
    where: Filters = ()
    factor: Decimal = Decimal(1)


# What PSA, books and billing platform call the same thing.
_PRODUCT = ("product", "item", "price")
_AGREEMENT = ("agreement", "subscription")


@dataclass(frozen=True, slots=True)
class BillRef:
    """`bill`: the connection, its selectors (agreement, product, price…) and options (document, via)."""

    connection: str
    selectors: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def product(self) -> str:
        """The product, by whichever word its system has for it (INTERFACE 3.2); "" where none is named."""
        return next((self.selectors[word] for word in _PRODUCT if word in self.selectors), "")

    @property
    def meter(self) -> str:
        """The meter to which usage is reported instead of lines; "" where lines are posted."""
        return self.options.get("meter", "")

    @property
    def agreement(self) -> str:
        """A glob over what gathers the lines: an agreement, a subscription; "*" where none is named."""
        return next((self.selectors[word] for word in _AGREEMENT if word in self.selectors), "*")


@dataclass(frozen=True, slots=True)
class InvoicedRef:
    """`invoiced`: which product or item of which books."""

    connection: str
    item: str


@dataclass(frozen=True, slots=True)
class Example:
    """`[[rule.example]]`: the author says what a count must come to."""

    count: Decimal
    target: Decimal


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`. `content` is a digest of everything in it that can change a number: decisions made under other
    words do not count for it. `price`: None where the billing system owns it. `notify`: percent of each bound of the
    price. `aggregate` and `grace` are for `true_up = "usage"`."""

    name: str
    customers: tuple[str, ...]
    count: tuple[CountRef, ...]
    bill: BillRef | None
    bought: CountRef | None = None
    invoiced: InvoicedRef | None = None
    true_up: TrueUp = TrueUp.QUANTITY
    increase: Direction = Direction.NOW
    decrease: Direction = Direction.HOLD
    tolerance: Bound = Bound(ZERO)
    included: Decimal = ZERO
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    rounding: Rounding = Rounding.NONE
    to: Decimal = Decimal(1)
    prorate: bool = False
    create: bool = False
    price: Price | None = None
    notify: tuple[Decimal, ...] = ()
    aggregate: Aggregate = Aggregate.PEAK
    grace: timedelta = timedelta(days=2)
    description: str = ""
    examples: tuple[Example, ...] = ()
    content: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Ignore:
    """`[[ignore]]`: seen and decided. Empty `skus` or `customers` means all of them."""

    connection: str
    skus: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    why: str = ""
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Mappings:
    """All mapping files together. `content`: a digest over them, part of a plan's checksum."""

    customers: tuple[Customer, ...] = ()
    rules: tuple[Rule, ...] = ()
    ignores: tuple[Ignore, ...] = ()
    content: str = ""


@dataclass(frozen=True, slots=True)
class Safety:
    """What may be posted without a person (INTERFACE 2, `[safety]`). Percentages are 0-100."""

    source_drop: Decimal = Decimal(25)
    max_decrease: Decimal = Decimal(20)
    max_increase: Decimal = Decimal(100)
    small_line: Decimal = Decimal(5)
    max_step: Decimal = Decimal(3)
    to_zero: str = "hold"  # hold | settle
    foreign_edit: str = "hold"  # hold | overwrite | accept
    max_postings: int = 200
    max_amount: Decimal = Decimal(5000)
    settle: int = 2


@dataclass(frozen=True, slots=True)
class House:
    """The MSP's own settings that planning needs. `content`: a digest of the config, part of a plan's checksum."""

    mode: Mode
    zone: ZoneInfo
    period_anchor: int = 1
    currency: str = "USD"
    safety: Safety = Safety()
    ceiling: Mode = Mode.POST  # SYNCD_MODE: overrides downwards only
    content: str = ""

    def mode_of(self, customer: Customer) -> Mode:
        """The customer's own mode, else the house's; never above the ceiling."""
        return min(customer.mode or self.mode, self.ceiling, key=_ORDER.index)

    @property
    def own_mode(self) -> Mode:
        """The house's mode, not above the ceiling."""
        return min(self.mode, self.ceiling, key=_ORDER.index)
