"""The tie-out: for each customer and period, what the billing system bills against what the books say was invoiced.

Both sides are what one look at the world read; nothing is asked here. They agree where every product does, in units
and, where both sides tell it, in money without tax. Where they do not, the difference is listed with its lines. What
could not be read is not taken for agreement. Pure.

A line is the same on both sides where a rule says so (`bill` and `invoiced`), else where the books' item bears its
identifier or name. What syncd itself put into the books is billed too, in units: a draft that nobody released is a
difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from syncd.core import keys
from syncd.core.counting import named_by
from syncd.core.entries import Past
from syncd.core.findings import Number
from syncd.core.resolve import Resolution, Resolved, Target, View, applies, named_products
from syncd.core.rules import Customer, House, Mappings, Rule
from syncd.core.since_invoice import Late, Since, late_parts, stood
from syncd.model import Agreement, BilledLine, Billing, Count, Moment, Reading, State
from syncd.money import ZERO, plain, plain_money, round_money
from syncd.periods import DAY, Period


@dataclass(frozen=True, slots=True)
class Sum:
    """One product on one side. `amount` is None where some price is not known; `notes` say what a person may need."""

    quantity: Decimal = ZERO
    amount: Decimal | None = ZERO
    notes: tuple[str, ...] = ()

    def plus(self, quantity: Decimal, amount: Decimal | None, *notes: str) -> Sum:
        """With one more line."""
        known = self.amount is not None and amount is not None
        total = (self.amount or ZERO) + (amount or ZERO) if known else None
        return Sum(self.quantity + quantity, total, tuple(dict.fromkeys((*self.notes, *filter(None, notes)))))


NOTHING = Sum()


@dataclass(frozen=True, slots=True)
class Row:
    """One product that differs; a side that does not have it at all is None. `since`: what syncd wrote onto its lines
    after the invoice, where that is the whole difference: the next invoice brings it, and it is none."""

    product: str
    billed: Sum | None
    invoiced: Sum | None
    since: Since | None = None

    @property
    def difference(self) -> Decimal | None:
        """Invoiced less billed, in money; None where one side does not tell it."""
        return _less(self.invoiced, self.billed)


@dataclass(frozen=True, slots=True)
class TieOut:
    """One customer, one period, one system that invoices. `against`: the connections that tell what is billed.

    `agrees` is None where a side could not be read, with the `reason`. `billed`/`invoiced`: all of each side in money,
    None where it is not told; `rows` those products that differ, also where all of them were only changed since.
    """

    customer: str
    period: str
    connection: str
    against: tuple[str, ...]
    agrees: bool | None
    currency: str = ""
    billed: Decimal | None = None
    invoiced: Decimal | None = None
    rows: tuple[Row, ...] = ()
    reason: str = ""

    @property
    def difference(self) -> Decimal | None:
        """Invoiced less billed."""
        return self.invoiced - self.billed if self.invoiced is not None and self.billed is not None else None


def tie_out(
    mappings: Mappings,
    views: Mapping[str, View],
    resolution: Resolution,
    moment: Moment,
    past: Past,
    house: House,
) -> tuple[TieOut, ...]:
    """Every customer against every system whose invoices were read, by customer and connection.

    A system that keeps recurring lines itself is held against those; books against the lines of all such systems that
    the customer is in. Where nothing is billed by any, there is nothing to compare.
    """
    asked = sorted({rule.invoiced.connection for rule in mappings.rules if rule.invoiced is not None})
    billing = {rule.bill.connection for rule in mappings.rules if rule.bill is not None}
    recurring = sorted(name for name in billing if views[name].keeps_quantity)
    tied = _tied(mappings, views)
    found = []
    for customer in sorted(mappings.customers, key=lambda one: one.name):
        for name in asked:
            keys = resolution.get((customer.name, name), ())
            own = name in billing
            sources = [name] if own and views[name].keeps_quantity else [*recurring, *([name] if own else [])]
            there = [one for one in sources if resolution.get((customer.name, one))]
            if keys and there:
                names = _Naming(tied.get(name, ()), customer, views)
                history = _History(mappings.rules, customer, past, house.zone)
                found.append(
                    _one(names, history, customer, views, resolution, name, there, moment.period, house.currency)
                )
    return tuple(found)


def _tied(mappings: Mappings, views: Mapping[str, View]) -> dict[str, list[_Tie]]:
    """Books -> the rules that say what an item of theirs is in the billing system."""
    found: dict[str, list[_Tie]] = {}
    for rule in mappings.rules:
        if rule.bill is not None and rule.invoiced is not None:
            products = named_products(rule.bill.product, views[rule.bill.connection])
            billed = tuple((rule.bill.connection, product.id) for product in products)
            found.setdefault(rule.invoiced.connection, []).append(_Tie(rule, rule.invoiced.item, billed))
    return found


def _one(
    naming: _Naming, history: _History, customer: Customer, views: Mapping[str, View], resolution: Resolution,
    name: str, sources: Sequence[str], period: Period, house_currency: str,
) -> TieOut:  # fmt: skip
    def unread(reason: str) -> TieOut:
        return TieOut(customer.name, str(period), name, tuple(sources), None, reason=reason)

    readings, trouble = _known(resolution[customer.name, name], views[name], views[name].invoiced)
    if trouble:
        return unread(trouble)
    billings: list[tuple[str, Billing]] = []
    for source in sources:
        some, trouble = _known(resolution[customer.name, source], views[source], views[source].billings)
        if trouble:
            return unread(trouble)
        billings += [(source, one) for one in some]
    currencies = {count.currency for one in readings for count in one.counts if count.currency}
    currencies |= {agreement.currency for _, one in billings for agreement in one.agreements if agreement.currency}
    if len(currencies) > 1:
        return unread(f"two currencies stand side by side ({' and '.join(sorted(currencies))})")
    currency = next(iter(currencies), house_currency)
    lines, counts = list(naming.billed(billings, period, currency)), list(naming.invoiced(readings))
    left = _add((one.name, one.line.quantity, one.money, one.note) for one in lines)
    right = _add((one, count.quantity, count.amount, count.note) for one, count in counts)
    rows = [
        Row(
            product, left.get(product), right.get(product),
            history.since([one for one in lines if one.name == product], product, counts, currency),
        )
        for product in sorted({*left, *right})
        if _differs(left.get(product, NOTHING), right.get(product, NOTHING), currency)
    ]  # fmt: skip
    billed, invoiced = _all(left.values()), _all(right.values())
    apart = [row for row in rows if row.since is None]
    told = (
        _sentence(apart, billed, invoiced, currency)
        if apart
        else "; ".join(f"{one.product} {one.since}" for one in rows)
    )
    return TieOut(
        customer.name, str(period), name, tuple(sources), not apart, currency, billed, invoiced, tuple(rows), told
    )


def _known(keys: Sequence[Resolved], view: View, read: Mapping[str, Any]) -> tuple[list[Any], str]:
    """What was read of a customer in one system; else why it was not."""
    found = []
    for key in keys:
        one: Reading | Billing | None = read.get(key.id)
        if key.state is not State.KNOWN:
            return [], key.reason
        if one is None or one.state is not State.KNOWN:
            why = (one.reason if one else "") or (view.error.message if view.error else "")
            return [], why or f"{view.name} could not be read"
        found.append(one)
    return found, ""


@dataclass(frozen=True, slots=True)
class _Tie:
    """A rule's word for what is the same on both sides: an item of the books, and (connection, product id)."""

    rule: Rule
    item: str
    billed: tuple[tuple[str, str], ...]


