"""Why Halo would refuse a posting, or must not be asked: one clear reason each. Pure.

Halo itself refuses little: it takes a quantity onto a line that it calculates and undoes it at night, and it adds a
pending pro-rata row on top of whatever was written. Each sentence names the record and the mend.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from connectors.halopsa.abilities import MARK_LENGTH, OPERATIONS
from connectors.halopsa.lines import line_id
from syncd.model import Agreement, BilledLine, Billing, Moment, Operation, Posting, Product
from syncd.money import plain
from syncd.periods import DAY

VIAS = ("line", "licence")


def refusal(posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment) -> str:
    """The reason, "" where it may be sent."""
    if posting.operation not in OPERATIONS:
        return f"Halo cannot take the operation {posting.operation}; it takes {', '.join(OPERATIONS)}"
    via = posting.options.get("via", "line")
    if via not in VIAS:
        return f'via = "{via}" is unknown to Halo; it posts via {" or ".join(VIAS)}'
    agreement = next((one for one in billing.agreements if one.id == posting.agreement_id), None)
    if agreement is None:
        return (
            f"the customer has no HaloPSA recurring invoice #{posting.agreement_id} that is open; check the agreement "
            "that the rule names"
        )
    if agreement.obstacle:
        return f"{agreement.obstacle}; nothing is posted to it until that is mended in Halo"
    if posting.operation == Operation.SET_QUANTITY:
        return _change(posting, billing, via, moment)
    product = next((one for one in products if one.id == posting.product_id), None)
    if product is None:
        return f"Halo has no active item #{posting.product_id} {posting.product}".rstrip()
    if product.obstacle:
        return product.obstacle
    if not posting.marker or len(posting.marker) > MARK_LENGTH or not posting.marker.isascii():
        return f"the mark must be 1 to {MARK_LENGTH} plain characters"
    if posting.quantity <= 0:
        return f"{plain(posting.quantity)} units cannot be posted; it takes more than none"
    if posting.starts is None:
        return "a new line needs a first billed day"
    if posting.operation == Operation.ADD_LINE:
        return _add(posting, agreement, product, billing, via)
    return _charge(posting, agreement, moment, via)


def _change(posting: Posting, billing: Billing, via: str, moment: Moment) -> str:
    line = next((one for one in billing.lines if one.id == posting.line_id and not one.once), None)
    where = f"the Halo line #{posting.line_id}"
    if line is None or line.agreement_id != posting.agreement_id:
        return f"{where} is no longer open on the recurring invoice #{posting.agreement_id}"
    if line.obstacle:
        return f"{line.obstacle}; change it in Halo, or take the line out of the rule"
    licence = line_id(line.id).licence
    if licence is not None and via == "line":
        return (
            f'{where} shows the count of the licence #{licence}, so Halo would undo a quantity; set via = "licence" in '
            "the rule, or make the line's quantity a manual one in Halo"
        )
    if licence is None and via == "licence":
        return (
            f"{where} is not calculated from the count of one licence (without free units, minimum, criteria or "
            'assignment); let Halo calculate it so, or set via = "line" in the rule'
        )
    if posting.before is not None and line.quantity != posting.before:
        by = f" by {line.changed_by}" if line.changed_by else ""
        return (
            f"{where} shows {plain(line.quantity)} where the plan saw {plain(posting.before)}: it was changed "
            f"meanwhile{by}, and is planned anew"
        )
    if posting.quantity < 0:
        return f"{where} cannot have the quantity {plain(posting.quantity)}; a quantity is never negative"
    if licence is not None and posting.quantity != int(posting.quantity):
        return f"the Halo licence #{licence} counts whole units, not {plain(posting.quantity)}; set round in the rule"
    twins = [
        one
        for one in _recurring(billing, line.agreement_id, line.product_id)
        if one.starts is None or one.starts <= moment.today
    ]
    if len(twins) > 1:
        return (
            f"the recurring invoice #{line.agreement_id} has {len(twins)} open lines for {line.product or line.name} "
            f"({', '.join(f'#{one.id}' for one in twins)}); end all but one, syncd does not choose between them"
        )
    return ""


def _add(posting: Posting, agreement: Agreement, product: Product, billing: Billing, via: str) -> str:
    if via == "licence":
        return (
            f"{product.identifier} has no line that is calculated from a licence; make licence and line in Halo, syncd "
            "then keeps the licence's count"
        )
    if standing := _recurring(billing, agreement.id, product.id):
        return (
            f'the recurring invoice "{agreement.name}" already has the line #{standing[0].id} for '
            f"{product.identifier}; set its quantity instead of making a second one"
        )
    through = agreement.invoiced_through
    if through is not None and posting.starts is not None and posting.starts <= through:
        return (
            f'the recurring invoice "{agreement.name}" is invoiced through {through}, and Halo does not charge a new '
            f'line for days before; set prorate = "none" in the rule, so that it begins on {through + DAY}'
        )
    return ""


def _charge(posting: Posting, agreement: Agreement, moment: Moment, via: str) -> str:
    """Reasons against a draft invoice."""
    assert posting.starts is not None
    if posting.ends is None or posting.ends < posting.starts:
        return f"a charge needs a last billed day, not before its first one ({posting.starts})"
    if posting.amount is None and posting.unit_price is None:
        return "a draft invoice needs a price: neither the rule, the line nor the item tells one"
    last = _last_of_period(posting.starts, agreement, moment)
    if last is not None and posting.ends > last:
        return (
            f"a charge from {posting.starts} to {posting.ends} reaches into the period after {last} of the recurring "
            f'invoice "{agreement.name}" and would be billed in both'
        )
    if posting.options.get("beside") != "quantity":
        return ""
    if via == "licence":
        return (
            "Halo itself prorates a change of a licence's count; a draft invoice for the same days would charge them "
            'twice: set prorate = "none" in the rule'
        )
    through = agreement.invoiced_through
    if through is None or posting.ends > through:
        known = f"only through {through}" if through else "for no period that Halo tells"
        return (
            f'{posting.starts} to {posting.ends} is not invoiced yet ("{agreement.name}" is invoiced {known}): its '
            "next invoice bills the new quantity in full, and a part on top would be charged twice"
        )
    return ""


def _recurring(billing: Billing, agreement_id: str, product_id: str) -> list[BilledLine]:
    """A product's recurring lines on a recurring invoice, those that begin later too."""
    return [
        one
        for one in billing.lines
        if one.agreement_id == agreement_id and one.product_id == product_id and not one.once
    ]


def _last_of_period(on: date, agreement: Agreement, moment: Moment) -> date | None:
    """The last day of the period that holds a day; None where neither the recurring invoice's nor the MSP's does."""
    return next((one.last for one in (agreement.period, moment.period) if one is not None and on in one), None)
