"""Why ConnectWise would refuse a posting, or must not be asked: one clear reason each. Pure.

Distilled from what ConnectWise answers and from what distributors' connectors refuse on (see README, sources). Each
sentence names the record and the mend.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from connectors.connectwise.abilities import CREATES, OPERATIONS, SERIAL_LENGTH
from connectors.connectwise.agreements import Terms
from syncd.model import Agreement, BilledLine, Billing, Moment, Operation, Posting, Product
from syncd.money import plain
from syncd.periods import DAY


def refusal(
    posting: Posting, billing: Billing, products: Sequence[Product], moment: Moment, terms: Terms | None
) -> str:
    """The reason, "" where it may be sent. `terms`: the agreement's dates where they were read in this connection."""
    if posting.operation not in OPERATIONS:
        return f"ConnectWise cannot take the operation {posting.operation}; it takes {', '.join(OPERATIONS)}"
    agreement = next((one for one in billing.agreements if one.id == posting.agreement_id), None)
    if agreement is None:
        return (
            f"the customer has no ConnectWise agreement #{posting.agreement_id} that is open; check the agreement that "
            "the rule names"
        )
    if agreement.obstacle:
        return f"{agreement.obstacle}; nothing is posted to it until that is mended in ConnectWise"
    product = next((one for one in products if one.id == posting.product_id), None)
    if posting.operation in CREATES:
        return _create(posting, agreement, product, billing, moment, terms)
    return _change(posting, product, billing, moment)


def _change(posting: Posting, product: Product | None, billing: Billing, moment: Moment) -> str:
    line = next((one for one in billing.lines if one.id == posting.line_id), None)
    where = f"the ConnectWise addition #{posting.line_id}"
    if line is None or line.agreement_id != posting.agreement_id:
        return f"{where} is no longer open on the agreement #{posting.agreement_id}"
    if line.obstacle:
        return f"{line.obstacle}; change it in ConnectWise, or take the line out of the rule"
    if posting.before is not None and line.quantity != posting.before:
        by = f" by {line.changed_by}" if line.changed_by else ""
        return (
            f"{where} shows {plain(line.quantity)} where the plan saw {plain(posting.before)}: it was changed "
            f"meanwhile{by}, and is planned anew"
        )
    if posting.operation == Operation.END_LINE:
        if posting.ends is None:
            return f"the end of {where} needs a last billed day"
        if line.starts is not None and posting.ends < line.starts:
            return f"{where} cannot end on {posting.ends}, before it begins on {line.starts}"
        return ""
    if posting.quantity < 0:
        return f"{where} cannot have the quantity {plain(posting.quantity)}; a quantity is never negative"
    twins = [
        one
        for one in _recurring(billing, line.agreement_id, line.product_id)
        if one.starts is None or one.starts <= moment.today
    ]
    if len(twins) > 1:
        return (
            f"the ConnectWise agreement #{line.agreement_id} has {len(twins)} open additions for {line.product} "
            f"({', '.join(f'#{one.id}' for one in twins)}); end all but one, syncd does not choose between them"
        )
    return _rival(product)