class _Naming:
    """What a line and an invoiced item are called when they are the same. `ties`: those of these books."""

    def __init__(self, ties: Sequence[_Tie], customer: Customer, views: Mapping[str, View]) -> None:
        mine = [one for one in ties if applies(one.rule, customer)]
        self._views = views
        self._matching = [(named_by((one.item,)), one.item) for one in mine]
        self._of_product = {billed: one.item for one in mine for billed in one.billed}
        self._names: dict[str, str] = {}

    def billed(self, billings: Iterable[tuple[str, Billing]], period: Period, currency: str) -> Iterator[_Due]:
        """Every line that is due on an invoice of the period."""
        for connection, billing in billings:
            agreements = {one.id: one for one in billing.agreements}
            for line in billing.lines:
                agreement = agreements.get(line.agreement_id)
                books = not self._views[connection].keeps_quantity
                if agreement is None or not _due(line, agreement, period, books):
                    continue
                name = self._of_product.get((connection, line.product_id), line.product)
                for also in (line.product, line.name, line.product_id):
                    self._names.setdefault(also.casefold(), name)
                money: Decimal | None = None
                if line.unit_price is not None and not books:  # several units may stand there as one, at one price
                    money = round_money(line.quantity * line.unit_price, currency or "USD")
                elif books and line.amount is not None:
                    money = -line.amount if line.quantity < 0 else line.amount
                yield _Due(name, connection, agreement, line, money, f"line {line.id} of {agreement.name}")

    def invoiced(self, readings: Iterable[Reading]) -> Iterator[tuple[str, Count]]:
        """Every count of the books, under its name."""
        for reading in readings:
            for count in reading.counts:
                item = next((item for covers, item in self._matching if covers(count)), "")
                words = (count.sku, *count.aliases, count.name)
                same = next((self._names[one.casefold()] for one in words if one.casefold() in self._names), "")
                yield item or same or count.sku or count.name, count


@dataclass(frozen=True, slots=True)
class _Due:
    """A line that is due on an invoice of the period, under its name."""

    name: str
    connection: str
    agreement: Agreement
    line: BilledLine
    money: Decimal | None
    note: str


