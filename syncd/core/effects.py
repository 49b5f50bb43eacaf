"""From a difference to the postings that would remove it. Nothing here decides whether they may be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from syncd.core import closing, keys, meters
from syncd.core.charge import NO_COST, Charge, Cost
from syncd.core.entries import IN_FLIGHT, EntryState, Intent, LineHistory, Past
from syncd.core.resolve import Target
from syncd.core.rules import Rule
from syncd.model import Agreement, BilledLine, Operation, Posting, Product
from syncd.money import ZERO, plain, round_money
from syncd.periods import DAY, Period, following

_NOTHING = LineHistory()


@dataclass(frozen=True, slots=True)
class Effect:
    """One change to be made, complete and named: `posting` carries its key and marker.

    `before`/`to` as in the ledger's JSON. `amount`: the money that it moves, unsigned, None where no price is known.
    `follows`: it may be sent only after the effect before it was posted.
    """

    identity: str
    posting: Posting
    before: Decimal
    to: Decimal
    period: str
    amount: Decimal | None = None
    currency: str = ""
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """Where effects of one line go: the agreement, its period, the product, the line if there is one. `cost` is what
    the vendor takes for one unit, `house` the MSP's own currency; both are for prices of the rule's own."""

    rule: Rule
    customer: str
    remote_customer: str
    connection: str
    agreement: Agreement
    product: Product
    line: BilledLine | None
    period: Period
    currency: str
    today: date
    cost: Cost = NO_COST
    house: str = ""

    @property
    def meter(self) -> str:
        """The meter to which the rule reports; "" where it posts lines."""
        return self.rule.bill.meter if self.rule.bill else ""

    @property
    def unit_price(self) -> Decimal | None:
        """The line's own price, else the catalogue's: what the plan shows is what is sent. A catalogue in another
        currency than the line's tells none."""
        if self.line is not None:
            return self.line.unit_price
        return self.product.unit_price if self.product.currency in ("", self.currency) else None

    @property
    def unit_cost(self) -> Decimal | None:
        """As `unit_price`, for the cost."""
        if self.line is not None:
            return self.line.unit_cost
        return self.product.unit_cost if self.product.currency in ("", self.currency) else None

    def money(self, units: Decimal, share: Decimal = Decimal(1)) -> Decimal | None:
        """What so many units cost in a period, or in a share of it; rounded once."""
        if self.unit_price is None or not self.currency:
            return None
        return round_money(abs(units) * self.unit_price * share, self.currency)


def quantity_effects(
    site: Site, past: Past, target: Decimal, description: Callable[[Period], str]
) -> tuple[Effect, ...]:
    """Set a recurring quantity, or add the line where there is none; with dated lines for the invoiced rest of the
    period, and for each one that is invoiced ahead, where the rule prorates an increase (ConnectWise sheet, recipes 1
    and 2). A line that begins later has no such rest. `description`: what the customer reads on a line of a period."""
    line = site.line
    if line is None:
        identity = keys.added(site.connection, site.agreement.id, site.product.id, site.customer, site.rule.name)
        return (
            _effect(
                site,
                past,
                Operation.ADD_LINE,
                identity,
                Decimal(0),
                target,
                quantity=target,
                starts=_first_day(site),
                options=_form(site, prorated=site.rule.prorate),
                # It is printed on every invoice to come: no word of this period, unless the rule asks for it.
                description=description(site.period) if site.rule.description else "",
            ),
        )
    identity = keys.recurring(site.connection, line.agreement_id, line.id)
    through = site.agreement.invoiced_through
    begun = line.starts is None or line.starts <= site.today
    prorated = begun and site.rule.prorate and target > line.quantity
    beside = prorated and through is not None and through >= site.today
    # Where no line of its own charges the part, a vendor that computes it itself is asked to, from today on.
    asked = prorated and not beside
    change = _effect(
        site, past, Operation.SET_QUANTITY, identity, line.quantity, target,
        quantity=target, shown=line.quantity, version=line.version,
        starts=site.today if asked else None, options=_form(site, prorated=asked),
    )  # fmt: skip
    if not beside or through is None:
        return (change,)
    return (change, *_invoiced_parts(site, past, target - line.quantity, through, description))


def _invoiced_parts(
    site: Site, past: Past, units: Decimal, through: date, description: Callable[[Period], str]
) -> Iterator[Effect]:
    """Dated lines for what is on an invoice already, through the day `through`: one for the rest of the running period
    and one for each period after it, because a line that reaches over a period's end would be billed in both."""
    period, first = site.period, site.today
    while True:
        last = min(through, period.last) if through >= period.first else through
        there = replace(site, period=period)
        part = _dated(there, past, units, first, last, description(period), prorated=True, beside="quantity")
        yield replace(part, follows=True)
        if last >= through:
            return
        period = following(period)
        first = period.first