def _create(
    posting: Posting,
    agreement: Agreement,
    product: Product | None,
    billing: Billing,
    moment: Moment,
    terms: Terms | None,
) -> str:
    if product is None:
        return f"ConnectWise's catalogue has no product #{posting.product_id} {posting.product}".rstrip()
    if product.obstacle:
        return f"{product.obstacle}; an addition of it would be refused"
    if not posting.marker or len(posting.marker) > SERIAL_LENGTH or not posting.marker.isascii():
        return f"the mark of a new addition must be 1 to {SERIAL_LENGTH} plain characters"
    if posting.quantity <= 0:
        return f"an addition of {plain(posting.quantity)} units cannot be made; it takes more than none"
    if posting.starts is None:
        return "a new addition needs a first billed day"
    if posting.operation == Operation.ADD_LINE:
        standing = _recurring(billing, agreement.id, product.id)
        if rival := _rival(product):
            return rival
        if standing:
            return (
                f'the agreement "{agreement.name}" already has the open addition #{standing[0].id} for '
                f"{product.identifier}; set its quantity instead of making a second one"
            )
    if (starts := terms.bill_start if terms else None) is not None and posting.starts < starts:
        return (
            f'{product.identifier} cannot begin on {posting.starts}: billing of the agreement "{agreement.name}" '
            f"starts on {starts}, and ConnectWise refuses an earlier effective date"
        )
    if terms is not None and terms.over_before(posting.starts):
        return (
            f'{product.identifier} cannot begin on {posting.starts}: the agreement "{agreement.name}" ends on '
            f"{terms.last_day()}, so no invoice would bring it; bill it by hand"
        )
    daily = posting.operation == Operation.POST_LINE and posting.options.get("prorate") == "daily"
    if daily and not agreement.prorates:
        return (
            f'a part of a period cannot be charged daily: "Prorate Agreement" is off on the agreement '
            f'"{agreement.name}"; switch it on, or set prorate = "none" in the rule'
        )
    invoiced = agreement.invoiced_through
    if invoiced is not None and posting.starts <= invoiced and not agreement.prorates:
        return (
            f'the agreement "{agreement.name}" is invoiced through {invoiced} and does not prorate, so ConnectWise '
            f'refuses an addition that begins on {posting.starts}; switch on "Prorate Agreement", or let it begin on '
            f"{invoiced + DAY}"
        )
    if posting.operation == Operation.ADD_LINE:
        return ""
    return _charge(posting, agreement, moment, terms, daily=daily)


def _charge(posting: Posting, agreement: Agreement, moment: Moment, terms: Terms | None, *, daily: bool) -> str:
    """Reasons against a dated charge or credit."""
    assert posting.starts is not None
    if posting.ends is None or posting.ends < posting.starts:
        return f"a charge needs a last billed day, not before its first one ({posting.starts})"
    last = _last_of_period(posting.starts, agreement, moment, terms)
    if posting.ends > last:
        return (
            f"a charge from {posting.starts} to {posting.ends} reaches into the period after {last} of the agreement "
            f'"{agreement.name}" and would be billed in both'
        )
    if posting.operation == Operation.POST_CREDIT:
        if posting.amount is None and posting.unit_price is None:
            return "a credit needs an amount: neither the rule nor the line tells a price"
        return ""
    if not daily:
        return ""
    if not _monthly(agreement, terms):
        return (
            f'a part of a period is charged daily on monthly agreements only, and "{agreement.name}" is billed in '
            "another cycle; charge the rest of the period by hand"
        )
    if posting.options.get("beside") != "quantity":
        return ""  # the recurring line stays as it is: nothing else bills these units
    through = agreement.invoiced_through
    if through is None or posting.ends > through:
        known = f"only through {through}" if through else "for no period that ConnectWise tells"
        return (
            f'{posting.starts} to {posting.ends} is not invoiced yet (the agreement "{agreement.name}" is invoiced '
            f"{known}): its next invoice bills the new quantity in full, and a part on top would be charged twice"
        )
    return ""


def _rival(product: Product | None) -> str:
    """Two writers of one quantity undo each other every night."""
    if product is None or not product.rival:
        return ""
    return (
        f"{product.rival} also writes the quantity of {product.identifier}; let only one of the two do it: take the "
        "product out of that integration, or the rule out of syncd"
    )


def _recurring(billing: Billing, agreement_id: str, product_id: str) -> list[BilledLine]:
    """A product's recurring lines on an agreement, those that begin later too."""
    return [
        one
        for one in billing.lines
        if one.agreement_id == agreement_id and one.product_id == product_id and not one.once
    ]


def _last_of_period(on: date, agreement: Agreement, moment: Moment, terms: Terms | None) -> date:
    """The last day of the agreement's period that holds a day; of the MSP's own where the agreement tells none."""
    if terms is not None and (period := terms.period(on)) is not None:
        return period.last
    for period in (agreement.period, moment.period):
        if period is not None and on in period:
            return period.last
    return on


def _monthly(agreement: Agreement, terms: Terms | None) -> bool:
    if terms is not None and terms.months is not None:
        return terms.months == 1
    return agreement.period is not None and 28 <= agreement.period.days <= 31