@dataclass(frozen=True, slots=True)
class _History:
    """What syncd wrote onto one customer's lines."""

    rules: Sequence[Rule]
    customer: Customer
    past: Past
    zone: ZoneInfo

    def since(
        self, lines: Sequence[_Due], product: str, counts: Sequence[tuple[str, Count]], currency: str
    ) -> Since | None:
        """What was written after the product's invoice, where the invoice shows exactly what stood there before (and
        the parts of the period before that came too late for its own), in units and in money; None where it does not,
        or where that is not known."""
        mine = [count for name, count in counts if name == product]
        # One that is on no invoice was not there when the newest of them was made.
        days = [count.dated for count in mine or [count for _, count in counts]]
        known = [day for day in days if day is not None]
        if not known or len(known) < len(days):
            return None
        newest, units, money, by = max(known), ZERO, list[Decimal | None](), list[str]()
        late: list[Late] = []
        for one in lines:
            line = one.line
            rules = [rule.name for rule in self.rules if rule.bill and rule.bill.connection == one.connection]
            site = (one.connection, line.agreement_id, line.product_id, self.customer.name)
            adding = [keys.added(*site, rule) for rule in rules]
            before = (
                (line.quantity, ()) if line.once else stood(line, one.connection, adding, self.past, newest, self.zone)
            )
            parts = late_parts(line, one.agreement, [keys.dated(*site, rule, "") for rule in rules], self.past)
            if before is None or parts is None:
                return None
            units, by, late = units + before[0], [*by, *before[1]], [*late, *parts]
            priced = line.unit_price is not None and not line.once
            money.append(round_money(before[0] * (line.unit_price or ZERO), currency or "USD") if priced else one.money)
        there = _add((product, count.quantity, count.amount, "") for count in mine).get(product, NOTHING)
        whole = sum((one for one in money if one is not None), ZERO) if None not in money else None
        more, part = sum((one.units for one in late), ZERO), sum((one.amount for one in late), ZERO)
        expected = Sum(units + more, None if whole is None else whole + part)
        if not (by or late) or _differs(expected, there, currency):
            return None
        return Since(newest, sum((one.line.quantity for one in lines), ZERO) - units, tuple(by), tuple(late))


def _due(line: BilledLine, agreement: Agreement, period: Period, books: bool) -> bool:
    """Whether a line stands on an invoice dated in this period: a recurring one, where its agreement's period begins in
    it (ends in it, in arrears); a dated one, where no invoice was made before it. In the books it stands on one."""
    starts, ends = line.starts or date.min, line.ends or date.max
    if line.meter:  # its invoice is made when its days are over
        return ends < date.max and ends + DAY in period
    if ends < period.first or starts > period.last:
        return False
    if line.once:
        through = agreement.invoiced_through
        return books or through is None or ends > through  # else it comes with the next invoice
    own = agreement.period
    if own is None:
        return True
    return own.last in period if agreement.in_advance is False else own.first in period


def _add(lines: Iterable[tuple[str, Decimal, Decimal | None, str]]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for name, quantity, amount, note in lines:
        sums[name] = sums.get(name, NOTHING).plus(quantity, amount, note)
    return sums


def _differs(billed: Sum, invoiced: Sum, currency: str) -> bool:
    if billed.quantity != invoiced.quantity:
        return True
    difference = _less(invoiced, billed)
    return difference is not None and round_money(difference, currency or "USD") != 0


def _less(one: Sum | None, other: Sum | None) -> Decimal | None:
    first, second = (one or NOTHING).amount, (other or NOTHING).amount
    return first - second if first is not None and second is not None else None


def _all(sums: Iterable[Sum]) -> Decimal | None:
    total = ZERO
    for one in sums:
        if one.amount is None:
            return None
        total += one.amount
    return total


def _sentence(rows: Sequence[Row], billed: Decimal | None, invoiced: Decimal | None, currency: str) -> str:
    """The difference as a sentence, the first products by name."""
    told = []
    for row in rows[:3]:
        before, after = (plain(one.quantity) if one else "none" for one in (row.billed, row.invoiced))
        told.append(f"{row.product}: {before} billed, {after} invoiced")
    more = f"; and {len(rows) - 3} more" if len(rows) > 3 else ""
    money = ""
    if billed is not None and invoiced is not None and currency:
        money = f" ({plain_money(billed, currency)} against {plain_money(invoiced, currency)} {currency})"
    return "; ".join(told) + more + money


def amount_gap(invoiced: Number, found: Target) -> bool:
    """Whether a rule's line and the books differ in money though their units agree: a price that was changed on one
    side. Only where every price is known and no dated line, whose price the vendor computes, is among them."""
    if invoiced.amount is None or found.own or any(line.unit_price is None for line in found.lines):
        return False
    agreed = {one.currency for one in found.agreements if one.currency}
    if agreed - {invoiced.currency}:
        return False  # two currencies cannot be compared
    units = sum((line.quantity for line in found.lines), ZERO)
    billed = sum((line.quantity * line.unit_price for line in found.lines if line.unit_price is not None), ZERO)
    same_units = bool(found.lines) and units == invoiced.quantity
    return same_units and round_money(billed, invoiced.currency) != round_money(invoiced.amount, invoiced.currency)