def _form(site: Site, *, prorated: bool) -> dict[str, str]:
    """What the rule says about the form, as a posting's options."""
    return {**(site.rule.bill.options if site.rule.bill else {}), **({"prorate": "daily"} if prorated else {})}


def own_before(history: LineHistory) -> Decimal:
    """What syncd's own lines of an identity sum to without the one that has not left yet: what is planned is sent as
    it stands, or superseded by what is planned now, and does not count twice."""
    waiting = history.open
    if waiting is None or waiting.state is not EntryState.PLANNED:
        return history.own_quantity
    return history.own_quantity - (waiting.intent.to - waiting.intent.before)


def paid_before(history: LineHistory) -> Decimal | None:
    """The money of what `own_before` sums up; None where it is not all known."""
    waiting = history.open
    if waiting is None or waiting.state is not EntryState.PLANNED or history.own_amount is None:
        return history.own_amount
    return history.own_amount - (waiting.intent.signed_amount or ZERO)


def _first_day(site: Site) -> date:
    """When a new line begins: today, or after what is invoiced already where a part of a period is not charged.

    A line that began inside an invoiced period would be refused, billed for the whole of it, or prorated against the
    rule (ConnectWise sheet, section 6).
    """
    through = site.agreement.invoiced_through
    if through is None or (site.rule.prorate and site.agreement.prorates):
        return site.today
    return max(site.today, through + DAY)


def line_effects(
    site: Site, past: Past, due: Decimal, description: str, charged: Charge | None = None
) -> tuple[Effect, ...]:
    """Bring the sum of syncd's own lines of the period to `due`: a dated line for the increment, or a credit.
    `charged`: what it costs, where the rule owns the price.

    Where the period is closed, it is dated into the first open one and names the period that it is for. A part of a
    period is left to the vendor's own arithmetic, or to its refusal. What a meter takes has a single day.
    """
    own = own_before(past.lines.get(own_identity(site), _NOTHING))
    if due == own:
        return ()
    if site.meter:
        day = meters.reporting_day(site.period, site.today, site.line.starts if site.line else None)
        return (_dated(site, past, due - own, day, day, description, prorated=False),)
    prorated = site.rule.prorate
    days = Period(site.today if prorated and due > own else site.period.first, site.period.last)
    if (not prorated or due < own) and closing.is_closed(site.agreement, days.first, days.last, site.today):
        days = closing.first_open(site.agreement, site.period)
        if days.first > site.period.last:
            description = closing.late_words(str(site.period), description)
    return (_dated(site, past, due - own, days.first, days.last, description, prorated=prorated, charged=charged),)


def own_identity(site: Site, period: Period | None = None) -> str:
    """Identity of syncd's own dated lines of this rule, in this period or another."""
    return keys.dated(
        site.connection,
        site.agreement.id,
        site.product.id,
        site.customer,
        site.rule.name,
        str(period or site.period),
    )


def _dated(
    site: Site, past: Past, units: Decimal, first: date, last: date, description: str, *, prorated: bool,
    beside: str = "", charged: Charge | None = None,
) -> Effect:  # fmt: skip
    """A dated line or credit, or usage, which bears its own sign. `beside`: "quantity" where the recurring line is
    raised too, so that only days which are on an invoice already may be charged here."""
    identity = own_identity(site)
    history = past.lines.get(identity, _NOTHING)
    own = own_before(history)
    operation = Operation.POST_LINE if units > 0 else Operation.POST_CREDIT
    operation = Operation.REPORT_USAGE if site.meter else operation
    days = Decimal((last - first).days + 1)
    share = days / site.period.days if prorated and units > 0 else Decimal(1)
    amount = abs(charged.amount) if charged else site.money(units, share)
    if operation is Operation.POST_CREDIT:
        amount = _taken_back(site, paid_before(history), own, -units, amount, priced=charged is not None)
    return _effect(
        site, past, operation, identity, own, own + units,
        quantity=units if site.meter else abs(units), starts=first, ends=last, description=description,
        options={**_form(site, prorated=prorated), **({"beside": beside} if beside else {})},
        amount=amount,
        charged=charged,
    )  # fmt: skip


def _taken_back(
    site: Site, paid: Decimal | None, own: Decimal, units: Decimal, amount: Decimal | None, *, priced: bool
) -> Decimal | None:
    """A credit takes back what was charged, never more: where the lines were charged for a part of the period, or the
    price moved since, the same share of their money as of their units. `priced`: the rule owns the price."""
    if paid is None or paid <= 0 or own <= 0 or amount is None:
        return amount
    if not priced and site.money(own) != paid:
        return round_money(paid * units / own, site.currency)
    return min(amount, paid)


def _effect(
    site: Site,
    past: Past,
    operation: Operation,
    identity: str,
    before: Decimal,
    to: Decimal,
    *,
    quantity: Decimal,
    amount: Decimal | None = None,
    options: Mapping[str, str] | None = None,
    starts: date | None = None,
    ends: date | None = None,
    description: str = "",
    version: str = "",
    shown: Decimal | None = None,
    charged: Charge | None = None,
) -> Effect:
    amount = amount if amount is not None else site.money(to - before)
    unit = charged.unit(quantity) if charged else site.unit_price
    key, period, generation = _name(
        site, past, operation, identity, before, to, lambda waiting: _costs(waiting, unit, amount, charged)
    )
    form = options if options is not None else _form(site, prorated=False)
    if operation is Operation.REPORT_USAGE:
        form = {**form, meters.PART: meters.part(identity, generation)}
    posting = Posting(
        operation=operation,
        key=key,
        marker=keys.marker(past.installation, key),
        customer_id=site.remote_customer,
        quantity=quantity,
        agreement_id=site.line.agreement_id if site.line else site.agreement.id,
        line_id=site.line.id if site.line and operation is Operation.SET_QUANTITY else "",
        product_id=site.product.id,
        product=site.product.identifier,
        before=shown,
        version=version,
        unit_price=unit,
        unit_cost=site.unit_cost,
        amount=amount,
        currency=site.currency,
        starts=starts,
        ends=ends,
        period=period,
        description=description,
        options=form,
    )
    return Effect(identity, posting, before, to, period, amount, site.currency if amount is not None else "")


def _name(
    site: Site,
    past: Past,
    operation: Operation,
    identity: str,
    before: Decimal,
    to: Decimal,
    costs: Callable[[Intent], bool],
) -> tuple[str, str, int]:
    """(key, period, generation) of a change. One that waits already, and still `costs` what it did, keeps them, also
    over the end of the period; another one that waits will be superseded, which makes it one more terminal entry."""
    history = past.lines.get(identity, _NOTHING)
    generation = history.generation
    if history.open is not None and history.open.state not in IN_FLIGHT:
        waiting = history.open.intent
        if (waiting.operation, waiting.before, waiting.to) == (operation, before, to) and (
            (waiting.customer, waiting.rule) == (site.customer, site.rule.name) and costs(waiting)
        ):
            return waiting.key, waiting.period, generation
        generation += 1
    period = str(site.period)
    return keys.key(past.installation, operation, identity, period, generation), period, generation


def _costs(waiting: Intent, unit: Decimal | None, amount: Decimal | None, charged: Charge | None) -> bool:
    """Whether a change that waits, its bytes frozen, says the price that it has now: a person who approves it, or
    applies a plan, agrees to what is shown. A part of a period costs less each day, and its units the same."""
    if waiting.operation not in (Operation.POST_LINE, Operation.POST_CREDIT):
        return True  # nothing else bears a price
    if charged is not None:
        return (waiting.amount, waiting.currency) == (amount, charged.whole.currency)
    frozen = waiting.posting.unit_price
    return unit is None or frozen is None or unit == frozen


def choose_agreement(target: Target, line: BilledLine | None) -> tuple[Agreement | None, str]:
    """The agreement that a change goes to: the line's own, else the only one that matches; (None, why) otherwise."""
    if line is not None:
        return next(one for one in target.agreements if one.id == line.agreement_id), ""
    match target.agreements:
        case (one,):
            return one, ""
        case ():
            return None, "no open agreement matches `agreement`"
        case several:
            names = ", ".join(f"{one.name!r} ({one.id})" for one in several)
            return None, f"{len(several)} agreements match `agreement`: {names}; narrow it to one"


def describe(
    template: str, *, product: str, period: str, used: Decimal, quantity: Decimal, before: Decimal, to: Decimal,
    customer: str, rule: str, subjects: Iterable[str], limit: int,
) -> str:  # fmt: skip
    """What the customer reads on the line, at most `limit` characters, never cut inside a name."""
    names = sorted(subjects, key=str.casefold)
    fields = {
        "product": product, "period": period, "used": plain(used), "quantity": plain(quantity), "from": plain(before),
        "to": plain(to), "customer": customer, "rule": rule,
    }  # fmt: skip
    template = template or "{product}, {period}: {quantity} more, {from} to {to}"
    for shown in range(len(names), -1, -1):
        rest = len(names) - shown
        listed = ", ".join(names[:shown]) + (f"{', ' if shown else ''}and {rest} more" if rest else "")
        text = template.format_map({**fields, "subjects": listed})
        if len(text) <= limit:
            return text
        if "{subjects}" not in template:
            return text[: limit - 1].rsplit(" ", 1)[0] + "…"
    return text[: limit - 1].rsplit(" ", 1)[0] + "…"
